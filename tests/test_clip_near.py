"""Faces cut at a depth: the pieces against a polygon clipper in plain loops, the gradients against finite differences."""

from dataclasses import replace

import numpy as np
import pytest
from gradcheck import assert_transposed, relative_l2
from meshes import bumpy, tilted_camera

import diffrender as dr
from diffrender.clip_near import cut_faces
from diffrender.distortion import Distortion
from diffrender.in_front import in_front

NEAR = 0.4
SOFT = dr.Soft(sigma=1.3, gamma=2e-2, near=0.3, far=4.0, background=(0.1, 0.2, 0.3), clip_near=NEAR / 4.0)
PLAIN = tilted_camera()
CAMERAS = {
    "pinhole": replace(PLAIN, t=PLAIN.t * [1, 1, 0.2]),  # inside the dented sphere
    "lens": replace(PLAIN, t=PLAIN.t * [1, 1, 0.2], distortion=Distortion(-0.2, 0.05, p1=0.01)),
    "orthographic": replace(
        PLAIN, t=PLAIN.t * [1, 1, 0.2], K=PLAIN.K * [[0.3, 0.3, 1], [1, 0.3, 1], [1, 1, 1]], orthographic=True
    ),
}


def polygon_in_front(corners, depth, near):
    """Sutherland & Hodgman 1974, one plane."""
    kept = []
    for i in range(3):
        j = (i + 1) % 3
        if depth[i] >= near:
            kept.append(corners[i])
        if (depth[i] >= near) != (depth[j] >= near):
            kept.append(corners[i] + (near - depth[i]) / (depth[j] - depth[i]) * (corners[j] - corners[i]))
    return kept


def areas(corners):
    return np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2


@pytest.mark.parametrize("near", [-0.5, 0.0, 0.3])
def test_pieces_are_those_of_a_polygon_clipper(near):
    mesh = bumpy(2)
    depth = mesh.vertices @ [0.3, -0.4, 0.86]
    cut = cut_faces(depth, mesh.faces, near)
    vertices = cut.along(mesh.vertices)
    assert cut.faces.dtype == np.int32 and len(vertices) == len(mesh.vertices) + len(cut.t) and len(cut.t) > 10
    assert (vertices[cut.faces] @ [0.3, -0.4, 0.86]).min() >= near - 1e-12
    assert len(np.unique(np.sort(cut.edges), axis=0)) == len(cut.edges)  # neighbours share what is new
    by_parent = np.bincount(cut.parents, areas(vertices[cut.faces]), len(mesh.faces))
    whole = areas(mesh.vertices[mesh.faces])
    normals = np.cross(*(np.diff(vertices[cut.faces], axis=1).transpose(1, 0, 2)))
    own = np.cross(*(np.diff(mesh.vertices[mesh.faces], axis=1).transpose(1, 0, 2)))
    assert ((normals * own[cut.parents]).sum(axis=1) > 0).all()  # wound as before
    for face, corners in enumerate(mesh.faces):
        polygon = polygon_in_front(mesh.vertices[corners], depth[corners], near)
        pieces = cut.faces[cut.parents == face]
        assert len(pieces) == max(0, len(polygon) - 2)
        if polygon:
            expected = sum(
                areas(np.array([[polygon[0], polygon[i], polygon[i + 1]]]))[0] for i in range(1, len(polygon) - 1)
            )
            np.testing.assert_allclose(by_parent[face], expected, atol=1e-12)
            found = {tuple(point) for point in vertices[pieces].reshape(-1, 3).round(9)}
            assert found == {tuple(point) for point in np.round(polygon, 9)}
    assert 0 < by_parent.sum() < whole.sum()


