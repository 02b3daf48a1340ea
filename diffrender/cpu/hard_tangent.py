"""How hard rendering changes in directions of the points and of what lies on them: the forward mode.

Directions are inner axes of what is given, (V, D, 3), and outer ones of what comes out, (D, ...).
"""

import numpy as np

from ..formulas.edge import barycentric_slopes, nearest_on_edge_backward, plane_slopes
from ..formulas.interpolate import clipped_barycentric
from ..jit import borrower, formula, kernel, subroutine
from ..spin import claim, lead, publish
from .blend import area_backward
from .fragments import _on_row, barycentrics_at, corners_of, qs_of
from .hard import RING, ROWS
from .slopes import CENTER, shares_at


@subroutine
def _fill_plane_tangents(
    points, faces, face, perspective, attributes, attribute_faces, planes, motions, painted, d, tangents
):
    """Fill tangents (3, C + 1) with how a face's planes (3, C + 1) change in direction d.

    A plane through values at corners that move changes as one through the values' own changes, less what the plane rises by
    along the corners' ways.
    """
    corners = corners_of(points, faces, face)
    slopes = barycentric_slopes(*corners)
    channels, qs = attributes.shape[1], qs_of(points, faces, face, perspective)
    for channel in range(channels + 1):
        rise_x, rise_y = planes[1, channel], planes[2, channel]
        at = (0.0, 0.0, 0.0)
        for k in range(3):
            vertex, row = faces[face, k], attribute_faces[face, k]
            turn = motions[vertex, d, 2] if perspective else 0.0
            change = turn
            if channel < channels:
                change = turn * attributes[row, channel]
                if len(painted) > 0:
                    change += qs[k] * painted[row, d, channel]
            change -= rise_x * motions[vertex, d, 0] + rise_y * motions[vertex, d, 1]
            at = (at[1], at[2], change)
        sx, sy = plane_slopes(slopes, at[0], at[1], at[2])
        tangents[0, channel] = at[0] - sx * corners[0] - sy * corners[1]
        tangents[1, channel], tangents[2, channel] = sx, sy


@formula
def _slope_tangent(rise, rise_q, turn, turn_q, here, change, shrinking, inverse):
    """Return how a value's slope changes: d((p_x - value q_x) / q), for the slopes p_x and q_x and how these change."""
    slope = (rise - here * rise_q) * inverse
    return (turn - change * rise_q - here * turn_q) * inverse - slope * shrinking


@kernel
def interpolate_centers_tangent(
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
    run_counts,
    slots,
    slot_faces,
    slot_starts,
    planes,
    motions,
    painted,
    values,
    slopes,
):
    """Fill the rows of values (D, S, C or more), zeros, of pixels that see a face, with how these change; and of slopes
    (D, S, C, 2), if there are any.

    motions (V, D, 3) are those of points; painted (T, D, C) those of attributes, or none.
    """
    if share < 0:
        lead(publish(board))
        return
    height, width = run_ends.shape[0] - 2 * RING, run_ends.shape[1] - 2 * RING
    channels = attributes.shape[1]
    most = 0
    for strip in range(len(slot_starts) - 1):
        most = max(most, slot_starts[strip + 1] - slot_starts[strip])
    tangents = np.empty((most, 3, channels + 1))
    while True:
        strip = claim(turn)
        if strip >= len(slot_starts) - 1:
            break
        first, count = slot_starts[strip], slot_starts[strip + 1] - slot_starts[strip]
        for d in range(len(values)):
            for slot in range(1, count):  # without nothing
                _fill_plane_tangents(
                    points,
                    faces,
                    slot_faces[strip, slot],
                    perspective,
                    attributes,
                    attribute_faces,
                    planes[first + slot],
                    motions,
                    painted,
                    d,
                    tangents[slot],
                )
            for row in range(max(strip * ROWS - RING, 0), min(strip * ROWS + ROWS - RING, height)):
                for run in range(1, run_counts[row + RING] - 1):  # without the ring's
                    slot = slots[row + RING, run]
                    if slot == 0:
                        continue
                    plane, moved = planes[first + slot], tangents[slot]
                    q, slope_q = _on_row(plane, channels, row)
                    turned, slope_turned = _on_row(moved, channels, row)
                    for channel in range(channels):
                        value, slope = _on_row(plane, channel, row)
                        change, slope_change = _on_row(moved, channel, row)
                        for column in range(run_ends[row + RING, run - 1] - RING, run_ends[row + RING, run] - RING):
                            x, pixel = column + 0.5, row * width + column
                            inverse = 1.0 / (q + x * slope_q)
                            here, shrinking = (value + x * slope) * inverse, (turned + x * slope_turned) * inverse
                            by = (change + x * slope_change) * inverse - here * shrinking
                            values[d, pixel, channel] = by
                            if len(slopes) > 0:
                                given = (here, by, shrinking, inverse)
                                for axis in range(2):
                                    rises = plane[axis + 1, channel], plane[axis + 1, channels]
                                    turns = moved[axis + 1, channel], moved[axis + 1, channels]
                                    slopes[d, pixel, channel, axis] = _slope_tangent(*rises, *turns, *given)


