"""How soft colour and alpha change in directions: the forward mode of `diffrender.cpu.surface`, over the same blocks.

It is that of `diffrender.cpu.color` too, where q is 1: what it would save beside the directions is not worth a second kernel.
"""

import numpy as np

from ..formulas.aggregate import softmax_weight
from ..formulas.constants import ONE, ZERO
from ..formulas.coverage import log_coverage_backward
from ..formulas.interpolate import clipped_barycentric, clipped_barycentric_backward
from ..formulas.perspective import perspective_weights_backward
from ..formulas.shape import rates
from ..formulas.texture import footprint_backward
from ..jit import formula, kernel, prefer_wide_vectors
from ..kernel_memory import aligned
from ..lanes import LANES, at, fma, higher, load, load_pair, lower, put, select, store, store_pair, times_sign
from ..spin import claim, lead, publish
from .blocks import save_nearest
from .color import BEHIND, list_hidden, list_seen, put_tint, weight_slopes
from .rows import put_rows, put_upstream, second_of
from .sample import CELLS, PLACES, SAMPLED, SLOPES, clear, clear_slopes, put_levels, sample, sample_slopes
from .spans import BATCH, list_blocks, list_groups, new_lists, number_of, places_of, put_corners
from .strips import STRIP_ROWS, fill, stride_of, strip_size
from .tangent import (
    HUE,
    LAID,
    LAY,
    NEAREST,
    SOLID,
    add_laid,
    add_outline,
    add_solid,
    begin_tangents,
    put_motions,
    put_nearest,
    put_places,
    take_tangents,
)
from .tints import DENSITY, TINT, UV, Q, corner_weights, footprint_of, put_place, put_q, put_uv, six
from .union import alpha_backward, covered_backward

_AT_ONCE = 48  # blocks at a time, as on the way back
_SAVED = 8 * LANES  # numbers of two blocks: what `save_nearest` writes, and the places across the edges


@formula
def put_hues(image, row, bottom, hues, size, place):
    """Write the colours of a pair of rows of an image (H, W, C + 1) to C strips."""
    last, _ = second_of(row, bottom)
    image0, image1 = image[row], image[last]
    for channel in range(image.shape[2] - 1):
        into = channel * size + place
        for column in range(image.shape[1]):
            put(hues, into + 2 * column, image0[column, channel])
            put(hues, into + 2 * column + 1, image1[column, channel])


