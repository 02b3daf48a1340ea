"""Meshes as 8-bit pictures to look at."""

import os

import numpy as np

from ..backend import Name
from ..camera import Camera
from ..color import srgb_to_linear, to_bytes
from ..files import atomic_path
from ..mesh import Mesh
from ..rendering import render, soft_around
from ..shading import Light

BACKDROP = (0.93, 0.94, 0.95)  # sRGB
_HARD = 1e-6  # px^2: softer edges would let the backdrop shine through where faces meet
_SAMPLES = 3  # per pixel and axis


def picture(
    mesh: Mesh,
    camera: Camera,
    light: Light | None = None,
    backdrop: tuple[float, float, float] | None = BACKDROP,
    samples: int = _SAMPLES,
    backend: Name = "cpu",
) -> np.ndarray:
    """Return a mesh with antialiased edges as sRGB (H, W, 3) uint8 before a backdrop, or RGBA without one.

    Each pixel is the mean of samples^2 hard ones, taken in linear light.
    """
    height, width = camera.size
    large = camera.resized((height * samples, width * samples))
    image = np.clip(render(mesh, large, soft_around(mesh, large, _HARD), light, backend).image, 0, 1)
    alpha = image[..., 3:]
    behind = np.zeros(3, np.float32) if backdrop is None else srgb_to_linear(np.asarray(backdrop, np.float32))
    premultiplied = np.dstack([image[..., :3] * alpha, alpha])
    mean = premultiplied.reshape(height, samples, width, samples, 4).mean(axis=(1, 3))
    color, alpha = mean[..., :3], mean[..., 3:]
    if backdrop is None:
        return to_bytes(np.dstack([color / np.maximum(alpha, 1e-6), alpha]))
    return to_bytes(color + behind * (1 - alpha))


def headlight(camera: Camera) -> Light:
    """Return a light a little above and to the left of the camera, mild enough to leave painted colours as they are."""
    x, y, z = (float(value) for value in camera.R.T @ np.array([-0.5, -0.7, -1.0]))
    return Light((x, y, z), ambient=0.6, diffuse=0.45)


def save_image(pixels: np.ndarray, path: str | os.PathLike) -> None:
    """Write uint8 pixels (H, W, 3 or 4) in the format of the suffix. Raises ValueError for one that Pillow can't write."""
    from PIL import Image

    with atomic_path(path) as temporary:
        try:
            Image.fromarray(pixels).save(temporary)
        except (KeyError, ValueError) as error:
            raise ValueError(f"{path}: cannot write an image of this kind ({error}); use .png or .jpg") from error
        except OSError as error:
            if "cannot write mode RGBA" in str(error):
                raise ValueError(f"{path}: this kind of image has no transparency; use .png or a background") from error
            raise
