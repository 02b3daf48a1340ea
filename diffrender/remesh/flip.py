"""Edges turned within the two triangles beside them, where that makes better triangles."""

import math

import numpy as np

from .creases import CREASE, FOLD, check_crease
from .links import Links, edge_keys
from .split import LONGEST
from .surface import Remeshed, Surface, enter, leave
from .vectors import TINY, area_vectors, cross, dot, roundness, unit

_ROUNDS = 3  # of choosing in a pass
_TURN = 0.5  # cosine of the angle between a new face and the two that it is made of
_VALENCE = 0.05  # of a vertex's squared excess of edges, in units of the roundness of a triangle
_NARROW = 0.5  # roundness below which valences do not count
_GAIN = 1e-3  # below, either edge will do


def flip(
    vertices: np.ndarray,
    faces: np.ndarray,
    target_length: float | np.ndarray | None = None,
    crease: float = CREASE,
    passes: int = 32,
) -> Remeshed:
    """Turn edges where that makes rounder triangles, or more vertices have six edges, in up to `passes` over the mesh.

    No edge is turned across a crease, where normals differ by more than `crease` degrees, nor where a face would turn over,
    nor into one longer than 4/3 of the target length, if that is given. Raises ValueError as `remesh` does. Valences:
    Botsch & Kobbelt 2004; shapes: after Delaunay's criterion, opposite angles of less than 180 degrees together.
    """
    check_crease(crease)
    surface, links, form = enter(vertices, faces, target_length, any_length=True)
    if target_length is None:
        surface = surface._replace(values=np.full_like(surface.values, np.inf))
    return leave(flip_edges(surface, links, crease, passes)[0], form)


def flip_edges(surface: Surface, links: Links, crease: float, passes: int) -> tuple[Surface, Links]:
    """Return the surface, and its links, with edges turned."""
    for _ in range(passes):
        edge = _choose(surface, links, math.cos(math.radians(crease)))
        if not len(edge):
            break
        surface, links = _flipped(surface, links, edge)
    return surface, links


def _choose(surface: Surface, links: Links, crease: float) -> np.ndarray:
    """Return the edges (N,) to turn, the worst first; no two of them share a vertex of the two faces beside them."""
    points, corners, _ = surface
    normals = area_vectors(points, corners)
    size = np.sqrt(dot(normals, normals))
    # A first look: opposite angles of more than 180 degrees, or not much less where valences gain.
    gain = 6 * _VALENCE * np.maximum(_excess(links, links.pairs), 0)
    gain -= _cotangents(points, corners, size).take(links.pairs).sum(axis=0)
    edge = np.flatnonzero(gain > _GAIN)
    edge = edge[np.argsort(-gain[edge], kind="stable")]
    half, other = links.pairs[:, edge]
    apexes = links.start[links.before(half)], links.start[links.before(other)]
    # No edge must be there twice. So no vertex is left with two: the neighbours of one with three are all joined.
    edge = edge[~links.has_edge(*apexes)]
    edge = edge[_judge(surface, links, normals, edge, crease)]
    half, other = links.pairs[:, edge]
    around = np.stack([links.start[half], links.end[half], links.end[links.after(half)], links.end[links.after(other)]])
    return edge[_apart(around, len(links.valence))]


