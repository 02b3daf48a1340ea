from fractions import Fraction

import numpy as np
import pytest
import trimesh

import diffrender as dr
from diffrender.quality import aspect_ratios, self_intersections
from diffrender.repair import keep_apart


def exact_intersections(vertices, faces):
    """Pairs of faces without a common vertex of which an edge of one goes through the other, in rational numbers."""
    points = [tuple(map(Fraction, map(float, point))) for point in vertices]

    def side(a, b, c, d):
        (ax, ay, az), (bx, by, bz), (cx, cy, cz) = (tuple(x - y for x, y in zip(p, d)) for p in (a, b, c))
        volume = ax * (by * cz - bz * cy) - ay * (bx * cz - bz * cx) + az * (bx * cy - by * cx)
        return (volume > 0) - (volume < 0)

    def through(p, q, triangle):
        a, b, c = triangle
        if side(a, b, c, p) * side(a, b, c, q) > 0:
            return False
        turns = {side(p, q, a, b), side(p, q, b, c), side(p, q, c, a)}
        return not {1, -1} <= turns

    found = []
    for i in range(len(faces)):
        for j in range(i + 1, len(faces)):
            if not set(faces[i]) & set(faces[j]):
                one, other = [points[k] for k in faces[i]], [points[k] for k in faces[j]]
                edges = [(one[k - 1], one[k], other) for k in range(3)] + [
                    (other[k - 1], other[k], one) for k in range(3)
                ]
                if any(through(*edge) for edge in edges):
                    found.append((i, j))
    return found


def test_aspect_ratio_is_one_for_equilateral_triangles_and_grows_with_needles_and_caps():
    height = np.sqrt(0.75)
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0.5, height, 0], [0, 100, 0], [0.5, 1e-3, 0], [2, 0, 0]])
    faces = np.array([[0, 1, 2], [0, 1, 3], [0, 1, 4], [0, 1, 5]])
    ratios = aspect_ratios(vertices, faces)
    assert ratios[0] == pytest.approx(1)
    # longest edge * perimeter / (4 sqrt(3) area)
    assert ratios[1] == pytest.approx(np.hypot(1, 100) * (101 + np.hypot(1, 100)) / (4 * np.sqrt(3) * 50))
    assert ratios[2] == pytest.approx(2 / (4 * np.sqrt(3) * 0.5e-3), rel=1e-4)
    assert ratios[3] == np.inf
    assert aspect_ratios(7 * vertices[:, [2, 0, 1]], faces) == pytest.approx(ratios)


@pytest.mark.parametrize("seed", range(4))
def test_intersections_are_those_of_exact_arithmetic(seed):
    random = np.random.default_rng(seed)
    corners = 0.5 * random.normal(size=(20, 1, 3)) + random.normal(size=(20, 3, 3)) * 2.0 ** random.integers(
        -3, 3, (20, 1, 1)
    )
    vertices, faces = corners.reshape(-1, 3), random.permutation(60).reshape(20, 3)
    inverse = np.argsort(faces.ravel())
    found = self_intersections(vertices[inverse], faces)
    expected = exact_intersections(vertices[inverse], faces)
    assert [tuple(pair) for pair in found.tolist()] == expected
    assert len(expected) > 5


def test_faces_that_only_share_vertices_and_edges_are_clean():
    mesh = dr.icosphere(5)
    assert self_intersections(mesh.vertices, mesh.faces, corners_too=True).shape == (0, 2)
    poles = trimesh.creation.uv_sphere(count=[40, 40])
    assert len(self_intersections(poles.vertices, poles.faces, corners_too=True)) == 0


def test_overlapping_spheres_meet_in_a_circle():
    mesh = dr.icosphere(3)
    count = len(mesh.faces)
    both = np.concatenate([mesh.vertices, mesh.vertices + np.float32([1, 0.1, 0.05])])
    pairs = self_intersections(both, np.concatenate([mesh.faces, mesh.faces + len(mesh.vertices)]))
    assert len(pairs) > 50
    assert (pairs[:, 0] < count).all() and (pairs[:, 1] >= count).all()
    assert (np.lexsort(pairs.T[::-1]) == np.arange(len(pairs))).all()
    # Every face at the intersection is about where the two spheres are equally far.
    middle = both[mesh.faces[pairs[:, 0]]].mean(axis=1) - np.array([0.5, 0.05, 0.025])
    assert np.abs(middle @ [1, 0.1, 0.05]).max() < 0.2
    apart = np.concatenate([mesh.vertices, mesh.vertices + np.float32([2.01, 0, 0])])
    assert len(self_intersections(apart, np.concatenate([mesh.faces, mesh.faces + len(mesh.vertices)]))) == 0


def test_a_fold_through_itself_is_found():
    x, y = np.mgrid[:12, :6].astype(np.float64)
    corner = (np.arange(11)[:, None] * 6 + np.arange(5)).ravel()
    faces = np.concatenate(
        [np.stack([corner, corner + 6, corner + 7], 1), np.stack([corner, corner + 7, corner + 1], 1)]
    )
    turn = 2 * np.pi * x / 9  # more than once around
    rolled = np.stack([np.cos(turn) * (1 + 0.2 * np.sin(3 * turn)), np.sin(turn), y], axis=-1).reshape(-1, 3)
    assert len(self_intersections(np.stack([x, y, 0 * x], -1).reshape(-1, 3), faces)) == 0
    assert len(self_intersections(rolled, faces)) > 0


