"""The soft silhouette over strips: forward, and its reverse. Formulas are in `diffrender.formulas`.

Both go over a face in columns of LANES pixels, down the rows of a strip. The way back does so in three steps with memory
between them: in one, a row would be such a long chain of arithmetic that the processor cannot look ahead to the next.
"""

import numpy as np

from ..formulas.constants import HALF, ZERO
from ..formulas.coverage import coverage_logit, union_end, union_step
from ..formulas.pixel import covered_logit_backward
from ..formulas.triangle import boundary, of_nearest_edge
from ..jit import formula, kernel, prefer_wide_vectors
from ..lanes import LANES, fma, higher, load, lower, select, spread, store, sums_of_lanes
from ..spin import claim
from .bins import STRIP_ROWS, aligned, edge_lanes, load_edge, rows_lower, rows_of_columns, store_corners

_SAVED = 10 * LANES  # numbers of a row between the steps of the way back


@kernel
def silhouette_forward(
    worker,
    workers,
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
    alpha,
    transmittance,
):
    """Fill alpha and transmittance T = 1 - alpha (H, W) of the strips that this worker gets.

    `turn` (1,) counts the strips that workers have taken, in `order`.
    """
    prefer_wide_vectors()
    real = geometry.dtype.type
    height, width = alpha.shape
    stride = width + LANES
    odds = aligned(STRIP_ROWS * stride, geometry)
    while True:
        claimed = claim(turn)
        if claimed >= len(order):
            break
        strip = order[claimed]
        top = strip * STRIP_ROWS
        bottom = min(top + STRIP_ROWS, height)
        odds[:] = ZERO
        for entry in range(starts[strip], starts[strip + 1]):
            face = entries[entry]
            edges = load_edge(geometry, face, 0), load_edge(geometry, face, 1), load_edge(geometry, face, 2)
            edge0, edge1, edge2 = edges
            for start in range(bounds[face, 0], bounds[face, 1] + 1, LANES):
                first, end = rows_of_columns(start, bounds, face, top, bottom, radius, real(height), *edges)
                x, y = real(start) + HALF, real(first) + HALF
                along0, across0 = edge_lanes(x, y, edge0)
                along1, across1 = edge_lanes(x, y, edge1)
                along2, across2 = edge_lanes(x, y, edge2)
                place = (first - top) * stride + start
                for row in range(end - first):
                    rows = spread(real(row))
                    a0, c0 = rows_lower(along0, across0, rows, edge0)
                    a1, c1 = rows_lower(along1, across1, rows, edge1)
                    a2, c2 = rows_lower(along2, across2, rows, edge2)
                    d2, inside, _, _, _, _, _ = boundary(a0, c0, edge0[4], a1, c1, edge1[4], a2, c2, edge2[4])
                    logit = coverage_logit(d2, inside, inverse_sigma)
                    before = load(odds, place)
                    after = union_step(before, higher(lower(logit, highest), lowest))
                    store(odds, place, select(logit >= lowest, after, before))
                    place += stride
        for row in range(top, bottom):
            filled = odds[(row - top) * stride : (row - top) * stride + width]
            row_alpha, row_transmittance = alpha[row], transmittance[row]
            for column in range(width):
                row_alpha[column], row_transmittance[column] = union_end(filled[column])


