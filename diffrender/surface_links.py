"""Which faces a surface goes on to across each edge, remembered for the meshes drawn last: a fit draws one mesh many times."""

import threading
from typing import Any, NamedTuple

import numpy as np

_KEPT = 4
_COPIED = 1 << 16  # bytes of faces, up to which they are compared as bytes
_remembered: list["Links"] = []
_turn = threading.Lock()


class Links(NamedTuple):
    """Half edges of faces (F, 3), see `diffrender.cpu.half_edges`; never written to."""

    faces: np.ndarray
    ring: np.ndarray  # (3 F,) int32 the next half edge of the same edge
    heads: np.ndarray  # (E,) int32 one half edge of each edge
    seconds: np.ndarray  # (E,) int32 the other, if there are two and they run in opposite directions, else -1
    is_open: bool  # whether an edge has but one face
    pieces: np.ndarray  # (F,) int32 the first face of the piece that each face is in
    vertices: int  # as many are known to be enough: no face names others


class Surface(NamedTuple):
    """The links of a surface, and its seams: edges across which attributes may jump."""

    links: Links
    charts: np.ndarray  # (3 F,) int32 as the links' ring, but for seams: what joins them is left out
    seams: np.ndarray  # (N,) int32 one half edge of each seam with two faces


_seams: list[tuple[Links, Links, Surface]] = []


def known_links(faces: Any, count: int) -> Links | None:
    """Return the links of faces (F, 3) int32 of `count` vertices if they are remembered: such faces need no other check."""
    if type(faces) is np.ndarray and faces.dtype == np.int32 and faces.flags.c_contiguous:
        links = _remembered_links(faces)
        return None if links is None or links.vertices > count else links
    return None


def _remembered_links(faces: np.ndarray) -> Links | None:
    for links in list(_remembered):
        if links.faces.shape == faces.shape and _are_same(links.faces, faces):
            return links
    return None


def _are_same(first: np.ndarray, second: np.ndarray) -> bool:
    if first.nbytes > _COPIED:
        return bool((first == second).all())
    return first.tobytes() == second.tobytes()  # for few faces NumPy takes longer to begin


def link_surface(
    faces: np.ndarray, vertices: np.ndarray, attribute_faces: np.ndarray, known: Links | None = None
) -> Surface:
    """Return the links of faces (F, 3), whose open edges are joined where vertices (V, 3) are in the same place.

    So a seam, where vertices are there twice with different attributes, is no outline. attribute_faces (F, 3) names the rows of
    attributes for each face's corners: where these are other ones across an edge, it is a seam. `known` are the faces' own links.
    """
    links = links_of(faces, len(vertices)) if known is None else known
    charts = links if attribute_faces is faces else links_of(attribute_faces, int(attribute_faces.max(initial=0)) + 1)
    if links.is_open:
        from .cpu.half_edges import join_places

        joined = np.arange(len(vertices), dtype=np.int32)
        if join_places(faces, links.ring, vertices, joined):
            links = links_of(joined[faces], len(vertices))
    return _with_seams(links, charts)


def _with_seams(links: Links, charts: Links) -> Surface:
    if charts is links:
        return Surface(links, links.ring, links.heads[:0])
    for known, of, surface in list(_seams):
        if known is links and of is charts:
            return surface
    from .cpu.half_edges import find_seams

    seams = np.empty(len(links.heads), np.int32)
    count = find_seams(links.ring, charts.ring, links.heads, seams)
    surface = Surface(links, charts.ring, seams[:count].copy())
    with _turn:
        _seams.insert(0, (links, charts, surface))
        del _seams[_KEPT:]
    return surface


def links_of(faces: np.ndarray, count: int) -> Links:
    """Return the links of faces (F, 3) with `count` vertices by their indices alone."""
    remembered = _remembered_links(faces)
    if remembered is not None:
        return remembered
    from .cpu.half_edges import label_pieces, link_half_edges, pair_half_edges

    ring, heads = (np.empty(faces.size, np.int32) for _ in range(2))
    edges, single = link_half_edges(faces, count, ring, heads)
    heads, seconds = heads[:edges].copy(), np.empty(edges, np.int32)
    pair_half_edges(faces, ring, heads, seconds)
    pieces = np.empty(len(faces), np.int32)
    label_pieces(ring, pieces)
    links = Links(faces.copy(), ring, heads, seconds, single > 0, pieces, count)
    with _turn:
        _remembered.insert(0, links)
        del _remembered[_KEPT:]
    return links