@subroutine
def _weights_tangent(points, faces, face, corner, x, y, px, py, motions, d):
    """Return how the barycentric coordinates of a place change in direction d."""
    if corner >= 0:
        other = corner + 1 if corner < 2 else 0
        start, end = faces[face, corner], faces[face, other]
        ax, ay, bx, by = points[start, 0] - px, points[start, 1] - py, points[end, 0] - px, points[end, 1] - py
        of_start_x, of_start_y, of_end_x, of_end_y = nearest_on_edge_backward(1.0, ax, ay, bx, by)
        change = of_start_x * motions[start, d, 0] + of_start_y * motions[start, d, 1]
        change += of_end_x * motions[end, d, 0] + of_end_y * motions[end, d, 1]
        return (
            -change if corner == 0 else (change if other == 0 else 0.0),
            -change if corner == 1 else (change if other == 1 else 0.0),
            -change if corner == 2 else (change if other == 2 else 0.0),
        )
    corners = corners_of(points, faces, face)
    slopes = barycentric_slopes(*corners)
    ua, ub, uc = barycentrics_at(corners, slopes, x, y)
    # While the corners move by e, the place stays: relative to the face it moves by -sum u e.
    a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
    hx = ua * motions[a, d, 0] + ub * motions[b, d, 0] + uc * motions[c, d, 0]
    hy = ua * motions[a, d, 1] + ub * motions[b, d, 1] + uc * motions[c, d, 1]
    da, db, dc = (
        -(slopes[0] * hx + slopes[1] * hy),
        -(slopes[2] * hx + slopes[3] * hy),
        -(slopes[4] * hx + slopes[5] * hy),
    )
    if corner == CENTER:
        return da, db, dc
    ba, bb, bc, inverse = clipped_barycentric(ua, ub, uc)
    da, db, dc = da if ua > 0.0 else 0.0, db if ub > 0.0 else 0.0, dc if uc > 0.0 else 0.0
    total = da + db + dc
    return (da - ba * total) * inverse, (db - bb * total) * inverse, (dc - bc * total) * inverse


@borrower
def _moved_slopes(faces, face, motions, d, slopes, rise_x, rise_y, at_a, at_b, at_c):
    """Return how the slopes (rise_x, rise_y) of what is linear over a face change as its corners move in direction d, and as the
    values at them do: see `_fill_plane_tangents`."""
    a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
    at_a -= rise_x * motions[a, d, 0] + rise_y * motions[a, d, 1]
    at_b -= rise_x * motions[b, d, 0] + rise_y * motions[b, d, 1]
    at_c -= rise_x * motions[c, d, 0] + rise_y * motions[c, d, 1]
    return plane_slopes(slopes, at_a, at_b, at_c)


@borrower
def fill_tangents(
    points,
    faces,
    face,
    corner,
    x,
    y,
    px,
    py,
    perspective,
    attributes,
    attribute_faces,
    motions,
    painted,
    row,
    values,
    slopes,
):
    """Fill a row of values (D, S, C or more) with how they change at a place, and of slopes (D, S, C, 2), if there are any.

    (px, py) is the centre of the pixel of a place on an edge.
    """
    of_face = barycentric_slopes(*corners_of(points, faces, face))
    shares = shares_at(points, faces, face, corner, x, y)
    qs = qs_of(points, faces, face, perspective)
    inverse = 1.0 / (shares[0] * qs[0] + shares[1] * qs[1] + shares[2] * qs[2])
    one_x, one_y = plane_slopes(of_face, qs[0], qs[1], qs[2])
    va, vb, vc = faces[face, 0], faces[face, 1], faces[face, 2]
    a, b, c = attribute_faces[face, 0], attribute_faces[face, 1], attribute_faces[face, 2]
    for d in range(len(values)):
        ca, cb, cc = _weights_tangent(points, faces, face, corner, x, y, px, py, motions, d)
        ta, tb, tc = 0.0, 0.0, 0.0
        if perspective:
            ta, tb, tc = motions[va, d, 2], motions[vb, d, 2], motions[vc, d, 2]
        # How b q changes at each corner, over the sum of b q.
        ca = (ca * qs[0] + shares[0] * ta) * inverse
        cb = (cb * qs[1] + shares[1] * tb) * inverse
        cc = (cc * qs[2] + shares[2] * tc) * inverse
        shrinking, of_one = ca + cb + cc, (0.0, 0.0)
        if len(slopes) > 0:
            of_one = _moved_slopes(faces, face, motions, d, of_face, one_x, one_y, ta, tb, tc)
        for channel in range(attributes.shape[1]):
            at_a, at_b, at_c = attributes[a, channel], attributes[b, channel], attributes[c, channel]
            pa, pb, pc = qs[0] * at_a, qs[1] * at_b, qs[2] * at_c
            here = (shares[0] * pa + shares[1] * pb + shares[2] * pc) * inverse
            by = ca * (at_a - here) + cb * (at_b - here) + cc * (at_c - here)
            ma, mb, mc = ta * at_a, tb * at_b, tc * at_c
            if len(painted) > 0:
                da, db, dc = (
                    qs[0] * painted[a, d, channel],
                    qs[1] * painted[b, d, channel],
                    qs[2] * painted[c, d, channel],
                )
                by += (shares[0] * da + shares[1] * db + shares[2] * dc) * inverse
                ma, mb, mc = ma + da, mb + db, mc + dc
            values[d, row, channel] = by
            if len(slopes) > 0:
                rise_x, rise_y = plane_slopes(of_face, pa, pb, pc)
                moved_x, moved_y = _moved_slopes(faces, face, motions, d, of_face, rise_x, rise_y, ma, mb, mc)
                given = (here, by, shrinking, inverse)
                slopes[d, row, channel, 0] = _slope_tangent(rise_x, one_x, moved_x, of_one[0], *given)
                slopes[d, row, channel, 1] = _slope_tangent(rise_y, one_y, moved_y, of_one[1], *given)


