"""How close two surfaces are: the measures by which reconstructions are judged against a known mesh."""

import operator
from typing import NamedTuple

import numpy as np

from .checks import check_positive
from .mesh import Mesh
from .nearest import nearest_triangles

_THRESHOLD = 0.01  # of the diagonal of the reference's bounding box


class Comparison(NamedTuple):
    """Measures of a mesh against a reference. Lengths are in the unit of the vertices, shares in [0, 1].

    `accuracy` is the mean distance from the mesh to the reference, `completeness` that from the reference to the mesh
    (Seitz et al., CVPR 2006); `chamfer` is the mean of the two, and `chamfer_squared` the same of squared distances. Others
    add the two, or square: their figures are not comparable with these. `hausdorff` is the largest distance found, a lower
    bound. `normal_consistency` is the mean |cosine| between the normal at a point and that at the nearest point of the other
    surface, both ways (Mescheder et al., CVPR 2019). `precision` is the share of the mesh within `threshold` of the
    reference, `recall` that of the reference within it of the mesh, `f_score` their harmonic mean (Knapitsch et al.,
    Tanks and Temples, 2017).
    """

    chamfer: float
    chamfer_squared: float
    accuracy: float
    completeness: float
    hausdorff: float
    normal_consistency: float
    precision: float
    recall: float
    f_score: float
    threshold: float
    points: int


def compare_meshes(
    mesh: Mesh, reference: Mesh, points: int = 100_000, threshold: float | None = None, seed: int = 0
) -> Comparison:
    """Compare two surfaces as they lie, without aligning them, by `points` samples of each, uniform by area.

    Distances are from a sample to the other surface itself, not to its samples: equal surfaces are 0 apart however they are
    cut into triangles. The default threshold is 1 % of the diagonal of the reference's bounding box. The same seed gives the
    same bits. Raises ValueError for a surface without area, or for points or a threshold that are not positive.
    """
    count = operator.index(points)
    if count < 1:
        raise ValueError(f"points must be at least 1, got {points}")
    surfaces = _Surface.of("mesh", mesh), _Surface.of("reference", reference)
    if threshold is None:
        used = surfaces[1].corners.reshape(-1, 3)
        threshold = _THRESHOLD * float(np.linalg.norm(np.ptp(used, axis=0)))
    check_positive("threshold", threshold)
    there = _one_way(surfaces[0], surfaces[1], count, np.random.default_rng([seed, 0]))
    back = _one_way(surfaces[1], surfaces[0], count, np.random.default_rng([seed, 1]))
    accuracy, completeness = (float(way.distances.mean()) for way in (there, back))
    precision, recall = (float((way.distances <= threshold).mean()) for way in (there, back))
    return Comparison(
        chamfer=(accuracy + completeness) / 2,
        chamfer_squared=float((there.distances**2).mean() + (back.distances**2).mean()) / 2,
        accuracy=accuracy,
        completeness=completeness,
        hausdorff=float(max(there.distances.max(), back.distances.max())),
        normal_consistency=float(there.cosines.mean() + back.cosines.mean()) / 2,
        precision=precision,
        recall=recall,
        f_score=2 * precision * recall / (precision + recall) if precision + recall else 0.0,
        threshold=float(threshold),
        points=count,
    )


class _Surface(NamedTuple):
    """The triangles that have an area: corners (F, 3, 3), unit normals (F, 3) and areas (F,), all float64."""

    corners: np.ndarray
    normals: np.ndarray
    areas: np.ndarray

    @staticmethod
    def of(name: str, mesh: Mesh) -> "_Surface":
        corners = mesh.vertices.astype(np.float64)[mesh.faces]
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        lengths = np.linalg.norm(normals, axis=1)
        solid = lengths > 0
        if not solid.any():
            raise ValueError(f"the {name} has no area: each of its {len(mesh.faces)} faces is a line or a point")
        return _Surface(corners[solid], normals[solid] / lengths[solid, None], lengths[solid] / 2)

    def sample(self, count: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return points (N, 3), uniform by area, and their triangles (N,): one from each N-th of the area, in order.

        So every part gets its share of the points to within one, and neighbours follow each other through the caches.
        """
        share = (np.arange(count) + random.random(count)) / count
        total = np.cumsum(self.areas)
        face = np.minimum(np.searchsorted(total, share * total[-1], side="right"), len(total) - 1)
        # Osada et al., Shape distributions, 2002: the root makes up for the triangle's narrowing.
        root, other = np.sqrt(random.random(count)), random.random(count)
        weights = np.stack([1 - root, root * (1 - other), root * other], axis=1)
        return np.einsum("nk,nki->ni", weights, self.corners[face]), face


class _OneWay(NamedTuple):
    distances: np.ndarray  # (N,)
    cosines: np.ndarray  # (N,), absolute: meshes that are turned inside out count as equal


def _one_way(source: _Surface, target: _Surface, count: int, random: np.random.Generator) -> _OneWay:
    points, face = source.sample(count, random)
    distances, nearest = nearest_triangles(points, target.corners)
    cosines = np.abs(np.einsum("ni,ni->n", source.normals[face], target.normals[nearest]))
    return _OneWay(distances, np.minimum(cosines, 1.0))
