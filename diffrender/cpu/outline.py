"""Boundaries between what is seen within a pixel: outlines of sheets, and lines where faces cross.

Each (pixel, boundary) pair names two rows of values, that on the side of the pixel's centre and that beyond, and has the area
beyond: the image is the centre's value plus the sum of area * (beyond - near).
"""

import math

import numpy as np

from ..formulas.edge import (
    barycentric_slopes,
    chord,
    crossing,
    crossing_backward,
    interval_within,
    is_inside,
    nearest_on_edge,
    shadow_area,
    shadow_area_backward,
    side_of,
)
from ..jit import formula, kernel, subroutine
from .fragments import add_moved, barycentrics_at, corners_of, inverse_depths_of
from .half_edges import ends_of
from ..spin import lead, publish
from .hard import NEARER, RING, TILE
from .sheet import goes_under, inverse_depth_at, lies_beyond, walk

_SAME = 1e-6  # of depths: the sheet that one outline has is that of another
_UNFAIR = 1e-6  # rounding of a share
_BASE = np.int64(-1)
_UNKNOWN, _NOT_YET, _NOTHING = np.int64(-2), np.int64(-2), np.int64(-1)
_MOST = 32  # outlines in one pixel; more are left out
_PARTS = 4 * _MOST
_HALVINGS = 10  # of a pixel's width
_STEPS = 64  # faces round a vertex
NUMBERS = 3  # of a pair: t of both ends and the turn of an edge; the middle of a chord, and -length / slope


@formula
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


@formula
def _front_of(points, faces, linked, signs, ring, head, seen_sign):
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


@formula
def _hidden_around(nearest, row, column, inverse_depth):
    """Whether all that is seen at a pixel and its eight neighbours is nearer than a place."""
    for i in range(row, row + 3):
        for j in range(column, column + 3):
            if nearest[i, j] < inverse_depth:
                return False
    return True


