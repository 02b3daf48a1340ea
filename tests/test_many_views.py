"""Folders of photos with cameras: masks, the visual hull, the fit and its run."""

import json
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
from meshes import bumpy
from PIL import Image

import diffrender as dr
from diffrender.adjust import adjusted
from diffrender.camera import project, rotation_matrix
from diffrender.color import srgb_to_linear, to_bytes
from diffrender.compare import compare_meshes
from diffrender.hull import visual_hull
from diffrender.loss import iou
from diffrender.mesh import subdivide
from diffrender.orbit import common_down, facing, orbited
from diffrender.paint import blend
from diffrender.record.evaluate import evaluate
from diffrender.record.log import Log
from diffrender.record.run import Run
from diffrender.topology import count_flipped_faces, is_closed_manifold
from diffrender.views.load import load_views
from diffrender.views.masks import find_masks
from diffrender.views.photo import Photo

SIZE = (90, 120)
QUICK = dr.FitSettings(steps=8, faces=2000, resolution=90, gamma=1e-2)


@pytest.fixture(scope="module")
def truth():
    """A dented ellipsoid, orange and brown, no side like another."""
    mesh = bumpy(3, np.float32)
    colors = np.clip(mesh.vertices * [0.2, 0.15, 0.05] + [0.7, 0.3, 0.05], 0, 1)
    return dr.Mesh(mesh.vertices * np.float32([0.8, 1.1, 0.7]), mesh.faces, colors)


@pytest.fixture(scope="module")
def cameras():
    eyes = [(4 * np.sin(a), 0.8 * (-1) ** k, 4 * np.cos(a)) for k, a in enumerate(np.arange(8) * np.pi / 4)]
    return [dr.Camera.look_at(eye, size=SIZE, fov_degrees=45) for eye in eyes]


def drawn(truth, camera, seed=0):
    """Return a photo (H, W, 3) before a blue background that grows brighter downwards, and the true mask."""
    image = dr.render(truth, camera, dr.Soft(sigma=1e-3, near=2, far=7)).image
    y = np.linspace(0, 1, SIZE[0])[:, None, None]
    noise = np.random.default_rng(seed).normal(0, 0.02, (*SIZE, 3))
    behind = srgb_to_linear(np.clip([0.25, 0.3, 0.5] + 0.2 * y + noise, 0, 1).astype(np.float32))
    alpha = image[..., 3:]
    return np.clip(image[..., :3] * alpha + behind * (1 - alpha), 0, 1), alpha[..., 0] > 0.5


@pytest.fixture(scope="module")
def views(truth, cameras):
    pairs = [drawn(truth, camera, number) for number, camera in enumerate(cameras)]
    return [
        dr.View(image, mask, camera, f"{number:03}")
        for number, ((image, mask), camera) in enumerate(zip(pairs, cameras, strict=True))
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, views):
    """The views as an IDR folder without masks."""
    directory = tmp_path_factory.mktemp("photos")
    (directory / "image").mkdir()
    matrices = {}
    for view in views:
        Image.fromarray(to_bytes(view.image)).save(directory / "image" / f"{view.name}.png")
        to_integers = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])
        matrices[f"world_mat_{int(view.name)}"] = np.vstack([to_integers @ view.camera.projection, [0, 0, 0, 1]])
    np.savez(directory / "cameras_sphere.npz", **matrices)
    return directory


def test_masks_are_found_in_all_photos_together(views):
    mixed = [view.resized((60, 80)) if number == 3 else view for number, view in enumerate(views)]
    for found, view in zip(find_masks([Photo(view.image) for view in mixed]), mixed, strict=True):
        assert iou(found > 0.5, view.mask > 0.5) > (
            0.97 if view.mask.shape == SIZE else 0.95
        )  # the same rim is more of less


