"""Cameras of other systems, against their own documented formulas, written out here point by point."""

import doctest
import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from meshes import tilted_camera

import diffrender as dr
from diffrender import interchange
from diffrender.camera import project

POINTS = np.random.default_rng(0).normal(size=(9, 3)) * 0.6
SHAPES = [(31, 44), (44, 31)]  # the short side is PyTorch3D's unit


def camera_of(size=(31, 44), skew=0.0, fy=1.0):
    """A tilted camera with fx != fy and a principal point outside the image."""
    camera = tilted_camera(size)
    K = camera.K + [[0, 0, -40], [0, 0, 55], [0, 0, 0]]
    K[0, 1], K[1, 1] = skew, fy * K[1, 1]
    return dr.Camera(K, camera.R, camera.t, size)


def assert_same(actual, expected):
    for name in ("K", "R", "t", "size"):
        np.testing.assert_allclose(getattr(actual, name), getattr(expected, name), rtol=0, atol=1e-9, err_msg=name)
    assert actual.distortion == expected.distortion


def opengl_pixels(points, view, projection, size):
    """Clip space to NDC to window, which counts rows from the bottom; here from the top. OpenGL 4.6, 13.8."""
    height, width = size
    pixels = []
    for point in points:
        x, y, z, w = projection @ view @ [*point, 1]
        assert w > 0
        pixels.append((width / 2 * x / w + width / 2, height - (height / 2 * y / w + height / 2), z / w))
    return np.array(pixels)


def assert_pixels(camera, expected):
    np.testing.assert_allclose(project(POINTS, camera)[:, :2], expected, rtol=0, atol=1e-6)


def test_the_examples_in_the_documentation_hold():
    result = doctest.testmod(interchange, extraglobs={"Camera": dr.Camera})
    assert result.attempted >= 21 and not result.failed


@pytest.mark.parametrize("size", SHAPES)
@pytest.mark.parametrize("skew, fy", [(0, 1), (1.7, 1), (1.7, -1)])
def test_opengl(size, skew, fy):
    camera = camera_of(size, skew, fy)
    view, projection = camera.to_opengl(2, 9)
    pixels = opengl_pixels(POINTS, view, projection, size)
    assert_pixels(camera, pixels[:, :2])
    depth = project(POINTS, camera)[:, 2]
    np.testing.assert_array_equal(np.abs(pixels[:, 2]) <= 1, (depth >= 2) & (depth <= 9))
    ends = camera.R.T @ (np.array([[0, 0], [0, 0], [2, 9.0]]) - camera.t[:, None])
    np.testing.assert_allclose(opengl_pixels(ends.T, view, projection, size)[:, 2], [-1, 1], atol=1e-12)
    assert_same(dr.Camera.from_opengl(view, projection, size), camera)


def test_opengls_axes():
    """A point to the right and above, before an OpenGL camera that looks along -z from the origin."""
    projection = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1.2, -2.2], [0, 0, -1, 0]])
    camera = dr.Camera.from_opengl(np.eye(4), projection, (100, 100))
    np.testing.assert_allclose(project(np.array([[0.5, 0.5, -2.0]]), camera), [[62.5, 37.5, 2]])


@pytest.mark.parametrize("skew, fy", [(0, 1), (1.7, 1), (1.7, -1)])
def test_nvdiffrast(skew, fy):
    size = (31, 44)
    camera = camera_of(size, skew, fy)
    matrix = camera.to_nvdiffrast(2, 9)
    clip = np.column_stack([POINTS, np.ones(len(POINTS))]) @ matrix.T  # what rasterize is given
    x, y = clip[:, 0] / clip[:, 3], clip[:, 1] / clip[:, 3]
    assert_pixels(camera, np.stack([(x + 1) / 2 * size[1], (y + 1) / 2 * size[0]], axis=1))  # row 0: y = -1
    assert_same(dr.Camera.from_nvdiffrast(matrix, size), camera)


def test_a_matrix_for_opengl_shows_the_world_upside_down_in_nvdiffrasts_tensor():
    camera = camera_of()
    view, projection = camera.to_opengl(2, 9)
    tensor = dr.Camera.from_nvdiffrast(projection @ view, camera.size)
    assert tensor.K[1, 1] < 0
    upright, pixels = project(POINTS, camera), project(POINTS, tensor)
    np.testing.assert_allclose(pixels, [[x, camera.size[0] - y, z] for x, y, z in upright], atol=1e-9)


