"""Optimisers against closed forms, in float64."""

import numpy as np
import pytest

import diffrender as dr
from diffrender.optimize.adam import Adam
from diffrender.optimize.clip import Clip, shortened
from diffrender.optimize.lbfgs import LBFGS
from diffrender.optimize.proximal import Only, Proximal, ProximalAdam, holding_weight, soft_threshold
from diffrender.optimize.smoothing import Smoothing
from diffrender.optimize.transformation import chain
from diffrender.topology import uniform_laplacian

RANDOM = np.random.default_rng(0)


def descend(optimizer, gradient_of, parameter, steps, learning_rate, state=None):
    """Return the parameter and the state after some steps; `learning_rate` is a number or a function of the step."""
    state = optimizer.init(parameter) if state is None else state
    for step in range(steps):
        rate = learning_rate(step) if callable(learning_rate) else learning_rate
        delta, state = optimizer.update(gradient_of(parameter), state, rate)
        parameter = parameter + delta
    return parameter, state


def assert_same_bits(first, second):
    assert type(first) is type(second)
    if isinstance(first, tuple):
        assert len(first) == len(second)
        for a, b in zip(first, second):
            assert_same_bits(a, b)
    else:
        np.testing.assert_array_equal(first, second)


def test_vector_adam_divides_by_the_gradients_length():
    settings = Adam(0.8, 0.95, vector=True)
    state, parameter = settings.init(np.zeros((2, 3))), np.zeros((2, 3))
    first, second, expected = np.zeros((2, 3)), np.zeros(2), np.zeros((2, 3))
    for t in range(1, 6):
        gradient = RANDOM.normal(size=(2, 3)) * [[1], [1000]]
        delta, state = settings.update(gradient, state, 0.1)
        parameter = parameter + delta
        first = 0.8 * first + 0.2 * gradient
        second = 0.95 * second + 0.05 * (gradient[:, 0] ** 2 + gradient[:, 1] ** 2 + gradient[:, 2] ** 2)
        expected -= 0.1 * (first / (1 - 0.8**t)) / np.sqrt(second / (1 - 0.95**t))[:, None]
    np.testing.assert_allclose(parameter, expected, rtol=1e-9)


def test_vector_adam_turns_with_the_axes_and_adam_does_not():
    turn, _ = np.linalg.qr(RANDOM.normal(size=(3, 3)))
    gradients = RANDOM.normal(size=(5, 4, 3))
    for vector in (True, False):
        settings, sums = Adam(vector=vector), []
        for turned in (np.eye(3), turn):
            state, total = settings.init(gradients[0]), 0
            for gradient in gradients:
                delta, state = settings.update(gradient @ turned, state, 0.1)
                total = total + delta
            sums.append(total)
        assert np.allclose(sums[0] @ turn, sums[1]) == vector
    both = Adam(uniform=True, vector=True)
    delta, _ = both.update(gradients[0], both.init(gradients[0]), 0.1)
    np.testing.assert_allclose(np.linalg.norm(delta, axis=1).max(), 0.1)


def test_clipping_shortens_and_keeps_directions():
    gradient = np.array([(3.0, 0, 4), (0.3, 0, 0.4), (0, 0, 0)])
    clipped, _ = Clip(1.0, per_vertex=True).update(gradient, None)
    np.testing.assert_allclose(clipped, [(0.6, 0, 0.8), (0.3, 0, 0.4), (0, 0, 0)])
    clipped, _ = Clip(1.0).update(gradient, None)
    np.testing.assert_allclose(clipped, gradient / np.sqrt(25.25))
    unclipped, _ = Clip(6.0).update(gradient.astype(np.float32), None)
    assert unclipped.dtype == np.float32
    np.testing.assert_array_equal(unclipped, gradient.astype(np.float32))


def test_gradients_are_shortened_to_a_quantile_of_those_that_are_not_0():
    gradient = np.diag([8.0, 4, 1])[[0, 1, 2, 0]] * [[1], [1], [1], [0]]
    np.testing.assert_allclose(shortened(gradient, 0.5), np.diag([4.0, 4, 1])[[0, 1, 2, 0]] * [[1], [1], [1], [0]])
    for same in (shortened(gradient, 1.0), shortened(0 * gradient, 0.5) + gradient):
        np.testing.assert_array_equal(same, gradient)


