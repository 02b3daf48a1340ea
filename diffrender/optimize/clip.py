"""Gradient clipping: no pixel that flips may throw a mesh away."""

from typing import NamedTuple

import numpy as np

from ..checks import check_positive


class Clip(NamedTuple):
    """Shortens a gradient to length `limit`, all of it (Pascanu et al. 2013) or, `per_vertex`, each row of (V, 3) by itself.

    Directions stay. To clip the step instead of the gradient, put it behind the optimiser. Put nothing non-finite into it:
    an infinite gradient has no direction, so it comes out as NaN and does not pass for a small one.
    """

    limit: float
    per_vertex: bool = False

    def init(self, parameter: np.ndarray) -> None:
        """Return the state: there is none. Raises ValueError if the limit is not positive."""
        check_positive("limit", self.limit)

    def update(self, gradient: np.ndarray, state: None, learning_rate: float = 1.0) -> tuple[np.ndarray, None]:
        """Return (the clipped gradient, None)."""
        lengths = np.linalg.norm(gradient, axis=-1, keepdims=True)
        length = lengths if self.per_vertex else np.linalg.norm(lengths)
        shorter = self.limit / np.maximum(length, self.limit)
        return (gradient * shorter).astype(gradient.dtype), state


def shortened(gradient: np.ndarray, quantile: float) -> np.ndarray:
    """Return gradient (V, 3) with each row at most as long as this quantile of the lengths that are not 0; 1 changes nothing.

    Adam with one second moment for all takes the longest for its scale: a few vertices that views disagree about for good
    would hold up the rest.
    """
    lengths = np.linalg.norm(gradient, axis=1)
    if quantile >= 1 or not lengths.any():
        return gradient
    limit = float(np.quantile(lengths[lengths > 0], quantile))
    return Clip(limit, per_vertex=True).update(gradient, None)[0]
