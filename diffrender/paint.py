"""Colours from photos to vertices."""

import numpy as np

from .camera import project
from .color import linear_to_srgb, srgb_to_linear
from .mesh import Mesh
from .rasterize import Raster, rasterize_soft
from .topology import uniform_laplacian
from .views.view import View

_EDGE = 2  # px that a mask may be off by, and the lens may blur
EDGE_OF_MANY = 1  # where what one photo gets wrong others outvote
ENOUGH = 0.02  # px: a vertex with less of all photos has no colour of its own
_PULL = 1e-6
_SEEN = 0.3  # of the median weight: a vertex with less has next to no pixel of its own


def visibility(mesh: Mesh, views: list[View], gamma: float) -> np.ndarray:
    """Return how well the views see each vertex (V,), from 0, hidden, to 1: its weight on the pixels inside the masks.

    That weight is the gradient of a render for its attribute, with every pixel counting 1.
    """
    seen = np.zeros(len(mesh.vertices))
    for view in views:
        seen += _splat(_raster(mesh, view, gamma), core(view.mask))[:, 0]
    visible = seen[seen > 1e-3]
    return np.clip(seen / (_SEEN * np.median(visible)), 0, 1) if len(visible) else seen


def blend(mesh: Mesh, views: list[View]) -> np.ndarray:
    """Return linear colours (V, 3) blended from the views; vertices hidden in all of them get those of their neighbours.

    A vertex's weight in a view is the renderer's own, so that views count by visibility and by the area that they see: the
    sum of the weights that it has on the pixels, the gradient of a render for its attribute. Colours are mixed as sRGB.
    """
    sums, weights = np.zeros((2, *mesh.vertices.shape))
    for view in views:
        weight = vertex_weights(mesh, view)
        sums += weight * sampled(opened(view), project(mesh.vertices, view.camera))
        weights += weight
    seen = weights[:, 0] > ENOUGH
    colors = _spread(np.where(seen[:, None], sums / np.maximum(weights, 1e-9), 0.5), seen, mesh.faces)
    return srgb_to_linear(np.clip(colors, 0, 1).astype(mesh.vertices.dtype))


def vertex_weights(mesh: Mesh, view: View) -> np.ndarray:
    """Return the sums (V, 3), one three times, of the weights that vertices have on the pixels well inside a view's mask."""
    return _splat(_raster(mesh, view, 1e-3), core(view.mask, EDGE_OF_MANY))


def opened(view: View) -> np.ndarray:
    """Return a view's image (H, W, 3) as sRGB, the object's colours carried on beyond its edge, which is mixed with what is
    behind."""
    return linear_to_srgb(_filled(view, EDGE_OF_MANY))


def sampled(image: np.ndarray, vertices_pixel: np.ndarray) -> np.ndarray:
    """Return the values (V, C) of an image (H, W, C) at vertices (V, 3) in px, linear between the pixels' centres."""
    from scipy.ndimage import map_coordinates

    place = [vertices_pixel[:, 1] - 0.5, vertices_pixel[:, 0] - 0.5]
    return np.stack(
        [map_coordinates(image[..., c], place, order=1, mode="nearest") for c in range(image.shape[2])], axis=1
    )


def _raster(mesh: Mesh, view: View, gamma: float) -> Raster:
    """Draw the mesh with attributes (V, 3) of 1, for their gradients: these are the vertices' weights on the pixels."""
    pixel = project(mesh.vertices, view.camera)
    near, far = float(pixel[:, 2].min()), float(pixel[:, 2].max())
    ones = np.ones_like(mesh.vertices)
    return rasterize_soft(
        pixel, mesh.faces, view.camera.size, sigma=0.1, attributes=ones, gamma=gamma, near=near, far=far + 1e-6
    )


def _splat(raster: Raster, image: np.ndarray) -> np.ndarray:
    """Return the sums (V, 3) of an image (H, W, 3) over the pixels by the weights that the vertices have there."""
    sums = raster.backward(grad_color=image.astype(raster.color.dtype)).attributes
    assert sums is not None
    return sums


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


def _filled(view: View, edge: int = _EDGE) -> np.ndarray:
    """Return the view's image (H, W, 3) with what is outside the mask's core replaced by the nearest pixel of it."""
    from scipy.ndimage import distance_transform_edt

    rows, columns = distance_transform_edt(~core(view.mask, edge)[..., 0], return_distances=False, return_indices=True)
    return view.image[rows, columns]


def core(mask: np.ndarray, edge: int = _EDGE) -> np.ndarray:
    """Return the pixels (H, W, 3) well inside a mask: those at its edge, px, are mixed with what is behind the object."""
    from scipy.ndimage import binary_erosion

    inside = mask > 0.5
    well = binary_erosion(inside, iterations=edge)
    return np.repeat((well if well.any() else inside)[..., None], 3, axis=2)


def paint(mesh: Mesh, views: list[View]) -> np.ndarray:
    """Return colours (V, 3) of the views at the vertices' places, whether they are in front or behind.

    Outside a mask the colour of its nearest pixel counts; of several views, the one that a vertex faces most.
    """
    from .shading import vertex_normals

    normals, _ = vertex_normals(mesh.vertices, mesh.faces)
    best = np.full(len(mesh.vertices), -np.inf)
    colors = np.zeros_like(mesh.vertices)
    for view in views:
        pixel = project(mesh.vertices, view.camera)
        found = sampled(_filled(view), pixel)
        facing = np.abs((normals * view.camera.directions(mesh.vertices.astype(np.float64))).sum(axis=1))
        better = (facing > best) & (pixel[:, 2] > 0)
        colors[better] = found[better]
        best[better] = facing[better]
    return np.clip(colors, 0, 1)
