"""Parts of the outlines in a pixel: where they are cut, which of them are seen, and what lies beyond each."""

import numpy as np

from ..formulas.edge import crossing, shadow_area
from ..jit import borrower, subroutine
from .candidates import AX, AY, BX, BY, DEPTH, MOST, T0, T1, nearest_point
from .hard import NEARER, RING, ROWS
from .sheet import covers_point, depth_along, outward_ends, plane_at, same_depth, walk

_UNFAIR = 1e-6  # rounding of a share
BASE, HIDDEN = np.int64(-1), np.int64(-3)  # what has no outline in a pixel
NOTHING = np.int64(-1)
UNKNOWN = np.int64(-2)  # a face that no neighbour tells
PARTS = 4 * MOST  # in one pixel; more are left out


@borrower
def part_area(known, k, begin, end):
    ax, ay = known[k, AX], known[k, AY]
    dx, dy = known[k, BX] - ax, known[k, BY] - ay
    return shadow_area(ax + begin * dx, ay + begin * dy, ax + end * dx, ay + end * dy)


@subroutine
def _covers(known, sheets, count, sheet, center_in, x, y):
    """Whether a sheet covers (x, y), by how often the way there from the centre crosses its outline."""
    inside = center_in
    for k in range(count):
        if sheets[k] == sheet:
            ax, ay = known[k, AX], known[k, AY]
            dx, dy = known[k, BX] - ax, known[k, BY] - ay
            t0, t1 = known[k, T0], known[k, T1]
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
            x, y = nearest_point(known, at)
            depth, _ = depth_along(points, faces, linked, signs, ring, face, x + column + 0.5, y + row + 0.5)
            if same_depth(depth, known[at, DEPTH]):
                return False
    return True


@borrower
def depth_below(
    points,
    faces,
    linked,
    signs,
    ring,
    bounds,
    seen_sign,
    face,
    nearest,
    row,
    column,
    known,
    sheets,
    closest,
    count,
):
    """Return 1 / depth of a face at a pixel's centre, if it is there nearer than `nearest` and of none of the sheets that have
    outlines in the pixel; else 0."""
    j, i, x, y = column + RING, row + RING, column + 0.5, row + 0.5
    if i < bounds[face, 2] or i > bounds[face, 3] or j < bounds[face, 0] or j > bounds[face, 1]:
        return 0.0
    if (seen_sign != 0 and signs[face] != seen_sign) or not covers_point(points, faces, signs, face, x, y):
        return 0.0
    depth = plane_at(points, faces, face, x, y)
    if depth > nearest and _is_apart(
        points, faces, linked, signs, ring, face, row, column, known, sheets, closest, count
    ):
        return depth
    return 0.0


@subroutine
def next_below(
    points, faces, linked, signs, ring, bounds, starts, entries, seen_sign, row, column, known, sheets, closest, count
):
    """Return the nearest face at a pixel's centre that is of none of the sheets that have outlines there, or -1."""
    below, nearest, strip = np.int64(-1), 0.0, (row + RING) // ROWS
    for entry in range(starts[strip], starts[strip + 1]):
        face = np.int64(entries[entry])
        depth = depth_below(
            points,
            faces,
            linked,
            signs,
            ring,
            bounds,
            seen_sign,
            face,
            nearest,
            row,
            column,
            known,
            sheets,
            closest,
            count,
        )
        if depth > 0.0:
            below, nearest = face, depth
    return below


@borrower
def near_beside(points, faces, linked, signs, ring, ids, under, row, column, known, sheets, closest, count):
    """Return the face that lies below the sheets with outlines in a pixel, -1 for none: the next below the centre, or what a
    neighbour on the outer side sees; UNKNOWN if all these are of the sheets, and `next_below` must be asked."""
    for k in range(-1, count):
        face = under
        if k >= 0:
            dx, dy = known[k, BX] - known[k, AX], known[k, BY] - known[k, AY]
            if abs(dy) >= abs(dx):
                face = np.int64(ids[row + RING, column + RING + (1 if dy > 0.0 else -1)])
            else:
                face = np.int64(ids[row + RING + (1 if dx < 0.0 else -1), column + RING])
        if face < 0 or _is_apart(points, faces, linked, signs, ring, face, row, column, known, sheets, closest, count):
            return face
    return UNKNOWN


