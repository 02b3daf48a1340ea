"""A texture and its smaller and smaller copies, one behind the other in memory, and the reverse."""

import math
from typing import NamedTuple

import numpy as np

from .jit import kernel
from .texture import Texture

CHANNELS = 3
_GRID_BITS = 61  # of a sum in int64, with two to spare for rounding


class Pyramid(NamedTuple):
    """Levels of a texture: each texel is the mean of 2 x 2 of the level before, of an odd one's last row or column twice."""

    texels: np.ndarray  # (3 N,) level after level, row after row, red, green and blue by turns
    offsets: np.ndarray  # (L,) int64 the first texel of each level
    sizes: np.ndarray  # (2 L,) width and height of each level, as reals
    repeat: bool

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the texture itself."""
        return int(self.sizes[1]), int(self.sizes[0])


def build_pyramid(texture: Texture) -> Pyramid:
    """Return the levels of a texture down to one texel, or the texture alone if it is not sampled trilinearly."""
    height, width, _ = texture.image.shape
    shapes = [(height, width)]
    while texture.filter == "trilinear" and shapes[-1] != (1, 1):
        height, width = shapes[-1]
        shapes.append(((height + 1) // 2, (width + 1) // 2))
    ends = np.cumsum([rows * columns for rows, columns in shapes])
    texels = np.empty(CHANNELS * ends[-1], texture.image.dtype)
    texels[: texture.image.size] = texture.image.reshape(-1)
    offsets = np.concatenate([[0], ends[:-1]]).astype(np.int64)
    for level in range(len(shapes) - 1):
        begin, middle, end = CHANNELS * offsets[level], CHANNELS * offsets[level + 1], CHANNELS * ends[level + 1]
        _halve(
            texels[begin:middle].reshape(*shapes[level], CHANNELS),
            texels[middle:end].reshape(*shapes[level + 1], CHANNELS),
        )
    sizes = np.array([(columns, rows) for rows, columns in shapes], texels.dtype).reshape(-1)
    return Pyramid(texels, offsets, sizes, texture.wrap == "repeat")


def build_pyramid_backward(pyramid: Pyramid, grad_texels: np.ndarray) -> np.ndarray:
    """Return the gradient (H, W, 3) of the texture for that of all levels (3 N,) float64, which is used up."""
    shapes = [(int(height), int(width)) for width, height in pyramid.sizes.reshape(-1, 2)]
    levels = []
    for offset, (height, width) in zip(CHANNELS * pyramid.offsets, shapes, strict=True):
        levels.append(grad_texels[offset : offset + height * width * CHANNELS].reshape(height, width, CHANNELS))
    for level in range(len(levels) - 1, 0, -1):
        _halve_backward(levels[level], levels[level - 1])
    return levels[0].astype(pyramid.texels.dtype)


def grid_unit(grad_color: np.ndarray, attributes: np.ndarray) -> float:
    """Return how many whole numbers 1 is, a power of two, so that no sum of gradients of a texel overflows int64.

    The weights of a pixel's faces sum to at most 1, and so do those of a texel's in a face: no sum is larger than that of
    |grad_color| times the largest attribute. NaN if that is not finite.
    """
    bound = float(np.abs(grad_color).sum(dtype=np.float64)) * float(np.abs(attributes).max(initial=0))
    return math.ldexp(1.0, min(_GRID_BITS - math.frexp(bound)[1], 1000)) if math.isfinite(bound) else math.nan


def of_grids(grids: np.ndarray, unit: float) -> np.ndarray:
    """Return the sums (3 N,) float64 of the workers' whole numbers (S, 3 N): associative, so of the same bits in any order."""
    return grids.sum(axis=0) * (1 / unit)


@kernel
def _halve(texels, half):
    """Fill half (H', W', 3) with the means of 2 x 2 texels (H, W, 3)."""
    quarter = texels.dtype.type(0.25)
    height, width, channels = texels.shape
    for row in range(len(half)):
        upper, lower = 2 * row, min(2 * row + 1, height - 1)
        for column in range(half.shape[1]):
            left, right = 2 * column, min(2 * column + 1, width - 1)
            for channel in range(channels):
                above = texels[upper, left, channel] + texels[upper, right, channel]
                below = texels[lower, left, channel] + texels[lower, right, channel]
                half[row, column, channel] = (above + below) * quarter


@kernel
def _halve_backward(grad_half, grad_texels):
    """Add to grad_texels (H, W, 3) a quarter of the gradient of the mean for each time that a texel is in it."""
    height, width, channels = grad_texels.shape
    for row in range(height):
        down = 0.5 if row == height - 1 and row % 2 == 0 else 0.25
        for column in range(width):
            weight = down * (2.0 if column == width - 1 and column % 2 == 0 else 1.0)
            for channel in range(channels):
                grad_texels[row, column, channel] += weight * grad_half[row // 2, column // 2, channel]
