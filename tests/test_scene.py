"""Photos with cameras in three formats. Photos here show a pattern of directions in the world, so that after any
conversion each pixel can be compared with what its new camera says it must show."""

import itertools
import json
import shutil
import struct
import sys
from dataclasses import replace

import numpy as np
import pytest
from diffrender.cli import main as cli
from PIL import Image

from diffrender.camera import Camera
from diffrender.color import linear_to_srgb
from diffrender.views.scene import Distortion, Frame, Scene, changes, read_scene, write_scene

FORMATS = ("transforms", "colmap", "idr")
POINTS = np.random.default_rng(5).uniform(-0.7, 0.7, (40, 3)) + [0.4, -0.2, 0.3]
BROWN = Distortion(-0.12, 0.06, 0.01, 0, 0.004, -0.006)
FISHEYE = Distortion(0.03, -0.01, 0.004, -0.001, fisheye=True)


def seen(camera, points=POINTS):
    """Pixels and depths (N, 3), written out."""
    x = points @ camera.R.T + camera.t
    pixel = x @ camera.K.T
    return np.column_stack([pixel[:, :2] / pixel[:, 2:], x[:, 2]])


def distorted(lens, x, y):
    """OpenCV's documentation, in numbers of its own."""
    r = np.hypot(x, y)
    if lens.fisheye:
        a = np.arctan(r)
        bent = a + lens.k1 * a**3 + lens.k2 * a**5 + lens.k3 * a**7 + lens.k4 * a**9
        return x * bent / r, y * bent / r
    radial = 1 + lens.k1 * r**2 + lens.k2 * r**4 + lens.k3 * r**6 + lens.k4 * r**8
    return (
        x * radial + 2 * lens.p1 * x * y + lens.p2 * (r**2 + 2 * x**2),
        y * radial + lens.p1 * (r**2 + 2 * y**2) + 2 * lens.p2 * x * y,
    )


def directions(camera, lens=None):
    """The world's direction (H, W, 3) that each pixel of a photo shows; the lens is inverted by iteration."""
    height, width = camera.size
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    at = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(camera.K).T
    x, y = at[..., 0], at[..., 1]
    if lens is not None:
        for _ in range(60):
            bent = distorted(lens, x, y)
            x, y = x + at[..., 0] - bent[0], y + at[..., 1] - bent[1]
        assert np.abs(np.subtract(distorted(lens, x, y), (at[..., 0], at[..., 1]))).max() < 1e-9
    rays = np.stack([x, y, np.ones_like(x)], -1) @ camera.R
    return rays / np.linalg.norm(rays, axis=-1, keepdims=True)


def pattern(rays):
    """A smooth sRGB image (H, W, 3) of directions, and a smooth mask (H, W)."""
    image = 0.5 + 0.4 * np.sin(rays @ np.array([[9.0, 2, -3], [-4, 8, 5], [5, 6, 9]]).T + [0, 1, 2])
    return image, 0.5 + 0.45 * np.sin(rays @ [7.0, -6, 5])


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.rint(values * 255).astype(np.uint8)).save(path)
    return path


def cameras(kind, count=4):
    """Cameras round the points, each with its own size and K."""
    random = np.random.default_rng(3)
    for index in range(count):
        size = (40 + 4 * index, 62 - 3 * index)
        eye = POINTS.mean(0) + random.normal(size=3) * 0.3 + [3 * np.cos(index), 3 * np.sin(index), 1]
        camera = Camera.look_at(eye, POINTS.mean(0), (0.1, 0, 1), 38, size)
        K = camera.K * random.uniform(0.95, 1.05, (3, 3)) + [[0, 0, 1.7], [0, 0, -2.3], [0, 0, 0]]
        K[2, 2] = 1
        if kind in ("skew", "mirror"):
            K[0, 1] = random.uniform(2, 5)
        if kind == "mirror":
            K[1] = [0, -K[1, 1], K[1, 2]]
        yield replace(camera, K=K)


def make(folder, kind):
    """A scene of photos of the pattern, with masks."""
    lenses = {"lens": (BROWN, Distortion(0.1, 0, 0, 0.02), FISHEYE, Distortion(-0.1))}.get(kind, (None,) * 4)
    names = ("left/a", "right/a", "b c", "d")
    frames = []
    for name, camera, lens in zip(names, cameras(kind), lenses):
        image, mask = pattern(directions(camera, lens))
        image, mask = save(folder / "photos" / f"{name}.png", image), save(folder / "cut" / f"{name}.png", mask)
        frames.append(Frame(name, image, mask, camera, lens))
    return Scene(folder, "transforms", tuple(frames))


def check_photos(scene):
    """Every photo shows what its camera says, and its mask too where it is not 0."""
    for frame in scene.frames:
        photo, mask = frame.load()
        assert photo.image.shape[:2] == mask.shape == frame.camera.size
        image, expected = pattern(directions(frame.camera))
        inside = mask > 0
        assert inside.mean() > 0.75
        error = np.abs(linear_to_srgb(photo.image) - image)[inside]
        assert error.mean() < 0.0025 and error.max() < 0.04  # half a pixel at the photo's edge
        error = np.abs(mask - expected)[inside]
        assert error.mean() < 0.0025 and error.max() < 0.04


