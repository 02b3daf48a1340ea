"""Other coverages than the sigmoid, and the other union, against the oracle, finite differences and their promises.

Each pair of names compiles kernels of its own on the CPU, which takes seconds; so each coverage has one kind of kernel and one
precision there, and the formulas, which is what they differ in, are compared in all. In the simulator nothing is compiled.
"""

import math
from typing import NamedTuple

import numpy as np
import oracle
import pytest
import scenes
from gradcheck import relative_l2
from numba import njit

import diffrender as dr
from diffrender.camera import project
from diffrender.formulas.shape import Cauchy, Gaussian, Uniform, face_odds, rates, shape_of
from diffrender.lanes import LANES, load, store
from diffrender.limits import reach_of

PLAIN = {"gamma": 1e-2, "near": 1.0, "far": 6.0, "background": (0.3, 0.1)}


class Case(NamedTuple):
    coverage: str
    union: str
    dtype: type
    kind: str  # of kernel

    @property
    def exact(self):
        return self.dtype is np.float64

    def options(self, scene, **changes):
        options = {"coverage": self.coverage, "union": self.union} | changes
        if self.kind != "silhouette":
            options |= PLAIN | {"attributes": scene.attributes(2), "perspective_correct": self.kind == "surface"}
        return options

    def draw(self, on, scene, vertices=None, **changes):
        vertices = scene.vertices if vertices is None else vertices
        options = self.options(scene, **changes)
        return on.rasterize(vertices.astype(self.dtype), scene.faces, scene.size, **options)

    def grads(self, scene):
        random = np.random.default_rng(7)
        grad_alpha = random.normal(size=scene.size)
        return grad_alpha, None if self.kind == "silhouette" else random.normal(size=(*scene.size, 2))


ON_BOTH = [Case("gaussian", "max", np.float32, "color"), Case("uniform", "probabilistic", np.float64, "silhouette")]
SIMULATED = [
    Case("cauchy", "max", np.float64, "silhouette"),
    Case("gaussian", "probabilistic", np.float64, "surface"),
    Case("sigmoid", "max", np.float64, "surface"),
]
CASES = pytest.mark.parametrize("case", ON_BOTH, ids=lambda case: f"{case.coverage}-{case.union}")


def assert_like_the_oracle(on, case, scene, **changes):
    out, options = case.draw(on, scene, **changes), case.options(scene, **changes)
    alpha, color = oracle.rasterize(scene.vertices, scene.faces, scene.size, **options)
    assert alpha.max() > 0.3
    np.testing.assert_allclose(out.alpha, alpha, rtol=1e-12 if case.exact else 1e-4, atol=1e-13 if case.exact else 1e-5)
    if color is not None:
        np.testing.assert_allclose(out.color, color, rtol=1e-11 if case.exact else 0, atol=0 if case.exact else 1e-4)
    grads = out.backward(*case.grads(scene))
    vertices, attributes = oracle.gradients(scene.vertices, scene.faces, scene.size, *case.grads(scene), **options)
    assert relative_l2(grads.vertices_pixel, vertices) < (1e-9 if case.exact else 1e-4)
    if attributes is not None:
        assert relative_l2(grads.attributes, attributes) < (1e-9 if case.exact else 1e-4)


def scene_on(on, make):
    return make().window((9, 12)) if on.simulated else make()


@CASES
def test_images_and_gradients_are_the_oracles(on, case):
    if not on.simulated:
        assert_like_the_oracle(on, case, scenes.random_triangles(), cutoff=1e-3)
    assert_like_the_oracle(on, case, scene_on(on, scenes.shared_vertices), sigma=12.0, cutoff=1e-2)


@pytest.mark.parametrize("case", SIMULATED, ids=lambda case: f"{case.coverage}-{case.union}")
def test_other_pairs_too_where_nothing_is_compiled_for_them(on_cuda, case):
    assert_like_the_oracle(on_cuda, case, scene_on(on_cuda, scenes.shared_vertices), cutoff=1e-3)


