"""Soft colour of surfaces in perspective on the device: what `diffrender.cpu.surface` does, in the loops of
`diffrender.cuda.color`. Without a texture, `offsets` has no level."""

import numpy as np
from numba import cuda

from ..formulas.aggregate import depth_logit, softmax_step, softmax_weight
from ..formulas.constants import HALF, ONE, ZERO
from ..formulas.coverage import coverage_logit, log_coverage_backward, union_backward, union_end, union_step
from ..formulas.fastmath import floor
from ..formulas.interpolate import clipped_barycentric, clipped_barycentric_backward
from ..formulas.peak import NOTHING, peak_end
from ..formulas.perspective import perspective_weights, perspective_weights_backward
from ..formulas.pixel import edge_products
from ..formulas.shape import face_odds, rates
from ..formulas.texture import (
    bilinear,
    bilinear_slopes,
    bilinear_weights,
    footprint,
    footprint_backward,
    level_of_detail,
    texel_cell,
    texture_density,
    texture_density_backward,
)
from ..formulas.triangle import boundary, edge_coordinates, squared_distance_backward
from ..pyramid import CHANNELS as HUES
from .bins import TILE, box_in_tile, load_edge, row_range
from .color import CHANNELS
from .jit import SIMULATED, device, kernel
from .silhouette import LANES, PADDED, WARPS, band_of_slot, entries_of_tile, pixel_of, sum_of_lanes

_STAGED = 8 if SIMULATED else 128  # faces that a block keeps in shared memory at a time
# What is known of a face: its corners' depth logits, q of the attributes, q of the texture; (u, v) of corner a, the ways from
# there to b and c; the density.
TINT = 21
# A warp's sums: of the corners' x and y and their depth logits, log q of the attributes, the attributes; log q of the
# texture, uv, the density.
_HUE_SUMS, _LOG_SUMS = 12, 12 + 3 * CHANNELS
_UV_SUMS, _DENSITY_SUMS = _LOG_SUMS + 3, _LOG_SUMS + 9
_SUMS = _LOG_SUMS + 15


@device
def slopes_of(geometry, face):
    """Return the derivatives of the barycentric coordinates of a, b and c for x and y."""
    scale = geometry[face, 15] + geometry[face, 15]
    to_a, to_b, to_c = geometry[face, 9] * scale, geometry[face, 14] * scale, geometry[face, 4] * scale
    return (
        geometry[face, 7] * to_a,
        geometry[face, 8] * to_a,
        geometry[face, 12] * to_b,
        geometry[face, 13] * to_b,
        geometry[face, 2] * to_c,
        geometry[face, 3] * to_c,
    )


@device
def density_of(tints, face):
    """Return the density of a face's texture."""
    return (
        tints[face, 15],
        tints[face, 16],
        tints[face, 17],
        tints[face, 18],
        tints[face, 19],
        tints[face, 20],
    )


@kernel
def prepare_surface(
    faces, corners, geometry, bounds, vertices, nearest, depth_scale, perspective, levels, faces_uv, uv, face_uv, tints
):
    """Fill the tints (F, TINT) of faces that count, and face_uv (F, 3), faces_uv wound as `corners` is."""
    face = cuda.grid(1)
    if face >= len(faces) or bounds[face, 3] < bounds[face, 2]:
        return
    real = tints.dtype.type
    for corner in range(3):
        depth = vertices[corners[face, corner], 2]
        tints[face, corner] = depth_logit(depth, nearest, depth_scale)
        tints[face, 3 + corner] = nearest / depth if perspective else real(ONE)
        tints[face, 6 + corner] = nearest / depth
    if levels == 0:
        return
    turned = corners[face, 1] != faces[face, 1]
    a, b, c = faces_uv[face, 0], faces_uv[face, 1], faces_uv[face, 2]
    if turned:
        b, c = c, b
    face_uv[face, 0] = a
    face_uv[face, 1] = b
    face_uv[face, 2] = c
    u, v = uv[a, 0], uv[a, 1]
    bu, bv, cu, cv = uv[b, 0] - u, uv[b, 1] - v, uv[c, 0] - u, uv[c, 1] - v
    tints[face, 9] = u
    tints[face, 10] = v
    tints[face, 11] = bu
    tints[face, 12] = bv
    tints[face, 13] = cu
    tints[face, 14] = cv
    density = texture_density(tints[face, 6], tints[face, 7], tints[face, 8], slopes_of(geometry, face), bu, bv, cu, cv)
    for k in range(6):
        tints[face, 15 + k] = density[k]


