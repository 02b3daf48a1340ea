"""The soft silhouette on the device: forward over tiles, and its reverse over bands of faces. Formulas are in
`diffrender.formulas`."""

import numpy as np
from numba import cuda

from ..formulas.constants import HALF, ZERO
from ..formulas.coverage import coverage_logit, sigmoid, union_backward, union_end, union_step
from ..formulas.triangle import boundary_offset, columns_in_slab, squared_distance_backward, triangle_edges
from .bins import TILE, band_rows, box_in_tile, load_corners
from .jit import SIMULATED, device, kernel

PIXELS = TILE * TILE  # threads of a block on the way forward
WARPS = 4  # of a block on the way back: each a band of one face
LANES = 8 if SIMULATED else 32
PADDED = LANES + 1  # so that lanes that read rows of sums do not meet in one bank of shared memory
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
    geometry, bounds, ends, columns, entries, radius, inverse_sigma, lowest, highest, alpha, transmittance
):
    """Fill alpha and transmittance T = 1 - alpha (H, W), a block of threads a tile."""
    corners = cuda.shared.array((9, _STAGED), geometry.dtype)
    boxes = cuda.shared.array((4, _STAGED), np.int32)
    real = geometry.dtype.type
    height, width = alpha.shape
    thread, tile_x, tile_y = cuda.threadIdx.x, cuda.blockIdx.x, cuda.blockIdx.y
    x, y = pixel_of(thread)
    column, row = tile_x * TILE + x, tile_y * TILE + y
    px, py = real(column) + HALF, real(row) + HALF
    odds = real(ZERO)
    start, end = entries_of_tile(ends, columns, tile_y * cuda.gridDim.x + tile_x)
    while start < end:
        count = min(_STAGED, end - start)
        cuda.syncthreads()
        if thread < count:
            face = entries[start + thread]
            boxes[0, thread], boxes[1, thread], boxes[2, thread], boxes[3, thread] = box_in_tile(
                geometry, bounds, face, tile_x, tile_y, radius, real(width)
            )
            for k in range(9):
                corners[k, thread] = geometry[face, k]
        cuda.syncthreads()
        for k in range(count):
            if boxes[0, k] <= column and column <= boxes[1, k] and boxes[2, k] <= row and row <= boxes[3, k]:
                ax, ay, bx, by, cx, cy = (
                    corners[0, k],
                    corners[1, k],
                    corners[2, k],
                    corners[3, k],
                    corners[4, k],
                    corners[5, k],
                )
                edges, slopes = triangle_edges(ax, ay, bx, by, cx, cy, corners[6, k], corners[7, k], corners[8, k])
                d2, inside, _, _, _, _, _ = boundary_offset(
                    px - ax, py - ay, px - bx, py - by, px - cx, py - cy, *edges, *slopes
                )
                logit = coverage_logit(d2, inside, inverse_sigma)
                if logit >= lowest:
                    odds = union_step(odds, logit if logit < highest else highest)
        start += _STAGED
    if row < height and column < width:
        covered, t = union_end(odds)
        alpha[row, column] = covered
        transmittance[row, column] = t


@device
def band_of_slot(bounds, slots, face, slot, lane):
    """Return x0, x1, the first row of a lane, the last row, and how far a lane goes on by rows and by columns.

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
    highest,
    vanished,
    transmittance,
    grad_alpha,
    slot_gradients,
):
    """Fill one slot (6,) = (x, y) of corners a, b, c per band of a face, a warp each, from grad_alpha (H, W)."""
    sums = cuda.shared.array((WARPS, 6, PADDED), geometry.dtype)
    real = geometry.dtype.type
    lane, warp = cuda.threadIdx.x, cuda.threadIdx.y
    slot = cuda.blockIdx.x * WARPS + warp
    gax = gay = gbx = gby = gcx = gcy = real(ZERO)
    if slot < slot_count:
        face = slot_faces[slot]
        corners, inverses = load_corners(geometry, face)
        ax, ay, bx, by, cx, cy = corners
        edges, slopes = triangle_edges(*corners, *inverses)
        x0, x1 = bounds[face, 0], bounds[face, 1]
        begin, last, at_once, offset, across = band_of_slot(bounds, slots, face, slot, lane)
        for row in range(begin, last + 1, at_once):
            py = real(row) + HALF
            ray, rby, rcy = py - ay, py - by, py - cy
            left, right = x0, x1
            if across == LANES:
                left, right = columns_in_slab(py, py, x0, x1, radius, real(grad_alpha.shape[1]), *corners, *edges)
            for column in range(left + offset, right + 1, across):
                t = transmittance[row, column]
                if t > vanished:
                    px = real(column) + HALF
                    d2, inside, dx, dy, wa, wb, wc = boundary_offset(
                        px - ax, ray, px - bx, rby, px - cx, rcy, *edges, *slopes
                    )
                    logit = coverage_logit(d2, inside, inverse_sigma)
                    if logit >= lowest:
                        logit = logit if logit < highest else highest
                        grad_logit = union_backward(grad_alpha[row, column] * t, sigmoid(logit))
                        grad_d2 = coverage_logit(grad_logit, inside, inverse_sigma)  # x is linear in d^2
                        gx, gy = squared_distance_backward(grad_d2, dx, dy)
                        gax += wa * gx
                        gay += wa * gy
                        gbx += wb * gx
                        gby += wb * gy
                        gcx += wc * gx
                        gcy += wc * gy
    sums[warp, 0, lane] = gax
    sums[warp, 1, lane] = gay
    sums[warp, 2, lane] = gbx
    sums[warp, 3, lane] = gby
    sums[warp, 4, lane] = gcx
    sums[warp, 5, lane] = gcy
    cuda.syncthreads()
    if slot < slot_count and lane < 6:
        slot_gradients[slot, lane] = sum_of_lanes(sums, warp, lane)


@device
def sum_of_lanes(sums, warp, component):
    """Return the sum of a component over the lanes of a warp, always in the same order."""
    total = sums[warp, component, 0]
    for lane in range(1, LANES):
        total += sums[warp, component, lane]
    return total
