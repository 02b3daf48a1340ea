"""A start mesh from one photo of a mirror-symmetric object: closed, and symmetric vertex by vertex."""

import numpy as np

from .bridges import bridges
from .inflate import smooth, without_crumbs
from .mesh import Mesh
from .mirror_rays import Cube, mirror_frame
from .polygonize import polygonize
from .symmetry import Plane
from .tomography import symmetric_occupancy
from .views.view import View

_PHOTO = 256  # px of the long side that the solid is found in
_LEVEL = 0.4  # occupancy of the surface: below a half, so that thin limbs stay whole
_BRIDGE = 0.6  # occupancy of what joins loose pieces, or fills a cavity
_FIRST_CELLS = 48  # along the object's longest side, to see how many faces come of it
_MARGIN = 3  # cells
_SMOOTHING = 16  # rounds: the cells of the solid must not be seen


def symmetric_solid(view: View, normal: np.ndarray, faces: int) -> tuple[Mesh, Plane]:
    """Return a closed mesh of about `faces` faces that fills the mask of a photo, and the plane with this normal (3,) that
    mirrors it.

    Raises ValueError if the photo looks along the normal or the plane, or if nothing symmetric is found.
    """
    view = view.limited(_PHOTO)
    frame = mirror_frame(view, normal)
    cube, occupancy = symmetric_occupancy(view, frame)
    if not (occupancy > _LEVEL).any():
        raise ValueError(f"no solid that the plane with normal {np.round(normal, 3).tolist()} mirrors fills the mask")
    _, triangles = _surface(cube, occupancy, _FIRST_CELLS)
    # The number of faces goes with the square of the number of cells.
    points, triangles = _surface(cube, occupancy, round(_FIRST_CELLS * np.sqrt(faces / len(triangles))))
    points = smooth(points, triangles, _SMOOTHING)
    return Mesh(frame.to_world(points).astype(np.float32), triangles), frame.plane


def _surface(cube: Cube, occupancy: np.ndarray, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points (V, 3) as (h, q cos(phi), q sin(phi)) and faces (F, 3) of the solid, on `cells` along its longest side."""
    from scipy.ndimage import map_coordinates

    row, first, second = np.nonzero(occupancy > _LEVEL)
    phi, depth = cube.phi[row], cube.depth[first, second]
    height = depth * (cube.w[first] - cube.w[second]) / 2
    places = np.column_stack([height, depth * np.cos(phi), depth * np.sin(phi)])
    low, high = places.min(axis=0), places.max(axis=0)
    step = float((high - low).max()) / cells
    start = np.array([0, low[1] - _MARGIN * step, low[2] - _MARGIN * step])
    counts = np.ceil((high - start) / step).astype(int) + _MARGIN + 1
    grid = np.meshgrid(*(start[axis] + step * np.arange(counts[axis]) for axis in range(3)), indexing="ij")
    depth, phi = np.hypot(grid[1], grid[2]), np.arctan2(grid[2], grid[1])
    rows, first = cube.cells(phi, (cube.frame.distance + grid[0]) / depth)
    _, second = cube.cells(phi, (cube.frame.distance - grid[0]) / depth)
    values = map_coordinates(occupancy, [rows, first, second], order=1)
    allowed = map_coordinates(cube.inside.astype(float), [rows, first, second], order=1) > _LEVEL
    values = _whole(values, allowed) - _LEVEL
    values[:, [0, -1]] = values[:, :, [0, -1]] = values[-1] = -1
    vertices, triangles = without_crumbs(*_doubled(*_half_surface(values)))
    return start + step * vertices, triangles


def _whole(values: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Return the occupancy (X, Y, Z) of the half x >= 0 without cavities and, as far as what is allowed goes, in one piece
    together with its mirror image."""
    from scipy.ndimage import binary_dilation, binary_fill_holes

    def both(half: np.ndarray) -> np.ndarray:
        return np.concatenate([half[:0:-1], half])

    way = bridges(both(values), _LEVEL, both(allowed))
    way = (way | way[::-1])[len(values) - 1 :]
    full = binary_dilation(way, mask=allowed) | way  # a thread of single cells would not last
    full |= binary_fill_holes(both(values) > _LEVEL)[len(values) - 1 :]
    return np.where(full, np.maximum(values, _BRIDGE), values)


def _half_surface(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the zero surface of values (X, Y, Z) in grid coordinates, open where it meets x = 0, with vertices at 0 there."""
    closed = np.concatenate([np.full_like(values[:1], -1), values])
    vertices, triangles = polygonize(closed)
    vertices = vertices - [1, 0, 0]
    kept = triangles[(vertices[triangles, 0] >= 0).all(axis=1)]  # the lid is below
    used, faces = np.unique(kept, return_inverse=True)
    return vertices[used], faces.reshape(-1, 3).astype(np.int32)


def _doubled(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return an open surface at x >= 0 together with its mirror image in x = 0, sewn along that plane."""
    off = vertices[:, 0] > 0
    partner = np.where(off, len(vertices) + np.cumsum(off) - 1, np.arange(len(vertices))).astype(np.int32)
    return np.concatenate([vertices, vertices[off] * [-1, 1, 1]]), np.concatenate([faces, partner[faces[:, ::-1]]])
