"""Lenses and intrinsics: against OpenCV where it is, a formula written out where it is not, and finite differences."""

from dataclasses import replace

import numpy as np
import pytest
from gradcheck import assert_transposed, relative_l2
from meshes import bumpy, tilted_camera

import diffrender as dr
from diffrender.camera import project, project_backward
from diffrender.distortion import Distortion

BROWN = Distortion(-0.21, 0.07, 0.013, 0, 0.004, -0.006)
FISHEYE = Distortion(0.03, -0.01, 0.004, -0.001, fisheye=True)
FOLDING = Distortion(-0.35, 0.02, 0.01, -0.02, 0.01, -0.015)
FOLDING_FISHEYE = Distortion(-0.4, 0.01, fisheye=True)
POINTS = np.random.default_rng(0).normal(size=(40, 3)) * 0.8
SOFT = dr.Soft(sigma=1.3, gamma=2e-2, near=1.0, far=6.0, background=(0.1, 0.2, 0.3))


def with_numbers(lens, values):
    return Distortion(*values, fisheye=lens.fisheye)


@pytest.mark.parametrize("lens", [BROWN, FISHEYE])
def test_pixels_are_opencvs(lens):
    cv2 = pytest.importorskip("cv2")
    camera = replace(tilted_camera(), distortion=lens)
    K = camera.K * [[1, 0, 1], [1, 1, 1], [1, 1, 1]]  # projectPoints knows no skew
    vector = cv2.Rodrigues(camera.R)[0]
    if lens.fisheye:
        numbers = lens.coefficients[:4]
        expected = cv2.fisheye.projectPoints(POINTS[:, None], vector, camera.t, K, numbers)[0][:, 0]
    else:
        numbers = lens.coefficients[[0, 1, 4, 5, 2]]
        expected = cv2.projectPoints(POINTS[:, None], vector, camera.t, K, numbers)[0][:, 0]
    found = project(POINTS, replace(camera, K=K))
    assert np.abs(found - project(POINTS, replace(camera, K=K, distortion=None)))[:, :2].max() > 0.5
    np.testing.assert_allclose(found[:, :2], expected, atol=1e-9)
    np.testing.assert_allclose(found[:, 2], POINTS @ camera.R[2] + camera.t[2], rtol=1e-12)


def test_brown_conrady_and_skew_written_out():
    camera = replace(tilted_camera(), distortion=FOLDING)
    k1, k2, k3, k4, p1, p2 = FOLDING.coefficients
    for point, pixel in zip(POINTS, project(POINTS, camera), strict=True):
        x, y, z = camera.R @ point + camera.t
        x, y = x / z, y / z
        r2 = x * x + y * y
        radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3 + k4 * r2**4
        bent = [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
            1,
        ]
        assert r2 < FOLDING.straight_from**2
        np.testing.assert_allclose(pixel[:2], (camera.K @ bent)[:2], rtol=1e-12)


@pytest.mark.parametrize(
    "lens, distance",  # the nearer one puts many of the points where the folding lenses go straight
    [(lens, 1.0) for lens in (None, BROWN, FISHEYE, FOLDING, FOLDING_FISHEYE, Distortion())]
    + [(lens, 0.35) for lens in (None, BROWN, FISHEYE, FOLDING, FOLDING_FISHEYE)],
)
def test_every_number_of_a_camera_has_its_gradient(lens, distance):
    camera = replace(tilted_camera(), distortion=lens)
    camera = replace(camera, t=camera.t * distance)
    points = POINTS[project(POINTS, camera)[:, 2] > 0.1]
    assert len(points) > 30
    if lens in (FOLDING, FOLDING_FISHEYE) and distance < 1:
        local = points @ camera.R.T + camera.t
        radius = np.hypot(local[:, 0], local[:, 1]) / local[:, 2]
        beyond = (np.arctan(radius) if lens.fisheye else radius) > lens.straight_from
        assert 0.2 < beyond.mean() < 0.9

    def forward(vertices, rotation, translation, K, *numbers):
        bent = None if lens is None else with_numbers(lens, *numbers)
        return project(vertices, replace(camera, K=camera.K + np.triu(K), distortion=bent).moved(rotation, translation))

    def backward(grad):
        grads = project_backward(points, camera, grad)
        assert (lens is None) == (grads.distortion is None)
        assert not np.tril(grads.K, -1).any() and grads.K[2, 2] == 0
        return grads if lens is None or not lens.fisheye else grads._replace(distortion=grads.distortion[:4])

    inputs = [points, np.zeros(3), np.zeros(3), np.zeros((3, 3))]
    if lens is not None:
        inputs.append(lens.coefficients[: 4 if lens.fisheye else 6])
    step = np.zeros((3, 3))
    step[2, 2] = 1  # K[2, 2] is constant: `forward` may not move it
    for seed in range(3):
        assert_transposed(lambda v, r, t, K, *n: forward(v, r, t, K * (1 - step), *n), backward, tuple(inputs), seed)