def test_values_at_corners_go_the_way_of_values_of_vertices():
    mesh = bumpy(2)
    cut = cut_faces(mesh.vertices[:, 0], mesh.faces, 0.1)
    corners = cut.at_corners(mesh.vertex_colors[mesh.faces])
    np.testing.assert_allclose(corners, cut.along(mesh.vertex_colors)[cut.faces], rtol=1e-12)
    uv = np.random.default_rng(0).normal(size=(len(mesh.faces), 3, 2))

    def forward(values, t):
        return replace(cut, t=t).at_corners(values)

    assert_transposed(forward, lambda grad: cut.at_corners_backward(uv, grad), (uv, cut.t))


@pytest.mark.parametrize("name", CAMERAS)
def test_gradients_through_the_cut(name):
    mesh, camera = bumpy(1), CAMERAS[name]
    assert in_front(mesh.vertices, mesh.faces, camera, NEAR, None).cut is not None
    rendering = dr.render(mesh, camera, SOFT)
    assert (rendering.image[..., 3] > 0.1).mean() > 0.2

    def forward(vertices, colors, rotation, translation, K):
        moved = replace(camera, K=camera.K + K * [[1, 1, 1], [0, 1, 1], [0, 0, 0]]).moved(rotation, translation)
        return dr.render(dr.Mesh(vertices, mesh.faces, colors), moved, SOFT).image

    def backward(grad):
        grads = rendering.backward(grad)
        return grads.vertices, grads.vertex_colors, grads.rotation, grads.translation, grads.K

    inputs = (mesh.vertices, mesh.vertex_colors, np.zeros(3), np.zeros(3), np.zeros((3, 3)))
    for seed in range(3):
        assert_transposed(forward, backward, inputs, seed)


def test_gradients_of_a_texture_through_the_cut():
    ball, camera, random = bumpy(1), next(iter(CAMERAS.values())), np.random.default_rng(5)
    faces_uv = random.integers(0, 30, ball.faces.shape)

    def draw(vertices, uv, image, translation):
        texture = dr.Texture(image, filter="bilinear")
        mesh = dr.Mesh(vertices, ball.faces, uv=uv, faces_uv=faces_uv, texture=texture)
        return dr.render(mesh, camera.moved(np.zeros(3), translation), SOFT)

    # The texture is linear within one cell, so that no step crosses a kink.
    inputs = (ball.vertices, random.uniform(0.3, 0.7, (30, 2)), random.uniform(0.1, 0.9, (2, 2, 3)), np.zeros(3))
    rendering = draw(*inputs)

    def backward(grad):
        grads = rendering.backward(grad)
        return grads.vertices, grads.uv, grads.texture, grads.translation

    for seed in range(3):
        assert_transposed(lambda *i: draw(*i).image, backward, inputs, seed, tolerance=1e-5)


def test_the_cut_itself_moves_with_the_vertices_behind():
    """One face whose cut edge lies in the image: only through t does the vertex behind move it along the edge."""
    vertices = np.array([(-0.4, 0.3, 2.0), (0.5, 0.4, 2.5), (0.02, -0.5, -1.0)])
    camera = dr.Camera(np.array([[20.0, 0, 15], [0, 20, 12], [0, 0, 1]]), np.eye(3), np.zeros(3), (48, 30))
    mesh = dr.Mesh(vertices, np.array([(0, 1, 2)]))
    rendering = dr.render_silhouette(mesh, camera, SOFT)
    random = np.random.default_rng(0).normal(size=camera.size)
    gradient = rendering.backward(random).vertices
    expected = np.zeros((3, 3))
    for place in np.ndindex(3, 3):
        step = np.zeros((3, 3))
        step[place] = 1e-6
        ahead, behind = (
            dr.render_silhouette(replace(mesh, vertices=vertices + sign * step), camera, SOFT).alpha for sign in (1, -1)
        )
        expected[place] = ((ahead - behind) * random).sum() / 2e-6
    assert np.linalg.norm(expected[2]) > 1e-2
    assert relative_l2(gradient, expected) < 1e-6


