"""What (init, update) pairs have in common, and how several become one."""

from typing import Any, NamedTuple, Protocol

import numpy as np


class Transformation(Protocol):
    """Takes a gradient to another one, or to the step to make. Settings are its fields; what changes is its state."""

    def init(self, parameter: np.ndarray) -> Any:
        """Return the state before the first update of a parameter."""

    def update(self, gradient: np.ndarray, state: Any, learning_rate: float) -> tuple[np.ndarray, Any]:
        """Return (what the gradient became, state')."""


class Chain(NamedTuple):
    """Transformations that act one after the other, as one. Its state is the tuple of theirs, in the same order."""

    parts: tuple[Transformation, ...]

    def init(self, parameter: np.ndarray) -> tuple:
        """Return the states of the parts before the first update."""
        return tuple(part.init(parameter) for part in self.parts)

    def update(self, gradient: np.ndarray, state: tuple, learning_rate: float) -> tuple[np.ndarray, tuple]:
        """Return (delta, state'): each part gets what the one before it returned, and all the same learning rate."""
        states = []
        for part, before in zip(self.parts, state, strict=True):
            gradient, after = part.update(gradient, before, learning_rate)
            states.append(after)
        return gradient, tuple(states)


def chain(*parts: Transformation) -> Chain:
    """Return one (init, update) pair of several, such as chain(Clip(1.0), Adam()); the last one makes the step. After optax."""
    if not parts:
        raise ValueError("chain needs at least one transformation, got none")
    return Chain(parts)
