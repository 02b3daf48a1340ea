"""Closed meshes of our own to be found again: animals and things, each the smooth union of a few simple solids.

python -m benchmarks.shapes                # draws them all, three views each, into shapes.png
"""

import argparse
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import diffrender as dr
from diffrender.polygonize import polygonize
from diffrender.quality import even_edge_length
from diffrender.remesh import remesh

_CELLS_PER_ROOT_FACE = 0.8  # of the grid along a shape's long side
_BLEND = 0.05  # width of the seam between two solids, in units of the shape before it is scaled

Point = tuple[float, float, float]
Distance = Callable[[np.ndarray], np.ndarray]  # from points (N, 3), negative inside


class Solid(NamedTuple):
    """A signed distance, its colour in linear RGB, and how far from the origin it may reach."""

    distance: Distance
    color: Point
    reach: np.ndarray  # (2, 3) low and high corner


def limb(
    start: Point, end: Point, radius: float, end_radius: float | None = None, color: Point = (0.5, 0.4, 0.3)
) -> Solid:
    """Return a rod with round ends, which tapers to `end_radius`."""
    a, b = np.array(start), np.array(end)
    last = radius if end_radius is None else end_radius
    along = b - a

    def distance(points: np.ndarray) -> np.ndarray:
        share = np.clip((points - a) @ along / (along @ along), 0, 1)[:, None]
        return np.linalg.norm(points - a - share * along, axis=1) - (radius + share[:, 0] * (last - radius))

    wide = max(radius, last)
    return Solid(distance, color, np.array([np.minimum(a, b) - wide, np.maximum(a, b) + wide]))


def ball(center: Point, radii: Point, color: Point = (0.5, 0.4, 0.3)) -> Solid:
    """Return an ellipsoid along the axes."""
    c, r = np.array(center), np.array(radii)

    def distance(points: np.ndarray) -> np.ndarray:
        scaled = (points - c) / r
        length = np.linalg.norm(scaled, axis=1)
        slope = np.linalg.norm(scaled / r, axis=1)
        return length * (length - 1) / np.maximum(slope, 1e-9)

    return Solid(distance, color, np.array([c - r, c + r]))


def box(center: Point, halves: Point, round_by: float = 0.03, color: Point = (0.5, 0.4, 0.3)) -> Solid:
    """Return a box along the axes with rounded edges."""
    c, h = np.array(center), np.array(halves)

    def distance(points: np.ndarray) -> np.ndarray:
        beyond = np.abs(points - c) - (h - round_by)
        outside = np.linalg.norm(np.maximum(beyond, 0), axis=1)
        return outside + np.minimum(beyond.max(axis=1), 0) - round_by

    return Solid(distance, color, np.array([c - h, c + h]))


def ring(center: Point, axis: int, radius: float, thickness: float, color: Point = (0.5, 0.4, 0.3)) -> Solid:
    """Return a torus around one of the axes."""
    c = np.array(center)
    extent = np.full(3, radius + thickness)
    extent[axis] = thickness

    def distance(points: np.ndarray) -> np.ndarray:
        offset = points - c
        flat = np.linalg.norm(np.delete(offset, axis, axis=1), axis=1) - radius
        return np.hypot(flat, offset[:, axis]) - thickness

    return Solid(distance, color, np.array([c - extent, c + extent]))


def tube(center: Point, radius: float, height: float, thickness: float, color: Point = (0.5, 0.4, 0.3)) -> Solid:
    """Return an upright wall with round edges, `height` being half of its own."""
    c = np.array(center)
    extent = np.array([radius + thickness, height + thickness, radius + thickness])

    def distance(points: np.ndarray) -> np.ndarray:
        offset = points - c
        flat = np.hypot(offset[:, 0], offset[:, 2]) - radius
        return np.hypot(flat, np.maximum(np.abs(offset[:, 1]) - height, 0)) - thickness

    return Solid(distance, color, np.array([c - extent, c + extent]))


