"""How values change from pixel to pixel at fragments, and back, on the device: what `diffrender.cpu.slopes` does, a fragment a
thread, and on the way back a tile that a face is seen in."""

import numpy as np
from numba import cuda

from ..cpu.fragments import _give_corners
from ..cpu.hard import RING
from ..cpu.slopes import CENTER, fill_slopes, fill_slopes_backward, weights_at
from .fragments import POSITIONS, box_within, place_of
from .jit import device, kernel, shared


@shared
def _slope(points, faces, ids, places, given, i, slopes):
    """Fill a row of slopes (S, C, 2), see `slope`."""
    perspective, attributes, attribute_faces = given
    for channel in range(attributes.shape[1]):
        slopes[i, channel, 0], slopes[i, channel, 1] = 0, 0
    face, corner, x, y, _ = place_of(ids, places, i)
    if face >= 0:
        weights = weights_at(points, faces, face, corner, x, y, perspective)
        fill_slopes(points, faces, face, perspective, attributes, attribute_faces, weights, i, slopes)


@kernel
def slope(points, faces, ids, places, given, slopes):
    """Fill slopes (S, C, 2) of all fragments, 0 for nothing; given are whether values lie in perspective, attributes and their
    faces."""
    for i in range(cuda.grid(1), len(slopes), cuda.gridsize(1)):
        _slope(points, faces, ids, places, given, i, slopes)


@shared
def _slope_backward(points, faces, face, corner, x, y, given, grads, row, number, sums):
    """Add to a row of grad_values (S, C) what that of grad_slopes (S, C, 2) gives, `grads`, and to sums (N, 3, C + 1); return the
    gradient of log(1 / q), and 1 / q."""
    perspective, attributes, attribute_faces = given
    grad_slopes, grad_values = grads
    weights = weights_at(points, faces, face, corner, x, y, perspective)
    of_row = (weights, row, grad_slopes, grad_values, number, sums)
    return fill_slopes_backward(points, faces, face, perspective, attributes, attribute_faces, *of_row), weights[3]


@shared
def _give(points, faces, face, given, number, sums, shares_of):
    """Fill what a face's corners get (N, 3, C + 3) for sums (N, 3, C + 1)."""
    perspective, attributes, attribute_faces = given
    _give_corners(points, faces, face, attributes, attribute_faces, perspective, number, sums, shares_of)


@device
def _clear(number, sums):
    """Fill a row of sums (N, 3, C + 1) with 0."""
    for axis in range(3):
        for channel in range(sums.shape[2]):
            sums[number, axis, channel] = 0.0


@kernel
def slope_centers_backward(points, faces, bounds, offsets, ids, listed, given, grads, sums, shares_of):
    """Add to grad_values (S, C) what grad_slopes (S, C, 2) of pixels' centres give, `grads`, and fill shares_of (N, 3, C + 3), a
    row for each of the entries that are seen, `listed` with their faces, with the rest at the corners of these; sums
    (N, 3, C + 1) are scratch."""
    width, channels = ids.shape[1] - 2 * RING, sums.shape[2] - 1
    for slot in range(cuda.grid(1), len(listed[0]), cuda.gridsize(1)):
        face = listed[1][slot]
        x0, x1, y0, y1 = box_within(bounds, offsets, face, listed[0][slot], ids)
        first_x, first_y = points[faces[face, 0], 0], points[faces[face, 0], 1]
        _clear(slot, sums)
        for row in range(y0, y1 + 1):
            for column in range(x0, x1 + 1):
                if ids[row, column] == face:
                    x, y, pixel = column - RING + 0.5, row - RING + 0.5, (row - RING) * width + column - RING
                    found = _slope_backward(points, faces, face, CENTER, x, y, given, grads, pixel, slot, sums)
                    shrinking = found[0] * found[1]
                    sums[slot, 0, channels] += shrinking
                    sums[slot, 1, channels] += shrinking * (x - first_x)
                    sums[slot, 2, channels] += shrinking * (y - first_y)
        _give(points, faces, face, given, slot, sums, shares_of)


@kernel
def slope_places_backward(points, faces, places, given, grads, shrinking, sums, shares_of):
    """Do what `slope_centers_backward` does for places, the last N rows of the gradients; and fill shrinking (N,), the gradients
    of log(1 / q)."""
    first = len(grads[0]) - len(places[0])
    for place in range(cuda.grid(1), len(places[0]), cuda.gridsize(1)):
        face, corner, x, y = places[0][place], np.int64(places[1][place]), places[2][place, 0], places[2][place, 1]
        _clear(place, sums)
        shrinking[place], _ = _slope_backward(
            points, faces, face, corner, x, y, given, grads, first + place, place, sums
        )
        _give(points, faces, face, given, place, sums, shares_of)


@kernel
def add_to_slots(shares_of, sums):
    """Add corners' gradients (N, 3, C + 3) to those of entries (N, 9 + 3 C)."""
    width = shares_of.shape[2]
    channels = width - 3
    for i in range(cuda.grid(1), len(shares_of) * 3 * width, cuda.gridsize(1)):
        slot, corner, k = i // (3 * width), i // width % 3, i % width
        into = POSITIONS + channels * corner + k if k < channels else 3 * corner + k - channels
        sums[slot, into] += shares_of[slot, corner, k]


@kernel
def add_to_places(shares_of, grad_points, grad_attributes):
    """Add corners' gradients (N, 3, C + 3) to those of places, grad_points (N, 3, 3) and grad_attributes (N, 3, C)."""
    width = shares_of.shape[2]
    channels = width - 3
    for i in range(cuda.grid(1), len(shares_of) * 3 * width, cuda.gridsize(1)):
        place, corner, k = i // (3 * width), i // width % 3, i % width
        if k < channels:
            grad_attributes[place, corner, k] += shares_of[place, corner, k]
        else:
            grad_points[place, corner, k - channels] += shares_of[place, corner, k]
