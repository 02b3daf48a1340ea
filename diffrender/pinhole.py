"""The pinhole projection of many vertices and its reverse, as kernels: NumPy would walk over them a dozen times."""

import numpy as np

from .jit import formula, kernel
from .ranges import origin_of
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
def project_vertices(share, shares, board, vertices, starts, K, R, t, pixel):
    """Fill a share of pixel (V, 3) of all views: x px, y px, depth; x and y are 0 where depth <= 0. Computed in float64.

    View i has pixel[starts[i] : starts[i + 1]], by cameras K (B, 3, 3), R (B, 3, 3) and t (B, 3).
    """
    if share < 0:
        lead(publish(board))
        return
    count = len(pixel)
    first, last = count * share // shares, count * (share + 1) // shares
    for view in range(len(K)):
        K_, R_, t_, shift = K[view], R[view], t[view], origin_of(view, starts, vertices) - starts[view]
        for vertex in range(max(first, starts[view]), min(last, starts[view + 1])):
            x, y, depth = to_camera(R_, t_, vertices, vertex + shift)
            u, v = _to_pixel(K_, x, y, 1.0 / depth) if depth > 0.0 else (0.0, 0.0)
            pixel[vertex, 0], pixel[vertex, 1], pixel[vertex, 2] = u, v, depth


@kernel
def project_vertices_backward(share, shares, board, vertices, starts, K, R, t, grad_pixel, grad_world, sums):
    """Fill grad_world (V, 3) of a share of the views, and add to sums (B, 11) the gradients of the camera's translation and
    axis-angle increments, and of fx, skew, cx, fy, cy.

    With x = R x_world + t and u = K x / depth: grad_x = K^T (g_u, g_v, g_depth - (g_u u + g_v v)) / depth. As
    exp([w]x) x = x + w x x, the gradient of w is the sum of x x grad_x.
    """
    if share < 0:
        lead(publish(board))
        return
    views = len(K)
    for view in range(views * share // shares, views * (share + 1) // shares):
        K_, R_, t_, shift = K[view], R[view], t[view], origin_of(view, starts, vertices) - starts[view]
        sums_ = sums[view]
        for vertex in range(starts[view], starts[view + 1]):
            x, y, z = to_camera(R_, t_, vertices, vertex + shift)
            if z <= 0.0:
                grad_world[vertex, 0], grad_world[vertex, 1], grad_world[vertex, 2] = 0.0, 0.0, 0.0
                continue
            inverse = 1.0 / z
            u, v = _to_pixel(K_, x, y, inverse)
            gu, gv = grad_pixel[vertex, 0] * inverse, grad_pixel[vertex, 1] * inverse
            gz = grad_pixel[vertex, 2] - gu * u - gv * v
            sums_[6] += gu * x
            sums_[7] += gu * y
            sums_[8] += grad_pixel[vertex, 0]
            sums_[9] += gv * y
            sums_[10] += grad_pixel[vertex, 1]
            gx, gy, gz = K_[0, 0] * gu, K_[0, 1] * gu + K_[1, 1] * gv, K_[0, 2] * gu + K_[1, 2] * gv + gz
            for axis in range(3):
                grad_world[vertex, axis] = R_[0, axis] * gx + R_[1, axis] * gy + R_[2, axis] * gz
            sums_[0] += gx
            sums_[1] += gy
            sums_[2] += gz
            sums_[3] += y * gz - z * gy
            sums_[4] += z * gx - x * gz
            sums_[5] += x * gy - y * gx


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
    """Fill a share of tangent (D, V, 3) of pixels for motions (D, 11) of what `project_vertices_backward` sums up for, and of the
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
            dv = K[1, 1] * db + motions[d, 9] * b + motions[d, 10]
            there = z > 0.0
            tangent[d, vertex, 0], tangent[d, vertex, 1] = (du, dv) if there else (0.0, 0.0)
            tangent[d, vertex, 2] = dz if there else 0.0
