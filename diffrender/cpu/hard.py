"""The nearest face at each pixel's centre, in strips of the image.

The image is drawn with a ring of one pixel around it, so that outlines at its border see what they hide. Points (V, 3) are x
px, y px and 1 / depth, which is linear in the image, in float64.
"""

import math

import numpy as np

from ..formulas.constants import COORDINATE_LIMIT
from ..formulas.edge import is_after, side_of
from ..formulas.triangle import pixel_range, signed_area_twice
from ..jit import borrower, formula, kernel, prefer_wide_vectors, subroutine
from ..lanes import BLOCK, at, load_pair, lower, pair, put, select, store_pair
from ..spin import await_tasks, claim, claim_near, finish, lead, publish
from .row_lanes import any_marked, columns_twice, cross_exactly, lowest_lane, put_pair_where, where_all

ROWS = 16  # of a strip, the unit of work of a thread
RING = 1  # px
TILE = 8  # px, along a side of a tile
_CHUNK = 256  # faces drawn in a strip after which its tiles are looked at again; more where that leaves none out
_DOUBT = 1e-3  # px: rounding of a row's ends
NEARER = 1 - 1e-7  # depths that differ less are the same surface
_LEVEL = 1e-6  # px: an edge that rises less does not narrow a row
_SPANNED = 7  # tiles beside each other of which the smallest number is known
_ROUNDING = 1e-9  # of the square of coordinates: more than that of a side
_LEAST = 1e-300  # px^2: twice the area of a triangle that is none
_WIDE = 2 * BLOCK  # columns of a face that is worth narrowing row by row


@borrower
def _bounds_of(vertices, faces, face, columns, rows, cull_backfaces):
    """Return the sign of a face's area, 0 if it does not count, and the first and last column and row of the pixels that it may
    cover, counted from the ring; last < first if there are none."""
    a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
    ax, ay = np.float64(vertices[a, 0]), np.float64(vertices[a, 1])
    bx, by = np.float64(vertices[b, 0]), np.float64(vertices[b, 1])
    cx, cy = np.float64(vertices[c, 0]), np.float64(vertices[c, 1])
    left, right = min(ax, bx, cx), max(ax, bx, cx)
    top, bottom = min(ay, by, cy), max(ay, by, cy)
    nothing = (0, -1, 0, -1)
    if min(left, top) < -COORDINATE_LIMIT or max(right, bottom) > COORDINATE_LIMIT:
        return 0, nothing
    area = signed_area_twice(ax, ay, bx, by, cx, cy)
    if area == 0.0 or min(vertices[a, 2], vertices[b, 2], vertices[c, 2]) <= 0 or (cull_backfaces and area > 0.0):
        return 0, nothing
    first_x, last_x = pixel_range(left + RING, right + RING, columns)
    first_y, last_y = pixel_range(top + RING, bottom + RING, rows)
    sign = 1 if area > 0.0 else -1
    return sign, ((first_x, last_x, first_y, last_y) if first_x <= last_x else nothing)


