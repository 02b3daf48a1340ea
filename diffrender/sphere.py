"""A sphere of nearly equal triangles. Not trimesh's: a first image need not wait for half a second of its imports."""

import math

import numpy as np

from .checks import check_positive
from .mesh import Mesh

_FACES = (
    [[0, 11, 5], [0, 5, 1], [0, 1, 7], [0, 7, 10], [0, 10, 11], [1, 5, 9], [5, 11, 4], [11, 10, 2], [10, 7, 6], [7, 1, 8]]
    + [[3, 9, 4], [3, 4, 2], [3, 2, 6], [3, 6, 8], [3, 8, 9], [4, 9, 5], [2, 4, 11], [6, 2, 10], [8, 6, 7], [9, 8, 1]]
)  # fmt: skip


def icosphere(subdivisions: int = 3, radius: float = 1.0) -> Mesh:
    """Return a sphere of 20 * 4**subdivisions nearly equal triangles around the origin, turned outwards.

    The middles of an icosahedron's edges are moved onto the sphere, again and again. Raises ValueError for a negative or
    fractional number of subdivisions or a radius that is not positive.
    """
    if not isinstance(subdivisions, int | np.integer) or subdivisions < 0:
        raise ValueError(f"subdivisions must be an integer >= 0, got {subdivisions!r}")
    check_positive("radius", radius)
    golden, unit = (1 + math.sqrt(5)) / 2, np.array([-1.0, 1.0])
    first, second = np.tile(unit, 2), np.repeat(unit[::-1] * golden, 2)  # the corners of three rectangles
    zero = np.zeros(4)
    vertices = np.concatenate(
        [np.stack(three, axis=1) for three in ((first, second, zero), (zero, first, second), (second, zero, first))]
    )
    vertices, faces = _onto_sphere(vertices), np.array(_FACES)
    for _ in range(subdivisions):
        count = len(vertices)
        corners = np.stack([faces, np.roll(faces, -1, axis=1)])
        keys, middle = np.unique(corners.max(axis=0) * count + corners.min(axis=0), return_inverse=True)
        vertices = np.concatenate([vertices, _onto_sphere((vertices[keys % count] + vertices[keys // count]) / 2)])
        a, b, c = faces.T
        ab, bc, ca = count + middle.reshape(faces.shape).T
        faces = np.stack([a, ab, ca, ab, b, bc, ca, bc, c, ab, bc, ca], axis=1).reshape(-1, 3)
    return Mesh((vertices * radius).astype(np.float32), faces)


def _onto_sphere(vertices: np.ndarray) -> np.ndarray:
    return vertices / np.linalg.norm(vertices, axis=1, keepdims=True)
