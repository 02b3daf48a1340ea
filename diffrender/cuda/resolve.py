"""What is seen on both sides of each boundary within a pixel: `diffrender.cpu.resolve` and `diffrender.cpu.cross`, a pixel a
thread.

Pixels are gone over twice: counted first, so that each knows where its pairs and places go, and then written there. Those few
that must look through all faces for what lies below are found on the first turn, and counted after that.
"""

import numpy as np
from numba import cuda

from ..cpu.candidates import MOST
from ..cpu.cross import cross_pixel, meeting_faces
from ..cpu.entangled import MOST_FACES
from ..cpu.hard import RING
from ..cpu.parts import PARTS, UNKNOWN, depth_below
from ..cpu.resolve import ROWS, look_at_pixel, resolve_pixel
from ..cpu.sheet import goes_under
from ..jit import borrower
from .jit import SIMULATED, kernel, shared
from .zbuffer import NOBODY, sign_seen

# Of a block, not even a warp: pixels that share one wait for each other's branches, and there are more warps than pixels need.
THREADS = 4 if SIMULATED else 8
BLOCKS = 2 if SIMULATED else 1056  # so many have a scratch pad of 23 kB a thread
LANES = 4 if SIMULATED else 128  # of a block that looks through all faces for a pixel
# Of a thread: shapes and kinds of what `resolve_outlines` of the CPU has, in the order of `resolve_pixel`'s arguments.
_SEEN = (
    ((MOST,), np.int64),  # half edges
    ((MOST,), np.int64),  # the other half edges of seams
    ((MOST, 9), np.float64),  # what is known of each
    ((MOST,), np.bool_),  # whether the centre is on its inner side
    ((MOST,), np.int64),  # sheets
    ((MOST,), np.int64),  # the candidate of each that is nearest to the centre
    ((MOST,), np.bool_),  # whether a sheet covers the centre
    ((MOST,), np.float64),  # at which 1 / depth
)
SCRATCH = (
    *_SEEN,
    ((2 * MOST,), np.int64),  # patches
    ((2 * MOST,), np.int64),  # the side of each that is nearest to the centre
    ((ROWS,), np.int64),  # the row of each side and of each label
    ((MOST + 1,), np.float64),  # the share of the pixel that sheets get
    ((2 * MOST + 1,), np.float64),  # that patches get
    ((MOST + 3,), np.float64),  # cuts
    ((MOST + 3,), np.int64),  # by what
    ((PARTS, 6), np.int64),
    ((PARTS, 2), np.float64),
    ((MOST_FACES,), np.int64),  # faces that reach into the pixel
    ((MOST_FACES,), np.int64),  # which of them hang together
    ((MOST_FACES, 3), np.float64),  # their 1 / depth in the pixel
    ((MOST_FACES + 1,), np.float64),  # the share of the pixel that these get
)
# What is known of what lies below the sheets in a pixel: a face, or -1, once it has been asked for.
UNASKED, ASKED = np.int32(-3), np.int32(-2)
COUNT, RECOUNT, WRITE = range(3)


@borrower
def _look(surface, seen, under, outlines, first, last, pixel, scratch, thread):
    """Return what `look_at_pixel` does of the outlines and seams [first, last) in a pixel."""
    points, faces, linked, signs, ring = surface[:5]
    nearest, ids = seen
    halves, spans, before = outlines
    width = ids.shape[1] - 2 * RING
    row, column = pixel // width, pixel % width
    return look_at_pixel(
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
        np.int64(last - 1 if first < last else -1),
        np.int64(-1) if under[pixel] == NOBODY else np.int64(under[pixel]),
        row,
        column,
        column + 0.5,
        row + 0.5,
        scratch[0][thread],
        scratch[1][thread],
        scratch[2][thread],
        scratch[3][thread],
        scratch[4][thread],
        scratch[5][thread],
        scratch[6][thread],
        scratch[7][thread],
    )


@shared
def _resolve(
    surface,
    seen,
    under,
    outlines,
    first,
    last,
    pixel,
    below,
    seen_sign,
    scratch,
    thread,
    used,
    pairs,
    end,
    place_end,
    into,
    places,
):
    """Write the pairs of the outlines and seams [first, last) in a pixel from `pairs` on, as far as they come before `end`, and
    their places from `used` on; return how many there are now, and whether what lies below them must be asked for: it is UNASKED,
    else the face `below`."""
    points, faces, linked, signs, ring = surface[:5]
    charts, ids = surface[6], seen[1]
    halves, spans, before = outlines
    height, width = ids.shape[0] - 2 * RING, ids.shape[1] - 2 * RING
    nothing = height * width
    row, column = pixel // width, pixel % width
    start = np.int64(last - 1 if first < last else -1)
    next_below = np.int64(-1) if under[pixel] == NOBODY else np.int64(under[pixel])
    outlines_count, count, front, beside = _look(surface, seen, under, outlines, first, last, pixel, scratch, thread)
    if beside == UNKNOWN:
        if below == UNASKED:
            return used, pairs, True
        beside = np.int64(below)
    pixels, sides, areas, owners, numbers, cutters = into
    place_faces, place_corners, at, place_pixels = places
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
        start,
        ids,
        next_below,
        outlines_count,
        count,
        front,
        beside,
        pixel,
        row,
        column,
        nothing,
        scratch[0][thread],
        scratch[1][thread],
        scratch[2][thread],
        scratch[3][thread],
        scratch[4][thread],
        scratch[5][thread],
        scratch[6][thread],
        scratch[7][thread],
        scratch[8][thread],
        scratch[9][thread],
        scratch[10][thread],
        scratch[11][thread],
        scratch[12][thread],
        scratch[13][thread],
        scratch[14][thread],
        scratch[15][thread],
        scratch[16][thread],
        scratch[17][thread],
        scratch[18][thread],
        scratch[19][thread],
        scratch[20][thread],
        pairs,
        end,
        nothing + 1,
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
        at,
        place_pixels,
    )
    return used, pairs, False