@pytest.mark.parametrize("in_ndc", [True, False])
@pytest.mark.parametrize("size", SHAPES)
@pytest.mark.parametrize("fy", [1, -1])
def test_pytorch3d(in_ndc, size, fy):
    camera = camera_of(size, fy=fy)
    R, T, (fx, fy), (px, py) = camera.to_pytorch3d(in_ndc)
    height, width = size
    short = min(size)
    if not in_ndc:  # docs/notes/cameras.md: screen to NDC
        fx, fy = fx * 2 / short, fy * 2 / short
        px, py = -(px - width / 2) * 2 / short, -(py - height / 2) * 2 / short
    pixels = []
    for point in POINTS:
        X, Y, Z = point @ R + T
        x, y = fx * X / Z + px, fy * Y / Z + py  # x left, y up
        pixels.append((width / 2 - x * short / 2, height / 2 - y * short / 2))
    assert_pixels(camera, pixels)
    assert_same(dr.Camera.from_pytorch3d(*camera.to_pytorch3d(in_ndc), size, in_ndc), camera)


def test_pytorch3ds_own_example_is_one_camera():
    """The two cameras that its notes call equivalent."""
    pose = (np.diag([-1.0, 1, -1]), (0.1, 0.2, 4))
    ndc = dr.Camera.from_pytorch3d(*pose, 1.2, (0.2, 0.5), (128, 256))
    assert_same(dr.Camera.from_pytorch3d(*pose, (76.8,), (115.2, 32), (128, 256), in_ndc=False), ndc)


def test_nerf():
    camera = camera_of()
    pose, K = camera.to_nerf()
    pixels = []
    for point in POINTS:
        x, y, z = pose[:3, :3].T @ (point - pose[:3, 3])  # x right, y up, z backward
        pixels.append((K[0, 0] * x / -z + K[0, 2], K[1, 1] * -y / -z + K[1, 2]))
    assert_pixels(camera, pixels)
    assert_same(dr.Camera.from_nerf(pose, K, camera.size), camera)
    assert_same(dr.Camera.from_nerf(pose[:3], K, camera.size), camera)


def rotated(quaternion, point):
    """q p q* by the cross products of Euler and Rodrigues."""
    w, axis = quaternion[0], np.array(quaternion[1:])
    across = 2 * np.cross(axis, point)
    return point + w * across + np.cross(axis, across)


def test_colmap():
    camera = camera_of()
    qvec, tvec, (fx, fy, cx, cy) = camera.to_colmap()
    pixels = []
    for point in POINTS:
        x, y, z = rotated(qvec, point) + tvec
        pixels.append((fx * x / z + cx, fy * y / z + cy))
    assert_pixels(camera, pixels)
    assert_same(dr.Camera.from_colmap(-3 * qvec, tvec, (fx, fy, cx, cy), camera.size), camera)
    simple = dr.Camera.from_colmap(qvec, tvec, (fx, cx, cy), camera.size)
    assert simple.K[0, 0] == simple.K[1, 1] == fx and tuple(simple.K[:2, 2]) == (cx, cy)


def colmap_lens(model, extra, u, v):
    """COLMAP's sensor/models.h for one point."""
    r2 = u * u + v * v
    if "FISHEYE" in model:
        theta = np.arctan(np.sqrt(r2))
        scale = theta / np.sqrt(r2) * (1 + sum(k * theta ** (2 * n) for n, k in enumerate(extra, 1)))
        return u * scale, v * scale
    if model.endswith("RADIAL"):
        scale = 1 + sum(k * r2**n for n, k in enumerate(extra, 1))
        return u * scale, v * scale
    k1, k2, p1, p2, k3 = [*extra, 0][:5]
    scale = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    across = 2 * u * v
    return u * scale + p1 * across + p2 * (r2 + 2 * u * u), v * scale + p2 * across + p1 * (r2 + 2 * v * v)


BROWN = dr.Distortion(-0.11, 0.03, 0, 0, 0.012, -0.008)
FISHEYE = dr.Distortion(-0.03, 0.01, -0.004, 0.002, fisheye=True)


