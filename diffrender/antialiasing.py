"""Antialiasing of a hard rasterization: pixels with a boundary in them become the mean of what is seen on its sides."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .checks import check_rows
from .fragments import Fragments
from .memory import empty, zeros

if TYPE_CHECKING:
    from .cuda.antialiasing import DeviceAntialiased
    from .cuda.hard import DeviceFragments


class AntialiasGradients(NamedTuple):
    """Gradients by the names of the inputs."""

    vertices_pixel: np.ndarray  # (V, 3)
    values: np.ndarray  # (S, C)


class Antialiased:
    """What `antialias` returns: `image` (H, W, C) and `backward`."""

    def __init__(self, fragments: Fragments, image: np.ndarray, jumps: np.ndarray):
        self.image = image
        self._fragments, self._jumps = fragments, jumps

    def backward(self, grad_image: np.ndarray) -> AntialiasGradients:
        """Return the gradients for grad_image (H, W, C). Raises ValueError for another shape."""
        if np.shape(grad_image) != self.image.shape:
            raise ValueError(f"grad_image must have shape {self.image.shape}, got {np.shape(grad_image)}")
        from .cpu.blend import blend_backward

        fragments, dtype, channels = self._fragments, self.image.dtype, self.image.shape[2]
        flat = np.ascontiguousarray(grad_image, dtype).reshape(-1, channels)
        grad_values = empty((fragments.count, channels), dtype)
        shape = fragments.points.shape
        sums, grad_vertices = empty(shape, np.float64), zeros(shape, dtype)
        surface = (fragments.points, fragments.faces, fragments.size[1])
        blend_backward(*surface, *fragments.pairs, self._jumps, flat, sums, grad_values, grad_vertices)
        return AntialiasGradients(grad_vertices, grad_values)


def antialias(fragments: "Fragments | DeviceFragments", values: Any) -> "Antialiased | DeviceAntialiased":
    """Return the image (H, W, C) of values (S, C), one row for each fragment, as `interpolate` returns them.

    Each pixel is the value at its centre, and for each boundary in it the exact area beyond it times the difference of the
    values on its two sides. The area is differentiable, and gives the vertices that the boundary hangs on their gradient. Raises
    ValueError for another number of rows.
    """
    values = check_rows(values, fragments.count, fragments.vertices_pixel)
    if not isinstance(fragments, Fragments):
        from .cuda.antialiasing import antialias as there

        return there(fragments, values)
    image = values[: fragments.face_ids.size].copy()
    jumps = blend(fragments, values, image)
    return Antialiased(fragments, image.reshape(*fragments.size, -1), jumps)


def blend(
    fragments: Fragments,
    values: np.ndarray,
    image: np.ndarray,
    floor: float = 0.0,
    background: np.ndarray | None = None,
) -> np.ndarray:
    """Blend the values (S, C) on both sides of boundaries into an image (H W, C) of the pixels' centres, in place; return their
    differences (N, C), which the way back needs.

    With a background (C - 1,), the last channel is alpha, by which the others are then divided where there are boundaries; below
    `floor` the background comes in.
    """
    from .cpu.blend import blend as kernel

    pairs, changed = fragments.pairs, fragments.changed.pixels
    jumps = np.empty((len(pairs.pixels), values.shape[1]), values.dtype)
    colors = np.empty(0, values.dtype) if background is None else background
    kernel(pairs.pixels, pairs.sides, pairs.areas, changed, floor, colors, values, image, jumps)
    return jumps
