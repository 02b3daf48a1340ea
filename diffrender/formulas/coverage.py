"""Coverage D = sigmoid(x), x = +-d^2 / sigma, and its probabilistic union over faces."""

from ..jit import formula
from ..lanes import fma, select
from .constants import ONE, ZERO
from .fastmath import exp


@formula
def coverage_logit(squared_distance, inside, inverse_sigma):
    """Return x = s d^2 / sigma with s = +1 inside, -1 outside."""
    return squared_distance * select(inside, inverse_sigma, -inverse_sigma)


@formula
def union_step(odds, exponential):
    """Return Q' for Q = prod(1 + exp(x)) - 1, the odds of being covered, with one more face: Q' = Q + (1 + Q) exp(x).

    Q instead of the product P keeps small alphas exact; overflow to inf is right, alpha is then 1.
    """
    return fma(ONE + odds, exponential, odds)


@formula
def union_end(odds):
    """Return alpha and the transmittance T = 1 - alpha of the odds Q: alpha = Q / (1 + Q), 1 where Q is inf."""
    transmittance = ONE / (ONE + odds)
    return select(transmittance > ZERO, odds * transmittance, ONE), transmittance


@formula
def union_backward(transmittance, coverage):
    """Return d alpha / d x_j = T D_j: no division by 1 - D_j, no clamp, and 0 where alpha saturates."""
    return transmittance * coverage


@formula
def sigmoid(logit):
    """Return 1 / (1 + exp(-x)) for x within the range of `exp`."""
    return ONE / (ONE + exp(-logit))


@formula
def log_coverage_backward(grad_log, coverage):
    """Return the gradient for x of log D: d log D / dx = 1 - D."""
    return grad_log * (ONE - coverage)
