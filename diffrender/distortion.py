"""How lenses bend images: one definition, for photos that are resampled and for meshes that are rendered."""

import math
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from functools import cached_property

import numpy as np

_LEAST_SLOPE = 0.05  # of the bent radius: at a slope of 0 what lies further out would pile up on a circle
_FURTHEST = 1e3  # tangent of the angle off the axis, 89.94 degrees: powers of more overflow
_TINY = 1e-12  # radius: 0 / 0 on the axis


@dataclass(frozen=True)
class Distortion:
    """How a lens bends a pinhole image: radial k1..k4 and tangential p1, p2, in normalised coordinates x/z, y/z.

    Brown-Conrady in OpenCV's meaning, with k4 the coefficient of r**8 as in nerfstudio; or, with `fisheye`, OpenCV's
    fisheye polynomial of the angle, without p1 and p2. Raises ValueError for numbers that are not finite.
    """

    k1: float = 0.0
    k2: float = 0.0
    k3: float = 0.0
    k4: float = 0.0
    p1: float = 0.0
    p2: float = 0.0
    fisheye: bool = False

    def __post_init__(self) -> None:
        values = astuple(self)[:6]
        if not all(map(math.isfinite, values)):
            raise ValueError(f"distortion must be finite, got k1..k4 = {list(values[:4])}, p1, p2 = {list(values[4:])}")
        if self.fisheye and (self.p1 or self.p2):
            raise ValueError(f"a fisheye lens has no tangential distortion, got p1 = {self.p1}, p2 = {self.p2}")

    @property
    def changes_nothing(self) -> bool:
        """Whether this is a pinhole."""
        return not self.fisheye and not any(astuple(self)[:6])

    @property
    def coefficients(self) -> np.ndarray:
        """k1, k2, k3, k4, p1, p2 (6,), in which order `Distortion` takes them."""
        return np.array(astuple(self)[:6])

    @property
    def limit(self) -> float:
        """The radius up to which the radial polynomial grows: further out it folds the image back onto itself."""
        limit = _first_root([9 * self.k4, 0, 7 * self.k3, 0, 5 * self.k2, 0, 3 * self.k1, 0, 1.0])
        if self.fisheye:
            return math.tan(limit) if limit < math.pi / 2 else math.inf
        return limit

    @cached_property
    def straight_from(self) -> float:
        """The radius, or for a fisheye the angle, from which on `distort` goes on straight along a ray of the image.

        There the bent radius has all but stopped to grow, whatever its direction: p1 and p2 take up to 6 r |p| from its slope.
        """
        pull = -6 * math.hypot(self.p1, self.p2)
        slope = [9 * self.k4, 0, 7 * self.k3, 0, 5 * self.k2, 0, 3 * self.k1, pull, 1.0 - _LEAST_SLOPE]
        return min(_first_root(slope), _FURTHEST)

    def distort(self, points: np.ndarray) -> np.ndarray:
        """Return where the lens puts normalised points (..., 2), whose shape the result has.

        From `straight_from` on, just before the polynomial would fold the image back onto itself, it goes on straight with
        the slope it has there: what the lens cannot see stays outside, in order. OpenCV's documentation of the modules
        calib3d and fisheye; Brown 1971, Kannala & Brandt 2006.
        """
        radial = _Radial(self, points)
        bent = points * radial.scale
        return bent if self.fisheye else bent + radial.tangential * self._tangential(points)

    def distort_backward(self, points: np.ndarray, grad: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the gradients for points (N, 2) and for the coefficients (6,), for grad (N, 2) of what `distort` returns.

        With r the radius, rho(s) the bent one and T(p) the tangential shift, it returned p rho / r + T(p) h: both factors
        depend on p through r alone. The place where it goes straight depends on the coefficients, too.
        """
        radial = _Radial(self, points)
        along = (grad * points).sum(axis=1, keepdims=True)
        grad_points = grad * radial.scale + points * (along * radial.scale_slope)
        coefficients = np.zeros(6)
        for number in range(4):
            coefficients[number] = (along * radial.scale_by_coefficient(number + 1)).sum()
        by_straight = (along * radial.scale_by_straight).sum()
        if not self.fisheye:
            across = (grad * self._tangential(points)).sum(axis=1, keepdims=True)
            grad_points += points * (across * radial.tangential_slope)
            shifted = grad * radial.tangential
            grad_points += self._tangential_backward(points, shifted)
            x, y, gx, gy = points[:, 0], points[:, 1], shifted[:, 0], shifted[:, 1]
            square, product = x * x + y * y, 2 * x * y
            coefficients[4] = (gx * product + gy * (square + 2 * y * y)).sum()
            coefficients[5] = (gx * (square + 2 * x * x) + gy * product).sum()
            by_straight += (across * radial.tangential_by_straight).sum()
        return grad_points, coefficients + by_straight * self._straight_by_coefficients

    def _tangential(self, points: np.ndarray) -> np.ndarray:
        x, y = points[..., :1], points[..., 1:]
        square = x * x + y * y
        return np.concatenate(
            [
                2 * self.p1 * x * y + self.p2 * (square + 2 * x**2),
                self.p1 * (square + 2 * y**2) + 2 * self.p2 * x * y,
            ],
            axis=-1,
        )

    def _tangential_backward(self, points: np.ndarray, grad: np.ndarray) -> np.ndarray:
        """Multiply by the Jacobian, which is symmetric."""
        x, y, gx, gy = points[:, 0], points[:, 1], grad[:, 0], grad[:, 1]
        mixed = 2 * (self.p1 * x + self.p2 * y)
        return np.column_stack(
            [
                (2 * self.p1 * y + 6 * self.p2 * x) * gx + mixed * gy,
                mixed * gx + (6 * self.p1 * y + 2 * self.p2 * x) * gy,
            ]
        )

    @cached_property
    def _straight_by_coefficients(self) -> np.ndarray:
        """The gradient (6,) of `straight_from`: of a root of slope(s, k) = 6 s |p| + least, so -slope_k / slope_s."""
        at, pull = self.straight_from, math.hypot(self.p1, self.p2)
        if at == _FURTHEST:
            return np.zeros(6)
        powers = [(2 * n + 1) * at ** (2 * n) for n in range(1, 5)]
        pulls = [-6 * at * p / pull if pull else 0.0 for p in (self.p1, self.p2)]
        return -np.array(powers + pulls) / (self._curvature(at) - 6 * pull)

    def _polynomial(self, square: np.ndarray) -> np.ndarray:
        return 1 + square * (self.k1 + square * (self.k2 + square * (self.k3 + square * self.k4)))

    def _slope(self, square: np.ndarray) -> np.ndarray:
        """The derivative of s * polynomial(s**2) for s."""
        return 1 + square * (3 * self.k1 + square * (5 * self.k2 + square * (7 * self.k3 + square * 9 * self.k4)))

    def _curvature(self, s: float) -> float:
        """The derivative of the slope for s."""
        square = s * s
        return s * (6 * self.k1 + square * (20 * self.k2 + square * (42 * self.k3 + square * 72 * self.k4)))


class _Radial:
    """The two factors (N, 1) of `distort` that depend on the radius alone, and their derivatives.

    With s the radius or the angle, c = min(s, straight_from) and u = (s - c) / s: rho = c P(c^2) + (s - c) slope(c), of
    which s ((1 - u) P + u slope); and r^2, which the tangential shift grows with, becomes c (2 s - c) = s^2 (1 - u^2).
    """

    def __init__(self, lens: Distortion, points: np.ndarray):
        self._lens = lens
        radius = np.hypot(points[..., 0], points[..., 1])[..., None]
        s = np.arctan(radius) if lens.fisheye else radius
        self._c = np.minimum(s, lens.straight_from)
        self._r, self._s = np.maximum(radius, _TINY), np.maximum(s, _TINY)
        self._over = s - self._c
        self._u = self._over / self._s
        along = self._s / self._r
        polynomial, self._slope = lens._polynomial(self._c**2), lens._slope(self._c**2)
        self.scale = along * (polynomial + self._u * (self._slope - polynomial))
        self.tangential = 1 - self._u**2

    @property
    def scale_slope(self) -> np.ndarray:
        """d scale / dr / r."""
        inner = 1 / (1 + self._r**2) if self._lens.fisheye else 1.0
        return (self._slope * inner - self.scale) / self._r**2

    @property
    def tangential_slope(self) -> np.ndarray:
        """d tangential / dr / r."""
        return -2 * self._u * (1 - self._u) / self._s**2

    def scale_by_coefficient(self, n: int) -> np.ndarray:
        """d scale / dk_n, the place where it goes straight held."""
        return self._c ** (2 * n) * (self._c + (2 * n + 1) * self._over) / self._r

    @property
    def scale_by_straight(self) -> np.ndarray:
        """d scale / d straight_from."""
        return self._lens._curvature(self._lens.straight_from) * self._over / self._r

    @property
    def tangential_by_straight(self) -> np.ndarray:
        """d tangential / d straight_from."""
        return 2 * self._u / self._s


def _first_root(polynomial: Iterable[float]) -> float:
    """Return the smallest positive root, infinity without one."""
    roots = np.roots(list(polynomial))
    positive = roots.real[np.isreal(roots) & (roots.real > 0)]
    return float(positive.min()) if len(positive) else math.inf
