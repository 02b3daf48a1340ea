"""Edges that are too short, collapsed to a point."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .creases import CREASE, FOLD, check_crease, crease_edges, sharpness
from .links import Links, connect
from .split import LONGEST
from .surface import Remeshed, Surface, enter, leave
from .vectors import TINY, area_vectors, cross, dot, roundness, unit

SHORTEST = 4 / 5  # of the target: Botsch & Kobbelt 2004
_DISORDER = 0.3  # in the order of squared lengths over squared limits
_GOLDEN = (5**0.5 - 1) / 2  # whose multiples' fractions are spread evenly
_ROUNDS = 5  # of choosing edges between two new sets of links
_TURN = 0.5  # cosine of the angle that a face may turn by
_NEEDLE = 0.1  # roundness of a triangle, or less, that is to go
_SPECK = 0.1  # of the target length
_WORSE = 0.5  # of the worst roundness around a speck: what it costs others to be rid of it
_SLIVER = 0.3  # roundness below which no triangle must fall, unless the worst around was worse


def collapse(
    vertices: np.ndarray,
    faces: np.ndarray,
    target_length: float | np.ndarray,
    carried: Sequence[np.ndarray] = (),
    crease: float = CREASE,
    passes: int = 32,
) -> Remeshed:
    """Collapse the edges shorter than 4/5 of the target length, as far as the surface stays one and no face turns over.

    The point goes where it leaves the volume as it was, near the middle, and carried arrays (V,) or (V, C) get the mean of
    the two ends; an end on a crease, where normals differ by more than `crease` degrees, or at a corner of one, stays where
    it is. So do edges that touch the boundary of an open mesh. After `passes` over the mesh, some short edges may be left.
    Raises ValueError as `remesh` does. After Botsch & Kobbelt 2004, with the link condition of Dey et al. 1999 and the
    volume of Lindstrom & Turk 1998.
    """
    check_crease(crease)
    surface, links, form = enter(vertices, faces, target_length, carried)
    return leave(collapse_edges(surface, links, crease, passes)[0], form)


def collapse_edges(surface: Surface, links: Links, crease: float, passes: int) -> tuple[Surface, Links]:
    """Return the surface, and its links, without the short edges that can go."""
    for _ in range(passes):
        chosen = _choose(surface, links, crease)
        if not len(chosen.half):
            break
        surface, links = _collapsed(surface, links, chosen)
    return surface, links


class _Chosen(NamedTuple):
    """Half-edges (N,) to collapse, where between start and end, from 0 to 1, and the points (3, N) to put in their place."""

    half: np.ndarray
    share: np.ndarray
    place: np.ndarray

    def some(self, which: np.ndarray) -> "_Chosen":
        return _Chosen(self.half[which], self.share[which], self.place[:, which])


def _choose(surface: Surface, links: Links, crease: float) -> _Chosen:
    """Return what to collapse, no two edges side by side."""
    half = _candidates(surface, links)
    share, place, rank = np.full(len(half), 0.5), np.empty((3, len(half))), np.arange(len(half))
    if not len(half):
        return _Chosen(half, share, place)
    normals = area_vectors(surface.points, surface.corners)
    creases = crease_edges(links, normals, crease)
    sharp = sharpness(links, creases)[np.stack([links.start[half], links.end[half]])]
    share += np.sign(sharp[1] - sharp[0]) / 2
    # One within three faces, beside another vertex: gone, it leaves the triangle around them as it is.
    within = links.valence[np.stack([links.start[half], links.end[half]])] == 3
    share = np.where(
        (sharp == 0).all(axis=0) & _is_speck(surface, links, half), share + (within[0] - within[1] * 1.0) / 2, share
    )
    on_crease = np.zeros(len(links.start), bool)
    on_crease[links.pairs[:, creases]] = True
    # Between two creases, neither can move to the other.
    left = np.flatnonzero((sharp != 1).any(axis=0) | on_crease[half])
    for _ in range(_ROUNDS):
        first = _first_nearby(links, half[left], rank[left])
        fresh = left[(first == rank[left]) & (first >= 0)]
        if not len(fresh):
            break
        fine, place[:, fresh] = _judge(surface, links, normals, half[fresh], share[fresh])
        rank[fresh] = np.where(fine, -1, len(half))  # a chosen one goes before all others
        left = left[(first >= 0) & (rank[left] < len(half)) | (rank[left] < 0)]
    return _Chosen(half, share, place).some(np.flatnonzero(rank < 0))


def _candidates(surface: Surface, links: Links) -> np.ndarray:
    """Return the half-edges (N,) of short edges that can go as far as lengths and valences tell, about the shortest first."""
    points, _, values = surface
    half = links.pairs[0]
    start, end = links.start[half], links.end[half]
    along = points.take(end, 1) - points.take(start, 1)
    squared = dot(along, along)
    limit = SHORTEST / 2 * (values[0, start] + values[0, end])
    short = np.flatnonzero(squared < limit * limit)
    short = short[~(links.boundary[start[short]] | links.boundary[end[short]])]
    # Where lengths change steadily, each edge would wait for the next shorter one: a little disorder lets many go at once.
    urgency = squared[short] / limit[short] ** 2 + _DISORDER * (short * _GOLDEN % 1)
    half = half[short[np.argsort(urgency, kind="stable")]]
    # The two vertices opposite lose an edge, and must keep three: then a tetrahedron stays one, too.
    opposite = np.stack([links.end[links.after(half)], links.end[links.after(links.twin[half])]])
    half = half[(links.valence[opposite] > 3).all(axis=0)]
    if len(half):
        middle = (points.take(links.start[half], 1) + points.take(links.end[half], 1)) / 2
        half = half[_within_reach(surface, links, half, _ring(links, half), middle)]
    return half


def _first_nearby(links: Links, half: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """Return for each half-edge (N,) the lowest rank of those that have, or are next to, one of its ends, itself included.

    Edges that are not next to each other change other faces, and take edges from the same vertex only if it has six: what is
    found for one holds for all of them together, but for folds between two changed faces.
    """
    start, end = links.start[half], links.end[half]
    lowest = np.full(len(links.valence), np.iinfo(np.int64).max)
    np.minimum.at(lowest, start, rank)
    np.minimum.at(lowest, end, rank)
    nearby = lowest.copy()
    np.minimum.at(nearby, links.start, lowest[links.end])
    return np.minimum(nearby[start], nearby[end])


class _Ring(NamedTuple):
    """What is around edges (N,): the faces at one of their ends, edge by edge, counter-clockwise.

    For each of the M faces: whose it is, the half-edge from the end outwards, and the place of the next face in the ring.
    """

    owner: np.ndarray  # (M,)
    spoke: np.ndarray  # (M,)
    following: np.ndarray  # (M,)
    starts: np.ndarray  # (N,) of each edge's faces


def _ring(links: Links, half: np.ndarray) -> _Ring:
    """Walk around both ends of half-edges (N,) whose ends are not on the boundary."""
    walk = np.stack([half, links.twin[half]], axis=1).ravel()
    count = links.valence[links.start[walk]] - 2  # all faces but the two at the edge
    place = np.concatenate([[0], np.cumsum(count)])
    starts, stops = place[:-2:2], place[2::2]
    spoke = np.empty(place[-1], np.int64)
    place = place[:-1]
    while len(walk):
        walk = links.twin[links.before(walk)]
        spoke[place] = walk
        count, place = count - 1, place + 1
        on = count > 0
        walk, place, count = walk[on], place[on], count[on]
    owner = np.repeat(np.arange(len(half)), stops - starts)
    following = np.arange(1, len(spoke) + 1)
    following[stops - 1] = starts
    return _Ring(owner, spoke, following, starts)


def _within_reach(surface: Surface, links: Links, half: np.ndarray, ring: _Ring, place: np.ndarray) -> np.ndarray:
    """Return which edges (N,) leave, collapsed to points (3, N), none that `split` would split, or none longer than before."""
    points, _, values = surface
    center, out = links.start[ring.spoke], links.end[ring.spoke]
    target = (values[0, links.start[half]] + values[0, links.end[half]]) / 2
    limit = (LONGEST / 2 * (target[ring.owner] + values[0, out])) ** 2
    out = points.take(out, 1)
    now, before = out - place.take(ring.owner, 1), out - points.take(center, 1)
    longest_now = np.maximum.reduceat(dot(now, now) / limit, ring.starts)
    longest_before = np.maximum.reduceat(dot(before, before) / limit, ring.starts)
    return longest_now <= np.maximum(1, longest_before)


def _judge(
    surface: Surface, links: Links, normals: np.ndarray, half: np.ndarray, share: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return which half-edges (N,) may collapse, each by itself, and the points (3, N) to put in their place."""
    points = surface.points
    faces = normals.shape[1]
    ring = _ring(links, half)
    owner, starts = ring.owner, ring.starts
    rim = links.after(ring.spoke)
    before = normals.take(ring.spoke % faces, 1)
    ends = points.take(links.start[half], 1), points.take(links.end[half], 1)
    along = ends[1] - ends[0]
    middle = ends[0] + share * along
    center = points.take(links.start[ring.spoke], 1) - middle.take(owner, 1)
    a, b = (points.take(side, 1) - middle.take(owner, 1) for side in (links.start[rim], links.end[rim]))
    round_before = _roundness(a - center, b - center, before)
    # Seen from that point on the edge, the ring's area, doubled, and the volume, six-fold, that would be lost with the point
    # there; the two faces at the edge have none, since the point is in their planes.
    span = cross(a, b)
    area = np.add.reduceat(span, starts, axis=1)
    lost = np.add.reduceat(dot(center, span), starts)
    squared, limit = dot(area, area), np.sqrt(dot(along, along)) / 2
    height = np.where(share == 0.5, lost / np.sqrt(np.maximum(squared, TINY)), 0)  # creases stay where they are
    shift = unit(area) * np.clip(height, -limit, limit)
    a, b = a - shift.take(owner, 1), b - shift.take(owner, 1)
    now = cross(a, b)
    # Faces without an area, and needles at an edge that is next to nothing, are compared with the ring, others with themselves.
    size_now, size_before = np.sqrt(dot(now, now)), np.sqrt(dot(before, before))
    speck = _is_speck(surface, links, half)
    solid = (size_before > 1e-12 * limit[owner] ** 2) & ~(speck[owner] & (round_before < _NEEDLE))
    aligned = np.where(solid, dot(now, before), dot(now, area.take(owner, 1)))
    fine = aligned >= _TURN * size_now * np.where(solid, size_before, np.sqrt(squared)[owner])
    good = np.logical_and.reduceat(fine, starts)
    # The link condition: the ring is a simple closed line.
    visits = np.sort(owner * len(links.valence) + links.start[rim])
    good[visits[1:][visits[1:] == visits[:-1]] // len(links.valence)] = False
    beside = _roundness_beside(points, links, normals, half)
    worst_before = np.minimum.reduceat(round_before, starts)
    worst_before = np.where(beside < _NEEDLE, np.minimum(worst_before, beside), worst_before)
    worst_now = np.minimum.reduceat(_roundness(a, b, now), starts)
    good &= worst_now >= np.where(speck, _WORSE, 1) * np.minimum(_SLIVER, worst_before)
    good &= _within_reach(surface, links, half, ring, middle + shift)
    beyond = unit(normals.take(links.twin[rim] % faces, 1))
    closed = links.twin[rim] >= 0
    # Faces with different ends as their center were not side by side: one of the two at the edge was between them.
    joined = links.start[ring.spoke] == links.start[ring.spoke[ring.following]]
    folds = []
    for normal, adjacent in ((unit(now), True), (unit(before), joined)):
        spokes = np.where(adjacent, dot(normal, normal.take(ring.following, 1)), 1)
        folds.append(np.minimum.reduceat(np.minimum(spokes, np.where(closed, dot(normal, beyond), 1)), starts))
    return good & (folds[0] >= np.minimum(FOLD, folds[1])), middle + shift


def _is_speck(surface: Surface, links: Links, half: np.ndarray) -> np.ndarray:
    """Return which half-edges (N,) are so short that they say nothing about the shape."""
    start, end = links.start[half], links.end[half]
    along = surface.points.take(end, 1) - surface.points.take(start, 1)
    limit = _SPECK / 2 * (surface.values[0, start] + surface.values[0, end])
    return dot(along, along) < limit * limit


def _roundness_beside(points: np.ndarray, links: Links, normals: np.ndarray, half: np.ndarray) -> np.ndarray:
    """Return the roundness (N,) of the worse of the two faces at each edge, which go with it."""
    start, along = points.take(links.start[half], 1), points.take(links.end[half], 1)
    beside = []
    for side in (half, links.twin[half]):
        apex = points.take(links.start[links.before(side)], 1) - start
        beside.append(_roundness(along - start, apex, normals.take(side % normals.shape[1], 1)))
    return np.minimum(*beside)


def _roundness(a: np.ndarray, b: np.ndarray, normals: np.ndarray) -> np.ndarray:
    c = b - a
    return roundness(normals, dot(a, a) + dot(b, b) + dot(c, c))


def _collapsed(surface: Surface, links: Links, chosen: _Chosen) -> tuple[Surface, Links]:
    """Return the surface and its links with the chosen edges collapsed, but for those that make a fold."""
    while True:
        half = chosen.half
        after, faces = _without(surface, links, chosen)
        linked = connect(after.corners, after.points.shape[1])
        owner = np.full(surface.points.shape[1], -1)
        owner[links.start[half]] = owner[links.end[half]] = np.arange(len(half))
        changed = owner[surface.corners[:, faces]].max(axis=0)
        # Each edge was judged as if the others stayed: what is new are folds between faces that two of them changed.
        first, second = changed[linked.pairs % len(changed)]
        between = np.flatnonzero((first >= 0) & (second >= 0) & (first != second))
        normals = unit(area_vectors(after.points, after.corners))
        one, other = linked.pairs[:, between] % len(changed)
        folded = between[dot(normals.take(one, 1), normals.take(other, 1)) < FOLD]
        if not len(folded):
            return after, linked
        kept = np.ones(len(half), bool)
        kept[np.maximum(first[folded], second[folded])] = False
        chosen = chosen.some(kept)


def _without(surface: Surface, links: Links, chosen: _Chosen) -> tuple[Surface, np.ndarray]:
    """Return the surface with the chosen edges collapsed, and which of its faces (F,) are left."""
    points, corners, values = surface
    half, share, place = chosen
    kept, gone = links.start[half], links.end[half]
    points, values = points.copy(), values.copy()
    points[:, kept] = place
    values[:, kept] = (1 - share) * values[:, kept] + share * values[:, gone]
    stays = np.ones(points.shape[1], bool)
    stays[gone] = False
    number = np.cumsum(stays) - 1
    number[gone] = number[kept]
    faces = np.ones(corners.shape[1], bool)
    faces[half % len(faces)] = faces[links.twin[half] % len(faces)] = False
    return Surface(points[:, stays], number[corners[:, faces]], values[:, stays]), faces
