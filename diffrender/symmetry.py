"""Mirror symmetry: a plane, the prior that a mesh is its own mirror image, and the search for the plane."""

import math
from typing import NamedTuple

import numpy as np

from .scatter import add_at

_AROUND = 64  # directions that the search tries besides the principal axes, over half a sphere
_POINTS = 400  # vertices that it tries them on
_REFINED = 3  # of the best of them that it refines
_REFINEMENT_STEPS = 30
_EXACT = 1e-24  # mean squared distance of a mesh that is about 1 wide: below are float64's rounding errors


class Plane(NamedTuple):
    """The points x with n . x = offset, n being `normal` (3,) scaled to length 1; the offset is in the unit of the vertices."""

    normal: np.ndarray
    offset: float

    @staticmethod
    def through(point: np.ndarray, normal: np.ndarray) -> "Plane":
        """Return the plane through a point (3,). Raises ValueError for a normal that is 0 or not finite."""
        unit = _unit(normal)
        return Plane(unit, float(unit @ np.asarray(point, np.float64)))

    def mirror(self, points: np.ndarray) -> np.ndarray:
        """Return the mirror images (N, 3) float64 of points (N, 3)."""
        unit = _unit(self.normal)
        return points - 2 * (points @ unit - self.offset)[:, None] * unit


class MirrorFit(NamedTuple):
    """The best plane found, and the root mean square distance of the mirrored vertices from the mesh, in their unit."""

    plane: Plane
    residual: float


def symmetry(vertices: np.ndarray, faces: np.ndarray, plane: Plane) -> tuple[float, np.ndarray, Plane]:
    """Return the mean squared distance of the mirrored vertices (V, 3) from the mesh itself, and its gradients.

    These are for the vertices (V, 3), in their dtype, and, as a `Plane`, for the plane's normal and offset. Any mesh will do:
    its faces need not be symmetric. Raises ValueError for a mesh without area.
    """
    surface = _Surface(vertices, faces)
    corners, weights = surface.nearest(plane.mirror(vertices.astype(np.float64)))
    # The nearest point is at its best within its face: its moving over the face is of second order, its moving with it is not.
    return _mirrored(vertices, np.arange(len(vertices)), corners, weights, plane)


def paired_symmetry(vertices: np.ndarray, pairs: np.ndarray, plane: Plane) -> tuple[float, np.ndarray, Plane]:
    """Return the mean squared distance of the mirrored vertices from their partners, and its gradients as `symmetry` does.

    `pairs` (V,) are those of `mirror_pairs` of a template: which vertex is the partner of which stays the same.
    """
    return _mirrored(vertices, np.arange(len(vertices)), pairs[:, None], np.ones((len(pairs), 1)), plane)


def mirror_pairs(
    vertices: np.ndarray, faces: np.ndarray, plane: Plane, tolerance: float | None = None
) -> np.ndarray | None:
    """Return for each vertex the index (V,) of its mirror image, or None if the mesh is not symmetric vertex by vertex.

    It is so if each mirrored vertex lies within `tolerance` of another's place, by default 1 % of the mean edge, or its own,
    and the faces (F, 3) become faces of the mesh, the other way round.
    """
    from scipy.spatial import cKDTree

    points = vertices.astype(np.float64)
    if tolerance is None:
        edges = points[faces] - points[np.roll(faces, 1, axis=1)]
        tolerance = 0.01 * float(np.linalg.norm(edges, axis=2).mean())
    distance, pairs = cKDTree(points).query(plane.mirror(points))
    if distance.max() > tolerance or (pairs[pairs] != np.arange(len(pairs))).any():
        return None
    symmetric = (_sorted_faces(pairs[faces[:, ::-1]]) == _sorted_faces(faces)).all()
    return pairs if symmetric else None


