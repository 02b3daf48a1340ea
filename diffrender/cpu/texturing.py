"""A texture at the fragments of a hard rasterization, and back: LANES of them at a time, in portions of CHUNK.

What is looked up does not depend on how the portions are shared out, nor do the texels' gradients, see `sample_backward`.
"""

import numpy as np

from ..formulas.constants import ZERO
from ..formulas.texture import squared_step, squared_step_backward
from ..jit import borrower, kernel, prefer_wide_vectors
from ..kernel_memory import aligned
from ..lanes import LANES, at, load, put
from ..spin import claim, lead, publish
from .sample import CELLS, PLACES, SAMPLED, SLOPES, put_levels, sample, sample_backward, sample_slopes
from .strips import fill

CHUNK = 512  # fragments, a multiple of LANES
_GRADS = 4 * LANES  # where the gradients of a colour are in the places


@borrower
def _put_places(covered, uv, slopes, sizes, last, begin, count, places, squares):
    """Write where in the texture fragments are, and their levels, anywhere for those on no face; return how many levels are
    blended, 0 if none is on a face."""
    any_covered = False
    width, height = at(sizes, 0), at(sizes, 1)
    for lane in range(LANES):
        put(places, lane, ZERO)
        put(places, LANES + lane, ZERO)
        put(squares, lane, ZERO)
        fragment = begin + lane
        if lane < count and covered[fragment] != 0:
            any_covered = True
            put(places, lane, uv[fragment, 0])
            put(places, LANES + lane, uv[fragment, 1])
            if len(slopes) > 0:
                steps = slopes[fragment]
                square = squared_step(steps[0, 0], steps[1, 0], steps[0, 1], steps[1, 1], width, height)
                put(squares, lane, square)
    if not any_covered:
        return 0
    if len(slopes) == 0:
        return 1
    square = load(squares, 0)
    return put_levels(square > ZERO, square, last, places)


@kernel
def look_up(share, shares, board, turn, covered, uv, slopes, texture, background, colors):
    """Fill colors (S, 3) with a texture's at uv (S, 2) where `covered` (S,) is not 0, else with `background` (3,).

    slopes (S, 2, 2) choose the level, or there are none.
    """
    if share < 0:
        lead(publish(board))
        return
    prefer_wide_vectors()
    texels, offsets, sizes, repeat = texture
    places, sampled, cells = aligned(PLACES, uv), aligned(SAMPLED, uv), aligned(CELLS, np.empty(1, np.int32))
    squares = aligned(LANES, uv)
    fill(places, 0, PLACES, ZERO)
    count, last, real = len(covered), sizes.dtype.type(len(offsets) - 1), sizes.dtype.type
    while True:
        chunk = claim(turn) * CHUNK
        if chunk >= count:
            break
        for begin in range(chunk, min(chunk + CHUNK, count), LANES):
            here = min(LANES, count - begin)
            fill(sampled, 0, SAMPLED, ZERO)
            for step in range(_put_places(covered, uv, slopes, sizes, last, begin, here, places, squares)):
                sample(texels, offsets, sizes, repeat, real(step), places, cells, sampled)
            for lane in range(here):
                for channel in range(3):
                    color = background[channel]
                    if covered[begin + lane] != 0:
                        color = sampled[channel * LANES + lane]
                    colors[begin + lane, channel] = color


@borrower
def _put_grads(covered, grad_colors, begin, count, places):
    """Write the gradients of fragments' colours, 0 for those on no face, and return whether any is not 0."""
    felt = False
    for lane in range(LANES):
        fragment = begin + lane
        for channel in range(3):
            grad = grad_colors.dtype.type(0)
            if lane < count and covered[fragment] != 0:
                grad = grad_colors[fragment, channel]
            felt = felt or grad != 0
            put(places, _GRADS + channel * LANES + lane, grad)
    return felt


@kernel
def look_up_backward(
    share,
    shares,
    board,
    turn,
    covered,
    uv,
    slopes,
    texture,
    grad_colors,
    grad_uv,
    grad_slopes,
    grids,
    touched,
    unit,
):
    """Fill grad_uv (S, 2) and grad_slopes (S, 2, 2), and add to this share's grids (W, 4 N) and touched (W, chunks), see
    `sample_backward`."""
    if share < 0:
        lead(publish(board))
        return
    prefer_wide_vectors()
    texels, offsets, sizes, repeat = texture
    places, sampled, cells = aligned(PLACES, uv), aligned(SAMPLED, uv), aligned(CELLS, np.empty(1, np.int32))
    squares, texel_grads, texel_shares = aligned(LANES, uv), aligned(4 * LANES, uv), aligned(4 * LANES, uv)
    fill(places, 0, PLACES, ZERO)
    count, last, real = len(covered), sizes.dtype.type(len(offsets) - 1), sizes.dtype.type
    width, height = at(sizes, 0), at(sizes, 1)
    grid, of_grid = grids[share], touched[share]
    while True:
        chunk = claim(turn) * CHUNK
        if chunk >= count:
            break
        for begin in range(chunk, min(chunk + CHUNK, count), LANES):
            here = min(LANES, count - begin)
            fill(sampled, 0, SAMPLED, ZERO)
            if _put_grads(covered, grad_colors, begin, here, places):
                for step in range(_put_places(covered, uv, slopes, sizes, last, begin, here, places, squares)):
                    sample_backward(
                        texels,
                        offsets,
                        sizes,
                        repeat,
                        real(step),
                        places,
                        cells,
                        texel_grads,
                        texel_shares,
                        sampled,
                        grid,
                        of_grid,
                        unit,
                    )
            for lane in range(here):
                fragment = begin + lane
                grad_uv[fragment, 0], grad_uv[fragment, 1] = sampled[3 * LANES + lane], sampled[4 * LANES + lane]
                if len(slopes) > 0:
                    steps, into = slopes[fragment], grad_slopes[fragment]
                    into[0, 0], into[1, 0], into[0, 1], into[1, 1] = squared_step_backward(
                        sampled[5 * LANES + lane], steps[0, 0], steps[1, 0], steps[0, 1], steps[1, 1], width, height
                    )


