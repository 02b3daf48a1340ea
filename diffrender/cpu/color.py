"""Soft colour (and alpha in the same pass) over strips: forward, and its reverse. Formulas are in `diffrender.formulas`.

Blocks are gone over as in the silhouette, in steps with memory between them. Where nearer faces leave a face no weight that
the precision could show, only its coverage is computed.
"""

import numpy as np

from ..formulas.aggregate import softmax_step, softmax_weight
from ..formulas.constants import ONE, ZERO
from ..formulas.coverage import log_coverage_backward
from ..formulas.interpolate import clipped_barycentric, clipped_barycentric_backward
from ..formulas.shape import face_odds, rates
from ..jit import formula, kernel, prefer_wide_vectors
from ..kernel_memory import aligned
from ..lanes import (
    LANES,
    any_lane,
    at,
    fma,
    higher,
    load,
    load_pair,
    lower,
    magnitude,
    put,
    select,
    spread,
    store,
    store_pair,
    sum_up,
    times_sign,
)
from ..spin import claim, finish, lead, publish
from .blocks import (
    EDGE_SUMS,
    add_nearest,
    add_products,
    begin_others,
    coverage_logits,
    of_frame,
    put_corner_gradients,
    save_nearest,
)
from .color_rows import put_upstream_image, take_image
from .gather import gather_after
from .kept import keep, kept_of, note, room_for, take_blocks
from .rows import put_rows
from .spans import BATCH, INVERSE_AREA, list_blocks, list_groups, new_lists, number_of, places_of, put_corners
from .strips import fill, rows_of, slot_of, stride_of, strip_size, strips_of
from .union import alpha_backward, begin_peaks, covered_backward, join, take_owners

BEHIND = np.float32(-1e30)  # the depth logit of a face that does not count
_FORWARD, _BACKWARD = 64, 32  # blocks at a time, and a little more: what is kept of them fits in the L1 cache
_DRAWN = 5 * LANES  # numbers of two blocks between the steps of the way forward
_SAVED = 8 * LANES  # and of the way back
# A tint holds what turns places across bc, ca and ab into the barycentric coordinates of a, b and c, the corners' depth
# logits and the highest of them, and the corners' attributes.
_TINT = np.int64(7)
# Of a face, besides the sums of its edges and 3 a channel: x, y of a, b and c, their depth logits.
_CORNER_SUMS = 9 * LANES


@formula
def put_tint(lists, number, geometry, face_corners, face, scale, depth_logits, attributes, tints, tint, hues):
    """Write the tint of a face, of a number in its batch, the corners' attributes from `hues` numbers on."""
    frames = lists[0]
    inverse_area = geometry[face, INVERSE_AREA]
    per_half = (inverse_area + inverse_area) / (scale * scale)
    a, b, c = face_corners[face, 0], face_corners[face, 1], face_corners[face, 2]
    put(tints, tint, of_frame(frames, number, 10) * per_half)
    put(tints, tint + 1, of_frame(frames, number, 16) * per_half)
    put(tints, tint + 2, of_frame(frames, number, 4) * per_half)
    put(tints, tint + 3, depth_logits[a])
    put(tints, tint + 4, depth_logits[b])
    put(tints, tint + 5, depth_logits[c])
    put(tints, tint + 6, higher(higher(depth_logits[a], depth_logits[b]), depth_logits[c]))
    for channel in range(attributes.shape[1]):
        into = tint + hues + 3 * channel
        put(tints, into, attributes[a, channel])
        put(tints, into + 1, attributes[b, channel])
        put(tints, into + 2, attributes[c, channel])


@formula
def list_seen(lists, count, tints, tint_size, maximum, lowest_depth, seen):
    """List the blocks, two by two, whose face has weight because nearer faces do not hide it; return their number."""
    seen_count = 0
    for block in range(0, count, 2):
        nearest = at(tints, number_of(lists, block) * tint_size + 6)
        has_weight = any_lane(load_pair(maximum, *places_of(lists, block)) + lowest_depth < spread(nearest))
        put(seen, seen_count, block)
        seen_count += 1 if has_weight else 0
    return seen_count