@pytest.mark.parametrize("kind", ["plain", "lens", "skew", "mirror"])
def test_every_format_becomes_every_other(tmp_path, kind):
    start = make(tmp_path / "start", kind)
    check_photos(start)
    by_path = {}
    for first, second in itertools.product(FORMATS, FORMATS):
        if first not in by_path:
            by_path[first] = write_scene(start, tmp_path / first, first)
        before = by_path[first]
        after = write_scene(before, tmp_path / f"{first}-{second}", second)
        assert (before.format, after.format) == (first, second)
        check_photos(after)
        expected_names = ["000", "001", "002", "003"] if "idr" in (first, second) else ["b c", "d", "left/a", "right/a"]
        if "colmap" in (first, second):
            expected_names = [name.replace(" ", "_") for name in expected_names]
        assert sorted(frame.name for frame in after.frames) == expected_names
        # COLMAP's order is that of the names: frames are matched by their centres, which never change.
        for old in before.frames:
            new = min(after.frames, key=lambda frame: np.linalg.norm(frame.camera.center - old.camera.center))
            x, y, depth = seen(old.camera).T
            K, (height, _) = old.camera.K, old.camera.size
            if second != "idr":
                x = x - K[0, 1] / K[1, 1] * (y - height / 2)
                y = height - y if K[1, 1] < 0 else y
            np.testing.assert_allclose(seen(new.camera), np.column_stack([x, y, depth]), atol=1e-6)
            np.testing.assert_allclose(new.camera.center, old.camera.center, atol=1e-9)
            assert new.distortion == (None if "distortion" in changes(old, second) else old.distortion)
            if not changes(old, second) and second != "idr":
                assert new.image.read_bytes() == old.image.read_bytes()
                assert new.mask.read_bytes() == old.mask.read_bytes()


def test_what_a_format_cannot_hold_is_named(tmp_path):
    expected = {
        "plain": (set(), set(), set()),
        "skew": ({"skew"}, {"skew"}, set()),
        "mirror": ({"skew", "mirror"}, {"skew", "mirror"}, set()),
        "lens": (set(), set(), {"distortion"}),
    }
    for kind, sets in expected.items():
        frame = make(tmp_path / kind, kind).frames[0]
        assert tuple(changes(frame, format) for format in FORMATS) == sets
    both = replace(make(tmp_path / "both", "skew").frames[0], distortion=BROWN)
    assert changes(both, "colmap") == {"skew", "distortion"}
    assert changes(replace(frame, distortion=Distortion(k4=0.1)), "colmap") == {"distortion"}
    rounding = replace(frame.camera, K=frame.camera.K + [[0, 1e-3, 0], [0, 0, 0], [0, 0, 0]])
    assert not changes(replace(frame, camera=rounding), "colmap")


@pytest.mark.parametrize("lens", [BROWN, FISHEYE, Distortion(0.2, -0.1, 0, 0.05)])
def test_undistorted_photos_show_what_the_pinhole_sees(tmp_path, lens):
    camera = Camera.look_at((3, 1, 1), size=(90, 120), fov_degrees=50)
    camera = replace(camera, K=camera.K + [[4, 3, 5], [0, -3, -4], [0, 0, 0]])
    photo, mask = pattern(directions(camera, lens))
    frame = Frame("a", save(tmp_path / "a.png", photo), save(tmp_path / "m.png", mask), camera, lens)
    check_photos(Scene(tmp_path, "transforms", (frame,)))
    # Against the photo as it is, so that the test would see a lens that is not there.
    plain = linear_to_srgb(replace(frame, distortion=None).load()[0].image)
    assert np.abs(plain - pattern(directions(camera))[0]).mean() > 0.006


def test_distortion_is_opencvs():
    cv2 = pytest.importorskip("cv2")
    points = np.random.default_rng(0).uniform(-0.8, 0.8, (30, 2))
    rays, none = np.column_stack([points, np.ones(30)])[:, None], np.zeros(3)
    brown = np.array([BROWN.k1, BROWN.k2, BROWN.p1, BROWN.p2, BROWN.k3])
    expected = cv2.projectPoints(rays, none, none, np.eye(3), brown)[0][:, 0]
    np.testing.assert_allclose(BROWN.distort(points), expected, atol=1e-12)
    fisheye = np.array([FISHEYE.k1, FISHEYE.k2, FISHEYE.k3, FISHEYE.k4])
    expected = cv2.fisheye.projectPoints(rays, none, none, np.eye(3), fisheye)[0][:, 0]
    np.testing.assert_allclose(FISHEYE.distort(points), expected, atol=1e-12)
    np.testing.assert_array_equal(FISHEYE.distort(np.zeros((1, 2))), 0)


