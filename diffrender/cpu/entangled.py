"""Pixels in which outlines are entangled: they turn back on themselves, cross, or are those of several sheets.

Here nothing is concluded from outlines. All faces that reach into the pixel are gathered: the surface round its outlines, and
what lies below that. Outlines are cut where any two of them cross and where they go through a face, and what is in front of the
middle of each part, and next below it, is looked up among these faces. What rounding gets wrong is as small as the part, which
grows from nothing and shrinks to nothing: so the image does not jump.

Faces that hang together here, across no outline and no seam, have one row of values: that at their point nearest to the pixel's
centre.
"""

import numpy as np

from ..formulas.edge import crossing, nearest_on_edge, side_of
from ..jit import borrower, subroutine
from .candidates import AX, AY, BX, BY, T0, T1
from .fragments import corners_of, depth_slopes
from .half_edges import ends_of
from .hard import NEARER, RING
from .parts import BASE, HIDDEN, NOTHING, insert_cut, part_area
from .sheet import covers_point, lies_beyond, outward_ends, plane_at, walk

MOST_FACES = 128  # that reach into one pixel; where there are more, sheets must tell
_UNFAIR = 1e-6  # rounding of a share


@subroutine
def _reaches_into(points, faces, sign, face, px, py):
    """Whether a face reaches into the pixel around (px, py)."""
    ax, ay, bx, by, cx, cy = corners_of(points, faces, face)
    if (
        max(ax, bx, cx) < px - 0.5
        or min(ax, bx, cx) > px + 0.5
        or max(ay, by, cy) < py - 0.5
        or min(ay, by, cy) > py + 0.5
    ):
        return False
    for corner in range(3):
        a, b = ends_of(faces, 3 * face + corner)
        ax, ay, bx, by = points[a, 0], points[a, 1], points[b, 0], points[b, 1]
        if sign * side_of(ax, ay, bx, by, px, py) + 0.5 * (abs(bx - ax) + abs(by - ay)) < 0.0:
            return False
    return True


@borrower
def _place_of(near, count, face):
    """Return where a face is among those gathered, or -1."""
    for k in range(count):
        if near[k] == face:
            return np.int64(k)
    return np.int64(-1)


@subroutine
def _gather(points, faces, signs, ring, seen_sign, face, px, py, near, count):
    """Add to near a face, and all that are joined to it within the pixel; return how many there are, more than there is room for
    if that is not enough."""
    first = count
    if signs[face] == 0 or (seen_sign != 0 and signs[face] != seen_sign):
        return count
    if _place_of(near, count, face) >= 0 or not _reaches_into(points, faces, signs[face], face, px, py):
        return count
    if count == len(near):
        return count + 1
    near[count] = face
    count += 1
    while first < count:
        face = near[first]
        first += 1
        for corner in range(3):
            half = 3 * face + corner
            other = np.int64(ring[half])
            while other != half:
                across = other // 3
                other = np.int64(ring[other])
                if signs[across] == 0 or (seen_sign != 0 and signs[across] != seen_sign):
                    continue
                if _place_of(near, count, across) >= 0 or not _reaches_into(
                    points, faces, signs[across], across, px, py
                ):
                    continue
                if count == len(near):
                    return count + 1
                near[count] = across
                count += 1
    return count


