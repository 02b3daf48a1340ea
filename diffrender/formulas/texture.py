"""A texture at a point: the four texels around it, and how much of the texture a pixel covers.

A place is (u, v), the whole image being 1 x 1. Places on a face are relative to its corner a, so that float32 keeps the
digits of small faces: (u, v) = (u_a, v_a) + w_b (db) + w_c (dc) with the weights of `perspective_weights`.
"""

import math

import numpy as np

from ..jit import formula
from ..lanes import fma, higher, lower, select
from .constants import HALF, ONE, TWO, ZERO
from .fastmath import floor, log

# 1 / (2 ln 2) in two parts, together precise enough for float64: a constant in float64 would make float32 one too.
_PER_LOG = np.float32(0.5 / math.log(2))
_PER_LOG_REST = np.float32(0.5 / math.log(2) - float(_PER_LOG))


@formula
def texel_cell(place, size, repeat):
    """Return (first, second, share): the texels on both sides of a place along an axis of `size` texels, and the share of the
    second one, all as reals.

    Texels' centres are at half. Beyond a border that is not repeated both are the last texel, so that the slope is 0.
    """
    place = place - floor(place) if repeat else lower(higher(place, ZERO), ONE)
    x = place * size - HALF
    before = floor(x)
    first, second, last = before, before + ONE, size - ONE
    if repeat:
        first, second = select(first < ZERO, last, first), select(second > last, ZERO, second)
    # Whatever the place is, infinite even, nothing outside of the texture is read: NaN is not higher than 0.
    return lower(higher(first, ZERO), last), lower(higher(second, ZERO), last), x - before


@formula
def bilinear(c00, c01, c10, c11, across, down):
    """Return the blend of two texels of a row and the two below them."""
    above, below = fma(across, c01 - c00, c00), fma(across, c11 - c10, c10)
    return fma(down, below - above, above)


@formula
def bilinear_slopes(c00, c01, c10, c11, across, down):
    """Return the derivatives of `bilinear` for its shares `across` and `down`."""
    return (
        fma(down, (c11 - c10) - (c01 - c00), c01 - c00),
        fma(across, (c11 - c01) - (c10 - c00), c10 - c00),
    )


@formula
def bilinear_weights(across, down):
    """Return the derivatives of `bilinear` for its four texels."""
    right, left = across, ONE - across
    return left * (ONE - down), right * (ONE - down), left * down, right * down


@formula
def level_of_detail(square, last):
    """Return (level, slope) for the squared size of a pixel in texels: log2 of the size in [0, last], and its derivative.

    Level 0 is the texture itself, and each further one half its size. The slope is 0 where the level is at a bound.
    """
    bounded = higher(square, ONE)
    logarithm, inverse = log(bounded), ONE / bounded
    level = fma(logarithm, _PER_LOG, logarithm * _PER_LOG_REST)
    slope = select(level < last, fma(inverse, _PER_LOG, inverse * _PER_LOG_REST), ZERO)
    return lower(level, last), select(square > ONE, slope, ZERO)


@formula
def texture_density(qa, qb, qc, slopes, bu, bv, cu, cv):
    """Return what `footprint` needs of a face: sums over its corners of q s, q s u and q s v, s being the derivative of a
    barycentric coordinate, for x and then for y.

    `slopes` are those of `clipped_barycentric_backward`; (bu, bv) and (cu, cv) go from corner a to b and c.
    """
    bx, by, cx, cy = qb * slopes[2], qb * slopes[3], qc * slopes[4], qc * slopes[5]
    return (
        qa * slopes[0] + bx + cx,
        bx * bu + cx * cu,
        bx * bv + cx * cv,
        qa * slopes[1] + by + cy,
        by * bu + cy * cu,
        by * bv + cy * cv,
    )


@formula
def texture_density_backward(grads, qa, qb, qc, slopes, bu, bv, cu, cv):
    """Return the gradients of log q (3), of the corners' (x, y) (6) and of their (u, v) (6), for those of the density.

    The sums' gradients are those of q s at each corner. Moving corner m by e changes s_k by -s_m (s_k . e).
    """
    ax, ay = grads[0], grads[3]
    bx, by = grads[0] + bu * grads[1] + bv * grads[2], grads[3] + bu * grads[4] + bv * grads[5]
    cx, cy = grads[0] + cu * grads[1] + cv * grads[2], grads[3] + cu * grads[4] + cv * grads[5]
    sax, say, sbx, sby, scx, scy = slopes
    xx, xy = qa * ax * sax + qb * bx * sbx + qc * cx * scx, qa * ax * say + qb * bx * sby + qc * cx * scy
    yx, yy = qa * ay * sax + qb * by * sbx + qc * cy * scx, qa * ay * say + qb * by * sby + qc * cy * scy
    return (
        qa * (sax * ax + say * ay),
        qb * (sbx * bx + sby * by),
        qc * (scx * cx + scy * cy),
        -sax * xx - say * yx,
        -sax * xy - say * yy,
        -sbx * xx - sby * yx,
        -sbx * xy - sby * yy,
        -scx * xx - scy * yx,
        -scx * xy - scy * yy,
        qa * (sax * grads[1] + say * grads[4]),
        qa * (sax * grads[2] + say * grads[5]),
        qb * (sbx * grads[1] + sby * grads[4]),
        qb * (sbx * grads[2] + sby * grads[5]),
        qc * (scx * grads[1] + scy * grads[4]),
        qc * (scx * grads[2] + scy * grads[5]),
    )


