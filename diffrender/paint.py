"""Colours from photos to vertices."""

import numpy as np

from .camera import project
from .color import linear_to_srgb, srgb_to_linear
from .mesh import Mesh
from .rasterize import rasterize_soft
from .topology import uniform_laplacian
from .views.view import View

_EDGE = 2  # px that a mask may be off by, and the lens may blur
_ENOUGH = 0.02  # px: a vertex with less of all photos has no colour of its own
_PULL = 1e-6
_SEEN = 0.3  # of the median weight: a vertex with less has next to no pixel of its own


def visibility(mesh: Mesh, views: list[View], gamma: float) -> np.ndarray:
    """Return how well the views see each vertex (V,), from 0, hidden, to 1: its weight on the pixels inside the masks.

    That weight is the gradient of a render for its attribute, with every pixel counting 1.
    """
    seen = np.zeros(len(mesh.vertices))
    for view in views:
        vertices_pixel = project(mesh.vertices, view.camera)
        depth = vertices_pixel[:, 2]
        raster = rasterize_soft(
            vertices_pixel,
            mesh.faces,
            view.camera.size,
            sigma=0.1,
            attributes=np.ones((len(vertices_pixel), 1)),
            gamma=gamma,
            near=float(depth.min()),
            far=float(depth.max()) + 1e-6,
        )
        inside = _core(view.mask).astype(vertices_pixel.dtype)[..., None]
        weights = raster.backward(grad_color=inside).attributes
        assert weights is not None
        seen += weights[:, 0]
    visible = seen[seen > 1e-3]
    return np.clip(seen / (_SEEN * np.median(visible)), 0, 1) if len(visible) else seen


def blend(mesh: Mesh, views: list[View]) -> np.ndarray:
    """Return linear colours (V, 3) blended from the views; vertices hidden in all of them get those of their neighbours.

    A vertex's weight on a pixel is that of the renderer, so that views count by visibility and by the area that they see:
    the colours are the gradient of a render for its attributes, with the photo for the cotangent. They are mixed as sRGB.
    """
    sums, weights = np.zeros((2, *mesh.vertices.shape))
    for view in views:
        pixel = project(mesh.vertices, view.camera)
        near, far = float(pixel[:, 2].min()), float(pixel[:, 2].max())
        raster = rasterize_soft(
            pixel,
            mesh.faces,
            view.camera.size,
            sigma=0.1,
            attributes=np.ones_like(mesh.vertices),
            gamma=1e-3,
            near=near,
            far=far + 1e-6,
        )
        core = np.repeat(_core(view.mask)[..., None], 3, axis=2).astype(pixel.dtype)
        for total, cotangent in ((sums, linear_to_srgb(view.image) * core), (weights, core)):
            part = raster.backward(grad_color=cotangent.astype(pixel.dtype)).attributes
            assert part is not None
            total += part
    seen = weights[:, 0] > _ENOUGH
    colors = _spread(np.where(seen[:, None], sums / np.maximum(weights, 1e-9), 0.5), seen, mesh.faces)
    return srgb_to_linear(np.clip(colors, 0, 1).astype(mesh.vertices.dtype))


def _spread(colors: np.ndarray, known: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return colours (V, 3) whose unknown ones are the mean of their neighbours, or of all where nothing near is known."""
    from scipy.sparse import identity
    from scipy.sparse.linalg import spsolve

    if known.all() or not known.any():
        return colors
    hidden = np.flatnonzero(~known)
    laplacian = uniform_laplacian(faces, len(colors)).tocsr()[hidden]
    mean = colors[known].mean(axis=0)
    # The mean has next to no weight, but makes the system regular where a part of the mesh is hidden as a whole.
    matrix = laplacian[:, hidden] + _PULL * identity(len(hidden))
    right = _PULL * mean - laplacian[:, np.flatnonzero(known)] @ colors[known]
    colors = colors.copy()
    colors[hidden] = spsolve(matrix.tocsc(), right).reshape(-1, 3)
    return colors


def _core(mask: np.ndarray) -> np.ndarray:
    """Return the pixels well inside a mask: those at its edge are mixed with what is behind the object."""
    from scipy.ndimage import binary_erosion

    inside = mask > 0.5
    core = binary_erosion(inside, iterations=_EDGE)
    return core if core.any() else inside


def paint(mesh: Mesh, views: list[View]) -> np.ndarray:
    """Return colours (V, 3) of the views at the vertices' places, whether they are in front or behind.

    Outside a mask the colour of its nearest pixel counts; of several views, the one that a vertex faces most.
    """
    from scipy.ndimage import distance_transform_edt, map_coordinates

    from .shading import vertex_normals

    normals, _ = vertex_normals(mesh.vertices, mesh.faces)
    best = np.full(len(mesh.vertices), -np.inf)
    colors = np.zeros_like(mesh.vertices)
    for view in views:
        nearest = distance_transform_edt(~_core(view.mask), return_distances=False, return_indices=True)
        filled = view.image[nearest[0], nearest[1]]
        pixel = project(mesh.vertices, view.camera)
        coordinates = [pixel[:, 1] - 0.5, pixel[:, 0] - 0.5]
        sampled = np.stack(
            [map_coordinates(filled[..., channel], coordinates, order=1, mode="nearest") for channel in range(3)],
            axis=1,
        )
        towards = view.camera.center - mesh.vertices
        facing = np.abs((normals * towards).sum(axis=1)) / np.linalg.norm(towards, axis=1)
        better = (facing > best) & (pixel[:, 2] > 0)
        colors[better] = sampled[better]
        best[better] = facing[better]
    return np.clip(colors, 0, 1)
