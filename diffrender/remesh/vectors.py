"""Vectors as columns (3, N): NumPy works on long rows several times as fast as on short ones."""

import numpy as np

TINY = np.finfo(np.float64).tiny


def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the scalar products (N,) of vectors (3, N)."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the vector products (3, N) of vectors (3, N)."""
    return np.stack([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])


def unit(a: np.ndarray) -> np.ndarray:
    """Return vectors (3, N) scaled to length 1; those too short for a direction are 0."""
    return a / np.sqrt(np.maximum(dot(a, a), TINY))


def area_vectors(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Return the normals (3, F) of the faces, as long as twice their areas."""
    first = points.take(corners[0], 1)
    return cross(points.take(corners[1], 1) - first, points.take(corners[2], 1) - first)


def roundness(normals: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Return how round triangles (N,) are, from 0 to 1 if equilateral: area over the sum of squared edges, times 4 sqrt(3).

    By their `area_vectors` (3, N) and these sums (N,). Bank & Smith, Mesh smoothing using a posteriori estimates, 1997.
    """
    return np.sqrt(12 * dot(normals, normals)) / np.maximum(squares, TINY)
