"""How values change from pixel to pixel at the fragments of a hard rasterization, and back.

Over a face q times a value, and q, are linear in the image (`planes`, see `diffrender.cpu.fragments`). So a value p / q has the
slopes (p_x - value q_x) / q. Their gradients are such of the value, of q, and of what the planes are made of: sums as
`gather_corners` takes them, the gradients of each plane's three numbers, of q with the opposite sign.
"""

import numpy as np

from ..formulas.perspective import perspective_weights
from ..jit import borrower, formula, kernel
from ..spin import claim, lead, publish
from .fragments import _fill_planes, _on_row, place_weights, qs_of
from .hard import RING, ROWS


@formula
def plane_slopes(slopes, at_a, at_b, at_c):
    """Return the slopes along x and y of what is linear in the image and has these values at a face's corners, `slopes` being
    those of its barycentric coordinates."""
    # Differences from corner a: small faces keep their digits.
    to_b, to_c = at_b - at_a, at_c - at_a
    return slopes[2] * to_b + slopes[4] * to_c, slopes[3] * to_b + slopes[5] * to_c


@borrower
def _weights_at(points, faces, face, corner, x, y, perspective):
    """Return the weights of a face's corners at a place, and 1 / q there."""
    ba, bb, bc = place_weights(points, faces, face, corner, x, y)
    return perspective_weights(ba, bb, bc, *qs_of(points, faces, face, perspective))


@borrower
def _value_at(attributes, attribute_faces, face, channel, wa, wb, wc):
    at_a, at_b = attributes[attribute_faces[face, 0], channel], attributes[attribute_faces[face, 1], channel]
    return wa * at_a + wb * at_b + wc * attributes[attribute_faces[face, 2], channel]


@kernel
def slope_centers(share, shares, board, turn, run_ends, run_counts, slots, slot_starts, planes, slopes):
    """Fill the rows of slopes (S, C, 2), zeros, of pixels that see a face."""
    if share < 0:
        lead(publish(board))
        return
    height, width = run_ends.shape[0] - 2 * RING, run_ends.shape[1] - 2 * RING
    channels = slopes.shape[1]
    while True:
        strip = claim(turn)
        if strip >= len(slot_starts) - 1:
            break
        for row in range(max(strip * ROWS - RING, 0), min(strip * ROWS + ROWS - RING, height)):
            for run in range(1, run_counts[row + RING] - 1):  # without the ring's
                begin, end = run_ends[row + RING, run - 1] - RING, run_ends[row + RING, run] - RING
                slot = slots[row + RING, begin + RING]
                if slot == 0:
                    continue
                plane = planes[slot_starts[strip] + slot]
                q, slope_q = _on_row(plane, channels, row)
                for channel in range(channels):
                    value, slope = _on_row(plane, channel, row)
                    for column in range(begin, end):
                        x = column + 0.5
                        inverse = 1.0 / (q + x * slope_q)
                        here, into = (value + x * slope) * inverse, row * width + column
                        slopes[into, channel, 0] = (plane[1, channel] - here * plane[1, channels]) * inverse
                        slopes[into, channel, 1] = (plane[2, channel] - here * plane[2, channels]) * inverse


@kernel
def slope_places(points, faces, place_faces, place_corners, places, attributes, attribute_faces, perspective, slopes):
    """Fill the last N rows of slopes (S, C, 2) for N places."""
    count, channels = len(place_faces), attributes.shape[1]
    first, plane = len(slopes) - count, np.empty((3, channels + 1))
    for place in range(count):
        face, x, y = place_faces[place], places[place, 0], places[place, 1]
        wa, wb, wc, inverse = _weights_at(points, faces, face, place_corners[place], x, y, perspective)
        _fill_planes(points, faces, face, perspective, attributes, attribute_faces, plane)
        for channel in range(channels):
            here = _value_at(attributes, attribute_faces, face, channel, wa, wb, wc)
            slopes[first + place, channel, 0] = (plane[1, channel] - here * plane[1, channels]) * inverse
            slopes[first + place, channel, 1] = (plane[2, channel] - here * plane[2, channels]) * inverse


