"""Soft colour (and alpha in the same pass) over strips: forward, and its reverse. Formulas are in `diffrender.formulas`."""

import numpy as np

from ..formulas.aggregate import softmax_step, softmax_weight
from ..formulas.constants import HALF, ONE, ZERO
from ..formulas.coverage import coverage_logit, log_coverage_backward, sigmoid, union_backward, union_end, union_step
from ..formulas.interpolate import clipped_barycentric, clipped_barycentric_backward
from ..formulas.pixel import edge_products
from ..formulas.triangle import boundary, edge_coordinates
from ..jit import kernel, prefer_wide_vectors
from .bins import BLOCK, STRIP_ROWS, aligned, load_edge, row_range, store_corners


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
    odds = aligned(STRIP_ROWS * stride, geometry)
    maximum = aligned(STRIP_ROWS * stride, geometry)
    total = aligned(STRIP_ROWS * stride, geometry)
    blend = np.empty((channels, STRIP_ROWS * stride), geometry.dtype)
    shares = aligned(4 * BLOCK, geometry)  # scale of the sums so far, and weights of the corners
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
            for row in range(max(bounds[face, 2], top), min(bounds[face, 3] + 1, bottom)):
                py = real(row) + HALF
                if several:
                    begin, end = row_range(py, py, first, last, radius, real(width), *edges)
                for start in range(begin, end + 1, BLOCK):
                    offset = (row - top) * stride + start
                    block_odds = odds[offset : offset + BLOCK]
                    block_maximum = maximum[offset : offset + BLOCK]
                    block_total = total[offset : offset + BLOCK]
                    px = real(start) + HALF
                    base0, rise0 = edge_coordinates(px, py, mx0, my0, nx0, ny0)
                    base1, rise1 = edge_coordinates(px, py, mx1, my1, nx1, ny1)
                    base2, rise2 = edge_coordinates(px, py, mx2, my2, nx2, ny2)
                    for i in range(BLOCK):
                        x = real(i)
                        across0, across1, across2 = rise0 + x * nx0, rise1 + x * nx1, rise2 + x * nx2
                        d2, inside, _, _, _, _, _ = boundary(
                            base0 + x * ny0,
                            across0,
                            half0,
                            base1 + x * ny1,
                            across1,
                            half1,
                            base2 + x * ny2,
                            across2,
                            half2,
                        )
                        logit = coverage_logit(d2, inside, inverse_sigma)
                        counts = logit >= lowest
                        logit = logit if logit < highest else highest
                        logit = logit if counts else lowest
                        block_odds[i] = union_step(block_odds[i], logit) if counts else block_odds[i]
                        ba, bb, bc, _ = clipped_barycentric(across1 * to_a, across2 * to_b, across0 * to_c)
                        depth = ba * depth_a + bb * depth_b + bc * depth_c
                        new_maximum, scale, weight = softmax_step(block_maximum[i], depth, sigmoid(logit), lowest_depth)
                        scale = scale if counts else ONE
                        weight = weight if counts else ZERO
                        block_maximum[i] = new_maximum if counts else block_maximum[i]
                        block_total[i] = block_total[i] * scale + weight
                        shares[i] = scale
                        shares[BLOCK + i] = weight * ba
                        shares[2 * BLOCK + i] = weight * bb
                        shares[3 * BLOCK + i] = weight * bc
                    for channel in range(channels):
                        color_a, color_b, color_c = (
                            attributes[a, channel],
                            attributes[b, channel],
                            attributes[c, channel],
                        )
                        block_blend = blend[channel, offset : offset + BLOCK]
                        for i in range(BLOCK):
                            block_blend[i] = (
                                block_blend[i] * shares[i]
                                + shares[BLOCK + i] * color_a
                                + shares[2 * BLOCK + i] * color_b
                                + shares[3 * BLOCK + i] * color_c
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
    upstream = aligned(STRIP_ROWS * stride, geometry)  # grad_alpha * T, 0 where T has vanished
    maximum = aligned(STRIP_ROWS * stride, geometry)
    inverse_sum = aligned(STRIP_ROWS * stride, geometry)
    mean = aligned(STRIP_ROWS * stride, geometry)  # sum_c grad_color_c color_c
    upstream_color = np.zeros((channels, STRIP_ROWS * stride), geometry.dtype)
    upstream[:], maximum[:], inverse_sum[:], mean[:] = ZERO, ZERO, ZERO, ZERO
    # Lanes of twelve sums over the edges (see `edge_products`), six of u_k h for the corners, three of depth.
    sums = aligned(21 * BLOCK, geometry)
    totals = np.empty(21, geometry.dtype)
    attribute_sums = np.empty((3 * channels, BLOCK), geometry.dtype)
    # Lanes of sum_c grad_color_c attribute_kc for the corners k, and the weights of the corners.
    work = aligned(6 * BLOCK, geometry)
    for strip in range(worker, len(starts) - 1, workers):
        top = strip * STRIP_ROWS
        bottom = min(top + STRIP_ROWS, height)
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
            for row in range(max(bounds[face, 2], top), min(bounds[face, 3] + 1, bottom)):
                py = real(row) + HALF
                if several:
                    begin, end = row_range(py, py, first, last, radius, real(width), *edges)
                for start in range(begin, end + 1, BLOCK):
                    offset = (row - top) * stride + start
                    block = upstream[offset : offset + BLOCK]
                    block_maximum = maximum[offset : offset + BLOCK]
                    block_inverse_sum = inverse_sum[offset : offset + BLOCK]
                    block_mean = mean[offset : offset + BLOCK]
                    work[:] = ZERO
                    for channel in range(channels):
                        color_a, color_b, color_c = (
                            attributes[a, channel],
                            attributes[b, channel],
                            attributes[c, channel],
                        )
                        block_color = upstream_color[channel, offset : offset + BLOCK]
                        for i in range(BLOCK):
                            work[i] += block_color[i] * color_a
                            work[BLOCK + i] += block_color[i] * color_b
                            work[2 * BLOCK + i] += block_color[i] * color_c
                    px = real(start) + HALF
                    base0, rise0 = edge_coordinates(px, py, mx0, my0, nx0, ny0)
                    base1, rise1 = edge_coordinates(px, py, mx1, my1, nx1, ny1)
                    base2, rise2 = edge_coordinates(px, py, mx2, my2, nx2, ny2)
                    for i in range(BLOCK):
                        x = real(i)
                        along0, across0 = base0 + x * ny0, rise0 + x * nx0
                        along1, across1 = base1 + x * ny1, rise1 + x * nx1
                        along2, across2 = base2 + x * ny2, rise2 + x * nx2
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
                        weight = softmax_weight(block_maximum[i], depth, coverage, block_inverse_sum[i], lowest_depth)
                        weight = weight if counts else ZERO
                        dot_a, dot_b, dot_c = work[i], work[BLOCK + i], work[2 * BLOCK + i]
                        # d color / d log w_j = w_j / sum w (c_j - color): log w_j holds log D_j and the depth logit.
                        grad_log = weight * (ba * dot_a + bb * dot_b + bc * dot_c - block_mean[i])
                        grad_logit = union_backward(block[i], coverage)
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
                        sums[0 * BLOCK + i] += products[0]
                        sums[1 * BLOCK + i] += products[1]
                        sums[2 * BLOCK + i] += products[2]
                        sums[3 * BLOCK + i] += products[3]
                        sums[4 * BLOCK + i] += products[4]
                        sums[5 * BLOCK + i] += products[5]
                        sums[6 * BLOCK + i] += products[6]
                        sums[7 * BLOCK + i] += products[7]
                        sums[8 * BLOCK + i] += products[8]
                        sums[9 * BLOCK + i] += products[9]
                        sums[10 * BLOCK + i] += products[10]
                        sums[11 * BLOCK + i] += products[11]
                        sums[12 * BLOCK + i] += ua * hx
                        sums[13 * BLOCK + i] += ua * hy
                        sums[14 * BLOCK + i] += ub * hx
                        sums[15 * BLOCK + i] += ub * hy
                        sums[16 * BLOCK + i] += uc * hx
                        sums[17 * BLOCK + i] += uc * hy
                        sums[18 * BLOCK + i] += grad_log * ba
                        sums[19 * BLOCK + i] += grad_log * bb
                        sums[20 * BLOCK + i] += grad_log * bc
                        work[3 * BLOCK + i] = weight * ba
                        work[4 * BLOCK + i] = weight * bb
                        work[5 * BLOCK + i] = weight * bc
                    for channel in range(channels):
                        block_color = upstream_color[channel, offset : offset + BLOCK]
                        sum_a, sum_b, sum_c = (
                            attribute_sums[channel],
                            attribute_sums[channels + channel],
                            attribute_sums[2 * channels + channel],
                        )
                        for i in range(BLOCK):
                            sum_a[i] += work[3 * BLOCK + i] * block_color[i]
                            sum_b[i] += work[4 * BLOCK + i] * block_color[i]
                            sum_c[i] += work[5 * BLOCK + i] * block_color[i]
            for component in range(21):
                subtotal = ZERO
                for i in range(BLOCK):
                    subtotal += sums[component * BLOCK + i]
                totals[component] = subtotal
            slot = slots[face] + strip - bounds[face, 2] // STRIP_ROWS
            store_corners(entry_gradients, slot, totals, nx0, ny0, nx1, ny1, nx2, ny2)
            for component in range(6):
                entry_gradients[slot, component] -= totals[12 + component]
            for component in range(3):
                entry_gradients[slot, 6 + component] = totals[18 + component]
            for component in range(3 * channels):
                subtotal = ZERO
                for i in range(BLOCK):
                    subtotal += attribute_sums[component, i]
                entry_gradients[slot, 9 + component] = subtotal
