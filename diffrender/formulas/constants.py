"""Typed constants: `1.0 - x` would turn float32 into float64, `ONE - x` keeps the precision of x."""

import numpy as np

ZERO = np.float32(0)
HALF = np.float32(0.5)
ONE = np.float32(1)
TWO = np.float32(2)
