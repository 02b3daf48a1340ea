"""Gradients averaged over a vertex's neighbourhood: smooth steps whose reach ends after a few edges."""

from typing import Any

import numpy as np


class Smoothing:
    """Averages a gradient (V, 3) over a mesh by `sweeps` damped Jacobi sweeps, each half a vertex, half its neighbours.

    Unlike the solve of `LargeSteps`, it leaves a gradient at 0 beyond `sweeps` edges from where there is one, so what has to
    stay can stay exactly. It spreads to about the root of the sweeps. `laplacian` (V, V) is `uniform_laplacian`, or another
    with weights >= 0. Raises ValueError for a negative number of sweeps. Taubin 1995.
    """

    def __init__(self, laplacian: Any, sweeps: int):
        from scipy.sparse import diags

        if sweeps < 0:
            raise ValueError(f"sweeps must be >= 0, got {sweeps}")
        degree = laplacian.diagonal()
        alone = degree <= 0
        self.sweeps = sweeps
        self._difference = (diags(np.where(alone, 0, 0.5 / np.where(alone, 1, degree))) @ laplacian).tocsr()

    def init(self, parameter: np.ndarray) -> None:
        """Return the state: there is none."""

    def update(self, gradient: np.ndarray, state: None, learning_rate: float = 1.0) -> tuple[np.ndarray, None]:
        """Return (the smoothed gradient, None)."""
        smooth = gradient.astype(np.float64)
        for _ in range(self.sweeps):
            smooth = smooth - self._difference @ smooth
        return smooth.astype(gradient.dtype), state
