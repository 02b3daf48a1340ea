"""How soft alpha and colour change in directions, on the device: the forward mode, over the tiles of the way forward.

Derivatives are those that the way back has for an upstream of 1, see `diffrender.cpu.tangent`."""

import numpy as np
from numba import cuda

from ..formulas.aggregate import softmax_weight
from ..formulas.constants import HALF, ONE, ZERO
from ..formulas.coverage import coverage_logit, log_coverage_backward, union_backward
from ..formulas.fastmath import floor
from ..formulas.interpolate import clipped_barycentric, clipped_barycentric_backward
from ..formulas.perspective import perspective_weights, perspective_weights_backward
from ..formulas.pixel import covered_backward, edge_products
from ..formulas.shape import rates
from ..formulas.texture import (
    bilinear,
    bilinear_slopes,
    footprint,
    footprint_backward,
    level_of_detail,
    texture_density_tangent,
)
from ..formulas.triangle import boundary, edge_coordinates, squared_distance_backward
from ..pyramid import CHANNELS as HUES
from .bins import TILE, box_in_tile
from .color import CHANNELS
from .jit import SIMULATED, device, kernel
from .silhouette import entries_of_tile, pixel_of
from .surface import cell_of, density_of, sample, slopes_of

DIRECTIONS = 4  # that a launch takes: their sums stay in registers; more directions are more launches
_STAGED = 8 if SIMULATED else 128  # faces that a block keeps in shared memory at a time
# How a face goes in a direction: x, y of its corners, their depth logits; (u, v) of the corners in the texture, the density.
OUTLINE, SOLID, LAID = 6, 9, 21
_CHANGED = CHANNELS + 1  # and alpha
_LARGEST = np.float32(1e30)


