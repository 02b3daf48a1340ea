"""Values of vertices at the fragments of a hard rasterization, and back."""

from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .backend import on_device
from .checks import check_attributes, check_background
from .fragments import Fragments
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
        nothing_more = (np.zeros(len(fragments.seen.starts), np.int64), np.empty(0, np.int32), grad_values[:0])
        grad_points = np.zeros(fragments.points.shape)
        places = grad_values[len(grad_values) - len(shrinking) :]
        return grad_points, self._backward(grad_values, nothing_more, by_slopes, places, shrinking, grad_points)

    def centers_backward(
        self, grad_image: np.ndarray, changes: np.ndarray, grad_places: np.ndarray, grad_points: np.ndarray
    ) -> np.ndarray:
        """Return the gradient of the attributes, and add to grad_points (V, 3), for that of values at pixels' centres, which is
        grad_image (H W, C or more) and, for changed pixels, changes (M, C or more) besides, and at places (N, C or more)."""
        changed, shrinking = self._fragments.changed, np.zeros(len(grad_places))
        more = (changed.starts, changed.pixels, changes)
        return self._backward(grad_image, more, None, grad_places, shrinking, grad_points)

    def _backward(
        self,
        grad_values: np.ndarray,
        more: tuple,
        by_slopes: tuple | None,
        grad_places: np.ndarray,
        shrinking: np.ndarray,
        grad_points: np.ndarray,
    ) -> np.ndarray:
        from .cpu import fragments as kernels

        fragments, given = self._fragments, self._arguments
        surface, planes, seen = (fragments.points, fragments.faces), self._planes, fragments.seen
        # What slopes give are sums too, of centres and of places.
        is_begun, sums, of_places = (False, np.empty_like(planes), None) if by_slopes is None else (True, *by_slopes)
        shares_of = np.empty((len(planes), 3, self.attributes.shape[1] + 3))
        centers = (*surface, *given, *seen, planes, grad_values, *more, is_begun, sums, shares_of)
        run_on_workers(kernels.interpolate_centers_backward, np.zeros(1, np.int64), *centers)
        into = (grad_points, np.zeros(self.attributes.shape))
        meeting = (fragments.faces, given[1])
        if of_places is not None:
            places = fragments.places.faces
            of_corners = np.empty((len(places), *shares_of.shape[1:]))
            kernels.give_corners(*surface, *given, places, of_places, of_corners)
            kernels.gather_centers(*meeting, places[None], np.array([0, len(places)]), of_corners, *into)
        kernels.gather_centers(*meeting, *seen[3:], shares_of, *into)
        width = fragments.size[1]
        kernels.interpolate_places_backward(*surface, *fragments.places, width, *given, grad_places, shrinking, *into)
        return into[1]

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
        """Add what slopes give to grad_values, fill `shrinking`, and return sums for `gather_centers`: of faces and of places."""
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

    values = np.empty((fragments.count, channels), attributes.dtype)
    surface = (fragments.points, fragments.faces)
    given = (attributes, attribute_faces, bool(perspective_correct))
    planes = np.empty((fragments.seen.starts[-1], 3, attributes.shape[1] + 1))
    centers = (*surface, *given, *fragments.seen)
    run_on_workers(kernels.interpolate_centers, np.zeros(1, np.int64), *centers, colors, planes, values)
    places = fragments.places
    kernels.interpolate_places(*surface, places.faces, places.corners, places.at, *given, values)
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