@borrower
def _slopes_backward(plane, here, inverse, grad_x, grad_y, channel, channels, into, sums):
    """Add the gradients of a channel's slopes to sums (into, 3, C + 1), and return that of the value and that of log(1 / q)."""
    grad_x, grad_y = np.float64(grad_x) * inverse, np.float64(grad_y) * inverse
    sums[into, 1, channel] += grad_x
    sums[into, 2, channel] += grad_y
    sums[into, 1, channels] += grad_x * here
    sums[into, 2, channels] += grad_y * here
    of_value = -grad_x * plane[1, channels] - grad_y * plane[2, channels]
    of_x, of_y = plane[1, channel] - here * plane[1, channels], plane[2, channel] - here * plane[2, channels]
    return of_value, grad_x * of_x + grad_y * of_y


@kernel
def slope_centers_backward(
    share,
    shares,
    board,
    turn,
    points,
    faces,
    run_ends,
    run_counts,
    slots,
    slot_faces,
    slot_starts,
    planes,
    grad_slopes,
    grad_values,
    sums,
):
    """Add to grad_values (S, C) what grad_slopes (S, C, 2) of pixels' centres give, and fill sums (N, 3, C + 1) with the rest."""
    if share < 0:
        lead(publish(board))
        return
    height, width = run_ends.shape[0] - 2 * RING, run_ends.shape[1] - 2 * RING
    channels = grad_slopes.shape[1]
    while True:
        strip = claim(turn)
        if strip >= len(slot_starts) - 1:
            break
        for slot in range(slot_starts[strip], slot_starts[strip + 1]):
            for channel in range(channels + 1):
                sums[slot, 0, channel], sums[slot, 1, channel], sums[slot, 2, channel] = 0.0, 0.0, 0.0
        for row in range(max(strip * ROWS - RING, 0), min(strip * ROWS + ROWS - RING, height)):
            for run in range(1, run_counts[row + RING] - 1):  # without the ring's
                begin, end = run_ends[row + RING, run - 1] - RING, run_ends[row + RING, run] - RING
                slot = slots[row + RING, begin + RING]
                if slot == 0:
                    continue
                into, corner = slot_starts[strip] + slot, faces[slot_faces[strip, slot], 0]
                plane = planes[into]
                q, slope_q = _on_row(plane, channels, row)
                y = row + 0.5 - points[corner, 1]
                for column in range(begin, end):
                    x, pixel = column + 0.5, row * width + column
                    inverse, shrinking = 1.0 / (q + x * slope_q), 0.0
                    for channel in range(channels):
                        grad_x, grad_y = grad_slopes[pixel, channel, 0], grad_slopes[pixel, channel, 1]
                        if grad_x == 0 and grad_y == 0:
                            continue
                        value, slope = _on_row(plane, channel, row)
                        here = (value + x * slope) * inverse
                        of_value, of_inverse = _slopes_backward(
                            plane, here, inverse, grad_x, grad_y, channel, channels, into, sums
                        )
                        grad_values[pixel, channel] += of_value
                        shrinking += of_inverse
                    shrinking *= inverse
                    sums[into, 0, channels] += shrinking
                    sums[into, 1, channels] += shrinking * (x - points[corner, 0])
                    sums[into, 2, channels] += shrinking * y


@kernel
def slope_places_backward(
    points,
    faces,
    place_faces,
    place_corners,
    places,
    attributes,
    attribute_faces,
    perspective,
    grad_slopes,
    grad_values,
    shrinking,
    sums,
):
    """Add to grad_values (S, C) what grad_slopes (S, C, 2) of N places give, and fill shrinking (N,), the gradients of
    log(1 / q), and sums (N, 3, C + 1)."""
    count, channels = len(place_faces), attributes.shape[1]
    first, plane = len(grad_slopes) - count, np.empty((3, channels + 1))
    for place in range(count):
        shrinking[place] = 0.0
        for channel in range(channels + 1):
            sums[place, 0, channel], sums[place, 1, channel], sums[place, 2, channel] = 0.0, 0.0, 0.0
        face, x, y = place_faces[place], places[place, 0], places[place, 1]
        wa, wb, wc, inverse = _weights_at(points, faces, face, place_corners[place], x, y, perspective)
        _fill_planes(points, faces, face, perspective, attributes, attribute_faces, plane)
        for channel in range(channels):
            here = _value_at(attributes, attribute_faces, face, channel, wa, wb, wc)
            grad_x, grad_y = grad_slopes[first + place, channel, 0], grad_slopes[first + place, channel, 1]
            of_value, of_inverse = _slopes_backward(
                plane, here, inverse, grad_x, grad_y, channel, channels, place, sums
            )
            grad_values[first + place, channel] += of_value
            shrinking[place] += of_inverse
