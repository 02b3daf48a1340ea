"""A straight boundary within one pixel: where it crosses, how much of the pixel lies beyond it, and the reverse.

Points are relative to the pixel's centre, so the pixel is the square [-1/2, 1/2]^2. A boundary u to v throws a shadow as seen
from the centre: the part of the pixel that it hides. It is a sector of the square less the triangle (0, u, v). Along a chain
of boundaries the shadows add up with the sign that each has, so the area beside a chain is exact, whatever its corners.
"""

import math

from ..jit import formula

_HALF_PIXEL = 0.5
# A boundary that ends in the very centre is seen from a little right of it, and less below: as the top-left rule does.
_ASIDE = 1e-9
_TINY = 1e-7  # px, keeps the slope of a sector finite for a boundary that ends in the centre


@formula
def interval_within(start, along, low, high, first, last):
    """Narrow [first, last] to the t with low <= start + t along <= high; empty (first > last) where there is none."""
    if along == 0.0:
        return (first, last) if low <= start < high else (1.0, 0.0)
    inverse = 1.0 / along
    enter, leave = (low - start) * inverse, (high - start) * inverse
    if enter > leave:
        enter, leave = leave, enter
    return max(first, enter), min(last, leave)


@formula
def place_on_border(x, y):
    """Return where the ray from the centre through (x, y) meets the pixel's border: 0 at the right, 1 below, 2, 3 and so on."""
    if abs(x) >= abs(y):
        slope = _HALF_PIXEL * y / x if x != 0.0 else 0.0
        return slope if x >= 0.0 else 2.0 + slope
    slope = -_HALF_PIXEL * x / y
    return 1.0 + slope if y > 0.0 else 3.0 + slope


@formula
def shadow_area(ux, uy, vx, vy):
    """Return the area of the pixel that the boundary u to v hides from the centre: a border of length l has a sector l / 4."""
    border = abs(place_on_border(vx - _ASIDE, vy - _ASIDE**2) - place_on_border(ux - _ASIDE, uy - _ASIDE**2))
    border = min(border, 4.0 - border)
    return max(0.25 * border - 0.5 * abs(ux * vy - uy * vx), 0.0)


@formula
def shadow_area_backward(ux, uy, vx, vy, turn, u_is_within, v_is_within):
    """Return the derivatives of `shadow_area` for u and v, as they move with the boundary; `turn` is 1 if u to v goes round the
    centre from x to y, else -1.

    Turning the ray through u sweeps a sector (1/2) |hit|^2 dangle, its part beyond u is what the shadow gains or loses: nothing
    where u lies on the pixel's border. So it counts for an end within the pixel, a vertex or a crossing.
    """
    sector_u, sector_v = 1.0, 1.0
    if u_is_within:
        sector_u = (_HALF_PIXEL / max(abs(ux), abs(uy), _TINY)) ** 2
    if v_is_within:
        sector_v = (_HALF_PIXEL / max(abs(vx), abs(vy), _TINY)) ** 2
    half = 0.5 * turn
    return (
        half * (sector_u * uy - vy),
        half * (vx - sector_u * ux),
        half * (uy - sector_v * vy),
        half * (sector_v * vx - ux),
    )


@formula
def nearest_on_edge(ax, ay, bx, by):
    """Return t of the point a + t (b - a) of an edge that is nearest to the origin."""
    dx, dy = bx - ax, by - ay
    square = dx * dx + dy * dy
    if square == 0.0:
        return 0.0
    return min(max(-(ax * dx + ay * dy) / square, 0.0), 1.0)


@formula
def nearest_on_edge_backward(grad, ax, ay, bx, by):
    """Return the gradient (ax, ay, bx, by) of the edge's ends for that of t, 0 where t is at an end."""
    dx, dy = bx - ax, by - ay
    square = dx * dx + dy * dy
    if square == 0.0:
        return 0.0, 0.0, 0.0, 0.0
    t = -(ax * dx + ay * dy) / square
    if t <= 0.0 or t >= 1.0:
        return 0.0, 0.0, 0.0, 0.0
    scale = grad / square
    return (
        scale * (ax - dx + 2.0 * t * dx),
        scale * (ay - dy + 2.0 * t * dy),
        scale * (-ax - 2.0 * t * dx),
        scale * (-ay - 2.0 * t * dy),
    )


