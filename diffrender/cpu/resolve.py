"""What is seen on both sides of each outline within a pixel.

Each (pixel, boundary) pair names two rows of values, that on the side of the pixel's centre and that beyond, and has the area
beyond: the image is the centre's value plus the sum of area * (beyond - near).
"""

import numpy as np

from ..formulas.edge import crossing, shadow_area
from ..jit import borrower, kernel, subroutine
from ..spin import claim, lead, publish
from .candidates import (
    AX,
    AY,
    BX,
    BY,
    DEPTH,
    MOST,
    SHARE,
    T0,
    T1,
    find_front,
    join_sheets,
    nearest_point,
    read_candidates,
)
from .hard import NEARER, RING
from .sheet import depth_along, outward_ends, plane_at, same_depth, walk

_UNFAIR = 1e-6  # rounding of a share
_BASE, _HIDDEN = np.int64(-1), np.int64(-3)
_UNKNOWN, _NOTHING = np.int64(-2), np.int64(-1)
_PARTS = 4 * MOST
NUMBERS = 4  # of a pair: t of both ends of an edge, and its turn; both ends of a chord, from the pixel's centre


@borrower
def _part_area(known, k, begin, end):
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
def _beside(points, faces, linked, signs, ring, ids, under, row, column, known, sheets, closest, count):
    """Return the face that lies below the sheets with outlines in a pixel, -1 for none: the next below the centre, or what a
    neighbour on the outer side sees; or _UNKNOWN."""
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
    return _UNKNOWN


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
    there, or _NOTHING if it does not."""
    t0, t1 = known[k, T0], known[k, T1]
    rise0 = _rise(points, faces, linked, signs, ring, known, k, t0, a, b, beside, px, py)
    rise1 = _rise(points, faces, linked, signs, ring, known, k, t1, a, b, beside, px, py)
    if (rise0 > 0.0) == (rise1 > 0.0):
        return t0, _NOTHING
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
def _insert(cuts, cut_by, count, value, by):
    """Put a value, and what cuts there, into the ascending cuts[1:count]; return the new count."""
    place = count
    while place > 1 and cuts[place - 1] > value:
        cuts[place], cut_by[place] = cuts[place - 1], cut_by[place - 1]
        place -= 1
    cuts[place], cut_by[place] = value, by
    return count + 1


@borrower
def _cut(points, faces, linked, signs, ring, here, known, sheets, count, k, beside, px, py, cuts, cut_by):
    """Fill cuts with the ends of a candidate's parts, one after the other, and cut_by with what cuts there; return the number of
    parts: outlines of other sheets cut, and what lies beside if the edge goes under it."""
    ax, ay, bx, by = known[k, AX], known[k, AY], known[k, BX], known[k, BY]
    t0, t1 = known[k, T0], known[k, T1]
    cuts[0], cut_by[0], ends = t0, _NOTHING, 1
    for other in range(count):
        if sheets[other] != sheets[k]:
            cx, cy, dx, dy = known[other, AX], known[other, AY], known[other, BX], known[other, BY]
            along, across = crossing(ax, ay, bx, by, cx, cy, dx, dy)
            if t0 < along < t1 and known[other, T0] < across < known[other, T1]:
                ends = _insert(cuts, cut_by, ends, along, other)
    if beside >= 0:
        a, b = outward_ends(faces, signs, here[k])
        t, met = _dive(points, faces, linked, signs, ring, known, k, a, b, beside, px, py)
        if met != _NOTHING:
            ends = _insert(cuts, cut_by, ends, t, met)
    cuts[ends], cut_by[ends] = t1, _NOTHING
    return ends


@borrower
def _outer_of(points, faces, linked, signs, ring, here, known, sheets, closest, center_in, count, k, t, beside, px, py):
    """Return the nearest sheet that covers the place t of a candidate's edge, beyond it, _BASE if none does; or _HIDDEN."""
    a, b = outward_ends(faces, signs, here[k])
    x, y = known[k, AX] + t * (known[k, BX] - known[k, AX]), known[k, AY] + t * (known[k, BY] - known[k, AY])
    own = (1.0 - t) * points[a, 2] + t * points[b, 2]
    outer, deepest = _BASE, 0.0
    if beside >= 0:
        deepest, _ = depth_along(points, faces, linked, signs, ring, beside, px + x, py + y)
        if deepest >= NEARER * own:
            return _HIDDEN
    for other in range(count):
        if sheets[other] != other or other == sheets[k]:
            continue
        if not _covers(known, sheets, count, other, center_in[other], x, y):
            continue
        face = here[closest[other]] // 3
        depth, _ = depth_along(points, faces, linked, signs, ring, face, px + x, py + y)
        if same_depth(depth, own):
            continue
        if depth > own:
            return _HIDDEN
        if depth > deepest:
            deepest, outer = depth, np.int64(other)
    return outer


