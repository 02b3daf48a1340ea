"""Antialiasing of a hard rasterization: pixels with a boundary in them become the mean of what is seen on its sides."""

from typing import NamedTuple

import numpy as np

from .fragments import Fragments


class AntialiasGradients(NamedTuple):
    """Gradients by the names of the inputs."""

    vertices_pixel: np.ndarray  # (V, 3)
    values: np.ndarray  # (S, C)


class Antialiased:
    """What `antialias` returns: `image` (H, W, C) and `backward`."""

    def __init__(self, fragments: Fragments, values: np.ndarray, image: np.ndarray):
        self.image = image
        self._fragments, self._values = fragments, values

    def backward(self, grad_image: np.ndarray) -> AntialiasGradients:
        """Return the gradients for grad_image (H, W, C). Raises ValueError for another shape."""
        if np.shape(grad_image) != self.image.shape:
            raise ValueError(f"grad_image must have shape {self.image.shape}, got {np.shape(grad_image)}")
        grad_image = np.ascontiguousarray(grad_image, self.image.dtype).reshape(-1, self.image.shape[2])
        grad_values = np.zeros_like(self._values)
        grad_values[: len(grad_image)] = grad_image
        grad_areas = np.zeros(len(self._fragments.pairs.areas))
        blend_backward(self._fragments, self._values, grad_image, grad_values, grad_areas)
        grad_points = np.zeros(self._fragments.points.shape)
        areas_backward(self._fragments, grad_areas, grad_points)
        return AntialiasGradients(self._fragments.vertices_gradient(grad_points), grad_values)


def antialias(fragments: Fragments, values: np.ndarray) -> Antialiased:
    """Return the image (H, W, C) of values (S, C), one row for each fragment, as `interpolate` returns them.

    Each pixel is the value at its centre, and for each boundary in it the exact area beyond it times the difference of the
    values on its two sides. The area is differentiable, and gives the vertices that the boundary hangs on their gradient. Raises
    ValueError for another number of rows.
    """
    values = np.asarray(values)
    if values.ndim != 2 or len(values) != fragments.count:
        raise ValueError(f"values must have shape (S, C) with S = {fragments.count}, got {values.shape}")
    values = np.ascontiguousarray(values, fragments.vertices_pixel.dtype)
    height, width = fragments.size
    image = values[: height * width].copy()
    blend(fragments, values, image)
    return Antialiased(fragments, values, image.reshape(height, width, -1))


def blend(fragments: Fragments, values: np.ndarray, image: np.ndarray) -> None:
    """Blend the values (S, C) of all boundaries into an image (H W, C) of the pixels' centres, in place."""
    from .cpu.outline import blend as kernel

    kernel(*fragments.pairs[:3], values, image)


def blend_backward(
    fragments: Fragments, values: np.ndarray, grad_image: np.ndarray, grad_values: np.ndarray, grad_areas: np.ndarray
) -> None:
    """Add to grad_values (S, C) and grad_areas (N,) what grad_image (H W, C) gives to boundaries."""
    from .cpu.outline import blend_backward as kernel

    kernel(*fragments.pairs[:3], values, grad_image, grad_values, grad_areas)


def areas_backward(fragments: Fragments, grad_areas: np.ndarray, grad_points: np.ndarray) -> None:
    """Add to grad_points (V, 3) what the areas' gradients (N,) give."""
    from .cpu.outline import areas_backward as kernel

    pairs = fragments.pairs
    kernel(
        fragments.points,
        fragments.faces,
        pairs.pixels,
        fragments.size[1],
        pairs.owners,
        pairs.numbers,
        grad_areas,
        grad_points,
    )
