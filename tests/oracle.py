"""The truth for the soft rasterizer: float64, one face after the other over all pixels, no bins, nothing shared with the
package. It also takes complex vertices and attributes: a tiny imaginary part e in an input comes out as e times the
derivative, exact to rounding (complex-step differentiation). So its gradients owe nothing to anybody's derivation.
"""

import math
from statistics import NormalDist

import numpy as np

_STEP = 1e-30


def rasterize(
    vertices,
    faces,
    size,
    sigma=1.64,
    cutoff=1e-4,
    attributes=None,
    gamma=1e-2,
    near=1.0,
    far=100.0,
    background=0.0,
    cull_backfaces=False,
    perspective_correct=False,
    texture=None,
    uv=None,
    faces_uv=None,
    wrap="repeat",
    filter="trilinear",
    coverage="sigmoid",
    union="probabilistic",
):
    """Return alpha (H, W) and color (H, W, C), or None without attributes. A texture is its image (H, W, 3)."""
    height, width = size
    y, x = np.mgrid[0:height, 0:width] + 0.5
    if texture is not None:
        attributes = np.ones((len(vertices), 3)) if attributes is None else attributes
        faces_uv = faces if faces_uv is None else faces_uv
        levels = _levels(texture) if filter == "trilinear" else [texture]
    given = [array for array in (vertices, attributes, texture, uv) if array is not None]
    kind = np.result_type(np.float64, *given)
    log_transmittance = np.zeros(size, kind)
    highest, largest_alone = np.full(size, -np.inf), np.zeros(size, kind)  # of the maximum: the first face that has it
    depths, coverages, colors = [], [], []
    for number, face in enumerate(faces):
        a, b, c = (vertices[index] for index in face)
        if min(a[2].real, b[2].real, c[2].real) <= 0:
            continue
        area = _cross(b[:2] - a[:2], c[:2] - a[:2])
        if area.real == 0 or (cull_backfaces and area.real > 0):
            continue
        logit = _signed_squared_distance(x, y, (a, b, c)) / sigma
        counts = logit.real >= _quantile(coverage, cutoff)
        covered, log_rest = _covered(coverage, logit)
        log_transmittance = log_transmittance + np.where(counts, log_rest, 0)
        first = counts & (logit.real > highest)
        highest, largest_alone = np.where(first, logit.real, highest), np.where(first, covered, largest_alone)
        if attributes is None:
            continue
        weights = []
        for first, second in ((b, c), (c, a), (a, b)):  # opposite a, b, c
            weights.append(((second[0] - first[0]) * (y - first[1]) - (second[1] - first[1]) * (x - first[0])) / area)
        clipped = [np.where(weight.real > 0, weight, 0) for weight in weights]
        total = sum(clipped)
        barycentric = [weight / total for weight in clipped]
        depth = sum(weight * vertex[2] for weight, vertex in zip(barycentric, (a, b, c)))
        depths.append((far - depth) / (far - near))
        coverages.append(np.where(counts, covered, 0))
        over_depth = [weight / vertex[2] for weight, vertex in zip(barycentric, (a, b, c))]
        in_space = [weight / sum(over_depth) for weight in over_depth]
        shares = in_space if perspective_correct else barycentric
        value = sum(weight[..., None] * attributes[index] for weight, index in zip(shares, face))
        if texture is not None:
            places = uv[faces_uv[number]]
            u, v = (sum(weight * place[axis] for weight, place in zip(in_space, places)) for axis in (0, 1))
            level = _level((a, b, c), places, u, v, sum(over_depth), texture.shape, len(levels) - 1)
            value = value * _sample(levels, level, u, v, wrap)
        colors.append(value)
    # Of a face that covers all, 1 - D is 0 and so is what any face can change.
    whole = log_transmittance.real == -np.inf
    alpha = np.where(whole, 1, -np.expm1(np.where(whole, 0, log_transmittance)))
    alpha = alpha if union == "probabilistic" else largest_alone
    if attributes is None:
        return alpha, None
    channels = attributes.shape[1]
    color = np.broadcast_to(np.asarray(background, kind), (height, width, channels)).astype(kind)
    if not depths:
        return alpha, color
    eps = 1e-10
    present = [np.where(coverage.real > 0, depth.real, -np.inf) for depth, coverage in zip(depths, coverages)]
    largest = np.maximum(np.max(present, axis=0), eps)
    behind = np.exp((eps - largest) / gamma)
    weights = [
        np.where(coverage.real > 0, coverage * np.exp(np.where(coverage.real > 0, depth - largest, 0) / gamma), 0)
        for depth, coverage in zip(depths, coverages)
    ]
    total = behind + sum(weights)
    color = behind[..., None] * color + sum(weight[..., None] * value for weight, value in zip(weights, colors))
    return alpha, color / total[..., None]


