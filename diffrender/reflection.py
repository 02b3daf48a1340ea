"""A photo of a mirror-symmetric object as a second view of it: what the camera's own mirror image sees."""

import numpy as np

from .camera import Camera
from .symmetry import Plane
from .views.view import View

_FLIP = np.diag([-1.0, 1.0, 1.0])


def reflected_camera(camera: Camera, plane: Plane) -> Camera:
    """Return the camera that sees each point where `camera` sees its mirror image, in the image turned left to right.

    With x -> H x + 2 d n for the plane n . x = d, it is K (R (H x + 2 d n) + t). R H is no rotation but F R H is, F turning
    the x axis over; and a pixel's x becomes W - x, so that fx stays positive. Raises ValueError unless the camera is a
    bare pinhole.
    """
    camera.require_pinhole("a mirror image")
    normal = plane.normal / np.linalg.norm(plane.normal)
    rotation = camera.R - 2 * np.outer(camera.R @ normal, normal)
    translation = camera.t + 2 * plane.offset * (camera.R @ normal)
    K = camera.K * [[1, -1, -1], [1, 1, 1], [1, 1, 1]] + [[0, 0, camera.size[1]], [0, 0, 0], [0, 0, 0]]
    return Camera(K, _FLIP @ rotation, _FLIP @ translation, camera.size)


def reflected_view(view: View, plane: Plane) -> View:
    """Return the photo turned left to right, seen by the reflected camera: true of every object that the plane mirrors."""
    return View(view.image[:, ::-1], view.mask[:, ::-1], reflected_camera(view.camera, plane), view.name)