def find_plane(vertices: np.ndarray, faces: np.ndarray, start: Plane | None = None) -> MirrorFit:
    """Return the plane that mirrors a mesh onto itself best, and how well it does: compare the residual with the mesh's size.

    Planes through the vertices' centre, across their principal axes and many directions between, are tried on some of
    the vertices; the best of them are refined on these, and then the best one on all. With `start`, only that is refined.
    Of a shape with several planes of symmetry, one is returned. Raises ValueError for a mesh without area.
    """
    points = vertices.astype(np.float64)
    # A unit in which the mesh is about 1 wide: the normal and the offset then weigh about the same.
    center, scale = points.mean(axis=0), float(np.linalg.norm(points.std(axis=0)))
    if not scale > 0:
        raise ValueError(f"the mesh has no area: all of its {len(points)} vertices are at {points[0].tolist()}")
    points = (points - center) / scale
    surface = _Surface(points, faces)
    some = np.arange(0, len(points), max(1, len(points) // _POINTS))
    if start is None:
        candidates = [Plane(normal, 0.0) for normal in np.concatenate([_principal_axes(points), _directions(_AROUND)])]
        candidates.sort(key=lambda plane: _compare(surface, some, plane)[0])
        planes = _apart(candidates)
    else:
        unit = _unit(start.normal)
        planes = [Plane(unit, (start.offset - float(unit @ center)) / scale)]
    everything = np.arange(len(points))
    _, plane = min((_refined(surface, some, plane) for plane in planes), key=lambda found: found[0])
    value, plane = _refined(surface, everything, plane)
    unit = _unit(plane.normal)
    return MirrorFit(Plane(unit, plane.offset * scale + float(unit @ center)), math.sqrt(value) * scale)


class _Surface:
    """The faces that have an area, for searches of the nearest point."""

    def __init__(self, vertices: np.ndarray, faces: np.ndarray):
        corners = vertices.astype(np.float64)[faces]
        solid = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).any(axis=1)
        if not solid.any():
            raise ValueError(f"the mesh has no area: each of its {len(faces)} faces is a line or a point")
        self.vertices, self.faces, self.corners = vertices, faces[solid], corners[solid]

    def nearest(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the corners (N, 3) of the face that is nearest to each point and the weights (N, 3) of the nearest place."""
        from .nearest import nearest_triangles

        _, face = nearest_triangles(points, self.corners)
        return self.faces[face], _barycentric(points, self.corners[face])


def _barycentric(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Return the weights (N, 3) of the points of triangles (N, 3, 3) that are nearest to points (N, 3)."""
    edges = np.roll(corners, -1, axis=1) - corners
    normal = np.cross(edges[:, 0], edges[:, 1])
    offset = points[:, None] - corners
    # Weight k is the area over the edge opposite corner k; outside, the nearest place is on one of the edges.
    inside = np.einsum("ni,nki->nk", normal, np.cross(edges, offset))[:, [1, 2, 0]] / (normal * normal).sum(1)[:, None]
    along = np.clip((offset * edges).sum(axis=2) / (edges * edges).sum(axis=2), 0, 1)
    edge = ((offset - along[..., None] * edges) ** 2).sum(axis=2).argmin(axis=1)
    rows, on_edge = np.arange(len(points)), np.zeros_like(inside)
    on_edge[rows, edge] = 1 - along[rows, edge]
    on_edge[rows, (edge + 1) % 3] = along[rows, edge]
    return np.where((inside >= 0).all(axis=1, keepdims=True), inside, on_edge)


def _mirrored(
    vertices: np.ndarray, sources: np.ndarray, corners: np.ndarray, weights: np.ndarray, plane: Plane
) -> tuple[float, np.ndarray, Plane]:
    """Return the mean of |mirrored source - sum_k weight_k corner_k|^2 and its gradients, the weights (N, K) held fixed."""
    length, unit = float(np.linalg.norm(plane.normal)), _unit(plane.normal)
    points = vertices.astype(np.float64)
    source = points[sources]
    height = source @ unit - plane.offset
    residual = source - 2 * height[:, None] * unit - np.einsum("nk,nki->ni", weights, points[corners])
    step = 2 / len(sources) * residual
    # Mirroring is its own transpose.
    across = step @ unit
    gradient = add_at(sources, step - 2 * across[:, None] * unit, len(points))
    for corner in range(corners.shape[1]):
        gradient -= add_at(corners[:, corner], weights[:, [corner]] * step, len(points))
    grad_unit = -2 * (across @ source + height @ step)
    grad_normal = (grad_unit - (grad_unit @ unit) * unit) / length
    value = float((residual * residual).sum()) / len(sources)
    return value, gradient.astype(vertices.dtype), Plane(grad_normal, 2 * float(across.sum()))


def _compare(surface: _Surface, sources: np.ndarray, plane: Plane) -> tuple[float, Plane]:
    """Return the mean squared distance of some mirrored vertices from the surface, and its gradient for the plane."""
    corners, weights = surface.nearest(plane.mirror(surface.vertices[sources]))
    value, _, grad_plane = _mirrored(surface.vertices, sources, corners, weights, plane)
    return value, grad_plane


def _refined(surface: _Surface, sources: np.ndarray, plane: Plane) -> tuple[float, Plane]:
    """Return the least mean squared distance of some mirrored vertices found from a plane on, and its plane."""
    from .optimize.lbfgs import LBFGS

    def value_and_gradient(parameter: np.ndarray) -> tuple[float, np.ndarray]:
        value, grad = _compare(surface, sources, Plane(parameter[:3], parameter[3]))
        return value, np.append(grad.normal, grad.offset)

    optimizer = LBFGS()
    state = optimizer.init(value_and_gradient, np.append(plane.normal, plane.offset))
    for _ in range(_REFINEMENT_STEPS):
        if state.stopped or state.value < _EXACT:
            break
        state = optimizer.update(value_and_gradient, state)
    return state.value, Plane(state.parameter[:3], float(state.parameter[3]))


def _apart(planes: list[Plane]) -> list[Plane]:
    """Return the first few planes whose normals are not within about 20 degrees of an earlier one's: other valleys."""
    kept: list[Plane] = []
    for plane in planes:
        if all(abs(plane.normal @ other.normal) < 0.94 for other in kept):
            kept.append(plane)
    return kept[:_REFINED]


def _principal_axes(points: np.ndarray) -> np.ndarray:
    """Return the principal axes (3, 3) of points (N, 3) around 0 as rows. A plane of symmetry is across one of them."""
    return np.linalg.eigh(points.T @ points)[1].T


def _directions(count: int) -> np.ndarray:
    """Return unit vectors (N, 3), evenly over half a sphere: a spiral by the golden angle. Fibonacci lattice."""
    number = np.arange(count) + 0.5
    height, angle = number / count, math.pi * (1 + math.sqrt(5)) * number
    radius = np.sqrt(1 - height * height)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1)


def _sorted_faces(faces: np.ndarray) -> np.ndarray:
    """Return faces (F, 3) each from its lowest vertex on, in order: equal for equal surfaces, not for one turned over."""
    first = faces.argmin(axis=1)[:, None]
    turned = np.take_along_axis(faces, (first + np.arange(3)) % 3, axis=1)
    return turned[np.lexsort(turned.T[::-1])]


def _unit(normal: np.ndarray) -> np.ndarray:
    normal = np.asarray(normal, np.float64)
    length = np.linalg.norm(normal)
    if normal.shape != (3,) or not (np.isfinite(length) and length > 0):
        raise ValueError(f"a plane's normal must be three finite numbers that are not all 0, got {normal.tolist()}")
    return normal / length
