"""Comparisons of gradients."""

import numpy as np


def relative_l2(actual, expected):
    """Return |actual - expected| / |expected|; the expected gradient must not be zero."""
    scale = np.linalg.norm(expected)
    assert scale > 0, "the expected gradient is zero: this check cannot fail"
    return np.linalg.norm(np.asarray(actual, np.float64) - expected) / scale


def assert_transposed(function, backward, inputs, seed=0, step=1e-6, tolerance=1e-6):
    """Check sum(backward(g) d) == sum(g (f(x + h d) - f(x - h d)) / 2h) for random g and d, one input after the other.

    `function(*inputs)` returns an array; `backward(grad)` the gradients for all inputs, in order.
    """
    random = np.random.default_rng(seed)
    out = np.asarray(function(*inputs))
    assert np.abs(out).max() > 0, "the output is empty: this check cannot fail"
    grad = random.normal(size=out.shape)
    gradients = backward(grad)
    for number, value in enumerate(inputs):
        direction = random.normal(size=np.shape(value))
        ahead, behind = list(inputs), list(inputs)
        ahead[number], behind[number] = value + step * direction, value - step * direction
        expected = (grad * (np.asarray(function(*ahead)) - np.asarray(function(*behind)))).sum() / (2 * step)
        actual = (np.asarray(gradients[number], np.float64) * direction).sum()
        scale = max(abs(expected), 1e-3 * np.linalg.norm(gradients[number]) * np.linalg.norm(direction))
        assert abs(actual - expected) <= tolerance * scale, (number, actual, expected)