@subroutine
def _rise(points, faces, linked, signs, ring, known, k, t, a, b, beside, px, py):
    """Return by how much 1 / depth of a candidate's edge a to b is greater at t than that of a face's sheet there."""
    x = px + known[k, AX] + t * (known[k, BX] - known[k, AX])
    y = py + known[k, AY] + t * (known[k, BY] - known[k, AY])
    depth, _ = depth_along(points, faces, linked, signs, ring, beside, x, y)
    return (1.0 - t) * points[a, 2] + t * points[b, 2] - depth


@subroutine
def _dive(points, faces, linked, signs, ring, known, k, a, b, beside, px, py):
    """Return the share of a candidate's edge a to b at which it goes through the sheet of a face, and -2 - the face that it meets
    there, or NOTHING if it does not."""
    t0, t1 = known[k, T0], known[k, T1]
    rise0 = _rise(points, faces, linked, signs, ring, known, k, t0, a, b, beside, px, py)
    rise1 = _rise(points, faces, linked, signs, ring, known, k, t1, a, b, beside, px, py)
    if (rise0 > 0.0) == (rise1 > 0.0):
        return t0, NOTHING
    t = t0 + (t1 - t0) * rise0 / (rise0 - rise1)
    x = px + known[k, AX] + t * (known[k, BX] - known[k, AX])
    y = py + known[k, AY] + t * (known[k, BY] - known[k, AY])
    face, _ = walk(points, faces, linked, signs, ring, beside, x, y)
    over = points[a, 2] - plane_at(points, faces, face, points[a, 0], points[a, 1])
    fall = over - points[b, 2] + plane_at(points, faces, face, points[b, 0], points[b, 1])
    if fall != 0.0 and t0 < over / fall < t1:
        t = over / fall
    return t, -2 - face


@borrower
def insert_cut(cuts, cut_by, count, value, by):
    """Put a value, and what cuts there, into the ascending cuts[1:count], if there is room; return the new count."""
    if count + 1 >= len(cuts):
        return count
    place = count
    while place > 1 and cuts[place - 1] > value:
        cuts[place], cut_by[place] = cuts[place - 1], cut_by[place - 1]
        place -= 1
    cuts[place], cut_by[place] = value, by
    return count + 1


@borrower
def _cut(points, faces, linked, signs, ring, here, known, sheets, count, k, beside, px, py, cuts, cut_by):
    """Fill cuts with the ends of a candidate's parts, one after the other, and cut_by with what cuts there; return the number of
    parts: the candidates of other sheets, `count` of them, cut, and what lies beside if the edge goes under it."""
    ax, ay, bx, by = known[k, AX], known[k, AY], known[k, BX], known[k, BY]
    t0, t1 = known[k, T0], known[k, T1]
    cuts[0], cut_by[0], ends = t0, NOTHING, 1
    for other in range(count):
        if sheets[other] != sheets[k]:
            cx, cy, dx, dy = known[other, AX], known[other, AY], known[other, BX], known[other, BY]
            along, across = crossing(ax, ay, bx, by, cx, cy, dx, dy)
            if t0 < along < t1 and known[other, T0] < across < known[other, T1]:
                ends = insert_cut(cuts, cut_by, ends, along, other)
    if beside >= 0 and sheets[k] != BASE:
        a, b = outward_ends(faces, signs, here[k])
        t, met = _dive(points, faces, linked, signs, ring, known, k, a, b, beside, px, py)
        if met != NOTHING:
            ends = insert_cut(cuts, cut_by, ends, t, met)
    cuts[ends], cut_by[ends] = t1, NOTHING
    return ends