@formula
def texture_density_tangent(turns, ways, places, qa, qb, qc, slopes, bu, bv, cu, cv):
    """Return how the six numbers of the density change with log q of the corners (turns), their x, y (ways) and u, v (places).

    See `texture_density_backward`: corner a lies at the origin of (u, v).
    """
    ax, ay = _turned_slope(turns[0], slopes[0], slopes[1], slopes, ways)
    bx, by = _turned_slope(turns[1], slopes[2], slopes[3], slopes, ways)
    cx, cy = _turned_slope(turns[2], slopes[4], slopes[5], slopes, ways)
    sax, say, sbx, sby, scx, scy = slopes
    ua, va, ub, vb, uc, vc = places
    return (
        qa * ax + qb * bx + qc * cx,
        qb * bx * bu + qc * cx * cu + qa * sax * ua + qb * sbx * ub + qc * scx * uc,
        qb * bx * bv + qc * cx * cv + qa * sax * va + qb * sbx * vb + qc * scx * vc,
        qa * ay + qb * by + qc * cy,
        qb * by * bu + qc * cy * cu + qa * say * ua + qb * sby * ub + qc * scy * uc,
        qb * by * bv + qc * cy * cv + qa * say * va + qb * sby * vb + qc * scy * vc,
    )


@formula
def _turned_slope(turn, x, y, slopes, ways):
    """Return how q s of a corner changes, over q: s = (x, y) by -sum s_m (s . e_m), and q by its log."""
    of_a = x * ways[0] + y * ways[1]
    of_b = x * ways[2] + y * ways[3]
    of_c = x * ways[4] + y * ways[5]
    return (
        turn * x - slopes[0] * of_a - slopes[2] * of_b - slopes[4] * of_c,
        turn * y - slopes[1] * of_a - slopes[3] * of_b - slopes[5] * of_c,
    )


@formula
def footprint(u, v, density, inverse, width, height):
    """Return (ux, vx, uy, vy, square): how (u, v) changes from pixel to pixel, and the squared length in texels of the longer
    of its two steps. `inverse` is that of `perspective_weights`."""
    ux, vx = (density[1] - u * density[0]) * inverse, (density[2] - v * density[0]) * inverse
    uy, vy = (density[4] - u * density[3]) * inverse, (density[5] - v * density[3]) * inverse
    return ux, vx, uy, vy, squared_step(ux, vx, uy, vy, width, height)


@formula
def squared_step(ux, vx, uy, vy, width, height):
    """Return the squared length in texels of the longer of the two steps from pixel to pixel."""
    return higher(_texels(ux, vx, width, height), _texels(uy, vy, width, height))


@formula
def squared_step_backward(grad_square, ux, vx, uy, vy, width, height):
    """Return the gradients of ux, vx, uy and vy, of scalars; only the longer step has any."""
    felt = grad_square != ZERO  # where the level does not depend on the size, that may be infinite
    along_x = _texels(ux, vx, width, height) >= _texels(uy, vy, width, height)
    of_u, of_v = TWO * width * width * grad_square, TWO * height * height * grad_square
    return (
        of_u * ux if felt and along_x else ZERO,
        of_v * vx if felt and along_x else ZERO,
        of_u * uy if felt and not along_x else ZERO,
        of_v * vy if felt and not along_x else ZERO,
    )


@formula
def _texels(u, v, width, height):
    u, v = u * width, v * height
    return u * u + v * v


@formula
def footprint_backward(grad_square, u, v, ux, vx, uy, vy, density, inverse, width, height):
    """Return the gradients of u, v, log `inverse` and the six numbers of the density; only the longer step has any."""
    along_x = _texels(ux, vx, width, height) >= _texels(uy, vy, width, height)
    du, dv = select(along_x, ux, uy), select(along_x, vx, vy)
    # Where the level does not depend on the size, that may be infinite.
    felt = higher(grad_square, -grad_square) > ZERO
    gu = select(felt, TWO * width * width * grad_square * du, ZERO)
    gv = select(felt, TWO * height * height * grad_square * dv, ZERO)
    shrinking = select(felt, gu * du + gv * dv, ZERO)
    gu, gv = gu * inverse, gv * inverse
    turning = -gu * u - gv * v
    of_one = select(along_x, density[0], density[3])
    return (
        select(felt, -gu * of_one, ZERO),
        select(felt, -gv * of_one, ZERO),
        shrinking,
        select(along_x, turning, ZERO),
        select(along_x, gu, ZERO),
        select(along_x, gv, ZERO),
        select(along_x, ZERO, turning),
        select(along_x, ZERO, gu),
        select(along_x, ZERO, gv),
    )
