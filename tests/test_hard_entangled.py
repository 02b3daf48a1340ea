"""Pixels in which outlines turn back on themselves, cross, or are many: against samples, finite differences and small steps."""

from pathlib import Path

import numpy as np
import oracle_hard
import pytest

import diffrender as dr
from diffrender.camera import project
from diffrender.hard import draw_hard

_ASSETS = Path(__file__).parents[1] / "assets"
_STEP = 0.01  # px
# Steps after which a pixel (row, column) jumped by 0.05 to 0.5 when its outlines were told apart by sheets alone.
_DUCK = [(6, 25, 92), (7, 25, 92), (14, 25, 92), (20, 73, 73), (21, 73, 73), (23, 43, 88), (23, 73, 73), (26, 52, 90)]
_DUCK += [
    (26, 57, 36),
    (28, 68, 83),
    (31, 34, 41),
    (32, 58, 36),
    (35, 43, 88),
    (37, 15, 76),
    (37, 34, 59),
    (38, 32, 61),
]
_TORUS = [(10, 33, 61), (19, 59, 66)]


def premultiplied(image):
    return np.concatenate([image[..., :-1] * image[..., -1:], image[..., -1:]], axis=-1)


def seen_in_pixel(vertices, faces, attributes, row, column, samples=48):
    """The mean of premultiplied attributes and alpha of samples^2 places in a pixel, in perspective."""
    corners = vertices[faces, :2] - [column, row]
    near = ((corners.max(axis=1) > 0) & (corners.min(axis=1) < 1)).all(axis=1)
    moved = vertices - [column, row, 0]
    moved[:, :2] *= samples
    used, numbers = np.unique(faces[near], return_inverse=True)
    of = moved[used], numbers.reshape(-1, 3), (samples, samples), attributes[used]
    return oracle_hard.supersampled(*of, samples=1).mean(axis=(0, 1))


@pytest.mark.parametrize(
    "name, eye, jumps", [("duck.glb", (1.2, 1.4, 3), _DUCK), ("torus.ply", (2.4, 0.9, 1.2), _TORUS)]
)
def test_pixels_that_jumped_are_what_is_seen_in_them(name, eye, jumps):
    """The duck has an inside, and seams of its texture at which vertices are there twice."""
    mesh, camera = dr.load_mesh(_ASSETS / name), dr.Camera.look_at(eye, fov_degrees=42, size=(96, 128))
    places = (mesh.vertices - mesh.vertices.mean(axis=0)) / np.ptp(mesh.vertices, axis=0).max() * 2
    places = places.astype(np.float32)
    colors = (0.5 + 0.35 * np.sin(2 * places)).astype(np.float64)
    pixels = project(places, camera).astype(np.float64)
    images = {}
    for step in {step - before for step, _, _ in jumps for before in (0, 1)}:
        vertices = pixels + [0.8 * _STEP * step, 0.6 * _STEP * step, 0]
        images[step] = vertices, premultiplied(draw_hard(vertices, mesh.faces, camera.size, dr.Hard(), colors).image)
    for step, row, column in jumps:
        for vertices, image in (images[step - 1], images[step]):
            expected = seen_in_pixel(vertices, mesh.faces, colors, row, column)
            assert expected[3] > 0.1
            # Each region has the colour that it has at one place; samples miss a line by 1 / 96.
            np.testing.assert_allclose(image[row, column, :3], expected[:3], atol=0.06)
            np.testing.assert_allclose(image[row, column, 3], expected[3], atol=0.011)
        assert np.abs(images[step][1][row, column] - images[step - 1][1][row, column]).max() < 4 * _STEP


