"""Soft colour (and alpha in the same pass) over strips: forward, and its reverse. Formulas are in `diffrender.formulas`."""

import numpy as np

from ..formulas.aggregate import softmax_step, softmax_weight
from ..formulas.constants import HALF, ONE, ZERO
from ..formulas.coverage import coverage_logit, log_coverage_backward, sigmoid, union_backward, union_end, union_step
from ..formulas.interpolate import clipped_barycentric, clipped_barycentric_backward
from ..formulas.triangle import boundary_offset, squared_distance_backward
from ..jit import kernel
from .bins import BLOCK, STRIP_ROWS, load_triangle, row_range


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
    height, width = alpha.shape
    channels = attributes.shape[1]
    real_width = geometry.dtype.type(width)
    stride = width + BLOCK
    odds = np.empty(STRIP_ROWS * stride, geometry.dtype)
    maximum = np.empty(STRIP_ROWS * stride, geometry.dtype)
    total = np.empty(STRIP_ROWS * stride, geometry.dtype)
    blend = np.empty((channels, STRIP_ROWS * stride), geometry.dtype)
    lane = np.arange(BLOCK).astype(geometry.dtype) + HALF
    scales = np.empty(BLOCK, geometry.dtype)
    share_a = np.empty(BLOCK, geometry.dtype)
    share_b = np.empty(BLOCK, geometry.dtype)
    share_c = np.empty(BLOCK, geometry.dtype)
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
            corners, edges, slopes = load_triangle(geometry, face)
            ax, ay, bx, by, cx, cy = corners
            inverse_area = geometry[face, 9]
            a, b, c = face_corners[face, 0], face_corners[face, 1], face_corners[face, 2]
            depth_a, depth_b, depth_c = depth_logits[a], depth_logits[b], depth_logits[c]
            first, last = bounds[face, 0], bounds[face, 1]
            wide = last - first >= BLOCK
            begin, end = first, last
            for row in range(max(bounds[face, 2], top), min(bounds[face, 3] + 1, bottom)):
                py = geometry.dtype.type(row) + HALF
                if wide:
                    begin, end = row_range(py, first, last, radius, real_width, corners, edges)
                for start in range(begin, end + 1, BLOCK):
                    offset = (row - top) * stride + start
                    block_odds = odds[offset : offset + BLOCK]
                    block_maximum = maximum[offset : offset + BLOCK]
                    block_total = total[offset : offset + BLOCK]
                    left = geometry.dtype.type(start)
                    rax, rbx, rcx = left - ax, left - bx, left - cx
                    ray, rby, rcy = py - ay, py - by, py - cy
                    for i in range(BLOCK):
                        xa, xb, xc = rax + lane[i], rbx + lane[i], rcx + lane[i]
                        d2, inside, _, _, _, _, _ = boundary_offset(xa, ray, xb, rby, xc, rcy, *edges, *slopes)
                        logit = coverage_logit(d2, inside, inverse_sigma)
                        counts = logit >= lowest
                        logit = logit if logit < highest else highest
                        logit = logit if counts else lowest
                        block_odds[i] = union_step(block_odds[i], logit) if counts else block_odds[i]
                        ba, bb, bc, _ = clipped_barycentric(xa, ray, xb, rby, xc, rcy, *edges, inverse_area)
                        depth = ba * depth_a + bb * depth_b + bc * depth_c
                        new_maximum, scale, weight = softmax_step(block_maximum[i], depth, sigmoid(logit), lowest_depth)
                        scale = scale if counts else ONE
                        weight = weight if counts else ZERO
                        block_maximum[i] = new_maximum if counts else block_maximum[i]
                        block_total[i] = block_total[i] * scale + weight
                        scales[i] = scale
                        share_a[i] = weight * ba
                        share_b[i] = weight * bb
                        share_c[i] = weight * bc
                    for channel in range(channels):
                        color_a, color_b, color_c = (
                            attributes[a, channel],
                            attributes[b, channel],
                            attributes[c, channel],
                        )
                        block_blend = blend[channel, offset : offset + BLOCK]
                        for i in range(BLOCK):
                            block_blend[i] = (
                                block_blend[i] * scales[i]
                                + share_a[i] * color_a
                                + share_b[i] * color_b
                                + share_c[i] * color_c
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
    height, width = grad_alpha.shape
    channels = attributes.shape[1]
    real_width = geometry.dtype.type(width)
    stride = width + BLOCK
    upstream = np.zeros(STRIP_ROWS * stride, geometry.dtype)  # grad_alpha * T, 0 where T has vanished
    maximum = np.zeros(STRIP_ROWS * stride, geometry.dtype)
    inverse_sum = np.zeros(STRIP_ROWS * stride, geometry.dtype)
    mean = np.zeros(STRIP_ROWS * stride, geometry.dtype)  # sum_c grad_color_c color_c
    upstream_color = np.zeros((channels, STRIP_ROWS * stride), geometry.dtype)
    lane = np.arange(BLOCK).astype(geometry.dtype) + HALF
    sums = np.empty((9 + 3 * channels, BLOCK), geometry.dtype)
    sax, say, sbx, sby, scx, scy = sums[0], sums[1], sums[2], sums[3], sums[4], sums[5]
    sda, sdb, sdc = sums[6], sums[7], sums[8]
    dots = np.empty((3, BLOCK), geometry.dtype)  # sum_c grad_color_c attribute_kc for corner k
    dot_a, dot_b, dot_c = dots[0], dots[1], dots[2]
    shares = np.empty((3, BLOCK), geometry.dtype)
    share_a, share_b, share_c = shares[0], shares[1], shares[2]
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
            corners, edges, slopes = load_triangle(geometry, face)
            ax, ay, bx, by, cx, cy = corners
            inverse_area = geometry[face, 9]
            a, b, c = face_corners[face, 0], face_corners[face, 1], face_corners[face, 2]
            depth_a, depth_b, depth_c = depth_logits[a], depth_logits[b], depth_logits[c]
            first, last = bounds[face, 0], bounds[face, 1]
            wide = last - first >= BLOCK
            begin, end = first, last
            sums[:] = ZERO
            for row in range(max(bounds[face, 2], top), min(bounds[face, 3] + 1, bottom)):
                py = geometry.dtype.type(row) + HALF
                if wide:
                    begin, end = row_range(py, first, last, radius, real_width, corners, edges)
                for start in range(begin, end + 1, BLOCK):
                    offset = (row - top) * stride + start
                    block = upstream[offset : offset + BLOCK]
                    block_maximum = maximum[offset : offset + BLOCK]
                    block_inverse_sum = inverse_sum[offset : offset + BLOCK]
                    block_mean = mean[offset : offset + BLOCK]
                    left = geometry.dtype.type(start)
                    rax, rbx, rcx = left - ax, left - bx, left - cx
                    ray, rby, rcy = py - ay, py - by, py - cy
                    dots[:] = ZERO
                    for channel in range(channels):
                        color_a, color_b, color_c = (
                            attributes[a, channel],
                            attributes[b, channel],
                            attributes[c, channel],
                        )
                        block_color = upstream_color[channel, offset : offset + BLOCK]
                        for i in range(BLOCK):
                            dot_a[i] += block_color[i] * color_a
                            dot_b[i] += block_color[i] * color_b
                            dot_c[i] += block_color[i] * color_c
                    for i in range(BLOCK):
                        xa, xb, xc = rax + lane[i], rbx + lane[i], rcx + lane[i]
                        d2, inside, dx, dy, wa, wb, wc = boundary_offset(xa, ray, xb, rby, xc, rcy, *edges, *slopes)
                        logit = coverage_logit(d2, inside, inverse_sigma)
                        counts = logit >= lowest
                        logit = logit if logit < highest else highest
                        logit = logit if counts else lowest
                        coverage = sigmoid(logit)
                        ba, bb, bc, inverse = clipped_barycentric(xa, ray, xb, rby, xc, rcy, *edges, inverse_area)
                        depth = ba * depth_a + bb * depth_b + bc * depth_c
                        weight = softmax_weight(block_maximum[i], depth, coverage, block_inverse_sum[i], lowest_depth)
                        weight = weight if counts else ZERO
                        # d color / d log w_j = w_j / sum w (c_j - color): log w_j holds log D_j and the depth logit.
                        grad_log = weight * (ba * dot_a[i] + bb * dot_b[i] + bc * dot_c[i] - block_mean[i])
                        grad_logit = union_backward(block[i], coverage)
                        grad_logit = (grad_logit if counts else ZERO) + log_coverage_backward(grad_log, coverage)
                        grad_d2 = coverage_logit(grad_logit, inside, inverse_sigma)  # x is linear in d^2
                        gx, gy = squared_distance_backward(grad_d2, dx, dy)
                        hx, hy = clipped_barycentric_backward(
                            grad_log * depth_a + weight * dot_a[i],
                            grad_log * depth_b + weight * dot_b[i],
                            grad_log * depth_c + weight * dot_c[i],
                            ba,
                            bb,
                            bc,
                            inverse,
                            *edges,
                            inverse_area,
                        )
                        ua = (edges[2] * rby - edges[3] * xb) * inverse_area
                        ub = (edges[4] * rcy - edges[5] * xc) * inverse_area
                        uc = (edges[0] * ray - edges[1] * xa) * inverse_area
                        sax[i] += wa * gx - ua * hx
                        say[i] += wa * gy - ua * hy
                        sbx[i] += wb * gx - ub * hx
                        sby[i] += wb * gy - ub * hy
                        scx[i] += wc * gx - uc * hx
                        scy[i] += wc * gy - uc * hy
                        sda[i] += grad_log * ba
                        sdb[i] += grad_log * bb
                        sdc[i] += grad_log * bc
                        share_a[i] = weight * ba
                        share_b[i] = weight * bb
                        share_c[i] = weight * bc
                    for channel in range(channels):
                        block_color = upstream_color[channel, offset : offset + BLOCK]
                        sum_a, sum_b, sum_c = (
                            sums[9 + channel],
                            sums[9 + channels + channel],
                            sums[9 + 2 * channels + channel],
                        )
                        for i in range(BLOCK):
                            sum_a[i] += share_a[i] * block_color[i]
                            sum_b[i] += share_b[i] * block_color[i]
                            sum_c[i] += share_c[i] * block_color[i]
            slot = slots[face] + strip - bounds[face, 2] // STRIP_ROWS
            for component in range(9 + 3 * channels):
                total = ZERO
                for i in range(BLOCK):
                    total += sums[component, i]
                entry_gradients[slot, component] = total
