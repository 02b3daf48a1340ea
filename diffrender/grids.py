"""The gradients of texels: sums of whole numbers, which are the same in any order, and from all levels to the texture."""

import contextlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .jit import kernel
from .pyramid import CHANNELS, Pyramid
from .spin import lead, publish
from .texel_lanes import ADDED, SHIFT
from .threads import get_num_threads, run_on_workers

_SUM_BITS = 61  # of a sum in int64, with two to spare for rounding
_ADDED_BITS = 50  # of what is added, see `add_to_texels`
_WORTH_A_WORKER = 1 << 15  # texels
_GRID_BYTES = 1 << 28  # a large texture's grids are those of fewer workers
# Fresh memory of the system costs a sixth of the way back through a texture of 1,024 x 1,024: grids up to this size are kept.
_KEPT_BYTES = 1 << 27
_spare: list[tuple[np.ndarray, np.ndarray]] = []


def texture_gradient(pyramid: Pyramid, unit: float, kernel: Callable[..., None], *arguments: Any) -> np.ndarray:
    """Call a kernel on workers, whose last arguments are grids (W, 4 N), touched (W, chunks) and `unit`, for it to add texels'
    gradients to, and return that of the texture (H, W, 3)."""
    texels = pyramid.texel_count
    workers = max(1, min(get_num_threads(), _GRID_BYTES // (8 * ADDED * texels)))
    grids, touched = take_grids(workers, texels)
    run_on_workers(kernel, *arguments, grids.reshape(workers, -1), touched, unit, most=workers)
    gradient = of_grids(pyramid, grids, touched, unit)
    if math.isfinite(unit):
        give_back(grids, touched)
    return gradient


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
    return math.ldexp(
        1.0, min(bits, 126 if grad_color.dtype == np.float32 else 1000)
    )  # no more than the precision holds


def take_grids(workers: int, texels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return zeros for `of_grids`, grids (S, N, 4) and touched (S, chunks): those that `of_grids` left as zeros, if they fit."""
    shape = (workers, texels, ADDED)
    with contextlib.suppress(IndexError):  # another thread may have taken them
        grids, touched = _spare.pop()
        if grids.shape == shape:
            return grids, touched
    return np.zeros(shape, np.int64), np.zeros((workers, (texels >> SHIFT) + 1), np.uint8)


def give_back(grids: np.ndarray, touched: np.ndarray) -> None:
    """Keep grids that `of_grids` has gone over for the next call, if they are not large."""
    if grids.nbytes <= _KEPT_BYTES:
        touched[:] = 0
        _spare[:] = [(grids, touched)]


def forget() -> None:
    """Let go of the memory that is kept for the next call."""
    _spare.clear()


def of_grids(pyramid: Pyramid, grids: np.ndarray, touched: np.ndarray, unit: float) -> np.ndarray:
    """Return the gradient (H, W, 3) of the texture for the workers' whole numbers of 1 / unit, grids (S, N, 3 or 4).

    Where `touched` (S, chunks) is 0 a grid is not looked at; where it is not, it becomes 0. NaN everywhere if `unit` is.
    """
    shapes = [(int(height), int(width)) for width, height in pyramid.sizes.reshape(-1, 2)]
    dtype = pyramid.texels.dtype
    if math.isnan(unit):
        return np.full((*shapes[0], CHANNELS), np.nan, dtype)
    coarser = np.empty((0, 0, CHANNELS))
    for level in range(len(shapes) - 1, -1, -1):
        grad = np.zeros((*shapes[level], CHANNELS), np.float64 if level else dtype)
        begin, workers = int(pyramid.offsets[level]), shapes[level][0] * shapes[level][1] // _WORTH_A_WORKER
        run_on_workers(_gather_level, grids, touched, begin, 1 / unit, coarser, grad, most=workers)
        coarser = grad
    return coarser


@kernel
def _gather_level(share, shares, board, grids, touched, begin, of_one, coarser, grad):
    """Fill a share of the rows of grad (H, W, 3), zeros, with a level's sums, which become 0, and a quarter of the gradient of
    each mean (H', W', 3), if any, for each time that a texel is in it."""
    if share < 0:
        lead(publish(board))
        return
    height, width = grad.shape[0], grad.shape[1]
    for row in range(height * share // shares, height * (share + 1) // shares):
        into, first = grad[row], begin + row * width
        if len(coarser) > 0:
            means, weight = coarser[row // 2], 0.5 if row == height - 1 and row % 2 == 0 else 0.25
            for column in range(width):
                for channel in range(3):
                    into[column, channel] = weight * means[column >> 1, channel]
            if width % 2 == 1:
                for channel in range(3):
                    into[width - 1, channel] *= 2
        column = 0
        while column < width:
            chunk = (first + column) >> SHIFT
            end = min(width, ((chunk + 1) << SHIFT) - first)
            one, count = 0, 0
            for grid in range(len(grids)):
                if touched[grid, chunk] != 0:
                    one, count = grid, count + 1
            if count == 1:
                for k in range(column, end):
                    for channel in range(3):
                        into[k, channel] += grids[one, first + k, channel] * of_one
                        grids[one, first + k, channel] = 0
            elif count > 1:
                for k in range(column, end):
                    for channel in range(3):
                        total = np.int64(0)
                        for grid in range(len(grids)):
                            total += grids[grid, first + k, channel]
                            grids[grid, first + k, channel] = 0
                        into[k, channel] += total * of_one
            column = end
