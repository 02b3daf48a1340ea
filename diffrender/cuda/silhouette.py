"""The soft silhouette on the device: forward over tiles, and its reverse over bands of faces. Formulas are in
`diffrender.formulas`."""

import numpy as np
from numba import cuda

from ..formulas.constants import HALF, ZERO
from ..formulas.coverage import coverage_logit, union_end, union_step
from ..formulas.peak import NOTHING, peak_end
from ..formulas.pixel import covered_backward, edge_products
from ..formulas.shape import face_odds
from ..formulas.triangle import boundary, edge_coordinates, squared_distance_backward
from .bins import TILE, band_rows, box_in_tile, load_edge, row_range
from .jit import SIMULATED, device, kernel

PIXELS = TILE * TILE  # threads of a block on the way forward
WARPS = 4  # of a block on the way back: each a band of one face
LANES = 8 if SIMULATED else 32
PADDED = LANES + 1  # so that lanes that read rows of sums do not meet in one bank of shared memory
_SUMS = 12  # of a warp on the way back: four numbers of each edge, see `edge_products`
_STAGED = 8 if SIMULATED else PIXELS  # faces that a block keeps in shared memory at a time


@device
def pixel_of(thread):
    """Return (x, y) in the tile: a warp is 8 x 4 px, so that all of it skips most small faces."""
    warp = thread // 32
    across = TILE // 8
    return thread % 8 + warp % across * 8, thread // 8 % 4 + warp // across * 4


@device
def entries_of_tile(ends, columns, tile):
    """Return the first entry of a tile and that of the next one."""
    begin = ends[tile * columns - 1] if tile > 0 else ends[0] - ends[0]
    return begin, ends[(tile + 1) * columns - 1]


@kernel
def silhouette_forward(
    geometry, bounds, ends, columns, entries, radius, inverse_sigma, lowest, shape, owners, alpha, transmittance
):
    """Fill alpha and transmittance T = 1 - alpha (H, W), a block of threads a tile.

    `owners` is () for the probabilistic union; for the maximum it is one image (H, W) of the faces that are alpha, or -1.
    """
    frames = cuda.shared.array((15, _STAGED), geometry.dtype)
    boxes = cuda.shared.array((4, _STAGED), np.int32)
    real = geometry.dtype.type
    height, width = alpha.shape
    thread, tile_x, tile_y = cuda.threadIdx.x, cuda.blockIdx.x, cuda.blockIdx.y
    x, y = pixel_of(thread)
    column, row = tile_x * TILE + x, tile_y * TILE + y
    px, py = real(column) + HALF, real(row) + HALF
    odds, owner = real(ZERO if len(owners) == 0 else NOTHING), -1
    start, end = entries_of_tile(ends, columns, tile_y * cuda.gridDim.x + tile_x)
    while start < end:
        count = min(_STAGED, end - start)
        cuda.syncthreads()
        if thread < count:
            face = entries[start + thread]
            boxes[0, thread], boxes[1, thread], boxes[2, thread], boxes[3, thread] = box_in_tile(
                geometry, bounds, face, tile_x, tile_y, radius, real(width)
            )
            for k in range(15):
                frames[k, thread] = geometry[face, k]
        cuda.syncthreads()
        for k in range(count):
            if boxes[0, k] <= column and column <= boxes[1, k] and boxes[2, k] <= row and row <= boxes[3, k]:
                along0, across0 = edge_coordinates(px, py, frames[0, k], frames[1, k], frames[2, k], frames[3, k])
                along1, across1 = edge_coordinates(px, py, frames[5, k], frames[6, k], frames[7, k], frames[8, k])
                along2, across2 = edge_coordinates(px, py, frames[10, k], frames[11, k], frames[12, k], frames[13, k])
                d2, inside, _, _, _, _, _ = boundary(
                    along0, across0, frames[4, k], along1, across1, frames[9, k], along2, across2, frames[14, k]
                )
                logit = coverage_logit(d2, inside, inverse_sigma)
                if logit >= lowest:
                    if len(owners) == 0:
                        odds = union_step(odds, face_odds(logit, shape))
                    elif logit > odds:  # faces come in their order
                        odds, owner = logit, entries[start + k]
        start += _STAGED
    if row < height and column < width:
        if len(owners) == 0:
            covered, t = union_end(odds)
        else:
            covered, t = peak_end(odds, lowest, shape)
            owners[0][row, column] = owner
        alpha[row, column] = covered
        transmittance[row, column] = t


@device
def band_of_slot(bounds, slots, face, slot, lane):
    """Return the first row of a lane, the last row, how far it goes on by rows, its first column less x0, and how far by columns.

    The lanes of a warp share out a face's columns; of a narrow face they take several rows at once.
    """
    x0, x1 = bounds[face, 0], bounds[face, 1]
    width = x1 - x0 + 1
    rows = band_rows(x0, x1)
    first = bounds[face, 2] + (slot - (slots[face] - slots[0])) * rows
    last = min(first + rows - 1, bounds[face, 3])
    across = min(width, LANES)
    at_once = LANES // across
    group = lane // across
    begin = first + group if group < at_once else last + 1
    return begin, last, at_once, lane - group * across, across


