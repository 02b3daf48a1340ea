import numpy as np
import pytest
from gradcheck import assert_transposed
from meshes import tilted_camera

import diffrender as dr
from diffrender.camera import project, project_backward
from diffrender.conventions import sigma_from_ndc
from diffrender.orbit import framing, middle, orbited

POINTS = np.random.default_rng(0).normal(size=(9, 3)) * 0.6


def test_projection_is_k_r_t_written_out():
    camera = tilted_camera()
    for point, pixel in zip(POINTS, project(POINTS, camera), strict=True):
        x, y, z = camera.R @ point + camera.t
        fx, skew, cx, fy, cy = camera.K[0, 0], camera.K[0, 1], camera.K[0, 2], camera.K[1, 1], camera.K[1, 2]
        np.testing.assert_allclose(pixel, [fx * x / z + skew * y / z + cx, fy * y / z + cy, z], rtol=1e-12)


def test_project_backward_is_the_transpose():
    camera = tilted_camera()

    def forward(vertices, rotation, translation):
        return project(vertices, camera.moved(rotation, translation))

    assert_transposed(forward, lambda grad: project_backward(POINTS, camera, grad), (POINTS, np.zeros(3), np.zeros(3)))


def test_gradients_of_many_points_are_the_sums_of_those_of_a_few():
    camera, random = tilted_camera(), np.random.default_rng(5)
    points, grad = 0.6 * random.normal(size=(2500, 3)), random.normal(size=(2500, 3))
    whole = project_backward(points, camera, grad)
    parts = [project_backward(points[rows], camera, grad[rows]) for rows in (slice(0, 999), slice(999, 2500))]
    assert np.array_equal(whole.vertices, np.concatenate([part.vertices for part in parts]))
    for name in ("rotation", "translation", "K"):
        first, second = (getattr(part, name) for part in parts)
        np.testing.assert_allclose(getattr(whole, name), first + second, rtol=1e-10)


def test_float32_stays_float32():
    camera = tilted_camera()
    points = POINTS.astype(np.float32)
    assert project(points, camera).dtype == np.float32
    assert project_backward(points, camera, np.ones_like(points)).vertices.dtype == np.float32


def test_points_behind_the_camera_keep_their_depth_and_get_no_gradient():
    camera = dr.Camera.look_at((0, 0, 4))
    points = np.array([(0.0, 0, 5), (0.1, 0.2, 4), (0, 0, 0)])
    pixels = project(points, camera)
    np.testing.assert_allclose(pixels[:2], [(0, 0, -1), (0, 0, 0)], atol=1e-12)
    gradient = project_backward(points, camera, np.ones((3, 3))).vertices
    assert not gradient[:2].any() and gradient[2].any()


def test_look_at_has_up_above_and_right_to_the_right():
    camera = dr.Camera.look_at((0, 0, 5), fov_degrees=90, size=(100, 200))
    middle_point, above, right = project(np.array([(0.0, 0, 0), (0, 1, 0), (1.0, 0, 0)]), camera)
    np.testing.assert_allclose(middle_point, (100, 50, 5))
    np.testing.assert_allclose(above, (100, 40, 5))
    np.testing.assert_allclose(right, (110, 50, 5))


@pytest.mark.parametrize("scale", [1.0, -3.7])
@pytest.mark.parametrize("centers", ["half", "integer"])
@pytest.mark.parametrize("mirrored", [False, True])
def test_from_projection_takes_any_scale_and_mirrored_worlds(scale, centers, mirrored):
    camera = tilted_camera()
    if mirrored:
        camera = dr.Camera(camera.K * [1, -1, 1], camera.R, camera.t, camera.size)
        scale = abs(scale)  # the sign of a mirroring P says where its front is
    shift = np.eye(3)
    if centers == "integer":
        shift[:2, 2] = -0.5
    found = dr.Camera.from_projection(scale * shift @ camera.projection, camera.size, centers)
    for name in ("K", "R", "t", "center"):
        np.testing.assert_allclose(getattr(found, name), getattr(camera, name), atol=1e-9)


def test_resized_scales_pixels():
    camera = tilted_camera((30, 40))
    pixel = project(POINTS, camera)
    np.testing.assert_allclose(project(POINTS, camera.resized((60, 20)))[:, :2], pixel[:, :2] * [0.5, 2], rtol=1e-12)


def test_orbit_keeps_distance_and_comes_back():
    mesh = dr.icosphere(1)
    camera, center = tilted_camera(), np.array([0.2, -0.3, 0.1])
    turned = orbited(camera, center, 70)
    assert np.linalg.norm(turned.center - camera.center) > 1
    np.testing.assert_allclose(np.linalg.norm(turned.center - center), np.linalg.norm(camera.center - center))
    np.testing.assert_allclose(orbited(turned, center, -70).projection, camera.projection, atol=1e-9)
    pixels = project(mesh.vertices, framing(mesh, (50, 80), azimuth=30))
    assert pixels[:, :2].min() > 0 and (pixels[:, :2] < [80, 50]).all()
    np.testing.assert_allclose(middle(mesh), 0, atol=1e-6)


def test_sigma_of_other_libraries():
    assert sigma_from_ndc(1e-4, (256, 512)) == pytest.approx(1.6384)


EYE, ZERO = np.eye(3), np.zeros(3)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: dr.Camera(np.eye(4), EYE, ZERO, (4, 4)), r"K must have shape \(3, 3\), got \(4, 4\)"),
        (lambda: dr.Camera(EYE.T[::-1], EYE, ZERO, (4, 4)), "K must be upper triangular"),
        (lambda: dr.Camera(np.diag([-2.0, 1, 1]), EYE, ZERO, (4, 4)), "fx must be positive and fy not 0, got fx = -2"),
        (lambda: dr.Camera(EYE, 2 * EYE, ZERO, (4, 4)), "R must be a rotation matrix, got determinant 8"),
        (lambda: dr.Camera(EYE, -EYE, ZERO, (4, 4)), "R must be a rotation matrix, got determinant -1"),
        (lambda: dr.Camera(EYE, EYE, [0, np.nan, 0], (4, 4)), r"t must be finite, got \[0.0, nan, 0.0\]"),
        (lambda: dr.Camera(EYE, EYE, ZERO, (4, -1)), r"size must be two positive integers \(H, W\), got \(4, -1\)"),
        (lambda: dr.Camera(EYE, EYE, ZERO, 4), "size must be two positive integers"),
        (lambda: dr.Camera.look_at((1, 2, 3), (1, 2, 3)), "eye and target are the same point"),
        (lambda: dr.Camera.look_at((0, 3, 0)), "up .* is parallel"),
        (lambda: dr.Camera.look_at((0, 0, 3), fov_degrees=180), "fov_degrees must lie between 0 and 180, got 180"),
        (lambda: dr.Camera.from_projection(np.zeros((3, 4)), (4, 4)), "no finite camera centre"),
        (lambda: dr.Camera.from_projection(np.eye(3, 4), (4, 4), "corner"), "'half' or 'integer', got 'corner'"),
        (lambda: framing(dr.icosphere(1), (9, 9), elevation=90), "elevation must lie between -89 and 89"),
        (lambda: framing(dr.icosphere(1), (9, 9), distance=0), "distance must be positive, got 0"),
    ],
)
def test_bad_cameras_are_named_with_their_value(call, message):
    with pytest.raises(ValueError, match=message):
        call()
