"""Outlines of sheets on the device: which pixels each passes, in the order of edges, and where sheets come out of each other.

See `diffrender.cpu.outline` and `diffrender.cpu.cross`.
"""

import numpy as np
from numba import cuda

from ..cpu.cross import may_cross
from ..cpu.hard import RING, TILE
from ..cpu.outline import any_farther, front_of, hidden_around, shows_own
from ..cpu.seams import seam_at
from ..cpu.sheet import goes_under, outward_ends, walk
from ..formulas.edge import interval_within
from .jit import kernel, shared
from .zbuffer import sign_seen


@shared
def _candidate_at(surface, heads, seconds, seams, number, seen_sign):
    """Return the half edge of a seam, the first numbers, or of an outline at an edge, its ends, and the 1 / depth that all around
    must exceed to hide it; -1 if there is none."""
    points, faces, linked, signs, ring = surface[:5]
    highest = 0.0
    if number < len(seams):
        half, highest = seam_at(points, faces, linked, signs, ring, seams[number], seen_sign)
    else:
        edge = number - len(seams)
        second = seconds[edge]
        if second >= 0 and signs[second // 3] == signs[heads[edge] // 3]:
            return np.int64(-1), np.int64(0), np.int64(0), 0.0  # the most
        half = front_of(points, faces, linked, signs, ring, heads[edge], seen_sign)
    if half < 0:
        return np.int64(-1), np.int64(0), np.int64(0), 0.0
    a, b = outward_ends(faces, signs, half)
    if number >= len(seams):
        highest = max(points[a, 2], points[b, 2])
    return half, np.int64(a), np.int64(b), highest


@shared
def _passes_any(farthest, left, right, first_row, last_row, inverse_depth):
    return any_farther(farthest, left, right + 2, first_row, last_row + 2, inverse_depth)


@shared
def _is_seen(surface, nearest, ids, highest, code, row, column, dx, dy):
    points, faces, linked, signs, ring, pieces = surface[:6]
    if not hidden_around(nearest, row, column, highest):
        return True
    return code >= 0 and shows_own(points, faces, linked, signs, ring, pieces, ids, code, row, column, dx, dy)


@kernel
def find_farthest(nearest, farthest):
    """Fill farthest with the smallest 1 / depth that is seen in each tile of nearest (H + 2, W + 2)."""
    rows, columns = nearest.shape
    across = farthest.shape[1]
    for tile in range(cuda.grid(1), farthest.size, cuda.gridsize(1)):
        lowest, y, x = np.inf, tile // across * TILE, tile % across * TILE
        for row in range(y, min(y + TILE, rows)):
            for column in range(x, min(x + TILE, columns)):
                lowest = min(lowest, nearest[row, column])
        farthest[tile // across, tile % across] = lowest


@kernel
def find_outlines(
    surface, heads, seconds, seams, facing, nearest, ids, farthest, writing, starts, counts, marked, found
):
    """Count in counts (2 H W,) the outlines and seams in each pixel, set the flags behind the counts, and mark the tiles of
    pixels with outlines; or, when `writing`, put them somewhere between starts (H W + 1,) of their pixels, where `arrange` sorts
    them.

    `found` is the pixel, the number, seams first, the half edge, or -1 - that of a seam (N,) and the part [t0, t1] (N, 2) in the
    pixel of each.
    """
    points = surface[0]
    height, width = nearest.shape[0] - 2 * RING, nearest.shape[1] - 2 * RING
    seen_sign = sign_seen(facing)
    for number in range(cuda.grid(1), len(seams) + len(heads), cuda.gridsize(1)):
        half, a, b, highest = _candidate_at(surface, heads, seconds, seams, number, seen_sign)
        if half < 0:
            continue
        code = -1 - half if number < len(seams) else half
        ax, ay, bx, by = points[a, 0], points[a, 1], points[b, 0], points[b, 1]
        dx, dy = bx - ax, by - ay
        if max(ay, by) < 0.0 or min(ay, by) >= height or max(ax, bx) < 0.0 or min(ax, bx) >= width:
            continue
        first_row, last_row = int(max(min(ay, by), 0.0)), int(min(max(ay, by), height - 1.0))
        left, right = int(max(min(ax, bx), 0.0)), int(min(max(ax, bx), width - 1.0))
        if not _passes_any(farthest, left, right, first_row, last_row, highest):
            continue
        for row in range(first_row, last_row + 1):
            enter, leave = interval_within(ay, dy, np.float64(row), row + 1.0, 0.0, 1.0)
            if not enter < leave:
                continue
            x0, x1 = ax + enter * dx, ax + leave * dx
            if max(x0, x1) < 0.0 or min(x0, x1) >= width:
                continue
            first_column = max(int(min(max(min(x0, x1), 0.0), width - 1.0)) - 1, 0)
            last_column = min(int(min(max(max(x0, x1), 0.0), width - 1.0)) + 1, width - 1)
            for column in range(first_column, last_column + 1):
                t0, t1 = interval_within(ax, dx, np.float64(column), column + 1.0, enter, leave)
                if not t0 < t1 or not _is_seen(surface, nearest, ids, highest, code, row, column, dx, dy):
                    continue
                pixel = row * width + column
                if writing:
                    place = starts[pixel] + cuda.atomic.sub(counts, pixel, 1) - 1
                    found[0][place] = pixel
                    found[1][place] = number
                    found[2][place] = code
                    found[3][place, 0] = t0
                    found[3][place, 1] = t1
                else:
                    cuda.atomic.add(counts, pixel, 1)
                    counts[height * width + pixel] = 1
                    if number >= len(seams):
                        marked[(row + RING) // TILE, (column + RING) // TILE] = 1


@kernel
def arrange(starts, count, found, outlines, order):
    """Put `count` outlines and seams at their ranks among those of their pixels, by their numbers, and list the pixels that are
    flagged.

    starts (2 H W + 1,) are scanned counts and flags; outlines are half edges (N,), spans (N, 2), and the one before in the pixel
    (N,), or -1; order (P,) are the pixels.
    """
    pixels = len(starts) // 2
    for i in range(cuda.grid(1), max(count, pixels), cuda.gridsize(1)):
        if i < count:
            pixel, edge = found[0][i], found[1][i]
            first, rank = starts[pixel], 0
            for other in range(first, starts[pixel + 1]):
                if found[1][other] < edge:
                    rank += 1
            outlines[0][first + rank] = found[2][i]
            outlines[1][first + rank, 0] = found[3][i, 0]
            outlines[1][first + rank, 1] = found[3][i, 1]
            outlines[2][first + rank] = first + rank - 1 if rank > 0 else -1
        if i < pixels and starts[pixels + i] < starts[pixels + i + 1]:
            order[starts[pixels + i] - count] = i


@shared
def _meet(surface, ids, row, column, down):
    """Whether of two neighbours each sees another sheet that goes on below that of the other."""
    points, faces, linked, signs, ring = surface[:5]
    f, g = np.int64(ids[row, column]), np.int64(ids[row + down, column + 1 - down])
    if not may_cross(linked, f, g):
        return False
    x, y = column - RING + 0.5, row - RING + 0.5
    x2, y2 = x + 1.0 - down, y + down
    there, _ = walk(points, faces, linked, signs, ring, f, x2, y2)
    if there == g:
        return False
    _, below = goes_under(points, faces, linked, signs, ring, f, x2, y2, g)
    if not below:
        return False
    _, below = goes_under(points, faces, linked, signs, ring, g, x, y, f)
    return below


@kernel
def find_meetings(surface, ids, counts, owners):
    """Lower owners (H W,) to the first pair of neighbours with the pixel between which sheets cross, and flag the pixel.

    The number of a pair is 2 (row W' + column) + down, from the ring, that of a pixel in it twice this, and 1 for the second.
    """
    rows, columns = ids.shape
    height, width = rows - 2 * RING, columns - 2 * RING
    for i in range(cuda.grid(1), 2 * rows * columns, cuda.gridsize(1)):
        row, column, down = i // 2 // columns, i // 2 % columns, i % 2
        if row < rows - 1 and column < columns - 1 and _meet(surface, ids, row, column, down):
            for second in range(2):
                y, x = row - RING + second * down, column - RING + second * (1 - down)
                if y >= 0 and y < height and x >= 0 and x < width:
                    cuda.atomic.min(owners, y * width + x, 2 * i + second)
                    counts[height * width + y * width + x] = 1
