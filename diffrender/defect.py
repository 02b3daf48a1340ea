"""Defect correction: a fit through soft images that ends where sharp ones match the photos.

The soft image of the true mesh is not its photo: edges differ all around, and pull at vertices that are where they belong. So
soft images are compared with photo + (soft - sharp), both of the mesh as it was a few steps ago. Where the fit comes to rest,
the sharp image is the photo; the soft one only says which way to go. Stetter, The defect correction principle, 1978.
"""

from dataclasses import replace

import numpy as np

from .backend import Name
from .camera import Camera
from .mesh import Mesh
from .rendering import Soft, render

_SAMPLES = 4  # of a sharp image's pixel, along each side
_SHARPER = 0.1  # of the softness, of edges and depths


def correction(mesh: Mesh, camera: Camera, soft: Soft, backend: Name = "cpu") -> np.ndarray:
    """Return what the soft image (H, W, 4) of a mesh, colours over black and alpha, exceeds the sharp one by."""
    return over_black(render(mesh, camera, soft, backend=backend).image) - sharp(mesh, camera, soft, backend)


def sharp(mesh: Mesh, camera: Camera, soft: Soft, backend: Name = "cpu") -> np.ndarray:
    """Return the image (H, W, 4) as a photo has it, colours over black and alpha: values within a pixel are averaged."""
    height, width = camera.size
    settings = replace(soft, sigma=_SHARPER * soft.sigma, gamma=_SHARPER * soft.gamma)
    large = camera.resized((_SAMPLES * height, _SAMPLES * width))
    image = over_black(render(mesh, large, settings, backend=backend).image)
    return image.reshape(height, _SAMPLES, width, _SAMPLES, 4).mean(axis=(1, 3))


def over_black(image: np.ndarray) -> np.ndarray:
    """Return colours (H, W, 4) times alpha, and alpha."""
    return np.dstack([image[..., :3] * image[..., 3:], image[..., 3]])


def over_black_backward(image: np.ndarray, grad: np.ndarray) -> np.ndarray:
    """Return the gradient of the image (H, W, 4) for that of `over_black`'s result."""
    grad_alpha = grad[..., 3] + (grad[..., :3] * image[..., :3]).sum(axis=2)
    return np.dstack([grad[..., :3] * image[..., 3:], grad_alpha])
