"""Outlines of sheets, the parts of a surface that face one way in the image: their edges, and the pixels these pass."""

import math

import numpy as np

from ..formulas.edge import interval_within
from ..jit import borrower, subroutine
from .half_edges import ends_of
from .hard import RING, TILE
from .sheet import lies_beyond, outward_ends, walk


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
def any_farther(farthest, first_column, last_column, first_row, last_row, inverse_depth):
    """Whether in any tile of a range of pixels something is seen that is farther than a place."""
    for i in range(first_row // TILE, last_row // TILE + 1):
        for j in range(first_column // TILE, last_column // TILE + 1):
            if farthest[i, j] < inverse_depth:
                return True
    return False


@borrower
def shows_own(points, faces, linked, signs, ring, pieces, ids, half, row, column, dx, dy):
    """Whether the sheet of an outline is seen at a pixel's centre that it passes, or at that of the neighbour on its inner side.

    Then it may border a slit between two sheets so narrow that no pixel's centre sees what lies behind.
    """
    piece = pieces[half // 3]
    for neighbour in range(2):
        i, j = row + RING, column + RING
        if neighbour and abs(dy) >= abs(dx):
            j += -1 if dy > 0.0 else 1
        elif neighbour:
            i += 1 if dx > 0.0 else -1
        seen = ids[i, j]
        if seen >= 0 and pieces[seen] == piece:
            there, arrived = walk(points, faces, linked, signs, ring, half // 3, j - RING + 0.5, i - RING + 0.5)
            if arrived and there == seen:
                return True
    return False


@subroutine
def add_candidates(
    points,
    faces,
    linked,
    signs,
    ring,
    pieces,
    a,
    b,
    highest,
    code,
    nearest,
    ids,
    farthest,
    marked_tiles,
    last,
    order,
    under,
    depths,
    halves,
    spans,
    before,
    count,
    found,
):
    """Write a candidate for each pixel that the edge a to b passes, unless all is nearer around it than 1 / depth `highest`;
    return how many candidates and pixels there are now. `code` is -1 - half of a seam, which needs no tile to be marked."""
    height, width = nearest.shape[0] - 2 * RING, nearest.shape[1] - 2 * RING
    ax, ay, bx, by = points[a, 0], points[a, 1], points[b, 0], points[b, 1]
    dx, dy = bx - ax, by - ay
    if max(ay, by) < 0.0 or min(ay, by) >= height or max(ax, bx) < 0.0 or min(ax, bx) >= width:
        return count, found
    first_row, last_row = int(max(min(ay, by), 0.0)), int(min(max(ay, by), height - 1.0))
    left, right = int(max(min(ax, bx), 0.0)), int(min(max(ax, bx), width - 1.0))
    if not any_farther(farthest, left, right + 2, first_row, last_row + 2, highest):
        return count, found
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
            if not t0 < t1:
                continue
            if hidden_around(nearest, row, column, highest) and (
                code < 0 or not shows_own(points, faces, linked, signs, ring, pieces, ids, code, row, column, dx, dy)
            ):
                continue
            if count < len(halves):
                pixel = row * width + column
                if last[pixel] < 0:
                    order[found], under[pixel], depths[pixel] = pixel, -1, 0.0
                    found += 1
                if code >= 0:
                    marked_tiles[(row + RING) // TILE, (column + RING) // TILE] = True
                halves[count], spans[count, 0], spans[count, 1] = code, t0, t1
                before[count], last[pixel] = last[pixel], count
            count += 1
    return count, found


@borrower
def find_outlines(
    points,
    faces,
    linked,
    signs,
    ring,
    pieces,
    heads,
    seconds,
    seen_sign,
    nearest,
    ids,
    farthest,
    marked_tiles,
    last,
    order,
    under,
    depths,
    halves,
    spans,
    before,
    count,
    found,
):
    """Write a candidate for each pixel that the outline of a sheet passes, unless all is nearer around it, after `count`
    candidates in `found` pixels.

    halves (N,) is the half edge in its front face, spans (N, 2) the part [t0, t1] of the edge in the pixel, before (N,) the
    candidate before it in its pixel, or -1; last (H W,) is a pixel's last one, and order (H W,) the pixels that have any, whose
    under and depths (H W,) are cleared for `draw_under`, and whose tiles are marked if they have outlines. Returns how many
    candidates and pixels there are; what has no room is left out.
    """
    for edge in range(len(heads)):
        second = seconds[edge]
        if second >= 0 and signs[second // 3] == signs[heads[edge] // 3]:
            continue  # the most
        half = front_of(points, faces, linked, signs, ring, heads[edge], seen_sign)
        if half < 0:
            continue
        a, b = outward_ends(faces, signs, half)
        highest = max(points[a, 2], points[b, 2])
        count, found = add_candidates(
            points,
            faces,
            linked,
            signs,
            ring,
            pieces,
            a,
            b,
            highest,
            half,
            nearest,
            ids,
            farthest,
            marked_tiles,
            last,
            order,
            under,
            depths,
            halves,
            spans,
            before,
            count,
            found,
        )
    return count, found