def _covered(coverage, x):
    """Return D = F(x) and log(1 - D); the density takes an imaginary part of x along where F has no complex form."""
    if coverage == "sigmoid":
        # log(1 - D) = -log(1 + exp(x)), without overflow
        small = np.where(x.real < 30, x, 0)
        softplus = np.where(x.real < 30, np.log1p(np.exp(small)), x + np.exp(-np.where(x.real < 30, 30, x)))
        return np.exp(x - softplus), -softplus
    if coverage == "gaussian":
        half = np.vectorize(lambda y: math.erfc(-y / math.sqrt(2)) / 2)
        d, rest = half(x.real), half(-x.real)
        density = np.exp(-(x.real**2) / 2) / math.sqrt(2 * math.pi)
    elif coverage == "cauchy":
        d, rest = np.arctan2(1, -x.real) / math.pi, np.arctan2(1, x.real) / math.pi
        density = 1 / (math.pi * (1 + x.real**2))
    else:
        d, rest = (np.clip((1 + sign * x.real) / 2, 0, 1) for sign in (1, -1))
        density = np.where(abs(x.real) < 1, 0.5, 0)
    some = rest > 0
    log_rest, slope = np.full(x.shape, -np.inf), density / np.where(some, rest, 1)
    np.log1p(-d, out=log_rest, where=d < 0.5)
    np.log(rest, out=log_rest, where=(d >= 0.5) & some)
    if np.iscomplexobj(x):
        return d + 1j * density * x.imag, log_rest - 1j * slope * x.imag
    return d, log_rest


def _quantile(coverage, d):
    """Return x where F(x) = d."""
    if coverage == "gaussian":
        return NormalDist().inv_cdf(d)
    return {"sigmoid": math.log(d / (1 - d)), "cauchy": math.tan(math.pi * (d - 0.5)), "uniform": 2 * d - 1}[coverage]


def _levels(texture):
    """Halve a texture by means of 2 x 2 until one texel is left, an odd one with its last row or column repeated."""
    levels = [texture]
    while levels[-1].shape[:2] != (1, 1):
        odd = [(0, length % 2) for length in levels[-1].shape[:2]]
        padded = np.pad(levels[-1], [*odd, (0, 0)], mode="edge")
        levels.append((padded[::2, ::2] + padded[1::2, ::2] + padded[::2, 1::2] + padded[1::2, 1::2]) / 4)
    return levels


def _level(corners, places, u, v, inverse_depth, shape, last):
    """log2 of the texels that (u, v) goes over from pixel to pixel: u / z, v / z and 1 / z are planes over the image."""
    matrix = np.array([(corner[0], corner[1], 1) for corner in corners])
    planes = [np.linalg.solve(matrix, [1 / corner[2] for corner in corners])[:2]]
    for axis in (0, 1):
        planes.append(np.linalg.solve(matrix, [place[axis] / corner[2] for place, corner in zip(places, corners)])[:2])
    steps = []
    for direction in (0, 1):
        of_u = (planes[1][direction] - u * planes[0][direction]) / inverse_depth * shape[1]
        of_v = (planes[2][direction] - v * planes[0][direction]) / inverse_depth * shape[0]
        steps.append(of_u**2 + of_v**2)
    longest = np.where(steps[0].real >= steps[1].real, steps[0], steps[1])
    level = np.log(np.where(longest.real > 1, longest, 1)) / np.log(2) / 2
    return np.where(level.real < last, level, last)


