"""Where a point lies relative to a triangle. Triangles arrive with positive signed area, points as p - corner."""

import math

from ..jit import formula
from .constants import HALF, ONE, ZERO


@formula
def signed_area_twice(ax, ay, bx, by, cx, cy):
    """Return (b - a) x (c - a): twice the area, negative for a face seen from its front (y points down)."""
    return (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)


@formula
def triangle_edges(ax, ay, bx, by, cx, cy, ab, bc, ca):
    """Return edges ab, bc, ca and each edge over its squared length, whose inverses are ab, bc, ca."""
    abx, aby = bx - ax, by - ay
    bcx, bcy = cx - bx, cy - by
    cax, cay = ax - cx, ay - cy
    return (abx, aby, bcx, bcy, cax, cay), (abx * ab, aby * ab, bcx * bc, bcy * bc, cax * ca, cay * ca)


@formula
def edge_offset(rx, ry, ex, ey, ux, uy):
    """Return (t, dx, dy) of the edge point q = a + t e nearest to p, t in [0, 1], d = p - q; r = p - a, u = e / |e|^2."""
    t = rx * ux + ry * uy
    t = t if t > ZERO else ZERO
    t = t if t < ONE else ONE
    return t, rx - t * ex, ry - t * ey


@formula
def boundary_offset(rax, ray, rbx, rby, rcx, rcy, abx, aby, bcx, bcy, cax, cay, uabx, uaby, ubcx, ubcy, ucax, ucay):
    """Return (d2, inside, dx, dy, wa, wb, wc): squared distance to the boundary, whether p is inside, d = p - q for the
    nearest boundary point q, and q's weights on the corners."""
    t0, dx0, dy0 = edge_offset(rax, ray, abx, aby, uabx, uaby)
    t1, dx1, dy1 = edge_offset(rbx, rby, bcx, bcy, ubcx, ubcy)
    t2, dx2, dy2 = edge_offset(rcx, rcy, cax, cay, ucax, ucay)
    d0 = dx0 * dx0 + dy0 * dy0
    d1 = dx1 * dx1 + dy1 * dy1
    d2 = dx2 * dx2 + dy2 * dy2
    c0 = abx * ray - aby * rax
    c1 = bcx * rby - bcy * rbx
    c2 = cax * rcy - cay * rcx
    c0 = c0 if c0 < c1 else c1
    c0 = c0 if c0 < c2 else c2
    # Selects instead of branches, nearest edge first, so that the loop over pixels vectorises.
    second = d1 < d0
    d = d1 if second else d0
    dx = dx1 if second else dx0
    dy = dy1 if second else dy0
    wa = ZERO if second else ONE - t0
    wb = ONE - t1 if second else t0
    wc = t1 if second else ZERO
    third = d2 < d
    d = d2 if third else d
    dx = dx2 if third else dx
    dy = dy2 if third else dy
    wa = t2 if third else wa
    wb = ZERO if third else wb
    wc = ONE - t2 if third else wc
    return d, c0 >= ZERO, dx, dy, wa, wb, wc


@formula
def squared_distance_backward(grad_d2, dx, dy):
    """Return the gradient (gx, gy) that a corner gets per unit of its weight on q: d(d^2) = -2 w d.

    The closest point's own motion along the edge drops out, since d is perpendicular to it or q is a corner.
    """
    step = -(grad_d2 + grad_d2)
    return step * dx, step * dy


@formula
def edge_in_slab(ax, ay, ex, ey, low, high, left, right):
    """Widen [left, right] by the x range of the edge a + t e inside the horizontal slab low <= y <= high.

    A horizontal edge adds nothing: its ends belong to the other two edges.
    """
    if ey == ZERO:
        return left, right
    inverse = ONE / ey
    t0 = (low - ay) * inverse
    t1 = (high - ay) * inverse
    first = t0 if t0 < t1 else t1
    last = t1 if t0 < t1 else t0
    if first > ONE or last < ZERO:
        return left, right
    first = first if first > ZERO else ZERO
    last = last if last < ONE else ONE
    x0 = ax + first * ex
    x1 = ax + last * ex
    low_x = x0 if x0 < x1 else x1
    high_x = x1 if x0 < x1 else x0
    return low_x if low_x < left else left, high_x if high_x > right else right


@formula
def pixel_range(low, high, count):
    """Return the first and last of `count` (a real) pixels whose centres lie in [low, high]; last < first if none does."""
    first = math.ceil(min(max(low, -ONE), count + ONE) - HALF)
    last = math.floor(min(max(high, -ONE), count + ONE) - HALF)
    return max(int(first), 0), min(int(last), int(count) - 1)


@formula
def columns_in_slab(low, high, first, last, radius, width, ax, ay, bx, by, cx, cy, abx, aby, bcx, bcy, cax, cay):
    """Return the columns of the pixels with low <= y <= high that can lie within `radius` of a triangle.

    [first, last] bounds the triangle's columns; `width` of the image is a real.
    """
    low, high = low - radius, high + radius
    left = max(ax, bx, cx)
    right = min(ax, bx, cx)
    left, right = edge_in_slab(ax, ay, abx, aby, low, high, left, right)
    left, right = edge_in_slab(bx, by, bcx, bcy, low, high, left, right)
    left, right = edge_in_slab(cx, cy, cax, cay, low, high, left, right)
    begin, end = pixel_range(left - radius, right + radius, width)
    return max(begin, first), min(end, last)
