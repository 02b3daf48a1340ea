"""Vertices moved within the surface, towards the middle of what is around them."""

from collections.abc import Sequence

import numpy as np

from .creases import CREASE, FOLD, along_creases, check_crease, crease_edges, sharpness
from .links import Links
from .surface import Remeshed, Surface, enter, leave
from .vectors import TINY, area_vectors, dot, unit

_STEP = 0.8  # of the way to the middle
_TURN = 0.7  # cosine of the angle that a face may turn by


def relax(
    vertices: np.ndarray,
    faces: np.ndarray,
    target_length: float | np.ndarray | None = None,
    carried: Sequence[np.ndarray] = (),
    crease: float = CREASE,
    rounds: int = 1,
) -> Remeshed:
    """Move each vertex in its tangent plane towards the centroid of the faces around it, weighted for the target length.

    Vertices on a crease, where normals differ by more than `crease` degrees, move along it only; its corners stay, and so do
    the boundary of an open mesh and vertices that would turn a face over. Carried arrays (V,) or (V, C)
    get their values at the new places. Raises ValueError as `remesh` does. Botsch & Kobbelt 2004.
    """
    if rounds < 0:
        raise ValueError(f"rounds must be >= 0, got {rounds}")
    check_crease(crease)
    surface, links, form = enter(vertices, faces, target_length, carried, any_length=True)
    for _ in range(rounds):
        surface = relax_vertices(surface, links, crease)
    return leave(surface, form)


def relax_vertices(surface: Surface, links: Links, crease: float) -> Surface:
    """Return the surface with its vertices moved once."""
    points, corners, values = surface
    count = points.shape[1]
    normals = area_vectors(points, corners)
    center = points.take(corners.ravel(), 1).reshape(3, 3, -1).sum(axis=1) / 3
    # The area over the third power of the length: faces whose sides are as long as they should be then balance.
    weight = np.sqrt(dot(normals, normals)) / values[0].take(corners).sum(axis=0) ** 3
    total = _at_corners(weight, corners, count)
    # Movements across the sum of the normals around a vertex do not change the volume.
    normal = unit(np.stack([_at_corners(row, corners, count) for row in normals]))
    middle = np.stack([_at_corners(row, corners, count) for row in weight * center])
    move = np.where(total > 0, middle / np.maximum(total, TINY) - points, 0)
    creases = crease_edges(links, normals, crease)
    if len(creases):
        sharp = sharpness(links, creases)
        line = along_creases(points, links, creases)
        move = np.where(sharp > 0, line * dot(move, line), move - normal * dot(move, normal))
    else:
        move -= normal * dot(move, normal)
    move *= _STEP
    move[:, links.boundary] = 0
    move = _without_folds(points, corners, links, normals, move)
    return Surface(points + move, corners, _moved_values(surface, links, normals, move))


def _at_corners(values: np.ndarray, corners: np.ndarray, count: int) -> np.ndarray:
    """Return the sums (V,) of values (F,) of faces at their corners."""
    first, second, third = (np.bincount(corner, values, count) for corner in corners)
    return first + second + third


def _without_folds(
    points: np.ndarray, corners: np.ndarray, links: Links, normals: np.ndarray, move: np.ndarray
) -> np.ndarray:
    """Return the move (3, V) without that of vertices at faces that it would turn too far or fold over a neighbour."""
    first, second = links.pairs % corners.shape[1]
    size = np.sqrt(dot(normals, normals))
    directions = unit(normals)
    before = dot(directions.take(first, 1), directions.take(second, 1))
    while True:
        now = area_vectors(points + move, corners)
        size_now = np.sqrt(dot(now, now))
        wrong = dot(now, normals) < _TURN * size_now * size
        directions = now / np.maximum(size_now, TINY)
        after = dot(directions.take(first, 1), directions.take(second, 1))
        folded = after < np.minimum(FOLD, before)
        wrong[first[folded]] = wrong[second[folded]] = True
        held = corners[:, wrong]
        if not move.take(held, 1).any():
            return move
        move[:, held] = 0


def _moved_values(surface: Surface, links: Links, normals: np.ndarray, move: np.ndarray) -> np.ndarray:
    """Return the values (C, V) at the places that the vertices move to, linear in the face that each moves into."""
    points, corners, values = surface
    if len(values) == 1 and values.min() == values.max():
        return values
    start = points.take(corners.ravel(), 1).reshape(3, 3, -1)
    along = start[:, [1, 2, 0]] - start
    first, second = along, -along[:, [2, 0, 1]]  # the two edges from each corner
    step = move.take(corners.ravel(), 1).reshape(start.shape)
    aa, ab, bb, sa, sb = dot(first, first), dot(first, second), dot(second, second), dot(step, first), dot(step, second)
    area = np.maximum(dot(normals, normals), TINY)
    share = np.maximum(np.stack([sa * bb - sb * ab, sb * aa - sa * ab]) / area, -1e9)
    # The move lies between the two edges of the face where both of its shares are positive: in the plane, of one.
    between = share.min(axis=0).ravel()
    best = np.full(points.shape[1], -np.inf)
    np.maximum.at(best, links.start, between)
    corner = np.zeros(points.shape[1], np.int64)
    here = np.flatnonzero(between == best[links.start])
    corner[links.start[here]] = here
    share = np.clip(share.reshape(2, -1).take(corner, 1), 0, 1)
    share /= np.maximum(share.sum(axis=0), 1)
    share[:, best == -np.inf] = 0  # of no face
    ends = values.take(links.end[corner], 1), values.take(links.start[links.before(corner)], 1)
    return values + share[0] * (ends[0] - values) + share[1] * (ends[1] - values)
