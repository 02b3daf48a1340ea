"""What is seen on both sides of each outline within a pixel.

Each (pixel, boundary) pair names two rows of values, that on the side of the pixel's centre and that beyond, and has the area
beyond: the image is the centre's value plus the sum of area * (beyond - near).
"""

import math

import numpy as np

from ..formulas.edge import crossing, is_inside, nearest_on_edge, shadow_area
from ..jit import formula, kernel, subroutine
from .half_edges import ends_of
from .hard import NEARER, RING
from .sheet import depth_along, lies_beyond, outward_ends, plane_at, same_depth, walk

_UNFAIR = 1e-6  # rounding of a share
_BASE = np.int64(-1)
_UNKNOWN, _NOT_YET, _NOTHING = np.int64(-2), np.int64(-2), np.int64(-1)
_MOST = 32  # outlines in one pixel; more are left out
_PARTS = 4 * _MOST
_STEPS = 64  # faces round a vertex
NUMBERS = 4  # of a pair: t of both ends of an edge, and its turn; both ends of a chord, from the pixel's centre
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
def _part_area(known, k, begin, end):
    ax, ay = known[k, _AX], known[k, _AY]
    dx, dy = known[k, _BX] - ax, known[k, _BY] - ay
    return shadow_area(ax + begin * dx, ay + begin * dy, ax + end * dx, ay + end * dy)


@formula
def _turn(known, k, other):
    """Return the cross product of the directions of two candidates' edges."""
    ux, uy = known[k, _BX] - known[k, _AX], known[k, _BY] - known[k, _AY]
    return ux * (known[other, _BY] - known[other, _AY]) - uy * (known[other, _BX] - known[other, _AX])


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
def _is_apart(points, faces, linked, signs, ring, face, row, column, known, sheets, closest, count):
    """Whether a face is of none of the sheets that have outlines in a pixel."""
    for sheet in range(count):
        at = closest[sheet]
        if sheets[sheet] == sheet and at >= 0:
            x, y = _nearest_point(known, at)
            depth, _ = depth_along(points, faces, linked, signs, ring, face, x + column + 0.5, y + row + 0.5)
            if same_depth(depth, known[at, _DEPTH]):
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


@subroutine
def _rise(points, faces, linked, signs, ring, known, k, t, a, b, beside, px, py):
    """Return by how much 1 / depth of a candidate's edge a to b is greater at t than that of a face's sheet there."""
    x = px + known[k, _AX] + t * (known[k, _BX] - known[k, _AX])
    y = py + known[k, _AY] + t * (known[k, _BY] - known[k, _AY])
    depth, _ = depth_along(points, faces, linked, signs, ring, beside, x, y)
    return (1.0 - t) * points[a, 2] + t * points[b, 2] - depth


@subroutine
def _dive(points, faces, linked, signs, ring, known, k, a, b, beside, px, py):
    """Return the share of a candidate's edge a to b at which it goes through the sheet of a face, and -2 - the face that it meets
    there, or _NOTHING if it does not."""
    t0, t1 = known[k, _T0], known[k, _T1]
    rise0 = _rise(points, faces, linked, signs, ring, known, k, t0, a, b, beside, px, py)
    rise1 = _rise(points, faces, linked, signs, ring, known, k, t1, a, b, beside, px, py)
    if (rise0 > 0.0) == (rise1 > 0.0):
        return t0, _NOTHING
    t = t0 + (t1 - t0) * rise0 / (rise0 - rise1)
    x = px + known[k, _AX] + t * (known[k, _BX] - known[k, _AX])
    y = py + known[k, _AY] + t * (known[k, _BY] - known[k, _AY])
    face, _ = walk(points, faces, linked, signs, ring, beside, x, y)
    over = points[a, 2] - plane_at(points, faces, face, points[a, 0], points[a, 1])
    fall = over - points[b, 2] + plane_at(points, faces, face, points[b, 0], points[b, 1])
    if fall != 0.0 and t0 < over / fall < t1:
        t = over / fall
    return t, -2 - face


