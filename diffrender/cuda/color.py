"""Soft colour (and alpha in the same pass) on the device: forward over tiles, and its reverse over bands of faces.
Formulas are in `diffrender.formulas`."""

import numpy as np
from numba import cuda

from ..formulas.aggregate import depth_logit, softmax_step, softmax_weight
from ..formulas.constants import HALF, ONE, ZERO
from ..formulas.coverage import coverage_logit, log_coverage_backward, union_backward, union_end, union_step
from ..formulas.interpolate import clipped_barycentric, clipped_barycentric_backward
from ..formulas.peak import NOTHING, peak_end
from ..formulas.pixel import edge_products
from ..formulas.shape import face_odds, rates
from ..formulas.triangle import boundary, edge_coordinates, squared_distance_backward
from .bins import TILE, box_in_tile, load_edge, row_range
from .jit import SIMULATED, kernel
from .silhouette import LANES, PADDED, WARPS, band_of_slot, entries_of_tile, pixel_of, sum_of_lanes

CHANNELS = 4  # that a launch takes: its sums stay in registers; more channels are more launches
_STAGED = 8 if SIMULATED else 128  # faces that a block keeps in shared memory at a time
_STAGED_REALS = 19 + 3 * CHANNELS  # edges, inverse area, depth logits and attributes of a face
_SUMS = 9 + 3 * CHANNELS  # of the corners, their depth logits, their attributes


@kernel
def color_forward(
    face_corners,
    geometry,
    bounds,
    ends,
    columns,
    entries,
    radius,
    inverse_sigma,
    lowest,
    shape,
    owners,
    lowest_depth,
    vertices,
    nearest,
    depth_scale,
    attributes,
    first_channel,
    background_logit,
    background,
    alpha,
    transmittance,
    color,
    maxima,
    inverse_sums,
):
    """Fill alpha, T, the softmax's maximum and inverse sum (H, W), and CHANNELS channels of color (H, W, C)."""
    staged = cuda.shared.array((_STAGED_REALS, _STAGED), geometry.dtype)
    boxes = cuda.shared.array((4, _STAGED), np.int32)
    blend = cuda.local.array(CHANNELS, geometry.dtype)
    real = geometry.dtype.type
    height, width = alpha.shape
    channels = attributes.shape[1]
    thread, tile_x, tile_y = cuda.threadIdx.x, cuda.blockIdx.x, cuda.blockIdx.y
    x, y = pixel_of(thread)
    column, row = tile_x * TILE + x, tile_y * TILE + y
    px, py = real(column) + HALF, real(row) + HALF
    odds, owner = real(ZERO if len(owners) == 0 else NOTHING), -1
    maximum = background_logit
    total = real(ONE)
    for k in range(CHANNELS):
        blend[k] = background[first_channel + k] if first_channel + k < channels else ZERO
    start, end = entries_of_tile(ends, columns, tile_y * cuda.gridDim.x + tile_x)
    while start < end:
        count = min(_STAGED, end - start)
        cuda.syncthreads()
        if thread < count:
            face = entries[start + thread]
            boxes[0, thread], boxes[1, thread], boxes[2, thread], boxes[3, thread] = box_in_tile(
                geometry, bounds, face, tile_x, tile_y, radius, real(width)
            )
            for k in range(16):
                staged[k, thread] = geometry[face, k]
            for corner in range(3):
                vertex = face_corners[face, corner]
                staged[16 + corner, thread] = depth_logit(vertices[vertex, 2], nearest, depth_scale)
                for k in range(CHANNELS):
                    if first_channel + k < channels:
                        staged[19 + CHANNELS * corner + k, thread] = attributes[vertex, first_channel + k]
                    else:
                        staged[19 + CHANNELS * corner + k, thread] = ZERO
        cuda.syncthreads()
        for j in range(count):
            if boxes[0, j] <= column and column <= boxes[1, j] and boxes[2, j] <= row and row <= boxes[3, j]:
                along0, across0 = edge_coordinates(px, py, staged[0, j], staged[1, j], staged[2, j], staged[3, j])
                along1, across1 = edge_coordinates(px, py, staged[5, j], staged[6, j], staged[7, j], staged[8, j])
                along2, across2 = edge_coordinates(px, py, staged[10, j], staged[11, j], staged[12, j], staged[13, j])
                half0, half1, half2 = staged[4, j], staged[9, j], staged[14, j]
                d2, inside, _, _, _, _, _ = boundary(
                    along0, across0, half0, along1, across1, half1, along2, across2, half2
                )
                logit = coverage_logit(d2, inside, inverse_sigma)
                if logit >= lowest:
                    if len(owners) == 0:
                        odds = union_step(odds, face_odds(logit, shape))
                    elif logit > odds:  # faces come in their order
                        odds, owner = logit, entries[start + j]
                    scale_u = staged[15, j] + staged[15, j]
                    ba, bb, bc, _ = clipped_barycentric(
                        across1 * half1 * scale_u, across2 * half2 * scale_u, across0 * half0 * scale_u
                    )
                    depth = ba * staged[16, j] + bb * staged[17, j] + bc * staged[18, j]
                    maximum, scale, weight = softmax_step(maximum, depth, rates(logit, shape)[0], lowest_depth)
                    total = total * scale + weight
                    for k in range(CHANNELS):
                        value = (
                            ba * staged[19 + k, j]
                            + bb * staged[19 + CHANNELS + k, j]
                            + bc * staged[19 + 2 * CHANNELS + k, j]
                        )
                        blend[k] = blend[k] * scale + weight * value
        start += _STAGED
    if row < height and column < width:
        if len(owners) == 0:
            covered, t = union_end(odds)
        else:
            covered, t = peak_end(odds, lowest, shape)
            owners[0][row, column] = owner
        alpha[row, column] = covered
        transmittance[row, column] = t
        inverse_sum = ONE / total
        maxima[row, column] = maximum
        inverse_sums[row, column] = inverse_sum
        for k in range(CHANNELS):
            if first_channel + k < channels:
                color[row, column, first_channel + k] = blend[k] * inverse_sum


