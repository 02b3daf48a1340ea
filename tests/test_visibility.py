"""Hard visibility against plain loops: rays through pixel centres, in the world, by Moeller and Trumbore."""

import numpy as np
import pytest
from meshes import bumpy, tilted_camera

import diffrender as dr

CAMERA = tilted_camera()


def _first_hits(mesh, camera):
    """Return by loops over rays and faces the nearest face, its barycentrics, and how far the ray keeps from any edge of one."""
    faces, places, margins = (np.full((*camera.size, n), -1.0) for n in (1, 3, 1))
    inverse = np.linalg.inv(camera.K @ camera.R)
    for row, column in np.ndindex(camera.size):
        ray, nearest, margin = inverse @ [column + 0.5, row + 0.5, 1], np.inf, np.inf
        for number, face in enumerate(mesh.faces):
            a, b, c = mesh.vertices[face].astype(np.float64)
            distance, v, w = np.linalg.solve(np.stack([ray, a - b, a - c], axis=1), a - camera.center)
            inside = min(v, w, 1 - v - w)
            margin = min(margin, abs(inside))
            if inside >= 0 and 0 < distance < nearest:
                nearest, faces[row, column], places[row, column] = distance, number, (1 - v - w, v, w)
        margins[row, column] = margin
    return faces[..., 0].astype(int), places, margins[..., 0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_faces_are_the_first_that_rays_hit(dtype):
    mesh = bumpy(1, dtype)
    faces, places, margins = _first_hits(mesh, CAMERA)
    seen = dr.visible_faces(mesh, CAMERA)
    clear = margins > 1e-6
    assert clear.mean() > 0.99 and 0.1 < seen.mask.mean() < 0.9
    assert np.array_equal(seen.face_ids[clear], faces[clear])
    np.testing.assert_allclose(seen.barycentrics[clear], places[clear], atol=1e-5)
    assert np.array_equal(seen.mask, seen.face_ids >= 0) and (seen.barycentrics[~seen.mask] == -1).all()


def test_crossing_faces_of_any_depth():
    random = np.random.default_rng(0)
    mesh = dr.Mesh(random.normal(size=(60, 3)) * [1.5, 1.5, 1], np.arange(60).reshape(-1, 3))
    camera = dr.Camera.look_at((0, 0.5, 5), fov_degrees=50, size=(33, 37))
    faces, _, margins = _first_hits(mesh, camera)
    clear = margins > 1e-6
    assert np.array_equal(dr.visible_faces(mesh, camera).face_ids[clear], faces[clear])
    assert (faces >= 0).mean() > 0.3


def test_barycentrics_are_of_the_point_that_the_pixel_sees():
    from diffrender.camera import project

    mesh = bumpy(2)
    seen = dr.visible_faces(mesh, CAMERA)
    rows, columns = np.nonzero(seen.mask)
    corners = mesh.vertices[mesh.faces[seen.face_ids[seen.mask]]]
    points = (seen.barycentrics[seen.mask][:, :, None] * corners).sum(axis=1)
    np.testing.assert_allclose(project(points, CAMERA)[:, :2], np.c_[columns + 0.5, rows + 0.5], atol=1e-6)


@pytest.mark.parametrize("shift", [0.0, 0.5, 1 / 3])
def test_each_pixel_of_a_tiled_square_belongs_to_one_face(shift):
    """Corners and edges on pixel centres: drawn face by face, every centre is covered exactly once."""
    count = 9
    x, y = np.meshgrid(np.arange(count) * 2.0, np.arange(count) * 2.0)
    y[1:-1, 1:-1] += np.random.default_rng(1).integers(-1, 2, (count - 2, count - 2)) * 0.5
    flat = np.c_[x.ravel() + shift, y.ravel() + shift, np.full(count**2, 1.0)]
    corner = (np.arange(count - 1)[:, None] * count + np.arange(count - 1)).ravel()
    a, b, c, d = corner, corner + 1, corner + count + 1, corner + count
    faces = np.concatenate([np.c_[a, b, c], np.c_[a, d, c][:, ::-1]])
    faces[::3] = faces[::3, ::-1]
    camera = dr.Camera(np.eye(3), np.eye(3), np.zeros(3), (20, 20))
    covered = sum(dr.visible_faces(dr.Mesh(flat, face[None]), camera).mask.astype(int) for face in faces)
    middle = np.mgrid[0:20, 0:20] + 0.5
    whole = ((middle >= shift) & (middle < shift + 2 * (count - 1))).all(axis=0)
    assert np.array_equal(covered, whole.astype(int))


def test_a_fan_around_a_pixel_centre_covers_it_once():
    random = np.random.default_rng(5)
    for _ in range(50):
        around = np.sort(random.uniform(0, 2 * np.pi, 7))
        radius = random.uniform(1, 1e4, 7)
        ring = np.c_[radius * np.cos(around), radius * np.sin(around)]
        if np.diff(np.append(around, around[0] + 2 * np.pi)).max() > 3:
            continue
        hub = random.choice([0, 1e-7, -1e-7, 3e-9], 2)
        flat = np.c_[np.concatenate([[hub], ring]) + 5.5, np.ones(8)]
        faces = [(0, 1 + k, 1 + (k + 1) % 7) for k in range(7)]
        camera = dr.Camera(np.eye(3), np.eye(3), np.zeros(3), (11, 11))
        hits = [dr.visible_faces(dr.Mesh(flat, np.array([face])), camera).mask[5, 5] for face in faces]
        assert sum(hits) == 1


def test_ties_go_to_the_lowest_number_whatever_the_order_of_corners():
    corners = np.array([(-1.1, -1, 0.3), (1, -1.2, -0.2), (0.1, 1, 0.1)])
    vertices = np.concatenate([corners, corners[[2, 0, 1]]])
    mesh = dr.Mesh(vertices, np.array([(5, 4, 3), (0, 1, 2), (2, 1, 0), (1, 2, 0)]))
    seen = dr.visible_faces(mesh, dr.Camera.look_at((0.3, 0.2, 4), size=(30, 30)))
    assert seen.mask.sum() > 100 and set(seen.face_ids[seen.mask]) == {0}


def test_back_faces_and_faces_behind_the_camera_are_left_out():
    corners = np.array([(-1.0, -1, 0), (1, -1, 0), (0, 1, 0)])
    vertices = np.concatenate([corners + [0, 0, 1], corners, corners + [0, 0, 7]])
    mesh = dr.Mesh(vertices, np.array([(2, 1, 0), (3, 4, 5), (6, 7, 8)]))
    camera = dr.Camera.look_at((0, 0, 4), size=(30, 30))
    assert set(dr.visible_faces(mesh, camera).face_ids.ravel()) == {-1, 0}
    assert set(dr.visible_faces(mesh, camera, cull_backfaces=True).face_ids.ravel()) == {-1, 1}
    nothing = dr.visible_faces(mesh, dr.Camera.look_at((0, 0, 14), (0, 0, 20), size=(4, 4)))
    assert not nothing.mask.any() and (nothing.face_ids == -1).all() and (nothing.barycentrics == -1).all()
