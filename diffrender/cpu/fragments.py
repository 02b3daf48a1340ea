"""Values of vertices at places on faces, and back: at pixels' centres, and at the places that outlines ask for.

Where values have one channel more than attributes, it is 1 on faces and 0 elsewhere.

A row of values for each pixel, row after row, then one for nothing at all, then one a place (`face`, `corner`, x, y): in the
image at (x, y), clipped to the face, where `corner` is -1; else on the edge from that corner to the next, at the share x of it.
"""

import numpy as np

from ..formulas.edge import barycentric_slopes, nearest_on_edge_backward
from ..formulas.interpolate import clipped_barycentric, clipped_barycentric_backward
from ..formulas.perspective import perspective_weights, perspective_weights_backward
from ..jit import borrower, kernel
from ..spin import claim, lead, publish
from .hard import RING, ROWS


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
    """Fill planes (C + 1, 3) with q times each attribute, and q, as c0 + cx x + cy y: linear in the image."""
    corners = corners_of(points, faces, face)
    slopes = barycentric_slopes(*corners)
    qa, qb, qc = qs_of(points, faces, face, perspective)
    a, b, c = attribute_faces[face, 0], attribute_faces[face, 1], attribute_faces[face, 2]
    channels = attributes.shape[1]
    for channel in range(channels + 1):
        at_a, at_b, at_c = qa, qb, qc
        if channel < channels:
            at_a, at_b, at_c = qa * attributes[a, channel], qb * attributes[b, channel], qc * attributes[c, channel]
        # Differences from corner a: small faces keep their digits.
        sx = slopes[2] * (at_b - at_a) + slopes[4] * (at_c - at_a)
        sy = slopes[3] * (at_b - at_a) + slopes[5] * (at_c - at_a)
        planes[channel, 0] = at_a - sx * corners[0] - sy * corners[1]
        planes[channel, 1], planes[channel, 2] = sx, sy


@borrower
def _fill_background(background, begin, end, values):
    """Fill values [begin, end) of pixels that see nothing."""
    channels = len(background)
    if channels == 3 and values.shape[1] == 4:
        r, g, b = background[0], background[1], background[2]
        for into in range(begin, end):
            values[into, 0], values[into, 1], values[into, 2], values[into, 3] = r, g, b, 0
        return
    for into in range(begin, end):
        for channel in range(channels):
            values[into, channel] = background[channel]
        if values.shape[1] > channels:
            values[into, channels] = 0


@borrower
def _on_row(planes, channel, row):
    """Return the value at x = 0 on a row, and its slope along it."""
    return planes[channel, 0] + (row + 0.5) * planes[channel, 2], planes[channel, 1]


@borrower
def _fill_run(planes, row, begin, end, first, values):
    """Fill the values of pixels that see one face."""
    channels = len(planes) - 1
    q, slope_q = _on_row(planes, channels, row)
    for column in range(begin, end):
        x = column + 0.5
        inverse = 1.0 / (q + x * slope_q)
        for channel in range(channels):
            value, slope = _on_row(planes, channel, row)
            values[first + column, channel] = (value + x * slope) * inverse
        if values.shape[1] > channels:
            values[first + column, channels] = 1


@borrower
def _fill_three(planes, row, begin, end, first, values):
    """Do what `_fill_run` does for three channels, the most frequent number, in registers."""
    q, slope_q = _on_row(planes, 3, row)
    r, slope_r = _on_row(planes, 0, row)
    g, slope_g = _on_row(planes, 1, row)
    b, slope_b = _on_row(planes, 2, row)
    for column in range(begin, end):
        x = column + 0.5
        inverse = 1.0 / (q + x * slope_q)
        values[first + column, 0] = (r + x * slope_r) * inverse
        values[first + column, 1] = (g + x * slope_g) * inverse
        values[first + column, 2] = (b + x * slope_b) * inverse
        if values.shape[1] > 3:
            values[first + column, 3] = 1


