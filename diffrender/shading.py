"""Soft Lambert shading at the vertices, and its reverse, by kernels: NumPy would walk over the vertices a dozen times."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .formulas.constants import PORTION
from .jit import formula, kernel, subroutine
from .lanes import at, put
from .memory import empty_like, zeros
from .spin import lead, publish
from .threads import added_up, portions_of, share_out


@dataclass(frozen=True)
class Light:
    """One directional light: colour = albedo * (ambient + diffuse * soft_max(n . direction, 0)).

    `direction` (3,) points from the surface to the light in world space, any length but 0. `softness` rounds the corner
    of max(0, .) so that a face turning away keeps a gradient. Raises ValueError for a zero or non-finite direction.
    """

    direction: tuple[float, float, float] = (0.4, 0.8, 0.6)
    ambient: float = 0.4
    diffuse: float = 0.6
    softness: float = 0.1

    def __post_init__(self) -> None:
        direction = np.asarray(self.direction, np.float64)
        # Not NumPy's functions, which take longer to be called than to look at three numbers.
        if direction.shape != (3,) or not all(map(math.isfinite, direction.tolist())) or not any(direction.tolist()):
            raise ValueError(f"light direction must be three finite numbers that are not all 0, got {self.direction}")
        for name in ("ambient", "diffuse", "softness"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"light {name} must be finite and >= 0, got {value}")

    @property
    def unit(self) -> tuple[np.ndarray, float]:
        """The direction (3,) with length 1, and the length it was given."""
        return _unit_of(tuple(self.direction))


@lru_cache(maxsize=8)
def _unit_of(direction: tuple[float, ...]) -> tuple[np.ndarray, float]:
    vector = np.asarray(direction, np.float64)
    length = math.sqrt(vector @ vector)
    return vector / length, length


class LightGradients(NamedTuple):
    """Gradients of a `Light` by the names of its fields."""

    direction: np.ndarray  # (3,)
    ambient: float
    diffuse: float


class ShadingGradients(NamedTuple):
    """Gradients by the names of the inputs of `shade`."""

    vertices: np.ndarray  # (V, 3)
    albedo: np.ndarray  # (V, 3)
    light: LightGradients


def shade(vertices: np.ndarray, faces: np.ndarray, albedo: np.ndarray, light: Light) -> np.ndarray:
    """Return the lit colours (V, 3) of vertices (V, 3) with albedo (V, 3) under a light. Lambert's cosine law."""
    return shade_with(normal_sums(vertices, faces), albedo, light)


def shade_backward(
    vertices: np.ndarray, faces: np.ndarray, albedo: np.ndarray, light: Light, grad_color: np.ndarray
) -> ShadingGradients:
    """Carry grad_color (V, 3) back to the vertices (through their normals), the albedo and the light."""
    return shade_with_backward(normal_sums(vertices, faces), vertices, faces, albedo, light, grad_color)


def shade_with(sums: np.ndarray, albedo: np.ndarray, light: Light) -> np.ndarray:
    """Return `shade` for the sums (V, 3) of the areas around vertices, see `normal_sums`."""
    color = empty_like(albedo)
    unit, _ = light.unit
    share_out(
        _shade, len(sums), sums, unit, light.ambient, light.diffuse, light.softness, np.ascontiguousarray(albedo), color
    )
    return color


def shade_with_backward(
    sums: np.ndarray,
    vertices: np.ndarray,
    faces: np.ndarray,
    albedo: np.ndarray,
    light: Light,
    grad_color: np.ndarray,
) -> ShadingGradients:
    """Return `shade_backward` for the sums (V, 3) that `shade_with` took."""
    unit, length = light.unit
    grad_albedo, grad_sums = empty_like(albedo), empty_like(sums)
    totals = np.zeros((portions_of(len(sums)), 5))
    numbers = (light.ambient, light.diffuse, light.softness)
    arrays = (np.ascontiguousarray(albedo), np.ascontiguousarray(grad_color, albedo.dtype))
    into = (grad_albedo, grad_sums, totals)
    share_out(shade_vertices_backward, len(sums), sums, unit, *numbers, *arrays, *into)
    grads = light_gradients(added_up(totals), unit, length)
    return ShadingGradients(normal_sums_backward(vertices, faces, grad_sums), grad_albedo, grads)


