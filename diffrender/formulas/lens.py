"""Where a lens puts a normalised point (x / z, y / z), and the reverse. In float64.

`lens` (8,) is k1, k2, k3, k4, p1, p2, where it goes straight, and 1 for a fisheye. With s the radius r, or a fisheye's angle,
c = min(s, straight) and u = (s - c) / s: the bent radius is rho = c P(c^2) + (s - c) slope(c) = s (P + u (slope - P)), and r^2,
which the tangential shift grows with, becomes c (2 s - c) = s^2 (1 - u^2).
"""

import math

from ..jit import formula

_TINY = 1e-12  # radius: 0 / 0 on the axis
_FISHEYE = 7


@formula
def polynomial(square, lens):
    """Return P(s^2), the bent radius over s."""
    return 1.0 + square * (lens[0] + square * (lens[1] + square * (lens[2] + square * lens[3])))


@formula
def slope(square, lens):
    """Return the derivative of s P(s^2) for s."""
    return 1.0 + square * (
        3.0 * lens[0] + square * (5.0 * lens[1] + square * (7.0 * lens[2] + square * (9.0 * lens[3])))
    )


@formula
def curvature(s, lens):
    """Return the derivative of the slope for s."""
    square = s * s
    return s * (6.0 * lens[0] + square * (20.0 * lens[1] + square * (42.0 * lens[2] + square * (72.0 * lens[3]))))


@formula
def _radii(x, y, lens):
    """Return (r, s, c), r and s kept off 0."""
    r = math.sqrt(x * x + y * y)
    s = math.atan(r) if lens[_FISHEYE] != 0.0 else r
    return max(r, _TINY), max(s, _TINY), min(s, lens[6])


@formula
def bend(x, y, lens):
    """Return (x', y') = (x, y) rho / r + T(x, y) (1 - u^2), T being the tangential shift."""
    r, s, c = _radii(x, y, lens)
    u = max(s - c, 0.0) / s
    p = polynomial(c * c, lens)
    scale = (p + u * (slope(c * c, lens) - p)) * (s / r)
    p1, p2, square, shrink = lens[4], lens[5], x * x + y * y, 1.0 - u * u
    return (
        x * scale + shrink * (2.0 * p1 * x * y + p2 * (square + 2.0 * x * x)),
        y * scale + shrink * (p1 * (square + 2.0 * y * y) + 2.0 * p2 * x * y),
    )


@formula
def bend_backward(x, y, gx, gy, lens):
    """Return the gradients for x, y, the six coefficients and the place where it goes straight, for (gx, gy) of `bend`.

    Both factors depend on x and y through r alone; T's Jacobian is symmetric.
    """
    r, s, c = _radii(x, y, lens)
    over = max(s - c, 0.0)
    u = over / s
    p, steep = polynomial(c * c, lens), slope(c * c, lens)
    scale, shrink = (p + u * (steep - p)) * (s / r), 1.0 - u * u
    p1, p2, square, product = lens[4], lens[5], x * x + y * y, 2.0 * x * y
    shift_x, shift_y = p1 * product + p2 * (square + 2.0 * x * x), p1 * (square + 2.0 * y * y) + p2 * product
    along, across = gx * x + gy * y, gx * shift_x + gy * shift_y  # gradients of scale and of shrink
    inner = 1.0 / (1.0 + r * r) if lens[_FISHEYE] != 0.0 else 1.0  # ds / dr
    radial = along * (steep * inner - scale) / (r * r) - across * 2.0 * u * (1.0 - u) / (s * s)
    hx, hy = shrink * gx, shrink * gy
    mixed = 2.0 * (p1 * x + p2 * y)
    c2, per_r = c * c, along / r
    return (
        gx * scale + x * radial + (2.0 * p1 * y + 6.0 * p2 * x) * hx + mixed * hy,
        gy * scale + y * radial + mixed * hx + (6.0 * p1 * y + 2.0 * p2 * x) * hy,
        per_r * c2 * (c + 3.0 * over),
        per_r * c2 * c2 * (c + 5.0 * over),
        per_r * c2 * c2 * c2 * (c + 7.0 * over),
        per_r * c2 * c2 * c2 * c2 * (c + 9.0 * over),
        hx * product + hy * (square + 2.0 * y * y),
        hx * (square + 2.0 * x * x) + hy * product,
        per_r * curvature(c, lens) * over + across * 2.0 * u / s,
    )
