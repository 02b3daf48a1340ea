"""Marching tetrahedra: the zero surface of sampled values as a closed triangle mesh."""

from itertools import permutations

import numpy as np

# A cube is cut into the six tetrahedra along its main diagonal (Kuhn), which match those of its neighbours.
_STEPS = np.eye(3, dtype=np.int64)
_TETRAHEDRA = [
    np.cumsum([np.zeros(3, np.int64), *(_STEPS[axis] for axis in order)], axis=0) for order in permutations(range(3))
]
# By the number of nodes inside, nodes a b c d with those inside first: the edges that the triangle's corners lie on.
_CASES = [
    (1, [[0, 1], [0, 2], [0, 3]]),
    (3, [[0, 3], [1, 3], [2, 3]]),
    (2, [[0, 2], [0, 3], [1, 3]]),
    (2, [[0, 2], [1, 3], [1, 2]]),
]


def polygonize(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return vertices (V, 3) in grid coordinates and faces (F, 3) of the surface values (X, Y, Z) = 0, normals towards
    the negative side.

    The surface is closed and manifold if the border of the grid is negative; a value of 0 counts as negative.
    Raises ValueError if the border is not. Doi & Koide, 1991.
    """
    inside = values > 0
    for axis in range(3):
        if np.take(inside, [0, -1], axis).any():
            raise ValueError("the values on the border of the grid must be negative, or the surface has holes")
    shape = np.array(values.shape)
    strides = np.array([shape[1] * shape[2], shape[2], 1])
    corner_sums = sum(
        inside[x : shape[0] - 1 + x, y : shape[1] - 1 + y, z : shape[2] - 1 + z].astype(np.int8)
        for x in (0, 1)
        for y in (0, 1)
        for z in (0, 1)
    )
    cubes = np.argwhere((corner_sums > 0) & (corner_sums < 8)) @ strides
    flat, flat_inside = values.reshape(-1), inside.reshape(-1)
    triangles = []  # (N, 3, 2): each corner is a grid edge, its node inside first
    for offsets in _TETRAHEDRA:
        nodes = cubes[:, None] + offsets @ strides
        state = flat_inside[nodes]
        count = state.sum(axis=1)
        for number, corner_edges in _CASES:
            chosen = nodes[count == number]
            order = np.argsort(~state[count == number], axis=1, kind="stable")  # nodes inside come first
            triangles.append(np.take_along_axis(chosen, order, axis=1)[:, corner_edges])
    corners = _turned_outward(np.concatenate(triangles), values.shape)
    edges = np.sort(corners.reshape(-1, 2), axis=1)
    unique, faces = np.unique(edges[:, 0] * len(flat) + edges[:, 1], return_inverse=True)
    first, second = unique // len(flat), unique % len(flat)
    share = flat[first] / (flat[first] - flat[second])
    # A vertex on a grid node would coincide with its neighbours there.
    share = np.clip(share, 0.02, 0.98)[:, None]
    start, end = (np.stack(np.unravel_index(node, values.shape), axis=1).astype(float) for node in (first, second))
    return start + share * (end - start), faces.reshape(-1, 3).astype(np.int32)


def _turned_outward(corners: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Wind triangles (N, 3, 2) so that their normals point from the nodes inside to those outside."""
    positions = np.stack(np.unravel_index(corners, shape), axis=-1)  # (N, 3, 2, 3)
    middles = positions.sum(axis=2)
    normals = np.cross(middles[:, 1] - middles[:, 0], middles[:, 2] - middles[:, 0])
    outward = (positions[:, :, 1] - positions[:, :, 0]).sum(axis=1)
    wrong = (normals * outward).sum(axis=1) < 0
    corners[wrong] = corners[wrong, ::-1]
    return corners
