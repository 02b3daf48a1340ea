"""Poses of known meshes in pictures: made with many hard samples a pixel, which is not how the search draws."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from diffrender.cli import main as cli
from gradcheck import assert_transposed
from meshes import bumpy, tilted_camera
from PIL import Image

import diffrender as dr
from diffrender.camera import rotation_matrix
from diffrender.color import to_bytes
from diffrender.orbit import middle
from diffrender.pose_beside import quarter_turns
from diffrender.pose_level import level_of
from diffrender.pose_light import relit
from diffrender.pose_matte import matte
from diffrender.pose_moves import angle_between, moved, moves
from diffrender.pose_starts import even_rotations
from diffrender.shading import vertex_normals

SIZE = (64, 64)
LOCAL = dr.PoseSettings(starts=0)
ENTRY = str(Path(sys.executable).with_name("diffrender"))


@pytest.fixture(scope="module")
def lump():
    """A dented sphere with random colours, nowhere symmetric."""
    return bumpy(2, np.float32)


@pytest.fixture(scope="module")
def camera():
    return dr.Camera.look_at((1.5, 1.1, 3.4), (0.1, -0.1, 0.2), fov_degrees=44, size=SIZE)


def photographed(mesh, camera, samples=4, light=None):
    """Return RGBA (H, W, 4), each pixel the mean of samples^2 with hard edges."""
    height, width = camera.size
    fine = camera.resized((height * samples, width * samples))
    image = dr.render(mesh, fine, dr.Soft(1e-5, 1e-4, 0.5, 8), light).image
    image[..., :3] *= image[..., 3:]
    image = image.reshape(height, samples, width, samples, 4).mean(axis=(1, 3))
    image[..., :3] /= np.maximum(image[..., 3:], 1e-6)
    return np.clip(image, 0, 1)


def turned(camera, mesh, degrees, axis=(0.48, -0.6, 0.64), shift=(0.0, 0.0, 0.0)):
    """Return the camera after a turn about the mesh's middle and a shift."""
    return moved(camera, middle(mesh), np.array([*(np.radians(degrees) * np.array(axis)), *shift]))


def off(mesh, found, camera):
    """Return by how many degrees a pose is off, and by how much of the distance."""
    place, wanted = (each.R @ middle(mesh) + each.t for each in (found, camera))
    return float(angle_between(found.R, camera.R)), float(np.linalg.norm(place - wanted) / np.linalg.norm(wanted))


def test_moves_are_the_derivatives_of_moved_pixels():
    mesh, camera = bumpy(1), tilted_camera()
    soft = dr.Soft(sigma=1.3, gamma=2e-2, near=1.0, far=6.0)
    center = np.array([0.2, -0.1, 0.3])
    tangent = dr.render(mesh, camera, soft).jvp(**moves(camera, center, True)._asdict())
    assert tangent.shape == (7, *camera.size, 4)

    def forward(step):
        return dr.render(mesh, moved(camera, center, step), soft).image

    assert_transposed(forward, lambda grad: ((tangent * grad).sum(axis=(1, 2, 3)),), (np.zeros(7),), tolerance=1e-5)


def test_even_rotations_are_rotations_and_leave_no_gap():
    rotations = even_rotations(300)
    np.testing.assert_allclose(
        rotations @ rotations.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (300, 3, 3)), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(rotations), 1)
    random = np.random.default_rng(0)
    for _ in range(50):
        anywhere = rotation_matrix(random.normal(size=3) * 2)
        assert angle_between(rotations, anywhere).min() < 35  # of 300 perfectly spread ones, about 30


def test_quarter_turns_are_all_ways_in_which_a_cube_fits_its_place():
    turns = np.concatenate([np.eye(3)[None], quarter_turns()])
    assert len(np.unique(turns, axis=0)) == 24
    np.testing.assert_array_equal(np.linalg.det(turns), 1)
    assert {len(np.unique(np.abs(turn @ [1, 2, 3]))) for turn in turns} == {3}


def test_a_face_seen_head_on_does_not_hold_the_search():
    """A second face just comes into sight: descents from the other side of it stall 3 degrees off, where it is hidden."""
    cube = dr.load_mesh(Path(__file__).parent.parent / "assets" / "cube.glb")
    camera = dr.Camera.look_at((-7.92, 1.15, -0.13), fov_degrees=25, size=(96, 96))
    fit = dr.fit_pose(cube, photographed(cube, camera), turned(camera, cube, 50))
    assert off(cube, fit.camera, camera)[0] < 1


