"""Gradients checked against finite differences: of the library's functions, and of a user's own loss over them."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

Value = float | np.ndarray
Function = Callable[..., tuple[Value, Any]]

_FIRST_STEP = 1e-4  # of the input's own scale; edges move by a few thousandths of a pixel
_REFINEMENT = 4.0  # from one step to the next
_STEPS = 11  # the last is 1e-10: rounding is felt, but the smaller a step, the fewer faces enter or leave within it
_AGREED = 2  # consecutive pairs of steps
_AGREEMENT = 0.2  # of the tolerance
_SHRINKS = 0.5  # largest ratio of the one-sided differences' gaps at consecutive steps; 1 / _REFINEMENT where smooth
_LARGEST_KINKED = 0.5  # share of the directions
_SMALL = 12  # entries up to which each is tried alone


class InputCheck(NamedTuple):
    """How the gradient to one input compares with finite differences; `problem` is empty where it passes.

    `bias` is signed: 0.1 says that the gradient is 10 % too long along the true one, -1 that it is not there. `kinks`
    counts the directions in which the function has a corner or jump, so that differences say nothing: they are left out.
    """

    name: str
    relative_error: float  # |gradient - differences| / |differences|
    cosine: float
    bias: float
    tried: int  # entries one by one, or random directions
    kinks: int
    problem: str

    @property
    def passed(self) -> bool:
        """Whether the gradient was checked and is right."""
        return not self.problem


class GradientCheck(NamedTuple):
    """What `gradcheck` found, input by input; printed, a table."""

    inputs: tuple[InputCheck, ...]

    @property
    def passed(self) -> bool:
        """Whether all inputs passed."""
        return all(check.passed for check in self.inputs)

    def __str__(self) -> str:
        width = max(len("input"), *(len(check.name) for check in self.inputs))
        lines = [f"{'input':<{width}}  rel. error    cosine        bias  tried  kinks"]
        for check in self.inputs:
            numbers = f"{check.relative_error:10.1e}  {check.cosine:8.6f}  {check.bias:+10.1e}  {check.tried:5}"
            lines.append(f"{check.name:<{width}}  {numbers}  {check.kinks:5}  {check.problem or 'passed'}")
        return "\n".join(lines)


def gradcheck(
    function: Function,
    inputs: Mapping[str, Any],
    *,
    tolerance: float = 1e-4,
    directions: int = 16,
    seed: int = 0,
) -> GradientCheck:
    """Compare the gradients of `function(**inputs)` with central differences in float64.

    The function returns (value, gradients): a number with its gradients, or an array with its backward, which takes the
    gradient of that array, as in `(rendering.image, rendering.backward)`; the array is then weighed at random. Gradients
    are a dict or a NamedTuple by the names of the inputs, or, of one input, the array alone. Inputs of up to 12 entries
    are tried one by one, larger ones along `directions` random directions. Steps are refined until three in a row agree.

    An input passes if its relative error is at most `tolerance`, which bounds bias and cosine too. A check of nothing
    fails: gradient and differences that are 0, as of an empty image. Raises ValueError for no inputs, a value
    that is not float64, or gradients that are missing or of another shape.

    >>> import numpy as np
    >>> check = gradcheck(lambda x: ((x**3).sum(), 3 * x**2), {"x": np.array([0.5, -2.0])})
    >>> check.passed
    True
    >>> gradcheck(lambda x: ((x**3).sum(), 3.3 * x**2), {"x": np.array([0.5, -2.0])}).inputs[0].problem
    'relative error 0.1 is more than 0.0001'
    """
    if not inputs:
        raise ValueError("inputs must name at least one input, got none")
    if not directions >= 1:
        raise ValueError(f"directions must be at least 1, got {directions}")
    random = np.random.default_rng(seed)
    values = {name: np.asarray(value, np.float64) for name, value in inputs.items()}
    value, gradients = function(**{name: array[()] for name, array in values.items()})
    value = _checked_value(value)
    weights = np.ones_like(value)
    if callable(gradients):
        weights = random.normal(size=value.shape)
        gradients = gradients(weights)
    elif value.ndim:
        raise ValueError(f"a value of shape {value.shape} needs its backward, a function, got {type(gradients)}")
    found = {name: _gradient_of(gradients, name, array.shape, len(values)) for name, array in values.items()}

    checks = []
    for name, array in values.items():
        along = _directions(array, directions, random)

        def weighed(shift: np.ndarray, name: str = name, array: np.ndarray = array) -> float:
            moved, _ = function(**{key: (array + shift if key == name else other)[()] for key, other in values.items()})
            # The difference of the values first: their sums would lose its digits.
            return float(np.sum(weights * (_checked_value(moved) - value)))

        actual = np.array([np.sum(found[name] * direction) for direction in along])
        scale, floor = _scale(array), float(np.sqrt(np.mean(actual**2)))
        slopes = [_slope(weighed, direction, scale, floor, tolerance) for direction in along]
        checks.append(_compared(name, actual, slopes, tolerance, empty=not value.any()))
    return GradientCheck(tuple(checks))


def _checked_value(value: Value) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype != np.float64:
        raise ValueError(
            f"the value must be float64 for finite differences, got {array.dtype}: make all inputs float64"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"the value must be finite, got {np.count_nonzero(~np.isfinite(array))} NaN or infinity")
    return array


def _gradient_of(gradients: Any, name: str, shape: tuple[int, ...], inputs: int) -> np.ndarray:
    if isinstance(gradients, Mapping):
        gradient = gradients.get(name)
    else:
        gradient = getattr(gradients, name, None)
        if gradient is None and inputs == 1 and isinstance(gradients, np.ndarray | float):
            gradient = gradients
    if gradient is None:
        raise ValueError(f"the function returns no gradient for {name}, got {type(gradients).__name__}")
    gradient = np.asarray(gradient, np.float64)
    if gradient.shape != shape:
        raise ValueError(f"the gradient for {name} must have shape {shape}, got {gradient.shape}")
    return gradient


def _directions(array: np.ndarray, directions: int, random: np.random.Generator) -> np.ndarray:
    if array.size <= _SMALL:
        return np.eye(array.size).reshape(array.size, *array.shape)
    return random.normal(size=(directions, *array.shape))


def _scale(array: np.ndarray) -> float:
    """Return how large the input's entries are: the spread of points, which may be far from the origin, else the largest
    entry, or 1 for zeros."""
    spread = float(array.std(axis=0).max()) if array.ndim > 1 else 0.0
    return spread or float(np.abs(array).max(initial=0.0)) or 1.0


def _slope(
    weighed: Callable[[np.ndarray], float], direction: np.ndarray, scale: float, floor: float, tolerance: float
) -> float | None:
    """Return the slope of `weighed` at 0 along a direction, or None at a kink.

    Three steps in a row must agree, or a jump lies within one of them (two may agree by chance where there are many), and
    the slopes to the left and right must approach each other, or there is a corner at 0. Richardson's extrapolation of
    the last two is returned.
    """
    centrals, gaps, agreed = [], [], 0
    for number in range(_STEPS):
        step = _FIRST_STEP * scale / _REFINEMENT**number
        right, left = weighed(step * direction) / step, -weighed(-step * direction) / step
        centrals.append((right + left) / 2)
        gaps.append(abs(right - left))
        if number == 0:
            continue
        change = centrals[-1] - centrals[-2]
        margin = _AGREEMENT * tolerance * max(abs(centrals[-1]), floor)
        agreed = agreed + 1 if abs(change) <= margin and gaps[-1] <= _SHRINKS * gaps[-2] + margin else 0
        if agreed == _AGREED:
            return centrals[-1] + change / (_REFINEMENT**2 - 1)
    return None


def _compared(name: str, actual: np.ndarray, slopes: list[float | None], tolerance: float, empty: bool) -> InputCheck:
    smooth = np.array([slope is not None for slope in slopes], bool)
    gradient = actual[smooth]
    expected = np.array([slope for slope in slopes if slope is not None])
    kinks, length = len(slopes) - len(expected), float(np.linalg.norm(expected))
    off = float(np.linalg.norm(gradient - expected))
    error = off / length if length else np.inf if off else np.nan
    both = length * float(np.linalg.norm(gradient))
    cosine = float(gradient @ expected) / both if both else np.nan
    bias = float(gradient @ expected) / length**2 - 1 if length else np.nan
    problem = ""
    if kinks > _LARGEST_KINKED * len(slopes):
        problem = f"the function has kinks in {kinks} of {len(slopes)} directions"
    elif not length and not off:
        what = "value, gradient" if empty else "gradient"
        problem = f"{what} and differences are 0: nothing was checked"
    elif not error <= tolerance:
        problem = f"relative error {error:.3g} is more than {tolerance:g}"
    return InputCheck(name, error, cosine, bias, len(slopes), kinks, problem)
