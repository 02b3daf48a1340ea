"""How values change from pixel to pixel at the fragments of a hard rasterization, and back.

Over a face q times a value, and q, are linear in the image (`planes`, see `diffrender.cpu.fragments`). So a value p / q has the
slopes (p_x - value q_x) / q. Their gradients are such of the value, of q, and of what the planes are made of: sums as
`gather_corners` takes them, the gradients of each plane's three numbers, of q with the opposite sign.
"""

import numpy as np

from ..formulas.edge import barycentric_slopes, plane_slopes
from ..formulas.perspective import perspective_weights
from ..jit import borrower, kernel
from ..spin import claim, lead, publish
from .fragments import _on_row, barycentrics_at, corners_of, place_weights, qs_of
from .hard import RING, ROWS

CENTER = -2  # in place of a corner: the place is (x, y) as it is, not clipped to the face, as a pixel's centre has it


@borrower
def shares_at(points, faces, face, corner, x, y):
    """Return the barycentric coordinates of a place, or of a pixel's centre."""
    if corner == CENTER:
        corners = corners_of(points, faces, face)
        return barycentrics_at(corners, barycentric_slopes(*corners), x, y)
    return place_weights(points, faces, face, corner, x, y)


@borrower
def weights_at(points, faces, face, corner, x, y, perspective):
    """Return the weights of a face's corners at a place or a pixel's centre, and 1 / q there."""
    ba, bb, bc = shares_at(points, faces, face, corner, x, y)
    return perspective_weights(ba, bb, bc, *qs_of(points, faces, face, perspective))


@borrower
def _value_and_rises(of_face, qs, weights, attributes, attribute_faces, face, channel):
    """Return the value of a channel where a face's corners have these weights, and the slopes of q times the value."""
    a, b, c = attribute_faces[face, 0], attribute_faces[face, 1], attribute_faces[face, 2]
    at_a, at_b, at_c = attributes[a, channel], attributes[b, channel], attributes[c, channel]
    rise_x, rise_y = plane_slopes(of_face, qs[0] * at_a, qs[1] * at_b, qs[2] * at_c)
    return weights[0] * at_a + weights[1] * at_b + weights[2] * at_c, rise_x, rise_y


@borrower
def fill_slopes(points, faces, face, perspective, attributes, attribute_faces, weights, row, slopes):
    """Fill a row of slopes (S, C, 2) where a face's corners have these weights, see `weights_at`."""
    of_face, qs = barycentric_slopes(*corners_of(points, faces, face)), qs_of(points, faces, face, perspective)
    one_x, one_y = plane_slopes(of_face, qs[0], qs[1], qs[2])
    for channel in range(attributes.shape[1]):
        given = (attributes, attribute_faces, face, channel)
        here, rise_x, rise_y = _value_and_rises(of_face, qs, weights, *given)
        slopes[row, channel, 0] = (rise_x - here * one_x) * weights[3]
        slopes[row, channel, 1] = (rise_y - here * one_y) * weights[3]


@borrower
def fill_slopes_backward(
    points,
    faces,
    face,
    perspective,
    attributes,
    attribute_faces,
    weights,
    row,
    grad_slopes,
    grad_values,
    into,
    sums,
):
    """Add to a row of grad_values (S, C) what that of grad_slopes (S, C, 2) gives, and to sums (N, 3, C + 1); return the gradient
    of log(1 / q)."""
    of_face, qs = barycentric_slopes(*corners_of(points, faces, face)), qs_of(points, faces, face, perspective)
    one_x, one_y = plane_slopes(of_face, qs[0], qs[1], qs[2])
    channels, shrinking = attributes.shape[1], 0.0
    for channel in range(channels):
        grad_x, grad_y = grad_slopes[row, channel, 0], grad_slopes[row, channel, 1]
        if grad_x != 0 or grad_y != 0:
            given = (attributes, attribute_faces, face, channel)
            here, rise_x, rise_y = _value_and_rises(of_face, qs, weights, *given)
            rises, grads = (rise_x, rise_y, one_x, one_y), (grad_x, grad_y, channel, channels, into, sums)
            of_value, of_inverse = _slopes_backward(*rises, here, weights[3], *grads)
            grad_values[row, channel] += of_value
            shrinking += of_inverse
    return shrinking


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
                slot = slots[row + RING, run]
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
    first, given = len(slopes) - len(place_faces), (perspective, attributes, attribute_faces)
    for place in range(len(place_faces)):
        face, x, y = place_faces[place], places[place, 0], places[place, 1]
        weights = weights_at(points, faces, face, place_corners[place], x, y, perspective)
        fill_slopes(points, faces, face, *given, weights, first + place, slopes)


@borrower
def _slopes_backward(rise_x, rise_y, one_x, one_y, here, inverse, grad_x, grad_y, channel, channels, into, sums):
    """Add the gradients of a channel's slopes to sums (into, 3, C + 1), and return that of the value and that of log(1 / q)."""
    grad_x, grad_y = np.float64(grad_x) * inverse, np.float64(grad_y) * inverse
    sums[into, 1, channel] += grad_x
    sums[into, 2, channel] += grad_y
    sums[into, 1, channels] += grad_x * here
    sums[into, 2, channels] += grad_y * here
    of_value = -grad_x * one_x - grad_y * one_y
    return of_value, grad_x * (rise_x - here * one_x) + grad_y * (rise_y - here * one_y)


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
                slot = slots[row + RING, run]
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
                        rises = (plane[1, channel], plane[2, channel], plane[1, channels], plane[2, channels])
                        of_value, of_inverse = _slopes_backward(
                            *rises, here, inverse, grad_x, grad_y, channel, channels, into, sums
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
    first, given = len(grad_slopes) - len(place_faces), (perspective, attributes, attribute_faces)
    for place in range(len(place_faces)):
        for channel in range(attributes.shape[1] + 1):
            sums[place, 0, channel], sums[place, 1, channel], sums[place, 2, channel] = 0.0, 0.0, 0.0
        face, x, y = place_faces[place], places[place, 0], places[place, 1]
        weights = weights_at(points, faces, face, place_corners[place], x, y, perspective)
        into = (first + place, grad_slopes, grad_values, place, sums)
        shrinking[place] = fill_slopes_backward(points, faces, face, *given, weights, *into)
