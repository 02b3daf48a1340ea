"""Outlines of sheets, the parts of a surface that face one way in the image: their edges, and the pixels these pass."""

import math

import numpy as np

from ..formulas.edge import interval_within
from ..jit import borrower, kernel
from .half_edges import ends_of
from .hard import RING, TILE
from .sheet import lies_beyond, outward_ends


@borrower
def _inward_slope(points, faces, half):
    """Return how fast 1 / depth of a half edge's face grows away from the edge."""
    face, corner = half // 3, half % 3
    i, j = ends_of(faces, half)
    k = faces[face, (corner + 2) % 3]
    dx, dy = points[j, 0] - points[i, 0], points[j, 1] - points[i, 1]
    rx, ry = points[k, 0] - points[i, 0], points[k, 1] - points[i, 1]
    square = dx * dx + dy * dy
    if square == 0.0:
        return 0.0
    t = (rx * dx + ry * dy) / square
    distance = abs(rx * dy - ry * dx) / math.sqrt(square)
    rise = points[k, 2] - points[i, 2] - t * (points[j, 2] - points[i, 2])
    return rise / distance if distance > 0.0 else 0.0


@borrower
def front_of(points, faces, linked, signs, ring, head, seen_sign):
    """Return the half edge of the front one of the faces at an edge that all lie on one side of it, or -1 if it is no outline."""
    best, steepest = np.int64(-1), 0.0
    half = np.int64(head)
    first = np.int64(-1)
    while True:
        if signs[half // 3] != 0:
            if first < 0:
                first = half
            elif lies_beyond(linked, signs, first, half):
                return np.int64(-1)
            slope = _inward_slope(points, faces, half)
            if seen_sign != 0:  # the others are hidden
                slope = 1.0 if signs[half // 3] == seen_sign else 0.0
            if best < 0 or slope > steepest:
                best, steepest = half, slope
        half = np.int64(ring[half])
        if half == head:
            break
    return best


@borrower
def hidden_around(nearest, row, column, inverse_depth):
    """Whether all that is seen at a pixel and its eight neighbours is nearer than a place."""
    for i in range(row, row + 3):
        for j in range(column, column + 3):
            if nearest[i, j] < inverse_depth:
                return False
    return True


@borrower
def _any_farther(farthest, first_column, last_column, first_row, last_row, inverse_depth):
    """Whether in any tile of a range of pixels something is seen that is farther than a place."""
    for i in range(first_row // TILE, last_row // TILE + 1):
        for j in range(first_column // TILE, last_column // TILE + 1):
            if farthest[i, j] < inverse_depth:
                return True
    return False


@kernel
def find_outlines(
    points,
    faces,
    linked,
    signs,
    ring,
    heads,
    seconds,
    seen_sign,
    nearest,
    farthest,
    marked_tiles,
    last,
    order,
    under,
    depths,
    halves,
    spans,
    before,
):
    """Write a candidate for each pixel that the outline of a sheet passes, unless all is nearer around it.

    halves (N,) is the half edge in its front face, spans (N, 2) the part [t0, t1] of the edge in the pixel, before (N,) the
    candidate before it in its pixel, or -1; last (H W,) is a pixel's last one, and order (H W,) the pixels that have any, whose
    tiles are marked, and whose under and depths (H W,) are cleared for `draw_under`. Returns how many candidates and pixels
    there are; what has no room is left out.
    """
    height, width = nearest.shape[0] - 2 * RING, nearest.shape[1] - 2 * RING
    count, found = 0, 0
    for edge in range(len(heads)):
        second = seconds[edge]
        if second >= 0 and signs[second // 3] == signs[heads[edge] // 3]:
            continue  # the most
        half = front_of(points, faces, linked, signs, ring, heads[edge], seen_sign)
        if half < 0:
            continue
        a, b = outward_ends(faces, signs, half)
        ax, ay, bx, by = points[a, 0], points[a, 1], points[b, 0], points[b, 1]
        dx, dy = bx - ax, by - ay
        if max(ay, by) < 0.0 or min(ay, by) >= height or max(ax, bx) < 0.0 or min(ax, bx) >= width:
            continue
        highest = max(points[a, 2], points[b, 2])
        first_row, last_row = int(max(min(ay, by), 0.0)), int(min(max(ay, by), height - 1.0))
        left, right = int(max(min(ax, bx), 0.0)), int(min(max(ax, bx), width - 1.0))
        if not _any_farther(farthest, left, right + 2, first_row, last_row + 2, highest):
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
                if not t0 < t1 or hidden_around(nearest, row, column, highest):
                    continue
                if count < len(halves):
                    pixel = row * width + column
                    if last[pixel] < 0:
                        order[found], under[pixel], depths[pixel] = pixel, -1, 0.0
                        marked_tiles[(row + RING) // TILE, (column + RING) // TILE] = True
                        found += 1
                    halves[count], spans[count, 0], spans[count, 1] = half, t0, t1
                    before[count], last[pixel] = last[pixel], count
                count += 1
    return count, found