@formula
def crossing(ax, ay, bx, by, px, py, qx, qy):
    """Return the shares of a segment ab and of a segment pq where they cross; beyond [0, 1] if they do not."""
    dx, dy, rx, ry = bx - ax, by - ay, qx - px, qy - py
    across = dx * ry - dy * rx
    if across == 0.0:
        return -1.0, -1.0
    sx, sy = px - ax, py - ay
    return (sx * ry - sy * rx) / across, (sx * dy - sy * dx) / across


@formula
def crossing_backward(grad, ax, ay, bx, by, px, py, qx, qy):
    """Return the gradients (x, y) of a, b, p and q for that of the share t of ab: t = (p - a) x r / (d x r), with d = b - a
    and r = q - p.

    Moving a point of the line ab by e has the crossing slide by -(e x r) / (d x r), and one of pq by as much forwards.
    """
    dx, dy, rx, ry = bx - ax, by - ay, qx - px, qy - py
    across = dx * ry - dy * rx
    if across == 0.0:
        return (0.0, 0.0), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0)
    sx, sy = px - ax, py - ay
    t, of_pq = (sx * ry - sy * rx) / across, (sx * dy - sy * dx) / across
    gx, gy = grad * ry / across, -grad * rx / across
    return (
        (-(1.0 - t) * gx, -(1.0 - t) * gy),
        (-t * gx, -t * gy),
        ((1.0 - of_pq) * gx, (1.0 - of_pq) * gy),
        (of_pq * gx, of_pq * gy),
    )


@formula
def chord(height, slope_x, slope_y):
    """Return the ends (ux, uy, vx, vy) of the line height + slope . p = 0 within the pixel, and whether there are any."""
    square = slope_x * slope_x + slope_y * slope_y
    if not square > 0.0:
        return 0.0, 0.0, 0.0, 0.0, False
    x, y = -height * slope_x / square, -height * slope_y / square
    length = math.sqrt(square)
    dx, dy = -slope_y / length, slope_x / length
    first, last = interval_within(x, dx, -_HALF_PIXEL, _HALF_PIXEL, -2.0, 2.0)
    first, last = interval_within(y, dy, -_HALF_PIXEL, _HALF_PIXEL, first, last)
    return x + first * dx, y + first * dy, x + last * dx, y + last * dy, last > first


@formula
def side_of(px, py, qx, qy, x, y):
    """Return (p - c) x (q - c) for c = (x, y): positive where c lies on the inner side of an edge of a face of positive area.

    Both faces of an edge must give its ends in one order, by `is_after`, so that rounding is the same for both.
    """
    return (px - x) * (qy - y) - (py - y) * (qx - x)


@formula
def is_after(ax, ay, bx, by):
    """Whether a comes after b in the order of places that `side_of` wants: by x, then by y."""
    return ax > bx or (ax == bx and ay > by)


@formula
def owns_border(ax, ay, bx, by):
    """Whether a face of positive area owns the points on its edge a to b: it does if that is at its left or top."""
    return by < ay or (by == ay and bx > ax)


@formula
def is_inside(ax, ay, bx, by, x, y):
    """Whether (x, y) lies on the inner side of an edge a to b, by the top-left rule on it."""
    turned = is_after(ax, ay, bx, by)
    side = -side_of(bx, by, ax, ay, x, y) if turned else side_of(ax, ay, bx, by, x, y)
    return side > 0.0 or (side == 0.0 and owns_border(ax, ay, bx, by))


@formula
def barycentric_slopes(ax, ay, bx, by, cx, cy):
    """Return the gradients (x, y) of a face's three barycentric coordinates."""
    inverse = 1.0 / ((bx - ax) * (cy - ay) - (by - ay) * (cx - ax))
    sbx, sby = (cy - ay) * inverse, (ax - cx) * inverse
    scx, scy = (ay - by) * inverse, (bx - ax) * inverse
    return -sbx - scx, -sby - scy, sbx, sby, scx, scy


@formula
def plane_slopes(slopes, at_a, at_b, at_c):
    """Return the slopes along x and y of what is linear in the image and has these values at a face's corners, `slopes` being
    those of its barycentric coordinates."""
    # Differences from corner a: small faces keep their digits.
    to_b, to_c = at_b - at_a, at_c - at_a
    return slopes[2] * to_b + slopes[4] * to_c, slopes[3] * to_b + slopes[5] * to_c
