"""A texture and its smaller and smaller copies, one behind the other in memory. The reverse is in `diffrender.grids`."""

from typing import NamedTuple

import numpy as np

from .jit import kernel
from .spin import lead, publish
from .texture import Texture
from .threads import run_on_workers

CHANNELS = 3
_WORTH_A_WORKER = 1 << 15  # numbers


class Pyramid(NamedTuple):
    """Levels of a texture: each texel is the mean of 2 x 2 of the level before, of an odd one's last row or column twice."""

    texels: (
        np.ndarray
    )  # (3 N + 1,) level after level, row after row, red, green and blue by turns; one number more to load
    offsets: np.ndarray  # (L,) int64 the first texel of each level
    sizes: np.ndarray  # (2 L,) width and height of each level, as reals
    repeat: bool

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the texture itself."""
        return int(self.sizes[1]), int(self.sizes[0])

    @property
    def arguments(self) -> tuple:
        """What kernels take as a texture."""
        return self.texels, self.offsets, self.sizes, self.repeat

    @property
    def texel_count(self) -> int:
        """The number N of texels of all levels."""
        return len(self.texels) // CHANNELS


def build_pyramid(texture: Texture) -> Pyramid:
    """Return the levels of a texture down to one texel, or the texture alone if it is not sampled trilinearly."""
    height, width, _ = texture.image.shape
    shapes = [(height, width)]
    while texture.filter == "trilinear" and shapes[-1] != (1, 1):
        height, width = shapes[-1]
        shapes.append(((height + 1) // 2, (width + 1) // 2))
    ends = np.cumsum([rows * columns for rows, columns in shapes])
    texels = np.empty(CHANNELS * ends[-1] + 1, texture.image.dtype)
    offsets = np.concatenate([[0], ends[:-1]]).astype(np.int64)
    sizes = np.array([(columns, rows) for rows, columns in shapes], texels.dtype).reshape(-1)
    pyramid = Pyramid(texels, offsets, sizes, texture.wrap == "repeat")
    fill_pyramid(pyramid, texture.image, texels)
    return pyramid


def fill_pyramid(pyramid: Pyramid, image: np.ndarray, texels: np.ndarray) -> None:
    """Write to texels (3 N + 1,) the levels of an image (H, W, 3) of the size of a pyramid's."""
    shapes = [(int(height), int(width)) for width, height in pyramid.sizes.reshape(-1, 2)]
    begins = CHANNELS * np.append(pyramid.offsets, pyramid.texel_count)
    texels[: image.size] = image.reshape(-1)
    texels[-1] = 0
    for level in range(len(shapes) - 1):
        begin, middle, end = begins[level : level + 3]
        run_on_workers(
            _halve,
            texels[begin:middle].reshape(*shapes[level], CHANNELS),
            texels[middle:end].reshape(*shapes[level + 1], CHANNELS),
            most=(end - middle) // _WORTH_A_WORKER,
        )


@kernel
def _halve(share, shares, board, texels, half):
    """Fill a share of half (H', W', 3) with the means of 2 x 2 texels (H, W, 3)."""
    if share < 0:
        lead(publish(board))
        return
    quarter = texels.dtype.type(0.25)
    height, width = texels.shape[0], texels.shape[1]
    rows, columns = half.shape[0], half.shape[1]
    for row in range(rows * share // shares, rows * (share + 1) // shares):
        above, below, into = texels[2 * row], texels[min(2 * row + 1, height - 1)], half[row]
        for column in range(columns):
            left, right = 2 * column, min(2 * column + 1, width - 1)
            for channel in range(3):
                upper, lower = (
                    above[left, channel] + above[right, channel],
                    below[left, channel] + below[right, channel],
                )
                into[column, channel] = (upper + lower) * quarter