def test_a_photo_without_the_object_is_left_out_with_a_warning(folder, tmp_path, views):
    (tmp_path / "image").mkdir()
    for path in (folder / "image").iterdir():
        (tmp_path / "image" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "cameras_sphere.npz").write_bytes((folder / "cameras_sphere.npz").read_bytes())
    Image.fromarray(np.full((*SIZE, 3), (70, 85, 140), np.uint8)).save(tmp_path / "image" / "003.png")
    with pytest.warns(UserWarning, match=r"003\.png: left out"):
        loaded = load_views(tmp_path)
    assert [view.name for view in loaded] == [view.name for view in views if view.name != "003"]
    for found in loaded:
        assert iou(found.mask > 0.5, views[int(found.name)].mask > 0.5) > 0.95


def test_the_hull_holds_the_object_and_fills_the_masks(truth, views):
    hull = visual_hull(views, cells=60)
    assert is_closed_manifold(hull.faces)
    for view in views:
        assert evaluate(hull, view)["silhouette_iou"] > 0.94
    directions = truth.vertices / np.linalg.norm(truth.vertices, axis=1, keepdims=True)
    own = (hull.vertices @ directions.T).max(axis=0)  # how far each reaches in these directions
    reach = (truth.vertices @ directions.T).max(axis=0)
    assert (own > reach - 0.05).mean() > 0.98


def test_masks_without_a_point_in_common_are_refused(views):
    moved = [
        dr.View(view.image, np.roll(view.mask, 45 * (-1) ** number, axis=1), view.camera)
        for number, view in enumerate(views)
    ]
    with pytest.raises(ValueError, match="no point in common"):
        visual_hull(moved, cells=30)
    with pytest.raises(ValueError, match="at least two views, got 1"):
        visual_hull(views[:1])


def test_what_a_photo_cuts_off_is_not_cut_off_the_hull(views):
    cut = views[0].mask.copy()
    rows = np.flatnonzero(cut.any(axis=1))
    top = (rows[0] + rows[-1]) // 2
    camera = views[0].camera
    K = camera.K - [[0, 0, 0], [0, 0, top], [0, 0, 0]]
    lower = dr.View(views[0].image[top:], cut[top:], dr.Camera(K, camera.R, camera.t, (SIZE[0] - top, SIZE[1])))
    assert lower.cut_off_border() > 0 and views[0].cut_off_border() == 0
    hull = visual_hull([lower, *views[1:]], cells=40)
    assert evaluate(hull, views[0])["silhouette_iou"] > 0.9


def test_a_cropped_view_sees_the_same_places(truth, views):
    cropped = views[0].cropped(5)
    assert cropped.camera.size < SIZE and (cropped.mask > 0.5).sum() == (views[0].mask > 0.5).sum()
    whole, part = (project(truth.vertices, view.camera)[:, :2] for view in (views[0], cropped))
    offset = (whole - part).mean(axis=0)
    np.testing.assert_allclose(whole - part, np.broadcast_to(offset, part.shape), atol=1e-3)
    left, top = offset.round().astype(int)
    np.testing.assert_array_equal(
        views[0].image[top : top + cropped.camera.size[0], left : left + cropped.camera.size[1]], cropped.image
    )


def test_colors_are_blended_from_the_views_that_see_them(truth, views):
    # Half of the sphere is hidden from the only two views, which are neighbours.
    painted = blend(dr.Mesh(truth.vertices, truth.faces), views)
    error = np.abs(painted - truth.vertex_colors)
    assert np.median(error) < 0.03 and np.quantile(error, 0.95) < 0.12
    few = blend(dr.Mesh(truth.vertices, truth.faces), views[:1])
    assert np.isfinite(few).all()
    away = truth.vertices @ views[0].camera.center < -1.5
    spread = truth.vertex_colors[~away]
    assert (few[away] >= spread.min(axis=0) - 0.05).all() and (few[away] <= spread.max(axis=0) + 0.05).all()