def test_a_chain_acts_in_order_and_its_state_is_its_parts():
    gradient = np.array([(3.0, 0, 4), (0, 30, 40)])
    adam = Adam(0.8, 0.95)
    one = chain(Clip(1.0, per_vertex=True), adam)
    state = one.init(gradient)
    assert state == (None, state[1]) and state[1].step == 0
    delta, after = one.update(gradient, state, 0.1)
    expected, moments = adam.update(np.array([(0.6, 0, 0.8), (0, 0.6, 0.8)]), adam.init(gradient), 0.1)
    np.testing.assert_allclose(delta, expected)
    np.testing.assert_allclose(after[1].second, moments.second)
    assert state[1].step == 0  # the old state is still the old one
    behind, _ = chain(adam, Clip(0.01)).update(gradient, (adam.init(gradient), None), 0.1)
    assert np.linalg.norm(behind) == pytest.approx(0.01)
    nested = chain(chain(Clip(1.0, per_vertex=True)), adam)
    np.testing.assert_array_equal(nested.update(gradient, nested.init(gradient), 0.1)[0], delta)


def test_smoothing_averages_within_its_reach():
    mesh = dr.icosphere(2)
    smoothing = Smoothing(uniform_laplacian(mesh.faces, len(mesh.vertices)), 2)
    constant, _ = smoothing.update(np.ones((len(mesh.vertices), 3)), None)
    np.testing.assert_allclose(constant, 1)
    spike = np.zeros((len(mesh.vertices), 3))
    spike[7] = 1
    spread, _ = smoothing.update(spike, None)
    near = {7}
    for _ in range(2):
        near |= set(mesh.faces[np.isin(mesh.faces, list(near)).any(axis=1)].ravel().tolist())
    assert set(np.flatnonzero(spread[:, 0])) == near
    assert (spread >= 0).all() and spread[7, 0] == spread.max() < 0.5
    # One sweep by hand: half of the vertex, half the mean of its neighbours.
    once, _ = Smoothing(uniform_laplacian(np.array([(0, 1, 2)]), 4), 1).update(np.diag([4.0, 0, 0, 1])[:, :3], None)
    np.testing.assert_allclose(once, [(2, 0, 0), (1, 0, 0), (1, 0, 0), (0, 0, 0)])


def test_soft_thresholding_is_the_closed_form():
    offset = np.array([(3.0, 0, -4), (0.3, 0, -0.4), (0, 0, 0)])
    np.testing.assert_allclose(soft_threshold(offset, 1.0), [(2.4, 0, -3.2), (0, 0, 0), (0, 0, 0)])
    np.testing.assert_allclose(soft_threshold(offset, 0.35, group=False), [(2.65, 0, -3.65), (0, 0, -0.05), (0, 0, 0)])
    np.testing.assert_allclose(
        soft_threshold(offset, np.array([[5.0], [0.1], [0]])), [(0, 0, 0), (0.24, 0, -0.32), (0, 0, 0)], atol=1e-15
    )
    # It is the least of 1/2 |x - offset|^2 + t size(x): no other point has less.
    for group in (True, False):
        point, size = RANDOM.normal(size=(1, 3)), (np.linalg.norm if group else lambda x: np.abs(x).sum())
        best = soft_threshold(point, 0.4, group)
        value = 0.5 * ((best - point) ** 2).sum() + 0.4 * size(best)
        for other in best + 0.05 * RANDOM.normal(size=(200, 1, 3)):
            assert 0.5 * ((other - point) ** 2).sum() + 0.4 * size(other) > value


def lasso(group):
    """A quadratic of offsets (8, 3) whose Hessian has a wide spectrum, and its minimum with a weight.

    The solution is chosen first: the linear term is set so that its conditions hold, 2 of 8 vertices, or 5 entries, moving.
    """
    random = np.random.default_rng(3)
    basis, _ = np.linalg.qr(random.normal(size=(24, 24)))
    hessian = basis @ np.diag(np.geomspace(1e-2, 1, 24)) @ basis.T
    weight, solution = 0.3, np.zeros((8, 3))
    if group:
        solution[[1, 6]] = random.normal(size=(2, 3))
        sub = random.normal(size=(8, 3))
        sub *= 0.5 / np.linalg.norm(sub, axis=1, keepdims=True)
        moved = solution.any(axis=1)
        sub[moved] = solution[moved] / np.linalg.norm(solution[moved], axis=1, keepdims=True)
    else:
        solution.flat[[2, 3, 11, 17, 20]] = random.normal(size=5)
        sub = np.where(solution != 0, np.sign(solution), random.uniform(-0.5, 0.5, (8, 3)))
    # 0 = H x - b + weight * subgradient at the solution.
    linear = hessian @ solution.ravel() + weight * sub.ravel()
    return lambda x: (hessian @ x.ravel() - linear).reshape(8, 3), weight, solution


