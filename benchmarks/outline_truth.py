"""The exact area of a polygon in each pixel by clipping, and its gradient by integrals along the polygon's edges."""

import numpy as np


def area_coverage(polygon: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the area (H, W) of each pixel that a convex polygon (N, 2) in pixels covers. Sutherland & Hodgman, 1974."""
    covered = np.zeros(size)
    low, high = np.floor(polygon.min(axis=0)).astype(int), np.floor(polygon.max(axis=0)).astype(int)
    for row in range(max(low[1], 0), min(high[1] + 1, size[0])):
        strip = _clip(_clip(polygon, 1, row, 1), 1, row + 1, -1)
        for column in range(max(low[0], 0), min(high[0] + 1, size[1])):
            covered[row, column] = _area(_clip(_clip(strip, 0, column, 1), 0, column + 1, -1))
    return covered


def coverage_gradient(polygon: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the gradient (N, 2) of sum(weights * coverage) for the corners of a polygon (N, 2); weights (H, W).

    Area grows by how far each point of the boundary moves outwards: the integral of weight * (1 - t, t) * normal along the edges.
    """
    height, width = weights.shape
    grad = np.zeros(polygon.shape)
    following = np.roll(polygon, -1, axis=0)
    turn = np.sign((polygon[:, 0] * following[:, 1] - polygon[:, 1] * following[:, 0]).sum())
    for k, (a, b) in enumerate(zip(polygon, following, strict=True)):
        cuts = [0.0, 1.0]
        for axis in (0, 1):
            lines = np.arange(np.ceil(min(a[axis], b[axis])), max(a[axis], b[axis]))
            cuts.extend((lines - a[axis]) / (b[axis] - a[axis]))
        ends = np.sort(cuts)
        normal = turn * np.array([b[1] - a[1], a[0] - b[0]])
        for first, last in zip(ends[:-1], ends[1:], strict=True):
            column, row = np.floor(a + 0.5 * (first + last) * (b - a)).astype(int)
            if 0 <= row < height and 0 <= column < width:
                of_b = 0.5 * (last**2 - first**2)
                grad[k] += weights[row, column] * (last - first - of_b) * normal
                grad[(k + 1) % len(polygon)] += weights[row, column] * of_b * normal
    return grad


def _clip(polygon: np.ndarray, axis: int, at: float, side: int) -> np.ndarray:
    """Return the part of a convex polygon (N, 2) with side * (coordinate - at) >= 0."""
    kept = []
    distances = side * (polygon[:, axis] - at) if len(polygon) else ()
    for k, distance in enumerate(distances):
        other = (k + 1) % len(polygon)
        if distance >= 0:
            kept.append(polygon[k])
        if distance * distances[other] < 0:
            kept.append(polygon[k] + distance / (distance - distances[other]) * (polygon[other] - polygon[k]))
    return np.array(kept)


def _area(polygon: np.ndarray) -> float:
    if len(polygon) < 3:
        return 0.0
    x, y = polygon.T
    return 0.5 * abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))