@subroutine
def _label(linked, signs, charts, near, count, labels):
    """Fill labels (N,) with one number for all faces that hang together, that of the first of them."""
    for k in range(count):
        labels[k] = k
        for corner in range(3):
            half = 3 * near[k] + corner
            other = np.int64(charts[half])
            while other != half:
                if lies_beyond(linked, signs, half, other):
                    joined = _place_of(near, k, other // 3)
                    if joined >= 0 and labels[joined] != labels[k]:
                        old, new = max(labels[k], labels[joined]), min(labels[k], labels[joined])
                        for third in range(k + 1):
                            if labels[third] == old:
                                labels[third] = new
                other = np.int64(charts[other])


@borrower
def _fill_planes(points, faces, px, py, near, count, planes):
    """Fill planes (N, 3) with 1 / depth of each face at the pixel's centre, and its gradient."""
    for k in range(count):
        planes[k, 0] = plane_at(points, faces, near[k], px, py)
        planes[k, 1], planes[k, 2] = depth_slopes(points, faces, near[k])


@borrower
def _meets(linked, half, face):
    """Whether a half edge and a face have a common vertex."""
    i, j = ends_of(linked, half)
    a, b, c = linked[face, 0], linked[face, 1], linked[face, 2]
    return (a == i) | (b == i) | (c == i) | (a == j) | (b == j) | (c == j)


@borrower
def _have_common_end(known, k, other):
    """Whether two candidates' edges meet in a vertex."""
    ax, ay, bx, by = known[k, AX], known[k, AY], known[k, BX], known[k, BY]
    cx, cy, dx, dy = known[other, AX], known[other, AY], known[other, BX], known[other, BY]
    at_a = ((cx == ax) & (cy == ay)) | ((dx == ax) & (dy == ay))
    return at_a | ((cx == bx) & (cy == by)) | ((dx == bx) & (dy == by))


@borrower
def _is_beside(known, k, other):
    """Whether a candidate's edge lies on one side of another one."""
    ax, ay, bx, by = known[k, AX], known[k, AY], known[k, BX], known[k, BY]
    first = side_of(ax, ay, bx, by, known[other, AX], known[other, AY])
    return first * side_of(ax, ay, bx, by, known[other, BX], known[other, BY]) > 0.0


@borrower
def _cross(known, k, other):
    """Return the share of a candidate's edge at which another one crosses it in the pixel, and whether it does."""
    ax, ay, bx, by = known[k, AX], known[k, AY], known[k, BX], known[k, BY]
    cx, cy, dx, dy = known[other, AX], known[other, AY], known[other, BX], known[other, BY]
    along, across = crossing(ax, ay, bx, by, cx, cy, dx, dy)
    return along, (known[k, T0] < along < known[k, T1]) & (known[other, T0] < across < known[other, T1])


@borrower
def are_entangled(known, sheets, outlines):
    """Whether outlines are those of more than one sheet, cross each other, or turn back where they meet."""
    for k in range(outlines):
        if sheets[k] != sheets[0]:
            return True
        for other in range(k):
            if _is_beside(known, k, other):
                continue
            if _have_common_end(known, k, other):
                along_x = (known[k, BX] - known[k, AX]) * (known[other, BX] - known[other, AX])
                if along_x + (known[k, BY] - known[k, AY]) * (known[other, BY] - known[other, AY]) < 0.0:
                    return True
            else:
                _, cross = _cross(known, k, other)
                if cross:
                    return True
    return False


@subroutine
def _cut(points, faces, linked, signs, here, known, outlines, k, px, py, near, planes, count, cuts, cut_by):
    """Fill cuts with the ends of a candidate's parts, one after the other, and cut_by with what cuts there: other outlines, and
    faces through which it goes; return the number of parts."""
    ax, ay, bx, by = known[k, AX], known[k, AY], known[k, BX], known[k, BY]
    t0, t1 = known[k, T0], known[k, T1]
    a, b = outward_ends(faces, signs, here[k])
    cuts[0], cut_by[0], ends = t0, NOTHING, 1
    for other in range(outlines):
        along, cross = _cross(known, k, other)
        if cross and not _have_common_end(known, k, other):
            ends = insert_cut(cuts, cut_by, ends, along, np.int64(other))
    x0, y0, x1, y1 = ax + t0 * (bx - ax), ay + t0 * (by - ay), ax + t1 * (bx - ax), ay + t1 * (by - ay)
    depth0, depth1 = (1.0 - t0) * points[a, 2] + t0 * points[b, 2], (1.0 - t1) * points[a, 2] + t1 * points[b, 2]
    for number in range(count):
        plane = planes[number]
        over = depth0 - plane[0] - plane[1] * x0 - plane[2] * y0
        under = depth1 - plane[0] - plane[1] * x1 - plane[2] * y1
        if (over > 0.0) == (under > 0.0) or _meets(linked, here[k], near[number]):
            continue
        t = t0 + (t1 - t0) * over / (over - under)
        if covers_point(points, faces, signs, near[number], px + ax + t * (bx - ax), py + ay + t * (by - ay)):
            ends = insert_cut(cuts, cut_by, ends, t, -2 - near[number])
    cuts[ends], cut_by[ends] = t1, NOTHING
    return ends


@borrower
def _is_at(ring, half, face):
    """Whether a face is one of those at the edge of a half edge."""
    current = half
    while True:
        if current // 3 == face:
            return True
        current = np.int64(ring[current])
        if current == half:
            return False


@subroutine
def _beyond(points, faces, signs, ring, half, own, x, y, px, py, near, planes, count):
    """Return where among faces the next one below the place (x, y) of a half edge is, relative to the pixel's centre, BASE if
    there is none, or HIDDEN if one of them is in front of it. `own` is its 1 / depth."""
    beyond, deepest = BASE, 0.0
    for k in range(count):
        depth = planes[k, 0] + planes[k, 1] * x + planes[k, 2] * y
        hides = NEARER * depth > own
        if not hides and not deepest < depth < NEARER * own:
            continue
        if not covers_point(points, faces, signs, near[k], px + x, py + y) or _is_at(ring, half, near[k]):
            continue
        if hides:
            return HIDDEN
        beyond, deepest = np.int64(k), depth
    return beyond


@subroutine
def find_entangled(
    points,
    faces,
    linked,
    signs,
    ring,
    charts,
    seen_sign,
    ids,
    under,
    beside,
    row,
    column,
    here,
    across,
    known,
    outlines,
    count,
    near,
    labels,
    planes,
    cuts,
    cut_by,
    parts,
    part_spans,
):
    """Fill parts (P, 6) and part_spans (P, 2), as `diffrender.cpu.parts.find_parts` does, of the candidates of a pixel, near (N,)
    with the faces that reach into it, and labels (N,) with which of them hang together: columns 4 and 5 of parts are the label on
    a part's inner side and on its outer one, BASE for nothing.

    Return how many parts and how many faces there are, the number of parts -1 if there is no room. `under` is the next face
    below the one that the pixel's centre sees, or -1.
    """
    px, py = column + 0.5, row + 0.5
    of = (points, faces, signs, ring, seen_sign)
    gathered = 0
    for k in range(outlines):
        gathered = _gather(*of, here[k] // 3, px, py, near, gathered)
        if gathered > len(near):
            return np.int64(-1), gathered
    # A sheet without an outline here covers the centre. The nearest such is seen, and others that cross it.
    base = np.int64(ids[row + RING, column + RING])
    if base >= 0 and _place_of(near, gathered, base) >= 0:
        base = under
        if base >= 0 and _place_of(near, gathered, base) >= 0:
            base, _ = walk(points, faces, linked, signs, ring, beside, px, py) if beside >= 0 else (beside, False)
    for number in range(-1, 9):
        seed = base if number < 0 else np.int64(ids[row + number // 3, column + number % 3])
        if seed >= 0:
            gathered = _gather(*of, seed, px, py, near, gathered)
        if gathered > len(near):
            return np.int64(-1), gathered
    _label(linked, signs, charts, near, gathered, labels)
    _fill_planes(points, faces, px, py, near, gathered, planes)
    found = np.int64(0)
    for k in range(count):
        a, b = outward_ends(faces, signs, here[k])
        ends = _cut(
            points, faces, linked, signs, here, known, outlines, k, px, py, near, planes, gathered, cuts, cut_by
        )
        inside = _place_of(near, gathered, here[k] // 3)
        outside = BASE if k < outlines else _place_of(near, gathered, across[k] // 3)
        if inside < 0 or (k >= outlines and outside < 0):
            continue
        for part in range(ends):
            begin, end = cuts[part], cuts[part + 1]
            if not begin < end:
                continue
            t = 0.5 * (begin + end)
            x, y = known[k, AX] + t * (known[k, BX] - known[k, AX]), known[k, AY] + t * (known[k, BY] - known[k, AY])
            own = (1.0 - t) * points[a, 2] + t * points[b, 2]
            beyond = _beyond(points, faces, signs, ring, here[k], own, x, y, px, py, near, planes, gathered)
            if beyond == HIDDEN:
                continue
            if k >= outlines:
                beyond = outside
            first, second = labels[inside], labels[beyond] if beyond >= 0 else BASE
            if first == second:
                continue
            if found == len(parts):
                return np.int64(-1), gathered
            parts[found, 0], parts[found, 1] = k, BASE
            parts[found, 2], parts[found, 3] = cut_by[part], cut_by[part + 1]
            parts[found, 4], parts[found, 5] = first, second
            part_spans[found, 0], part_spans[found, 1] = begin, end
            found += 1
    return found, gathered


@borrower
def are_labels_fair(known, inner, parts, part_spans, found, at_center, shares):
    """Whether the shares of the pixel that labels get are shares."""
    for k in range(len(shares)):
        shares[k] = 0.0
    shares[at_center] += 1.0  # BASE is the last
    for part in range(found):
        k = parts[part, 0]
        area = part_area(known, k, part_spans[part, 0], part_spans[part, 1])
        area = -area if inner[k] else area
        shares[parts[part, 4]] += area
        shares[parts[part, 5]] -= area
    fair = True
    for k in range(len(shares)):
        fair = fair and -_UNFAIR < shares[k] < 1.0 + _UNFAIR
    return fair


@borrower
def join_labels(labels, count, parts, part_spans, found, at_center):
    """Let all faces hang together, and leave the parts between them out; return how many are left, and the label of the pixel's
    centre."""
    kept = np.int64(0)
    for k in range(count):
        labels[k] = 0
    for part in range(found):
        if (parts[part, 4] == BASE) == (parts[part, 5] == BASE):
            continue
        for column in range(parts.shape[1]):
            parts[kept, column] = parts[part, column]
        parts[kept, 4], parts[kept, 5] = min(parts[part, 4], 0), min(parts[part, 5], 0)
        part_spans[kept, 0], part_spans[kept, 1] = part_spans[part, 0], part_spans[part, 1]
        kept += 1
    return kept, min(at_center, 0)


@subroutine
def place_of_label(points, faces, signs, near, labels, count, label, px, py):
    """Return the face, the corner and the two numbers of the place of a label that is nearest to the pixel's centre."""
    best, at_face, at_corner, share = np.inf, np.int64(-1), np.int64(-1), 0.0
    for k in range(count):
        if labels[k] != label:
            continue
        face = near[k]
        if covers_point(points, faces, signs, face, px, py):
            return face, np.int64(-1), px, py
        for corner in range(3):
            a, b = ends_of(faces, 3 * face + corner)
            ax, ay, bx, by = points[a, 0] - px, points[a, 1] - py, points[b, 0] - px, points[b, 1] - py
            t = nearest_on_edge(ax, ay, bx, by)
            x, y = ax + t * (bx - ax), ay + t * (by - ay)
            square = x * x + y * y
            if square < NEARER * best:
                best, at_face, at_corner, share = square, face, np.int64(corner), t
    return at_face, at_corner, share, 0.0


@borrower
def label_of(near, labels, count, face):
    """Return the label of a face, BASE for one that is not among those gathered."""
    place = _place_of(near, count, face)
    return labels[place] if place >= 0 else BASE


@borrower
def place_at_seam(signs, half, side, t):
    """Return the face, the corner and the two numbers of the place at the share t of a candidate's edge, on its half edge, or on
    that across a seam if `side` is 1, which goes the other way."""
    along = (signs[half // 3] > 0) == (side == 0)
    return half // 3, half % 3, t if along else 1.0 - t, 0.0
