"""What the forward mode does with two blocks of pixels: derivatives, as the way back has them for an upstream of 1, times the
directions in which the corners of a face go."""

import numpy as np

from ..formulas.constants import ONE, TWO, ZERO
from ..formulas.texture import texture_density_tangent
from ..jit import formula, subroutine
from ..lanes import LANES, at, fma, load, load_pair, lower, put, store, store_pair
from .strips import fill
from .tints import UV, Q, six, slopes_of

# How a face goes in a direction: x, y of corners a, b, c; in colour also their depth logits and attributes.
OUTLINE = 6
SOLID = 9
# Of two blocks: the six derivatives of the coverage logit for the corners, then of alpha for the coverage logit, and then ...
NEAREST = 7 * LANES
# ... for each channel of colour the derivatives for the coverage logit, the way of the pixel on the face (x, y), the corners'
# depth logits and their attributes.
HUE = 9 * LANES
# With a texture, motions end with u, v of the corners and the density; of two blocks there are for each channel of colour the
# derivatives for u, v and the density.
LAID = 12
LAY = 8 * LANES
_LARGEST = np.float32(1e30)


@subroutine
def put_motions(motions, attribute_motions, face_corners, face, ways, way, width):
    """Write how a face's corners go, for each direction, from motions (V, D, 3) and attribute_motions (V or 0, D, C)."""
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
        for parity in range(lower(2, bottom - row)):
            into = image[direction, row + parity]
            begin = direction * channels * size + place + parity
            for column in range(width):
                for channel in range(channels):
                    into[column, channel] = at(tangents, begin + channel * size + 2 * column)


@subroutine
def put_places(
    geometry, face_corners, face, turns, face_uv, uv_motions, tints, tint, ways, way, directions, width, mipmapped
):
    """Write how a face's corners go in the texture, for each direction, and how the density changes.

    `turns` (V,) make changes of log q for the texture of such of depth logits, uv_motions (T or 0, D, 2) are those of uv.
    """
    real = tints.dtype.type
    a, b, c = face_corners[face, 0], face_corners[face, 1], face_corners[face, 2]
    slopes, q, to = slopes_of(geometry, face), tint + Q + 3, tint + UV + 2
    for direction in range(directions):
        into, from_corners = way + direction * width + width - LAID, way + direction * width
        for corner in range(3):
            for axis in range(2):
                value = real(0)
                if len(uv_motions) > 0:
                    value = uv_motions[face_uv[face, corner], direction, axis]
                put(ways, into + 2 * corner + axis, value)
        if mipmapped:
            change = texture_density_tangent(
                (
                    turns[a] * at(ways, from_corners + OUTLINE),
                    turns[b] * at(ways, from_corners + OUTLINE + 1),
                    turns[c] * at(ways, from_corners + OUTLINE + 2),
                ),
                six(ways, from_corners),
                six(ways, into),
                at(tints, q),
                at(tints, q + 1),
                at(tints, q + 2),
                slopes,
                at(tints, to),
                at(tints, to + 1),
                at(tints, to + 2),
                at(tints, to + 3),
            )
            _put_felt(ways, into + 6, change[0])
            _put_felt(ways, into + 7, change[1])
            _put_felt(ways, into + 8, change[2])
            _put_felt(ways, into + 9, change[3])
            _put_felt(ways, into + 10, change[4])
            _put_felt(ways, into + 11, change[5])


@formula
def _put_felt(ways, place, value):
    """Write a change of the density, which may be infinite where the face is so small that it is not felt."""
    put(ways, place, value if abs(value) < _LARGEST else ZERO)


@formula
def add_laid(laid, ta, tb, tc, ways, way, width, mipmapped, directions, channels, tangents, size, first, second):
    """Add to the tangents what two blocks of colour change by as their place in the texture does.

    `laid` holds for each channel the derivatives for u, v and the six numbers of the density.
    """
    for _ in range(directions):
        place = way + width - LAID
        u = fma(ta, at(ways, place), fma(tb, at(ways, place + 2), tc * at(ways, place + 4)))
        v = fma(ta, at(ways, place + 1), fma(tb, at(ways, place + 3), tc * at(ways, place + 5)))
        for channel in range(channels):
            row = channel * LAY
            value = fma(load(laid, row), u, load_pair(tangents, first, second))
            value = fma(load(laid, row + LANES), v, value)
            if mipmapped:
                for k in range(6):
                    value = fma(load(laid, row + (2 + k) * LANES), at(ways, place + 6 + k), value)
            store_pair(tangents, first, second, value)
            first += size
            second += size
        first += size
        second += size
        way += width