def test_backward_agrees_with_finite_differences_of_forward(on):
    scene, case = scene_on(on, lambda: scenes.random_triangles(seed=2)), ON_BOTH[1]
    grad_alpha, _ = case.grads(scene)
    gradient = case.draw(on, scene).backward(grad_alpha).vertices_pixel
    direction, step = np.random.default_rng(3).normal(size=scene.vertices.shape), 1e-6

    def value(vertices):
        return (grad_alpha * case.draw(on, scene, vertices).alpha).sum()

    numeric = (value(scene.vertices + step * direction) - value(scene.vertices - step * direction)) / (2 * step)
    assert abs((gradient * direction).sum() - numeric) < 1e-6 * np.linalg.norm(gradient)


@CASES
def test_a_pixel_counts_only_from_the_cutoff_on(on, case):
    # One edge along y = 10, and so steep a function that no pixel's middle lies within rounding of where it is the cutoff.
    scene = scenes.Scene(np.array([(-100.0, 10, 2), (200, 10, 2), (50, -300, 2)]), np.array([(0, 1, 2)]), (24, 40))
    alpha = case.draw(on, scene, sigma=2.0, cutoff=1e-2).alpha
    at_cutoff = {"gaussian": -2.3263478740408408, "uniform": -0.98}
    reach = math.sqrt(-2 * at_cutoff[case.coverage])
    below = np.arange(24) + 0.5 - 10
    assert ((alpha[:, 20] > 0) == (below <= reach)).all()
    assert alpha[alpha > 0].min() >= 1e-2
    exact = case.draw(on, scene, sigma=0.25 / -at_cutoff[case.coverage], cutoff=1e-2).alpha[
        :, 20
    ]  # D is it at y = 10.5
    assert exact[10] == 0 or abs(exact[10] - 1e-2) < 1e-6
    assert not exact[11:].any() and exact[:10].min() > 0.5


@CASES
def test_whole_coverage_and_faces_far_away_have_no_nan(on, case):
    layers = 6 if on.simulated else 12
    near = np.array([(1.0, 1), (19, 2), (3, 13)])
    random = np.random.default_rng(0)
    corners = np.concatenate([near + random.normal(size=(layers, 3, 2)), near[None] + 1e4, near[None] * 300])
    vertices = np.c_[corners.reshape(-1, 2), random.uniform(2, 3, 3 * len(corners))]
    scene = scenes.Scene(vertices, np.arange(len(vertices)).reshape(-1, 3), (10, 14))
    for sigma in (1.0, 1e-4, 1e-12):
        out = case.draw(on, scene, sigma=sigma)
        grads = out.backward(*(None if grad is None else np.ones(grad.shape) for grad in case.grads(scene)))
        assert ((out.alpha >= 0) & (out.alpha <= 1)).all()
        assert np.isfinite(grads.vertices_pixel).all()
        assert out.color is None or np.isfinite(out.color).all()
        inside = (5, 7)  # 2 px from the nearest edge of any layer
        if case.coverage == "uniform":
            assert out.alpha[inside] == 1
            only_there = np.zeros(scene.size)
            only_there[inside] = 1
            assert not out.backward(only_there).vertices_pixel.any()
        else:
            assert out.alpha[inside] > 0.9


def test_of_equal_faces_the_first_one_is_the_maximum(on):
    case = ON_BOTH[0]
    corners = scenes.duplicates().vertices[:3] * [0.7, 0.7, 1]
    # The nearest comes last: those are drawn first.
    vertices = np.concatenate([corners + [0, 0, away] for away in (2, 1, 0)])
    for first in range(3):
        faces = (np.arange(9).reshape(3, 3) + 3 * first) % 9
        scene = scenes.Scene(vertices, faces, (12, 20))
        grads = case.draw(on, scene).backward(case.grads(scene)[0])
        felt = np.abs(grads.vertices_pixel).reshape(3, 3, 3).max(axis=(1, 2)) > 0
        assert felt.tolist() == [number == first for number in range(3)]


def test_maximum_has_the_same_bits_at_any_number_of_threads():
    scene, case, bits, before = scenes.sphere(2, (71, 90)), ON_BOTH[0], set(), dr.get_num_threads()
    rasterizer = type("CPU", (), {"rasterize": staticmethod(dr.rasterize_soft)})
    try:
        for threads in (1, 3):
            dr.set_num_threads(threads)
            out = case.draw(rasterizer, scene)
            bits.add(out.alpha.tobytes() + out.backward(*case.grads(scene)).vertices_pixel.tobytes())
    finally:
        dr.set_num_threads(before)
    assert len(bits) == 1