@borrower
def _outer_of(points, faces, linked, signs, ring, here, known, sheets, closest, center_in, count, k, t, beside, px, py):
    """Return the nearest sheet that covers the place t of a candidate's edge, beyond it, BASE if none does; or HIDDEN."""
    a, b = outward_ends(faces, signs, here[k])
    x, y = known[k, AX] + t * (known[k, BX] - known[k, AX]), known[k, AY] + t * (known[k, BY] - known[k, AY])
    own = (1.0 - t) * points[a, 2] + t * points[b, 2]
    outer, deepest = BASE, 0.0
    if beside >= 0 and sheets[k] != BASE:
        deepest, _ = depth_along(points, faces, linked, signs, ring, beside, px + x, py + y)
        if deepest >= NEARER * own:
            return HIDDEN
    for other in range(count):
        if sheets[other] != other or other == sheets[k]:
            continue
        if not _covers(known, sheets, count, other, center_in[other], x, y):
            continue
        face = here[closest[other]] // 3
        depth, arrived = depth_along(points, faces, linked, signs, ring, face, px + x, py + y)
        if not arrived or same_depth(depth, own):
            continue
        if depth > own:
            return HIDDEN
        if depth > deepest:
            deepest, outer = depth, np.int64(other)
    return outer


@borrower
def find_parts(
    points,
    faces,
    linked,
    signs,
    ring,
    here,
    known,
    sheets,
    closest,
    center_in,
    outlines,
    count,
    beside,
    px,
    py,
    cuts,
    cut_by,
    parts,
    part_spans,
):
    """Fill parts (P, 4 or more) with the candidate of each part that is seen, the sheet beyond it, and what cuts it at both ends,
    and part_spans (P, 2) with these; return how many there are. Seams are cut by outlines alone, and have their own sheet
    beyond."""
    found = 0
    for k in range(count):
        cutting = count if k < outlines else outlines
        ends = _cut(points, faces, linked, signs, ring, here, known, sheets, cutting, k, beside, px, py, cuts, cut_by)
        for part in range(ends):
            begin, end = cuts[part], cuts[part + 1]
            if not begin < end or found == PARTS:
                continue
            t = 0.5 * (begin + end)
            outer = _outer_of(
                points,
                faces,
                linked,
                signs,
                ring,
                here,
                known,
                sheets,
                closest,
                center_in,
                outlines,
                k,
                t,
                beside,
                px,
                py,
            )
            if outer != HIDDEN:
                parts[found, 0], parts[found, 1] = k, outer if k < outlines else sheets[k]
                parts[found, 2], parts[found, 3] = cut_by[part], cut_by[part + 1]
                part_spans[found, 0], part_spans[found, 1] = begin, end
                found += 1
    return found


@borrower
def are_fair(known, inner, sheets, center_in, center_depth, count, front, parts, part_spans, found, shares):
    """Whether the shares of the pixel that sheets get are shares: where outlines are too entangled, its centre stands for all."""
    for k in range(count):
        shares[k] = 0.0
    shares[MOST] = 0.0
    shares[front] += 1.0  # -1 is the last, the base
    for part in range(found):
        k = parts[part, 0]
        area = part_area(known, k, part_spans[part, 0], part_spans[part, 1])
        area = -area if inner[k] else area
        for side in range(2):
            sheet = parts[part, 1] if side else sheets[k]
            if front >= 0 and sheet >= 0 and center_in[sheet] and same_depth(center_depth[sheet], center_depth[front]):
                sheet = front
            shares[sheet] += -area if side else area
    fair = -_UNFAIR < shares[MOST] < 1.0 + _UNFAIR
    for k in range(count):
        fair = fair and -_UNFAIR < shares[k] < 1.0 + _UNFAIR
    return fair
