"""What a mesh's faces say without its positions, and the Laplacians built on it."""

from typing import Any

import numpy as np


def unique_edges(faces: np.ndarray) -> np.ndarray:
    """Return the edges (E, 2) of faces (F, 3), each once, lower vertex first, sorted."""
    keys, count = _edge_keys(faces)
    return np.stack(np.divmod(np.unique(keys), count), axis=1).astype(faces.dtype)


def adjacent_faces(faces: np.ndarray) -> np.ndarray:
    """Return the pairs (P, 2) of faces that share an edge; edges with one face, or more than two, give none."""
    keys, _ = _edge_keys(faces)
    order = np.argsort(keys, kind="stable")
    _, starts, counts = np.unique(keys[order], return_index=True, return_counts=True)
    first = starts[counts == 2]
    return np.stack([order[first], order[first + 1]], axis=1) % len(faces)


def is_closed_manifold(faces: np.ndarray) -> bool:
    """Return whether every edge belongs to two faces, once in each direction."""
    directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    unique, counts = np.unique(directed, axis=0, return_counts=True)
    if (counts != 1).any():
        return False
    reverse = np.unique(directed[:, ::-1], axis=0)
    return len(unique) == len(reverse) and bool((unique == reverse).all())


def is_vertex_manifold(faces: np.ndarray) -> bool:
    """Return whether the faces (F, 3) at each vertex form one fan: no two parts of the surface meet in a point only."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    keys, count = _edge_keys(faces)
    order = np.argsort(keys, kind="stable")
    same = np.flatnonzero(keys[order[1:]] == keys[order[:-1]])
    # Corners are nodes, numbered as half edges are; an edge joins the corners of its two faces at each of its ends.
    half, other = order[same], order[same + 1]
    corners = 3 * len(faces)
    half_end, other_end = (half + len(faces)) % corners, (other + len(faces)) % corners
    start = faces.T.ravel()
    alike = start[half] == start[other]  # of faces that are not oriented alike
    here = np.concatenate([half, half_end])
    there = np.concatenate([np.where(alike, other, other_end), np.where(alike, other_end, other)])
    joined = coo_matrix((np.ones(len(here), np.int8), (here, there)), (corners, corners))
    fans, _ = connected_components(joined, directed=False)
    return bool(fans == np.count_nonzero(np.bincount(start, minlength=count)))


def uniform_laplacian(faces: np.ndarray, vertices: int) -> Any:
    """Return the sparse graph Laplacian D - A (V, V), symmetric and positive semidefinite, for V vertices."""
    edges = unique_edges(faces)
    return _laplacian(edges, np.ones(len(edges)), vertices)


def cotangent_laplacian(vertices: np.ndarray, faces: np.ndarray) -> Any:
    """Return the sparse cotangent Laplacian (V, V), symmetric, of vertices (V, 3); faces without area count nothing.

    Pinkall & Polthier 1993. It is positive semidefinite, with negative weights only across obtuse angles.
    """
    edges, weights = [], []
    for corner in range(3):
        opposite = faces[:, [(corner + 1) % 3, (corner + 2) % 3]]
        first = vertices[opposite[:, 0]] - vertices[faces[:, corner]]
        second = vertices[opposite[:, 1]] - vertices[faces[:, corner]]
        area = np.linalg.norm(np.cross(first, second), axis=1)
        cotangent = (first * second).sum(axis=1) / np.where(area > 0, area, 1)
        edges.append(opposite)
        weights.append(np.where(area > 0, cotangent / 2, 0))
    return _laplacian(np.concatenate(edges), np.concatenate(weights).astype(np.float64), len(vertices))


def count_flipped_faces(vertices: np.ndarray, faces: np.ndarray) -> int:
    """Return the number of faces (F, 3) turned by more than 120 degrees from one that they share an edge with.

    No smooth surface, and no box, has such an edge; a triangle folded over its neighbour does.
    """
    return len(flipped_faces(vertices, faces))


def flipped_faces(vertices: np.ndarray, faces: np.ndarray, pairs: np.ndarray | None = None) -> np.ndarray:
    """Return the indices (N,) of the faces that `count_flipped_faces` counts, sorted; `pairs` are `adjacent_faces`."""
    corners = vertices[faces].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    normals /= np.where(lengths > 0, lengths, 1)
    if pairs is None:
        pairs = adjacent_faces(faces)
    folded = (normals[pairs[:, 0]] * normals[pairs[:, 1]]).sum(axis=1) < -0.5
    return np.unique(pairs[folded])


def _edge_keys(faces: np.ndarray) -> tuple[np.ndarray, int]:
    """Return lower vertex * count + higher vertex of each half edge (3 F,), which sorts faster than pairs, and count."""
    count = int(faces.max(initial=0)) + 1
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
    return ends.min(axis=1) * count + ends.max(axis=1), count


def _laplacian(edges: np.ndarray, weights: np.ndarray, vertices: int) -> Any:
    from scipy.sparse import coo_matrix, diags

    half = coo_matrix((weights, (edges[:, 0], edges[:, 1])), (vertices, vertices))
    adjacency = (half + half.T).tocsr()
    return (diags(np.asarray(adjacency.sum(axis=1)).ravel()) - adjacency).tocsr()
