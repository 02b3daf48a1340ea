"""What a surface does with the light of one source, without colours, and back. Arrays are (3, V): NumPy is fast along V."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .lights import Lights


class Unit(NamedTuple):
    """Vectors (3, V) scaled to length 1, or 0 if they are 0, and the inverse (V,) of how long they were, or 0."""

    vectors: np.ndarray
    inverse: np.ndarray


class Surface(NamedTuple):
    """Vertices (3, V), their normals, and the directions to the eye, None where nothing shines."""

    points: np.ndarray
    normals: Unit
    views: Unit | None


class Beam(NamedTuple):
    """The light of one source: the direction to it, (3, V) from a point and (3, 1) from afar, weakening (V,), and RGB (3,)."""

    towards: Unit
    falloff: np.ndarray | None
    intensity: np.ndarray
    from_point: bool


class Gloss(NamedTuple):
    """The highlight (V,) = facing^shininess, facing (V,) = max(n . h, 0), and h half-way between light and eye."""

    highlight: np.ndarray
    facing: np.ndarray
    half: Unit


class Reflection(NamedTuple):
    """The diffuse part E (V,) = falloff * cosine, the soft cosine and its slope (V,), and the gloss, if any, of E."""

    diffuse: np.ndarray
    cosine: np.ndarray
    slope: np.ndarray
    gloss: Gloss | None


class BeamGradients(NamedTuple):
    """Gradients by way of one beam, of the surface's normals and offsets to light and eye, and of the shininess."""

    normals: np.ndarray  # (3, V)
    to_light: np.ndarray  # (3, V)
    to_eye: np.ndarray | float  # (3, V)
    shininess: float


def beams(points: np.ndarray, lights: Lights) -> Iterator[Beam]:
    """Yield the beams of the directional lights, and then of the point lights, on points (3, V)."""
    if lights.directional is not None:
        for direction, intensity in zip(lights.directional.directions, lights.directional.intensities, strict=True):
            yield Beam(unit(direction[:, None]), None, intensity, False)
    if lights.points is not None:
        squared = lights.points.falloff == "inverse-square"
        for position, intensity in zip(lights.points.positions, lights.points.intensities, strict=True):
            towards = unit(position[:, None] - points)
            yield Beam(towards, towards.inverse**2 if squared else None, intensity, True)


def reflect(surface: Surface, beam: Beam, lights: Lights) -> Reflection:
    """Return what a surface makes of a beam of intensity 1. The cosine is soft as `Light`'s: (x + sqrt(x^2 + s^2)) / 2."""
    x = dot(surface.normals.vectors, beam.towards.vectors)
    root = np.sqrt(x * x + lights.softness * lights.softness)
    cosine = 0.5 * (x + root)
    slope = 0.5 + 0.5 * x / np.where(root > 0, root, 1)
    diffuse = cosine if beam.falloff is None else beam.falloff * cosine
    if surface.views is None or lights.specular is None:
        return Reflection(diffuse, cosine, slope, None)
    half = unit(beam.towards.vectors + surface.views.vectors)
    facing = np.maximum(dot(surface.normals.vectors, half.vectors), 0)
    return Reflection(diffuse, cosine, slope, Gloss(facing**lights.specular.shininess, facing, half))


def reflect_backward(
    surface: Surface,
    beam: Beam,
    lights: Lights,
    reflection: Reflection,
    grad_diffuse: np.ndarray,
    grad_highlight: np.ndarray | None,
) -> BeamGradients:
    """Carry the gradients (V,) of a reflection's diffuse part and highlight back."""
    normals = surface.normals.vectors
    _, cosine, slope, gloss = reflection
    grad_dot = grad_diffuse * slope if beam.falloff is None else grad_diffuse * beam.falloff * slope
    grad_normals = grad_dot * beam.towards.vectors
    grad_towards = grad_dot * normals
    grad_to_eye: np.ndarray | float = 0.0
    grad_shininess = 0.0
    if gloss is not None and surface.views is not None and lights.specular is not None and grad_highlight is not None:
        positive = np.where(gloss.facing > 0, gloss.facing, 1)  # where it is 0, so is the highlight
        through = grad_highlight * gloss.highlight
        grad_facing = through * lights.specular.shininess / positive
        grad_shininess = float((through * np.log(positive)).sum())
        grad_normals += grad_facing * gloss.half.vectors
        grad_sum = unit_backward(gloss.half, grad_facing * normals)  # light and eye have the same part in it
        grad_towards += grad_sum
        grad_to_eye = unit_backward(surface.views, grad_sum)
    grad_to_light = unit_backward(beam.towards, grad_towards)
    if beam.falloff is not None:  # 1 / r^2 falls by 2 / r^3 along the beam
        grad_to_light -= 2 * grad_diffuse * cosine * beam.falloff * beam.towards.inverse * beam.towards.vectors
    return BeamGradients(grad_normals, grad_to_light, grad_to_eye, grad_shininess)


def reflect_jvp(
    surface: Surface,
    beam: Beam,
    lights: Lights,
    reflection: Reflection,
    normals: np.ndarray,
    to_light: np.ndarray,
    to_eye: np.ndarray,
    shininess: float,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return how a reflection's diffuse part and highlight (V,) change as the normals, the offsets to light and eye (3, V) and
    the shininess do."""
    towards = unit_backward(beam.towards, to_light)
    cosine = reflection.slope * (dot(normals, beam.towards.vectors) + dot(surface.normals.vectors, towards))
    diffuse = cosine
    if beam.falloff is not None:
        shrinking = 2 * beam.towards.inverse * dot(beam.towards.vectors, to_light)
        diffuse = beam.falloff * (cosine - shrinking * reflection.cosine)
    gloss = reflection.gloss
    if gloss is None or surface.views is None or lights.specular is None:
        return diffuse, None
    half = unit_backward(gloss.half, towards + unit_backward(surface.views, to_eye))
    facing = dot(normals, gloss.half.vectors) + dot(surface.normals.vectors, half)
    positive = np.where(gloss.facing > 0, gloss.facing, 1)
    change = lights.specular.shininess / positive * facing + shininess * np.log(positive)
    return diffuse, gloss.highlight * change


def unit(vectors: np.ndarray) -> Unit:
    """Scale vectors (3, V) to length 1; those without a length become 0."""
    lengths = np.sqrt(dot(vectors, vectors))
    inverse = np.where(lengths > 0, 1 / np.where(lengths > 0, lengths, 1), 0)
    return Unit(vectors * inverse, inverse)


def unit_backward(scaled: Unit, grad: np.ndarray) -> np.ndarray:
    """Carry grad (3, V) back, or a change forward: the projection off the vector, over its length, is its own transpose."""
    return (grad - dot(grad, scaled.vectors) * scaled.vectors) * scaled.inverse


def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the products (V,) of vectors (3, V), by hand: BLAS may add up in another order on other threads."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
