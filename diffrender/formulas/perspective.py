"""Weights of a face's corners as they are in space, from those in the image, which perspective bends."""

from ..jit import formula
from .constants import ONE


@formula
def perspective_weights(ba, bb, bc, qa, qb, qc):
    """Return (wa, wb, wc, inverse): w_k = b_k q_k / sum(b q) and 1 / sum(b q), q_k being 1 / depth of a corner in any unit.

    With q = 1 they are b itself. Heckbert & Moreton, Interpolation for Polygon Texture Mapping and Shading, 1991.
    """
    wa, wb, wc = ba * qa, bb * qb, bc * qc
    inverse = ONE / (wa + wb + wc)
    return wa * inverse, wb * inverse, wc * inverse, inverse


@formula
def perspective_weights_backward(ga, gb, gc, shrinking, wa, wb, wc, qa, qb, qc, inverse):
    """Return the gradients of (ba, bb, bc) and of (log qa, log qb, log qc) for gradients of the weights.

    `shrinking` is the gradient of log `inverse`, for what else it was used for. The reverse of dividing by a sum takes
    the mean off: d w_k / d(b_j q_j) = (delta_jk - w_k) / sum(b q).
    """
    mean = ga * wa + gb * wb + gc * wc + shrinking
    ga, gb, gc = ga - mean, gb - mean, gc - mean
    return ga * qa * inverse, gb * qb * inverse, gc * qc * inverse, ga * wa, gb * wb, gc * wc
