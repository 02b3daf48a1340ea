"""How far the only view's object reaches along its rays: as round as its silhouette, which is all that one view says."""

import numpy as np

from .camera import project
from .shading import vertex_normals
from .placement import object_depth
from .thickness import squared_half_thickness
from .views.view import View

_GRID = 256  # px of the long side that thickness is solved on: it is smooth


class RoundDepth:
    """Pulls a mesh's vertices along the rays of a view to where a round body with its mask would have its surface."""

    def __init__(self, view: View, thickness: float):
        small = view.limited(_GRID)
        squared = squared_half_thickness(small.mask) * thickness**2
        self._camera = small.camera
        self._half = np.sqrt(np.maximum(squared, 0))  # px
        self._middle = object_depth(small.camera)

    def pull(self, vertices: np.ndarray, faces: np.ndarray, least: float) -> np.ndarray:
        """Return the steps (V, 3), along the rays of vertices (V, 3), to the surface of the side that each faces.

        They shrink with the square of the cosine between ray and normal: at the rim, it is the silhouette that decides.
        """
        from scipy.ndimage import map_coordinates

        camera = self._camera
        x, y, depth = project(vertices, camera).T
        half = map_coordinates(self._half, [y - 0.5, x - 0.5], order=1, mode="nearest") * self._middle / camera.focal
        half = np.maximum(half, least)
        rays = vertices - camera.center
        cosine = (vertex_normals(vertices, faces)[0] * rays).sum(axis=1) / np.linalg.norm(rays, axis=1)
        side = np.sign(cosine)
        offset = depth - self._middle
        # What is deep inside the other side is a fold: pulled through the body, it would grow.
        agrees = np.clip(1 + 2 * side * offset / half, 0, 1)
        step = agrees * np.abs(cosine) * (side * half - offset)
        return (step / depth)[:, None] * rays