@device
def cell_of(offsets, sizes, repeat, level, u, v):
    """Return where the four texels around (u, v) begin, and the shares of the right and the lower ones."""
    width = sizes[2 * level]
    left, right, across = texel_cell(u, width, repeat)
    top, bottom, down = texel_cell(v, sizes[2 * level + 1], repeat)
    above, below = offsets[level] + int(top) * int(width), offsets[level] + int(bottom) * int(width)
    left, right = int(left), int(right)
    return HUES * (above + left), HUES * (above + right), HUES * (below + left), HUES * (below + right), across, down


@device
def sample(texels, offsets, sizes, repeat, u, v, square, sampled):
    """Write the texture's colour to sampled (3,)."""
    real = sampled.dtype.type
    level, _ = level_of_detail(square, real(len(offsets) - 1))
    share = level - floor(level)
    for channel in range(HUES):
        sampled[channel] = ZERO
    for step in range(2 if share > ZERO else 1):
        factor = share if step == 1 else real(ONE) - share
        c00, c01, c10, c11, across, down = cell_of(offsets, sizes, repeat, int(level) + step, u, v)
        for channel in range(HUES):
            sampled[channel] += factor * bilinear(
                texels[c00 + channel],
                texels[c01 + channel],
                texels[c10 + channel],
                texels[c11 + channel],
                across,
                down,
            )


@device
def sample_backward(texels, offsets, sizes, repeat, u, v, square, grads, sampled, grid, unit):
    """Write the gradients of u, v and the square to sampled (6,) behind the colour, for grads (3,) of that, and add those
    of texels to the grid, in whole numbers of 1 / unit: these have the same sum in any order."""
    real = sampled.dtype.type
    level, slope = level_of_detail(square, real(len(offsets) - 1))
    share = level - floor(level)
    for k in range(HUES, 6):
        sampled[k] = ZERO
    for step in range(2 if slope > ZERO else 1):
        factor = share if step == 1 else real(ONE) - share
        number = int(level) + step
        c00, c01, c10, c11, across, down = cell_of(offsets, sizes, repeat, number, u, v)
        t00, t01, t10, t11 = bilinear_weights(across, down)
        amount = factor * unit
        for channel in range(HUES):
            grad = grads[channel]
            v00, v01, v10, v11 = (
                texels[c00 + channel],
                texels[c01 + channel],
                texels[c10 + channel],
                texels[c11 + channel],
            )
            slope_u, slope_v = bilinear_slopes(v00, v01, v10, v11, across, down)
            sampled[3] += grad * slope_u * factor * sizes[2 * number]
            sampled[4] += grad * slope_v * factor * sizes[2 * number + 1]
            along = grad * bilinear(v00, v01, v10, v11, across, down) * slope
            sampled[5] += along if step == 1 else -along
            counted = grad * amount
            cuda.atomic.add(grid, c00 + channel, np.int64(counted * t00))
            cuda.atomic.add(grid, c01 + channel, np.int64(counted * t01))
            cuda.atomic.add(grid, c10 + channel, np.int64(counted * t10))
            cuda.atomic.add(grid, c11 + channel, np.int64(counted * t11))


