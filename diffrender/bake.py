"""Photos baked into a texture."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from .camera import project
from .color import linear_to_srgb, srgb_to_linear
from .mesh import Mesh
from .paint import ENOUGH, blend, opened, sampled, vertex_weights
from .texels import EMPTY, barycentric, check_texture_size, cover, give_small_faces_a_texel
from .texture import Texture
from .unwrap import unwrap
from .views.view import View

_SHARPNESS = 4  # power of a view's weight: of photos that are a little out of register, the mean is a blur
_UNSEEN = 1e-4  # what the colours at the vertices weigh, beside the 1 of the view that sees best
_CHUNK = 1 << 19  # texels worked on at a time


class _Eye(NamedTuple):
    """A view, its image (H, W, 3) as sRGB, and how well it sees the vertices (V,), 1 being the best view of each."""

    view: View
    image: np.ndarray
    weights: np.ndarray


def bake(mesh: Mesh, views: list[View], size: int) -> Mesh:
    """Return the mesh with a texture of `size` x `size` texels blended from the views, and without vertex colours.

    A texel's place on the surface is looked up in each view that sees it; views count as in `paint.blend`, by how much of
    them the surface around it fills, but more steeply. What none sees has the vertices' colours, blended if there are none.
    Texels beside the surface are those nearest on it, so that no filter mixes in what lies between charts. The mesh is
    unwrapped unless it has uv. Raises ValueError for a size that is not from 16 to 8,192 or too small for the mesh, for no
    views, or for uv outside [0, 1].
    """
    check_texture_size(size)
    if not views:
        raise ValueError("bake needs at least one view, got none")
    if mesh.uv is not None and (mesh.uv.min() < 0 or mesh.uv.max() > 1):
        raise ValueError(f"bake needs uv in [0, 1], got {mesh.uv.min():.4g} to {mesh.uv.max():.4g}")
    mesh = replace(mesh, texture=None) if mesh.uv is not None else unwrap(mesh, size)
    assert mesh.uv is not None and mesh.faces_uv is not None
    colors = mesh.vertex_colors if mesh.vertex_colors is not None else blend(mesh, views)
    base = linear_to_srgb(colors)
    eyes = _eyes(mesh, views)
    uv = mesh.uv.astype(np.float64) * size
    owner, _ = cover(uv, mesh.faces_uv, (size, size))
    give_small_faces_a_texel(uv, mesh.faces_uv, owner)
    covered = np.flatnonzero(owner.ravel() != EMPTY)
    image = np.empty((size * size, 3), np.float32)
    for start in range(0, len(covered), _CHUNK):
        chosen = covered[start : start + _CHUNK]
        faces = owner.ravel()[chosen]
        row, column = np.divmod(chosen, size)
        corners = barycentric(uv, mesh.faces_uv[faces], np.stack([column + 0.5, row + 0.5], axis=1)).clip(0)
        corners /= corners.sum(axis=1, keepdims=True)
        image[chosen] = _blended(mesh, eyes, mesh.faces[faces], corners, base)
    texture = Texture(_spread(image.reshape(size, size, 3), owner != EMPTY), "clamp")
    return replace(mesh, vertex_colors=None, texture=texture)


def _eyes(mesh: Mesh, views: list[View]) -> list[_Eye]:
    weights = [vertex_weights(mesh, view)[:, 0] for view in views]
    best = np.max(weights, axis=0)
    best[best <= ENOUGH] = np.inf
    return [_Eye(view, opened(view), weight / best) for view, weight in zip(views, weights, strict=True)]


def _blended(mesh: Mesh, eyes: list[_Eye], vertices: np.ndarray, corners: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Return linear colours (N, 3) at the places that `corners` (N, 3) weigh between `vertices` (N, 3)."""

    def between(values: np.ndarray) -> np.ndarray:
        return np.einsum("nk,nkc->nc", corners, values[vertices].reshape(*vertices.shape, -1))

    points = between(mesh.vertices)
    weights = np.full((len(points), 1), _UNSEEN)
    sums = weights * between(base)
    for eye in eyes:
        weight = between(eye.weights)[:, 0] ** _SHARPNESS
        seen = np.flatnonzero(weight > 0)
        color = sampled(eye.image, project(points[seen], eye.view.camera))
        sums[seen] += weight[seen, None] * color
        weights[seen] += weight[seen, None]
    return srgb_to_linear(np.clip(sums / weights, 0, 1).astype(np.float32))


def _spread(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return an image (H, W, 3) whose texels that are not `known` (H, W) are those nearest that are."""
    from scipy.ndimage import distance_transform_edt

    if not known.any():
        return np.full_like(image, 0.5)
    nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
    return image[tuple(nearest)]
