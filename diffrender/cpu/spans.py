"""From the faces of a strip to blocks of pixels, in three steps, each without branches that are guessed wrongly: a batch of
faces, a lane each, to their edges; these to the spans of pairs of rows, pair by pair; and spans to blocks, face by face.

A block is COLUMNS pixels, from any column on, of a pair of rows; two blocks of a face make one value of LANES. In the memory of
a strip a pair of rows lies column by column, so that a block is BLOCK numbers in a row. Coordinates are relative to the face's
first pixel in the strip, its origin: float32 keeps more digits of small ones.
"""

import numpy as np

from ..formulas.constants import AB, BC, CA, HALF, ONE, TWO, ZERO
from ..jit import formula, prefer_wide_vectors, subroutine
from ..kernel_memory import aligned
from ..lanes import (
    COLUMNS,
    LANES,
    STEPS,
    at,
    fma,
    higher,
    load,
    lower,
    magnitude,
    put,
    root,
    round_down,
    select,
    spread,
    store,
    store_together,
)
from .block_lanes import (
    COLUMN_MASK,
    NUMBER_BIT,
    PAIR_BIT,
    as_reals,
    columns_of,
    put_integers,
    put_items,
    put_origins,
    put_sums,
)
from .strips import STRIP_ROWS

BATCH = LANES  # faces at a time: what is known of them fits in the L1 cache
_PAIRS = STRIP_ROWS // 2  # of rows, of a face at most
_AT_ONCE = 2  # pairs that are gone over in one go
_IN_GROUP = 8  # pairs of a group
_OF_GROUP = -_IN_GROUP << PAIR_BIT | (LANES - 1) << NUMBER_BIT  # what all blocks of a group have in common

# A face's geometry: x and y of its corners, wound to positive area, and 1 / area, twice that of the triangle.
CORNERS, INVERSE_AREA, GEOMETRY = 0, 6, 8

LOW = np.float32(0.004)  # px, below CULLING_MARGIN: an edge less twice as high is left to the circles around its ends
_FAR = np.float32(1e30)
# Of tangents of a circle, at 1, 2 and 3 quarters of a right angle.
_TAN_1, _TAN_3 = (np.float32(np.tan(np.radians(angle))) for angle in (22.5, 67.5))
_SEC_1, _SEC_2, _SEC_3 = (np.float32(1 / np.cos(np.radians(angle))) for angle in (22.5, 45, 67.5))
_PER_BLOCK = np.float32(1 / COLUMNS)
_ROUNDING_OF_X = np.float32(6e-7)  # of a place on an edge, relative to its slope and the y's that it has come from

# Each is a vector of LANES faces. A frame has of each edge the origin's place along and across, the normal, the half length and
# minus that; on the way back, from WAYS on, inverse lengths (minus them for bc and ca), corner a and the ways there from b, c.
WAYS = 18
_FRAME = 27
# An outline has the corners' x and y in the image, the origin's, and the last column and the last row; then the corners' x and y;
# of each edge moved outwards a point x, y, dx / dy and half its height; and the rounding of x.
_ORIGIN, _LAST_COLUMN, _LAST_ROW = 6, 8, 9
PLACED, _SIDES, _ROUNDING = 10, 16, 28
_OUTLINE = 29
LINE = _PAIRS * 2 * LANES  # numbers of both rows of all pairs