def light_gradients(totals: np.ndarray, unit: np.ndarray, length: float) -> LightGradients:
    """Return by name the totals (5,) of `shade_vertices_backward` for a direction whose length is not 1."""
    gx, gy, gz, ambient, diffuse = totals.tolist()
    x, y, z = unit.tolist()
    along = gx * x + gy * y + gz * z
    direction = np.array([(gx - along * x) / length, (gy - along * y) / length, (gz - along * z) / length])
    return LightGradients(direction=direction, ambient=ambient, diffuse=diffuse)


def shade_with_jvp(
    sums: np.ndarray,
    albedo: np.ndarray,
    light: Light,
    moved_sums: np.ndarray | None,
    moved_albedo: np.ndarray | None,
    directions: Mapping[str, np.ndarray],
    count: int,
) -> np.ndarray:
    """Return how `shade_with` changes (D, V, 3) in `count` directions of its sums and albedo, (D, V, 3) or None, and of the
    light's direction (D, 3), ambient (D,) and diffuse (D,), if they are there."""
    unit, length = light.unit
    moved = directions.get("direction", np.zeros((count, 3))).astype(np.float64)
    units = (moved - (moved * unit).sum(axis=1, keepdims=True) * unit) / length
    strengths = np.stack([directions.get(name, np.zeros(count)) for name in ("ambient", "diffuse")], axis=1)
    nothing, tangent = np.zeros((0, *sums.shape)), np.empty((count, *albedo.shape))
    numbers = (light.ambient, light.diffuse, light.softness)
    _shade_tangent(
        sums,
        unit,
        *numbers,
        np.ascontiguousarray(albedo),
        nothing if moved_sums is None else moved_sums,
        nothing if moved_albedo is None else np.ascontiguousarray(moved_albedo, np.float64),
        units,
        strengths.astype(np.float64),
        tangent,
    )
    return tangent


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return area-weighted unit normals (V, 3) and their lengths (V,) before scaling; 0 where a vertex has no area."""
    sums = normal_sums(vertices, faces).astype(vertices.dtype)
    lengths = np.sqrt(np.einsum("ij,ij->i", sums, sums))
    return sums / np.where(lengths > 0, lengths, 1)[:, None], lengths


def normal_sums(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return for each vertex (V, 3) float64 the sum of e1 x e2 over its faces: a normal, twice their area long."""
    sums = zeros((len(vertices), 3), np.float64)
    _add_normals(np.ascontiguousarray(vertices), np.ascontiguousarray(faces, np.int32), sums)
    return sums


def normal_sums_backward(vertices: np.ndarray, faces: np.ndarray, grad_sums: np.ndarray) -> np.ndarray:
    """Carry grad_sums (V, 3) back to the vertices (V, 3): the reverse of e1 x e2 is (e2 x g, g x e1)."""
    grad_vertices = zeros((len(vertices), 3), np.float64)
    add_normals_backward(
        np.ascontiguousarray(vertices), np.ascontiguousarray(faces, np.int32), grad_sums, grad_vertices
    )
    return grad_vertices.astype(vertices.dtype)


