"""Distances between surfaces, on surfaces whose distance is known."""

import numpy as np
import pytest
from meshes import bumpy

import diffrender as dr
from diffrender.compare import compare_meshes
from diffrender.nearest import nearest_triangles

POINTS = 4000


def square(cells=1, z=0.0, side=2.0):
    """A square in the plane z, cut into 2 cells^2 triangles."""
    x, y = np.meshgrid(*[np.linspace(0, side, cells + 1)] * 2)
    vertices = np.stack([x.ravel(), y.ravel(), np.full(x.size, z)], axis=1)
    number = np.arange(x.size).reshape(x.shape)
    a, b, c, d = (corner.ravel() for corner in (number[:-1, :-1], number[:-1, 1:], number[1:, 1:], number[1:, :-1]))
    return dr.Mesh(vertices, np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]))


def brute_force(point, triangle):
    """The distance by solving for the nearest point of the plane, of each edge and of each corner."""
    a, b, c = triangle
    candidates = [a, b, c]
    for start, end in ((a, b), (b, c), (c, a)):
        t = (point - start) @ (end - start) / ((end - start) @ (end - start))
        if 0 < t < 1:
            candidates.append(start + t * (end - start))
    weights = np.linalg.lstsq(np.stack([b - a, c - a], 1), point - a, rcond=None)[0]
    if weights.min() >= 0 and weights.sum() <= 1:
        candidates.append(a + weights @ [b - a, c - a])
    return min(np.linalg.norm(point - candidate) for candidate in candidates)


@pytest.mark.parametrize("count", [1, 2, 5, 90])
def test_the_nearest_triangle_is_that_of_trying_all(count):
    random = np.random.default_rng(count)
    corners = random.normal(size=(count, 1, 3)) + random.choice([0.02, 0.3, 2], (count, 1, 1)) * random.normal(
        size=(count, 3, 3)
    )
    points = random.normal(size=(40, 3)) * 1.5
    distances, nearest = nearest_triangles(points, corners)
    every = np.array([[brute_force(point, triangle) for triangle in corners] for point in points])
    np.testing.assert_allclose(distances, every.min(axis=1), rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(nearest, every.argmin(axis=1))


def test_the_number_of_threads_does_not_show():
    before = dr.get_num_threads()
    results = []
    try:
        for threads in (1, 3):
            dr.set_num_threads(threads)
            results.append(compare_meshes(bumpy(3, seed=1), bumpy(2, seed=2), POINTS))
    finally:
        dr.set_num_threads(before)
    assert results[0] == results[1]


def test_a_sphere_and_a_larger_one():
    found = compare_meshes(dr.icosphere(4), dr.icosphere(4, radius=1.1), POINTS)
    for distance in (found.chamfer, found.accuracy, found.completeness, found.hausdorff):
        assert distance == pytest.approx(0.1, abs=1e-3)
    assert found.chamfer_squared == pytest.approx(0.01, abs=2e-4)
    assert found.normal_consistency > 0.999
    assert found.threshold == pytest.approx(0.01 * 2.2 * np.sqrt(3), rel=1e-5)
    assert (found.precision, found.recall, found.f_score) == (0, 0, 0)
    wide = compare_meshes(dr.icosphere(4), dr.icosphere(4, radius=1.1), POINTS, threshold=0.11)
    assert (wide.precision, wide.recall, wide.f_score, wide.threshold) == (1, 1, 1, 0.11)


def test_a_shifted_plane():
    found = compare_meshes(square(3, z=0.25), square(7), POINTS, threshold=0.2501)
    assert found[:5] == pytest.approx((0.25, 0.0625, 0.25, 0.25, 0.25), abs=1e-12)
    assert found.normal_consistency == pytest.approx(1)
    assert (found.precision, found.recall) == (1, 1)


def test_a_mesh_and_itself():
    found = compare_meshes(bumpy(2, np.float32), bumpy(2, np.float32), POINTS)
    assert found.hausdorff < 1e-12
    assert found.normal_consistency == pytest.approx(1, abs=1e-12)
    assert (found.precision, found.recall, found.f_score) == (1, 1, 1)


def test_turned_inside_out_is_the_same_surface():
    mesh = bumpy(2)
    found = compare_meshes(dr.Mesh(mesh.vertices, mesh.faces[:, ::-1]), mesh, POINTS)
    assert found.hausdorff < 1e-12 and found.normal_consistency == pytest.approx(1)


def test_how_a_surface_is_cut_does_not_matter():
    coarse, fine = square(1), square(40)
    tilt, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))
    coarse, fine = (dr.Mesh(mesh.vertices @ tilt + 5, mesh.faces) for mesh in (coarse, fine))
    found = compare_meshes(coarse, fine, POINTS)
    assert found.hausdorff < 1e-12 and found.normal_consistency == pytest.approx(1)
    spheres = compare_meshes(dr.icosphere(3), dr.icosphere(5), POINTS)
    assert spheres.chamfer < 3e-3 and spheres.normal_consistency > 0.998 and spheres.f_score == 1


