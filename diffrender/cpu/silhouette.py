"""The soft silhouette over strips: forward, and its reverse. Formulas are in `diffrender.formulas`."""

import numpy as np

from ..formulas.constants import HALF, ZERO
from ..formulas.coverage import coverage_logit, sigmoid, union_backward, union_end, union_step
from ..formulas.triangle import boundary_offset, squared_distance_backward
from ..jit import kernel
from .bins import BLOCK, STRIP_ROWS, load_triangle, row_range


@kernel
def silhouette_forward(
    worker, workers, geometry, bounds, starts, entries, radius, inverse_sigma, lowest, highest, alpha, transmittance
):
    """Fill alpha and transmittance T = 1 - alpha (H, W) of every `workers`-th strip."""
    height, width = alpha.shape
    real_width = geometry.dtype.type(width)
    stride = width + BLOCK
    odds = np.empty(STRIP_ROWS * stride, geometry.dtype)
    lane = np.arange(BLOCK).astype(geometry.dtype) + HALF
    for strip in range(worker, len(starts) - 1, workers):
        top = strip * STRIP_ROWS
        bottom = min(top + STRIP_ROWS, height)
        odds[:] = ZERO
        for entry in range(starts[strip], starts[strip + 1]):
            face = entries[entry]
            corners, edges, slopes = load_triangle(geometry, face)
            ax, ay, bx, by, cx, cy = corners
            first, last = bounds[face, 0], bounds[face, 1]
            wide = last - first >= BLOCK
            begin, end = first, last
            for row in range(max(bounds[face, 2], top), min(bounds[face, 3] + 1, bottom)):
                py = geometry.dtype.type(row) + HALF
                if wide:
                    begin, end = row_range(py, first, last, radius, real_width, corners, edges)
                for start in range(begin, end + 1, BLOCK):
                    offset = (row - top) * stride + start
                    block = odds[offset : offset + BLOCK]
                    left = geometry.dtype.type(start)
                    rax, rbx, rcx = left - ax, left - bx, left - cx
                    ray, rby, rcy = py - ay, py - by, py - cy
                    for i in range(BLOCK):
                        d2, inside, _, _, _, _, _ = boundary_offset(
                            rax + lane[i], ray, rbx + lane[i], rby, rcx + lane[i], rcy, *edges, *slopes
                        )
                        logit = coverage_logit(d2, inside, inverse_sigma)
                        counts = logit >= lowest
                        logit = logit if logit < highest else highest
                        block[i] = union_step(block[i], logit) if counts else block[i]
        for row in range(top, bottom):
            for column in range(width):
                covered, t = union_end(odds[(row - top) * stride + column])
                alpha[row, column] = covered
                transmittance[row, column] = t


@kernel
def silhouette_backward(
    worker,
    workers,
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
    transmittance,
    grad_alpha,
    entry_gradients,
):
    """Fill one slot (6,) = (x, y) of corners a, b, c per entry, from grad_alpha (H, W)."""
    height, width = grad_alpha.shape
    real_width = geometry.dtype.type(width)
    stride = width + BLOCK
    upstream = np.zeros(STRIP_ROWS * stride, geometry.dtype)  # grad_alpha * T, 0 where T has vanished
    lane = np.arange(BLOCK).astype(geometry.dtype) + HALF
    sums = np.empty((6, BLOCK), geometry.dtype)
    sax, say, sbx, sby, scx, scy = sums[0], sums[1], sums[2], sums[3], sums[4], sums[5]
    for strip in range(worker, len(starts) - 1, workers):
        top = strip * STRIP_ROWS
        bottom = min(top + STRIP_ROWS, height)
        for row in range(top, bottom):
            for column in range(width):
                t = transmittance[row, column]
                # Denormal products cost ten times as much and carry nothing.
                upstream[(row - top) * stride + column] = grad_alpha[row, column] * t if t > vanished else ZERO
        for entry in range(starts[strip], starts[strip + 1]):
            face = entries[entry]
            corners, edges, slopes = load_triangle(geometry, face)
            ax, ay, bx, by, cx, cy = corners
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
                    left = geometry.dtype.type(start)
                    rax, rbx, rcx = left - ax, left - bx, left - cx
                    ray, rby, rcy = py - ay, py - by, py - cy
                    for i in range(BLOCK):
                        d2, inside, dx, dy, wa, wb, wc = boundary_offset(
                            rax + lane[i], ray, rbx + lane[i], rby, rcx + lane[i], rcy, *edges, *slopes
                        )
                        logit = coverage_logit(d2, inside, inverse_sigma)
                        counts = logit >= lowest
                        logit = logit if logit < highest else highest
                        logit = logit if counts else lowest
                        grad_logit = union_backward(block[i], sigmoid(logit))
                        grad_logit = grad_logit if counts else ZERO
                        grad_d2 = coverage_logit(grad_logit, inside, inverse_sigma)  # x is linear in d^2
                        gx, gy = squared_distance_backward(grad_d2, dx, dy)
                        sax[i] += wa * gx
                        say[i] += wa * gy
                        sbx[i] += wb * gx
                        sby[i] += wb * gy
                        scx[i] += wc * gx
                        scy[i] += wc * gy
            slot = slots[face] + strip - bounds[face, 2] // STRIP_ROWS
            for component in range(6):
                total = ZERO
                for i in range(BLOCK):
                    total += sums[component, i]
                entry_gradients[slot, component] = total