@kernel
def color_backward(
    face_corners,
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
    lowest_depth,
    vertices,
    nearest,
    depth_scale,
    attributes,
    first_channel,
    transmittance,
    color,
    maxima,
    inverse_sums,
    grad_alpha,
    grad_color,
    slot_gradients,
):
    """Fill one slot (9 + 3 C,) per band of a face, a warp each: (x, y) of corners a, b, c, their depth logits, and
    CHANNELS channels of their C attributes."""
    sums = cuda.shared.array((WARPS, _SUMS, PADDED), geometry.dtype)
    shares = cuda.local.array((3, CHANNELS), geometry.dtype)
    real = geometry.dtype.type
    channels = attributes.shape[1]
    lane, warp = cuda.threadIdx.x, cuda.threadIdx.y
    slot = cuda.blockIdx.x * WARPS + warp
    gax = gay = gbx = gby = gcx = gcy = gda = gdb = gdc = real(ZERO)
    for k in range(CHANNELS):
        shares[0, k] = ZERO
        shares[1, k] = ZERO
        shares[2, k] = ZERO
    if slot < slot_count:
        face = slot_faces[slot]
        mx0, my0, nx0, ny0, half0 = load_edge(geometry, face, 0)
        mx1, my1, nx1, ny1, half1 = load_edge(geometry, face, 1)
        mx2, my2, nx2, ny2, half2 = load_edge(geometry, face, 2)
        inverse0, inverse1, inverse2 = HALF / half0, HALF / half1, HALF / half2
        scale_u = geometry[face, 15] + geometry[face, 15]
        to_a, to_b, to_c = half1 * scale_u, half2 * scale_u, half0 * scale_u
        slopes = (nx1 * to_a, ny1 * to_a, nx2 * to_b, ny2 * to_b, nx0 * to_c, ny0 * to_c)
        a, b, c = face_corners[face, 0], face_corners[face, 1], face_corners[face, 2]
        depth_a = depth_logit(vertices[a, 2], nearest, depth_scale)
        depth_b = depth_logit(vertices[b, 2], nearest, depth_scale)
        depth_c = depth_logit(vertices[c, 2], nearest, depth_scale)
        x0, x1 = bounds[face, 0], bounds[face, 1]
        begin, last, at_once, offset, across = band_of_slot(bounds, slots, face, slot, lane)
        for row in range(begin, last + 1, at_once):
            py = real(row) + HALF
            left, right = x0, x1
            if across == LANES:
                left, right = row_range(geometry, face, py, py, x0, x1, radius, real(grad_alpha.shape[1]))
            for column in range(left + offset, right + 1, across):
                px = real(column) + HALF
                along0, across0 = edge_coordinates(px, py, mx0, my0, nx0, ny0)
                along1, across1 = edge_coordinates(px, py, mx1, my1, nx1, ny1)
                along2, across2 = edge_coordinates(px, py, mx2, my2, nx2, ny2)
                d2, inside, within0, within1, within2, second, third = boundary(
                    along0, across0, half0, along1, across1, half1, along2, across2, half2
                )
                logit = coverage_logit(d2, inside, inverse_sigma)
                if logit >= lowest:
                    coverage, rate, log_rate = rates(logit, shape)
                    ua, ub, uc = across1 * to_a, across2 * to_b, across0 * to_c
                    ba, bb, bc, inverse = clipped_barycentric(ua, ub, uc)
                    depth = ba * depth_a + bb * depth_b + bc * depth_c
                    weight = softmax_weight(
                        maxima[row, column], depth, coverage, inverse_sums[row, column], lowest_depth
                    )
                    dot_a = dot_b = dot_c = mean = real(ZERO)
                    for channel in range(channels):
                        upstream = grad_color[row, column, channel]
                        dot_a += upstream * attributes[a, channel]
                        dot_b += upstream * attributes[b, channel]
                        dot_c += upstream * attributes[c, channel]
                        mean += upstream * color[row, column, channel]
                    # d color / d log w_j = w_j / sum w (c_j - color): log w_j holds log D_j and the depth logit.
                    grad_log = weight * (ba * dot_a + bb * dot_b + bc * dot_c - mean)
                    t = transmittance[row, column]
                    grad_logit = log_coverage_backward(grad_log, log_rate)
                    if t > vanished:
                        above = grad_alpha[row, column] * t
                        if len(owners) == 0:
                            grad_logit += union_backward(above, rate)
                        elif owners[0][row, column] == face:
                            grad_logit += above
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
                    # To the corners at once: sums over the edges, as in the silhouette, would take more registers.
                    ax0, ay0, bx0, by0 = squared_distance_backward(*products[0:4], nx0, ny0)
                    bx1, by1, cx1, cy1 = squared_distance_backward(*products[4:8], nx1, ny1)
                    cx2, cy2, ax2, ay2 = squared_distance_backward(*products[8:12], nx2, ny2)
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
                    gax += ax0 + ax2 - ua * hx
                    gay += ay0 + ay2 - ua * hy
                    gbx += bx0 + bx1 - ub * hx
                    gby += by0 + by1 - ub * hy
                    gcx += cx1 + cx2 - uc * hx
                    gcy += cy1 + cy2 - uc * hy
                    gda += grad_log * ba
                    gdb += grad_log * bb
                    gdc += grad_log * bc
                    for k in range(CHANNELS):
                        if first_channel + k < channels:
                            upstream = grad_color[row, column, first_channel + k] * weight
                            shares[0, k] += upstream * ba
                            shares[1, k] += upstream * bb
                            shares[2, k] += upstream * bc
    sums[warp, 0, lane] = gax
    sums[warp, 1, lane] = gay
    sums[warp, 2, lane] = gbx
    sums[warp, 3, lane] = gby
    sums[warp, 4, lane] = gcx
    sums[warp, 5, lane] = gcy
    sums[warp, 6, lane] = gda
    sums[warp, 7, lane] = gdb
    sums[warp, 8, lane] = gdc
    for k in range(CHANNELS):
        sums[warp, 9 + k, lane] = shares[0, k]
        sums[warp, 9 + CHANNELS + k, lane] = shares[1, k]
        sums[warp, 9 + 2 * CHANNELS + k, lane] = shares[2, k]
    cuda.syncthreads()
    if slot < slot_count:
        for component in range(lane, _SUMS, LANES):
            corner, k = (component - 9) // CHANNELS, (component - 9) % CHANNELS
            if component < 9:
                slot_gradients[slot, component] = sum_of_lanes(sums, warp, component)
            elif first_channel + k < channels:
                slot_gradients[slot, 9 + corner * channels + first_channel + k] = sum_of_lanes(sums, warp, component)
