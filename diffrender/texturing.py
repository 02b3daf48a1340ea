"""A texture at the fragments of a hard rasterization, and back."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .checks import check_background, check_precision
from .fragments import Fragments
from .pyramid import CHANNELS, Pyramid, build_pyramid, fill_pyramid
from .texture import Texture
from .threads import run_on_workers

if TYPE_CHECKING:
    from .cuda.hard import DeviceFragments


class SampledGradients(NamedTuple):
    """Gradients by the names of the inputs."""

    uv: np.ndarray  # (S, 2)
    slopes: np.ndarray | None  # (S, 2, 2), None for a texture that does not take them
    texture: np.ndarray  # (H, W, 3) of the texture's image


class Sampled:
    """What `sample_texture` returns: `values` (S, 3), linear RGB, a row for each fragment, and `backward`."""

    def __init__(self, fragments: Fragments, pyramid: Pyramid, uv: np.ndarray, slopes: np.ndarray, values: np.ndarray):
        self.values = values
        self._fragments, self._pyramid, self._uv, self._slopes = fragments, pyramid, uv, slopes

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of the texture's image."""
        return (*self._pyramid.size, CHANNELS)

    @property
    def takes_slopes(self) -> bool:
        """Whether the colours depend on the slopes."""
        return len(self._slopes) > 0

    def backward(self, grad_values: np.ndarray) -> SampledGradients:
        """Return the gradients for grad_values (S, 3). Raises ValueError for another shape."""
        if np.shape(grad_values) != self.values.shape:
            raise ValueError(f"grad_values must have shape {self.values.shape}, got {np.shape(grad_values)}")
        from .cpu.texturing import look_up_backward
        from .grids import grid_unit, texture_gradient

        grad_values = np.ascontiguousarray(grad_values, self.values.dtype)
        grad_uv, grad_slopes = np.empty_like(self._uv), np.empty_like(self._slopes)
        given = (np.zeros(1, np.int64), self._fragments.covered, self._uv, self._slopes, self._pyramid.arguments)
        unit = grid_unit(grad_values, np.ones(1))
        grads = (grad_values, grad_uv, grad_slopes)
        grad_texture = texture_gradient(self._pyramid, unit, look_up_backward, *given, *grads)
        return SampledGradients(grad_uv, grad_slopes if len(grad_slopes) else None, grad_texture)

    def values_jvp(self, uv: np.ndarray, slopes: np.ndarray, texture: np.ndarray | None) -> np.ndarray:
        """Return how the values (D, S, 3) change as uv (D, S, 2), slopes (D, S, 2, 2) and the image (D, H, W, 3), if any, do."""
        from .cpu.texturing import look_up_tangent

        pyramid, dtype = self._pyramid, self.values.dtype
        painted = np.empty((0, 1), dtype)
        if texture is not None:
            painted = np.empty((len(uv), len(pyramid.texels)), dtype)
            for image, texels in zip(texture, painted, strict=True):
                fill_pyramid(pyramid, image, texels)
        tangents = np.empty((len(uv), *self.values.shape), dtype)
        given = (np.zeros(1, np.int64), self._fragments.covered, self._uv, self._slopes, pyramid.arguments)
        run_on_workers(look_up_tangent, *given, uv, slopes, painted, tangents)
        return tangents


def sample_texture(
    fragments: "Fragments | DeviceFragments",
    texture: Texture,
    uv: Any,
    slopes: Any | None = None,
    background: float | tuple[float, ...] | np.ndarray = 0.0,
) -> Sampled:
    """Return the colours of a texture at uv (S, 2), one row for each fragment, as `interpolate` returns them.

    A trilinear texture is blended from two of its sizes by how far uv goes from pixel to pixel: slopes (S, 2, 2), those of the
    interpolation. Where nothing is seen, values are `background`. Raises ValueError for another shape, or without slopes where
    they are needed.
    """
    count, vertices, uv_shape = fragments.count, fragments.vertices_pixel, tuple(np.shape(uv))
    dtype = vertices.dtype
    if uv_shape != (count, 2):
        raise ValueError(f"uv must have shape (S, 2) with S = {count}, got {uv_shape}")
    steps = None
    if texture.filter == "trilinear":
        if slopes is None or np.shape(slopes) != (count, 2, 2):
            found = None if slopes is None else np.shape(slopes)
            raise ValueError(
                f"a trilinear texture needs slopes of shape {(count, 2, 2)}, got {found}: "
                "give those of dr.interpolate, or a bilinear texture"
            )
        steps = check_precision("slopes", slopes, vertices)
    uv, pyramid = check_precision("uv", uv, vertices), pyramid_of(texture, dtype)
    behind = check_background(background, CHANNELS, dtype)
    if not isinstance(fragments, Fragments):
        from .cuda.texturing import sample

        return sample(fragments, pyramid, uv, steps, behind)
    from .cpu.texturing import look_up

    steps, values = np.empty((0, 2, 2), dtype) if steps is None else steps, np.empty((count, CHANNELS), dtype)
    given = (fragments.covered, uv, steps, pyramid.arguments)
    run_on_workers(look_up, np.zeros(1, np.int64), *given, behind, values)
    return Sampled(fragments, pyramid, uv, steps, values)


def pyramid_of(texture: Texture, dtype: np.dtype) -> Pyramid:
    """Return the levels of a texture in a precision."""
    if texture.image.dtype != dtype:
        texture = replace(texture, image=texture.image.astype(dtype))
    return build_pyramid(texture)