def test_pixels_that_the_distorted_photo_lacks(tmp_path):
    camera = Camera(np.array([[40.0, 0, 30], [0, 40, 20], [0, 0, 1]]), np.eye(3), np.zeros(3), (40, 60))
    image = np.tile(np.linspace(0.2, 0.8, 60)[:, None], (40, 1, 3)).reshape(40, 60, 3)
    mask = np.ones((40, 60))
    mask[20, 30] = 0
    files = save(tmp_path / "a.png", image), save(tmp_path / "m.png", mask)
    x, y = np.meshgrid((np.arange(60) + 0.5 - 30) / 40, (np.arange(40) + 0.5 - 20) / 40)
    pincushion = Distortion(0.3)
    photo, found = Frame("a", *files, camera, pincushion).load()
    bent = distorted(pincushion, x, y)
    outside = (np.abs(bent[0]) > 30 / 40) | (np.abs(bent[1]) > 20 / 40)
    assert 0.1 < outside.mean() < 0.5
    np.testing.assert_array_equal(found[outside], 0)
    assert (found[~outside] > 0).all()
    np.testing.assert_allclose(linear_to_srgb(photo.image)[:, 0], 0.2, atol=2e-3)  # the nearest colour
    photo, found = Frame("a", files[0], None, camera, pincushion).load()
    assert found is None and photo.alpha is None
    # A strong barrel folds the polynomial back into the photo: beyond the fold there is nothing to see.
    barrel = Distortion(-0.9)
    folded = np.hypot(x, y) > 1 / np.sqrt(3 * 0.9)
    assert barrel.limit == pytest.approx(1 / np.sqrt(3 * 0.9)) and folded.mean() > 0.1
    np.testing.assert_array_equal(Frame("a", *files, camera, barrel).load()[1][folded], 0)
    assert Distortion(0.3).limit == FISHEYE.limit == np.inf
    assert Distortion(-0.5, fisheye=True).limit == pytest.approx(np.tan(np.sqrt(1 / 1.5)))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_are_the_stored_ones_whatever_exif_says(tmp_path, orientation):
    stored = np.random.default_rng(1).integers(0, 256, (12, 17, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    camera = Camera.look_at((1, 2, 3), size=(12, 17))
    photo, _ = Frame("a", tmp_path / "a.png", None, camera).load()
    np.testing.assert_array_equal(np.rint(linear_to_srgb(photo.image) * 255), stored)


def test_alpha_stays_and_becomes_the_mask_that_neus_needs(tmp_path):
    camera = replace(next(cameras("skew")), size=(30, 40))
    alpha = np.zeros((30, 40))
    alpha[5:20, 10:30] = 1
    save(tmp_path / "in" / "a.png", np.dstack([np.full((30, 40, 3), 0.6), alpha]))
    start = Scene(tmp_path, "transforms", (Frame("a", tmp_path / "in" / "a.png", None, camera),))
    for format in FORMATS:
        photo, mask = write_scene(start, tmp_path / format, format).frames[0].load()
        assert photo.alpha is not None and abs(photo.alpha.sum() - 300) < 25
        np.testing.assert_array_equal(mask if format == "idr" else photo.alpha, photo.alpha)
        assert (mask is None) == (format != "idr")


# transforms.json


def blender(folder, **more):
    """A NeRF scene of one camera in (0, 0, 4) that looks along -z."""
    pose = np.eye(4)
    pose[2, 3] = 4
    save(folder / "train" / "r_0.png", np.full((30, 40, 3), 0.5))
    entry = {"file_path": "./train/r_0", "rotation": 0.1, "transform_matrix": pose.tolist()}
    return {"camera_angle_x": 0.7, "frames": [entry]} | more


def dump(folder, document, name="transforms.json"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(document if isinstance(document, str) else json.dumps(document))
    return folder


def test_nerf_scenes(tmp_path):
    dump(tmp_path, blender(tmp_path), "transforms_train.json")
    for path in (tmp_path, tmp_path / "transforms_train.json"):
        scene = read_scene(path)
        frame = scene.frames[0]
        assert (scene.format, frame.name, frame.mask, frame.distortion) == ("transforms", "r_0", None, None)
        focal = 20 / np.tan(0.35)
        expected = [[20 + focal * 0.5 / 4, 15 - focal * 0.25 / 4, 4]]
        np.testing.assert_allclose(seen(frame.camera, np.array([[0.5, 0.25, 0]])), expected)


def test_nerfstudio_frames_win_over_the_file(tmp_path):
    document = blender(tmp_path, fl_x=50, fl_y=52.5, cx=19, cy=14, w=40, h=30, k1=0.1, p2=0.01, camera_model="OPENCV")
    document["applied_transform"] = [[0, 1, 0, 5], [1, 0, 0, 6], [0, 0, -1, 7]]  # how the frames came to be: no concern
    document["applied_scale"] = 3.0
    own = dict(document["frames"][0], file_path="train\\r_1.jpg", mask_path="cut/r_1.png")
    own |= {"fl_x": 60.0, "cx": 21, "k1": 0.2, "camera_model": "OPENCV_FISHEYE", "p2": 0, "w": 48.0, "h": 36}
    own["transform_matrix"] = (np.array(own["transform_matrix"]) * [2.5, 2.5, 2.5, 1])[:3].tolist()  # scaled axes
    document["frames"].append(own)
    save(tmp_path / "train" / "r_1.jpg", np.full((36, 48, 3), 0.5))
    save(tmp_path / "cut" / "r_1.png", np.eye(36, 48))
    first, second = read_scene(dump(tmp_path, document)).frames
    np.testing.assert_array_equal(first.camera.K, [[50, 0, 19], [0, 52.5, 14], [0, 0, 1]])
    np.testing.assert_array_equal(second.camera.K, [[60, 0, 21], [0, 52.5, 14], [0, 0, 1]])
    np.testing.assert_allclose(first.camera.center, (0, 0, 4))
    np.testing.assert_allclose(second.camera.projection[2], first.camera.projection[2])
    assert first.distortion == Distortion(0.1, p2=0.01) and second.distortion == Distortion(0.2, fisheye=True)
    assert second.mask == tmp_path / "cut" / "r_1.png" and second.camera.size == (36, 48)
    written = json.loads(
        (write_scene(read_scene(tmp_path), tmp_path / "out", "transforms").directory / "transforms.json").read_text()
    )
    assert written["fl_y"] == 52.5 and written["frames"][0]["fl_x"] == 50 and not {"k1", "k2", "p2"} & set(written)


def broken(change):
    def write(folder):
        document = blender(folder)
        return dump(folder, change(document) or document)

    return write


def entry(**values):
    return broken(lambda document: document["frames"][0].update(values))


@pytest.mark.parametrize(
    "write, message",
    [
        (broken(lambda d: '{"frames": ['), r"transforms\.json: not a JSON file \(Expecting value"),
        (broken(lambda d: "[1, 2]"), "transforms.json: has no list of objects called frames"),
        (broken(lambda d: {"frames": [3]}), "has no list of objects called frames"),
        (broken(lambda d: d.update(frames=[])), "transforms.json: has no frames"),
        (broken(lambda d: d.pop("camera_angle_x") and None), "frame r_0: no focal length: fl_x or camera_angle_x"),
        (broken(lambda d: d.update(camera_angle_x=3.2)), "camera_angle_x must lie between 0 and pi, got 3.2"),
        (broken(lambda d: d.update(fl_x="50")), "fl_x must be a finite number, got '50'"),
        (broken(lambda d: d.update(fl_x=-50)), "focal lengths must be positive, got -50 and -50"),
        (broken(lambda d: d.update(w=80, h=60)), r"r_0\.png: the photo is 40x30 px, but .*transforms\.json says 80x60"),
        (broken(lambda d: d.update(camera_model="EQUIRECTANGULAR")), "frame r_0: camera_model .*got 'EQUIRECTANGULAR'"),
        (broken(lambda d: d.update(camera_model="OPENCV_FISHEYE", p1=1)), "a fisheye lens has no tangential"),
        (broken(lambda d: d["frames"].append(dict(d["frames"][0]))), r"several photos have the name 'r_0'.* and "),
        (entry(file_path=7), "frame 0: file_path must be the path of a file, got 7"),
        (entry(file_path="./"), "file_path must be the path of a file, got './'"),
        (entry(file_path="gone.jpg"), r"gone\.jpg: no such file, named in .*transforms\.json"),
        (entry(mask_path="gone.png"), r"gone\.png: no such file, named in .*transforms\.json"),
        (entry(transform_matrix=[[1, 0], [0, 1]]), "frame r_0: transform_matrix must have 4x4 numbers"),
        (entry(transform_matrix=None), "transform_matrix must have 4x4 numbers, got None"),
        (entry(transform_matrix=np.full((4, 4), np.nan).tolist()), "transform_matrix must be finite"),
        (entry(transform_matrix=np.diag([1, 1, -1, 1]).tolist()), "must hold a rotation, got"),
        (entry(transform_matrix=np.diag([1, 1.1, 1, 1]).tolist()), "must hold a rotation, got"),
        (entry(transform_matrix=np.ones((4, 4)).tolist()), "last row of transform_matrix must be 0, 0, 0, 1"),
    ],
)
def test_bad_transforms_are_named(tmp_path, write, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read_scene(write(tmp_path))


# COLMAP

MODELS = {
    "SIMPLE_PINHOLE": (0, [50, 20, 15], None),
    "PINHOLE": (1, [50, 52, 20, 15], None),
    "SIMPLE_RADIAL": (2, [50, 20, 15, 0.1], Distortion(0.1)),
    "RADIAL": (3, [50, 20, 15, 0.1, 0.2], Distortion(0.1, 0.2)),
    "OPENCV": (4, [50, 52, 20, 15, 0.1, 0.2, 0.3, 0.4], Distortion(0.1, 0.2, p1=0.3, p2=0.4)),
    "OPENCV_FISHEYE": (5, [50, 52, 20, 15, 0.1, 0.2, 0.3, 0.4], Distortion(0.1, 0.2, 0.3, 0.4, fisheye=True)),
    "FULL_OPENCV": (6, [50, 52, 20, 15, 0.1, 0.2, 0.3, 0.4, 0.5, 0, 0, 0], Distortion(0.1, 0.2, 0.5, p1=0.3, p2=0.4)),
    "SIMPLE_RADIAL_FISHEYE": (8, [50, 20, 15, 0.1], Distortion(0.1, fisheye=True)),
    "RADIAL_FISHEYE": (9, [50, 20, 15, 0.1, 0.2], Distortion(0.1, 0.2, fisheye=True)),
}
HALF = np.sqrt(0.5)  # a quarter turn about z: x goes to y
POSE = (HALF, 0, 0, HALF, 0.1, -0.2, 3.0)
TURNED = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])


def model_files(folder, binary, name="PINHOLE", number=None, parameters=None, images=("b/2 x.jpg", "1.jpg"), pose=POSE):
    """Write a COLMAP model with its own few lines, after its documentation."""
    number, parameters = MODELS[name][0] if number is None else number, parameters or MODELS[name][1]
    folder.mkdir(parents=True, exist_ok=True)
    if binary:
        camera = struct.pack("<iiQQ", 7, number, 40, 30) + struct.pack(f"<{len(parameters)}d", *parameters)
        (folder / "cameras.bin").write_bytes(struct.pack("<Q", 1) + camera)
        records = b""
        for index, image in enumerate(images):
            points = struct.pack("<Q", index) + struct.pack("<ddq", 1.5, 2.5, -1) * index
            records += struct.pack("<I7dI", 9 - index, *pose, 7) + image.encode() + b"\0" + points
        (folder / "images.bin").write_bytes(struct.pack("<Q", len(images)) + records)
        return
    (folder / "cameras.txt").write_text(f"# cameras\n7 {name} 40 30 {' '.join(map(str, parameters))}\n")
    lines = ["# images", "# points"]
    for index, image in enumerate(images):
        lines += [f"{9 - index} {' '.join(map(str, pose))} 7 {image}", "1.5 2.5 -1 " * index]
    (folder / "images.txt").write_text("\n".join(lines) + "\n")


def colmap(folder, binary, where="sparse/0", photos="images", **options):
    for name in ("b/2 x.jpg", "1.jpg"):
        save(folder / photos / name, np.full((30, 40, 3), 0.5))
    model_files(folder / where, binary, **options)
    return folder


@pytest.mark.parametrize("name", MODELS)
def test_colmap_models_text_and_binary(tmp_path, name):
    for binary in (False, True):
        scene = read_scene(colmap(tmp_path / str(binary), binary, name=name))
        assert scene.format == "colmap" and [frame.name for frame in scene.frames] == ["1", "2 x"]
        camera = scene.frames[1].camera
        fy = 52 if len(MODELS[name][1]) > 3 and MODELS[name][1][1] == 52 else 50
        np.testing.assert_array_equal(camera.K, [[50, 0, 20], [0, fy, 15], [0, 0, 1]])
        np.testing.assert_allclose(camera.R, TURNED, atol=1e-15)
        np.testing.assert_array_equal(camera.t, (0.1, -0.2, 3))
        assert camera.size == (30, 40) and scene.frames[1].distortion == MODELS[name][2]


def test_colmap_folders_and_masks(tmp_path):
    for where, photos, masks in ((".", "image", "mask"), ("sparse", "images", "masks")):
        folder = colmap(tmp_path / photos, True, where, photos)
        save(folder / masks / "b" / "2 x.png", np.eye(30, 40))
        save(folder / masks / "1.jpg.png", np.eye(30, 40))
        found = [frame.mask.relative_to(folder).as_posix() for frame in read_scene(folder).frames]
        assert found == [f"{masks}/1.jpg.png", f"{masks}/b/2 x.png"]
    (folder / masks / "1.jpg.png").unlink()
    assert read_scene(folder).frames[0].mask is None
    small = tuple(np.multiply(POSE, [3, 3, 3, 3, 1, 1, 1]))  # a quaternion of any length
    np.testing.assert_allclose(
        read_scene(colmap(tmp_path / "long", False, pose=small)).frames[0].camera.R, TURNED, atol=1e-15
    )


def test_truncated_binary_models_are_named(tmp_path):
    colmap(tmp_path, True)
    for name in ("cameras.bin", "images.bin"):
        whole = (tmp_path / "sparse" / "0" / name).read_bytes()
        for length in range(len(whole)):
            (tmp_path / "sparse" / "0" / name).write_bytes(whole[:length])
            with pytest.raises(ValueError, match=rf"{name}: truncated: {length} bytes, at least \d+ expected"):
                read_scene(tmp_path)
        (tmp_path / "sparse" / "0" / name).write_bytes(whole)
    read_scene(tmp_path)


@pytest.mark.parametrize(
    "binary, options, message",
    [
        (True, {"number": 7}, r"cameras\.bin: camera 7 has the model FOV; SIMPLE_PINHOLE, .* can be read"),
        (True, {"number": 99}, r"cameras\.bin: camera 7 has the model number 99"),
        (False, {"name": "THIN_PRISM_FISHEYE", "number": 10, "parameters": [1]}, r"cameras\.txt: camera 7 has the model THIN"),
        (False, {"parameters": [50, 52]}, "PINHOLE has 4 parameters, fx fy cx cy, got 2"),
        (False, {"parameters": [50, "x", 1, 1]}, r"cameras\.txt: line 2 is not a camera: '7 PINHOLE"),
        (True, {"parameters": [50, np.nan, 1, 1]}, r"cameras\.bin: camera 7: parameters must be finite"),
        (True, {"parameters": [50, 0, 1, 1]}, "focal lengths must be positive, got 50 and 0"),
        (False, {"name": "FULL_OPENCV", "parameters": [50, 52, 20, 15, 0, 0, 0, 0, 0, 0, 0.5, 0]}, r"only if k4, k5 and k6 are 0, got \[0.0, 0.5, 0.0\]"),
        (True, {"images": []}, r"images\.bin: has no images"),
        (True, {"images": ["3.jpg"]}, r"3\.jpg: no such file, named in .*images\.bin"),
        (False, {"images": ["1.jpg", "1.jpg"]}, "several photos have the name '1'"),
        (True, {"pose": (0, 0, 0, 0, 1, 2, 3)}, r"images\.bin: image 1\.jpg has no valid pose: quaternion \[0.0"),
        (True, {"pose": (1, 0, 0, 0, 1, np.inf, 3)}, r"image 1\.jpg has no valid pose: .*inf"),
        (False, {"pose": (1, 0, 0)}, r"images\.txt: line 3 is not an image"),
    ],
)  # fmt: skip
def test_bad_colmap_models_are_named(tmp_path, binary, options, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read_scene(colmap(tmp_path, binary, **options))


def test_bad_colmap_folders_are_named(tmp_path):
    folder = colmap(tmp_path, False)
    save(folder / "images" / "1.jpg", np.full((60, 80, 3), 0.5))
    with pytest.raises(ValueError, match=r"1\.jpg: the photo is 80x60 px, but .*cameras\.txt says 40x30 px"):
        read_scene(folder)
    images = folder / "sparse" / "0" / "images.txt"
    images.write_text(images.read_text().replace("\n\n", "\n"))  # without its lines of points
    with pytest.raises(ValueError, match=r"images\.txt: line 4 is not a list of points"):
        read_scene(folder)
    images.write_text(f"1 {' '.join(map(str, POSE))} 8 1.jpg\n\n")
    with pytest.raises(ValueError, match=r"images\.txt: image 1\.jpg has camera 8, not in cameras\.txt"):
        read_scene(folder)
    images.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"images\.txt: not a text file"):
        read_scene(folder)
    shutil.rmtree(folder / "images")
    images.write_text(f"1 {' '.join(map(str, POSE))} 7 1.jpg\n\n")
    with pytest.raises(FileNotFoundError, match="images: no such folder; the photos of"):
        read_scene(folder)
    images.unlink()
    with pytest.raises(FileNotFoundError, match=r"images\.txt: no such file, but there is cameras\.txt"):
        read_scene(folder)


# IDR and NeuS


def idr(folder, names=("000", "001"), matrices=None, images="image"):
    """Two cameras 4 in front of the origin, focal length 50; the second one has moved to the right."""
    for name in names:
        save(folder / images / f"{name}.png", np.full((30, 40, 3), 0.5))
    if matrices is None:
        matrices = {f"world_mat_{i}": np.vstack([projection(shift=i), [0, 0, 0, 1]]) for i in range(2)}
    np.savez(folder / "cameras_sphere.npz", **matrices)
    return folder


def projection(shift=0.0, depth=4.0):
    """The middle of 40x30 px is (19.5, 14.5) where pixel centres are integers."""
    return np.array([[50, 0, 19.5], [0, 50, 14.5], [0, 0, 1]]) @ np.array(
        [[1, 0, 0, -shift], [0, 1, 0, 0], [0, 0, 1, depth]]
    )


def test_idr_scenes(tmp_path):
    scene = read_scene(idr(tmp_path))
    assert scene.format == "idr" and [frame.name for frame in scene.frames] == ["000", "001"]
    for shift, frame in enumerate(scene.frames):
        np.testing.assert_allclose(frame.camera.K, [[50, 0, 20], [0, 50, 15], [0, 0, 1]], atol=1e-9)
        np.testing.assert_allclose(frame.camera.center, (shift, 0, -4), atol=1e-12)
        assert frame.mask is None and frame.distortion is None and frame.camera.size == (30, 40)


def test_idr_photos_find_their_matrices_and_masks(tmp_path):
    three = {f"world_mat_{i}": np.vstack([projection(i), [0, 0, 0, 1]]) for i in (0, 2, 10)}
    three |= {f"world_mat_inv_{i}": np.eye(4) for i in range(3)}  # IDR's own files hold these too
    shifts = [
        (("2", "10"), "rgb", [2, 10]),  # numbers of matrices
        (("000", "002", "010"), "image", [0, 2, 10]),
        (("frame_a", "frame_c", "frame_b"), "image", [0, 10, 2]),  # in order
        (("7", "8", "9"), "image", [0, 2, 10]),
    ]
    for number, (names, images, expected) in enumerate(shifts):
        scene = read_scene(idr(tmp_path / str(number), names, three, images))
        found = {frame.name: round(frame.camera.center[0]) for frame in scene.frames}
        assert found == dict(zip(names, expected))
    with pytest.raises(ValueError, match=r"cameras_sphere\.npz: has 3 world matrices, but .*image 2 photos"):
        read_scene(idr(tmp_path / "few", ("a", "b"), three))

    for masks, names in ((("000", "001"), ("000000", "000001")), (("001",), ("000", "001")), (("x", "y"), ("a", "b"))):
        folder = idr(tmp_path / "-".join(names), names)
        for mask in masks:
            save(folder / "mask" / f"{mask}.png", np.eye(30, 40))
        found = [frame.mask and frame.mask.stem for frame in read_scene(folder).frames]
        assert found == [None, "001"] if len(masks) == 1 else list(masks)
    save(folder / "mask" / "z.png", np.eye(30, 40))
    with pytest.raises(ValueError, match="mask: has 3 masks with names of none of the 2 photos"):
        read_scene(folder)


def test_the_sphere_of_idr_is_where_the_cameras_look_and_outside_of_them(tmp_path):
    for kind in ("plain", "mirror"):
        scene = write_scene(make(tmp_path / kind, kind), tmp_path / f"{kind}-idr", "idr")
        with np.load(scene.directory / "cameras_sphere.npz") as archive:
            assert set(archive.files) == {f"{word}_mat_{i}" for word in ("world", "scale") for i in range(4)}
            sphere, P = archive["scale_mat_0"], archive["world_mat_3"]
        np.testing.assert_array_equal(sphere[3], (0, 0, 0, 1))
        radius, center = sphere[0, 0], sphere[:3, 3]
        np.testing.assert_array_equal(sphere[:3, :3], radius * np.eye(3))
        assert np.linalg.norm(center - POINTS.mean(0)) < 0.4 and 0.5 < radius < 2
        for frame in scene.frames:
            assert np.linalg.norm(frame.camera.center - center) >= 2 * radius - 1e-9
        pixel = P @ [*POINTS[0], 1]
        np.testing.assert_allclose(pixel[:2] / pixel[2] + 0.5, seen(scene.frames[3].camera)[0, :2], atol=1e-9)


def test_a_lone_camera_has_a_sphere_in_front(tmp_path):
    start = make(tmp_path / "start", "plain")
    scene = write_scene(replace(start, frames=start.frames[:1]), tmp_path / "idr", "idr")
    with np.load(scene.directory / "cameras_sphere.npz") as archive:
        pixel = archive["world_mat_0"] @ archive["scale_mat_0"] @ [0, 0, 0, 1]
    np.testing.assert_allclose(pixel[:2] / pixel[2] + 0.5, np.array(scene.frames[0].camera.size[::-1]) / 2)
    assert pixel[2] > 0


def test_a_mirrored_world_may_have_its_origin_behind_the_cameras(tmp_path):
    start = make(tmp_path / "start", "mirror")
    far = np.array([0, 0, -50.0])  # the cameras look down
    frames = tuple(replace(f, camera=replace(f.camera, t=f.camera.t - f.camera.R @ far)) for f in start.frames)
    assert min(frame.camera.t[2] for frame in frames) < 0
    scene = write_scene(replace(start, frames=frames), tmp_path / "idr", "idr")
    for old, new in zip(frames, scene.frames):
        np.testing.assert_allclose(seen(new.camera, POINTS + far), seen(old.camera, POINTS + far), atol=1e-6)
    back = replace(frames[0].camera, R=frames[0].camera.R * [[-1], [1], [-1]], t=frames[0].camera.t * [-1, 1, -1])
    with pytest.raises(
        ValueError, match="view 0: a camera with negative fy must have the middle of the scene in front"
    ):
        write_scene(replace(start, frames=(replace(frames[0], camera=back), *frames[1:])), tmp_path / "no", "idr")
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    "matrices, message",
    [
        ({"camera_mat_0": np.eye(4)}, r"cameras_sphere\.npz: has no world_mat_0"),
        (
            {"world_mat_0": np.eye(4), "world_mat_1": np.eye(3)},
            r"npz: world_mat_1 must have shape \(4, 4\), got \(3, 3\)",
        ),
        (
            {"world_mat_0": np.eye(4), "world_mat_1": np.full((4, 4), np.nan)},
            r"npz: world_mat_1 must be finite, got \[\[nan",
        ),
        (
            {"world_mat_0": np.eye(4), "world_mat_1": np.zeros((4, 4))},
            r"npz: world_mat_1: P has no finite camera centre",
        ),
    ],
)
def test_bad_idr_matrices_are_named(tmp_path, matrices, message):
    with pytest.raises(ValueError, match=message):
        read_scene(idr(tmp_path, matrices=matrices))


def test_bad_idr_folders_are_named(tmp_path):
    folder = idr(tmp_path)
    whole = (folder / "cameras_sphere.npz").read_bytes()
    for damaged in (b"", b"PK", whole[:100], whole[:-30]):
        (folder / "cameras_sphere.npz").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"cameras_sphere\.npz: not a readable \.npz file"):
            read_scene(folder)
    (folder / "cameras_sphere.npz").rename(folder / "cameras.npz").write_bytes(whole)
    (folder / "image" / "001.png").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"001\.png: not an image that Pillow can read"):
        read_scene(folder)
    for name in ("000", "001"):
        (folder / "image" / f"{name}.png").unlink()
    with pytest.raises(ValueError, match="image: has no photos"):
        read_scene(folder)
    (folder / "image").rmdir()
    with pytest.raises(FileNotFoundError, match="image: no such folder; the photos of"):
        read_scene(folder)


