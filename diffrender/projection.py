"""The projections that are no bare pinhole: through a lens, and orthographic."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .camera import Camera


def project_bent(vertices: np.ndarray, camera: "Camera") -> np.ndarray:
    """Return vertices_pixel (V, 3) in the dtype of `vertices`; x and y are 0 where depth <= 0. Computed in float64."""
    local, seen, flat = _flattened(vertices, camera)
    bent = flat if camera.distortion is None else camera.distortion.distort(flat)
    pixel = np.empty_like(vertices, order="C")
    pixel[:, :2] = np.where(seen, _times(bent, camera.K[:2, :2]) + camera.K[:2, 2], 0.0)
    pixel[:, 2] = local[:, 2]
    return pixel


def project_bent_backward(
    vertices: np.ndarray, camera: "Camera", grad_pixel: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """Return the gradients of the vertices (V, 3), of the camera's axis-angle and translation increments (3,), of K (3, 3)
    and of the lens (6,).

    As exp([w]x) x = x + w x x, the gradient of w is the sum of x x grad_x.
    """
    local, seen, flat = _flattened(vertices, camera)
    grad = np.where(seen, grad_pixel, 0.0)
    bent, grad_lens = flat, None
    grad_flat = _times(grad[:, :2], camera.K[:2, :2].T)
    if camera.distortion is not None:
        bent = camera.distortion.distort(flat)
        grad_flat, grad_lens = camera.distortion.distort_backward(flat, grad_flat)
    grad_K = np.zeros((3, 3))
    grad_K[:2, :2] = np.triu(np.einsum("vi,vj->ij", grad[:, :2], bent))
    grad_K[:2, 2] = grad[:, :2].sum(axis=0)
    grad_local = grad
    if camera.orthographic:
        grad_local[:, :2] = grad_flat
    else:
        depth = np.where(seen, local[:, 2:], 1.0)
        grad_local[:, :2] = grad_flat / depth
        grad_local[:, 2:] -= (grad_local[:, :2] * flat).sum(axis=1, keepdims=True)
    rotation = np.cross(local, grad_local).sum(axis=0)
    grad_world = _times(grad_local, camera.R.T).astype(vertices.dtype)
    return grad_world, rotation, grad_local.sum(axis=0), grad_K, grad_lens


def _flattened(vertices: np.ndarray, camera: "Camera") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return vertices in camera space (V, 3), whether they are in front (V, 1), and the (V, 2) that K and a lens act on."""
    local = _times(vertices.astype(np.float64), camera.R) + camera.t
    seen = local[:, 2:] > 0
    if camera.orthographic:
        return local, seen, local[:, :2]
    return local, seen, np.where(seen, local[:, :2], 0.0) / np.where(seen, local[:, 2:], 1.0)


def _times(vectors: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return matrix @ vector for each of vectors (V, N). Not by BLAS: its sums may depend on the number of threads."""
    return np.einsum("ij,vj->vi", matrix, vectors)
