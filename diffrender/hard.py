"""Hard rendering: the nearest surface in each pixel, with exactly antialiased boundaries, instead of the soft aggregate."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .antialiasing import areas_backward, blend, blend_backward
from .backend import RasterGradients
from .checks import check_background, check_gradient, check_positive
from .fragments import Fragments, rasterize_hard
from .interpolation import Interpolation, interpolate

_FAINT = 1 / 256  # alpha below which a pixel's colour goes over to the background's


@dataclass(frozen=True)
class Hard:
    """Settings of hard rendering: one layer, edges exactly antialiased, so that its cost does not grow with overlap.

    A pixel's alpha is the area of it that is covered, its colour the mean over what is seen there. Edges of outlines, and lines
    where faces cross, have a gradient in the pixels that they pass and in no others: a shape that is not where it should be by
    more than a pixel feels nothing, where `Soft` with a large sigma does. Faces that reach nearer than the depth `near` are cut there.
    """

    background: tuple[float, float, float] = (0.0, 0.0, 0.0)
    cull_backfaces: bool = False
    near: float = 0.1
    perspective_correct: bool = True  # of vertex colours

    def __post_init__(self) -> None:
        check_positive("near", self.near)


class HardRaster:
    """What hard rendering gives: `alpha` (H, W), `color` (H, W, C) not premultiplied, or None, and `backward`, as `Raster` has."""

    def __init__(self, fragments: Fragments, drawn: Interpolation | None, background: np.ndarray | None):
        self.backend = "cpu"
        self.alpha = fragments.covered[: fragments.face_ids.size].copy()
        self.color: np.ndarray | None = None
        self._fragments, self._drawn, self._background = fragments, drawn, background
        blend(fragments, fragments.covered[:, None], self.alpha[:, None])
        if drawn is not None:
            assert background is not None
            self.color = _straight_color(fragments, drawn.values, background, self.alpha)
        self.alpha = self.alpha.reshape(fragments.size)

    def backward(self, grad_alpha: Any | None = None, grad_color: Any | None = None) -> RasterGradients:
        """Return the gradients of the loss for its gradients grad_alpha (H, W) and grad_color (H, W, C); either may be omitted."""
        if grad_alpha is None and grad_color is None:
            raise ValueError("backward needs grad_alpha, grad_color or both, got neither")
        fragments, drawn = self._fragments, self._drawn
        if grad_alpha is None:
            grad_alpha = np.zeros_like(self.alpha)
        grad_alpha = check_gradient(grad_alpha, "grad_alpha", self.alpha, "cpu").reshape(-1)
        grad_areas, grad_points = np.zeros(len(fragments.pairs.areas)), np.zeros(fragments.points.shape)
        grad_vertices, grad_attributes = 0.0, None
        if grad_color is not None:
            if drawn is None or self.color is None:
                raise ValueError("grad_color was given, but nothing was drawn in colour")
            grad_color = check_gradient(grad_color, "grad_color", self.color, "cpu")
            grad_alpha, grad_values = self._values_backward(grad_alpha, grad_color, grad_areas)
            grad_vertices, grad_attributes = drawn.backward(grad_values)
        elif drawn is not None:
            grad_attributes = np.zeros_like(drawn.attributes)
        # What each fragment covers is constant: only the areas have a gradient by it.
        unused = np.zeros((fragments.count, 1), self.alpha.dtype)
        blend_backward(fragments, fragments.covered[:, None], grad_alpha[:, None], unused, grad_areas)
        areas_backward(fragments, grad_areas, grad_points)
        return RasterGradients(fragments.vertices_gradient(grad_points) + grad_vertices, grad_attributes)

    def _values_backward(
        self, grad_alpha: np.ndarray, grad_color: np.ndarray, grad_areas: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the gradient of alpha (H W,), its part in the colours added, and that of the values (S, C)."""
        from .cpu.outline import to_straight_alpha_backward

        fragments, drawn = self._fragments, self._drawn
        assert drawn is not None and self.color is not None
        grad_values = np.empty_like(drawn.values)
        pixels, channels = len(grad_alpha), grad_values.shape[1]
        grad_values[pixels:] = 0
        grad_image, grad_alpha = grad_values[:pixels], grad_alpha.copy()
        grad_image[:] = grad_color.reshape(pixels, channels)
        color, marks = self.color.reshape(pixels, channels), np.zeros(pixels, np.bool_)
        given = (fragments.pairs.pixels, _FAINT, self._background)
        to_straight_alpha_backward(*given, color, self.alpha.reshape(-1), grad_image, grad_alpha, marks)
        blend_backward(fragments, drawn.values, grad_image.copy(), grad_values, grad_areas)
        return grad_alpha, grad_values


def _straight_color(
    fragments: Fragments, values: np.ndarray, background: np.ndarray, alpha: np.ndarray
) -> np.ndarray:
    """Return the colour (H, W, C), not premultiplied, of values that are 0 where nothing is seen."""
    from .cpu.outline import to_straight_alpha

    color = values[: len(alpha)].copy()
    blend(fragments, values, color)
    if background.any():
        color[alpha == 0] = background
    to_straight_alpha(
        fragments.pairs.pixels, _FAINT, background, color, alpha, np.zeros(len(alpha), np.bool_)
    )
    return color.reshape(*fragments.size, -1)


def draw_hard(
    vertices: np.ndarray, faces: np.ndarray, size: tuple[int, int], settings: Hard, attributes: np.ndarray | None
) -> HardRaster:
    """Draw faces (F, 3) with vertices (V, 3) in pixel space and attributes (V, C), on an image of size (H, W)."""
    fragments = rasterize_hard(vertices, faces, size, settings.cull_backfaces)
    if attributes is None:
        return HardRaster(fragments, None, None)
    background = check_background(settings.background, attributes.shape[1], fragments.vertices_pixel.dtype)
    drawn = interpolate(fragments, attributes, perspective_correct=settings.perspective_correct)
    return HardRaster(fragments, drawn, background)
