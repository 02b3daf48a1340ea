"""Values of vertices at the fragments of a hard rasterization, and back."""

from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .backend import on_device
from .checks import check_attributes, check_background
from .fragments import Fragments
from .memory import empty, empty_like, zeros
from .spin import new_stages
from .threads import run_on_workers

if TYPE_CHECKING:
    from .cuda.hard import DeviceFragments
    from .cuda.interpolation import DeviceInterpolation


class InterpolationGradients(NamedTuple):
    """Gradients by the names of what was interpolated."""

    vertices_pixel: np.ndarray  # (V, 3), the places that fragments have on faces moving with them
    attributes: np.ndarray  # (T, C)


class Interpolation:
    """What `interpolate` returns: `values` (S, C), a row for each fragment, `image` (H, W, C) of pixels' centres, `slopes` and
    `backward`."""

    def __init__(self, fragments: Fragments, arguments: tuple, planes: np.ndarray, values: np.ndarray):
        self.values = values
        self.attributes: np.ndarray = arguments[0]
        self._fragments, self._arguments, self._planes = fragments, arguments, planes

    @property
    def image(self) -> np.ndarray:
        """The values at the pixels' centres (H, W, C)."""
        height, width = self._fragments.size
        return self.values[: height * width].reshape(height, width, -1)

    @cached_property
    def slopes(self) -> np.ndarray:
        """How the values change from pixel to pixel along x and y (S, C, 2) on the face that a fragment shows; 0 for nothing."""
        from .cpu.slopes import slope_centers, slope_places

        fragments, places, seen = self._fragments, self._fragments.places, self._fragments.seen
        slopes = np.zeros((*self.values.shape, 2), self.values.dtype)
        runs = (seen.run_ends, seen.run_counts, seen.slots, seen.starts)
        run_on_workers(slope_centers, np.zeros(1, np.int64), *runs, self._planes, slopes)
        slope_places(fragments.points, fragments.faces, *places[:3], *self._arguments, slopes)
        return slopes

    def backward(self, grad_values: np.ndarray, grad_slopes: np.ndarray | None = None) -> InterpolationGradients:
        """Return the gradients for grad_values (S, C), and grad_slopes (S, C, 2) if any. Raises ValueError for other shapes."""
        shape, dtype = self.values.shape, self.values.dtype
        if np.shape(grad_values) != shape:
            raise ValueError(f"grad_values must have shape {shape}, got {np.shape(grad_values)}")
        if grad_slopes is not None:
            if np.shape(grad_slopes) != (*shape, 2):
                raise ValueError(f"grad_slopes must have shape {(*shape, 2)}, got {np.shape(grad_slopes)}")
            grad_slopes = np.ascontiguousarray(grad_slopes, dtype)
            grad_values = np.array(grad_values, dtype)  # a copy, to which the slopes' part is added
        grad_values = np.ascontiguousarray(grad_values, dtype)
        grads = self._fragments.gradients(*self.points_backward(grad_values, grad_slopes))
        return InterpolationGradients(*grads)

    def points_backward(
        self, grad_values: np.ndarray, grad_slopes: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the gradients of the fragments' points (V, 3) and of the attributes, for grad_values (S, C or more), to which
        what grad_slopes (S, C, 2) give is added in place."""
        fragments = self._fragments
        shrinking, by_slopes = np.zeros(len(fragments.places.faces)), None
        if grad_slopes is not None:
            by_slopes = self._slopes_backward(grad_slopes, grad_values, shrinking)
        grad_points, grad_attributes = np.zeros(fragments.points.shape), np.zeros(self.attributes.shape)
        places = grad_values[len(grad_values) - len(shrinking) :]
        nothing = (grad_points[:0].astype(grad_values.dtype), grad_attributes[:0].astype(grad_values.dtype))
        outlines = self._no_outlines(grad_values)
        self._backward(outlines, (places, shrinking), by_slopes, (grad_points, grad_attributes, *nothing))
        return grad_points, grad_attributes

    def blended_backward(
        self, floor: float, background: np.ndarray, image: np.ndarray, jumps: np.ndarray, grad_image: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the gradients of vertices in pixel space (V, 3) and of attributes for that of an image (H W, C + 1) of straight
        colours and alpha, into which the values have been blended, see `diffrender.cpu.blend.add_outlines`."""
        fragments, dtype = self._fragments, image.dtype
        changed, places, vertices = fragments.changed, len(fragments.places.faces), fragments.points.shape
        changes, grad_places = (
            np.empty((len(changed.pixels), image.shape[1]), dtype),
            np.empty((places, image.shape[1]), dtype),
        )
        of_changed = (changed.pixels, changed.starts, changed.of_pairs, jumps)
        outlines = (*fragments.pairs, *of_changed, floor, background, image, grad_image, changes)
        finished = empty(vertices, dtype), empty(self.attributes.shape, dtype)
        into = (zeros(vertices, np.float64), zeros(self.attributes.shape, np.float64), *finished)
        self._backward(outlines, (grad_places, np.zeros(places)), None, into)
        return finished

    def _no_outlines(self, grad_values: np.ndarray) -> tuple:
        """Return the arguments of `go_back` about outlines, for values that have not been blended."""
        pairs, changed = self._fragments.pairs, self._fragments.changed
        none = (*(part[:0] for part in pairs), changed.pixels[:0], np.zeros_like(changed.starts), changed.of_pairs[:0])
        rows = grad_values[:0]
        return (*none, rows, 0.0, np.empty(0, grad_values.dtype), rows, grad_values, rows)

    def _backward(self, outlines: tuple, at_places: tuple, by_slopes: tuple | None, into: tuple) -> None:
        from .cpu import fragments as kernels
        from .cpu.way_back import go_back

        fragments, given = self._fragments, self._arguments
        surface, planes, seen = (fragments.points, fragments.faces), self._planes, fragments.seen
        # What slopes give are sums too, of centres and of places.
        is_begun, sums, of_places = (False, empty_like(planes), None) if by_slopes is None else (True, *by_slopes)
        shares_of = empty((len(planes), 3, self.attributes.shape[1] + 3), np.float64)
        if of_places is not None:
            places = fragments.places.faces
            of_corners = np.empty((len(places), *shares_of.shape[1:]))
            kernels.give_corners(*surface, *given, places, of_places, of_corners)
            ends = np.array([0, len(places)])
            kernels.gather_corners(fragments.faces, given[1], places[None], ends, of_corners, *into[:2])
        *pairs, grad_values, changes = outlines
        centers = (*given, *seen, planes, is_begun, sums, shares_of, *fragments.places)
        run_on_workers(
            go_back, new_stages(6), *surface, *pairs, grad_values, changes, at_places[0], *centers, at_places[1], *into
        )

    def points_jvp(
        self, motions: np.ndarray, attributes: np.ndarray | None, with_slopes: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return how the values (D, S, C) and, if asked for, the slopes (D, S, C, 2) change as the fragments' points do, motions
        (V, D, 3), and the attributes (D, T, C), if at all."""
        from .cpu.hard_tangent import interpolate_centers_tangent, interpolate_places_tangent

        fragments, given, dtype = self._fragments, self._arguments, self.values.dtype
        count, shape = motions.shape[1], self.values.shape
        painted = np.empty((0, count, self.attributes.shape[1]), dtype)
        if attributes is not None:
            painted = np.ascontiguousarray(attributes.transpose(1, 0, 2), dtype)
        values = np.zeros((count, *shape), dtype)
        slopes = np.zeros((count if with_slopes else 0, *shape, 2), dtype)
        surface, into = (fragments.points, fragments.faces), (motions, painted, values, slopes)
        turn = np.zeros(1, np.int64)
        run_on_workers(interpolate_centers_tangent, turn, *surface, *given, *fragments.seen, self._planes, *into)
        interpolate_places_tangent(*surface, *fragments.places, fragments.size[1], *given, *into)
        return values, slopes

    def _slopes_backward(
        self, grad_slopes: np.ndarray, grad_values: np.ndarray, shrinking: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Add what slopes give to grad_values, fill `shrinking`, and return sums for `gather_corners`: of faces and of places."""
        from .cpu.slopes import slope_centers_backward, slope_places_backward

        fragments, given = self._fragments, self._arguments
        surface, grads, places = (fragments.points, fragments.faces), (grad_slopes, grad_values), fragments.places
        of_centers, of_places = np.empty_like(self._planes), np.empty((len(shrinking), *self._planes.shape[1:]))
        turn = np.zeros(1, np.int64)
        run_on_workers(slope_centers_backward, turn, *surface, *fragments.seen, self._planes, *grads, of_centers)
        slope_places_backward(*surface, *places[:3], *given, *grads, shrinking, of_places)
        return of_centers, of_places


def interpolate(
    fragments: "Fragments | DeviceFragments",
    attributes: Any,
    attribute_faces: np.ndarray | None = None,
    perspective_correct: bool = True,
    background: float | tuple[float, ...] | np.ndarray = 0.0,
) -> "Interpolation | DeviceInterpolation":
    """Interpolate attributes (T, C) at all fragments, linearly in space or, without `perspective_correct`, in the image.

    attribute_faces (F, 3) names the rows of `attributes` for each face's corners, None meaning the faces themselves. Where
    nothing is seen, values are `background`. Raises ValueError for another shape.
    """
    if attribute_faces is None:
        attributes = check_attributes(attributes, fragments.vertices_pixel)
    else:
        attributes, attribute_faces = _of_corners(attributes, attribute_faces, fragments)
    colors = check_background(background, attributes.shape[1], attributes.dtype)
    if not isinstance(fragments, Fragments):
        from .cuda.interpolation import interpolate as there

        return there(fragments, attributes, attribute_faces, perspective_correct, colors, attributes.shape[1])
    attribute_faces = fragments.faces if attribute_faces is None else attribute_faces
    return fill(fragments, attributes, attribute_faces, perspective_correct, colors, attributes.shape[1])


def fill(
    fragments: Fragments,
    attributes: np.ndarray,
    attribute_faces: np.ndarray,
    perspective_correct: bool,
    colors: np.ndarray,
    channels: int,
) -> Interpolation:
    """Interpolate what has been checked; one channel more than attributes have is 1 on faces and 0 elsewhere."""
    from .cpu import fragments as kernels

    values = empty((fragments.count, channels), attributes.dtype)
    surface = (fragments.points, fragments.faces)
    given = (attributes, attribute_faces, bool(perspective_correct))
    planes = empty((int(fragments.seen.starts[-1]), 3, attributes.shape[1] + 1), np.float64)
    at_fragments = (*surface, *given, *fragments.seen, *fragments.places[:3])
    run_on_workers(kernels.interpolate_all, np.zeros(1, np.int64), *at_fragments, colors, planes, values)
    return Interpolation(fragments, given, planes, values)


def _of_corners(
    attributes: Any, attribute_faces: Any, fragments: "Fragments | DeviceFragments"
) -> tuple[np.ndarray, np.ndarray]:
    if on_device(attributes) or on_device(attribute_faces):
        raise ValueError("attributes are a CUDA array: with attribute_faces, give both on the host")
    attributes, attribute_faces = np.asarray(attributes), np.asarray(attribute_faces)
    if attributes.ndim != 2 or not attributes.shape[1]:
        raise ValueError(f"attributes must have shape (T, C), got {attributes.shape}")
    if attribute_faces.shape != fragments.faces.shape or attribute_faces.dtype.kind not in "iu":
        raise ValueError(
            f"attribute_faces must be integers of shape {fragments.faces.shape}, "
            f"got {attribute_faces.dtype} of {attribute_faces.shape}"
        )
    if attribute_faces.size and (attribute_faces.min() < 0 or attribute_faces.max() >= len(attributes)):
        raise ValueError(f"attribute_faces must lie in [0, {len(attributes)}), got {attribute_faces.max()}")
    dtype = fragments.vertices_pixel.dtype
    return np.ascontiguousarray(attributes, dtype), np.ascontiguousarray(attribute_faces, np.int32)
