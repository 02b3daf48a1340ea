"""Which triangles lie side by side: the half-edges of faces, paired."""

from typing import NamedTuple

import numpy as np


class Links(NamedTuple):
    """The half-edges of corners (3, F): number k F + f runs from corner k of face f to its next corner.

    So the next half-edge around the face is F on, modulo 3 F, and its face is what is left after division by F.
    """

    start: np.ndarray  # (3 F,) vertex
    end: np.ndarray  # (3 F,) vertex
    twin: np.ndarray  # (3 F,) the half-edge that runs the other way, -1 on the boundary
    pairs: np.ndarray  # (2, E) the two half-edges of each edge inside
    keys: np.ndarray  # of all edges that there are, sorted
    valence: np.ndarray  # (V,) number of edges
    boundary: np.ndarray  # (V,) bool

    def after(self, half: np.ndarray) -> np.ndarray:
        """Return the half-edge that follows each around its face."""
        return _turned(half, len(self.start) // 3, len(self.start))

    def before(self, half: np.ndarray) -> np.ndarray:
        """Return the half-edge that each follows around its face; it starts at the corner opposite."""
        return _turned(half, 2 * (len(self.start) // 3), len(self.start))

    def has_edge(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return whether there is an edge between vertices a and b, each (N,)."""
        wanted = edge_keys(a, b, len(self.valence))
        place = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return self.keys[place] == wanted


def edge_keys(a: np.ndarray, b: np.ndarray, vertices: int) -> np.ndarray:
    """Return one number for each edge between vertices a and b, whichever way it runs."""
    return np.minimum(a, b) * vertices + np.maximum(a, b)


def connect(corners: np.ndarray, vertices: int) -> Links:
    """Pair the half-edges of corners (3, F). Raises ValueError for an edge of three faces, or of two that run the same way."""
    start = corners.ravel()
    half = len(start)
    end = np.concatenate([corners[1:].ravel(), corners[0]])
    low, high = np.minimum(start, end), np.maximum(start, end)
    order = _stable_order(low, high, vertices)
    keys = (low * vertices + high)[order]
    if half % 2 == 0 and (keys[::2] == keys[1::2]).all() and (keys[1:-1:2] != keys[2::2]).all():
        pairs, known = order.reshape(-1, 2).T, keys[::2]  # closed
    else:
        first = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
        count = np.diff(np.append(first, half))
        if count.max() > 2:
            wrong = order[first[count.argmax()]]
            raise ValueError(
                f"the mesh is not a manifold: the edge from vertex {start[wrong]} to vertex {end[wrong]} "
                f"belongs to {count.max()} faces"
            )
        inside = first[count == 2]
        pairs, known = np.stack([order[inside], order[inside + 1]]), keys[first]
    pairs = np.ascontiguousarray(pairs)
    same_way = start[pairs[0]] == start[pairs[1]]
    if same_way.any():
        wrong = pairs[0, same_way.argmax()]
        raise ValueError(
            f"the faces are not oriented alike: two of them run from vertex {start[wrong]} to vertex {end[wrong]}"
        )
    twin = np.full(half, -1)
    twin[pairs[0]], twin[pairs[1]] = pairs[1], pairs[0]
    boundary = np.zeros(vertices, bool)
    open_ = np.flatnonzero(twin < 0)
    boundary[start[open_]] = boundary[end[open_]] = True
    valence = np.bincount(start, minlength=vertices) + boundary  # a fan has one edge more than faces
    return Links(start, end, twin, pairs, known, valence, boundary)


def split_vertex(links: Links) -> int | None:
    """Return a vertex where faces meet that no edge there connects, or None: then the mesh is a manifold at its vertices too."""
    faces_at = np.bincount(links.start, minlength=len(links.valence))
    around = links.twin[links.before(np.arange(len(links.start)))]
    first = np.full(len(faces_at), -1)
    first[links.start] = np.arange(len(links.start))
    open_ = np.flatnonzero(links.twin < 0)
    first[links.start[open_]] = open_  # from there, a walk around a vertex on the boundary sees all of its faces
    vertex = np.flatnonzero(faces_at)
    first = first[vertex]
    half, seen = first, np.zeros(len(faces_at), np.int64)
    while len(vertex):
        seen[vertex] += 1
        half = around[half]
        on = (half >= 0) & (half != first)
        half, first, vertex = half[on], first[on], vertex[on]
    wrong = np.flatnonzero(seen != faces_at)
    return int(wrong[0]) if len(wrong) else None


def _stable_order(low: np.ndarray, high: np.ndarray, vertices: int) -> np.ndarray:
    """Return the order that sorts by low, then by high, both below `vertices`: NumPy sorts 16 bits by counting."""
    order = np.argsort(high.astype(np.uint16), kind="stable")
    if vertices > 2**16:
        order = order[np.argsort((high >> 16).astype(np.uint32)[order], kind="stable")]
    order = order[np.argsort(low.astype(np.uint16)[order], kind="stable")]
    if vertices > 2**16:
        order = order[np.argsort((low >> 16).astype(np.uint32)[order], kind="stable")]
    return order


def _turned(half: np.ndarray, by: int, count: int) -> np.ndarray:
    turned = half + by
    return np.where(turned >= count, turned - count, turned)
