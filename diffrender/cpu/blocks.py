"""What kernels do with two blocks of pixels of a face: its coverage, and what that sends back to the face's corners. How they are
listed is in `diffrender.cpu.spans`."""

import numpy as np

from ..formulas.constants import AB, BC, CA, TWO, ZERO
from ..formulas.triangle import nearest_edge, nearest_weights
from ..jit import formula
from ..lanes import (
    LANES,
    any_lane,
    at,
    fma,
    higher,
    load,
    load_pair,
    load_rows,
    lower,
    magnitude,
    negative_beside,
    put,
    spread,
    store,
    sum_up,
)
from .block_lanes import coordinates_of
from .spans import LINE, WAYS, lines_of, number_of, places_of
from .strips import fill

SAVED_NEAREST = 5 * LANES  # numbers of two blocks
EDGE_SUMS = 6 * LANES  # numbers of a face, see `add_nearest`


@formula
def drop_idle(lists, count, upstream):
    """Keep the blocks, two by two, of which any pixel has something upstream, and return their number."""
    blocks = lists[1]
    kept = 0
    for block in range(0, count, 2):
        above = magnitude(load_pair(upstream, *places_of(lists, block)))
        put(blocks, kept, at(blocks, block))
        put(blocks, kept + 1, at(blocks, block + 1))
        kept += 2 if any_lane(above > ZERO) else 0
    return kept


@formula
def of_frame(frames, number, field):
    """Return a number of the frame of a face."""
    return at(frames, field * LANES + number)


@formula
def edge_of_blocks(lists, number, edge, x, first, second):
    """Return the places along and across an edge, in units of sqrt(sigma), of the pixels in columns x of two pairs of rows."""
    frames, lines = lists[0], lists[3]
    nx, ny = of_frame(frames, number, 6 * edge + 2), of_frame(frames, number, 6 * edge + 3)
    first, second = first + 2 * edge * LINE, second + 2 * edge * LINE
    along = fma(x, ny, load_rows(lines, first, second))
    return along, fma(x, nx, load_rows(lines, first + LINE, second + LINE))


@formula
def edges_of_blocks(lists, number, block, x):
    """Return `edge_of_blocks` for the three edges of a face."""
    first, second = lines_of(lists, block)
    return (
        edge_of_blocks(lists, number, AB, x, first, second),
        edge_of_blocks(lists, number, BC, x, first, second),
        edge_of_blocks(lists, number, CA, x, first, second),
    )


@formula
def place_within(frames, number, edge, along):
    """Return the places along an edge of its points nearest to places along it."""
    first = 6 * edge
    return higher(lower(along, of_frame(frames, number, first + 4)), of_frame(frames, number, first + 5))


@formula
def coverage_logits(lists, block):
    """Return the coverage logit of the pixels of two blocks, and their places across the three edges in sqrt(sigma)."""
    frames, number = lists[0], number_of(lists, block)
    x, _ = coordinates_of(lists[1], block, frames.dtype.type(ZERO))
    (a0, c0), (a1, c1), (a2, c2) = edges_of_blocks(lists, number, block, x)
    o0 = higher(magnitude(a0) - of_frame(frames, number, 4), ZERO)
    o1 = higher(magnitude(a1) - of_frame(frames, number, 10), ZERO)
    o2 = higher(magnitude(a2) - of_frame(frames, number, 16), ZERO)
    d2, _, _ = nearest_edge(c0, o0, c1, o1, c2, o2)
    return negative_beside(d2, c0, c1, c2), c0, c1, c2


