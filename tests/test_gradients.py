"""The public gradient check: what it passes, and that it fails what it should."""

import doctest
import json
from types import SimpleNamespace

import numpy as np
import pytest
from meshes import bumpy, tilted_camera
from test_cli import run

import diffrender as dr
from diffrender import gradients
from diffrender.loss import l2

POINTS = np.random.default_rng(0).normal(size=(20, 3))


def cubes(factor=1.0):
    return lambda x: ((x**3).sum(), factor * 3 * x**2)


def test_the_example_in_the_documentation_holds():
    result = doctest.testmod(gradients)
    assert result.attempted >= 4 and not result.failed


@pytest.mark.parametrize("point", [POINTS, POINTS[0], np.float64(0.7)], ids=["directions", "entries", "number"])
def test_right_gradients_pass_and_errors_have_their_size_and_sign(point):
    right = dr.gradcheck(cubes(), {"x": point}).inputs[0]
    assert right.passed and right.relative_error < 1e-8 and right.cosine == pytest.approx(1)
    assert right.tried == {60: 16, 3: 3, 1: 1}[np.size(point)] and right.kinks == 0
    long, away = (dr.gradcheck(cubes(factor), {"x": point}).inputs[0] for factor in (1.2, -1))
    assert (long.relative_error, long.cosine, long.bias) == pytest.approx((0.2, 1, 0.2), abs=1e-6)
    assert (away.relative_error, away.cosine, away.bias) == pytest.approx((2, -1, -2), abs=1e-6)
    assert not long.passed and long.problem == "relative error 0.2 is more than 0.0001"


def test_a_gradient_that_is_forgotten_fails_with_bias_minus_1():
    check = dr.gradcheck(cubes(0.0), {"x": POINTS})
    assert not check.passed and check.inputs[0].bias == -1


def test_a_gradient_of_a_constant_fails():
    check = dr.gradcheck(lambda x: (5.0 + 0 * x.sum(), np.ones_like(x)), {"x": POINTS})
    assert not check.passed and check.inputs[0].relative_error == np.inf


def test_a_check_of_nothing_fails():
    empty = dr.gradcheck(lambda x: (0 * x, lambda grad: 0 * grad), {"x": POINTS})
    assert not empty.passed and empty.inputs[0].problem == "value, gradient and differences are 0: nothing was checked"
    flat = dr.gradcheck(lambda x: (5.0, np.zeros_like(x)), {"x": POINTS})
    assert not flat.passed and flat.inputs[0].problem == "gradient and differences are 0: nothing was checked"


def test_a_value_of_0_with_a_slope_is_something():
    assert dr.gradcheck(lambda x: (x, lambda grad: grad), {"x": np.zeros(3)}).passed


def test_kinks_are_counted_and_left_out():
    corners = np.array([0.0, 0.3, -0.5, 0.0, 1.0])  # at the corner of |x| the central difference is 0 at any step
    check = dr.gradcheck(lambda x: (np.abs(x).sum(), np.where(x < 0, -1.0, 1.0)), {"x": corners})
    assert check.passed and (check.inputs[0].tried, check.inputs[0].kinks) == (5, 2)
    near = np.array([1e-12, 0.3, -0.5])  # a jump within every step
    check = dr.gradcheck(lambda x: ((x**2 + (x > 0)).sum(), 2 * x), {"x": near})
    assert check.passed and check.inputs[0].kinks == 1
    wrong = dr.gradcheck(lambda x: (np.abs(x).sum(), np.ones_like(x)), {"x": corners})
    assert not wrong.passed
    all_kinks = dr.gradcheck(lambda x: (np.abs(x).sum(), np.ones_like(x)), {"x": np.zeros(3)})
    assert all_kinks.inputs[0].problem == "the function has kinks in 3 of 3 directions"


def test_a_jump_far_within_the_first_step_does_not_hide_the_slope():
    check = dr.gradcheck(lambda x: ((x**2 + 10 * (x > 1 + 1e-6)).sum(), 2 * x), {"x": np.ones(3)})
    assert check.passed and check.inputs[0].kinks == 0


def test_points_far_from_the_origin_are_moved_by_their_own_spread():
    check = dr.gradcheck(lambda x: (np.sin(x - 1e5).sum(), np.cos(x - 1e5)), {"x": POINTS + 1e5})
    assert check.passed


