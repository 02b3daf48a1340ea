import re
from dataclasses import replace

import numpy as np
import pytest
from gradcheck import assert_transposed, relative_l2
from meshes import bumpy, tilted_camera

import diffrender as dr
from diffrender.corners import split_corners
from diffrender.harmonics import sh_basis, sh_shading
from diffrender.illuminate import lit_colors
from diffrender.optimize.adam import Adam
from diffrender.shading import normal_sums, vertex_normals

SOFT = dr.Soft(sigma=1.3, gamma=2e-2, near=1.0, far=6.0, background=(0.1, 0.2, 0.3))
MESH, CAMERA = bumpy(1), tilted_camera()
LIGHTS = dr.Lights(
    ambient=(0.1, 0.2, 0.15),
    directional=dr.Directional([(0.2, 0.9, 0.5), (-1, 0.3, 0.4)], [(0.6, 0.5, 0.4), (0.1, 0.2, 0.3)]),
    points=dr.Points([(1.5, 0.5, 2.0), (0.5, -2, 1)], [(2.0, 1.5, 1.0), (1, 1, 1)]),
    sh=np.random.default_rng(3).normal(size=(9, 3)) * 0.3,
    specular=dr.Specular((0.4, 0.5, 0.3), 7.0),
)


def _lights(ambient, directions, shine, positions, brightness, sh, gloss, shininess, normals, falloff):
    return dr.Lights(
        ambient,
        dr.Directional(directions, shine),
        dr.Points(positions, brightness, falloff),
        sh,
        dr.Specular(gloss, float(shininess)),
        normals,
    )


@pytest.mark.parametrize(
    "normals, falloff", [("smooth", "inverse-square"), ("flat", "inverse-square"), ("smooth", "none")]
)
def test_gradients_of_every_input_are_those_of_the_image(normals, falloff):
    def forward(vertices, colors, rotation, translation, *numbers):
        mesh = dr.Mesh(vertices, MESH.faces, colors)
        return dr.render(mesh, CAMERA.moved(rotation, translation), SOFT, _lights(*numbers, normals, falloff)).image

    assert LIGHTS.directional and LIGHTS.points and LIGHTS.specular
    numbers = (
        *(LIGHTS.ambient, LIGHTS.directional.directions, LIGHTS.directional.intensities),
        *(LIGHTS.points.positions, LIGHTS.points.intensities, LIGHTS.sh),
        *(LIGHTS.specular.color, np.float64(LIGHTS.specular.shininess)),
    )
    rendering = dr.render(MESH, CAMERA, SOFT, _lights(*numbers, normals, falloff))
    assert 0.1 < (rendering.image[..., 3] > 0.5).mean() < 0.9

    def backward(grad):
        grads = rendering.backward(grad)
        light = grads.light
        return (
            *(grads.vertices, grads.vertex_colors, grads.rotation, grads.translation),
            *(light.ambient, *light.directional, *light.points, light.sh, *light.specular),
        )

    inputs = (MESH.vertices, MESH.vertex_colors, np.zeros(3), np.zeros(3), *numbers)
    assert_transposed(forward, backward, inputs, tolerance=1e-5)


def test_the_eye_moves_highlights_alone():
    """The translation's gradient by way of the eye: without it the check above would fail by no more than a highlight."""
    lights = dr.Lights(directional=dr.Directional((0, 0.3, 1)), specular=dr.Specular(shininess=20))
    sums, eye = normal_sums(MESH.vertices, MESH.faces), CAMERA.center
    with_gloss = lit_colors(sums, MESH.vertices, MESH.vertex_colors, lights, eye)
    moved = lit_colors(sums, MESH.vertices, MESH.vertex_colors, lights, eye + [0.3, 0, 0])
    assert np.abs(with_gloss - moved).max() > 0.01
    matt = replace(lights, specular=None)
    assert np.array_equal(*(lit_colors(sums, MESH.vertices, MESH.vertex_colors, matt, eye + s) for s in (0.0, 0.3)))


