"""The mesh that the operations work on, the checks at the door, and the way back."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..checks import check_faces, check_finite
from .links import Links, connect, split_vertex
from .vectors import area_vectors, dot

_MOST_FACES = 20_000_000  # that a target length may ask for
_COARSEST = 0.25  # of the bounding box's diagonal: longer edges could not follow the shape


class Remeshed(NamedTuple):
    """Vertices (V, 3), faces (F, 3) int32, and the carried arrays, (V,) or (V, C), in the order and dtypes they came in."""

    vertices: np.ndarray
    faces: np.ndarray
    carried: tuple[np.ndarray, ...]


class Surface(NamedTuple):
    """Points (3, V) float64, corners (3, F) int64 of the faces, and values (C, V) that go with the points.

    The first row of values is the target length.
    """

    points: np.ndarray
    corners: np.ndarray
    values: np.ndarray


class Form(NamedTuple):
    """How the arrays came in, to give them back alike."""

    dtype: np.dtype
    carried: tuple[tuple[tuple[int, ...], np.dtype], ...]


def enter(
    vertices: np.ndarray,
    faces: np.ndarray,
    target_length: float | np.ndarray | None,
    carried: Sequence[np.ndarray] = (),
    any_length: bool = False,
) -> tuple[Surface, Links, Form]:
    """Return the mesh as the operations take it, its links, and the form it came in.

    With `any_length`, the target length may be None and is then 1, where only its differences count.

    Raises ValueError, which shows the value, for wrong shapes, NaN or infinity, a target that is not positive or would make
    millions of faces, and for a mesh that is not an oriented manifold; it may have a boundary.
    """
    vertices = np.asarray(vertices)
    if vertices.ndim != 2 or vertices.shape[1] != 3:
        raise ValueError(f"vertices must have shape (V, 3), got {vertices.shape}")
    dtype = np.dtype(np.float32 if vertices.dtype == np.float32 else np.float64)
    points = np.array(vertices.T, np.float64, order="C")  # a copy in any case
    check_finite("vertices", vertices)
    faces = check_faces(faces, len(vertices))
    if not len(faces):
        raise ValueError(f"the mesh is empty: {len(vertices)} vertices and 0 faces")
    corners = np.ascontiguousarray(faces.T, np.int64)
    twice = (corners[0] == corners[1]) | (corners[1] == corners[2]) | (corners[2] == corners[0])
    if twice.any():
        face = int(twice.argmax())
        raise ValueError(f"face {face} refers to a vertex twice: {faces[face].tolist()}")
    links = connect(corners, len(vertices))
    if (wrong := split_vertex(links)) is not None:
        raise ValueError(f"the mesh is not a manifold: vertex {wrong} joins parts of the surface that meet only there")
    values = _values(carried, len(vertices))
    target = np.ones(len(vertices))
    if not (any_length and target_length is None):
        target = _target(target_length, points, corners, links)
    form = Form(dtype, tuple((np.shape(array)[1:], np.asarray(array).dtype) for array in carried))
    return Surface(points, corners, np.concatenate([target[None], *values])), links, form


def leave(surface: Surface, form: Form) -> Remeshed:
    """Return the mesh in the form it came in."""
    carried, row = [], 1
    for shape, dtype in form.carried:
        rows = int(np.prod(shape))
        array = surface.values[row : row + rows].T.reshape(-1, *shape)
        carried.append(np.ascontiguousarray(array, dtype))
        row += rows
    return Remeshed(
        np.ascontiguousarray(surface.points.T, form.dtype),
        np.ascontiguousarray(surface.corners.T, np.int32),
        tuple(carried),
    )


def _values(carried: Sequence[np.ndarray], vertices: int) -> list[np.ndarray]:
    values = []
    for number, array in enumerate(carried):
        array, name = np.asarray(array), f"carried[{number}]"
        if array.ndim not in (1, 2) or len(array) != vertices:
            raise ValueError(f"{name} must have shape (V,) or (V, C) with V = {vertices}, got {array.shape}")
        if array.dtype.kind != "f":
            raise ValueError(f"{name} must be floating-point numbers, which can be averaged, got {array.dtype}")
        check_finite(name, array)
        values.append(array.reshape(vertices, int(np.prod(array.shape[1:]))).T.astype(np.float64))
    return values


def _target(
    target_length: float | np.ndarray | None, points: np.ndarray, corners: np.ndarray, links: Links
) -> np.ndarray:
    target = np.asarray(target_length, np.float64)
    vertices = points.shape[1]
    if target.shape not in ((), (vertices,)):
        raise ValueError(f"target_length must be a number or have shape (V,) with V = {vertices}, got {target.shape}")
    wrong = ~(np.isfinite(target) & (target > 0))
    if wrong.any():
        where = f" at vertex {wrong.argmax()}" if target.ndim else ""
        raise ValueError(f"target_length must be positive and finite, got {target.flat[wrong.argmax()]}{where}")
    used = points[:, links.valence > 0]
    extent = float(np.linalg.norm(used.max(axis=1) - used.min(axis=1)))
    if not extent > 0:
        raise ValueError(f"the mesh has no size: all of its vertices are at {points[:, links.start[0]].tolist()}")
    target = np.minimum(np.broadcast_to(target, vertices), _COARSEST * extent)
    normals = area_vectors(points, corners)
    lengths = (target.take(corners[0]) + target.take(corners[1]) + target.take(corners[2])) / 3
    # An equilateral triangle has sqrt(3) / 4 of its squared edge.
    expected = float((np.sqrt(dot(normals, normals) * 4 / 3) / lengths**2).sum())
    if expected > _MOST_FACES:
        raise ValueError(
            f"target_length {target.min():.3g} would make about {expected:.2g} faces of a mesh {extent:.3g} wide"
        )
    open_ = np.flatnonzero(links.twin < 0)
    if len(open_):
        # The boundary stays as it is: its neighbours cannot be finer than it is, or they would be split for ever.
        start, end = links.start[open_], links.end[open_]
        along = points[:, end] - points[:, start]
        length = np.sqrt(dot(along, along))
        np.maximum.at(target, start, length)
        np.maximum.at(target, end, length)
    return target
