"""The light that falls on a mesh in a picture, as far as a pose needs it: from all around, of one colour."""

from dataclasses import replace

import numpy as np

from .camera import Camera
from .hard import Hard
from .harmonics import sh_basis
from .mesh import Mesh
from .pose_level import Level
from .rendering import render
from .shading import vertex_normals

_TOWARDS_PLAIN = 0.02  # weight of light that is the same from everywhere
_INSIDE = 0.9  # of a pixel, from which on it counts as the object's
_FEWEST = 16  # pixels
_HELD = np.diag([0.0, *[1.0] * 3, *[4.0] * 5])  # by band


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
    normal = turned[inside] / np.maximum(np.linalg.norm(turned[inside], axis=1, keepdims=True), 1e-6)
    columns = (sh_basis(normal)[:, None, :] * image[inside, :3, None]).reshape(-1, 9)
    light = _fitted(columns, level.target[inside, :3].ravel().astype(np.float64))
    shading = np.maximum(sh_basis(normals) @ light, 0)
    lit = colors * shading[:, None].astype(colors.dtype)
    brightest = float(lit.max())
    return mesh if brightest <= 0 else replace(mesh, vertex_colors=np.clip(lit / brightest, 0, 1))


def _fitted(columns: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return coefficients (9,) by least squares, twice: the second time without what is far off."""
    keep = np.ones(len(columns), bool)
    coefficients = np.zeros(9)
    for _ in range(2):
        gram = columns[keep].T @ columns[keep]
        gram += _TOWARDS_PLAIN * (gram[0, 0] + 1e-9) * _HELD + 1e-12 * np.eye(9)
        coefficients = np.linalg.solve(gram, columns[keep].T @ wanted[keep])
        off = np.abs(columns @ coefficients - wanted)
        keep = off <= max(3 * float(np.median(off)), 0.02)
    return coefficients
