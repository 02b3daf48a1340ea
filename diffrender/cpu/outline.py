"""Boundaries between what is seen within a pixel: outlines of sheets, and lines where faces cross.

Each (pixel, boundary) pair names two rows of values, that on the side of the pixel's centre and that beyond, and has the area
beyond: the image is the centre's value plus the sum of area * (beyond - near).
"""

import math

import numpy as np

from ..formulas.edge import (
    barycentric_slopes,
    chord,
    interval_within,
    is_inside,
    nearest_on_edge,
    shadow_area,
    shadow_area_backward,
)
from ..jit import formula, kernel
from .fragments import add_moved, barycentrics_at, corners_of, inverse_depths_of
from .half_edges import ends_of
from .hard import RING
from .sheet import NEARER, goes_under, inverse_depth_at, lies_beyond, walk

NUMBERS = 3  # of a pair: t of both ends and the turn of an edge; the middle of a chord, and -length / slope


@formula
def _inward_slope(points, faces, half):
    """Return how fast 1 / depth of a half edge's face grows away from the edge."""
    face, corner = half // 3, half % 3
    i, j = ends_of(faces, half)
    k = faces[face, (corner + 2) % 3]
    dx, dy = points[j, 0] - points[i, 0], points[j, 1] - points[i, 1]
    rx, ry = points[k, 0] - points[i, 0], points[k, 1] - points[i, 1]
    square = dx * dx + dy * dy
    if square == 0.0:
        return 0.0
    t = (rx * dx + ry * dy) / square
    distance = abs(rx * dy - ry * dx) / math.sqrt(square)
    rise = points[k, 2] - points[i, 2] - t * (points[j, 2] - points[i, 2])
    return rise / distance if distance > 0.0 else 0.0


