"""Sharp edges: what lies on them must not leave them."""

import math

import numpy as np

from .links import Links
from .vectors import dot, unit

CREASE = 60.0  # degrees between the normals of two faces, from which on their edge is a crease
FOLD = (
    -0.4
)  # cosine between neighbours that no operation goes below: a little before `topology.count_flipped_faces` counts


def check_crease(crease: float) -> None:
    """Raise ValueError unless crease is an angle from 0 to 180 degrees."""
    if not 0 <= crease <= 180:
        raise ValueError(f"crease must be from 0 to 180 degrees, got {crease}")


def crease_edges(links: Links, normals: np.ndarray, crease: float) -> np.ndarray:
    """Return the edges (N,) whose faces' normals (3, F), of any length, differ by more than `crease` degrees."""
    directions = unit(normals)
    first, second = links.pairs % normals.shape[1]
    cosine = dot(directions.take(first, 1), directions.take(second, 1))
    solid = dot(directions, directions) > 0  # a face without an area has no direction: nothing is known about its edges
    return np.flatnonzero((cosine < math.cos(math.radians(crease))) & solid[first] & solid[second])


def sharpness(links: Links, edges: np.ndarray) -> np.ndarray:
    """Return 0 for a vertex (V,) in the smooth part, 1 on a crease, 2 for a corner, where three or more of the edges meet."""
    count = np.bincount(links.start[links.pairs[:, edges]].ravel(), minlength=len(links.valence))
    return (count >= 2).astype(np.int64) + (count >= 3)


def along_creases(points: np.ndarray, links: Links, edges: np.ndarray) -> np.ndarray:
    """Return for points (3, V) with two creases the direction (3, V) from one to the other neighbour there, else 0."""
    ends = links.start[links.pairs[:, edges]]
    here, there = ends.ravel(), ends[::-1].ravel()
    last, first = np.arange(points.shape[1]), np.arange(points.shape[1])
    last[here] = there
    first[here[::-1]] = there[::-1]
    direction = unit(points[:, last] - points[:, first])
    return direction * (sharpness(links, edges) == 1)
