"""Cameras around a mesh."""

import math

import numpy as np

from .camera import Camera
from .mesh import Mesh

_MARGIN = 1.08


def orbited(camera: Camera, center: np.ndarray, degrees: float) -> Camera:
    """Return the camera carried around `center` (3,) by an angle, about its own vertical axis."""
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), 0, math.sin(angle)], [0, 1, 0], [-math.sin(angle), 0, math.cos(angle)]])
    center_camera = camera.R @ center + camera.t
    return Camera(camera.K, turn @ camera.R, turn @ (camera.t - center_camera) + center_camera, camera.size)


def framing(
    mesh: Mesh,
    size: tuple[int, int],
    azimuth: float = 0.0,
    elevation: float = 15.0,
    fov_degrees: float = 32.0,
    distance: float | None = None,
) -> Camera:
    """Return a camera that looks at the middle of the mesh, y up, from `distance`, or so that all of it is in sight.

    Azimuth 0 looks along -z, 90 along -x; elevation is above the horizon; both in degrees. Raises ValueError for an
    elevation beyond 89 degrees, a distance that is not positive or a field of view outside (0, 180).
    """
    if not -89 <= elevation <= 89:
        raise ValueError(f"elevation must lie between -89 and 89 degrees, got {elevation}")
    if not 0 < fov_degrees < 180:
        raise ValueError(f"fov must lie between 0 and 180 degrees, got {fov_degrees}")
    if distance is not None and not (math.isfinite(distance) and distance > 0):
        raise ValueError(f"distance must be positive, got {distance}")
    center = middle(mesh)
    if distance is None:
        radius = float(np.linalg.norm(mesh.vertices - center, axis=1).max())
        distance = _MARGIN * radius / math.sin(math.radians(fov_degrees) / 2)
    around, above = math.radians(azimuth), math.radians(elevation)
    direction = [math.sin(around) * math.cos(above), math.sin(above), math.cos(around) * math.cos(above)]
    return Camera.look_at(center + distance * np.array(direction), center, fov_degrees=fov_degrees, size=size)


def middle(mesh: Mesh) -> np.ndarray:
    """Return the middle of the bounding box (3,)."""
    return (mesh.vertices.min(axis=0).astype(np.float64) + mesh.vertices.max(axis=0)) / 2