@borrower
def _find_parts(
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
    count,
    beside,
    px,
    py,
    cuts,
    cut_by,
    parts,
    part_spans,
):
    """Fill parts (P, 4) with the candidate of each part that is seen, the sheet beyond it, and what cuts it at both ends, and
    part_spans (P, 2) with these; return how many there are."""
    found = 0
    for k in range(count):
        ends = _cut(points, faces, linked, signs, ring, here, known, sheets, count, k, beside, px, py, cuts, cut_by)
        for part in range(ends):
            begin, end = cuts[part], cuts[part + 1]
            if not begin < end or found == _PARTS:
                continue
            t = 0.5 * (begin + end)
            outer = _outer_of(
                points, faces, linked, signs, ring, here, known, sheets, closest, center_in, count, k, t, beside, px, py
            )
            if outer != _HIDDEN:
                parts[found, 0], parts[found, 1] = k, outer
                parts[found, 2], parts[found, 3] = cut_by[part], cut_by[part + 1]
                part_spans[found, 0], part_spans[found, 1] = begin, end
                found += 1
    return found


@borrower
def _are_fair(known, inner, sheets, center_in, center_depth, count, front, parts, part_spans, found, shares):
    """Whether the shares of the pixel that sheets get are shares: where outlines are too entangled, its centre stands for all."""
    for k in range(count):
        shares[k] = 0.0
    shares[MOST] = 0.0
    shares[front] += 1.0  # -1 is the last, the base
    for part in range(found):
        k = parts[part, 0]
        area = _part_area(known, k, part_spans[part, 0], part_spans[part, 1])
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


