"""Batches: bit by bit what single calls give, whatever the views have of their own."""

import itertools

import numpy as np
import pytest
from gradcheck import assert_transposed
from meshes import bumpy, tilted_camera

import diffrender as dr
from diffrender import batches
from diffrender.camera import project

SIZE = (37, 44)  # two strips, the second one short, and half a pair of rows
SOFT = dr.Soft(sigma=1.3, gamma=2e-2, near=1.0, far=6.0, background=(0.1, 0.2, 0.3))
LIGHT = dr.Light((0.2, 0.9, 0.5), 0.3, 0.6)
SUN = dr.Directional([[0.2, 0.9, 0.5], [1, 0, 0.3]], [[0.6, 0.5, 0.4], [0.3, 0.3, 0.2]])


def around(count=3, size=SIZE):
    """Cameras all around, the last one tilted, with a skew."""
    eyes = np.random.default_rng(7).normal(size=(count - 1, 3))
    return [dr.Camera.look_at(3.2 * eye / np.linalg.norm(eye), size=size) for eye in eyes] + [tilted_camera(size)]


def same_bits(actual, expected):
    if isinstance(expected, tuple):
        assert len(actual) == len(expected)
        return all(map(same_bits, actual, expected))
    if expected is None or np.isscalar(expected):
        return actual == expected
    return actual.dtype == expected.dtype and actual.shape == expected.shape and actual.tobytes() == expected.tobytes()


def assert_like_single_calls(meshes, cameras, settings=SOFT, light=None, grad=None):
    """Check image and gradients of each view against `render`, and return the batch's gradients."""
    batch = dr.render_batch(meshes, cameras, settings, light)
    meshes = itertools.repeat(meshes) if isinstance(meshes, dr.Mesh) else meshes
    cameras = itertools.repeat(cameras) if isinstance(cameras, dr.Camera) else cameras
    if grad is None:
        grad = np.random.default_rng(1).normal(size=batch.image.shape)
    grads = batch.backward(grad)
    assert len(grads) == len(batch.image)
    for mesh, camera, image, view_grads, view_grad in zip(meshes, cameras, batch.image, grads, grad):
        single = dr.render(mesh, camera, settings, light)
        assert same_bits(image, single.image)
        assert same_bits(view_grads, single.backward(view_grad))
        assert view_grads.vertices.shape == mesh.vertices.shape
    assert any(view_grads.vertices.any() for view_grads in grads)
    return grads


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("one_mesh", [True, False])
def test_silhouettes_have_the_bits_of_single_calls(dtype, one_mesh):
    cameras = around()
    several = [bumpy(subdivisions, dtype, seed) for seed, subdivisions in enumerate((1, 2, 0))]
    meshes = several[0] if one_mesh else several
    batch = dr.render_silhouette_batch(meshes, cameras, SOFT)
    grad = np.random.default_rng(0).normal(size=batch.alpha.shape)
    for view, grads in enumerate(batch.backward(grad)):
        single = dr.render_silhouette(meshes if one_mesh else several[view], cameras[view], SOFT)
        assert 0.05 < (single.alpha > 0.5).mean() < 0.9
        assert same_bits(batch.alpha[view], single.alpha) and same_bits(grads, single.backward(grad[view]))


@pytest.mark.parametrize(
    "light",
    [
        None,
        LIGHT,
        dr.Lights(ambient=(0.1, 0.2, 0.3), directional=SUN),
        dr.Lights(directional=SUN, specular=dr.Specular()),
        dr.Lights(directional=SUN, normals="flat"),
    ],
)
@pytest.mark.parametrize("one_mesh", [True, False])
def test_colours_and_lights_have_the_bits_of_single_calls(light, one_mesh):
    several = [bumpy(subdivisions, np.float64, seed) for seed, subdivisions in enumerate((1, 2, 0))]
    several[1] = dr.Mesh(several[1].vertices, several[1].faces)  # grey, whose colours have no gradient
    assert_like_single_calls(several[0] if one_mesh else several, around(), light=light)


@pytest.mark.parametrize(
    "dtype, settings",
    [
        (np.float32, dr.Soft(sigma=0.8, near=1, far=6, coverage="gaussian", union="max")),
        (np.float32, dr.Soft(sigma=0.8, near=1, far=6, cull_backfaces=True, clip_near=0)),
        (np.float64, dr.Soft(sigma=0.8, near=1, far=6, perspective_correct=True)),
        (np.float32, dr.Hard(near=0.1)),
    ],
)
def test_every_way_of_drawing_has_the_bits_of_single_calls(dtype, settings):
    mesh = bumpy(1, dtype)
    assert_like_single_calls([mesh, bumpy(2, dtype), mesh], around(), settings, LIGHT)


def test_hard_silhouettes_have_the_bits_of_single_calls():
    mesh, hard, grad = bumpy(1, np.float32), dr.Hard(near=0.1), np.random.default_rng(0).normal(size=(3, *SIZE))
    batch = dr.render_silhouette_batch(mesh, around(), hard)
    for view, grads in enumerate(batch.backward(grad)):
        single = dr.render_silhouette(mesh, around()[view], hard)
        assert same_bits(batch.alpha[view], single.alpha) and same_bits(grads, single.backward(grad[view]))


