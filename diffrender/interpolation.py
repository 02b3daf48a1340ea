"""Values of vertices at the fragments of a hard rasterization, and back."""

from collections.abc import Callable
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .backend import on_device
from .checks import check_attributes, check_background
from .fragments import Fragments
from .memory import empties, empty
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
        changed, pairs, channels = fragments.changed, fragments.pairs, image.shape[1]
        vertices, attributes, places = fragments.points.shape, self.attributes.shape, len(fragments.places.faces)
        changes, grad_places, shrinking, *sums = empties(
            ((len(changed.pixels), channels), dtype),
            ((places, channels), dtype),
            ((places,), np.float64),
            (vertices, np.float64),
            (attributes, np.float64),
        )
        for zeros_first in (shrinking, *sums):
            zeros_first.fill(0)
        outlines = (*pairs, *changed, jumps, floor, background, image, grad_image, changes)
        finished = empty(vertices, dtype), empty(attributes, dtype)
        self._backward(outlines, (grad_places, shrinking), None, (*sums, *finished))
        return finished

    def _no_outlines(self, grad_values: np.ndarray) -> tuple:
        """Return the arguments of `go_back` about outlines, for values that have not been blended."""
        pairs, changed = self._fragments.pairs, self._fragments.changed
        none = (*(part[:0] for part in pairs), changed.pixels[:0], np.zeros_like(changed.starts), changed.of_pairs[:0])
        rows = grad_values[:0]
        return (*none, rows, 0.0, np.empty(0, grad_values.dtype), rows, grad_values, rows)

    def _backward(self, outlines: tuple, at_places: tuple, by_slopes: tuple | None, into: tuple) -> None:
        fragments, given = self._fragments, self._arguments
        surface, planes, seen = (fragments.points, fragments.faces), self._planes, fragments.seen
        corners = ((len(planes), 3, self.attributes.shape[1] + 3), np.float64)
        if by_slopes is None:
            is_begun, (sums, shares_of) = False, empties((planes.shape, np.float64), corners)
        else:  # these are sums too, of centres and of places
            is_begun, (sums, of_places), (shares_of,) = True, by_slopes, empties(corners)
            self._slopes_of_places(of_places, into[:2])
        *pairs, grad_values, changes = outlines
        centers = (*given, fragments.ids, *seen, planes, is_begun, sums, shares_of, *fragments.places)
        run_on_workers(
            _go_back(),
            new_stages(6),
            *surface,
            *pairs,
            grad_values,
            changes,
            at_places[0],
            *centers,
            at_places[1],
            *into,
        )

    def _slopes_of_places(self, sums: np.ndarray, into: tuple) -> None:
        """Add to the gradients of points and attributes what sums (N, 3, C + 1) of the slopes at places give."""
        from .cpu.fragments import gather_corners, give_corners

        fragments, given, faces = self._fragments, self._arguments, self._fragments.places.faces
        of_corners = np.empty((len(faces), 3, self.attributes.shape[1] + 3))
        give_corners(fragments.points, fragments.faces, *given, faces, sums, of_corners)
        gather_corners(fragments.faces, given[1], faces[None], np.array([0, len(faces)]), of_corners, *into)

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
    return fill(fragments, attributes, attribute_faces, perspective_correct, colors, attributes.shape[1])[0]


def fill(
    fragments: Fragments,
    attributes: np.ndarray,
    attribute_faces: np.ndarray,
    perspective_correct: bool,
    nothing: np.ndarray,
    channels: int,
    floor: float = 0.0,
    background: np.ndarray | None = None,
) -> tuple[Interpolation, np.ndarray]:
    """Interpolate what has been checked; one channel more than attributes have is 1 on faces and 0 elsewhere.

    With a background, values of pixels are blended, and returned as well is what `diffrender.antialiasing.blend` does.
    """
    dtype, pairs = attributes.dtype, fragments.pairs
    values = empty((fragments.count, channels), dtype)
    given = (attributes, attribute_faces, bool(perspective_correct))
    planes, jumps = empties(
        ((int(fragments.seen.starts[-1]), 3, attributes.shape[1] + 1), np.float64),
        ((len(pairs.areas), channels), dtype),
    )
    at_fragments = (fragments.points, fragments.faces, *given, *fragments.seen, *fragments.places[:3])
    blended = (*pairs[:3], fragments.changed.pixels, floor, nothing[:0] if background is None else background)
    run_on_workers(_interpolate_all(), new_stages(2), *at_fragments, nothing, planes, values, *blended, jumps)
    return Interpolation(fragments, given, planes, values), jumps


# Kernels, imported when they are needed: the statement takes as long as a small kernel each time.
@cache
def _interpolate_all() -> Callable:
    from .cpu.way_there import interpolate_all

    return interpolate_all


@cache
def _go_back() -> Callable:
    from .cpu.way_back import go_back

    return go_back


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
