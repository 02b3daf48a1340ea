"""The soft rasterizer against the oracle, finite differences and its promises."""

import threading

import numpy as np
import oracle
import pytest
import scenes
from gradcheck import relative_l2
from hypothesis import given, settings
from hypothesis import strategies as st

import diffrender as dr

DEPTH = {"gamma": 1e-2, "near": 1.0, "far": 6.0}
BACKGROUND = (0.2, 0.5, 0.1)


def weights(scene, channels=None, seed=7):
    random = np.random.default_rng(seed)
    return random.normal(size=scene.size if channels is None else (*scene.size, channels))


@pytest.mark.parametrize("make", scenes.ALL)
@pytest.mark.parametrize("sigma", [0.05, 1.64, 12.0])
def test_float64_silhouette_is_the_oracles(on, make, sigma):
    scene = on.scene(make)
    out = on.rasterize(scene.vertices, scene.faces, scene.size, sigma=sigma)
    expected, _ = oracle.rasterize(scene.vertices, scene.faces, scene.size, sigma=sigma)
    assert out.color is None
    assert expected.max() > 0.01
    # Rounding of a coordinate of 9000 px is ten times that of 1000 px.
    np.testing.assert_allclose(out.alpha, expected, rtol=1e-11 if make is scenes.huge else 1e-12, atol=1e-13)


@pytest.mark.parametrize("make", scenes.ALL)
@pytest.mark.parametrize("gamma", [1e-2, 1e-4])
def test_float64_color_is_the_oracles(on, make, gamma):
    scene = on.scene(make)
    options = DEPTH | {"gamma": gamma, "background": BACKGROUND, "attributes": scene.attributes(3)}
    out = on.rasterize(scene.vertices, scene.faces, scene.size, **options)
    alpha, color = oracle.rasterize(scene.vertices, scene.faces, scene.size, **options)
    np.testing.assert_allclose(out.alpha, alpha, rtol=1e-12, atol=1e-13)
    # A weight is exp(z / gamma): rounding of z is amplified by 1 / gamma.
    np.testing.assert_allclose(out.color, color, rtol=1e-12 * max(1, 1e-2 / gamma))


@pytest.mark.parametrize("channels", [1, 5])
def test_color_takes_any_number_of_channels(on, channels):
    scene = on.scene(scenes.shared_vertices)
    options = DEPTH | {"attributes": scene.attributes(channels)}
    out = on.rasterize(scene.vertices, scene.faces, scene.size, **options)
    _, color = oracle.rasterize(scene.vertices, scene.faces, scene.size, **options)
    assert out.color.shape == (*scene.size, channels)
    np.testing.assert_allclose(out.color, color, rtol=1e-12)


@pytest.mark.parametrize("make", scenes.ALL)
def test_float32_images_are_within_1e5(on, make):
    scene = on.scene(make)
    options = DEPTH | {"attributes": scene.attributes(3)}
    out = on.rasterize(scene.vertices.astype(np.float32), scene.faces, scene.size, **options)
    alpha, color = oracle.rasterize(scene.vertices, scene.faces, scene.size, **options)
    assert out.alpha.dtype == out.color.dtype == np.float32
    # A coordinate of 1e4 px has a step of 1e-3 px in float32: the triangle drawn is another one.
    tolerance = 1e-3 if make is scenes.huge else 1e-5
    np.testing.assert_allclose(out.alpha, alpha, atol=tolerance, rtol=0)
    np.testing.assert_allclose(out.color, color, atol=10 * tolerance, rtol=0)


GRADIENT_SCENES = [make for make in scenes.ALL if make is not scenes.sphere]


@pytest.mark.parametrize("make", GRADIENT_SCENES)
def test_silhouette_gradients_are_the_oracles(on, make):
    scene = on.scene(make)
    grad = weights(scene)
    expected, _ = oracle.gradients(scene.vertices, scene.faces, scene.size, grad)
    for dtype, tolerance in ((np.float64, 1e-9), (np.float32, 1e-4)):
        if dtype is np.float32 and make is scenes.huge:
            continue
        vertices = scene.vertices.astype(dtype)
        grads = on.rasterize(vertices, scene.faces, scene.size).backward(grad_alpha=grad)
        assert grads.vertices_pixel.dtype == dtype
        assert grads.attributes is None
        assert relative_l2(grads.vertices_pixel, expected) < tolerance
        assert not grads.vertices_pixel[:, 2].any()


