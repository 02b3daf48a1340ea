"""The texture of a mesh whose shape is held, fitted to photos: from an OBJ file to a GLB file."""

from dataclasses import replace

import numpy as np
import pytest
from meshes import bumpy

import diffrender as dr
from diffrender.color import linear_to_srgb, to_bytes
from diffrender.record.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from diffrender.rendering import soft_around
from diffrender.texels import cover
from diffrender.unwrap import unwrap

SIDE = 64
SETTINGS = dr.FitSettings(steps=60, color_learning_rate=0.05, hold_shape=True)
EYES = [
    4 * np.array(eye) / np.linalg.norm(eye)
    for eye in ((0, 1, 2), (2, 1, 1), (2, 1, -1), (0, 1, -2), (-2, 1, -1), (-2, 1, 1))
]


def pattern(seed):
    """A texture of smooth waves in three colours."""
    random = np.random.default_rng(seed)
    row, column = np.mgrid[:SIDE, :SIDE] / SIDE
    waves = [np.sin(20 * (x * column + y * row) + start) for x, y, start in random.uniform(-1, 1, (3, 3)) * (1, 1, 3)]
    return dr.Texture((0.5 + 0.35 * np.stack(waves, axis=2)).astype(np.float32), "clamp")


def seen_from(mesh, eye):
    """The cosine (F,) between the faces of a convex mesh and the direction to an eye; hidden ones are below 0."""
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces].astype(np.float64), 1, 0)
    normals = np.cross(b - a, c - a)
    to_eye = eye - (a + b + c) / 3
    return (normals * to_eye).sum(axis=1) / np.linalg.norm(normals, axis=1) / np.linalg.norm(to_eye, axis=1)


def photo(mesh, eye):
    camera = dr.Camera.look_at(eye, fov_degrees=32, size=(96, 96))
    image = np.clip(dr.render(mesh, camera, soft_around(mesh, camera, 1e-6)).image, 0, 1)
    return dr.View(image[..., :3] * image[..., 3:], image[..., 3], camera)


@pytest.fixture(scope="module")
def ball():
    """A sphere with the texture that a fit starts from."""
    return replace(unwrap(dr.icosphere(2), SIDE), texture=pattern(0))


@pytest.fixture(scope="module")
def views(ball):
    return [photo(replace(ball, texture=pattern(1)), eye) for eye in EYES]


@pytest.fixture(scope="module")
def steps(ball, views):
    return list(dr.fit(views, ball, SETTINGS))


def test_an_obj_gets_the_texture_of_photos_and_goes_to_a_glb(ball, views, tmp_path):
    ball.save(tmp_path / "start.obj")
    start = dr.load_mesh(tmp_path / "start.obj")
    *_, last = dr.fit(views, start, SETTINGS)
    last.mesh.save(tmp_path / "fitted.glb")
    fitted = dr.load_mesh(tmp_path / "fitted.glb")
    for name in ("vertices", "faces"):
        np.testing.assert_array_equal(getattr(fitted, name), getattr(ball, name))

    owner, _ = cover(ball.uv.astype(np.float64) * SIDE, ball.faces_uv, (SIDE, SIDE))
    cosines = np.max([seen_from(ball, eye) for eye in EYES], axis=0)
    best = np.where(owner >= 0, cosines[owner], -1)
    well = best > 0.5
    assert 0.2 < well.mean() < 0.6
    before, after, truth = (linear_to_srgb(texture.image) for texture in (start.texture, fitted.texture, pattern(1)))
    error = np.abs(after - truth)[well]
    print("seen", error.mean(), np.quantile(error, 0.99), error.max(), np.abs(before - truth)[well].mean(), well.mean())
    assert error.mean() < 0.01 and np.quantile(error, 0.99) < 0.05
    assert np.abs(before - truth)[well].mean() > 0.15

    from scipy.ndimage import distance_transform_edt

    unseen = distance_transform_edt(best < 0) > 8  # further from what is seen than the sizes reach that are drawn
    print("unseen", unseen.mean(), (best >= 0).mean())
    assert unseen.mean() > 0.05
    np.testing.assert_array_equal(to_bytes(fitted.texture.image)[unseen], to_bytes(start.texture.image)[unseen])
