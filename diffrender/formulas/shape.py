"""The function F of coverage D = F(x): which one, a kernel knows by the type of an argument, so that it holds no branch.

Each is the distribution function of something symmetric: F(-x) = 1 - F(x). The sigmoid has forms of its own; the others are
made from their tails, since 1 - F(x) by subtraction would lose the digits of faces that cover nearly all or nothing.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from ..jit import formula, overload
from ..lanes import higher, lower, select
from ..limits import limits_of
from .constants import ONE, ZERO
from .coverage import sigmoid
from .fastmath import exp
from .tails import cauchy_tail, gaussian_tail, uniform_tail


class Sigmoid(NamedTuple):
    """F(x) = 1 / (1 + exp(-x)); x is cut off at `highest`."""

    highest: float


class Gaussian(NamedTuple):
    """F = Phi, the standard normal distribution function; |x| is cut off at `highest`."""

    highest: float


class Cauchy(NamedTuple):
    """F(x) = 1/2 + atan(x) / pi; |x| is cut off at `highest`."""

    highest: float


class Uniform(NamedTuple):
    """F(x) = 1/2 + x/2 within [0, 1]; 1 - F is `least` where it would be less."""

    least: float


@cache
def shape_of(coverage: str, dtype: np.dtype) -> Sigmoid | Gaussian | Cauchy | Uniform:
    """Return the argument for a coverage's name in a precision."""
    kinds: dict[str, Any] = {"sigmoid": Sigmoid, "gaussian": Gaussian, "cauchy": Cauchy, "uniform": Uniform}
    return kinds[coverage](dtype.type(limits_of(dtype).bounds[coverage]))


def face_odds(logit, shape):  # type: ignore[no-untyped-def]
    """Return the odds D / (1 - D) of a face at its coverage logit x: its factor of prod(1 / (1 - D)), less 1."""
    return _face_odds(logit, shape)


def rates(logit, shape):  # type: ignore[no-untyped-def]
    """Return (D, D' / (1 - D), D' / D): coverage, and the slopes in x of -log(1 - D) and of log D."""
    return _rates(logit, shape)


def _tail(logit, shape):  # type: ignore[no-untyped-def]
    """Return F(-|x|), the smaller one of D and 1 - D, and D'."""


@formula
def _face_odds(logit, shape):
    return face_odds(logit, shape)


@formula
def _rates(logit, shape):
    return rates(logit, shape)


def _sigmoid_odds(logit, shape):  # type: ignore[no-untyped-def]
    return exp(lower(logit, shape.highest))


def _sigmoid_rates(logit, shape):  # type: ignore[no-untyped-def]
    coverage = sigmoid(lower(logit, shape.highest))
    return coverage, coverage, ONE - coverage


def _odds_by_tail(logit, shape):  # type: ignore[no-untyped-def]
    tail, _ = _tail(logit, shape)
    return select(logit < ZERO, tail, ONE - tail) / select(logit < ZERO, ONE - tail, tail)


def _rates_by_tail(logit, shape):  # type: ignore[no-untyped-def]
    tail, slope = _tail(logit, shape)
    coverage, rest = select(logit < ZERO, tail, ONE - tail), select(logit < ZERO, ONE - tail, tail)
    return coverage, slope / rest, slope / coverage


def _gaussian(logit, shape):  # type: ignore[no-untyped-def]
    return gaussian_tail(lower(higher(logit, -logit), shape.highest))


def _cauchy(logit, shape):  # type: ignore[no-untyped-def]
    return cauchy_tail(lower(higher(logit, -logit), shape.highest))


def _uniform(logit, shape):  # type: ignore[no-untyped-def]
    return uniform_tail(higher(logit, -logit), shape.least)


_TAILS = {Gaussian: _gaussian, Cauchy: _cauchy, Uniform: _uniform}


def _class(kind: Any) -> Any:
    return getattr(kind, "instance_class", None)


@overload(face_odds, jit_options={"forceinline": True})
def _(logit, shape):  # type: ignore[no-untyped-def]
    return _sigmoid_odds if _class(shape) is Sigmoid else _odds_by_tail


@overload(rates, jit_options={"forceinline": True})
def _(logit, shape):  # type: ignore[no-untyped-def]
    return _sigmoid_rates if _class(shape) is Sigmoid else _rates_by_tail


@overload(_tail, jit_options={"forceinline": True})
def _(logit, shape):  # type: ignore[no-untyped-def]
    return _TAILS.get(_class(shape))