@pytest.mark.parametrize("lens", [FOLDING, FOLDING_FISHEYE, Distortion(-0.9), Distortion(0.2, -0.4, p1=0.05)])
def test_what_lies_beyond_the_fold_stays_outside(lens):
    turns = np.linspace(0, 2 * np.pi, 49)
    radius = np.linspace(0, 40, 8001)[1:, None]
    bent = lens.distort(np.stack([radius * np.cos(turns), radius * np.sin(turns)], axis=-1))
    along = bent[..., 0] * np.cos(turns) + bent[..., 1] * np.sin(turns)
    assert (np.diff(along, axis=0) > 0).all()
    slope = np.diff(along, axis=0) / np.diff(radius, axis=0)
    if not lens.fisheye:
        np.testing.assert_allclose(np.diff(slope, axis=0)[radius[1:-1, 0] > lens.limit + 1], 0, atol=1e-9)
        assert slope[radius[:-1, 0] > lens.limit].min() < 0.06  # only just before the fold
    assert np.abs(np.diff(slope, axis=0)).max() < 0.03  # no kink: the slope has no jump


def test_a_mesh_beyond_the_fold_does_not_come_back_into_the_picture():
    """This lens folds at 31 degrees, and the bare polynomial puts what stands at 46 in the middle of the image."""
    lens, tangent = Distortion(-0.9), 1 / np.sqrt(0.9)
    assert abs(1 + lens.k1 * tangent**2) < 1e-9
    camera = replace(dr.Camera.look_at((0, 0, 4), fov_degrees=30, size=(40, 40)), distortion=lens)
    ball = dr.icosphere(1, 0.2)
    mesh = dr.Mesh(ball.vertices + [4 * tangent, 0, 0], ball.faces)
    assert dr.render_silhouette(mesh, camera, SOFT).alpha.max() < 1e-3


@pytest.mark.parametrize("lens", [None, FOLDING])
def test_gradients_of_the_image(lens):
    mesh, camera = bumpy(1), replace(tilted_camera(), distortion=lens)
    rendering, silhouette = dr.render(mesh, camera, SOFT), dr.render_silhouette(mesh, camera, SOFT)
    assert 0.1 < (rendering.image[..., 3] > 0.5).mean() < 0.9

    def forward(K, *numbers):
        bent = None if lens is None else Distortion(*numbers[0])
        moved = replace(camera, K=camera.K + K * [[1, 1, 1], [0, 1, 1], [0, 0, 0]], distortion=bent)
        return dr.render(mesh, moved, SOFT).image

    def backward(grad):
        grads = rendering.backward(grad)
        return [grads.K, grads.distortion]

    inputs = (np.zeros((3, 3)),) if lens is None else (np.zeros((3, 3)), lens.coefficients)
    assert_transposed(forward, backward, inputs, tolerance=1e-6)
    grad = np.random.default_rng(1).normal(size=camera.size)
    full = rendering.backward(np.dstack([np.zeros((*camera.size, 3)), grad]))
    alone = silhouette.backward(grad)
    assert relative_l2(alone.K, full.K) < 1e-9
    assert lens is None or relative_l2(alone.distortion, full.distortion) < 1e-9


def test_a_lens_of_zeros_is_the_pinhole_and_float32_stays_float32():
    camera = tilted_camera()
    points = POINTS.astype(np.float32)
    bent = replace(camera, distortion=Distortion())
    assert project(points, bent).dtype == np.float32
    np.testing.assert_allclose(project(points, bent), project(points, camera), rtol=1e-6)
    grad = np.ones_like(points)
    assert project_backward(points, bent, grad).vertices.dtype == np.float32
    for name in ("vertices", "rotation", "translation", "K"):
        expected = getattr(project_backward(points, camera, grad), name)
        assert relative_l2(getattr(project_backward(points, bent, grad), name), expected) < 1e-6


def test_vertices_behind_get_no_gradient_and_next_to_the_camera_no_nan():
    camera = replace(dr.Camera.look_at((0, 0, 4)), distortion=Distortion(0.3, p1=0.1))
    points = np.array([(0.1, 0, 5), (0.1, 0.2, 4), (0, 0, 0), (1.0, 1, 4 - 1e-12)])
    pixels = project(points, camera)
    np.testing.assert_allclose(pixels[:2], [(0, 0, -1), (0, 0, 0)], atol=1e-12)
    grads = project_backward(points, camera, np.ones((4, 3)))
    assert not grads.vertices[:2].any() and grads.vertices[2].any()
    assert np.isfinite(pixels).all() and np.isfinite(grads.vertices).all() and np.isfinite(grads.distortion).all()


def test_lenses_are_refused_where_a_matrix_or_a_pinhole_is_needed():
    camera = replace(tilted_camera(), distortion=BROWN)
    with pytest.raises(ValueError, match=r"no projection matrix, got Distortion\(k1=-0.21"):
        _ = camera.projection
    with pytest.raises(ValueError, match="distortion must be a Distortion or None, got 0.1"):
        replace(camera, distortion=0.1)
    assert camera.resized((60, 20)).distortion == BROWN
    assert camera.moved(np.zeros(3), np.ones(3)).distortion == BROWN