@formula
def list_hidden(lists, count, upstream, seen, seen_count, hidden):
    """List after the seen blocks those hidden ones of which alpha sends something back; return the length of the list."""
    known, hidden_count = 0, 0
    put(seen, seen_count, -1)
    for block in range(0, count, 2):
        is_seen = at(seen, known) == block
        known += 1 if is_seen else 0
        put(hidden, hidden_count, block)
        above = magnitude(load_pair(upstream, *places_of(lists, block)))
        hidden_count += 1 if any_lane(above > ZERO) and not is_seen else 0
    for k in range(hidden_count):
        put(seen, seen_count + k, at(hidden, k))
    return seen_count + hidden_count


@formula
def weight_slopes(lists, number, to_a, to_b, to_c):
    """Return the slopes in x and y of the barycentric coordinates of a, b and c, for what a face's tint begins with."""
    frames = lists[0]
    return (
        of_frame(frames, number, 8) * to_a,
        of_frame(frames, number, 9) * to_a,
        of_frame(frames, number, 14) * to_b,
        of_frame(frames, number, 15) * to_b,
        of_frame(frames, number, 2) * to_c,
        of_frame(frames, number, 3) * to_c,
    )


@formula
def add_corners(sums, place, ua, ub, uc, hx, hy, ba, bb, bc, grad_log):
    """Add to a face's sums, from `place` on, what two blocks send back to x and y of the corners and to their depth logits."""
    add_products(sums, place, ua, hx)
    add_products(sums, place + 1 * LANES, ua, hy)
    add_products(sums, place + 2 * LANES, ub, hx)
    add_products(sums, place + 3 * LANES, ub, hy)
    add_products(sums, place + 4 * LANES, uc, hx)
    add_products(sums, place + 5 * LANES, uc, hy)
    add_products(sums, place + 6 * LANES, ba, grad_log)
    add_products(sums, place + 7 * LANES, bb, grad_log)
    add_products(sums, place + 8 * LANES, bc, grad_log)