# all of them


def test_names_are_stems_or_paths(tmp_path):
    names = [frame.name for frame in write_scene(make(tmp_path / "a", "plain"), tmp_path / "b", "transforms").frames]
    assert names == ["left/a", "right/a", "b c", "d"]
    start = make(tmp_path / "a", "plain")
    frames = (*start.frames, replace(start.frames[2], name="b_c"))
    with pytest.raises(ValueError, match="several photos have the name 'b_c' if spaces are underscores"):
        write_scene(replace(start, frames=frames), tmp_path / "c", "colmap")  # whose text files end a name at a space
    camera = next(cameras("plain"))
    for name in ("", ".", "../a", "/a", "a\\b"):
        with pytest.raises(ValueError, match="name must be a relative path without"):
            Frame(name, tmp_path / "a.png", None, camera)
    with pytest.raises(ValueError, match="the scene has no photos"):
        Scene(tmp_path, "idr", ())


def test_what_is_no_scene(tmp_path):
    with pytest.raises(
        ValueError, match=r"no cameras found; looked for transforms\.json, .*cameras_sphere\.npz.*cameras\.bin"
    ):
        read_scene(tmp_path)
    with pytest.raises(FileNotFoundError, match="none: no such folder"):
        read_scene(tmp_path / "none")
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(ValueError, match=r"a\.txt: a scene is a folder or a \.json file"):
        read_scene(tmp_path / "a.txt")
    with pytest.raises(ValueError, match="distortion must be finite, got"):
        Distortion(np.nan)


