"""Exponential and logarithm for scalars and lanes, since Numba has had no vector math library since 0.62; and rounding down."""

import math

import numpy as np
from numba import types

from ..jit import overload
from ..lanes import LanesType, exp_of_lanes, fma, log_of_lanes, round_down, scale_by_power, split_power

_LOG2_E = np.float32(1.4426950408889634)
# 1.5 * 2**23: adding it rounds to an integer, which the low bits then hold; with 127, biased as an exponent is.
_ROUND = np.float32(12582912)
_ROUND_BIASED = np.float32(12582912 + 127)
_MANTISSA_BITS = np.int32(23)
# 2**f on [-0.5, 0.5], degree 5, minimax in relative error (Remez): 7.5e-8
_C0 = np.float32(1.0000000716546822)
_C1 = np.float32(0.6931469670647331)
_C2 = np.float32(0.24022119723848476)
_C3 = np.float32(0.05550713273542589)
_C4 = np.float32(0.009675541334216184)
_C5 = np.float32(0.0013276471979479397)

# (log(1 + f) - f + f^2 / 2) / f^3 on [sqrt(1/2) - 1, sqrt(2) - 1], degree 8: Moshier, Cephes, logf
_LOG = (
    np.float32(7.0376836292e-2),
    np.float32(-1.1514610310e-1),
    np.float32(1.1676998740e-1),
    np.float32(-1.2420140846e-1),
    np.float32(1.4249322787e-1),
    np.float32(-1.6668057665e-1),
    np.float32(2.0000714765e-1),
    np.float32(-2.4999993993e-1),
    np.float32(3.3333331174e-1),
)
_ONE, _HALF, _LN_2 = np.float32(1), np.float32(0.5), np.float32(0.6931471805599453)


def exp(x):
    """Return e**x; in float32 for x in [-87, 88] only, within 2.5e-7 relative + 7e-8 * |x|. Callers clamp."""
    return math.exp(x)


@overload(exp, inline="never", jit_options={"fastmath": {"contract", "nsz"}, "forceinline": True})
def _exp(x):
    if isinstance(x, LanesType):
        return _exp_of_float32_lanes if x.dtype == types.float32 else lambda x: exp_of_lanes(x)
    if x == types.float32:
        return _exp_float32
    return lambda x: math.exp(x)


# e**x = 2**n * 2**f with n = round(x log2 e): n goes straight into the exponent bits, 2**f is a polynomial.


def _exp_float32(x):
    shifted = np.float32(x * _LOG2_E + _ROUND_BIASED)
    f = x * _LOG2_E - (shifted - _ROUND_BIASED)
    mantissa = _C0 + f * (_C1 + f * (_C2 + f * (_C3 + f * (_C4 + f * _C5))))
    return np.int32(np.float32(shifted).view(np.int32) << _MANTISSA_BITS).view(np.float32) * mantissa


def _exp_of_float32_lanes(x):
    shifted = fma(x, _LOG2_E, _ROUND)
    f = fma(x, _LOG2_E, _ROUND - shifted)
    mantissa = fma(f, fma(f, fma(f, fma(f, fma(f, _C5, _C4), _C3), _C2), _C1), _C0)
    return scale_by_power(mantissa, shifted)


def log(x):
    """Return the natural logarithm of x; of lanes of float32 for normal x only, within 2e-7 relative + 1e-7."""
    return math.log(x)


@overload(log, jit_options={"forceinline": True})
def _log(x):
    if isinstance(x, LanesType):
        return _log_of_float32_lanes if x.dtype == types.float32 else lambda x: log_of_lanes(x)
    return lambda x: math.log(x)


def _log_of_float32_lanes(x):
    mantissa, power = split_power(x)
    f = mantissa - _ONE
    rest = fma(f, _LOG[0], _LOG[1])
    rest = fma(f, rest, _LOG[2])
    rest = fma(f, rest, _LOG[3])
    rest = fma(f, rest, _LOG[4])
    rest = fma(f, rest, _LOG[5])
    rest = fma(f, rest, _LOG[6])
    rest = fma(f, rest, _LOG[7])
    rest = fma(f, rest, _LOG[8])
    square = f * f
    return fma(power, _LN_2, fma(square, f * rest - _HALF, f))


def floor(x):
    """Return the largest whole number not above x, as a real of its precision; of scalars within the range of int64."""
    return math.floor(x)


@overload(floor, jit_options={"forceinline": True})
def _floor(x):
    if isinstance(x, LanesType):
        return lambda x: round_down(x)
    real = np.float32 if x == types.float32 else np.float64

    def round_scalar_down(x):
        towards_zero = real(np.int64(x))  # math.floor is a call into the C library
        return towards_zero if towards_zero <= x else towards_zero - real(1)

    return round_scalar_down
