"""Cameras of other systems, both ways: constructors and methods of `Camera`, each with the convention it converts.

Ours is OpenCV's and COLMAP's camera space, x right, y down, z forward, with x_camera = R x_world + t on column vectors,
and pixels whose origin is the top left corner of the image and whose first centre is (0.5, 0.5). Each example is the
same camera: at (0, 0, 4), looking along -z with y up, 50 px of focal length and the principal point in the middle of an
image of 200 x 100 px; it sees the point (1, 0.5, 0) at (112.5, 43.75) px.
"""

import math
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from .checks import check_array, check_size

_Y_UP = np.array([1.0, -1.0, -1.0])  # x right, y up, z backward, in our axes: OpenGL, NeRF
_X_LEFT = np.array([-1.0, -1.0, 1.0])  # x left, y up, z forward: PyTorch3D
_FLIP = np.diag([1.0, -1.0, 1.0, 1.0])  # of clip space, top to bottom
_SLIGHT_SKEW = 1e-9  # of the focal length: the rounding of a decomposition
_LARGEST_STRETCH = 1e-3  # of a rotation written with few digits; its length is free: it moves nothing in the image


class PyTorch3D(NamedTuple):
    """The arguments of PyTorch3D's `PerspectiveCameras` for one camera, by their names there."""

    R: np.ndarray  # (3, 3)
    T: np.ndarray  # (3,)
    focal_length: np.ndarray  # (2,)
    principal_point: np.ndarray  # (2,)