def test_subdivision_keeps_the_surface_and_the_colors():
    mesh = bumpy(1)
    fine = subdivide(mesh)
    assert len(fine.faces) == 4 * len(mesh.faces) and is_closed_manifold(fine.faces)
    assert fine.vertex_colors is not None

    def area(m):
        corners = m.vertices[m.faces]
        return np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum()

    assert area(fine) == pytest.approx(area(mesh))
    np.testing.assert_array_equal(fine.vertices[: len(mesh.vertices)], mesh.vertices)


def test_cameras_go_round_the_vertical_of_the_photos(truth, cameras):
    down = common_down(cameras)
    np.testing.assert_allclose(down, [0, -1, 0], atol=0.05)
    camera = facing(truth, cameras[1], (60, 60))
    pixel = project(truth.vertices, camera)
    assert pixel[:, :2].min() > 0 and pixel[:, :2].max() < 60
    for degrees in (90, 200):
        around = orbited(camera, np.zeros(3), degrees, down)
        assert around.center @ down == pytest.approx(camera.center @ down, abs=1e-9)  # at the same height
        assert np.linalg.norm(around.center - camera.center) > 1


def test_a_fit_of_many_views_improves_on_its_hull(views):
    steps = list(dr.fit(views, "hull", dr.FitSettings(steps=30, faces=4000, resolution=120)))
    before, after = ([evaluate(step.mesh, view) for view in views] for step in (steps[0], steps[-1]))
    ious, psnrs = ([[m[name] for m in ms] for ms in (before, after)] for name in ("silhouette_iou", "psnr_db"))
    assert np.mean(ious[1]) > np.mean(ious[0]) + 0.005
    assert np.mean(psnrs[1]) > 26  # what the mesh misses of a mask counts as black: a hull misses nothing
    mesh = steps[-1].mesh
    assert is_closed_manifold(mesh.faces) and count_flipped_faces(mesh.vertices, mesh.faces) == 0


def off_by(mesh, camera, other):
    """Return by how many px two cameras see the vertices apart, on average."""
    return np.linalg.norm((project(mesh.vertices, camera) - project(mesh.vertices, other))[:, :2], axis=1).mean()


def test_cameras_and_exposures_are_adjusted_by_the_way(truth, views):
    """Shaken cameras and tinted photos: with adjustments the mesh explains the photos better, and tells the tints."""
    random = np.random.default_rng(3)
    gains = np.exp(random.uniform(-0.25, 0.25, (len(views), 3)))
    gains /= np.exp(np.log(gains).mean(axis=0))
    turns, shifts = (
        step - step.mean(axis=0) for step in random.normal(0, (0.02, 0.03), (len(views), 3, 2)).T.swapaxes(1, 2)
    )
    shaken = [
        replace(
            view,
            image=np.clip(view.image * gain, 0, 1),
            camera=replace(
                view.camera, R=view.camera.R @ rotation_matrix(turn), t=view.camera.t + view.camera.R @ shift
            ),
        )
        for view, gain, turn, shift in zip(views, gains, turns, shifts, strict=True)
    ]
    settings = dr.FitSettings(steps=60, faces=4000, resolution=120, views_per_step=8)
    *_, plain = dr.fit(shaken, "hull", settings)
    *_, step = dr.fit(shaken, "hull", replace(settings, camera_learning_rate=5e-3, exposure_learning_rate=3e-2))
    found = step.state.adjustments
    np.testing.assert_allclose([found.gain(number) for number in range(len(views))], gains, rtol=0.12)
    before, after = (
        np.mean([off_by(truth, view.camera, camera) for camera, view in zip(cameras, views, strict=True)])
        for cameras in ([view.camera for view in shaken], [view.camera for view in adjusted(shaken, found)])
    )
    print(
        before,
        after,
        compare_meshes(step.mesh, truth).chamfer,
        compare_meshes(plain.mesh, truth).chamfer,
        [found.gain(number) / gains[number] for number in range(len(views))],
    )
    assert after < 0.75 * before
    assert compare_meshes(step.mesh, truth).chamfer < 0.95 * compare_meshes(plain.mesh, truth).chamfer


