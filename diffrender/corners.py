"""Faces with three vertices of their own: what each face has for itself, such as a flat normal, becomes one at vertices.

A face covers a pixel by its own three corners, so softly drawn alpha and colours stay what they were.
"""

from dataclasses import replace

import numpy as np

from .mesh import Mesh
from .scatter import add_at


def split_corners(mesh: Mesh) -> Mesh:
    """Return the mesh with vertices (3 F, 3), those of face f in rows 3 f to 3 f + 2."""
    colors = None if mesh.vertex_colors is None else mesh.vertex_colors[mesh.faces].reshape(-1, 3)
    faces = np.arange(mesh.faces.size, dtype=np.int32).reshape(-1, 3)
    return replace(mesh, vertices=mesh.vertices[mesh.faces].reshape(-1, 3), faces=faces, vertex_colors=colors)


def join_corners(faces: np.ndarray, grad_corners: np.ndarray, count: int) -> np.ndarray:
    """Add the gradients (3 F, C) of corners up to those (count, C) of the vertices that `faces` (F, 3) name."""
    return add_at(faces.ravel(), grad_corners, count).astype(grad_corners.dtype)


def split_rows(faces: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Return what vertices do, moved (D, V, C), as the corners of faces (F, 3) do it: (D, 3 F, C)."""
    return moved[:, faces.ravel()]
