"""Split, collapse, flip and relax in turn."""

import operator
from collections.abc import Sequence

import numpy as np

from .collapse import collapse_edges
from .creases import CREASE, check_crease
from .flip import flip_edges
from .relax import relax_vertices
from .split import split_edges
from .surface import Remeshed, enter, leave

_PASSES = 3  # over the mesh in a round, for collapses and for flips: what they leave is for the next


def remesh(
    vertices: np.ndarray,
    faces: np.ndarray,
    target_length: float | np.ndarray,
    carried: Sequence[np.ndarray] = (),
    rounds: int = 1,
    crease: float = CREASE,
) -> Remeshed:
    """Give a mesh, vertices (V, 3) and faces (F, 3), edges of about the target length and nearly equilateral triangles.

    One round of `split`, `collapse`, `flip` and `relax` keeps up with an optimisation; about ten make a good mesh of any.
    `target_length`, a number or one for each vertex (V,), is in the unit of the vertices, at most a quarter of the bounding
    box's diagonal. `carried` are arrays (V,) or (V, C) of floats that go with the vertices: colours, an optimiser's moments,
    the target length itself. Surfaces of any genus and several parts keep them; a boundary stays as it is, and so do
    creases, where normals differ by more than `crease` degrees. The same input gives the same bits. Raises ValueError for a
    mesh that is not an oriented manifold, wrong shapes, NaN, or a target length that is not positive or would make millions
    of faces. Palfinger, Continuous remeshing for inverse rendering, 2022; Botsch & Kobbelt, A remeshing approach to
    multiresolution modeling, 2004.
    """
    if operator.index(rounds) < 0:
        raise ValueError(f"rounds must be >= 0, got {rounds}")
    check_crease(crease)
    surface, links, form = enter(vertices, faces, target_length, carried)
    for _ in range(rounds):
        surface, links = split_edges(surface, links)
        surface, links = collapse_edges(surface, links, crease, _PASSES)
        surface, links = flip_edges(surface, links, crease, _PASSES)
        surface = relax_vertices(surface, links, crease)
    return leave(surface, form)
