"""What is seen on both sides of each outline within a pixel.

Each (pixel, boundary) pair names two rows of values, that on the side of the pixel's centre and that beyond, and has the area
beyond: the image is the centre's value plus the sum of area * (beyond - near).
"""

import numpy as np

from ..jit import borrower, subroutine
from ..spin import claim, finish
from .candidates import MOST, SHARE, find_front, join_sheets, read_candidates
from .entangled import (
    MOST_FACES,
    are_entangled,
    are_labels_fair,
    find_entangled,
    join_labels,
    label_of,
    place_at_seam,
    place_of_label,
)
from .hard import RING
from .parts import BASE, NOTHING, PARTS, UNKNOWN, are_fair, find_parts, near_beside, next_below, part_area
from .seams import are_patches_fair, half_of, name_patches, place_seams
from .sheet import outward_ends, walk

ROWS = MOST_FACES + 2 * MOST + 1  # of labels, of both sides of candidates, and of nothing
NUMBERS = 4  # of a pair: t of both ends of an edge, and its turn; both ends of a chord, from the pixel's centre


@borrower
def write_places(
    points,
    faces,
    linked,
    signs,
    ring,
    here,
    across,
    known,
    parts,
    found,
    outlines,
    at_center,
    beside,
    pixel,
    px,
    py,
    row,
    rows,
    used,
    end,
    place_faces,
    place_corners,
    places,
    place_pixels,
):
    """Write the places that parts in a pixel need after `used` places, the next of which has this row of values, as far as they
    come before `end`, and fill rows (2 M + 1,) with the row of each side of a candidate that stands for a patch, and last of what
    lies below them all; return how many there are now."""
    for part in range(found):
        for which in range(4, 6):
            side = parts[part, which]
            if rows[side] >= 0 or (side == at_center and parts[part, 0] < outlines):
                continue
            rows[side] = row
            row += 1
            if used < end:
                place_pixels[used] = pixel
                if side < 0:
                    place_faces[used], _ = walk(points, faces, linked, signs, ring, beside, px, py)
                    place_corners[used], places[used, 0], places[used, 1] = -1, px, py
                else:
                    place = place_at_seam(signs, half_of(here, across, side), side % 2, known[side // 2, SHARE])
                    place_faces[used], place_corners[used], places[used, 0], places[used, 1] = place
            used += 1
    return used


@borrower
def write_pairs(
    faces,
    signs,
    here,
    known,
    inner,
    rows,
    parts,
    part_spans,
    found,
    outlines,
    at_center,
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
    """Write a pair for each part in a pixel, after `written` pairs, as far as they come before `end`.

    Beside an outline the patch that the centre sees has its value there: so the image is a mean of what is seen, and within its
    range however fast that changes. Beside a seam it has that at the seam, where the other side may have the same.
    """
    for pair in range(written, min(written + found, end)):
        part = pair - written
        k, first, last = parts[part, 0], part_spans[part, 0], part_spans[part, 1]
        own, beyond = rows[parts[part, 4]], rows[parts[part, 5]]
        if k < outlines:
            own = pixel if parts[part, 4] == at_center else own
            beyond = pixel if parts[part, 5] == at_center else beyond
        pixels[pair], areas[pair] = pixel, part_area(known, k, first, last)
        sides[pair, 0], sides[pair, 1] = (own, beyond) if inner[k] else (beyond, own)
        owners[pair, 0], owners[pair, 1] = outward_ends(faces, signs, here[k])
        numbers[pair, 0], numbers[pair, 1], numbers[pair, 2] = first, last, 1.0 if inner[k] else -1.0
        for side in range(2):
            by = parts[part, 2 + side]
            cutters[pair, 2 * side], cutters[pair, 2 * side + 1] = min(by, NOTHING), NOTHING
            if by >= 0:
                cutters[pair, 2 * side], cutters[pair, 2 * side + 1] = outward_ends(faces, signs, here[by])


@borrower
def look_at_pixel(
    points,
    faces,
    linked,
    signs,
    ring,
    nearest,
    ids,
    halves,
    spans,
    before,
    start,
    below,
    row,
    column,
    px,
    py,
    here,
    across,
    known,
    inner,
    sheets,
    closest,
    center_in,
    center_depth,
):
    """Read the candidates of a pixel, from `start` on, and join its sheets.

    Return how many outlines there are, and how many candidates, the sheet in front at the centre, or -1, and the face below the
    sheets with outlines, -1 for none: the next one `below` the centre, or another, or UNKNOWN, see `near_beside`.
    """
    outlines, count = read_candidates(
        points, faces, signs, ring, halves, spans, before, start, px, py, here, across, known, inner
    )
    join_sheets(points, faces, linked, signs, ring, here, known, inner, outlines, px, py, sheets, closest)
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
        outlines,
        px,
        py,
        over,
        center_in,
        center_depth,
    )
    if front >= 0:
        beside = near_beside(
            points, faces, linked, signs, ring, ids, below, row, column, known, sheets, closest, outlines
        )
    return outlines, count, front, beside


@borrower
def _resolve_sheets(
    points,
    faces,
    linked,
    signs,
    ring,
    charts,
    outlines,
    count,
    front,
    beside,
    pixel,
    px,
    py,
    nothing,
    here,
    across,
    known,
    inner,
    sheets,
    closest,
    center_in,
    center_depth,
    patches,
    closest_sides,
    rows,
    gained,
    gained_by_patches,
    cuts,
    cut_by,
    parts,
    part_spans,
    pairs,
    pair_end,
    first_row,
    used,
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
    """Do what `resolve_pixel` does by what sheets cover, and return as well whether all outlines are seen: where one seems
    hidden, or sheets get shares that are none, it may be that they are not told apart."""
    if count > outlines:
        count = place_seams(
            points,
            faces,
            linked,
            signs,
            ring,
            here,
            across,
            known,
            inner,
            sheets,
            outlines,
            count,
            beside,
            px,
            py,
        )
        if count == 0:
            return pairs, used, True
    is_sure = True
    while True:
        found = find_parts(
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
        )
        is_sure = is_sure and found >= count
        if count == outlines:
            at_center = 2 * closest[front] if front >= 0 else BASE
            for part in range(found):
                beyond = parts[part, 1]
                parts[part, 4] = 2 * closest[sheets[parts[part, 0]]]
                parts[part, 5] = 2 * closest[beyond] if beyond >= 0 else BASE
            break
        below = beside
        if beside >= 0:
            below, _ = walk(points, faces, linked, signs, ring, beside, px, py)
        at_center, of_base = name_patches(
            points,
            faces,
            linked,
            signs,
            charts,
            here,
            across,
            known,
            inner,
            sheets,
            closest,
            outlines,
            count,
            below,
            px,
            py,
            front,
            patches,
            closest_sides,
            parts,
            part_spans,
            found,
        )
        if are_patches_fair(known, inner, parts, part_spans, found, at_center, of_base, gained_by_patches):
            break
        count = outlines  # without the seams, then
    if not are_fair(known, inner, sheets, center_in, center_depth, outlines, front, parts, part_spans, found, gained):
        return pairs, used, False
    for side in range(2 * count):
        rows[side] = -1
    rows[BASE] = pixel if front < 0 else (nothing if beside < 0 else -1)
    used = write_places(
        points,
        faces,
        linked,
        signs,
        ring,
        here,
        across,
        known,
        parts,
        found,
        outlines,
        at_center,
        beside,
        pixel,
        px,
        py,
        first_row + used,
        rows,
        used,
        place_end,
        place_faces,
        place_corners,
        places,
        place_pixels,
    )
    write_pairs(
        faces,
        signs,
        here,
        known,
        inner,
        rows,
        parts,
        part_spans,
        found,
        outlines,
        at_center,
        pixel,
        pairs,
        pair_end,
        pixels,
        sides,
        areas,
        owners,
        numbers,
        cutters,
    )
    return pairs + found, used, is_sure


@borrower
def _resolve_faces(
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
    pixel,
    row,
    column,
    nothing,
    here,
    across,
    known,
    inner,
    outlines,
    count,
    near,
    labels,
    planes,
    shares,
    cuts,
    cut_by,
    rows,
    parts,
    part_spans,
    pairs,
    pair_end,
    first_row,
    used,
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
    """Do what `resolve_pixel` does by looking at faces, see `diffrender.cpu.entangled`, and return as well whether that could be
    done."""
    found, gathered = find_entangled(
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
    )
    if found < 0:
        return pairs, used, False
    at_center = label_of(near, labels, gathered, np.int64(ids[row + RING, column + RING]))
    if not are_labels_fair(known, inner, parts, part_spans, found, at_center, shares):
        # Surfaces that cross have boundaries that no edge tells.
        found, at_center = join_labels(labels, gathered, parts, part_spans, found, at_center)
        if not are_labels_fair(known, inner, parts, part_spans, found, at_center, shares):
            return pairs, used, False
    for side in range(len(rows)):
        rows[side] = -1
    rows[BASE] = nothing  # the last
    for part in range(found):
        k = parts[part, 0]
        for side in range(2):
            label = parts[part, 4 + side]
            if k >= outlines:  # values beside a seam are those at the seam
                label = MOST_FACES + 2 * k + side
                parts[part, 4 + side] = label
            elif label == at_center:
                continue
            if rows[label] >= 0:
                continue
            rows[label] = first_row + used
            if used < place_end:
                place_pixels[used] = pixel
                if k >= outlines:
                    place = place_at_seam(signs, half_of(here, across, 2 * k + side), side, known[k, SHARE])
                else:
                    place = place_of_label(points, faces, signs, near, labels, gathered, label, column + 0.5, row + 0.5)
                place_faces[used], place_corners[used], places[used, 0], places[used, 1] = place
            used += 1
    write_pairs(
        faces,
        signs,
        here,
        known,
        inner,
        rows,
        parts,
        part_spans,
        found,
        outlines,
        at_center,
        pixel,
        pairs,
        pair_end,
        pixels,
        sides,
        areas,
        owners,
        numbers,
        cutters,
    )
    return pairs + found, used, True


@borrower
def resolve_pixel(
    points,
    faces,
    linked,
    signs,
    ring,
    charts,
    seen_sign,
    halves,
    spans,
    before,
    start,
    ids,
    under,
    outlines,
    count,
    front,
    beside,
    pixel,
    row,
    column,
    nothing,
    here,
    across,
    known,
    inner,
    sheets,
    closest,
    center_in,
    center_depth,
    patches,
    closest_sides,
    rows,
    gained,
    gained_by_patches,
    cuts,
    cut_by,
    parts,
    part_spans,
    near,
    labels,
    planes,
    shares,
    pairs,
    pair_end,
    first_row,
    used,
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
    """Write the pairs of a pixel after `pairs` pairs, as far as they come before `pair_end`, and after `used` places those that
    they need, as far as they come before `place_end`; return how many there are now. Place k has the row `first_row` + k.

    Outlines of one sheet that are all seen tell by themselves what lies where. Of others all faces are looked at.
    """
    px, py = column + 0.5, row + 0.5
    into = (pixels, sides, areas, owners, numbers, cutters, place_faces, place_corners, places, place_pixels)
    to_faces = are_entangled(known, sheets, outlines)
    while True:
        if to_faces:
            # Seams that are not seen may have been left out.
            outlines, count = read_candidates(
                points, faces, signs, ring, halves, spans, before, start, px, py, here, across, known, inner
            )
            more_pairs, more_used, is_done = _resolve_faces(
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
                pixel,
                row,
                column,
                nothing,
                here,
                across,
                known,
                inner,
                outlines,
                count,
                near,
                labels,
                planes,
                shares,
                cuts,
                cut_by,
                rows,
                parts,
                part_spans,
                pairs,
                pair_end,
                first_row,
                used,
                place_end,
                *into,
            )
            if is_done:
                return more_pairs, more_used
        more_pairs, more_used, is_sure = _resolve_sheets(
            points,
            faces,
            linked,
            signs,
            ring,
            charts,
            outlines,
            count,
            front,
            beside,
            pixel,
            px,
            py,
            nothing,
            here,
            across,
            known,
            inner,
            sheets,
            closest,
            center_in,
            center_depth,
            patches,
            closest_sides,
            rows,
            gained,
            gained_by_patches,
            cuts,
            cut_by,
            parts,
            part_spans,
            pairs,
            pair_end,
            first_row,
            used,
            place_end,
            *into,
        )
        if is_sure or to_faces:
            return more_pairs, more_used
        to_faces = True


@subroutine
def resolve_outlines(
    stage,
    points,
    faces,
    linked,
    signs,
    ring,
    charts,
    bounds,
    starts,
    entries,
    seen_sign,
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
    """Write a pair for each part of an outline or seam that is seen in a pixel, and the places whose values it needs.

    The pixels come in as many portions as counts (P, 2) has rows, each with its part of the room: `close_gaps` brings together
    what they give. counts is how many pairs and places each has; what has no room is left out.

    The outlines in a pixel belong to sheets. Where those of two sheets cross, they are cut. A part is hidden if a nearer sheet
    covers its middle, and else has on its outer side the nearest sheet that does. What has no outline in the pixel lies behind
    them all or in front of all: it is what the centre sees or else, if that is one of the sheets, the next face below, under
    (H W,), or what the neighbour on the outer side sees. Seams divide sheets into patches.

    pixels (N,), sides (N, 2) the rows of values near and beyond, areas (N,), owners (N, 2) the vertices the edge goes from and to
    with its face on the inner side, numbers (N, 4), cutters (N, 4) for each of its two ends those of the edge that cuts it there,
    or -2 - the face in which it goes under, or -1.
    """
    height, width = ids.shape[0] - 2 * RING, ids.shape[1] - 2 * RING
    nothing = height * width
    here, known, inner = np.empty(MOST, np.int64), np.empty((MOST, 9)), np.empty(MOST, np.bool_)
    sheets, closest, across = np.empty(MOST, np.int64), np.empty(MOST, np.int64), np.empty(MOST, np.int64)
    center_in, center_depth = np.empty(MOST, np.bool_), np.empty(MOST)
    patches, closest_sides = np.empty(2 * MOST, np.int64), np.empty(2 * MOST, np.int64)
    rows, near, labels = np.empty(ROWS, np.int64), np.empty(MOST_FACES, np.int64), np.empty(MOST_FACES, np.int64)
    planes, shares = np.empty((MOST_FACES, 3)), np.empty(MOST_FACES + 1)
    gained, gained_by_patches = np.empty(MOST + 1), np.empty(2 * MOST + 1)
    cuts, cut_by = np.empty(MOST + 3), np.empty(MOST + 3, np.int64)
    parts, part_spans = np.empty((PARTS, 6), np.int64), np.empty((PARTS, 2))
    portions, room, place_room = len(counts), len(pixels) // len(counts), len(place_faces) // len(counts)
    while True:
        portion = claim(stage)
        if portion >= portions:
            break
        first_pair, first_place = portion * room, portion * place_room
        pairs, used = first_pair, first_place
        for number in range(len(order) * portion // portions, len(order) * (portion + 1) // portions):
            pixel = np.int64(order[number])
            row, column = pixel // width, pixel % width
            px, py = column + 0.5, row + 0.5
            outlines, count, front, beside = look_at_pixel(
                points,
                faces,
                linked,
                signs,
                ring,
                nearest,
                ids,
                halves,
                spans,
                before,
                np.int64(last[pixel]),
                np.int64(under[pixel]),
                row,
                column,
                px,
                py,
                here,
                across,
                known,
                inner,
                sheets,
                closest,
                center_in,
                center_depth,
            )
            if beside == UNKNOWN:
                beside = next_below(
                    points,
                    faces,
                    linked,
                    signs,
                    ring,
                    bounds,
                    starts,
                    entries,
                    seen_sign,
                    row,
                    column,
                    known,
                    sheets,
                    closest,
                    outlines,
                )
            pairs, used = resolve_pixel(
                points,
                faces,
                linked,
                signs,
                ring,
                charts,
                seen_sign,
                halves,
                spans,
                before,
                np.int64(last[pixel]),
                ids,
                np.int64(under[pixel]),
                outlines,
                count,
                front,
                beside,
                pixel,
                row,
                column,
                nothing,
                here,
                across,
                known,
                inner,
                sheets,
                closest,
                center_in,
                center_depth,
                patches,
                closest_sides,
                rows,
                gained,
                gained_by_patches,
                cuts,
                cut_by,
                parts,
                part_spans,
                near,
                labels,
                planes,
                shares,
                pairs,
                first_pair + room,
                nothing + 1 - first_place,
                used,
                first_place + place_room,
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
        counts[portion, 0], counts[portion, 1] = pairs - first_pair, used - first_place
        finish(stage)


@borrower
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
