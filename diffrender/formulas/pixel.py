"""What one face does at one pixel of a silhouette, given the pixel's place along and across the face's three edges."""

from ..jit import formula
from .constants import HALF, ZERO
from .coverage import coverage_logit, sigmoid, union_backward, union_step
from .triangle import boundary, share_of_edges


@formula
def covered(
    odds,
    along0,
    across0,
    half0,
    along1,
    across1,
    half1,
    along2,
    across2,
    half2,
    inverse_sigma,
    lowest,
    highest,
):
    """Return the odds of being covered with the face, unchanged where its coverage is below the cutoff."""
    d2, inside, _, _, _, _, _ = boundary(along0, across0, half0, along1, across1, half1, along2, across2, half2)
    logit = coverage_logit(d2, inside, inverse_sigma)
    counts = logit >= lowest
    logit = logit if logit < highest else highest
    return union_step(odds, logit) if counts else odds


@formula
def covered_backward(upstream, d2, inside, inverse_sigma, lowest, highest):
    """Return the gradient of d^2 for `upstream` = grad_alpha * T; 0 where the coverage is below the cutoff."""
    logit = coverage_logit(d2, inside, inverse_sigma)
    counts = logit >= lowest
    logit = logit if logit < highest else highest
    logit = logit if counts else lowest
    grad_logit = union_backward(upstream, sigmoid(logit))
    grad_logit = grad_logit if counts else ZERO
    return coverage_logit(grad_logit, inside, inverse_sigma)  # x is linear in d^2


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
    g0, g1, g2 = share_of_edges(grad_d2, second, third)
    over0, over1, over2 = along0 - within0, along1 - within1, along2 - within2
    h0 = g0 * (within0 * inverse0 + HALF)
    h1 = g1 * (within1 * inverse1 + HALF)
    h2 = g2 * (within2 * inverse2 + HALF)
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
