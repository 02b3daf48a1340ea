"""Where a point lies relative to a triangle. Triangles arrive with positive signed area, points as p - corner."""

import math

import numpy as np

from ..jit import formula
from ..lanes import fma, higher, lower, select
from .constants import HALF, ONE, TWO, ZERO


@formula
def signed_area_twice(ax, ay, bx, by, cx, cy):
    """Return (b - a) x (c - a): twice the area, negative for a face seen from its front (y points down)."""
    return (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)


@formula
def half_length(ax, ay, bx, by):
    """Return half the length of an edge ab."""
    return HALF * math.sqrt((bx - ax) * (bx - ax) + (by - ay) * (by - ay))


@formula
def edge_frame(ax, ay, bx, by, half):
    """Return (mx, my, nx, ny), the middle of an edge ab of length 2 * half and its normal, which points inwards.

    A face's geometry is three such frames with their half lengths: of ab, bc and ca. The edge's direction is (ny, -nx).
    """
    inverse = HALF / half
    return (ax + bx) * HALF, (ay + by) * HALF, (ay - by) * inverse, (bx - ax) * inverse


@formula
def edge_start(mx, my, nx, ny, half):
    """Return the corner that an edge begins at."""
    return mx - half * ny, my + half * nx


@formula
def edge_coordinates(x, y, mx, my, nx, ny):
    """Return a point's place along an edge, from its middle, and across it, positive inside."""
    rx, ry = x - mx, y - my
    return rx * ny - ry * nx, rx * nx + ry * ny


@formula
def along_within(along, half):
    """Return the place along an edge of the edge's point nearest to one at `along`."""
    return higher(lower(along, half), -half)


@formula
def boundary(along0, across0, half0, along1, across1, half1, along2, across2, half2):
    """Return (d2, inside, within0, within1, within2, second, third): squared distance to the boundary, whether the point is
    inside, the nearest points along the three edges, and which edge is nearest: the third, else the second, else the first.
    """
    within0, within1, within2 = along_within(along0, half0), along_within(along1, half1), along_within(along2, half2)
    d2, second, third = nearest_edge(across0, along0 - within0, across1, along1 - within1, across2, along2 - within2)
    return d2, lower(lower(across0, across1), across2) >= ZERO, within0, within1, within2, second, third


@formula
def nearest_edge(across0, over0, across1, over1, across2, over2):
    """Return the squared distance to the boundary, and whether the second, or else the third edge is nearest.

    The nearest point of an edge is at (across, over) in its frame.
    """
    d0 = fma(across0, across0, over0 * over0)
    d1 = fma(across1, across1, over1 * over1)
    d2 = fma(across2, across2, over2 * over2)
    # Selects instead of branches: all lanes go the same way.
    second = d1 < d0
    d = lower(d1, d0)
    return lower(d2, d), second, d2 < d


@formula
def nearest_weights(within0, inverse0, within1, minus_inverse1, within2, minus_inverse2, second, third):
    """Return the weights (b, c) of the corners in the nearest point q = (1 - b - c) A + b B + c C of the boundary.

    `within` is q's place along each edge from its middle, inverse0 = 1 / (2 * half0).
    """
    b_of_ab = fma(within0, inverse0, HALF)
    b_of_bc, c_of_ca = fma(within1, minus_inverse1, HALF), fma(within2, minus_inverse2, HALF)
    return (
        select(third, ZERO, select(second, b_of_bc, b_of_ab)),
        select(third, c_of_ca, select(second, ONE - b_of_bc, ZERO)),
    )


@formula
def of_nearest_edge(value0, value1, value2, second, third):
    """Return the value of the nearest edge in its place and 0 for the other two."""
    return (
        select(third, ZERO, select(second, ZERO, value0)),
        select(third, ZERO, select(second, value1, ZERO)),
        select(third, value2, ZERO),
    )


@formula
def squared_distance_backward(across, over, across_t, over_t, nx, ny):
    """Return the gradient (ax, ay, bx, by) of an edge's ends, for sums over points of g * across, g * over, and both times
    t, with g the gradient of d^2 and q = a + t (b - a) the nearest point, at (across, over) in the edge's frame from p.

    d(d^2) = -2 (1 - t) (p - q) to a and -2 t (p - q) to b: the nearest point's own motion along the edge drops out, since
    p - q is perpendicular to it or q is a corner.
    """
    bx, by = -TWO * (across_t * nx + over_t * ny), -TWO * (across_t * ny - over_t * nx)
    return -TWO * (across * nx + over * ny) - bx, -TWO * (across * ny - over * nx) - by, bx, by


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
    first = np.int64(math.ceil(lower(higher(low, -ONE), count + ONE) - HALF))
    last = np.int64(math.floor(lower(higher(high, -ONE), count + ONE) - HALF))
    return higher(first, 0), lower(last, np.int64(count) - 1)


@formula
def columns_in_slab(low, high, first, last, radius, width, ab, bc, ca):
    """Return the columns of the pixels with low <= y <= high that can lie within `radius` of a triangle of three edges.

    An edge is (mx, my, nx, ny, half), see `edge_frame`; [first, last] bounds the triangle's columns; `width` of the image
    is a real.
    """
    ax, ay = edge_start(*ab)
    bx, by = edge_start(*bc)
    cx, cy = edge_start(*ca)
    low, high = low - radius, high + radius
    left = higher(higher(ax, bx), cx)
    right = lower(lower(ax, bx), cx)
    left, right = edge_in_slab(ax, ay, bx - ax, by - ay, low, high, left, right)
    left, right = edge_in_slab(bx, by, cx - bx, cy - by, low, high, left, right)
    left, right = edge_in_slab(cx, cy, ax - cx, ay - cy, low, high, left, right)
    begin, end = pixel_range(left - radius, right + radius, width)
    return higher(begin, first), lower(end, last)
