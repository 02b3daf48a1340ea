import numpy as np
import pytest
import trimesh
from meshes import bumpy

import diffrender as dr
from diffrender.polygonize import polygonize
from diffrender.repair import unfold
from diffrender.topology import (
    adjacent_faces,
    cotangent_laplacian,
    count_flipped_faces,
    is_closed_manifold,
    uniform_laplacian,
    unique_edges,
)


def test_a_closed_mesh_obeys_euler():
    mesh = dr.icosphere(2)
    assert len(unique_edges(mesh.faces)) == len(mesh.vertices) + len(mesh.faces) - 2
    assert len(adjacent_faces(mesh.faces)) == len(unique_edges(mesh.faces))
    assert is_closed_manifold(mesh.faces)
    assert not is_closed_manifold(mesh.faces[1:])
    turned = mesh.faces.copy()
    turned[0] = turned[0, ::-1]
    assert not is_closed_manifold(turned)


def test_adjacent_faces_share_two_vertices():
    faces = dr.icosphere(1).faces
    for first, second in adjacent_faces(faces):
        assert len(set(faces[first]) & set(faces[second])) == 2


def test_laplacians_are_what_they_say():
    mesh = bumpy(1)
    uniform = uniform_laplacian(mesh.faces, len(mesh.vertices)).toarray()
    assert (uniform == uniform.T).all() and not uniform.sum(axis=1).any()
    assert np.linalg.eigvalsh(uniform).min() > -1e-9
    vertex = 7
    neighbours = {v for edge in unique_edges(mesh.faces) if vertex in edge for v in edge} - {vertex}
    expected = len(neighbours) * mesh.vertices[vertex] - mesh.vertices[list(neighbours)].sum(axis=0)
    np.testing.assert_allclose((uniform @ mesh.vertices)[vertex], expected)
    # The cotangent Laplacian of the positions is the gradient of the area.
    cotangent = cotangent_laplacian(mesh.vertices, mesh.faces) @ mesh.vertices
    direction = np.random.default_rng(0).normal(size=mesh.vertices.shape)

    def area(vertices):
        return trimesh.Trimesh(vertices, mesh.faces, process=False).area

    slope = (area(mesh.vertices + 1e-6 * direction) - area(mesh.vertices - 1e-6 * direction)) / 2e-6
    assert (cotangent * direction).sum() == pytest.approx(slope, rel=1e-6)


def test_folds_are_counted_and_undone():
    mesh = dr.icosphere(3)
    assert count_flipped_faces(mesh.vertices, mesh.faces) == 0
    assert count_flipped_faces(trimesh.creation.box().vertices, trimesh.creation.box().faces) == 0
    folded = mesh.vertices.copy()
    neighbour = mesh.faces[mesh.faces[:, 0] == 50][0, 1]
    folded[50] = folded[neighbour] + 1.2 * (folded[neighbour] - folded[50])
    assert count_flipped_faces(folded, mesh.faces) > 0
    flat = unfold(folded, mesh.faces, uniform_laplacian(mesh.faces, len(folded)))
    assert count_flipped_faces(flat, mesh.faces) == 0
    moved = np.abs(flat - folded).max(axis=1) > 0
    assert moved.sum() < 0.2 * len(folded)


def test_polygonize_makes_closed_surfaces_of_the_right_size_and_genus():
    grid = np.indices((20, 22, 24)).transpose(1, 2, 3, 0) - np.array([9.3, 10.1, 11.7])
    vertices, faces = polygonize(7.3 - np.linalg.norm(grid, axis=-1))
    ball = trimesh.Trimesh(vertices, faces, process=False)
    assert is_closed_manifold(faces)
    assert ball.volume == pytest.approx(4 / 3 * np.pi * 7.3**3, rel=0.02)
    assert ball.euler_number == 2
    ring = np.hypot(grid[..., 0], grid[..., 1]) - 6
    vertices, faces = polygonize(2.5 - np.hypot(ring, grid[..., 2]))
    assert is_closed_manifold(faces)
    assert trimesh.Trimesh(vertices, faces, process=False).euler_number == 0
    with pytest.raises(ValueError, match="border of the grid must be negative"):
        polygonize(np.ones((4, 4, 4)))
