"""Soft colour (and alpha in the same pass) over strips: forward, and its reverse. Formulas are in `diffrender.formulas`."""

import numpy as np

from ..formulas.aggregate import softmax_step, softmax_weight
from ..formulas.constants import HALF, ONE, ZERO
from ..formulas.coverage import (
    coverage_logit,
    log_coverage_backward,
    sigmoid,
    union_backward,
    union_end,
    union_step_and_coverage,
)
from ..formulas.interpolate import clipped_barycentric, clipped_barycentric_backward
from ..formulas.pixel import edge_products
from ..formulas.triangle import boundary, columns_in_slab, edge_coordinates
from ..jit import kernel, prefer_wide_vectors
from .bins import BLOCK, PAIR, STRIP_ROWS, aligned, load_edge, load_pair, store_corners, store_pair


@kernel
def color_forward(
    worker,
    workers,
    face_corners,
    geometry,
    bounds,
    starts,
    entries,
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
    """Fill alpha, T, color (H, W, C) and the softmax's maximum and inverse sum (H, W) of every `workers`-th strip."""
    prefer_wide_vectors()
    real = geometry.dtype.type
    height, width = alpha.shape
    channels = attributes.shape[1]
    stride = width + BLOCK
    size = (STRIP_ROWS + 1) * stride  # the last row may lack a lower one
    odds, maximum, total = aligned(size, geometry), aligned(size, geometry), aligned(size, geometry)
    blend = np.empty((channels, size), geometry.dtype)
    # Odds, maximum and total of two rows, the scale of the sums so far, and the weights of the corners.
    work = aligned(7 * PAIR, geometry)
    for strip in range(worker, len(starts) - 1, workers):
        top = strip * STRIP_ROWS
        bottom = min(top + STRIP_ROWS, height)
        odds[:] = ZERO
        maximum[:] = background_logit
        total[:] = ONE
        for channel in range(channels):
            blend[channel, :] = background[channel]
        for entry in range(starts[strip], starts[strip + 1]):
            face = entries[entry]
            edges = load_edge(geometry, face, 0), load_edge(geometry, face, 1), load_edge(geometry, face, 2)
            mx0, my0, nx0, ny0, half0 = edges[0]
            mx1, my1, nx1, ny1, half1 = edges[1]
            mx2, my2, nx2, ny2, half2 = edges[2]
            twice_inverse_area = geometry[face, 15] + geometry[face, 15]
            to_a, to_b, to_c = half1 * twice_inverse_area, half2 * twice_inverse_area, half0 * twice_inverse_area
            a, b, c = face_corners[face, 0], face_corners[face, 1], face_corners[face, 2]
            depth_a, depth_b, depth_c = depth_logits[a], depth_logits[b], depth_logits[c]
            first, last = bounds[face, 0], bounds[face, 1]
            several = last - first >= BLOCK
            begin, end = first, last
            for row in range(max(bounds[face, 2], top), min(bounds[face, 3] + 1, bottom), 2):
                py = real(row) + HALF
                if several:
                    begin, end = columns_in_slab(py, py + ONE, first, last, radius, real(width), *edges)
                for start in range(begin, end + 1, BLOCK):
                    offset = (row - top) * stride + start
                    load_pair(work, 0, odds, offset, stride)
                    load_pair(work, PAIR, maximum, offset, stride)
                    load_pair(work, 2 * PAIR, total, offset, stride)
                    px = real(start) + HALF
                    base0, rise0 = edge_coordinates(px, py, mx0, my0, nx0, ny0)
                    base1, rise1 = edge_coordinates(px, py, mx1, my1, nx1, ny1)
                    base2, rise2 = edge_coordinates(px, py, mx2, my2, nx2, ny2)
                    for i in range(PAIR):
                        x, y = real(i % BLOCK), real(i // BLOCK)
                        across0 = rise0 + x * nx0 + y * ny0
                        across1 = rise1 + x * nx1 + y * ny1
                        across2 = rise2 + x * nx2 + y * ny2
                        d2, inside, _, _, _, _, _ = boundary(
                            base0 + x * ny0 - y * nx0,
                            across0,
                            half0,
                            base1 + x * ny1 - y * nx1,
                            across1,
                            half1,
                            base2 + x * ny2 - y * nx2,
                            across2,
                            half2,
                        )
                        logit = coverage_logit(d2, inside, inverse_sigma)
                        counts = logit >= lowest
                        logit = logit if logit < highest else highest
                        logit = logit if counts else lowest
                        new_odds, coverage = union_step_and_coverage(work[i], logit)
                        work[i] = new_odds if counts else work[i]
                        ba, bb, bc, _ = clipped_barycentric(across1 * to_a, across2 * to_b, across0 * to_c)
                        depth = ba * depth_a + bb * depth_b + bc * depth_c
                        new_maximum, scale, weight = softmax_step(work[PAIR + i], depth, coverage, lowest_depth)
                        scale = scale if counts else ONE
                        weight = weight if counts else ZERO
                        work[PAIR + i] = new_maximum if counts else work[PAIR + i]
                        work[2 * PAIR + i] = work[2 * PAIR + i] * scale + weight
                        work[3 * PAIR + i] = scale
                        work[4 * PAIR + i] = weight * ba
                        work[5 * PAIR + i] = weight * bb
                        work[6 * PAIR + i] = weight * bc
                    store_pair(work, 0, odds, offset, stride)
                    store_pair(work, PAIR, maximum, offset, stride)
                    store_pair(work, 2 * PAIR, total, offset, stride)
                    for lower in range(2):
                        share = work[3 * PAIR + lower * BLOCK :]
                        place = offset + lower * stride
                        for channel in range(channels):
                            color_a = attributes[a, channel]
                            color_b = attributes[b, channel]
                            color_c = attributes[c, channel]
                            block_blend = blend[channel, place : place + BLOCK]
                            for i in range(BLOCK):
                                block_blend[i] = (
                                    block_blend[i] * share[i]
                                    + share[PAIR + i] * color_a
                                    + share[2 * PAIR + i] * color_b
                                    + share[3 * PAIR + i] * color_c
                                )
        for row in range(top, bottom):
            for column in range(width):
                offset = (row - top) * stride + column
                covered, t = union_end(odds[offset])
                alpha[row, column] = covered
                transmittance[row, column] = t
                inverse_sum = ONE / total[offset]
                maxima[row, column] = maximum[offset]
                inverse_sums[row, column] = inverse_sum
                for channel in range(channels):
                    color[row, column, channel] = blend[channel, offset] * inverse_sum


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
    stride = width + BLOCK
    size = (STRIP_ROWS + 1) * stride  # the last row may lack a lower one
    upstream = aligned(size, geometry)  # grad_alpha * T, 0 where T has vanished
    maximum, inverse_sum = aligned(size, geometry), aligned(size, geometry)
    mean = aligned(size, geometry)  # sum_c grad_color_c color_c
    upstream_color = np.zeros((channels, size), geometry.dtype)
    # Lanes of twelve sums over the edges (see `edge_products`), six of u_k h for the corners, three of depth.
    sums = aligned(21 * PAIR, geometry)
    totals = np.empty(21, geometry.dtype)
    attribute_sums = aligned(channels * 3 * PAIR, geometry).reshape((channels, 3 * PAIR))
    colors = aligned(channels * PAIR, geometry)  # upstream_color of two rows
    # Of two rows: upstream, maximum, inverse sum, mean, sum_c grad_color_c attribute_kc and weight for the corners k.
    work = aligned(10 * PAIR, geometry)
    for strip in range(worker, len(starts) - 1, workers):
        top = strip * STRIP_ROWS
        bottom = min(top + STRIP_ROWS, height)
        upstream[:], maximum[:], inverse_sum[:], mean[:] = ZERO, ZERO, ZERO, ZERO
        for row in range(top, bottom):
            for column in range(width):
                offset = (row - top) * stride + column
                t = transmittance[row, column]
                # Denormal products cost ten times as much and carry nothing.
                upstream[offset] = grad_alpha[row, column] * t if t > vanished else ZERO
                maximum[offset] = maxima[row, column]
                inverse_sum[offset] = inverse_sums[row, column]
                dot = ZERO
                for channel in range(channels):
                    upstream_color[channel, offset] = grad_color[row, column, channel]
                    dot += grad_color[row, column, channel] * color[row, column, channel]
                mean[offset] = dot
        for entry in range(starts[strip], starts[strip + 1]):
            face = entries[entry]
            edges = load_edge(geometry, face, 0), load_edge(geometry, face, 1), load_edge(geometry, face, 2)
            mx0, my0, nx0, ny0, half0 = edges[0]
            mx1, my1, nx1, ny1, half1 = edges[1]
            mx2, my2, nx2, ny2, half2 = edges[2]
            inverse0, inverse1, inverse2 = HALF / half0, HALF / half1, HALF / half2
            twice_inverse_area = geometry[face, 15] + geometry[face, 15]
            to_a, to_b, to_c = half1 * twice_inverse_area, half2 * twice_inverse_area, half0 * twice_inverse_area
            slopes = (nx1 * to_a, ny1 * to_a, nx2 * to_b, ny2 * to_b, nx0 * to_c, ny0 * to_c)
            a, b, c = face_corners[face, 0], face_corners[face, 1], face_corners[face, 2]
            depth_a, depth_b, depth_c = depth_logits[a], depth_logits[b], depth_logits[c]
            first, last = bounds[face, 0], bounds[face, 1]
            several = last - first >= BLOCK
            begin, end = first, last
            sums[:] = ZERO
            attribute_sums[:] = ZERO
            for row in range(max(bounds[face, 2], top), min(bounds[face, 3] + 1, bottom), 2):
                py = real(row) + HALF
                if several:
                    begin, end = columns_in_slab(py, py + ONE, first, last, radius, real(width), *edges)
                for start in range(begin, end + 1, BLOCK):
                    offset = (row - top) * stride + start
                    load_pair(work, 0, upstream, offset, stride)
                    load_pair(work, PAIR, maximum, offset, stride)
                    load_pair(work, 2 * PAIR, inverse_sum, offset, stride)
                    load_pair(work, 3 * PAIR, mean, offset, stride)
                    work[4 * PAIR : 7 * PAIR] = ZERO
                    for channel in range(channels):
                        color_a, color_b, color_c = (
                            attributes[a, channel],
                            attributes[b, channel],
                            attributes[c, channel],
                        )
                        load_pair(colors, channel * PAIR, upstream_color[channel], offset, stride)
                        hue = colors[channel * PAIR : (channel + 1) * PAIR]
                        for i in range(PAIR):
                            work[4 * PAIR + i] += hue[i] * color_a
                            work[5 * PAIR + i] += hue[i] * color_b
                            work[6 * PAIR + i] += hue[i] * color_c
                    px = real(start) + HALF
                    base0, rise0 = edge_coordinates(px, py, mx0, my0, nx0, ny0)
                    base1, rise1 = edge_coordinates(px, py, mx1, my1, nx1, ny1)
                    base2, rise2 = edge_coordinates(px, py, mx2, my2, nx2, ny2)
                    for i in range(PAIR):
                        x, y = real(i % BLOCK), real(i // BLOCK)
                        along0, across0 = base0 + x * ny0 - y * nx0, rise0 + x * nx0 + y * ny0
                        along1, across1 = base1 + x * ny1 - y * nx1, rise1 + x * nx1 + y * ny1
                        along2, across2 = base2 + x * ny2 - y * nx2, rise2 + x * nx2 + y * ny2
                        d2, inside, within0, within1, within2, second, third = boundary(
                            along0, across0, half0, along1, across1, half1, along2, across2, half2
                        )
                        logit = coverage_logit(d2, inside, inverse_sigma)
                        counts = logit >= lowest
                        logit = logit if logit < highest else highest
                        logit = logit if counts else lowest
                        coverage = sigmoid(logit)
                        ua, ub, uc = across1 * to_a, across2 * to_b, across0 * to_c
                        ba, bb, bc, inverse = clipped_barycentric(ua, ub, uc)
                        depth = ba * depth_a + bb * depth_b + bc * depth_c
                        weight = softmax_weight(work[PAIR + i], depth, coverage, work[2 * PAIR + i], lowest_depth)
                        weight = weight if counts else ZERO
                        dot_a, dot_b, dot_c = work[4 * PAIR + i], work[5 * PAIR + i], work[6 * PAIR + i]
                        # d color / d log w_j = w_j / sum w (c_j - color): log w_j holds log D_j and the depth logit.
                        grad_log = weight * (ba * dot_a + bb * dot_b + bc * dot_c - work[3 * PAIR + i])
                        grad_logit = union_backward(work[i], coverage)
                        grad_logit = (grad_logit if counts else ZERO) + log_coverage_backward(grad_log, coverage)
                        grad_d2 = coverage_logit(grad_logit, inside, inverse_sigma)  # x is linear in d^2
                        products = edge_products(
                            grad_d2,
                            second,
                            third,
                            along0,
                            across0,
                            within0,
                            inverse0,
                            along1,
                            across1,
                            within1,
                            inverse1,
                            along2,
                            across2,
                            within2,
                            inverse2,
                        )
                        hx, hy = clipped_barycentric_backward(
                            grad_log * depth_a + weight * dot_a,
                            grad_log * depth_b + weight * dot_b,
                            grad_log * depth_c + weight * dot_c,
                            ba,
                            bb,
                            bc,
                            inverse,
                            slopes,
                        )
                        sums[0 * PAIR + i] += products[0]
                        sums[1 * PAIR + i] += products[1]
                        sums[2 * PAIR + i] += products[2]
                        sums[3 * PAIR + i] += products[3]
                        sums[4 * PAIR + i] += products[4]
                        sums[5 * PAIR + i] += products[5]
                        sums[6 * PAIR + i] += products[6]
                        sums[7 * PAIR + i] += products[7]
                        sums[8 * PAIR + i] += products[8]
                        sums[9 * PAIR + i] += products[9]
                        sums[10 * PAIR + i] += products[10]
                        sums[11 * PAIR + i] += products[11]
                        sums[12 * PAIR + i] += ua * hx
                        sums[13 * PAIR + i] += ua * hy
                        sums[14 * PAIR + i] += ub * hx
                        sums[15 * PAIR + i] += ub * hy
                        sums[16 * PAIR + i] += uc * hx
                        sums[17 * PAIR + i] += uc * hy
                        sums[18 * PAIR + i] += grad_log * ba
                        sums[19 * PAIR + i] += grad_log * bb
                        sums[20 * PAIR + i] += grad_log * bc
                        work[7 * PAIR + i] = weight * ba
                        work[8 * PAIR + i] = weight * bb
                        work[9 * PAIR + i] = weight * bc
                    for channel in range(channels):
                        hue = colors[channel * PAIR : (channel + 1) * PAIR]
                        channel_sums = attribute_sums[channel]
                        for i in range(PAIR):
                            channel_sums[i] += work[7 * PAIR + i] * hue[i]
                            channel_sums[PAIR + i] += work[8 * PAIR + i] * hue[i]
                            channel_sums[2 * PAIR + i] += work[9 * PAIR + i] * hue[i]
            for component in range(21):
                subtotal = ZERO
                for i in range(PAIR):
                    subtotal += sums[component * PAIR + i]
                totals[component] = subtotal
            slot = slots[face] + strip - bounds[face, 2] // STRIP_ROWS
            store_corners(entry_gradients, slot, totals, nx0, ny0, nx1, ny1, nx2, ny2)
            for component in range(6):
                entry_gradients[slot, component] -= totals[12 + component]
            for component in range(3):
                entry_gradients[slot, 6 + component] = totals[18 + component]
            for corner in range(3):
                for channel in range(channels):
                    subtotal = ZERO
                    for i in range(corner * PAIR, (corner + 1) * PAIR):
                        subtotal += attribute_sums[channel, i]
                    entry_gradients[slot, 9 + corner * channels + channel] = subtotal