def both(solid: Solid) -> Solid:
    """Return a solid on the side x > 0 together with its mirror image."""
    low, high = solid.reach
    low = np.array([-high[0], low[1], low[2]])
    return Solid(
        lambda points: solid.distance(np.abs(points) * [1, 0, 0] + points * [0, 1, 1]),
        solid.color,
        np.array([low, high]),
    )


_WHITE, _BLACK, _PINK, _BROWN = (0.8, 0.78, 0.72), (0.03, 0.03, 0.035), (0.75, 0.35, 0.33), (0.22, 0.11, 0.05)
_RED, _BLUE, _GREY, _YELLOW, _GREEN = (
    (0.6, 0.05, 0.04),
    (0.06, 0.13, 0.5),
    (0.3, 0.31, 0.33),
    (0.75, 0.5, 0.05),
    (0.08, 0.35, 0.1),
)


def _cow() -> list[Solid]:
    return [
        ball((0, 0, -0.05), (0.27, 0.28, 0.55), _WHITE),
        ball((0, 0.02, 0.3), (0.24, 0.26, 0.26), _BROWN),
        limb((0, 0.12, 0.42), (0, 0.32, 0.72), 0.17, 0.13, _WHITE),
        ball((0, 0.4, 0.84), (0.15, 0.15, 0.2), _BROWN),
        ball((0, 0.32, 1.0), (0.11, 0.1, 0.1), _PINK),
        both(limb((0.12, 0.48, 0.76), (0.3, 0.5, 0.72), 0.055, 0.045, _BROWN)),
        both(limb((0.07, 0.52, 0.78), (0.15, 0.68, 0.8), 0.035, 0.02, _WHITE)),
        both(limb((0.16, -0.12, 0.32), (0.17, -0.62, 0.34), 0.1, 0.065, _WHITE)),
        both(limb((0.16, -0.12, -0.42), (0.17, -0.62, -0.45), 0.12, 0.065, _WHITE)),
        both(limb((0.17, -0.62, 0.34), (0.17, -0.67, 0.36), 0.07, 0.07, _BLACK)),
        both(limb((0.17, -0.62, -0.45), (0.17, -0.67, -0.43), 0.07, 0.07, _BLACK)),
        ball((0, -0.26, -0.3), (0.13, 0.11, 0.14), _PINK),
        limb((0, 0.15, -0.56), (0, -0.05, -0.74), 0.04, 0.03, _WHITE),
        limb((0, -0.05, -0.74), (0, -0.32, -0.76), 0.03, 0.05, _BLACK),
    ]


def _horse() -> list[Solid]:
    return [
        ball((0, 0, 0), (0.22, 0.25, 0.52), _BROWN),
        limb((0, 0.1, 0.4), (0, 0.6, 0.74), 0.17, 0.1, _BROWN),
        limb((0, 0.62, 0.76), (0, 0.45, 1.04), 0.11, 0.07, _BROWN),
        limb((0, 0.2, 0.32), (0, 0.72, 0.66), 0.04, 0.04, _BLACK),
        both(limb((0.05, 0.7, 0.72), (0.07, 0.82, 0.72), 0.035, 0.015, _BROWN)),
        both(limb((0.12, -0.08, 0.36), (0.13, -0.45, 0.4), 0.1, 0.05, _BROWN)),
        both(limb((0.13, -0.45, 0.4), (0.13, -0.86, 0.38), 0.05, 0.045, _WHITE)),
        both(limb((0.12, -0.05, -0.42), (0.13, -0.45, -0.52), 0.13, 0.055, _BROWN)),
        both(limb((0.13, -0.45, -0.52), (0.13, -0.86, -0.46), 0.055, 0.045, _WHITE)),
        limb((0, 0.15, -0.5), (0, 0.1, -0.68), 0.05, 0.06, _BLACK),
        limb((0, 0.1, -0.68), (0, -0.4, -0.78), 0.06, 0.035, _BLACK),
    ]


