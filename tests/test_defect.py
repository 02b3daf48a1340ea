"""Defect correction: where sharp images match, nothing pulls; else the pull is the soft images' at the sharp difference."""

import numpy as np
import pytest

import diffrender as dr
from diffrender import loss
from diffrender.optimize.defect import Defect, over_black, over_black_backward

SOFT = dr.Soft(sigma=0.1, gamma=1e-3, near=2.5, far=5.5)
CAMERAS = [dr.Camera.look_at(eye, fov_degrees=36, size=(24, 20)) for eye in ((0.0, 1.0, 4.0), (4.0, -1.0, 0.5))]


def ball(scale):
    mesh = dr.icosphere(1)
    colors = 0.5 + 0.4 * mesh.vertices
    return dr.Mesh((scale * mesh.vertices).astype(np.float32), mesh.faces, colors.astype(np.float32))


def pull(mesh, photos, corrections):
    gradient = np.zeros((len(mesh.vertices), 3))
    for camera, photo, correction in zip(CAMERAS, photos, corrections, strict=True):
        rendering = dr.render(mesh, camera, SOFT)
        _, grad = loss.l2(over_black(rendering.image), photo + correction)
        gradient += rendering.backward(over_black_backward(rendering.image, grad)).vertices
    return gradient


def test_nothing_pulls_where_the_sharp_image_is_the_photo():
    defect = Defect(SOFT)
    mesh = ball(1.0)
    photos = [defect.sharp(mesh, camera) for camera in CAMERAS]
    assert all(0 < photo[..., 3].mean() < 0.9 for photo in photos)
    corrections, _ = defect.update(mesh, CAMERAS, defect.init())
    assert np.abs(pull(mesh, photos, [0 * photo for photo in photos])).max() > 1e-4
    assert np.abs(pull(mesh, photos, corrections)).max() < 1e-7


def test_a_sharp_image_covers_what_the_outline_covers():
    square = np.array([[-0.5, -0.3, 3.0], [0.4, -0.3, 3.0], [0.4, 0.6, 3.0], [-0.5, 0.6, 3.0]], np.float32)
    mesh = dr.Mesh(square, np.array([[0, 1, 2], [0, 2, 3]], np.int32), np.ones((4, 3), np.float32))
    camera = dr.Camera(np.array([[30.0, 0, 10], [0, 30.0, 12], [0, 0, 1]]), np.eye(3), np.zeros(3), (24, 20))
    alpha = Defect(SOFT, samples=8).sharp(mesh, camera)[..., 3]
    assert alpha.shape == (24, 20)
    np.testing.assert_allclose(alpha.sum(), 9 * 9, atol=1.0)  # 0.9 units long at 10 px a unit


def test_corrections_are_refreshed_and_go_on_to_the_same_bits():
    defect = Defect(SOFT, samples=2, every=3)
    state, seen = defect.init(), []
    for step in range(5):
        corrections, state = defect.update(ball(1 + 0.02 * step), CAMERAS, state)
        seen.append(corrections[0])
    assert seen[0] is seen[2] and seen[3] is seen[4]
    fresh, _ = defect.update(ball(1.06), CAMERAS, defect.init())
    assert (seen[3] == fresh[0]).all() and (seen[3] != seen[2]).any()


def test_over_black_backward_is_its_transpose():
    image, step, grad = np.random.default_rng(0).uniform(size=(3, 4, 5, 4))
    change = (over_black(image + 1e-6 * step) - over_black(image - 1e-6 * step)) / 2e-6
    np.testing.assert_allclose((over_black_backward(image, grad) * step).sum(), (grad * change).sum(), rtol=1e-8)


@pytest.mark.parametrize("name", ["samples", "every"])
def test_settings_are_checked(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        Defect(SOFT, **{name: 0}).init()
