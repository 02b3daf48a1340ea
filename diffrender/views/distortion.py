"""Distorted photos, resampled as another pinhole camera in the same place would have taken them."""

import numpy as np

from ..camera import Camera
from ..distortion import Distortion


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
