"""Soft Lambert shading at the vertices, and its reverse."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .scatter import add_at


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
    grad_irradiance = (grad_color * albedo).sum(axis=1)
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
    corners = vertices[faces]
    crossed = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    sums = np.zeros((len(vertices), 3))
    for corner in range(3):
        sums += add_at(faces[:, corner], crossed, len(vertices))
    sums = sums.astype(vertices.dtype)
    lengths = np.linalg.norm(sums, axis=1)
    return sums / np.where(lengths > 0, lengths, 1)[:, None], lengths


def vertex_normals_backward(
    vertices: np.ndarray, faces: np.ndarray, normals: np.ndarray, lengths: np.ndarray, grad_normals: np.ndarray
) -> np.ndarray:
    """Carry grad_normals (V, 3) back to the vertices (V, 3).

    The reverse of scaling to length 1 is the projection off the normal over the length; that of e1 x e2 is
    (e2 x g, g x e1).
    """
    inverse = np.where(lengths > 0, 1 / np.where(lengths > 0, lengths, 1), 0)[:, None]
    grad_sums = (grad_normals - (grad_normals * normals).sum(axis=1, keepdims=True) * normals) * inverse
    corners = vertices[faces]
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    grad_crossed = grad_sums[faces].sum(axis=1)
    grad_first = np.cross(second, grad_crossed)
    grad_second = np.cross(grad_crossed, first)
    return (
        add_at(faces[:, 1], grad_first, len(vertices))
        + add_at(faces[:, 2], grad_second, len(vertices))
        - add_at(faces[:, 0], grad_first + grad_second, len(vertices))
    ).astype(vertices.dtype)


def _soft_cosine(normals: np.ndarray, light: Light) -> tuple[np.ndarray, np.ndarray]:
    """Return (x + sqrt(x^2 + s^2)) / 2, a smooth max(x, 0), of x = n . l and its slope."""
    direction = np.asarray(light.direction, np.float64)
    x = normals @ (direction / np.linalg.norm(direction)).astype(normals.dtype)
    root = np.sqrt(x * x + light.softness**2)
    slope = np.where(root > 0, 0.5 + 0.5 * x / np.where(root > 0, root, 1), 0.5)
    return (0.5 * (x + root)).astype(normals.dtype), slope.astype(normals.dtype)