def _aeroplane() -> list[Solid]:
    return [
        ball((0, 0, 0), (0.13, 0.13, 1.0), _WHITE),
        box((0, -0.03, 0.12), (0.95, 0.03, 0.16), 0.028, _RED),
        box((0, 0.05, -0.82), (0.36, 0.025, 0.1), 0.022, _RED),
        box((0, 0.2, -0.84), (0.025, 0.2, 0.12), 0.022, _BLUE),
        both(limb((0.36, -0.11, 0.3), (0.36, -0.11, 0.06), 0.06, 0.05, _GREY)),
        ball((0, 0.1, 0.5), (0.09, 0.08, 0.22), _BLUE),
    ]


def _chair() -> list[Solid]:
    return [
        box((0, 0, 0), (0.42, 0.05, 0.42), 0.04, _BLUE),
        both(limb((0.34, -0.02, 0.34), (0.37, -0.75, 0.38), 0.05, 0.04, _BROWN)),
        both(limb((0.34, -0.02, -0.34), (0.37, -0.75, -0.38), 0.05, 0.04, _BROWN)),
        both(limb((0.34, 0.0, -0.36), (0.36, 0.85, -0.46), 0.05, 0.045, _BROWN)),
        limb((-0.36, 0.8, -0.455), (0.36, 0.8, -0.455), 0.06, 0.06, _BLUE),
        limb((-0.35, 0.45, -0.415), (0.35, 0.45, -0.415), 0.05, 0.05, _BLUE),
    ]


def _teddy() -> list[Solid]:
    return [
        ball((0, 0, 0), (0.38, 0.42, 0.32), _BROWN),
        ball((0, 0.0, 0.16), (0.26, 0.3, 0.2), _WHITE),
        ball((0, 0.62, 0.04), (0.31, 0.28, 0.28), _BROWN),
        ball((0, 0.56, 0.29), (0.13, 0.1, 0.12), _WHITE),
        both(ball((0.25, 0.86, 0.0), (0.13, 0.13, 0.07), _BROWN)),
        both(limb((0.32, 0.22, 0.05), (0.62, 0.02, 0.25), 0.13, 0.12, _BROWN)),
        both(limb((0.2, -0.34, 0.08), (0.33, -0.42, 0.5), 0.17, 0.15, _BROWN)),
    ]


def _mug() -> list[Solid]:
    return [
        tube((0, 0, 0), 0.42, 0.45, 0.06, _RED),
        ball((0, -0.45, 0), (0.44, 0.09, 0.44), _WHITE),
        ring((0, 0.0, 0.5), 0, 0.26, 0.065, _YELLOW),
    ]


def _car() -> list[Solid]:
    return [
        box((0, 0, 0), (0.42, 0.16, 1.0), 0.12, _RED),
        box((0, 0.24, -0.12), (0.35, 0.16, 0.5), 0.14, _GREY),
        both(ball((0.38, -0.16, 0.62), (0.11, 0.21, 0.21), _BLACK)),
        both(ball((0.38, -0.16, -0.62), (0.11, 0.21, 0.21), _BLACK)),
        both(ball((0.28, 0.03, 0.97), (0.09, 0.07, 0.07), _YELLOW)),
        box((0, 0.24, -0.95), (0.4, 0.025, 0.08), 0.02, _BLUE),
        both(limb((0.3, 0.1, -0.92), (0.3, 0.24, -0.95), 0.03, 0.03, _BLUE)),
    ]


def _duck() -> list[Solid]:
    return [
        ball((0, 0, 0), (0.38, 0.3, 0.55), _YELLOW),
        ball((0, 0.1, -0.5), (0.16, 0.1, 0.22), _YELLOW),
        limb((0, 0.12, 0.32), (0, 0.48, 0.4), 0.2, 0.17, _YELLOW),
        ball((0, 0.58, 0.42), (0.24, 0.23, 0.25), _YELLOW),
        ball((0, 0.52, 0.7), (0.12, 0.05, 0.17), _RED),
        both(ball((0.35, 0.05, -0.1), (0.09, 0.17, 0.32), _WHITE)),
        both(ball((0.17, -0.32, 0.1), (0.12, 0.05, 0.2), _RED)),
    ]


