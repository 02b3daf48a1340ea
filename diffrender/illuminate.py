"""Lit colours at the vertices under `Lights`, and the way back."""

from typing import NamedTuple

import numpy as np

from .beams import Surface, beams, dot, reflect, reflect_backward, unit, unit_backward
from .harmonics import sh_shading, sh_shading_backward
from .lights import DirectionalGradients, Lights, LightsGradients, PointsGradients, SpecularGradients
from .shading import normal_sums_backward


class IlluminationGradients(NamedTuple):
    """Gradients by the names of the inputs of `lit_colors`."""

    vertices: np.ndarray  # (V, 3), through the normals too
    albedo: np.ndarray  # (V, 3)
    light: LightsGradients
    eye: np.ndarray  # (3,)


def lit_colors(
    sums: np.ndarray, vertices: np.ndarray, albedo: np.ndarray, lights: Lights, eye: np.ndarray
) -> np.ndarray:
    """Return the colours (V, 3) of vertices (V, 3), with normals along sums (V, 3), of albedo (V, 3) seen from eye (3,).

    color = albedo * (ambient + sh + sum E) + specular * sum E highlight, E = intensity * falloff * soft_max(n . l, 0).
    """
    surface = _surface(sums, vertices, lights, eye)
    irradiance = _from_everywhere(surface, lights)
    gloss: np.ndarray | float = 0.0
    for beam in beams(surface.points, lights):
        diffuse, highlight = reflect(surface, beam, lights)
        irradiance += beam.intensity[:, None] * diffuse
        if highlight is not None and lights.specular is not None:
            gloss = gloss + (lights.specular.color * beam.intensity)[:, None] * (diffuse * highlight)
    return np.ascontiguousarray((albedo.T * irradiance + gloss).T, albedo.dtype)


def lit_colors_backward(
    sums: np.ndarray,
    vertices: np.ndarray,
    faces: np.ndarray,
    albedo: np.ndarray,
    lights: Lights,
    eye: np.ndarray,
    grad_color: np.ndarray,
) -> IlluminationGradients:
    """Carry grad_color (V, 3) back to the vertices, albedo, lights and eye."""
    surface = _surface(sums, vertices, lights, eye)
    irradiance = _from_everywhere(surface, lights)
    grad = np.ascontiguousarray(grad_color.T, np.float64)
    grad_irradiance = grad * albedo.T
    grad_normals, grad_points, grad_to_eye = (np.zeros_like(surface.points) for _ in range(3))
    grad_sh = None
    if lights.sh is not None:
        grad_normals, grad_sh = sh_shading_backward(surface.normals.vectors, lights.sh, grad_irradiance)
    grad_gloss, grad_shininess = np.zeros(3), 0.0
    sources = []  # of each beam: the gradients of its direction or position (3,), and of its intensity (3,)
    for beam in beams(surface.points, lights):
        diffuse, highlight = reflect(surface, beam, lights)
        irradiance += beam.intensity[:, None] * diffuse
        grad_energy, grad_highlight = grad_irradiance, None  # E = intensity * diffuse, by its channels
        if highlight is not None and lights.specular is not None:
            gloss = lights.specular.color[:, None]
            grad_energy = grad_irradiance + gloss * highlight * grad
            grad_highlight = diffuse * dot(gloss * beam.intensity[:, None], grad)
            grad_gloss += beam.intensity * (grad * (diffuse * highlight)).sum(axis=1)
        back = reflect_backward(surface, beam, lights, dot(beam.intensity, grad_energy), grad_highlight)
        grad_normals += back.normals
        grad_to_eye += back.to_eye
        grad_shininess += back.shininess
        if beam.from_point:
            grad_points -= back.to_light
        sources.append((back.to_light.sum(axis=1), (grad_energy * diffuse).sum(axis=1)))
    grad_sums = np.ascontiguousarray(unit_backward(surface.normals, grad_normals).T)
    through_normals = normal_sums_backward(vertices, faces, grad_sums)
    return IlluminationGradients(
        vertices=through_normals + (grad_points - grad_to_eye).T.astype(vertices.dtype),
        albedo=np.ascontiguousarray((grad * irradiance).T, albedo.dtype),
        light=_by_name(lights, grad_irradiance.sum(axis=1), sources, grad_sh, (grad_gloss, grad_shininess)),
        eye=grad_to_eye.sum(axis=1),
    )


def _surface(sums: np.ndarray, vertices: np.ndarray, lights: Lights, eye: np.ndarray) -> Surface:
    points = np.ascontiguousarray(vertices.T, np.float64)
    views = None if lights.specular is None else unit(eye[:, None] - points)
    return Surface(points, unit(np.ascontiguousarray(sums.T)), views)


def _from_everywhere(surface: Surface, lights: Lights) -> np.ndarray:
    """Return what is not a beam: (3, V)."""
    ambient = np.repeat(lights.ambient[:, None], surface.points.shape[1], axis=1)
    return ambient if lights.sh is None else ambient + sh_shading(surface.normals.vectors, lights.sh)


def _by_name(
    lights: Lights,
    ambient: np.ndarray,
    sources: list[tuple[np.ndarray, np.ndarray]],
    sh: np.ndarray | None,
    specular: tuple[np.ndarray, float],
) -> LightsGradients:
    far = 0 if lights.directional is None else len(lights.directional.directions)
    first, second = sources[:far], sources[far:]
    return LightsGradients(
        ambient=ambient,
        directional=DirectionalGradients(*map(np.stack, zip(*first, strict=True))) if first else None,
        points=PointsGradients(*map(np.stack, zip(*second, strict=True))) if second else None,
        sh=sh,
        specular=None if lights.specular is None else SpecularGradients(*specular),
    )
