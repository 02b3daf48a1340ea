"""Edges that are too long, split in the middle."""

from collections.abc import Sequence

import numpy as np

from .links import Links, connect
from .surface import Remeshed, Surface, enter, leave
from .vectors import dot

LONGEST = 4 / 3  # of the target: an edge split there leaves halves as far below the target as it was above
_PASSES = 32  # each halves what is too long


def split(
    vertices: np.ndarray, faces: np.ndarray, target_length: float | np.ndarray, carried: Sequence[np.ndarray] = ()
) -> Remeshed:
    """Split the edges longer than 4/3 of the target length in the middle, until there are none; the shape stays the same.

    `target_length` is a number or one for each vertex (V,). Carried arrays (V,) or (V, C) get the mean of the two ends. The
    boundary of an open mesh is not split. Raises ValueError as `remesh` does. Botsch & Kobbelt 2004.
    """
    surface, links, form = enter(vertices, faces, target_length, carried)
    return leave(split_edges(surface, links)[0], form)


def split_edges(surface: Surface, links: Links) -> tuple[Surface, Links]:
    """Return the surface, and its links, without edges inside that are longer than 4/3 of the target."""
    for _ in range(_PASSES):
        points, corners, values = surface
        start, end = links.start[links.pairs[0]], links.end[links.pairs[0]]
        along = points.take(end, 1) - points.take(start, 1)
        limit = LONGEST / 2 * (values[0, start] + values[0, end])
        long = np.flatnonzero(dot(along, along) > limit * limit)
        if not len(long):
            break
        start, end = start[long], end[long]
        middle = np.full(len(links.start), -1)
        middle[links.pairs[0, long]] = middle[links.pairs[1, long]] = points.shape[1] + np.arange(len(long))
        points = np.concatenate([points, (points[:, start] + points[:, end]) / 2], axis=1)
        values = np.concatenate([values, (values[:, start] + values[:, end]) / 2], axis=1)
        corners = _divided(points, corners, middle.reshape(3, -1))
        surface, links = Surface(points, corners, values), connect(corners, points.shape[1])
    return surface, links


def _divided(points: np.ndarray, corners: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Return the corners after a division of the faces at the vertices `middle` (3, F) of their edges, -1 for none."""
    is_split = middle >= 0
    count = is_split.sum(axis=0)
    whole, one, two, three = (np.flatnonzero(count == number) for number in range(4))
    pieces = [corners[:, whole]]
    (a, b, c), (ab, _, _) = _from_edge(corners, middle, one, is_split[:, one].argmax(axis=0))
    pieces += [np.stack([a, ab, c]), np.stack([ab, b, c])]
    # With two, the edge from c to a is whole. The corner at b comes off; what is left gets its shorter diagonal.
    (a, b, c), (ab, bc, _) = _from_edge(corners, middle, two, (is_split[:, two].argmin(axis=0) + 1) % 3)
    first, second = points[:, bc] - points[:, a], points[:, ab] - points[:, c]
    from_a = dot(first, first) < dot(second, second)
    pieces += [np.stack([ab, b, bc]), np.stack([a, ab, np.where(from_a, bc, c)])]
    pieces += [np.stack([np.where(from_a, a, ab), bc, c])]
    (a, b, c), (ab, bc, ca) = corners[:, three], middle[:, three]
    pieces += [np.stack([a, ab, ca]), np.stack([ab, b, bc]), np.stack([ca, bc, c]), np.stack([ab, bc, ca])]
    return np.concatenate(pieces, axis=1)


def _from_edge(
    corners: np.ndarray, middle: np.ndarray, faces: np.ndarray, edge: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners and middles (3, N) of faces turned so that `edge` (N,) comes first."""
    turn = (edge + np.arange(3)[:, None]) % 3
    return corners[turn, faces], middle[turn, faces]
