"""Perspective and textures against the oracle, finite differences and their promises."""

from typing import NamedTuple

import numpy as np
import oracle
import pytest
import scenes
from gradcheck import relative_l2

import diffrender as dr

DEPTH = {"gamma": 3e-2, "near": 1.0, "far": 6.0}
BACKGROUND = (0.2, 0.5, 0.1)
SIDE = (7, 10)  # of the image of a texture: odd and even


class Painted(NamedTuple):
    """A scene with a texture, whose faces have corners of their own in it."""

    scene: scenes.Scene
    attributes: np.ndarray
    uv: np.ndarray
    faces_uv: np.ndarray
    image: np.ndarray

    def rasterize(self, on, wrap="repeat", filter="trilinear", dtype=np.float64, **changes):
        values = {
            "vertices_pixel": self.scene.vertices.astype(dtype),
            "uv": self.uv,
            "attributes": self.attributes,
            "image": self.image,
            "faces_uv": self.faces_uv,
        } | changes
        texture = dr.Texture(values.pop("image"), wrap, filter)
        return on.rasterize(faces=self.scene.faces, size=self.scene.size, texture=texture, **values)

    def inputs(self):
        return {"vertices": self.scene.vertices, "attributes": self.attributes, "uv": self.uv, "texture": self.image}

    def gradients(self):
        random = np.random.default_rng(7)
        return random.normal(size=self.scene.size), random.normal(size=(*self.scene.size, 3))


def painted(on, make=scenes.shared_vertices, spread=0.4, side=SIDE, seed=3):
    """A scene whose faces lie anywhere in the texture, some over many texels, some within one."""
    scene = on.scene(make)
    random = np.random.default_rng(seed)
    count = 2 * len(scene.vertices)
    uv = scenes._exact(random.uniform(-0.3, 1.3, (count, 2)) * random.choice([spread, 1], (count, 1)))
    faces_uv = random.integers(0, count, scene.faces.shape)
    image = scenes._exact(random.uniform(size=(*side, 3)))
    return Painted(scene, scene.attributes(3), uv, faces_uv, image)