def test_colours_are_blinns_and_lamberts_vertex_by_vertex():
    normals, _ = vertex_normals(MESH.vertices, MESH.faces)
    expected = np.zeros_like(MESH.vertices)
    for number, (x, n, albedo) in enumerate(zip(MESH.vertices, normals, MESH.vertex_colors)):
        view = (CAMERA.center - x) / np.linalg.norm(CAMERA.center - x)
        color = albedo * (LIGHTS.ambient + sh_shading(n[:, None], LIGHTS.sh)[:, 0])
        sources = [(d, i) for d, i in zip(LIGHTS.directional.directions, LIGHTS.directional.intensities)]
        sources += [
            (p - x, i / np.sum((p - x) ** 2)) for p, i in zip(LIGHTS.points.positions, LIGHTS.points.intensities)
        ]
        for offset, intensity in sources:
            towards = offset / np.linalg.norm(offset)
            cosine = (n @ towards + np.hypot(n @ towards, LIGHTS.softness)) / 2
            half = (towards + view) / np.linalg.norm(towards + view)
            color = color + intensity * cosine * (
                albedo + LIGHTS.specular.color * max(n @ half, 0) ** LIGHTS.specular.shininess
            )
        expected[number] = color
    actual = lit_colors(
        normal_sums(MESH.vertices, MESH.faces), MESH.vertices, MESH.vertex_colors, LIGHTS, CAMERA.center
    )
    np.testing.assert_allclose(actual, expected, rtol=1e-12)
    assert expected.max() > 1  # light is not clipped


def _sphere_of_directions(rows=200):
    """Directions (N, 3) over the sphere and the solid angle (N,) each stands for: Gauss's rule in z, equal steps around."""
    z, weights = np.polynomial.legendre.leggauss(rows)
    around = (np.arange(2 * rows) + 0.5) * np.pi / rows
    radius = np.sqrt(1 - z * z)[:, None]
    x, y = radius * np.cos(around), radius * np.sin(around)
    directions = np.stack([x, y, np.broadcast_to(z[:, None], x.shape)], axis=-1).reshape(-1, 3)
    return directions, np.repeat(weights * np.pi / rows, 2 * rows)