def test_textures_have_the_bits_of_single_calls_and_gradients_of_their_own():
    mesh, random = bumpy(1, np.float32), np.random.default_rng(3)
    uv = random.uniform(size=(len(mesh.vertices), 2))
    textured = dr.Mesh(mesh.vertices, mesh.faces, uv=uv, texture=dr.Texture(random.uniform(size=(8, 8, 3))))
    grads = assert_like_single_calls(textured, around(), light=LIGHT)
    sums = grads.summed()
    assert sums.texture.shape == (8, 8, 3) and sums.texture.any() and sums.uv.any() and sums.vertex_colors is None
    assert_like_single_calls([mesh, textured, mesh], around())


def test_a_mesh_for_each_of_several_precisions_of_detail_from_one_camera():
    meshes = [bumpy(subdivisions, np.float32, subdivisions) for subdivisions in (2, 0, 1)]
    grads = assert_like_single_calls(meshes, tilted_camera(SIZE), light=LIGHT)
    with pytest.raises(ValueError, match="the 3 views have a mesh each: there is nothing to sum over them"):
        grads.summed()


def test_views_that_are_cut_bent_or_see_nothing_within_the_image():
    mesh, near, lens = bumpy(1, np.float64), tilted_camera(SIZE), dr.Distortion(k1=-0.1, p1=0.01)
    inside = dr.Camera.look_at((0.0, 0.1, 1.05), size=SIZE)
    bent = dr.Camera(near.K, near.R, near.t, SIZE, lens)
    flat = dr.Camera.look_at((2, 1, 2), size=SIZE, span=2.5)
    away = dr.Camera(near.K + [[0, 0, 900], [0, 0, 0], [0, 0, 0]], near.R, near.t, SIZE)
    soft = dr.Soft(near=1, far=6, clip_near=0.05)
    assert dr.render(mesh, away, soft).image[..., 3].max() == 0
    assert dr.render(mesh, inside, soft)._front.cut is not None
    assert_like_single_calls(mesh, [near, away, near], soft, LIGHT)
    assert_like_single_calls(mesh, [near, inside, away], soft, LIGHT)
    assert_like_single_calls([mesh, bumpy(2), mesh], [bent, flat, near], soft, LIGHT)


def test_views_whose_gradient_has_no_colour():
    grad = np.random.default_rng(4).normal(size=(3, *SIZE, 4))
    grad[1, ..., :3] = 0
    assert_like_single_calls(bumpy(1), around(), light=LIGHT, grad=grad)
    grad[..., :3] = 0
    assert_like_single_calls(bumpy(1), around(), light=LIGHT, grad=grad)


@pytest.mark.parametrize("most", [1, 200])  # faces at a time: each view by itself, two views and one
def test_parts_of_a_batch_are_joined(monkeypatch, most):
    monkeypatch.setattr(batches, "_FACES", most)
    grads = assert_like_single_calls(bumpy(1), around(), light=LIGHT)
    assert grads.summed().vertices.any()
    batch = dr.render_silhouette_batch(bumpy(1), around(), SOFT)
    assert same_bits(batch.alpha[2], dr.render_silhouette(bumpy(1), around()[2], SOFT).alpha)


def test_bits_do_not_depend_on_the_number_of_threads():
    cameras, grad = around(5), np.random.default_rng(2).normal(size=(5, *SIZE, 4))
    found = []
    for threads in (1, 3):
        before = dr.get_num_threads()
        dr.set_num_threads(threads)
        try:
            batch = dr.render_batch(bumpy(2, np.float32), cameras, SOFT, LIGHT)
            found.append((batch.image, *batch.backward(grad)))
        finally:
            dr.set_num_threads(before)
    assert same_bits(*found)


def test_large_meshes_have_the_bits_of_single_calls_at_any_number_of_threads():
    mesh, grad = (
        bumpy(4, np.float32),
        np.random.default_rng(3).normal(size=(2, *SIZE, 4)),
    )  # more than two blocks of vertices
    found, before = [], dr.get_num_threads()
    for threads in (1, 3):
        dr.set_num_threads(threads)
        try:
            found.append(tuple(assert_like_single_calls(mesh, around(2), light=LIGHT, grad=grad)))
        finally:
            dr.set_num_threads(before)
    assert same_bits(*found)


def test_a_vertex_that_rounding_alone_puts_on_the_near_plane_is_cut_in_a_batch_too():
    mesh, camera = bumpy(1, np.float32), around(2)[0]
    nearest = project(mesh.vertices, camera)[:, 2].min()
    settings = dr.Soft(sigma=1.3, far=6.0, clip_near=float(nearest) * (1 + 1e-9) / 6.0)
    plane = settings.clip_near * settings.far
    assert float(nearest) < plane and nearest == np.float32(plane)
    assert_like_single_calls(mesh, [camera, camera], settings)


