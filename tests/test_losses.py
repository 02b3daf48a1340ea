"""Losses, regularisers and shading: each gradient against finite differences in float64."""

import numpy as np
import pytest
from gradcheck import assert_transposed
from meshes import bumpy

import diffrender as dr
from diffrender import color, loss, regularize
from diffrender.shading import shade, shade_backward
from diffrender.topology import adjacent_faces, uniform_laplacian, unique_edges

RANDOM = np.random.default_rng(0)
IMAGE, TARGET = RANDOM.uniform(0.01, 1, (6, 7, 3)), RANDOM.uniform(0.01, 1, (6, 7, 3))
WEIGHT = RANDOM.uniform(0, 1, (6, 7))
MESH = bumpy(1)


@pytest.mark.parametrize("space", ["linear", "srgb"])
@pytest.mark.parametrize("function", [loss.l1, loss.l2])
@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_image_losses(function, space, weight):
    value, gradient = function(IMAGE, TARGET, weight, space)
    image, target = (color.linear_to_srgb(array) if space == "srgb" else array for array in (IMAGE, TARGET))
    share = np.ones((6, 7)) if weight is None else weight
    power = np.abs(image - target) ** (1 if function is loss.l1 else 2)
    assert value == pytest.approx((power * share[..., None]).sum() / share.sum() / 3, rel=1e-6)
    assert_transposed(
        lambda image: function(image, TARGET, weight, space)[0], lambda grad: [grad * gradient], [IMAGE], tolerance=1e-5
    )


@pytest.mark.parametrize("space", ["linear", "srgb"])
def test_the_loss_of_colors_that_cover_by_chance_is_what_it_is_on_average(space):
    alpha = RANDOM.uniform(0, 1, (6, 7))
    value, gradient = loss.l2_covered(np.dstack([IMAGE, alpha]), TARGET, WEIGHT, space)
    covered = RANDOM.uniform(size=(4000, 6, 7)) < alpha
    drawn = [loss.l2(IMAGE * here[..., None], TARGET, WEIGHT, space)[0] for here in covered]
    assert value == pytest.approx(np.mean(drawn), abs=5 * np.std(drawn) / np.sqrt(len(drawn)))
    assert_transposed(
        lambda image: loss.l2_covered(image, TARGET, WEIGHT, space)[0],
        lambda grad: [grad * gradient],
        [np.dstack([IMAGE, alpha])],
        tolerance=1e-5,
    )


def test_silhouette_iou():
    alpha, mask = IMAGE[..., 0], (TARGET[..., 0] > 0.5).astype(float)
    value, gradient = loss.silhouette_iou(alpha, mask)
    assert value == pytest.approx(1 - np.minimum(alpha * mask, 1).sum() / (alpha + mask - alpha * mask).sum())
    assert_transposed(lambda a: loss.silhouette_iou(a, mask)[0], lambda grad: [grad * gradient], [alpha])
    assert loss.silhouette_iou(mask, mask)[0] == pytest.approx(0)


def test_measures():
    assert loss.psnr_db(IMAGE, IMAGE) == float("inf")
    shifted = color.srgb_to_linear(np.full((4, 4, 3), 0.6)), color.srgb_to_linear(np.full((4, 4, 3), 0.5))
    assert loss.psnr_db(*shifted) == pytest.approx(20)
    first, second = np.zeros((2, 4), bool), np.zeros((2, 4), bool)
    first[0], second[:, :2] = True, True
    assert loss.iou(first, second) == pytest.approx(2 / 6)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: loss.l2(IMAGE, TARGET[1:]), r"image has shape \(6, 7, 3\), but target has \(5, 7, 3\)"),
        (lambda: loss.l1(IMAGE, TARGET, WEIGHT[1:]), r"weight must have shape \(6, 7\), got \(5, 7\)"),
        (lambda: loss.l1(IMAGE, TARGET, 0 * WEIGHT), "weights must have a positive sum, got 0"),
        (lambda: loss.l2(IMAGE, TARGET, None, "hsv"), "color_space must be 'linear' or 'srgb', got 'hsv'"),
        (lambda: loss.silhouette_iou(WEIGHT, 0 * WEIGHT), "the mask is empty"),
        (lambda: loss.iou(WEIGHT > 2, WEIGHT > 2), "both masks are empty"),
        (lambda: color.srgb_to_linear(np.array([1, 2])), "floating point in .* got dtype int64"),
    ],
)
def test_bad_images_are_named_with_their_value(call, message):
    with pytest.raises(ValueError, match=message):
        call()


