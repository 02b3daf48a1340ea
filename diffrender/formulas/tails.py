"""Tails of distributions: how much of one lies beyond x >= 0, and its density there, for scalars and lanes in both precisions.

Relative errors are below 6e-7 (1 + x^2) in float32 and 1e-15 (1 + x^2) in float64 for the Gaussian, x^2 / 2 being rounded
before exp, and below 4e-7 and 1e-15 for the Cauchy distribution, up to the x that `diffrender.limits` lets through.
"""

import math

import numpy as np
from numba import types

from ..jit import formula, overload
from ..lanes import LanesType, fma, higher, lower, select
from .constants import HALF, ONE, ZERO
from .fastmath import exp

# (5 + x) times the Gaussian's tail over exp(-x^2 / 2), a polynomial in (x - 5) / (x + 5): up to x = 12 in float32, with a
# relative error of 1e-8, and up to x = 37 in float64, 3e-17. Chebyshev interpolation, the highest power first.
_GAUSSIAN_32 = tuple(
    np.float32(c)
    for c in (
        *(0.000349782079, -0.001113303668, -0.003062535299, 0.02088937097, -0.06908140935, 0.1650111306),
        *(-0.3135372258, 0.495305959, -0.6653823977, 0.7691930468),
    )
)
_GAUSSIAN_64 = (
    *(2.2610843363286293e-09, 7.743504547003905e-09, -1.0595099071039325e-08, -6.693118688613108e-08),
    *(4.3554157791382335e-08, 4.346603635191588e-07, -3.372205786846447e-07, -2.7704036368754986e-06),
    *(3.981002742618882e-06, 1.668170759727367e-05, -4.9762786437151636e-05, -5.937585892572356e-05),
    *(0.0005448990480840946, -0.0007978693774033481, -0.002993376767241435, 0.020795066797928603),
    *(-0.06911863870660594, 0.16502036617047777, -0.3135331566712932, 0.4953056159699747, -0.6653825028900568),
    0.769193049750063,
)
# atan(z) / (pi z) for z in [0, 1], a polynomial in z^2: relative errors of 2e-8 and 6e-18.
_CAUCHY_32 = tuple(
    np.float32(c)
    for c in (
        *(0.0008805353866, -0.005007412118, 0.01341282217, -0.02373590611, 0.03379932349, -0.045192994, 0.0636361051),
        *(-0.1061023512, 0.3183098804),
    )
)
_CAUCHY_64 = (
    *(4.020628968572421e-06, -4.652763669701911e-05, 0.00025571756326990053, -0.0008927846040018012),
    *(0.0022404706717616576, -0.004352613720551738, 0.006920124990079893, -0.009454032082197611, 0.011621752898323932),
    *(-0.013409034400344572, 0.015023348068146394, -0.01671994474306037, 0.01871770993506199, -0.02121971854022404),
    *(0.024485273564718593, -0.028937254469541183, 0.03536776472083619, -0.04547284087027923, 0.06366197723653515),
    *(-0.10610329539459538, 0.3183098861837907),
)
# In two parts, together precise enough for float64: a constant in float64 would make float32 one too.
_PER_PI, _PER_PI_REST = np.float32(1 / math.pi), np.float32(1 / math.pi - float(np.float32(1 / math.pi)))
_PER_ROOT = np.float32(1 / math.sqrt(2 * math.pi))
_PER_ROOT_REST = np.float32(1 / math.sqrt(2 * math.pi) - float(_PER_ROOT))
_FIVE = np.float32(5)


@formula
def gaussian_tail(x):
    """Return (1 - Phi(x), phi(x)), Phi being the standard normal distribution function and phi its density."""
    exponential, inverse = exp(x * x * -HALF), ONE / (x + _FIVE)
    density = fma(exponential, _PER_ROOT, exponential * _PER_ROOT_REST)
    return exponential * (_gaussian(fma(x, inverse, -_FIVE * inverse)) * inverse), density


@formula
def cauchy_tail(x):
    """Return (1/2 - atan(x) / pi, 1 / (pi (1 + x^2))): for x > 1 the former is atan(1 / x) / pi."""
    inverse = ONE / higher(x, ONE)
    z = lower(x, inverse)
    share = z * _cauchy(z * z)
    # With 1 / x twice instead of 1 / x^2, whose square may overflow.
    scaled = select(x > ONE, inverse * inverse / fma(inverse, inverse, ONE), ONE / fma(z, z, ONE))
    return select(x > ONE, share, HALF - share), fma(scaled, _PER_PI, scaled * _PER_PI_REST)


@formula
def uniform_tail(x, least):
    """Return (1/2 - x/2, 1/2), and (least, 0) from x = 1 on: a tiny tail instead of none, which others divide by."""
    return higher((ONE - x) * HALF, least), select(x < ONE, HALF, x * ZERO)


def _gaussian(u):  # type: ignore[no-untyped-def]
    return _gaussian_64(u)


def _cauchy(u):  # type: ignore[no-untyped-def]
    return _cauchy_64(u)


@overload(_gaussian, jit_options={"forceinline": True})
def _(u):  # type: ignore[no-untyped-def]
    return _gaussian_32 if _is_single(u) else _gaussian_64


@overload(_cauchy, jit_options={"forceinline": True})
def _(u):  # type: ignore[no-untyped-def]
    return _cauchy_32 if _is_single(u) else _cauchy_64


def _is_single(kind):  # type: ignore[no-untyped-def]
    return (kind.dtype if isinstance(kind, LanesType) else kind) == types.float32


@formula
def _four(value, u, c3, c2, c1, c0):
    """Return four steps of Horner's rule."""
    return fma(fma(fma(fma(value, u, c3), u, c2), u, c1), u, c0)


def _gaussian_32(u):  # type: ignore[no-untyped-def]
    c = _GAUSSIAN_32
    return _four(_four(fma(u, c[0], c[1]), u, c[2], c[3], c[4], c[5]), u, c[6], c[7], c[8], c[9])


def _gaussian_64(u):  # type: ignore[no-untyped-def]
    c = _GAUSSIAN_64
    value = _four(fma(u, c[0], c[1]), u, c[2], c[3], c[4], c[5])
    value = _four(_four(value, u, c[6], c[7], c[8], c[9]), u, c[10], c[11], c[12], c[13])
    return _four(_four(value, u, c[14], c[15], c[16], c[17]), u, c[18], c[19], c[20], c[21])


def _cauchy_32(u):  # type: ignore[no-untyped-def]
    c = _CAUCHY_32
    value = fma(fma(fma(fma(u, c[0], c[1]), u, c[2]), u, c[3]), u, c[4])
    return _four(value, u, c[5], c[6], c[7], c[8])


def _cauchy_64(u):  # type: ignore[no-untyped-def]
    c = _CAUCHY_64
    value = fma(fma(fma(fma(u, c[0], c[1]), u, c[2]), u, c[3]), u, c[4])
    value = _four(_four(value, u, c[5], c[6], c[7], c[8]), u, c[9], c[10], c[11], c[12])
    return _four(_four(value, u, c[13], c[14], c[15], c[16]), u, c[17], c[18], c[19], c[20])
