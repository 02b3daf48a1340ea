"""A start mesh from many masks: the visual hull, all that no photo contradicts."""

from typing import NamedTuple

import numpy as np

from .camera import Camera, project
from .inflate import smooth, without_crumbs
from .mesh import Mesh
from .placement import bounding_sphere
from .polygonize import polygonize
from .quality import even_edge_length
from .remesh import remesh
from .views.view import View

_MAP_SIDE = 512  # px of the long side of the distance maps: distances are smooth, and sampled between pixels
_COARSE = 4  # steps of the fine grid in one of the coarse grid, which finds out where the surface is
_MARGIN = 2  # coarse cells around the object, so that the border of the grid is outside
_CELLS_PER_ROOT_FACE = 0.5  # twice as many faces as asked for, on a slim object: the evened mesh takes its pick
_SLACK = 0.4  # px that a mask may be too small by: thin limbs must not be cut by one photo's rounding


class _Outline(NamedTuple):
    """A view's signed distances (H, W) in px from its mask's edge, positive inside, and, where the photo cuts the object
    off, the width in px of the border in and beyond which nothing is known; else None."""

    camera: Camera
    distance: np.ndarray
    unknown: float | None


def visual_hull(views: list[View], cells: int = 160) -> Mesh:
    """Return the closed surface of the points that lie in the masks of all views, on a grid of `cells` along its long side.

    Raises ValueError if the masks have no point in common or a camera is no bare pinhole. Laurentini, The visual
    hull concept for silhouette-based image understanding, 1994.
    """
    if len(views) < 2:
        raise ValueError(f"a visual hull needs at least two views, got {len(views)}")
    outlines = [_outline(view.limited(_MAP_SIDE)) for view in views]
    center, radius = bounding_sphere(views)
    low, high = center - radius, center + radius
    for count in (48, 64):  # the first finds the box that the second fills
        axes, values = _sampled(outlines, low, high, (high - low).max() / count)
        inside = np.argwhere(values > 0)
        if not len(inside):
            raise ValueError(
                f"the masks of the {len(outlines)} views have no point in common within {radius:.3g} of {center.round(3)}: "
                "check the masks and the cameras"
            )
        step = axes[0][1] - axes[0][0]
        low, high = (
            np.array([axes[axis][inside[:, axis].min()] - step for axis in range(3)]),
            np.array([axes[axis][inside[:, axis].max()] + step for axis in range(3)]),
        )
    step = (high - low).max() / cells
    axes, values = _refined(outlines, low - _MARGIN * step, high + _MARGIN * step, step)
    for axis in range(3):
        np.moveaxis(values, axis, 0)[[0, -1]] = -step
    vertices, faces = without_crumbs(*polygonize(values))
    vertices = smooth(vertices, faces, iterations=4)
    world = np.array([axis[0] for axis in axes]) + vertices * step
    return Mesh(world.astype(np.float32), faces)


def hull_mesh(views: list[View], faces: int) -> Mesh:
    """Return the visual hull as a mesh of about `faces` nearly equilateral faces, fine enough to keep thin limbs."""
    hull = visual_hull(views, int(np.clip(_CELLS_PER_ROOT_FACE * np.sqrt(faces), 48, 256)))
    length = even_edge_length(hull.vertices, hull.faces, faces)
    even = remesh(hull.vertices.astype(np.float64), hull.faces, length, rounds=4)
    return Mesh(even.vertices.astype(np.float32), even.faces)


def _outline(view: View) -> _Outline:
    from scipy.ndimage import distance_transform_edt

    inside = view.mask > 0.5
    # From the edge between two pixels, half a pixel from either's centre; at the edge itself the mask says more.
    distance = np.where(inside, distance_transform_edt(inside) - 0.5, 0.5 - distance_transform_edt(~inside))
    edge = np.abs(distance) < 1
    distance[edge] = np.where(np.abs(view.mask[edge] - 0.5) < 0.5, view.mask[edge] - 0.5, distance[edge])
    border = view.cut_off_border()
    return _Outline(view.camera, distance.astype(np.float32), border or None)


def _depth_in_hull(outlines: list[_Outline], points: np.ndarray) -> np.ndarray:
    """Return how far points (N, 3) lie inside the hull (N,), in units of the world, negative outside."""
    from scipy.ndimage import map_coordinates

    least = np.full(len(points), np.inf)
    for camera, distance, border in outlines:
        pixel = project(points, camera)
        sampled = map_coordinates(distance, [pixel[:, 1] - 0.5, pixel[:, 0] - 0.5], order=1, mode="nearest") + _SLACK
        unknown = pixel[:, 2] <= 0
        if border is not None:
            inner = np.abs(pixel[:, :2] - np.array(camera.size[::-1]) / 2) < np.array(camera.size[::-1]) / 2 - border
            unknown |= ~inner.all(axis=1)
        np.minimum(least, np.where(unknown, np.inf, sampled * pixel[:, 2] / camera.focal), out=least)
    return np.where(np.isinf(least), -1.0, least)  # what no view sees is not there


def _sampled(outlines: list[_Outline], low: np.ndarray, high: np.ndarray, step: float):  # type: ignore[no-untyped-def]
    """Return the axes (X,), (Y,), (Z,) of a grid and its values (X, Y, Z)."""
    axes = [np.arange(low[axis], high[axis] + step, step) for axis in range(3)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    return axes, _depth_in_hull(outlines, points.reshape(-1, 3)).reshape(points.shape[:3])


def _refined(outlines: list[_Outline], low: np.ndarray, high: np.ndarray, step: float):  # type: ignore[no-untyped-def]
    """As `_sampled`, but values away from the surface are those of a coarser grid: only their sign counts."""
    from scipy.ndimage import map_coordinates

    coarse_axes, coarse = _sampled(outlines, low, high, step * _COARSE)
    axes = [low[axis] + step * np.arange(_COARSE * (len(coarse_axes[axis]) - 1) + 1) for axis in range(3)]
    places = np.meshgrid(*[np.arange(len(axis)) / _COARSE for axis in axes], indexing="ij")
    fine = map_coordinates(coarse, places, order=1)
    # A distance changes by no more than the way between two points: what is this far in or out stays there.
    near = np.abs(fine) < _COARSE * step * np.sqrt(3)
    fine[near] = _depth_in_hull(outlines, low + np.argwhere(near) * step)
    return axes, fine