REGULARIZERS = [
    lambda v: regularize.laplacian(v, uniform_laplacian(MESH.faces, len(v))),
    lambda v: regularize.edge_length(v, unique_edges(MESH.faces)),
    lambda v: regularize.edge_length(v, unique_edges(MESH.faces), 0.4),
    lambda v: regularize.normal_consistency(v, MESH.faces, adjacent_faces(MESH.faces)),
]


@pytest.mark.parametrize("function", REGULARIZERS)
def test_regularizers(function):
    value, gradient = function(MESH.vertices)
    assert value > 0
    assert_transposed(lambda v: function(v)[0], lambda grad: [grad * gradient], [MESH.vertices])
    assert function(MESH.vertices.astype(np.float32))[1].dtype == np.float32


def test_regularizers_bear_collapsed_faces():
    vertices = MESH.vertices.copy()
    vertices[MESH.faces[0]] = vertices[MESH.faces[0, 0]]
    for function in REGULARIZERS:
        value, gradient = function(vertices)
        assert np.isfinite(value) and np.isfinite(gradient).all()


def test_a_flat_pair_is_consistent_and_a_fold_is_not():
    vertices = np.array([(0.0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0)])
    faces = np.array([(0, 1, 2), (2, 1, 3)])
    pairs = adjacent_faces(faces)
    assert regularize.normal_consistency(vertices, faces, pairs)[0] == pytest.approx(0)
    vertices[3] = (0.1, 0.1, 0)
    assert regularize.normal_consistency(vertices, faces, pairs)[0] == pytest.approx(2)


def test_shading_is_lamberts_and_its_backward_the_transpose():
    light = dr.Light((0.3, -0.5, 0.9), ambient=0.2, diffuse=0.7, softness=0.0)
    flat = np.array([(0.0, 0, 0), (1, 0, 0), (0, 1, 0)])
    lit = shade(flat, np.array([(0, 1, 2)]), np.ones((3, 3)), light)
    np.testing.assert_allclose(lit, 0.2 + 0.7 * 0.9 / np.linalg.norm([0.3, -0.5, 0.9]))
    away = shade(flat, np.array([(0, 2, 1)]), np.ones((3, 3)), light)
    np.testing.assert_allclose(away, 0.2)

    def forward(vertices, albedo, direction, ambient, diffuse):
        return shade(vertices, MESH.faces, albedo, dr.Light(tuple(direction), float(ambient), float(diffuse)))

    inputs = (MESH.vertices, MESH.vertex_colors, np.array([0.3, -0.5, 0.9]), np.float64(0.2), np.float64(0.7))

    def backward(grad):
        grads = shade_backward(
            MESH.vertices, MESH.faces, MESH.vertex_colors, dr.Light((0.3, -0.5, 0.9), 0.2, 0.7), grad
        )
        return grads.vertices, grads.albedo, grads.light.direction, grads.light.ambient, grads.light.diffuse

    assert_transposed(forward, backward, inputs)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"direction": (0, 0, 0)}, r"not all 0, got \(0, 0, 0\)"),
        ({"ambient": -1}, "light ambient must be finite and >= 0, got -1"),
        ({"diffuse": np.nan}, "light diffuse must be finite and >= 0, got nan"),
    ],
)
def test_bad_lights_are_named_with_their_value(arguments, message):
    with pytest.raises(ValueError, match=message):
        dr.Light(**arguments)


def test_srgb_curve():
    values = np.linspace(0, 1, 257)
    np.testing.assert_allclose(color.srgb_to_linear(color.linear_to_srgb(values)), values, atol=1e-12)
    assert color.linear_to_srgb(np.array([0.214041])) == pytest.approx(0.5, abs=1e-5)
    inner = values[1:-1] + 1e-4
    assert_transposed(
        color.linear_to_srgb, lambda grad: [color.linear_to_srgb_backward(inner, grad)], [inner], tolerance=1e-5
    )
    assert color.to_bytes(np.array([0.2159, 0.2159, 1, 0.5])).tolist() == [128, 128, 255, 128]