def test_a_pose_is_found_from_a_start_that_is_30_degrees_off(lump, camera):
    image = photographed(lump, camera)
    start = turned(camera, lump, 30, shift=(0.1, -0.05, 0.3))
    fit = dr.fit_pose(lump, image, start, LOCAL)
    rotation, translation = off(lump, fit.camera, camera)
    assert rotation < 0.2 and translation < 0.002
    assert fit.iou > 0.95 and fit.alternatives == () and fit.sigma_focal is None
    np.testing.assert_allclose(fit.history[0].R, start.R, atol=1e-6)
    assert fit.history[-1].to_dict() == fit.camera.to_dict()
    np.testing.assert_array_equal(fit.camera.K, camera.K)
    again = dr.fit_pose(lump, image, start, LOCAL)
    assert again.camera.to_dict() == fit.camera.to_dict()
    np.testing.assert_array_equal(again.covariance, fit.covariance)


def test_a_pose_is_found_from_nothing_though_lit_and_exposed_otherwise(lump, camera):
    light = dr.Light((-0.5, 0.8, 0.6), 0.3, 0.6)
    image = photographed(lump, camera, light=light)
    image[..., :3] = np.clip(image[..., :3] * [0.9, 0.7, 0.6] + 0.02, 0, 1)
    away = dr.Camera(camera.K, np.eye(3), [0, 0, -5], SIZE)  # behind the mesh: only its K counts
    fit = dr.fit_pose(lump, image, away)
    rotation, translation = off(lump, fit.camera, camera)
    assert rotation < 0.5 and translation < 0.005


def test_the_silhouette_of_a_mesh_without_colours_is_enough_for_a_near_start(lump, camera):
    plain = dr.Mesh(lump.vertices, lump.faces)
    mask = photographed(lump, camera)[..., 3]
    view = dr.View(np.full((*SIZE, 3), 0.5), mask, turned(camera, lump, 8))
    rotation, translation = off(lump, dr.fit_pose(plain, view, settings=LOCAL).camera, camera)
    assert rotation < 1 and translation < 0.005


def test_the_focal_length_is_found_of_an_object_that_is_near(lump):
    camera = dr.Camera.look_at((0.9, 0.7, 1.9), fov_degrees=75, size=SIZE)
    wrong = dr.Camera(camera.K * [[1.15, 1, 1], [1, 1.15, 1], [1, 1, 1]], camera.R, camera.t, SIZE)
    fit = dr.fit_pose(lump, photographed(lump, camera), wrong, dr.PoseSettings(starts=0, focal=True))
    assert abs(fit.camera.focal / camera.focal - 1) < 0.01
    assert fit.covariance.shape == (7, 7) and 0 < fit.sigma_focal < 0.01
    assert off(lump, fit.camera, camera)[0] < 0.3


def test_the_uncertainty_is_the_spread_of_estimates_from_noisy_pictures(lump, camera):
    clean = photographed(lump, camera)
    found, said = [], []
    for seed in range(16):
        noisy = clean.copy()
        noisy[..., :3] = np.clip(clean[..., :3] + 0.1 * np.random.default_rng(seed).normal(size=(*SIZE, 3)), 0, 1)
        fit = dr.fit_pose(lump, noisy, camera, LOCAL)
        place = fit.camera.R @ middle(lump) + fit.camera.t
        turn = fit.camera.R @ camera.R.T
        axis = np.array([turn[2, 1], turn[0, 2], turn[1, 0]]) - [turn[1, 2], turn[2, 0], turn[0, 1]]
        found.append([*np.degrees(axis / 2), *place])
        said.append([*fit.sigma_rotation_degrees, *fit.sigma_translation])
    ratio = np.std(found, axis=0, ddof=1) / np.mean(said, axis=0)
    assert (ratio > 0.4).all() and (ratio < 2.5).all()  # 16 estimates tell a spread to +- 18 %
    assert 0.6 < np.exp(np.log(ratio).mean()) < 1.7


def test_a_symmetric_object_is_said_to_be_one(camera):
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-0.5, 0.5) for z in (-0.3, 0.3)], np.float32)
    squares = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
    faces = [triangle for a, b, c, d in squares for triangle in ((a, b, c), (a, c, d))]
    box = dr.Mesh(corners, np.array(faces))  # which half a turn about any axis leaves as it is
    camera = dr.Camera(camera.K, turned(camera, box, 20).R, camera.t, SIZE)
    fit = dr.fit_pose(box, photographed(box, camera), turned(camera, box, 10))
    assert off(box, fit.camera, camera)[0] < 1  # of the four, that next to the start
    assert len(fit.alternatives) >= 2
    for other in fit.alternatives:
        assert abs(off(box, other, camera)[0] - 180) < 3