def _sample(levels, level, u, v, wrap):
    """Blend the levels by how near they are to `level`."""
    color = 0
    for number, image in enumerate(levels):
        share = 1 - np.where(level.real >= number, level - number, number - level)
        color = color + np.where(share.real > 0, share, 0)[..., None] * _bilinear(image, u, v, wrap)
    return color


def _bilinear(image, u, v, wrap):
    height, width = image.shape[:2]
    if wrap == "clamp":
        u, v = (np.where(place.real < 0, 0, np.where(place.real > 1, 1, place)) for place in (u, v))
    x, y = u * width - 0.5, v * height - 0.5
    left, top = np.floor(x.real).astype(int), np.floor(y.real).astype(int)
    color = 0
    for column, across in ((left, 1 - (x - left)), (left + 1, x - left)):
        for row, down in ((top, 1 - (y - top)), (top + 1, y - top)):
            if wrap == "clamp":
                texel = image[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
            else:
                texel = image[row % height, column % width]
            color = color + (across * down)[..., None] * texel
    return color


def gradients(vertices, faces, size, grad_alpha, grad_color=None, attributes=None, **settings):
    """Return the gradients of sum(grad_alpha alpha) + sum(grad_color color) for vertices (V, 3) and attributes (V, C)."""

    def slope(moved_vertices, moved_attributes):
        alpha, color = rasterize(moved_vertices, faces, size, attributes=moved_attributes, **settings)
        value = (grad_alpha * alpha).sum()
        if grad_color is not None:
            value = value + (grad_color * color).sum()
        return value.imag / _STEP

    grad_vertices = np.zeros(vertices.shape)
    for index in np.ndindex(vertices.shape):
        moved = vertices.astype(complex)
        moved[index] += 1j * _STEP
        grad_vertices[index] = slope(moved, attributes)
    if attributes is None:
        return grad_vertices, None
    grad_attributes = np.zeros(attributes.shape)
    for index in np.ndindex(attributes.shape):
        moved = attributes.astype(complex)
        moved[index] += 1j * _STEP
        grad_attributes[index] = slope(vertices, moved)
    return grad_vertices, grad_attributes


def gradient_of(name, faces, size, grad_alpha, grad_color, **inputs):
    """Return the gradient of sum(grad_alpha alpha) + sum(grad_color color) for one of the inputs by its name."""
    gradient = np.zeros(inputs[name].shape)
    for index in np.ndindex(gradient.shape):
        moved = inputs[name].astype(complex)
        moved[index] += 1j * _STEP
        others = inputs | {name: moved}
        alpha, color = rasterize(others.pop("vertices"), faces, size, **others)
        gradient[index] = ((grad_alpha * alpha).sum() + (grad_color * color).sum()).imag / _STEP
    return gradient


def _signed_squared_distance(x, y, corners):
    """Squared distance to the boundary, positive inside, each edge as a segment."""
    best = None
    sides = []
    for number in range(3):
        a, b = corners[number], corners[(number + 1) % 3]
        along = b[:2] - a[:2]
        rx, ry = x - a[0], y - a[1]
        t = (rx * along[0] + ry * along[1]) / (along[0] ** 2 + along[1] ** 2)
        t = np.where(t.real < 0, 0, np.where(t.real > 1, 1, t))
        squared = (rx - t * along[0]) ** 2 + (ry - t * along[1]) ** 2
        best = squared if best is None else np.where(squared.real < best.real, squared, best)
        sides.append((along[0] * ry - along[1] * rx).real)
    sides = np.array(sides)
    inside = (sides >= 0).all(axis=0) | (sides <= 0).all(axis=0)
    return np.where(inside, best, -best)


def _cross(u, v):
    return u[0] * v[1] - u[1] * v[0]