@formula
def _find_alive(upstream, stride, rows, alive):
    """Mark the LANES columns of a row with anything upstream."""
    for row in range(rows):
        for cell in range(stride // LANES):
            first = row * stride + cell * LANES
            block = upstream[first : first + LANES]
            largest = ZERO
            for i in range(LANES):
                largest = max(largest, abs(block[i]))
            alive[row, cell] = largest > ZERO
        alive[row, stride // LANES :] = True  # a part of a block


@kernel
def silhouette_backward(
    worker,
    workers,
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
    transmittance,
    grad_alpha,
    entry_gradients,
):
    """Fill one slot (6,) = (x, y) of corners a, b, c per entry, from grad_alpha (H, W)."""
    prefer_wide_vectors()
    real = geometry.dtype.type
    height, width = grad_alpha.shape
    stride = width + LANES
    upstream = aligned(STRIP_ROWS * stride, geometry)  # grad_alpha * T, 0 where T has vanished
    upstream[:] = ZERO
    alive = np.empty((STRIP_ROWS, width // LANES + 3), np.bool_)
    # Of each row: the logit, then the gradient of d^2 from it; across and over, 0 but of the nearest edge, and within.
    saved = aligned(STRIP_ROWS * _SAVED, geometry)
    places = np.empty(STRIP_ROWS, np.int64)
    totals = aligned(LANES, geometry)
    nothing = spread(real(ZERO))
    while True:
        claimed = claim(turn)
        if claimed >= len(order):
            break
        strip = order[claimed]
        top = strip * STRIP_ROWS
        bottom = min(top + STRIP_ROWS, height)
        for row in range(top, bottom):
            into = upstream[(row - top) * stride : (row - top) * stride + width]
            row_transmittance, row_grad = transmittance[row], grad_alpha[row]
            for column in range(width):
                t = row_transmittance[column]
                # Denormal products cost ten times as much and carry nothing.
                into[column] = row_grad[column] * t if t > vanished else ZERO
        _find_alive(upstream, stride, bottom - top, alive)
        for entry in range(starts[strip], starts[strip + 1]):
            face = entries[entry]
            edges = load_edge(geometry, face, 0), load_edge(geometry, face, 1), load_edge(geometry, face, 2)
            edge0, edge1, edge2 = edges
            s0, s1, s2, s3, s4, s5 = nothing, nothing, nothing, nothing, nothing, nothing
            s6, s7, s8, s9, s10, s11 = nothing, nothing, nothing, nothing, nothing, nothing
            for start in range(bounds[face, 0], bounds[face, 1] + 1, LANES):
                first, end = rows_of_columns(start, bounds, face, top, bottom, radius, real(height), *edges)
                x, y = real(start) + HALF, real(first) + HALF
                along0, across0 = edge_lanes(x, y, edge0)
                along1, across1 = edge_lanes(x, y, edge1)
                along2, across2 = edge_lanes(x, y, edge2)
                count = 0
                for row in range(first - top, end - top):
                    if not (alive[row, start // LANES] or alive[row, start // LANES + 1]):
                        continue
                    rows = spread(real(row - (first - top)))
                    a0, c0 = rows_lower(along0, across0, rows, edge0)
                    a1, c1 = rows_lower(along1, across1, rows, edge1)
                    a2, c2 = rows_lower(along2, across2, rows, edge2)
                    d2, inside, within0, within1, within2, second, third = boundary(
                        a0, c0, edge0[4], a1, c1, edge1[4], a2, c2, edge2[4]
                    )
                    o0, o1, o2 = of_nearest_edge(a0 - within0, a1 - within1, a2 - within2, second, third)
                    c0, c1, c2 = of_nearest_edge(c0, c1, c2, second, third)
                    place = count * _SAVED
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
                    places[count] = row * stride + start
                    count += 1
                for k in range(count):
                    place = k * _SAVED
                    grad = covered_logit_backward(load(upstream, places[k]), load(saved, place), lowest, highest)
                    store(saved, place, grad)
                for k in range(count):
                    place = k * _SAVED
                    g = load(saved, place)
                    c, o = load(saved, place + 1 * LANES), load(saved, place + 2 * LANES)
                    h = g * load(saved, place + 3 * LANES)
                    s0, s1, s2, s3 = fma(g, c, s0), fma(g, o, s1), fma(h, c, s2), fma(h, o, s3)
                    c, o = load(saved, place + 4 * LANES), load(saved, place + 5 * LANES)
                    h = g * load(saved, place + 6 * LANES)
                    s4, s5, s6, s7 = fma(g, c, s4), fma(g, o, s5), fma(h, c, s6), fma(h, o, s7)
                    c, o = load(saved, place + 7 * LANES), load(saved, place + 8 * LANES)
                    h = g * load(saved, place + 9 * LANES)
                    s8, s9, s10, s11 = fma(g, c, s8), fma(g, o, s9), fma(h, c, s10), fma(h, o, s11)
            store(totals, 0, sums_of_lanes((s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11)))
            for component in range(12):
                totals[component] *= inverse_sigma
            slot = slots[face] + strip - bounds[face, 2] // STRIP_ROWS
            store_corners(entry_gradients, slot, totals, edge0, edge1, edge2)
