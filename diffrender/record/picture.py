"""Meshes as 8-bit pictures to look at."""

import os

import numpy as np

from ..camera import Camera
from ..color import srgb_to_linear, to_bytes
from ..files import atomic_path
from ..fitting import soft_around
from ..mesh import Mesh
from ..rendering import render
from ..shading import Light

BACKDROP = (0.93, 0.94, 0.95)  # sRGB
_EDGE = 0.15  # px^2: an edge one pixel wide


def picture(
    mesh: Mesh, camera: Camera, light: Light | None = None, backdrop: tuple[float, float, float] | None = BACKDROP
) -> np.ndarray:
    """Return a mesh with antialiased edges as sRGB (H, W, 3) uint8 before a backdrop, or RGBA without one."""
    image = np.clip(render(mesh, camera, soft_around(mesh, camera, _EDGE), light).image, 0, 1)
    if backdrop is None:
        return to_bytes(image)
    alpha = image[..., 3:]
    return to_bytes(image[..., :3] * alpha + srgb_to_linear(np.asarray(backdrop, np.float32)) * (1 - alpha))


def headlight(camera: Camera) -> Light:
    """Return a light a little above and to the left of the camera, mild enough to leave painted colours as they are."""
    direction = camera.R.T @ np.array([-0.5, -0.7, -1.0])
    return Light(tuple(float(value) for value in direction), ambient=0.6, diffuse=0.45)


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