@pytest.mark.parametrize("make", GRADIENT_SCENES)
def test_color_gradients_are_the_oracles(on, make):
    scene = on.scene(make)
    options = DEPTH | {"attributes": scene.attributes(2), "background": (0.3, 0.1)}
    grad_alpha, grad_color = weights(scene), weights(scene, 2, seed=8)
    vertices, attributes = oracle.gradients(scene.vertices, scene.faces, scene.size, grad_alpha, grad_color, **options)
    for dtype, tolerance in ((np.float64, 1e-9), (np.float32, 1e-4)):
        if dtype is np.float32 and make is scenes.huge:
            continue
        out = on.rasterize(scene.vertices.astype(dtype), scene.faces, scene.size, **options)
        grads = out.backward(grad_alpha=grad_alpha, grad_color=grad_color)
        assert relative_l2(grads.vertices_pixel, vertices) < tolerance
        assert relative_l2(grads.attributes, attributes) < tolerance
        if np.linalg.norm(vertices[:, 2]) > 1e-9:  # a lone face does not feel its depth
            assert relative_l2(grads.vertices_pixel[:, 2], vertices[:, 2]) < 10 * tolerance


def test_float32_gradients_of_a_sharp_depth_are_those_of_float64(on):
    # Depth logits that differ by hundreds: exp must not overflow where the nearer face does not count.
    scene = on.scene(scenes.sphere)
    options = {"attributes": scene.attributes(3), "gamma": 1e-3, "near": 1.9, "far": 4.1}
    grads = {}
    for dtype in (np.float32, np.float64):
        out = on.rasterize(scene.vertices.astype(dtype), scene.faces, scene.size, **options)
        grads[dtype] = out.backward(grad_alpha=weights(scene), grad_color=weights(scene, 3, seed=8))
    for single, double in zip(grads[np.float32][:2], grads[np.float64][:2]):
        assert np.isfinite(single).all()
        assert relative_l2(single, double) < 1e-3


@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-9), (np.float32, 1e-4)])
def test_sphere_gradients_are_the_oracles_along_random_directions(on, dtype, tolerance):
    scene = on.scene(scenes.sphere)
    options = DEPTH | {"attributes": scene.attributes(3)}
    grad_alpha, grad_color = weights(scene), weights(scene, 3, seed=8)
    out = on.rasterize(scene.vertices.astype(dtype), scene.faces, scene.size, **options)
    grads = out.backward(grad_alpha=grad_alpha, grad_color=grad_color)
    random = np.random.default_rng(2)
    for _ in range(4):
        direction = random.normal(size=scene.vertices.shape)
        moved = scene.vertices + 1e-30j * direction
        alpha, color = oracle.rasterize(moved, scene.faces, scene.size, **options)
        expected = ((grad_alpha * alpha).sum() + (grad_color * color).sum()).imag / 1e-30
        actual = (grads.vertices_pixel.astype(np.float64) * direction).sum()
        scale = np.linalg.norm(grads.vertices_pixel) * np.sqrt(3)
        assert abs(actual - expected) < tolerance * scale


def test_oracle_agrees_with_finite_differences():
    scene = scenes.random_triangles(seed=2, count=5)
    options = DEPTH | {"attributes": scene.attributes(2)}
    grad_alpha, grad_color = weights(scene), weights(scene, 2, seed=8)
    gradient, _ = oracle.gradients(scene.vertices, scene.faces, scene.size, grad_alpha, grad_color, **options)
    direction = np.random.default_rng(3).normal(size=gradient.shape)

    def value(vertices):
        alpha, color = oracle.rasterize(vertices, scene.faces, scene.size, **options)
        return (grad_alpha * alpha).sum() + (grad_color * color).sum()

    step = 1e-6
    numeric = (value(scene.vertices + step * direction) - value(scene.vertices - step * direction)) / (2 * step)
    assert abs((gradient * direction).sum() - numeric) < 1e-6 * abs(numeric)


@pytest.mark.parametrize("gamma", [1e-1, 1e-2, 3e-3])
def test_backward_agrees_with_finite_differences_of_forward(on, gamma):
    scene = on.scene(lambda: scenes.random_triangles(seed=2))
    options = DEPTH | {"gamma": gamma, "background": BACKGROUND}
    attributes = scene.attributes(3)
    grad_alpha, grad_color = weights(scene), weights(scene, 3, seed=8)
    out = on.rasterize(scene.vertices, scene.faces, scene.size, attributes=attributes, **options)
    assert out.alpha.max() > 0.5
    grads = out.backward(grad_alpha=grad_alpha, grad_color=grad_color)

    def value(vertices, values):
        moved = on.rasterize(vertices, scene.faces, scene.size, attributes=values, **options)
        return (grad_alpha * moved.alpha).sum() + (grad_color * moved.color).sum()

    random = np.random.default_rng(3)
    step = 1e-6
    for base, gradient, place in (
        (scene.vertices, grads.vertices_pixel, lambda moved: (moved, attributes)),
        (attributes, grads.attributes, lambda moved: (scene.vertices, moved)),
    ):
        direction = random.normal(size=base.shape)
        numeric = (value(*place(base + step * direction)) - value(*place(base - step * direction))) / (2 * step)
        assert abs((gradient * direction).sum() - numeric) < 1e-6 * np.linalg.norm(gradient)


