"""The pinhole projection of many vertices and its reverse, as kernels: NumPy would walk over them a dozen times."""

import numpy as np

from .formulas.constants import PORTION
from .jit import formula, kernel, subroutine
from .spin import lead, publish


@formula
def to_camera(R, t, vertices, vertex):
    """Return a vertex in camera space."""
    X, Y, Z = np.float64(vertices[vertex, 0]), np.float64(vertices[vertex, 1]), np.float64(vertices[vertex, 2])
    return (
        R[0, 0] * X + R[0, 1] * Y + R[0, 2] * Z + t[0],
        R[1, 0] * X + R[1, 1] * Y + R[1, 2] * Z + t[1],
        R[2, 0] * X + R[2, 1] * Y + R[2, 2] * Z + t[2],
    )


@formula
def _to_pixel(K, x, y, inverse):
    """Return the pixel of a point in camera space, inverse being 1 / z."""
    return (K[0, 0] * x + K[0, 1] * y) * inverse + K[0, 2], K[1, 1] * y * inverse + K[1, 2]


@kernel
def project_vertices(share, shares, board, vertices, K, R, t, pixel, extents):
    """Fill pixel (V, 3), and extents (N, 3), by `project_portion` for each portion of the vertices."""
    if share < 0:
        lead(publish(board))
        return
    for portion in range(len(extents) * share // shares, len(extents) * (share + 1) // shares):
        begin, end = portion * PORTION, min((portion + 1) * PORTION, len(vertices))
        project_portion(vertices[begin:end], K, R, t, pixel[begin:end], extents[portion])


@subroutine
def project_portion(vertices, K, R, t, pixel, extent):
    """Fill pixel (V, 3): x px, y px, depth; x and y are 0 where depth <= 0. Computed in float64.

    Fill extent (3,) with the least and the greatest depth, and a sum that is finite if all numbers are.
    """
    nearest, farthest, total = np.inf, -np.inf, 0.0
    for vertex in range(len(vertices)):
        x, y, depth = to_camera(R, t, vertices, vertex)
        u, v = _to_pixel(K, x, y, 1.0 / depth) if depth > 0.0 else (0.0, 0.0)
        pixel[vertex, 0], pixel[vertex, 1], pixel[vertex, 2] = u, v, depth
        nearest, farthest, total = extended(nearest, farthest, total, pixel, vertex)
    extent[0], extent[1], extent[2] = nearest, farthest, total


@formula
def extended(nearest, farthest, total, pixel, vertex):
    """Return an extent with one more of vertices_pixel (V, 3) in it, as they are rounded."""
    u, v, depth = np.float64(pixel[vertex, 0]), np.float64(pixel[vertex, 1]), np.float64(pixel[vertex, 2])
    return min(nearest, depth), max(farthest, depth), total + (u + v + depth)


@kernel
def project_vertices_backward(share, shares, board, vertices, K, R, t, grad_pixel, grad_world, sums):
    """Fill grad_world (V, 3), and add to sums (N, 15) by `project_portion_backward` for each portion of the vertices."""
    if share < 0:
        lead(publish(board))
        return
    for portion in range(len(sums) * share // shares, len(sums) * (share + 1) // shares):
        begin, end = portion * PORTION, min((portion + 1) * PORTION, len(vertices))
        project_portion_backward(
            vertices[begin:end], K, R, t, grad_pixel[begin:end], grad_world[begin:end], sums[portion]
        )


@subroutine
def project_portion_backward(vertices, K, R, t, grad_pixel, grad_world, sums):
    """Fill grad_world (V, 3), and add to sums (15,) the gradients of the camera's translation and axis-angle increments, and
    of K row by row.

    With x = R x_world + t and u = K x / depth: grad_x = K^T (g_u, g_v, g_depth - (g_u u + g_v v)) / depth. As
    exp([w]x) x = x + w x x, the gradient of w is the sum of x x grad_x.
    """
    for vertex in range(len(vertices)):
        x, y, z = to_camera(R, t, vertices, vertex)
        if z <= 0.0:
            grad_world[vertex, 0], grad_world[vertex, 1], grad_world[vertex, 2] = 0.0, 0.0, 0.0
            continue
        inverse = 1.0 / z
        u, v = _to_pixel(K, x, y, inverse)
        gu, gv = grad_pixel[vertex, 0] * inverse, grad_pixel[vertex, 1] * inverse
        gz = grad_pixel[vertex, 2] - gu * u - gv * v
        sums[6] += gu * x
        sums[7] += gu * y
        sums[8] += grad_pixel[vertex, 0]
        sums[10] += gv * y
        sums[11] += grad_pixel[vertex, 1]
        gx, gy, gz = K[0, 0] * gu, K[0, 1] * gu + K[1, 1] * gv, K[0, 2] * gu + K[1, 2] * gv + gz
        for axis in range(3):
            grad_world[vertex, axis] = R[0, axis] * gx + R[1, axis] * gy + R[2, axis] * gz
        sums[0] += gx
        sums[1] += gy
        sums[2] += gz
        sums[3] += y * gz - z * gy
        sums[4] += z * gx - x * gz
        sums[5] += x * gy - y * gx


@formula
def camera_tangent(R, x, y, z, moved, motions, direction, vertex):
    """Return how a point (x, y, z) in camera space goes: x' = R x_world' + t' + w x x. `moved` (D, V, 3) may be empty."""
    dx = motions[direction, 0] + motions[direction, 4] * z - motions[direction, 5] * y
    dy = motions[direction, 1] + motions[direction, 5] * x - motions[direction, 3] * z
    dz = motions[direction, 2] + motions[direction, 3] * y - motions[direction, 4] * x
    if len(moved) > 0:
        X, Y, Z = moved[direction, vertex, 0], moved[direction, vertex, 1], moved[direction, vertex, 2]
        dx += R[0, 0] * X + R[0, 1] * Y + R[0, 2] * Z
        dy += R[1, 0] * X + R[1, 1] * Y + R[1, 2] * Z
        dz += R[2, 0] * X + R[2, 1] * Y + R[2, 2] * Z
    return dx, dy, dz


@kernel
def project_vertices_tangent(share, shares, board, vertices, K, R, t, moved, motions, tangent):
    """Fill a share of tangent (D, V, 3) of pixels for motions (D, 15) of what `project_vertices_backward` sums up for, and of the
    vertices, moved (D or 0, V, 3)."""
    if share < 0:
        lead(publish(board))
        return
    count = len(vertices)
    for vertex in range(count * share // shares, count * (share + 1) // shares):
        x, y, z = to_camera(R, t, vertices, vertex)
        inverse = 1.0 / z if z > 0.0 else 0.0
        a, b = x * inverse, y * inverse
        for d in range(len(motions)):
            dx, dy, dz = camera_tangent(R, x, y, z, moved, motions, d, vertex)
            da, db = (dx - a * dz) * inverse, (dy - b * dz) * inverse
            du = K[0, 0] * da + K[0, 1] * db + motions[d, 6] * a + motions[d, 7] * b + motions[d, 8]
            dv = K[1, 1] * db + motions[d, 10] * b + motions[d, 11]
            there = z > 0.0
            tangent[d, vertex, 0], tangent[d, vertex, 1] = (du, dv) if there else (0.0, 0.0)
            tangent[d, vertex, 2] = dz if there else 0.0
