"""Folded faces made flat again."""

from typing import Any

import numpy as np

from .topology import adjacent_faces, flipped_faces


def unfold(
    vertices: np.ndarray, faces: np.ndarray, laplacian: Any, pairs: np.ndarray | None = None, rounds: int = 40
) -> np.ndarray:
    """Return vertices (V, 3) with the vertices of folded faces moved to the mean of their neighbours, until none is.

    Only folds and what is next to them move; gives up after `rounds`. `laplacian` is the uniform one of the
    faces, `pairs` their `adjacent_faces`.
    """
    degree = laplacian.diagonal()[:, None]
    if pairs is None:
        pairs = adjacent_faces(faces)
    for _ in range(rounds):
        folded = flipped_faces(vertices, faces, pairs)
        if not len(folded):
            break
        near = np.zeros(len(vertices), bool)
        near[faces[folded]] = True
        near[faces[near[faces].any(axis=1)]] = True  # one ring more, or the fold only moves on
        smoothed = vertices - 0.5 * (laplacian @ vertices) / np.maximum(degree, 1)
        vertices = np.where(near[:, None], smoothed, vertices).astype(vertices.dtype)
    return vertices
