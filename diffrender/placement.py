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


def place(mesh: Mesh, views: list[View], stretch: bool = False) -> Mesh:
    """Return the mesh moved and scaled so that it projects onto the masks.

    With one view its extent in the image becomes that of the mask; `stretch`, for a sphere, gives it the mask's principal
    axes too, and the smaller one as its depth. With several it goes to the point nearest to the rays through the masks'
    centroids. Raises ValueError for cameras that are no bare pinholes.
    """
    for view in views:
        view.camera.require_pinhole("placing a mesh on masks")
    if len(views) == 1:
        return (_stretch_in_one if stretch else _place_in_one)(mesh, views[0])
    center, radii = _common_center(views)
    middle, extent = _middle(mesh.vertices), _extent(mesh.vertices)
    vertices = (mesh.vertices - middle) / extent * np.median(radii) + center
    return replace(mesh, vertices=vertices.astype(mesh.vertices.dtype))


def bounding_sphere(views: list[View]) -> tuple[np.ndarray, float]:
    """Return the centre (3,) and radius of a sphere that holds every point seen in the masks of two or more views.

    Raises ValueError for cameras that are no bare pinholes, or whose rays through the masks meet behind them.
    """
    for view in views:
        view.camera.require_pinhole("a sphere around masks")
    center, _ = _common_center(views)
    radius = 0.0
    for view in views:
        pixel, depth = view.camera.K @ (view.camera.R @ center + view.camera.t), _depth(view.camera, center)
        reach = np.linalg.norm(_pixels(view.mask) - pixel[:2] / depth, axis=1).max()
        radius = max(radius, reach * depth / view.camera.focal)
    return center, 1.2 * radius  # what is nearer to a camera looks larger


def _common_center(views: list[View]) -> tuple[np.ndarray, list[float]]:
    """Return where the rays through the masks' centroids meet (3,), and the radius of a disc of each mask's area there.

    Raises ValueError if that is behind a camera.
    """
    center = _meeting_point([view.camera for view in views], [_centroid(view.mask) for view in views])
    return center, [
        float(np.sqrt((view.mask > 0.5).sum() / np.pi)) * _depth(view.camera, center) / view.camera.focal
        for view in views
    ]


def _depth(camera: Camera, point: np.ndarray) -> float:
    depth = float(camera.R[2] @ point + camera.t[2])
    if depth <= 0:
        raise ValueError(f"the masks' rays meet at {point.round(3)}, behind a camera (depth {depth:.3g})")
    return depth


def _place_in_one(mesh: Mesh, view: View) -> Mesh:
    """Match the bounding boxes: their middles, and their areas by one scale, which keeps the proportions."""
    camera = view.camera
    pixels = _pixels(view.mask)
    low, high = pixels.min(axis=0) - 0.5, pixels.max(axis=0) + 0.5
    local = (mesh.vertices - _middle(mesh.vertices)) @ camera.R.T
    extent = np.ptp(local[:, :2], axis=0) * np.abs(camera.K[[0, 1], [0, 1]]) / object_depth(camera)
    scale = np.sqrt(np.prod(high - low) / np.maximum(np.prod(extent), 1e-12))
    vertices = scale * local @ camera.R + _at_depth(camera, (low + high) / 2)
    return replace(mesh, vertices=vertices.astype(mesh.vertices.dtype))


def _stretch_in_one(mesh: Mesh, view: View) -> Mesh:
    camera = view.camera
    to_world = np.linalg.inv(camera.K[:2, :2]) * object_depth(camera)
    spread, axes = np.linalg.eigh(to_world @ _covariance(view.mask) @ to_world.T)
    radii = 2 * np.sqrt(np.maximum(spread, 1e-12))  # a filled ellipse has variance radius^2 / 4
    frame = np.eye(3)
    frame[:2, :2] = axes
    scales = np.array([radii[0], radii[1], radii.min()])
    local = (mesh.vertices - _middle(mesh.vertices)) / _extent(mesh.vertices) @ camera.R.T
    stretched = local @ frame @ np.diag(scales) @ frame.T
    vertices = stretched @ camera.R + _at_depth(camera, _centroid(view.mask))
    return replace(mesh, vertices=vertices.astype(mesh.vertices.dtype))


def _at_depth(camera: Camera, pixel: np.ndarray) -> np.ndarray:
    """Return the point (3,) of the world behind a pixel, at the depth of the object."""
    ray = np.linalg.solve(camera.K, [*pixel, 1.0])
    return camera.R.T @ (ray * object_depth(camera) - camera.t)


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