def test_faces_in_one_plane_and_faces_that_touch():
    triangle = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float64)
    faces = np.arange(6).reshape(2, 3)

    def meet(other):
        return len(self_intersections(np.concatenate([triangle, other]), faces)) == 1

    assert meet(triangle + [0.2, 0.2, 0]) and meet(0.1 * triangle + [0.1, 0.1, 0])  # overlapping, and inside
    assert not meet(triangle + [0.8, 0.8, 0]) and not meet(triangle + [0, 0, 1e-9])
    assert meet(triangle + [0.5, 0.5, 0]) and meet(triangle + [1, 0, 0])  # an edge, a corner
    assert meet(triangle[:, [2, 0, 1]]) and not meet(triangle[:, [2, 0, 1]] + [0, 0, 1e-9])
    flat = np.array([[0.2, 0.2, -1], [0.2, 0.2, 1], [0.2, 0.2, 3]])
    assert not meet(flat)  # no area


def test_faces_with_one_vertex_in_common():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 1], [1, 1, -1], [-1, -1, 1], [-1, -1, -1]], np.float64)
    through, away = np.array([[0, 1, 2], [0, 3, 4]]), np.array([[0, 1, 2], [0, 5, 6]])
    assert len(self_intersections(vertices, through)) == 0
    assert self_intersections(vertices, through, corners_too=True).tolist() == [[0, 1]]
    assert len(self_intersections(vertices, away, corners_too=True)) == 0


def test_size_does_not_matter_and_a_large_face_is_no_obstacle():
    mesh = dr.icosphere(4)
    wall = np.array([[-1e3, -1e3, 0.013], [1e3, -1e3, 0.013], [0, 1e3, 0.013]])
    vertices = np.concatenate([mesh.vertices, wall])
    faces = np.concatenate([mesh.faces, [np.arange(3) + len(mesh.vertices)]])
    height = mesh.vertices[mesh.faces][:, :, 2]
    expected = np.flatnonzero((height.min(axis=1) <= 0.013) & (height.max(axis=1) >= 0.013))
    for scale in (1.0, 2.0**-40, 2.0**40):
        pairs = self_intersections(scale * vertices, faces)
        assert (pairs[:, 0] == expected).all() and (pairs[:, 1] == len(mesh.faces)).all()


def test_wrong_input_is_shown():
    mesh = dr.icosphere(1)
    with pytest.raises(ValueError, match=r"vertices must have shape \(V, 3\), got \(42, 2\)"):
        self_intersections(mesh.vertices[:, :2], mesh.faces)
    with pytest.raises(ValueError, match="vertices has NaN or infinity in 42 rows"):
        self_intersections(np.full((42, 3), np.nan), mesh.faces)
    with pytest.raises(ValueError, match="refers to vertex 41, but there are 41"):
        self_intersections(mesh.vertices[:-1], mesh.faces)
    assert self_intersections(mesh.vertices, mesh.faces[:0]).shape == (0, 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_would_meet_stays_behind_and_the_rest_moves(dtype):
    sphere = dr.icosphere(3)
    before = sphere.vertices.astype(dtype)
    # The poles are pushed through each other, a bump rises elsewhere.
    after = before.copy()
    after[:, 2] -= 1.3 * np.sign(before[:, 2]) * np.maximum(0, np.abs(before[:, 2]) - 0.7) / 0.3
    after[before[:, 0] > 0.9] *= dtype(1.2)
    assert len(self_intersections(after, sphere.faces)) > 0
    apart = keep_apart(before, after, sphere.faces)
    assert apart.dtype == dtype
    assert len(self_intersections(apart, sphere.faces, corners_too=True)) == 0
    bump = before[:, 0] > 0.9
    assert (apart[bump] == after[bump]).all()
    assert np.abs(apart - before)[np.abs(before[:, 2]) > 0.9].max() > 0.3  # most of the way is free
    assert (keep_apart(before, apart, sphere.faces) == apart).all()
    with pytest.raises(ValueError, match=r"same shape, got \(642, 3\) and \(641, 3\)"):
        keep_apart(before, after[1:], sphere.faces)


def test_what_meets_already_does_not_move():
    (a, f), (b, g) = [(m.vertices.astype(np.float64), m.faces) for m in (dr.icosphere(2), dr.icosphere(2))]
    before, faces = np.concatenate([a, b + [1, 0, 0], b + [5, 0, 0]]), np.concatenate([f, g + len(a), g + 2 * len(a)])
    after = before + np.random.default_rng(0).normal(size=before.shape) * 1e-3
    apart = keep_apart(before, after, faces)
    meeting = np.unique(faces[self_intersections(before, faces)])
    assert (apart[meeting] == before[meeting]).all()
    assert (apart[2 * len(a) :] == after[2 * len(a) :]).all()
