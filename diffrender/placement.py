"""Where a start mesh goes before a fit: the camera of a lone photo, and the mesh moved and scaled onto the masks."""

from dataclasses import replace

import numpy as np

from .camera import Camera
from .mesh import Mesh
from .views.view import View

_DISTANCE = 4.0  # world units from the camera of a lone photo to the object, which is about 2 units across
_FIELD_OF_VIEW = 32.0  # degrees over the shorter side: a short telephoto lens, as objects are photographed with


def photo_camera(size: tuple[int, int]) -> Camera:
    """Return a camera for a photo of size (H, W) of which nothing is known: it looks along -z at the origin, y is up."""
    return Camera.look_at((0.0, 0.0, _DISTANCE), fov_degrees=_FIELD_OF_VIEW, size=size)


def place(mesh: Mesh, views: list[View]) -> Mesh:
    """Return the mesh moved and scaled so that it projects onto the masks.

    With one view it also takes the mask's proportions: its principal axes in the image become those of the mask, and
    its depth the smaller of them. With several it goes to the point nearest to the rays through the masks' centroids.
    """
    if len(views) == 1:
        return _place_in_one(mesh, views[0])
    center = _meeting_point([view.camera for view in views], [_centroid(view.mask) for view in views])
    radii = []
    for view in views:
        depth = view.camera.R[2] @ center + view.camera.t[2]
        if depth <= 0:
            raise ValueError(f"the masks' rays meet at {center.round(3)}, behind a camera (depth {depth:.3g})")
        focal = np.sqrt(view.camera.K[0, 0] * view.camera.K[1, 1])
        radii.append(np.sqrt((view.mask > 0.5).sum() / np.pi) * depth / focal)
    middle, extent = _middle(mesh.vertices), _extent(mesh.vertices)
    vertices = (mesh.vertices - middle) / extent * np.median(radii) + center
    return replace(mesh, vertices=vertices.astype(mesh.vertices.dtype))


def _place_in_one(mesh: Mesh, view: View) -> Mesh:
    camera = view.camera
    center_pixel = _centroid(view.mask)
    depth = object_depth(camera)
    ray = np.linalg.solve(camera.K, [*center_pixel, 1.0])
    center = camera.R.T @ (ray * depth - camera.t)
    to_world = np.linalg.inv(camera.K[:2, :2]) * depth
    spread, axes = np.linalg.eigh(to_world @ _covariance(view.mask) @ to_world.T)
    radii = 2 * np.sqrt(np.maximum(spread, 1e-12))  # a filled ellipse has variance radius^2 / 4
    frame = np.eye(3)
    frame[:2, :2] = axes
    scales = np.array([radii[0], radii[1], radii.min()])
    local = (mesh.vertices - _middle(mesh.vertices)) / _extent(mesh.vertices) @ camera.R.T
    stretched = local @ frame @ np.diag(scales) @ frame.T
    return replace(mesh, vertices=(stretched @ camera.R + center).astype(mesh.vertices.dtype))


def object_depth(camera: Camera) -> float:
    """Return the depth to put an object at that one camera sees: unknowable, so that of the world's origin, or a guess."""
    return float(camera.t[2]) if camera.t[2] > 0 else _DISTANCE


def _meeting_point(cameras: list[Camera], pixels: list[np.ndarray]) -> np.ndarray:
    """Return the point with the least squared distance to one ray per camera."""
    matrix, right = np.zeros((3, 3)), np.zeros(3)
    for camera, pixel in zip(cameras, pixels, strict=True):
        ray = camera.R.T @ np.linalg.solve(camera.K, [*pixel, 1.0])
        ray /= np.linalg.norm(ray)
        off_ray = np.eye(3) - np.outer(ray, ray)
        matrix += off_ray
        right += off_ray @ camera.center
    return np.linalg.lstsq(matrix, right, rcond=None)[0]


def _pixels(mask: np.ndarray) -> np.ndarray:
    return np.argwhere(mask > 0.5)[:, ::-1] + 0.5


def _centroid(mask: np.ndarray) -> np.ndarray:
    return _pixels(mask).mean(axis=0)


def _covariance(mask: np.ndarray) -> np.ndarray:
    return np.cov(_pixels(mask).T) + np.eye(2) / 12  # a pixel has a spread of its own


def _middle(vertices: np.ndarray) -> np.ndarray:
    return (vertices.min(axis=0) + vertices.max(axis=0)) / 2


def _extent(vertices: np.ndarray) -> float:
    """Half of the largest side of the bounding box."""
    return float(np.ptp(vertices, axis=0).max()) / 2 or 1.0
