"""Sums of rows that share an index."""

import numpy as np


def add_at(index: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """Add values (N, 3) to the rows `index` (N,) of zeros (count, 3) float64, always in the same order.

    `bincount` is ten times as fast as `np.add.at`.
    """
    return np.stack([np.bincount(index, values[:, axis], count) for axis in range(3)], axis=1)