def _cotangents(points: np.ndarray, corners: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return the cotangents (3, F) of the angles opposite the half-edges, from the double areas (F,)."""
    start = points.take(corners.ravel(), 1).reshape(3, 3, -1)
    along = start[:, [1, 2, 0]] - start
    squared = dot(along, along)
    return (squared[[1, 2, 0]] + squared[[2, 0, 1]] - squared) / np.maximum(
        2 * size, 1e-12 * squared.max(axis=0) + TINY
    )


def _excess(links: Links, pairs: np.ndarray) -> np.ndarray:
    """Return by how much the sum of squared excesses of the valences shrinks if edges, as pairs (2, N), turn."""
    excess = links.valence - np.where(links.boundary, 4, 6)
    ends = excess[links.start[pairs]].sum(axis=0)
    return 2 * (ends - excess[links.start[links.before(pairs)]].sum(axis=0) - 2)


def _judge(surface: Surface, links: Links, normals: np.ndarray, edge: np.ndarray, crease: float) -> np.ndarray:
    """Return which edges (N,) may turn."""
    points = surface.points
    faces = normals.shape[1]
    half, other = links.pairs[:, edge]
    rim = links.after(half), links.before(half), links.after(other), links.before(other)
    a, b = points.take(links.start[half], 1), points.take(links.end[half], 1)
    x, y = points.take(links.start[rim[1]], 1), points.take(links.start[rim[3]], 1)
    before = normals.take(half % faces, 1), normals.take(other % faces, 1)
    now = cross(y - a, x - a), cross(x - b, y - b)
    size_before, size_now = [np.sqrt(dot(n, n)) for n in before], [np.sqrt(dot(n, n)) for n in now]
    # Both pairs of faces have the same sum.
    total = before[0] + before[1]
    size = np.sqrt(dot(total, total))
    fine = dot(now[0], total) >= _TURN * size_now[0] * size
    fine &= dot(now[1], total) >= _TURN * size_now[1] * size
    ax, ay, bx, by, ab, xy = (dot(p - q, p - q) for p, q in ((a, x), (a, y), (b, x), (b, y), (a, b), (x, y)))
    round_before = np.minimum(roundness(before[0], ab + ax + bx), roundness(before[1], ab + ay + by))
    round_now = np.minimum(roundness(now[0], xy + ax + ay), roundness(now[1], xy + bx + by))
    fine &= round_now - round_before + _VALENCE * _excess(links, links.pairs[:, edge]) > _GAIN
    fine &= round_now > np.minimum(_NARROW, round_before)
    # No edge that `split` would split: the two would take turns for ever.
    target = surface.values[0]
    limit = LONGEST / 2 * (target[links.start[rim[1]]] + target[links.start[rim[3]]])
    fine &= xy <= np.maximum(limit * limit, ab)
    solid = np.minimum(size_before[0], size_before[1]) > 1e-12 * ab  # else there is no angle
    fine &= (dot(before[0], before[1]) >= crease * size_before[0] * size_before[1]) | ~solid
    beyond = [links.twin[side] for side in rim]
    outside = [unit(normals.take(np.where(twin >= 0, twin, half) % faces, 1)) for twin in beyond]
    known = [twin >= 0 for twin in beyond]
    before, now = (unit(before[0]), unit(before[1])), (unit(now[0]), unit(now[1]))
    fold_before, fold_now = dot(before[0], before[1]), dot(now[0], now[1])
    for side, (old, new) in enumerate(((0, 1), (0, 0), (1, 0), (1, 1))):
        fold_before = np.minimum(fold_before, np.where(known[side], dot(before[old], outside[side]), 1))
        fold_now = np.minimum(fold_now, np.where(known[side], dot(now[new], outside[side]), 1))
    return fine & (fold_now >= np.minimum(FOLD, fold_before))


def _apart(around: np.ndarray, vertices: int) -> np.ndarray:
    """Return which of the vertices around (K, N) edges, the most urgent first, to choose so that none is chosen twice."""
    chosen, rank = [], np.arange(around.shape[1])
    for _ in range(_ROUNDS):
        if not len(rank):
            break
        lowest = np.full(vertices, len(around.T))
        for corner in around[:, rank]:
            np.minimum.at(lowest, corner, rank)
        first = (lowest[around[:, rank]] == rank).all(axis=0)
        chosen.append(rank[first])
        taken = np.zeros(vertices, bool)
        taken[around[:, rank[first]]] = True
        rank = rank[~taken[around[:, rank]].any(axis=0)]
    return np.concatenate(chosen) if chosen else rank


def _flipped(surface: Surface, links: Links, edge: np.ndarray) -> tuple[Surface, Links]:
    """Return the surface and its links with edges (N,) turned: no face, and no half-edge of another edge, changes its place
    but for two that change with the edge."""
    half, other = links.pairs[:, edge]
    half_after, other_after = links.after(half), links.after(other)
    a, b, x, y = links.start[half], links.end[half], links.end[half_after], links.end[other_after]
    # Half-edge a -> b becomes a -> y, the one after it y -> x; b -> a becomes b -> x, the one after it x -> y.
    corners = surface.corners.copy()
    flat = corners.reshape(-1)
    flat[half_after], flat[other_after] = y, x
    start, end = flat, np.concatenate([corners[1:].ravel(), corners[0]])
    number = np.arange(len(start))
    number[other_after], number[half_after] = half, other
    pairs = number[links.pairs]
    pairs[0, edge], pairs[1, edge] = half_after, other_after
    twin = links.twin.copy()
    twin[half] = twin[other] = -1  # may have come to lie on the boundary
    twin[pairs[0]], twin[pairs[1]] = pairs[1], pairs[0]
    valence = links.valence - np.bincount(np.concatenate([a, b]), minlength=len(links.valence))
    valence += np.bincount(np.concatenate([x, y]), minlength=len(valence))
    gone = np.searchsorted(links.keys, edge_keys(a, b, len(valence)))
    keys = np.concatenate([np.delete(links.keys, gone), edge_keys(x, y, len(valence))])
    keys.sort(kind="stable")
    return surface._replace(corners=corners), Links(start, end, twin, pairs, keys, valence, links.boundary)
