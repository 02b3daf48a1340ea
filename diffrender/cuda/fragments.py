"""Values of vertices at fragments, and back, on the device: what `diffrender.cpu.fragments` does.

On the way back each tile that a face is seen in sums up its pixels, each face its tiles, each vertex its faces, in their order.
Sums are in float64, as on the CPU.
"""

import numpy as np
from numba import cuda

from ..cpu.fragments import (
    add_places,
    barycentrics_at,
    clipped_at,
    corners_of,
    place_weights,
    qs_of,
)
from ..cpu.hard import RING
from ..cpu.slopes import CENTER
from ..formulas.edge import barycentric_slopes
from ..formulas.perspective import perspective_weights, perspective_weights_backward
from ..jit import borrower
from .inspect import inspect_row
from .jit import device, kernel, shared
from .zbuffer import box_of_entry, face_of_entry

POSITIONS = 9  # numbers of a row of gradients that belong to the corners' x, y and 1 / depth; then come attributes


@borrower
def place_of(ids, places, i):
    """Return what a fragment shows, for functions that are `shared`: a face or -1, a corner or `CENTER`, x, y, and the pixel."""
    height, width = ids.shape[0] - 2 * RING, ids.shape[1] - 2 * RING
    if i < height * width:
        row, column = i // width, i % width
        return np.int64(ids[row + RING, column + RING]), np.int64(CENTER), column + 0.5, row + 0.5, np.int64(i)
    if i == height * width:
        return np.int64(-1), np.int64(CENTER), 0.0, 0.0, np.int64(0)
    place = i - height * width - 1
    face, corner, pixel = places[0][place], places[1][place], places[3][place]
    return np.int64(face), np.int64(corner), places[2][place, 0], places[2][place, 1], np.int64(pixel)