def test_a_mask_that_is_too_large_is_cut_anew(lump, camera):
    from scipy.ndimage import binary_dilation

    camera = camera.resized((128, 128))
    image = photographed(lump, camera)
    behind = np.random.default_rng(1).uniform(0, 0.15, image.shape[:2])[..., None]
    photo = image[..., :3] * image[..., 3:] + behind * (1 - image[..., 3:])
    mask = binary_dilation(image[..., 3] > 0.5, iterations=2).astype(np.float32)
    view = dr.View(np.clip(photo, 0, 1), mask, turned(camera, lump, 3))
    trusted, cut = (dr.fit_pose(lump, view, settings=dr.PoseSettings(starts=0, recut=recut)) for recut in (False, True))
    assert off(lump, trusted.camera, camera)[1] > 0.02
    assert off(lump, cut.camera, camera)[1] < 0.006 and off(lump, cut.camera, camera)[0] < 1


def test_a_matte_is_the_share_of_a_pixel_that_is_covered():
    y, x = np.mgrid[0:40, 0:40] + 0.5
    share = np.clip(12.3 - np.hypot(x - 20, y - 20), -0.5, 0.5) + 0.5
    image = share[..., None] * [0.8, 0.3, 0.1] + (1 - share[..., None]) * [0.1, 0.2, 0.4]
    moved_outline = (np.hypot(x - 21, y - 20) < 12.3).astype(np.float32)
    cut = matte(image, moved_outline, 5)
    np.testing.assert_allclose(cut.mask, share, atol=0.02)
    assert cut.trust.min() > 0.9


def test_light_is_found_where_a_pose_is_right(lump, camera):
    light = dr.Light((0.3, 0.5, 0.8), 0.4, 0.5)
    image = photographed(lump, camera, light=light)
    level = level_of(dr.View(image[..., :3], image[..., 3], camera), 64)
    lit = relit(lump, camera, level).vertex_colors / np.maximum(lump.vertex_colors, 1e-3)
    normals, _ = vertex_normals(lump.vertices, lump.faces)
    cosine = np.maximum(normals @ np.array([0.3, 0.5, 0.8]) / np.sqrt(0.98), 0)
    seen = (lump.vertices @ camera.R[2] < 0) & (normals @ camera.R[2] < -0.3)
    assert np.corrcoef(lit[seen].mean(axis=1), (0.4 + 0.5 * cosine)[seen])[0, 1] > 0.95


def test_errors_show_what_is_wrong(lump, camera):
    image = photographed(lump, camera)
    beside = dr.Camera(camera.K, camera.R, camera.t + [9, 0, 0], SIZE)
    behind = dr.Camera(camera.K, camera.R, -camera.t, SIZE)
    lens = dr.Camera(camera.K, camera.R, camera.t, SIZE, dr.Distortion(k1=0.1))
    for arguments, message in (
        ((image * [1, 1, 1, 0], camera, LOCAL), "the mask is empty"),
        ((image, beside, LOCAL), "outside the image"),
        ((image, behind, LOCAL), "does not see the mesh"),
        ((image, lens), "needs a pinhole camera"),
        ((image, None), "needs a camera"),
        ((image[..., :3], camera), r"got shape \(64, 64, 3\)"),
        ((image[:60], camera), r"must have shape \(64, 64, 3\)"),
    ):
        with pytest.raises(ValueError, match=message):
            dr.fit_pose(lump, *arguments)
    for settings, message in (
        ({"starts": -1}, "starts must be an integer >= 0, got -1"),
        ({"steps": 0}, "steps must be an integer >= 1"),
        ({"color_weight": float("nan")}, "color_weight must be finite"),
        ({"color_weight": 0.0, "silhouette_weight": 0.0}, "nothing to compare"),
    ):
        with pytest.raises(ValueError, match=message):
            dr.PoseSettings(**settings)


@pytest.fixture(scope="module")
def files(tmp_path_factory, lump):
    """A photo of the lump, its mesh, and the camera that took the photo."""
    folder = tmp_path_factory.mktemp("pose")
    camera = dr.Camera.look_at((1.5, 1.1, 3.4), (0.1, -0.1, 0.2), fov_degrees=44, size=(64, 80))
    image = photographed(lump, camera)
    over_grey = image[..., :3] * image[..., 3:] + 0.9 * (1 - image[..., 3:])
    Image.fromarray(to_bytes(over_grey)).save(folder / "photo.png")
    lump.save(folder / "lump.glb")
    (folder / "start.json").write_text(json.dumps(turned(camera, lump, 15).to_dict()))
    return folder, camera


