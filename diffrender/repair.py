"""Folded faces made flat again, and faces kept from running through each other."""

from typing import Any

import numpy as np

from .quality import self_intersections
from .topology import adjacent_faces, flipped_faces

_HALVINGS = 4  # of a move, before it is given up


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


def keep_apart(before: np.ndarray, after: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return vertices (V, 3) moved from `before`, where no two faces meet, towards `after`, as far as none come to meet.

    Only the vertices of faces that would meet, and those around them, stay behind. If faces meet in `before` already, they
    may still do so. Raises ValueError for wrong shapes or NaN.
    """
    if np.shape(before) != np.shape(after):
        raise ValueError(f"before and after must have the same shape, got {np.shape(before)} and {np.shape(after)}")
    share, attempt = np.ones((len(before), 1), after.dtype), 0
    while True:
        # Exactly the one or the other where they can be, or rounding would let touch what was apart.
        vertices = np.where(share == 1, after, np.where(share > 0, before + share * (after - before), before))
        meeting = self_intersections(vertices, faces, corners_too=True)
        near = np.zeros(len(before), bool)
        near[faces[meeting]] = True
        for _ in range(1 + attempt // 3):  # ever wider: what stays behind must not be run into by what is around it
            near[faces[near[faces].any(axis=1)]] = True
        if not share[near].any():
            return vertices
        share[near] = share[near] / 2 if attempt < _HALVINGS else 0
        attempt += 1
