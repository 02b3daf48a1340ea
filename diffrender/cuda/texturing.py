"""A texture at the fragments of a hard rasterization on the device, and back."""

from typing import Any

import numpy as np

from ..backend import on_device
from ..checks import check_gradient
from ..grids import grid_unit
from ..pyramid import CHANNELS, Pyramid
from ..texturing import Sampled, SampledGradients
from . import look_up
from .arrays import Workspace, allocate, download, given_to, not_empty
from .forward_mode import texel_motions
from .hard import DeviceFragments
from .jit import THREADS, blocks, spread
from .rasterize import lock
from .surface import clear
from .surfaces import texture_of_grid


class DeviceSampled(Sampled):
    """What `sample_texture` returns for fragments of the device, see `diffrender.texturing.Sampled`."""

    def __init__(self, of: DeviceFragments, pyramid: Pyramid, given: tuple, values: Any, workspace: Workspace):
        self._of, self._pyramid, self._given, self._values, self._workspace = of, pyramid, given, values, workspace
        self._uv, self._slopes = given[:2]

    @property
    def values(self) -> Any:  # type: ignore[override]
        """Linear RGB, a row for each fragment (S, 3)."""
        return self._of.result(self._values)

    def backward(self, grad_values: Any) -> SampledGradients:
        """Return the gradients for grad_values (S, 3), that of the texture on the host. Raises ValueError for another shape."""
        grad_values = check_gradient(grad_values, "grad_values", self._values, "cuda")
        with lock:
            of, scratch = self._of, Workspace(self._of.stream)
            slopes = self._slopes.shape if self.takes_slopes else (1, 2, 2)
            grad_uv, grad_slopes = (
                allocate(shape, of.dtype, of.stream) if of.stays else scratch.take(shape, of.dtype)
                for shape in (self._uv.shape, slopes)
            )
            texture = self.fill_gradients(given_to(grad_values, scratch), grad_uv, grad_slopes, scratch)
            return SampledGradients(of.result(grad_uv), of.result(grad_slopes) if self.takes_slopes else None, texture)

    def fill_gradients(self, grad_values: Any, grad_uv: Any, grad_slopes: Any, scratch: Workspace) -> np.ndarray:
        """Fill grad_uv (S, 2) and, if the colours depend on slopes, grad_slopes (S, 2, 2) on the device for grad_values (S, 3)
        there, and return the gradient of the texture (H, W, 3)."""
        of, pyramid = self._of, self._pyramid
        grid = scratch.take((CHANNELS * pyramid.texel_count,), np.int64)
        clear[blocks(len(grid)), THREADS, of.stream](grid)
        unit = grid_unit(download(grad_values, of.stream), np.ones(1))  # of the host: a sum in an order of its own
        into = (grad_values, grad_uv, grad_slopes, grid, of.dtype.type(unit))
        look_up.look_up_backward[(*spread(of.count), of.stream)](of.ids, *self._given, *into)
        return texture_of_grid(pyramid, grid, unit, of.stream)

    def values_jvp(self, uv: Any, slopes: Any, texture: np.ndarray | None) -> Any:
        """Return how the values (D, S, 3) change as uv (D, S, 2), slopes (D, S, 2, 2) and the image (D, H, W, 3), if any, do."""
        with lock:
            scratch = Workspace(self._of.stream)
            return self._of.result(self.tangents(uv, slopes, texture, scratch))

    def tangents(self, uv: Any, slopes: Any, texture: np.ndarray | None, scratch: Workspace) -> Any:
        """Do `values_jvp` on the device."""
        of, shape = self._of, (len(uv), self._of.count, CHANNELS)
        uv, slopes = (
            given_to(array if on_device(array) else not_empty(np.ascontiguousarray(array, of.dtype)), scratch)
            for array in (uv, slopes)
        )
        painted = scratch.upload(texel_motions(self._pyramid, texture, of.dtype))
        painted = painted[:0] if texture is None else painted
        tangents = allocate(shape, of.dtype, of.stream) if of.stays else scratch.take(shape, of.dtype)
        look_up.look_up_tangent[(*spread(of.count), of.stream)](of.ids, *self._given, uv, slopes, painted, tangents)
        return tangents


def sample(of: DeviceFragments, pyramid: Pyramid, uv: Any, slopes: Any | None, background: np.ndarray) -> DeviceSampled:
    """Look up a texture at uv (S, 2) with slopes (S, 2, 2), if it takes any, as `diffrender.texturing.sample_texture` does, of
    arrays that have been checked."""
    with lock:
        workspace, shape = Workspace(of.stream), (of.count, CHANNELS)
        none = workspace.take((1, 2, 2), of.dtype)[:0]
        places = (given_to(uv, workspace), none if slopes is None else given_to(slopes, workspace))
        given = (*places, *(workspace.upload(array) for array in pyramid[:3]), pyramid.repeat)
        values = allocate(shape, of.dtype, of.stream) if of.stays else workspace.take(shape, of.dtype)
        behind = workspace.upload(background)
        look_up.look_up[(*spread(of.count), of.stream)](of.ids, *given, behind, values)
        return DeviceSampled(of, pyramid, given, values, workspace)
