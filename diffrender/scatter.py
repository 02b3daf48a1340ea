"""Sums of rows that share an index."""

import numpy as np


def add_at(index: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """Add values (N, C) to the rows `index` (N,) of zeros (count, C) float64, always in the same order.

    `bincount` is ten times as fast as `np.add.at`.
    """
    return np.stack([np.bincount(index, values[:, axis], count) for axis in range(values.shape[1])], axis=1)