class Interchange:
    """What `Camera` inherits: from and to the cameras of other systems."""

    K: np.ndarray
    R: np.ndarray
    t: np.ndarray
    size: tuple[int, int]

    if TYPE_CHECKING:  # Camera's own constructors, which these use

        def __init__(self, K: np.ndarray, R: np.ndarray, t: np.ndarray, size: tuple[int, int]) -> None: ...

        @classmethod
        def from_projection(cls, P: np.ndarray, size: tuple[int, int], *, front: np.ndarray) -> Self: ...

        @property
        def projection(self) -> np.ndarray: ...

        def require_pinhole(self, purpose: str) -> None: ...

    @classmethod
    def from_opengl(cls, view: np.ndarray, projection: np.ndarray, size: tuple[int, int]) -> Self:
        """Return the camera of OpenGL's view and projection matrices (4, 4), for an image whose row 0 is the top.

        OpenGL: column vectors, clip = projection view (x, y, z, 1), camera space x right, y up, z backward (right-handed),
        NDC from -1 to 1 with y up, and window pixels from the bottom left corner with centres at halves; the row of depths
        is not used. For row vectors (DirectX, `x @ M`) transpose both. Raises ValueError for a projection that
        is not a perspective. OpenGL 4.6 specification, 13.8.

        >>> view, projection = np.eye(4), np.diag([0.5, 1, 0, 0])
        >>> view[2, 3], projection[2:, 2:] = -4, [[-1.2, -2.2], [-1, 0]]
        >>> camera = Camera.from_opengl(view, projection, (100, 200))
        >>> (camera.projection @ [1, 0.5, 0, 1] / 4).round(9)
        array([112.5 ,  43.75,   1.  ])
        """
        view, projection = check_array("view", view, (4, 4)), check_array("projection", projection, (4, 4))
        return cls.from_nvdiffrast(_FLIP @ projection @ view, size)

    def to_opengl(self, near: float, far: float) -> tuple[np.ndarray, np.ndarray]:
        """Return view and projection (4, 4) as `from_opengl` takes them, with depths near to far from -1 to 1.

        Raises ValueError unless 0 < near < far.
        """
        if not 0 < near < far < math.inf:
            raise ValueError(f"near and far must satisfy 0 < near < far, got {near} and {far}")
        self.require_pinhole("a matrix from `to_opengl`")
        (fx, skew, cx), (_, fy, cy), _ = self.K
        height, width = self.size
        view = np.eye(4)
        view[:3] = _Y_UP[:, None] * np.column_stack([self.R, self.t])
        projection = np.array(
            [
                [2 * fx / width, -2 * skew / width, 1 - 2 * cx / width, 0],
                [0, 2 * fy / height, 2 * cy / height - 1, 0],
                [0, 0, -(far + near) / (far - near), -2 * far * near / (far - near)],
                [0, 0, -1, 0],
            ]
        )
        return view, projection

    @classmethod
    def from_nvdiffrast(cls, matrix: np.ndarray, size: tuple[int, int]) -> Self:
        """Return the camera of the matrix (4, 4) from world to the clip space that nvdiffrast's `rasterize` is given, whose
        image is the tensor that comes out, row by row.

        nvdiffrast: OpenGL's clip space, column vectors, but row 0 of the tensor is the bottom of OpenGL's image. A matrix
        made for OpenGL shows the world upside down in it: fy is then negative, and `from_opengl` has the camera for the
        flipped tensor; nvdiffrast's samples have the flip in their projection. Raises ValueError as `from_opengl` does.
        https://nvlabs.github.io/nvdiffrast/#coordinate-systems

        >>> matrix = np.array([[0.5, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1.2, 2.6], [0, 0, -1, 4]])
        >>> camera = Camera.from_nvdiffrast(matrix, (100, 200))
        >>> (camera.projection @ [1, 0.5, 0, 1] / 4).round(9)
        array([112.5 ,  43.75,   1.  ])
        """
        x, y, _, w = check_array("matrix", matrix, (4, 4))
        toward = w[:3] @ w[:3]
        if toward == 0:
            raise ValueError(f"the matrix must be a perspective projection, got the last row {w.tolist()}")
        height, width = check_size(size)
        P = np.stack([width / 2 * (w + x), height / 2 * (w + y), w])
        return cls.from_projection(P, size, front=w[:3] * (1 - w[3]) / toward)

    def to_nvdiffrast(self, near: float, far: float) -> np.ndarray:
        """Return the matrix (4, 4) from world to clip space with which nvdiffrast's tensor has our row 0 first.

        `positions @ matrix.T` of points (x, y, z, 1) is what `rasterize` takes. Raises ValueError as `to_opengl` does.
        """
        view, projection = self.to_opengl(near, far)
        return _FLIP @ projection @ view

    @classmethod
    def from_nerf(cls, transform_matrix: np.ndarray, intrinsics: np.ndarray | float, size: tuple[int, int]) -> Self:
        """Return the camera of a NeRF's transform_matrix, (4, 4) or (3, 4), with K (3, 3) in px, or camera_angle_x in
        radians: the angle of view over the width.

        NeRF, instant-ngp, nerfstudio: camera to world on column vectors, camera space as OpenGL's, x right, y up, z backward
        (right-handed), pixels from the top left corner with centres at halves. Raises ValueError for a matrix without a
        rotation or an angle outside (0, pi). https://docs.nerf.studio/quickstart/data_conventions.html

        >>> pose = np.eye(4)
        >>> pose[2, 3] = 4
        >>> camera = Camera.from_nerf(pose, 2 * np.arctan(2), (100, 200))
        >>> (camera.projection @ [1, 0.5, 0, 1] / 4).round(9)
        array([112.5 ,  43.75,   1.  ])
        """
        if np.ndim(intrinsics) == 0:
            angle, (height, width) = float(intrinsics), check_size(size)
            if not 0 < angle < math.pi:
                raise ValueError(f"camera_angle_x must lie between 0 and pi, got {angle}")
            focal = focal_of(angle, width)
            intrinsics = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
        return cls(np.asarray(intrinsics), *pose_from_opengl(transform_matrix), size)

    def to_nerf(self) -> tuple[np.ndarray, np.ndarray]:
        """Return transform_matrix (4, 4) and K (3, 3). Raises ValueError for skew or a negative fy: transforms.json has
        words for neither."""
        self._refuse("transforms.json", mirrored=True)
        return pose_to_opengl(self.R, self.t), self.K

    @classmethod
    def from_colmap(cls, qvec: np.ndarray, tvec: np.ndarray, params: np.ndarray, size: tuple[int, int]) -> Self:
        """Return the camera of a COLMAP image's qvec (4,) and tvec (3,) and the params of its camera, PINHOLE (fx, fy, cx, cy)
        or SIMPLE_PINHOLE (f, cx, cy), in px; `load_views` reads whole models, and undistorts.

        COLMAP: world to camera on column vectors, camera space and pixels as ours, x right, y down, z forward
        (right-handed), origin at the top left corner, centres at halves; qvec is (w, x, y, z) of any length. Raises
        ValueError for other numbers of params or qvec = 0. https://colmap.github.io/format.html

        >>> camera = Camera.from_colmap([0, 1, 0, 0], [0, 0, 4], [50, 50, 100, 50], (100, 200))
        >>> (camera.projection @ [1, 0.5, 0, 1] / 4).round(9)
        array([112.5 ,  43.75,   1.  ])
        """
        qvec = check_array("qvec", qvec, (4,))
        if not qvec.any():
            raise ValueError(f"qvec must not be 0, got {qvec.tolist()}")
        if len(params) not in (3, 4):
            raise ValueError(
                f"params must be PINHOLE's fx, fy, cx, cy or SIMPLE_PINHOLE's f, cx, cy, got {list(params)}: "
                "undistort other models first"
            )
        fx, fy, cx, cy = (params[0], *params) if len(params) == 3 else params
        K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], np.float64)
        return cls(K, rotation_of(qvec), tvec, size)

    def to_colmap(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return qvec (4,), tvec (3,) and the params (4,) of a PINHOLE. Raises ValueError for skew or a negative fy: PINHOLE
        has words for neither."""
        self._refuse("COLMAP's PINHOLE", mirrored=True)
        return quaternion_of(self.R), self.t, self.K[[0, 1, 0, 1], [0, 1, 2, 2]]

    @classmethod
    def from_opencv(cls, rvec: np.ndarray, tvec: np.ndarray, K: np.ndarray, size: tuple[int, int]) -> Self:
        """Return the camera of OpenCV's rvec and tvec, 3 numbers each, and cameraMatrix K (3, 3), without distortion.

        OpenCV: world to camera on column vectors, camera space as ours, x right, y down, z forward (right-handed), rvec the
        axis times the angle in radians, but the centre of the first pixel, top left, is (0, 0): K's principal point moves
        by half a pixel. Raises ValueError for skew, which OpenCV's functions ignore.
        https://docs.opencv.org/4.x/d9/d0c/group__calib3d.html

        >>> K = [[50, 0, 99.5], [0, 50, 49.5], [0, 0, 1]]
        >>> camera = Camera.from_opencv([np.pi, 0, 0], [0, 0, 4], K, (100, 200))
        >>> (camera.projection @ [1, 0.5, 0, 1] / 4).round(9)
        array([112.5 ,  43.75,   1.  ])
        """
        from scipy.spatial.transform import Rotation

        rvec, tvec = (
            check_array(name, np.reshape(vector, -1), (3,)) for name, vector in (("rvec", rvec), ("tvec", tvec))
        )
        K = check_array("K", K, (3, 3)).copy()
        K[:2, 2] += 0.5 * K[2, 2]
        camera = cls(K, Rotation.from_rotvec(rvec).as_matrix(), tvec, size)
        camera._refuse("OpenCV's cameraMatrix")
        return camera

    def to_opencv(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return rvec (3,), tvec (3,) and K (3, 3). Raises ValueError for skew, which OpenCV's functions ignore."""
        from scipy.spatial.transform import Rotation

        self._refuse("OpenCV's cameraMatrix")
        return Rotation.from_matrix(self.R).as_rotvec(), self.t, self.K - [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]

    @classmethod
    def from_pytorch3d(
        cls,
        R: np.ndarray,
        T: np.ndarray,
        focal_length: np.ndarray | float,
        principal_point: np.ndarray,
        size: tuple[int, int],
        in_ndc: bool = True,
    ) -> Self:
        """Return the camera of one of PyTorch3D's `PerspectiveCameras`: R (3, 3), T (3,), focal_length, 1 or 2 numbers, and
        principal_point (2,).

        PyTorch3D: world to camera on row vectors, x_camera = x_world R + T, camera space x left, y up, z forward
        (right-handed); NDC is x left, y up, 0 in the middle of the image, and 2 long over its shorter side; with in_ndc=False
        focal length and principal point are in px from the top left corner, centres at halves.
        https://github.com/facebookresearch/pytorch3d/blob/main/docs/notes/cameras.md

        >>> camera = Camera.from_pytorch3d(np.diag([-1, 1, -1]), [0, 0, 4], 1.0, (0, 0), (100, 200))
        >>> (camera.projection @ [1, 0.5, 0, 1] / 4).round(9)
        array([112.5 ,  43.75,   1.  ])
        """
        R, T = check_array("R", R, (3, 3)), check_array("T", T, (3,))
        if np.ndim(focal_length) == 0 or np.shape(focal_length) == (1,):
            focal_length = np.repeat(focal_length, 2)
        focal_length = check_array("focal_length", focal_length, (2,))
        principal_point = check_array("principal_point", principal_point, (2,))
        if in_ndc:
            height, width = check_size(size)
            half = min(height, width) / 2
            focal_length = focal_length * half
            principal_point = np.array([width / 2, height / 2]) - principal_point * half
        K = np.eye(3)
        K[[0, 1], [0, 1]], K[:2, 2] = focal_length, principal_point
        return cls(K, (R * _X_LEFT).T, T * _X_LEFT, size)

    def to_pytorch3d(self, in_ndc: bool = True) -> PyTorch3D:
        """Return the arguments of `PerspectiveCameras`, which also takes in_ndc and image_size=[camera.size]. Raises ValueError
        for skew: it has none."""
        self._refuse("PyTorch3D's PerspectiveCameras")
        focal_length, principal_point = np.diag(self.K)[:2], self.K[:2, 2]
        if in_ndc:
            height, width = self.size
            half = min(height, width) / 2
            focal_length = focal_length / half
            principal_point = (np.array([width / 2, height / 2]) - principal_point) / half
        return PyTorch3D(self.R.T * _X_LEFT, self.t * _X_LEFT, focal_length, principal_point)

    def _refuse(self, format: str, mirrored: bool = False) -> None:
        """Raise ValueError for a lens, an orthographic camera, skew, and if `mirrored` for a negative fy."""
        self.require_pinhole(format)
        if abs(self.K[0, 1]) > _SLIGHT_SKEW * self.K[0, 0]:
            raise ValueError(f"{format} has no skew, got {self.K[0, 1]:g} px")
        if mirrored and self.K[1, 1] < 0:
            raise ValueError(f"{format} has only positive focal lengths, got fy = {self.K[1, 1]:g} px")


def pose_to_opengl(R: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Return camera to world (4, 4) in OpenGL's axes of world to camera R (3, 3) and t (3,) in ours."""
    pose = np.eye(4)
    pose[:3, :3] = R.T * _Y_UP
    pose[:3, 3] = -R.T @ t
    return pose


def pose_from_opengl(value: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return world-to-camera R (3, 3) and t (3,) in our axes of a transform_matrix, (4, 4) or (3, 4), in OpenGL's."""
    try:
        matrix = np.array(value, np.float64)
    except (TypeError, ValueError):
        matrix = np.empty(0)
    if matrix.shape not in ((4, 4), (3, 4)):
        raise ValueError(f"transform_matrix must have 4x4 numbers, got {value!r}")
    if not np.isfinite(matrix).all():
        raise ValueError(f"transform_matrix must be finite, got {matrix.tolist()}")
    if len(matrix) == 4 and np.abs(matrix[3] - [0, 0, 0, 1]).max() > 1e-6:
        raise ValueError(f"the last row of transform_matrix must be 0, 0, 0, 1, got {matrix[3].tolist()}")
    left, stretch, right = np.linalg.svd(matrix[:3, :3])
    rotation = left @ right
    if stretch[0] > stretch[2] * (1 + _LARGEST_STRETCH) or np.linalg.det(rotation) < 0:
        raise ValueError(f"transform_matrix must hold a rotation, got {matrix[:3, :3].tolist()}")
    R = (rotation * _Y_UP).T
    return R, -R @ matrix[:3, 3]


def focal_of(angle: float, length: int) -> float:
    """Return the focal length in px whose angle of view over `length` px is `angle` radians."""
    return length / 2 / math.tan(angle / 2)


def rotation_of(quaternion: np.ndarray) -> np.ndarray:
    """Return the matrix (3, 3) of a quaternion (4,), w first, of any length but 0."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_quat(quaternion[[1, 2, 3, 0]]).as_matrix()


def quaternion_of(R: np.ndarray) -> np.ndarray:
    """Return the quaternion (4,) of R (3, 3), w first and not negative."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_matrix(R).as_quat(canonical=True)[[3, 0, 1, 2]]