def test_harmonics_are_orthonormal_and_shade_as_the_integral_over_the_sphere():
    directions, angles = _sphere_of_directions()
    basis = sh_basis(directions)
    np.testing.assert_allclose((basis * angles[:, None]).T @ basis, np.eye(9), atol=1e-12)
    radiance = basis @ LIGHTS.sh
    normals = np.random.default_rng(0).normal(size=(6, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    cosines = np.maximum(directions @ normals.T, 0) * angles[:, None]
    np.testing.assert_allclose(sh_shading(normals.T, LIGHTS.sh), (cosines.T @ radiance / np.pi).T, atol=2e-5)


def test_harmonics_are_those_of_ramamoorthi_and_hanrahan():
    """Their eq. 13, with the five constants as printed: irradiance, which is pi times what we show."""
    c1, c2, c3, c4, c5 = 0.429043, 0.511664, 0.743125, 0.886227, 0.247708
    x, y, z = normal = np.array([0.48, -0.6, 0.64])
    l00, l1m1, l10, l11, l2m2, l2m1, l20, l21, l22 = LIGHTS.sh
    irradiance = c1 * l22 * (x * x - y * y) + c3 * l20 * z * z + c4 * l00 - c5 * l20
    irradiance = irradiance + 2 * c1 * (l2m2 * x * y + l21 * x * z + l2m1 * y * z)
    irradiance = irradiance + 2 * c2 * (l11 * x + l1m1 * y + l10 * z)
    np.testing.assert_allclose(np.pi * sh_shading(normal[:, None], LIGHTS.sh)[:, 0], irradiance, atol=3e-6)


def test_white_light_from_all_around_is_ambient_light():
    sh = np.zeros((9, 3))
    sh[0] = np.sqrt(4 * np.pi)
    images = [dr.render(MESH, CAMERA, SOFT, lights).image for lights in (dr.Lights(sh=sh), dr.Lights((1, 1, 1)), None)]
    np.testing.assert_allclose(images[0], images[2], rtol=1e-12)
    np.testing.assert_allclose(images[1], images[2], rtol=1e-12)


def test_one_white_light_is_what_light_is():
    light = dr.Light((0.2, 0.9, 0.5), 0.3, 0.6)
    lights = dr.Lights((0.3, 0.3, 0.3), dr.Directional((0.2, 0.9, 0.5), (0.6, 0.6, 0.6)))
    expected, actual = (dr.render(MESH, CAMERA, SOFT, light) for light in (light, lights))
    np.testing.assert_allclose(actual.image, expected.image, rtol=1e-12)
    grad = np.random.default_rng(0).normal(size=expected.image.shape)
    assert relative_l2(actual.backward(grad).vertices, expected.backward(grad).vertices) < 1e-11


def test_flat_is_smooth_on_a_plane_and_not_elsewhere():
    plane = dr.Mesh(
        np.array([(-1.0, -1, 0.2), (1, -1, 0), (1.1, 1, 0), (-1, 1, 0.2)]) @ np.diag([1, 1, 0.0]) + [0, 0, 0.1],
        np.array([(0, 1, 2), (0, 2, 3)]),
    )
    for mesh, same in ((plane, True), (MESH, False)):
        smooth, flat = (dr.render(mesh, CAMERA, SOFT, replace(LIGHTS, normals=n)).image for n in ("smooth", "flat"))
        assert (np.abs(smooth - flat).max() < 1e-12) == same
        np.testing.assert_allclose(flat[..., 3], smooth[..., 3], rtol=1e-12)


def test_split_corners_have_the_normals_of_their_faces():
    split = split_corners(MESH)
    a, b, c = MESH.vertices[MESH.faces].transpose(1, 0, 2)
    np.testing.assert_allclose(normal_sums(split.vertices, split.faces)[::3], np.cross(b - a, c - a), atol=1e-15)


def test_bits_do_not_depend_on_threads():
    mesh = bumpy(4, np.float32)
    grad = np.random.default_rng(1).normal(size=(*CAMERA.size, 4))
    results, before = [], dr.get_num_threads()
    for threads in (1, 2):
        dr.set_num_threads(threads)
        grads = dr.render(mesh, CAMERA, SOFT, LIGHTS).backward(grad)
        results.append((grads.vertices, grads.vertex_colors, grads.light.sh, grads.light.points.positions))
    dr.set_num_threads(before)
    assert all(np.array_equal(one, two) for one, two in zip(*results))


def test_vertices_at_a_light_or_without_a_face_stay_finite():
    vertices = np.concatenate([MESH.vertices, [(0.0, 0, 5)]])
    mesh = dr.Mesh(vertices, MESH.faces)
    lights = dr.Lights(points=dr.Points(vertices[0]), specular=dr.Specular())
    rendering = dr.render(mesh, CAMERA, SOFT, lights)
    grads = rendering.backward(np.ones_like(rendering.image))
    assert np.isfinite(rendering.image).all() and np.isfinite(grads.vertices).all()
    assert np.isfinite(grads.light.points.positions).all()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: dr.Lights((-1, 0, 0)), "ambient light must be three finite numbers >= 0, got [-1.0, 0.0, 0.0]"),
        (lambda: dr.Lights(0.3), "ambient light must be three finite numbers >= 0, got 0.3"),
        (lambda: dr.Lights(sh=np.zeros((4, 3))), "sh must be finite and have shape (9, 3), got shape (4, 3)"),
        (lambda: dr.Lights(normals="hard"), "normals must be 'smooth' or 'flat', got 'hard'"),
        (lambda: dr.Lights(points=(1, 2, 3)), "points must be a Points or None, got (1, 2, 3)"),
        (lambda: dr.Lights(softness=-1), "softness must be finite and >= 0, got -1"),
        (
            lambda: dr.Directional([(0, 0, 1), (0, 0, 0)]),
            "directions must not be all 0, got [[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]",
        ),
        (lambda: dr.Directional((0, 1)), "directions must be finite and have shape (L, 3), got shape (1, 2)"),
        (
            lambda: dr.Directional((0, 1, 0), [(1, 1, 1)] * 2),
            "intensities must be finite, >= 0 and of shape (1, 3), got shape (2, 3)",
        ),
        (
            lambda: dr.Points((0, np.nan, 0)),
            "positions must be finite and have shape (L, 3), got shape (1, 3): [[0.0, nan, 0.0]]",
        ),
        (lambda: dr.Points((0, 1, 0), falloff="cubic"), "falloff must be 'inverse-square' or 'none', got 'cubic'"),
        (lambda: dr.Specular(shininess=0.5), "specular shininess must be finite and >= 1, got 0.5"),
    ],
)
def test_bad_lights_are_named_with_their_value(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


def test_documented_basis():
    import doctest

    from diffrender import harmonics

    result = doctest.testmod(harmonics)
    assert result.attempted and not result.failed


def test_an_unknown_direction_comes_back():
    def lights(direction):
        return dr.Lights((0.1, 0.1, 0.1), dr.Directional(direction))

    truth, direction, adam = np.array([0.5, 0.7, 0.6]), np.array([[-0.8, -0.2, 0.5]]), Adam()
    target, state = dr.render(MESH, CAMERA, SOFT, lights(truth)).image, adam.init(direction)
    for step in range(300):
        rendering = dr.render(MESH, CAMERA, SOFT, lights(direction))
        grad = rendering.backward(rendering.image - target).light.directional.directions
        delta, state = adam.update(grad, state, 0.1 * 0.01 ** (step / 300))
        direction = direction + delta
    cosine = direction[0] @ truth / np.linalg.norm(direction) / np.linalg.norm(truth)
    assert np.degrees(np.arccos(cosine)) < 2
