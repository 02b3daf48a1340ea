"""Soft colour of surfaces in perspective: attributes by weights that are right in space, times a texture where there is one.

The loops are those of `diffrender.cpu.color`, which does not pay for what is here. Without a texture, `texture` is None and
the compiler leaves out what belongs to it.
"""

import numpy as np

from ..formulas.aggregate import softmax_step, softmax_weight
from ..formulas.constants import ONE, ZERO
from ..formulas.coverage import log_coverage_backward
from ..formulas.interpolate import clipped_barycentric, clipped_barycentric_backward
from ..formulas.perspective import perspective_weights_backward
from ..formulas.shape import face_odds, rates
from ..formulas.texture import footprint_backward, texture_density_backward
from ..jit import formula, kernel, prefer_wide_vectors
from ..kernel_memory import aligned
from ..lanes import (
    LANES,
    at,
    fma,
    higher,
    load,
    load_pair,
    lower,
    select,
    store,
    store_pair,
    sum_up,
    times_sign,
)
from ..spin import claim, finish, lead, publish
from .blocks import (
    EDGE_SUMS,
    add_lanes,
    add_nearest,
    add_products,
    begin_others,
    coverage_logits,
    put_corner_gradients,
    save_nearest,
)
from .color import BEHIND, add_corners, list_hidden, list_seen, put_tint, weight_slopes
from .color_rows import put_upstream_image, take_image
from .gather import gather_after
from .kept import keep, kept_of, note, room_for, take_blocks
from .rows import put_rows
from .sample import CELLS, PLACES, SAMPLED, clear, put_levels, sample, sample_backward
from .spans import BATCH, list_blocks, list_groups, new_lists, number_of, places_of, put_corners
from .strips import fill, rows_of, slot_of, stride_of, strip_size, strips_of
from .tints import DENSITY, TINT, UV, Q, corner_weights, footprint_of, put_place, put_q, put_uv, six, slopes_of
from .union import alpha_backward, begin_peaks, covered_backward, join, take_owners

_FORWARD, _BACKWARD = 64, 32  # blocks at a time, and a little more: what is kept of them fits in the L1 cache
_DRAWN = 5 * LANES  # numbers of two blocks between the steps of the way forward
_SAVED = 8 * LANES  # and of the way back
# Of a face's corners: the sums of `diffrender.cpu.color`, log q of the attributes; log q of the texture, uv, the density.
_PLAIN_SUMS, _SUMS = 12, 27
_CORNER_SUMS = 32 * LANES


@kernel
def surface_forward(
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
    q,
    texture,
    texture_q,
    face_uv,
    uv,
    background_logits,
    background,
    image,
    transmittance,
    maxima,
    inverse_sums,
):
    """Fill the image (H, W, C + 1), T and the softmax's maximum and inverse sum (H, W) of the strips that this share gets.

    q and texture_q (V,) are 1 / depth, or 1 where weights are those in the image; `texture` is what `sample` takes, for three
    channels, or None.
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
    drawn = aligned((len(blocks) // 2 + 1) * _DRAWN, geometry)
    tint_size = TINT + 3 * channels
    tints = aligned(BATCH * tint_size, geometry)
    seen = aligned(len(blocks) // 2 + 1, np.int32)
    if texture is not None:
        texels, offsets, sizes, repeat = texture
        places, sampled, cells = aligned(PLACES, geometry), aligned(SAMPLED, geometry), aligned(CELLS, entries)
        fill(places, 0, PLACES, ZERO)
        mipmapped, last, real = len(offsets) > 1, sizes.dtype.type(len(offsets) - 1), sizes.dtype.type
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
                    lists, number, geometry, face_corners, face, scale, depth_logits, attributes, tints, tint, TINT
                )
                put_q(face_corners, face, q, tints, tint + Q)
                if texture is not None:
                    put_uv(geometry, face_corners, face, texture_q, face_uv, uv, tints, tint)
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
                    if texture is not None:
                        _, _, _, inverse, u, v = put_place(ba, bb, bc, weight, tints, tint, places)
                        levels = 1
                        if mipmapped:
                            _, _, _, _, square = footprint_of(u, v, tints, tint, inverse, sizes)
                            levels = put_levels(weight > ZERO, square, last, places)
                        clear(sampled, weight * ZERO)
                        for step in range(levels):
                            sample(texels, offsets, sizes, repeat, real(step), places, cells, sampled)
                    pa, pb, pc, _ = corner_weights(ba, bb, bc, tints, tint + Q)
                    for channel in range(channels):
                        hue = tint + TINT + 3 * channel
                        value = fma(pa, at(tints, hue), fma(pb, at(tints, hue + 1), pc * at(tints, hue + 2)))
                        if texture is not None:
                            value = value * load(sampled, channel * LANES)
                        value = fma(weight, value, load_pair(blend, first, second) * factor)
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


@formula
def _put_uv_gradients(geometry, face, tints, tint, totals, entry_gradients, entry_uv, slot, width):
    """Write the corners' (u, v) to their slot, and add to the slot and to log q what the density sends back."""
    felt = False
    for k in range(21, _SUMS):
        felt = felt or totals[k] != ZERO
    for k in range(6):
        entry_uv[slot, k] = totals[15 + k]
    if not felt:  # sizes may be infinite where they are not felt
        return
    density = (totals[21], totals[22], totals[23], totals[24], totals[25], totals[26])
    q, ways = tint + Q + 3, tint + UV + 2
    back = texture_density_backward(
        density,
        at(tints, q),
        at(tints, q + 1),
        at(tints, q + 2),
        slopes_of(geometry, face),
        at(tints, ways),
        at(tints, ways + 1),
        at(tints, ways + 2),
        at(tints, ways + 3),
    )
    for corner in range(3):
        totals[12 + corner] += back[corner]
        for axis in range(2):
            entry_gradients[slot, corner * width + axis] += back[3 + 2 * corner + axis]
            entry_uv[slot, 2 * corner + axis] += back[9 + 2 * corner + axis]


