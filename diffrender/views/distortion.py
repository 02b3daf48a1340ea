"""Lens distortion, and photos resampled as another pinhole camera in the same place would have taken them."""

import math
from dataclasses import astuple, dataclass

import numpy as np

from ..camera import Camera


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

    def distort(self, points: np.ndarray) -> np.ndarray:
        """Return where the lens puts normalised points (..., 2), whose shape the result has.

        OpenCV's documentation of the modules calib3d and fisheye; Brown 1971, Kannala & Brandt 2006.
        """
        radius = np.hypot(points[..., 0], points[..., 1])[..., None]
        if self.fisheye:
            angle = np.arctan(radius)
            along = np.divide(angle, radius, out=np.ones_like(radius), where=radius > 0)
            return points * along * self._polynomial(angle**2)
        x, y, square = points[..., :1], points[..., 1:], radius**2
        shift = [
            2 * self.p1 * x * y + self.p2 * (square + 2 * x**2),
            self.p1 * (square + 2 * y**2) + 2 * self.p2 * x * y,
        ]
        return points * self._polynomial(square) + np.concatenate(shift, axis=-1)

    @property
    def limit(self) -> float:
        """The radius up to which the radial polynomial grows: further out it folds the image back onto itself."""
        slope = np.roots([9 * self.k4, 7 * self.k3, 5 * self.k2, 3 * self.k1, 1.0])  # of s * polynomial(s**2), in s**2
        squares = slope.real[np.isreal(slope) & (slope.real > 0)]
        if not len(squares):
            return math.inf
        limit = math.sqrt(squares.min())
        if self.fisheye:
            return math.tan(limit) if limit < math.pi / 2 else math.inf
        return limit

    def _polynomial(self, square: np.ndarray) -> np.ndarray:
        return 1 + square * (self.k1 + square * (self.k2 + square * (self.k3 + square * self.k4)))


def source_pixels(target: Camera, source: Camera, distortion: Distortion | None) -> tuple[np.ndarray, np.ndarray]:
    """Return for each pixel of `target` its place (x, y) px in the photo of `source` (H, W, 2), and whether that is
    inside the photo (H, W).

    Both cameras stand in the same place and look the same way; only K and size differ. The photo is distorted, the
    target is not.
    """
    height, width = target.size
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    rays = np.stack([x, y, np.ones_like(x)], axis=-1) @ np.linalg.inv(target.K).T
    points = rays[..., :2]
    inside = np.ones((height, width), bool)
    if distortion is not None:
        radius = np.hypot(points[..., 0], points[..., 1])
        inside = radius <= distortion.limit
        points = distortion.distort(
            points * np.where(inside, 1, distortion.limit / np.maximum(radius, 1e-12))[..., None]
        )
    pixels = points @ source.K[:2, :2].T + source.K[:2, 2]
    # An edge that comes out a rounding error outside is still the photo's.
    inside &= ((pixels > -1e-6) & (pixels < np.array(source.size[::-1]) + 1e-6)).all(axis=-1)
    return pixels, inside


def sample(image: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Return an image (H, W) or (H, W, C) float32 at pixels (H', W', 2) by bilinear interpolation; beyond its edge it
    goes on with the nearest colour."""
    from scipy.ndimage import map_coordinates

    if image.ndim == 3:
        return np.stack([sample(image[..., channel], pixels) for channel in range(image.shape[2])], axis=-1)
    coordinates = [pixels[..., 1] - 0.5, pixels[..., 0] - 0.5]
    return np.clip(map_coordinates(image, coordinates, np.float32, order=1, mode="nearest"), image.min(), image.max())
