"""What is seen on both sides of each boundary within a pixel: `diffrender.cpu.resolve` and `diffrender.cpu.cross`, a pixel a
thread.

Pixels are gone over twice: counted first, so that each knows where its pairs and places go, and then written there.
"""

import numpy as np
from numba import cuda

from ..cpu.candidates import MOST, find_front, join_sheets, read_candidates
from ..cpu.cross import cut_chord, meeting_faces
from ..cpu.fragments import depth_slopes
from ..cpu.hard import RING
from ..cpu.parts import PARTS, UNKNOWN, are_fair, face_beside, find_parts
from ..cpu.resolve import write_pairs, write_places
from ..cpu.sheet import goes_under, outward_ends, plane_at
from ..formulas.edge import chord, shadow_area
from .jit import SIMULATED, kernel, shared
from .zbuffer import NOBODY

# Of a block, not even a warp: pixels that share one wait for each other's branches, and there are more warps than pixels need.
THREADS = 4 if SIMULATED else 8
BLOCKS = 2 if SIMULATED else 1056  # so many have a scratch pad of 11 kB a thread
# Of a thread: shapes and kinds of what `resolve_outlines` of the CPU has.
SCRATCH = (
    ((MOST,), np.int64),  # half edges
    ((MOST, 9), np.float64),  # what is known of each
    ((MOST,), np.bool_),  # whether the centre is on its inner side
    ((MOST,), np.int64),  # sheets
    ((MOST,), np.int64),  # the candidate of each that is nearest to the centre
    ((MOST,), np.bool_),  # whether a sheet covers the centre
    ((MOST,), np.float64),  # at which 1 / depth
    ((MOST + 1,), np.int64),  # the row of each sheet
    ((MOST + 1,), np.float64),  # its share of the pixel
    ((MOST + 3,), np.float64),  # cuts
    ((MOST + 3,), np.int64),  # by what
    ((PARTS, 4), np.int64),
    ((PARTS, 2), np.float64),
)


@shared
def _resolve(
    surface, seen, under, outlines, first, last, pixel, scratch, thread, used, pairs, end, place_end, into, places
):
    """Write the pairs of the outlines [first, last) in a pixel from `pairs` on, as far as they come before `end`, and their
    places from `used` on; return how many there are now."""
    points, faces, linked, signs, ring = surface
    nearest, ids = seen
    height, width = ids.shape[0] - 2 * RING, ids.shape[1] - 2 * RING
    nothing = height * width
    row, column = pixel // width, pixel % width
    px, py = column + 0.5, row + 0.5
    here, known, inner = scratch[0][thread], scratch[1][thread], scratch[2][thread]
    sheets, closest, center_in = scratch[3][thread], scratch[4][thread], scratch[5][thread]
    center_depth, of_sheet, gained = scratch[6][thread], scratch[7][thread], scratch[8][thread]
    cuts, cut_by, parts, part_spans = scratch[9][thread], scratch[10][thread], scratch[11][thread], scratch[12][thread]
    halves, spans, before = outlines
    start = np.int64(last - 1 if first < last else -1)
    count = read_candidates(points, faces, signs, halves, spans, before, start, px, py, here, known, inner)
    join_sheets(points, faces, linked, signs, ring, here, known, inner, count, px, py, sheets, closest)
    over, beside = nearest[row + RING, column + RING], np.int64(ids[row + RING, column + RING])
    centers = (center_in, center_depth)
    front = find_front(*surface, here, known, inner, sheets, closest, count, px, py, over, center_in, center_depth)
    if front >= 0:
        below = np.int64(-1) if under[pixel] == NOBODY else np.int64(under[pixel])
        beside = face_beside(*surface, ids, below, row, column, known, sheets, closest, count)
        if beside == UNKNOWN:
            return used, pairs
    found = find_parts(
        *surface, here, known, sheets, closest, center_in, count, beside, px, py, cuts, cut_by, parts, part_spans
    )
    if not are_fair(known, inner, sheets, *centers, count, front, parts, part_spans, found, gained):
        return used, pairs
    for k in range(count):
        of_sheet[k] = -1
    of_sheet[MOST] = pixel if front < 0 else (nothing if beside < 0 else -1)
    used = write_places(
        *surface,
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
        nothing + 1 + used,
        of_sheet,
        used,
        place_end,
        *places,
    )
    write_pairs(faces, signs, here, known, inner, sheets, of_sheet, parts, part_spans, found, pixel, pairs, end, *into)
    return used, pairs + found


