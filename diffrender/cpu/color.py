"""Soft colour (and alpha in the same pass) over strips: forward, and its reverse. Formulas are in `diffrender.formulas`.

Faces are gone over as in the silhouette: in columns of LANES pixels, in steps with memory between them.
"""

import numpy as np

from ..formulas.aggregate import softmax_step, softmax_weight
from ..formulas.constants import HALF, ONE, ZERO
from ..formulas.coverage import coverage_logit, log_coverage_backward, sigmoid, union_backward, union_end
from ..formulas.fastmath import exp
from ..formulas.interpolate import clipped_barycentric, clipped_barycentric_backward
from ..formulas.pixel import covered_logit_backward
from ..formulas.triangle import boundary, of_nearest_edge
from ..jit import formula, kernel, prefer_wide_vectors
from ..lanes import LANES, any_lane, fma, higher, load, lower, select, spread, store, sums_of_lanes
from ..spin import claim
from .bins import STRIP_ROWS, aligned, edge_lanes, load_edge, rows_lower, rows_of_columns, store_corners

_DRAWN = 6 * LANES  # numbers of a row between the steps of the way forward
_SAVED = 14 * LANES  # and of the way back
_BEHIND = np.float32(-1e30)  # the depth logit of a face that does not count


@formula
def _is_hidden(maximum, pixels, stride, rows, depth, lowest_depth):
    """Return whether a face with depth logits up to `depth` has no weight in LANES columns of `rows` rows."""
    lowest = load(maximum, pixels)
    for _ in range(1, rows):
        pixels += stride
        lowest = lower(lowest, load(maximum, pixels))
    return not any_lane(lowest + lowest_depth < spread(depth))


@formula
def _is_idle(upstream, pixels, stride, rows):
    """Return whether nothing comes from LANES columns of `rows` rows."""
    largest = load(upstream, pixels)
    largest = higher(largest, -largest)
    for _ in range(1, rows):
        pixels += stride
        value = load(upstream, pixels)
        largest = higher(largest, higher(value, -value))
    return not any_lane(largest > ZERO)


@formula
def _to_barycentric(geometry, face, edges):
    """Return what turns the places across bc, ca and ab into the barycentric coordinates of a, b and c."""
    twice_inverse_area = geometry[face, 15] + geometry[face, 15]
    return edges[1][4] * twice_inverse_area, edges[2][4] * twice_inverse_area, edges[0][4] * twice_inverse_area


