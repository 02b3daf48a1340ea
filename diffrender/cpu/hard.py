"""The nearest face at each pixel's centre, in strips of the image.

The image is drawn with a ring of one pixel around it, so that outlines at its border see what they hide. Points (V, 3) are x
px, y px and 1 / depth, which is linear in the image, in float64.
"""

import math

import numpy as np

from ..formulas.constants import COORDINATE_LIMIT
from ..formulas.edge import is_after, is_inside, owns_border, side_of
from ..formulas.triangle import pixel_range, signed_area_twice
from ..jit import borrower, kernel, subroutine
from ..spin import claim, lead, publish

ROWS = 16  # of a strip, the unit of work of a thread
RING = 1  # px
TILE = 8  # px, along a side of a tile
_CHUNK = 2048  # faces of a strip after which its tiles are looked at again
_DOUBT = 1e-3  # px: how near to an edge the sides themselves decide
NEARER = 1 - 1e-7  # depths that differ less are the same surface
_LEVEL = 1e-6  # px: an edge that rises less does not narrow a row


@kernel
def invert_depth(share, shares, board, vertices, points):
    """Fill a share of points (V, 3) from vertices in pixel space; 1 / depth is 0 behind the camera."""
    if share < 0:
        lead(publish(board))
        return
    count = len(points)
    for vertex in range(count * share // shares, count * (share + 1) // shares):
        points[vertex, 0], points[vertex, 1] = vertices[vertex, 0], vertices[vertex, 1]
        depth = np.float64(vertices[vertex, 2])
        points[vertex, 2] = 1.0 / depth if depth > 0.0 else 0.0


@kernel
def prepare_faces(share, shares, board, points, faces, height, width, cull_backfaces, signs, bounds):
    """Fill signs (F,) with 1 or -1 as the face's area is, 0 if it does not count, and bounds (F, 4) with the pixels it may cover:
    first and last column and row, counted from the ring; last < first if there are none."""
    if share < 0:
        lead(publish(board))
        return
    count = len(faces)
    columns, rows = np.float64(width + 2 * RING), np.float64(height + 2 * RING)
    for face in range(count * share // shares, count * (share + 1) // shares):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        ax, ay, bx, by, cx, cy = (
            points[a, 0],
            points[a, 1],
            points[b, 0],
            points[b, 1],
            points[c, 0],
            points[c, 1],
        )
        signs[face] = 0
        bounds[face, 0], bounds[face, 1], bounds[face, 2], bounds[face, 3] = 0, -1, 0, -1
        left, right = min(ax, bx, cx), max(ax, bx, cx)
        top, bottom = min(ay, by, cy), max(ay, by, cy)
        if min(left, top) < -COORDINATE_LIMIT or max(right, bottom) > COORDINATE_LIMIT:
            continue
        area = signed_area_twice(ax, ay, bx, by, cx, cy)
        if area == 0.0 or min(points[a, 2], points[b, 2], points[c, 2]) <= 0.0 or (cull_backfaces and area > 0.0):
            continue
        signs[face] = 1 if area > 0.0 else -1
        first_x, last_x = pixel_range(left + RING, right + RING, columns)
        first_y, last_y = pixel_range(top + RING, bottom + RING, rows)
        if first_x <= last_x:
            bounds[face, 0], bounds[face, 1], bounds[face, 2], bounds[face, 3] = first_x, last_x, first_y, last_y


@kernel
def count_entries(bounds, starts):
    """Fill starts (S + 1,) with the first entry of each strip."""
    for face in range(len(bounds)):
        for strip in range(bounds[face, 2] // ROWS, bounds[face, 3] // ROWS + 1):
            starts[strip + 1] += 1
    for strip in range(len(starts) - 1):
        starts[strip + 1] += starts[strip]


@kernel
def fill_entries(bounds, starts, entries):
    """Fill entries (E,) with the faces of each strip, in their order."""
    cursor = starts[:-1].copy()
    for face in range(len(bounds)):
        for strip in range(bounds[face, 2] // ROWS, bounds[face, 3] // ROWS + 1):
            entries[cursor[strip]] = face
            cursor[strip] += 1


@borrower
def _ordered(ax, ay, bx, by):
    """Return an edge's ends as `side_of` wants them, the sign that this costs, and 1 if the face owns its border, else 0."""
    owned = 1.0 if owns_border(ax, ay, bx, by) else 0.0
    if is_after(ax, ay, bx, by):
        return bx, by, ax, ay, -1.0, owned
    return ax, ay, bx, by, 1.0, owned


@borrower
def _lean(px, qx, rise):
    """Return dx / dy of an edge, 0 if it is level."""
    return (qx - px) / rise if abs(rise) >= _LEVEL else 0.0


@borrower
def _columns(px, lean, down, rise, low, high):
    """Narrow [low, high] to where a row can lie on the inner side of an edge: the side grows with x where `rise` is negative."""
    x = px + lean * down
    if rise >= _LEVEL:
        return low, min(high, x)
    if rise <= -_LEVEL:
        return max(low, x), high
    return low, high


@subroutine
def _find_farthest(nearest, first_row, last_row, farthest):
    """Fill farthest (ROWS / TILE, W') with the smallest 1 / depth seen so far in each tile of a strip."""
    for i in range(farthest.shape[0]):
        for j in range(farthest.shape[1]):
            lowest = np.inf
            for row in range(first_row + i * TILE, min(first_row + (i + 1) * TILE, last_row + 1)):
                for column in range(j * TILE, min((j + 1) * TILE, nearest.shape[1])):
                    lowest = min(lowest, nearest[row, column])
                if lowest == 0.0:  # nothing is farther than nothing
                    break
            farthest[i, j] = lowest


@borrower
def _any_below(farthest, bounds, face, first_row, last_row, inverse_depth):
    """Whether in any tile that a face touches something is seen that is not nearer than all of it; a margin is for rounding."""
    top, bottom = max(bounds[face, 2], first_row) - first_row, min(bounds[face, 3], last_row) - first_row
    for i in range(top // TILE, bottom // TILE + 1):
        for j in range(bounds[face, 0] // TILE, bounds[face, 1] // TILE + 1):
            if farthest[i, j] * NEARER <= inverse_depth:
                return True
    return False


@kernel
def draw_ids(
    share,
    shares,
    board,
    turn,
    points,
    faces,
    signs,
    bounds,
    starts,
    entries,
    nearest,
    ids,
    run_ends,
    run_slots,
    run_counts,
    slot_faces,
    counts,
    facing,
    farthest,
):
    """Fill nearest (H + 2, W + 2), 1 / depth of what is seen, 0 for nothing, and ids (H + 2, W + 2), its face or -1.

    And the runs of pixels in each row that see one face: run_ends (H + 2, W + 2) the columns where they end, run_slots
    (H + 2, W + 2) the number that the face has in its strip, -1 for nothing, and run_counts (H + 2,) how many there are. The
    ring has runs of its own, without numbers. And of each strip slot_faces (S, ROWS W), the faces by their number, counts
    (S + 1,), from the second on how many there are, and facing (S, 2), whether any is seen from its front, and any from its
    back. And farthest (S ROWS / TILE, W'), the smallest 1 / depth that is seen in each tile.

    Of faces equally near, to rounding, one is seen, of identical ones the first.
    """
    if share < 0:
        lead(publish(board))
        return
    rows, width = ids.shape
    mark = np.full(len(faces), -1, np.int32)
    number = np.empty(len(faces), np.int32)
    strips = len(counts) - 1
    while True:
        strip = claim(turn)
        if strip >= strips:
            break
        first_row, last_row = strip * ROWS, min(strip * ROWS + ROWS, rows) - 1
        for row in range(first_row, last_row + 1):
            for column in range(width):
                nearest[row, column] = 0.0
                ids[row, column] = -1
        # Faces seen from their front come first: they hide most of the others, of which whole tiles are then left out.
        tiles, fresh = farthest[strip * (ROWS // TILE) : (strip + 1) * (ROWS // TILE)], 0
        tiles[:] = 0.0
        stale = True  # whether tiles are to be looked at again
        for turn_of in range(2):
            if turn_of == 1:
                fresh = _CHUNK
            for entry in range(starts[strip], starts[strip + 1]):
                face = entries[entry]
                if (signs[face] > 0) != (turn_of == 1):
                    continue
                if fresh >= _CHUNK:
                    _find_farthest(nearest, first_row, last_row, tiles)
                    fresh, stale = 0, False
                fresh += 1
                a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
                if signs[face] < 0:
                    b, c = c, b
                ax, ay, bx, by, cx, cy = (
                    points[a, 0],
                    points[a, 1],
                    points[b, 0],
                    points[b, 1],
                    points[c, 0],
                    points[c, 1],
                )
                highest = max(points[a, 2], points[b, 2], points[c, 2])
                if not _any_below(tiles, bounds, face, first_row, last_row, highest):
                    continue
                inverse = 1.0 / signed_area_twice(ax, ay, bx, by, cx, cy)
                to_b, to_c = (points[b, 2] - points[a, 2]) * inverse, (points[c, 2] - points[a, 2]) * inverse
                across, down = to_b * (cy - ay) - to_c * (by - ay), to_c * (bx - ax) - to_b * (cx - ax)
                px0, py0, qx0, qy0, sign0, owned0 = _ordered(bx, by, cx, cy)
                px1, py1, qx1, qy1, sign1, owned1 = _ordered(cx, cy, ax, ay)
                px2, py2, qx2, qy2, sign2, owned2 = _ordered(ax, ay, bx, by)
                rise0, rise1, rise2 = qy0 - py0, qy1 - py1, qy2 - py2
                lean0, lean1, lean2 = _lean(px0, qx0, rise0), _lean(px1, qx1, rise1), _lean(px2, qx2, rise2)
                left, right = np.float64(bounds[face, 0]), np.float64(bounds[face, 1])
                level = min(abs(rise0), abs(rise1), abs(rise2)) < _LEVEL
                for row in range(max(bounds[face, 2], first_row), min(bounds[face, 3], last_row) + 1):
                    y = row - RING + 0.5
                    low, high = left, right
                    low, high = _columns(px0 + (RING - 0.5), lean0, y - py0, sign0 * rise0, low, high)
                    low, high = _columns(px1 + (RING - 0.5), lean1, y - py1, sign1 * rise1, low, high)
                    low, high = _columns(px2 + (RING - 0.5), lean2, y - py2, sign2 * rise2, low, high)
                    begin, end = math.ceil(low - _DOUBT), math.floor(high + _DOUBT)
                    if begin > end:
                        continue
                    near = points[a, 2] + across * (begin - RING + 0.5 - ax) + down * (y - ay)
                    # Where a row ends only the sides themselves decide.
                    doubted_first = begin if begin - low < _DOUBT else begin - 1
                    doubted_last = begin if level else (end if high - end < _DOUBT else end + 1)
                    for column in range(begin, end + 1):
                        if column <= doubted_first or column >= doubted_last:
                            x = column - RING + 0.5
                            side0 = sign0 * side_of(px0, py0, qx0, qy0, x, y)
                            side1 = sign1 * side_of(px1, py1, qx1, qy1, x, y)
                            side2 = sign2 * side_of(px2, py2, qx2, qy2, x, y)
                            if min(side0, side1, side2) < 0.0:
                                continue
                            if (
                                (side0 == 0.0 and owned0 == 0.0)
                                or (side1 == 0.0 and owned1 == 0.0)
                                or (side2 == 0.0 and owned2 == 0.0)
                            ):
                                continue
                        here = near + (column - begin) * across
                        if here > nearest[row, column]:
                            nearest[row, column] = here
                            ids[row, column] = face
                            stale = True
        if stale:
            _find_farthest(nearest, first_row, last_row, tiles)
        seen = 0
        facing[strip, 0], facing[strip, 1] = False, False
        for row in range(first_row, last_row + 1):
            runs, begin, is_ring = 0, 0, row < RING or row >= rows - RING
            while begin < width:
                face, end = ids[row, begin], begin + 1
                last = RING if begin < RING else (width - RING if begin < width - RING else width)
                while end < last and ids[row, end] == face:
                    end += 1
                slot = np.int32(-1)
                if face >= 0 and not is_ring and begin >= RING and end <= width - RING:
                    if mark[face] != strip:
                        mark[face], number[face] = strip, seen
                        slot_faces[strip, seen] = face
                        facing[strip, 1 if signs[face] > 0 else 0] = True
                        seen += 1
                    slot = number[face]
                run_ends[row, runs], run_slots[row, runs] = end, slot
                runs += 1
                begin = end
            run_counts[row] = runs
        counts[strip + 1] = seen


@borrower
def any_marked(marked_tiles, first_column, last_column, first_row, last_row):
    """Whether any tile of a range of pixels is marked."""
    for i in range(first_row // TILE, last_row // TILE + 1):
        for j in range(first_column // TILE, last_column // TILE + 1):
            if marked_tiles[i, j]:
                return True
    return False


@kernel
def draw_under(
    share,
    shares,
    board,
    turn,
    points,
    faces,
    signs,
    bounds,
    starts,
    entries,
    seen_sign,
    marked_tiles,
    marks,
    nearest,
    under,
    depths,
):
    """Write to under (H W,), which is -1 there, the face next below the nearest one at the centres of pixels with marks (H W,)
    >= 0, all of them in marked tiles, among those of the sign `seen_sign`, or all if it is 0; depths (H W,), 0 there, is for its
    1 / depth.

    Of closed surfaces the faces turned away are left out: they lie right behind an outline.
    """
    if share < 0:
        lead(publish(board))
        return
    rows, width = nearest.shape[0], nearest.shape[1] - 2 * RING
    strips = len(starts) - 1
    while True:
        strip = claim(turn)
        if strip >= strips:
            break
        first_row, last_row = max(strip * ROWS, RING), min(strip * ROWS + ROWS, rows - RING) - 1
        for entry in range(starts[strip], starts[strip + 1]):
            face = entries[entry]
            if seen_sign != 0 and signs[face] != seen_sign:
                continue
            if not any_marked(marked_tiles, bounds[face, 0], bounds[face, 1], bounds[face, 2], bounds[face, 3]):
                continue
            a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
            if signs[face] < 0:
                b, c = c, b
            highest = max(points[a, 2], points[b, 2], points[c, 2])
            for row in range(max(bounds[face, 2], first_row), min(bounds[face, 3], last_row) + 1):
                for column in range(max(bounds[face, 0], RING), min(bounds[face, 1], width) + 1):
                    pixel = (row - RING) * width + column - RING
                    if marks[pixel] < 0 or highest <= depths[pixel]:
                        continue
                    x, y = column - RING + 0.5, row - RING + 0.5
                    ax, ay, bx, by = points[a, 0], points[a, 1], points[b, 0], points[b, 1]
                    cx, cy = points[c, 0], points[c, 1]
                    if not (
                        is_inside(ax, ay, bx, by, x, y)
                        and is_inside(bx, by, cx, cy, x, y)
                        and is_inside(cx, cy, ax, ay, x, y)
                    ):
                        continue
                    side0, side1 = side_of(bx, by, cx, cy, x, y), side_of(cx, cy, ax, ay, x, y)
                    side2 = side_of(ax, ay, bx, by, x, y)
                    near = (side0 * points[a, 2] + side1 * points[b, 2] + side2 * points[c, 2]) / (
                        side0 + side1 + side2
                    )
                    if depths[pixel] < near < NEARER * nearest[row, column]:
                        under[pixel], depths[pixel] = face, near