def run(monkeypatch, capsys, *arguments):
    """Run the command in this process; return its exit status, output and errors."""
    monkeypatch.setattr(sys, "argv", ["diffrender", "pose", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    captured = capsys.readouterr()
    return stop.value.code or 0, captured.out, captured.err


def test_the_command_writes_camera_overlay_and_animation(tmp_path, files, lump, monkeypatch, capsys):
    folder, camera = files
    given = (folder / "photo.png", "--mesh", folder / "lump.glb", "--out", tmp_path / "out")
    status, printed, errors = run(monkeypatch, capsys, *given, "--fov", 44)
    assert (status, errors) == (0, "")
    assert "mask from background" in printed and "before the camera" in printed and "silhouette_iou 0.9" in printed
    found = dr.Camera.from_dict(json.loads((tmp_path / "out" / "camera.json").read_text()))
    rotation, translation = off(lump, found, camera)
    assert rotation < 1 and translation < 0.01
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "camera.json",
        "overlay.png",
        "pose.gif",
        "mask.png",
    }
    with Image.open(tmp_path / "out" / "overlay.png") as picture, Image.open(tmp_path / "out" / "pose.gif") as gif:
        assert picture.size == (2 * 80 + 6, 64) and gif.n_frames > 3
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    alpha = dr.render_silhouette(lump, found, dr.Hard()).alpha
    outline = np.abs(pixels[:, :80] - [255, 0, 200]).max(axis=2) == 0
    assert outline.any() and not outline[(alpha == 0) & (np.roll(alpha, 1, 0) == 0)][:5].any()
    status, printed, _ = run(monkeypatch, capsys, *given, "--camera", folder / "start.json")
    assert status == 0
    found = dr.Camera.from_dict(json.loads((tmp_path / "out" / "camera.json").read_text()))
    assert off(lump, found, camera)[0] < 1


def test_the_command_says_what_is_wrong_in_one_line(tmp_path, files, monkeypatch, capsys):
    folder, camera = files
    photo, mesh = folder / "photo.png", folder / "lump.glb"
    (tmp_path / "no.json").write_text("{")
    (tmp_path / "small.json").write_text(json.dumps(camera.resized((32, 40)).to_dict()))
    Image.new("RGB", (80, 64)).save(tmp_path / "black.png")
    for arguments, message in (
        ((tmp_path / "none.png", "--mesh", mesh), "none.png: no such file"),
        ((photo, "--mesh", tmp_path / "none.glb"), "none.glb"),
        ((photo, "--mesh", mesh, "--fov", 0), "--fov must lie between 0 and 180 degrees, got 0"),
        ((photo, "--mesh", mesh, "--camera", tmp_path / "no.json"), "no.json: not a camera"),
        (
            (photo, "--mesh", mesh, "--camera", tmp_path / "small.json"),
            "a camera of 40x32 px, but the photo is 80x64 px",
        ),
        ((photo, "--mesh", mesh, "--camera", folder / "start.json", "--fov", 40), "--fov 40 cannot be given with"),
        ((photo, "--mesh", mesh, "--mask", tmp_path / "black.png"), "the mask is empty"),
    ):
        status, _, errors = run(monkeypatch, capsys, *arguments, "--out", tmp_path / "out")
        assert status == 1 and message in errors and errors.count("\n") == 1 and "Traceback" not in errors
    assert not (tmp_path / "out" / "camera.json").exists()


def test_an_interrupted_command_keeps_the_best_so_far(tmp_path, files, lump, monkeypatch, capsys):
    folder, _ = files
    from diffrender import pose_search

    real, count = pose_search.advanced, iter(range(100))

    def interrupted(*arguments):
        if next(count) == 6:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(pose_search, "advanced", interrupted)
    given = (folder / "photo.png", "--mesh", folder / "lump.glb", "--fov", 44, "--out", tmp_path / "out")
    status, printed, errors = run(monkeypatch, capsys, *given)
    assert status == 130 and "interrupted; writing the best pose so far" in errors and "wrote" in printed
    dr.Camera.from_dict(json.loads((tmp_path / "out" / "camera.json").read_text()))
    assert (tmp_path / "out" / "pose.gif").exists()
