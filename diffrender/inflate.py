"""A start mesh from a mask: the silhouette blown up like a balloon, holes and all."""

import numpy as np

from .mesh import Mesh
from .placement import object_depth
from .polygonize import polygonize
from .thickness import squared_half_thickness
from .topology import uniform_laplacian
from .views.view import View

_GRID = 256  # px of the long side that thickness is solved on: it is smooth
_FIRST_STEP = 3.0  # px, to see how many faces come of it
_TAUBIN = (0.5, -0.53)  # a shrinking and a growing step: smooths without losing volume


def inflate(view: View, faces: int = 12_000, thickness: float = 0.8) -> Mesh:
    """Return a closed mesh of about `faces` faces whose silhouette in the view is its mask.

    `thickness` scales its depth; at 1 a disc becomes a sphere. Raises ValueError if a side of the mask's object is too
    thin for a mesh of so few faces, or unless the camera is a bare pinhole.
    """
    if not (np.isfinite(thickness) and thickness > 0):
        raise ValueError(f"thickness must be positive, got {thickness}")
    view.camera.require_pinhole("a mask blown up")
    view = view.limited(_GRID)
    mask = view.mask > 0.5
    squared = squared_half_thickness(view.mask) * thickness**2
    grid, triangles = _surface(squared, mask, _FIRST_STEP)
    # The number of faces goes with the inverse square of the step.
    grid, triangles = _surface(squared, mask, _FIRST_STEP * np.sqrt(len(triangles) / faces))
    grid = smooth(grid, triangles)
    camera = view.camera
    if camera.K[1, 1] > 0:
        triangles = triangles[:, ::-1]  # (row, column, depth) is a left-handed frame, unless the camera mirrors
    depth = object_depth(camera)
    distance = depth * (1 + grid[:, 2] / camera.focal)
    # Along the ray of its pixel, so that the silhouette stays that of the mask in perspective.
    rays = np.column_stack([grid[:, 1] + 0.5, grid[:, 0] + 0.5, np.ones(len(grid))]) @ np.linalg.inv(camera.K).T
    world = (rays * distance[:, None] - camera.t) @ camera.R
    return Mesh(world.astype(np.float32), triangles)


def _surface(squared: np.ndarray, mask: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Return vertices (V, 3) as (row, column, depth) in px and faces (F, 3) of depth^2 = squared (H, W)."""
    depth_steps = int(np.ceil(np.sqrt(squared.max()) / step)) + 2
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    y = np.arange(rows[0] - 3 * step, rows[-1] + 3 * step, step)
    x = np.arange(columns[0] - 3 * step, columns[-1] + 3 * step, step)
    z = (np.arange(-depth_steps, depth_steps) + 0.5) * step
    plane = _sample(squared, y, x)
    plane[[0, -1]] = plane[:, [0, -1]] = -1  # a mask that touches the edge of the photo is cut off there
    vertices, triangles = without_crumbs(*polygonize(plane[:, :, None] - z * z))
    return [y[0], x[0], z[0]] + vertices * step, triangles


def without_crumbs(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Drop parts of less than a fiftieth of the largest one: a limb thinner than the grid breaks into them."""
    from scipy.sparse.csgraph import connected_components

    _, part = connected_components(uniform_laplacian(faces, len(vertices)), directed=False)
    sizes = np.bincount(part)
    kept = (sizes >= sizes.max() / 50)[part]
    return vertices[kept], (np.cumsum(kept) - 1)[faces[kept[faces[:, 0]]]].astype(np.int32)


def _sample(image: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    from scipy.ndimage import map_coordinates

    grid = np.meshgrid(y, x, indexing="ij")
    return map_coordinates(image, grid, order=1, mode="nearest")


def smooth(vertices: np.ndarray, faces: np.ndarray, iterations: int = 8) -> np.ndarray:
    """Even out the triangles. Taubin, A Signal Processing Approach to Fair Surface Design, 1995."""
    laplacian = uniform_laplacian(faces, len(vertices))
    degree = laplacian.diagonal()[:, None]
    for _ in range(iterations):
        for share in _TAUBIN:
            vertices = vertices - share * (laplacian @ vertices) / degree
    return vertices
