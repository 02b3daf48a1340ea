"""Walks over a surface as it lies in the image: from face to face, not across an outline."""

import numpy as np

from ..formulas.edge import barycentric_slopes, is_inside, nearest_on_edge, side_of
from ..jit import borrower, subroutine
from .fragments import barycentrics_at, corners_of, inverse_depths_of
from .half_edges import ends_of
from .hard import NEARER

_SAME = 1e-6  # of depths: the sheet that one outline has is that of another

_STEPS = 200


@borrower
def lies_beyond(linked, signs, half, other):
    """Whether the face of half edge `other` lies on the other side of their common edge than the face of `half`."""
    sign, across = signs[half // 3], signs[other // 3]
    same_way = ends_of(linked, half)[0] == ends_of(linked, other)[0]
    return across != 0 and (across == -sign if same_way else across == sign)


@subroutine
def walk(points, faces, linked, signs, ring, face, x, y):
    """Walk from a face to the one of the same sheet that covers (x, y), or to the sheet's outline; return the last face."""
    current = np.int64(face)
    for _ in range(_STEPS):
        sign = np.float64(signs[current])
        lowest, through = 0.0, np.int64(-1)
        for corner in range(3):
            a, b = ends_of(faces, 3 * current + corner)
            side = sign * side_of(points[a, 0], points[a, 1], points[b, 0], points[b, 1], x, y)
            if side < lowest:
                lowest, through = side, 3 * current + corner
        if through < 0:
            return current, True
        other = np.int64(ring[through])
        while other != through and not lies_beyond(linked, signs, through, other):
            other = np.int64(ring[other])
        if other == through:
            return current, False
        current = other // 3
    return current, False


@subroutine
def nearest_in_face(points, faces, face, x, y):
    """Return x, y and 1 / depth of the point of a face that is nearest to (x, y) in the image.

    Barycentrics clipped and scaled would do for faces that are no slivers: of these they give another place on the far side.
    """
    corners = corners_of(points, faces, face)
    ba, bb, bc = barycentrics_at(corners, barycentric_slopes(*corners), x, y)
    if min(ba, bb, bc) >= 0.0:
        qa, qb, qc = inverse_depths_of(points, faces, face)
        return x, y, ba * qa + bb * qb + bc * qc
    best, near_x, near_y, depth = np.inf, x, y, 0.0
    for corner in range(3):
        a, b = ends_of(faces, 3 * face + corner)
        ax, ay, bx, by = points[a, 0] - x, points[a, 1] - y, points[b, 0] - x, points[b, 1] - y
        t = nearest_on_edge(ax, ay, bx, by)
        dx, dy = ax + t * (bx - ax), ay + t * (by - ay)
        if dx * dx + dy * dy < best:
            best, near_x, near_y = dx * dx + dy * dy, x + dx, y + dy
            depth = (1.0 - t) * points[a, 2] + t * points[b, 2]
    return near_x, near_y, depth


@borrower
def inverse_depth_at(points, faces, face, x, y):
    """Return 1 / depth of a face at (x, y), or at its point nearest to there."""
    _, _, depth = nearest_in_face(points, faces, face, x, y)
    return depth


@borrower
def plane_at(points, faces, face, x, y):
    """Return 1 / depth of a face's plane at (x, y)."""
    corners = corners_of(points, faces, face)
    ba, bb, bc = barycentrics_at(corners, barycentric_slopes(*corners), x, y)
    qa, qb, qc = inverse_depths_of(points, faces, face)
    return ba * qa + bb * qb + bc * qc


@borrower
def covers_point(points, faces, signs, face, x, y):
    """Whether a face covers (x, y), by the top-left rule on its border."""
    a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
    if signs[face] < 0:
        b, c = c, b
    ax, ay, bx, by = points[a, 0], points[a, 1], points[b, 0], points[b, 1]
    cx, cy = points[c, 0], points[c, 1]
    return is_inside(ax, ay, bx, by, x, y) and is_inside(bx, by, cx, cy, x, y) and is_inside(cx, cy, ax, ay, x, y)


@subroutine
def goes_under(points, faces, linked, signs, ring, face, x, y, over):
    """Walk from a face towards (x, y); return the last face, and whether its sheet lies there, or where it ends, below that of
    the face `over`, and is another one.
    """
    there, arrived = walk(points, faces, linked, signs, ring, face, x, y)
    if there == over:
        return there, False
    near_x, near_y, depth = nearest_in_face(points, faces, there, x, y)
    if not arrived:
        x, y = near_x, near_y
    above, _ = walk(points, faces, linked, signs, ring, over, x, y)
    return there, depth < NEARER * inverse_depth_at(points, faces, above, x, y)


@subroutine
def depth_along(points, faces, linked, signs, ring, face, x, y):
    """Return 1 / depth of the sheet of a face at (x, y), or where it ends on the way there, and whether it is there."""
    there, arrived = walk(points, faces, linked, signs, ring, face, x, y)
    return inverse_depth_at(points, faces, there, x, y), arrived


@borrower
def same_depth(first, second):
    """Whether two values of 1 / depth are those of one sheet."""
    return abs(first - second) <= _SAME * first


@borrower
def outward_ends(faces, signs, half):
    """Return the ends a and b of a half edge, in the order that has its face on the inner side."""
    a, b = ends_of(faces, half)
    return (a, b) if signs[half // 3] > 0 else (b, a)