@subroutine
def new_lists(width, room, like):
    """Return the memory of the lists, for `room` blocks and what a group can have more.

    Frames; blocks; of each pair of rows its place, then where it begins along and across the edges; outlines; of each face the
    place of its origin, then how many pairs; of each pair its first block, then how many.
    """
    return (
        aligned(_FRAME * LANES, like),
        aligned(room + _IN_GROUP * (width // COLUMNS + 2) + STEPS, np.int32),
        aligned(_PAIRS * LANES, np.int32),
        aligned(6 * LINE, like),
        aligned(_OUTLINE * LANES, like),
        aligned(LANES, np.int32),
        aligned(LANES, np.int32),
        aligned(_PAIRS * LANES, np.int32),
        aligned(_PAIRS * LANES, np.int32),
    )


@subroutine
def list_groups(geometry, bounds, entries, entry, batch, top, bottom, radius, scale, stride, lists, is_listed):
    """Write the frames of `batch` faces from an entry on, and their spans unless their blocks are listed; return the number of
    groups, two a face.

    Frames are in units of sqrt(sigma), `scale` being 1 / sqrt(sigma). Lanes from `batch` on hold the last face again.
    """
    prefer_wide_vectors()
    frames, _, pair_places, lines, outlines, places, heights, items, counts = lists
    real = geometry.dtype.type
    ax, ay, bx, by, cx, cy, _, _ = columns_of(geometry, GEOMETRY, entries, entry, batch)
    store(outlines, CORNERS * LANES, ax)
    store(outlines, (CORNERS + 1) * LANES, ay)
    store(outlines, (CORNERS + 2) * LANES, bx)
    store(outlines, (CORNERS + 3) * LANES, by)
    store(outlines, (CORNERS + 4) * LANES, cx)
    store(outlines, (CORNERS + 5) * LANES, cy)
    column, last_column, row, last_row = columns_of(bounds, 4, entries, entry, batch)
    zero = real(ZERO)
    left, strip_top = as_reals(column, zero), real(top)
    # Pairs begin at even rows of the strip.
    first = TWO * round_down(HALF * higher(as_reals(row, zero) - strip_top, zero))
    last = lower(as_reals(last_row, zero), real(bottom - 1)) - strip_top - first
    store(outlines, _ORIGIN * LANES, left + HALF)
    store(outlines, (_ORIGIN + 1) * LANES, first + strip_top + HALF)
    store(outlines, _LAST_COLUMN * LANES, as_reals(last_column, zero) - left)
    store(outlines, _LAST_ROW * LANES, last)
    put_origins(places, first, stride, column)
    put_integers(heights, 0, round_down(HALF * last) + ONE, 0, 0)
    most = 0
    for number in range(LANES):
        most = higher(most, at(heights, number))
    ab = _put_edge(frames, outlines, AB, 0, 2, scale)
    bc = _put_edge(frames, outlines, BC, 2, 4, scale)
    ca = _put_edge(frames, outlines, CA, 4, 0, scale)
    if not is_listed:
        _put_side(outlines, AB, ab, radius)
        _put_side(outlines, BC, bc, radius)
        _put_side(outlines, CA, ca, radius)
        _put_rounding(outlines, radius)
    for couple in range((most + _AT_ONCE - 1) // _AT_ONCE * _AT_ONCE):
        if not is_listed:
            _find_spans(outlines, couple, radius, items, counts)
        _put_lines(frames, couple, lines)
        put_sums(pair_places, couple * LANES, places, 0, couple * 2 * stride)
    return 2 * batch


@formula
def _field(outlines, number):
    return load(outlines, number * LANES)


@formula
def _put_edge(frames, outlines, edge, begin, end, scale):
    """Write an edge between two corners, whose x has the numbers `begin` and `end`, for all faces; return its middle, normal
    and extent."""
    ax, ay = _field(outlines, CORNERS + begin), _field(outlines, CORNERS + begin + 1)
    bx, by = _field(outlines, CORNERS + end), _field(outlines, CORNERS + end + 1)
    ex, ey = bx - ax, by - ay  # not from places relative to the origin, where what is tiny may be nothing
    length = root(fma(ex, ex, ey * ey))
    inverse = ONE / length
    half, nx, ny = HALF * length, -ey * inverse, ex * inverse
    x, y = ax - _field(outlines, _ORIGIN), ay - _field(outlines, _ORIGIN + 1)
    mx, my = fma(ex, HALF, x), fma(ey, HALF, y)
    into = 6 * edge * LANES
    store(frames, into, (my * nx - mx * ny) * scale)
    store(frames, into + LANES, (-mx * nx - my * ny) * scale)
    store(frames, into + 2 * LANES, nx * scale)
    store(frames, into + 3 * LANES, ny * scale)
    store(frames, into + 4 * LANES, half * scale)
    store(frames, into + 5 * LANES, -half * scale)
    store(outlines, (PLACED + begin) * LANES, x)
    store(outlines, (PLACED + begin + 1) * LANES, y)
    return mx, my, nx, ny, ex, ey


@formula
def _put_side(outlines, edge, line, radius):
    """Write an edge, of which `_put_edge` has returned `line`, moved outwards."""
    mx, my, nx, ny, ex, ey = line
    into = (_SIDES + 4 * edge) * LANES
    high = HALF * magnitude(ey) - LOW
    store(outlines, into, mx - radius * nx)
    store(outlines, into + LANES, my - radius * ny)
    store(outlines, into + 2 * LANES, select(high > ZERO, ex / ey, ZERO))
    store(outlines, into + 3 * LANES, high)


@formula
def _put_rounding(outlines, radius):
    """Write how far rounding can move the sides of the faces in x."""
    ax, bx, cx = _field(outlines, CORNERS), _field(outlines, CORNERS + 2), _field(outlines, CORNERS + 4)
    ay, by, cy = _field(outlines, CORNERS + 1), _field(outlines, CORNERS + 3), _field(outlines, CORNERS + 5)
    extent = higher(higher(ax, bx), cx) - lower(lower(ax, bx), cx)
    extent = extent + (higher(higher(ay, by), cy) - lower(lower(ay, by), cy))
    steepest = higher(magnitude(_field(outlines, _SIDES + 2)), magnitude(_field(outlines, _SIDES + 6)))
    steepest = higher(steepest, magnitude(_field(outlines, _SIDES + 10)))
    store(outlines, _ROUNDING * LANES, _ROUNDING_OF_X * steepest * (extent + radius))


@formula
def _put_lines(frames, couple, lines):
    """Write where the rows of a pair begin along and across the edges: each block would have to compute it again."""
    real = frames.dtype.type
    y = real(2 * couple)
    for edge in range(3):
        place, into = 6 * edge * LANES, 2 * edge * LINE + couple * 2 * LANES
        nx, ny = load(frames, place + 2 * LANES), load(frames, place + 3 * LANES)
        along, across = fma(nx, -y, load(frames, place)), fma(ny, y, load(frames, place + LANES))
        store_together(lines, into, along, along - nx)
        store_together(lines, into + LINE, across, across + ny)


@formula
def _find_spans(outlines, couple, radius, items, counts):
    """Write for a pair of rows of all faces the first block within `radius` of the face, and how many.

    The places within `radius` are a convex set, bounded by circles around the corners and by the edges, moved outwards. Of
    each the part is taken that lies between the two rows.
    """
    real = outlines.dtype.type
    row = real(2 * couple)
    middle = row + HALF
    left, right = spread(real(_FAR)), spread(real(-_FAR))
    for corner in range(3):
        x, y = _field(outlines, PLACED + 2 * corner), _field(outlines, PLACED + 2 * corner + 1)
        dy = higher(magnitude(middle - y) - HALF, ZERO)
        # Tangents, at most 2 % outside: a square root takes as long as all the rest.
        half = lower(fma(dy, -_TAN_1, spread(radius * _SEC_1)), spread(radius))
        half = lower(lower(half, fma(dy, -_TAN_3, spread(radius * _SEC_3))), fma(dy, -ONE, spread(radius * _SEC_2)))
        half = select(dy <= radius, half, -_FAR)
        left, right = lower(left, x - half), higher(right, x + half)
    for edge in range(3):
        side = _SIDES + 4 * edge
        x, slope = _field(outlines, side), _field(outlines, side + 2)
        dy, high = middle - _field(outlines, side + 1), _field(outlines, side + 3)
        above, below = higher(dy - HALF, -high), lower(dy + HALF, high)
        beside = above <= below
        x0, x1 = fma(above, slope, x), fma(below, slope, x)
        left = lower(left, select(beside, lower(x0, x1), _FAR))
        right = higher(right, select(beside, higher(x0, x1), -_FAR))
    there = _field(outlines, _LAST_ROW) >= row
    rounding, last = _field(outlines, _ROUNDING), _field(outlines, _LAST_COLUMN)
    begin = -round_down(-lower(higher(left - rounding, ZERO), last + ONE))
    end = round_down(select(there, higher(lower(right + rounding, last), -ONE), -ONE - COLUMNS))
    place = couple * LANES
    put_integers(items, place, begin, couple << PAIR_BIT, 1 << NUMBER_BIT)
    put_integers(counts, place, higher(round_down((end - begin) * _PER_BLOCK) + ONE, ZERO), 0, 0)


@subroutine
def list_blocks(group, groups, room, stride, lists):
    """Write the blocks of groups from `group` on, as many as there is room for; return the next group and the blocks.

    Their number is even, two by two they are of one face: where a group has an odd number, one more is written whose place
    is past the strip's last row.
    """
    _, blocks, pair_places, _, _, _, heights, items, counts = lists
    count = 0
    while group < groups and count < room:
        number, begin = group >> 1, (group & 1) * _IN_GROUP
        end = lower(np.int64(at(heights, number)), begin + _IN_GROUP)
        for first in range(begin, end, _AT_ONCE):
            for couple in range(first, first + _AT_ONCE):
                # All STEPS are written and as many counted as there are: a branch guessed wrongly costs more than a block.
                place = couple * LANES + number
                item, more = at(items, place), at(counts, place)
                put_items(blocks, count, item)
                for k in range(STEPS, more, STEPS):
                    put_items(blocks, count + k, item + k * COLUMNS)
                count += more
        place = begin * LANES + number
        put(blocks, count, (place << NUMBER_BIT) + (STRIP_ROWS * stride - at(pair_places, place)) // 2)
        count += count & 1
        group += 1
    return group, count


@formula
def are_in_group(block, other):
    """Return whether two blocks, as they are listed, are in the same group."""
    return (np.int64(block) ^ np.int64(other)) & _OF_GROUP == 0


@formula
def number_of(lists, block):
    """Return the number of a block's face in its batch."""
    return (np.int64(at(lists[1], block)) >> NUMBER_BIT) & (LANES - 1)


@formula
def places_of(lists, block):
    """Return the places in the strip of a block and the next one."""
    blocks, pair_places = lists[1], lists[2]
    first, second = np.int64(at(blocks, block)), np.int64(at(blocks, block + 1))
    return (
        at(pair_places, first >> NUMBER_BIT) + ((first & COLUMN_MASK) << 1),
        at(pair_places, second >> NUMBER_BIT) + ((second & COLUMN_MASK) << 1),
    )


@formula
def lines_of(lists, block):
    """Return the places among the lines of a block and the next one."""
    blocks = lists[1]
    first, second = np.int64(at(blocks, block)), np.int64(at(blocks, block + 1))
    return (first >> NUMBER_BIT) << 1, (second >> NUMBER_BIT) << 1


@formula
def put_corners(lists):
    """Add to the frames what `save_nearest` needs."""
    frames, outlines = lists[0], lists[4]
    ax, ay = _field(outlines, PLACED), _field(outlines, PLACED + 1)
    # With the signs that the blocks need: each would have to change them again.
    store(frames, WAYS * LANES, HALF / load(frames, 4 * LANES))
    store(frames, (WAYS + 1) * LANES, -HALF / load(frames, 10 * LANES))
    store(frames, (WAYS + 2) * LANES, -HALF / load(frames, 16 * LANES))
    store(frames, (WAYS + 3) * LANES, ax)
    store(frames, (WAYS + 4) * LANES, ay)
    store(frames, (WAYS + 5) * LANES, ax - _field(outlines, PLACED + 2))
    store(frames, (WAYS + 6) * LANES, ay - _field(outlines, PLACED + 3))
    store(frames, (WAYS + 7) * LANES, ax - _field(outlines, PLACED + 4))
    store(frames, (WAYS + 8) * LANES, ay - _field(outlines, PLACED + 5))
