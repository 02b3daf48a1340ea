"""A texture at the pixels of two blocks. Each looks somewhere else in memory: what is reckoned before and after is in lanes, and
a texel is loaded, and added to, with all its channels at once.

What is called for each block has neither loop nor branch: where there is one, Numba counts references to arrays.
"""

import numpy as np

from ..formulas.constants import ONE, ZERO
from ..formulas.fastmath import floor
from ..formulas.texture import bilinear, bilinear_slopes, bilinear_weights, level_of_detail, texel_cell
from ..jit import formula
from ..lanes import LANES, any_lane, at, fma, load, lower, magnitude, select, spread, store
from ..texel_lanes import add_to_texels, load_texels, place_in, power_of_two, starts_of, store_texels, whole

# What `sample` reads: u, v, the level and its derivative for the footprint's square; `sample_backward` also the gradient of
# the texture's colour. Both add to the colour, the latter then to the gradients of u, v and the square.
PLACES = 7 * LANES
SAMPLED = 6 * LANES
SLOPES = 12 * LANES  # what `sample_slopes` adds to
CELLS = 4 * LANES  # the numbers of the four texels around each place
# As np.int64: for each literal number Numba would compile a formula again.
LEFT_ABOVE, RIGHT_ABOVE, LEFT_BELOW, RIGHT_BELOW = np.int64(0), np.int64(1), np.int64(2), np.int64(3)
RED, GREEN, BLUE = np.int64(0), np.int64(LANES), np.int64(2 * LANES)


@formula
def put_levels(used, square, last, places):
    """Write the levels for the footprint's square in the lanes that are used, and return how many are blended."""
    level, slope = level_of_detail(select(used, square, ZERO), last)
    store(places, 2 * LANES, level)
    store(places, 3 * LANES, slope)
    # Also where a level is whole: its derivative is to know the next one.
    return 1 + np.int64(any_lane(slope > ZERO))


@formula
def _level(offsets, sizes, number, places):
    """Return the first (number 0) or the second (1) level that is blended, and its share; `number` is a real."""
    level = load(places, 2 * LANES)
    before = floor(level)
    share = level - before
    last = sizes.dtype.type(len(offsets) - 1)
    return lower(before + number, last), fma(share, number + number - ONE, spread(ONE - number))


@formula
def _put_cells(offsets, sizes, repeat, level, places, cells):
    """Write the numbers of the four texels around (u, v) in a level, and return the shares of the right and the lower ones, and
    the level's size."""
    shrunk = power_of_two(-level)
    # A size is halved upwards again and again, which is to divide it once and round up.
    width, height = -floor(shrunk * -at(sizes, 0)), -floor(shrunk * -at(sizes, 1))
    left, right, across = texel_cell(load(places, 0), width, repeat)
    top, bottom, down = texel_cell(load(places, LANES), height, repeat)
    start, row = starts_of(offsets, whole(level)), whole(width)
    store(cells, 0, place_in(start, whole(top), row, whole(left)))
    store(cells, LANES, place_in(start, whole(top), row, whole(right)))
    store(cells, 2 * LANES, place_in(start, whole(bottom), row, whole(left)))
    store(cells, 3 * LANES, place_in(start, whole(bottom), row, whole(right)))
    return across, down, width, height


@formula
def _add_color(texels, cells, corner, weight, color):
    """Return the colour with that of one of the four texels added."""
    red, green, blue = load_texels(texels, cells, corner * LANES)
    return fma(weight, red, color[0]), fma(weight, green, color[1]), fma(weight, blue, color[2])


@formula
def clear(sampled, nothing):
    """Begin a colour, and what follows it on the way back."""
    store(sampled, 0, nothing)
    store(sampled, LANES, nothing)
    store(sampled, 2 * LANES, nothing)
    store(sampled, 3 * LANES, nothing)
    store(sampled, 4 * LANES, nothing)
    store(sampled, 5 * LANES, nothing)


@formula
def _load_color(sampled):
    return load(sampled, 0), load(sampled, LANES), load(sampled, 2 * LANES)


@formula
def _store_color(color, sampled):
    store(sampled, 0, color[0])
    store(sampled, LANES, color[1])
    store(sampled, 2 * LANES, color[2])


@formula
def sample(texels, offsets, sizes, repeat, number, places, cells, sampled):
    """Add the texture's colour, as far as it comes from the first level that is blended or the second (number 0 or 1)."""
    level, share = _level(offsets, sizes, number, places)
    across, down, _, _ = _put_cells(offsets, sizes, repeat, level, places, cells)
    t00, t01, t10, t11 = bilinear_weights(across, down)
    color = _add_color(texels, cells, LEFT_ABOVE, share * t00, _load_color(sampled))
    color = _add_color(texels, cells, RIGHT_ABOVE, share * t01, color)
    color = _add_color(texels, cells, LEFT_BELOW, share * t10, color)
    color = _add_color(texels, cells, RIGHT_BELOW, share * t11, color)
    _store_color(color, sampled)


