from dataclasses import replace

import numpy as np
import pytest
from gradcheck import assert_transposed
from meshes import bumpy, tilted_camera

import diffrender as dr
from diffrender.camera import project

SOFT = dr.Soft(sigma=1.3, gamma=2e-2, near=1.0, far=6.0)
MESH, CAMERA = bumpy(1), tilted_camera()
NAMES = ("depth", "positions_world", "normals_world", "normals_camera", "uv")


def _with_uv(vertices=MESH.vertices, uv=None):
    faces_uv = np.random.default_rng(4).integers(0, 50, MESH.faces.shape)
    return dr.Mesh(
        vertices, MESH.faces, uv=np.random.default_rng(2).normal(size=(50, 2)) if uv is None else uv, faces_uv=faces_uv
    )


@pytest.mark.parametrize("channels", [1, 2, 7, 16])
def test_gradients_of_any_number_of_channels(channels):
    random = np.random.default_rng(channels)
    attributes, background = random.normal(size=(len(MESH.vertices), channels)), random.normal(size=channels)

    def draw(vertices, attributes, rotation, translation):
        camera = CAMERA.moved(rotation, translation)
        return dr.render_attributes(dr.Mesh(vertices, MESH.faces), camera, attributes, SOFT, background)

    inputs = (MESH.vertices, attributes, np.zeros(3), np.zeros(3))
    rendering = draw(*inputs)
    assert rendering.image.shape == (*CAMERA.size, channels)
    assert_transposed(lambda *i: draw(*i).image, rendering.backward, inputs, tolerance=1e-5)


@pytest.mark.parametrize("near", [0.0, 3.6])  # the latter cuts faces of the mesh
@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_what_comes_from_the_mesh(name, near):
    mesh, soft = _with_uv(), replace(SOFT, clip_near=near / SOFT.far)
    depth = project(mesh.vertices, CAMERA)[:, 2]
    assert depth.min() < 3 and depth.max() > 4

    def draw(vertices, rotation, translation, uv):
        return dr.render_attributes(_with_uv(vertices, uv), CAMERA.moved(rotation, translation), name, soft)

    inputs = (mesh.vertices, np.zeros(3), np.zeros(3), mesh.uv)
    rendering = draw(*inputs)

    def backward(grad):
        grads = rendering.backward(grad)
        return grads.vertices, grads.rotation, grads.translation, grads.attributes

    count = 4 if name == "uv" else 3
    assert_transposed(lambda *i: draw(*i, *inputs[len(i) :]).image, backward, inputs[:count], tolerance=1e-5)
    assert (rendering.backward(np.ones_like(rendering.image)).attributes is None) == (name != "uv")


def test_alpha_has_its_gradient_too():
    rendering, silhouette = dr.render_attributes(MESH, CAMERA, "depth", SOFT), dr.render_silhouette(MESH, CAMERA, SOFT)
    np.testing.assert_allclose(rendering.alpha, silhouette.alpha, rtol=1e-12)
    grad = np.random.default_rng(0).normal(size=CAMERA.size)
    actual = rendering.backward(np.zeros_like(rendering.image), grad)
    np.testing.assert_allclose(actual.vertices, silhouette.backward(grad).vertices, rtol=1e-9, atol=1e-12)


def test_one_face_shows_the_point_that_a_pixel_sees():
    """A steep face near the camera: what is not interpolated in perspective is off by much more than this."""
    mesh = dr.Mesh(np.array([(-3.0, -2, -4), (3, -2, 2.2), (0, 4, 1)]), np.array([(0, 1, 2)]))
    camera = dr.Camera.look_at((0, 0, 4), fov_degrees=60, size=(40, 50))
    hard = dr.Soft(sigma=1e-3, gamma=1e-4, near=0.5, far=10.0)
    depth, place = (dr.render_attributes(mesh, camera, name, hard) for name in ("depth", "positions_world"))
    inside = depth.alpha > 1 - 1e-12
    assert inside.mean() > 0.1 and np.ptp(depth.image[inside]) > 3
    pixel = project(place.image[inside], camera)
    rows, columns = np.nonzero(inside)
    np.testing.assert_allclose(pixel, np.c_[columns + 0.5, rows + 0.5, depth.image[inside]], atol=1e-9)
    a, b, c = mesh.vertices
    np.testing.assert_allclose((place.image[inside] - a) @ np.cross(b - a, c - a), 0, atol=1e-9)


