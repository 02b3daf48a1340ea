"""How soft colour and alpha change in directions: the forward mode of `diffrender.cpu.color`, over the same blocks."""

import numpy as np

from ..formulas.aggregate import softmax_weight
from ..formulas.constants import ONE, ZERO
from ..formulas.coverage import log_coverage_backward
from ..formulas.interpolate import clipped_barycentric, clipped_barycentric_backward
from ..formulas.shape import rates
from ..jit import formula, kernel, prefer_wide_vectors
from ..lanes import LANES, at, fma, higher, load, load_pair, put, select, store, times_sign
from ..spin import claim, lead, publish
from .blocks import (
    BATCH,
    FRAME,
    STRIP_ROWS,
    aligned,
    fill,
    list_blocks,
    list_groups,
    new_lists,
    number_of,
    places_of,
    put_corners,
    save_nearest,
    stride_of,
    strip_size,
)
from .color import BEHIND, list_hidden, list_seen, put_tint
from .rows import put_rows, put_upstream, second_of
from .tangent import (
    HUE,
    NEAREST,
    SOLID,
    add_outline,
    add_solid,
    begin_tangents,
    put_motions,
    put_nearest,
    take_tangents,
)
from .union import alpha_backward, covered_backward

_AT_ONCE = 48  # blocks at a time, as on the way back
_SAVED = 8 * LANES
_TINT = np.int64(7)


@formula
def put_hues(color, row, bottom, hues, size, place):
    """Write a pair of rows of color (H, W, C) to C strips."""
    last, _ = second_of(row, bottom)
    color0, color1 = color[row], color[last]
    for channel in range(color.shape[2]):
        into = channel * size + place
        for column in range(color.shape[1]):
            put(hues, into + 2 * column, color0[column, channel])
            put(hues, into + 2 * column + 1, color1[column, channel])


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
    transmittance,
    ones,
    color,
    maxima,
    inverse_sums,
    motions,
    attribute_motions,
    tangent,
):
    """Fill tangent (D, H, W, C + 1) of colour and alpha for motions (V, D, 3) of the vertices' x, y and depth logit and for
    attribute_motions (V, D, C), or (0, D, C) if attributes stay.

    See `silhouette_tangent`: here the derivatives are those that the way back has for a grad_color of 1, channel by channel.
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
    frames, blocks = lists[0], lists[5]
    saved = aligned((len(blocks) // 2 + 1) * _SAVED, geometry)
    tint_size = _TINT + 3 * channels
    tints = aligned(BATCH * tint_size, geometry)
    seen, hidden = np.empty(len(blocks) // 2 + 2, np.int32), np.empty(len(blocks) // 2 + 2, np.int32)
    rows = aligned(NEAREST + channels * HUE, geometry)
    painted = len(attribute_motions) > 0
    way_size = SOLID + (3 * channels if painted else 0)
    of_face = directions * way_size
    ways = aligned(BATCH * of_face, geometry)
    while True:
        claimed = claim(turn)
        if claimed >= len(order):
            break
        strip = order[claimed]
        top = strip * STRIP_ROWS
        bottom = min(top + STRIP_ROWS, height)
        for row in range(top, bottom, 2):
            place = (row - top) * stride
            put_upstream(transmittance, ones, row, bottom, vanished, upstream, place)
            if len(owners) != 0:
                put_rows(owners[0], row, bottom, -ONE, owner, place)
            put_rows(maxima, row, bottom, -BEHIND, maximum, place)
            put_rows(inverse_sums, row, bottom, ZERO, inverse_sum, place)
            put_hues(color, row, bottom, hues, size, place)
        begin_tangents(tangents, directions * (channels + 1) * size)
        entry, end = starts[strip], starts[strip + 1]
        while entry < end:
            batch = min(BATCH, end - entry)
            groups = list_groups(geometry, bounds, entries, entry, batch, top, bottom, radius, scale, stride, lists)
            for number in range(batch):
                face = at(entries, entry + number)
                tint = number * tint_size
                put_tint(geometry, face_corners, face, scale, depth_logits, attributes, tints, tint, _TINT)
                put_motions(motions, attribute_motions, face_corners, face, ways, number * of_face, way_size)
            put_corners(lists, batch)
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
                    block = int(at(seen, k))
                    into = k * _SAVED
                    logit = load(saved, into)
                    grad = covered_backward(upstream, owner, lists, block, entries, entry, logit, lowest, shape, owners)
                    put_nearest(grad, saved, into, scale, rows)
                    first, second = places_of(lists, block)
                    first, second = first + channels * size, second + channels * size
                    way, step = number_of(lists, block) * of_face, (channels + 1) * size
                    add_outline(rows, ways, way, way_size, directions, tangents, step, first, second)
                for k in range(seen_count):
                    block = int(at(seen, k))
                    into = k * _SAVED
                    number = number_of(lists, block)
                    tint, frame = number * tint_size, number * FRAME
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
                    slopes = (
                        at(frames, frame + 8) * to_a,
                        at(frames, frame + 9) * to_a,
                        at(frames, frame + 14) * to_b,
                        at(frames, frame + 15) * to_b,
                        at(frames, frame + 2) * to_c,
                        at(frames, frame + 3) * to_c,
                    )
                    put_nearest(times_sign(ONE, logit), saved, into, scale, rows)
                    above = load_pair(upstream, first, second)
                    store(
                        rows,
                        6 * LANES,
                        alpha_backward(above, owner, lists, block, entries, entry, counts, rate, owners),
                    )
                    for channel in range(channels):
                        hue, row = tint + _TINT + 3 * channel, NEAREST + channel * HUE
                        hue_a, hue_b, hue_c = at(tints, hue), at(tints, hue + 1), at(tints, hue + 2)
                        # d color / d log w_j = w_j / sum w (c_j - color): log w_j holds log D_j and the depth logit.
                        value = fma(ba, hue_a, fma(bb, hue_b, bc * hue_c))
                        grad_log = weight * (value - load_pair(hues, channel * size + first, channel * size + second))
                        hx, hy = clipped_barycentric_backward(
                            fma(grad_log, depth_a, weight * hue_a),
                            fma(grad_log, depth_b, weight * hue_b),
                            fma(grad_log, depth_c, weight * hue_c),
                            ba,
                            bb,
                            bc,
                            inverse,
                            slopes,
                        )
                        store(rows, row, log_coverage_backward(grad_log, log_rate))
                        store(rows, row + LANES, -hx)
                        store(rows, row + 2 * LANES, -hy)
                        store(rows, row + 3 * LANES, grad_log * ba)
                        store(rows, row + 4 * LANES, grad_log * bb)
                        store(rows, row + 5 * LANES, grad_log * bc)
                        if painted:
                            store(rows, row + 6 * LANES, weight * ba)
                            store(rows, row + 7 * LANES, weight * bb)
                            store(rows, row + 8 * LANES, weight * bc)
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
            entry += batch
        for row in range(top, bottom, 2):
            take_tangents(tangents, size, (row - top) * stride, row, bottom, tangent)
