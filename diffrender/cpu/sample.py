"""A texture at the pixels of two blocks. Each looks somewhere else in memory: what is reckoned before and after is in lanes, and
a texel is loaded, and added to, with all its channels at once."""

import numpy as np

from ..formulas.constants import ONE, ZERO
from ..formulas.fastmath import floor
from ..formulas.texture import bilinear, bilinear_slopes, bilinear_weights, level_of_detail, texel_cell
from ..grids import SHIFT, TOUCHED
from ..jit import formula, prefer_wide_vectors, subroutine
from ..lanes import (
    LANES,
    add_texel,
    any_lane,
    at,
    first_lane,
    fma,
    lanes_where,
    load,
    load_texels,
    look_up,
    lower,
    magnitude,
    place_in,
    power_of_two,
    put,
    select,
    spread,
    store,
    store_texels,
    whole,
)

# What `sample` reads: u, v, the footprint's square, the face's weight; `sample_backward` also the gradient of the texel's
# colour. Both write the colour first, the latter then the gradients of u, v and the square.
PLACES = 7 * LANES
SAMPLED = 6 * LANES
CELLS = 4 * LANES  # the numbers of the four texels around each place
# As np.int64: for each literal number Numba would compile a formula again.
LEFT_ABOVE, RIGHT_ABOVE, LEFT_BELOW, RIGHT_BELOW = np.int64(0), np.int64(1), np.int64(2), np.int64(3)


@formula
def _put_cells(texture, level, u, v, cells):
    """Write the numbers of the four texels around (u, v) in a level, and return the shares of the right and the lower ones, and
    the level's size."""
    _, offsets, sizes, repeat = texture
    shrunk = power_of_two(-level)
    # A size is halved upwards again and again, which is to divide it once and round up.
    width, height = -floor(shrunk * -at(sizes, 0)), -floor(shrunk * -at(sizes, 1))
    left, right, across = texel_cell(u, width, repeat)
    top, bottom, down = texel_cell(v, height, repeat)
    start, row = whole(level), whole(width)
    if len(offsets) > 1:
        start = look_up(offsets, start)
    store(cells, 0, place_in(start, whole(top), row, whole(left)))
    store(cells, LANES, place_in(start, whole(top), row, whole(right)))
    store(cells, 2 * LANES, place_in(start, whole(bottom), row, whole(left)))
    store(cells, 3 * LANES, place_in(start, whole(bottom), row, whole(right)))
    return across, down, width, height


@formula
def _place(places, used):
    """Return (u, v), 0 where the face has no weight: nothing is known of it there."""
    return select(used, load(places, 0), ZERO), select(used, load(places, LANES), ZERO)


@formula
def _levels(texture, places, used):
    """Return (level, slope, steps): see `level_of_detail`, and how many levels are blended."""
    last = texture[2].dtype.type(len(texture[1]) - 1)
    level, slope, steps = spread(last * ZERO), spread(last * ZERO), 1
    if last > ZERO:
        level, slope = level_of_detail(select(used, load(places, 2 * LANES), ZERO), last)
        steps = 2 if any_lane(level > floor(level)) else 1
    return level, slope, steps


@formula
def _share(texture, level, number):
    """Return the first or the second level that is blended, and its share."""
    before = floor(level)
    share = level - before
    if number == 0:
        return before, ONE - share
    return lower(before + ONE, texture[2].dtype.type(len(texture[1]) - 1)), share


@formula
def _add_color(texels, cells, corner, weight, color):
    """Return the colour with that of one of the four texels added."""
    red, green, blue = load_texels(texels, cells, corner * LANES)
    return fma(weight, red, color[0]), fma(weight, green, color[1]), fma(weight, blue, color[2])


@subroutine
def sample(texture, places, cells, sampled):
    """Write the texture's colour in each lane; where the face has no weight, it is any."""
    prefer_wide_vectors()
    used = load(places, 3 * LANES) > ZERO
    u, v = _place(places, used)
    level, _, steps = _levels(texture, places, used)
    nothing = level * ZERO
    color = (nothing, nothing, nothing)
    for number in range(steps):
        this_level, share = _share(texture, level, number)
        across, down, _, _ = _put_cells(texture, this_level, u, v, cells)
        t00, t01, t10, t11 = bilinear_weights(across, down)
        color = _add_color(texture[0], cells, LEFT_ABOVE, share * t00, color)
        color = _add_color(texture[0], cells, RIGHT_ABOVE, share * t01, color)
        color = _add_color(texture[0], cells, LEFT_BELOW, share * t10, color)
        color = _add_color(texture[0], cells, RIGHT_BELOW, share * t11, color)
    store(sampled, 0, color[0])
    store(sampled, LANES, color[1])
    store(sampled, 2 * LANES, color[2])


