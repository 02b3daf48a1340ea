"""Typed constants: `1.0 - x` would turn float32 into float64, `ONE - x` keeps the precision of x."""

import numpy as np

ZERO = np.float32(0)
HALF = np.float32(0.5)
ONE = np.float32(1)
TWO = np.float32(2)

COORDINATE_LIMIT = np.float32(1e15)  # px: squares of larger coordinates overflow in float32
SMALLEST_SQUARE = np.float32(1e-30)  # px^2: a smaller area or squared length is zero in float32
CULLING_MARGIN = 0.01  # px: rounding of a cull must never drop a pixel that counts

# Edges ab, bc and ca. As np.int64: for each literal number Numba would compile a formula again.
AB = np.int64(0)
BC = np.int64(1)
CA = np.int64(2)

PORTION = 1024  # vertices whose sums are a row of their own: rows are added up in order, whoever has made them
LEAST = 512  # vertices or faces of a share: fewer are done sooner than shared out
