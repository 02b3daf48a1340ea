"""The nearest point of a triangle mesh, exactly: a tree of boxes over the triangles, and the search in it as a kernel."""

import numpy as np

from .jit import formula, kernel
from .spin import lead, publish
from .threads import share_out

_LEAF = 4  # triangles: as many as a visit to the two boxes above them costs
_BITS = 20  # of a centroid's coordinate in the Morton code


def nearest_triangles(points: np.ndarray, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for points (N, 3) the distance (N,) float64 to the nearest of the triangles corners (F, 3, 3), and its number.

    The distance is to the triangle, not to a sample of it; every triangle must have an area. A tree of boxes over the
    triangles in Morton order, searched depth first. Distance to a triangle: Ericson, Real-Time Collision Detection, 5.1.5.
    """
    points = np.ascontiguousarray(points, np.float64)
    order = _morton_order(corners.mean(axis=1))
    corners = np.ascontiguousarray(corners[order], np.float64)
    squared, nearest = np.empty(len(points)), np.empty(len(points), np.int64)
    share_out(_search, len(points), points, corners.reshape(-1, 9), _boxes(corners), squared, nearest)
    return np.sqrt(squared), order[nearest]


def _morton_order(centers: np.ndarray) -> np.ndarray:
    """Return the order (F,) of points (F, 3) along a curve that keeps neighbours together. Morton, 1966."""
    low = centers.min(axis=0)
    extent = max(float(np.ptp(centers, axis=0).max()), np.finfo(np.float64).tiny)
    cells = ((centers - low) / extent * (2**_BITS - 1)).astype(np.int64)
    code = np.zeros(len(centers), np.int64)
    for bit in range(_BITS):
        for axis in range(3):
            code |= (cells[:, axis] >> bit & 1) << (3 * bit + axis)
    return np.argsort(code, kind="stable")


def _boxes(corners: np.ndarray) -> np.ndarray:
    """Return the tree's boxes (2 L, 6), low and high: node n has the children 2 n and 2 n + 1, its root is 1.

    Leaf i of L, node L + i, holds the triangles from F i // L to F (i + 1) // L.
    """
    leaves = 1
    while leaves * _LEAF < len(corners):
        leaves *= 2
    starts = len(corners) * np.arange(leaves) // leaves
    boxes = np.empty((2 * leaves, 6))
    boxes[leaves:, :3] = np.minimum.reduceat(corners.min(axis=1), starts)
    boxes[leaves:, 3:] = np.maximum.reduceat(corners.max(axis=1), starts)
    while leaves > 1:
        pairs = boxes[leaves : 2 * leaves].reshape(-1, 2, 6)
        leaves //= 2
        boxes[leaves : 2 * leaves, :3] = pairs[..., :3].min(axis=1)
        boxes[leaves : 2 * leaves, 3:] = pairs[..., 3:].max(axis=1)
    return boxes


@formula
def _squared_to_box(x, y, z, boxes, node):
    dx = max(boxes[node, 0] - x, 0.0, x - boxes[node, 3])
    dy = max(boxes[node, 1] - y, 0.0, y - boxes[node, 4])
    dz = max(boxes[node, 2] - z, 0.0, z - boxes[node, 5])
    return dx * dx + dy * dy + dz * dz


@formula
def _edge(ax, ay, az, bx, by, bz, nx, ny, nz):
    """Return the squared distance from the origin to the edge from a to b, and on which side of it the origin is: the sign
    is positive inside a triangle with normal n."""
    ex, ey, ez = bx - ax, by - ay, bz - az
    t = min(max(-(ax * ex + ay * ey + az * ez) / (ex * ex + ey * ey + ez * ez), 0.0), 1.0)
    qx, qy, qz = ax + t * ex, ay + t * ey, az + t * ez
    side = nx * (ez * ay - ey * az) + ny * (ex * az - ez * ax) + nz * (ey * ax - ex * ay)
    return qx * qx + qy * qy + qz * qz, side


@formula
def _squared_to_triangle(x, y, z, corners, face):
    ax, ay, az = corners[face, 0] - x, corners[face, 1] - y, corners[face, 2] - z
    bx, by, bz = corners[face, 3] - x, corners[face, 4] - y, corners[face, 5] - z
    cx, cy, cz = corners[face, 6] - x, corners[face, 7] - y, corners[face, 8] - z
    ux, uy, uz, vx, vy, vz = bx - ax, by - ay, bz - az, cx - ax, cy - ay, cz - az
    nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
    first, inside_first = _edge(ax, ay, az, bx, by, bz, nx, ny, nz)
    second, inside_second = _edge(bx, by, bz, cx, cy, cz, nx, ny, nz)
    third, inside_third = _edge(cx, cy, cz, ax, ay, az, nx, ny, nz)
    if inside_first >= 0.0 and inside_second >= 0.0 and inside_third >= 0.0:
        height = nx * ax + ny * ay + nz * az
        return height * height / (nx * nx + ny * ny + nz * nz)
    return min(first, second, third)


@kernel
def _search(share, shares, board, points, corners, boxes, squared, nearest):
    """Fill a share of squared (N,) and nearest (N,): the nearer child is searched first, boxes farther than the best not."""
    if share < 0:
        lead(publish(board))
        return
    leaves, faces, count = len(boxes) // 2, len(corners), len(points)
    waiting, bound = np.empty(64, np.int64), np.empty(64)  # one node a level
    for point in range(count * share // shares, count * (share + 1) // shares):
        x, y, z = points[point, 0], points[point, 1], points[point, 2]
        best, found, depth = np.inf, 0, 0
        waiting[0], bound[0] = 1, 0.0
        while depth >= 0:
            node, distance = waiting[depth], bound[depth]
            depth -= 1
            if distance >= best:
                continue
            while node < leaves:
                node *= 2
                near, far = _squared_to_box(x, y, z, boxes, node), _squared_to_box(x, y, z, boxes, node + 1)
                other = node + 1
                if far < near:
                    near, far, node, other = far, near, other, node
                depth += 1
                waiting[depth], bound[depth] = other, far
                if near >= best:
                    depth -= 1
                    break
            else:
                leaf = node - leaves
                for face in range(faces * leaf // leaves, faces * (leaf + 1) // leaves):
                    distance = _squared_to_triangle(x, y, z, corners, face)
                    if distance < best:
                        best, found = distance, face
        squared[point], nearest[point] = best, found
