"""The truth for hard rendering: float64, plain loops over faces, pixels and edges, nothing shared with the package.

`outlined` takes complex vertices and attributes, see `oracle`: its derivatives are exact and owe nothing to a derivation.
"""

import numpy as np


def seen(vertices, faces, x, y):
    """Return the nearest face at places x, y (any shape), or -1, its barycentrics in the image (..., 3), 1 / depth, and how far each
    place keeps from any edge, in areas of the face."""
    ids = np.full(np.shape(x), -1)
    weights, nearest, margin = np.full((*np.shape(x), 3), -1.0), np.zeros(np.shape(x)), np.full(np.shape(x), np.inf)
    for number, face in enumerate(faces):
        a, b, c = vertices[face]
        area = _cross(b - a, c - a)
        if min(a[2], b[2], c[2]) <= 0 or area == 0:
            continue
        shares = []
        for p, q in ((b, c), (c, a), (a, b)):
            shares.append(((p[0] - x) * (q[1] - y) - (p[1] - y) * (q[0] - x)) / area)
        near = shares[0] / a[2] + shares[1] / b[2] + shares[2] / c[2]
        margin = np.minimum(margin, np.abs(shares).min(axis=0))
        front = (np.min(shares, axis=0) >= 0) & (near > nearest)
        ids[front], nearest[front] = number, near[front]
        weights[front] = np.stack(shares, axis=-1)[front]
    return ids, weights, nearest, margin


def supersampled(vertices, faces, size, attributes, samples=8):
    """Return premultiplied attributes and alpha (H, W, C + 1), the mean of samples^2 places in each pixel, as they are in space."""
    height, width = size
    y, x = (np.mgrid[0 : height * samples, 0 : width * samples] + 0.5) / samples
    ids, weights, _, _ = seen(vertices, faces, x, y)
    corners = faces[np.maximum(ids, 0)]
    weights = weights / vertices[corners, 2]
    weights /= weights.sum(axis=-1, keepdims=True)
    values = np.concatenate([attributes, np.ones((len(attributes), 1))], axis=1)
    values = np.einsum("ijk,ijkc->ijc", weights, values[corners]) * (ids >= 0)[..., None]
    return values.reshape(height, samples, width, samples, -1).mean(axis=(1, 3))


def outlined(vertices, faces, size, attributes, perspective_correct=True):
    """Return straight colours and alpha (H, W, C + 1) of a convex closed surface with nothing behind it.

    Alpha is the polygon of its outline, clipped to each pixel. What the surface has at a pixel's centre counts for the pixel; where
    the centre sees nothing, what it has at the outline's point nearest to the centre.
    """
    height, width = size
    real = vertices.real
    edges = _outline(real, faces)
    polygon = vertices[[a for a, _ in edges]]
    image = np.zeros((height, width, attributes.shape[1] + 1), complex)
    centers, _, _, _ = seen(real, faces, *(np.mgrid[0:height, 0:width][::-1] + 0.5))
    for row, column in np.ndindex(size):
        x, y, ids = column + 0.5, row + 0.5, centers[row, column]
        passing = [(i, j) for i, j in edges if _passes(real[i, :2], real[j, :2], x, y)]
        value, area = 0, 1 if ids >= 0 else 0
        if ids >= 0:
            value = _value_at(vertices, faces[ids], attributes, x, y, perspective_correct)
        if passing:
            area = _area(_clip_to_pixel(polygon[:, :2], column, row))
            if ids < 0:
                value = _value_beside(vertices, passing, attributes, x, y, perspective_correct)
            # Faint pixels go over to the background, black.
            value = value if area.real > 1 / 256 else value * area * 256
        image[row, column, :-1], image[row, column, -1] = value, area
    return image


