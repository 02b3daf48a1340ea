"""Boundaries blended into an image of pixels' centres, and back, on the device: what `diffrender.cpu.blend` does, a pixel a
thread, which goes over its pairs in their order."""

import numpy as np
from numba import cuda

from ..cpu.blend import area_backward
from ..formulas.constants import ONE, ZERO
from .jit import SIMULATED, kernel, shared

MOVED = 10  # vertices at most whose gradient a pair has: of two faces, and of two edges that cut them
LANES = 16 if SIMULATED else 256  # of the only block that sums up what nothing gets


@kernel
def blend(order, offsets, sides, areas, values, image, jumps):
    """Fill jumps (N, C) with beyond - near of each pair, and add area * jump to the image (H W, C); which may be the values."""
    channels = image.shape[1]
    for i in range(cuda.grid(1), len(order) * channels, cuda.gridsize(1)):
        pixel, channel = order[i // channels], i % channels
        begin, end = offsets[i // channels], offsets[i // channels + 1]
        for pair in range(begin, end):
            jumps[pair, channel] = values[sides[pair, 1], channel] - values[sides[pair, 0], channel]
        for pair in range(begin, end):
            image[pixel, channel] += areas[pair] * jumps[pair, channel]


@kernel
def blend_backward(order, offsets, sides, areas, jumps, nothing, grad_values, grad_areas):
    """Turn the gradient of an image in the first rows of grad_values (S, C) into that of the values, but for the row of nothing,
    and fill grad_areas (N,)."""
    channels = grad_values.shape[1]
    for i in range(cuda.grid(1), len(order), cuda.gridsize(1)):
        pixel, begin, end = order[i], offsets[i], offsets[i + 1]
        for pair in range(begin, end):
            grad_areas[pair] = 0.0
        for channel in range(channels):
            grad = np.float64(grad_values[pixel, channel])
            for pair in range(begin, end):
                near, beyond = sides[pair, 0], sides[pair, 1]
                grad_areas[pair] += grad * jumps[pair, channel]
                if beyond != nothing:
                    grad_values[beyond, channel] += grad * areas[pair]
                if near != nothing:
                    grad_values[near, channel] -= grad * areas[pair]


@kernel
def nothing_backward(pixels, sides, areas, nothing, grad_image, grad_nothing):
    """Fill grad_nothing (C,) with the gradient of the row of nothing, for that of the image (H W, C), in one block."""
    sums = cuda.shared.array(LANES, np.float64)
    lane = cuda.threadIdx.x
    for channel in range(len(grad_nothing)):
        total = 0.0
        for pair in range(lane, len(pixels), LANES):
            grad = np.float64(grad_image[pixels[pair], channel]) * areas[pair]
            if sides[pair, 1] == nothing:
                total += grad
            if sides[pair, 0] == nothing:
                total -= grad
        sums[lane] = total
        cuda.syncthreads()
        if lane == 0:
            total = 0.0
            for other in range(LANES):
                total += sums[other]
            grad_nothing[channel] = total
        cuda.syncthreads()


@shared
def _area_backward(points, faces, pixels, width, pairs, grad_areas, pair, own_points, own_faces, own, keys, grads):
    """Fill keys (N, MOVED) of a pair with the vertices that its area depends on, -1 for none, and grads (N, MOVED, 3) with their
    gradients: what `area_backward` gives a pair whose vertices are its own."""
    owners, numbers, cutters = pairs
    own_owners, own_cutters = own
    used, face_count = 0, 0
    for k in range(MOVED):
        keys[pair, k] = -1
        for axis in range(3):
            grads[pair, k, axis] = 0.0
    for side in range(2):
        owner = owners[pair, side]
        if owner >= 0:
            keys[pair, used] = owner
            own_owners[pair, side] = used
            used += 1
        else:
            for corner in range(3):
                keys[pair, used] = faces[-1 - owner, corner]
                own_faces[pair, face_count, corner] = used
                used += 1
            own_owners[pair, side] = -1 - face_count
            face_count += 1
    for side in range(2):
        by, other = cutters[pair, 2 * side], cutters[pair, 2 * side + 1]
        own_cutters[pair, 2 * side], own_cutters[pair, 2 * side + 1] = -1, -1
        if by >= 0:
            keys[pair, used], keys[pair, used + 1] = by, other
            own_cutters[pair, 2 * side], own_cutters[pair, 2 * side + 1] = used, used + 1
            used += 2
        elif by < -1:
            for corner in range(3):
                keys[pair, used] = faces[-2 - by, corner]
                own_faces[pair, face_count, corner] = used
                used += 1
            own_cutters[pair, 2 * side] = -2 - face_count
            face_count += 1
    for k in range(used):
        for axis in range(3):
            own_points[pair, k, axis] = points[keys[pair, k], axis]
    px, py = pixels[pair] % width + 0.5, pixels[pair] // width + 0.5
    hangs_on = (own_owners, numbers, own_cutters, pair)
    area_backward(own_points[pair], own_faces[pair], px, py, *hangs_on, grad_areas[pair], grads[pair])


@kernel
def areas_backward_each(points, faces, pixels, width, pairs, grad_areas, own_points, own_faces, own, keys, grads):
    """Do `_area_backward` for all pairs; own_points (N, MOVED, 3), own_faces (N, 2, 3), and owners and cutters are scratch."""
    for pair in range(cuda.grid(1), len(pixels), cuda.gridsize(1)):
        _area_backward(points, faces, pixels, width, pairs, grad_areas, pair, own_points, own_faces, own, keys, grads)


@kernel
def to_straight_alpha(order, floor, background, image):
    """Fill an image of straight colours and alpha (H W, C + 1), see `diffrender.cpu.blend.to_straight_alpha`."""
    channels = image.shape[1] - 1
    for i in range(cuda.grid(1), len(order), cuda.gridsize(1)):
        pixel = order[i]
        alpha = image[pixel, channels]
        rest, scale = max(floor - alpha, ZERO), ONE / max(alpha, floor)
        for channel in range(channels):
            image[pixel, channel] = (image[pixel, channel] + rest * background[channel]) * scale


@kernel
def to_straight_alpha_backward(order, floor, background, image, grad_image):
    """Turn the gradient of straight colours and alpha into that of premultiplied ones, in place."""
    channels = image.shape[1] - 1
    for i in range(cuda.grid(1), len(order), cuda.gridsize(1)):
        pixel = order[i]
        alpha = image[pixel, channels]
        scale = ONE / max(alpha, floor)
        for channel in range(channels):
            grad = grad_image[pixel, channel] * scale
            grad_image[pixel, channel] = grad
            grad_image[pixel, channels] -= grad * (background[channel] if alpha < floor else image[pixel, channel])


@kernel
def show_background(background, image):
    """Write the background's colour to the pixels of an image (H W, C + 1) that see nothing."""
    for i in range(cuda.grid(1), len(image), cuda.gridsize(1)):
        if image[i, image.shape[1] - 1] == 0:
            for channel in range(image.shape[1] - 1):
                image[i, channel] = background[channel]


@kernel
def spread_gradient(grad_image, grad_values):
    """Fill grad_values (S, C): its first rows with those of grad_image (H W, C), the others with 0."""
    channels = grad_values.shape[1]
    for i in range(cuda.grid(1), len(grad_values) * channels, cuda.gridsize(1)):
        row, channel = i // channels, i % channels
        if row < len(grad_image):
            grad_values[row, channel] = grad_image[row, channel]
        else:
            grad_values[row, channel] = 0


@kernel
def copy_rows(values, rows):
    """Fill rows (N, C) with the first of values (S, C)."""
    channels = rows.shape[1]
    for i in range(cuda.grid(1), len(rows) * channels, cuda.gridsize(1)):
        rows[i // channels, i % channels] = values[i // channels, i % channels]


@kernel
def add_row(row, at, values):
    """Add a row (C,) to that of values (S, C) at a place."""
    for channel in range(cuda.grid(1), len(row), cuda.gridsize(1)):
        values[at, channel] += row[channel]
