"""From the faces of a strip to blocks of pixels, in three steps, each a loop without branches that are guessed wrongly:
faces to groups of rows, groups to blocks, and then what a kernel does with a block.

A block is COLUMNS pixels, from any column on, of a pair of rows; two blocks of a face make one value of LANES. A group is
LANES rows. In the memory of a strip a pair of rows lies column by column, so that a block is BLOCK numbers in a row.
Coordinates are relative to the face's first pixel in the strip, its origin: float32 keeps more digits of small ones.
"""

import numpy as np

from ..formulas.constants import AB, BC, CA, HALF, ONE, TWO, ZERO
from ..formulas.triangle import edge_start, nearest_edge, nearest_weights
from ..jit import formula, prefer_wide_vectors, subroutine
from ..lanes import (
    BLOCK,
    COLUMNS,
    LANES,
    STEPS,
    add_lanes,
    add_products,
    any_lane,
    at,
    block_columns,
    first_rows,
    fma,
    higher,
    lane_numbers,
    load,
    load_pair,
    load_rows,
    lower,
    magnitude,
    negative_beside,
    pair,
    put,
    put_items,
    put_steps,
    round_down,
    select,
    spread,
    store,
    store_integers,
    sum_up,
)

STRIP_ROWS = 32  # a face of a dense mesh touches 1.3 strips; 32 rows of colour sums still fit in the L2 cache
BATCH = 16  # faces at a time: what is known of them fits in the L1 cache
_GROUPS = STRIP_ROWS // LANES  # of a face at most
_PAIRS = LANES // 2  # of rows, of a group
_AT_ONCE = 4  # pairs that are gone over in one go

SLOPES = 16  # where a face's geometry has dx / dy of its edges, then the rounding of x
LOW = np.float32(0.004)  # px, below CULLING_MARGIN: an edge less twice as high is left to the circles around its ends
_FAR = np.float32(1e30)
# Of tangents of a circle, at 1, 2 and 3 quarters of a right angle.
_TAN_1, _TAN_3 = (np.float32(np.tan(np.radians(angle))) for angle in (22.5, 67.5))
_SEC_1, _SEC_2, _SEC_3 = (np.float32(1 / np.cos(np.radians(angle))) for angle in (22.5, 45, 67.5))
_PER_BLOCK = np.float32(1 / COLUMNS)

# A frame holds of each of a face's edges the origin's place along and across, the normal, the half length and minus that;
# on the way back, from _CORNERS on, the inverse lengths (minus them for bc and ca), corner a and the ways to it from b and c.
FRAME = 27
_CORNERS = 18
SAVED_NEAREST = 5 * LANES  # numbers of two blocks
EDGE_SUMS = 12 * BLOCK  # numbers of a face, in two sets, see `add_nearest` and `sums_of`
_SUMS = 6
_ROWS_LISTED = BATCH * _GROUPS * LANES
_PAIRS_LISTED = _ROWS_LISTED // 2 + LANES  # where LANES are written, half of them count
# A block is an integer: its pair among the listed ones, times 2**_SHIFT, plus its column from its face's origin on.
_SHIFT = 22
_MASK = 2**_SHIFT - 1
# An outline holds of each corner x, y; of each edge moved outwards a point x, y, dx / dy and half its height; the rounding
# of x, the last column and the last row.
_OUTLINE = 24
_SIDES = 6
_ROUNDING, _LAST_COLUMN, _LAST_ROW = 18, 19, 20


@formula
def stride_of(width):
    """Return how many numbers a row of a strip takes: a block from the last column on still lies within its pair."""
    return width + COLUMNS


@formula
def strip_size(width):
    """Return how many numbers a strip takes, with room for a block that does not count."""
    return STRIP_ROWS * stride_of(width) + BLOCK


@formula
def strips_of(height):
    """Return how many strips an image has."""
    return (height + STRIP_ROWS - 1) // STRIP_ROWS


@formula
def rows_of(strip, strips, height):
    """Return of a strip, `strips` to a view, its view, the row it begins at and the one it ends before, and the same rows among
    those of all views' images, one below the other.

    Faces' coordinates are those of their view: float32 would round those of a tall image in other ways.
    """
    view = strip // strips
    top = (strip - view * strips) * STRIP_ROWS
    bottom = min(top + STRIP_ROWS, height)
    return view, top, bottom, view * height + top, view * height + bottom