@kernel
def prepare_ways(face_corners, geometry, bounds, motions, depth_scale, tints, of_log_q, face_uv, uv_motions, ways):
    """Fill ways (F, D, OUTLINE, SOLID or LAID) of faces that count for motions (D, V, 3) and uv_motions (D or 0, T, 2), a thread
    a face and a direction."""
    i = cuda.grid(1)
    face, direction = i // ways.shape[1], i % ways.shape[1]
    if face >= len(ways) or bounds[face, 3] < bounds[face, 2]:
        return
    width = ways.shape[2]
    for corner in range(3):
        vertex = face_corners[face, corner]
        ways[face, direction, 2 * corner] = motions[direction, vertex, 0]
        ways[face, direction, 2 * corner + 1] = motions[direction, vertex, 1]
        if width > OUTLINE:
            ways[face, direction, OUTLINE + corner] = -depth_scale * motions[direction, vertex, 2]
    if width <= SOLID:
        return
    for k in range(6):
        ways[face, direction, SOLID + k] = ZERO
        if len(uv_motions) > 0:
            ways[face, direction, SOLID + k] = uv_motions[direction, face_uv[face, k // 2], k % 2]
    change = texture_density_tangent(
        (
            tints[face, 6] * of_log_q * ways[face, direction, OUTLINE],
            tints[face, 7] * of_log_q * ways[face, direction, OUTLINE + 1],
            tints[face, 8] * of_log_q * ways[face, direction, OUTLINE + 2],
        ),
        (
            ways[face, direction, 0],
            ways[face, direction, 1],
            ways[face, direction, 2],
            ways[face, direction, 3],
            ways[face, direction, 4],
            ways[face, direction, 5],
        ),
        (
            ways[face, direction, SOLID],
            ways[face, direction, SOLID + 1],
            ways[face, direction, SOLID + 2],
            ways[face, direction, SOLID + 3],
            ways[face, direction, SOLID + 4],
            ways[face, direction, SOLID + 5],
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
    for k in range(6):
        # It may be infinite where the face is so small that it is not felt.
        ways[face, direction, SOLID + 6 + k] = change[k] if abs(change[k]) < _LARGEST else ZERO


@device
def _outline(grad_d2, second, third, edges, withins, halves, normals):
    """Return the derivatives for x, y of corners a, b and c of what has the gradient grad_d2 of d^2."""
    (along0, across0), (along1, across1), (along2, across2) = edges
    products = edge_products(
        grad_d2,
        second,
        third,
        along0,
        across0,
        withins[0],
        HALF / halves[0],
        along1,
        across1,
        withins[1],
        HALF / halves[1],
        along2,
        across2,
        withins[2],
        HALF / halves[2],
    )
    ax0, ay0, bx0, by0 = squared_distance_backward(*products[0:4], normals[0], normals[1])
    bx1, by1, cx1, cy1 = squared_distance_backward(*products[4:8], normals[2], normals[3])
    cx2, cy2, ax2, ay2 = squared_distance_backward(*products[8:12], normals[4], normals[5])
    return ax0 + ax2, ay0 + ay2, bx0 + bx1, by0 + by1, cx1 + cx2, cy1 + cy2


@device
def _along(row, ways, face, direction):
    """Return how what `_outline` was given for changes in a direction."""
    return (
        row[0] * ways[face, direction, 0]
        + row[1] * ways[face, direction, 1]
        + row[2] * ways[face, direction, 2]
        + row[3] * ways[face, direction, 3]
        + row[4] * ways[face, direction, 4]
        + row[5] * ways[face, direction, 5]
    )


@kernel
def silhouette_tangent(
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
    vanished,
    transmittance,
    ways,
    first_direction,
    tangent,
):
    """Fill DIRECTIONS of tangent (D, H, W, 1) of alpha for ways (F, D, OUTLINE) of the faces, a block of threads a tile."""
    frames = cuda.shared.array((15, _STAGED), geometry.dtype)
    boxes = cuda.shared.array((4, _STAGED), np.int32)
    numbers = cuda.shared.array(_STAGED, np.int32)
    change = cuda.local.array(DIRECTIONS, geometry.dtype)
    real = geometry.dtype.type
    height, width = transmittance.shape
    thread, tile_x, tile_y = cuda.threadIdx.x, cuda.blockIdx.x, cuda.blockIdx.y
    x, y = pixel_of(thread)
    column, row = tile_x * TILE + x, tile_y * TILE + y
    px, py = real(column) + HALF, real(row) + HALF
    within = row < height and column < width
    t, owner = real(ZERO), -1
    if within:
        t = transmittance[row, column]
        if len(owners) != 0:
            owner = owners[0][row, column]
    felt = within and t > vanished
    directions = min(DIRECTIONS, len(tangent) - first_direction)
    for k in range(DIRECTIONS):
        change[k] = ZERO
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
            for k in range(15):
                frames[k, thread] = geometry[face, k]
        cuda.syncthreads()
        for j in range(count):
            there = boxes[0, j] <= column and column <= boxes[1, j] and boxes[2, j] <= row and row <= boxes[3, j]
            if there and felt and (len(owners) == 0 or owner == numbers[j]):
                edge0 = edge_coordinates(px, py, frames[0, j], frames[1, j], frames[2, j], frames[3, j])
                edge1 = edge_coordinates(px, py, frames[5, j], frames[6, j], frames[7, j], frames[8, j])
                edge2 = edge_coordinates(px, py, frames[10, j], frames[11, j], frames[12, j], frames[13, j])
                halves = frames[4, j], frames[9, j], frames[14, j]
                d2, inside, within0, within1, within2, second, third = boundary(
                    edge0[0], edge0[1], halves[0], edge1[0], edge1[1], halves[1], edge2[0], edge2[1], halves[2]
                )
                if len(owners) == 0:
                    grad_d2 = covered_backward(t, d2, inside, inverse_sigma, lowest, shape)
                else:
                    grad_d2 = coverage_logit(t, inside, inverse_sigma)  # x is linear in d^2
                if grad_d2 != ZERO:
                    normals = frames[2, j], frames[3, j], frames[7, j], frames[8, j], frames[12, j], frames[13, j]
                    withins, edges = (within0, within1, within2), (edge0, edge1, edge2)
                    outline = _outline(grad_d2, second, third, edges, withins, halves, normals)
                    for k in range(DIRECTIONS):
                        if k < directions:
                            change[k] += _along(outline, ways, numbers[j], first_direction + k)
        start += _STAGED
    if within:
        for k in range(DIRECTIONS):
            if k < directions:
                tangent[first_direction + k, row, column, 0] = change[k]


@device
def sample_slopes(texels, offsets, sizes, repeat, u, v, square, sampled):
    """Write to sampled (4, 3) the texture's colour, and its derivatives for u, v and the square."""
    real = sampled.dtype.type
    level, slope = level_of_detail(square, real(len(offsets) - 1))
    share = level - floor(level)
    for channel in range(HUES):
        for k in range(4):
            sampled[k, channel] = ZERO
    for step in range(2 if slope > ZERO else 1):
        factor = share if step == 1 else real(ONE) - share
        number = int(level) + step
        c00, c01, c10, c11, across, down = cell_of(offsets, sizes, repeat, number, u, v)
        for channel in range(HUES):
            v00, v01, v10, v11 = (
                texels[c00 + channel],
                texels[c01 + channel],
                texels[c10 + channel],
                texels[c11 + channel],
            )
            slope_u, slope_v = bilinear_slopes(v00, v01, v10, v11, across, down)
            value = bilinear(v00, v01, v10, v11, across, down)
            sampled[0, channel] += factor * value
            sampled[1, channel] += slope_u * factor * sizes[2 * number]
            sampled[2, channel] += slope_v * factor * sizes[2 * number + 1]
            along = value * slope
            sampled[3, channel] += along if step == 1 else -along


@kernel
def color_tangent(
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
    ways,
    attribute_motions,
    texel_motions,
    first_direction,
    tangent,
):
    """Fill DIRECTIONS of tangent (D, H, W, C + 1), CHANNELS channels and the last one, alpha, for ways (F, D, SOLID or LAID) of
    the faces, attribute_motions (D, V, C) and texel_motions (D, 3 N + 1), whose first axis is 0 where nothing changes."""
    staged = cuda.shared.array((16, _STAGED), geometry.dtype)
    numbers = cuda.shared.array(_STAGED, np.int32)
    boxes = cuda.shared.array((4, _STAGED), np.int32)
    change = cuda.local.array((DIRECTIONS, _CHANGED), geometry.dtype)
    going = cuda.local.array(
        (DIRECTIONS, 3), geometry.dtype
    )  # the coverage logit, and the way of the pixel on the face
    sampled = cuda.local.array((4, HUES), geometry.dtype)
    changed = cuda.local.array(HUES, geometry.dtype)
    real = geometry.dtype.type
    height, width = transmittance.shape
    channels = attributes.shape[1]
    textured = len(offsets) > 0
    thread, tile_x, tile_y = cuda.threadIdx.x, cuda.blockIdx.x, cuda.blockIdx.y
    x, y = pixel_of(thread)
    column, row = tile_x * TILE + x, tile_y * TILE + y
    px, py = real(column) + HALF, real(row) + HALF
    within = row < height and column < width
    t, owner, maximum, inverse_sum = real(ZERO), -1, real(ZERO), real(ZERO)
    if within:
        t = transmittance[row, column]
        maximum, inverse_sum = maxima[row, column], inverse_sums[row, column]
        if len(owners) != 0:
            owner = owners[0][row, column]
    directions = min(DIRECTIONS, len(tangent) - first_direction)
    for d in range(DIRECTIONS):
        for k in range(_CHANGED):
            change[d, k] = ZERO
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
            there = boxes[0, j] <= column and column <= boxes[1, j] and boxes[2, j] <= row and row <= boxes[3, j]
            if there and within:
                edge0 = edge_coordinates(px, py, staged[0, j], staged[1, j], staged[2, j], staged[3, j])
                edge1 = edge_coordinates(px, py, staged[5, j], staged[6, j], staged[7, j], staged[8, j])
                edge2 = edge_coordinates(px, py, staged[10, j], staged[11, j], staged[12, j], staged[13, j])
                halves = staged[4, j], staged[9, j], staged[14, j]
                d2, inside, within0, within1, within2, second, third = boundary(
                    edge0[0], edge0[1], halves[0], edge1[0], edge1[1], halves[1], edge2[0], edge2[1], halves[2]
                )
                logit = coverage_logit(d2, inside, inverse_sigma)
                if logit >= lowest:
                    face = numbers[j]
                    coverage, rate, log_rate = rates(logit, shape)
                    scale_u = staged[15, j] + staged[15, j]
                    ua, ub, uc = (
                        edge1[1] * halves[1] * scale_u,
                        edge2[1] * halves[2] * scale_u,
                        edge0[1] * halves[0] * scale_u,
                    )
                    ba, bb, bc, inverse_total = clipped_barycentric(ua, ub, uc)
                    depth_a, depth_b, depth_c = tints[face, 0], tints[face, 1], tints[face, 2]
                    weight = softmax_weight(
                        maximum, ba * depth_a + bb * depth_b + bc * depth_c, coverage, inverse_sum, lowest_depth
                    )
                    above = real(ZERO)
                    if t > vanished:
                        if len(owners) == 0:
                            above = union_backward(t, rate)
                        elif owner == face:
                            above = t
                    normals = staged[2, j], staged[3, j], staged[7, j], staged[8, j], staged[12, j], staged[13, j]
                    withins, edges = (within0, within1, within2), (edge0, edge1, edge2)
                    of_logit = coverage_logit(real(ONE), inside, inverse_sigma)
                    outline = _outline(of_logit, second, third, edges, withins, halves, normals)
                    for d in range(DIRECTIONS):
                        if d < directions:
                            direction = first_direction + d
                            going[d, 0] = _along(outline, ways, face, direction)
                            going[d, 1] = (
                                ua * ways[face, direction, 0]
                                + ub * ways[face, direction, 2]
                                + uc * ways[face, direction, 4]
                            )
                            going[d, 2] = (
                                ua * ways[face, direction, 1]
                                + ub * ways[face, direction, 3]
                                + uc * ways[face, direction, 5]
                            )
                            change[d, CHANNELS] += above * going[d, 0]
                    if weight > ZERO:
                        a, b, c = face_corners[face, 0], face_corners[face, 1], face_corners[face, 2]
                        qa, qb, qc = tints[face, 3], tints[face, 4], tints[face, 5]
                        ra, rb, rc = tints[face, 6], tints[face, 7], tints[face, 8]
                        slopes = slopes_of(geometry, face)
                        pa, pb, pc, turning = perspective_weights(ba, bb, bc, qa, qb, qc)
                        if textured:
                            ta, tb, tc, texture_turning = perspective_weights(ba, bb, bc, ra, rb, rc)
                            u = tb * tints[face, 11] + tc * tints[face, 13]
                            v = tb * tints[face, 12] + tc * tints[face, 14]
                            ux, vx, uy, vy, square = footprint(
                                u, v, density_of(tints, face), texture_turning, sizes[0], sizes[1]
                            )
                            iu, iv = u + tints[face, 9], v + tints[face, 10]
                            sample_slopes(texels, offsets, sizes, repeat, iu, iv, square, sampled)
                        for k in range(CHANNELS):
                            channel = first_channel + k
                            if channel < channels:
                                hue_a, hue_b, hue_c = (
                                    attributes[a, channel],
                                    attributes[b, channel],
                                    attributes[c, channel],
                                )
                                shown = weight
                                if textured:
                                    shown = weight * sampled[0, k]
                                grad_a, grad_b, grad_c = shown * hue_a, shown * hue_b, shown * hue_c
                                # d color / d log w_j = w_j / sum w (c_j - color): log w_j holds log D_j and the depth logit.
                                grad_log = (
                                    pa * grad_a + pb * grad_b + pc * grad_c - weight * color[row, column, channel]
                                )
                                gba, gbb, gbc, log_a, log_b, log_c = perspective_weights_backward(
                                    grad_a, grad_b, grad_c, real(ZERO), pa, pb, pc, qa, qb, qc, turning
                                )
                                of_a, of_b, of_c = grad_log * ba, grad_log * bb, grad_log * bc
                                if perspective:
                                    of_a += log_a * ra * of_log_q
                                    of_b += log_b * rb * of_log_q
                                    of_c += log_c * rc * of_log_q
                                if textured:
                                    value = weight * (pa * hue_a + pb * hue_b + pc * hue_c)
                                    back = footprint_backward(
                                        value * sampled[3, k],
                                        u,
                                        v,
                                        ux,
                                        vx,
                                        uy,
                                        vy,
                                        density_of(tints, face),
                                        texture_turning,
                                        sizes[0],
                                        sizes[1],
                                    )
                                    grad_u, grad_v = value * sampled[1, k] + back[0], value * sampled[2, k] + back[1]
                                    more_a, more_b, more_c, log_a, log_b, log_c = perspective_weights_backward(
                                        real(ZERO),
                                        grad_u * tints[face, 11] + grad_v * tints[face, 12],
                                        grad_u * tints[face, 13] + grad_v * tints[face, 14],
                                        back[2],
                                        ta,
                                        tb,
                                        tc,
                                        ra,
                                        rb,
                                        rc,
                                        texture_turning,
                                    )
                                    gba += more_a
                                    gbb += more_b
                                    gbc += more_c
                                    of_a += log_a * ra * of_log_q
                                    of_b += log_b * rb * of_log_q
                                    of_c += log_c * rc * of_log_q
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
                                of_coverage = log_coverage_backward(grad_log, log_rate)
                                for d in range(DIRECTIONS):
                                    if d < directions:
                                        direction = first_direction + d
                                        more = of_coverage * going[d, 0] - hx * going[d, 1] - hy * going[d, 2]
                                        more += of_a * ways[face, direction, OUTLINE]
                                        more += of_b * ways[face, direction, OUTLINE + 1]
                                        more += of_c * ways[face, direction, OUTLINE + 2]
                                        if len(attribute_motions) > 0:
                                            more += shown * (
                                                pa * attribute_motions[direction, a, channel]
                                                + pb * attribute_motions[direction, b, channel]
                                                + pc * attribute_motions[direction, c, channel]
                                            )
                                        if textured:
                                            more += grad_u * (
                                                ta * ways[face, direction, SOLID]
                                                + tb * ways[face, direction, SOLID + 2]
                                                + tc * ways[face, direction, SOLID + 4]
                                            )
                                            more += grad_v * (
                                                ta * ways[face, direction, SOLID + 1]
                                                + tb * ways[face, direction, SOLID + 3]
                                                + tc * ways[face, direction, SOLID + 5]
                                            )
                                            for m in range(6):
                                                more += back[3 + m] * ways[face, direction, SOLID + 6 + m]
                                        change[d, k] += more
                        if len(texel_motions) > 0:
                            for d in range(DIRECTIONS):
                                if d < directions:
                                    moved = texel_motions[first_direction + d]
                                    sample(moved, offsets, sizes, repeat, iu, iv, square, changed)
                                    for k in range(HUES):
                                        value = pa * attributes[a, k] + pb * attributes[b, k] + pc * attributes[c, k]
                                        change[d, k] += weight * value * changed[k]
        start += _STAGED
    if within:
        for d in range(DIRECTIONS):
            if d < directions:
                for k in range(CHANNELS):
                    if first_channel + k < channels:
                        tangent[first_direction + d, row, column, first_channel + k] = change[d, k]
                tangent[first_direction + d, row, column, channels] = change[d, CHANNELS]