@kernel
def color_forward(
    worker,
    workers,
    face_corners,
    geometry,
    bounds,
    starts,
    entries,
    order,
    turn,
    radius,
    inverse_sigma,
    lowest,
    highest,
    lowest_depth,
    depth_logits,
    attributes,
    background_logit,
    background,
    alpha,
    transmittance,
    color,
    maxima,
    inverse_sums,
):
    """Fill alpha, T, color (H, W, C) and the softmax's maximum and inverse sum (H, W) of the strips that this worker gets.

    `turn` (1,) counts the strips that workers have taken, in `order`.
    """
    prefer_wide_vectors()
    real = geometry.dtype.type
    height, width = alpha.shape
    channels = attributes.shape[1]
    stride = width + LANES
    size = STRIP_ROWS * stride
    odds, maximum, total = aligned(size, geometry), aligned(size, geometry), aligned(size, geometry)
    blend = aligned(channels * size, geometry)
    # Of each row: exp of the coverage logit, 0 where the face does not count; coverage, depth logit, barycentric coordinates.
    drawn = aligned(STRIP_ROWS * _DRAWN, geometry)
    while True:
        claimed = claim(turn)
        if claimed >= len(order):
            break
        strip = order[claimed]
        top = strip * STRIP_ROWS
        bottom = min(top + STRIP_ROWS, height)
        odds[:] = ZERO
        maximum[:] = background_logit
        total[:] = ONE
        for channel in range(channels):
            blend[channel * size : (channel + 1) * size] = background[channel]
        for entry in range(starts[strip], starts[strip + 1]):
            face = entries[entry]
            edges = load_edge(geometry, face, 0), load_edge(geometry, face, 1), load_edge(geometry, face, 2)
            edge0, edge1, edge2 = edges
            to_a, to_b, to_c = _to_barycentric(geometry, face, edges)
            a, b, c = face_corners[face, 0], face_corners[face, 1], face_corners[face, 2]
            depth_a, depth_b, depth_c = depth_logits[a], depth_logits[b], depth_logits[c]
            nearest_corner = max(depth_a, depth_b, depth_c)
            for start in range(bounds[face, 0], bounds[face, 1] + 1, LANES):
                first, end = rows_of_columns(start, bounds, face, top, bottom, radius, real(height), *edges)
                x, y = real(start) + HALF, real(first) + HALF
                along0, across0 = edge_lanes(x, y, edge0)
                along1, across1 = edge_lanes(x, y, edge1)
                along2, across2 = edge_lanes(x, y, edge2)
                for row in range(end - first):
                    rows = spread(real(row))
                    a0, c0 = rows_lower(along0, across0, rows, edge0)
                    a1, c1 = rows_lower(along1, across1, rows, edge1)
                    a2, c2 = rows_lower(along2, across2, rows, edge2)
                    d2, inside, _, _, _, _, _ = boundary(a0, c0, edge0[4], a1, c1, edge1[4], a2, c2, edge2[4])
                    logit = coverage_logit(d2, inside, inverse_sigma)
                    counts = logit >= lowest
                    exponential = exp(higher(lower(logit, highest), lowest))
                    ba, bb, bc, _ = clipped_barycentric(c1 * to_a, c2 * to_b, c0 * to_c)
                    depth = fma(ba, depth_a, fma(bb, depth_b, bc * depth_c))
                    place = row * _DRAWN
                    store(drawn, place, select(counts, exponential, ZERO))
                    store(drawn, place + 1 * LANES, select(counts, exponential / (ONE + exponential), ZERO))
                    store(drawn, place + 2 * LANES, select(counts, depth, _BEHIND))
                    store(drawn, place + 3 * LANES, ba)
                    store(drawn, place + 4 * LANES, bb)
                    store(drawn, place + 5 * LANES, bc)
                pixels = (first - top) * stride + start
                for row in range(end - first):
                    before = load(odds, pixels + row * stride)
                    store(odds, pixels + row * stride, fma(ONE + before, load(drawn, row * _DRAWN), before))
                if end <= first or _is_hidden(maximum, pixels, stride, end - first, nearest_corner, lowest_depth):
                    continue
                for row in range(end - first):
                    place = row * _DRAWN
                    nearest, scale, weight = softmax_step(
                        load(maximum, pixels), load(drawn, place + 2 * LANES), load(drawn, place + LANES), lowest_depth
                    )
                    store(maximum, pixels, nearest)
                    store(total, pixels, fma(load(total, pixels), scale, weight))
                    weight_a = weight * load(drawn, place + 3 * LANES)
                    weight_b = weight * load(drawn, place + 4 * LANES)
                    weight_c = weight * load(drawn, place + 5 * LANES)
                    for channel in range(channels):
                        value = load(blend, channel * size + pixels) * scale
                        value = fma(weight_a, attributes[a, channel], value)
                        value = fma(weight_b, attributes[b, channel], value)
                        value = fma(weight_c, attributes[c, channel], value)
                        store(blend, channel * size + pixels, value)
                    pixels += stride
        for row in range(top, bottom):
            begin, after = (row - top) * stride, (row - top) * stride + width
            row_alpha, row_transmittance, row_inverse = alpha[row], transmittance[row], inverse_sums[row]
            row_odds, row_total = odds[begin:after], total[begin:after]
            for column in range(width):
                row_alpha[column], row_transmittance[column] = union_end(row_odds[column])
            for column in range(width):
                row_inverse[column] = ONE / row_total[column]
            maxima[row] = maximum[begin:after]
            row_color = color[row]
            for channel in range(channels):
                row_blend = blend[channel * size + begin : channel * size + after]
                for column in range(width):
                    row_color[column, channel] = row_blend[column] * row_inverse[column]