@pytest.mark.parametrize("group", [True, False])
def test_ista_and_fista_find_the_lassos_solution_and_fista_is_faster(group):
    gradient_of, weight, solution = lasso(group)
    steps = {}
    for accelerated in (False, True):
        optimizer, offset, state, steps[accelerated] = Proximal(weight, group, accelerated), np.zeros((8, 3)), None, 0
        for step in range(500):
            offset, state = descend(optimizer, gradient_of, offset, 1, 0.99, state)
            if np.abs(state.offset - solution).max() > 1e-7:
                steps[accelerated] = step + 1
        np.testing.assert_allclose(state.offset, solution, atol=1e-12)
        np.testing.assert_array_equal(state.offset == 0, solution == 0)
        np.testing.assert_array_equal(state.parameter, offset)
    assert steps[True] < 0.5 * steps[False], steps


def test_a_learning_rate_per_vertex_leaves_the_solution():
    gradient_of, weight, solution = lasso(True)
    rates = np.random.default_rng(4).uniform(0.3, 0.99, (8, 1))
    _, state = descend(Proximal(weight), gradient_of, np.zeros((8, 3)), 4000, rates)
    np.testing.assert_allclose(state.offset, solution, atol=1e-6)
    np.testing.assert_array_equal(state.offset == 0, solution == 0)


@pytest.mark.parametrize("group", [True, False])
def test_proximal_adam_has_the_lassos_solution_too(group):
    gradient_of, weight, solution = lasso(group)
    offset, state = descend(
        ProximalAdam(weight, group), gradient_of, np.zeros((8, 3)), 3000, lambda step: 0.05 * 0.997**step
    )
    np.testing.assert_allclose(offset, solution, atol=2e-2)
    np.testing.assert_array_equal(offset == 0, solution == 0)
    np.testing.assert_array_equal(offset, state.offset)


@pytest.mark.parametrize("optimizer", [Proximal, lambda weight: Proximal(weight, accelerated=False), ProximalAdam])
def test_the_holding_weight_holds_and_less_does_not(optimizer):
    gradient = RANDOM.normal(size=(6, 3))
    weight = holding_weight(gradient)
    assert weight == np.linalg.norm(gradient, axis=1).max()
    assert holding_weight(gradient, group=False) == np.abs(gradient).max()
    for share, moved in ((1 + 1e-12, 0), (0.999, 1)):  # at 1 itself, rounding decides
        delta, _ = optimizer(share * weight).update(gradient, optimizer(weight).init(np.zeros((6, 3))), 0.1)
        assert np.count_nonzero(delta.any(axis=1)) == moved


def test_a_vertex_that_returns_is_at_exactly_0():
    target = np.full((4, 3), 1.0)
    for optimizer in (Proximal(0.5), Proximal(0.5, accelerated=False), ProximalAdam(0.5)):
        offset, state = descend(optimizer, lambda x: 3.1 * (x - target / 3), np.zeros((4, 3)), 7, 0.07)
        assert (offset != 0).all()
        offset, state = descend(optimizer, lambda x: np.full((4, 3), 0.1), offset, 200, 0.07, state)
        assert (offset == 0).all() and (state.offset == 0).all()


def test_only_some_vertices_are_fitted_anew():
    moved = np.array([True, False, True])
    optimizer = chain(Only(moved), Adam(vector=True))
    offset, _ = descend(optimizer, lambda x: x - 1, np.zeros((3, 3)), 400, lambda step: 0.1 * 0.98**step)
    np.testing.assert_allclose(offset[moved], 1, atol=1e-3)
    assert (offset[1] == 0).all()


def test_going_on_from_a_state_gives_the_same_bits():
    gradient_of, weight, _ = lasso(True)
    mesh = dr.icosphere(0)
    smoothing = Smoothing(uniform_laplacian(mesh.faces, 12)[:8, :8], 2)
    for optimizer in (
        Proximal(weight),
        ProximalAdam(weight),
        Adam(vector=True),
        chain(smoothing, Clip(0.5), ProximalAdam(weight)),
    ):
        whole = descend(optimizer, gradient_of, np.zeros((8, 3)), 12, 0.1)
        half = descend(optimizer, gradient_of, np.zeros((8, 3)), 5, 0.1)
        assert_same_bits(descend(optimizer, gradient_of, half[0], 7, 0.1, half[1]), whole)