def test_a_run_that_is_killed_and_resumed_ends_at_the_same_bits(folder, tmp_path, monkeypatch):
    for name, value in (("_CHECKPOINT_EVERY", 3), ("_TURNTABLE_SIDE", 60), ("_TURNTABLE_FRAMES", 4), ("_GIF_SIDE", 60)):
        monkeypatch.setattr(f"diffrender.record.run.{name}", value)
    settings = replace(QUICK, camera_learning_rate=2e-3, exposure_learning_rate=2e-2)
    whole = Run.start(tmp_path / "whole", folder, mesh="hull", settings=settings, hold_out=4)
    assert [view.name for view in whole.held_out] == ["000", "004"]
    whole.advance()
    metrics = whole.export()
    assert metrics["views"] == 6 and metrics["held_out"]["silhouette_iou"] > 0.85

    killed = Run.start(tmp_path / "killed", folder, mesh="hull", settings=settings, hold_out=4)

    def die(step):
        if step.step == 5:  # two steps after the last checkpoint
            raise SystemExit

    with pytest.raises(SystemExit):
        killed.advance(die)
    resumed = Run.resume(tmp_path / "killed", folder)
    assert resumed.step == 3
    resumed.advance()
    resumed.export()
    for name in ("mesh.glb", "fit.gif", "turntable.webp", "views.png", "cameras.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    lines = [json.loads(line) for line in (tmp_path / "killed" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 9))
    assert {"loss", "silhouette", "color", "faces", "seconds"} <= lines[0].keys()


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_run_ends_with_a_texture_on_the_faces_of_the_fit(folder, tmp_path, monkeypatch):
    small = {"_TURNTABLE_SIDE": 60, "_TURNTABLE_FRAMES": 4, "_GIF_SIDE": 60, "_FACES_OF_A_PICTURE": 2000}
    for name, value in small.items():
        monkeypatch.setattr(f"diffrender.record.run.{name}", value)
    run = Run.start(tmp_path / "run", folder, mesh="hull", settings=QUICK, texture=256)
    run.advance()
    metrics = run.export()
    mesh = dr.load_mesh(tmp_path / "run" / "mesh.glb")
    assert mesh.vertex_colors is None and mesh.texture.image.shape == (256, 256, 3)
    np.testing.assert_array_equal(mesh.faces, run.state.faces)
    assert metrics["faces"] == len(mesh.faces) and metrics["closed"] and metrics["psnr_db"] > 20
    steps = []

    def stop(step):
        steps.append(step)
        if len(steps) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.refine(stop)
    run.export()
    kept = dr.load_mesh(tmp_path / "run" / "mesh.glb")
    np.testing.assert_array_equal(to_bytes(kept.texture.image), to_bytes(steps[-1].mesh.texture.image))
    assert (to_bytes(kept.texture.image) != to_bytes(mesh.texture.image)).any()
    again = Run.resume(tmp_path / "run", folder, texture=64)
    assert again.done and again.refines  # no step depends on it
    again.export()
    assert dr.load_mesh(tmp_path / "run" / "mesh.glb").texture.image.shape == (64, 64, 3)
    assert Run.resume(tmp_path / "run", folder).request.texture == 64
    with pytest.raises(ValueError, match="a texture's size must be from 16 to 8,192 px, got 9000"):
        Run.start(tmp_path / "other", folder, texture=9000)
    assert not (tmp_path / "other").exists()


def test_a_disk_that_fills_up_keeps_the_last_checkpoint(folder, tmp_path, monkeypatch):
    import resource

    monkeypatch.setattr("diffrender.record.run._CHECKPOINT_EVERY", 3)
    run = Run.start(tmp_path / "run", folder, mesh="hull", settings=QUICK)
    path = tmp_path / "run" / "checkpoint.npz"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    kept = []

    def fill(step):
        if step.step == 5:
            kept.append(path.read_bytes())
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(kept[0]) // 2, limits[1]))

    try:
        with pytest.raises(OSError, match="File too large"):
            run.advance(fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == kept[0] and not list((tmp_path / "run").glob(".*"))
    assert Run.resume(tmp_path / "run", folder).step == 3


def test_a_folder_that_has_changed_is_not_resumed(folder, tmp_path):
    changed = tmp_path / "photos"
    (changed / "image").mkdir(parents=True)
    for path in (folder / "image").iterdir():
        (changed / "image" / path.name).write_bytes(path.read_bytes())
    (changed / "cameras_sphere.npz").write_bytes((folder / "cameras_sphere.npz").read_bytes())
    Run.start(tmp_path / "run", changed, settings=QUICK)
    picture = np.asarray(Image.open(changed / "image" / "002.png")).copy()
    picture[40:50, 50:60] = 0
    Image.fromarray(picture).save(changed / "image" / "002.png")
    with pytest.raises(ValueError, match="not the photos, masks and cameras"):
        Run.resume(tmp_path / "run", changed)


def test_the_command_fits_a_folder_and_judges_it(folder, tmp_path, monkeypatch, capsys):
    from diffrender.cli.main import main

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["diffrender", *map(str, arguments)])
        try:
            main()
        except SystemExit as exit_:
            return int(exit_.code or 0), *capsys.readouterr()
        return 0, *capsys.readouterr()

    for name, value in (("_TURNTABLE_SIDE", 60), ("_TURNTABLE_FRAMES", 4), ("_GIF_SIDE", 60)):
        monkeypatch.setattr(f"diffrender.record.run.{name}", value)
    monkeypatch.setattr("warnings.showwarning", warnings.showwarning)  # put back after the command has set its own
    quick = ["--mesh", "hull", "--steps", "4", "--faces", "2000", "--resolution", "90"]
    status, printed, _ = run("fit", folder, "--out", tmp_path / "run", "--hold-out", "4", *quick)
    assert status == 0 and "6 photos, 2 more left out" in printed and "on 2 photos left out" in printed
    written = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"mesh.glb", "fit.gif", "turntable.webp", "views.png", "metrics.json", "log.jsonl"} <= written
    status, printed, _ = run("eval", tmp_path / "run", folder, "--every", "4", "--json")
    judged = json.loads(printed)["mean"]
    held_out = json.loads((tmp_path / "run" / "metrics.json").read_text())["held_out"]
    assert judged["silhouette_iou"] == pytest.approx(held_out["silhouette_iou"], abs=1e-4)
    status, _, errors = run("fit", folder, "--out", tmp_path / "run", "--hold-out", "3", "--resume")
    assert status == 1 and "--hold-out 3 cannot be given with --resume: the run has 4" in errors
    start = ("fit", folder, "--out", tmp_path / "sparse", "--mesh", tmp_path / "run" / "mesh.glb", "--steps", "5")
    status, _, errors = run(*start, "--resolution", "90", "--sparse")
    assert status == 0, errors
    before, after = (dr.load_mesh(tmp_path / name / "mesh.glb") for name in ("run", "sparse"))
    moved = (before.vertices != after.vertices).any(axis=1)
    assert 0 < moved.mean() < 0.5
    status, _, errors = run(*start[:4], "--resume", "--sparse", "--adjust-cameras")
    assert status == 1 and "--adjust-cameras cannot be given with --resume: the run has no such setting" in errors


@pytest.mark.parametrize(
    "options, message",
    [
        ({"mesh": "balloon"}, "balloon is made from one photo"),
        ({"hold_out": 1}, "at least 2, got 1"),
        ({"mask": "mask.png"}, "--mask is for one photo"),
    ],
)
def test_what_does_not_go_with_a_folder_is_refused(folder, tmp_path, options, message):
    with warnings.catch_warnings(), pytest.raises(ValueError, match=message):
        Run.start(tmp_path / "run", folder, settings=QUICK, **options)
    assert not (tmp_path / "run").exists()


def test_the_log_drops_what_a_resumed_run_makes_again_and_a_torn_line(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"st')
    Log(path, 2).append({"step": 3})
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 3]
    Log(path, 0)
    assert path.read_text() == ""
