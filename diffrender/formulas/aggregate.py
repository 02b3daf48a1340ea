"""The depth softmax that picks a colour among the faces over a pixel."""

from ..jit import formula
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
    distance = -difference if nearer else difference
    clamped = distance if distance > lowest else lowest
    share = exp(clamped)
    share = share if distance > lowest else ZERO  # flushed, not denormal
    scale = share if nearer else ONE
    weight = coverage if nearer else coverage * share
    return logit if nearer else maximum, scale, weight


@formula
def softmax_weight(maximum, logit, coverage, inverse_sum, lowest):
    """Return w_j / sum w with the maximum and the inverse sum that the forward pass kept."""
    difference = logit - maximum
    clamped = difference if difference > lowest else lowest
    weight = coverage * exp(clamped) * inverse_sum
    return weight if difference > lowest else ZERO
