"""What one face sends back from one pixel, given the pixel's place along and across the face's three edges."""

from ..jit import formula
from ..lanes import fma, higher, select, times_sign
from .constants import HALF, ZERO
from .coverage import coverage_logit, union_backward
from .shape import rates
from .triangle import of_nearest_edge


@formula
def covered_backward(upstream, d2, inside, inverse_sigma, lowest, shape):
    """Return the gradient of d^2 for `upstream` = grad_alpha * T; 0 where the coverage is below the cutoff."""
    logit = coverage_logit(d2, inside, inverse_sigma)
    return covered_logit_backward(upstream, logit, lowest, shape) * inverse_sigma


@formula
def covered_logit_backward(upstream, logit, lowest, shape):
    """Return `covered_backward` times sigma from the coverage logit, whose sign is that of its slope in d^2."""
    _, rate, _ = rates(higher(logit, lowest), shape)
    grad_logit = select(logit >= lowest, union_backward(upstream, rate), ZERO)
    return times_sign(grad_logit, logit)


@formula
def edge_products(
    grad_d2,
    second,
    third,
    along0,
    across0,
    within0,
    inverse0,
    along1,
    across1,
    within1,
    inverse1,
    along2,
    across2,
    within2,
    inverse2,
):
    """Return twelve numbers, four an edge, whose sums over pixels `squared_distance_backward` takes: g * across, g * over,
    and both times t, g being the gradient of d^2 for the nearest edge and 0 for the others; inverse0 = 1 / (2 * half0)."""
    g0, g1, g2 = of_nearest_edge(grad_d2, grad_d2, grad_d2, second, third)
    over0, over1, over2 = along0 - within0, along1 - within1, along2 - within2
    h0 = g0 * fma(within0, inverse0, HALF)
    h1 = g1 * fma(within1, inverse1, HALF)
    h2 = g2 * fma(within2, inverse2, HALF)
    return (
        g0 * across0,
        g0 * over0,
        h0 * across0,
        h0 * over0,
        g1 * across1,
        g1 * over1,
        h1 * across1,
        h1 * over1,
        g2 * across2,
        g2 * over2,
        h2 * across2,
        h2 * over2,
    )
