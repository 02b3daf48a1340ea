"""Templates of which as little as possible changes, and the correction of soft images that their fit needs."""

import numpy as np
import pytest

import diffrender as dr
from diffrender import loss
from diffrender.defect import correction, over_black, over_black_backward, sharp
from diffrender.record.checkpoint import Checkpoint, load_checkpoint, save_checkpoint

SOFT = dr.Soft(sigma=0.1, gamma=1e-3, near=2.5, far=5.5)
CAMERAS = [dr.Camera.look_at(eye, fov_degrees=36, size=(24, 20)) for eye in ((0.0, 1.0, 4.0), (4.0, -1.0, 0.5))]


def ball(scale):
    mesh = dr.icosphere(1)
    colors = 0.5 + 0.4 * mesh.vertices
    return dr.Mesh((scale * mesh.vertices).astype(np.float32), mesh.faces, colors.astype(np.float32))


def pull(mesh, photos, corrections):
    gradient = np.zeros((len(mesh.vertices), 3))
    for camera, photo, excess in zip(CAMERAS, photos, corrections, strict=True):
        rendering = dr.render(mesh, camera, SOFT)
        _, grad = loss.l2(over_black(rendering.image), photo + excess)
        gradient += rendering.backward(over_black_backward(rendering.image, grad)).vertices
    return gradient


def test_nothing_pulls_where_the_sharp_image_is_the_photo():
    mesh = ball(1.0)
    photos = [sharp(mesh, camera, SOFT) for camera in CAMERAS]
    assert all(0 < photo[..., 3].mean() < 0.9 for photo in photos)
    assert np.abs(pull(mesh, photos, [0 * photo for photo in photos])).max() > 1e-4
    assert np.abs(pull(mesh, photos, [correction(mesh, camera, SOFT) for camera in CAMERAS])).max() < 1e-7


def test_a_sharp_image_covers_what_the_outline_covers():
    square = np.array([[-0.5, -0.3, 3.0], [0.4, -0.3, 3.0], [0.4, 0.6, 3.0], [-0.5, 0.6, 3.0]], np.float32)
    mesh = dr.Mesh(square, np.array([[0, 1, 2], [0, 2, 3]], np.int32), np.ones((4, 3), np.float32))
    camera = dr.Camera(np.array([[30.0, 0, 10], [0, 30.0, 12], [0, 0, 1]]), np.eye(3), np.zeros(3), (24, 20))
    alpha = sharp(mesh, camera, SOFT)[..., 3]
    assert alpha.shape == (24, 20)
    np.testing.assert_allclose(alpha.sum(), 9 * 9, atol=1.0)  # 0.9 units long at 10 px a unit


def bumped(mesh):
    """A ball with a bump of 6 px at its side, the vertices that moved (V,), and four views of it, drawn hard."""
    around = np.linalg.norm(mesh.vertices - mesh.vertices[7], axis=1)
    height = 0.18 * np.maximum(0, 1 - (around / 0.5) ** 2)
    truth = dr.Mesh(mesh.vertices * (1 + height[:, None]).astype(np.float32), mesh.faces, mesh.vertex_colors)
    views = []
    for turn in range(6):
        eye = 4 * np.array([np.cos(turn), 0.3 * (-1) ** turn, np.sin(turn)])
        camera = dr.Camera.look_at(eye, fov_degrees=36, size=(72, 72))
        image = sharp(truth, camera, dr.Soft(sigma=1e-4, gamma=1e-4, near=2.5, far=5.5))
        alpha = np.clip(image[..., 3:], 0, 1)
        views.append(dr.View(np.clip(image[..., :3] / np.maximum(alpha, 1e-6), 0, 1), alpha[..., 0], camera))
    return views, height > 0


@pytest.fixture(scope="module")
def change():
    mesh = dr.icosphere(3)
    mesh = dr.Mesh(mesh.vertices, mesh.faces, (0.5 + 0.4 * np.sin(4 * mesh.vertices)).astype(np.float32))
    views, moved = bumped(mesh)
    settings = dr.FitSettings(steps=60, sparsity=0.007)
    return mesh, views, moved, settings, list(dr.fit(views, mesh, settings))


def test_only_what_has_changed_moves(change):
    mesh, _, moved, _, steps = change
    found = (steps[-1].mesh.vertices != mesh.vertices).any(axis=1)
    assert 20 < moved.sum() < 100
    assert found[~moved].mean() < 0.1
    assert found[moved].mean() > 0.8
    assert steps[-1].loss < 0.1 * steps[0].loss
    np.testing.assert_array_equal(steps[-1].mesh.vertex_colors, mesh.vertex_colors)


@pytest.mark.parametrize("stop", [0, 13, 36, 51])
def test_a_sparse_fit_goes_on_to_the_same_bits(change, stop, tmp_path):
    mesh, views, _, settings, steps = change
    kept = Checkpoint(steps[stop].state, np.zeros((0, 2, 2, 3), np.uint8), 1.0, "run")
    save_checkpoint(kept, tmp_path / "state.npz")
    resumed = iter(dr.fit(views, mesh, settings, load_checkpoint(tmp_path / "state.npz").state))
    for expected, step in zip(steps[stop + 1 : stop + 4], resumed, strict=False):
        np.testing.assert_array_equal(step.mesh.vertices, expected.mesh.vertices)
    np.testing.assert_array_equal(dr.finish(steps[stop].state, views, settings).vertices, steps[stop].mesh.vertices)


def test_what_sparsity_needs_is_said(change):
    mesh, views, _, settings, _ = change
    with pytest.raises(ValueError, match="sparsity 0.007 needs a mesh to start from, got 'sphere'"):
        dr.fit(views, "sphere", settings)
    with pytest.raises(ValueError, match="needs views from several sides, got 1"):
        dr.fit(views[:1], mesh, settings)
    with pytest.raises(ValueError, match="sparsity 0.1 does not go with remesh_every 5"):
        dr.FitSettings(sparsity=0.1, remesh_every=5)


def test_over_black_backward_is_its_transpose():
    image, step, grad = np.random.default_rng(0).uniform(size=(3, 4, 5, 4))
    change = (over_black(image + 1e-6 * step) - over_black(image - 1e-6 * step)) / 2e-6
    np.testing.assert_allclose((over_black_backward(image, grad) * step).sum(), (grad * change).sum(), rtol=1e-8)
