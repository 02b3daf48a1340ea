"""Values of vertices at the fragments of a hard rasterization on the device, and back."""

from functools import cached_property
from typing import Any

import numpy as np

from ..backend import on_device
from ..checks import check_gradient
from ..interpolation import InterpolationGradients
from . import blend, fragments, hard_tangent, slopes
from .arrays import Workspace, allocate, download, given_to, not_empty, wait_for
from .hard import DeviceFragments
from .hard_gradients import HardGradients
from .inspect import raise_not_finite
from .jit import spread
from .rasterize import lock


class DeviceInterpolation:
    """What `interpolate` returns for fragments of the device, see `diffrender.interpolation.Interpolation`."""

    def __init__(self, of: DeviceFragments, given: tuple, shape: tuple[int, ...], values: Any, workspace: Workspace):
        self._of, self._given, self._values, self._workspace = of, given, values, workspace
        self.shape = shape  # of the attributes

    @property
    def values(self) -> Any:
        """A row for each fragment (S, C)."""
        return self._of.result(self._values)

    @property
    def image(self) -> Any:
        """The values at the pixels' centres (H, W, C)."""
        return self._of.result(self._values[: self._of.pixels].reshape(*self._of.size, self._values.shape[1]))

    @cached_property
    def slopes(self) -> Any:
        """How the values change from pixel to pixel along x and y (S, C, 2) on the face that a fragment shows; 0 for nothing."""
        return self._of.result(self.slopes_there)

    @cached_property
    def slopes_there(self) -> Any:
        """`slopes` on the device."""
        of, attributes = self._of, self._given[1]
        shape = (of.count, attributes.shape[1], 2)
        with lock:
            found = allocate(shape, of.dtype, of.stream) if of.stays else self._workspace.take(shape, of.dtype)
            surface = (of.points, of.own_faces, of.ids, tuple(of.places))
            slopes.slope[(*spread(of.count), of.stream)](*surface, self._given, found)
            return found

    def backward(self, grad_values: Any, grad_slopes: Any | None = None) -> InterpolationGradients:
        """Return the gradients for grad_values (S, C), and grad_slopes (S, C, 2) if any. Raises ValueError for other shapes."""
        of, shape = self._of, self._values.shape
        grad_values = check_gradient(grad_values, "grad_values", self._values, "cuda")
        if grad_slopes is not None:
            grad_slopes = check_gradient(grad_slopes, "grad_slopes", self.slopes_there, "cuda")
        with lock:
            scratch = Workspace(of.stream)
            grads, given = HardGradients(of, scratch), given_to(grad_values, scratch)
            if grad_slopes is not None:
                grad_slopes = given_to(grad_slopes, scratch)
                if on_device(grad_values):  # a copy, to which the slopes' part is added
                    given = scratch.take(shape, of.dtype)
                    blend.copy_rows[(*spread(given.size), of.stream)](grad_values, given)
            grads.add_values(self._given, given, grad_slopes)
            return InterpolationGradients(grads.of_vertices(), grads.of_attributes())

    def points_jvp(
        self, motions: Any, attributes: np.ndarray | None, scratch: Workspace, with_slopes: bool = False
    ) -> tuple[Any, Any]:
        """Return how the values (D, S, C) and, if asked for, the slopes (D, S, C, 2) change on the device, see
        `diffrender.interpolation.Interpolation.points_jvp`."""
        of, (perspective, own, faces) = self._of, self._given
        count, channels = motions.shape[1], own.shape[1]
        painted = np.zeros((1, count, channels), of.dtype)
        if attributes is not None:
            painted = not_empty(np.ascontiguousarray(attributes.transpose(1, 0, 2), of.dtype))
        given = scratch.upload(painted)
        given = given[:0] if attributes is None else given
        values = scratch.take((count, of.count, self._values.shape[1]), of.dtype)
        slopes = scratch.take((count, of.count, channels, 2) if with_slopes else (1, 1, 1, 2), of.dtype)
        slopes = slopes if with_slopes else slopes[:0]
        surface, places = (of.points, of.own_faces, of.ids), tuple(of.places)
        hard_tangent.interpolate_tangent[(*spread(of.count), of.stream)](
            *surface, places, perspective, own, faces, motions, given, values, slopes
        )
        return values, slopes


def interpolate(
    of: DeviceFragments,
    attributes: Any,
    attribute_faces: Any | None,
    perspective_correct: bool,
    background: np.ndarray,
    channels: int,
    kept: bool = False,
) -> DeviceInterpolation:
    """Interpolate what has been checked, as `diffrender.interpolation.fill` does; values that are `kept` are the raster's."""
    with lock:
        workspace, stream = Workspace(of.stream), of.stream
        wait_for(getattr(attributes, "stream", 0), stream)
        is_given, attributes_shape = on_device(attributes), tuple(attributes.shape)
        attributes = attributes if is_given else workspace.upload(not_empty(attributes))
        if is_given:
            report = workspace.upload(np.zeros(2, np.int64))
            fragments.inspect[(*spread(len(attributes)), stream)](attributes, report)
            bad, first = download(report, stream)
            raise_not_finite("attributes", attributes, bad, first, stream)
        faces = of.own_faces if attribute_faces is None else workspace.upload(not_empty(attribute_faces))
        given = (bool(perspective_correct), attributes, faces)
        shape = (of.count, channels)
        if of.stays and not kept:
            values = allocate(shape, of.dtype, stream)
        else:
            values = workspace.take_at_least(of.count, of.dtype, channels)[: of.count]
        surface, places = (of.points, of.own_faces, of.ids), tuple(of.places)
        fragments.interpolate[(*spread(of.count), stream)](
            *surface, places, *given, workspace.upload(background), values
        )
        return DeviceInterpolation(of, given, attributes_shape, values, workspace)