def test_a_pixel_counts_only_from_the_cutoff_on(on):
    # One edge along y = 10: D = sigmoid(-d^2 / sigma) falls below the cutoff at d = sqrt(sigma log(1 / cutoff - 1)).
    vertices = np.array([(-100.0, 10, 2), (200, 10, 2), (50, -300, 2)])
    out = on.rasterize(vertices, np.array([(0, 1, 2)]), (20, 40), sigma=2.0, cutoff=1e-2)
    reach = np.sqrt(2.0 * np.log(99))
    below = np.arange(20) + 0.5 - 10
    assert ((out.alpha[:, 20] > 0) == (below <= reach)).all()
    assert out.alpha[out.alpha > 0].min() >= 1e-2


def test_culling_leaves_out_faces_seen_from_behind(on):
    scene = on.scene(scenes.sphere)
    front = on.rasterize(scene.vertices, scene.faces, scene.size, cull_backfaces=True).alpha
    expected, _ = oracle.rasterize(scene.vertices, scene.faces, scene.size, cull_backfaces=True)
    np.testing.assert_allclose(front, expected, rtol=1e-12, atol=1e-13)
    turned = on.rasterize(scene.vertices, scene.faces[:, ::-1], scene.size, cull_backfaces=True).alpha
    assert front.max() > 0.5
    middle = tuple(length // 2 for length in scene.size)
    assert front[middle] > 0.5 and turned[middle] > 0.5  # each sheet covers the middle
    both = on.rasterize(scene.vertices, scene.faces, scene.size).alpha
    np.testing.assert_allclose(1 - both, (1 - front) * (1 - turned), atol=1e-12)


def _bits(rasterize, dtype, scene):
    options = DEPTH | {"attributes": scene.attributes(3)}
    out = rasterize(scene.vertices.astype(dtype), scene.faces, scene.size, **options)
    grads = out.backward(weights(scene), weights(scene, 3))
    silhouette = rasterize(scene.vertices.astype(dtype), scene.faces, scene.size).backward(weights(scene))
    arrays = (out.alpha, out.color, grads.vertices_pixel, grads.attributes, silhouette.vertices_pixel)
    return b"".join(array.tobytes() for array in arrays)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_same_bits_at_any_number_of_threads(dtype):
    scene = scenes.sphere(subdivisions=2, size=(71, 90))
    before = dr.get_num_threads()
    try:
        bits = set()
        for threads in (1, 2, 3, 7):
            dr.set_num_threads(threads)
            bits |= {_bits(dr.rasterize_soft, dtype, scene), _bits(dr.rasterize_soft, dtype, scene)}
    finally:
        dr.set_num_threads(before)
    assert len(bits) == 1


@pytest.mark.parametrize("height, width", [(65, 37), (33, 16), (64, 15), (1, 50)])
def test_what_lies_below_the_last_row_does_not_count(height, width):
    whole = scenes.sphere(subdivisions=2, size=(96, width))
    part = whole._replace(size=(height, width))
    attributes = whole.attributes(3)
    results = []
    for scene in (whole, part):
        out = dr.rasterize_soft(scene.vertices, scene.faces, scene.size, attributes=attributes, near=1.0, far=6.0)
        grad_alpha, grad_color = weights(whole), weights(whole, 3)
        grad_alpha[height:], grad_color[height:] = 0, 0
        grads = out.backward(grad_alpha[: scene.size[0]], grad_color[: scene.size[0]])
        alone = out.backward(grad_alpha[: scene.size[0]])
        arrays = (grads.vertices_pixel, grads.attributes, alone.vertices_pixel)
        results.append((out.alpha[:height], out.color[:height], *arrays))
    for ours, expected in zip(*results, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("union", ["probabilistic", "max"])
def test_gradients_of_pixels_here_and_there_add_up(union):
    scene = scenes.sphere(subdivisions=3, size=(70, 90))  # faces so small that most reach none of the pixels
    out = dr.rasterize_soft(scene.vertices, scene.faces, scene.size, union=union)
    grad, random = weights(scene), np.random.default_rng(4)
    owner = np.full(scene.size, 4)
    for part in range(4):
        for row, column in random.integers(0, scene.size, (3, 2)):
            owner[row : row + 5, column : column + 4] = part
    parts = [out.backward(grad * (owner == part)).vertices_pixel for part in range(5)]
    assert all(part.any() for part in parts)
    assert not (np.abs(parts[0]) > 0).all(axis=0)[:2].any()
    np.testing.assert_allclose(sum(parts), out.backward(grad).vertices_pixel, rtol=1e-9, atol=1e-12)


def test_two_threads_of_a_program_may_call_at_once(on):
    scene = scenes.sphere(subdivisions=0, size=(10, 14)) if on.simulated else scenes.sphere(2, size=(70, 90))
    expected = _bits(on.rasterize, np.float32, scene)
    results = []
    count = 2 if on.simulated else 6
    threads = [
        threading.Thread(target=lambda: results.append(_bits(on.rasterize, np.float32, scene))) for _ in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * len(threads)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_many_layers_saturate_without_nan(on, dtype):
    count, size = (60, (12, 18)) if on.simulated else (2000, (32, 44))
    random = np.random.default_rng(0)
    corners = np.array([(2, 2), (40, 5), (12, 28)]) + random.normal(size=(count, 3, 2))
    vertices = np.c_[corners.reshape(-1, 2), random.uniform(2, 3, 3 * count)].astype(dtype)
    faces = np.arange(3 * count).reshape(-1, 3)
    options = DEPTH | {"attributes": random.uniform(size=(3 * count, 3)), "gamma": 1e-5}
    out = on.rasterize(vertices, faces, size, **options)
    grads = out.backward(np.ones(size), np.ones((*size, 3)))
    assert out.alpha[10, 15] == 1
    for array in (out.alpha, out.color, grads.vertices_pixel, grads.attributes):
        assert np.isfinite(array).all()
    only_inside = np.zeros(size)
    only_inside[10, 15] = 1
    assert not out.backward(only_inside).vertices_pixel.any()


def test_order_of_faces_does_not_matter_but_for_rounding(on):
    scene = on.scene(scenes.shared_vertices)
    options = DEPTH | {"attributes": scene.attributes(3)}
    one = on.rasterize(scene.vertices, scene.faces, scene.size, **options)
    two = on.rasterize(scene.vertices, scene.faces[::-1], scene.size, **options)
    np.testing.assert_allclose(one.alpha, two.alpha, rtol=1e-12)
    np.testing.assert_allclose(one.color, two.color, rtol=1e-12)


def test_memory_does_not_grow_with_overlap(on):
    """What is kept for the backward pass is a few values a pixel and a few an entry, stacked or side by side."""
    base = np.array([(4.0, 4, 2), (12, 5, 2), (6, 12, 2)])
    apart = np.concatenate([base + [16 * (i % 4), 16 * (i // 4), 0] for i in range(16)])
    stacked = np.concatenate([base + [0, 0, 0.1 * i] for i in range(16)])
    faces = np.arange(48).reshape(-1, 3)

    def kept(vertices):
        return on.rasterize(vertices, faces, (64, 64)).kept_bytes

    assert kept(stacked) <= kept(apart)


def test_no_faces_leave_the_background(on):
    vertices = np.zeros((3, 3), np.float32) + 1
    faces = np.zeros((0, 3), np.int32)
    out = on.rasterize(vertices, faces, (4, 5), attributes=np.ones((3, 3)), background=BACKGROUND)
    assert not out.alpha.any()
    np.testing.assert_array_equal(out.color, np.broadcast_to(np.float32(BACKGROUND), (4, 5, 3)))
    assert not out.backward(np.ones((4, 5)), np.ones((4, 5, 3))).vertices_pixel.any()


coordinate = st.floats(-20, 45, width=32)
vertex = st.tuples(coordinate, coordinate, st.floats(-1, 5, width=32))
indices = st.integers(0, 7)
triangles = st.tuples(
    st.lists(vertex, min_size=3, max_size=8), st.lists(st.tuples(indices, indices, indices), min_size=1, max_size=6)
)


@pytest.mark.parametrize("backend, size", [("cpu", (19, 27)), ("cuda", (11, 17))])
def test_any_triangles_give_the_oracles_image(backend, size):
    if backend == "cuda":
        pytest.importorskip("numba_cuda")

    @settings(max_examples=60 if backend == "cpu" else 10, deadline=None, derandomize=True)
    @given(triangles)
    def check(drawn):
        points = np.array(drawn[0])
        faces = np.array(drawn[1]) % len(points)
        out = dr.rasterize_soft(points, faces, size, backend=backend)
        # Faces whose area is below what float32 can hold are dropped: the oracle must do the same.
        first, second = (points[faces[:, corner], :2] - points[faces[:, 0], :2] for corner in (1, 2))
        areas = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
        sizable = faces[np.abs(areas) > 1e-6]
        kept = dr.rasterize_soft(points, sizable, size, backend=backend)
        expected, _ = oracle.rasterize(points, sizable, size)
        np.testing.assert_allclose(kept.alpha, expected, rtol=1e-9, atol=1e-12)
        assert ((out.alpha >= 0) & (out.alpha <= 1)).all()
        assert np.isfinite(out.backward(np.ones(size)).vertices_pixel).all()

    check()


GOOD = {
    "vertices_pixel": np.array([(1.0, 1, 2), (9, 2, 2), (4, 8, 2)]),
    "faces": np.array([(0, 1, 2)]),
    "size": (10, 12),
}
BAD = [
    ({"vertices_pixel": np.zeros((3, 2))}, r"vertices_pixel must have shape \(V, 3\), got \(3, 2\)"),
    ({"vertices_pixel": np.zeros((3, 3), int)}, "vertices_pixel must be float32 or float64, got int64"),
    (
        {"vertices_pixel": np.array([(0.0, 0, 1), (np.nan, 1, 1), (1, 1, 1)])},
        "NaN or infinity in 1 rows, first in row 1",
    ),
    (
        {"vertices_pixel": np.array([(0.0, 0, 1), (1, 1, 1), (np.inf, 1, 1)])},
        "NaN or infinity in 1 rows, first in row 2",
    ),
    ({"faces": np.zeros((2, 4), int)}, r"faces must have shape \(F, 3\), got \(2, 4\)"),
    ({"faces": np.zeros((2, 3))}, "faces must be integers, got float64"),
    ({"faces": np.array([(0, 1, 2), (0, 3, 1)])}, "face 1 refers to vertex 3, but there are 3 vertices"),
    ({"faces": np.array([(0, -1, 2)])}, "face 0 refers to vertex -1, but there are 3 vertices"),
    ({"size": (0, 5)}, r"size must be two positive integers \(H, W\), got \(0, 5\)"),
    ({"size": 7}, "size must be two positive integers .* got 7"),
    ({"size": (3.5, 4)}, r"size must be .* got \(3.5, 4\)"),
    ({"sigma": 0}, "sigma must be positive and finite, got 0"),
    ({"sigma": np.nan}, "sigma must be positive and finite, got nan"),
    ({"cutoff": 0.5}, "cutoff must lie between 0 and 0.5, got 0.5"),
    ({"attributes": np.ones((3, 3)), "gamma": -1}, "gamma must be positive and finite, got -1"),
    ({"attributes": np.ones((3, 3)), "near": 5, "far": 5}, "far must be greater than near, got near=5, far=5"),
    ({"attributes": np.ones((4, 3))}, r"attributes must have shape \(V, C\) with V = 3, got \(4, 3\)"),
    ({"attributes": np.full((3, 3), np.nan)}, "attributes has NaN or infinity in 3 rows, first in row 0"),
    ({"attributes": np.ones((3, 3)), "background": (1, 2)}, "background must have 3 values, one per attribute, got"),
    ({"attributes": np.ones((3, 3)), "background": (np.inf, 1, 1)}, "background must be finite"),
]


@pytest.mark.parametrize("change, message", BAD)
def test_bad_input_is_named_with_its_value(change, message):
    with pytest.raises(ValueError, match=message):
        dr.rasterize_soft(**(GOOD | change))


def test_bad_gradients_are_named_with_their_shape(on):
    out = on.rasterize(**GOOD)
    with pytest.raises(ValueError, match="needs grad_alpha, grad_color or both, got neither"):
        out.backward()
    with pytest.raises(ValueError, match=r"grad_alpha must have shape \(10, 12\), got \(12, 10\)"):
        out.backward(np.ones((12, 10)))
    with pytest.raises(ValueError, match="without attributes"):
        out.backward(grad_color=np.ones((10, 12, 3)))
    colored = on.rasterize(**GOOD, attributes=np.ones((3, 3)))
    with pytest.raises(ValueError, match=r"grad_color must have shape \(10, 12, 3\), got \(10, 12\)"):
        colored.backward(grad_color=np.ones((10, 12)))