@formula
def _insert(cuts, cut_by, count, value, by):
    """Put a value, and what cuts there, into the ascending cuts[1:count]; return the new count."""
    place = count
    while place > 1 and cuts[place - 1] > value:
        cuts[place], cut_by[place] = cuts[place - 1], cut_by[place - 1]
        place -= 1
    cuts[place], cut_by[place] = value, by
    return count + 1


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
    covers its middle, and else has on its outer side the nearest sheet that does. What has no outline in the pixel lies behind
    them all or in front of all: it is what the centre sees or else, if that is one of the sheets, the next face below, under
    (H W,), or what the neighbour on the outer side sees.

    pixels (N,), sides (N, 2) the rows of values near and beyond, areas (N,), owners (N, 2) the vertices the edge goes from and to
    with its face on the inner side, numbers (N, 4), cutters (N, 4) for each of its two ends those of the edge that cuts it there,
    or -2 - the face in which it goes under, or -1.
    Returns how many pairs and places there are; what has no room is left out.
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
            a, b = outward_ends(faces, signs, half)
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
                    depth, _ = depth_along(points, faces, linked, signs, ring, face, px + x, py + y)
                    if not same_depth(depth, known[near, _DEPTH]):
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
                center_depth[sheet], _ = depth_along(points, faces, linked, signs, ring, face, px, py)
                # A sheet over what is seen is not there, whatever rounding says of a sliver.
                center_in[sheet] = NEARER * center_depth[sheet] <= over
                if center_in[sheet] and center_depth[sheet] >= foremost:
                    front, foremost = np.int64(sheet), center_depth[sheet]
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
            a, b = outward_ends(faces, signs, half)
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
                t, met = _dive(points, faces, linked, signs, ring, known, k, a, b, beside, px, py)
                if met != _NOTHING:
                    ends = _insert(cuts, cut_by, ends, t, met)
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
                    deepest, _ = depth_along(points, faces, linked, signs, ring, beside, px + x, py + y)
                    hidden = deepest >= NEARER * own
                for other in range(count):
                    if hidden:
                        break
                    if sheets[other] != other or other == sheet:
                        continue
                    if not _covers(known, sheets, count, other, center_in[other], x, y):
                        continue
                    face = np.int64(halves[here[closest[other]]]) // 3
                    depth, _ = depth_along(points, faces, linked, signs, ring, face, px + x, py + y)
                    if same_depth(depth, own):
                        continue
                    hidden = depth > own
                    if depth > deepest:
                        deepest, outer = depth, np.int64(other)
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
                if front >= 0 and sheet >= 0 and center_in[sheet] and same_depth(center_depth[sheet], foremost):
                    sheet = front
                shares[sheet] += area if side == 0 else -area
        fair = -_UNFAIR < shares[_MOST] < 1.0 + _UNFAIR
        for k in range(count):
            fair = fair and -_UNFAIR < shares[k] < 1.0 + _UNFAIR
        if not fair:
            continue
        base = np.int64(pixel if front < 0 else nothing)
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
                    base = np.int64(nothing + 1 + used)
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
                owners[pairs, 0], owners[pairs, 1] = outward_ends(faces, signs, np.int64(halves[here[k]]))
                for side in range(2):
                    by = part_by[part, side]
                    cutters[pairs, 2 * side], cutters[pairs, 2 * side + 1] = min(by, -1), -1
                    if by >= 0:
                        p, q = outward_ends(faces, signs, np.int64(halves[here[by]]))
                        cutters[pairs, 2 * side], cutters[pairs, 2 * side + 1] = p, q
                areas[pairs] = _part_area(known, k, begin, end)
                numbers[pairs, 0], numbers[pairs, 1], numbers[pairs, 2] = begin, end, 1.0 if inner[k] else -1.0
            pairs += 1
    return pairs, used