@kernel
def silhouette_backward(
    geometry,
    bounds,
    slots,
    slot_count,
    slot_faces,
    radius,
    inverse_sigma,
    lowest,
    shape,
    owners,
    vanished,
    transmittance,
    grad_alpha,
    slot_gradients,
):
    """Fill one slot (6,) = (x, y) of corners a, b, c per band of a face, a warp each, from grad_alpha (H, W)."""
    sums = cuda.shared.array((WARPS, _SUMS, PADDED), geometry.dtype)
    real = geometry.dtype.type
    lane, warp = cuda.threadIdx.x, cuda.threadIdx.y
    slot = cuda.blockIdx.x * WARPS + warp
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = s8 = s9 = s10 = s11 = real(ZERO)
    if slot < slot_count:
        face = slot_faces[slot]
        mx0, my0, nx0, ny0, half0 = load_edge(geometry, face, 0)
        mx1, my1, nx1, ny1, half1 = load_edge(geometry, face, 1)
        mx2, my2, nx2, ny2, half2 = load_edge(geometry, face, 2)
        inverse0, inverse1, inverse2 = HALF / half0, HALF / half1, HALF / half2
        x0, x1 = bounds[face, 0], bounds[face, 1]
        begin, last, at_once, offset, across = band_of_slot(bounds, slots, face, slot, lane)
        for row in range(begin, last + 1, at_once):
            py = real(row) + HALF
            left, right = x0, x1
            if across == LANES:
                left, right = row_range(geometry, face, py, py, x0, x1, radius, real(grad_alpha.shape[1]))
            for column in range(left + offset, right + 1, across):
                t = transmittance[row, column]
                felt = t > vanished
                if len(owners) != 0:
                    felt = felt and owners[0][row, column] == face
                if felt:
                    px = real(column) + HALF
                    along0, across0 = edge_coordinates(px, py, mx0, my0, nx0, ny0)
                    along1, across1 = edge_coordinates(px, py, mx1, my1, nx1, ny1)
                    along2, across2 = edge_coordinates(px, py, mx2, my2, nx2, ny2)
                    d2, inside, within0, within1, within2, second, third = boundary(
                        along0, across0, half0, along1, across1, half1, along2, across2, half2
                    )
                    above = grad_alpha[row, column] * t
                    if len(owners) == 0:
                        grad_d2 = covered_backward(above, d2, inside, inverse_sigma, lowest, shape)
                    else:
                        grad_d2 = coverage_logit(above, inside, inverse_sigma)  # x is linear in d^2
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
                    s0 += products[0]
                    s1 += products[1]
                    s2 += products[2]
                    s3 += products[3]
                    s4 += products[4]
                    s5 += products[5]
                    s6 += products[6]
                    s7 += products[7]
                    s8 += products[8]
                    s9 += products[9]
                    s10 += products[10]
                    s11 += products[11]
    sums[warp, 0, lane] = s0
    sums[warp, 1, lane] = s1
    sums[warp, 2, lane] = s2
    sums[warp, 3, lane] = s3
    sums[warp, 4, lane] = s4
    sums[warp, 5, lane] = s5
    sums[warp, 6, lane] = s6
    sums[warp, 7, lane] = s7
    sums[warp, 8, lane] = s8
    sums[warp, 9, lane] = s9
    sums[warp, 10, lane] = s10
    sums[warp, 11, lane] = s11
    cuda.syncthreads()
    for component in range(lane, _SUMS, LANES):
        sums[warp, component, 0] = sum_of_lanes(sums, warp, component)
    cuda.syncthreads()
    if slot < slot_count:
        _store_corner(sums, warp, lane, geometry, slot_faces[slot], slot, slot_gradients)


@device
def _store_corner(sums, warp, lane, geometry, face, slot, slot_gradients):
    """Write the gradient of one corner, (x, y), by each of the first three lanes of a warp: it ends one edge, begins another."""
    if lane < 3:
        begun, ended = lane, (lane + 2) % 3
        begin_x, begin_y, _, _ = _edge_backward(sums, warp, begun, geometry, face)
        _, _, end_x, end_y = _edge_backward(sums, warp, ended, geometry, face)
        slot_gradients[slot, 2 * lane] = begin_x + end_x
        slot_gradients[slot, 2 * lane + 1] = begin_y + end_y


@device
def _edge_backward(sums, warp, edge, geometry, face):
    return squared_distance_backward(
        sums[warp, 4 * edge, 0],
        sums[warp, 4 * edge + 1, 0],
        sums[warp, 4 * edge + 2, 0],
        sums[warp, 4 * edge + 3, 0],
        geometry[face, 5 * edge + 2],
        geometry[face, 5 * edge + 3],
    )


@device
def sum_of_lanes(sums, warp, component):
    """Return the sum of a component over the lanes of a warp, always in the same order."""
    total = sums[warp, component, 0]
    for lane in range(1, LANES):
        total += sums[warp, component, lane]
    return total
