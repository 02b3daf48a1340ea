"""The pose of a known mesh in a picture, by Gauss-Newton steps from coarse to fine and from many starts at once."""

from typing import NamedTuple

import numpy as np

from .camera import Camera
from .mesh import Mesh
from .pose_settings import PoseSettings
from .views.view import View


class PoseStep(NamedTuple):
    """The best pose so far: after `step` of at most `steps`, with its loss at the resolution that is worked at."""

    step: int
    steps: int
    loss: float
    camera: Camera


class PoseFit(NamedTuple):
    """What `fit_pose` found.

    `covariance` (6, 6), or (7, 7) with the focal length, is of a turn about the middle of the mesh's bounding box in radians, a
    shift in units of the world, both along the camera's axes, and the logarithm of the focal length. It takes the errors of
    pixels for independent, and counts what is off as it is seen: what is wrong with the mesh comes on top.
    `sigma_rotation_degrees` (3,), `sigma_translation` (3,) and `sigma_focal`, relative, are its standard deviations.
    `alternatives` are other poses that fit as well, as of an object that is symmetric: `camera` is the one of them that is
    turned least against the camera given. `residual` is the loss, `iou` the overlap of silhouette and mask, and `history` the
    way from the start to `camera`.
    """

    camera: Camera
    covariance: np.ndarray
    sigma_rotation_degrees: np.ndarray
    sigma_translation: np.ndarray
    sigma_focal: float | None
    iou: float
    residual: float
    alternatives: tuple[Camera, ...]
    starts: int
    history: tuple[Camera, ...]


def fit_pose(
    mesh: Mesh,
    target: View | np.ndarray,
    camera: Camera | None = None,
    settings: PoseSettings = PoseSettings(),  # noqa: B008
) -> PoseFit:
    """Return the pose of a mesh in a picture: a View with its mask, or linear RGBA (H, W, 4) not premultiplied.

    `camera`, by default the view's, has the intrinsics, and a pose to start from beside those that `PoseSettings.starts` asks
    for. Levenberg-Marquardt on the silhouette, and on the colours if the mesh has any, which may be lit and exposed otherwise
    than in the picture. Deterministic. Raises ValueError for an empty mask, a size that is not the camera's, or with starts=0
    if the camera sees nothing of the mesh.
    """
    from .pose_search import PoseSearch

    search = PoseSearch(mesh, target, camera, settings)
    for _ in search.steps():
        pass
    return search.conclude()