@kernel
def color_backward(
    worker,
    workers,
    face_corners,
    geometry,
    bounds,
    slots,
    starts,
    entries,
    order,
    turn,
    radius,
    inverse_sigma,
    lowest,
    highest,
    vanished,
    lowest_depth,
    depth_logits,
    attributes,
    transmittance,
    color,
    maxima,
    inverse_sums,
    grad_alpha,
    grad_color,
    entry_gradients,
):
    """Fill one slot (9 + 3 C,) per entry: (x, y) of corners a, b, c, their depth logits, their C attributes."""
    prefer_wide_vectors()
    real = geometry.dtype.type
    height, width = grad_alpha.shape
    channels = attributes.shape[1]
    stride = width + LANES
    size = STRIP_ROWS * stride
    upstream = aligned(size, geometry)  # grad_alpha * T, 0 where T has vanished
    maximum, inverse_sum = aligned(size, geometry), aligned(size, geometry)
    mean = aligned(size, geometry)  # sum_c grad_color_c color_c
    upstream_color = aligned(channels * size, geometry)
    upstream_color[:] = ZERO
    # Of each row: the logit, then the gradient of d^2 from it; across and over, 0 but of the nearest edge, and within;
    # barycentric coordinates before they are clipped, then the weight of the corners; their inverse sum after.
    saved = aligned(STRIP_ROWS * _SAVED, geometry)
    totals = aligned(2 * LANES, geometry)
    shares = aligned(channels * 3 * LANES, geometry)
    nothing = spread(real(ZERO))
    while True:
        claimed = claim(turn)
        if claimed >= len(order):
            break
        strip = order[claimed]
        top = strip * STRIP_ROWS
        bottom = min(top + STRIP_ROWS, height)
        upstream[:], maximum[:], inverse_sum[:], mean[:] = ZERO, ZERO, ZERO, ZERO
        for row in range(top, bottom):
            begin, after = (row - top) * stride, (row - top) * stride + width
            row_upstream, row_mean = upstream[begin:after], mean[begin:after]
            row_transmittance, row_grad = transmittance[row], grad_alpha[row]
            for column in range(width):
                t = row_transmittance[column]
                # Denormal products cost ten times as much and carry nothing.
                row_upstream[column] = row_grad[column] * t if t > vanished else ZERO
            maximum[begin:after] = maxima[row]
            inverse_sum[begin:after] = inverse_sums[row]
            row_color, row_grad_color = color[row], grad_color[row]
            for channel in range(channels):
                row_hue = upstream_color[channel * size + begin : channel * size + after]
                for column in range(width):
                    hue = row_grad_color[column, channel]
                    row_hue[column] = hue
                    row_mean[column] += hue * row_color[column, channel]
        for entry in range(starts[strip], starts[strip + 1]):
            face = entries[entry]
            edges = load_edge(geometry, face, 0), load_edge(geometry, face, 1), load_edge(geometry, face, 2)
            edge0, edge1, edge2 = edges
            _, _, nx0, ny0, half0 = edge0
            _, _, nx1, ny1, half1 = edge1
            _, _, nx2, ny2, half2 = edge2
            to_a, to_b, to_c = _to_barycentric(geometry, face, edges)
            slopes = (nx1 * to_a, ny1 * to_a, nx2 * to_b, ny2 * to_b, nx0 * to_c, ny0 * to_c)
            a, b, c = face_corners[face, 0], face_corners[face, 1], face_corners[face, 2]
            depth_a, depth_b, depth_c = depth_logits[a], depth_logits[b], depth_logits[c]
            nearest_corner = max(depth_a, depth_b, depth_c)
            s0, s1, s2, s3, s4, s5 = nothing, nothing, nothing, nothing, nothing, nothing
            s6, s7, s8, s9, s10, s11 = nothing, nothing, nothing, nothing, nothing, nothing
            ax, ay, bx, by, cx, cy = nothing, nothing, nothing, nothing, nothing, nothing
            da, db, dc = nothing, nothing, nothing
            shares[:] = ZERO
            for start in range(bounds[face, 0], bounds[face, 1] + 1, LANES):
                first, end = rows_of_columns(start, bounds, face, top, bottom, radius, real(height), *edges)
                pixels = (first - top) * stride + start
                hidden = end <= first or _is_hidden(maximum, pixels, stride, end - first, nearest_corner, lowest_depth)
                if hidden and (end <= first or _is_idle(upstream, pixels, stride, end - first)):
                    continue
                x, y = real(start) + HALF, real(first) + HALF
                along0, across0 = edge_lanes(x, y, edge0)
                along1, across1 = edge_lanes(x, y, edge1)
                along2, across2 = edge_lanes(x, y, edge2)
                for row in range(end - first):
                    rows = spread(real(row))
                    a0, c0 = rows_lower(along0, across0, rows, edge0)
                    a1, c1 = rows_lower(along1, across1, rows, edge1)
                    a2, c2 = rows_lower(along2, across2, rows, edge2)
                    d2, inside, within0, within1, within2, second, third = boundary(
                        a0, c0, half0, a1, c1, half1, a2, c2, half2
                    )
                    ua, ub, uc = c1 * to_a, c2 * to_b, c0 * to_c
                    _, _, _, inverse = clipped_barycentric(ua, ub, uc)
                    o0, o1, o2 = of_nearest_edge(a0 - within0, a1 - within1, a2 - within2, second, third)
                    c0, c1, c2 = of_nearest_edge(c0, c1, c2, second, third)
                    place = row * _SAVED
                    store(saved, place, coverage_logit(d2, inside, inverse_sigma))
                    store(saved, place + 1 * LANES, c0)
                    store(saved, place + 2 * LANES, o0)
                    store(saved, place + 3 * LANES, within0)
                    store(saved, place + 4 * LANES, c1)
                    store(saved, place + 5 * LANES, o1)
                    store(saved, place + 6 * LANES, within1)
                    store(saved, place + 7 * LANES, c2)
                    store(saved, place + 8 * LANES, o2)
                    store(saved, place + 9 * LANES, within2)
                    store(saved, place + 10 * LANES, ua)
                    store(saved, place + 11 * LANES, ub)
                    store(saved, place + 12 * LANES, uc)
                    store(saved, place + 13 * LANES, inverse)
                if hidden:  # by nearer faces: only alpha comes back
                    for row in range(end - first):
                        place = row * _SAVED
                        above = load(upstream, pixels + row * stride)
                        store(saved, place, covered_logit_backward(above, load(saved, place), lowest, highest))
                for row in range(0 if hidden else end - first):
                    place = row * _SAVED
                    logit = load(saved, place)
                    counts = logit >= lowest
                    coverage = sigmoid(higher(lower(logit, highest), lowest))
                    ua, ub, uc = (
                        load(saved, place + 10 * LANES),
                        load(saved, place + 11 * LANES),
                        load(saved, place + 12 * LANES),
                    )
                    inverse = load(saved, place + 13 * LANES)
                    ba, bb, bc = higher(ua, ZERO) * inverse, higher(ub, ZERO) * inverse, higher(uc, ZERO) * inverse
                    depth = fma(ba, depth_a, fma(bb, depth_b, bc * depth_c))
                    weight = softmax_weight(
                        load(maximum, pixels), depth, coverage, load(inverse_sum, pixels), lowest_depth
                    )
                    weight = select(counts, weight, ZERO)
                    dot_a, dot_b, dot_c = nothing, nothing, nothing
                    for channel in range(channels):
                        hue = load(upstream_color, channel * size + pixels)
                        dot_a = fma(hue, attributes[a, channel], dot_a)
                        dot_b = fma(hue, attributes[b, channel], dot_b)
                        dot_c = fma(hue, attributes[c, channel], dot_c)
                    # d color / d log w_j = w_j / sum w (c_j - color): log w_j holds log D_j and the depth logit.
                    grad_log = weight * (fma(ba, dot_a, fma(bb, dot_b, bc * dot_c)) - load(mean, pixels))
                    grad_logit = select(counts, union_backward(load(upstream, pixels), coverage), ZERO)
                    grad_logit = grad_logit + log_coverage_backward(grad_log, coverage)
                    store(saved, place, select(logit > ZERO, grad_logit, -grad_logit))  # x is linear in d^2
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
                    ax, ay = fma(ua, hx, ax), fma(ua, hy, ay)
                    bx, by = fma(ub, hx, bx), fma(ub, hy, by)
                    cx, cy = fma(uc, hx, cx), fma(uc, hy, cy)
                    da, db, dc = fma(grad_log, ba, da), fma(grad_log, bb, db), fma(grad_log, bc, dc)
                    store(saved, place + 10 * LANES, weight * ba)
                    store(saved, place + 11 * LANES, weight * bb)
                    store(saved, place + 12 * LANES, weight * bc)
                    pixels += stride
                for row in range(end - first):
                    place = row * _SAVED
                    g = load(saved, place)
                    across, over = load(saved, place + 1 * LANES), load(saved, place + 2 * LANES)
                    h = g * load(saved, place + 3 * LANES)
                    s0, s1, s2, s3 = fma(g, across, s0), fma(g, over, s1), fma(h, across, s2), fma(h, over, s3)
                    across, over = load(saved, place + 4 * LANES), load(saved, place + 5 * LANES)
                    h = g * load(saved, place + 6 * LANES)
                    s4, s5, s6, s7 = fma(g, across, s4), fma(g, over, s5), fma(h, across, s6), fma(h, over, s7)
                    across, over = load(saved, place + 7 * LANES), load(saved, place + 8 * LANES)
                    h = g * load(saved, place + 9 * LANES)
                    s8, s9, s10, s11 = fma(g, across, s8), fma(g, over, s9), fma(h, across, s10), fma(h, over, s11)
                for channel in range(0 if hidden else channels):
                    pixels = (first - top) * stride + start
                    into = 3 * LANES * channel
                    share_a, share_b, share_c = (
                        load(shares, into),
                        load(shares, into + LANES),
                        load(shares, into + 2 * LANES),
                    )
                    for row in range(end - first):
                        place = row * _SAVED
                        hue = load(upstream_color, channel * size + pixels)
                        share_a = fma(hue, load(saved, place + 10 * LANES), share_a)
                        share_b = fma(hue, load(saved, place + 11 * LANES), share_b)
                        share_c = fma(hue, load(saved, place + 12 * LANES), share_c)
                        pixels += stride
                    store(shares, into, share_a)
                    store(shares, into + LANES, share_b)
                    store(shares, into + 2 * LANES, share_c)
            slot = slots[face] + strip - bounds[face, 2] // STRIP_ROWS
            store(totals, 0, sums_of_lanes((s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11)))
            store(totals, LANES, sums_of_lanes((ax, ay, bx, by, cx, cy, da, db, dc)))
            for component in range(12):
                totals[component] *= inverse_sigma
            store_corners(entry_gradients, slot, totals, edge0, edge1, edge2)
            for component in range(6):
                entry_gradients[slot, component] -= totals[LANES + component]
            for component in range(3):
                entry_gradients[slot, 6 + component] = totals[LANES + 6 + component]
            for channel in range(channels):
                into = 3 * LANES * channel
                store(
                    totals,
                    0,
                    sums_of_lanes((load(shares, into), load(shares, into + LANES), load(shares, into + 2 * LANES))),
                )
                for corner in range(3):
                    entry_gradients[slot, 9 + corner * channels + channel] = totals[corner]
