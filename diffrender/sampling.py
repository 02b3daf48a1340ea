"""Textures looked up at single places, and as the colours of a mesh's vertices."""

from dataclasses import replace

import numpy as np

from .mesh import Mesh
from .texture import Texture


def sample(texture: Texture, uv: np.ndarray) -> np.ndarray:
    """Return the linear RGB (N, 3) of a texture at uv (N, 2), linear between the centres of its texels, at full size."""
    height, width = texture.image.shape[:2]
    x, y = uv[:, 0].astype(np.float64) * width - 0.5, uv[:, 1].astype(np.float64) * height - 0.5
    left, top = np.floor(x), np.floor(y)
    across, down = ((place - low)[:, None].astype(uv.dtype) for place, low in ((x, left), (y, top)))

    def texel(row: np.ndarray, column: np.ndarray) -> np.ndarray:
        return texture.image[_inside(row, height, texture.wrap), _inside(column, width, texture.wrap)]

    upper = texel(top, left) * (1 - across) + texel(top, left + 1) * across
    lower = texel(top + 1, left) * (1 - across) + texel(top + 1, left + 1) * across
    return upper * (1 - down) + lower * down


def with_vertex_colors(mesh: Mesh) -> Mesh:
    """Return the mesh with the colours that its texture has at the vertices, times those they had, and without the texture.

    A vertex on a seam gets the mean of what it has in the texture. A mesh without a texture comes back as it is.
    """
    if mesh.texture is None:
        return mesh
    assert mesh.uv is not None and mesh.faces_uv is not None
    corners = sample(mesh.texture, mesh.uv)[mesh.faces_uv]
    colors = vertex_means(corners, mesh.faces, len(mesh.vertices))
    if mesh.vertex_colors is not None:
        colors *= mesh.vertex_colors
    return replace(mesh, vertex_colors=np.clip(colors, 0, 1).astype(mesh.vertices.dtype), texture=None)


def vertex_means(corners: np.ndarray, faces: np.ndarray, count: int) -> np.ndarray:
    """Return for each of `count` vertices the mean (V, C) of the values (F, 3, C) that the corners of faces have there.

    Vertices of no face get 1, white.
    """
    vertex = faces.ravel()
    number = np.bincount(vertex, minlength=count)
    values = corners.reshape(len(vertex), -1)
    sums = [np.bincount(vertex, values[:, channel], count) for channel in range(values.shape[1])]
    return np.where(number[:, None] > 0, np.stack(sums, axis=1) / np.maximum(number, 1)[:, None], 1)


def _inside(place: np.ndarray, length: int, wrap: str) -> np.ndarray:
    """Return whole numbers as the indices, below `length`, that stand for them beyond the image's edge."""
    index = place.astype(np.int64)
    return index % length if wrap == "repeat" else np.clip(index, 0, length - 1)
