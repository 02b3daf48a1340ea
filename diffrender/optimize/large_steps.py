"""The Large-Steps parametrisation u = (I + lambda L) v: smooth steps that do not fold a mesh."""

from typing import Any

import numpy as np


class LargeSteps:
    """Diffuses gradients over a mesh: a step in u moves whole regions of v. The factorisation is made once.

    `laplacian` (V, V) is sparse, symmetric and positive semidefinite; `smoothness` is lambda. Nicolet et al. 2021.
    """

    def __init__(self, laplacian: Any, smoothness: float):
        from scipy.sparse import identity
        from scipy.sparse.linalg import splu

        self._matrix = (identity(laplacian.shape[0], format="csc") + smoothness * laplacian).tocsc()
        self._factors = splu(
            self._matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
        )

    def to_parameter(self, vertices: np.ndarray) -> np.ndarray:
        """Return u (V, 3) float64 for vertices (V, 3)."""
        return self._matrix @ vertices.astype(np.float64)

    def to_vertices(self, parameter: np.ndarray) -> np.ndarray:
        """Return the vertices (V, 3) float64 of u."""
        return self._factors.solve(parameter)

    def gradient(self, grad_vertices: np.ndarray) -> np.ndarray:
        """Carry a gradient of the vertices (V, 3) to u: the matrix is symmetric, so it is the same solve."""
        return self._factors.solve(grad_vertices.astype(np.float64))