@formula
def _look_back(texels, cells, corner, weight, shares, color, grad):
    """Return the colour with that of one of the four texels added, and the product of the texel and the gradient of colour;
    write the texel's share."""
    red, green, blue = load_texels(texels, cells, corner * LANES)
    store(shares, corner * LANES, weight)
    color = fma(weight, red, color[0]), fma(weight, green, color[1]), fma(weight, blue, color[2])
    return color, fma(grad[0], red, fma(grad[1], green, grad[2] * blue))


@formula
def _add_to_grid(grid, touched, cells, corner, lane, grads, shares, unit):
    cell = np.int64(at(cells, corner * LANES + lane))
    add_texel(grid, cell, grads, 4 * lane, at(shares, corner * LANES + lane), unit)
    put(touched, cell >> SHIFT, TOUCHED)


@subroutine
def sample_backward(texture, places, cells, beside, sampled, grid, touched, unit):
    """Write the texture's colour in each lane and the gradients of u, v and the footprint's square, and add the texels'
    gradients, in whole numbers of 1 / unit, to the grid (4 N,) int64, whose chunks `touched` (uint8) notes.

    Whole numbers have the same sum in any order, so that threads may add as it comes.
    """
    prefer_wide_vectors()
    used = load(places, 3 * LANES) > ZERO
    u, v = _place(places, used)
    level, slope, steps = _levels(texture, places, used)
    nothing = level * ZERO
    color, of_u, of_v, of_square = (nothing, nothing, nothing), nothing, nothing, nothing
    grad = (load(places, 4 * LANES), load(places, 5 * LANES), load(places, 6 * LANES))
    grads, shares = beside
    store_texels(grads, 0, *grad)
    felt = lanes_where(magnitude(grad[0]) + magnitude(grad[1]) + magnitude(grad[2]) > ZERO)
    for number in range(steps):
        this_level, share = _share(texture, level, number)
        across, down, width, height = _put_cells(texture, this_level, u, v, cells)
        t00, t01, t10, t11 = bilinear_weights(across, down)
        color, d00 = _look_back(texture[0], cells, LEFT_ABOVE, share * t00, shares, color, grad)
        color, d01 = _look_back(texture[0], cells, RIGHT_ABOVE, share * t01, shares, color, grad)
        color, d10 = _look_back(texture[0], cells, LEFT_BELOW, share * t10, shares, color, grad)
        color, d11 = _look_back(texture[0], cells, RIGHT_BELOW, share * t11, shares, color, grad)
        # A texel counts by its product with the gradient of the colour, of which all that follows is made.
        slope_u, slope_v = bilinear_slopes(d00, d01, d10, d11, across, down)
        of_u, of_v = fma(slope_u, share * width, of_u), fma(slope_v, share * height, of_v)
        of_level = bilinear(d00, d01, d10, d11, across, down)
        of_square = fma(slope, of_level if number else -of_level, of_square)
        lanes = felt
        while lanes != 0:
            lane = first_lane(lanes)
            lanes &= lanes - 1
            _add_to_grid(grid, touched, cells, LEFT_ABOVE, lane, grads, shares, unit)
            _add_to_grid(grid, touched, cells, RIGHT_ABOVE, lane, grads, shares, unit)
            _add_to_grid(grid, touched, cells, LEFT_BELOW, lane, grads, shares, unit)
            _add_to_grid(grid, touched, cells, RIGHT_BELOW, lane, grads, shares, unit)
    store(sampled, 0, color[0])
    store(sampled, LANES, color[1])
    store(sampled, 2 * LANES, color[2])
    store(sampled, 3 * LANES, of_u)
    store(sampled, 4 * LANES, of_v)
    store(sampled, 5 * LANES, of_square)