@kernel
def color_forward(
    share,
    shares,
    board,
    face_corners,
    geometry,
    bounds,
    starts,
    entries,
    order,
    height,
    turn,
    radius,
    scale,
    lowest,
    shape,
    owners,
    kept,
    lowest_depth,
    depth_logits,
    attributes,
    background_logits,
    background,
    image,
    transmittance,
    maxima,
    inverse_sums,
):
    """Fill the image (H, W, C + 1), T and the softmax's maximum and inverse sum (H, W) of the strips that this share gets.

    `turn` (1,) counts the strips that have been taken, in `order`.
    """
    if share < 0:
        lead(publish(board))
        return
    prefer_wide_vectors()
    width, strips = image.shape[1], strips_of(height)
    channels = attributes.shape[1]
    stride = stride_of(width)
    size = strip_size(width)
    odds, maximum, total = aligned(size, geometry), aligned(size, geometry), aligned(size, geometry)
    owner = odds if len(owners) == 0 else aligned(len(odds), geometry)
    blend = aligned(channels * size, geometry)
    lists = new_lists(width, _FORWARD, geometry)
    blocks = lists[1]
    # Of two blocks: the coverage logit, then coverage, 0 where the face does not count; the places across the edges.
    drawn = aligned((len(blocks) // 2 + 1) * _DRAWN, geometry)
    tint_size = _TINT + 3 * channels
    tints = aligned(BATCH * tint_size, geometry)
    seen = aligned(len(blocks) // 2 + 1, np.int32)
    kept_to, limit = np.int64(0), np.int64(0)
    while True:
        claimed = claim(turn)
        if claimed >= len(order):
            break
        strip = order[claimed]
        view, top, bottom, begin, after = rows_of(strip, strips, height)
        fill(odds, 0, len(odds), ZERO)
        if len(owners) != 0:
            begin_peaks(odds, owner)
        fill(maximum, 0, size, background_logits[view])
        fill(total, 0, size, ONE)
        for channel in range(channels):
            fill(blend, channel * size, (channel + 1) * size, background[channel])
        entry, end = starts[strip], starts[strip + 1]
        while entry < end:
            batch = lower(BATCH, end - entry)
            groups = list_groups(
                geometry, bounds, entries, entry, batch, top, bottom, radius, scale, stride, lists, False
            )
            kept_from, limit = room_for(kept, kept_to, limit)
            kept_to = kept_from
            for number in range(batch):
                face = at(entries, entry + number)
                tint = number * tint_size
                put_tint(
                    lists, number, geometry, face_corners, face, scale, depth_logits, attributes, tints, tint, _TINT
                )
            group = np.int64(0)  # not a literal, for which Numba would compile a second version
            while group < groups:
                group, count = list_blocks(group, groups, _FORWARD, stride, lists)
                kept_to = keep(kept, kept_to, limit, lists, count)
                for block in range(0, count, 2):
                    logit, c0, c1, c2 = coverage_logits(lists, block)
                    into = block // 2 * _DRAWN
                    store(drawn, into, logit)
                    store(drawn, into + 1 * LANES, c0)
                    store(drawn, into + 2 * LANES, c1)
                    store(drawn, into + 3 * LANES, c2)
                for block in range(0, count, 2):
                    into = block // 2 * _DRAWN
                    logit = load(drawn, into)
                    exponential = select(logit >= lowest, face_odds(higher(logit, lowest), shape), ZERO)
                    join(odds, owner, lists, block, entries, entry, logit, exponential, owners)
                    store(drawn, into, exponential / (ONE + exponential))
                seen_count = list_seen(lists, count, tints, tint_size, maximum, lowest_depth, seen)
                for k in range(seen_count):
                    drawn_block = np.int64(at(seen, k))
                    into = int(drawn_block) // 2 * _DRAWN
                    tint = number_of(lists, drawn_block) * tint_size
                    coverage = load(drawn, into)
                    ba, bb, bc, _ = clipped_barycentric(
                        load(drawn, into + 2 * LANES) * at(tints, tint),
                        load(drawn, into + 3 * LANES) * at(tints, tint + 1),
                        load(drawn, into + 1 * LANES) * at(tints, tint + 2),
                    )
                    depth = fma(ba, at(tints, tint + 3), fma(bb, at(tints, tint + 4), bc * at(tints, tint + 5)))
                    first, second = places_of(lists, drawn_block)
                    nearest, factor, weight = softmax_step(
                        load_pair(maximum, first, second),
                        select(coverage > ZERO, depth, BEHIND),
                        coverage,
                        lowest_depth,
                    )
                    store_pair(maximum, first, second, nearest)
                    store_pair(total, first, second, fma(load_pair(total, first, second), factor, weight))
                    weight_a, weight_b, weight_c = weight * ba, weight * bb, weight * bc
                    for channel in range(channels):
                        hue = tint + _TINT + 3 * channel
                        value = load_pair(blend, first, second) * factor
                        value = fma(weight_a, at(tints, hue), value)
                        value = fma(weight_b, at(tints, hue + 1), value)
                        value = fma(weight_c, at(tints, hue + 2), value)
                        store_pair(blend, first, second, value)
                        first += size
                        second += size
            kept_to = note(kept, strip, entry, kept_from, kept_to, limit)
            entry += batch
        for row in range(begin, after, 2):
            place = (row - begin) * stride
            if len(owners) != 0:
                take_owners(owner, place, row, after, owners[0])
            images = (image, transmittance, maxima, inverse_sums)
            take_image(odds, total, maximum, blend, size, place, row, after, lowest, shape, owners, *images)


@kernel
def color_backward(
    share,
    shares,
    board,
    face_corners,
    geometry,
    bounds,
    slots,
    starts,
    entries,
    order,
    height,
    stages,
    radius,
    scale,
    lowest,
    shape,
    owners,
    kept,
    vanished,
    lowest_depth,
    depth_logits,
    attributes,
    transmittance,
    image,
    maxima,
    inverse_sums,
    grad_image,
    entry_gradients,
    gathered,
):
    """Fill one slot (9 + 3 C,) per entry from grad_image (H, W, C + 1): of each corner x, y, the depth logit, C attributes; and
    what is `gathered` from them."""
    if share < 0:
        lead(publish(board))
        return
    prefer_wide_vectors()
    width, strips = grad_image.shape[1], strips_of(height)
    channels = attributes.shape[1]
    stride = stride_of(width)
    size = strip_size(width)
    upstream = aligned(size, geometry)  # grad_alpha * T, 0 where T has vanished
    fill(upstream, 0, size, ZERO)
    owner = upstream if len(owners) == 0 else aligned(len(upstream), geometry)
    maximum, inverse_sum = aligned(size, geometry), aligned(size, geometry)
    fill(maximum, 0, size, ZERO)
    fill(inverse_sum, 0, size, ZERO)
    mean = aligned(size, geometry)  # sum_c grad_color_c color_c
    fill(mean, 0, size, ZERO)
    upstream_color = aligned(channels * size, geometry)
    fill(upstream_color, 0, len(upstream_color), ZERO)
    lists = new_lists(width, _BACKWARD, geometry)
    blocks = lists[1]
    # Of two blocks: what `save_nearest` writes; the places across the edges.
    saved = aligned((len(blocks) // 2 + 1) * _SAVED, geometry)
    tint_size = _TINT + 3 * channels
    tints = aligned(BATCH * tint_size, geometry)
    seen, hidden = aligned(len(blocks) // 2 + 2, np.int32), aligned(len(blocks) // 2 + 2, np.int32)
    edge_sums = aligned(BATCH * EDGE_SUMS, geometry)
    corner_sums = aligned(BATCH * _CORNER_SUMS, geometry)
    hue_size = 3 * channels * LANES
    hue_sums = aligned(BATCH * hue_size, geometry)
    totals = aligned(LANES, geometry)
    # A face of which something is seen leaves 0 behind in its sums, others do not touch them.
    fill(corner_sums, 0, len(corner_sums), ZERO)
    fill(hue_sums, 0, len(hue_sums), ZERO)
    while True:
        claimed = claim(stages[0])
        if claimed >= len(order):
            break
        strip = order[claimed]
        _, top, bottom, begin, after = rows_of(strip, strips, height)
        for row in range(begin, after, 2):
            place = (row - begin) * stride
            from_rows = (transmittance, image, grad_image, row, after, vanished)
            put_upstream_image(*from_rows, upstream, upstream_color, mean, size, place)
            if len(owners) != 0:
                put_rows(owners[0], row, after, -ONE, owner, place)
            put_rows(maxima, row, after, -BEHIND, maximum, place)
            put_rows(inverse_sums, row, after, ZERO, inverse_sum, place)
        entry, end = starts[strip], starts[strip + 1]
        while entry < end:
            batch = lower(BATCH, end - entry)
            kept_from, kept_to = kept_of(kept, strip, entry)
            groups = list_groups(
                geometry, bounds, entries, entry, batch, top, bottom, radius, scale, stride, lists, kept_from >= 0
            )
            for number in range(batch):
                face = at(entries, entry + number)
                tint = number * tint_size
                put_tint(
                    lists, number, geometry, face_corners, face, scale, depth_logits, attributes, tints, tint, _TINT
                )
            put_corners(lists)
            begun, seen_faces = np.int64(0), np.int64(0)
            group = np.int64(0)  # not a literal, for which Numba would compile a second version
            while group < groups:
                group, count, kept_from = take_blocks(group, groups, _BACKWARD, stride, lists, kept, kept_from, kept_to)
                seen_count = list_seen(lists, count, tints, tint_size, maximum, lowest_depth, seen)
                count = list_hidden(lists, count, upstream, seen, seen_count, hidden)
                for k in range(count):
                    into = k * _SAVED
                    c0, c1, c2 = save_nearest(lists, np.int64(at(seen, k)), saved, into)
                    store(saved, into + 5 * LANES, c1)
                    store(saved, into + 6 * LANES, c2)
                    store(saved, into + 7 * LANES, c0)
                for k in range(seen_count, count):  # hidden by nearer faces: only alpha comes back
                    block = np.int64(at(seen, k))
                    into = k * _SAVED
                    logit = load(saved, into)
                    grad = covered_backward(upstream, owner, lists, block, entries, entry, logit, lowest, shape, owners)
                    store(saved, into, grad)
                for k in range(seen_count):
                    block = np.int64(at(seen, k))
                    into = k * _SAVED
                    number = number_of(lists, block)
                    seen_faces |= 1 << number
                    tint = number * tint_size
                    first, second = places_of(lists, block)
                    logit = load(saved, into)
                    counts = logit >= lowest
                    coverage, rate, log_rate = rates(higher(logit, lowest), shape)
                    to_a, to_b, to_c = at(tints, tint), at(tints, tint + 1), at(tints, tint + 2)
                    ua = load(saved, into + 5 * LANES) * to_a
                    ub = load(saved, into + 6 * LANES) * to_b
                    uc = load(saved, into + 7 * LANES) * to_c
                    ba, bb, bc, inverse = clipped_barycentric(ua, ub, uc)
                    depth_a, depth_b, depth_c = at(tints, tint + 3), at(tints, tint + 4), at(tints, tint + 5)
                    depth = fma(ba, depth_a, fma(bb, depth_b, bc * depth_c))
                    weight = softmax_weight(
                        load_pair(maximum, first, second),
                        depth,
                        coverage,
                        load_pair(inverse_sum, first, second),
                        lowest_depth,
                    )
                    weight = select(counts, weight, ZERO)
                    weight_a, weight_b, weight_c = weight * ba, weight * bb, weight * bc
                    dot_a, dot_b, dot_c = weight * ZERO, weight * ZERO, weight * ZERO
                    hue_sum = number * hue_size
                    for channel in range(channels):
                        color_of = tint + _TINT + 3 * channel
                        hue = load_pair(upstream_color, channel * size + first, channel * size + second)
                        dot_a = fma(hue, at(tints, color_of), dot_a)
                        dot_b = fma(hue, at(tints, color_of + 1), dot_b)
                        dot_c = fma(hue, at(tints, color_of + 2), dot_c)
                        add_products(hue_sums, hue_sum, hue, weight_a)
                        add_products(hue_sums, hue_sum + LANES, hue, weight_b)
                        add_products(hue_sums, hue_sum + 2 * LANES, hue, weight_c)
                        hue_sum += 3 * LANES
                    # d color / d log w_j = w_j / sum w (c_j - color): log w_j holds log D_j and the depth logit.
                    grad_log = weight * (fma(ba, dot_a, fma(bb, dot_b, bc * dot_c)) - load_pair(mean, first, second))
                    above = load_pair(upstream, first, second)
                    grad_logit = alpha_backward(above, owner, lists, block, entries, entry, counts, rate, owners)
                    grad_logit = grad_logit + log_coverage_backward(grad_log, log_rate)
                    store(saved, into, times_sign(grad_logit, logit))  # x is linear in d^2
                    slopes = weight_slopes(lists, number, to_a, to_b, to_c)
                    hx, hy = clipped_barycentric_backward(
                        fma(grad_log, depth_a, weight * dot_a),
                        fma(grad_log, depth_b, weight * dot_b),
                        fma(grad_log, depth_c, weight * dot_c),
                        ba,
                        bb,
                        bc,
                        inverse,
                        slopes,
                    )
                    corner = number * _CORNER_SUMS
                    add_corners(corner_sums, corner, ua, ub, uc, hx, hy, ba, bb, bc, grad_log)
                begun = add_nearest(lists, seen, count, saved, _SAVED, edge_sums, begun)
            begin_others(edge_sums, EDGE_SUMS, batch, begun)
            for number in range(batch):
                face = at(entries, entry + number)
                slot = slot_of(slots, bounds, face, top)
                put_corner_gradients(edge_sums, number, scale, totals, entry_gradients, slot, 3 + channels)
                if seen_faces >> number & 1 == 0:
                    for corner in range(3):
                        for k in range(2, 3 + channels):
                            entry_gradients[slot, corner * (3 + channels) + k] = ZERO
                    continue
                sum_up(corner_sums, number * _CORNER_SUMS, totals, 9)
                fill(corner_sums, number * _CORNER_SUMS, (number + 1) * _CORNER_SUMS, ZERO)
                for corner in range(3):
                    first = corner * (3 + channels)
                    entry_gradients[slot, first] -= totals[2 * corner]
                    entry_gradients[slot, first + 1] -= totals[2 * corner + 1]
                    entry_gradients[slot, first + 2] = totals[6 + corner]
                for channel in range(channels):
                    sum_up(hue_sums, number * hue_size + channel * 3 * LANES, totals, 3)
                    for corner in range(3):
                        entry_gradients[slot, corner * (3 + channels) + 3 + channel] = totals[corner]
                fill(hue_sums, number * hue_size, (number + 1) * hue_size, ZERO)
            entry += batch
        finish(stages[0])
    gather_after(stages, len(order), share, shares, board, slots, entry_gradients, gathered)
