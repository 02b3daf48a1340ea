"""The soft silhouette over strips: forward, and its reverse. Formulas are in `diffrender.formulas`."""

import numpy as np

from ..formulas.constants import HALF, ONE, ZERO
from ..formulas.coverage import union_end
from ..formulas.pixel import covered, covered_backward, edge_products
from ..formulas.triangle import boundary, columns_in_slab, edge_coordinates
from ..jit import formula, kernel, prefer_wide_vectors
from .bins import BLOCK, STRIP_ROWS, aligned, load_edge, store_corners


@formula
def _find_alive(upstream, stride, rows, alive):
    """Mark the blocks of a row and the next that have anything upstream."""
    for row in range(rows + 1):
        for cell in range(stride // BLOCK):
            first = row * stride + cell * BLOCK
            block = upstream[first : first + BLOCK]
            largest = ZERO
            for i in range(BLOCK):
                largest = max(largest, abs(block[i]))
            alive[row, cell] = largest > ZERO
        alive[row, stride // BLOCK :] = True  # a part of a block
    for row in range(rows):
        for cell in range(stride // BLOCK):
            alive[row, cell] |= alive[row + 1, cell]


@kernel
def silhouette_forward(
    worker,
    workers,
    geometry,
    bounds,
    starts,
    entries,
    radius,
    inverse_sigma,
    lowest,
    highest,
    alpha,
    transmittance,
):
    """Fill alpha and transmittance T = 1 - alpha (H, W) of every `workers`-th strip."""
    prefer_wide_vectors()
    real = geometry.dtype.type
    limits = (inverse_sigma, lowest, highest)
    height, width = alpha.shape
    stride = width + BLOCK
    even = aligned(STRIP_ROWS // 2 * stride, geometry)
    odd = aligned(STRIP_ROWS // 2 * stride, geometry)
    for strip in range(worker, len(starts) - 1, workers):
        top = strip * STRIP_ROWS
        bottom = min(top + STRIP_ROWS, height)
        even[:] = ZERO
        odd[:] = ZERO
        for entry in range(starts[strip], starts[strip + 1]):
            face = entries[entry]
            edges = load_edge(geometry, face, 0), load_edge(geometry, face, 1), load_edge(geometry, face, 2)
            mx0, my0, nx0, ny0, half0 = edges[0]
            mx1, my1, nx1, ny1, half1 = edges[1]
            mx2, my2, nx2, ny2, half2 = edges[2]
            first, last = bounds[face, 0], bounds[face, 1]
            several = last - first >= BLOCK
            begin, end = first, last
            for row in range(max(bounds[face, 2] & -2, top), min(bounds[face, 3] + 1, bottom), 2):
                py = real(row) + HALF
                if several:
                    begin, end = columns_in_slab(py, py + ONE, first, last, radius, real(width), *edges)
                for start in range(begin, end + 1, BLOCK):
                    offset = (row - top) // 2 * stride + start
                    upper = even[offset : offset + BLOCK]
                    lower = odd[offset : offset + BLOCK]
                    px = real(start) + HALF
                    along0, across0 = edge_coordinates(px, py, mx0, my0, nx0, ny0)
                    along1, across1 = edge_coordinates(px, py, mx1, my1, nx1, ny1)
                    along2, across2 = edge_coordinates(px, py, mx2, my2, nx2, ny2)
                    for i in range(BLOCK):
                        x = real(i)
                        a0, c0 = along0 + x * ny0, across0 + x * nx0
                        a1, c1 = along1 + x * ny1, across1 + x * nx1
                        a2, c2 = along2 + x * ny2, across2 + x * nx2
                        high = covered(upper[i], a0, c0, half0, a1, c1, half1, a2, c2, half2, *limits)
                        a0, c0, a1, c1, a2, c2 = a0 - nx0, c0 + ny0, a1 - nx1, c1 + ny1, a2 - nx2, c2 + ny2
                        low = covered(lower[i], a0, c0, half0, a1, c1, half1, a2, c2, half2, *limits)
                        upper[i], lower[i] = high, low
        for row in range(top, bottom):
            for column in range(width):
                filled, t = union_end((odd if row & 1 else even)[(row - top) // 2 * stride + column])
                alpha[row, column] = filled
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
    prefer_wide_vectors()
    real = geometry.dtype.type
    limits = (inverse_sigma, lowest, highest)
    height, width = grad_alpha.shape
    stride = width + BLOCK
    upstream = aligned((STRIP_ROWS + 1) * stride, geometry)  # grad_alpha * T, 0 where T has vanished
    upstream[:] = ZERO
    # Blocks of a row and the next one with anything upstream.
    alive = np.empty((STRIP_ROWS + 1, width // BLOCK + 3), np.bool_)
    # Of each edge: lanes of the sums of g * across, g * over, and both times t; see `squared_distance_backward`. One array,
    # or LLVM compares the addresses of all pairs of twelve before every block.
    sums = aligned(12 * BLOCK, geometry)
    totals = np.empty(12, geometry.dtype)
    for strip in range(worker, len(starts) - 1, workers):
        top = strip * STRIP_ROWS
        bottom = min(top + STRIP_ROWS, height)
        for row in range(top, bottom):
            for column in range(width):
                t = transmittance[row, column]
                # Denormal products cost ten times as much and carry nothing.
                upstream[(row - top) * stride + column] = grad_alpha[row, column] * t if t > vanished else ZERO
        upstream[(bottom - top) * stride : (bottom - top + 1) * stride] = ZERO  # the last row may lack a lower one
        _find_alive(upstream, stride, bottom - top, alive)
        for entry in range(starts[strip], starts[strip + 1]):
            face = entries[entry]
            edges = load_edge(geometry, face, 0), load_edge(geometry, face, 1), load_edge(geometry, face, 2)
            mx0, my0, nx0, ny0, half0 = edges[0]
            mx1, my1, nx1, ny1, half1 = edges[1]
            mx2, my2, nx2, ny2, half2 = edges[2]
            inverse0, inverse1, inverse2 = HALF / half0, HALF / half1, HALF / half2
            first, last = bounds[face, 0], bounds[face, 1]
            several = last - first >= BLOCK
            begin, end = first, last
            sums[:] = ZERO
            for row in range(max(bounds[face, 2], top), min(bounds[face, 3] + 1, bottom), 2):
                py = real(row) + HALF
                if several:
                    begin, end = columns_in_slab(py, py + ONE, first, last, radius, real(width), *edges)
                for start in range(begin, end + 1, BLOCK):
                    if not (alive[row - top, start // BLOCK] or alive[row - top, start // BLOCK + 1]):
                        continue
                    offset = (row - top) * stride + start
                    upper = upstream[offset : offset + BLOCK]
                    lower = upstream[offset + stride : offset + stride + BLOCK]
                    px = real(start) + HALF
                    base0, rise0 = edge_coordinates(px, py, mx0, my0, nx0, ny0)
                    base1, rise1 = edge_coordinates(px, py, mx1, my1, nx1, ny1)
                    base2, rise2 = edge_coordinates(px, py, mx2, my2, nx2, ny2)
                    for i in range(BLOCK):
                        x = real(i)
                        a0, c0 = base0 + x * ny0, rise0 + x * nx0
                        a1, c1 = base1 + x * ny1, rise1 + x * nx1
                        a2, c2 = base2 + x * ny2, rise2 + x * nx2
                        b0, e0, b1, e1, b2, e2 = a0 - nx0, c0 + ny0, a1 - nx1, c1 + ny1, a2 - nx2, c2 + ny2
                        # Step by step for both rows: twice as many instructions wait for nothing.
                        d2, inside, w0, w1, w2, second, third = boundary(a0, c0, half0, a1, c1, half1, a2, c2, half2)
                        f2, within, v0, v1, v2, fsecond, fthird = boundary(b0, e0, half0, b1, e1, half1, b2, e2, half2)
                        grad_high = covered_backward(upper[i], d2, inside, *limits)
                        grad_low = covered_backward(lower[i], f2, within, *limits)
                        high = edge_products(
                            grad_high, second, third, a0, c0, w0, inverse0, a1, c1, w1, inverse1, a2, c2, w2, inverse2
                        )
                        low = edge_products(
                            grad_low, fsecond, fthird, b0, e0, v0, inverse0, b1, e1, v1, inverse1, b2, e2, v2, inverse2
                        )
                        sums[0 * BLOCK + i] += high[0] + low[0]
                        sums[1 * BLOCK + i] += high[1] + low[1]
                        sums[2 * BLOCK + i] += high[2] + low[2]
                        sums[3 * BLOCK + i] += high[3] + low[3]
                        sums[4 * BLOCK + i] += high[4] + low[4]
                        sums[5 * BLOCK + i] += high[5] + low[5]
                        sums[6 * BLOCK + i] += high[6] + low[6]
                        sums[7 * BLOCK + i] += high[7] + low[7]
                        sums[8 * BLOCK + i] += high[8] + low[8]
                        sums[9 * BLOCK + i] += high[9] + low[9]
                        sums[10 * BLOCK + i] += high[10] + low[10]
                        sums[11 * BLOCK + i] += high[11] + low[11]
            for component in range(12):
                total = ZERO
                for i in range(BLOCK):
                    total += sums[component * BLOCK + i]
                totals[component] = total
            slot = slots[face] + strip - bounds[face, 2] // STRIP_ROWS
            store_corners(entry_gradients, slot, totals, nx0, ny0, nx1, ny1, nx2, ny2)