@kernel
def surface_forward(
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
    tints,
    attributes,
    first_channel,
    texels,
    offsets,
    sizes,
    repeat,
    background_logit,
    background,
    alpha,
    transmittance,
    color,
    maxima,
    inverse_sums,
):
    """Fill alpha, T, the softmax's maximum and inverse sum (H, W), and CHANNELS channels of color (H, W, C)."""
    staged = cuda.shared.array((16, _STAGED), geometry.dtype)
    numbers = cuda.shared.array(_STAGED, np.int32)
    boxes = cuda.shared.array((4, _STAGED), np.int32)
    blend = cuda.local.array(CHANNELS, geometry.dtype)
    sampled = cuda.local.array(HUES, geometry.dtype)
    real = geometry.dtype.type
    height, width = alpha.shape
    channels = attributes.shape[1]
    textured = len(offsets) > 0
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
            numbers[thread] = face
            for k in range(16):
                staged[k, thread] = geometry[face, k]
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
                    face = numbers[j]
                    depth = ba * tints[face, 0] + bb * tints[face, 1] + bc * tints[face, 2]
                    maximum, scale, weight = softmax_step(maximum, depth, rates(logit, shape)[0], lowest_depth)
                    total = total * scale + weight
                    for k in range(CHANNELS):
                        blend[k] *= scale
                    if weight > ZERO:
                        pa, pb, pc, _ = perspective_weights(ba, bb, bc, tints[face, 3], tints[face, 4], tints[face, 5])
                        if textured:
                            _, wb, wc, inverse = perspective_weights(
                                ba, bb, bc, tints[face, 6], tints[face, 7], tints[face, 8]
                            )
                            u = wb * tints[face, 11] + wc * tints[face, 13]
                            v = wb * tints[face, 12] + wc * tints[face, 14]
                            _, _, _, _, square = footprint(u, v, density_of(tints, face), inverse, sizes[0], sizes[1])
                            u, v = u + tints[face, 9], v + tints[face, 10]
                            sample(texels, offsets, sizes, repeat, u, v, square, sampled)
                        a, b, c = face_corners[face, 0], face_corners[face, 1], face_corners[face, 2]
                        for k in range(CHANNELS):
                            channel = first_channel + k
                            if channel < channels:
                                value = pa * attributes[a, channel] + pb * attributes[b, channel]
                                value += pc * attributes[c, channel]
                                if textured:
                                    value *= sampled[k]
                                blend[k] += weight * value
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
def surface_backward(
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
    tints,
    attributes,
    first_channel,
    texels,
    offsets,
    sizes,
    repeat,
    of_log_q,
    perspective,
    transmittance,
    color,
    maxima,
    inverse_sums,
    grad_alpha,
    grad_color,
    slot_gradients,
    slot_uv,
    grid,
    unit,
):
    """Fill one slot (9 + 3 C,) per band of a face, a warp each, as plain colour does; with a texture also its slot of
    slot_uv (6,), and the grid (3 N,) int64 of the texels.

    of_log_q times q turns a gradient of log q into one of the depth logit.
    """
    sums = cuda.shared.array((WARPS, _SUMS, PADDED), geometry.dtype)
    own = cuda.local.array(_SUMS, geometry.dtype)
    sampled = cuda.local.array(6, geometry.dtype)
    grads = cuda.local.array(CHANNELS, geometry.dtype)
    real = geometry.dtype.type
    channels = attributes.shape[1]
    textured = len(offsets) > 0
    lane, warp = cuda.threadIdx.x, cuda.threadIdx.y
    slot = cuda.blockIdx.x * WARPS + warp
    for k in range(_SUMS):
        own[k] = ZERO
    if slot < slot_count:
        face = slot_faces[slot]
        mx0, my0, nx0, ny0, half0 = load_edge(geometry, face, 0)
        mx1, my1, nx1, ny1, half1 = load_edge(geometry, face, 1)
        mx2, my2, nx2, ny2, half2 = load_edge(geometry, face, 2)
        inverse0, inverse1, inverse2 = HALF / half0, HALF / half1, HALF / half2
        scale_u = geometry[face, 15] + geometry[face, 15]
        to_a, to_b, to_c = half1 * scale_u, half2 * scale_u, half0 * scale_u
        slopes = slopes_of(geometry, face)
        a, b, c = face_corners[face, 0], face_corners[face, 1], face_corners[face, 2]
        depth_a, depth_b, depth_c = tints[face, 0], tints[face, 1], tints[face, 2]
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
                    ba, bb, bc, inverse_total = clipped_barycentric(ua, ub, uc)
                    depth = ba * depth_a + bb * depth_b + bc * depth_c
                    weight = softmax_weight(
                        maxima[row, column], depth, coverage, inverse_sums[row, column], lowest_depth
                    )
                    grad_log = gba = gbb = gbc = real(ZERO)
                    if weight > ZERO:
                        pa, pb, pc, inverse = perspective_weights(
                            ba, bb, bc, tints[face, 3], tints[face, 4], tints[face, 5]
                        )
                        if textured:
                            ta, tb, tc, texture_inverse = perspective_weights(
                                ba, bb, bc, tints[face, 6], tints[face, 7], tints[face, 8]
                            )
                            u = tb * tints[face, 11] + tc * tints[face, 13]
                            v = tb * tints[face, 12] + tc * tints[face, 14]
                            ux, vx, uy, vy, square = footprint(
                                u, v, density_of(tints, face), texture_inverse, sizes[0], sizes[1]
                            )
                            iu, iv = u + tints[face, 9], v + tints[face, 10]
                            sample(texels, offsets, sizes, repeat, iu, iv, square, sampled)
                            for k in range(HUES):
                                value = pa * attributes[a, k] + pb * attributes[b, k] + pc * attributes[c, k]
                                grads[k] = weight * grad_color[row, column, k] * value
                            sample_backward(texels, offsets, sizes, repeat, iu, iv, square, grads, sampled, grid, unit)
                        dot_a = dot_b = dot_c = mean = real(ZERO)
                        for channel in range(channels):
                            upstream = grad_color[row, column, channel]
                            mean += upstream * color[row, column, channel]
                            upstream *= weight
                            if textured:
                                upstream *= sampled[channel]
                            dot_a += upstream * attributes[a, channel]
                            dot_b += upstream * attributes[b, channel]
                            dot_c += upstream * attributes[c, channel]
                            if channel >= first_channel and channel < first_channel + CHANNELS:
                                k = _HUE_SUMS + channel - first_channel
                                own[k] += upstream * pa
                                own[k + CHANNELS] += upstream * pb
                                own[k + 2 * CHANNELS] += upstream * pc
                        # d color / d log w_j = w_j / sum w (c_j - color): log w_j holds log D_j and the depth logit.
                        grad_log = pa * dot_a + pb * dot_b + pc * dot_c - weight * mean
                        gba, gbb, gbc, log_a, log_b, log_c = perspective_weights_backward(
                            dot_a,
                            dot_b,
                            dot_c,
                            real(ZERO),
                            pa,
                            pb,
                            pc,
                            tints[face, 3],
                            tints[face, 4],
                            tints[face, 5],
                            inverse,
                        )
                        own[9] += log_a
                        own[10] += log_b
                        own[11] += log_c
                        if textured:
                            back = footprint_backward(
                                sampled[5],
                                u,
                                v,
                                ux,
                                vx,
                                uy,
                                vy,
                                density_of(tints, face),
                                texture_inverse,
                                sizes[0],
                                sizes[1],
                            )
                            grad_u, grad_v = sampled[3] + back[0], sampled[4] + back[1]
                            for k in range(6):
                                own[_DENSITY_SUMS + k] += back[3 + k]
                            own[_UV_SUMS] += ta * grad_u
                            own[_UV_SUMS + 1] += ta * grad_v
                            own[_UV_SUMS + 2] += tb * grad_u
                            own[_UV_SUMS + 3] += tb * grad_v
                            own[_UV_SUMS + 4] += tc * grad_u
                            own[_UV_SUMS + 5] += tc * grad_v
                            more_a, more_b, more_c, log_a, log_b, log_c = perspective_weights_backward(
                                real(ZERO),
                                grad_u * tints[face, 11] + grad_v * tints[face, 12],
                                grad_u * tints[face, 13] + grad_v * tints[face, 14],
                                back[2],
                                ta,
                                tb,
                                tc,
                                tints[face, 6],
                                tints[face, 7],
                                tints[face, 8],
                                texture_inverse,
                            )
                            gba += more_a
                            gbb += more_b
                            gbc += more_c
                            own[_LOG_SUMS] += log_a
                            own[_LOG_SUMS + 1] += log_b
                            own[_LOG_SUMS + 2] += log_c
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
                    ax0, ay0, bx0, by0 = squared_distance_backward(*products[0:4], nx0, ny0)
                    bx1, by1, cx1, cy1 = squared_distance_backward(*products[4:8], nx1, ny1)
                    cx2, cy2, ax2, ay2 = squared_distance_backward(*products[8:12], nx2, ny2)
                    hx, hy = clipped_barycentric_backward(
                        grad_log * depth_a + gba,
                        grad_log * depth_b + gbb,
                        grad_log * depth_c + gbc,
                        ba,
                        bb,
                        bc,
                        inverse_total,
                        slopes,
                    )
                    own[0] += ax0 + ax2 - ua * hx
                    own[1] += ay0 + ay2 - ua * hy
                    own[2] += bx0 + bx1 - ub * hx
                    own[3] += by0 + by1 - ub * hy
                    own[4] += cx1 + cx2 - uc * hx
                    own[5] += cy1 + cy2 - uc * hy
                    own[6] += grad_log * ba
                    own[7] += grad_log * bb
                    own[8] += grad_log * bc
    for k in range(_SUMS):
        sums[warp, k, lane] = own[k]
    cuda.syncthreads()
    if slot < slot_count:
        for k in range(lane, _SUMS, LANES):
            sums[warp, k, 0] = sum_of_lanes(sums, warp, k)
    cuda.syncthreads()
    if slot < slot_count and lane == 0:
        if textured:
            _store_uv(sums, warp, geometry, tints, slot_faces[slot], slot, slot_uv)
        _store_slot(
            sums,
            warp,
            tints,
            slot_faces[slot],
            of_log_q,
            perspective,
            textured,
            channels,
            first_channel,
            slot,
            slot_gradients,
        )


