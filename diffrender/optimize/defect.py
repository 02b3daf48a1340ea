"""Defect correction: a fit through soft images that ends where sharp ones match the photos.

The soft image of the true mesh is not its photo: edges differ all around, and pull at vertices that have not changed. So the
soft images are compared with photo + (soft - sharp), both of the current mesh and as of the last refresh. Where the fit comes
to rest with fresh corrections, the sharp image is the photo; the soft one only says which way to go. Stetter 1978.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..camera import Camera
from ..mesh import Mesh
from ..rendering import Soft, render


class DefectState(NamedTuple):
    """Number of updates so far, and what to add to each view's photo (H, W, 4): none before the first update."""

    step: int
    corrections: tuple[np.ndarray, ...]


class Defect(NamedTuple):
    """Settings: the soft images that the fit takes gradients of, samples along a side of a sharp pixel, steps to a refresh.

    A sharp image is the mean of samples * samples pixels with edges and depths a tenth as soft as those of `soft`.
    Every step of a fit, and once more at the template to choose a `Proximal`'s weight, calls

        corrections, state = defect.update(mesh, cameras, state)     # of the mesh as it is now
        value, grad_blended = loss.l2(over_black(rendering.image), photo + corrections[view])

    and sends the gradient on through `over_black_backward` and `rendering.backward`, for `optimizer.update` to change the mesh.
    `state` is arrays and a count: kept with the optimiser's, it goes on to the same bits.
    """

    soft: Soft
    samples: int = 4
    every: int = 10

    def init(self) -> DefectState:
        """Return the state before the first update. Raises ValueError unless samples and every are at least 1."""
        for name, value in (("samples", self.samples), ("every", self.every)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        return DefectState(0, ())

    def update(
        self, mesh: Mesh, cameras: Sequence[Camera], state: DefectState
    ) -> tuple[tuple[np.ndarray, ...], DefectState]:
        """Return (corrections, state'): per camera (H, W, 4), what soft images exceed sharp ones by, colours over black."""
        corrections = state.corrections
        if state.step % self.every == 0:
            corrections = tuple(
                over_black(render(mesh, camera, self.soft).image) - self.sharp(mesh, camera) for camera in cameras
            )
        return corrections, DefectState(state.step + 1, corrections)

    def sharp(self, mesh: Mesh, camera: Camera) -> np.ndarray:
        """Return the image (H, W, 4) as a photo has it, colours over black: values within a pixel are averaged."""
        (height, width), samples = camera.size, self.samples
        settings = replace(self.soft, sigma=0.1 * self.soft.sigma, gamma=0.1 * self.soft.gamma)
        image = over_black(render(mesh, camera.resized((samples * height, samples * width)), settings).image)
        return image.reshape(height, samples, width, samples, 4).mean(axis=(1, 3))


def over_black(image: np.ndarray) -> np.ndarray:
    """Return colours (H, W, 4) times alpha, and alpha."""
    return np.dstack([image[..., :3] * image[..., 3:], image[..., 3]])


def over_black_backward(image: np.ndarray, grad: np.ndarray) -> np.ndarray:
    """Return the gradient of the image (H, W, 4) for that of `over_black`'s result."""
    grad_alpha = grad[..., 3] + (grad[..., :3] * image[..., :3]).sum(axis=2)
    return np.dstack([grad[..., :3] * image[..., 3:], grad_alpha])
