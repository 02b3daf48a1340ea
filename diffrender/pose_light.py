"""The light that falls on a mesh in a picture, as far as a pose needs it: linear in the normal, of one colour."""

from dataclasses import replace

import numpy as np

from .camera import Camera
from .hard import Hard
from .mesh import Mesh
from .pose_level import Level
from .rendering import render
from .shading import vertex_normals

_TOWARDS_PLAIN = 0.05  # weight of light that is the same from everywhere
_INSIDE = 0.9  # of a pixel, from which on it counts as the object's
_FEWEST = 16  # pixels
_STEEPEST = 0.9  # of the light from everywhere: darker than that a surface that turns away does not become


def relit(mesh: Mesh, camera: Camera, level: Level) -> Mesh:
    """Return the mesh with its colours times 1 + b . n, n being the normal, with the b that brings them nearest to the picture.

    Normalised so that 1 is the brightest, since gains are found elsewhere; as it was, if the picture shows too little of it.
    Spherical harmonics of first order, Ramamoorthi & Hanrahan 2001.
    """
    colors = mesh.vertex_colors
    assert colors is not None
    normals, _ = vertex_normals(mesh.vertices, mesh.faces)
    image = render(mesh, camera, Hard()).image
    turned = (
        render(replace(mesh, vertex_colors=np.clip(normals * 0.5 + 0.5, 0, 1)), camera, Hard()).image[..., :3] * 2 - 1
    )
    inside = (image[..., 3] > _INSIDE) & (level.mask > _INSIDE)
    if inside.sum() < _FEWEST:
        return mesh
    basis = np.column_stack([np.ones(int(inside.sum())), turned[inside]])
    columns = (basis[:, None, :] * image[inside, :3, None]).reshape(-1, 4).astype(np.float64)
    light = _fitted(columns, level.target[inside, :3].ravel().astype(np.float64))
    if light[0] <= 0:
        return mesh
    slope = light[1:] / light[0]
    slope *= min(1.0, _STEEPEST / max(float(np.linalg.norm(slope)), 1e-12))
    lit = colors * (1 + normals @ slope.astype(colors.dtype))[:, None]
    brightest = float(lit.max())
    return mesh if brightest <= 0 else replace(mesh, vertex_colors=np.clip(lit / brightest, 0, 1))


def _fitted(columns: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return coefficients (4,) by least squares, twice: the second time without what is far off."""
    keep = np.ones(len(columns), bool)
    coefficients = np.zeros(4)
    for _ in range(2):
        gram = columns[keep].T @ columns[keep]
        gram += _TOWARDS_PLAIN * (gram[0, 0] + 1e-9) * np.diag([0.0, 1, 1, 1]) + 1e-12 * np.eye(4)
        coefficients = np.linalg.solve(gram, columns[keep].T @ wanted[keep])
        off = np.abs(columns @ coefficients - wanted)
        keep = off <= max(3 * float(np.median(off)), 0.02)
    return coefficients