@device
def _store_uv(sums, warp, geometry, tints, face, slot, slot_uv):
    """Write the corners' (u, v) to their slot, and add to a warp's sums what the density sends back."""
    felt = False
    for k in range(6):
        slot_uv[slot, k] = sums[warp, _UV_SUMS + k, 0]
        felt = felt or sums[warp, _DENSITY_SUMS + k, 0] != ZERO
    if felt:  # sizes may be infinite where they are not felt
        back = texture_density_backward(
            (
                sums[warp, _DENSITY_SUMS, 0],
                sums[warp, _DENSITY_SUMS + 1, 0],
                sums[warp, _DENSITY_SUMS + 2, 0],
                sums[warp, _DENSITY_SUMS + 3, 0],
                sums[warp, _DENSITY_SUMS + 4, 0],
                sums[warp, _DENSITY_SUMS + 5, 0],
            ),
            tints[face, 6],
            tints[face, 7],
            tints[face, 8],
            slopes_of(geometry, face),
            tints[face, 11],
            tints[face, 12],
            tints[face, 13],
            tints[face, 14],
        )
        for k in range(3):
            sums[warp, _LOG_SUMS + k, 0] += back[k]
        for k in range(6):
            sums[warp, k, 0] += back[3 + k]
            slot_uv[slot, k] += back[9 + k]