@subroutine
def prepare_faces(stage, vertices, faces, height, width, cull_backfaces, points, signs, bounds, counts):
    """Fill points (V, 3) from vertices in pixel space, 1 / depth being 0 behind the camera; signs (F,) with 1 or -1 as the face's
    area is, 0 if it does not count; and bounds (F, 4) with the pixels it may cover, see `_bounds_of`.

    counts (P, S) is how many faces of each portion reach each strip.
    """
    columns, rows, portions = np.float64(width + 2 * RING), np.float64(height + 2 * RING), len(counts)
    while True:
        portion = claim(stage)
        if portion >= portions:
            break
        for vertex in range(len(points) * portion // portions, len(points) * (portion + 1) // portions):
            points[vertex, 0], points[vertex, 1] = vertices[vertex, 0], vertices[vertex, 1]
            depth = np.float64(vertices[vertex, 2])
            points[vertex, 2] = 1.0 / depth if depth > 0.0 else 0.0
        for strip in range(counts.shape[1]):
            counts[portion, strip] = 0
        for face in range(len(faces) * portion // portions, len(faces) * (portion + 1) // portions):
            sign, box = _bounds_of(vertices, faces, face, columns, rows, cull_backfaces)
            signs[face] = sign
            bounds[face, 0], bounds[face, 1], bounds[face, 2], bounds[face, 3] = box
            for strip in range(box[2] // ROWS, box[3] // ROWS + 1):
                counts[portion, strip] += 1
        finish(stage)


@subroutine
def start_entries(counts, starts):
    """Fill starts (S + 1,) with the first entry of each strip, and turn counts (P, S) into the first of each portion there."""
    total = 0
    for strip in range(counts.shape[1]):
        starts[strip] = total
        for portion in range(len(counts)):
            count = counts[portion, strip]
            counts[portion, strip] = total
            total += count
    starts[counts.shape[1]] = total


@subroutine
def fill_entries(stage, bounds, counts, entries):
    """Fill entries (E,) with the faces of each strip, in their order."""
    portions = len(counts)
    while True:
        portion = claim(stage)
        if portion >= portions:
            break
        for face in range(len(bounds) * portion // portions, len(bounds) * (portion + 1) // portions):
            for strip in range(bounds[face, 2] // ROWS, bounds[face, 3] // ROWS + 1):
                entries[counts[portion, strip]] = face
                counts[portion, strip] += 1
        finish(stage)


@subroutine
def number_slots(starts, facing):
    """Turn counts into starts (S + 1,), of numbers that go on from strip to strip; return the sign of all faces that are seen, 0
    if there are both or none."""
    front, back = False, False
    starts[0] = 0
    for strip in range(len(facing)):
        starts[strip + 1] += starts[strip]
        front, back = front or facing[strip, 0], back or facing[strip, 1]
    return 0 if front == back else (1 if back else -1)


@formula
def claim_strip(stage, share, shares, strips):
    """Return a strip of a stage that nobody has claimed yet, or -1 if there is none; see `claim_near`. Those in the middle come
    first: they take longest, as a rule, and then no thread is left alone with one at the end."""
    turn = claim_near(stage, share, shares, strips)
    step = (turn + 1) // 2
    return (strips // 2 + (step if turn % 2 == 0 else -step)) if turn < strips else np.int64(-1)


@borrower
def _kept_at(ax, ay, bx, by):
    """Return what a side must be at least to count: 0 where the face owns its edge a to b, see `owns_border`."""
    owns = (by < ay) | ((by == ay) & (bx > ax))  # no branches
    return _LEAST * (1.0 - np.float64(owns))


@borrower
def _span(px, py, qx, qy, y, begin, end):
    """Narrow the columns [begin, end] to where the rows y and y + 1 can lie on the inner side of an edge."""
    rise = qy - py
    if abs(rise) < _LEVEL:
        return begin, end
    lean = (qx - px) / rise
    x = px + lean * (y - py) + (RING - 0.5)
    # The side grows with x where the rise is negative.
    if rise > 0.0:
        return begin, min(end, np.int64(math.floor(min(max(max(x, x + lean), -1.0), end + 1.0) + _DOUBT)))
    return max(begin, np.int64(math.ceil(max(min(min(x, x + lean), end + 1.0), -1.0) - _DOUBT))), end


@subroutine
def _find_farthest(depths, stride, first_column, last_column, farthest):
    """Fill farthest (ROWS / TILE, W') with the smallest 1 / depth in each tile of a strip's depths that a range of columns
    touches."""
    for i in range(farthest.shape[0]):
        for j in range(first_column // TILE, last_column // TILE + 1):
            place = i * TILE * stride + j * TILE
            lowest = load_pair(depths, place, place + stride)
            for pair_of in range(1, TILE // 2):
                at_pair = place + 2 * pair_of * stride
                lowest = lower(lowest, load_pair(depths, at_pair, at_pair + stride))
            farthest[i, j] = lowest_lane(lowest)


@borrower
def _find_spans(tiles, spans):
    """Fill spans (3, ROWS / TILE, W') with the smallest number in one, two and four tiles side by side, from each tile on."""
    count = tiles.shape[1]
    for i in range(tiles.shape[0]):
        for j in range(count):
            spans[0, i, j] = tiles[i, j]
        for level in range(1, 3):
            step = 1 << (level - 1)
            for j in range(count):
                spans[level, i, j] = min(spans[level - 1, i, j], spans[level - 1, i, min(j + step, count - 1)])


@borrower
def _any_below(spans, bounds, face, first_row, last_row, inverse_depth):
    """Whether in any tile that a face touches something is seen that is not nearer than all of it; a margin is for rounding."""
    top, bottom = max(bounds[face, 2], first_row) - first_row, min(bounds[face, 3], last_row) - first_row
    first, last, left, right = top // TILE, bottom // TILE, bounds[face, 0] // TILE, bounds[face, 1] // TILE
    width = np.int64(right - left + 1)
    # No branches: how many tiles a face touches cannot be guessed.
    level = np.int64(width > 1) + np.int64(width > 3)
    end = right + 1 - (1 << level)
    lowest = min(
        min(spans[level, first, left], spans[level, first, end]), min(spans[level, last, left], spans[level, last, end])
    )
    if width > _SPANNED:
        for j in range(left, right + 1):
            lowest = min(lowest, spans[0, first, j], spans[0, last, j])
    return lowest * NEARER <= inverse_depth


@borrower
def _clear(depths, numbers, stride, rows, width, first_column, last_column):
    """Let a strip of `rows` rows see nothing in a range of columns. What is beside the image is nearer than any face."""
    end = min((last_column // TILE + 1) * TILE + BLOCK, stride)
    for row in range(ROWS):
        begin, place = first_column // TILE * TILE, row * stride
        within = max(begin, min(end, width)) if row < rows else begin
        for column in range(begin, within):
            put(depths, place + column, 0.0)
        for column in range(within, end):
            put(depths, place + column, np.inf)
        for column in range(begin, end):
            put(numbers, place + column, np.int32(-1))
    for column in range(first_column // TILE * TILE, end):
        put(depths, ROWS * stride + column, np.inf)


@borrower
def _draw_face(
    points, faces, face, is_back, first_column, last_column, first_row, last_row, strip_row, depths, numbers, stride
):
    """Draw the pixels of a face in a range of rows and columns over a strip's depths and numbers, eight of two rows at a time."""
    a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
    if not is_back:
        b, c = c, b
    ax, ay, bx, by = points[a, 0], points[a, 1], points[b, 0], points[b, 1]
    cx, cy, start = points[c, 0], points[c, 1], points[a, 2]
    inverse = 1.0 / signed_area_twice(ax, ay, bx, by, cx, cy)
    to_b, to_c = (points[b, 2] - start) * inverse, (points[c, 2] - start) * inverse
    across, down = to_b * (cy - ay) - to_c * (by - ay), to_c * (bx - ax) - to_b * (cx - ax)
    kept_a, kept_b, kept_c = _kept_at(bx, by, cx, cy), _kept_at(cx, cy, ax, ay), _kept_at(ax, ay, bx, by)
    is_wide = last_column - first_column >= _WIDE
    columns = columns_twice(0.5) + (0.5 - RING)
    for row in range(first_row, last_row + 1, 2):
        y = row - RING + 0.5
        begin, end = first_column, last_column
        if is_wide:
            begin, end = _span(bx, by, cx, cy, y, begin, end)
            begin, end = _span(cx, cy, ax, ay, y, begin, end)
            begin, end = _span(ax, ay, bx, by, y, begin, end)
        ys = pair(y, y + 1.0)
        a_y, b_y, c_y = ay - ys, by - ys, cy - ys
        on_row = start - a_y * down
        for column in range(begin, end + 1, BLOCK):
            xs = columns + np.float64(column)
            a_x, b_x, c_x = ax - xs, bx - xs, cx - xs
            # As `side_of`, but rounded alike from both sides, whatever the order.
            in_a = cross_exactly(b_x, c_y, b_y, c_x) >= kept_a
            in_b = cross_exactly(c_x, a_y, c_y, a_x) >= kept_b
            in_c = cross_exactly(a_x, b_y, a_y, b_x) >= kept_c
            place = np.int64((row - strip_row) * stride + column)
            known = load_pair(depths, place, place + stride)
            here = on_row - a_x * across
            is_seen = where_all(in_a, in_b, in_c, here > known)
            put_pair_where(numbers, place, place + stride, is_seen, face)
            store_pair(depths, place, place + stride, select(is_seen, here, known))


@borrower
def _see_nothing(near, ids, begin, end):
    """Let a row of the image see nothing in a range of columns."""
    # A loop each: LLVM does not look whether so many arrays overlap, and would go one by one.
    for column in range(begin, end):
        put(near, column, 0.0)
    for column in range(begin, end):
        put(ids, column, np.int32(-1))


@borrower
def _find_runs(ids, width, begin, end, ends):
    """Fill ends (W',) with the columns where runs of pixels in a row end that see one face, those of the ring by themselves, and
    return how many there are; beyond [begin, end) there is nothing."""
    ends[0], runs = RING, 1
    for column in range(max(begin - 1, RING), min(end, width - RING - 1)):
        # No branches: where a run ends cannot be guessed.
        put(ends, runs, column + 1)
        runs += 1 if at(ids, column) != at(ids, column + 1) else 0
    ends[runs], ends[runs + 1] = width - RING, width
    return runs + 2


@subroutine
def draw_ids(
    stage,
    share,
    shares,
    points,
    faces,
    signs,
    bounds,
    starts,
    entries,
    nearest,
    ids,
    run_ends,
    run_counts,
    slots,
    slot_faces,
    counts,
    facing,
    farthest,
    marked_tiles,
    last,
):
    """Fill nearest (H + 2, W + 2), 1 / depth of what is seen, 0 for nothing, and ids (H + 2, W + 2), its face or -1.

    And the runs of pixels in each row that see one face: run_ends (H + 2, W + 2) the columns where they end, and run_counts
    (H + 2,) how many there are; the ring has runs of its own. And of each run slots (H + 2, W + 2), the number that its face has
    in its strip, 0 for nothing. And of each strip slot_faces (S, ROWS W + 2), the faces by their number, the first -1,
    counts (S + 1,), from the second on how many there are, and facing (S, 2), whether any is seen from its front, and any from
    its back. And farthest (S ROWS / TILE, W'), the smallest 1 / depth that is seen in each tile. And marked_tiles, of that
    shape, with False, and last (H W + 8,) with -1.

    Of faces equally near, to rounding, one is seen, of identical ones the first. A strip is drawn in memory of its own, that
    stays in the cache: the image is written once.
    """
    prefer_wide_vectors()
    rows, width = ids.shape
    mark = np.full(len(faces) + 1, -1, np.int32)
    slot_of = np.zeros(len(faces) + 1, np.int32)  # of each face, after that of nothing
    stride = -(-width // TILE) * TILE + BLOCK
    depths, numbers = np.empty((ROWS + 1) * stride), np.empty((ROWS + 1) * stride, np.int32)
    spans = np.empty((3, ROWS // TILE, farthest.shape[1]))
    strips, most = len(counts) - 1, 0
    for strip in range(strips):
        most = max(most, starts[strip + 1] - starts[strip])
    # A strip's faces: those seen from their front and, from the end on, the others.
    by_side = np.empty(most + 1, np.int32)
    while True:
        strip = claim_strip(stage, share, shares, strips)
        if strip < 0:
            break
        if strip == 0:
            for pixel in range(len(last) - BLOCK, len(last)):
                last[pixel] = -1
        first_row, last_row = strip * ROWS, min(strip * ROWS + ROWS, rows) - 1
        first_column, last_column = width, np.int64(-1)
        begin, end = starts[strip], starts[strip + 1]
        fronts, backs = np.int64(0), np.int64(0)
        for entry in range(begin, end):
            face = np.int64(at(entries, entry))
            first_column = min(first_column, np.int64(bounds[face, 0]))
            last_column = max(last_column, np.int64(bounds[face, 1]))
            # No branches: on which side the next face is seen cannot be guessed.
            one_back = np.int64(signs[face] > 0)
            put(by_side, fronts, face)
            put(by_side, len(by_side) - 1 - backs, face)
            fronts, backs = fronts + 1 - one_back, backs + one_back
        tiles = farthest[strip * (ROWS // TILE) : (strip + 1) * (ROWS // TILE)]
        for i in range(tiles.shape[0]):
            for j in range(tiles.shape[1]):
                tiles[i, j], marked_tiles[strip * (ROWS // TILE) + i, j] = 0.0, False
        if first_column <= last_column:
            _clear(depths, numbers, stride, last_row - first_row + 1, width, first_column, last_column)
        # Faces seen from their front come first: they hide most of the others, of which whole tiles are then left out.
        stale, looked = False, False  # whether tiles are to be looked at again, and have been at all
        drawn, left_out, patience = 0, 0, _CHUNK
        for number in range(fronts + backs):
            is_back = number >= fronts
            if number == fronts or drawn >= patience:
                _find_farthest(depths, stride, first_column, last_column, tiles)
                _find_spans(tiles, spans)
                patience = _CHUNK if left_out > 0 else 2 * patience
                stale, looked, drawn, left_out = False, True, 0, 0
            face = np.int64(at(by_side, len(by_side) - 1 - number + fronts if is_back else number))
            if looked:
                highest = max(points[faces[face, 0], 2], points[faces[face, 1], 2], points[faces[face, 2], 2])
                if not _any_below(spans, bounds, face, first_row, last_row, highest):
                    left_out += 1
                    continue
            drawn += 1
            columns = (np.int64(bounds[face, 0]), np.int64(bounds[face, 1]))
            top, bottom = max(np.int64(bounds[face, 2]), first_row), min(np.int64(bounds[face, 3]), last_row)
            _draw_face(points, faces, face, is_back, *columns, top, bottom, first_row, depths, numbers, stride)
            stale = True
        if stale:
            _find_farthest(depths, stride, first_column, last_column, tiles)
        seen, front, back, here = np.int64(1), np.int64(0), np.int64(0), slot_faces[strip]
        here[0] = -1
        for row in range(first_row, last_row + 1):
            place = (row - first_row) * stride
            near, ids_here, ends, slots_here = nearest[row], ids[row], run_ends[row], slots[row]
            begin, end = min(first_column, width), last_column + 1
            _see_nothing(near, ids_here, np.int64(0), begin)
            _see_nothing(near, ids_here, max(begin, end), width)
            for column in range(begin, end):
                put(near, column, at(depths, place + column))
            for column in range(begin, end):
                put(ids_here, column, at(numbers, place + column))
            runs = _find_runs(ids_here, width, begin, end, ends)
            run_counts[row] = runs
            if row < RING or row >= rows - RING:
                continue
            for pixel in range((row - RING) * (width - 2 * RING), (row - RING + 1) * (width - 2 * RING)):
                put(last, pixel, np.int32(-1))
            for run in range(1, runs - 1):
                face = np.int64(at(ids_here, np.int64(at(ends, run)) - 1))
                # No branches: which face has been seen before cannot be guessed.
                is_new = np.int64((at(mark, face + 1) != strip) & (face >= 0))
                put(mark, face + 1, strip)
                put(here, seen, face)
                slot = select(is_new > 0, np.int32(seen), at(slot_of, face + 1))
                put(slot_of, face + 1, slot)
                put(slots_here, run, slot)
                one_back = np.int64(signs[max(face, 0)] > 0)
                front, back = front | (is_new & (1 - one_back)), back | (is_new & one_back)
                seen += is_new
        counts[strip + 1], facing[strip, 0], facing[strip, 1] = seen, front > 0, back > 0
        finish(stage)


@kernel
def see_faces(
    share,
    shares,
    board,
    stages,
    vertices,
    faces,
    height,
    width,
    cull_backfaces,
    points,
    signs,
    bounds,
    counts,
    starts,
    entries,
    nearest,
    ids,
    run_ends,
    run_counts,
    slots,
    slot_faces,
    slot_starts,
    facing,
    farthest,
    marked_tiles,
    last,
    seen_sign,
):
    """Do `prepare_faces`, `start_entries`, `fill_entries`, `draw_ids` and `number_slots`, whose sign is that of seen_sign (1,).

    With less room for entries than starts (S + 1,) has in the end, nothing is drawn.
    """
    if share < 0:
        lead(publish(board))
        return
    prefer_wide_vectors()
    prepare_faces(stages[0], vertices, faces, height, width, cull_backfaces, points, signs, bounds, counts)
    if not await_tasks(stages[0], len(counts), share, board):
        return
    if claim(stages[1]) == 0:
        start_entries(counts, starts)
        finish(stages[1])
    if not await_tasks(stages[1], 1, share, board) or starts[len(starts) - 1] > len(entries):
        return
    fill_entries(stages[2], bounds, counts, entries)
    if not await_tasks(stages[2], len(counts), share, board):
        return
    binned = (points, faces, signs, bounds, starts, entries)
    seen = (run_ends, run_counts, slots, slot_faces, slot_starts)
    draw_ids(stages[3], share, shares, *binned, nearest, ids, *seen, facing, farthest, marked_tiles, last)
    if await_tasks(stages[3], len(facing), share, board) and claim(stages[4]) == 0:
        seen_sign[0] = number_slots(slot_starts, facing)


@borrower
def _count_marked(marked_tiles, strip, before):
    """Fill before (ROWS / TILE, W' + 1) with how many tiles of a strip's rows of tiles are marked before each."""
    for i in range(before.shape[0]):
        before[i, 0] = 0
        for j in range(marked_tiles.shape[1]):
            before[i, j + 1] = before[i, j] + marked_tiles[strip * (ROWS // TILE) + i, j]


@borrower
def _is_marked(before, bounds, face, first_row):
    """Whether any tile of a row of tiles that a face touches is marked."""
    left, right = bounds[face, 0] // TILE, bounds[face, 1] // TILE + 1
    touches = (bounds[face, 2] < first_row + TILE) & (bounds[face, 3] >= first_row)
    return touches & (before[right] > before[left])


@borrower
def _ordered(ax, ay, bx, by):
    """Return an edge's ends in the order that `is_inside` takes them, and -1 if that turned them, else 1."""
    turned = is_after(ax, ay, bx, by)
    first_x, first_y = select(turned, bx, ax), select(turned, by, ay)
    return first_x, first_y, select(turned, ax, bx), select(turned, ay, by), select(turned, -1.0, 1.0)


@borrower
def _draw_face_under(points, faces, face, sign, bounds, first_row, last_row, marks, nearest, ids, under, depths):
    """Do `draw_under` for one face, in a range of rows.

    What is hardly ever true is asked of many pixels at once, by their sides of the face's edges, to rounding.
    """
    width = nearest.shape[1] - 2 * RING
    first_row = np.int64(max(first_row, bounds[face, 2], RING))
    last_row = np.int64(min(last_row, bounds[face, 3], nearest.shape[0] - RING - 1))
    first_column, last_column = np.int64(max(bounds[face, 0], RING)), np.int64(min(bounds[face, 1], width))
    a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
    if sign < 0:
        b, c = c, b
    ax, ay, bx, by = points[a, 0], points[a, 1], points[b, 0], points[b, 1]
    cx, cy = points[c, 0], points[c, 1]
    flat_ids, columns = ids.reshape(-1), columns_twice(0.5) + (0.5 - RING)
    reach = max(abs(ax), abs(ay), abs(bx), abs(by), abs(cx), abs(cy), np.float64(width))
    least = -_ROUNDING * reach * reach
    for first in range(first_row, last_row + 1, 2):
        second = min(first + 1, last_row)
        ys = pair(first - RING + 0.5, second - RING + 0.5)
        a_y, b_y, c_y = ay - ys, by - ys, cy - ys
        for begin in range(first_column, last_column + 1, BLOCK):
            xs = columns + np.float64(begin)
            a_x, b_x, c_x = ax - xs, bx - xs, cx - xs
            sides = lower(lower(b_x * c_y - b_y * c_x, c_x * a_y - c_y * a_x), a_x * b_y - a_y * b_x)
            place, other = (first - RING) * width + begin - RING, (second - RING) * width + begin - RING
            at_ids = first * (width + 2 * RING) + begin, second * (width + 2 * RING) + begin
            if not any_marked(sides >= least, marks, place, other, flat_ids, at_ids[0], at_ids[1], face):
                continue
            for row in range(first, second + 1):
                for column in range(begin, lower(begin + BLOCK - 1, last_column) + 1):
                    pixel = (row - RING) * width + column - RING
                    if marks[pixel] >= 0 and ids[row, column] != face:
                        _draw_pixel_under(points, a, b, c, face, row, column, pixel, nearest, under, depths)


@borrower
def _draw_pixel_under(points, a, b, c, face, row, column, pixel, nearest, under, depths):
    """Do `draw_under` for one pixel and a face with corners a, b and c, so turned that it lies within its edges."""
    ax, ay, bx, by = points[a, 0], points[a, 1], points[b, 0], points[b, 1]
    cx, cy, x, y = points[c, 0], points[c, 1], column - RING + 0.5, row - RING + 0.5
    x0, y0, x1, y1, turn_a = _ordered(bx, by, cx, cy)
    x2, y2, x3, y3, turn_b = _ordered(cx, cy, ax, ay)
    x4, y4, x5, y5, turn_c = _ordered(ax, ay, bx, by)
    at_a = turn_a * side_of(x0, y0, x1, y1, x, y)
    at_b = turn_b * side_of(x2, y2, x3, y3, x, y)
    at_c = turn_c * side_of(x4, y4, x5, y5, x, y)
    if at_a < _kept_at(bx, by, cx, cy) or at_b < _kept_at(cx, cy, ax, ay) or at_c < _kept_at(ax, ay, bx, by):
        return
    near = (at_a * points[a, 2] + at_b * points[b, 2] + at_c * points[c, 2]) / (at_a + at_b + at_c)
    if depths[pixel] < near < NEARER * nearest[row, column]:
        under[pixel], depths[pixel] = face, near


@subroutine
def draw_under(
    stage,
    share,
    shares,
    points,
    faces,
    signs,
    bounds,
    starts,
    entries,
    seen_sign,
    marked_tiles,
    marks,
    nearest,
    ids,
    under,
    depths,
):
    """Write to under (H W,), which is -1 there, the face next below the nearest one at the centres of pixels with marks
    (H W + 8,) >= 0, all of them in marked tiles, among those of the sign `seen_sign`, or all if it is 0; depths (H W,), 0 there,
    is for its 1 / depth.

    Of closed surfaces the faces turned away are left out: they lie right behind an outline.
    """
    strips, most = len(starts) - 1, 0
    for strip in range(strips):
        most = max(most, starts[strip + 1] - starts[strip])
    chosen, before = np.empty(most + 1, np.int32), np.empty((ROWS // TILE, marked_tiles.shape[1] + 1), np.int32)
    while True:
        strip = claim_strip(stage, share, shares, strips)
        if strip < 0:
            break
        _count_marked(marked_tiles, strip, before)
        for i in range(ROWS // TILE):
            if before[i, len(before[i]) - 1] == 0:
                continue
            count, first_row = np.int64(0), strip * ROWS + i * TILE
            for entry in range(starts[strip], starts[strip + 1]):
                face = np.int64(at(entries, entry))
                # No branches: which face is chosen cannot be guessed.
                put(chosen, count, face)
                counts = (seen_sign == 0) | (signs[face] == seen_sign)
                count += np.int64(counts & _is_marked(before[i], bounds, face, first_row))
            for number in range(count):
                face, rows = np.int64(chosen[number]), (first_row, first_row + TILE - 1)
                _draw_face_under(points, faces, face, signs[face], bounds, *rows, marks, nearest, ids, under, depths)
        finish(stage)
