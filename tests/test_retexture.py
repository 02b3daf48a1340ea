"""The texture of a mesh whose shape is held, fitted to photos: from an OBJ file to a GLB file."""

import json
import re
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

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
    return dr.Texture((0.5 + 0.35 * np.stack(waves, axis=2)).astype(np.float32), "clamp", "bilinear")


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


def test_an_obj_gets_the_texture_of_photos_and_goes_to_a_glb(ball, views, tmp_path):
    ball.save(tmp_path / "start.obj")
    start = dr.load_mesh(tmp_path / "start.obj")
    start = replace(start, texture=replace(start.texture, filter="bilinear"))  # OBJ has no word for it
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
    assert error.mean() < 0.01 and np.quantile(error, 0.99) < 0.05
    assert np.abs(before - truth)[well].mean() > 0.15

    from scipy.ndimage import distance_transform_edt

    unseen = distance_transform_edt(best < 0) > 2  # further from what is seen than a texel reaches
    assert (owner[unseen] >= 0).sum() > 100 and unseen.mean() < 0.5
    np.testing.assert_array_equal(to_bytes(fitted.texture.image)[unseen], to_bytes(start.texture.image)[unseen])


def test_a_texture_fit_goes_on_to_the_same_bits_and_keeps_vertex_colors(ball, views, tmp_path):
    colors = np.full_like(ball.vertices, 0.5)
    colored = replace(ball, vertex_colors=colors)
    settings = dr.FitSettings(steps=8, views_per_step=2, hold_shape=True)
    steps = list(dr.fit(views, colored, settings))
    save_checkpoint(Checkpoint(steps[2].state, np.zeros((0, 2, 2, 3), np.uint8), 1.0, "run"), tmp_path / "state.npz")
    *_, resumed = dr.fit(views, colored, settings, load_checkpoint(tmp_path / "state.npz").state)
    np.testing.assert_array_equal(resumed.mesh.texture.image, steps[-1].mesh.texture.image)
    assert (resumed.mesh.texture.wrap, resumed.mesh.texture.filter) == ("clamp", "bilinear")
    np.testing.assert_array_equal(resumed.mesh.vertex_colors, colors)
    np.testing.assert_array_equal(dr.finish(steps[2].state, views, settings).texture.image, steps[2].mesh.texture.image)
    assert (steps[-1].mesh.texture.image != steps[2].mesh.texture.image).any()


def test_views_that_do_not_see_the_mesh_are_left_out(ball, views):
    away = dr.Camera.look_at((0, 0, 9), (0, 0, 20), fov_degrees=32, size=(96, 96))
    aside = dr.Camera.look_at((0, 0, 9), (9, 0, 0), fov_degrees=32, size=(96, 96))
    blind = [replace(views[0], camera=camera) for camera in (away, aside)]
    settings = dr.FitSettings(steps=2, hold_shape=True)
    alone, among = (list(dr.fit(some, ball, settings))[-1] for some in (views[:1], [blind[0], views[0], blind[1]]))
    assert alone.loss == pytest.approx(among.loss, rel=0.02)  # one is cut to its mask, its neighbour is not
    with pytest.raises(ValueError, match="none of 2 views sees the mesh inside its mask"):
        dr.fit(blind, ball, settings)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda ball, views: dr.fit(views, "sphere", SETTINGS), "a mesh with a texture to start from, got 'sphere'"),
        (lambda ball, views: dr.fit(views, replace(ball, texture=None), SETTINGS), "but this one has none"),
        (lambda ball, views: dr.fit([], ball, SETTINGS), "at least one view, got none"),
        (
            lambda ball, views: dr.FitSettings(hold_shape=True, remesh_every=5),
            "hold_shape does not go with remesh_every 5",
        ),
        (lambda ball, views: dr.FitSettings(hold_shape=True, sparsity=0.1), "hold_shape does not go with sparsity 0.1"),
    ],
)
def test_what_a_held_shape_needs_is_said(ball, views, call, message):
    with pytest.raises(ValueError, match=message):
        call(ball, views)


@pytest.fixture
def folder(views, tmp_path):
    """The views as a NeRF folder; where a photo is transparent is not the object."""
    frames = []
    for number, view in enumerate(views):
        rgba = np.dstack([to_bytes(view.image), np.rint(255 * view.mask).astype(np.uint8)])
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(rgba).save(tmp_path / "photos" / f"{number}.png")
        pose, K = view.camera.to_nerf()
        frames.append({"file_path": f"{number}.png", "fl_x": K[0, 0], "transform_matrix": pose.tolist()})
    (tmp_path / "photos" / "transforms.json").write_text(json.dumps({"frames": frames}))
    return tmp_path / "photos"


def test_the_command_fits_a_texture(ball, folder, tmp_path, monkeypatch, capsys):
    from diffrender.cli.main import main

    def run(*more):
        monkeypatch.setattr(sys, "argv", ["diffrender", "fit", str(folder), "--out", *map(str, more)])
        with pytest.raises(SystemExit) as stop:
            main()
        return stop.value.code or 0, *capsys.readouterr()

    for name, value in (
        ("_TURNTABLE_SIDE", 60),
        ("_TURNTABLE_FRAMES", 4),
        ("_GIF_SIDE", 60),
        ("_FACES_OF_A_PICTURE", 2000),
    ):
        monkeypatch.setattr(f"diffrender.record.run.{name}", value)
    monkeypatch.setattr("warnings.showwarning", warnings.showwarning)  # put back after the command has set its own
    out, start, bare, bad = (tmp_path / name for name in ("run", "start.obj", "bare.obj", "bad.obj"))
    ball.save(start)
    replace(ball, texture=None).save(bare)
    bad.write_text(re.sub(r"vt \S+", "vt nan", start.read_text(), count=1))
    status, printed, errors = run(out, "--mesh", start, "--hold-shape", "--steps", "60", "--hold-out", "6")
    assert (status, errors) == (0, "") and "on 1 photos left out: silhouette_iou 1.0000" in printed
    fitted = dr.load_mesh(out / "mesh.glb")
    np.testing.assert_array_equal(fitted.vertices, ball.vertices)
    assert (fitted.texture.image != ball.texture.image).any()
    assert json.loads((out / "metrics.json").read_text())["psnr_db"] > 20
    whole = (out / "mesh.glb").read_bytes()
    assert run(out, "--resume")[0] == 0 and (out / "mesh.glb").read_bytes() == whole

    assert run(tmp_path / "other", "--mesh", bare, "--hold-shape", "--texture", "64", "--steps", "2")[0] == 0
    assert dr.load_mesh(tmp_path / "other" / "mesh.glb").texture.image.shape == (64, 64, 3)
    for more, message in (
        (
            (tmp_path / "no", "--mesh", bare, "--hold-shape"),
            "bare.obj: has no texture to fit; --texture SIZE gives it one",
        ),
        (
            (tmp_path / "no", "--mesh", bad, "--hold-shape"),
            "bad.obj: not a readable mesh (uv has NaN or infinity in 1 rows",
        ),
        ((tmp_path / "no", "--hold-shape"), "--hold-shape needs a folder of photos with cameras, and --mesh FILE"),
        ((out, "--resume", "--texture", "32"), "--texture 32 cannot be given with --resume: the run has None"),
        ((tmp_path / "other", "--resume", "--adjust-cameras"), "--adjust-cameras cannot be given with --resume"),
    ):
        status, _, errors = run(*more)
        assert status == 1 and message in errors and errors.count("\n") == 1, errors
    assert not (tmp_path / "no").exists()
