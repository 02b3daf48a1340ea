"""Values of vertices at places on faces, and back: at pixels' centres, and at the places that outlines ask for.

Where values have one channel more than attributes, it is 1 on faces and 0 elsewhere.

A row of values for each pixel, row after row, then one for nothing at all, then one a place (`face`, `corner`, x, y): in the
image at (x, y), clipped to the face, where `corner` is -1; else on the edge from that corner to the next, at the share x of it.
"""

import numpy as np

from ..formulas.edge import barycentric_slopes, nearest_on_edge_backward, plane_slopes
from ..formulas.interpolate import clipped_barycentric, clipped_barycentric_backward
from ..formulas.perspective import perspective_weights, perspective_weights_backward
from ..jit import borrower, kernel, prefer_wide_vectors, subroutine
from ..lanes import BLOCK, at, put, select
from ..spin import claim, finish, lead, publish
from .hard import RING, ROWS, claim_strip
from .quads import (
    add_quad,
    add_times,
    load_quad,
    number_of,
    product_of_four,
    product_of_three,
    quad_of,
    store_quad,
    times,
    with_last,
)
from .run_lanes import add_run, fill_run

QUADS = 12  # numbers of a slot with three channels
_SHARES = 18  # and of what its corners get


@borrower
def corners_of(points, faces, face):
    """Return x and y of a face's three corners."""
    a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
    return points[a, 0], points[a, 1], points[b, 0], points[b, 1], points[c, 0], points[c, 1]


@borrower
def inverse_depths_of(points, faces, face):
    """Return 1 / depth of a face's three corners."""
    return points[faces[face, 0], 2], points[faces[face, 1], 2], points[faces[face, 2], 2]


@borrower
def barycentrics_at(corners, slopes, x, y):
    """Return the barycentric coordinates of (x, y), unclipped."""
    ub = (x - corners[0]) * slopes[2] + (y - corners[1]) * slopes[3]
    uc = (x - corners[0]) * slopes[4] + (y - corners[1]) * slopes[5]
    return 1.0 - ub - uc, ub, uc


@borrower
def qs_of(points, faces, face, perspective):
    qa, qb, qc = inverse_depths_of(points, faces, face)
    return (qa, qb, qc) if perspective else (1.0, 1.0, 1.0)


@borrower
def depth_slopes(points, faces, face):
    """Return the gradient of 1 / depth of a face in the image."""
    slopes = barycentric_slopes(*corners_of(points, faces, face))
    qa, qb, qc = inverse_depths_of(points, faces, face)
    return (
        slopes[0] * qa + slopes[2] * qb + slopes[4] * qc,
        slopes[1] * qa + slopes[3] * qb + slopes[5] * qc,
    )


@borrower
def clipped_at(points, faces, face, x, y):
    """Return the barycentric coordinates of (x, y) clipped to a face."""
    corners = corners_of(points, faces, face)
    ba, bb, bc, _ = clipped_barycentric(*barycentrics_at(corners, barycentric_slopes(*corners), x, y))
    return ba, bb, bc


@borrower
def place_weights(points, faces, face, corner, x, y):
    """Return the barycentric coordinates of a place."""
    if corner < 0:
        return clipped_at(points, faces, face, x, y)
    return (
        1.0 - x if corner == 0 else (x if corner == 2 else 0.0),
        1.0 - x if corner == 1 else (x if corner == 0 else 0.0),
        1.0 - x if corner == 2 else (x if corner == 1 else 0.0),
    )


