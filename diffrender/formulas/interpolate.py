"""Barycentric coordinates clipped to the triangle."""

from ..jit import formula
from ..lanes import higher, select
from .constants import ONE, ZERO


@formula
def clipped_barycentric(ua, ub, uc):
    """Return (ba, bb, bc, inverse_sum): barycentric coordinates clipped to >= 0 and renormalised to sum 1.

    The unclipped ones sum to 1, so what is left after clipping sums to at least 1: the division is safe. They are the
    place across the opposite edge, times that edge's length over twice the area.
    """
    ba = higher(ua, ZERO)
    bb = higher(ub, ZERO)
    bc = higher(uc, ZERO)
    inverse_sum = ONE / (ba + bb + bc)
    return ba * inverse_sum, bb * inverse_sum, bc * inverse_sum, inverse_sum


@formula
def clipped_barycentric_backward(ga, gb, gc, ba, bb, bc, inverse_sum, slopes):
    """Return (hx, hy), the gradient with respect to p, for gradients of the clipped coordinates.

    `slopes` are the gradients of the unclipped ones: (x, y) of a, b and c. Moving corner k by e moves p by -u_k e relative
    to the triangle (u unclipped), so the corners get -u_k (hx, hy).
    """
    mean = ga * ba + gb * bb + gc * bc
    ga = select(ba > ZERO, (ga - mean) * inverse_sum, ZERO)
    gb = select(bb > ZERO, (gb - mean) * inverse_sum, ZERO)
    gc = select(bc > ZERO, (gc - mean) * inverse_sum, ZERO)
    return ga * slopes[0] + gb * slopes[2] + gc * slopes[4], ga * slopes[1] + gb * slopes[3] + gc * slopes[5]