def test_half_of_it_missing():
    whole = square(8)
    left = dr.Mesh(whole.vertices, whole.faces[whole.vertices[whole.faces, 0].max(axis=1) <= 1])
    found = compare_meshes(left, whole, 20_000, threshold=1e-3)
    assert found.precision == 1 and found.recall == pytest.approx(0.5, abs=2e-3)
    assert found.f_score == pytest.approx(2 / 3, abs=2e-3)
    assert found.accuracy < 1e-12 and found.completeness == pytest.approx(0.25, abs=2e-3)  # half of it is 0 to 1 away
    assert found.hausdorff == pytest.approx(1, abs=0.01)
    back = compare_meshes(whole, left, 20_000, threshold=1e-3)
    assert back.recall == 1 and back.precision == pytest.approx(0.5, abs=2e-3)


def test_samples_are_uniform_by_area():
    """Two squares, one cut into many triangles: each gets half of the samples, and its middle is where it should be."""
    first, second = square(1), square(20, z=1.0)
    both = dr.Mesh(
        np.concatenate([first.vertices, second.vertices]),
        np.concatenate([first.faces, second.faces + len(first.vertices)]),
    )
    found = compare_meshes(both, first, POINTS, threshold=0.5)
    assert found.precision == pytest.approx(0.5, abs=1 / POINTS) and found.accuracy == pytest.approx(
        0.5, abs=1 / POINTS
    )
    corner = dr.Mesh(first.vertices * 1e-3 - [1e3, 0, 0], first.faces)  # so far off that distances are x + 1000
    assert compare_meshes(first, corner, POINTS).accuracy == pytest.approx(1001, abs=0.02)


def test_the_seed_decides():
    meshes = bumpy(2, seed=1), bumpy(2, seed=2)
    first = compare_meshes(*meshes, POINTS)
    assert compare_meshes(*meshes, POINTS) == first
    other = compare_meshes(*meshes, POINTS, seed=1)
    assert other != first and other.chamfer == pytest.approx(first.chamfer, rel=0.02)


def test_faces_without_area_and_vertices_without_faces_do_not_count():
    mesh = bumpy(1)
    extra = np.concatenate([mesh.vertices, [[50.0, 0, 0], [60.0, 0, 0], [70.0, 0, 0]]])
    last = len(mesh.vertices)
    littered = dr.Mesh(extra, np.concatenate([mesh.faces, [[last, last + 1, last + 2], [0, 0, 1]]]))
    assert compare_meshes(littered, mesh, POINTS) == compare_meshes(mesh, mesh, POINTS)
    assert compare_meshes(mesh, littered, POINTS) == compare_meshes(mesh, mesh, POINTS)


def test_what_cannot_be_compared():
    line = dr.Mesh(np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]]), np.array([[0, 1, 2]]))
    for arguments, message in (
        ((line, bumpy()), "the mesh has no area: each of its 1 faces"),
        ((bumpy(), line), "the reference has no area"),
        ((bumpy(), bumpy(), 0), "points must be at least 1, got 0"),
        ((bumpy(), bumpy(), 10, 0.0), "threshold must be positive and finite, got 0.0"),
        ((bumpy(), bumpy(), 10, float("nan")), "threshold must be positive and finite, got nan"),
    ):
        with pytest.raises(ValueError, match=message):
            compare_meshes(*arguments)