@shared
def _cross(surface, ids, outlines, first, last, pixel, owner, used, pairs, end, place_end, into, places):
    """Write the pair of the line where two sheets cross in a pixel, and its place; return how many there are now. See
    `diffrender.cpu.cross.finish_boundaries`."""
    points, faces, linked, signs, ring = surface[:5]
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
    pixels, sides, areas, owners, numbers, cutters = into
    place_faces, place_corners, at, place_pixels = places
    pairs, used = cross_pixel(
        points,
        faces,
        linked,
        signs,
        ring,
        outlines[0],
        outlines[2],
        np.int64(last - 1 if first < last else -1),
        seen,
        under,
        front,
        other,
        pixel,
        px,
        py,
        (rows - 2 * RING) * (columns - 2 * RING),
        pairs,
        end,
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
        at,
        place_pixels,
    )
    return used, pairs


@kernel
def resolve(
    surface,
    seen,
    under,
    outlines,
    starts,
    order,
    owners,
    facing,
    below,
    scratch,
    turn,
    asked,
    counts,
    offsets,
    into,
    places,
):
    """Fill counts (2 P,) with how many pairs each of the pixels in order (P,) has, and then how many places; or, on turn WRITE,
    write them from offsets (2 P + 1,) on: `into` and `places` are what `diffrender.fragments.Pairs` and `Places` hold.

    On turn COUNT below (P,) becomes UNASKED, or ASKED where only `find_below` can tell what lies below outlines, and asked (1,)
    is how many such pixels there are. On turn RECOUNT only these are counted.
    """
    thread, count, seen_sign = cuda.grid(1), len(order), sign_seen(facing)
    for i in range(thread, count, cuda.gridsize(1)):
        pixel = order[i]
        if turn == COUNT:
            below[i] = UNASKED
        elif turn == RECOUNT and below[i] == UNASKED:
            continue
        pairs, used = np.int64(0), np.int64(0)
        end, place_end = np.int64(0), np.int64(0)
        if turn == WRITE:
            pairs, used = offsets[i], offsets[count + i] - offsets[count]
            end, place_end = offsets[i + 1], offsets[count + i + 1] - offsets[count]
        first_pair, first_place = pairs, used
        first, last = starts[pixel], starts[pixel + 1]
        if first < last:
            used, pairs, asks = _resolve(
                surface,
                seen,
                under,
                outlines,
                first,
                last,
                pixel,
                below[i],
                seen_sign,
                scratch,
                thread,
                used,
                pairs,
                end,
                place_end,
                into,
                places,
            )
            if asks:
                below[i] = ASKED
                cuda.atomic.add(asked, 0, 1)
        if owners[pixel] != NOBODY:
            used, pairs = _cross(
                surface, seen[1], outlines, first, last, pixel, owners[pixel], used, pairs, end, place_end, into, places
            )
        if turn != WRITE:
            counts[i] = pairs - first_pair
            counts[count + i] = used - first_place


@shared
def _look_for(surface, seen, under, outlines, first, last, pixel, scratch, thread, number):
    """Keep in number (B,) how many outlines there are in the pixel of a block, and in its scratch what is known of them."""
    number[thread], _, _, _ = _look(surface, seen, under, outlines, first, last, pixel, scratch, thread)


@shared
def _next_of_lane(surface, bounds, seen_sign, pixel, width, scratch, thread, count, lane, lanes):
    """Return 1 / depth of the nearest face of a lane's share that lies below the outlines in a pixel, and it; else 0 and -1."""
    points, faces, linked, signs, ring = surface[:5]
    below, nearest = np.int64(-1), 0.0
    for face in range(lane, len(faces), lanes):
        depth = depth_below(
            points,
            faces,
            linked,
            signs,
            ring,
            bounds,
            seen_sign,
            np.int64(face),
            nearest,
            pixel // width,
            pixel % width,
            scratch[2][thread],
            scratch[4][thread],
            scratch[5][thread],
            count,
        )
        if depth > 0.0:
            below, nearest = np.int64(face), depth
    return nearest, below


@kernel
def find_below(surface, seen, under, outlines, starts, order, facing, bounds, scratch, number, below):
    """Write to below (P,), where it is ASKED, the nearest face at the pixel's centre that is of none of the sheets that have
    outlines there, or -1, see `diffrender.cpu.parts.next_below`: a pixel a block, of which each thread looks through some
    faces. number (B,) is room."""
    depths = cuda.shared.array(LANES, np.float64)
    found = cuda.shared.array(LANES, np.int64)
    block, lane = cuda.blockIdx.x, cuda.threadIdx.x
    for i in range(block, len(order), cuda.gridDim.x):
        pixel = order[i]
        if below[i] != ASKED:
            continue
        if lane == 0:
            _look_for(surface, seen, under, outlines, starts[pixel], starts[pixel + 1], pixel, scratch, block, number)
        cuda.syncthreads()
        width, seen_sign = seen[1].shape[1] - 2 * RING, sign_seen(facing)
        depths[lane], found[lane] = _next_of_lane(
            surface, bounds, seen_sign, pixel, width, scratch, block, number[block], lane, LANES
        )
        cuda.syncthreads()
        if lane == 0:
            depth, face = depths[0], found[0]
            for other in range(1, LANES):
                if depths[other] > depth or (depths[other] == depth and found[other] < face):
                    depth, face = depths[other], found[other]
            below[i] = face
        cuda.syncthreads()
