"""Boundaries blended into an image of pixels' centres, and back."""

import numpy as np

from ..formulas.edge import barycentric_slopes, crossing_backward, shadow_area_backward
from ..jit import borrower, kernel, subroutine
from ..lanes import at, put
from .fragments import add_moved, barycentrics_at, corners_of, depth_slopes


@subroutine
def _add_depth_difference(points, faces, face, x, y, grad, grad_points):
    """Add the gradient of 1 / depth of a face at the fixed point (x, y)."""
    weights = barycentrics_at(
        corners_of(points, faces, face), barycentric_slopes(*corners_of(points, faces, face)), x, y
    )
    sx, sy = depth_slopes(points, faces, face)
    for k in range(3):
        grad_points[faces[face, k], 2] += grad * weights[k]
    add_moved(grad_points, faces, face, weights, grad * sx, grad * sy)


@subroutine
def _blend(pixels, sides, areas, values, image, jumps):
    """Fill jumps (N, C) with beyond - near of each pair, and add area * jump to the image (H W, C), in their order.

    The image may be the values themselves.
    """
    for pair in range(len(pixels)):
        near, beyond = sides[pair, 0], sides[pair, 1]
        for channel in range(image.shape[1]):
            jumps[pair, channel] = values[beyond, channel] - values[near, channel]
    for pair in range(len(pixels)):
        for channel in range(image.shape[1]):
            image[pixels[pair], channel] += areas[pair] * jumps[pair, channel]


@subroutine
def _cut_backward(points, faces, a, b, t, p, q, grad, grad_points):
    """Add the gradient of the share t of the edge a to b at which the edge p to q crosses it, or where it goes through a face's
    plane if p is -2 - face: there its 1 / depth is that of the plane."""
    if p < -1:
        face = -2 - p
        sx, sy = depth_slopes(points, faces, face)
        dx, dy = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1]
        rise = points[b, 2] - points[a, 2] - sx * dx - sy * dy
        scale = -grad / rise if rise != 0.0 else 0.0
        x, y = points[a, 0] + t * dx, points[a, 1] + t * dy
        for end in range(2):
            vertex, share = (b, t) if end else (a, 1.0 - t)
            grad_points[vertex, 0] -= scale * share * sx
            grad_points[vertex, 1] -= scale * share * sy
            grad_points[vertex, 2] += scale * share
        _add_depth_difference(points, faces, face, x, y, -scale, grad_points)
        return
    ax, ay, bx, by = points[a, 0], points[a, 1], points[b, 0], points[b, 1]
    px, py, qx, qy = points[p, 0], points[p, 1], points[q, 0], points[q, 1]
    for_a, for_b, for_p, for_q = crossing_backward(grad, ax, ay, bx, by, px, py, qx, qy)
    grad_points[a, 0] += for_a[0]
    grad_points[a, 1] += for_a[1]
    grad_points[b, 0] += for_b[0]
    grad_points[b, 1] += for_b[1]
    grad_points[p, 0] += for_p[0]
    grad_points[p, 1] += for_p[1]
    grad_points[q, 0] += for_q[0]
    grad_points[q, 1] += for_q[1]


@subroutine
def _chord_backward(points, faces, px, py, first, other, ends, cutters, pair, grad, grad_points):
    """Add the gradient of the area beyond a chord, where the faces -1 - first and -1 - other are equally deep.

    A point of the chord moves by -(change of the difference in depth) / slope. An end on the pixel's border, or cut by an edge,
    must stay there.
    """
    sx, sy = depth_slopes(points, faces, -1 - first)
    tx, ty = depth_slopes(points, faces, -1 - other)
    sx, sy = sx - tx, sy - ty
    ux, uy, vx, vy = ends[pair, 0], ends[pair, 1], ends[pair, 2], ends[pair, 3]
    turn = 1.0 if ux * vy - uy * vx > 0.0 else -1.0
    hx, hy, kx, ky = shadow_area_backward(ux, uy, vx, vy, turn, cutters[pair, 0] >= 0, cutters[pair, 2] >= 0)
    for end in range(2):
        x, y, gx, gy = (vx, vy, kx, ky) if end else (ux, uy, hx, hy)
        p, q = cutters[pair, 2 * end], cutters[pair, 2 * end + 1]
        difference = -grad * (gx * sx + gy * sy) / (sx * sx + sy * sy)
        if p >= 0:
            dx, dy = points[q, 0] - points[p, 0], points[q, 1] - points[p, 1]
            across = sx * dx + sy * dy  # of the chord's line and the edge's: along it the end moves with the difference
            difference = -grad * (gx * dx + gy * dy) / across if across != 0.0 else 0.0
            # The edge takes the end along with it, but for what the chord's line does not let it.
            share = ((px + x - points[p, 0]) * dx + (py + y - points[p, 1]) * dy) / (dx * dx + dy * dy)
            gx, gy = grad * gx + difference * sx, grad * gy + difference * sy
            grad_points[p, 0] += (1.0 - share) * gx
            grad_points[p, 1] += (1.0 - share) * gy
            grad_points[q, 0] += share * gx
            grad_points[q, 1] += share * gy
        _add_depth_difference(points, faces, -1 - first, px + x, py + y, difference, grad_points)
        _add_depth_difference(points, faces, -1 - other, px + x, py + y, -difference, grad_points)