def rosenbrock(x):
    a, b = x[:-1], x[1:]
    gradient = np.zeros_like(x)
    gradient[:-1] = -400 * a * (b - a * a) - 2 * (1 - a)
    gradient[1:] += 200 * (b - a * a)
    return (100 * (b - a * a) ** 2 + (1 - a) ** 2).sum(), gradient


def minimize(function, start, steps, settings=None):
    settings = settings or LBFGS()
    state = settings.init(function, start)
    values = [state.value]
    for _ in range(steps):
        state = settings.update(function, state)
        values.append(state.value)
    return state, values


@pytest.mark.parametrize("size", [2, 20])
def test_lbfgs_walks_rosenbrocks_valley(size):
    calls = []
    state, values = minimize(lambda x: (calls.append(0), rosenbrock(x))[1], np.tile([-1.2, 1.0], size // 2), 200)
    np.testing.assert_allclose(state.parameter, 1, atol=1e-7)
    assert (np.diff(values) <= 0).all()
    assert state.evaluations == len(calls) < 2.5 * state.step
    assert state.stopped and state.step < 200


def test_lbfgs_solves_a_quadratic_in_as_many_steps_as_it_has_axes():
    # With the history of all steps, it is the method of conjugate gradients if searches are exact. Nocedal & Wright, 7.2.
    hessian = np.diag([1.0, 4, 9, 30])
    target = np.array([[1.0, -2], [3, 0.5]])
    state, _ = minimize(
        lambda x: (
            0.5 * float((x - target).ravel() @ hessian @ (x - target).ravel()),
            (hessian @ (x - target).ravel()).reshape(2, 2),
        ),
        np.zeros((2, 2)),
        8,
        LBFGS(curvature=1e-3),
    )
    np.testing.assert_allclose(state.parameter, target, atol=1e-6)


def test_lbfgs_goes_on_from_a_state_to_the_same_bits():
    start = np.tile([-1.2, 1.0], 5)
    whole, _ = minimize(rosenbrock, start, 30, LBFGS(history=4))
    state, _ = minimize(rosenbrock, start, 13, LBFGS(history=4))
    assert state.steps.shape == (4, 10)
    for _ in range(17):
        state = LBFGS(history=4).update(rosenbrock, state)
    assert_same_bits(state, whole)


def test_lbfgs_bears_walls_and_corners():
    # Where the loss is infinite, the step was too long.
    state, _ = minimize(
        lambda x: (np.inf, x) if (x <= 0).any() else ((x - np.log(x)).sum(), 1 - 1 / x), np.array([1e-3, 30, 0.2]), 60
    )
    np.testing.assert_allclose(state.parameter, 1, atol=1e-7)
    corner, values = minimize(lambda x: (np.abs(x).sum(), np.sign(x)), np.array([1.0, -3.3, 0.2]), 100)
    assert corner.value < 1e-6 and (np.diff(values) <= 0).all()
    # A gradient that points the wrong way leads nowhere: it stops where it was.
    wrong, _ = minimize(lambda x: ((x * x).sum(), -2 * x), np.array([1.0, 2]), 3)
    assert wrong.stopped and wrong.step == 0 and wrong.parameter.tolist() == [1, 2]
    assert LBFGS().init(lambda x: (0.0, 0 * x), np.ones(3)).stopped


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: chain(), "at least one transformation, got none"),
        (lambda: Clip(0.0).init(np.zeros(3)), "limit must be positive and finite, got 0.0"),
        (lambda: Smoothing(uniform_laplacian(np.array([(0, 1, 2)]), 3), -1), "sweeps must be >= 0, got -1"),
        (lambda: Proximal(-1.0).init(np.zeros((2, 3))), "weight must be finite and >= 0, got -1"),
        (lambda: ProximalAdam(np.nan).init(np.zeros((2, 3))), "weight must be finite and >= 0, got nan"),
        (lambda: Only(np.ones(3, bool)).init(np.zeros((2, 3))), r"must be 2 flags, got bool of shape \(3,\)"),
        (lambda: LBFGS(history=0).init(rosenbrock, np.ones(2)), "history must be at least 1, got 0"),
        (lambda: LBFGS().init(lambda x: (np.nan, x), np.ones(2)), "not finite at the start: the loss is nan"),
        (lambda: LBFGS().init(lambda x: (0.0, x[:1]), np.ones(2)), r"parameter's shape \(2,\), got \(1,\)"),
    ],
)
def test_bad_settings_are_named_with_their_value(call, message):
    with pytest.raises(ValueError, match=message):
        call()
