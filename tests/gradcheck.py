"""Comparisons of gradients."""

import numpy as np

import diffrender as dr


def relative_l2(actual, expected):
    """Return |actual - expected| / |expected|; the expected gradient must not be zero."""
    scale = np.linalg.norm(expected)
    assert scale > 0, "the expected gradient is zero: this check cannot fail"
    return np.linalg.norm(np.asarray(actual, np.float64) - expected) / scale


def assert_transposed(function, backward, inputs, seed=0, tolerance=1e-6):
    """Check that sum(backward(g) d) is the slope of sum(g f(x + h d)) for random g, by the public `dr.gradcheck`.

    `function(*inputs)` returns an array or a number; `backward(grad)` the gradients for all inputs, in order.
    """

    def by_name(**values):
        return np.asarray(function(*values.values())), lambda grad: dict(zip(values, backward(grad), strict=False))

    named = {f"input {number}": value for number, value in enumerate(inputs)}
    check = dr.gradcheck(by_name, named, tolerance=tolerance, directions=4, seed=seed)
    assert check.passed, f"\n{check}"