def test_a_loss_over_a_rendering_is_checked_and_a_wrong_one_found():
    mesh, camera, soft = bumpy(1), tilted_camera(), dr.Soft(sigma=1.3, gamma=2e-2, near=1.0, far=6.0)
    target = np.full((*camera.size, 4), 0.3)

    def loss(vertices, rotation, translation, wrong=1.0):
        moved = camera.moved(rotation, translation)
        rendering = dr.render(dr.Mesh(vertices, mesh.faces, mesh.vertex_colors), moved, soft)
        value, grad_image = l2(rendering.image, target)
        grads = rendering.backward(grad_image)
        return value, grads._replace(rotation=wrong * grads.rotation)

    inputs = {"vertices": mesh.vertices, "rotation": np.zeros(3), "translation": np.zeros(3)}
    assert dr.gradcheck(loss, inputs).passed
    check = dr.gradcheck(lambda **x: loss(**x, wrong=-1.0), inputs)
    assert [part.passed for part in check.inputs] == [True, False, True]
    table = str(check).splitlines()
    assert len(table) == 4 and table[1].endswith("passed") and "relative error 2 is more" in table[2]


def test_the_same_seed_gives_the_same_check():
    first, again, other = (dr.gradcheck(cubes(1.1), {"x": POINTS}, seed=seed) for seed in (3, 3, 4))
    assert first == again != other


@pytest.mark.parametrize(
    "function, inputs, message",
    [
        (cubes(), {}, "at least one input, got none"),
        (lambda x: (np.float32(x.sum()), x), {"x": POINTS}, "must be float64 for finite differences, got float32"),
        (lambda x: (np.nan, x), {"x": POINTS}, "must be finite, got 1 NaN"),
        (lambda x: (x, x), {"x": POINTS}, r"a value of shape \(20, 3\) needs its backward"),
        (lambda x: (1.0, x[:3]), {"x": POINTS}, r"gradient for x must have shape \(20, 3\), got \(3, 3\)"),
        (lambda x: (1.0, {"y": x}), {"x": POINTS}, "no gradient for x, got dict"),
        (lambda x: (1.0, SimpleNamespace(x=None)), {"x": POINTS}, "no gradient for x, got SimpleNamespace"),
    ],
)
def test_mistakes_show_the_value(function, inputs, message):
    with pytest.raises(ValueError, match=message):
        dr.gradcheck(function, inputs)


def test_no_directions_are_an_error():
    with pytest.raises(ValueError, match="directions must be at least 1, got 0"):
        dr.gradcheck(cubes(), {"x": POINTS}, directions=0)


def test_the_command_checks_each_input_of_each_output(tmp_path, monkeypatch, capsys):
    bumpy(1).save(tmp_path / "blob.ply")
    status, printed, errors = run(
        monkeypatch, capsys, "gradcheck", tmp_path / "blob.ply", "--size", "30x22", "--directions", "2"
    )
    assert (status, errors) == (0, "")
    assert printed.count("passed") == 14 and "light_direction" in printed


def test_the_command_fails_where_a_gradient_is_off(monkeypatch, capsys):
    from diffrender.shading import LightGradients

    monkeypatch.setattr("diffrender.shading.LightGradients", lambda **parts: LightGradients(**parts | {"ambient": 0.0}))
    small = ("gradcheck", "--size", "24x18", "--directions", "1")
    status, printed, _ = run(monkeypatch, capsys, *small)
    assert status == 1 and "lit, light_ambient: relative error 1 is more than 0.0001" in printed
    status, printed, _ = run(monkeypatch, capsys, *small, "--json")
    document = json.loads(printed)
    assert status == 1 and not document["passed"]
    failed = [check for check in document["checks"] if not check["passed"]]
    assert [(check["output"], check["input"], check["bias"]) for check in failed] == [("lit", "light_ambient", -1)]


def test_the_command_names_a_mesh_that_is_not_there(monkeypatch, capsys):
    status, _, errors = run(monkeypatch, capsys, "gradcheck", "none.glb")
    assert status == 1 and errors == "diffrender: error: none.glb: no such file\n"
