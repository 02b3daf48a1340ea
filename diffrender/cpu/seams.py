"""Seams within a pixel: edges between two faces that are seen, across which attributes may jump.

A seam lies in a sheet, so it hides nothing. It divides what the sheet shows in the pixel into patches, each of which has one row
of values: that at the point of its boundary that is nearest to the pixel's centre.

Each candidate k has two sides, 2 k that of its half edge's face, and 2 k + 1, of seams alone, that of the face across.
"""

import numpy as np

from ..formulas.constants import COORDINATE_LIMIT
from ..jit import borrower, kernel, subroutine
from .candidates import AX, AY, BX, BY, DEPTH, DISTANCE, MOST, goes_on, nearest_point
from .fragments import corners_of, depth_slopes
from .outline import add_candidates
from .parts import BASE, part_area
from .sheet import depth_along, lies_beyond, outward_ends, same_depth, walk

_UNFAIR = 1e-6  # rounding of a share
_WITHIN = 1e-3  # of the way to a face's centroid: what is not on its border


@borrower
def seam_at(points, faces, linked, signs, ring, head, seen_sign):
    """Return the half edge of a seam, -1 if it is not seen, and the 1 / depth that all around must exceed to hide it."""
    half = np.int64(head)
    other = np.int64(ring[half])
    sign, across = signs[half // 3], signs[other // 3]
    if sign == 0 or (seen_sign != 0 and (sign != seen_sign or across != seen_sign)):
        return np.int64(-1), 0.0
    if not lies_beyond(linked, signs, half, other):
        return np.int64(-1), 0.0
    a, b = outward_ends(faces, signs, half)
    # Around a seam in a valley all is nearer than it: by as much as its faces rise within a pixel.
    rise = 0.0
    for side in range(2):
        sx, sy = depth_slopes(points, faces, (other if side else half) // 3)
        rise = max(rise, abs(sx) + abs(sy))
    if not rise < COORDINATE_LIMIT:
        rise = 0.0
    return half, max(points[a, 2], points[b, 2]) + rise


@kernel
def find_seam_candidates(
    points,
    faces,
    linked,
    signs,
    ring,
    pieces,
    seams,
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
):
    """Write a candidate for each pixel that a seam passes, unless all is nearer around it, as `find_outlines` does; halves (N,)
    is -1 - its half edge."""
    count, found = 0, 0
    for head in seams:
        half, highest = seam_at(points, faces, linked, signs, ring, head, seen_sign)
        if half < 0:
            continue
        a, b = outward_ends(faces, signs, half)
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
            -1 - half,
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


@subroutine
def _sheet_of(points, faces, linked, signs, ring, here, across, known, sheets, outlines, k, beside, px, py):
    """Return the sheet in which a seam lies: that of one of the outlines, or BASE; or -2, for none that is seen."""
    for o in range(outlines):
        if goes_on(points, faces, linked, signs, ring, here[k], here[o]) or goes_on(
            points, faces, linked, signs, ring, across[k], here[o]
        ):
            return sheets[o]
    x, y = nearest_point(known, k)
    if beside >= 0:
        depth, _ = depth_along(points, faces, linked, signs, ring, beside, px + x, py + y)
        if same_depth(depth, known[k, DEPTH]):
            return BASE
    for o in range(outlines):
        x, y = nearest_point(known, o)
        depth, _ = depth_along(points, faces, linked, signs, ring, here[k] // 3, px + x, py + y)
        if same_depth(depth, known[o, DEPTH]):
            return sheets[o]
    return np.int64(-2)


@borrower
def place_seams(
    points, faces, linked, signs, ring, here, across, known, inner, sheets, outlines, count, beside, px, py
):
    """Fill sheets (M,) of the seams, the candidates from `outlines` on, and leave those out that are not seen; return how many
    candidates are left."""
    kept = outlines
    for k in range(outlines, count):
        sheet = _sheet_of(points, faces, linked, signs, ring, here, across, known, sheets, outlines, k, beside, px, py)
        if sheet == -2:
            continue
        here[kept], across[kept], inner[kept], sheets[kept] = here[k], across[k], inner[k], sheet
        for column in range(known.shape[1]):
            known[kept, column] = known[k, column]
        kept += 1
    return kept


@borrower
def half_of(here, across, side):
    """Return the half edge of a side."""
    return across[side // 2] if side % 2 else here[side // 2]


@subroutine
def _same_patch(points, faces, linked, signs, charts, here, across, known, side, other, px, py):
    """Whether one comes from one side straight to a place by another, within its face, and across no seam."""
    face = half_of(here, across, other) // 3
    x, y = nearest_point(known, other // 2)
    ax, ay, bx, by, cx, cy = corners_of(points, faces, face)
    x, y = px + x, py + y
    x, y = x + _WITHIN * ((ax + bx + cx) / 3.0 - x), y + _WITHIN * ((ay + by + cy) / 3.0 - y)
    there, _ = walk(points, faces, linked, signs, charts, half_of(here, across, side) // 3, x, y)
    return there == face


@borrower
def find_patches(
    points, faces, linked, signs, charts, here, across, known, sheets, outlines, count, px, py, patches, closest_sides
):
    """Fill patches (2 M,) with one number for all sides of one patch, that of the side whose edge is nearest to the pixel's
    centre; closest_sides (2 M,) is room to work in. Two patches may be one: then it has two rows of values, either true.
    """
    for side in range(2 * count):
        patches[side], closest_sides[side] = side, -1
        if side % 2 and side // 2 < outlines:
            continue
        for other in range(side):
            if (
                patches[other] == patches[side]
                or sheets[other // 2] != sheets[side // 2]
                or other // 2 == side // 2
                or (other % 2 and other // 2 < outlines)
            ):
                continue
            if _same_patch(points, faces, linked, signs, charts, here, across, known, side, other, px, py):
                old, new = patches[side], patches[other]
                for third in range(side + 1):
                    if patches[third] == old:
                        patches[third] = new
    for side in range(2 * count):
        at = closest_sides[patches[side]]
        if at < 0 or known[side // 2, DISTANCE] < known[at // 2, DISTANCE]:
            closest_sides[patches[side]] = side
    for side in range(2 * count):
        patches[side] = closest_sides[patches[side]]


@subroutine
def patch_at(
    points,
    faces,
    linked,
    signs,
    charts,
    here,
    across,
    inner,
    sheets,
    closest,
    patches,
    outlines,
    count,
    sheet,
    below,
    x,
    y,
):
    """Return the patch of a sheet at (x, y), in which one of its sides lies; or BASE for that of the face `below`, unless that is
    -1, or if there is no other. The pixel's centre is on the side that `inner` says, should it lie on a seam."""
    if sheet == BASE and below >= 0:
        _, arrived = walk(points, faces, linked, signs, charts, below, x, y)
        if arrived:
            return BASE
    for k in range(count):
        if sheets[k] != sheet:
            continue
        first = 0 if k < outlines or inner[k] else 1
        for turn in range(1 if k < outlines else 2):
            side = 2 * k + (first + turn) % 2
            _, arrived = walk(points, faces, linked, signs, charts, half_of(here, across, side) // 3, x, y)
            if arrived:
                return patches[side]
    return BASE if sheet == BASE else patches[2 * closest[sheet]]


@borrower
def name_patches(
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
):
    """Fill the columns 4 and 5 of parts (P, 6) with the patches at a part's inner and its outer side; return that of the centre,
    and that which BASE has there, as far as it has one with a side."""
    find_patches(
        points,
        faces,
        linked,
        signs,
        charts,
        here,
        across,
        known,
        sheets,
        outlines,
        count,
        px,
        py,
        patches,
        closest_sides,
    )
    of = (here, across, inner, sheets, closest, patches, outlines, count)
    for part in range(found):
        k, outer = parts[part, 0], parts[part, 1]
        parts[part, 4] = patches[2 * k]
        if k >= outlines:
            parts[part, 5] = patches[2 * k + 1]
            continue
        t = 0.5 * (part_spans[part, 0] + part_spans[part, 1])
        x = px + known[k, AX] + t * (known[k, BX] - known[k, AX])
        y = py + known[k, AY] + t * (known[k, BY] - known[k, AY])
        parts[part, 5] = patch_at(points, faces, linked, signs, charts, *of, outer, below, x, y)
    of_base = patch_at(points, faces, linked, signs, charts, *of, BASE, np.int64(-1), px, py)
    if front < 0:
        return of_base, of_base
    return patch_at(points, faces, linked, signs, charts, *of, front, np.int64(-1), px, py), of_base


@borrower
def are_patches_fair(known, inner, parts, part_spans, found, at_center, of_base, shares):
    """Whether the shares of the pixel that patches get are shares."""
    for row in range(2 * MOST + 1):
        shares[row] = 0.0
    shares[at_center] += 1.0
    for part in range(found):
        k = parts[part, 0]
        area = part_area(known, k, part_spans[part, 0], part_spans[part, 1])
        area = -area if inner[k] else area
        for column in range(4, 6):
            row = parts[part, column]
            shares[of_base if row == BASE else row] += area if column == 4 else -area
    fair = True
    for row in range(2 * MOST + 1):
        fair = fair and -_UNFAIR < shares[row] < 1.0 + _UNFAIR
    return fair
