"""Which faces a surface goes on to across each edge, remembered for the meshes drawn last: a fit draws one mesh many times."""

import threading
from typing import NamedTuple

import numpy as np

_KEPT = 4
_remembered: list["Links"] = []
_turn = threading.Lock()


class Links(NamedTuple):
    """Half edges of faces (F, 3), see `diffrender.cpu.half_edges`; never written to."""

    faces: np.ndarray
    ring: np.ndarray  # (3 F,) int32 the next half edge of the same edge
    heads: np.ndarray  # (E,) int32 one half edge of each edge
    seconds: np.ndarray  # (E,) int32 the other, if there are two and they run in opposite directions, else -1
    is_open: bool  # whether an edge has but one face


def link_surface(faces: np.ndarray, vertices: np.ndarray) -> Links:
    """Return the links of faces (F, 3), whose open edges are joined where vertices (V, 3) are in the same place.

    So a seam, where vertices are there twice with different attributes, is no outline.
    """
    links = _links_of(faces, len(vertices))
    if not links.is_open:
        return links
    single = np.flatnonzero(links.ring == np.arange(len(links.ring)))
    ends = np.unique(np.concatenate([faces[single // 3, single % 3], faces[single // 3, (single + 1) % 3]]))
    order = ends[np.lexsort(vertices[ends].T)]
    same = (vertices[order[1:]] == vertices[order[:-1]]).all(axis=1)
    if not same.any():
        return links
    starts = np.maximum.accumulate(np.where(np.concatenate([[True], ~same]), np.arange(len(order)), 0))
    joined = np.arange(len(vertices), dtype=np.int32)
    joined[order] = order[starts]
    return _links_of(joined[faces], len(vertices))


def _links_of(faces: np.ndarray, count: int) -> Links:
    for links in list(_remembered):
        if links.faces.shape == faces.shape and np.array_equal(links.faces, faces):
            return links
    from .cpu.half_edges import link_half_edges, pair_half_edges

    ring, heads = (np.empty(faces.size, np.int32) for _ in range(2))
    edges, single = link_half_edges(faces, count, ring, heads)
    heads, seconds = heads[:edges].copy(), np.empty(edges, np.int32)
    pair_half_edges(faces, ring, heads, seconds)
    links = Links(faces.copy(), ring, heads, seconds, single > 0)
    with _turn:
        _remembered.insert(0, links)
        del _remembered[_KEPT:]
    return links
