"""Adam, and its variants that keep directions, as an (init, update) pair: state is returned, never hidden."""

from typing import NamedTuple

import numpy as np

_EPSILON = 1e-12


class AdamState(NamedTuple):
    """Number of updates so far, and the running moments: of the shape of the parameter, or (V, 1) the second of vectors."""

    step: int
    first: np.ndarray
    second: np.ndarray


class Adam(NamedTuple):
    """Settings of Adam. Kingma & Ba 2015.

    With `uniform`, one second moment (the largest) is shared by all entries, which keeps the direction of the gradient, and
    so what a preconditioner put into it (Nicolet et al., Large Steps in Inverse Rendering of Geometry, 2021). With `vector`,
    the parameter is (V, 3) and each vertex has one second moment, that of its gradient's length: a vertex keeps its own
    direction, however the axes lie (Ling et al., VectorAdam, 2022). With both, the shared one is that of the longest.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    uniform: bool = False
    vector: bool = False

    def init(self, parameter: np.ndarray) -> AdamState:
        """Return the state before the first update of a parameter of any shape."""
        return AdamState(0, np.zeros_like(parameter), np.zeros_like(parameter[..., :1] if self.vector else parameter))

    def update(self, gradient: np.ndarray, state: AdamState, learning_rate: float) -> tuple[np.ndarray, AdamState]:
        """Return (delta, state'): what to add to the parameter, and the state after it."""
        step = state.step + 1
        square = (1 - self.beta2) * gradient * gradient
        if self.vector:
            square = square.sum(axis=-1, keepdims=True)
        first = self.beta1 * state.first + (1 - self.beta1) * gradient
        second = self.beta2 * state.second + square
        state = AdamState(step, first, second)
        delta = -learning_rate / (1 - self.beta1**step) * first / self.spread(state)
        return delta.astype(gradient.dtype), state

    def spread(self, state: AdamState) -> np.ndarray:
        """Return what `update` divided by to reach this state: the root of the second moment, without the bias of its start."""
        second = state.second.max(initial=0.0) if self.uniform else state.second
        return np.sqrt(second / (1 - self.beta2**state.step)) + _EPSILON