@formula
def aligned(count, like):
    """Return an empty array that begins at a cache line: a vector across two lines costs several times as much."""
    size = like.itemsize
    padded = np.empty(count + 64 // size, like.dtype)
    first = (-padded.ctypes.data) % 64 // size
    return padded[first : first + count]


@formula
def fill(array, begin, end, value):
    """Write a value to array[begin:end]: a slice would take Numba half a second to compile, for its error messages."""
    for i in range(begin, end):
        put(array, i, value)


@subroutine
def new_lists(width, room, like):
    """Return the memory of the lists, for `room` blocks and what a group can have more: frames, outlines; of each group its
    face's number, row and place; blocks; of each pair of rows its first block and how many it has; of each row its
    coordinates; of each pair its place and its face's number."""
    groups = BATCH * _GROUPS + _GROUPS
    return (
        aligned(BATCH * FRAME, like),
        aligned(BATCH * _OUTLINE, like),
        np.empty(groups, np.int32),
        np.empty(groups, np.int32),
        np.empty(groups, np.int32),
        np.empty(room + _PAIRS * (width // COLUMNS + 2) + STEPS, np.int32),
        np.empty(_PAIRS_LISTED, np.int32),
        np.empty(_PAIRS_LISTED, np.int32),
        aligned(7 * _ROWS_LISTED, like),
        np.empty(_PAIRS_LISTED, np.int32),
        np.empty(_PAIRS_LISTED, np.int32),
    )


@subroutine
def list_groups(geometry, bounds, entries, entry, batch, top, bottom, radius, scale, stride, lists):
    """Write the frames and outlines of `batch` faces from an entry on, and their groups; return the number of groups.

    Frames are in units of sqrt(sigma), `scale` being 1 / sqrt(sigma).
    """
    prefer_wide_vectors()
    frames, outlines, numbers, rows, places, _, items, counts, lines, pair_places, pair_numbers = lists
    count = 0
    for number in range(batch):
        face = at(entries, entry + number)
        left, first = bounds[face, 0], max(bounds[face, 2] - top, 0) & -2  # pairs begin at even rows of the strip
        last = min(bounds[face, 3], bottom - 1) - top - first
        outline = number * _OUTLINE
        _put_edges(geometry, face, left, top + first, radius, scale, frames, number * FRAME, outlines, outline)
        put(outlines, outline + _ROUNDING, geometry[face, SLOPES + 3])
        put(outlines, outline + _LAST_COLUMN, bounds[face, 1] - left)
        put(outlines, outline + _LAST_ROW, last)
        place = first * stride + 2 * left
        for k in range(_GROUPS):
            put(numbers, count + k, number)
            put(rows, count + k, k * LANES)
            put(places, count + k, place + k * LANES * stride)
        count += last // LANES + 1
    put(numbers, count, 0)  # for the other half of the last two, if their number is odd
    put(rows, count, 0)
    for group in range(0, count, 2):
        _find_spans(outlines, numbers, rows, group, radius, items, counts)
    for group in range(count):
        number, row, first = at(numbers, group), at(rows, group), group * _PAIRS
        _put_lines(frames, number * FRAME, row, lines, group * LANES)
        put_steps(pair_places, first, at(places, group), 2 * stride)
        put_steps(pair_numbers, first, number, 0)
    return count


@formula
def _put_edges(geometry, face, left, first, radius, scale, frames, frame, outlines, outline):
    real = geometry.dtype.type
    x, y = real(left) + HALF, real(first) + HALF
    for edge in range(3):
        mx, my = geometry[face, 5 * edge] - x, geometry[face, 5 * edge + 1] - y
        nx, ny, half = geometry[face, 5 * edge + 2], geometry[face, 5 * edge + 3], geometry[face, 5 * edge + 4]
        into = frame + 6 * edge
        put(frames, into, (my * nx - mx * ny) * scale)
        put(frames, into + 1, (-mx * nx - my * ny) * scale)
        put(frames, into + 2, nx * scale)
        put(frames, into + 3, ny * scale)
        put(frames, into + 4, half * scale)
        put(frames, into + 5, -half * scale)
        corner_x, corner_y = edge_start(mx, my, nx, ny, half)
        put(outlines, outline + 2 * edge, corner_x)
        put(outlines, outline + 2 * edge + 1, corner_y)
        into = outline + _SIDES + 4 * edge
        put(outlines, into, mx - radius * nx)
        put(outlines, into + 1, my - radius * ny)
        put(outlines, into + 2, geometry[face, SLOPES + edge])
        put(outlines, into + 3, half * abs(nx) - LOW)


@subroutine
def list_blocks(group, groups, room, stride, lists):
    """Write the blocks of groups from `group` on, as many as there is room for; return the next group and the blocks.

    Their number is even, two by two they are of one face: where a group has an odd number, one more is written whose place
    is past the strip's last row.
    """
    _, outlines, numbers, rows, places, blocks, items, counts, _, _, _ = lists
    count = 0
    while group < groups and count < room:
        begin = group * _PAIRS
        last = np.int64(at(outlines, at(numbers, group) * _OUTLINE + _LAST_ROW)) - at(rows, group)
        for first in range(begin, begin + min(last, LANES - 1) // 2 + 1, _AT_ONCE):
            for couple in range(first, first + _AT_ONCE):
                # All STEPS are written and as many counted as there are: a branch guessed wrongly costs more than a block.
                put_items(blocks, count, at(items, couple))
                for k in range(STEPS, at(counts, couple), STEPS):
                    put_items(blocks, count + k, at(items, couple) + k * COLUMNS)
                count += at(counts, couple)
        put(blocks, count, (begin << _SHIFT) + (STRIP_ROWS * stride - at(places, group)) // 2)
        count += count & 1
        group += 1
    return group, count


@formula
def _find_spans(outlines, numbers, rows, group, radius, items, counts):
    """Write for each pair of rows of a group and the next one the first block within `radius` of the face, and how many.

    The places within `radius` are a convex set, bounded by circles around the corners and by the edges, moved outwards. Of
    each the part is taken that lies between the two rows.
    """
    real = outlines.dtype.type
    first, second = at(numbers, group) * _OUTLINE, at(numbers, group + 1) * _OUTLINE
    row = first_rows(radius) + pair(real(at(rows, group)), real(at(rows, group + 1)))
    middle = row + HALF
    left, right = spread(real(_FAR)), spread(real(-_FAR))
    for corner in range(3):
        x = _pair_of(outlines, first, second, 2 * corner)
        dy = higher(magnitude(middle - _pair_of(outlines, first, second, 2 * corner + 1)) - HALF, ZERO)
        # Tangents, at most 2 % outside: a square root takes as long as all the rest.
        half = lower(fma(dy, -_TAN_1, spread(radius * _SEC_1)), spread(radius))
        half = lower(lower(half, fma(dy, -_TAN_3, spread(radius * _SEC_3))), fma(dy, -ONE, spread(radius * _SEC_2)))
        half = select(dy <= radius, half, -_FAR)
        left, right = lower(left, x - half), higher(right, x + half)
    for edge in range(3):
        side = _SIDES + 4 * edge
        x, slope = _pair_of(outlines, first, second, side), _pair_of(outlines, first, second, side + 2)
        dy, high = middle - _pair_of(outlines, first, second, side + 1), _pair_of(outlines, first, second, side + 3)
        above, below = higher(dy - HALF, -high), lower(dy + HALF, high)
        beside = above <= below
        x0, x1 = fma(above, slope, x), fma(below, slope, x)
        left = lower(left, select(beside, lower(x0, x1), _FAR))
        right = higher(right, select(beside, higher(x0, x1), -_FAR))
    there = row <= _pair_of(outlines, first, second, _LAST_ROW)
    rounding, last = _pair_of(outlines, first, second, _ROUNDING), _pair_of(outlines, first, second, _LAST_COLUMN)
    begin = -round_down(-lower(higher(left - rounding, ZERO), last + ONE))
    end = round_down(select(there, higher(lower(right + rounding, last), -ONE), -ONE - COLUMNS))
    place = group * _PAIRS
    store_integers(items, place, begin, place << _SHIFT, 1 << _SHIFT)
    store_integers(counts, place, higher(round_down((end - begin) * _PER_BLOCK) + ONE, ZERO), 0, 0)


@formula
def _pair_of(outlines, first, second, number):
    return pair(at(outlines, first + number), at(outlines, second + number))


@formula
def _put_lines(frames, frame, row, lines, line):
    y = lane_numbers(frames.dtype.type(ZERO)) + frames.dtype.type(row)
    for edge in range(3):
        place, into = frame + 6 * edge, line + 2 * _ROWS_LISTED * edge
        nx, ny = at(frames, place + 2), at(frames, place + 3)
        store(lines, into, fma(y, -nx, spread(at(frames, place))))
        store(lines, into + _ROWS_LISTED, fma(y, ny, spread(at(frames, place + 1))))
    store(lines, line + 6 * _ROWS_LISTED, y)


@formula
def put_corners(lists, batch):
    """Add to the frames of `batch` faces what `save_nearest` needs."""
    frames, outlines = lists[0], lists[1]
    for number in range(batch):
        frame, outline = number * FRAME, number * _OUTLINE
        x, y = at(outlines, outline), at(outlines, outline + 1)
        # With the signs that the blocks need: each would have to change them again.
        put(frames, frame + _CORNERS, HALF / at(frames, frame + 4))
        put(frames, frame + _CORNERS + 1, -HALF / at(frames, frame + 10))
        put(frames, frame + _CORNERS + 2, -HALF / at(frames, frame + 16))
        put(frames, frame + _CORNERS + 3, x)
        put(frames, frame + _CORNERS + 4, y)
        put(frames, frame + _CORNERS + 5, x - at(outlines, outline + 2))
        put(frames, frame + _CORNERS + 6, y - at(outlines, outline + 3))
        put(frames, frame + _CORNERS + 7, x - at(outlines, outline + 4))
        put(frames, frame + _CORNERS + 8, y - at(outlines, outline + 5))


@formula
def drop_idle(lists, count, upstream):
    """Keep the blocks, two by two, of which any pixel has something upstream, and return their number."""
    blocks = lists[5]
    kept = 0
    for block in range(0, count, 2):
        above = magnitude(load_pair(upstream, *places_of(lists, block)))
        put(blocks, kept, at(blocks, block))
        put(blocks, kept + 1, at(blocks, block + 1))
        kept += 2 if any_lane(above > ZERO) else 0
    return kept


@formula
def edge_of_blocks(frames, frame, lines, edge, x, first, second):
    """Return the places along and across an edge, in units of sqrt(sigma), of the pixels in columns x of two pairs of rows."""
    nx, ny = spread(at(frames, frame + 6 * edge + 2)), spread(at(frames, frame + 6 * edge + 3))
    first, second = first + 2 * _ROWS_LISTED * edge, second + 2 * _ROWS_LISTED * edge
    along = fma(x, ny, load_rows(lines, first, second))
    return along, fma(x, nx, load_rows(lines, first + _ROWS_LISTED, second + _ROWS_LISTED))


@formula
def edges_of_blocks(lists, frame, x, first, second):
    """Return `edge_of_blocks` for the three edges of a face."""
    frames, lines = lists[0], lists[8]
    return (
        edge_of_blocks(frames, frame, lines, AB, x, first, second),
        edge_of_blocks(frames, frame, lines, BC, x, first, second),
        edge_of_blocks(frames, frame, lines, CA, x, first, second),
    )


@formula
def place_within(frames, frame, edge, along):
    """Return the places along an edge of its points nearest to places along it."""
    place = frame + 6 * edge
    return higher(lower(along, at(frames, place + 4)), at(frames, place + 5))


@formula
def two_blocks(lists, block):
    """Return the columns of the pixels of a block and the next one, in lanes, and the first rows of both among the listed."""
    blocks, real = lists[5], lists[8].dtype.type
    first, second = np.int64(at(blocks, block)), np.int64(at(blocks, block + 1))
    x = block_columns(real(ZERO)) + pair(real(first & _MASK), real(second & _MASK))
    return x, first >> _SHIFT << 1, second >> _SHIFT << 1


@formula
def places_of(lists, block):
    """Return the places in the strip of a block and the next one."""
    blocks, pair_places = lists[5], lists[9]
    first, second = np.int64(at(blocks, block)), np.int64(at(blocks, block + 1))
    return (
        at(pair_places, first >> _SHIFT) + ((first & _MASK) << 1),
        at(pair_places, second >> _SHIFT) + ((second & _MASK) << 1),
    )


@formula
def number_of(lists, block):
    """Return the number of a block's face in its batch."""
    return np.int64(at(lists[10], np.int64(at(lists[5], block)) >> _SHIFT))


@formula
def coverage_logits(lists, block):
    """Return the coverage logit of the pixels of two blocks, and their places across the three edges in sqrt(sigma)."""
    frames = lists[0]
    frame = number_of(lists, block) * FRAME
    (a0, c0), (a1, c1), (a2, c2) = edges_of_blocks(lists, frame, *two_blocks(lists, block))
    o0 = higher(magnitude(a0) - at(frames, frame + 4), ZERO)
    o1 = higher(magnitude(a1) - at(frames, frame + 10), ZERO)
    o2 = higher(magnitude(a2) - at(frames, frame + 16), ZERO)
    d2, _, _ = nearest_edge(c0, o0, c1, o1, c2, o2)
    return negative_beside(d2, c0, c1, c2), c0, c1, c2


@formula
def save_nearest(lists, block, saved, into):
    """Write of two blocks: the coverage logit, the weights of corners b and c in the nearest point of the boundary, and the
    way from that to the pixel in px.

    Returns the places across the three edges in units of sqrt(sigma).
    """
    frames, lines = lists[0], lists[8]
    x, first, second = two_blocks(lists, block)
    frame = number_of(lists, block) * FRAME
    (a0, c0), (a1, c1), (a2, c2) = edges_of_blocks(lists, frame, x, first, second)
    w0 = place_within(frames, frame, AB, a0)
    w1 = place_within(frames, frame, BC, a1)
    w2 = place_within(frames, frame, CA, a2)
    d2, is_second, is_third = nearest_edge(c0, a0 - w0, c1, a1 - w1, c2, a2 - w2)
    place = frame + _CORNERS
    b, c = nearest_weights(
        w0, at(frames, place), w1, at(frames, place + 1), w2, at(frames, place + 2), is_second, is_third
    )
    y = load_rows(lines, first + 6 * _ROWS_LISTED, second + 6 * _ROWS_LISTED)
    dx = fma(c, at(frames, place + 7), fma(b, at(frames, place + 5), x - at(frames, place + 3)))
    dy = fma(c, at(frames, place + 8), fma(b, at(frames, place + 6), y - at(frames, place + 4)))
    store(saved, into, negative_beside(d2, c0, c1, c2))
    store(saved, into + 1 * LANES, b)
    store(saved, into + 2 * LANES, c)
    store(saved, into + 3 * LANES, dx)
    store(saved, into + 4 * LANES, dy)
    return c0, c1, c2


@formula
def add_nearest(sums, place, saved, into):
    """Add to the sums of a face what two blocks send back, the gradient of d^2 having taken the place of the logit.

    d(d^2) = -2 w (p - q) to a corner of weight w in the nearest point q: the weights' own change drops out, since p - q is
    perpendicular to the edge or q is a corner.
    """
    grad = load(saved, into)
    b, c = load(saved, into + LANES), load(saved, into + 2 * LANES)
    gx, gy = grad * load(saved, into + 3 * LANES), grad * load(saved, into + 4 * LANES)
    add_lanes(sums, place, gx)
    add_lanes(sums, place + BLOCK, gy)
    add_products(sums, place + 2 * BLOCK, gx, b)
    add_products(sums, place + 3 * BLOCK, gy, b)
    add_products(sums, place + 4 * BLOCK, gx, c)
    add_products(sums, place + 5 * BLOCK, gy, c)


@formula
def sums_of(number, turn):
    """Return the place of a face's sums. There are two sets, taken by turns: two blocks need not wait for the two before."""
    return number * EDGE_SUMS + (turn & 1) * (_SUMS * BLOCK)


@formula
def put_corner_gradients(sums, number, scale, totals, entry_gradients, slot, width):
    """Write the gradient of corners a, b, c to the first two of `width` numbers that a slot has for each."""
    sum_up(sums, number * EDGE_SUMS, totals, 12)
    factor = -TWO * scale * scale
    for axis in range(2):
        b, c = totals[2 + axis] + totals[8 + axis], totals[4 + axis] + totals[10 + axis]
        entry_gradients[slot, axis] = factor * (totals[axis] + totals[6 + axis] - b - c)
        entry_gradients[slot, width + axis] = factor * b
        entry_gradients[slot, 2 * width + axis] = factor * c
