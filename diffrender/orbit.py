"""Cameras around a mesh."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .camera import Camera, rotation_matrix
from .mesh import Mesh

_MARGIN = 1.08


def orbited(camera: Camera, center: np.ndarray, degrees: float, down: np.ndarray | None = None) -> Camera:
    """Return the camera carried around `center` (3,) by an angle, about `down` (3,), a direction of the world that the
    camera sees pointing down, or about its own vertical axis."""
    axis = np.array([0.0, 1.0, 0.0]) if down is None else camera.R @ down
    turn = rotation_matrix(math.radians(degrees) * axis)
    center_camera = camera.R @ center + camera.t
    return replace(camera, R=turn @ camera.R, t=turn @ (camera.t - center_camera) + center_camera)


def common_down(cameras: Sequence[Camera]) -> np.ndarray:
    """Return the direction of the world (3,) that points down in the photos of several cameras, on average."""
    down = np.mean([camera.R[1] * np.sign(camera.K[1, 1]) for camera in cameras], axis=0)
    length = np.linalg.norm(down)
    return down / length if length > 0.1 else cameras[0].R[1]  # photos of every orientation have none in common


def facing(mesh: Mesh, camera: Camera, size: tuple[int, int], fov_degrees: float = 32.0) -> Camera:
    """Return a pinhole camera that looks the way `camera` does, mirrored if it is, at the middle of the mesh from far enough to
    see all of it."""
    distance = _distance(mesh, fov_degrees)
    focal = min(size) / 2 / math.tan(math.radians(fov_degrees) / 2)
    K = np.array([[focal, 0, size[1] / 2], [0, math.copysign(focal, camera.K[1, 1]), size[0] / 2], [0, 0, 1]])
    return Camera(K, camera.R, np.array([0, 0, distance]) - camera.R @ middle(mesh), size)


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
        distance = _distance(mesh, fov_degrees)
    around, above = math.radians(azimuth), math.radians(elevation)
    direction = [math.sin(around) * math.cos(above), math.sin(above), math.cos(around) * math.cos(above)]
    return Camera.look_at(center + distance * np.array(direction), center, fov_degrees=fov_degrees, size=size)


def _distance(mesh: Mesh, fov_degrees: float) -> float:
    """Return the distance from the middle of a mesh at which all of it is in sight, however it is turned."""
    radius = float(np.linalg.norm(mesh.vertices - middle(mesh), axis=1).max())
    return _MARGIN * radius / math.sin(math.radians(fov_degrees) / 2)


def middle(mesh: Mesh) -> np.ndarray:
    """Return the middle of the bounding box (3,)."""
    return (mesh.vertices.min(axis=0).astype(np.float64) + mesh.vertices.max(axis=0)) / 2
