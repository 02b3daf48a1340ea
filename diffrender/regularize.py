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


def signed_volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    """Return the volume within faces (F, 3), positive if they are counter-clockwise from outside; of an open surface, the
    volume of its cone from the origin."""
    a, b, c = np.moveaxis(vertices[faces].astype(np.float64), 1, 0)
    return float((a * np.cross(b, c)).sum()) / 6


def volume(vertices: np.ndarray, faces: np.ndarray, target: float) -> tuple[float, np.ndarray]:
    """Return (V / target - 1)^2 for the signed volume V of faces (F, 3). Raises ValueError if the target is 0 or not finite."""
    if not (np.isfinite(target) and target != 0):
        raise ValueError(f"target must be a finite volume that is not 0, got {target}")
    excess = signed_volume(vertices, faces) / target - 1
    # Six volumes are a . (b x c), which is linear in each corner and stays the same as they change places in turn.
    a, b, c = np.moveaxis(vertices[faces].astype(np.float64), 1, 0)
    step = excess / target / 3
    gradient = (
        add_at(faces[:, 0], step * np.cross(b, c), len(vertices))
        + add_at(faces[:, 1], step * np.cross(c, a), len(vertices))
        + add_at(faces[:, 2], step * np.cross(a, b), len(vertices))
    )
    return excess**2, gradient.astype(vertices.dtype)


def arap(vertices: np.ndarray, rest: np.ndarray, matrix: Any) -> tuple[float, np.ndarray]:
    """Return sum_i sum_j w_ij |(v_i - v_j) - R_i (r_i - r_j)|^2 / V, the departure of each vertex and its edges from turning.

    `rest` (V, 3) is the shape at rest and R_i the rotation that fits the edges of vertex i best; w_ij are the weights of a
    Laplacian (V, V), uniform, or cotangent of the rest shape. As-rigid-as-possible, Sorkine & Alexa 2007.
    """
    weights = matrix.tocoo()
    off = weights.row != weights.col
    here, there, weight = weights.row[off], weights.col[off], -weights.data[off][:, None]
    along, along_rest = (points[here].astype(np.float64) - points[there] for points in (vertices, rest))
    covariance = np.stack(
        [add_at(here, weight * along_rest[:, [axis]] * along, len(vertices)) for axis in range(3)], axis=1
    )
    left, _, right = np.linalg.svd(covariance)
    right = np.swapaxes(right, 1, 2)
    # A reflection would fit better here and there: turn the least singular direction back.
    right[..., 2] *= np.sign(np.linalg.det(left) * np.linalg.det(right))[:, None]
    rotations = right @ np.swapaxes(left, 1, 2)
    residual = along - np.einsum("eij,ej->ei", rotations[here], along_rest)
    # Rotations are at their best, so their own change is of second order: the gradient holds them fixed.
    step = 2 / len(vertices) * weight * residual
    gradient = add_at(here, step, len(vertices)) - add_at(there, step, len(vertices))
    return float((weight * residual * residual).sum()) / len(vertices), gradient.astype(vertices.dtype)