@formula
def _front_of(points, faces, linked, signs, ring, head):
    """Return the half edge of the front one of the faces at an edge that all lie on one side of it, or -1 if it is no outline."""
    best, steepest = np.int64(-1), 0.0
    half = np.int64(head)
    first = np.int64(-1)
    while True:
        if signs[half // 3] != 0:
            if first < 0:
                first = half
            elif lies_beyond(linked, signs, first, half):
                return np.int64(-1)
            slope = _inward_slope(points, faces, half)
            if best < 0 or slope > steepest:
                best, steepest = half, slope
        half = np.int64(ring[half])
        if half == head:
            break
    return best


@formula
def _hidden_around(nearest, row, column, inverse_depth):
    """Whether all that is seen at a pixel and its eight neighbours is nearer than a place."""
    for i in range(row, row + 3):
        for j in range(column, column + 3):
            if nearest[i, j] < inverse_depth:
                return False
    return True


@kernel
def find_outlines(
    points,
    faces,
    linked,
    signs,
    ring,
    heads,
    nearest,
    ids,
    pixels,
    sides,
    areas,
    owners,
    numbers,
    place_faces,
    place_corners,
    places,
    place_pixels,
):
    """Write a pair for each pixel in which the outline of a sheet is seen, and the places whose values it needs.

    pixels (N,), sides (N, 2) the rows of values near and beyond, areas (N,), owners (N, 2) the vertices the edge goes from and to
    with its face on the inner side, numbers (N, 3). Returns how many pairs and places there are; what has no room is left out.
    """
    height, width = ids.shape[0] - 2 * RING, ids.shape[1] - 2 * RING
    room, room_of_places = len(pixels), len(place_faces)
    pairs, count = 0, 0
    for edge in range(len(heads)):
        head = heads[edge]
        half = _front_of(points, faces, linked, signs, ring, head)
        if half < 0:
            continue
        face, corner = half // 3, half % 3
        start, end = ends_of(faces, half)
        forth = signs[face] > 0
        a, b = (start, end) if forth else (end, start)
        ax, ay, bx, by = points[a, 0], points[a, 1], points[b, 0], points[b, 1]
        dx, dy = bx - ax, by - ay
        highest = max(points[a, 2], points[b, 2])
        if max(ay, by) < 0.0 or min(ay, by) >= height or max(ax, bx) < 0.0 or min(ax, bx) >= width:
            continue
        first_row, last_row = int(max(min(ay, by), 0.0)), int(min(max(ay, by), height - 1.0))
        for row in range(first_row, last_row + 1):
            enter, leave = interval_within(ay, dy, np.float64(row), row + 1.0, 0.0, 1.0)
            if not enter < leave:
                continue
            x0, x1 = ax + enter * dx, ax + leave * dx
            if max(x0, x1) < 0.0 or min(x0, x1) >= width:
                continue
            first_column = max(int(min(max(min(x0, x1), 0.0), width - 1.0)) - 1, 0)
            last_column = min(int(min(max(max(x0, x1), 0.0), width - 1.0)) + 1, width - 1)
            for column in range(first_column, last_column + 1):
                t0, t1 = interval_within(ax, dx, np.float64(column), column + 1.0, enter, leave)
                if not t0 < t1 or _hidden_around(nearest, row, column, highest):
                    continue
                px, py = column + 0.5, row + 0.5
                covered = is_inside(ax, ay, bx, by, px, py)
                # Beside the sheet: what is seen there must lie behind its edge.
                to_row, to_column = row + RING, column + RING
                if covered:
                    if abs(dy) >= abs(dx):
                        to_column += 1 if dy > 0.0 else -1
                    else:
                        to_row += 1 if dx < 0.0 else -1
                share = nearest_on_edge(ax - px, ay - py, bx - px, by - py)
                x, y = ax + share * dx, ay + share * dy
                at_edge = (1.0 - share) * points[a, 2] + share * points[b, 2]
                beside = np.int64(ids[to_row, to_column])
                if beside >= 0:
                    there, _ = walk(points, faces, linked, signs, ring, beside, x, y)
                    if inverse_depth_at(points, faces, there, x, y) >= NEARER * at_edge:
                        continue
                behind = np.int64(-1)
                if covered:
                    # And no other may lie over the sheet at the pixel's centre.
                    under, _ = walk(points, faces, linked, signs, ring, face, px, py)
                    over = nearest[row + RING, column + RING]
                    if inverse_depth_at(points, faces, under, px, py) < NEARER * over:
                        continue
                    if beside >= 0:
                        behind, _ = walk(points, faces, linked, signs, ring, beside, px, py)
                wanted = 2 if behind >= 0 else 1
                if pairs < room and count + wanted <= room_of_places:
                    pixel = row * width + column
                    of_sheet = height * width + 1 + count
                    place_faces[count], place_corners[count], place_pixels[count] = face, corner, pixel
                    places[count, 0], places[count, 1] = share if forth else 1.0 - share, 0.0
                    beyond = height * width  # nothing
                    if behind >= 0:
                        beyond = of_sheet + 1
                        place_faces[count + 1], place_corners[count + 1], place_pixels[count + 1] = behind, -1, pixel
                        places[count + 1, 0], places[count + 1, 1] = px, py
                    pixels[pairs] = pixel
                    sides[pairs, 0], sides[pairs, 1] = (of_sheet, beyond) if covered else (pixel, of_sheet)
                    owners[pairs, 0], owners[pairs, 1] = a, b
                    ux, uy = ax + t0 * dx - px, ay + t0 * dy - py
                    vx, vy = ax + t1 * dx - px, ay + t1 * dy - py
                    areas[pairs] = shadow_area(ux, uy, vx, vy)
                    numbers[pairs, 0], numbers[pairs, 1], numbers[pairs, 2] = t0, t1, 1.0 if covered else -1.0
                pairs += 1
                count += wanted
    return pairs, count


@formula
def _share_vertex(linked, f, g):
    for i in range(3):
        for j in range(3):
            if linked[f, i] == linked[g, j]:
                return True
    return False


@formula
def _depth_slopes(points, faces, face):
    """Return the gradient of 1 / depth of a face in the image."""
    slopes = barycentric_slopes(*corners_of(points, faces, face))
    qa, qb, qc = inverse_depths_of(points, faces, face)
    return (
        slopes[0] * qa + slopes[2] * qb + slopes[4] * qc,
        slopes[1] * qa + slopes[3] * qb + slopes[5] * qc,
    )


@formula
def _plane_at(points, faces, face, x, y):
    """Return 1 / depth of a face's plane at (x, y)."""
    ba, bb, bc = barycentrics_at(corners_of(points, faces, face), barycentric_slopes(*corners_of(points, faces, face)), x, y)
    qa, qb, qc = inverse_depths_of(points, faces, face)
    return ba * qa + bb * qb + bc * qc


@kernel
def find_crossings(
    points,
    faces,
    linked,
    signs,
    ring,
    ids,
    marks,
    pixels,
    sides,
    areas,
    owners,
    numbers,
    place_faces,
    place_corners,
    places,
    place_pixels,
    pairs,
    count,
):
    """Write a pair for each pixel through which the line goes where a sheet comes out of another: of two neighbours that see different
    sheets, each sheet goes on below the other. owners (N, 2) are the two faces, and -1 - face so that they are told from vertices.
    """
    height, width = ids.shape[0] - 2 * RING, ids.shape[1] - 2 * RING
    for row in range(height + RING):
        for column in range(width + RING):
            f = np.int64(ids[row, column])
            if f < 0:
                continue
            for down in range(2):
                row2, column2 = row + down, column + 1 - down
                g = np.int64(ids[row2, column2])
                if g < 0 or f == g or _share_vertex(linked, f, g):
                    continue
                x, y = column - RING + 0.5, row - RING + 0.5
                x2, y2 = column2 - RING + 0.5, row2 - RING + 0.5
                f2, below = goes_under(points, faces, linked, signs, ring, f, x2, y2, g)
                if not below:
                    continue
                g2, below = goes_under(points, faces, linked, signs, ring, g, x, y, f)
                if not below:
                    continue
                for second in range(2):
                    i, j = (row2, column2) if second else (row, column)
                    if i < RING or i >= height + RING or j < RING or j >= width + RING or marks[i, j]:
                        continue
                    marks[i, j] = True
                    seen, under = (g, f2) if second else (f, g2)
                    px, py = j - RING + 0.5, i - RING + 0.5
                    over = _plane_at(points, faces, seen, px, py) - _plane_at(points, faces, under, px, py)
                    sx, sy = _depth_slopes(points, faces, seen)
                    tx, ty = _depth_slopes(points, faces, under)
                    ux, uy, vx, vy, crosses = chord(over, sx - tx, sy - ty)
                    if not crosses:
                        continue
                    if pairs < len(pixels) and count < len(place_faces):
                        pixel = (i - RING) * width + j - RING
                        place_faces[count], place_corners[count], place_pixels[count] = under, -1, pixel
                        places[count, 0], places[count, 1] = px, py
                        pixels[pairs], areas[pairs] = pixel, shadow_area(ux, uy, vx, vy)
                        sides[pairs, 0], sides[pairs, 1] = pixel, height * width + 1 + count
                        owners[pairs, 0], owners[pairs, 1] = -1 - seen, -1 - under
                        length = math.sqrt((vx - ux) ** 2 + (vy - uy) ** 2)
                        numbers[pairs, 0], numbers[pairs, 1] = px + 0.5 * (ux + vx), py + 0.5 * (uy + vy)
                        numbers[pairs, 2] = -length / math.sqrt((sx - tx) ** 2 + (sy - ty) ** 2)
                    pairs += 1
                    count += 1
    return pairs, count


@kernel
def blend(pixels, sides, areas, values, image):
    """Add area * (beyond - near) of each pair to the image (H W, C), in their order."""
    for pair in range(len(pixels)):
        near, beyond = sides[pair, 0], sides[pair, 1]
        for channel in range(image.shape[1]):
            image[pixels[pair], channel] += areas[pair] * (values[beyond, channel] - values[near, channel])


@kernel
def blend_backward(pixels, sides, areas, values, grad_image, grad_values, grad_areas):
    """Add to grad_values (S, C) and grad_areas (N,) what grad_image (H W, C) gives, in the order of the pairs."""
    for pair in range(len(pixels)):
        near, beyond = sides[pair, 0], sides[pair, 1]
        for channel in range(grad_image.shape[1]):
            grad = np.float64(grad_image[pixels[pair], channel])
            grad_areas[pair] += grad * (np.float64(values[beyond, channel]) - np.float64(values[near, channel]))
            grad_values[beyond, channel] += grad * areas[pair]
            grad_values[near, channel] -= grad * areas[pair]


@formula
def _add_depth_difference(points, faces, face, x, y, grad, grad_points):
    """Add the gradient of 1 / depth of a face at the fixed point (x, y)."""
    weights = barycentrics_at(corners_of(points, faces, face), barycentric_slopes(*corners_of(points, faces, face)), x, y)
    sx, sy = _depth_slopes(points, faces, face)
    for k in range(3):
        grad_points[faces[face, k], 2] += grad * weights[k]
    add_moved(grad_points, faces, face, weights, grad * sx, grad * sy)


@kernel
def areas_backward(points, faces, pixels, width, owners, numbers, grad_areas, grad_points):
    """Add to grad_points (V, 3) what the areas' gradients (N,) give.

    Of a chord: the area beyond shrinks by length / slope times the mean over the chord of the difference in 1 / depth, which is
    that in its middle.
    """
    for pair in range(len(pixels)):
        grad = grad_areas[pair]
        if owners[pair, 0] < 0:
            x, y, rate = numbers[pair, 0], numbers[pair, 1], numbers[pair, 2]
            _add_depth_difference(points, faces, -1 - owners[pair, 0], x, y, grad * rate, grad_points)
            _add_depth_difference(points, faces, -1 - owners[pair, 1], x, y, -grad * rate, grad_points)
            continue
        a, b = owners[pair, 0], owners[pair, 1]
        t0, t1 = numbers[pair, 0], numbers[pair, 1]
        px, py = pixels[pair] % width + 0.5, pixels[pair] // width + 0.5
        dx, dy = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1]
        rx, ry = points[a, 0] - px, points[a, 1] - py
        hx, hy, kx, ky = shadow_area_backward(
            rx + t0 * dx, ry + t0 * dy, rx + t1 * dx, ry + t1 * dy, numbers[pair, 2]
        )
        grad_points[a, 0] += grad * ((1.0 - t0) * hx + (1.0 - t1) * kx)
        grad_points[a, 1] += grad * ((1.0 - t0) * hy + (1.0 - t1) * ky)
        grad_points[b, 0] += grad * (t0 * hx + t1 * kx)
        grad_points[b, 1] += grad * (t0 * hy + t1 * ky)


@kernel
def to_straight_alpha(pixels, floor, background, color, alpha, marks):
    """Divide the colours (H W, C) of pixels with boundaries by alpha (H W,), `background` (C,) coming in below alpha = floor."""
    for pair in range(len(pixels)):
        pixel = pixels[pair]
        if marks[pixel]:
            continue
        marks[pixel] = True
        rest, scale = max(floor - alpha[pixel], 0.0), 1.0 / max(alpha[pixel], floor)
        for channel in range(color.shape[1]):
            color[pixel, channel] = (color[pixel, channel] + rest * background[channel]) * scale


@kernel
def to_straight_alpha_backward(pixels, floor, background, color, alpha, grad_color, grad_alpha, marks):
    """Turn gradients of straight colours and alpha into those of premultiplied ones, in place."""
    for pair in range(len(pixels)):
        pixel = pixels[pair]
        if marks[pixel]:
            continue
        marks[pixel] = True
        scale = 1.0 / max(alpha[pixel], floor)
        below = alpha[pixel] < floor
        for channel in range(color.shape[1]):
            grad = grad_color[pixel, channel] * scale
            grad_color[pixel, channel] = grad
            grad_alpha[pixel] -= grad * (background[channel] if below else color[pixel, channel])