def _person() -> list[Solid]:
    return [
        limb((0, 0.0, 0), (0, 0.42, 0), 0.17, 0.19, _BLUE),
        limb((0, 0.5, 0), (0, 0.66, 0), 0.075, 0.075, _PINK),
        ball((0, 0.82, 0.02), (0.15, 0.19, 0.17), _PINK),
        both(limb((0.2, 0.46, 0), (0.52, 0.2, 0.03), 0.085, 0.07, _BLUE)),
        both(limb((0.52, 0.2, 0.03), (0.78, 0.34, 0.2), 0.065, 0.055, _PINK)),
        both(limb((0.11, -0.05, 0), (0.2, -0.5, 0.04), 0.13, 0.09, _GREY)),
        both(limb((0.2, -0.5, 0.04), (0.26, -0.95, -0.02), 0.085, 0.065, _GREY)),
        both(limb((0.26, -0.98, -0.02), (0.28, -0.98, 0.16), 0.07, 0.06, _BLACK)),
    ]


def _fish() -> list[Solid]:
    return [
        ball((0, 0, 0.1), (0.2, 0.33, 0.62), _GREEN),
        limb((0, 0, -0.4), (0, 0, -0.62), 0.12, 0.07, _GREEN),
        limb((0, 0.0, -0.62), (0, 0.3, -0.86), 0.06, 0.04, _YELLOW),
        limb((0, 0.0, -0.62), (0, -0.3, -0.86), 0.06, 0.04, _YELLOW),
        limb((0, 0.28, 0.2), (0, 0.4, -0.18), 0.05, 0.035, _YELLOW),
        both(limb((0.17, -0.08, 0.2), (0.42, -0.22, 0.0), 0.055, 0.035, _YELLOW)),
        both(ball((0.13, 0.08, 0.52), (0.06, 0.06, 0.06), _WHITE)),
    ]


def _octopus() -> list[Solid]:
    """Eight thin arms that curl: not for a photo, for sixteen."""
    arms = []
    for number in range(8):
        angle = (number + 0.5) * np.pi / 4
        out = np.array([np.sin(angle), 0, np.cos(angle)])
        knee, tip = 0.5 * out + [0, -0.32, 0], 0.86 * out + [0, -0.36, 0]
        curl = 0.95 * out + [0, -0.14, 0]
        arms += [
            limb(tuple(0.15 * out + [0, -0.05, 0]), tuple(knee), 0.11, 0.07, _RED),
            limb(tuple(knee), tuple(tip), 0.07, 0.05, _PINK),
            limb(tuple(tip), tuple(curl), 0.05, 0.035, _PINK),
        ]
    return [
        ball((0, 0.25, 0), (0.3, 0.36, 0.3), _RED),
        both(ball((0.14, 0.18, 0.26), (0.07, 0.07, 0.07), _WHITE)),
        *arms,
    ]


SHAPES = {
    "cow": _cow,
    "horse": _horse,
    "aeroplane": _aeroplane,
    "chair": _chair,
    "teddy": _teddy,
    "mug": _mug,
    "car": _car,
    "duck": _duck,
    "person": _person,
    "fish": _fish,
    "octopus": _octopus,
}  # all are symmetric in x = 0, with y up and their front towards +z


