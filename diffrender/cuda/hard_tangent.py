"""How hard rendering changes in directions, on the device: what `diffrender.cpu.hard_tangent` does, a fragment or a pixel a
thread. Directions are inner axes of what is given, (V, D, 3), and outer ones of what comes out, (D, ...)."""

import numpy as np
from numba import cuda

from ..cpu.hard import RING
from ..cpu.hard_tangent import fill_tangents
from ..formulas.constants import ONE
from .blend import MOVED
from .fragments import place_of
from .jit import kernel, shared


@kernel
def move_points(points, directions, motions):
    """Fill how points move (V, D, 3) in directions of the vertices (D, V, 3), or not at all: d(1 / z) = -dz / z^2."""
    count = motions.shape[1]
    for i in range(cuda.grid(1), len(points) * count, cuda.gridsize(1)):
        vertex, d = i // count, i % count
        for axis in range(3):
            motions[vertex, d, axis] = 0.0
        if d < len(directions) and vertex < directions.shape[1]:
            motions[vertex, d, 0] = directions[d, vertex, 0]
            motions[vertex, d, 1] = directions[d, vertex, 1]
            motions[vertex, d, 2] = -directions[d, vertex, 2] * points[vertex, 2] * points[vertex, 2]


@shared
def _interpolate_tangent(
    points, faces, ids, places, perspective, attributes, attribute_faces, motions, painted, i, values, slopes
):
    """Fill what `interpolate_tangent` does of one fragment."""
    for d in range(len(values)):
        for channel in range(values.shape[2]):
            values[d, i, channel] = 0
    for d in range(len(slopes)):
        for channel in range(slopes.shape[2]):
            slopes[d, i, channel, 0], slopes[d, i, channel, 1] = 0, 0
    face, corner, x, y, pixel = place_of(ids, places, i)
    if face >= 0:
        width = ids.shape[1] - 2 * RING
        px, py = pixel % width + 0.5, pixel // width + 0.5
        given = (perspective, attributes, attribute_faces, motions, painted)
        fill_tangents(points, faces, face, corner, x, y, px, py, *given, i, values, slopes)


@kernel
def interpolate_tangent(
    points, faces, ids, places, perspective, attributes, attribute_faces, motions, painted, values, slopes
):
    """Fill how values (D, S, C or more) change and, if there are any, their slopes (D, S, C, 2), as points do, motions (V, D, 3),
    and attributes: painted (T, D, C), or (0, D, C)."""
    for i in range(cuda.grid(1), values.shape[1], cuda.gridsize(1)):
        _interpolate_tangent(
            points, faces, ids, places, perspective, attributes, attribute_faces, motions, painted, i, values, slopes
        )


@kernel
def areas_tangent(keys, grads, motions, tangents):
    """Fill how the areas of pairs change (D, N) as the points named by keys (N, MOVED) move, whose gradients grads (N, MOVED, 3)
    are, see `diffrender.cuda.blend.areas_backward_each`."""
    pairs = len(keys)
    for i in range(cuda.grid(1), len(tangents) * pairs, cuda.gridsize(1)):
        d, pair = i // pairs, i % pairs
        total = 0.0
        for k in range(MOVED):
            vertex = keys[pair, k]
            if vertex >= 0:
                for axis in range(3):
                    total += grads[pair, k, axis] * motions[vertex, d, axis]
        tangents[d, pair] = total


@kernel
def crop(values, tangents):
    """Fill tangents (D, H W, C) with the first rows of values (D, S, C), or with 0 if there are none."""
    pixels, channels = tangents.shape[1], tangents.shape[2]
    for i in range(cuda.grid(1), len(tangents) * pixels * channels, cuda.gridsize(1)):
        d, pixel, channel = i // (pixels * channels), i // channels % pixels, i % channels
        tangents[d, pixel, channel] = 0
        if d < len(values):
            tangents[d, pixel, channel] = values[d, pixel, channel]


@kernel
def blend_tangent(order, offsets, sides, areas, jumps, of_areas, values, tangents):
    """Add to tangents (D, H W, C) of pixels' centres what boundaries give: areas that change, of_areas (D, N), and values
    (D, S, C); either may be none."""
    count = len(order) * len(tangents)
    for i in range(cuda.grid(1), count, cuda.gridsize(1)):
        d, place = i // len(order), i % len(order)
        pixel = order[place]
        for channel in range(tangents.shape[2]):
            by = 0.0
            for pair in range(offsets[place], offsets[place + 1]):
                if d < len(of_areas):
                    by += of_areas[d, pair] * jumps[pair, channel]
                if d < len(values):
                    change = np.float64(values[d, sides[pair, 1], channel]) - values[d, sides[pair, 0], channel]
                    by += areas[pair] * change
            tangents[d, pixel, channel] += by


@kernel
def straight_alpha_tangent(order, floor, background, image, tangents):
    """Turn how premultiplied colours and alpha change (D, H W, C + 1) into how straight ones do, in place."""
    channels = image.shape[1] - 1
    for i in range(cuda.grid(1), len(order) * len(tangents), cuda.gridsize(1)):
        d, pixel = i // len(order), order[i % len(order)]
        alpha = image[pixel, channels]
        scale, by_alpha = ONE / max(alpha, floor), tangents[d, pixel, channels]
        for channel in range(channels):
            beside = background[channel] if alpha < floor else image[pixel, channel]
            tangents[d, pixel, channel] = (tangents[d, pixel, channel] - by_alpha * beside) * scale