@borrower
def _write_places(
    points,
    faces,
    linked,
    signs,
    ring,
    here,
    known,
    sheets,
    closest,
    parts,
    found,
    beside,
    pixel,
    px,
    py,
    row,
    of_sheet,
    used,
    end,
    place_faces,
    place_corners,
    places,
    place_pixels,
):
    """Write the places that parts in a pixel need after `used` places, the next of which has this row of values, as far as they
    come before `end`, and fill of_sheet (M + 1,) with the row of each sheet, and last of what lies below them all; return how
    many there are now."""
    for part in range(found):
        for side in range(2):
            sheet = parts[part, 1] if side else sheets[parts[part, 0]]
            if of_sheet[sheet] >= 0:
                continue
            of_sheet[sheet] = row
            row += 1
            if used < end:
                place_pixels[used] = pixel
                if sheet < 0:
                    place_faces[used], _ = walk(points, faces, linked, signs, ring, beside, px, py)
                    place_corners[used], places[used, 0], places[used, 1] = -1, px, py
                else:
                    half, t = here[closest[sheet]], known[closest[sheet], SHARE]
                    place_faces[used], place_corners[used] = half // 3, half % 3
                    places[used, 0], places[used, 1] = t if signs[half // 3] > 0 else 1.0 - t, 0.0
            used += 1
    return used


@borrower
def _write_pairs(
    faces,
    signs,
    here,
    known,
    inner,
    sheets,
    of_sheet,
    parts,
    part_spans,
    found,
    pixel,
    written,
    end,
    pixels,
    sides,
    areas,
    owners,
    numbers,
    cutters,
):
    """Write a pair for each part in a pixel, after `written` pairs, as far as they come before `end`."""
    for pair in range(written, min(written + found, end)):
        part = pair - written
        k, first, last = parts[part, 0], part_spans[part, 0], part_spans[part, 1]
        own, beyond = of_sheet[sheets[k]], of_sheet[parts[part, 1]]
        pixels[pair], areas[pair] = pixel, _part_area(known, k, first, last)
        sides[pair, 0], sides[pair, 1] = (own, beyond) if inner[k] else (beyond, own)
        owners[pair, 0], owners[pair, 1] = outward_ends(faces, signs, here[k])
        numbers[pair, 0], numbers[pair, 1], numbers[pair, 2] = first, last, 1.0 if inner[k] else -1.0
        for side in range(2):
            by = parts[part, 2 + side]
            cutters[pair, 2 * side], cutters[pair, 2 * side + 1] = min(by, _NOTHING), _NOTHING
            if by >= 0:
                cutters[pair, 2 * side], cutters[pair, 2 * side + 1] = outward_ends(faces, signs, here[by])


@kernel
def resolve_outlines(
    share,
    shares,
    board,
    turn,
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
    counts,
):
    """Write a pair for each part of an outline that is seen in a pixel, and the places whose values it needs.

    The pixels come in as many portions as counts (P, 2) has rows, each with its part of the room: `close_gaps` brings together
    what they give. counts is how many pairs and places each has; what has no room is left out.

    The outlines in a pixel belong to sheets. Where those of two sheets cross, they are cut. A part is hidden if a nearer sheet
    covers its middle, and else has on its outer side the nearest sheet that does. What has no outline in the pixel lies behind
    them all or in front of all: it is what the centre sees or else, if that is one of the sheets, the next face below, under
    (H W,), or what the neighbour on the outer side sees.

    pixels (N,), sides (N, 2) the rows of values near and beyond, areas (N,), owners (N, 2) the vertices the edge goes from and to
    with its face on the inner side, numbers (N, 4), cutters (N, 4) for each of its two ends those of the edge that cuts it there,
    or -2 - the face in which it goes under, or -1.
    """
    if share < 0:
        lead(publish(board))
        return
    height, width = ids.shape[0] - 2 * RING, ids.shape[1] - 2 * RING
    nothing = height * width
    here, known, inner = np.empty(MOST, np.int64), np.empty((MOST, 9)), np.empty(MOST, np.bool_)
    sheets, closest = np.empty(MOST, np.int64), np.empty(MOST, np.int64)
    center_in, center_depth = np.empty(MOST, np.bool_), np.empty(MOST)
    of_sheet, gained = np.empty(MOST + 1, np.int64), np.empty(MOST + 1)
    cuts, cut_by = np.empty(MOST + 3), np.empty(MOST + 3, np.int64)
    parts, part_spans = np.empty((_PARTS, 4), np.int64), np.empty((_PARTS, 2))
    portions, room, place_room = len(counts), len(pixels) // len(counts), len(place_faces) // len(counts)
    while True:
        portion = claim(turn)
        if portion >= portions:
            break
        first_pair, first_place = portion * room, portion * place_room
        pairs, used = first_pair, first_place
        for number in range(len(order) * portion // portions, len(order) * (portion + 1) // portions):
            pixel = np.int64(order[number])
            row, column = pixel // width, pixel % width
            px, py = column + 0.5, row + 0.5
            start = np.int64(last[pixel])
            count = read_candidates(points, faces, signs, halves, spans, before, start, px, py, here, known, inner)
            join_sheets(points, faces, linked, signs, ring, here, known, inner, count, px, py, sheets, closest)
            over, beside = nearest[row + RING, column + RING], np.int64(ids[row + RING, column + RING])
            front = find_front(
                points,
                faces,
                linked,
                signs,
                ring,
                here,
                known,
                inner,
                sheets,
                closest,
                count,
                px,
                py,
                over,
                center_in,
                center_depth,
            )
            if front >= 0:
                below = np.int64(under[pixel])
                beside = _beside(
                    points, faces, linked, signs, ring, ids, below, row, column, known, sheets, closest, count
                )
                if beside == _UNKNOWN:
                    continue
            found = _find_parts(
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
                count,
                beside,
                px,
                py,
                cuts,
                cut_by,
                parts,
                part_spans,
            )
            if not _are_fair(
                known, inner, sheets, center_in, center_depth, count, front, parts, part_spans, found, gained
            ):
                continue
            for k in range(count):
                of_sheet[k] = -1
            of_sheet[MOST] = pixel if front < 0 else (nothing if beside < 0 else -1)
            used = _write_places(
                points,
                faces,
                linked,
                signs,
                ring,
                here,
                known,
                sheets,
                closest,
                parts,
                found,
                beside,
                pixel,
                px,
                py,
                nothing + 1 + used - first_place,
                of_sheet,
                used,
                first_place + place_room,
                place_faces,
                place_corners,
                places,
                place_pixels,
            )
            _write_pairs(
                faces,
                signs,
                here,
                known,
                inner,
                sheets,
                of_sheet,
                parts,
                part_spans,
                found,
                pixel,
                pairs,
                first_pair + room,
                pixels,
                sides,
                areas,
                owners,
                numbers,
                cutters,
            )
            pairs += found
        counts[portion, 0], counts[portion, 1] = pairs - first_pair, used - first_place


@kernel
def close_gaps(
    counts,
    first_row,
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
    """Bring the portions of `resolve_outlines` together, unless one had too little room; return how much is needed, and how many
    pairs and places there are. Rows of places begin at `first_row`: they have been counted from there in each portion."""
    portions, pairs, used, needed = len(counts), np.int64(0), np.int64(0), np.int64(0)
    for portion in range(portions):
        needed = max(needed, portions * counts[portion, 0], portions * ((counts[portion, 1] + 1) // 2))
    if needed > len(pixels):
        return needed, pairs, used
    for portion in range(portions):
        first, first_place = portion * (len(pixels) // portions), portion * (len(place_faces) // portions)
        for pair in range(first, first + counts[portion, 0]):
            pixels[pairs], areas[pairs] = pixels[pair], areas[pair]
            for k in range(2):
                sides[pairs, k] = sides[pair, k] + (used if sides[pair, k] >= first_row else 0)
                owners[pairs, k] = owners[pair, k]
            for k in range(4):
                numbers[pairs, k], cutters[pairs, k] = numbers[pair, k], cutters[pair, k]
            pairs += 1
        for place in range(first_place, first_place + counts[portion, 1]):
            place_faces[used], place_corners[used] = place_faces[place], place_corners[place]
            places[used, 0], places[used, 1] = places[place, 0], places[place, 1]
            place_pixels[used] = place_pixels[place]
            used += 1
    return needed, pairs, used
