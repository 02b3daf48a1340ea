"""The projections that are no bare pinhole, as kernels: through a lens, and orthographic."""

import numpy as np

from .formulas.constants import PORTION
from .formulas.lens import bend, bend_backward
from .jit import formula, kernel
from .pinhole import camera_tangent, extended, to_camera
from .spin import lead, publish


@kernel
def bend_points(share, shares, board, points, lens, bent):
    """Fill a share of bent (N, 2) with where a lens puts normalised points (N, 2)."""
    if share < 0:
        lead(publish(board))
        return
    count = len(points)
    for point in range(count * share // shares, count * (share + 1) // shares):
        bent[point, 0], bent[point, 1] = bend(points[point, 0], points[point, 1], lens)


@formula
def _flattened(x, y, z, orthographic):
    """Return what K and a lens act on, and how it goes with x and y."""
    inverse = 1.0 if orthographic else 1.0 / z
    return x * inverse, y * inverse, inverse


@kernel
def project_bent(share, shares, board, vertices, K, R, t, lens, orthographic, pixel, extents):
    """Do what `project_vertices` does, for a camera that is no bare pinhole."""
    if share < 0:
        lead(publish(board))
        return
    for portion in range(len(extents) * share // shares, len(extents) * (share + 1) // shares):
        nearest, farthest, total = np.inf, -np.inf, 0.0
        for vertex in range(portion * PORTION, min((portion + 1) * PORTION, len(vertices))):
            x, y, z = to_camera(R, t, vertices, vertex)
            pixel[vertex, 0], pixel[vertex, 1], pixel[vertex, 2] = 0.0, 0.0, z
            if z > 0.0:
                flat_x, flat_y, _ = _flattened(x, y, z, orthographic)
                a, b = bend(flat_x, flat_y, lens)
                pixel[vertex, 0] = K[0, 0] * a + K[0, 1] * b + K[0, 2]
                pixel[vertex, 1] = K[1, 1] * b + K[1, 2]
            nearest, farthest, total = extended(nearest, farthest, total, pixel, vertex)
        extents[portion, 0], extents[portion, 1], extents[portion, 2] = nearest, farthest, total


@kernel
def project_bent_backward(vertices, K, R, t, lens, orthographic, grad_pixel, grad_world, sums):
    """Fill grad_world (V, 3), and add to sums (22,) the gradients of the camera's translation and axis-angle increments, of
    K row by row, and of the lens' six coefficients and the place where it goes straight.

    As exp([w]x) x = x + w x x, the gradient of w is the sum of x x grad_x.
    """
    for vertex in range(len(vertices)):
        x, y, z = to_camera(R, t, vertices, vertex)
        if z <= 0.0:
            grad_world[vertex, 0], grad_world[vertex, 1], grad_world[vertex, 2] = 0.0, 0.0, 0.0
            continue
        flat_x, flat_y, inverse = _flattened(x, y, z, orthographic)
        a, b = bend(flat_x, flat_y, lens)
        gu, gv = np.float64(grad_pixel[vertex, 0]), np.float64(grad_pixel[vertex, 1])
        gradients = bend_backward(flat_x, flat_y, K[0, 0] * gu, K[0, 1] * gu + K[1, 1] * gv, lens)
        gx, gy, gz = gradients[0] * inverse, gradients[1] * inverse, np.float64(grad_pixel[vertex, 2])
        if not orthographic:
            gz -= gx * flat_x + gy * flat_y
        for axis in range(3):
            grad_world[vertex, axis] = R[0, axis] * gx + R[1, axis] * gy + R[2, axis] * gz
        sums[0] += gx
        sums[1] += gy
        sums[2] += gz
        sums[3] += y * gz - z * gy
        sums[4] += z * gx - x * gz
        sums[5] += x * gy - y * gx
        sums[6] += gu * a
        sums[7] += gu * b
        sums[8] += gu
        sums[10] += gv * b
        sums[11] += gv
        for k in range(7):
            sums[15 + k] += gradients[2 + k]


@kernel
def project_bent_tangent(share, shares, board, vertices, K, R, t, lens, orthographic, moved, motions, tangent):
    """Fill a share of tangent (D, V, 3) of pixels for motions (D, 22) of what `project_bent_backward` sums up for, and of the
    vertices, moved (D or 0, V, 3).

    The lens' derivatives are those of its reverse, for the two axes of the image.
    """
    if share < 0:
        lead(publish(board))
        return
    count = len(vertices)
    for vertex in range(count * share // shares, count * (share + 1) // shares):
        x, y, z = to_camera(R, t, vertices, vertex)
        if z <= 0.0:
            for d in range(len(motions)):
                tangent[d, vertex, 0], tangent[d, vertex, 1], tangent[d, vertex, 2] = 0.0, 0.0, 0.0
            continue
        flat_x, flat_y, inverse = _flattened(x, y, z, orthographic)
        a, b = bend(flat_x, flat_y, lens)
        of_a, of_b = bend_backward(flat_x, flat_y, 1.0, 0.0, lens), bend_backward(flat_x, flat_y, 0.0, 1.0, lens)
        for d in range(len(motions)):
            dx, dy, dz = camera_tangent(R, x, y, z, moved, motions, d, vertex)
            flatter = 0.0 if orthographic else dz
            dx, dy = (dx - flat_x * flatter) * inverse, (dy - flat_y * flatter) * inverse
            da, db = of_a[0] * dx + of_a[1] * dy, of_b[0] * dx + of_b[1] * dy
            for k in range(7):
                da += of_a[2 + k] * motions[d, 15 + k]
                db += of_b[2 + k] * motions[d, 15 + k]
            tangent[d, vertex, 0] = K[0, 0] * da + K[0, 1] * db + motions[d, 6] * a + motions[d, 7] * b + motions[d, 8]
            tangent[d, vertex, 1] = K[1, 1] * db + motions[d, 10] * b + motions[d, 11]
            tangent[d, vertex, 2] = dz
