"""A mesh's surface laid flat in a square: charts that look along one of six axes, packed side by side.

xatlas 0.0.11 was tried instead: on two cores it took 12 s for a sphere of 20,480 faces, and one of 81,920 crashed it.
"""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from .mesh import Mesh
from .texels import check_texture_size, cover
from .topology import adjacent_faces

_AXES = np.concatenate([np.eye(3), -np.eye(3)])
_STEEPEST = 0.2  # cosine between a face and its chart's axis: below, the texels on it would be too long
_SMOOTHINGS, _VOTES, _ABSORPTIONS, _CUTS = 3, 8, 2, 30  # rounds
_VOICE = 0.5  # of a neighbour, beside the cosine
_FEW = 16  # faces: a chart of fewer is given to those around it
_GUTTER = 1 / 512  # of the size, between charts; at least 2 texels
_BISECTIONS = 24


class _Layout(NamedTuple):
    """Where charts lie: the lower corner (C, 2) of each, px, whether it is turned (C,), and the texels per unit of length."""

    corner: np.ndarray
    turned: np.ndarray
    scale: float


def unwrap(mesh: Mesh, size: int) -> Mesh:
    """Return the mesh with uv for a square texture of `size` texels, on which no two faces meet; without a texture.

    Faces that look along the same axis and hang together are one chart, projected along that axis; charts that would cover
    themselves are cut. Raises ValueError for a size that is not from 16 to 8,192, or that is too small for so many charts.
    """
    check_texture_size(size)
    gutter = max(2, round(size * _GUTTER))
    pairs = adjacent_faces(mesh.faces)
    label = _labels(mesh, pairs)
    chart = _pieces(label, pairs, np.zeros(len(label), np.int64))
    for _ in range(_CUTS):
        uv, faces_uv = _flat(mesh, label, chart, size, gutter)
        _, meeting = cover(uv, faces_uv, (size, size))
        if not meeting.any():
            break
        chart = _pieces(label, pairs, _cut(mesh, chart, meeting))
    return replace(mesh, uv=(uv / size).astype(mesh.vertices.dtype), faces_uv=faces_uv, texture=None)


def _labels(mesh: Mesh, pairs: np.ndarray) -> np.ndarray:
    """Return for each face the axis (F,) that its chart looks along: smooth, and never along the face."""
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = _unit(normals)
    smooth = normals
    for _ in range(_SMOOTHINGS):
        around = np.stack([_sums(mesh.faces.ravel(), np.repeat(part, 3), len(mesh.vertices)) for part in smooth.T], 1)
        smooth = _unit(around[mesh.faces].sum(axis=1))
    score = smooth @ _AXES.T
    steep = normals @ _AXES.T < _STEEPEST
    steep[~normals.any(axis=1)] = False  # a face without area has no direction, and may be anywhere
    score[steep] = -np.inf
    label = score.argmax(axis=1)
    for _ in range(_VOTES):
        label = (score + _VOICE * _heard(label, pairs, np.ones(len(label), bool))).argmax(axis=1)
    for _ in range(_ABSORPTIONS):
        piece = _pieces(label, pairs, np.zeros(len(label), np.int64))
        small = np.bincount(piece)[piece] < _FEW
        heard = np.where(steep, -1, _heard(label, pairs, ~small))
        taken = small & (heard.max(axis=1) > 0)
        label = np.where(taken, heard.argmax(axis=1), label)
    return label


def _heard(label: np.ndarray, pairs: np.ndarray, speaking: np.ndarray) -> np.ndarray:
    """Return how many of the faces beside each have which label (F, 6), of those that count."""
    here, there = np.concatenate([pairs, pairs[:, ::-1]]).T
    here, there = here[speaking[there]], there[speaking[there]]
    count = len(_AXES)
    return np.bincount(here * count + label[there], minlength=len(label) * count).reshape(-1, count)