@pytest.mark.parametrize(
    "model, lens",
    [
        ("SIMPLE_RADIAL", dr.Distortion(-0.11)),
        ("RADIAL", dr.Distortion(-0.11, 0.03)),
        ("OPENCV", BROWN),
        ("FULL_OPENCV", replace(BROWN, k3=-0.006)),
        ("OPENCV_FISHEYE", FISHEYE),
        ("SIMPLE_RADIAL_FISHEYE", dr.Distortion(-0.03, fisheye=True)),
        ("RADIAL_FISHEYE", dr.Distortion(-0.03, 0.01, fisheye=True)),
    ],
)
def test_colmaps_lenses(model, lens):
    camera = replace(camera_of(), distortion=lens)
    single = not model.startswith(("OPENCV", "FULL"))
    if single:
        camera = replace(camera, K=camera.K * [[1], [camera.K[0, 0] / camera.K[1, 1]], [1]])
    qvec, tvec, params = camera.to_colmap(model)
    fx, fy, cx, cy, *extra = [params[0], *params] if single else params
    pixels = []
    for point in POINTS:
        x, y, z = rotated(qvec, point) + tvec
        u, v = colmap_lens(model, extra, x / z, y / z)
        pixels.append((fx * u + cx, fy * v + cy))
    assert (
        np.abs(project(POINTS, replace(camera, distortion=None))[:, :2] - pixels).max() > 0.1
    )  # the lens does something
    assert_pixels(camera, pixels)
    assert_same(dr.Camera.from_colmap(qvec, tvec, params, camera.size, model), camera)


@pytest.mark.parametrize("fy", [1, -1])
@pytest.mark.parametrize("lens", [None, BROWN, replace(BROWN, k3=-0.006), FISHEYE])
def test_opencv(fy, lens):
    camera = replace(camera_of(fy=fy), distortion=lens)
    rvec, tvec, K, coefficients = camera.to_opencv()
    fisheye = lens is FISHEYE
    pixels, _ = (cv2.fisheye if fisheye else cv2).projectPoints(POINTS[:, None], rvec, tvec, K, coefficients)
    assert_pixels(camera, pixels[:, 0] + 0.5)  # its first centre is (0, 0)
    read = dr.Camera.from_opencv(rvec[:, None], tvec[:, None], K, camera.size, coefficients[None], fisheye)
    assert_same(read, camera)
    if lens is None:
        assert_same(dr.Camera.from_opencv(rvec, tvec, K, camera.size), camera)
    elif not fisheye:  # longer rows of coefficients, as cv2.calibrateCamera returns them
        assert_same(dr.Camera.from_opencv(rvec, tvec, K, camera.size, [*coefficients, 0, 0, 0]), camera)


@pytest.mark.parametrize(
    "camera",
    [
        replace(camera_of(skew=1.7), distortion=dr.Distortion(-0.11, 0.03, -0.006, 0.001, 0.012, -0.008)),
        replace(camera_of(skew=1.7, fy=-1), distortion=FISHEYE),
        dr.Camera.look_at((1, 2, 3), span=3.3, size=(31, 44)),
    ],
)
def test_json_holds_any_camera(camera):
    back = dr.Camera.from_dict(json.loads(json.dumps(camera.to_dict())))
    for name in ("K", "R", "t"):
        np.testing.assert_array_equal(getattr(back, name), getattr(camera, name))
    assert (back.size, back.distortion, back.orthographic) == (camera.size, camera.distortion, camera.orthographic)


@pytest.mark.parametrize("name", ["nerf", "colmap", "opencv", "pytorch3d"])
def test_a_format_without_skew_refuses_it(name):
    with pytest.raises(ValueError, match="has no skew, got 1.7 px"):
        getattr(camera_of(skew=1.7), f"to_{name}")()


@pytest.mark.parametrize("name", ["nerf", "colmap"])
def test_a_format_without_mirroring_refuses_it(name):
    with pytest.raises(ValueError, match="only positive focal lengths, got fy = -"):
        getattr(camera_of(fy=-1), f"to_{name}")()