@kernel
def look_up_tangent(share, shares, board, turn, covered, uv, slopes, texture, uv_moves, slope_moves, painted, tangents):
    """Fill tangents (D, S, 3) with how colours change, as uv does (D, S, 2), slopes (D, S, 2, 2), and texels: painted
    (D, 3 N + 1), or none."""
    if share < 0:
        lead(publish(board))
        return
    prefer_wide_vectors()
    texels, offsets, sizes, repeat = texture
    places, sampled, cells = aligned(PLACES, uv), aligned(SLOPES, uv), aligned(CELLS, np.empty(1, np.int32))
    squares, added = aligned(LANES, uv), aligned(SAMPLED, uv)
    fill(places, 0, PLACES, ZERO)
    count, last, real = len(covered), sizes.dtype.type(len(offsets) - 1), sizes.dtype.type
    width, height = at(sizes, 0), at(sizes, 1)
    while True:
        chunk = claim(turn) * CHUNK
        if chunk >= count:
            break
        for begin in range(chunk, min(chunk + CHUNK, count), LANES):
            here = min(LANES, count - begin)
            fill(sampled, 0, SLOPES, ZERO)
            levels = _put_places(covered, uv, slopes, sizes, last, begin, here, places, squares)
            for step in range(levels):
                sample_slopes(texels, offsets, sizes, repeat, real(step), places, cells, sampled)
            for d in range(len(tangents)):
                fill(added, 0, SAMPLED, ZERO)
                if len(painted) > 0:
                    for step in range(levels):
                        sample(painted[d], offsets, sizes, repeat, real(step), places, cells, added)
                for lane in range(here):
                    fragment, wider = begin + lane, real(0)
                    if covered[fragment] == 0:
                        for channel in range(3):
                            tangents[d, fragment, channel] = 0
                        continue
                    if len(slopes) > 0:
                        steps, moves = slopes[fragment], slope_moves[d, fragment]
                        ux, vx, uy, vy = squared_step_backward(
                            real(1), steps[0, 0], steps[1, 0], steps[0, 1], steps[1, 1], width, height
                        )
                        wider = ux * moves[0, 0] + vx * moves[1, 0] + uy * moves[0, 1] + vy * moves[1, 1]
                    for channel in range(3):
                        into = channel * LANES + lane
                        change = added[into] + sampled[3 * LANES + into] * uv_moves[d, fragment, 0]
                        change += sampled[6 * LANES + into] * uv_moves[d, fragment, 1]
                        by_level = sampled[9 * LANES + into]
                        if by_level != 0:  # where the level does not depend on the size, that may be infinite
                            change += by_level * wider
                        tangents[d, fragment, channel] = change


@kernel
def multiply(share, shares, board, values, colors, products):
    """Fill products (S, 4) with the first three channels of values (S, 4) times colors (S, 3), and the last one as it is."""
    if share < 0:
        lead(publish(board))
        return
    count = len(values)
    for row in range(count * share // shares, count * (share + 1) // shares):
        for channel in range(3):
            products[row, channel] = values[row, channel] * colors[row, channel]
        products[row, 3] = values[row, 3]


@kernel
def multiply_backward(share, shares, board, values, colors, grad_products, grad_colors):
    """Turn grad_products (S, 4) into the gradient of the values, in place, and fill grad_colors (S, 3)."""
    if share < 0:
        lead(publish(board))
        return
    count = len(values)
    for row in range(count * share // shares, count * (share + 1) // shares):
        for channel in range(3):
            grad = grad_products[row, channel]
            grad_colors[row, channel] = grad * values[row, channel]
            grad_products[row, channel] = grad * colors[row, channel]


@kernel
def multiply_tangent(share, shares, board, values, colors, color_moves, tangents):
    """Turn how values change (D, S, 4) into how their products with colours (S, 3) do, which change too (D, S, 3)."""
    if share < 0:
        lead(publish(board))
        return
    count = len(values)
    for d in range(len(tangents)):
        for row in range(count * share // shares, count * (share + 1) // shares):
            for channel in range(3):
                by = tangents[d, row, channel] * colors[row, channel]
                tangents[d, row, channel] = by + values[row, channel] * color_moves[d, row, channel]
