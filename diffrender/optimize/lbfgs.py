"""L-BFGS for losses without chance: every step sees all views, so curvature can be read off the gradients."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

ValueAndGradient = Callable[[np.ndarray], tuple[float, np.ndarray]]


class LBFGSState(NamedTuple):
    """All that the next step needs: where it is, what the loss says there, and the last steps with what they changed."""

    step: int
    parameter: np.ndarray  # float64, of any shape
    value: float
    gradient: np.ndarray  # float64
    steps: np.ndarray  # (M, N) of the flat parameter, oldest first
    changes: np.ndarray  # (M, N) of the flat gradient over these steps
    evaluations: int  # of the loss so far
    stopped: bool  # there is no way down that the loss resolves: a minimum, or its rounding


class LBFGS(NamedTuple):
    """Settings of L-BFGS with a line search to the strong Wolfe conditions. Nocedal & Wright 2006, algorithms 7.4, 3.5, 3.6.

    For losses that are smooth and always the same, such as all views at one sigma; with a loss that jumps, a step settles
    for what it found below the start. The loss is called a little more than once a step.
    """

    history: int = 10
    decrease: float = 1e-4
    curvature: float = 0.9
    max_evaluations: int = 20  # of one line search

    def init(self, value_and_gradient: ValueAndGradient, parameter: np.ndarray) -> LBFGSState:
        """Return the state at a parameter of any shape. Raises ValueError for a history < 1, or a loss that is not finite."""
        if self.history < 1:
            raise ValueError(f"history must be at least 1, got {self.history}")
        parameter = np.array(parameter, np.float64)
        value, gradient = _evaluate(value_and_gradient, parameter)
        if not (math.isfinite(value) and np.isfinite(gradient).all()):
            raise ValueError(f"the loss, or its gradient, is not finite at the start: the loss is {value}")
        none = np.empty((0, parameter.size))
        return LBFGSState(0, parameter, value, gradient, none, none, 1, not gradient.any())

    def update(self, value_and_gradient: ValueAndGradient, state: LBFGSState) -> LBFGSState:
        """Return the state after one step, which is lower; or the same, stopped, if no step is."""
        if state.stopped:
            return state
        direction = -_inverse_hessian_times(state, state.gradient.ravel()).reshape(state.gradient.shape)
        # Without a history the gradient's length says nothing: begin with a step of length 1 at most.
        first = 1.0 if len(state.steps) else min(1.0, 1 / float(np.linalg.norm(state.gradient)))
        found, evaluations = self._search(value_and_gradient, state, direction, first)
        state = state._replace(evaluations=state.evaluations + evaluations)
        if found is None:
            if len(state.steps):  # what was learnt about the curvature no longer holds
                return self.update(value_and_gradient, state._replace(steps=state.steps[:0], changes=state.changes[:0]))
            return state._replace(stopped=True)
        moved, change = found.parameter - state.parameter, found.gradient - state.gradient
        steps, changes = state.steps, state.changes
        if _dot(moved, change) > np.finfo(np.float64).eps * _dot(change, change):  # keeps the metric positive
            steps = np.concatenate([steps, moved.reshape(1, -1)])[-self.history :]
            changes = np.concatenate([changes, change.reshape(1, -1)])[-self.history :]
        return LBFGSState(
            step=state.step + 1,
            parameter=found.parameter,
            value=found.value,
            gradient=found.gradient,
            steps=steps,
            changes=changes,
            evaluations=state.evaluations,
            stopped=not found.gradient.any(),
        )

    def _search(
        self, value_and_gradient: ValueAndGradient, state: LBFGSState, direction: np.ndarray, length: float
    ) -> tuple["_Point | None", int]:
        """Return a point along the direction that is low and flat enough, else the lowest found; and the evaluations."""
        start = _Point(0.0, state.parameter, state.value, state.gradient, _dot(state.gradient, direction))
        if not start.slope < 0:
            return None, 0
        # A minimum lies between `low`, the lowest point so far, and `high`; as long as there is no high, beyond low.
        low, high = start, None
        for count in range(1, self.max_evaluations + 1):
            parameter = state.parameter + length * direction
            value, gradient = _evaluate(value_and_gradient, parameter)
            trial = _Point(length, parameter, value, gradient, _dot(gradient, direction))
            enough = start.value + self.decrease * length * start.slope
            if not (value <= enough and value < low.value and math.isfinite(trial.slope)):
                high = trial
            else:
                if abs(trial.slope) <= -self.curvature * start.slope:
                    return trial, count
                if trial.slope * ((math.inf if high is None else high.length) - low.length) >= 0:
                    high = low
                low = trial
            length = 2 * low.length if high is None else _between(low, high)
        return (None if low is start else low), self.max_evaluations


class _Point(NamedTuple):
    """A point of a line search: how far along, and the loss, its gradient and its slope along the line there."""

    length: float
    parameter: np.ndarray
    value: float
    gradient: np.ndarray
    slope: float


def _inverse_hessian_times(state: LBFGSState, gradient: np.ndarray) -> np.ndarray:
    """Return H g for the history's approximation H of the inverse Hessian: the two loops of algorithm 7.4."""
    result, shares = gradient.copy(), []
    for step, change in zip(state.steps[::-1], state.changes[::-1], strict=True):
        share = _dot(step, result) / _dot(step, change)
        shares.append(share)
        result -= share * change
    if len(state.steps):
        result *= _dot(state.steps[-1], state.changes[-1]) / _dot(state.changes[-1], state.changes[-1])
    for step, change, share in zip(state.steps, state.changes, reversed(shares), strict=True):
        result += (share - _dot(change, result) / _dot(step, change)) * step
    return result


def _between(low: _Point, high: _Point) -> float:
    """Return the length where the cubic through two points' values and slopes is least, off both ends by a tenth."""
    span = high.length - low.length
    length = low.length + span / 2
    if math.isfinite(high.value) and math.isfinite(high.slope):
        d1 = low.slope + high.slope - 3 * (high.value - low.value) / span
        root = d1 * d1 - low.slope * high.slope
        d2 = math.copysign(math.sqrt(max(root, 0)), span)
        below = high.slope - low.slope + 2 * d2
        if 0 <= root < math.inf and below != 0:
            length = high.length - span * (high.slope + d2 - d1) / below
    near, far = sorted((low.length + 0.1 * span, high.length - 0.1 * span))
    return min(max(length, near), far)


def _evaluate(value_and_gradient: ValueAndGradient, parameter: np.ndarray) -> tuple[float, np.ndarray]:
    value, gradient = value_and_gradient(parameter)
    gradient = np.asarray(gradient, np.float64)
    if gradient.shape != parameter.shape:
        raise ValueError(f"the gradient must have the parameter's shape {parameter.shape}, got {gradient.shape}")
    return float(value), gradient


def _dot(a: np.ndarray, b: np.ndarray) -> float:
    return float((a * b).sum())
