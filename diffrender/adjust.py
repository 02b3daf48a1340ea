"""What a fit may find out about its views besides the mesh: where exactly the cameras were, how the photos were exposed."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from .camera import Camera, rotation_matrix
from .optimize.adam import Adam, AdamState
from .views.view import View

_ADAM = Adam(0.9, 0.99)


class Adjustments(NamedTuple):
    """The cameras' poses and the photos' gains, for N views, and what the optimiser knows of them."""

    rotations: np.ndarray  # (N, 3, 3)
    translations: np.ndarray  # (N, 3)
    log_gains: np.ndarray  # (N, 3): the photo is the render times exp(this), by linear RGB channel
    moments: AdamState  # (N, 9) of turns, shifts and log gains

    def placed(self, number: int, view: View) -> View:
        """Return a view, of any resolution, with its camera in the adjusted pose."""
        return replace(view, camera=replace(view.camera, R=self.rotations[number], t=self.translations[number]))

    def gain(self, number: int) -> np.ndarray:
        """Return a view's gains (3,) float32."""
        return np.exp(self.log_gains[number]).astype(np.float32)


class Rates(NamedTuple):
    """Step lengths: of the cameras in sizes of the object, so in radians as well; of the logarithms of the gains. 0 holds."""

    camera: float
    gain: float


def unadjusted(cameras: list[Camera]) -> Adjustments:
    """Return the poses as they are, and gains of 1."""
    rotations = np.array([camera.R for camera in cameras], np.float64)
    translations = np.array([camera.t for camera in cameras], np.float64)
    count = len(cameras)
    return Adjustments(rotations, translations, np.zeros((count, 3)), _ADAM.init(np.zeros((count, 9))))


def adjusted(views: list[View], adjustments: Adjustments) -> list[View]:
    """Return the views with their cameras in the adjusted poses, and their photos as if all had been exposed alike."""
    placed = (adjustments.placed(number, view) for number, view in enumerate(views))
    return [
        replace(view, image=np.clip(view.image / adjustments.gain(number), 0, 1)) for number, view in enumerate(placed)
    ]


def adjust(
    adjustments: Adjustments, gradients: np.ndarray, center: np.ndarray, scale: float, rates: Rates
) -> Adjustments:
    """Return the adjustments after a step down gradients (N, 9), 0 for views that were not looked at.

    The first six are those of `Camera.moved`, the last three of the log gains. Cameras turn around `center` (3,), the
    object's, and shift by its size, `scale`: so that turns and shifts are about as steep and do not stand in for each other.
    What all views have in common is taken out: the object would only move, or become darker, with them. A lone camera keeps it.
    """
    rotations, translations, log_gains, moments = adjustments
    seen = np.asarray(gradients.any(axis=1))
    centers = rotations @ center + translations
    gradients = gradients.copy()
    # Turning around c instead of the camera: x -> exp(w) (x - c) + c, so the lever is x - c.
    gradients[:, :3] -= np.cross(centers, gradients[:, 3:6])
    gradients[:, 3:6] *= scale
    steps, after = _ADAM.update(gradients, moments, 1.0)
    steps, first, second = (
        np.where(seen[:, None], new, old)
        for new, old in ((steps, 0), (after.first, moments.first), (after.second, moments.second))
    )
    turns, shifts = rates.camera * steps[:, :3], rates.camera * scale * steps[:, 3:6]
    if len(rotations) > 1:
        turns, shifts = (_without_common(step, rotations) for step in (turns, shifts))
    turned = np.array([rotation_matrix(turn) for turn in turns])
    new_rotations = np.array([_nearest_rotation(turn @ R) for turn, R in zip(turned, rotations, strict=True)])
    new_translations = np.einsum("nij,nj->ni", turned, translations - centers) + centers + shifts
    log_gains = log_gains + rates.gain * steps[:, 6:]
    log_gains = log_gains - log_gains.mean(axis=0)
    moments = AdamState(after.step, first, second)
    if rates.camera == 0:
        return Adjustments(rotations, translations, log_gains, moments)
    return Adjustments(new_rotations, new_translations, log_gains, moments)


def _without_common(steps: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    """Return steps (N, 3) in the cameras' axes less their mean in the world's."""
    return steps - rotations @ np.einsum("nji,nj->ni", rotations, steps).mean(axis=0)


def _nearest_rotation(matrix: np.ndarray) -> np.ndarray:
    """Return the rotation nearest to a matrix (3, 3): many steps must not drift from them."""
    left, _, right = np.linalg.svd(matrix)
    return left @ right
