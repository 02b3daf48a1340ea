"""Pairs of an image's rows to the memory of a strip and back: there the two take turns, so that a block is one piece.

An odd image ends with half a pair. Its second row is 0 on the way in, and on the way out the first is written over it.
"""

from ..formulas.constants import ONE, ZERO
from ..formulas.peak import alpha_of
from ..jit import formula
from ..lanes import LANES, any_lane, load, load_apart, magnitude, put, select, store, store_together


@formula
def second_of(row, bottom):
    """Return the second row of the pair that begins at `row`, or the first again, and 1 if there is a second, else 0."""
    return (row + 1, ONE) if row + 1 < bottom else (row, ZERO)


@formula
def take_alpha(odds, place, row, bottom, lowest, shape, owners, alpha, transmittance):
    """Fill a pair of rows of alpha and transmittance (H, W) from the strip's odds; see `alpha_of`."""
    last, _ = second_of(row, bottom)
    alpha0, alpha1, transmittance0, transmittance1 = alpha[row], alpha[last], transmittance[row], transmittance[last]
    width = alpha.shape[1]
    full = width - width % LANES
    for column in range(0, full, LANES):
        odds0, odds1 = load_apart(odds, place + 2 * column)
        value, rest = alpha_of(odds1, lowest, shape, owners)
        store(alpha1, column, value)
        store(transmittance1, column, rest)
        value, rest = alpha_of(odds0, lowest, shape, owners)
        store(alpha0, column, value)
        store(transmittance0, column, rest)
    for column in range(full, width):
        alpha1[column], transmittance1[column] = alpha_of(odds[place + 2 * column + 1], lowest, shape, owners)
        alpha0[column], transmittance0[column] = alpha_of(odds[place + 2 * column], lowest, shape, owners)


@formula
def put_upstream(transmittance, grad_alpha, row, bottom, vanished, upstream, place):
    """Write grad_alpha * T of a pair of rows to the strip, and return of how many pixels it is 0, in pieces of LANES.

    It is 0 where T has vanished: denormal products cost ten times as much and carry nothing.
    """
    last, there = second_of(row, bottom)
    transmittance0, transmittance1, grad0, grad1 = (
        transmittance[row],
        transmittance[last],
        grad_alpha[row],
        grad_alpha[last],
    )
    width = transmittance.shape[1]
    full = width - width % LANES
    idle = 0
    for column in range(0, full, LANES):
        t0, t1 = load(transmittance0, column), load(transmittance1, column) * there
        above0 = select(t0 > vanished, load(grad0, column) * t0, ZERO)
        above1 = select(t1 > vanished, load(grad1, column) * t1, ZERO)
        store_together(upstream, place + 2 * column, above0, above1)
        idle += 0 if any_lane(magnitude(above0) + magnitude(above1) > ZERO) else 2 * LANES
    for column in range(full, width):
        t0, t1 = transmittance0[column], transmittance1[column] * there
        put(upstream, place + 2 * column, grad0[column] * t0 if t0 > vanished else ZERO)
        put(upstream, place + 2 * column + 1, grad1[column] * t1 if t1 > vanished else ZERO)
    return idle


@formula
def put_rows(image, row, bottom, missing, strip, place):
    """Write a pair of rows of an image (H, W) to a strip, `missing` where the second is not there."""
    last, there = second_of(row, bottom)
    image0, image1 = image[row], image[last]
    width = image.shape[1]
    full = width - width % LANES
    for column in range(0, full, LANES):
        value = load(image1, column)
        store_together(
            strip, place + 2 * column, load(image0, column), value if there > ZERO else value * ZERO + missing
        )
    for column in range(full, width):
        put(strip, place + 2 * column, image0[column])
        put(strip, place + 2 * column + 1, image1[column] if there > ZERO else missing)
