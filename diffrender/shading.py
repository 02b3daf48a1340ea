"""Soft Lambert shading at the vertices, and its reverse."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .jit import formula, kernel


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
        if direction.shape != (3,) or not np.isfinite(direction).all() or not direction.any():
            raise ValueError(f"light direction must be three finite numbers that are not all 0, got {self.direction}")
        for name in ("ambient", "diffuse", "softness"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise ValueError(f"light {name} must be finite and >= 0, got {value}")


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
    normals, _ = vertex_normals(vertices, faces)
    cosine, _ = _soft_cosine(normals, light)
    return albedo * (light.ambient + light.diffuse * cosine)[:, None].astype(vertices.dtype)


def shade_backward(
    vertices: np.ndarray, faces: np.ndarray, albedo: np.ndarray, light: Light, grad_color: np.ndarray
) -> ShadingGradients:
    """Carry grad_color (V, 3) back to the vertices (through their normals), the albedo and the light."""
    normals, lengths = vertex_normals(vertices, faces)
    cosine, slope = _soft_cosine(normals, light)
    irradiance = (light.ambient + light.diffuse * cosine)[:, None].astype(vertices.dtype)
    grad_irradiance = _row_dot(grad_color, albedo)
    grad_dot = grad_irradiance * light.diffuse * slope
    direction = np.asarray(light.direction, np.float64)
    length = np.linalg.norm(direction)
    unit = direction / length
    grad_unit = grad_dot @ normals
    grad_normals = (grad_dot[:, None] * unit).astype(vertices.dtype)
    return ShadingGradients(
        vertices=vertex_normals_backward(vertices, faces, normals, lengths, grad_normals),
        albedo=grad_color * irradiance,
        light=LightGradients(
            direction=(grad_unit - (grad_unit @ unit) * unit) / length,
            ambient=float(grad_irradiance.sum()),
            diffuse=float((grad_irradiance * cosine).sum()),
        ),
    )


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return area-weighted unit normals (V, 3) and their lengths (V,) before scaling; 0 where a vertex has no area."""
    sums = np.zeros((len(vertices), 3))
    _add_normals(vertices.astype(np.float64), np.ascontiguousarray(faces, np.int32), sums)
    sums = sums.astype(vertices.dtype)
    lengths = np.sqrt(_row_dot(sums, sums))
    return sums / np.where(lengths > 0, lengths, 1)[:, None], lengths


def vertex_normals_backward(
    vertices: np.ndarray, faces: np.ndarray, normals: np.ndarray, lengths: np.ndarray, grad_normals: np.ndarray
) -> np.ndarray:
    """Carry grad_normals (V, 3) back to the vertices (V, 3).

    The reverse of scaling to length 1 is the projection off the normal over the length; that of e1 x e2 is
    (e2 x g, g x e1).
    """
    inverse = np.where(lengths > 0, 1 / np.where(lengths > 0, lengths, 1), 0)[:, None]
    grad_sums = (grad_normals - _row_dot(grad_normals, normals)[:, None] * normals) * inverse
    grad_vertices = np.zeros((len(vertices), 3))
    triangles = np.ascontiguousarray(faces, np.int32)
    _add_normals_backward(vertices.astype(np.float64), triangles, grad_sums.astype(np.float64), grad_vertices)
    return grad_vertices.astype(vertices.dtype)


def _row_dot(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the dot products (N,) of the rows of two arrays (N, 3): five times as fast as a sum along the last axis."""
    return np.einsum("ij,ij->i", first, second)


# Kernels, since NumPy walks over a face's corners a dozen times. All is float64 and C-contiguous: one compilation.


@formula
def _cross(ax, ay, az, bx, by, bz):
    return ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx


@formula
def _edge(vertices, a, b):
    return vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]


@formula
def _add(sums, vertex, value):
    for axis in range(3):
        sums[vertex, axis] += value[axis]


@kernel
def _add_normals(vertices, faces, sums):
    for face in range(len(faces)):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        crossed = _cross(*_edge(vertices, a, b), *_edge(vertices, a, c))
        _add(sums, a, crossed)
        _add(sums, b, crossed)
        _add(sums, c, crossed)


@kernel
def _add_normals_backward(vertices, faces, grad_sums, grad_vertices):
    for face in range(len(faces)):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        gx = grad_sums[a, 0] + grad_sums[b, 0] + grad_sums[c, 0]
        gy = grad_sums[a, 1] + grad_sums[b, 1] + grad_sums[c, 1]
        gz = grad_sums[a, 2] + grad_sums[b, 2] + grad_sums[c, 2]
        first = _cross(*_edge(vertices, a, c), gx, gy, gz)
        second = _cross(gx, gy, gz, *_edge(vertices, a, b))
        _add(grad_vertices, b, first)
        _add(grad_vertices, c, second)
        _add(grad_vertices, a, (-first[0] - second[0], -first[1] - second[1], -first[2] - second[2]))


def _soft_cosine(normals: np.ndarray, light: Light) -> tuple[np.ndarray, np.ndarray]:
    """Return (x + sqrt(x^2 + s^2)) / 2, a smooth max(x, 0), of x = n . l and its slope."""
    direction = np.asarray(light.direction, np.float64)
    x = normals @ (direction / np.linalg.norm(direction)).astype(normals.dtype)
    root = np.sqrt(x * x + light.softness**2)
    slope = np.where(root > 0, 0.5 + 0.5 * x / np.where(root > 0, root, 1), 0.5)
    return (0.5 * (x + root)).astype(normals.dtype), slope.astype(normals.dtype)