def crumpled(seed, size=(14, 16)):
    """Two spiky bodies, one well before the other, each of its own colour: (vertices in pixels, faces, attributes, size)."""
    random, ball = np.random.default_rng(seed), dr.icosphere(1)
    camera = dr.Camera.look_at((0.2, 0.3, 4), fov_degrees=42, size=size)
    away = np.array([-0.2, -0.3, -4]) / np.linalg.norm([0.2, 0.3, 4])
    bodies = []
    for scale, depth in ((0.8, 0), (1.8, 4)):
        radius = scale * random.uniform(0.2, 1.3, (len(ball.vertices), 1))
        turn, _ = np.linalg.qr(random.normal(size=(3, 3)))
        bodies.append((ball.vertices * radius) @ turn.T + depth * away)
    count = len(ball.vertices)
    faces = np.concatenate([ball.faces, ball.faces + count]).astype(np.int32)
    return project(np.concatenate(bodies), camera), faces, np.repeat(np.eye(2), count, axis=0), size


@pytest.mark.parametrize("seed", range(4))
def test_spiky_bodies_are_what_many_samples_show(seed):
    vertices, faces, attributes, size = crumpled(seed)
    image = premultiplied(draw_hard(vertices, faces, size, dr.Hard(), attributes).image)
    expected = oracle_hard.supersampled(vertices, faces, size, attributes, samples=16)
    assert expected[..., 0].mean() > 0.1 and expected[..., 1].mean() > 0.04
    np.testing.assert_allclose(
        image, expected, atol=0.04
    )  # of sixteen lines of samples an edge misses up to half of one


@pytest.mark.parametrize("seed", range(2))
def test_the_gradient_in_each_pixel_is_that_of_finite_differences(seed):
    vertices, faces, attributes, size = crumpled(seed)
    direction = np.random.default_rng(seed).normal(size=vertices.shape) * [1, 1, 0.02]

    def draw(step):
        return draw_hard(vertices + step * direction, faces, size, dr.Hard(), attributes)

    out, step = draw(0), 1e-7
    slopes = (draw(step).image - draw(-step).image) / (2 * step)
    assert np.abs(slopes).max() > 0.5
    pairs = out._fragments.pairs
    assert np.bincount(pairs.pixels).max() > 5  # pieces of boundaries in a pixel
    for pixel in np.unique(pairs.pixels):
        for channel in (0, 2):
            grad = np.zeros(out.image.shape)
            grad.reshape(-1, 3)[pixel, channel] = 1
            found = (out.backward(grad).vertices_pixel * direction).sum()
            expected = slopes.reshape(-1, 3)[pixel, channel]
            assert abs(found - expected) < 1e-5 * (1 + abs(expected))


@pytest.mark.parametrize("seed", range(4))
def test_moving_spiky_bodies_never_jump(seed):
    """The front one moves by 0.4 px over the other."""
    vertices, faces, attributes, size = crumpled(seed)
    images = []
    for step in range(41):
        moved = vertices.copy()
        moved[: len(vertices) // 2, :2] += [0.8 * _STEP * step, 0.6 * _STEP * step]
        images.append(premultiplied(draw_hard(moved, faces, size, dr.Hard(), attributes).image))
    changes = np.abs(np.diff(images, axis=0))
    # An edge across a pixel sweeps 0.014 of it in a step, and no pixel has more than a few such.
    assert 0.5 * _STEP < changes.max() < 4 * _STEP


def test_the_backends_agree(on_cuda):
    vertices, faces, attributes, size = crumpled(0, (9, 11))
    expected, actual = (
        draw_hard(vertices, faces, size, dr.Hard(), attributes, backend=name) for name in ("cpu", on_cuda.name)
    )
    assert np.bincount(expected._fragments.pairs.pixels).max() > 5
    np.testing.assert_allclose(actual.image, expected.image, atol=1e-12)
    grad = np.random.default_rng(0).normal(size=expected.image.shape)
    grads = expected.backward(grad).vertices_pixel, actual.backward(grad).vertices_pixel
    np.testing.assert_allclose(grads[1], grads[0], atol=1e-12 * np.abs(grads[0]).max())
