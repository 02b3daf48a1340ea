"""What the forward mode does with two blocks of pixels: derivatives, as the way back has them for an upstream of 1, times the
directions in which the corners of a face go."""

from ..formulas.constants import ONE, TWO, ZERO
from ..jit import formula, subroutine
from ..lanes import LANES, at, fma, load, load_pair, put, store, store_pair
from .blocks import fill

# For each face of a batch and each direction: x, y of corners a, b, c; in colour also their depth logits and attributes.
OUTLINE = 6
SOLID = 9
# Of two blocks: the six derivatives of the coverage logit for the corners, then of alpha for the coverage logit, and then ...
NEAREST = 7 * LANES
# ... for each channel of colour the derivatives for the coverage logit, the way of the pixel on the face (x, y), the corners'
# depth logits and their attributes.
HUE = 9 * LANES


@subroutine
def put_motions(motions, attribute_motions, face_corners, face, ways, way, width):
    """Write how a face's corners go, for each direction, from motions (V, D, 2 or 3) and attribute_motions (V, D, C)."""
    for corner in range(3):
        of_corner = motions[face_corners[face, corner]]
        for direction in range(of_corner.shape[0]):
            into = way + direction * width
            put(ways, into + 2 * corner, of_corner[direction, 0])
            put(ways, into + 2 * corner + 1, of_corner[direction, 1])
            if width > OUTLINE:
                put(ways, into + OUTLINE + corner, of_corner[direction, 2])
    if len(attribute_motions) > 0:
        for corner in range(3):
            of_corner = attribute_motions[face_corners[face, corner]]
            for direction in range(of_corner.shape[0]):
                into = way + direction * width + SOLID + corner
                for channel in range(of_corner.shape[1]):
                    put(ways, into + 3 * channel, of_corner[direction, channel])


@formula
def put_nearest(grad, saved, into, scale, rows):
    """Write the derivatives for the corners' x and y of what has the gradient `grad` of d^2 / sigma, from `save_nearest`.

    See `add_nearest`.
    """
    factor = -TWO * scale * scale
    b, c = load(saved, into + LANES), load(saved, into + 2 * LANES)
    gx, gy = grad * factor * load(saved, into + 3 * LANES), grad * factor * load(saved, into + 4 * LANES)
    a = ONE - b - c
    store(rows, 0, gx * a)
    store(rows, LANES, gy * a)
    store(rows, 2 * LANES, gx * b)
    store(rows, 3 * LANES, gy * b)
    store(rows, 4 * LANES, gx * c)
    store(rows, 5 * LANES, gy * c)


@formula
def along(rows, ways, way, more):
    """Return `more` and how what `put_nearest` was given for changes in a direction."""
    more = fma(load(rows, 0), at(ways, way), more)
    more = fma(load(rows, LANES), at(ways, way + 1), more)
    more = fma(load(rows, 2 * LANES), at(ways, way + 2), more)
    more = fma(load(rows, 3 * LANES), at(ways, way + 3), more)
    more = fma(load(rows, 4 * LANES), at(ways, way + 4), more)
    return fma(load(rows, 5 * LANES), at(ways, way + 5), more)


@formula
def add_outline(rows, ways, way, width, directions, tangents, size, first, second):
    """Add to the tangents, a strip of `size` numbers for each direction, at two blocks' places what `put_nearest` wrote."""
    for _ in range(directions):
        store_pair(tangents, first, second, along(rows, ways, way, load_pair(tangents, first, second)))
        way += width
        first += size
        second += size


@formula
def add_solid(rows, ua, ub, uc, ways, way, width, painted, directions, channels, tangents, size, first, second):
    """Add to the tangents, a strip of `size` numbers for each channel and then for alpha, what two blocks of colour change by.

    A pixel moves by the mean of what the corners do, with weights -u (unclipped), relative to the face: see
    `clipped_barycentric_backward`.
    """
    for _ in range(directions):
        logit = along(rows, ways, way, ua * ZERO)
        x = fma(ua, at(ways, way), fma(ub, at(ways, way + 2), uc * at(ways, way + 4)))
        y = fma(ua, at(ways, way + 1), fma(ub, at(ways, way + 3), uc * at(ways, way + 5)))
        for channel in range(channels):
            row = NEAREST + channel * HUE
            value = fma(load(rows, row), logit, load_pair(tangents, first, second))
            value = fma(load(rows, row + LANES), x, value)
            value = fma(load(rows, row + 2 * LANES), y, value)
            value = fma(load(rows, row + 3 * LANES), at(ways, way + OUTLINE), value)
            value = fma(load(rows, row + 4 * LANES), at(ways, way + OUTLINE + 1), value)
            value = fma(load(rows, row + 5 * LANES), at(ways, way + OUTLINE + 2), value)
            if painted:
                hue = way + SOLID + 3 * channel
                value = fma(load(rows, row + 6 * LANES), at(ways, hue), value)
                value = fma(load(rows, row + 7 * LANES), at(ways, hue + 1), value)
                value = fma(load(rows, row + 8 * LANES), at(ways, hue + 2), value)
            store_pair(tangents, first, second, value)
            first += size
            second += size
        store_pair(tangents, first, second, fma(load(rows, 6 * LANES), logit, load_pair(tangents, first, second)))
        first += size
        second += size
        way += width


@formula
def begin_tangents(tangents, count):
    """Write to strips that nothing changes."""
    fill(tangents, 0, count, ZERO)


@formula
def take_tangents(tangents, size, place, row, bottom, image):
    """Fill a pair of rows of an image (D, H, W, C) from C strips a direction."""
    directions, width, channels = image.shape[0], image.shape[2], image.shape[3]
    for direction in range(directions):
        for parity in range(min(2, bottom - row)):
            into = image[direction, row + parity]
            begin = direction * channels * size + place + parity
            for column in range(width):
                for channel in range(channels):
                    into[column, channel] = at(tangents, begin + channel * size + 2 * column)