@formula
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
    halves,
    spans,
    before,
):
    """Write a candidate for each pixel that the outline of a sheet passes, unless all is nearer around it.

    halves (N,) is the half edge in its front face, spans (N, 2) the part [t0, t1] of the edge in the pixel, before (N,) the pixel's
    candidate before it, or -1; last (H W,) is a pixel's last one, and order (H W,) the pixels that have any, whose tiles are
    marked. Returns how many
    candidates and pixels there are; what has no room is left out.
    """
    height, width = nearest.shape[0] - 2 * RING, nearest.shape[1] - 2 * RING
    count, found = 0, 0
    for edge in range(len(heads)):
        second = seconds[edge]
        if second >= 0 and signs[second // 3] == signs[heads[edge] // 3]:
            continue  # the most
        half = _front_of(points, faces, linked, signs, ring, heads[edge], seen_sign)
        if half < 0:
            continue
        a, b = _outward_ends(faces, signs, half)
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
                if not t0 < t1 or _hidden_around(nearest, row, column, highest):
                    continue
                if count < len(halves):
                    pixel = row * width + column
                    if last[pixel] < 0:
                        order[found] = pixel
                        marked_tiles[(row + RING) // TILE, (column + RING) // TILE] = True
                        found += 1
                    halves[count], spans[count, 0], spans[count, 1] = half, t0, t1
                    before[count], last[pixel] = last[pixel], count
                count += 1
    return count, found


@formula
def _outward_ends(faces, signs, half):
    """Return the ends a and b of a half edge, in the order that has its face on the inner side."""
    a, b = ends_of(faces, half)
    return (a, b) if signs[half // 3] > 0 else (b, a)


# Columns of what `resolve_outlines` knows of each candidate in a pixel, relative to its centre.
_AX, _AY, _BX, _BY, _T0, _T1, _SHARE, _DEPTH, _DISTANCE = range(9)


@formula
def _nearest_point(known, k):
    """Return the point of a candidate's edge that is nearest to the pixel's centre."""
    t = known[k, _SHARE]
    return (
        known[k, _AX] + t * (known[k, _BX] - known[k, _AX]),
        known[k, _AY] + t * (known[k, _BY] - known[k, _AY]),
    )


@formula
def _turn(known, k, other):
    """Return the cross product of the directions of two candidates' edges."""
    ux, uy = known[k, _BX] - known[k, _AX], known[k, _BY] - known[k, _AY]
    return ux * (known[other, _BY] - known[other, _AY]) - uy * (known[other, _BX] - known[other, _AX])


@formula
def _part_area(known, k, begin, end):
    ax, ay = known[k, _AX], known[k, _AY]
    dx, dy = known[k, _BX] - ax, known[k, _BY] - ay
    return shadow_area(ax + begin * dx, ay + begin * dy, ax + end * dx, ay + end * dy)


@subroutine
def _depth_along(points, faces, linked, signs, ring, face, x, y):
    """Return 1 / depth of the sheet of a face at (x, y), or where it ends on the way there, and whether it is there."""
    there, arrived = walk(points, faces, linked, signs, ring, face, x, y)
    return inverse_depth_at(points, faces, there, x, y), arrived


@formula
def _same(first, second):
    """Whether two values of 1 / depth are those of one sheet."""
    return abs(first - second) <= _SAME * first


@formula
def _angle_at(points, faces, linked, face, hub):
    """Return the angle in the image that a face has at one of its corners."""
    corner = 0 if linked[face, 0] == hub else (1 if linked[face, 1] == hub else 2)
    v, p, q = faces[face, corner], faces[face, (corner + 1) % 3], faces[face, (corner + 2) % 3]
    ux, uy = points[p, 0] - points[v, 0], points[p, 1] - points[v, 1]
    wx, wy = points[q, 0] - points[v, 0], points[q, 1] - points[v, 1]
    return math.atan2(abs(ux * wy - uy * wx), ux * wx + uy * wy)


@subroutine
def _goes_on(points, faces, linked, signs, ring, half, other):
    """Whether an outline goes on from one half edge to another: round one of its ends lie faces of one sheet, up to there.

    Where they go round more than once, the sheet covers itself: there the outline goes on below it.
    """
    u, v = ends_of(linked, other)
    i, j = ends_of(linked, half)
    for end in range(2):
        hub = j if end else i
        if hub != u and hub != v:
            continue
        current, angle = half, 0.0
        for _ in range(_STEPS):
            face, corner = current // 3, current % 3
            angle += _angle_at(points, faces, linked, face, hub)
            # The other edge of the face at the hub.
            turn = 1 if ends_of(linked, current)[1] == hub else 2
            current = 3 * face + (corner + turn) % 3
            x, y = ends_of(linked, current)
            if min(x, y) == min(u, v) and max(x, y) == max(u, v):
                return angle < 2.0 * math.pi
            across = np.int64(ring[current])
            while across != current and not lies_beyond(linked, signs, current, across):
                across = np.int64(ring[across])
            if across == current:
                break
            current = across
    return False


@subroutine
def _covers(known, sheets, count, sheet, center_in, x, y):
    """Whether a sheet covers (x, y), by how often the way there from the centre crosses its outline."""
    inside = center_in
    for k in range(count):
        if sheets[k] == sheet:
            ax, ay = known[k, _AX], known[k, _AY]
            dx, dy = known[k, _BX] - ax, known[k, _BY] - ay
            t0, t1 = known[k, _T0], known[k, _T1]
            along, way = crossing(ax + t0 * dx, ay + t0 * dy, ax + t1 * dx, ay + t1 * dy, 0.0, 0.0, x, y)
            if 0.0 <= along < 1.0 and 0.0 < way < 1.0:
                inside = not inside
    return inside


@subroutine
def _rise(points, faces, linked, signs, ring, known, k, t, a, b, beside, px, py):
    """Return by how much 1 / depth of a candidate's edge a to b is greater at t than that of a face's sheet there."""
    x = px + known[k, _AX] + t * (known[k, _BX] - known[k, _AX])
    y = py + known[k, _AY] + t * (known[k, _BY] - known[k, _AY])
    depth, _ = _depth_along(points, faces, linked, signs, ring, beside, x, y)
    return (1.0 - t) * points[a, 2] + t * points[b, 2] - depth


@formula
def _insert(cuts, cut_by, count, value, by):
    """Put a value, and what cuts there, into the ascending cuts[1:count]; return the new count."""
    place = count
    while place > 1 and cuts[place - 1] > value:
        cuts[place], cut_by[place] = cuts[place - 1], cut_by[place - 1]
        place -= 1
    cuts[place], cut_by[place] = value, by
    return count + 1


@subroutine
def _is_apart(points, faces, linked, signs, ring, face, row, column, known, sheets, closest, count):
    """Whether a face is of none of the sheets that have outlines in a pixel."""
    for sheet in range(count):
        at = closest[sheet]
        if sheets[sheet] == sheet and at >= 0:
            x, y = _nearest_point(known, at)
            depth, _ = _depth_along(points, faces, linked, signs, ring, face, x + column + 0.5, y + row + 0.5)
            if _same(depth, known[at, _DEPTH]):
                return False
    return True


@subroutine
def _beside(points, faces, linked, signs, ring, ids, under, row, column, known, sheets, closest, count):
    """Return the face that lies below the sheets with outlines in a pixel, -1 for none: the next below the centre, or what a
    neighbour on the outer side sees; or _UNKNOWN."""
    for k in range(-1, count):
        face = under
        if k >= 0:
            dx, dy = known[k, _BX] - known[k, _AX], known[k, _BY] - known[k, _AY]
            if abs(dy) >= abs(dx):
                face = np.int64(ids[row + RING, column + RING + (1 if dy > 0.0 else -1)])
            else:
                face = np.int64(ids[row + RING + (1 if dx < 0.0 else -1), column + RING])
        if face < 0 or _is_apart(points, faces, linked, signs, ring, face, row, column, known, sheets, closest, count):
            return face
    return _UNKNOWN


@kernel
def resolve_outlines(
    points,
    faces,
    linked,
    signs,
    ring,
    nearest,
    ids,
    under,
    last,
    order,
    halves,
    spans,
    before,
    pixels,
    sides,
    areas,
    owners,
    numbers,
    cutters,
    place_faces,
    place_corners,
    places,
    place_pixels,
):
    """Write a pair for each part of an outline that is seen in a pixel, and the places whose values it needs.

    The outlines in a pixel belong to sheets. Where those of two sheets cross, they are cut. A part is hidden if a nearer sheet
    covers its middle, and else has on its outer side the nearest sheet that does. What has no outline in the pixel lies
    behind them all or in front of all: it is what the centre sees or else, if that is one of the sheets, what the neighbour on the
    outer side does.

    pixels (N,), sides (N, 2) the rows of values near and beyond, areas (N,), owners (N, 2) the vertices the edge goes from and to
    with its face on the inner side, numbers (N, 3), cutters (N, 4) the ends of the edges that cut it at its two ends, or -1. Returns how many pairs and places there are; what has no room is left out.
    """
    height, width = ids.shape[0] - 2 * RING, ids.shape[1] - 2 * RING
    nothing = height * width
    here = np.empty(_MOST, np.int64)
    known = np.empty((_MOST, 9))
    inner = np.empty(_MOST, np.bool_)
    sheets, closest = np.empty(_MOST, np.int64), np.empty(_MOST, np.int64)
    center_in, center_depth = np.empty(_MOST, np.bool_), np.empty(_MOST)
    of_sheet, shares = np.empty(_MOST, np.int64), np.empty(_MOST + 1)
    cuts, cut_by = np.empty(_MOST + 3), np.empty(_MOST + 3, np.int64)
    part_of, part_outer = np.empty(_PARTS, np.int64), np.empty(_PARTS, np.int64)
    part_spans, part_by = np.empty((_PARTS, 2)), np.empty((_PARTS, 2), np.int64)
    pairs, used = 0, 0
    for number in range(len(order)):
        pixel = np.int64(order[number])
        row, column = pixel // width, pixel % width
        px, py = column + 0.5, row + 0.5
        over = nearest[row + RING, column + RING]
        count, candidate = 0, np.int64(last[pixel])
        while candidate >= 0 and count < _MOST:
            here[count] = candidate
            candidate = np.int64(before[candidate])
            count += 1
        for k in range(count):
            half = np.int64(halves[here[k]])
            a, b = _outward_ends(faces, signs, half)
            ax, ay, bx, by = points[a, 0] - px, points[a, 1] - py, points[b, 0] - px, points[b, 1] - py
            t = nearest_on_edge(ax, ay, bx, by)
            x, y = ax + t * (bx - ax), ay + t * (by - ay)
            known[k, _AX], known[k, _AY], known[k, _BX], known[k, _BY] = ax, ay, bx, by
            known[k, _T0], known[k, _T1] = spans[here[k], 0], spans[here[k], 1]
            known[k, _SHARE], known[k, _DISTANCE] = t, x * x + y * y
            known[k, _DEPTH] = (1.0 - t) * points[a, 2] + t * points[b, 2]
            inner[k] = is_inside(points[a, 0], points[a, 1], points[b, 0], points[b, 1], px, py)
            sheets[k] = k
            for other in range(k):
                if sheets[other] == sheets[k]:
                    continue
                theirs = np.int64(halves[here[other]])
                if not _goes_on(points, faces, linked, signs, ring, half, theirs):
                    # The two sides of something thin beside the centre: parts of one sheet if one leads to the other.
                    if inner[k] == inner[other]:
                        continue
                    far, near = (k, other) if inner[k] else (other, k)
                    face = np.int64(halves[here[far]]) // 3
                    _, arrived = walk(points, faces, linked, signs, ring, face, px, py)
                    if arrived:
                        continue
                    x, y = _nearest_point(known, near)
                    depth, _ = _depth_along(points, faces, linked, signs, ring, face, px + x, py + y)
                    if not _same(depth, known[near, _DEPTH]):
                        continue
                old, new = sheets[k], sheets[other]
                for third in range(k + 1):
                    if sheets[third] == old:
                        sheets[third] = new
        front, foremost = np.int64(-1), NEARER * over
        for k in range(count):
            closest[k], center_in[k] = -1, False
        for k in range(count):
            sheet = sheets[k]
            if closest[sheet] < 0 or known[k, _DISTANCE] < known[closest[sheet], _DISTANCE]:
                closest[sheet] = k
        for sheet in range(count):
            at = closest[sheet]
            if at < 0:
                continue
            center_in[sheet] = inner[at]
            for k in range(count):
                # At a corner both edges are equally near: the centre is in a convex one if it is on both inner sides.
                if sheets[k] == sheet and k != at and known[k, _DISTANCE] == known[at, _DISTANCE]:
                    before_it, after_it = (k, at) if known[at, _SHARE] == 0.0 else (at, k)
                    if _turn(known, before_it, after_it) > 0.0:
                        center_in[sheet] = inner[at] and inner[k]
                    else:
                        center_in[sheet] = inner[at] or inner[k]
            if center_in[sheet]:
                face = np.int64(halves[here[at]]) // 3
                center_depth[sheet], _ = _depth_along(points, faces, linked, signs, ring, face, px, py)
                # A sheet over what is seen is not there, whatever rounding says of a sliver.
                center_in[sheet] = NEARER * center_depth[sheet] <= over
                if center_in[sheet] and center_depth[sheet] >= foremost:
                    front, foremost = sheet, center_depth[sheet]
        beside = np.int64(ids[row + RING, column + RING])
        if front >= 0:
            below = np.int64(under[pixel])
            given = (ids, below, row, column, known, sheets, closest, count)
            beside = _beside(points, faces, linked, signs, ring, *given)
        parts = 0
        for k in range(count):
            if beside == _UNKNOWN:
                break
            sheet, half = sheets[k], np.int64(halves[here[k]])
            ax, ay = known[k, _AX], known[k, _AY]
            dx, dy = known[k, _BX] - ax, known[k, _BY] - ay
            t0, t1 = known[k, _T0], known[k, _T1]
            a, b = _outward_ends(faces, signs, half)
            cuts[0], cut_by[0], ends = t0, _NOTHING, 1
            for other in range(count):
                if sheets[other] != sheet:
                    cx, cy = known[other, _AX], known[other, _AY]
                    ex, ey = known[other, _BX] - cx, known[other, _BY] - cy
                    along, across = crossing(ax, ay, ax + dx, ay + dy, cx, cy, cx + ex, cy + ey)
                    if t0 < along < t1 and known[other, _T0] < across < known[other, _T1]:
                        ends = _insert(cuts, cut_by, ends, along, other)
            if beside >= 0 and ends <= _MOST:
                # Where the edge goes under what is beside it.
                rise0 = _rise(points, faces, linked, signs, ring, known, k, t0, a, b, beside, px, py)
                rise1 = _rise(points, faces, linked, signs, ring, known, k, t1, a, b, beside, px, py)
                if (rise0 > 0.0) != (rise1 > 0.0):
                    ends = _insert(cuts, cut_by, ends, t0 + (t1 - t0) * rise0 / (rise0 - rise1), _NOTHING)
            cuts[ends], cut_by[ends] = t1, _NOTHING
            for part in range(ends):
                begin, end = cuts[part], cuts[part + 1]
                if not begin < end or parts == _PARTS:
                    continue
                t = 0.5 * (begin + end)
                x, y = ax + t * dx, ay + t * dy
                own = (1.0 - t) * points[a, 2] + t * points[b, 2]
                hidden, outer, deepest = False, _BASE, 0.0
                if beside >= 0:
                    deepest, _ = _depth_along(points, faces, linked, signs, ring, beside, px + x, py + y)
                    hidden = deepest >= NEARER * own
                for other in range(count):
                    if hidden:
                        break
                    if sheets[other] != other or other == sheet:
                        continue
                    if not _covers(known, sheets, count, other, center_in[other], x, y):
                        continue
                    face = np.int64(halves[here[closest[other]]]) // 3
                    depth, _ = _depth_along(points, faces, linked, signs, ring, face, px + x, py + y)
                    if _same(depth, own):
                        continue
                    hidden = depth > own
                    if depth > deepest:
                        deepest, outer = depth, other
                if not hidden:
                    part_of[parts], part_outer[parts] = k, outer
                    part_spans[parts, 0], part_spans[parts, 1] = begin, end
                    part_by[parts, 0], part_by[parts, 1] = cut_by[part], cut_by[part + 1]
                    parts += 1
        # The shares of the pixel that sheets get must be shares: where outlines are too entangled, its centre stands for all.
        for k in range(count):
            shares[k], of_sheet[k] = 0.0, -1
        shares[_MOST] = 0.0
        shares[front] += 1.0  # -1 is the last, the base
        for part in range(parts):
            k, outer = part_of[part], part_outer[part]
            area = _part_area(known, k, part_spans[part, 0], part_spans[part, 1])
            area = -area if inner[k] else area
            for side in range(2):
                sheet = sheets[k] if side == 0 else outer
                if front >= 0 and sheet >= 0 and center_in[sheet] and _same(center_depth[sheet], foremost):
                    sheet = front
                shares[sheet] += area if side == 0 else -area
        fair = -_UNFAIR < shares[_MOST] < 1.0 + _UNFAIR
        for k in range(count):
            fair = fair and -_UNFAIR < shares[k] < 1.0 + _UNFAIR
        if not fair:
            continue
        base = pixel if front < 0 else np.int64(nothing)
        if front >= 0 and beside >= 0:
            base = np.int64(_NOT_YET)
        for part in range(parts):
            k, outer = part_of[part], part_outer[part]
            for side in range(2):
                sheet = sheets[k] if side == 0 else outer
                if sheet >= 0 and of_sheet[sheet] < 0:
                    of_sheet[sheet] = nothing + 1 + used
                    if used < len(place_faces):
                        at = closest[sheet]
                        half = np.int64(halves[here[at]])
                        place_faces[used], place_corners[used], place_pixels[used] = half // 3, half % 3, pixel
                        t = known[at, _SHARE]
                        places[used, 0], places[used, 1] = t if signs[half // 3] > 0 else 1.0 - t, 0.0
                    used += 1
            if outer >= 0:
                beyond = of_sheet[outer]
            else:
                if base == _NOT_YET:
                    base = nothing + 1 + used
                    if used < len(place_faces):
                        behind, _ = walk(points, faces, linked, signs, ring, beside, px, py)
                        place_faces[used], place_corners[used], place_pixels[used] = behind, -1, pixel
                        places[used, 0], places[used, 1] = px, py
                    used += 1
                beyond = base
            if pairs < len(pixels):
                begin, end = part_spans[part, 0], part_spans[part, 1]
                own = of_sheet[sheets[k]]
                pixels[pairs] = pixel
                sides[pairs, 0], sides[pairs, 1] = (own, beyond) if inner[k] else (beyond, own)
                owners[pairs, 0], owners[pairs, 1] = _outward_ends(faces, signs, np.int64(halves[here[k]]))
                for side in range(2):
                    by = part_by[part, side]
                    cutters[pairs, 2 * side], cutters[pairs, 2 * side + 1] = -1, -1
                    if by >= 0:
                        p, q = _outward_ends(faces, signs, np.int64(halves[here[by]]))
                        cutters[pairs, 2 * side], cutters[pairs, 2 * side + 1] = p, q
                areas[pairs] = _part_area(known, k, begin, end)
                numbers[pairs, 0], numbers[pairs, 1], numbers[pairs, 2] = begin, end, 1.0 if inner[k] else -1.0
            pairs += 1
    return pairs, used


@formula
def _share_vertex(linked, f, g):
    for i in range(3):
        for j in range(3):
            if linked[f, i] == linked[g, j]:
                return True
    return False


@formula
def _depth_slopes(points, faces, face):
    """Return the gradient of 1 / depth of a face in the image."""
    slopes = barycentric_slopes(*corners_of(points, faces, face))
    qa, qb, qc = inverse_depths_of(points, faces, face)
    return (
        slopes[0] * qa + slopes[2] * qb + slopes[4] * qc,
        slopes[1] * qa + slopes[3] * qb + slopes[5] * qc,
    )


@formula
def _plane_at(points, faces, face, x, y):
    """Return 1 / depth of a face's plane at (x, y)."""
    ba, bb, bc = barycentrics_at(
        corners_of(points, faces, face), barycentric_slopes(*corners_of(points, faces, face)), x, y
    )
    qa, qb, qc = inverse_depths_of(points, faces, face)
    return ba * qa + bb * qb + bc * qc


@subroutine
def _cut_chord(points, faces, linked, signs, ring, half, seen, under, px, py, ux, uy, vx, vy):
    """Cut the line u to v where two sheets cross to the inner side of an outline of either; return it, and whether any is left."""
    a, b = _outward_ends(faces, signs, half)
    ax, ay, bx, by = points[a, 0] - px, points[a, 1] - py, points[b, 0] - px, points[b, 1] - py
    t = nearest_on_edge(ax, ay, bx, by)
    x, y = px + ax + t * (bx - ax), py + ay + t * (by - ay)
    own = (1.0 - t) * points[a, 2] + t * points[b, 2]
    first, _ = _depth_along(points, faces, linked, signs, ring, seen, x, y)
    second, _ = _depth_along(points, faces, linked, signs, ring, under, x, y)
    if not (_same(first, own) or _same(second, own)):
        return ux, uy, vx, vy, True
    side_u, side_v = side_of(ax, ay, bx, by, ux, uy), side_of(ax, ay, bx, by, vx, vy)
    if side_u <= 0.0 and side_v <= 0.0:
        return ux, uy, vx, vy, False
    if side_u < 0.0 or side_v < 0.0:
        at = side_u / (side_u - side_v)
        x, y = ux + at * (vx - ux), uy + at * (vy - uy)
        if side_u < 0.0:
            ux, uy = x, y
        else:
            vx, vy = x, y
    return ux, uy, vx, vy, True


@subroutine
def _meeting_faces(points, faces, linked, signs, ring, f, g, x, y, x2, y2):
    """Return the faces of the sheets of f, in front at (x, y), and g, in front at (x2, y2), where they cross on the way."""
    first, last = 0.0, 1.0
    for _ in range(_HALVINGS):
        t = 0.5 * (first + last)
        place_x, place_y = x + t * (x2 - x), y + t * (y2 - y)
        f, _ = walk(points, faces, linked, signs, ring, f, place_x, place_y)
        g, _ = walk(points, faces, linked, signs, ring, g, place_x, place_y)
        if inverse_depth_at(points, faces, f, place_x, place_y) > inverse_depth_at(points, faces, g, place_x, place_y):
            first = t
        else:
            last = t
    return f, g


@kernel
def suspect_crossings(share, shares, board, points, faces, linked, signs, ring, ids, suspects):
    """Set in suspects (H + 2, W + 2, 2) whether a pixel and its neighbour to the right, and the one below, see different sheets."""
    if share < 0:
        lead(publish(board))
        return
    height, width = ids.shape
    for row in range((height - 1) * share // shares, (height - 1) * (share + 1) // shares):
        right = np.int64(ids[row, 0])
        for column in range(width - 1):
            f, right = right, np.int64(ids[row, column + 1])
            below = np.int64(ids[row + 1, column])
            if f < 0 or (f == right and f == below):
                continue
            for down in range(2):
                g = below if down else right
                if g < 0 or f == g or _share_vertex(linked, f, g):
                    continue
                x, y = column - RING + 1.5 - down, row - RING + 0.5 + down
                there, _ = walk(points, faces, linked, signs, ring, f, x, y)
                suspects[row, column, down] = there != g


@kernel
def find_crossings(
    points,
    faces,
    linked,
    signs,
    ring,
    ids,
    suspects,
    marks,
    last,
    halves,
    before,
    pixels,
    sides,
    areas,
    owners,
    numbers,
    cutters,
    place_faces,
    place_corners,
    places,
    place_pixels,
    pairs,
    count,
):
    """Write a pair for each pixel through which the line goes where a sheet comes out of another: of two neighbours that see different
    sheets, each sheet goes on below the other. owners (N, 2) are the two faces, and -1 - face so that they are told from vertices.
    """
    height, width = ids.shape[0] - 2 * RING, ids.shape[1] - 2 * RING
    for suspect in suspects:
        row, column, down = suspect // 2 // ids.shape[1], suspect // 2 % ids.shape[1], suspect % 2
        row2, column2 = row + down, column + 1 - down
        f, g = np.int64(ids[row, column]), np.int64(ids[row2, column2])
        x, y = column - RING + 0.5, row - RING + 0.5
        x2, y2 = column2 - RING + 0.5, row2 - RING + 0.5
        f2, below = goes_under(points, faces, linked, signs, ring, f, x2, y2, g)
        if not below:
            continue
        g2, below = goes_under(points, faces, linked, signs, ring, g, x, y, f)
        if not below:
            continue
        of_f, of_g = _meeting_faces(points, faces, linked, signs, ring, f, g, x, y, x2, y2)
        for second in range(2):
            i, j = (row2, column2) if second else (row, column)
            if i < RING or i >= height + RING or j < RING or j >= width + RING or marks[i, j]:
                continue
            marks[i, j] = True
            seen, under = (g, f2) if second else (f, g2)
            px, py = j - RING + 0.5, i - RING + 0.5
            first, other = (of_g, of_f) if second else (of_f, of_g)
            over = _plane_at(points, faces, first, px, py) - _plane_at(points, faces, other, px, py)
            sx, sy = _depth_slopes(points, faces, first)
            tx, ty = _depth_slopes(points, faces, other)
            ux, uy, vx, vy, crosses = chord(over, sx - tx, sy - ty)
            candidate = np.int64(last[(i - RING) * width + j - RING])
            while crosses and candidate >= 0:
                half = np.int64(halves[candidate])
                candidate = np.int64(before[candidate])
                ux, uy, vx, vy, crosses = _cut_chord(
                    points, faces, linked, signs, ring, half, seen, under, px, py, ux, uy, vx, vy
                )
            if not crosses:
                continue
            if pairs < len(pixels) and count < len(place_faces):
                pixel = (i - RING) * width + j - RING
                place_faces[count], place_corners[count], place_pixels[count] = under, -1, pixel
                places[count, 0], places[count, 1] = px, py
                pixels[pairs], areas[pairs] = pixel, shadow_area(ux, uy, vx, vy)
                sides[pairs, 0], sides[pairs, 1] = pixel, height * width + 1 + count
                owners[pairs, 0], owners[pairs, 1] = -1 - first, -1 - other
                length = math.sqrt((vx - ux) ** 2 + (vy - uy) ** 2)
                numbers[pairs, 0], numbers[pairs, 1] = px + 0.5 * (ux + vx), py + 0.5 * (uy + vy)
                rate = length / math.sqrt((sx - tx) ** 2 + (sy - ty) ** 2)
                numbers[pairs, 2] = -rate if over > 0.0 else rate
            pairs += 1
            count += 1
    return pairs, count


@kernel
def blend(pixels, sides, areas, values, image, jumps):
    """Fill jumps (N, C) with beyond - near of each pair, and add area * jump to the image (H W, C), in their order.

    The image may be the values themselves.
    """
    for pair in range(len(pixels)):
        near, beyond = sides[pair, 0], sides[pair, 1]
        for channel in range(image.shape[1]):
            jumps[pair, channel] = values[beyond, channel] - values[near, channel]
    for pair in range(len(pixels)):
        for channel in range(image.shape[1]):
            image[pixels[pair], channel] += areas[pair] * jumps[pair, channel]


@kernel
def blend_backward(pixels, sides, areas, jumps, grad_values, grad_areas):
    """Turn the gradient of an image in the first rows of grad_values (S, C) into that of the values, and fill grad_areas (N,).

    Pixels only read their own gradient, so it is kept for each pair before any is changed.
    """
    channels = grad_values.shape[1]
    moved = np.empty((len(pixels), channels))
    for pair in range(len(pixels)):
        total = 0.0
        for channel in range(channels):
            grad = np.float64(grad_values[pixels[pair], channel])
            total += grad * jumps[pair, channel]
            moved[pair, channel] = grad * areas[pair]
        grad_areas[pair] = total
    for pair in range(len(pixels)):
        near, beyond = sides[pair, 0], sides[pair, 1]
        for channel in range(channels):
            grad_values[beyond, channel] += moved[pair, channel]
            grad_values[near, channel] -= moved[pair, channel]


@formula
def _add_depth_difference(points, faces, face, x, y, grad, grad_points):
    """Add the gradient of 1 / depth of a face at the fixed point (x, y)."""
    weights = barycentrics_at(
        corners_of(points, faces, face), barycentric_slopes(*corners_of(points, faces, face)), x, y
    )
    sx, sy = _depth_slopes(points, faces, face)
    for k in range(3):
        grad_points[faces[face, k], 2] += grad * weights[k]
    add_moved(grad_points, faces, face, weights, grad * sx, grad * sy)


@formula
def _add_cut(points, a, b, p, q, grad, grad_points):
    """Add the gradient of the share t of the edge a to b at which the edge p to q crosses it."""
    ax, ay, bx, by = points[a, 0], points[a, 1], points[b, 0], points[b, 1]
    px, py, qx, qy = points[p, 0], points[p, 1], points[q, 0], points[q, 1]
    for_a, for_b, for_p, for_q = crossing_backward(grad, ax, ay, bx, by, px, py, qx, qy)
    grad_points[a, 0] += for_a[0]
    grad_points[a, 1] += for_a[1]
    grad_points[b, 0] += for_b[0]
    grad_points[b, 1] += for_b[1]
    grad_points[p, 0] += for_p[0]
    grad_points[p, 1] += for_p[1]
    grad_points[q, 0] += for_q[0]
    grad_points[q, 1] += for_q[1]


@kernel
def areas_backward(points, faces, pixels, width, owners, numbers, cutters, grad_areas, grad_points):
    """Add to grad_points (V, 3) what the areas' gradients (N,) give.

    Of a chord: the area beyond shrinks by length / slope times the mean over the chord of the difference in 1 / depth, which is
    that in its middle.
    """
    for pair in range(len(pixels)):
        grad = grad_areas[pair]
        if owners[pair, 0] < 0:
            x, y, rate = numbers[pair, 0], numbers[pair, 1], numbers[pair, 2]
            _add_depth_difference(points, faces, -1 - owners[pair, 0], x, y, grad * rate, grad_points)
            _add_depth_difference(points, faces, -1 - owners[pair, 1], x, y, -grad * rate, grad_points)
            continue
        a, b = owners[pair, 0], owners[pair, 1]
        t0, t1 = numbers[pair, 0], numbers[pair, 1]
        px, py = pixels[pair] % width + 0.5, pixels[pair] // width + 0.5
        dx, dy = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1]
        rx, ry = points[a, 0] - px, points[a, 1] - py
        ux, uy, vx, vy = rx + t0 * dx, ry + t0 * dy, rx + t1 * dx, ry + t1 * dy
        cut0, cut1 = cutters[pair, 0] >= 0, cutters[pair, 2] >= 0
        hx, hy, kx, ky = shadow_area_backward(ux, uy, vx, vy, numbers[pair, 2], t0 == 0.0 or cut0, t1 == 1.0 or cut1)
        grad_points[a, 0] += grad * ((1.0 - t0) * hx + (1.0 - t1) * kx)
        grad_points[a, 1] += grad * ((1.0 - t0) * hy + (1.0 - t1) * ky)
        grad_points[b, 0] += grad * (t0 * hx + t1 * kx)
        grad_points[b, 1] += grad * (t0 * hy + t1 * ky)
        if cut0:
            _add_cut(points, a, b, cutters[pair, 0], cutters[pair, 1], grad * (hx * dx + hy * dy), grad_points)
        if cut1:
            _add_cut(points, a, b, cutters[pair, 2], cutters[pair, 3], grad * (kx * dx + ky * dy), grad_points)


@kernel
def to_straight_alpha(pixels, floor, background, image, marks):
    """Divide the colours in an image (H W, C + 1) by its last channel, alpha, where there are boundaries; below alpha = floor the
    background (C,) comes in."""
    channels = image.shape[1] - 1
    for pair in range(len(pixels)):
        pixel = pixels[pair]
        if marks[pixel]:
            continue
        marks[pixel] = True
        alpha = image[pixel, channels]
        rest, scale = max(floor - alpha, 0.0), 1.0 / max(alpha, floor)
        for channel in range(channels):
            image[pixel, channel] = (image[pixel, channel] + rest * background[channel]) * scale


@kernel
def to_straight_alpha_backward(pixels, floor, background, image, grad_image, marks):
    """Turn the gradient of straight colours and alpha into that of premultiplied ones, in place."""
    channels = image.shape[1] - 1
    for pair in range(len(pixels)):
        pixel = pixels[pair]
        if marks[pixel]:
            continue
        marks[pixel] = True
        alpha = image[pixel, channels]
        scale = 1.0 / max(alpha, floor)
        for channel in range(channels):
            grad = grad_image[pixel, channel] * scale
            grad_image[pixel, channel] = grad
            grad_image[pixel, channels] -= grad * (background[channel] if alpha < floor else image[pixel, channel])