def faceted(vertices, faces, size, colors):
    """Return premultiplied colours and alpha (H, W, C + 1) of a convex closed surface with one of the colors (F, C) on each face:
    the area of what is seen of each face in each pixel, times its colour."""
    height, width = size
    image = np.zeros((height, width, colors.shape[1] + 1), complex)
    for face, color in zip(faces, colors, strict=True):
        corners = vertices[face]
        if _cross(*(corners[1:] - corners[0]).real) >= 0:
            continue
        low, high = np.floor(corners[:, :2].real.min(axis=0)), np.floor(corners[:, :2].real.max(axis=0))
        for row in range(max(int(low[1]), 0), min(int(high[1]) + 1, height)):
            for column in range(max(int(low[0]), 0), min(int(high[0]) + 1, width)):
                image[row, column] += _area(_clip_to_pixel(corners[:, :2], column, row)) * np.append(color, 1)
    return image


def _value_at(vertices, face, attributes, x, y, perspective_correct):
    a, b, c = vertices[face]
    area = _cross(b - a, c - a)
    shares = [((p[0] - x) * (q[1] - y) - (p[1] - y) * (q[0] - x)) / area for p, q in ((b, c), (c, a), (a, b))]
    if perspective_correct:
        shares = [share / vertex[2] for share, vertex in zip(shares, (a, b, c))]
    return sum(share * attributes[index] for share, index in zip(shares, face)) / sum(shares)


def _value_beside(vertices, edges, attributes, x, y, perspective_correct):
    best = None
    for i, j in edges:
        a, b = vertices[i], vertices[j]
        along = b[:2] - a[:2]
        t = ((x - a[0]) * along[0] + (y - a[1]) * along[1]) / (along[0] ** 2 + along[1] ** 2)
        t = t if 0 < t.real < 1 else min(max(t.real, 0), 1)
        distance = abs((a[0] + t * along[0] - x).real) ** 2 + abs((a[1] + t * along[1] - y).real) ** 2
        if best is None or distance < best[0]:
            first, second = (1 - t, t) if not perspective_correct else ((1 - t) / a[2], t / b[2])
            best = (distance, (first * attributes[i] + second * attributes[j]) / (first + second))
    return best[1]


def _passes(a, b, x, y):
    """Whether the edge ab passes through the pixel around (x, y)."""
    first, last = 0.0, 1.0
    for start, end, middle in zip(a, b, (x, y)):
        shares = sorted((middle + side - start) / (end - start) for side in (-0.5, 0.5))
        first, last = max(first, shares[0]), min(last, shares[1])
    return first < last


def _outline(vertices, faces):
    """Return the edges (a, b) between a face that is seen from its front and one that is not, in order round the surface."""
    front = [_cross(*(vertices[face[1:]] - vertices[face[0]])) < 0 for face in faces]
    half = {}
    for number, face in enumerate(faces):
        for k in range(3):
            half[int(face[k]), int(face[(k + 1) % 3])] = number
    following = {a: b for (a, b), number in half.items() if front[number] and not front[half[b, a]]}
    edges = [next(iter(following.items()))]
    while edges[-1][1] != edges[0][0]:
        edges.append((edges[-1][1], following[edges[-1][1]]))
    return edges


def _clip_to_pixel(polygon, column, row):
    for axis, at, side in ((0, column, 1), (0, column + 1, -1), (1, row, 1), (1, row + 1, -1)):
        kept = []
        for k in range(len(polygon)):
            p, q = polygon[k], polygon[(k + 1) % len(polygon)]
            before, after = side * (p[axis] - at), side * (q[axis] - at)
            if before.real >= 0:
                kept.append(p)
            if before.real * after.real < 0:
                kept.append(p + before / (before - after) * (q - p))
        polygon = kept
    return polygon


def _area(polygon):
    total = sum(_cross(polygon[k], polygon[(k + 1) % len(polygon)]) for k in range(len(polygon))) if polygon else 0
    return np.complex128(total if np.real(total) >= 0 else -total) / 2


def _cross(p, q):
    return p[0] * q[1] - p[1] * q[0]
