"""Adam, and its uniform variant, as an (init, update) pair: state is returned, never hidden."""

from typing import NamedTuple

import numpy as np

_EPSILON = 1e-12


class AdamState(NamedTuple):
    """Number of updates so far and the running moments, of the shape of the parameter."""

    step: int
    first: np.ndarray
    second: np.ndarray


class Adam(NamedTuple):
    """Settings of Adam. With `uniform`, one second moment (the largest) is shared by all entries.

    A shared one keeps the direction of the gradient, and so what a preconditioner put into it. Kingma & Ba 2015;
    uniform after Nicolet et al., Large Steps in Inverse Rendering of Geometry, 2021.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    uniform: bool = False

    def init(self, parameter: np.ndarray) -> AdamState:
        """Return the state before the first update of a parameter of any shape."""
        return AdamState(0, np.zeros_like(parameter), np.zeros_like(parameter))

    def update(self, gradient: np.ndarray, state: AdamState, learning_rate: float) -> tuple[np.ndarray, AdamState]:
        """Return (delta, state'): what to add to the parameter, and the state after it."""
        step = state.step + 1
        first = self.beta1 * state.first + (1 - self.beta1) * gradient
        second = self.beta2 * state.second + (1 - self.beta2) * gradient * gradient
        scale = second.max(initial=0.0) if self.uniform else second
        corrected = np.sqrt(scale / (1 - self.beta2**step)) + _EPSILON
        delta = -learning_rate / (1 - self.beta1**step) * first / corrected
        return delta.astype(gradient.dtype), AdamState(step, first, second)