def normal_sums_jvp(vertices: np.ndarray, faces: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Return how `normal_sums` change (D, V, 3) as vertices do by moved (D, V, 3): e1 x e2 by e1' x e2 + e1 x e2'."""
    tangent = np.zeros(moved.shape)
    given = np.ascontiguousarray(vertices), np.ascontiguousarray(faces, np.int32)
    _add_normals_tangent(*given, np.ascontiguousarray(moved, np.float64), tangent)
    return tangent


@formula
def _soft_cosine(nx, ny, nz, unit, softness):
    """Return (x + sqrt(x^2 + s^2)) / 2, a smooth max(x, 0), of x = n . l, and its slope."""
    x = nx * unit[0] + ny * unit[1] + nz * unit[2]
    root = math.sqrt(x * x + softness * softness)
    return 0.5 * (x + root), 0.5 + 0.5 * x / root if root > 0.0 else 0.5


@formula
def _unit_normal(sums, vertex):
    x, y, z = sums[vertex, 0], sums[vertex, 1], sums[vertex, 2]
    length = math.sqrt(x * x + y * y + z * z)
    inverse = 1.0 / length if length > 0.0 else 0.0
    return x * inverse, y * inverse, z * inverse, inverse


@kernel
def _shade(share, shares, board, sums, unit, ambient, diffuse, softness, albedo, color):
    if share < 0:
        lead(publish(board))
        return
    for vertex in range(len(sums) * share // shares, len(sums) * (share + 1) // shares):
        nx, ny, nz, _ = _unit_normal(sums, vertex)
        cosine, _ = _soft_cosine(nx, ny, nz, unit, softness)
        irradiance = ambient + diffuse * cosine
        for channel in range(3):
            color[vertex, channel] = albedo[vertex, channel] * irradiance


@kernel
def shade_vertices_backward(
    share,
    shares,
    board,
    sums,
    unit,
    ambient,
    diffuse,
    softness,
    albedo,
    grad_color,
    grad_albedo,
    grad_sums,
    totals,
):
    """Fill the gradients of albedo and sums, and add to totals (N, 5), by `shade_portion_backward` for each portion."""
    if share < 0:
        lead(publish(board))
        return
    for portion in range(len(totals) * share // shares, len(totals) * (share + 1) // shares):
        begin, end = portion * PORTION, min((portion + 1) * PORTION, len(sums))
        shade_portion_backward(
            sums[begin:end],
            unit,
            ambient,
            diffuse,
            softness,
            albedo[begin:end],
            grad_color[begin:end],
            grad_albedo[begin:end],
            grad_sums[begin:end],
            totals[portion],
        )


@subroutine
def shade_portion_backward(sums, unit, ambient, diffuse, softness, albedo, grad_color, grad_albedo, grad_sums, totals):
    """Fill the gradients of albedo and sums; add to totals (5,) those of the unit direction, ambient and diffuse.

    The reverse of scaling to length 1 is the projection off the normal over the length.
    """
    for vertex in range(len(sums)):
        nx, ny, nz, inverse = _unit_normal(sums, vertex)
        cosine, slope = _soft_cosine(nx, ny, nz, unit, softness)
        irradiance = ambient + diffuse * cosine
        grad_irradiance = 0.0
        for channel in range(3):
            grad_irradiance += grad_color[vertex, channel] * albedo[vertex, channel]
            grad_albedo[vertex, channel] = grad_color[vertex, channel] * irradiance
        grad_dot = grad_irradiance * diffuse * slope
        totals[0] += grad_dot * nx
        totals[1] += grad_dot * ny
        totals[2] += grad_dot * nz
        totals[3] += grad_irradiance
        totals[4] += grad_irradiance * cosine
        along = unit[0] * nx + unit[1] * ny + unit[2] * nz
        grad_sums[vertex, 0] = grad_dot * (unit[0] - along * nx) * inverse
        grad_sums[vertex, 1] = grad_dot * (unit[1] - along * ny) * inverse
        grad_sums[vertex, 2] = grad_dot * (unit[2] - along * nz) * inverse


@kernel
def _shade_tangent(sums, unit, ambient, diffuse, softness, albedo, moved_sums, moved_albedo, units, strengths, tangent):
    """Fill tangent (D, V, 3) of the colours for moved_sums and moved_albedo (D or 0, V, 3), units (D, 3) of the light's unit
    direction, and strengths (D, 2) of ambient and diffuse."""
    for vertex in range(len(sums)):
        nx, ny, nz, inverse = _unit_normal(sums, vertex)
        cosine, slope = _soft_cosine(nx, ny, nz, unit, softness)
        irradiance = ambient + diffuse * cosine
        along = unit[0] * nx + unit[1] * ny + unit[2] * nz
        for d in range(len(units)):
            dot = units[d, 0] * nx + units[d, 1] * ny + units[d, 2] * nz
            if len(moved_sums) > 0:
                dot += (unit[0] - along * nx) * inverse * moved_sums[d, vertex, 0]
                dot += (unit[1] - along * ny) * inverse * moved_sums[d, vertex, 1]
                dot += (unit[2] - along * nz) * inverse * moved_sums[d, vertex, 2]
            change = strengths[d, 0] + strengths[d, 1] * cosine + diffuse * slope * dot
            for channel in range(3):
                value = albedo[vertex, channel] * change
                if len(moved_albedo) > 0:
                    value += moved_albedo[d, vertex, channel] * irradiance
                tangent[d, vertex, channel] = value


@formula
def _cross(ax, ay, az, bx, by, bz):
    return ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx


@formula
def _corners(faces, face):
    """Return the places of three vertices in an array of (V, 3)."""
    place = 3 * face
    return 3 * np.int64(at(faces, place)), 3 * np.int64(at(faces, place + 1)), 3 * np.int64(at(faces, place + 2))


@formula
def _edge(vertices, a, b):
    return (
        np.float64(at(vertices, b)) - np.float64(at(vertices, a)),
        np.float64(at(vertices, b + 1)) - np.float64(at(vertices, a + 1)),
        np.float64(at(vertices, b + 2)) - np.float64(at(vertices, a + 2)),
    )


@formula
def _add(sums, place, value):
    put(sums, place, at(sums, place) + value[0])
    put(sums, place + 1, at(sums, place + 1) + value[1])
    put(sums, place + 2, at(sums, place + 2) + value[2])


@kernel
def _add_normals(vertices, faces, sums):
    for face in range(len(faces)):
        a, b, c = _corners(faces, face)
        crossed = _cross(*_edge(vertices, a, b), *_edge(vertices, a, c))
        _add(sums, a, crossed)
        _add(sums, b, crossed)
        _add(sums, c, crossed)


@kernel
def add_normals_backward(vertices, faces, grad_sums, grad_vertices):
    """Add to grad_vertices (V, 3): the reverse of e1 x e2 is (e2 x g, g x e1)."""
    for face in range(len(faces)):
        a, b, c = _corners(faces, face)
        gx = at(grad_sums, a) + at(grad_sums, b) + at(grad_sums, c)
        gy = at(grad_sums, a + 1) + at(grad_sums, b + 1) + at(grad_sums, c + 1)
        gz = at(grad_sums, a + 2) + at(grad_sums, b + 2) + at(grad_sums, c + 2)
        first = _cross(*_edge(vertices, a, c), gx, gy, gz)
        second = _cross(gx, gy, gz, *_edge(vertices, a, b))
        _add(grad_vertices, b, first)
        _add(grad_vertices, c, second)
        _add(grad_vertices, a, (-first[0] - second[0], -first[1] - second[1], -first[2] - second[2]))


@kernel
def _add_normals_tangent(vertices, faces, moved, tangent):
    for d in range(len(moved)):
        ways, sums = moved[d], tangent[d]
        for face in range(len(faces)):
            a, b, c = _corners(faces, face)
            x, y, z = _cross(*_edge(ways, a, b), *_edge(vertices, a, c))
            u, v, w = _cross(*_edge(vertices, a, b), *_edge(ways, a, c))
            crossed = (x + u, y + v, z + w)
            _add(sums, a, crossed)
            _add(sums, b, crossed)
            _add(sums, c, crossed)
