"""Barycentric coordinates clipped to the triangle."""

from ..jit import formula
from .constants import ONE, ZERO


@formula
def clipped_barycentric(rax, ray, rbx, rby, rcx, rcy, abx, aby, bcx, bcy, cax, cay, inverse_area):
    """Return (ba, bb, bc, inverse_sum): barycentric coordinates of p clipped to >= 0 and renormalised to sum 1.

    The unclipped ones sum to 1, so what is left after clipping sums to at least 1: the division is safe.
    """
    ba = (bcx * rby - bcy * rbx) * inverse_area
    bb = (cax * rcy - cay * rcx) * inverse_area
    bc = (abx * ray - aby * rax) * inverse_area
    ba = ba if ba > ZERO else ZERO
    bb = bb if bb > ZERO else ZERO
    bc = bc if bc > ZERO else ZERO
    inverse_sum = ONE / (ba + bb + bc)
    return ba * inverse_sum, bb * inverse_sum, bc * inverse_sum, inverse_sum


@formula
def clipped_barycentric_backward(ga, gb, gc, ba, bb, bc, inverse_sum, abx, aby, bcx, bcy, cax, cay, inverse_area):
    """Return (hx, hy), the gradient with respect to p, for gradients of the clipped coordinates.

    Moving corner k by e moves p by -u_k e relative to the triangle (u unclipped), so the corners get -u_k (hx, hy).
    """
    mean = ga * ba + gb * bb + gc * bc
    ga = (ga - mean) * inverse_sum if ba > ZERO else ZERO
    gb = (gb - mean) * inverse_sum if bb > ZERO else ZERO
    gc = (gc - mean) * inverse_sum if bc > ZERO else ZERO
    hx = -(ga * bcy + gb * cay + gc * aby) * inverse_area
    hy = (ga * bcx + gb * cax + gc * abx) * inverse_area
    return hx, hy
