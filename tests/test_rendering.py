from dataclasses import replace

import numpy as np
import pytest
from gradcheck import assert_transposed
from meshes import bumpy, tilted_camera

import diffrender as dr

SOFT = dr.Soft(sigma=1.3, gamma=2e-2, near=1.0, far=6.0, background=(0.1, 0.2, 0.3))
LIGHT = dr.Light((0.2, 0.9, 0.5), 0.3, 0.6)


@pytest.mark.parametrize("light", [None, LIGHT])
def test_gradients_by_name_are_those_of_the_image(light):
    mesh, camera = bumpy(1), tilted_camera()
    rendering = dr.render(mesh, camera, SOFT, light)
    assert rendering.image.shape == (*camera.size, 4)
    assert 0.1 < (rendering.image[..., 3] > 0.5).mean() < 0.9

    def forward(vertices, colors, rotation, translation):
        return dr.render(dr.Mesh(vertices, mesh.faces, colors), camera.moved(rotation, translation), SOFT, light).image

    def backward(grad):
        grads = rendering.backward(grad)
        return grads.vertices, grads.vertex_colors, grads.rotation, grads.translation

    inputs = (mesh.vertices, mesh.vertex_colors, np.zeros(3), np.zeros(3))
    assert_transposed(forward, backward, inputs, tolerance=1e-5)


def test_light_gradients_are_those_of_the_image():
    mesh, camera = bumpy(1), tilted_camera()

    def forward(direction, ambient, diffuse):
        return dr.render(mesh, camera, SOFT, dr.Light(tuple(direction), float(ambient), float(diffuse))).image

    assert_transposed(
        forward,
        lambda grad: dr.render(mesh, camera, SOFT, LIGHT).backward(grad).light,
        (np.array(LIGHT.direction), np.float64(LIGHT.ambient), np.float64(LIGHT.diffuse)),
    )


def test_silhouette_is_the_images_alpha_with_its_gradients():
    mesh, camera = bumpy(1), tilted_camera()
    rendering, image = dr.render_silhouette(mesh, camera, SOFT), dr.render(mesh, camera, SOFT)
    np.testing.assert_allclose(rendering.alpha, image.image[..., 3], rtol=1e-12)
    grad = np.random.default_rng(1).normal(size=camera.size)
    grads, full = rendering.backward(grad), image.backward(np.dstack([np.zeros((*camera.size, 3)), grad]))
    for name in ("vertices", "rotation", "translation"):
        np.testing.assert_allclose(getattr(grads, name), getattr(full, name), rtol=1e-9, atol=1e-12)
    assert not full.vertex_colors.any()


def test_precision_follows_the_mesh_and_plain_meshes_are_grey():
    mesh, camera = bumpy(1, np.float32), tilted_camera()
    rendering = dr.render(dr.Mesh(mesh.vertices, mesh.faces), camera, SOFT)
    assert rendering.image.dtype == np.float32
    inside = rendering.image[15, 22]
    np.testing.assert_allclose(inside[:3], 0.8, atol=1e-3)
    assert rendering.backward(np.ones((*camera.size, 4))).vertex_colors is None


def test_a_camera_that_looks_away_is_an_error():
    camera = dr.Camera.look_at((0, 0, 4), (0, 0, 8))
    with pytest.raises(ValueError, match="all 42 vertices are behind it .largest depth -3.*must be > 0"):
        dr.render_silhouette(bumpy(1), camera)
    with pytest.raises(ValueError, match="does not see the mesh"):
        dr.render(bumpy(1), camera)


def test_a_gradient_of_another_shape_is_an_error():
    rendering = dr.render(bumpy(1), tilted_camera())
    with pytest.raises(ValueError, match=r"grad_image must have shape \(31, 44, 4\), got \(31, 44\)"):
        rendering.backward(np.ones((31, 44)))


def test_near_faces_hide_far_ones():
    corners = np.array([(-1.0, -1, 0), (1, -1, 0), (0, 1, 0)])
    vertices = np.concatenate([corners, corners - [0, 0, 1]])
    colors = np.repeat([(0.9, 0.1, 0.1), (0.1, 0.1, 0.9)], 3, axis=0)
    mesh = dr.Mesh(vertices, np.array([(0, 1, 2), (3, 4, 5)]), colors)
    camera = dr.Camera.look_at((0, 0, 4), size=(24, 24))
    image = dr.render(mesh, camera, dr.Soft(sigma=0.5, gamma=1e-3, near=1, far=8)).image
    np.testing.assert_allclose(image[12, 12], (0.9, 0.1, 0.1, 1), atol=1e-6)


def textured(mesh, filter="trilinear", seed=5):
    random = np.random.default_rng(seed)
    uv = random.uniform(0, 0.6, (len(mesh.vertices) + 6, 2))
    faces_uv = np.where(random.uniform(size=mesh.faces.shape) < 0.2, len(uv) - 1 - mesh.faces % 6, mesh.faces)
    texture = dr.Texture(random.uniform(0.1, 0.9, (9, 12, 3)), filter=filter)
    return dr.Mesh(mesh.vertices, mesh.faces, mesh.vertex_colors, uv, faces_uv, texture)


@pytest.mark.parametrize("filter", ["bilinear", "trilinear"])
def test_gradients_of_a_textured_mesh_are_those_of_the_image(filter):
    mesh, camera = textured(bumpy(1), filter), tilted_camera()
    soft = replace(SOFT, perspective_correct=True)
    rendering = dr.render(mesh, camera, soft, LIGHT)

    def forward(vertices, colors, uv, image, rotation, translation, direction):
        moved = dr.Mesh(vertices, mesh.faces, colors, uv, mesh.faces_uv, dr.Texture(image, filter=filter))
        light = dr.Light(tuple(direction), LIGHT.ambient, LIGHT.diffuse)
        return dr.render(moved, camera.moved(rotation, translation), soft, light).image

    def backward(grad):
        grads = rendering.backward(grad)
        pose = grads.rotation, grads.translation
        return grads.vertices, grads.vertex_colors, grads.uv, grads.texture, *pose, grads.light.direction

    inputs = (mesh.vertices, mesh.vertex_colors, mesh.uv, mesh.texture.image, np.zeros(3), np.zeros(3))
    assert_transposed(forward, backward, (*inputs, np.array(LIGHT.direction)), tolerance=1e-5)


def test_a_texture_without_vertex_colors_is_shown_as_it_is():
    mesh, camera = bumpy(1), tilted_camera()
    uv = np.zeros((len(mesh.vertices), 2))
    plain = dr.Mesh(mesh.vertices, mesh.faces, uv=uv, texture=dr.Texture(np.full((1, 1, 3), 0.25)))
    rendering = dr.render(plain, camera, SOFT)
    np.testing.assert_allclose(rendering.image[15, 22, :3], 0.25, atol=1e-3)
    grads = rendering.backward(np.ones((*camera.size, 4)))
    assert grads.vertex_colors is None and grads.texture.shape == (1, 1, 3) and grads.texture.min() > 0
    assert dr.render(mesh, camera, SOFT).backward(np.ones((*camera.size, 4))).texture is None
