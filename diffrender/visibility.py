"""Which face each pixel's centre sees: hard, exact, and without gradients."""

from typing import NamedTuple

import numpy as np

from .camera import Camera, project
from .jit import formula, kernel
from .mesh import Mesh

_GRID = 2.0**24  # steps of a pixel that corners are put on, so that sides are compared in integers
_FURTHEST = 2.0**24  # px: differences stay below 2^50 steps
_DOUBT = 1e-15  # of a difference of two products in float64, which rounds by 4e-16 of them


class Visibility(NamedTuple):
    """The nearest face at each pixel's centre: its number, or -1 (H, W) int32; barycentrics (H, W, 3) float64 of what is seen
    there, in the order of the face's corners, or -1; and whether there is one (H, W).
    """

    face_ids: np.ndarray
    barycentrics: np.ndarray
    mask: np.ndarray


def visible_faces(mesh: Mesh, camera: Camera, cull_backfaces: bool = False) -> Visibility:
    """Return the face that the ray through each pixel's centre hits first, and where: barycentrics @ corners is the point.

    A pixel centre on an edge or a corner belongs to exactly one of the faces around it (top-left rule), so a closed surface
    has no holes. Faces equally near give way to the lowest number. Corners are rounded to 2^-24 px. As in `rasterize_soft`,
    faces with a depth <= 0 or without area do not count, nor do near and far. A corner further than 2^24 px out counts as
    there.
    """
    pixel = project(mesh.vertices.astype(np.float64), camera)
    steps = np.rint(np.clip(pixel[:, :2], -_FURTHEST, _FURTHEST) * _GRID).astype(np.int64)
    face_ids = np.full(camera.size, -1, np.int32)
    barycentrics = np.full((*camera.size, 3), -1.0)
    _see(steps, pixel[:, 2].copy(), mesh.faces, bool(cull_backfaces), np.zeros(camera.size), face_ids, barycentrics)
    return Visibility(face_ids, barycentrics, face_ids >= 0)


@formula
def _side(x, y, ax, ay, bx, by):
    """Return (a - p) x (b - p) for p = (x, y), all int64, as a float64 with the right sign."""
    ux, uy, vx, vy = ax - x, ay - y, bx - x, by - y
    left, right = np.float64(ux) * np.float64(vy), np.float64(uy) * np.float64(vx)
    rough = left - right
    if abs(rough) > _DOUBT * (abs(left) + abs(right)):
        return rough
    return np.float64(ux * vy - uy * vx)  # products beyond 2^63 wrap around, but their small difference is right


@formula
def _inside(side, ax, ay, bx, by):
    """Whether p belongs to the face on the positive side of the edge a to b: itself if the edge is at its top or left."""
    if side == 0.0:
        return by < ay or (by == ay and bx > ax)
    return side > 0.0


@formula
def _after(steps, depth, a, b):
    """Whether corner a comes after b in an order of places: the same three places give the same bits in any face."""
    if steps[a, 0] != steps[b, 0]:
        return steps[a, 0] > steps[b, 0]
    if steps[a, 1] != steps[b, 1]:
        return steps[a, 1] > steps[b, 1]
    return depth[a] > depth[b]


@kernel
def _see(steps, depth, faces, cull_backfaces, nearest, face_ids, barycentrics):
    """Draw face by face; nearest (H, W) is the largest 1 / depth so far, which is linear in the image."""
    height, width = face_ids.shape
    one, half = np.int64(_GRID), np.int64(_GRID / 2)
    for face in range(len(faces)):
        first, second, third = 0, 1, 2
        if _after(steps, depth, faces[face, first], faces[face, second]):
            first, second = second, first
        if _after(steps, depth, faces[face, second], faces[face, third]):
            second, third = third, second
        if _after(steps, depth, faces[face, first], faces[face, second]):
            first, second = second, first
        a, b, c = faces[face, first], faces[face, second], faces[face, third]
        if min(depth[a], depth[b], depth[c]) <= 0.0:
            continue
        area = _side(steps[a, 0], steps[a, 1], steps[b, 0], steps[b, 1], steps[c, 0], steps[c, 1])
        if area == 0.0:
            continue
        even = second == (first + 1) % 3
        if cull_backfaces and (area > 0.0) == even:  # y goes down: what is seen from outside goes round with area < 0
            continue
        if area < 0.0:
            b, c = c, b
            second, third = third, second
        ax, ay, bx, by, cx, cy = steps[a, 0], steps[a, 1], steps[b, 0], steps[b, 1], steps[c, 0], steps[c, 1]
        top = max(0, -((half - min(ay, by, cy)) // one))
        bottom = min(height - 1, (max(ay, by, cy) - half) // one)
        left = max(0, -((half - min(ax, bx, cx)) // one))
        right = min(width - 1, (max(ax, bx, cx) - half) // one)
        for row in range(top, bottom + 1):
            y = row * one + half
            for column in range(left, right + 1):
                x = column * one + half
                at_a = _side(x, y, bx, by, cx, cy)
                at_b = _side(x, y, cx, cy, ax, ay)
                at_c = _side(x, y, ax, ay, bx, by)
                if _inside(at_a, bx, by, cx, cy) and _inside(at_b, cx, cy, ax, ay) and _inside(at_c, ax, ay, bx, by):
                    total = at_a + at_b + at_c
                    at_a, at_b, at_c = at_a / total / depth[a], at_b / total / depth[b], at_c / total / depth[c]
                    near = at_a + at_b + at_c
                    if near > nearest[row, column]:
                        nearest[row, column] = near
                        face_ids[row, column] = face
                        barycentrics[row, column, first] = at_a / near
                        barycentrics[row, column, second] = at_b / near
                        barycentrics[row, column, third] = at_c / near
