"""How far the only view's object reaches along its rays: as round as its silhouette, which is all that one view says."""

import numpy as np

from .camera import project
from .placement import object_depth
from .shading import vertex_normals
from .thickness import squared_half_thickness
from .views.view import View

_GRID = 256  # px of the long side that thickness is solved on: it is smooth


class RoundDepth:
    """Pulls a mesh's vertices along the rays of a view to where a round body with its mask would have its surface.

    `thickness` scales that body's depth; at 1 a disc becomes a sphere. Raises ValueError unless the camera is a bare pinhole.
    """

    def __init__(self, view: View, thickness: float):
        view.camera.require_pinhole("the depth of a round body")
        small = view.limited(_GRID)
        self._half = thickness * np.sqrt(np.maximum(squared_half_thickness(small.mask), 0))  # px
        self._camera = small.camera
        self._middle = object_depth(small.camera)

    def pull(self, vertices: np.ndarray, faces: np.ndarray, least: float) -> np.ndarray:
        """Return the steps (V, 3), along the rays of vertices (V, 3), to the surface of the side that each faces.

        They shrink with the cosine between ray and normal: at the rim, it is the silhouette that decides. `least` is half of
        the body's least thickness, > 0 and in units of the vertices: a sheet thinner than a mesh's edges folds.
        """
        from scipy.ndimage import map_coordinates

        camera = self._camera
        x, y, depth = project(vertices, camera).T
        half = map_coordinates(self._half, [y - 0.5, x - 0.5], order=1, mode="nearest") * self._middle / camera.focal
        half = np.maximum(half, least)
        rays = vertices - camera.center
        cosine = (vertex_normals(vertices, faces)[0] * rays).sum(axis=1) / np.linalg.norm(rays, axis=1)
        side, offset = np.sign(cosine), depth - self._middle
        # What faces one side and lies deep in the other is a fold: pulled through the body, it would grow.
        agrees = np.clip(1 + 2 * side * offset / half, 0, 1)
        step = agrees * np.abs(cosine) * (side * half - offset)
        return (step / depth)[:, None] * rays