def test_empty_pixels_have_the_background():
    depth = dr.render_attributes(MESH, CAMERA, "depth", SOFT)
    empty = depth.alpha == 0
    assert 0.2 < empty.mean() < 0.9
    np.testing.assert_allclose(depth.image[empty], SOFT.far, rtol=1e-12)
    normals = dr.render_attributes(MESH, CAMERA, "normals_camera", SOFT)
    assert not normals.image[empty].any()
    assert (normals.image[depth.alpha > 0.99][:, 2] < 0.2).all()  # towards the camera is -z
    away = dr.render_attributes(MESH, CAMERA, "positions_world", SOFT, background=(7, 8, 9)).image
    np.testing.assert_allclose(away[empty], np.broadcast_to((7, 8, 9), away[empty].shape), rtol=1e-12)


def test_bits_do_not_depend_on_threads():
    mesh, results, before = bumpy(3, np.float32), [], dr.get_num_threads()
    for threads in (1, 2):
        dr.set_num_threads(threads)
        rendering = dr.render_attributes(mesh, CAMERA, "normals_camera", SOFT)
        results.append((rendering.image, rendering.backward(np.ones_like(rendering.image)).vertices))
    dr.set_num_threads(before)
    assert results[0][0].dtype == np.float32
    assert all(np.array_equal(one, two) for one, two in zip(*results))


@pytest.mark.parametrize(
    "attributes, settings, message",
    [
        ("height", SOFT, "attributes must be an array .V, C. or one of depth, .*, got 'height'"),
        ("uv", SOFT, "attributes 'uv' need a mesh with uv, got None"),
        (np.ones((3, 2)), SOFT, r"attributes must have shape \(V, C\) with V = 42, got \(3, 2\)"),
        ("depth", replace(SOFT, near=-2.0, far=0.0), "settings.far must be > 0 .*, got 0.0"),
    ],
)
def test_bad_attributes_are_named(attributes, settings, message):
    with pytest.raises(ValueError, match=message):
        dr.render_attributes(MESH, CAMERA, attributes, settings)
    with pytest.raises(ValueError, match=r"grad_image must have shape \(31, 44, 1\), got \(31, 44\)"):
        dr.render_attributes(MESH, CAMERA, "depth", SOFT).backward(np.ones((31, 44)))


@pytest.mark.parametrize(
    "settings", [SOFT, replace(SOFT, clip_near=3.6 / SOFT.far), dr.Hard(near=0.1), dr.Hard(near=3.6)]
)
@pytest.mark.parametrize("name", [None, *NAMES])
def test_forward_mode_is_the_transpose_of_the_backward(name, settings):
    mesh, random = _with_uv(), np.random.default_rng(6)
    attributes = random.normal(size=(len(mesh.vertices), 2)) if name is None else name
    rendering = dr.render_attributes(
        mesh, CAMERA, attributes, settings, background=(0.7,) * 2 if name is None else None
    )
    grad_image, grad_alpha = random.normal(size=rendering.image.shape), random.normal(size=rendering.alpha.shape)
    grads = rendering.backward(grad_image, grad_alpha)
    directions = {
        field: random.normal(size=grad.shape)
        for field, grad in grads._asdict().items()
        if grad is not None and grad.any()
    }
    assert {"vertices", "rotation", "translation", "K"} <= directions.keys()
    assert ("attributes" in directions) == (name in (None, "uv"))
    directions["K"] *= np.array([[1, 1, 1], [0, 1, 1], [0, 0, 0]])
    image, alpha = rendering.jvp(**directions)
    expected = sum((getattr(grads, field) * direction).sum() for field, direction in directions.items())
    assert (grad_image * image).sum() + (grad_alpha * alpha).sum() == pytest.approx(expected, rel=1e-8)
    several = rendering.jvp(**{field: np.stack([direction, 2 * direction]) for field, direction in directions.items()})
    np.testing.assert_allclose(several.image, [image, 2 * image], rtol=1e-9, atol=1e-9 * np.abs(image).max())


def test_forward_mode_refuses_directions_of_what_comes_from_the_mesh():
    rendering = dr.render_attributes(MESH, CAMERA, "depth", SOFT)
    with pytest.raises(ValueError, match="a direction of attributes was given, but there is no attributes"):
        rendering.jvp(attributes=np.zeros((len(MESH.vertices), 1)))
