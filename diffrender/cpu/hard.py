"""The nearest face at each pixel's centre, in strips of the image.

The image is drawn with a ring of one pixel around it, so that outlines at its border see what they hide. Points (V, 3) are x
px, y px and 1 / depth, which is linear in the image, in float64.
"""

import numpy as np

from ..formulas.constants import COORDINATE_LIMIT
from ..formulas.edge import is_after, owns_border, side_of
from ..formulas.triangle import pixel_range, signed_area_twice
from ..jit import formula, kernel
from ..spin import claim, lead, publish

ROWS = 16  # of a strip, the unit of work of a thread
RING = 1  # px
_DOUBT = 1e-9  # of a face's squared extent: sides this near to 0 are computed anew
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


@formula
def _ordered(ax, ay, bx, by):
    """Return an edge's ends as `side_of` wants them, the sign that this costs, and 1 if the face owns its border, else 0."""
    owned = 1.0 if owns_border(ax, ay, bx, by) else 0.0
    if is_after(ax, ay, bx, by):
        return bx, by, ax, ay, -1.0, owned
    return ax, ay, bx, by, 1.0, owned


@formula
def _columns(px, py, qx, qy, sign, y, first, last):
    """Narrow [first, last], in pixels, to where a row at y can lie on the inner side of an edge; one pixel is spared."""
    rise = qy - py
    if abs(rise) < _LEVEL:
        return first, last
    # The side is linear in x, and its slope is -rise.
    x = px + (qx - px) * ((y - py) / rise)
    if sign * rise > 0.0:
        return first, min(last, x + 1.0)
    return max(first, x - 1.0), last


@kernel
def draw_ids(
    share, shares, board, turn, points, faces, signs, bounds, starts, entries, nearest, ids, slots, slot_faces, counts, facing
):
    """Fill nearest (H + 2, W + 2), 1 / depth of what is seen, 0 for nothing, and ids (H + 2, W + 2), its face or -1; and number the faces that are seen in each strip: slots (H, W) in the strip, slot_faces (S, ROWS W), counts (S,), and
    facing (S, 2) whether any is seen from its front, and any from its back.

    Of faces equally near the one with the lowest number is seen.
    """
    if share < 0:
        lead(publish(board))
        return
    rows, width = ids.shape
    mark = np.full(len(faces), -1, np.int32)
    number = np.empty(len(faces), np.int32)
    strips = len(counts)
    while True:
        strip = claim(turn)
        if strip >= strips:
            break
        first_row, last_row = strip * ROWS, min(strip * ROWS + ROWS, rows) - 1
        for row in range(first_row, last_row + 1):
            for column in range(width):
                nearest[row, column] = 0.0
                ids[row, column] = -1
        for entry in range(starts[strip], starts[strip + 1]):
            face = entries[entry]
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
            inverse = 1.0 / signed_area_twice(ax, ay, bx, by, cx, cy)
            wa, wb, wc = points[a, 2] * inverse, points[b, 2] * inverse, points[c, 2] * inverse
            px0, py0, qx0, qy0, sign0, owned0 = _ordered(bx, by, cx, cy)
            px1, py1, qx1, qy1, sign1, owned1 = _ordered(cx, cy, ax, ay)
            px2, py2, qx2, qy2, sign2, owned2 = _ordered(ax, ay, bx, by)
            step0, step1, step2 = sign0 * (py0 - qy0), sign1 * (py1 - qy1), sign2 * (py2 - qy2)
            across = step0 * wa + step1 * wb + step2 * wc
            left, right = np.int64(bounds[face, 0]), np.int64(bounds[face, 1])
            doubt = _DOUBT * (abs(step0) + abs(step1) + abs(step2) + np.float64(right - left + 1)) ** 2
            for row in range(max(bounds[face, 2], first_row), min(bounds[face, 3], last_row) + 1):
                y = row - RING + 0.5
                begin, end = left, right
                if end - begin > 4:
                    low, high = np.float64(begin), np.float64(end)
                    low, high = _columns(px0 + 0.5, py0, qx0 + 0.5, qy0, sign0, y, low, high)
                    low, high = _columns(px1 + 0.5, py1, qx1 + 0.5, qy1, sign1, y, low, high)
                    low, high = _columns(px2 + 0.5, py2, qx2 + 0.5, qy2, sign2, y, low, high)
                    if low > high:
                        continue
                    begin, end = int(low), int(high)
                x = begin - RING + 0.5
                side0 = sign0 * side_of(px0, py0, qx0, qy0, x, y)
                side1 = sign1 * side_of(px1, py1, qx1, qy1, x, y)
                side2 = sign2 * side_of(px2, py2, qx2, qy2, x, y)
                near = side0 * wa + side1 * wb + side2 * wc
                for column in range(begin, end + 1):
                    # Steps round otherwise than the sides themselves, which decide where it matters.
                    along = np.float64(column - begin)
                    lowest = min(side0 + along * step0, side1 + along * step1, side2 + along * step2)
                    if lowest < doubt:
                        if lowest < -doubt:
                            continue
                        x = column - RING + 0.5
                        exact0 = sign0 * side_of(px0, py0, qx0, qy0, x, y)
                        exact1 = sign1 * side_of(px1, py1, qx1, qy1, x, y)
                        exact2 = sign2 * side_of(px2, py2, qx2, qy2, x, y)
                        if min(exact0, exact1, exact2) < 0.0:
                            continue
                        if (
                            (exact0 == 0.0 and owned0 == 0.0)
                            or (exact1 == 0.0 and owned1 == 0.0)
                            or (exact2 == 0.0 and owned2 == 0.0)
                        ):
                            continue
                    here = near + along * across
                    if here > nearest[row, column]:
                        nearest[row, column] = here
                        ids[row, column] = face
        seen = 0
        facing[strip, 0], facing[strip, 1] = False, False
        for row in range(max(first_row, RING), min(last_row, rows - RING - 1) + 1):
            for column in range(RING, width - RING):
                face = ids[row, column]
                if face >= 0:
                    if mark[face] != strip:
                        mark[face], number[face] = strip, seen
                        slot_faces[strip, seen] = face
                        facing[strip, 1 if signs[face] > 0 else 0] = True
                        seen += 1
                    slots[row - RING, column - RING] = number[face]
        counts[strip] = seen
