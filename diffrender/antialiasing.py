"""Antialiasing of a hard rasterization: pixels with a boundary in them become the mean of what is seen on its sides."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .checks import check_rows
from .fragments import Fragments

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
        from .cpu.blend import vertices_backward

        fragments, channels = self._fragments, self.image.shape[2]
        pixels, pairs = fragments.face_ids.size, fragments.pairs
        grad_values = np.empty((fragments.count, channels), self.image.dtype)
        grad_values[:pixels] = np.reshape(grad_image, (-1, channels))
        grad_values[pixels:] = 0
        grad_points = np.zeros(fragments.points.shape)
        blend_backward(fragments, self._jumps, grad_values, grad_points)
        grad_vertices = np.zeros(fragments.vertices_pixel.shape, self.image.dtype)
        vertices_backward(fragments.points, fragments.faces, pairs.owners, pairs.cutters, grad_points, grad_vertices)
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


def blend(fragments: Fragments, values: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Blend the values (S, C) on both sides of boundaries into an image (H W, C) of the pixels' centres, in place; return their
    differences (N, C), which `blend_backward` needs."""
    from .cpu.blend import blend as kernel

    pairs = fragments.pairs
    jumps = np.empty((len(pairs.pixels), values.shape[1]), values.dtype)
    kernel(pairs.pixels, pairs.sides, pairs.areas, values, image, jumps)
    return jumps


def blend_backward(fragments: Fragments, jumps: np.ndarray, grad_values: np.ndarray, grad_points: np.ndarray) -> None:
    """Turn the gradient of an image, in the first rows of grad_values (S, C), into that of the values, in place, and add to
    grad_points (V, 3) what the areas give."""
    from .cpu.blend import areas_backward
    from .cpu.blend import blend_backward as kernel

    pairs = fragments.pairs
    grad_areas = np.empty(len(pairs.areas))
    kernel(pairs.pixels, pairs.sides, pairs.areas, jumps, grad_values, grad_areas)
    surface, given = (fragments.points, fragments.faces), (pairs.owners, pairs.numbers, pairs.cutters, grad_areas)
    areas_backward(*surface, pairs.pixels, fragments.size[1], *given, grad_points)