@borrower
def area_backward(points, faces, px, py, owners, numbers, cutters, pair, grad, grad_points):
    """Add to grad_points (V, 3) what the gradient of one pair's area gives."""
    a, b = owners[pair, 0], owners[pair, 1]
    if a < 0:
        _chord_backward(points, faces, px, py, a, b, numbers, cutters, pair, grad, grad_points)
        return
    t0, t1 = numbers[pair, 0], numbers[pair, 1]
    dx, dy = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1]
    rx, ry = points[a, 0] - px, points[a, 1] - py
    ux, uy, vx, vy = rx + t0 * dx, ry + t0 * dy, rx + t1 * dx, ry + t1 * dy
    cut0, cut1 = cutters[pair, 0] != -1, cutters[pair, 2] != -1
    hx, hy, kx, ky = shadow_area_backward(ux, uy, vx, vy, numbers[pair, 2], t0 == 0.0 or cut0, t1 == 1.0 or cut1)
    grad_points[a, 0] += grad * ((1.0 - t0) * hx + (1.0 - t1) * kx)
    grad_points[a, 1] += grad * ((1.0 - t0) * hy + (1.0 - t1) * ky)
    grad_points[b, 0] += grad * (t0 * hx + t1 * kx)
    grad_points[b, 1] += grad * (t0 * hy + t1 * ky)
    if cut0:
        along = grad * (hx * dx + hy * dy)
        _cut_backward(points, faces, a, b, t0, cutters[pair, 0], cutters[pair, 1], along, grad_points)
    if cut1:
        along = grad * (kx * dx + ky * dy)
        _cut_backward(points, faces, a, b, t1, cutters[pair, 2], cutters[pair, 3], along, grad_points)


@borrower
def _at_vertex(points, vertex, finished, grad_points, grad_vertices):
    if not finished:
        grad_points[vertex, 0], grad_points[vertex, 1], grad_points[vertex, 2] = 0.0, 0.0, 0.0
        return
    grad_vertices[vertex, 0], grad_vertices[vertex, 1] = grad_points[vertex, 0], grad_points[vertex, 1]
    grad_vertices[vertex, 2] = -grad_points[vertex, 2] * points[vertex, 2] ** 2


@subroutine
def _at_vertices(points, faces, owners, cutters, finished, grad_points, grad_vertices):
    """Clear the rows of grad_points (V, 3) that `area_backward` adds to, or, once it has `finished`, fill those of grad_vertices
    (V, 3): d(1 / z) = -dz / z^2.

    Boundaries have few of the vertices of a surface: the others are not looked at, however many overlap.
    """
    for pair in range(len(owners)):
        for end in range(3):
            first, second = owners[pair, 0], owners[pair, 1]
            if end > 0:
                first, second = cutters[pair, 2 * end - 2], cutters[pair, 2 * end - 1]
            if end > 0 and first < -1:  # a face in which an edge goes under
                first, second = first + 1, first + 1
            elif end > 0 and first < 0:
                continue
            if first >= 0:
                _at_vertex(points, first, finished, grad_points, grad_vertices)
                _at_vertex(points, second, finished, grad_points, grad_vertices)
                continue
            for k in range(3):
                _at_vertex(points, faces[-1 - first, k], finished, grad_points, grad_vertices)
                _at_vertex(points, faces[-1 - second, k], finished, grad_points, grad_vertices)


@kernel
def blend_backward(
    points,
    faces,
    width,
    pixels,
    sides,
    areas,
    owners,
    numbers,
    cutters,
    jumps,
    grad_image,
    grad_points,
    grad_values,
    grad_vertices,
):
    """Fill grad_values (S, C) with the gradient of the values for that of an image (H W, C), and rows of grad_vertices (V, 3),
    zeros, with what the areas give, in pixel space; grad_points (V, 3) is for its sums, and may hold anything."""
    channels, given, flat = grad_image.shape[1], grad_image.reshape(-1), grad_values.reshape(-1)
    for k in range(len(given)):
        put(flat, k, at(given, k))
    for k in range(len(given), len(flat)):
        put(flat, k, 0.0)
    _at_vertices(points, faces, owners, cutters, False, grad_points, grad_vertices)
    for pair in range(len(pixels)):
        pixel, near, beyond, total = np.int64(pixels[pair]), sides[pair, 0], sides[pair, 1], 0.0
        for channel in range(channels):
            grad = np.float64(grad_image[pixel, channel])
            total += grad * jumps[pair, channel]
            grad_values[beyond, channel] += grad * areas[pair]
            grad_values[near, channel] -= grad * areas[pair]
        px, py = pixel % width + 0.5, pixel // width + 0.5
        area_backward(points, faces, px, py, owners, numbers, cutters, pair, total, grad_points)
    _at_vertices(points, faces, owners, cutters, True, grad_points, grad_vertices)


