"""Lines where one sheet comes out of another: boundaries in a pixel that no edge tells."""

import numpy as np

from ..formulas.edge import chord, nearest_on_edge, shadow_area, side_of
from ..jit import borrower, subroutine
from ..spin import claim, finish
from .fragments import depth_slopes
from .hard import RING, ROWS
from .outline import find_outlines
from .resolve import close_gaps
from .sheet import depth_along, goes_under, inverse_depth_at, outward_ends, plane_at, same_depth, walk

_HALVINGS = 10  # of a pixel's width


@borrower
def _share_vertex(linked, f, g):
    a, b, c, p, q, r = linked[f, 0], linked[f, 1], linked[f, 2], linked[g, 0], linked[g, 1], linked[g, 2]
    # No branches: which of the corners it is cannot be guessed.
    return (a == p) | (a == q) | (a == r) | (b == p) | (b == q) | (b == r) | (c == p) | (c == q) | (c == r)


@subroutine
def _cut_chord(points, faces, linked, signs, ring, half, seen, under, px, py, ux, uy, vx, vy):
    """Cut the line u to v where two sheets cross to the inner side of an outline of either; return it, which of its ends is cut,
    0 for u, 1 for v or -1, and if any is left."""
    a, b = outward_ends(faces, signs, half)
    ax, ay, bx, by = points[a, 0] - px, points[a, 1] - py, points[b, 0] - px, points[b, 1] - py
    t = nearest_on_edge(ax, ay, bx, by)
    x, y = px + ax + t * (bx - ax), py + ay + t * (by - ay)
    own = (1.0 - t) * points[a, 2] + t * points[b, 2]
    first, _ = depth_along(points, faces, linked, signs, ring, seen, x, y)
    second, _ = depth_along(points, faces, linked, signs, ring, under, x, y)
    if not (same_depth(first, own) or same_depth(second, own)):
        return ux, uy, vx, vy, -1, True
    side_u, side_v = side_of(ax, ay, bx, by, ux, uy), side_of(ax, ay, bx, by, vx, vy)
    if side_u <= 0.0 and side_v <= 0.0:
        return ux, uy, vx, vy, -1, False
    if side_u >= 0.0 and side_v >= 0.0:
        return ux, uy, vx, vy, -1, True
    at = side_u / (side_u - side_v)
    x, y = ux + at * (vx - ux), uy + at * (vy - uy)
    if side_u < 0.0:
        return x, y, vx, vy, 0, True
    return ux, uy, x, y, 1, True


@borrower
def may_cross(linked, f, g):
    """Whether two faces seen side by side are other ones without a common corner."""
    return f >= 0 and g >= 0 and f != g and not _share_vertex(linked, f, g)


@borrower
def _is_suspect(points, faces, linked, signs, ring, f, g, row, column, down):
    """Whether the sheet of a pixel's face f does not go on to the face g of its neighbour."""
    x, y = column - RING + 1.5 - down, row - RING + 0.5 + down
    there, _ = walk(points, faces, linked, signs, ring, f, x, y)
    return there != g


@borrower
def _suspect_crossings(points, faces, linked, signs, ring, ids, run_ends, first_row, last_row, suspects, counts):
    """Write to suspects (H + 2, 2 W + 4) of each row, as many as counts (H + 2,) says, 2 column + 0 where a pixel and its
    neighbour to the right see other sheets, 2 column + 1 where it and the one below do.

    Only where runs of pixels end, in either row, see `draw_ids`, other faces meet.
    """
    width = ids.shape[1]
    for row in range(first_row, last_row + 1):
        run, run_below, begin, found = 0, 0, np.int64(0), 0
        while begin < width - 1:
            f, below = np.int64(ids[row, begin]), np.int64(ids[row + 1, begin])
            end, end_below = np.int64(run_ends[row, run]), np.int64(run_ends[row + 1, run_below])
            last = min(end, end_below)
            if may_cross(linked, f, below):
                for column in range(begin, last):
                    if _is_suspect(points, faces, linked, signs, ring, f, below, row, column, 1):
                        suspects[row, found] = 2 * column + 1
                        found += 1
            if end == last:
                right = np.int64(ids[row, end])
                if may_cross(linked, f, right) and _is_suspect(
                    points, faces, linked, signs, ring, f, right, row, end - 1, 0
                ):
                    # Before the one below of the same pixel.
                    at_end = found > 0 and suspects[row, found - 1] == 2 * end - 1
                    suspects[row, found] = suspects[row, found - 1] if at_end else 0
                    suspects[row, found - 1 if at_end else found] = 2 * end - 2
                    found += 1
                run += 1
            if end_below == last:
                run_below += 1
            begin = last
        counts[row] = found