@shared
def _resolve_crossing(surface, ids, outlines, first, last, pixel, owner, used, pairs, end, into, places):
    """Write the pair of the line where two sheets cross in a pixel, and its place; return how many there are now. See
    `diffrender.cpu.cross.find_crossings`."""
    points, faces, linked, signs, ring = surface
    halves, before = outlines[0], outlines[2]
    rows, columns = ids.shape
    suspect, second = owner // 2, owner % 2
    row, column, down = suspect // 2 // columns, suspect // 2 % columns, suspect % 2
    f, g = np.int64(ids[row, column]), np.int64(ids[row + down, column + 1 - down])
    x, y = column - RING + 0.5, row - RING + 0.5
    x2, y2 = x + 1.0 - down, y + down
    of_f, of_g = meeting_faces(points, faces, linked, signs, ring, f, g, x, y, x2, y2)
    if second == 1:
        f2, _ = goes_under(points, faces, linked, signs, ring, f, x2, y2, g)
        seen, under, front, other, px, py = g, np.int64(f2), of_g, of_f, x2, y2
    else:
        g2, _ = goes_under(points, faces, linked, signs, ring, g, x, y, f)
        seen, under, front, other, px, py = f, np.int64(g2), of_f, of_g, x, y
    over = plane_at(points, faces, front, px, py) - plane_at(points, faces, other, px, py)
    sx, sy = depth_slopes(points, faces, front)
    tx, ty = depth_slopes(points, faces, other)
    ux, uy, vx, vy, crosses = chord(over, sx - tx, sy - ty)
    cut_u, cut_v = np.int64(-1), np.int64(-1)
    candidate = np.int64(last - 1 if first < last else -1)
    while crosses and candidate >= 0:
        half = np.int64(halves[candidate])
        candidate = np.int64(before[candidate])
        ux, uy, vx, vy, cut, crosses = cut_chord(
            points, faces, linked, signs, ring, half, seen, under, px, py, ux, uy, vx, vy
        )
        cut_u, cut_v = half if cut == 0 else cut_u, half if cut == 1 else cut_v
    if not crosses:
        return used, pairs
    if pairs < end:
        pixels, sides, areas, owners, numbers, cutters = into
        place_faces, place_corners, at, place_pixels = places
        place_faces[used], place_corners[used], place_pixels[used] = under, -1, pixel
        at[used, 0], at[used, 1] = px, py
        pixels[pairs], areas[pairs] = pixel, shadow_area(ux, uy, vx, vy)
        sides[pairs, 0], sides[pairs, 1] = pixel, (rows - 2 * RING) * (columns - 2 * RING) + 1 + used
        owners[pairs, 0], owners[pairs, 1] = -1 - front, -1 - other
        numbers[pairs, 0], numbers[pairs, 1], numbers[pairs, 2], numbers[pairs, 3] = ux, uy, vx, vy
        for end_of in range(2):
            half = cut_v if end_of else cut_u
            cutters[pairs, 2 * end_of], cutters[pairs, 2 * end_of + 1] = -1, -1
            if half >= 0:
                cutters[pairs, 2 * end_of], cutters[pairs, 2 * end_of + 1] = outward_ends(faces, signs, half)
    return used + 1, pairs + 1


@kernel
def resolve(surface, seen, under, outlines, starts, order, owners, scratch, writing, counts, offsets, into, places):
    """Fill counts (2 P,) with how many pairs each of the pixels in order (P,) has, and then how many places; or, when `writing`,
    write them from offsets (2 P + 1,) on: `into` and `places` are what `diffrender.fragments.Pairs` and `Places` hold."""
    thread, count = cuda.grid(1), len(order)
    for i in range(thread, count, cuda.gridsize(1)):
        pixel = order[i]
        pairs, used = np.int64(0), np.int64(0)
        end, place_end = np.int64(0), np.int64(0)
        if writing:
            pairs, used = offsets[i], offsets[count + i] - offsets[count]
            end, place_end = offsets[i + 1], offsets[count + i + 1] - offsets[count]
        first_pair, first_place = pairs, used
        first, last = starts[pixel], starts[pixel + 1]
        if first < last:
            used, pairs = _resolve(
                surface,
                seen,
                under,
                outlines,
                first,
                last,
                pixel,
                scratch,
                thread,
                used,
                pairs,
                end,
                place_end,
                into,
                places,
            )
        if owners[pixel] != NOBODY:
            used, pairs = _resolve_crossing(
                surface, seen[1], outlines, first, last, pixel, owners[pixel], used, pairs, end, into, places
            )
        if not writing:
            counts[i] = pairs - first_pair
            counts[count + i] = used - first_place
