"""Hard rendering: the nearest surface in each pixel, with exactly antialiased boundaries, instead of the soft aggregate."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .antialiasing import blend, blend_backward
from .backend import Name, RasterGradients
from .checks import check_attributes, check_background, check_gradient, check_positive
from .fragments import Fragments, rasterize_hard
from .interpolation import Interpolation, fill

FAINT = 1 / 256  # alpha below which a pixel's colour goes over to the background's


@dataclass(frozen=True)
class Hard:
    """Settings of hard rendering: one layer, edges exactly antialiased, so that its cost does not grow with overlap.

    A pixel's alpha is the area of it that is covered, its colour the mean over what is seen there. Edges of outlines, and lines
    where faces cross, have a gradient in the pixels that they pass and in no others: a shape that is not where it should be by
    more than a pixel feels nothing, where `Soft` with a large sigma does. Faces that reach nearer than the depth `near` are cut
    there.
    """

    background: tuple[float, float, float] = (0.0, 0.0, 0.0)
    cull_backfaces: bool = False
    near: float = 0.1
    perspective_correct: bool = True  # of vertex colours

    def __post_init__(self) -> None:
        check_positive("near", self.near)


class HardRaster:
    """What hard rendering gives: `image` (H, W, C + 1), colours that are not premultiplied and alpha, and `backward`.

    Without attributes there is alpha alone.
    """

    def __init__(self, fragments: Fragments, drawn: Interpolation | None, background: np.ndarray | None):
        pixels = fragments.face_ids.size
        self._fragments, self._drawn, self._background = fragments, drawn, background
        # The image is the first rows of the values, and takes their memory.
        values = fragments.covered[:, None] if drawn is None else drawn.values
        image = values[:pixels]
        self._jumps = blend(fragments, values, image)
        if background is not None:
            from .cpu.blend import to_straight_alpha

            if background.any():
                image[image[:, -1] == 0, :-1] = background
            to_straight_alpha(fragments.pairs.pixels, FAINT, background, image, np.zeros(pixels, np.bool_))
        self.image = image.reshape(*fragments.size, -1)

    @property
    def alpha(self) -> np.ndarray:
        """The area of each pixel that is covered (H, W)."""
        return self.image[..., -1]

    def backward(self, grad_image: np.ndarray) -> RasterGradients:
        """Return the gradients for grad_image (H, W, C + 1). Raises ValueError for another shape."""
        fragments, drawn = self._fragments, self._drawn
        grad_image = check_gradient(grad_image, "grad_image", self.image, "cpu")
        pixels, channels = fragments.face_ids.size, self.image.shape[2]
        grad_values = np.empty((fragments.count, channels), self.image.dtype)
        grad_values[pixels:] = 0
        grad_values[:pixels] = grad_image.reshape(pixels, channels)
        if self._background is not None:
            from .cpu.blend import to_straight_alpha_backward

            given = (fragments.pairs.pixels, FAINT, self._background, self.image.reshape(pixels, channels))
            to_straight_alpha_backward(*given, grad_values, np.zeros(pixels, np.bool_))
        if drawn is None:
            grad_points, grad_attributes = np.zeros(fragments.points.shape), None
            blend_backward(fragments, self._jumps, grad_values, grad_points)
        else:
            by_areas = np.zeros(fragments.points.shape)
            blend_backward(fragments, self._jumps, grad_values, by_areas)
            grad_points, grad_attributes = drawn.points_backward(grad_values)
            grad_points += by_areas
        return RasterGradients(fragments.vertices_gradient(grad_points), grad_attributes)


def draw_hard(
    vertices: Any,
    faces: Any,
    size: tuple[int, int],
    settings: Hard,
    attributes: Any | None,
    backend: Name = "cpu",
) -> HardRaster:
    """Draw faces (F, 3) with vertices (V, 3) in pixel space and attributes (V, C), on an image of size (H, W)."""
    fragments = rasterize_hard(vertices, faces, size, settings.cull_backfaces, backend=backend)
    if not isinstance(fragments, Fragments):
        from .cuda.hard import draw

        return draw(fragments, attributes, settings)
    if attributes is None:
        return HardRaster(fragments, None, None)
    attributes = check_attributes(attributes, fragments.vertices_pixel)
    channels, dtype = attributes.shape[1], attributes.dtype
    background = check_background(settings.background, channels, dtype)
    nothing = np.zeros(channels, dtype)
    drawn = fill(fragments, attributes, fragments.faces, settings.perspective_correct, nothing, channels + 1)
    return HardRaster(fragments, drawn, background)