@subroutine
def look_for_boundaries(
    stage,
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
    totals,
    run_ends,
    suspects,
    suspect_counts,
):
    """Do `find_outlines`, which is for one thread, with totals (2,) of candidates and pixels, and `_suspect_crossings` beside it,
    strip by strip."""
    rows = len(nearest) - 1
    while True:
        task = claim(stage)
        if (task - 1) * ROWS >= rows:
            break
        if task > 0:
            first_row, last_row = (task - 1) * ROWS, min(task * ROWS, rows) - 1
            _suspect_crossings(
                points, faces, linked, signs, ring, ids, run_ends, first_row, last_row, suspects, suspect_counts
            )
            finish(stage)
            continue
        totals[0], totals[1] = find_outlines(
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
            totals[0],
            totals[1],
        )
        finish(stage)


@subroutine
def meeting_faces(points, faces, linked, signs, ring, f, g, x, y, x2, y2):
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


@borrower
def cross_pixel(
    points,
    faces,
    linked,
    signs,
    ring,
    halves,
    before,
    start,
    seen,
    under,
    first,
    other,
    pixel,
    px,
    py,
    nothing,
    pairs,
    pair_end,
    count,
    place_end,
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
    """Write the pair of a pixel, after `pairs` pairs if that is before `pair_end`, where its face `first`, of the sheet that is
    seen, meets the face `other`, of the one under it, and a place after `count` places; return how many there are now.

    The candidates of the pixel, from `start` on, cut the line. owners (N, 2) are -1 - face of the two, to be told from vertices.
    """
    over = plane_at(points, faces, first, px, py) - plane_at(points, faces, other, px, py)
    sx, sy = depth_slopes(points, faces, first)
    tx, ty = depth_slopes(points, faces, other)
    ux, uy, vx, vy, crosses = chord(over, sx - tx, sy - ty)
    candidate, cut_u, cut_v = start, np.int64(-1), np.int64(-1)
    while crosses and candidate >= 0 and halves[candidate] >= 0:  # seams come last
        half = np.int64(halves[candidate])
        candidate = np.int64(before[candidate])
        ux, uy, vx, vy, cut, crosses = _cut_chord(
            points, faces, linked, signs, ring, half, seen, under, px, py, ux, uy, vx, vy
        )
        cut_u, cut_v = half if cut == 0 else cut_u, half if cut == 1 else cut_v
    if not crosses:
        return pairs, count
    if pairs < pair_end and count < place_end:
        place_faces[count], place_corners[count], place_pixels[count] = under, -1, pixel
        places[count, 0], places[count, 1] = px, py
        pixels[pairs], areas[pairs] = pixel, shadow_area(ux, uy, vx, vy)
        sides[pairs, 0], sides[pairs, 1] = pixel, nothing + 1 + count
        owners[pairs, 0], owners[pairs, 1] = -1 - first, -1 - other
        numbers[pairs, 0], numbers[pairs, 1], numbers[pairs, 2], numbers[pairs, 3] = ux, uy, vx, vy
        for end in range(2):
            half = cut_v if end else cut_u
            cutters[pairs, 2 * end], cutters[pairs, 2 * end + 1] = -1, -1
            if half >= 0:
                cutters[pairs, 2 * end], cutters[pairs, 2 * end + 1] = outward_ends(faces, signs, half)
    return pairs + 1, count + 1


@borrower
def _find_crossings(
    points,
    faces,
    linked,
    signs,
    ring,
    ids,
    suspects,
    suspect_counts,
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
    """Write a pair for each pixel through which the line goes where a sheet comes out of another, after `pairs` pairs and `count`
    places.

    Of two neighbours that see different sheets, each sheet goes on below the other.
    """
    height, width = ids.shape[0] - 2 * RING, ids.shape[1] - 2 * RING
    for row in range(len(suspect_counts)):
        for number in range(suspect_counts[row]):
            column, down = np.int64(suspects[row, number] // 2), np.int64(suspects[row, number] % 2)
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
            of_f, of_g = meeting_faces(points, faces, linked, signs, ring, f, g, x, y, x2, y2)
            for second in range(2):
                i, j = (row2, column2) if second else (row, column)
                if i < RING or i >= height + RING or j < RING or j >= width + RING or marks[i, j]:
                    continue
                marks[i, j] = True
                seen, under = (g, f2) if second else (f, g2)
                px, py = j - RING + 0.5, i - RING + 0.5
                first, other = (of_g, of_f) if second else (of_f, of_g)
                pixel = (i - RING) * width + j - RING
                pairs, count = cross_pixel(
                    points,
                    faces,
                    linked,
                    signs,
                    ring,
                    halves,
                    before,
                    np.int64(last[pixel]),
                    seen,
                    under,
                    first,
                    other,
                    pixel,
                    px,
                    py,
                    height * width,
                    pairs,
                    len(pixels),
                    count,
                    len(place_faces),
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
                )
    return pairs, count


@subroutine
def finish_boundaries(
    portions,
    points,
    faces,
    linked,
    signs,
    ring,
    ids,
    suspects,
    suspect_counts,
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
    changed,
    changed_starts,
    changed_of,
):
    """Do `close_gaps` and `_find_crossings`, and name the pixels that pairs are in.

    changed (N,) are these, each once and strip after strip, those of each from changed_starts (S + 1,) on, and changed_of (N,)
    is which of them a pair is in. Return how many pairs, places and such pixels there are, and for how many pairs there should
    be room, if that is not enough.
    """
    nothing, room = (ids.shape[0] - 2 * RING) * (ids.shape[1] - 2 * RING), len(pixels)
    needed, pairs, count = close_gaps(
        portions,
        nothing + 1,
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
    )
    if needed > room:
        return pairs, count, 0, needed
    marks = np.zeros(ids.shape if suspect_counts.any() else (0, 0), np.bool_)
    pairs, count = _find_crossings(
        points,
        faces,
        linked,
        signs,
        ring,
        ids,
        suspects,
        suspect_counts,
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
    )
    if pairs > room or count > len(place_faces):
        return pairs, count, 0, max(pairs, count)
    width = ids.shape[1] - 2 * RING
    # What candidates there were has been used: `last`, -1 or more so far, is now the number of a pixel.
    for strip in range(len(changed_starts)):
        changed_starts[strip] = 0
    for pair in range(pairs):
        pixel = np.int64(pixels[pair])
        if last[pixel] >= -1:
            last[pixel] = -2
            changed_starts[(pixel // width + RING) // ROWS + 1] += 1
    cursor = np.empty(len(changed_starts), np.int64)
    cursor[0] = 0
    for strip in range(len(changed_starts) - 1):
        changed_starts[strip + 1] += changed_starts[strip]
        cursor[strip + 1] = changed_starts[strip + 1]
    for pair in range(pairs):
        pixel = np.int64(pixels[pair])
        if last[pixel] == -2:
            strip = (pixel // width + RING) // ROWS
            last[pixel] = cursor[strip]
            changed[cursor[strip]] = pixel
            cursor[strip] += 1
        changed_of[pair] = last[pixel]
    return pairs, count, changed_starts[-1], room