@borrower
def _add_run(planes, row, begin, end, first, grad_values, run):
    """Fill run (C + 1, 2) with the sums over pixels that see one face of g / q and, last, of g . value / q, and of these times
    the columns from `begin` on."""
    channels = len(planes) - 1
    q, slope_q = _on_row(planes, channels, row)
    for channel in range(channels + 1):
        run[channel, 0], run[channel, 1] = 0.0, 0.0
    for column in range(begin, end):
        x, step = column + 0.5, np.float64(column - begin)
        inverse, along = 1.0 / (q + x * slope_q), 0.0
        for channel in range(channels):
            value, slope = _on_row(planes, channel, row)
            grad = np.float64(grad_values[first + column, channel]) * inverse
            along += grad * (value + x * slope)
            run[channel, 0] += grad
            run[channel, 1] += grad * step
        run[channels, 0] += along * inverse
        run[channels, 1] += along * inverse * step


@borrower
def _add_three(planes, row, begin, end, first, grad_values, run):
    """Do what `_add_run` does for three channels in registers."""
    q, slope_q = _on_row(planes, 3, row)
    r, slope_r = _on_row(planes, 0, row)
    g, slope_g = _on_row(planes, 1, row)
    b, slope_b = _on_row(planes, 2, row)
    r0, r1, g0, g1, b0, b1, a0, a1 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for column in range(begin, end):
        x, step = column + 0.5, np.float64(column - begin)
        inverse = 1.0 / (q + x * slope_q)
        grad_r = np.float64(grad_values[first + column, 0]) * inverse
        grad_g = np.float64(grad_values[first + column, 1]) * inverse
        grad_b = np.float64(grad_values[first + column, 2]) * inverse
        along = grad_r * (r + x * slope_r) + grad_g * (g + x * slope_g) + grad_b * (b + x * slope_b)
        along *= inverse
        r0, g0, b0, a0 = r0 + grad_r, g0 + grad_g, b0 + grad_b, a0 + along
        r1, g1, b1, a1 = r1 + grad_r * step, g1 + grad_g * step, b1 + grad_b * step, a1 + along * step
    run[0, 0], run[0, 1], run[1, 0], run[1, 1] = r0, r1, g0, g1
    run[2, 0], run[2, 1], run[3, 0], run[3, 1] = b0, b1, a0, a1


@kernel
def interpolate_centers(
    share,
    shares,
    board,
    turn,
    points,
    faces,
    attributes,
    attribute_faces,
    perspective,
    run_ends,
    run_slots,
    run_counts,
    slot_faces,
    slot_starts,
    background,
    planes,
    values,
):
    """Fill the rows of `values` (S, C) that belong to pixels of an image, and the one for nothing, `background` (C,).

    And planes (N, C + 1, 3) with q times each attribute, and q, of the faces seen in each strip, see `_fill_planes`.
    """
    if share < 0:
        lead(publish(board))
        return
    height, width = run_ends.shape[0] - 2 * RING, run_ends.shape[1] - 2 * RING
    channels = attributes.shape[1]
    if share == 0:
        _fill_background(background, height * width, height * width + 1, values)
    while True:
        strip = claim(turn)
        if strip >= len(slot_starts) - 1:
            break
        first = slot_starts[strip]
        for slot in range(first, slot_starts[strip + 1]):
            face = slot_faces[strip, slot - first]
            _fill_planes(points, faces, face, perspective, attributes, attribute_faces, planes[slot])
        for row in range(max(strip * ROWS - RING, 0), min(strip * ROWS + ROWS - RING, height)):
            for run in range(1, run_counts[row + RING] - 1):  # without the ring's
                begin, end = run_ends[row + RING, run - 1] - RING, run_ends[row + RING, run] - RING
                slot = run_slots[row + RING, run]
                if slot < 0:
                    _fill_background(background, row * width + begin, row * width + end, values)
                elif channels == 3:
                    _fill_three(planes[first + slot], row, begin, end, row * width, values)
                else:
                    _fill_run(planes[first + slot], row, begin, end, row * width, values)


@kernel
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