@formula
def save_nearest(lists, block, saved, into):
    """Write of two blocks: the coverage logit, the weights of corners b and c in the nearest point of the boundary, and the
    way from that to the pixel in px.

    Returns the places across the three edges in units of sqrt(sigma).
    """
    frames, number = lists[0], number_of(lists, block)
    x, y = coordinates_of(lists[1], block, frames.dtype.type(ZERO))
    (a0, c0), (a1, c1), (a2, c2) = edges_of_blocks(lists, number, block, x)
    w0 = place_within(frames, number, AB, a0)
    w1 = place_within(frames, number, BC, a1)
    w2 = place_within(frames, number, CA, a2)
    d2, is_second, is_third = nearest_edge(c0, a0 - w0, c1, a1 - w1, c2, a2 - w2)
    b, c = nearest_weights(
        w0,
        of_frame(frames, number, WAYS),
        w1,
        of_frame(frames, number, WAYS + 1),
        w2,
        of_frame(frames, number, WAYS + 2),
        is_second,
        is_third,
    )
    dx = fma(b, of_frame(frames, number, WAYS + 5), x - of_frame(frames, number, WAYS + 3))
    dy = fma(b, of_frame(frames, number, WAYS + 6), y - of_frame(frames, number, WAYS + 4))
    store(saved, into, negative_beside(d2, c0, c1, c2))
    store(saved, into + 1 * LANES, b)
    store(saved, into + 2 * LANES, c)
    store(saved, into + 3 * LANES, fma(c, of_frame(frames, number, WAYS + 7), dx))
    store(saved, into + 4 * LANES, fma(c, of_frame(frames, number, WAYS + 8), dy))
    return c0, c1, c2


@formula
def add_nearest(lists, listed, count, saved, size, sums, begun):
    """Add to the sums of faces what `count` times two blocks send back.

    The gradient of d^2 has taken the place of the logit in what `save_nearest` wrote, `size` numbers each time. `listed` has the
    numbers of the blocks, or is () for all of them. Face by face: its sums stay in registers. `begun` has a bit for each face
    that has sums already; it is returned with those of the faces that have them now.

    d(d^2) = -2 w (p - q) to a corner of weight w in the nearest point q: the weights' own change drops out, since p - q is
    perpendicular to the edge or q is a corner.
    """
    k = 0
    while k < count:
        number = _number_at(lists, listed, k)
        place = number * EDGE_SUMS
        x = y = x_of_b = y_of_b = x_of_c = y_of_c = spread(sums.dtype.type(ZERO))
        if begun >> number & 1 != 0:
            x, y = load(sums, place), load(sums, place + LANES)
            x_of_b, y_of_b = load(sums, place + 2 * LANES), load(sums, place + 3 * LANES)
            x_of_c, y_of_c = load(sums, place + 4 * LANES), load(sums, place + 5 * LANES)
        begun |= 1 << number
        of_face = True
        while of_face:
            into = k * size
            grad, b, c = load(saved, into), load(saved, into + LANES), load(saved, into + 2 * LANES)
            gx, gy = grad * load(saved, into + 3 * LANES), grad * load(saved, into + 4 * LANES)
            x, y = x + gx, y + gy
            x_of_b, y_of_b = fma(gx, b, x_of_b), fma(gy, b, y_of_b)
            x_of_c, y_of_c = fma(gx, c, x_of_c), fma(gy, c, y_of_c)
            k += 1
            of_face = k < count and _number_at(lists, listed, k) == number
        store(sums, place, x)
        store(sums, place + LANES, y)
        store(sums, place + 2 * LANES, x_of_b)
        store(sums, place + 3 * LANES, y_of_b)
        store(sums, place + 4 * LANES, x_of_c)
        store(sums, place + 5 * LANES, y_of_c)
    return begun


@formula
def begin_others(sums, size, batch, begun):
    """Write to the sums, `size` numbers a face, of those of `batch` faces without a bit in `begun` that they are 0."""
    for number in range(batch):
        if begun >> number & 1 == 0:
            fill(sums, number * size, (number + 1) * size, ZERO)


@formula
def _number_at(lists, listed, k):
    if len(listed) == 0:
        return number_of(lists, 2 * k)
    else:
        return number_of(lists, np.int64(at(listed, k)))


@formula
def add_lanes(sums, place, a):
    """Add a to LANES sums from `place` on."""
    store(sums, place, load(sums, place) + a)


@formula
def add_products(sums, place, a, b):
    """Add a * b to LANES sums from `place` on."""
    store(sums, place, fma(a, b, load(sums, place)))


@formula
def put_corner_gradients(sums, number, scale, totals, entry_gradients, slot, width):
    """Write the gradient of corners a, b, c to the first two of `width` numbers that a slot has for each."""
    sum_up(sums, number * EDGE_SUMS, totals, 6)
    factor = -TWO * scale * scale
    for axis in range(2):
        b, c = totals[2 + axis], totals[4 + axis]
        entry_gradients[slot, axis] = factor * (totals[axis] - b - c)
        entry_gradients[slot, width + axis] = factor * b
        entry_gradients[slot, 2 * width + axis] = factor * c
