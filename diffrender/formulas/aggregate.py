"""The depth softmax that picks a colour among the faces over a pixel."""

from ..jit import formula
from ..lanes import higher, lower, select
from .constants import ONE, ZERO
from .fastmath import exp


@formula
def depth_logit(depth, nearest, scale):
    """Return zbar / gamma less that of the nearest vertex: (nearest - z) / ((far - near) gamma)."""
    return (nearest - depth) * scale


@formula
def softmax_step(maximum, logit, coverage, lowest):
    """Return (maximum', scale, weight): the running maximum of the depth logits, the factor for the sums so far and
    the weight of the new face, both relative to maximum'. One exp: either scale or the new face's share of it is 1."""
    difference = logit - maximum
    nearer = difference > ZERO
    distance = select(nearer, -difference, difference)
    # Flushed, not denormal.
    share = select(distance > lowest, exp(higher(distance, lowest)), ZERO)
    return select(nearer, logit, maximum), select(nearer, share, ONE), coverage * select(nearer, ONE, share)


@formula
def softmax_weight(maximum, logit, coverage, inverse_sum, lowest):
    """Return w_j / sum w with the maximum and the inverse sum that the forward pass kept."""
    difference = logit - maximum
    # Above 0 it is the difference to a face that does not count here; its exp is not to overflow.
    weight = coverage * exp(higher(lower(difference, ZERO), lowest)) * inverse_sum
    return select(difference > lowest, weight, ZERO)