@kernel
def interpolate_centers_backward(
    share,
    shares,
    board,
    turn,
    points,
    faces,
    run_ends,
    run_slots,
    run_counts,
    slot_faces,
    slot_starts,
    planes,
    grad_values,
    sums,
):
    """Fill sums (N, C + 1, 3) of the faces seen in each strip: over pixels, of g / q for each channel and, last, g . value / q,
    with g the gradient of the pixel's value; and of these times x and y from the face's first corner. Weights are linear in
    the image, over q: `gather_centers` makes gradients of these sums.
    """
    if share < 0:
        lead(publish(board))
        return
    height, width = run_ends.shape[0] - 2 * RING, run_ends.shape[1] - 2 * RING
    channels = planes.shape[1] - 1
    along = np.zeros((channels + 1, 2))
    while True:
        strip = claim(turn)
        if strip >= len(slot_starts) - 1:
            break
        for slot in range(slot_starts[strip], slot_starts[strip + 1]):
            for channel in range(channels + 1):
                sums[slot, channel, 0], sums[slot, channel, 1], sums[slot, channel, 2] = 0.0, 0.0, 0.0
        for row in range(max(strip * ROWS - RING, 0), min(strip * ROWS + ROWS - RING, height)):
            for run in range(1, run_counts[row + RING] - 1):  # without the ring's
                slot = run_slots[row + RING, run]
                if slot < 0:
                    continue
                begin, end = run_ends[row + RING, run - 1] - RING, run_ends[row + RING, run] - RING
                into, face = slot_starts[strip] + slot, slot_faces[strip, slot]
                if channels == 3:
                    _add_three(planes[into], row, begin, end, row * width, grad_values, along)
                else:
                    _add_run(planes[into], row, begin, end, row * width, grad_values, along)
                corner = faces[face, 0]
                x, y = begin + 0.5 - points[corner, 0], row + 0.5 - points[corner, 1]
                for channel in range(channels + 1):
                    total = along[channel, 0]
                    sums[into, channel, 0] += total
                    sums[into, channel, 1] += x * total + along[channel, 1]
                    sums[into, channel, 2] += y * total


@kernel
def gather_centers(
    points,
    faces,
    attributes,
    attribute_faces,
    perspective,
    slot_faces,
    slot_starts,
    sums,
    grad_points,
    grad_attributes,
):
    """Add to grad_points (V, 3) and grad_attributes (T, C) what the sums of `interpolate_centers_backward` say, in their order.

    The sums W_j of w_j g and of w_j (g . value) come first: q times barycentric coordinate j is q_j at the first corner, or 0,
    and has its slopes. With M_jk = sum over pixels of w_j (g . (c_k - value)), the gradient of log q_k is M_kk, and corner j gets
    -sum_k s_k (q_k / q_j) M_jk, s_k being the gradient of barycentric coordinate k.
    """
    channels = attributes.shape[1]
    product, weighed = np.empty((3, 3)), np.empty((3, channels + 1))
    for strip in range(len(slot_starts) - 1):
        for slot in range(slot_starts[strip], slot_starts[strip + 1]):
            face = slot_faces[strip, slot - slot_starts[strip]]
            slopes = barycentric_slopes(*corners_of(points, faces, face))
            qs = qs_of(points, faces, face, perspective)
            for j in range(3):
                start, sx, sy = qs[0] if j == 0 else 0.0, qs[j] * slopes[2 * j], qs[j] * slopes[2 * j + 1]
                for channel in range(channels + 1):
                    total = start * sums[slot, channel, 0] + sx * sums[slot, channel, 1]
                    weighed[j, channel] = total + sy * sums[slot, channel, 2]
                for k in range(3):
                    total = -weighed[j, channels]
                    for channel in range(channels):
                        total += weighed[j, channel] * attributes[attribute_faces[face, k], channel]
                    product[j, k] = total
            for j in range(3):
                row = attribute_faces[face, j]
                for channel in range(channels):
                    grad_attributes[row, channel] += weighed[j, channel]
                inverse = 1.0 / qs[j]
                at_a, at_b, at_c = (
                    product[j, 0] * qs[0] * inverse,
                    product[j, 1] * qs[1] * inverse,
                    product[j, 2] * qs[2] * inverse,
                )
                vertex = faces[face, j]
                grad_points[vertex, 0] -= slopes[0] * at_a + slopes[2] * at_b + slopes[4] * at_c
                grad_points[vertex, 1] -= slopes[1] * at_a + slopes[3] * at_b + slopes[5] * at_c
                if perspective:
                    grad_points[vertex, 2] += product[j, j] * inverse


@borrower
def add_moved(grad_points, faces, face, weights, hx, hy):
    """Add to a face's corners what a gradient (hx, hy) of a place gives them that keeps still while they move."""
    for k in range(3):
        vertex = faces[face, k]
        grad_points[vertex, 0] -= weights[k] * hx
        grad_points[vertex, 1] -= weights[k] * hy


@kernel
def interpolate_places_backward(
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
