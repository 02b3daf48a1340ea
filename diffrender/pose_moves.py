"""The unknowns of a pose: a turn about the mesh's middle, a shift and the logarithm of the focal length, in the camera's axes."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from .camera import Camera, rotation_matrix


class Moves(NamedTuple):
    """Directions of K unknowns at a camera, as `Rendering.jvp` takes them."""

    rotation: np.ndarray  # (K, 3)
    translation: np.ndarray  # (K, 3)
    K: np.ndarray  # (K, 3, 3)


def moves(camera: Camera, center: np.ndarray, focal: bool) -> Moves:
    """Return the directions of 6 or, with `focal`, 7 unknowns: the turn (3) about center (3,) in radians, the shift (3) in units
    of the world, and the logarithm of the focal length."""
    count = 7 if focal else 6
    middle = camera.R @ center + camera.t
    rotation, translation, K = np.zeros((count, 3)), np.zeros((count, 3)), np.zeros((count, 3, 3))
    rotation[:3] = np.eye(3)
    translation[:3] = -np.cross(
        np.eye(3), middle
    )  # x -> x + w x (x - c): what the camera's own turn moves the middle by
    translation[3:6] = np.eye(3)
    if focal:
        K[6, :2, :2] = camera.K[:2, :2]
    return Moves(rotation, translation, K)


def moved(camera: Camera, center: np.ndarray, step: np.ndarray) -> Camera:
    """Return the camera after a step (6,) or (7,) along `moves`."""
    middle = camera.R @ center + camera.t
    camera = camera.moved(step[:3], middle - rotation_matrix(step[:3]) @ middle + step[3:6])
    return camera if len(step) == 6 else zoomed(camera, float(np.exp(step[6])))


def zoomed(camera: Camera, factor: float) -> Camera:
    """Return the camera with its focal lengths and skew times a factor."""
    K = camera.K.copy()
    K[:2, :2] *= factor
    return replace(camera, K=K)


def angle_between(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the angle in degrees between rotations (..., 3, 3)."""
    trace = np.einsum("...ij,...ij->...", first, second)
    return np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))