@kernel
def interpolate_places_tangent(
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
    motions,
    painted,
    values,
    slopes,
):
    """Fill the last N rows of values (D, S, C or more) for N places, and those of slopes (D, S, C, 2), if there are any."""
    first, given = values.shape[1] - len(place_faces), (perspective, attributes, attribute_faces, motions, painted)
    for place in range(len(place_faces)):
        at = (place_faces[place], place_corners[place], places[place, 0], places[place, 1])
        px, py = place_pixels[place] % width + 0.5, place_pixels[place] // width + 0.5
        fill_tangents(points, faces, *at, px, py, *given, first + place, values, slopes)


@borrower
def _take(vertex, rows, motions, pair, tangents):
    """Add to a pair's tangents what a vertex's row of gradients gives in each direction, and clear it."""
    x, y, z = rows[vertex, 0], rows[vertex, 1], rows[vertex, 2]
    rows[vertex, 0], rows[vertex, 1], rows[vertex, 2] = 0.0, 0.0, 0.0
    for d in range(len(tangents)):
        tangents[d, pair] += x * motions[vertex, d, 0] + y * motions[vertex, d, 1] + z * motions[vertex, d, 2]


@kernel
def areas_tangent(points, faces, pixels, width, owners, numbers, cutters, motions, rows, tangents):
    """Add to tangents (D, N) how the areas of pairs change: the products of their gradients with the motions (V, D, 3).

    rows (V, 3), zeros, are for the gradients of one pair at a time, and are zeros again afterwards.
    """
    for pair in range(len(pixels)):
        px, py = pixels[pair] % width + 0.5, pixels[pair] // width + 0.5
        area_backward(points, faces, px, py, owners, numbers, cutters, pair, 1.0, rows)
        for side in range(2):
            owner = owners[pair, side]
            if owner >= 0:
                _take(owner, rows, motions, pair, tangents)
            else:
                for k in range(3):
                    _take(faces[-1 - owner, k], rows, motions, pair, tangents)
            p, q = cutters[pair, 2 * side], cutters[pair, 2 * side + 1]
            if p >= 0:
                _take(p, rows, motions, pair, tangents)
                _take(q, rows, motions, pair, tangents)
            elif p < -1:
                for k in range(3):
                    _take(faces[-2 - p, k], rows, motions, pair, tangents)


@kernel
def blend_tangent(pixels, sides, areas, jumps, area_tangents, values):
    """Turn how values change (D, S, C) into how the image does, in their first rows."""
    by = np.empty((len(pixels), values.shape[2]))
    for d in range(len(values)):
        for pair in range(len(pixels)):
            near, beyond = sides[pair, 0], sides[pair, 1]
            for channel in range(values.shape[2]):
                change = np.float64(values[d, beyond, channel]) - values[d, near, channel]
                by[pair, channel] = area_tangents[d, pair] * jumps[pair, channel] + areas[pair] * change
        for pair in range(len(pixels)):
            for channel in range(values.shape[2]):
                values[d, pixels[pair], channel] += by[pair, channel]


@kernel
def straight_alpha_tangent(pixels, floor, background, image, marks, values):
    """Turn how premultiplied colours and alpha change, in the first rows of values (D, S, C + 1), into how straight ones do."""
    channels = image.shape[1] - 1
    for pair in range(len(pixels)):
        pixel = pixels[pair]
        if marks[pixel]:
            continue
        marks[pixel] = True
        alpha = image[pixel, channels]
        scale = 1.0 / max(alpha, floor)
        for d in range(len(values)):
            by_alpha = values[d, pixel, channels]
            for channel in range(channels):
                beside = background[channel] if alpha < floor else image[pixel, channel]
                values[d, pixel, channel] = (values[d, pixel, channel] - by_alpha * beside) * scale