@device
def is_covered(ids, i):
    """Whether a fragment lies on a face."""
    height, width = ids.shape[0] - 2 * RING, ids.shape[1] - 2 * RING
    if i < height * width:
        return ids[i // width + RING, i % width + RING] >= 0
    return i > height * width


@shared
def _weights(points, faces, face, perspective, x, y):
    corners = corners_of(points, faces, face)
    unclipped = barycentrics_at(corners, barycentric_slopes(*corners), x, y)
    wa, wb, wc, _ = perspective_weights(*unclipped, *qs_of(points, faces, face, perspective))
    return wa, wb, wc


@shared
def _weights_of_place(points, faces, places, place, perspective):
    face = places[0][place]
    weights = place_weights(points, faces, face, places[1][place], places[2][place, 0], places[2][place, 1])
    wa, wb, wc, _ = perspective_weights(*weights, *qs_of(points, faces, face, perspective))
    return wa, wb, wc


@kernel
def interpolate(points, faces, ids, places, perspective, attributes, attribute_faces, background, values):
    """Fill values (S, C or C + 1): a row for each pixel, one for nothing, one for each place."""
    height, width = ids.shape[0] - 2 * RING, ids.shape[1] - 2 * RING
    channels = attributes.shape[1]
    for i in range(cuda.grid(1), len(values), cuda.gridsize(1)):
        face, wa, wb, wc = -1, 0.0, 0.0, 0.0
        if i < height * width:
            row, column = i // width, i % width
            face = ids[row + RING, column + RING]
            if face >= 0:
                wa, wb, wc = _weights(points, faces, face, perspective, column + 0.5, row + 0.5)
        elif i > height * width:
            place = i - height * width - 1
            face = places[0][place]
            wa, wb, wc = _weights_of_place(points, faces, places, place, perspective)
        for channel in range(channels):
            if face < 0:
                values[i, channel] = background[channel]
            else:
                a, b, c = attribute_faces[face, 0], attribute_faces[face, 1], attribute_faces[face, 2]
                values[i, channel] = (
                    wa * attributes[a, channel] + wb * attributes[b, channel] + wc * attributes[c, channel]
                )
        if values.shape[1] > channels:
            values[i, channels] = 1 if face >= 0 else 0


@kernel
def inspect(values, report):
    """Count in report[0] the rows of values (N, C) with NaN or infinity, and keep the first in report[1], see `inspect_row`."""
    for i in range(cuda.grid(1), len(values), cuda.gridsize(1)):
        inspect_row(i, values, report, 0, 1)


@kernel
def cover(ids, values):
    """Fill values (S, 1) with 1 for fragments that lie on a face, 0 for the others."""
    for i in range(cuda.grid(1), len(values), cuda.gridsize(1)):
        values[i, 0] = 1 if is_covered(ids, i) else 0


@shared
def _clipped_weights(points, faces, face, perspective, x, y):
    wa, wb, wc, _ = perspective_weights(
        *clipped_at(points, faces, face, x, y), *qs_of(points, faces, face, perspective)
    )
    return wa, wb, wc


@kernel
def weigh_centers(points, faces, ids, perspective, weights):
    """Fill weights (H, W, 3) with barycentric coordinates at pixels' centres, -1 for nothing."""
    height, width, _ = weights.shape
    for i in range(cuda.grid(1), height * width, cuda.gridsize(1)):
        row, column = i // width, i % width
        face = ids[row + RING, column + RING]
        wa, wb, wc = -1.0, -1.0, -1.0
        if face >= 0:
            wa, wb, wc = _clipped_weights(points, faces, face, perspective, column + 0.5, row + 0.5)
        weights[row, column, 0] = wa
        weights[row, column, 1] = wb
        weights[row, column, 2] = wc


@device
def box_within(bounds, offsets, face, entry, ids):
    """Return the pixels of an entry that lie in the image, counted from the ring."""
    x0, x1, y0, y1, _, _ = box_of_entry(bounds, offsets, face, entry)
    return max(x0, RING), min(x1, ids.shape[1] - 2 * RING), max(y0, RING), min(y1, ids.shape[0] - 2 * RING)


@kernel
def find_seen(bounds, offsets, ids, seen):
    """Fill seen (E,) with whether the face of each entry is seen in its tile."""
    for entry in range(cuda.grid(1), len(seen), cuda.gridsize(1)):
        face = face_of_entry(offsets, entry)
        x0, x1, y0, y1 = box_within(bounds, offsets, face, entry, ids)
        found = 0
        for row in range(y0, y1 + 1):
            for column in range(x0, x1 + 1):
                if ids[row, column] == face:
                    found = 1
        seen[entry] = found


@kernel
def list_seen(offsets, slots, slot_entries, slot_faces):
    """Fill slot_entries (N,) with the entries that are seen, and slot_faces (N,) with their faces: slots (E + 1,) is how many
    are before each."""
    for entry in range(cuda.grid(1), len(slots) - 1, cuda.gridsize(1)):
        if slots[entry] < slots[entry + 1]:
            slot_entries[slots[entry]] = entry
            slot_faces[slots[entry]] = face_of_entry(offsets, entry)


@shared
def _sum_tile(
    points, faces, ids, perspective, attributes, attribute_faces, grad_values, face, x0, x1, y0, y1, sums, slot
):
    """Fill a row of sums (N, 9 + 3 C) with the gradients that pixels of a tile give a face: x, y, 1 / depth of corner a, b, c,
    then their attributes."""
    channels, width = attributes.shape[1], ids.shape[1] - 2 * RING
    corners = corners_of(points, faces, face)
    slopes = barycentric_slopes(*corners)
    qa, qb, qc = qs_of(points, faces, face, perspective)
    a, b, c = attribute_faces[face, 0], attribute_faces[face, 1], attribute_faces[face, 2]
    for k in range(POSITIONS, POSITIONS + 3 * channels):
        sums[slot, k] = 0.0
    xa, ya, xb, yb, xc, yc, da, db, dc = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for row in range(y0, y1 + 1):
        for column in range(x0, x1 + 1):
            if ids[row, column] != face:
                continue
            pixel = (row - RING) * width + column - RING
            ua, ub, uc = barycentrics_at(corners, slopes, column - RING + 0.5, row - RING + 0.5)
            wa, wb, wc, inverse = perspective_weights(ua, ub, uc, qa, qb, qc)
            ga, gb, gc = 0.0, 0.0, 0.0
            for channel in range(channels):
                grad = np.float64(grad_values[pixel, channel])
                ga += grad * attributes[a, channel]
                gb += grad * attributes[b, channel]
                gc += grad * attributes[c, channel]
                sums[slot, POSITIONS + channel] += wa * grad
                sums[slot, POSITIONS + channels + channel] += wb * grad
                sums[slot, POSITIONS + 2 * channels + channel] += wc * grad
            ga, gb, gc, la, lb, lc = perspective_weights_backward(ga, gb, gc, 0.0, wa, wb, wc, qa, qb, qc, inverse)
            hx = ga * slopes[0] + gb * slopes[2] + gc * slopes[4]
            hy = ga * slopes[1] + gb * slopes[3] + gc * slopes[5]
            # A place that keeps still while corner k moves by e moves by -u_k e within the face.
            xa, ya, da = xa - ua * hx, ya - ua * hy, da + la
            xb, yb, db = xb - ub * hx, yb - ub * hy, db + lb
            xc, yc, dc = xc - uc * hx, yc - uc * hy, dc + lc
    if not perspective:
        da, db, dc = 0.0, 0.0, 0.0
    sums[slot, 0], sums[slot, 1], sums[slot, 2] = xa, ya, da / qa
    sums[slot, 3], sums[slot, 4], sums[slot, 5] = xb, yb, db / qb
    sums[slot, 6], sums[slot, 7], sums[slot, 8] = xc, yc, dc / qc


@kernel
def interpolate_backward(
    points,
    faces,
    bounds,
    offsets,
    ids,
    slot_entries,
    slot_faces,
    perspective,
    attributes,
    attribute_faces,
    grad_values,
    sums,
):
    """Fill sums (N, 9 + 3 C), a row for each entry that is seen, from the gradients of the values of pixels (S, C or more)."""
    for slot in range(cuda.grid(1), len(slot_entries), cuda.gridsize(1)):
        face = slot_faces[slot]
        x0, x1, y0, y1 = box_within(bounds, offsets, face, slot_entries[slot], ids)
        _sum_tile(
            points,
            faces,
            ids,
            perspective,
            attributes,
            attribute_faces,
            grad_values,
            face,
            x0,
            x1,
            y0,
            y1,
            sums,
            slot,
        )


@kernel
def add_slots(offsets, slots, slot_faces, sums):
    """Add the rows of each face's later slots to its first, in their order."""
    width = sums.shape[1]
    for i in range(cuda.grid(1), len(slot_faces) * width, cuda.gridsize(1)):
        slot, k = i // width, i % width
        face = slot_faces[slot]
        if slots[offsets[face]] == slot:
            total = sums[slot, k]
            for other in range(slot + 1, slots[offsets[face + 1]]):
                total += sums[other, k]
            sums[slot, k] = total


@shared
def _place_backward(
    points,
    faces,
    places,
    width,
    perspective,
    attributes,
    attribute_faces,
    grad_values,
    place,
    alone,
    shrinking,
    own,
    grad_points,
    grad_attributes,
):
    """Fill grad_points (N, 3, 3) and grad_attributes (N, 3, C) of a place: what `add_places` gives a face that
    has vertices of its own."""
    own_points, own_attributes, own_values = own
    face = places[0][place]
    row = len(grad_values) - len(places[0]) + place
    for channel in range(attributes.shape[1]):
        own_values[place, channel] = grad_values[row, channel]
    for corner in range(3):
        for k in range(3):
            own_points[place, corner, k] = points[faces[face, corner], k]
            grad_points[place, corner, k] = 0.0
        for channel in range(attributes.shape[1]):
            own_attributes[place, corner, channel] = attributes[attribute_faces[face, corner], channel]
            grad_attributes[place, corner, channel] = 0.0
    last, felt = place + 1, min(place, len(shrinking) - 1)
    add_places(
        own_points[place],
        alone,
        alone[0, :1],
        places[1][place:last],
        places[2][place:last],
        places[3][place:last],
        width,
        own_attributes[place],
        alone,
        perspective,
        own_values[place:last],
        shrinking[felt : felt + 1],
        grad_points[place],
        grad_attributes[place],
    )


@kernel
def places_backward(
    points,
    faces,
    places,
    width,
    perspective,
    attributes,
    attribute_faces,
    grad_values,
    alone,
    shrinking,
    own,
    grad_points,
    grad_attributes,
):
    """Fill grad_points (N, 3, 3) and grad_attributes (N, 3, C), those of the corners of N places' faces, for the last N rows of
    grad_values (S, C or more).

    `alone` is a face (1, 3) of vertices 0, 1 and 2, `shrinking` (N,) the gradients of log(1 / q), or one for all; `own` is room
    for a place's points (N, 3, 3), attributes (N, 3, C) and gradient (N, C), all in float64.
    """
    for place in range(cuda.grid(1), len(places[0]), cuda.gridsize(1)):
        _place_backward(
            points,
            faces,
            places,
            width,
            perspective,
            attributes,
            attribute_faces,
            grad_values,
            place,
            alone,
            shrinking,
            own,
            grad_points,
            grad_attributes,
        )