@kernel
def weigh_centers(share, shares, board, points, faces, ids, perspective, weights):
    """Fill weights (H, W, 3) with the barycentric coordinates of what pixels' centres see, -1 where that is nothing."""
    if share < 0:
        lead(publish(board))
        return
    height, width, _ = weights.shape
    for row in range(height * share // shares, height * (share + 1) // shares):
        for column in range(width):
            face = ids[row + RING, column + RING]
            if face < 0:
                weights[row, column, 0], weights[row, column, 1], weights[row, column, 2] = -1, -1, -1
                continue
            ba, bb, bc = clipped_at(points, faces, face, column + 0.5, row + 0.5)
            wa, wb, wc, _ = perspective_weights(ba, bb, bc, *qs_of(points, faces, face, perspective))
            weights[row, column, 0], weights[row, column, 1], weights[row, column, 2] = wa, wb, wc


@borrower
def _fill_planes(points, faces, face, perspective, attributes, attribute_faces, planes):
    """Fill planes (3, C + 1) with q times each attribute, and q, as c0 + cx x + cy y: linear in the image."""
    corners = corners_of(points, faces, face)
    slopes = barycentric_slopes(*corners)
    qa, qb, qc = qs_of(points, faces, face, perspective)
    a, b, c = attribute_faces[face, 0], attribute_faces[face, 1], attribute_faces[face, 2]
    channels = attributes.shape[1]
    for channel in range(channels + 1):
        at_a, at_b, at_c = qa, qb, qc
        if channel < channels:
            at_a, at_b, at_c = qa * attributes[a, channel], qb * attributes[b, channel], qc * attributes[c, channel]
        sx, sy = plane_slopes(slopes, at_a, at_b, at_c)
        planes[0, channel] = at_a - sx * corners[0] - sy * corners[1]
        planes[1, channel], planes[2, channel] = sx, sy


@borrower
def _corner_of(points, faces, face):
    """Return x and y of a face's first corner; for no face, -1, of any."""
    vertex = faces[max(face, 0), 0]
    return points[vertex, 0], points[vertex, 1]


@borrower
def _row_of_three(attributes, row, last):
    """Return three attributes and one number more."""
    return quad_of(np.float64(attributes[row, 0]), np.float64(attributes[row, 1]), np.float64(attributes[row, 2]), last)


@borrower
def _fill_planes_of_three(points, faces, face, perspective, attributes, attribute_faces, slot, flat):
    """Do what `_fill_planes` does for three channels."""
    corners = corners_of(points, faces, face)
    slopes = barycentric_slopes(*corners)
    qa, qb, qc = qs_of(points, faces, face, perspective)
    at_a = times(_row_of_three(attributes, attribute_faces[face, 0], 1.0), qa)
    to_b = add_times(times(_row_of_three(attributes, attribute_faces[face, 1], 1.0), qb), at_a, -1.0)
    to_c = add_times(times(_row_of_three(attributes, attribute_faces[face, 2], 1.0), qc), at_a, -1.0)
    sx = add_times(times(to_b, slopes[2]), to_c, slopes[4])
    sy = add_times(times(to_b, slopes[3]), to_c, slopes[5])
    place = QUADS * slot
    store_quad(flat, place, add_times(add_times(at_a, sx, -corners[0]), sy, -corners[1]))
    store_quad(flat, place + 4, sx)
    store_quad(flat, place + 8, sy)


@borrower
def _plane_of_nothing(background, planes):
    """Fill planes (3, C + 1) of what sees nothing: the background everywhere, over q = 1."""
    channels = len(background)
    for channel in range(channels + 1):
        planes[0, channel] = background[channel] if channel < channels else 1.0
        planes[1, channel], planes[2, channel] = 0.0, 0.0


@borrower
def _fill_background(background, begin, end, values):
    """Fill values [begin, end) of pixels that see nothing."""
    channels = len(background)
    if channels == 3 and values.shape[1] == 4:
        flat = values.reshape(-1)
        nothing = quad_of(np.float64(background[0]), np.float64(background[1]), np.float64(background[2]), 0.0)
        for into in range(begin, end):
            store_quad(flat, np.int64(4 * into), nothing)
        return
    for into in range(begin, end):
        for channel in range(channels):
            values[into, channel] = background[channel]
        if values.shape[1] > channels:
            values[into, channels] = 0


@borrower
def _on_row(planes, channel, row):
    """Return the value at x = 0 on a row, and its slope along it."""
    return planes[0, channel] + (row + 0.5) * planes[2, channel], planes[1, channel]


@borrower
def _quad_at(flat, slot, x, y):
    """Return three channels times q, and q, of a slot at (x, y)."""
    place = QUADS * slot
    on_row = add_times(load_quad(flat, place), load_quad(flat, place + 8), y)
    return add_times(on_row, load_quad(flat, place + 4), x)


@borrower
def _fill_three(flat, first, slots, ends, runs, row, width, background, values):
    """Fill the values of a row of pixels for three channels, the most frequent number, run by run.

    Pixels beyond a run's end are written over by the next.
    """
    into, stride, y, begin = values.reshape(-1), values.shape[1], row + 0.5, np.int64(ends[0])
    for run in range(1, runs - 1):
        end, slot = np.int64(at(ends, run)), np.int64(at(slots, run))
        column, last, place = begin - RING, end - RING, QUADS * (first + slot)
        begin = end
        if slot == 0:
            _fill_background(background, row * width + column, row * width + last, values)
            continue
        while stride == 4 and column < last and column + BLOCK <= width:
            fill_run(flat, place, column + 0.5, y, into, (row * width + column) * stride)
            column += BLOCK
        for rest in range(column, last):
            quad = _quad_at(flat, first + slot, rest + 0.5, y)
            quad = times(quad, 1.0 / number_of(quad, 3))
            place_of = (row * width + rest) * stride
            if stride == 4:
                store_quad(into, place_of, with_last(quad, 1.0))
            else:
                for channel in range(3):
                    put(into, place_of + channel, number_of(quad, channel))


@borrower
def _fill_any(planes, first, slots, ends, runs, row, width, background, values):
    """Do what `_fill_three` does for any number of channels."""
    channels = planes.shape[2] - 1
    for run in range(1, runs - 1):
        begin, end, slot = ends[run - 1] - RING, ends[run] - RING, slots[run]
        if slot == 0:
            _fill_background(background, row * width + begin, row * width + end, values)
            continue
        q, slope_q = _on_row(planes[first + slot], channels, row)
        for column in range(begin, end):
            x, pixel = column + 0.5, row * width + column
            inverse = 1.0 / (q + x * slope_q)
            for channel in range(channels):
                value, slope = _on_row(planes[first + slot], channel, row)
                values[pixel, channel] = (value + x * slope) * inverse
            if values.shape[1] > channels:
                values[pixel, channels] = 1


@borrower
def _grad_of_three(grad_values, place, stride):
    """Return the gradients of three channels, and one number more."""
    if stride == 4:
        return load_quad(grad_values, place)
    r, g, b = at(grad_values, place), at(grad_values, place + 1), at(grad_values, place + 2)
    return quad_of(np.float64(r), np.float64(g), np.float64(b), 0.0)


@subroutine
def _add_three(flat, first, slot, corner_x, corner_y, x, y, grad, sums):
    """Add what one pixel gives to the sums of `sum_centers`, for three channels."""
    quad = _quad_at(flat, first + slot, x, y)
    inverse = 1.0 / number_of(quad, 3)
    grad = times(grad, inverse)
    grad = with_last(grad, product_of_three(grad, quad) * inverse)
    place = QUADS * (first + slot)
    add_quad(sums, place, grad)
    add_quad(sums, place + 4, times(grad, x - corner_x))
    add_quad(sums, place + 8, times(grad, y - corner_y))


@borrower
def _add_row_of_three(flat, first, slots, ends, runs, row, width, corners, flat_grads, stride, sums):
    """Do `_add_three` for the pixels of a row that see faces, run by run."""
    y, begin = row + 0.5, np.int64(ends[0])
    for run in range(1, runs - 1):
        end, slot = np.int64(at(ends, run)), np.int64(at(slots, run))
        column, last = begin - RING, end - RING
        begin = end
        if slot == 0:
            continue
        place, corner_x, corner_y = QUADS * (first + slot), at(corners, 2 * slot), at(corners, 2 * slot + 1)
        while stride == 4 and column < last and column + BLOCK <= width:
            x, pixel = column + 0.5, row * width + column
            add_run(flat, place, x, y, x - corner_x, y - corner_y, flat_grads, pixel * stride, last - column, sums)
            column += BLOCK
        for rest in range(column, last):
            grad = _grad_of_three(flat_grads, (row * width + rest) * stride, stride)
            _add_three(flat, first, slot, corner_x, corner_y, rest + 0.5, y, grad, sums)


@subroutine
def _add_any(planes, first, slot, corner_x, corner_y, x, y, row, grad_values, pixel, sums):
    """Do what `_add_three` does for any number of channels."""
    channels, into = planes.shape[2] - 1, first + slot
    dx, dy = x - corner_x, y - corner_y
    q, slope_q = _on_row(planes[into], channels, row)
    inverse, along = 1.0 / (q + x * slope_q), 0.0
    for channel in range(channels + 1):
        grad = along * inverse
        if channel < channels:
            value, slope = _on_row(planes[into], channel, row)
            grad = np.float64(grad_values[pixel, channel]) * inverse
            along += grad * (value + x * slope)
        sums[into, 0, channel] += grad
        sums[into, 1, channel] += grad * dx
        sums[into, 2, channel] += grad * dy


@subroutine
def interpolate_places(
    points, faces, place_faces, place_corners, places, attributes, attribute_faces, perspective, values
):
    """Fill the last N rows of `values` (S, C) for N places."""
    count, channels = len(place_faces), attributes.shape[1]
    first = len(values) - count
    for place in range(count):
        face = place_faces[place]
        ba, bb, bc = place_weights(points, faces, face, place_corners[place], places[place, 0], places[place, 1])
        wa, wb, wc, _ = perspective_weights(ba, bb, bc, *qs_of(points, faces, face, perspective))
        a, b, c = attribute_faces[face, 0], attribute_faces[face, 1], attribute_faces[face, 2]
        if values.shape[1] > channels:
            values[first + place, channels] = 1
        for channel in range(channels):
            values[first + place, channel] = (
                wa * attributes[a, channel] + wb * attributes[b, channel] + wc * attributes[c, channel]
            )


@subroutine
def fill_values(
    stage,
    share,
    shares,
    points,
    faces,
    attributes,
    attribute_faces,
    perspective,
    run_ends,
    run_counts,
    slots,
    slot_faces,
    slot_starts,
    place_faces,
    place_corners,
    places,
    background,
    planes,
    values,
):
    """Fill values (S, C): those of places and the one for nothing, `background` (C,), in one task, and those of pixels in one for
    each strip.

    And planes (N, 3, C + 1) with q times each attribute, and q, of the faces seen in each strip, see `_fill_planes`.
    """
    prefer_wide_vectors()
    height, width = slots.shape[0] - 2 * RING, slots.shape[1] - 2 * RING
    channels = attributes.shape[1]
    flat = planes.reshape(-1)
    given = (attributes, attribute_faces, perspective)
    if claim(stage) == 0:
        _fill_background(background, height * width, height * width + 1, values)
        interpolate_places(points, faces, place_faces, place_corners, places, *given, values)
        finish(stage)
    while True:
        strip = claim_strip(stage, share, shares, len(slot_starts) - 1)
        if strip < 0:
            break
        first = slot_starts[strip]
        _plane_of_nothing(background, planes[first])
        for slot in range(first + 1, slot_starts[strip + 1]):
            face = slot_faces[strip, slot - first]
            if channels == 3:
                _fill_planes_of_three(points, faces, face, perspective, attributes, attribute_faces, slot, flat)
            else:
                _fill_planes(points, faces, face, perspective, attributes, attribute_faces, planes[slot])
        for row in range(max(strip * ROWS - RING, 0), min(strip * ROWS + ROWS - RING, height)):
            here, ends, runs = slots[row + RING], run_ends[row + RING], np.int64(run_counts[row + RING])
            if channels == 3:
                _fill_three(flat, first, here, ends, runs, row, width, background, values)
            else:
                _fill_any(planes, first, here, ends, runs, row, width, background, values)
        finish(stage)


@borrower
def _weighed(sums, slot, channel, start, sx, sy):
    """Return the sum over pixels of a weight times what the sums of a slot are made of, if the weight is linear in the image."""
    return start * sums[slot, 0, channel] + sx * sums[slot, 1, channel] + sy * sums[slot, 2, channel]


@borrower
def _give_corners(points, faces, face, attributes, attribute_faces, perspective, slot, sums, shares_of):
    """Fill shares_of (N, 3, C + 3) of a slot with the gradients of attributes and points, x, y and 1 / depth, at a face's corners
    that its sums give, see `sum_centers`.

    The sums W_j of w_j g and of w_j (g . value) come first: q times barycentric coordinate j is q_j at the first corner, or 0,
    and has its slopes. With M_jk = sum over pixels of w_j (g . (c_k - value)), the gradient of log q_k is M_kk, and corner j gets
    -sum_k s_k (q_k / q_j) M_jk, s_k being the gradient of barycentric coordinate k.
    """
    channels = attributes.shape[1]
    sax, say, sbx, sby, scx, scy = barycentric_slopes(*corners_of(points, faces, face))
    qa, qb, qc = qs_of(points, faces, face, perspective)
    a, b, c = attribute_faces[face, 0], attribute_faces[face, 1], attribute_faces[face, 2]
    for j in range(3):
        q, start = select(j == 0, qa, select(j == 1, qb, qc)), select(j == 0, qa, 0.0)
        sx = q * select(j == 0, sax, select(j == 1, sbx, scx))
        sy = q * select(j == 0, say, select(j == 1, sby, scy))
        along = -_weighed(sums, slot, channels, start, sx, sy)
        at_a, at_b, at_c = along, along, along
        for channel in range(channels):
            total = _weighed(sums, slot, channel, start, sx, sy)
            shares_of[slot, j, channel] = total
            at_a += total * attributes[a, channel]
            at_b += total * attributes[b, channel]
            at_c += total * attributes[c, channel]
        inverse = 1.0 / q
        own = select(j == 0, at_a, select(j == 1, at_b, at_c))
        at_a, at_b, at_c = at_a * qa * inverse, at_b * qb * inverse, at_c * qc * inverse
        shares_of[slot, j, channels] = -(sax * at_a + sbx * at_b + scx * at_c)
        shares_of[slot, j, channels + 1] = -(say * at_a + sby * at_b + scy * at_c)
        shares_of[slot, j, channels + 2] = own * inverse if perspective else 0.0


@borrower
def _give_corners_of_three(points, faces, face, attributes, attribute_faces, perspective, slot, sums, shares_of):
    """Do what `_give_corners` does for three channels, with sums and shares_of flat."""
    sax, say, sbx, sby, scx, scy = barycentric_slopes(*corners_of(points, faces, face))
    qa, qb, qc = qs_of(points, faces, face, perspective)
    # What lies along the value is taken off.
    at_a = _row_of_three(attributes, attribute_faces[face, 0], -1.0)
    at_b = _row_of_three(attributes, attribute_faces[face, 1], -1.0)
    at_c = _row_of_three(attributes, attribute_faces[face, 2], -1.0)
    place, into = QUADS * slot, _SHARES * slot
    total, by_x, by_y = load_quad(sums, place), load_quad(sums, place + 4), load_quad(sums, place + 8)
    for j in range(3):
        q, start = select(j == 0, qa, select(j == 1, qb, qc)), select(j == 0, qa, 0.0)
        sx = q * select(j == 0, sax, select(j == 1, sbx, scx))
        sy = q * select(j == 0, say, select(j == 1, sby, scy))
        of_corner = add_times(add_times(times(total, start), by_x, sx), by_y, sy)
        along_a, along_b, along_c = (
            product_of_four(of_corner, at_a),
            product_of_four(of_corner, at_b),
            product_of_four(of_corner, at_c),
        )
        inverse = 1.0 / q
        own = select(j == 0, along_a, select(j == 1, along_b, along_c))
        along_a, along_b, along_c = along_a * qa * inverse, along_b * qb * inverse, along_c * qc * inverse
        # The fourth is written over.
        store_quad(shares_of, into + 6 * j, of_corner)
        put(shares_of, into + 6 * j + 3, -(sax * along_a + sbx * along_b + scx * along_c))
        put(shares_of, into + 6 * j + 4, -(say * along_a + sby * along_b + scy * along_c))
        put(shares_of, into + 6 * j + 5, own * inverse if perspective else 0.0)


@subroutine
def sum_centers(
    stage,
    share,
    shares,
    points,
    faces,
    run_ends,
    run_counts,
    slots,
    slot_faces,
    slot_starts,
    planes,
    grad_values,
    is_begun,
    sums,
):
    """Fill sums (N, 3, C + 1) of the faces seen in each strip, strip by strip.

    What is linear in the image, over q, needs only sums over a face's pixels: of g / q for each channel and, last,
    g . value / q, with g the gradient of the pixel's value; and of these times x and y from the face's first corner. If sums
    are begun, these come on top.
    """
    prefer_wide_vectors()
    height, width = slots.shape[0] - 2 * RING, slots.shape[1] - 2 * RING
    channels, stride = planes.shape[2] - 1, grad_values.shape[1]
    flat, into, flat_grads = planes.reshape(-1), sums.reshape(-1), grad_values.reshape(-1)
    corners = np.empty(2 * slot_faces.shape[1])
    while True:
        strip = claim_strip(stage, share, shares, len(slot_starts) - 1)
        if strip < 0:
            break
        first = slot_starts[strip]
        for slot in range(slot_starts[strip + 1] - first):
            corners[2 * slot], corners[2 * slot + 1] = _corner_of(points, faces, slot_faces[strip, slot])
            for channel in range(0 if is_begun else channels + 1):
                for axis in range(3):
                    sums[first + slot, axis, channel] = 0.0
        for row in range(max(strip * ROWS - RING, 0), min(strip * ROWS + ROWS - RING, height)):
            here, ends, runs = slots[row + RING], run_ends[row + RING], np.int64(run_counts[row + RING])
            if channels == 3:
                _add_row_of_three(flat, first, here, ends, runs, row, width, corners, flat_grads, stride, into)
                continue
            for run in range(1, runs - 1):
                number = np.int64(here[run])
                corner = corners[2 * number], corners[2 * number + 1]
                for column in range(ends[run - 1] - RING, (ends[run] if number > 0 else ends[run - 1]) - RING):
                    pixel = row * width + column
                    _add_any(planes, first, number, *corner, column + 0.5, row + 0.5, row, grad_values, pixel, sums)
        finish(stage)


@subroutine
def give_centers(
    stage,
    share,
    shares,
    points,
    faces,
    attributes,
    attribute_faces,
    perspective,
    ids,
    slot_faces,
    slot_starts,
    planes,
    more_starts,
    more_pixels,
    more_values,
    sums,
    shares_of,
):
    """Fill shares_of (N, 3, C + 3) of the faces seen in each strip with what their sums give, see `_give_corners`.

    More gradients that are added to the sums are those of more_pixels (N,), in the order of strips, those of which begin at
    more_starts (S + 1,).
    """
    width, channels, stride = ids.shape[1] - 2 * RING, planes.shape[2] - 1, more_values.shape[1]
    slot_of = np.empty(len(faces) + 1, np.int32)  # of each face in a strip, after that of nothing
    flat, into = planes.reshape(-1), sums.reshape(-1)
    flat_more, flat_shares = more_values.reshape(-1), shares_of.reshape(-1)
    while True:
        strip = claim_strip(stage, share, shares, len(slot_starts) - 1)
        if strip < 0:
            break
        first = slot_starts[strip]
        for slot in range(slot_starts[strip + 1] - first):
            put(slot_of, np.int64(slot_faces[strip, slot]) + 1, slot)
        for number in range(more_starts[strip], more_starts[strip + 1]):
            row, column = more_pixels[number] // width, more_pixels[number] % width
            here = np.int64(at(slot_of, np.int64(ids[row + RING, column + RING]) + 1))
            corner, x, y = _corner_of(points, faces, slot_faces[strip, here]), column + 0.5, row + 0.5
            if channels == 3:
                _add_three(flat, first, here, *corner, x, y, _grad_of_three(flat_more, number * stride, stride), into)
            else:
                _add_any(planes, first, here, *corner, x, y, row, more_values, number, sums)
        given = (attributes, attribute_faces, perspective)
        for slot in range(first + 1, slot_starts[strip + 1]):
            face = slot_faces[strip, slot - first]
            if channels == 3:
                _give_corners_of_three(points, faces, face, *given, slot, into, flat_shares)
            else:
                _give_corners(points, faces, face, *given, slot, sums, shares_of)
        finish(stage)


@borrower
def _gather(rows_of, slot_faces, slot_starts, shares_of, first, grads):
    """Add to the rows of grads (T, C) that rows_of (F, 3) names what the faces' corners get, from channel `first` on, in their
    order."""
    for strip in range(len(slot_starts) - 1):
        for slot in range(slot_starts[strip], slot_starts[strip + 1]):
            face = slot_faces[strip, slot - slot_starts[strip]]
            if face < 0:
                continue
            for j in range(3):
                row = rows_of[face, j]
                for channel in range(grads.shape[1]):
                    grads[row, channel] += shares_of[slot, j, first + channel]


@subroutine
def gather_attributes(attribute_faces, slot_faces, slot_starts, shares_of, grad_attributes):
    """Add to grad_attributes (T, C) what the faces' corners get, see `_give_corners`."""
    _gather(attribute_faces, slot_faces, slot_starts, shares_of, 0, grad_attributes)


@subroutine
def gather_points(faces, slot_faces, slot_starts, shares_of, grad_points):
    """Add to grad_points (V, 3) what the faces' corners get, see `_give_corners`."""
    _gather(faces, slot_faces, slot_starts, shares_of, shares_of.shape[2] - 3, grad_points)


@kernel
def gather_corners(faces, attribute_faces, slot_faces, slot_starts, shares_of, grad_points, grad_attributes):
    """Do `gather_attributes` and `gather_points`."""
    gather_attributes(attribute_faces, slot_faces, slot_starts, shares_of, grad_attributes)
    gather_points(faces, slot_faces, slot_starts, shares_of, grad_points)


@kernel
def give_corners(points, faces, attributes, attribute_faces, perspective, slot_faces, sums, shares_of):
    """Do `_give_corners` for the sums of each of N faces."""
    for slot in range(len(slot_faces)):
        given = (attributes, attribute_faces, perspective)
        _give_corners(points, faces, slot_faces[slot], *given, slot, sums, shares_of)


@borrower
def add_moved(grad_points, faces, face, weights, hx, hy):
    """Add to a face's corners what a gradient (hx, hy) of a place gives them that keeps still while they move."""
    for k in range(3):
        vertex = faces[face, k]
        grad_points[vertex, 0] -= weights[k] * hx
        grad_points[vertex, 1] -= weights[k] * hy


@subroutine
def add_places(
    points,
    faces,
    place_faces,
    place_corners,
    places,
    place_pixels,
    width,
    attributes,
    attribute_faces,
    perspective,
    grad_values,
    shrinking,
    grad_points,
    grad_attributes,
):
    """Add to grad_points (V, 3) and grad_attributes (T, C) what the last N rows of grad_values (S, C) give, in their order, and
    shrinking (N,), the gradients of log(1 / q)."""
    count, channels = len(place_faces), attributes.shape[1]
    first = len(grad_values) - count
    for place in range(count):
        face, corner, x, y = place_faces[place], place_corners[place], places[place, 0], places[place, 1]
        corners = corners_of(points, faces, face)
        slopes = barycentric_slopes(*corners)
        unclipped = barycentrics_at(corners, slopes, x, y)
        inverse_sum = 1.0
        if corner < 0:
            ba, bb, bc, inverse_sum = clipped_barycentric(*unclipped)
        else:
            ba, bb, bc = place_weights(points, faces, face, corner, x, y)
        qa, qb, qc = qs_of(points, faces, face, perspective)
        wa, wb, wc, inverse = perspective_weights(ba, bb, bc, qa, qb, qc)
        a, b, c = attribute_faces[face, 0], attribute_faces[face, 1], attribute_faces[face, 2]
        ga, gb, gc = 0.0, 0.0, 0.0
        for channel in range(channels):
            grad = np.float64(grad_values[first + place, channel])
            grad_attributes[a, channel] += wa * grad
            grad_attributes[b, channel] += wb * grad
            grad_attributes[c, channel] += wc * grad
            ga += grad * attributes[a, channel]
            gb += grad * attributes[b, channel]
            gc += grad * attributes[c, channel]
        ga, gb, gc, la, lb, lc = perspective_weights_backward(
            ga, gb, gc, shrinking[place], wa, wb, wc, qa, qb, qc, inverse
        )
        if perspective:
            grad_points[faces[face, 0], 2] += la / qa
            grad_points[faces[face, 1], 2] += lb / qb
            grad_points[faces[face, 2], 2] += lc / qc
        if corner < 0:
            hx, hy = clipped_barycentric_backward(ga, gb, gc, ba, bb, bc, inverse_sum, slopes)
            add_moved(grad_points, faces, face, unclipped, hx, hy)
            continue
        grads = (ga, gb, gc)
        other = corner + 1 if corner < 2 else 0
        start, end = faces[face, corner], faces[face, other]
        pixel = place_pixels[place]
        px, py = pixel % width + 0.5, pixel // width + 0.5
        to_start = nearest_on_edge_backward(
            grads[other] - grads[corner],
            points[start, 0] - px,
            points[start, 1] - py,
            points[end, 0] - px,
            points[end, 1] - py,
        )
        grad_points[start, 0] += to_start[0]
        grad_points[start, 1] += to_start[1]
        grad_points[end, 0] += to_start[2]
        grad_points[end, 1] += to_start[3]


@subroutine
def finish_points(points, grad_points, of_vertices):
    """Fill the gradients of vertices in pixel space (V, 3), d(1 / z) = -dz / z^2."""
    for vertex in range(len(of_vertices)):
        of_vertices[vertex, 0], of_vertices[vertex, 1] = grad_points[vertex, 0], grad_points[vertex, 1]
        of_vertices[vertex, 2] = -grad_points[vertex, 2] * points[vertex, 2] ** 2


@subroutine
def finish_attributes(grad_attributes, of_attributes):
    """Fill the gradients of attributes (T, C), in their precision."""
    for row in range(len(of_attributes)):
        for channel in range(of_attributes.shape[1]):
            of_attributes[row, channel] = grad_attributes[row, channel]


@kernel
def finish_gradients(points, grad_points, grad_attributes, of_vertices, of_attributes):
    """Do `finish_points` and `finish_attributes`."""
    finish_points(points, grad_points, of_vertices)
    finish_attributes(grad_attributes, of_attributes)
