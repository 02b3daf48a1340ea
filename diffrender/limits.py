"""What the soft rasterizer needs to stay in the range of a precision."""

import math
from typing import NamedTuple

import numpy as np

from .backend import RasterSettings

BACKGROUND_DEPTH = 1e-10  # zbar of the background in the softmax, as in SoftRas


class Limits(NamedTuple):
    """Thresholds of a precision."""

    highest: float  # coverage logit above which 1 + exp(x) is exp(x); exp must not overflow
    vanished: (
        float  # transmittance below which alpha is 1 and its gradient 0 (float32), or products go denormal (float64)
    )
    lowest_depth: float  # depth logit below the maximum where a face has no weight left that the precision could show


_LIMITS = {
    # exp(-30) is 1e-13; products with weights below go denormal, which takes ten times as long.
    np.dtype(np.float32): Limits(80.0, 2.0**-25, -30.0),
    np.dtype(np.float64): Limits(700.0, 1e-200, -600.0),
}


def is_precision(dtype: object) -> bool:
    """Whether the rasterizer computes in `dtype`."""
    return dtype in _LIMITS


def limits_of(dtype: np.dtype) -> Limits:
    """Return the thresholds of float32 or float64."""
    return _LIMITS[dtype]


def reach_of(settings: RasterSettings) -> tuple[float, float]:
    """Return the coverage logit at the cutoff, and how far from a face, in px, a pixel can still count."""
    lowest = math.log(settings.cutoff) - math.log1p(-settings.cutoff)
    return lowest, math.sqrt(-lowest * settings.sigma)