def test_the_reach_of_each_coverage_is_where_it_is_the_cutoff():
    for coverage in ("sigmoid", "gaussian", "cauchy", "uniform"):
        for cutoff in (1e-12, 1e-4, 0.3):
            lowest, radius = reach_of(coverage, cutoff, 2.0)
            d, _ = oracle._covered(coverage, np.array([lowest]))
            np.testing.assert_allclose(d, cutoff, rtol=1e-14 / cutoff if coverage == "uniform" else 1e-13)
            assert radius == math.sqrt(-2 * lowest)


def test_rendering_passes_coverage_and_union_on():
    sphere = dr.icosphere(1)
    mesh = dr.Mesh(sphere.vertices.astype(np.float64), sphere.faces)
    camera = dr.Camera.look_at((0.3, 0.5, 3), size=(20, 30))
    alpha = dr.render_silhouette(mesh, camera, dr.Soft(coverage="uniform", cutoff=1e-2)).alpha
    vertices = project(mesh.vertices, camera)
    expected, _ = oracle.rasterize(vertices, mesh.faces, (20, 30), 1.0, 1e-2, coverage="uniform")
    np.testing.assert_allclose(alpha, expected, atol=1e-12)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"coverage": "x"}, "coverage must be one of 'sigmoid', 'gaussian', 'cauchy', 'uniform', got 'x'"),
        ({"union": "sum"}, "union must be one of 'probabilistic', 'max', got 'sum'"),
    ],
)
def test_an_unknown_name_is_shown_with_those_there_are(change, message):
    with pytest.raises(ValueError, match=message):
        dr.rasterize_soft(np.ones((3, 3)), np.array([(0, 1, 2)]), (4, 4), **change)


@njit
def _in_lanes(logits, shape, out):
    for place in range(0, len(logits), LANES):
        logit = load(logits, place)
        coverage, rate, log_rate = rates(logit, shape)
        store(out[0], place, face_odds(logit, shape))
        store(out[1], place, coverage)
        store(out[2], place, rate)
        store(out[3], place, log_rate)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_formulas_keep_the_digits_of_both_tails(dtype):
    double = np.dtype(dtype) == np.float64
    spread = np.linspace(-6, 6, 481)[:480]
    far = {Gaussian: 37 if double else 12, Cauchy: 1e100 if double else 1e9, Uniform: 1}
    for name in ("gaussian", "cauchy", "uniform"):
        shape = shape_of(name, np.dtype(dtype))
        largest = far[type(shape)]
        x = spread * largest / 6 if name == "gaussian" else np.sign(spread) * np.abs(spread / 6) ** 9 * largest
        x = np.concatenate([spread, x]).astype(dtype)
        if name == "uniform":
            x = x[abs(x) < 1]
            x = x[: len(x) // LANES * LANES]
        out = np.empty((4, len(x)), dtype)
        _in_lanes(x, shape, out)
        exact = x.astype(np.float64)
        if name == "gaussian":
            d, rest = (np.array([math.erfc(sign * y / math.sqrt(2)) / 2 for y in exact]) for sign in (-1, 1))
            density = np.exp(-(exact**2) / 2) / math.sqrt(2 * math.pi)
        elif name == "cauchy":
            d, rest = np.arctan2(1, -exact) / math.pi, np.arctan2(1, exact) / math.pi
            density = 1 / (1 + exact**2) / math.pi
        else:
            d, rest, density = (1 + exact) / 2, (1 - exact) / 2, 0.5
        # Twice the bounds that `diffrender.formulas.tails` states, since tails are divided by each other.
        bound = 2 * {"gaussian": (1 + exact**2) * (1e-15 if double else 6e-7)}.get(name, 1e-15 if double else 4e-7)
        for got, expected in zip(out, (d / rest, d, density / rest, density / d)):
            assert (np.abs(got - expected) <= bound * expected).all()