@kernel
def surface_backward(
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
    q,
    texture,
    texture_q,
    face_uv,
    uv,
    of_log_q,
    texture_of_log_q,
    transmittance,
    image,
    maxima,
    inverse_sums,
    grad_image,
    entry_gradients,
    gathered,
    entry_uv,
    grids,
    touched,
    unit,
):
    """Fill one slot (9 + 3 C,) per entry: of each corner x, y, the depth logit and C attributes; with a texture also its
    slot of entry_uv (6,), and this share's grids (S, 4 N) and touched (S, chunks), see `sample_backward`; and what is `gathered`
    from the former slots.

    of_log_q and texture_of_log_q (V,) turn gradients of log q into such of the depth logit.
    """
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
    saved = aligned((len(blocks) // 2 + 1) * _SAVED, geometry)
    tint_size = TINT + 3 * channels
    tints = aligned(BATCH * tint_size, geometry)
    seen, hidden = aligned(len(blocks) // 2 + 2, np.int32), aligned(len(blocks) // 2 + 2, np.int32)
    edge_sums = aligned(BATCH * EDGE_SUMS, geometry)
    corner_sums = aligned(BATCH * _CORNER_SUMS, geometry)
    hue_size = 3 * channels * LANES
    hue_sums = aligned(BATCH * hue_size, geometry)
    totals = aligned(2 * LANES, geometry)
    if texture is not None:
        texels, offsets, sizes, repeat = texture
        places, sampled, cells = aligned(PLACES, geometry), aligned(SAMPLED, geometry), aligned(CELLS, entries)
        texel_grads, texel_shares = aligned(4 * LANES, geometry), aligned(4 * LANES, geometry)
        grid, of_grid = grids[share], touched[share]
        fill(places, 0, PLACES, ZERO)
        mipmapped, last, real = len(offsets) > 1, sizes.dtype.type(len(offsets) - 1), sizes.dtype.type
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
                    lists, number, geometry, face_corners, face, scale, depth_logits, attributes, tints, tint, TINT
                )
                put_q(face_corners, face, q, tints, tint + Q)
                if texture is not None:
                    put_uv(geometry, face_corners, face, texture_q, face_uv, uv, tints, tint)
            put_corners(lists)
            begun = np.int64(0)
            fill(corner_sums, 0, batch * _CORNER_SUMS, ZERO)
            fill(hue_sums, 0, batch * hue_size, ZERO)
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
                    tint, corner = number * tint_size, number * _CORNER_SUMS
                    first, second = places_of(lists, block)
                    logit = load(saved, into)
                    counts = logit >= lowest
                    coverage, rate, log_rate = rates(higher(logit, lowest), shape)
                    to_a, to_b, to_c = at(tints, tint), at(tints, tint + 1), at(tints, tint + 2)
                    ua = load(saved, into + 5 * LANES) * to_a
                    ub = load(saved, into + 6 * LANES) * to_b
                    uc = load(saved, into + 7 * LANES) * to_c
                    ba, bb, bc, inverse_total = clipped_barycentric(ua, ub, uc)
                    depth_a, depth_b, depth_c = at(tints, tint + 3), at(tints, tint + 4), at(tints, tint + 5)
                    weight = softmax_weight(
                        load_pair(maximum, first, second),
                        fma(ba, depth_a, fma(bb, depth_b, bc * depth_c)),
                        coverage,
                        load_pair(inverse_sum, first, second),
                        lowest_depth,
                    )
                    weight = select(counts, weight, ZERO)
                    pa, pb, pc, inverse = corner_weights(ba, bb, bc, tints, tint + Q)
                    if texture is not None:
                        ta, tb, tc, texture_inverse, u, v = put_place(ba, bb, bc, weight, tints, tint, places)
                        levels = 1
                        if mipmapped:
                            ux, vx, uy, vy, square = footprint_of(u, v, tints, tint, texture_inverse, sizes)
                            levels = put_levels(weight > ZERO, square, last, places)
                        for channel in range(channels):
                            hue = tint + TINT + 3 * channel
                            value = fma(pa, at(tints, hue), fma(pb, at(tints, hue + 1), pc * at(tints, hue + 2)))
                            above = load_pair(upstream_color, channel * size + first, channel * size + second)
                            store(places, (4 + channel) * LANES, weight * above * value)
                        clear(sampled, weight * ZERO)
                        for step in range(levels):
                            sample_backward(
                                texels,
                                offsets,
                                sizes,
                                repeat,
                                real(step),
                                places,
                                cells,
                                texel_grads,
                                texel_shares,
                                sampled,
                                grid,
                                of_grid,
                                unit,
                            )
                    grad_a, grad_b, grad_c = weight * ZERO, weight * ZERO, weight * ZERO  # of the attributes' weights
                    hue_sum = number * hue_size
                    for channel in range(channels):
                        hue = tint + TINT + 3 * channel
                        above = weight * load_pair(upstream_color, channel * size + first, channel * size + second)
                        if texture is not None:
                            above = above * load(sampled, channel * LANES)
                        grad_a = fma(above, at(tints, hue), grad_a)
                        grad_b = fma(above, at(tints, hue + 1), grad_b)
                        grad_c = fma(above, at(tints, hue + 2), grad_c)
                        add_products(hue_sums, hue_sum, above, pa)
                        add_products(hue_sums, hue_sum + LANES, above, pb)
                        add_products(hue_sums, hue_sum + 2 * LANES, above, pc)
                        hue_sum += 3 * LANES
                    # d color / d log w_j = w_j / sum w (c_j - color): log w_j holds log D_j and the depth logit.
                    grad_log = fma(pa, grad_a, fma(pb, grad_b, pc * grad_c))
                    grad_log = grad_log - weight * load_pair(mean, first, second)
                    above = load_pair(upstream, first, second)
                    grad_logit = alpha_backward(above, owner, lists, block, entries, entry, counts, rate, owners)
                    grad_logit = grad_logit + log_coverage_backward(grad_log, log_rate)
                    store(saved, into, times_sign(grad_logit, logit))  # x is linear in d^2
                    gba, gbb, gbc, log_a, log_b, log_c = perspective_weights_backward(
                        grad_a,
                        grad_b,
                        grad_c,
                        ZERO,
                        pa,
                        pb,
                        pc,
                        at(tints, tint + Q),
                        at(tints, tint + Q + 1),
                        at(tints, tint + Q + 2),
                        inverse,
                    )
                    add_lanes(corner_sums, corner + 9 * LANES, log_a)
                    add_lanes(corner_sums, corner + 10 * LANES, log_b)
                    add_lanes(corner_sums, corner + 11 * LANES, log_c)
                    gba = fma(grad_log, depth_a, gba)
                    gbb = fma(grad_log, depth_b, gbb)
                    gbc = fma(grad_log, depth_c, gbc)
                    if texture is not None:
                        grad_u, grad_v = load(sampled, 3 * LANES), load(sampled, 4 * LANES)
                        shrinking = weight * ZERO
                        if mipmapped:
                            gu, gv, shrinking, d0, d1, d2, d3, d4, d5 = footprint_backward(
                                load(sampled, 5 * LANES),
                                u,
                                v,
                                ux,
                                vx,
                                uy,
                                vy,
                                six(tints, tint + DENSITY),
                                texture_inverse,
                                at(sizes, 0),
                                at(sizes, 1),
                            )
                            grad_u, grad_v = grad_u + gu, grad_v + gv
                            add_lanes(corner_sums, corner + 21 * LANES, d0)
                            add_lanes(corner_sums, corner + 22 * LANES, d1)
                            add_lanes(corner_sums, corner + 23 * LANES, d2)
                            add_lanes(corner_sums, corner + 24 * LANES, d3)
                            add_lanes(corner_sums, corner + 25 * LANES, d4)
                            add_lanes(corner_sums, corner + 26 * LANES, d5)
                        add_products(corner_sums, corner + 15 * LANES, ta, grad_u)
                        add_products(corner_sums, corner + 16 * LANES, ta, grad_v)
                        add_products(corner_sums, corner + 17 * LANES, tb, grad_u)
                        add_products(corner_sums, corner + 18 * LANES, tb, grad_v)
                        add_products(corner_sums, corner + 19 * LANES, tc, grad_u)
                        add_products(corner_sums, corner + 20 * LANES, tc, grad_v)
                        ways = tint + UV + 2
                        more_a, more_b, more_c, log_a, log_b, log_c = perspective_weights_backward(
                            weight * ZERO,
                            fma(grad_u, at(tints, ways), grad_v * at(tints, ways + 1)),
                            fma(grad_u, at(tints, ways + 2), grad_v * at(tints, ways + 3)),
                            shrinking,
                            ta,
                            tb,
                            tc,
                            at(tints, tint + Q + 3),
                            at(tints, tint + Q + 4),
                            at(tints, tint + Q + 5),
                            texture_inverse,
                        )
                        gba, gbb, gbc = gba + more_a, gbb + more_b, gbc + more_c
                        add_lanes(corner_sums, corner + 12 * LANES, log_a)
                        add_lanes(corner_sums, corner + 13 * LANES, log_b)
                        add_lanes(corner_sums, corner + 14 * LANES, log_c)
                    slopes = weight_slopes(lists, number, to_a, to_b, to_c)
                    hx, hy = clipped_barycentric_backward(gba, gbb, gbc, ba, bb, bc, inverse_total, slopes)
                    add_corners(corner_sums, corner, ua, ub, uc, hx, hy, ba, bb, bc, grad_log)
                begun = add_nearest(lists, seen, count, saved, _SAVED, edge_sums, begun)
            begin_others(edge_sums, EDGE_SUMS, batch, begun)
            for number in range(batch):
                face = at(entries, entry + number)
                slot = slot_of(slots, bounds, face, top)
                put_corner_gradients(edge_sums, number, scale, totals, entry_gradients, slot, 3 + channels)
                if texture is None:
                    sum_up(corner_sums, number * _CORNER_SUMS, totals, _PLAIN_SUMS)
                else:
                    sum_up(corner_sums, number * _CORNER_SUMS, totals, _SUMS)
                    tint = number * tint_size
                    _put_uv_gradients(
                        geometry, face, tints, tint, totals, entry_gradients, entry_uv, slot, 3 + channels
                    )
                for corner in range(3):
                    first, vertex = corner * (3 + channels), face_corners[face, corner]
                    entry_gradients[slot, first] -= totals[2 * corner]
                    entry_gradients[slot, first + 1] -= totals[2 * corner + 1]
                    grad_logit = totals[6 + corner] + totals[9 + corner] * of_log_q[vertex]
                    if texture is not None:
                        grad_logit += totals[12 + corner] * texture_of_log_q[vertex]
                    entry_gradients[slot, first + 2] = grad_logit
                for channel in range(channels):
                    sum_up(hue_sums, number * hue_size + channel * 3 * LANES, totals, 3)
                    for corner in range(3):
                        entry_gradients[slot, corner * (3 + channels) + 3 + channel] = totals[corner]
            entry += batch
        finish(stages[0])
    gather_after(stages, len(order), share, shares, board, slots, entry_gradients, gathered)
