"""Antialiasing of a hard rasterization on the device, and back."""

from typing import Any

import numpy as np

from ..antialiasing import AntialiasGradients
from ..checks import check_gradient
from . import blend
from .arrays import Workspace, allocate, given_to
from .hard import DeviceFragments
from .hard_gradients import HardGradients
from .jit import spread
from .rasterize import lock


class DeviceAntialiased:
    """What `antialias` returns for fragments of the device, see `diffrender.antialiasing.Antialiased`."""

    def __init__(self, of: DeviceFragments, image: Any, jumps: Any, workspace: Workspace):
        self._of, self._jumps, self._workspace = of, jumps, workspace
        self.image = of.result(image.reshape(*of.size, image.shape[1]))

    def backward(self, grad_image: Any) -> AntialiasGradients:
        """Return the gradients for grad_image (H, W, C). Raises ValueError for another shape."""
        grad_image = check_gradient(grad_image, "grad_image", self.image, "cuda")
        of, channels = self._of, self.image.shape[2]
        with lock:
            scratch = Workspace(of.stream)
            given = given_to(grad_image, scratch).reshape(of.pixels, channels)
            grads = HardGradients(of, scratch)
            shape = (of.count, channels)
            grad_values = allocate(shape, of.dtype, of.stream) if of.stays else scratch.take(shape, of.dtype)
            grads.add_areas(blend_backward(of, self._jumps, given, grad_values, scratch))
            nothing = scratch.take((channels,), np.float64)
            pairs = (of.pairs.pixels, of.pairs.sides, of.pairs.areas)
            blend.nothing_backward[1, blend.LANES, of.stream](*pairs, of.pixels, given, nothing)
            blend.add_row[(*spread(channels), of.stream)](nothing, of.pixels, grad_values)
            return AntialiasGradients(grads.of_vertices(), of.result(grad_values))


def antialias(of: DeviceFragments, values: Any) -> DeviceAntialiased:
    """Return the antialiased image of values (S, C) that have been checked."""
    with lock:
        workspace = Workspace(of.stream)
        values, channels = given_to(values, workspace), values.shape[1]
        shape = (of.pixels, channels)
        image = allocate(shape, of.dtype, of.stream) if of.stays else workspace.take(shape, of.dtype)
        blend.copy_rows[(*spread(image.size), of.stream)](values, image)
        return DeviceAntialiased(of, image, blend_pairs(of, values, image, workspace), workspace)


def blend_pairs(of: DeviceFragments, values: Any, image: Any, workspace: Workspace) -> Any:
    count, channels = len(of.pairs.pixels), values.shape[1]
    jumps = workspace.take_at_least(count, of.dtype, channels)[:count]
    where = (of.order, of.pair_starts, of.pairs.sides, of.pairs.areas)
    blend.blend[(*spread(len(of.order) * channels), of.stream)](*where, values, image, jumps)
    return jumps


def blend_backward(of: DeviceFragments, jumps: Any, grad_image: Any, grad_values: Any, scratch: Workspace) -> Any:
    """Fill grad_values (S, C) from grad_image (H W, C), and return the gradient of the areas."""
    blend.spread_gradient[(*spread(grad_values.size), of.stream)](grad_image, grad_values)
    return areas_backward(of, jumps, grad_values, scratch)


def areas_backward(of: DeviceFragments, jumps: Any, grad_values: Any, scratch: Workspace) -> Any:
    count = len(of.pairs.pixels)
    grad_areas = scratch.take_at_least(count, np.float64)[:count]
    where = (of.order, of.pair_starts, of.pairs.sides, of.pairs.areas, jumps, of.pixels)
    blend.blend_backward[(*spread(len(of.order)), of.stream)](*where, grad_values, grad_areas)
    return grad_areas