@subroutine
def _to_straight_alpha(pixels, floor, background, image):
    """Divide the colours in an image (H W, C + 1) by its last channel, alpha, in pixels with boundaries; below alpha = floor the
    background (C,) comes in, which is all of a pixel without any."""
    channels = image.shape[1] - 1
    for pixel in pixels:
        alpha = image[pixel, channels]
        rest, scale = max(floor - alpha, 0.0), 1.0 / max(alpha, floor)
        for channel in range(channels):
            image[pixel, channel] = (image[pixel, channel] + rest * background[channel]) * scale
    if not background.any():
        return
    for pixel in range(len(image)):
        if image[pixel, channels] == 0:
            for channel in range(channels):
                image[pixel, channel] = background[channel]


@subroutine
def blend_pairs(pixels, sides, areas, changed, floor, background, values, image, jumps):
    """Do `_blend` and, with a background (C,), not (0,), for images (H W, C + 1), `_to_straight_alpha` of changed pixels (M,)."""
    _blend(pixels, sides, areas, values, image, jumps)
    if len(background) > 0:
        _to_straight_alpha(changed, floor, background, image)


@kernel
def blend(pixels, sides, areas, changed, floor, background, values, image, jumps):
    """Do `blend_pairs`."""
    blend_pairs(pixels, sides, areas, changed, floor, background, values, image, jumps)


@borrower
def _to_straight_alpha_backward(pixel, floor, background, image, grad_image, k, grads):
    """Fill a row of grads (M, C + 1) with the gradient of premultiplied colours and alpha for that of straight ones."""
    channels = len(background)
    for channel in range(channels, image.shape[1]):
        grads[k, channel] = grad_image[pixel, channel]
    alpha = np.float64(image[pixel, channels])
    scale = 1.0 / max(alpha, floor)
    for channel in range(channels):
        grad = grad_image[pixel, channel] * scale
        grads[k, channel] = grad
        grads[k, channels] -= grad * (background[channel] if alpha < floor else image[pixel, channel])


@subroutine
def add_outlines(
    points,
    faces,
    width,
    pixels,
    sides,
    areas,
    owners,
    numbers,
    cutters,
    changed,
    changed_of,
    jumps,
    floor,
    background,
    image,
    grad_image,
    changes,
    grad_places,
    grad_points,
):
    """Go back from straight colours and alpha of an image (H W, C + 1), or (H W, 1) without a background (0,), to the values on
    both sides of boundaries.

    Fill changes (M, C + 1), by how much the gradient of the value at the centre of each changed pixel is other than that of the
    image, and grad_places (N, C + 1), and add to grad_points (V, 3) what the areas give.
    """
    channels, first_place = image.shape[1], len(image) + 1
    grads = np.empty((len(changed), channels))
    for k in range(len(changed)):
        _to_straight_alpha_backward(changed[k], floor, background, image, grad_image, k, grads)
        for channel in range(channels):
            changes[k, channel] = grads[k, channel] - grad_image[changed[k], channel]
    for place in range(len(grad_places)):
        for channel in range(channels):
            grad_places[place, channel] = 0
    for pair in range(len(pixels)):
        k, pixel, total = changed_of[pair], np.int64(pixels[pair]), 0.0
        near, beyond = np.int64(sides[pair, 0]), np.int64(sides[pair, 1])
        for channel in range(channels):
            grad = grads[k, channel]
            total += grad * jumps[pair, channel]
            moved = grad * areas[pair]
            if beyond == pixel:
                changes[k, channel] += moved
            elif beyond >= first_place:
                grad_places[beyond - first_place, channel] += moved
            if near == pixel:
                changes[k, channel] -= moved
            elif near >= first_place:
                grad_places[near - first_place, channel] -= moved
        px, py = pixel % width + 0.5, pixel // width + 0.5
        area_backward(points, faces, px, py, owners, numbers, cutters, pair, total, grad_points)


@kernel
def outlines_backward(
    points,
    faces,
    width,
    pixels,
    sides,
    areas,
    owners,
    numbers,
    cutters,
    changed,
    changed_of,
    jumps,
    floor,
    background,
    image,
    grad_image,
    changes,
    grad_places,
    grad_points,
):
    """Do `add_outlines`."""
    pairs = (pixels, sides, areas, owners, numbers, cutters, changed, changed_of, jumps)
    given = (floor, background, image, grad_image)
    add_outlines(points, faces, width, *pairs, *given, changes, grad_places, grad_points)
