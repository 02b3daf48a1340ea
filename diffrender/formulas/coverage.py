"""Coverage D = F(x), x = +-d^2 / sigma, and its union over faces: F is the sigmoid, or one of `diffrender.formulas.shape`."""

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
    """Return Q' for Q = prod(1 / (1 - D)) - 1, the odds of being covered, with one more face of odds D / (1 - D), which are
    exp(x) for the sigmoid: Q' = Q + (1 + Q) exp(x).

    Q instead of the product P keeps small alphas exact; overflow to inf is right, alpha is then 1.
    """
    return fma(ONE + odds, exponential, odds)


@formula
def union_end(odds):
    """Return alpha and the transmittance T = 1 - alpha of the odds Q: alpha = Q / (1 + Q), 1 where Q is inf."""
    transmittance = ONE / (ONE + odds)
    return select(transmittance > ZERO, odds * transmittance, ONE), transmittance


@formula
def union_backward(transmittance, rate):
    """Return d alpha / d x_j = T r_j, r being D' / (1 - D), which is D for the sigmoid: 0 where alpha saturates."""
    return transmittance * rate


@formula
def sigmoid(logit):
    """Return 1 / (1 + exp(-x)) for x within the range of `exp`."""
    return ONE / (ONE + exp(-logit))


@formula
def log_coverage_backward(grad_log, log_rate):
    """Return the gradient for x of log D: d log D / dx = D' / D, which is 1 - D for the sigmoid."""
    return grad_log * log_rate