def test_a_conversion_is_whole_or_not_at_all(tmp_path):
    start = make(tmp_path / "start", "plain")
    out = tmp_path / "new" / "out"
    with pytest.raises(ValueError, match="format must be one of transforms, colmap, idr, got 'nerf'"):
        write_scene(start, out, "nerf")
    photo = start.frames[3].image
    photo.write_bytes(photo.read_bytes()[:200])  # its header is whole
    with pytest.raises(ValueError, match=r"d\.png: damaged image"):
        write_scene(start, out, "idr")
    assert not list(out.parent.iterdir())
    out.mkdir()
    start = make(tmp_path / "start", "plain")
    write_scene(start, out, "idr")  # an empty folder is no obstacle
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    before = sorted(out.rglob("*"))
    with pytest.raises(FileExistsError, match="out: exists and is not an empty folder"):
        write_scene(start, out, "colmap")
    assert sorted(out.rglob("*")) == before
    save(photo, np.full((60, 80, 3), 0.5))
    with pytest.raises(ValueError, match=r"d\.png: the photo is 80x60 px, but its camera is for 53x52 px"):
        start.frames[3].load()


def test_convert_on_the_command_line(tmp_path, monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["diffrender", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return stop.value.code or 0, *capsys.readouterr()

    source = write_scene(make(tmp_path / "start", "mirror"), tmp_path / "source", "idr").directory
    status, printed, errors = run("convert", source, "--out", tmp_path / "out", "--to", "colmap")
    assert (status, errors) == (0, "")
    assert "4 photos and 4 masks, idr to colmap" in printed
    assert "4 photos sheared" in printed and "4 photos turned upside down" in printed and "undistorted" not in printed
    check_photos(read_scene(tmp_path / "out"))
    status, printed, errors = run("convert", source, "--out", tmp_path / "out", "--to", "transforms")
    assert (
        (status, printed) == (1, "") and "out: exists and is not an empty folder" in errors and errors.count("\n") == 1
    )
    status, _, errors = run("convert", tmp_path / "nowhere", "--out", tmp_path / "x", "--to", "idr")
    assert status == 1 and "nowhere: no such folder" in errors and errors.count("\n") == 1
