"""Sparse changes: proximal steps, after which most of a template's vertices have moved by exactly 0.

The parameter is the offset from the template, (V, 3) and 0 at the start: the mesh is template + offset. Minimised is
loss + weight * sum of the offsets' sizes, a size being a vertex's length (group) or an entry's absolute value. A vertex moves
only where the loss pulls at it by more than the weight, which is therefore in units of loss per length: `holding_weight`
is its scale.
"""

import math
from typing import NamedTuple

import numpy as np

from .adam import Adam, AdamState

_TINY = np.finfo(np.float64).tiny


def soft_threshold(offset: np.ndarray, threshold: float | np.ndarray, group: bool = True) -> np.ndarray:
    """Return offset (V, 3) with each vertex, or without `group` each entry, shortened by `threshold`, at most to 0.

    It is the proximal map of the threshold times the sum of lengths, or of absolute values. Yuan & Lin 2006; Donoho 1995.
    """
    size = _size(offset, group)
    return offset * (np.maximum(size - threshold, 0) / np.maximum(size, _TINY))


def holding_weight(gradient: np.ndarray, group: bool = True) -> float:
    """Return the least weight at which a template stays as it is, from the gradient (V, 3) there: useful ones are smaller."""
    return float(_size(gradient, group).max(initial=0))


class ProximalState(NamedTuple):
    """The parameter, where the gradient is taken; the sparse offset, the result; and the momentum's weight, 1 at a start."""

    parameter: np.ndarray
    offset: np.ndarray
    momentum: float


class Proximal(NamedTuple):
    """Gradient steps with soft-thresholding (ISTA), or, `accelerated`, with momentum that restarts when it leads upwards.

    The step is the learning rate times the gradient, so the learning rate must be below 1 / the curvature of the loss; an
    array (V, 1) gives each vertex its own, and its threshold with it, which leaves the solution the same. For losses whose
    curvature nobody knows, such as images, take `ProximalAdam`. Beck & Teboulle, FISTA, 2009; O'Donoghue & Candes 2015.
    """

    weight: float
    group: bool = True
    accelerated: bool = True

    def init(self, parameter: np.ndarray) -> ProximalState:
        """Return the state before the first update of offsets (V, 3). Raises ValueError for a negative weight."""
        _check_weight(self.weight)
        return ProximalState(parameter, parameter, 1.0)

    def update(
        self, gradient: np.ndarray, state: ProximalState, learning_rate: float | np.ndarray
    ) -> tuple[np.ndarray, ProximalState]:
        """Return (delta, state'). The result is state'.offset: with momentum, the parameter runs ahead of it."""
        here, before, momentum = state
        offset = soft_threshold(here - learning_rate * gradient, learning_rate * self.weight, self.group)
        ahead = offset
        if self.accelerated:
            # Uphill is judged by the generalised gradient, the step backwards over the learning rate.
            if ((here - offset) / learning_rate * (offset - before)).sum() > 0:
                momentum = 1.0
            following = (1 + math.sqrt(1 + 4 * momentum * momentum)) / 2
            ahead = offset + (momentum - 1) / following * (offset - before)
            momentum = following
        delta = ahead - here
        # The caller adds delta with its rounding: the state has that sum.
        return delta, ProximalState(here + delta, offset if self.accelerated else here + delta, momentum)


class ProximalAdamState(NamedTuple):
    """The sparse offset, equal to the parameter, and Adam's moments."""

    offset: np.ndarray
    moments: AdamState


class ProximalAdam(NamedTuple):
    """Soft-thresholding in the metric of Adam: a step is about the learning rate long, whatever the gradient's scale.

    With `group`, a vertex has one second moment (VectorAdam). A vertex's threshold shrinks with its step, so the solutions
    are those of plain proximal steps; no vertex goes back by more than the learning rate at once. The learning rate must
    shrink to a small part of itself for the steps to settle. Betas are shorter than Adam's, so that a vertex that moved
    by mistake is soon free to return. Melchior et al., Proximal Adam, 2019.
    """

    weight: float
    group: bool = True
    beta1: float = 0.8
    beta2: float = 0.95

    def init(self, parameter: np.ndarray) -> ProximalAdamState:
        """Return the state before the first update of offsets (V, 3). Raises ValueError for a negative weight."""
        _check_weight(self.weight)
        return ProximalAdamState(parameter, self._adam.init(parameter))

    def update(
        self, gradient: np.ndarray, state: ProximalAdamState, learning_rate: float
    ) -> tuple[np.ndarray, ProximalAdamState]:
        """Return (delta, state'); adding delta makes the parameter state'.offset, to the bit."""
        direction, moments = self._adam.update(gradient, state.moments, 1.0)
        spread = self._adam.spread(moments)
        # Where gradients are smaller than the weight, steps would be long and lead back only: the weight is their scale.
        scale = np.maximum(spread, self.weight)
        offset = soft_threshold(
            state.offset + learning_rate * (spread / scale) * direction, learning_rate * self.weight / scale, self.group
        )
        delta = offset - state.offset
        return delta, ProximalAdamState(state.offset + delta, moments)

    @property
    def _adam(self) -> Adam:
        return Adam(self.beta1, self.beta2, vector=self.group)


class Only(NamedTuple):
    """Lets some vertices (V,) bool move and holds the others: before Adam, it fits anew, without a weight, what has moved.

    Offsets that a weight has found are shorter by it; once it is known which vertices move, it has done its work.
    Relaxed lasso, Meinshausen 2007.
    """

    vertices: np.ndarray

    def init(self, parameter: np.ndarray) -> None:
        """Return the state: there is none. Raises ValueError unless there is one flag a vertex."""
        if self.vertices.shape != parameter.shape[:1] or self.vertices.dtype != np.bool_:
            raise ValueError(
                f"vertices must be {len(parameter)} flags, got {self.vertices.dtype} of shape {self.vertices.shape}"
            )

    def update(self, gradient: np.ndarray, state: None, learning_rate: float = 1.0) -> tuple[np.ndarray, None]:
        """Return (the gradient, 0 at the vertices held; None)."""
        return np.where(self.vertices[:, None], gradient, 0), state


def _size(values: np.ndarray, group: bool) -> np.ndarray:
    return np.linalg.norm(values, axis=-1, keepdims=True) if group else np.abs(values)


def _check_weight(weight: float) -> None:
    if not (math.isfinite(weight) and weight >= 0):
        raise ValueError(f"weight must be finite and >= 0, got {weight}")
