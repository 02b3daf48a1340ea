"""How good a mesh's triangles are: their shapes, and whether they run through each other."""

from collections.abc import Iterator

import numpy as np

from .checks import check_faces, check_finite

_CHUNK = 50_000  # pairs of faces that are compared at once
_ROUNDING = 1e-14  # of an axis' length times the coordinates: what projections are uncertain by


def aspect_ratios(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return the longest edge over 2 sqrt(3) times the inradius of each face (F,): 1 if equilateral, inf without an area.

    With the longest edge l, the perimeter p and the area A it is l p / (4 sqrt(3) A). Frey & George, Mesh Generation, 2000.
    """
    corners = vertices.astype(np.float64)[faces]
    edges = np.roll(corners, -1, axis=1) - corners
    lengths = np.linalg.norm(edges, axis=2)
    area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1) / 2
    ratios = np.full(len(faces), np.inf)
    return np.divide(lengths.max(axis=1) * lengths.sum(axis=1), 4 * np.sqrt(3) * area, out=ratios, where=area > 0)


def even_edge_length(vertices: np.ndarray, faces: np.ndarray, count: int) -> float:
    """Return the length of the edges that the surface would have, cut into `count` equilateral triangles."""
    corners = vertices[faces].astype(np.float64)
    doubled = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum()
    return float(np.sqrt(2 / np.sqrt(3) * doubled / count))


def self_intersections(vertices: np.ndarray, faces: np.ndarray, corners_too: bool = False) -> np.ndarray:
    """Return the pairs (N, 2) of faces that meet and share no vertex, lower face first, sorted; touching counts.

    With `corners_too`, also those that share one vertex and meet elsewhere. Faces that share an edge are never listed, nor
    faces without an area. Two triangles are apart if an axis across an edge of each, or across a face, separates
    them (Gottschalk, Lin & Manocha, OBBTree, 1996), up to float64's rounding. Raises ValueError for wrong shapes or NaN.
    """
    vertices = np.asarray(vertices)
    if vertices.ndim != 2 or vertices.shape[1] != 3:
        raise ValueError(f"vertices must have shape (V, 3), got {vertices.shape}")
    check_finite("vertices", vertices)
    faces = check_faces(faces, len(vertices))
    triangles = vertices.astype(np.float64)[faces]
    found = [np.empty((0, 2), np.int64)]
    for pairs in _near(triangles):
        # Of each corner of the first face, whether the second has it.
        same = (faces[pairs[:, 0], :, None] == faces[pairs[:, 1], None, :]).any(axis=2)
        shared = same.sum(axis=1)
        apart = pairs[shared == 0]
        found.append(apart[_meet(triangles[apart[:, 0]], triangles[apart[:, 1]])])
        if corners_too:
            joined = pairs[shared == 1]
            first = _from_shared(triangles, faces, joined)
            second = _from_shared(triangles, faces, joined[:, ::-1])
            # If they meet anywhere else, then also on an edge that is opposite the vertex.
            found.append(joined[_meet(first[:, 1:], second) | _meet(second[:, 1:], first)])
    result = np.sort(np.concatenate(found), axis=1)
    return result[np.lexsort(result.T[::-1])]


def _near(triangles: np.ndarray) -> Iterator[np.ndarray]:
    """Yield pairs (N, 2) of triangles (F, 3, 3) whose bounding boxes meet, each once; those without an area are left out."""
    from scipy.spatial import cKDTree

    low, high = triangles.min(axis=1), triangles.max(axis=1)
    center, radius = (low + high) / 2, np.linalg.norm(high - low, axis=1) / 2
    edges = triangles[:, 1:] - triangles[:, :1]
    solid = np.flatnonzero(np.cross(edges[:, 0], edges[:, 1]).any(axis=1))
    if not len(solid):
        return
    # A tree for each size, by powers of 2, so that one large triangle does not make all the small ones neighbours.
    size = np.frexp(radius[solid])[1]
    groups = [(2.0**power, solid[size == power]) for power in np.unique(size)]
    trees = [cKDTree(center[group]) for _, group in groups]
    for large, (reach, group) in enumerate(groups):
        for small in range(large + 1):
            other_reach, other = groups[small]
            distance = (reach + other_reach) * (1 + 1e-9)
            for first in range(0, len(other), 4096):
                part = other[first : first + 4096]
                close = cKDTree(center[part]).sparse_distance_matrix(trees[large], distance, output_type="ndarray")
                pairs = np.stack([part[close["i"]], group[close["j"]]], axis=1)
                if small == large:
                    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
                one, two = pairs.T
                touching = (low[one] <= high[two]).all(axis=1) & (low[two] <= high[one]).all(axis=1)
                pairs = pairs[touching]
                for start in range(0, len(pairs), _CHUNK):
                    yield pairs[start : start + _CHUNK]


def _from_shared(triangles: np.ndarray, faces: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Return the first triangle (N, 3, 3) of each pair, from the vertex on that it shares with the second."""
    same = (faces[pairs[:, 0], :, None] == faces[pairs[:, 1], None, :]).any(axis=2)
    turn = (same.argmax(axis=1)[:, None] + np.arange(3)) % 3
    return np.take_along_axis(triangles[pairs[:, 0]], turn[:, :, None], axis=1)


def _meet(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return whether triangles or segments (N, 3 or 2, 3) meet triangles (N, 3, 3), each pair by itself."""
    meet = np.ones(len(first), bool)
    if not len(first):
        return meet
    # Small numbers round least: measure from where they are.
    origin = second[:, :1]
    first, second = first - origin, second - origin
    edges = [
        first[:, (k + 1) % first.shape[1]] - first[:, k] for k in range(first.shape[1] if first.shape[1] > 2 else 1)
    ]
    others = [second[:, (k + 1) % 3] - second[:, k] for k in range(3)]
    normals = [np.cross(others[0], others[1])]
    if len(edges) > 1:
        normals.append(np.cross(edges[0], edges[1]))
    extent = np.maximum(np.abs(first).max(axis=(1, 2)), np.abs(second).max(axis=(1, 2)))
    axes = [
        *normals,
        *(np.cross(a, b) for a in edges for b in others),
        # In one plane, the edges' own normals separate.
        *(np.cross(normal, edge) for normal in normals for edge in edges + others),
    ]
    left = np.arange(len(first))
    for axis in axes:
        axis = axis[left]
        along, along_other = (np.einsum("ni,nki->nk", axis, points[left]) for points in (first, second))
        gap = np.maximum(along.min(axis=1) - along_other.max(axis=1), along_other.min(axis=1) - along.max(axis=1))
        separated = gap > _ROUNDING * np.linalg.norm(axis, axis=1) * extent[left]
        meet[left[separated]] = False
        left = left[~separated]
        if not len(left):
            break
    return meet