def _pieces(label: np.ndarray, pairs: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Return the number (F,) of the connected piece of one label and part that each face belongs to."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    alike = pairs[(label[pairs[:, 0]] == label[pairs[:, 1]]) & (part[pairs[:, 0]] == part[pairs[:, 1]])]
    graph = coo_matrix((np.ones(len(alike), np.int8), (alike[:, 0], alike[:, 1])), (len(label),) * 2)
    return connected_components(graph, directed=False)[1].astype(np.int64)


def _cut(mesh: Mesh, chart: np.ndarray, meeting: np.ndarray) -> np.ndarray:
    """Return charts (F,) of which those with faces that meet are halved, where they are longest."""
    middles = mesh.vertices[mesh.faces].mean(axis=1)
    parts = chart * 2
    for number in np.unique(chart[meeting]):
        faces = np.flatnonzero(chart == number)
        axis = np.ptp(middles[faces], axis=0).argmax()
        along = middles[faces, axis]
        parts[faces[np.argsort(along, kind="stable")[len(faces) // 2 :]]] += 1
    return parts


def _flat(mesh: Mesh, label: np.ndarray, chart: np.ndarray, size: int, gutter: int) -> tuple[np.ndarray, np.ndarray]:
    """Return uv (T, 2) in px and faces_uv (F, 3) of charts projected along their axes and packed."""
    count = len(mesh.vertices)
    kept, index = np.unique(chart[:, None] * count + mesh.faces, return_inverse=True)
    faces_uv = index.reshape(-1, 3)
    owner, vertex = np.divmod(kept, count)
    axis = np.zeros(int(chart.max()) + 1, np.int64)
    axis[chart] = label
    across, down = np.roll(_AXES, 1, axis=1), np.abs(np.roll(_AXES, 2, axis=1))  # right-handed with the axis
    points = mesh.vertices[vertex].astype(np.float64)
    plane = np.stack([(points * direction[axis[owner]]).sum(axis=1) for direction in (across, down)], axis=1)
    low, high = np.full((2, len(axis), 2), np.inf)
    high *= -1
    np.minimum.at(low, owner, plane)
    np.maximum.at(high, owner, plane)
    layout = _packed(high - low, size, gutter)
    local = (plane - low[owner]) * layout.scale
    turned = np.stack([local[:, 1], (high - low)[owner, 0] * layout.scale - local[:, 0]], axis=1)
    return np.where(layout.turned[owner, None], turned, local) + layout.corner[owner], faces_uv.astype(np.int32)


def _packed(extent: np.ndarray, size: int, gutter: int) -> _Layout:
    """Return charts of these extents (C, 2) in rows of a square, the highest first, as large as they all fit in.

    Raises ValueError if not even their gutters do.
    """
    turned = extent[:, 1] > extent[:, 0]
    flat = np.where(turned[:, None], extent[:, ::-1], extent)
    order = np.argsort(-flat[:, 1], kind="stable")
    low, high = 0.0, size / max(float(extent.max()), 1e-30)
    best = _rows(flat[order], 0.0, size, gutter)
    if best is None:
        raise ValueError(f"a texture of {size} px is too small for {len(extent):,} charts: take a larger one")
    for _ in range(_BISECTIONS):
        scale = (low + high) / 2
        corner = _rows(flat[order], scale, size, gutter)
        if corner is None:
            high = scale
        else:
            low, best = scale, corner
    corner = np.empty_like(best)
    corner[order] = best
    return _Layout(corner, turned, low)


def _rows(extent: np.ndarray, scale: float, size: int, gutter: int) -> np.ndarray | None:
    """Return the corners (C, 2) of boxes laid in rows, in px, or None where they need more than the square."""
    boxes = np.ceil(extent * scale) + gutter
    if boxes.max(initial=0) > size:
        return None
    corner = np.empty_like(boxes)
    x = y = height = 0.0
    for number, (wide, high) in enumerate(boxes.tolist()):
        if x + wide > size:
            x, y, height = 0.0, y + height, 0.0
        if y + high > size:
            return None
        corner[number] = x, y
        x, height = x + wide, max(height, high)
    return corner + gutter / 2


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)


def _sums(index: np.ndarray, values: np.ndarray, count: int) -> Any:
    return np.bincount(index, values, count)
