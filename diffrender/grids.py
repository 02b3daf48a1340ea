"""The gradients of texels: sums of whole numbers, which are the same in any order, and from all levels to the texture."""

import math

import numpy as np

from .jit import kernel
from .pyramid import CHANNELS, Pyramid
from .spin import lead, publish
from .texel_lanes import SHIFT
from .threads import run_on_workers

_SUM_BITS = 61  # of a sum in int64, with two to spare for rounding
_ADDED_BITS = 50  # of what is added, see `add_to_texels`
_WORTH_A_WORKER = 1 << 15  # texels


def grid_unit(grad_color: np.ndarray, attributes: np.ndarray) -> float:
    """Return how many whole numbers 1 is, a power of two, so that no sum of gradients of a texel overflows int64.

    The weights of a pixel's faces sum to at most 1, and so do those of a texel's in a face: no sum is larger than that of
    |grad_color| times the largest attribute, and nothing that is added larger than the largest. NaN if that is not finite.
    """
    magnitudes, largest = np.abs(grad_color), float(np.abs(attributes).max(initial=0))
    bound = float(magnitudes.sum(dtype=np.float64)) * largest
    if not math.isfinite(bound):
        return math.nan
    most = float(magnitudes.max(initial=0)) * largest
    bits = min(_SUM_BITS - math.frexp(bound)[1], _ADDED_BITS - math.frexp(most)[1])
    return math.ldexp(1.0, min(bits, 1000))


def chunks_of(texels: int) -> int:
    """Return how many chunks so many texels are."""
    return (texels >> SHIFT) + 1


def of_grids(pyramid: Pyramid, grids: np.ndarray, touched: np.ndarray, unit: float) -> np.ndarray:
    """Return the gradient (H, W, 3) of the texture for the workers' whole numbers of 1 / unit, grids (S, N, 3 or 4).

    Where `touched` (S, chunks) is 0 a grid is not looked at.
    """
    shapes = [(int(height), int(width)) for width, height in pyramid.sizes.reshape(-1, 2)]
    coarser = np.empty((1, 1, CHANNELS))
    for level in range(len(shapes) - 1, -1, -1):
        grad = np.empty((*shapes[level], CHANNELS), pyramid.texels.dtype if level == 0 else np.float64)
        is_last = level == len(shapes) - 1
        run_on_workers(
            _gather_level,
            grids,
            touched,
            int(pyramid.offsets[level]),
            1 / unit,
            coarser,
            not is_last,
            grad,
            most=grad.shape[0] * grad.shape[1] // _WORTH_A_WORKER,
        )
        coarser = grad
    return coarser


@kernel
def _gather_level(share, shares, board, grids, touched, begin, of_one, coarser, has_coarser, grad):
    """Fill a share of the rows of grad (H, W, 3) with a level's sums, and a quarter of the gradient of each mean (H', W', 3) for
    each time that a texel is in it."""
    if share < 0:
        lead(publish(board))
        return
    height, width = grad.shape[0], grad.shape[1]
    nothing = 0.0 * of_one  # NaN if that is
    for row in range(height * share // shares, height * (share + 1) // shares):
        into, first = grad[row], begin + row * width
        column = 0
        while column < width:
            texel = first + column
            chunk = texel >> SHIFT
            end = min(width, ((chunk + 1) << SHIFT) - first)
            for k in range(column, end):
                into[k, 0], into[k, 1], into[k, 2] = nothing, nothing, nothing
            is_touched = False
            for grid in range(len(grids)):
                is_touched = is_touched or touched[grid, chunk] != 0
            if is_touched:
                for k in range(column, end):
                    red, green, blue = np.int64(0), np.int64(0), np.int64(0)
                    for grid in range(len(grids)):
                        red += grids[grid, first + k, 0]
                        green += grids[grid, first + k, 1]
                        blue += grids[grid, first + k, 2]
                    into[k, 0], into[k, 1], into[k, 2] = red * of_one, green * of_one, blue * of_one
            column = end
        if not has_coarser:
            continue
        means = coarser[row // 2]
        down = 0.5 if row == height - 1 and row % 2 == 0 else 0.25
        for column in range(width):
            weight = down * (2.0 if column == width - 1 and column % 2 == 0 else 1.0)
            for channel in range(3):
                into[column, channel] += weight * means[column // 2, channel]
