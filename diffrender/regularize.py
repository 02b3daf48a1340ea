"""Shape priors as (value, gradient) pairs; gradients are for vertices (V, 3), in their dtype."""

from typing import Any

import numpy as np

from .scatter import add_at


def laplacian(vertices: np.ndarray, matrix: Any) -> tuple[float, np.ndarray]:
    """Return |L v|^2 / (2 V) for a symmetric Laplacian (V, V), uniform or cotangent, held fixed. Sorkine 2005."""
    offset = matrix @ vertices
    value = 0.5 * float((offset * offset).sum(dtype=np.float64)) / len(vertices)
    return value, (matrix @ offset / len(vertices)).astype(vertices.dtype)


def edge_length(vertices: np.ndarray, edges: np.ndarray, target: float = 0.0) -> tuple[float, np.ndarray]:
    """Return the mean squared difference of the edges' (E, 2) lengths from `target`; an edge of length 0 gets no push."""
    along = vertices[edges[:, 0]] - vertices[edges[:, 1]]
    length = np.linalg.norm(along, axis=1, keepdims=True)
    excess = length - vertices.dtype.type(target)
    step = 2 / len(edges) * excess * along / np.where(length > 0, length, 1)
    gradient = add_at(edges[:, 0], step, len(vertices)) - add_at(edges[:, 1], step, len(vertices))
    return float((excess * excess).mean(dtype=np.float64)), gradient.astype(vertices.dtype)


def normal_consistency(vertices: np.ndarray, faces: np.ndarray, pairs: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the mean of 1 - cos(angle) between the normals of face pairs (P, 2); faces without area count as flat."""
    corners = vertices[faces]
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    crossed = np.cross(first, second)
    length = np.linalg.norm(crossed, axis=1, keepdims=True)
    inverse = np.where(length > 0, 1 / np.where(length > 0, length, 1), 0)
    normals = crossed * inverse
    a, b = normals[pairs[:, 0]], normals[pairs[:, 1]]
    flat = (inverse[pairs[:, 0], 0] == 0) | (inverse[pairs[:, 1], 0] == 0)
    cosine = np.where(flat, 1, (a * b).sum(axis=1))
    grad_normals = -(add_at(pairs[:, 0], b, len(faces)) + add_at(pairs[:, 1], a, len(faces))) / len(pairs)
    # Scaling to length 1 goes back as the projection off the normal over the length; e1 x e2 as (e2 x g, g x e1).
    grad_crossed = (grad_normals - (grad_normals * normals).sum(axis=1, keepdims=True) * normals) * inverse
    grad_first, grad_second = np.cross(second, grad_crossed), np.cross(grad_crossed, first)
    gradient = (
        add_at(faces[:, 1], grad_first, len(vertices))
        + add_at(faces[:, 2], grad_second, len(vertices))
        - add_at(faces[:, 0], grad_first + grad_second, len(vertices))
    )
    return float((1 - cosine).mean(dtype=np.float64)), gradient.astype(vertices.dtype)
