"""How lenses bend images: one definition, for photos that are resampled and for meshes that are rendered."""

import math
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from functools import cached_property

import numpy as np

from .threads import share_out

_LEAST_SLOPE = 0.05  # of the bent radius: at a slope of 0 what lies further out would pile up on a circle
_FURTHEST = 1e3  # tangent of the angle off the axis, 89.94 degrees: powers of more overflow


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
        from .projection import bend_points

        flat = np.ascontiguousarray(points, np.float64).reshape(-1, 2)
        bent = np.empty_like(flat)
        share_out(bend_points, len(flat), flat, self.numbers, bent)
        return bent.reshape(points.shape)

    @cached_property
    def numbers(self) -> np.ndarray:
        """What kernels know of the lens (8,), see `formulas.lens`."""
        return np.array([*self.coefficients, self.straight_from, float(self.fisheye)])

    @cached_property
    def straight_by_coefficients(self) -> np.ndarray:
        """The gradient (6,) of `straight_from`: of a root of slope(s, k) - 6 s |p| = least, so -slope_k / slope_s."""
        at, pull = self.straight_from, math.hypot(self.p1, self.p2)
        if at == _FURTHEST:
            return np.zeros(6)
        powers = [(2 * n + 1) * at ** (2 * n) for n in range(1, 5)]
        pulls = [-6 * at * p / pull if pull else 0.0 for p in (self.p1, self.p2)]
        curvature = 6 * self.k1 * at + 20 * self.k2 * at**3 + 42 * self.k3 * at**5 + 72 * self.k4 * at**7
        return -np.array(powers + pulls) / (curvature - 6 * pull)


def _first_root(polynomial: Iterable[float]) -> float:
    """Return the smallest positive root, infinity without one."""
    roots = np.roots(list(polynomial))
    positive = roots.real[np.isreal(roots) & (roots.real > 0)]
    return float(positive.min()) if len(positive) else math.inf