def test_sums_are_those_over_the_views():
    batch = dr.render_batch(bumpy(1), around(), SOFT, LIGHT)
    grads = batch.backward(np.random.default_rng(2).normal(size=batch.image.shape))
    sums = grads.summed()
    np.testing.assert_allclose(sums.vertices, np.sum([view.vertices for view in grads], axis=0), rtol=1e-12)
    np.testing.assert_allclose(sums.vertex_colors, np.sum([view.vertex_colors for view in grads], axis=0), rtol=1e-12)
    np.testing.assert_allclose(sums.light.direction, sum(view.light.direction for view in grads), rtol=1e-12)
    assert sums.light.ambient == pytest.approx(sum(view.light.ambient for view in grads))
    assert sums.uv is None and sums.texture is None
    assert len(grads[1:]) == 2 and grads[-1] is grads[2]


def test_sums_are_the_gradients_of_the_batch():
    mesh, cameras = bumpy(1), around(2)
    batch = dr.render_batch(mesh, cameras, SOFT, LIGHT)
    assert 0.1 < (batch.image[..., 3] > 0.5).mean() < 0.9

    def forward(vertices, colors, ambient):
        light = dr.Light(LIGHT.direction, float(ambient), LIGHT.diffuse)
        return dr.render_batch(dr.Mesh(vertices, mesh.faces, colors), cameras, SOFT, light).image

    def backward(grad):
        sums = batch.backward(grad).summed()
        return sums.vertices, sums.vertex_colors, sums.light.ambient

    assert_transposed(forward, backward, (mesh.vertices, mesh.vertex_colors, np.float64(0.3)), tolerance=1e-5)


def test_errors_name_the_view():
    mesh, camera = bumpy(1), tilted_camera(SIZE)
    behind = dr.Camera(camera.K, camera.R, -camera.t, SIZE)
    for given, message in (
        ((mesh, []), "a batch needs at least one view, got no cameras"),
        (([], camera), "a batch needs at least one view, got no meshes"),
        (([mesh, mesh], [camera] * 3), "there must be as many meshes as cameras, got 2 and 3"),
        ((mesh, [camera, tilted_camera((20, 44))]), r"size: that of view 0 is \(37, 44\), of view 1 \(20, 44\)"),
        (([mesh, bumpy(1, np.float32)], camera), "precision: that of view 0 is float64, of view 1 float32"),
        ((mesh, [camera, None]), "cameras must be of type Camera, got None for view 1"),
        ((mesh, [camera, behind]), "view 1: the camera does not see the mesh"),
    ):
        with pytest.raises(ValueError, match=message):
            dr.render_batch(*given)
        with pytest.raises(ValueError, match=message):
            dr.render_silhouette_batch(*given)
    with pytest.raises(ValueError, match=r"grad_image must have shape \(1, 37, 44, 4\), got \(37, 44, 4\)"):
        dr.render_batch(mesh, camera).backward(np.zeros((*SIZE, 4)))
    with pytest.raises(ValueError, match=r"grad_alpha must have shape \(1, 37, 44\), got \(37, 44\)"):
        dr.render_silhouette_batch(mesh, camera).backward(np.zeros(SIZE))


@pytest.mark.parametrize("settings", [SOFT, dr.Hard(near=0.1)])
def test_forward_mode_is_the_transpose_of_the_backward(settings):
    mesh, random = bumpy(1), np.random.default_rng(5)
    batch = dr.render_batch(mesh, around(), settings, LIGHT)
    grad = random.normal(size=batch.image.shape)
    grads = batch.backward(grad)
    shared = {name: random.normal(size=mesh.vertices.shape) for name in ("vertices", "vertex_colors")}
    own = {name: [random.normal(size=3) for _ in grads] for name in ("rotation", "translation")}
    tangent = batch.jvp(**shared, **own)
    expected = sum((getattr(grads.summed(), name) * shared[name]).sum() for name in shared)
    expected += sum((getattr(of, name) * own[name][view]).sum() for name in own for view, of in enumerate(grads))
    assert tangent.shape == grad.shape and (grad * tangent).sum() == pytest.approx(expected, rel=1e-9)
    for view, camera in enumerate(around()):
        single = dr.render(mesh, camera, settings, LIGHT)
        assert same_bits(tangent[view], single.jvp(**shared, **{name: own[name][view] for name in own}))


def test_forward_mode_of_silhouettes_takes_several_directions_at_once():
    batch = dr.render_silhouette_batch(bumpy(1), around(), SOFT)
    tangents = batch.jvp(rotation=np.eye(3))
    assert tangents.shape == (3, 3, *SIZE) and tangents.any(axis=(2, 3)).all()
    assert same_bits(tangents[1, 2], dr.render_silhouette(bumpy(1), around()[1], SOFT).jvp(rotation=np.eye(3)[2]))


def test_forward_mode_names_the_view_that_a_direction_does_not_fit():
    batch = dr.render_batch(bumpy(1), around(), SOFT)
    with pytest.raises(ValueError, match="rotation has directions for 2 views, but there are 3"):
        batch.jvp(rotation=[np.zeros(3)] * 2)
    with pytest.raises(ValueError, match=r"view 1: the direction of rotation must have shape \(3,\).*got \(4,\)"):
        batch.jvp(rotation=[np.zeros(3), np.zeros(4), np.zeros(3)])
