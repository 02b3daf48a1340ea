"""What the soft rasterizer needs to stay in the range of a precision."""

import math
from typing import NamedTuple

import numpy as np

from .backend import CoverageName, UnionName

BACKGROUND_DEPTH = 1e-10  # zbar of the background in the softmax, as in SoftRas


class Limits(NamedTuple):
    """Thresholds of a precision."""

    # Of each coverage, where 1 - D is nothing beside 1 and its inverse still far from overflow: the largest |x|, which exp
    # of it or of its square must take; of the uniform one, whose D reaches 1, the least 1 - D.
    bounds: dict[str, float]
    vanished: (
        float  # transmittance below which alpha is 1 and its gradient 0 (float32), or products go denormal (float64)
    )
    faint: float  # slope of alpha below which products go denormal
    lowest_depth: float  # depth logit below the maximum where a face has no weight left that the precision could show


_LIMITS = {
    # exp(-30) is 1e-13; products with weights below go denormal, which takes ten times as long.
    np.dtype(np.float32): Limits(
        {"sigmoid": 80.0, "gaussian": 12.0, "cauchy": 1e9, "uniform": 1e-30}, 2.0**-25, 1e-25, -30.0
    ),
    np.dtype(np.float64): Limits(
        {"sigmoid": 700.0, "gaussian": 37.0, "cauchy": 1e100, "uniform": 1e-290}, 1e-200, 1e-200, -600.0
    ),
}


def is_precision(dtype: object) -> bool:
    """Whether the rasterizer computes in `dtype`."""
    return dtype in _LIMITS


def limits_of(dtype: np.dtype) -> Limits:
    """Return the thresholds of float32 or float64."""
    return _LIMITS[dtype]


def reach_of(coverage: CoverageName, cutoff: float, sigma: float) -> tuple[float, float]:
    """Return the coverage logit at the cutoff, and how far from a face, in px, a pixel can still count."""
    lowest = _quantile(coverage, cutoff)
    return lowest, math.sqrt(-lowest * sigma)


def least_factor(union: UnionName, dtype: np.dtype) -> float:
    """Return up to where a pixel's factor of all gradients of alpha is none: T of a probabilistic union, D' of a maximum."""
    limits = limits_of(dtype)
    return limits.vanished if union == "probabilistic" else limits.faint


def _quantile(coverage: str, cutoff: float) -> float:
    """Return x where the coverage D(x) is the cutoff."""
    if coverage == "gaussian":
        from statistics import NormalDist  # takes longer to import than all else here

        return NormalDist().inv_cdf(cutoff)
    if coverage == "cauchy":
        return -1 / math.tan(math.pi * cutoff)
    if coverage == "uniform":
        return 2 * cutoff - 1
    return math.log(cutoff) - math.log1p(-cutoff)