@pytest.mark.parametrize("perspective", [False, True])
@pytest.mark.parametrize("wrap", ["repeat", "clamp"])
@pytest.mark.parametrize("filter", ["bilinear", "trilinear"])
def test_textured_color_and_its_gradients_are_the_oracles(on, wrap, filter, perspective):
    if on.simulated and (filter == "trilinear") ^ (wrap == "clamp") ^ perspective:
        pytest.skip("half of the combinations have all pairs, and the simulator takes ten seconds for each")
    drawn = painted(on)
    options = DEPTH | {"background": BACKGROUND, "perspective_correct": perspective}
    out = drawn.rasterize(on, wrap, filter, **options)
    settings = options | {"wrap": wrap, "filter": filter, "faces_uv": drawn.faces_uv}
    inputs = drawn.inputs()
    rest = {name: value for name, value in inputs.items() if name != "vertices"}
    alpha, color = oracle.rasterize(inputs["vertices"], drawn.scene.faces, drawn.scene.size, **rest, **settings)
    np.testing.assert_allclose(out.alpha, alpha, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(out.color, color, rtol=1e-11)
    grads = out.backward(*drawn.gradients())
    single = drawn.rasterize(on, wrap, filter, np.float32, **options).backward(*drawn.gradients())
    names = {"vertices": "vertices_pixel", "attributes": "attributes", "uv": "uv", "texture": "texture"}
    for name, field in names.items():
        expected = oracle.gradient_of(
            name, drawn.scene.faces, drawn.scene.size, *drawn.gradients(), **inputs, **settings
        )
        assert relative_l2(getattr(grads, field), expected) < 1e-9, name
        assert getattr(single, field).dtype == np.float32
        assert relative_l2(getattr(single, field), expected) < 2e-4, name


@pytest.mark.parametrize("make", [scenes.shared_vertices, scenes.sphere, scenes.slivers])
@pytest.mark.parametrize("channels", [1, 5])
def test_perspective_attributes_and_their_gradients_are_the_oracles(on, make, channels):
    scene = on.scene(make)
    options = DEPTH | {"perspective_correct": True, "background": 0.3, "attributes": scene.attributes(channels)}
    out = on.rasterize(scene.vertices, scene.faces, scene.size, **options)
    alpha, color = oracle.rasterize(scene.vertices, scene.faces, scene.size, **options)
    np.testing.assert_allclose(out.alpha, alpha, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(out.color, color, rtol=1e-12)
    if make is scenes.sphere:
        return
    random = np.random.default_rng(1)
    grad_alpha, grad_color = random.normal(size=scene.size), random.normal(size=color.shape)
    grads = out.backward(grad_alpha, grad_color)
    vertices, attributes = oracle.gradients(scene.vertices, scene.faces, scene.size, grad_alpha, grad_color, **options)
    assert relative_l2(grads.vertices_pixel, vertices) < 1e-9
    assert relative_l2(grads.attributes, attributes) < 1e-9
    assert grads.uv is None and grads.texture is None
    linear = on.rasterize(scene.vertices, scene.faces, scene.size, **(options | {"perspective_correct": False}))
    assert np.abs(linear.color - out.color).max() > 1e-3


@pytest.mark.parametrize("filter", ["bilinear", "trilinear"])
def test_gradients_are_those_of_finite_differences(on, filter):
    drawn = painted(on, lambda: scenes.random_triangles(seed=2, count=5))
    grad_alpha, grad_color = drawn.gradients()
    options = DEPTH | {"background": BACKGROUND, "perspective_correct": True, "filter": filter}
    grads = drawn.rasterize(on, **options).backward(grad_alpha, grad_color)
    random, step = np.random.default_rng(4), 1e-7
    fields = {"vertices_pixel": drawn.scene.vertices, "uv": drawn.uv, "attributes": drawn.attributes}
    for name, values in (fields | {"image": drawn.image}).items():
        gradient = grads.texture if name == "image" else getattr(grads, name)
        direction = random.normal(size=values.shape)
        sides = []
        for sign in (1, -1):
            moved = values + sign * step * direction
            out = drawn.rasterize(on, **options, **{name: np.clip(moved, 0, 1) if name == "image" else moved})
            sides.append((grad_alpha * out.alpha).sum() + (grad_color * out.color).sum())
        numeric = (sides[0] - sides[1]) / (2 * step)
        assert abs((gradient * direction).sum() - numeric) < 1e-5 * np.linalg.norm(gradient), name


@pytest.mark.parametrize("filter", ["bilinear", "trilinear"])
def test_a_texture_of_one_color_is_that_color(on, filter):
    drawn = painted(on)
    color = np.array([0.25, 0.5, 1.0])
    image = np.broadcast_to(color, (*SIDE, 3))
    ones = np.ones_like(drawn.attributes)
    out = drawn.rasterize(on, filter=filter, image=image, attributes=None, **DEPTH)
    expected = on.rasterize(*drawn.scene, attributes=ones * color, **DEPTH)
    np.testing.assert_allclose(out.color, expected.color, rtol=1e-12)
    grads = out.backward(*drawn.gradients())
    assert grads.attributes is None
    assert np.abs(grads.uv).max() < 1e-12
    plain = expected.backward(*drawn.gradients())
    np.testing.assert_allclose(grads.vertices_pixel, plain.vertices_pixel, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(grads.texture.sum(axis=(0, 1)), plain.attributes.sum(axis=0), rtol=1e-9)


def test_a_linear_texture_on_a_plane_is_the_linear_color_in_perspective(on):
    flat = np.array([(-40.0, 30, 1.5), (60, 25, 2.5), (45, -30, 5), (-30, -20, 3)])
    scene = scenes.Scene(flat, np.array([(0, 1, 2), (0, 2, 3)]), (12, 16))
    uv = np.array([(0.1, 0.9), (0.9, 0.8), (0.7, 0.1), (0.2, 0.2)])
    columns, rows = np.meshgrid((np.arange(32) + 0.5) / 32, (np.arange(16) + 0.5) / 16)
    texture = dr.Texture(np.stack([columns, rows, (columns + rows) / 2], axis=-1), "clamp", "bilinear")
    out = on.rasterize(*scene, texture=texture, uv=uv, **DEPTH)
    colors = np.c_[uv, uv.mean(axis=1)]
    expected = on.rasterize(*scene, attributes=colors, perspective_correct=True, **DEPTH)
    np.testing.assert_allclose(out.color, expected.color, rtol=1e-12)
    swimming = on.rasterize(*scene, attributes=colors, **DEPTH)
    assert np.abs(swimming.color - out.color).max() > 0.05


def test_flat_depth_needs_no_perspective(on):
    scene = on.scene(scenes.shared_vertices)
    scene.vertices[:, 2] = 2.5
    options = DEPTH | {"attributes": scene.attributes(3)}
    one, two = (on.rasterize(*scene, perspective_correct=answer, **options) for answer in (False, True))
    np.testing.assert_allclose(one.color, two.color, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_same_bits_at_any_number_of_threads(dtype):
    scene = scenes.sphere(subdivisions=2, size=(71, 90))
    uv = np.random.default_rng(0).uniform(-1, 2, (len(scene.vertices), 2))
    texture = dr.Texture(np.random.default_rng(1).uniform(size=(33, 20, 3)))
    random = np.random.default_rng(2)
    grads = random.normal(size=scene.size), random.normal(size=(*scene.size, 3))
    before, bits = dr.get_num_threads(), set()
    try:
        for threads in (1, 2, 3, 7):
            dr.set_num_threads(threads)
            out = dr.rasterize_soft(
                scene.vertices.astype(dtype),
                *scene[1:],
                attributes=scene.attributes(3),
                texture=texture,
                uv=uv,
                **DEPTH,
            )
            back = out.backward(*grads)
            arrays = (out.alpha, out.color, back.vertices_pixel, back.attributes, back.uv, back.texture)
            bits.add(b"".join(array.tobytes() for array in arrays))
    finally:
        dr.set_num_threads(before)
    assert len(bits) == 1


def test_gradients_do_not_depend_on_what_was_drawn_before():
    scene = scenes.sphere(subdivisions=2, size=(71, 90))
    uv = np.random.default_rng(0).uniform(-1, 2, (len(scene.vertices), 2))
    grad = np.random.default_rng(2).normal(size=(*scene.size, 3))

    def texture_gradient(side, filter):
        image = np.random.default_rng(1).uniform(size=(*side, 3))
        out = dr.rasterize_soft(*scene, texture=dr.Texture(image, filter=filter), uv=uv, **DEPTH)
        return out.backward(grad_color=grad).texture

    first = texture_gradient((33, 20), "trilinear")
    again = texture_gradient((33, 20), "trilinear")
    texture_gradient((300, 200), "bilinear")
    assert first.any() and first.tobytes() == again.tobytes() == texture_gradient((33, 20), "trilinear").tobytes()
    # Each pixel's weights of texels sum to that of its faces: so do the gradients of all texels, whatever the texture.
    large = texture_gradient((300, 200), "bilinear").sum(axis=(0, 1))
    np.testing.assert_allclose(first.sum(axis=(0, 1)), large, rtol=1e-9)


def test_a_gradient_of_alpha_alone_leaves_uv_and_texture_alone(on):
    drawn = painted(on)
    grads = drawn.rasterize(on, **DEPTH).backward(grad_alpha=np.ones(drawn.scene.size))
    assert grads.vertices_pixel.any()
    assert grads.uv.shape == drawn.uv.shape and not grads.uv.any()
    assert grads.texture.shape == drawn.image.shape and not grads.texture.any()


def test_a_gradient_that_is_not_finite_shows_in_the_texture(on):
    if on.simulated:
        pytest.skip("NumPy warns of NaN, and the simulator's threads stumble over the note it makes of that")
    drawn = painted(on)
    grad = np.zeros((*drawn.scene.size, 3))
    grad[5, 5] = np.nan
    assert np.isnan(drawn.rasterize(on, **DEPTH).backward(grad_color=grad).texture).all()


BAD = [
    ({"uv": None}, "a texture needs uv, got None"),
    ({"uv": np.zeros((3, 3))}, r"uv must have shape \(T, 2\), got \(3, 3\)"),
    ({"uv": np.full((3, 2), np.inf)}, "uv has NaN or infinity in 3 rows, first in row 0"),
    ({"uv": np.zeros((2, 2))}, "face 0 refers to uv 2, but there are 2 of them"),
    ({"faces_uv": np.zeros((2, 3), int)}, r"faces_uv must have the shape of faces \(1, 3\), got \(2, 3\)"),
    ({"faces_uv": np.zeros((1, 3))}, "faces_uv must be integers, got float64"),
    ({"attributes": np.ones((3, 2))}, r"attributes must have shape \(V, 3\) with a texture, got \(3, 2\)"),
]


@pytest.mark.parametrize("change, message", BAD)
def test_bad_input_is_named_with_its_value(change, message):
    good = {
        "vertices_pixel": np.array([(1.0, 1, 2), (9, 2, 2), (4, 8, 2)]),
        "faces": np.array([(0, 1, 2)]),
        "size": (10, 12),
        "texture": dr.Texture(np.zeros((2, 2, 3))),
        "uv": np.zeros((3, 2)),
    }
    with pytest.raises(ValueError, match=message):
        dr.rasterize_soft(**(good | change))