def test_a_face_passes_through_the_plane_without_a_jump_of_more_than_a_seam():
    camera = dr.Camera(np.array([[30.0, 0, 20], [0, 30, 16], [0, 0, 1]]), np.eye(3), np.zeros(3), (32, 40))

    def picture(depth):
        vertices = np.array([(-0.6, 0.4, 2.0), (0.7, 0.5, 2.5), (0.05, -0.6, depth)])
        return dr.render_silhouette(dr.Mesh(vertices, np.array([(0, 1, 2)])), camera, SOFT).alpha

    before, after = picture(NEAR + 1e-7), picture(NEAR - 1e-7)
    seam = np.abs(after - before)
    assert before.max() > 0.9 and seam.max() <= 0.25 and (seam > 1e-3).mean() < 0.3
    for depth in (0.39, 1e-3, -1e-3, -1.0):  # the camera's own plane is nothing special
        assert np.abs(picture(depth) - picture(depth - 1e-6)).max() < 1e-4
    assert picture(-1.0).max() > 0.9
    left_out = replace(SOFT, clip_near=0.0)
    vertices = np.array([(-0.6, 0.4, 2.0), (0.7, 0.5, 2.5), (0.05, -0.6, -1.0)])
    assert not dr.render_silhouette(dr.Mesh(vertices, np.array([(0, 1, 2)])), camera, left_out).alpha.any()


def test_a_floor_under_the_camera_is_drawn_to_the_horizon_side_and_float32_agrees():
    """A floor 1 below the eye and y px per unit of 1/depth: it fills what is below the horizon."""
    floor = np.array([(-60.0, 1, -50), (60, 1, -50), (60, 1, 50), (-60, 1, 50)])
    faces = np.array([(0, 1, 2), (0, 2, 3)])
    camera = dr.Camera(np.array([[40.0, 0, 30], [0, 40, 20], [0, 0, 1]]), np.eye(3), np.zeros(3), (40, 60))
    alpha = {}
    for dtype in (np.float32, np.float64):
        alpha[dtype] = dr.render_silhouette(dr.Mesh(floor.astype(dtype), faces), camera, dr.Soft(sigma=0.1)).alpha
    horizon = 20 + 40 / 50
    rows = np.arange(40) + 0.5
    assert (alpha[np.float64][rows < horizon - 1.5] < 1e-3).all()
    below = alpha[np.float64][rows > horizon + 1.5]
    assert (below >= 0.74).all() and (below > 0.99).mean() > 0.9  # 3/4 on the seams
    np.testing.assert_allclose(alpha[np.float32], alpha[np.float64], atol=2e-3)


def test_nothing_is_cut_where_nothing_reaches_behind():
    mesh, camera = bumpy(1), PLAIN
    front = in_front(mesh.vertices, mesh.faces, camera, NEAR, mesh.vertex_colors)
    assert front.cut is None and front.faces is mesh.faces and front.attributes is mesh.vertex_colors


def test_colours_of_what_is_new_are_those_on_the_face_in_space():
    vertices = np.array([(0.0, 0, 1), (0, 1, 1), (1, 0, -1)])
    colors = np.array([(0.0, 0, 0), (0, 0, 0), (1, 0.5, 0)])
    camera = dr.Camera(np.eye(3), np.eye(3), np.zeros(3), (2, 2))
    front = in_front(vertices, np.array([(0, 1, 2)]), camera, 0.5, colors)
    np.testing.assert_allclose(front.attributes[3:], [(0.25, 0.125, 0)] * 2)
    np.testing.assert_allclose(front.vertices_pixel[3:, 2], 0.5)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"clip_near": -0.1}, r"clip_near must lie in \[0, 1\), got -0.1"),
        ({"clip_near": np.nan}, r"clip_near must lie in \[0, 1\), got nan"),
        (
            {"clip_near": 0.99, "far": 100.0},
            "all 42 vertices are nearer than clip_near . far .largest depth .*must be > 99",
        ),
    ],
)
def test_bad_planes_are_named_with_their_value(change, message):
    with pytest.raises(ValueError, match=message):
        dr.render_silhouette(bumpy(1), PLAIN, replace(SOFT, **change))