@kernel
def color_tangent(
    share,
    shares,
    board,
    face_corners,
    geometry,
    bounds,
    starts,
    entries,
    order,
    turn,
    radius,
    scale,
    lowest,
    shape,
    owners,
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
    ones,
    image,
    maxima,
    inverse_sums,
    motions,
    attribute_motions,
    uv_motions,
    texel_motions,
    tangent,
):
    """Fill tangent (D, H, W, C + 1) of colour and alpha for motions (V, D, 3) of x, y and the depth logit, attribute_motions
    (V, D, C), uv_motions (T, D, 2) and texel_motions (D, 3 N + 1), whose first axis is 0 where nothing changes.

    See `silhouette_tangent`: the derivatives are those that the way back has for a grad_color of 1, channel by channel.
    """
    if share < 0:
        lead(publish(board))
        return
    prefer_wide_vectors()
    directions, height, width = tangent.shape[0], tangent.shape[1], tangent.shape[2]
    channels = attributes.shape[1]
    stride = stride_of(width)
    size = strip_size(width)
    upstream = aligned(size, geometry)
    fill(upstream, 0, size, ZERO)
    owner = upstream if len(owners) == 0 else aligned(size, geometry)
    maximum, inverse_sum = aligned(size, geometry), aligned(size, geometry)
    fill(maximum, 0, size, ZERO)
    fill(inverse_sum, 0, size, ZERO)
    hues = aligned(channels * size, geometry)
    fill(hues, 0, channels * size, ZERO)
    tangents = aligned(directions * (channels + 1) * size, geometry)
    lists = new_lists(width, _AT_ONCE, geometry)
    blocks = lists[1]
    saved = aligned((len(blocks) // 2 + 1) * _SAVED, geometry)
    tint_size = TINT + 3 * channels
    tints = aligned(BATCH * tint_size, geometry)
    seen, hidden = aligned(len(blocks) // 2 + 2, np.int32), aligned(len(blocks) // 2 + 2, np.int32)
    rows = aligned(NEAREST + channels * HUE, geometry)
    turns = aligned(BATCH * 6, geometry)
    painted = len(attribute_motions) > 0
    way_size = SOLID + (3 * channels if painted else 0) + (0 if texture is None else LAID)
    of_face = directions * way_size
    ways = aligned(BATCH * of_face, geometry)
    if texture is not None:
        texels, offsets, sizes, repeat = texture
        places, sampled, cells = aligned(PLACES, geometry), aligned(SLOPES, geometry), aligned(CELLS, entries)
        changed = aligned(SAMPLED, geometry)
        laid = aligned(channels * LAY, geometry)
        fill(places, 0, PLACES, ZERO)
        mipmapped, last, real = len(offsets) > 1, sizes.dtype.type(len(offsets) - 1), sizes.dtype.type
    while True:
        claimed = claim(turn)
        if claimed >= len(order):
            break
        strip = order[claimed]
        top = strip * STRIP_ROWS
        bottom = lower(top + STRIP_ROWS, height)
        for row in range(top, bottom, 2):
            place = (row - top) * stride
            put_upstream(transmittance, ones, row, bottom, vanished, upstream, place)
            if len(owners) != 0:
                put_rows(owners[0], row, bottom, -ONE, owner, place)
            put_rows(maxima, row, bottom, -BEHIND, maximum, place)
            put_rows(inverse_sums, row, bottom, ZERO, inverse_sum, place)
            put_hues(image, row, bottom, hues, size, place)
        begin_tangents(tangents, directions * (channels + 1) * size)
        entry, end = starts[strip], starts[strip + 1]
        while entry < end:
            batch = lower(BATCH, end - entry)
            groups = list_groups(
                geometry, bounds, entries, entry, batch, top, bottom, radius, scale, stride, lists, False
            )
            for number in range(batch):
                face = at(entries, entry + number)
                tint = number * tint_size
                put_tint(
                    lists, number, geometry, face_corners, face, scale, depth_logits, attributes, tints, tint, TINT
                )
                put_q(face_corners, face, q, tints, tint + Q)
                put_motions(motions, attribute_motions, face_corners, face, ways, number * of_face, way_size)
                for corner in range(3):
                    put(turns, number * 6 + corner, of_log_q[face_corners[face, corner]])
                    put(turns, number * 6 + 3 + corner, texture_of_log_q[face_corners[face, corner]])
                if texture is not None:
                    put_uv(geometry, face_corners, face, texture_q, face_uv, uv, tints, tint)
                    put_places(
                        geometry,
                        face_corners,
                        face,
                        texture_of_log_q,
                        face_uv,
                        uv_motions,
                        tints,
                        tint,
                        ways,
                        number * of_face,
                        directions,
                        way_size,
                        mipmapped,
                    )
            put_corners(lists)
            group = np.int64(0)  # not a literal, for which Numba would compile a second version
            while group < groups:
                group, count = list_blocks(group, groups, _AT_ONCE, stride, lists)
                seen_count = list_seen(lists, count, tints, tint_size, maximum, lowest_depth, seen)
                count = list_hidden(lists, count, upstream, seen, seen_count, hidden)
                for k in range(count):
                    into = k * _SAVED
                    c0, c1, c2 = save_nearest(lists, np.int64(at(seen, k)), saved, into)
                    store(saved, into + 5 * LANES, c1)
                    store(saved, into + 6 * LANES, c2)
                    store(saved, into + 7 * LANES, c0)
                for k in range(seen_count, count):  # hidden by nearer faces: only alpha changes
                    block = np.int64(at(seen, k))
                    into = k * _SAVED
                    logit = load(saved, into)
                    grad = covered_backward(upstream, owner, lists, block, entries, entry, logit, lowest, shape, owners)
                    put_nearest(grad, saved, into, scale, rows)
                    first, second = places_of(lists, block)
                    first, second = first + channels * size, second + channels * size
                    way, step = number_of(lists, block) * of_face, (channels + 1) * size
                    add_outline(rows, ways, way, way_size, directions, tangents, step, first, second)
                for k in range(seen_count):
                    block = np.int64(at(seen, k))
                    into = k * _SAVED
                    number = number_of(lists, block)
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
                    weight = softmax_weight(
                        load_pair(maximum, first, second),
                        fma(ba, depth_a, fma(bb, depth_b, bc * depth_c)),
                        coverage,
                        load_pair(inverse_sum, first, second),
                        lowest_depth,
                    )
                    weight = select(counts, weight, ZERO)
                    slopes = weight_slopes(lists, number, to_a, to_b, to_c)
                    put_nearest(times_sign(ONE, logit), saved, into, scale, rows)
                    above = load_pair(upstream, first, second)
                    store(
                        rows,
                        6 * LANES,
                        alpha_backward(above, owner, lists, block, entries, entry, counts, rate, owners),
                    )
                    pa, pb, pc, turning = corner_weights(ba, bb, bc, tints, tint + Q)
                    qa, qb, qc = at(tints, tint + Q), at(tints, tint + Q + 1), at(tints, tint + Q + 2)
                    of_q = number * 6
                    if texture is not None:
                        ta, tb, tc, texture_turning, u, v = put_place(ba, bb, bc, weight, tints, tint, places)
                        ra, rb, rc = at(tints, tint + Q + 3), at(tints, tint + Q + 4), at(tints, tint + Q + 5)
                        levels = 1
                        if mipmapped:
                            ux, vx, uy, vy, square = footprint_of(u, v, tints, tint, texture_turning, sizes)
                            levels = put_levels(weight > ZERO, square, last, places)
                        clear_slopes(sampled, weight * ZERO)
                        for step in range(levels):
                            sample_slopes(texels, offsets, sizes, repeat, real(step), places, cells, sampled)
                    for channel in range(channels):
                        hue, row = tint + TINT + 3 * channel, NEAREST + channel * HUE
                        hue_a, hue_b, hue_c = at(tints, hue), at(tints, hue + 1), at(tints, hue + 2)
                        above = weight
                        if texture is not None:
                            above = weight * load(sampled, channel * LANES)
                        grad_a, grad_b, grad_c = above * hue_a, above * hue_b, above * hue_c
                        # d color / d log w_j = w_j / sum w (c_j - color): log w_j holds log D_j and the depth logit.
                        grad_log = fma(pa, grad_a, fma(pb, grad_b, pc * grad_c))
                        grad_log = grad_log - weight * load_pair(hues, channel * size + first, channel * size + second)
                        gba, gbb, gbc, log_a, log_b, log_c = perspective_weights_backward(
                            grad_a, grad_b, grad_c, ZERO, pa, pb, pc, qa, qb, qc, turning
                        )
                        gba, gbb, gbc = (
                            fma(grad_log, depth_a, gba),
                            fma(grad_log, depth_b, gbb),
                            fma(grad_log, depth_c, gbc),
                        )
                        of_a = fma(grad_log, ba, log_a * at(turns, of_q))
                        of_b = fma(grad_log, bb, log_b * at(turns, of_q + 1))
                        of_c = fma(grad_log, bc, log_c * at(turns, of_q + 2))
                        if texture is not None:
                            value = weight * fma(pa, hue_a, fma(pb, hue_b, pc * hue_c))
                            grad_u, grad_v = (
                                value * load(sampled, (3 + channel) * LANES),
                                value * load(sampled, (6 + channel) * LANES),
                            )
                            lay, shrinking = channel * LAY, weight * ZERO
                            if mipmapped:
                                gu, gv, shrinking, d0, d1, d2, d3, d4, d5 = footprint_backward(
                                    value * load(sampled, (9 + channel) * LANES),
                                    u,
                                    v,
                                    ux,
                                    vx,
                                    uy,
                                    vy,
                                    six(tints, tint + DENSITY),
                                    texture_turning,
                                    at(sizes, 0),
                                    at(sizes, 1),
                                )
                                grad_u, grad_v = grad_u + gu, grad_v + gv
                                store(laid, lay + 2 * LANES, d0)
                                store(laid, lay + 3 * LANES, d1)
                                store(laid, lay + 4 * LANES, d2)
                                store(laid, lay + 5 * LANES, d3)
                                store(laid, lay + 6 * LANES, d4)
                                store(laid, lay + 7 * LANES, d5)
                            store(laid, lay, grad_u)
                            store(laid, lay + LANES, grad_v)
                            to = tint + UV + 2
                            more_a, more_b, more_c, log_a, log_b, log_c = perspective_weights_backward(
                                weight * ZERO,
                                fma(grad_u, at(tints, to), grad_v * at(tints, to + 1)),
                                fma(grad_u, at(tints, to + 2), grad_v * at(tints, to + 3)),
                                shrinking,
                                ta,
                                tb,
                                tc,
                                ra,
                                rb,
                                rc,
                                texture_turning,
                            )
                            gba, gbb, gbc = gba + more_a, gbb + more_b, gbc + more_c
                            of_a = fma(log_a, at(turns, of_q + 3), of_a)
                            of_b = fma(log_b, at(turns, of_q + 4), of_b)
                            of_c = fma(log_c, at(turns, of_q + 5), of_c)
                        hx, hy = clipped_barycentric_backward(gba, gbb, gbc, ba, bb, bc, inverse, slopes)
                        store(rows, row, log_coverage_backward(grad_log, log_rate))
                        store(rows, row + LANES, -hx)
                        store(rows, row + 2 * LANES, -hy)
                        store(rows, row + 3 * LANES, of_a)
                        store(rows, row + 4 * LANES, of_b)
                        store(rows, row + 5 * LANES, of_c)
                        if painted:
                            store(rows, row + 6 * LANES, above * pa)
                            store(rows, row + 7 * LANES, above * pb)
                            store(rows, row + 8 * LANES, above * pc)
                    add_solid(
                        rows,
                        ua,
                        ub,
                        uc,
                        ways,
                        number * of_face,
                        way_size,
                        painted,
                        directions,
                        channels,
                        tangents,
                        size,
                        first,
                        second,
                    )
                    if texture is not None:
                        add_laid(
                            laid,
                            ta,
                            tb,
                            tc,
                            ways,
                            number * of_face,
                            way_size,
                            mipmapped,
                            directions,
                            channels,
                            tangents,
                            size,
                            first,
                            second,
                        )
                        for direction in range(len(texel_motions)):
                            clear(changed, weight * ZERO)
                            for step in range(levels):
                                moved = texel_motions[direction]
                                sample(moved, offsets, sizes, repeat, real(step), places, cells, changed)
                            into = direction * (channels + 1) * size
                            for channel in range(channels):
                                hue, place = tint + TINT + 3 * channel, into + channel * size
                                value = weight * fma(
                                    pa, at(tints, hue), fma(pb, at(tints, hue + 1), pc * at(tints, hue + 2))
                                )
                                value = fma(
                                    value,
                                    load(changed, channel * LANES),
                                    load_pair(tangents, place + first, place + second),
                                )
                                store_pair(tangents, place + first, place + second, value)
            entry += batch
        for row in range(top, bottom, 2):
            take_tangents(tangents, size, (row - top) * stride, row, bottom, tangent)