EYE, ZERO, SIZE = np.eye(4), np.zeros(3), (4, 5)


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: dr.Camera.from_opengl(EYE, EYE, SIZE),
            r"perspective projection, got the last row \[0.0, 0.0, 0.0, 1.0\]",
        ),
        (lambda: dr.Camera.from_opengl(EYE[:3], EYE, SIZE), r"view must have shape \(4, 4\), got \(3, 4\)"),
        (lambda: dr.Camera.from_nvdiffrast(EYE * np.nan, SIZE), "matrix must be finite"),
        (lambda: dr.Camera.from_nvdiffrast(EYE[::-1], 4), "size must be two positive integers"),
        (lambda: dr.Camera.from_nerf(EYE, 3.5, SIZE), "camera_angle_x must lie between 0 and pi, got 3.5"),
        (lambda: dr.Camera.from_nerf(2 * EYE, 1.0, SIZE), "last row of transform_matrix must be 0, 0, 0, 1, got"),
        (lambda: dr.Camera.from_nerf(EYE, np.ones(4), SIZE), r"K must have shape \(3, 3\), got \(4,\)"),
        (lambda: dr.Camera.from_colmap(np.zeros(4), ZERO, (1, 0, 0), SIZE), "qvec must not be 0"),
        (
            lambda: dr.Camera.from_colmap(np.ones(4), ZERO, (1, 1, 0, 0, 0.1), SIZE),
            "got .1, 1, 0, 0, 0.1.: say the model",
        ),
        (lambda: dr.Camera.from_opencv(ZERO, ZERO, [[1, 0.5, 0], [0, 1, 0], [0, 0, 1]], SIZE), "no skew, got 0.5 px"),
        (lambda: dr.Camera.from_opencv(np.eye(3), ZERO, np.eye(3), SIZE), r"rvec must have shape \(3,\), got \(9,\)"),
        (lambda: dr.Camera.from_pytorch3d(np.eye(3), ZERO, (1, 2, 3), (0, 0), SIZE), "focal_length must have shape"),
        (lambda: dr.Camera.from_colmap(np.ones(4), ZERO, (1, 1, 0, 0, 0), SIZE, "FOV"), "must be one of .*, got 'FOV'"),
        (
            lambda: dr.Camera.from_colmap(np.ones(4), ZERO, (1, 0, 0), SIZE, "RADIAL"),
            "5 parameters, f cx cy k1 k2, got 3",
        ),
        (
            lambda: dr.Camera.from_colmap(np.ones(4), ZERO, (1, 1, 0, 0, *8 * [0.1]), SIZE, "FULL_OPENCV"),
            "k4, k5 and k6",
        ),
        (lambda: dr.Camera.from_colmap(np.ones(4), ZERO, (-1, 0, 0), SIZE), "must be positive, got -1 and -1"),
        (lambda: dr.Camera.from_colmap(np.ones(4), ZERO, (1, np.nan, 0), SIZE), "must be finite, got .*nan"),
        (lambda: camera_of().to_colmap("SIMPLE_RADIAL"), "SIMPLE_RADIAL has one focal length, got"),
        (lambda: camera_of().to_colmap("RADIAL_FISHEYE"), "RADIAL_FISHEYE cannot hold a pinhole"),
        (
            lambda: replace(camera_of(), distortion=FISHEYE).to_colmap("OPENCV"),
            "OPENCV cannot hold Distortion.k1=-0.03",
        ),
        (lambda: replace(camera_of(), distortion=BROWN).to_colmap("OPENCV_FISHEYE"), "cannot hold Distortion.k1=-0.11"),
        (lambda: replace(camera_of(), distortion=dr.Distortion(k3=0.2)).to_colmap("OPENCV"), "OPENCV has no k3 = 0.2"),
        (lambda: replace(camera_of(), distortion=dr.Distortion(k4=0.2)).to_opencv(), "got k4 = 0.2"),
        (lambda: dr.Camera.from_opencv(ZERO, ZERO, EYE[:3, :3], SIZE, [0.1] * 6), "4, 5, 8, 12 or 14 numbers, got 6"),
        (lambda: dr.Camera.from_opencv(ZERO, ZERO, EYE[:3, :3], SIZE, [0.1] * 8), "only k1, k2, p1, p2 and k3 may"),
        (lambda: dr.Camera.from_opencv(ZERO, ZERO, EYE[:3, :3], SIZE, [0.1] * 5, True), r"shape \(4,\), got \(5,\)"),
        (lambda: dr.Camera.from_opencv(ZERO, ZERO, EYE[:3, :3], SIZE, fisheye=True), "needs its four coefficients"),
        (lambda: dr.Camera.from_dict({"K": EYE[:3, :3]}), r"got \['K'\]"),
        (lambda: dr.Camera.from_dict({**camera_of().to_dict(), "fov": 3}), "got .*'fov'"),
        (lambda: dr.Camera.from_dict({**camera_of().to_dict(), "distortion": {"k7": 1}}), "got {'k7': 1}"),
        (lambda: camera_of().to_opengl(2, 1), "0 < near < far, got 2 and 1"),
        (lambda: camera_of().to_nvdiffrast(0, 1), "0 < near < far, got 0 and 1"),
    ],
)
def test_mistakes_show_the_value(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("name", ["opengl", "nvdiffrast", "pytorch3d", "nerf", "colmap", "opencv"])
def test_what_is_no_pinhole_is_refused(name):
    lens = dr.Camera(**{**vars(tilted_camera()), "distortion": dr.Distortion(k1=0.1)})
    cameras = [(dr.Camera.look_at((0, 0, 4), span=3), "orthographic"), (lens, "k1=0.1")]
    for camera, found in cameras[: 1 if name == "opencv" else 2]:
        with pytest.raises(ValueError, match=f"needs a pinhole camera, got .*{found}"):
            getattr(camera, f"to_{name}")(*((0.1, 9.0) if name in ("opengl", "nvdiffrast") else ()))
