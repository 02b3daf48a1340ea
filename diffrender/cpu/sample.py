"""A texture at the pixels of two blocks, one after the other: each looks somewhere else in memory."""

import numpy as np

from ..formulas.constants import ONE, ZERO
from ..formulas.fastmath import floor
from ..formulas.texture import bilinear, bilinear_slopes, bilinear_weights, level_of_detail, texel_cell
from ..jit import formula, subroutine
from ..lanes import LANES, at, put

CHANNELS = 3
# What `sample` reads: u, v, the footprint's square, the face's weight; `sample_backward` also the gradient of the texel's
# colour. Both write the colour first, the latter then the gradients of u, v and the square.
PLACES = 7 * LANES
SAMPLED = 6 * LANES


@formula
def _cell(texture, level, u, v):
    """Return where the four texels around (u, v) begin, and the shares of the right and the lower ones."""
    _, offsets, sizes, repeat = texture
    width = at(sizes, 2 * level)
    left, right, across = texel_cell(u, width, repeat)
    top, bottom, down = texel_cell(v, at(sizes, 2 * level + 1), repeat)
    above, below = at(offsets, level) + top * int(width), at(offsets, level) + bottom * int(width)
    return (
        CHANNELS * (above + left),
        CHANNELS * (above + right),
        CHANNELS * (below + left),
        CHANNELS * (below + right),
        across,
        down,
    )


@formula
def _add(texture, level, factor, places, lane, sampled):
    """Add to a lane's colour a level's, times `factor`."""
    texels = texture[0]
    c00, c01, c10, c11, across, down = _cell(texture, level, at(places, lane), at(places, lane + LANES))
    for channel in range(CHANNELS):
        into = lane + channel * LANES
        color = bilinear(
            at(texels, c00 + channel),
            at(texels, c01 + channel),
            at(texels, c10 + channel),
            at(texels, c11 + channel),
            across,
            down,
        )
        put(sampled, into, at(sampled, into) + factor * color)


@subroutine
def sample(texture, places, sampled):
    """Write the texture's colour in each lane, 0 where the face has no weight."""
    sizes = texture[2]
    finest = sizes.dtype.type(len(texture[1]) - 1)
    for lane in range(LANES):
        for channel in range(CHANNELS):
            put(sampled, lane + channel * LANES, ZERO)
        if at(places, lane + 3 * LANES) == ZERO:
            continue
        level, _ = level_of_detail(at(places, lane + 2 * LANES), finest)
        share = level - floor(level)
        for step in range(2 if share > ZERO else 1):
            _add(texture, int(level) + step, share if step else ONE - share, places, lane, sampled)


@formula
def _add_backward(texture, level, factor, slope, places, lane, sampled, grid, unit):
    """Add to a lane's colour and gradients what comes by a level, and to the grid what goes to its texels."""
    texels, _, sizes, _ = texture
    c00, c01, c10, c11, across, down = _cell(texture, level, at(places, lane), at(places, lane + LANES))
    t00, t01, t10, t11 = bilinear_weights(across, down)
    amount = np.float64(factor) * unit
    to_u, to_v, along = factor * at(sizes, 2 * level), factor * at(sizes, 2 * level + 1), ZERO * factor
    of_u, of_v = along, along
    for channel in range(CHANNELS):
        grad = at(places, lane + (4 + channel) * LANES)
        values = (at(texels, c00 + channel), at(texels, c01 + channel), at(texels, c10 + channel))
        last = at(texels, c11 + channel)
        color = bilinear(*values, last, across, down)
        slope_u, slope_v = bilinear_slopes(*values, last, across, down)
        of_u += grad * slope_u
        of_v += grad * slope_v
        along += grad * color
        into = lane + channel * LANES
        put(sampled, into, at(sampled, into) + factor * color)
        counted = np.float64(grad) * amount
        put(grid, c00 + channel, at(grid, c00 + channel) + np.int64(counted * t00))
        put(grid, c01 + channel, at(grid, c01 + channel) + np.int64(counted * t01))
        put(grid, c10 + channel, at(grid, c10 + channel) + np.int64(counted * t10))
        put(grid, c11 + channel, at(grid, c11 + channel) + np.int64(counted * t11))
    put(sampled, lane + 3 * LANES, at(sampled, lane + 3 * LANES) + of_u * to_u)
    put(sampled, lane + 4 * LANES, at(sampled, lane + 4 * LANES) + of_v * to_v)
    put(sampled, lane + 5 * LANES, at(sampled, lane + 5 * LANES) + along * slope)


@subroutine
def sample_backward(texture, places, sampled, grid, unit):
    """Write the texture's colour in each lane and the gradients of u, v and the footprint's square, 0 where the face has no
    weight, and add the texels' gradients, in whole numbers of 1 / unit, to the grid (3 N,) int64.

    Whole numbers have the same sum in any order, so that threads may add as it comes.
    """
    sizes = texture[2]
    finest = sizes.dtype.type(len(texture[1]) - 1)
    for lane in range(LANES):
        for number in range(SAMPLED // LANES):
            put(sampled, lane + number * LANES, ZERO)
        if at(places, lane + 3 * LANES) == ZERO:
            continue
        level, slope = level_of_detail(at(places, lane + 2 * LANES), finest)
        share = level - floor(level)
        for step in range(2 if share > ZERO else 1):
            factor = share if step else ONE - share
            towards = slope if step else -slope
            _add_backward(texture, int(level) + step, factor, towards, places, lane, sampled, grid, unit)