@cache
def shape(name: str, faces: int = 20_000) -> dr.Mesh:
    """Return a shape of SHAPES as a closed mesh of about `faces` even faces, coloured, its bounding box around 0 and its
    farthest vertex at 1."""
    solids = SHAPES[name]()
    low = np.min([solid.reach[0] for solid in solids], axis=0)
    high = np.max([solid.reach[1] for solid in solids], axis=0)
    step = (high - low).max() / (_CELLS_PER_ROOT_FACE * np.sqrt(faces))
    axes = [np.arange(low[axis] - 3 * step, high[axis] + 3 * step, step) for axis in range(3)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    values = -_union(solids, points.reshape(-1, 3)).reshape(points.shape[:3])
    # A node that is nearly on the surface would make slivers, which no remeshing gets rid of.
    values = np.where(np.abs(values) < 0.2 * step, np.copysign(0.2 * step, values), values)
    vertices, triangles = polygonize(values)
    vertices = np.array([axis[0] for axis in axes]) + step * vertices
    even = remesh(vertices, triangles, even_edge_length(vertices, triangles, faces), rounds=10, crease=180)
    vertices = _settled(solids, even.vertices, step)
    colors = _colors(solids, vertices)
    centered = vertices - (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    return dr.Mesh((centered / np.linalg.norm(centered, axis=1).max()).astype(np.float32), even.faces, colors)


def _settled(solids: list[Solid], points: np.ndarray, step: float) -> np.ndarray:
    """Return points (N, 3) near the surface moved onto it, along the slope of the distance, by differences over `step`."""
    for _ in range(3):
        offsets = 0.1 * step * np.eye(3)
        slope = np.stack([_union(solids, points + o) - _union(solids, points - o) for o in offsets], axis=1) / (
            0.2 * step
        )
        distance = np.clip(_union(solids, points), -0.2 * step, 0.2 * step)
        points = points - distance[:, None] * slope / np.maximum((slope * slope).sum(axis=1, keepdims=True), 0.25)
    return points


def _union(solids: list[Solid], points: np.ndarray) -> np.ndarray:
    """Return the signed distances (N,) of the solids together, with fillets at the seams. Quilez, Smooth minimum, 2013."""
    result = solids[0].distance(points)
    for solid in solids[1:]:
        other = solid.distance(points)
        overlap = np.maximum(_BLEND - np.abs(result - other), 0) / _BLEND
        result = np.minimum(result, other) - overlap**2 * _BLEND / 4
    return result


def _colors(solids: list[Solid], points: np.ndarray) -> np.ndarray:
    """Return colours (N, 3) float32: those of the solids, the nearer the more, and a little pattern."""
    distances = np.stack([solid.distance(points) for solid in solids], axis=1)
    weights = np.exp(-np.maximum(distances - distances.min(axis=1, keepdims=True), 0) / (0.3 * _BLEND))
    colors = weights @ np.array([solid.color for solid in solids]) / weights.sum(axis=1, keepdims=True)
    pattern = np.sin(9 * np.abs(points[:, 0]) + 1) * np.sin(11 * points[:, 1]) * np.sin(8 * points[:, 2] + 2)
    return np.clip(colors * (1 + 0.35 * pattern[:, None]), 0, 1).astype(np.float32)


def directions_around(count: int) -> np.ndarray:
    """Return unit vectors (N, 3), evenly over the sphere and not at its poles. Fibonacci lattice."""
    number = np.arange(count) + 0.5
    height, angle = 1 - 2 * number / count, np.pi * (1 + np.sqrt(5)) * number
    radius = np.sqrt(1 - height * height)
    return np.stack([radius * np.cos(angle), height, radius * np.sin(angle)], axis=1)


def main() -> None:
    """Draw all shapes."""
    from diffrender.record.picture import headlight, picture, save_image

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("shapes.png"))
    options = parser.parse_args()
    rows: list[Any] = []
    for name in SHAPES:
        mesh = shape(name)
        cameras = [
            dr.Camera.look_at(eye, fov_degrees=40, size=(220, 220))
            for eye in ((1.2, 0.8, 2.7), (3, 0.2, 0.1), (-1.5, 1.5, -2.2))
        ]
        rows.append(np.hstack([picture(mesh, camera, headlight(camera)) for camera in cameras]))
        print(name, len(mesh.faces), "faces")
    if len(rows) % 2:
        rows.append(np.full_like(rows[0], 255))
    save_image(np.vstack([np.hstack(rows[first : first + 2]) for first in range(0, len(rows), 2)]), options.out)


if __name__ == "__main__":
    main()