@device
def _store_slot(
    sums, warp, tints, face, of_log_q, perspective, textured, channels, first_channel, slot, slot_gradients
):
    """Write a warp's sums to its slot, gradients of log q going to the depth logits."""
    for k in range(6):
        slot_gradients[slot, k] = sums[warp, k, 0]
    for corner in range(3):
        log_q = sums[warp, 9 + corner, 0] if perspective else ZERO
        if textured:
            log_q += sums[warp, _LOG_SUMS + corner, 0]
        slot_gradients[slot, 6 + corner] = sums[warp, 6 + corner, 0] + log_q * tints[face, 6 + corner] * of_log_q
        for k in range(CHANNELS):
            if first_channel + k < channels:
                total = sums[warp, _HUE_SUMS + corner * CHANNELS + k, 0]
                slot_gradients[slot, 9 + corner * channels + first_channel + k] = total


@kernel
def gather_uv(starts, uv_faces, face_uv, slots, slot_uv, grad_uv):
    """Fill grad_uv (T, 2), a thread each number; several corners of a face may be at the same place."""
    i = cuda.grid(1)
    if i >= 2 * len(grad_uv):
        return
    place, axis = i // 2, i % 2
    total = grad_uv.dtype.type(ZERO)
    first_slot, first = slots[0], starts[place]
    for k in range(first, starts[place + 1]):
        face = uv_faces[k]
        begin, end = slots[face] - first_slot, slots[face + 1] - first_slot
        if begin < end and (k == first or uv_faces[k - 1] != face):
            for corner in range(3):
                if face_uv[face, corner] == place:
                    for slot in range(begin, end):
                        total += slot_uv[slot, 2 * corner + axis]
    grad_uv[place, axis] = total


@kernel
def clear(grid):
    """Fill grid (3 N,) int64 with 0."""
    i = cuda.grid(1)
    if i < len(grid):
        grid[i] = 0