@formula
def _look_back(texels, cells, corner, weight, shares, color, grad):
    """Return the colour with that of one of the four texels added, and the product of the texel and the gradient of colour;
    write the texel's share."""
    red, green, blue = load_texels(texels, cells, corner * LANES)
    store(shares, corner * LANES, weight)
    color = fma(weight, red, color[0]), fma(weight, green, color[1]), fma(weight, blue, color[2])
    return color, fma(grad[0], red, fma(grad[1], green, grad[2] * blue))


@formula
def sample_backward(texels, offsets, sizes, repeat, number, places, cells, grads, shares, sampled, grid, touched, unit):
    """Add the texture's colour as `sample` does, the gradients of u, v and the footprint's square, and the texels' gradients, in
    whole numbers of 1 / unit, to the grid (4 N,) int64, whose chunks `touched` (uint8) notes.

    Whole numbers have the same sum in any order, so that threads may add as it comes.
    """
    level, share = _level(offsets, sizes, number, places)
    across, down, width, height = _put_cells(offsets, sizes, repeat, level, places, cells)
    grad = (load(places, 4 * LANES), load(places, 5 * LANES), load(places, 6 * LANES))
    t00, t01, t10, t11 = bilinear_weights(across, down)
    color, d00 = _look_back(texels, cells, LEFT_ABOVE, share * t00, shares, _load_color(sampled), grad)
    color, d01 = _look_back(texels, cells, RIGHT_ABOVE, share * t01, shares, color, grad)
    color, d10 = _look_back(texels, cells, LEFT_BELOW, share * t10, shares, color, grad)
    color, d11 = _look_back(texels, cells, RIGHT_BELOW, share * t11, shares, color, grad)
    _store_color(color, sampled)
    # A texel counts by its product with the gradient of the colour, of which all that follows is made.
    slope_u, slope_v = bilinear_slopes(d00, d01, d10, d11, across, down)
    store(sampled, 3 * LANES, fma(slope_u, share * width, load(sampled, 3 * LANES)))
    store(sampled, 4 * LANES, fma(slope_v, share * height, load(sampled, 4 * LANES)))
    of_level = bilinear(d00, d01, d10, d11, across, down) * (number + number - ONE)
    store(sampled, 5 * LANES, fma(load(places, 3 * LANES), of_level, load(sampled, 5 * LANES)))
    store_texels(grads, 0, grad[0], grad[1], grad[2])
    felt = magnitude(grad[0]) + magnitude(grad[1]) + magnitude(grad[2]) > ZERO
    add_to_texels(grid, touched, cells, grads, shares, felt, unit)


@formula
def sample_slopes(texels, offsets, sizes, repeat, number, places, cells, sampled):
    """Add the texture's colour as `sample` does, and then, channel by channel, its derivatives for u, v and the footprint's
    square: four times three LANES."""
    level, share = _level(offsets, sizes, number, places)
    across, down, width, height = _put_cells(offsets, sizes, repeat, level, places, cells)
    c00 = load_texels(texels, cells, LEFT_ABOVE * LANES)
    c01 = load_texels(texels, cells, RIGHT_ABOVE * LANES)
    c10 = load_texels(texels, cells, LEFT_BELOW * LANES)
    c11 = load_texels(texels, cells, RIGHT_BELOW * LANES)
    by_level = load(places, 3 * LANES) * (number + number - ONE)
    _add_slopes(c00[0], c01[0], c10[0], c11[0], across, down, share, width, height, by_level, sampled, RED)
    _add_slopes(c00[1], c01[1], c10[1], c11[1], across, down, share, width, height, by_level, sampled, GREEN)
    _add_slopes(c00[2], c01[2], c10[2], c11[2], across, down, share, width, height, by_level, sampled, BLUE)


@formula
def _add_slopes(c00, c01, c10, c11, across, down, share, width, height, by_level, sampled, into):
    slope_u, slope_v = bilinear_slopes(c00, c01, c10, c11, across, down)
    value = bilinear(c00, c01, c10, c11, across, down)
    store(sampled, into, fma(share, value, load(sampled, into)))
    store(sampled, into + 3 * LANES, fma(slope_u, share * width, load(sampled, into + 3 * LANES)))
    store(sampled, into + 6 * LANES, fma(slope_v, share * height, load(sampled, into + 6 * LANES)))
    store(sampled, into + 9 * LANES, fma(by_level, value, load(sampled, into + 9 * LANES)))


@formula
def clear_slopes(sampled, nothing):
    """Begin a colour and its derivatives."""
    clear(sampled, nothing)
    store(sampled, 6 * LANES, nothing)
    store(sampled, 7 * LANES, nothing)
    store(sampled, 8 * LANES, nothing)
    store(sampled, 9 * LANES, nothing)
    store(sampled, 10 * LANES, nothing)
    store(sampled, 11 * LANES, nothing)
