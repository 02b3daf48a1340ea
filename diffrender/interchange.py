"""Cameras of other systems, both ways: constructors and methods of `Camera`, each with the convention it converts.

Ours is OpenCV's and COLMAP's camera space, x right, y down, z forward, with x_camera = R x_world + t on column vectors,
and pixels whose origin is the top left corner of the image and whose first centre is (0.5, 0.5). Each example is the
same camera: at (0, 0, 4), looking along -z with y up, 50 px of focal length and the principal point in the middle of an
image of 200 x 100 px; it sees the point (1, 0.5, 0) at (112.5, 43.75) px.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from .checks import check_array, check_size
from .distortion import Distortion
from .lens_models import read_model, write_model

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


class OpenCV(NamedTuple):
    """What OpenCV's functions take for one camera, in their order: `cv2.projectPoints(points, *camera.to_opencv())`."""

    rvec: np.ndarray  # (3,)
    tvec: np.ndarray  # (3,)
    K: np.ndarray  # (3, 3)
    distortion: np.ndarray  # (5,) k1, k2, p1, p2, k3; or (4,) k1 to k4 of a fisheye, for cv2.fisheye's functions


class Interchange:
    """What `Camera` inherits: from and to the cameras of other systems."""

    K: np.ndarray
    R: np.ndarray
    t: np.ndarray
    size: tuple[int, int]
    distortion: Distortion | None
    orthographic: bool

    if TYPE_CHECKING:  # Camera's own constructors, which these use

        def __init__(
            self,
            K: np.ndarray,
            R: np.ndarray,
            t: np.ndarray,
            size: tuple[int, int],
            distortion: Distortion | None = None,
            orthographic: bool = False,
        ) -> None: ...

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
    def from_colmap(
        cls,
        qvec: np.ndarray,
        tvec: np.ndarray,
        params: Sequence[float] | np.ndarray,
        size: tuple[int, int],
        model: str | None = None,
    ) -> Self:
        """Return the camera of a COLMAP image's qvec (4,) and tvec (3,) and its camera's params and model, by its name in
        cameras.txt; without it PINHOLE (fx, fy, cx, cy) or SIMPLE_PINHOLE (f, cx, cy), in px. `load_views` reads whole models.

        COLMAP: world to camera on column vectors, camera space and pixels as ours, x right, y down, z forward
        (right-handed), origin at the top left corner, centres at halves; qvec is (w, x, y, z) of any length. Lenses are
        SIMPLE_RADIAL, RADIAL, OPENCV, FULL_OPENCV without its k4 to k6, OPENCV_FISHEYE, SIMPLE_RADIAL_FISHEYE and
        RADIAL_FISHEYE. Raises ValueError for other models, for params that are not the model's, or qvec = 0.
        https://colmap.github.io/format.html and https://colmap.github.io/cameras.html

        >>> camera = Camera.from_colmap([0, 1, 0, 0], [0, 0, 4], [50, 50, 100, 50], (100, 200))
        >>> (camera.projection @ [1, 0.5, 0, 1] / 4).round(9)
        array([112.5 ,  43.75,   1.  ])
        >>> Camera.from_colmap([0, 1, 0, 0], [0, 0, 4], [50, 100, 50, -0.1], (100, 200), "SIMPLE_RADIAL").distortion.k1
        -0.1
        """
        qvec = check_array("qvec", qvec, (4,))
        if not qvec.any():
            raise ValueError(f"qvec must not be 0, got {qvec.tolist()}")
        if model is None:
            if len(params) not in (3, 4):
                raise ValueError(
                    f"params must be PINHOLE's fx, fy, cx, cy or SIMPLE_PINHOLE's f, cx, cy, got {list(params)}: "
                    "say the model of others"
                )
            model = "SIMPLE_PINHOLE" if len(params) == 3 else "PINHOLE"
        K, distortion = read_model(model, list(params))
        return cls(K, rotation_of(qvec), tvec, size, distortion)

    def to_colmap(self, model: str = "PINHOLE") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return qvec (4,), tvec (3,) and the params of a model, whose names are in `from_colmap`.

        Raises ValueError for skew or a negative fy, which no model has, and for a lens or focal lengths that this one has not.
        """
        self._refuse(f"COLMAP's {model}", mirrored=True, lens=model != "PINHOLE")
        return quaternion_of(self.R), self.t, write_model(model, self.K, self.distortion)

    @classmethod
    def from_opencv(
        cls,
        rvec: np.ndarray,
        tvec: np.ndarray,
        K: np.ndarray,
        size: tuple[int, int],
        distortion: np.ndarray | None = None,
        fisheye: bool = False,
    ) -> Self:
        """Return the camera of OpenCV's rvec and tvec, 3 numbers each, cameraMatrix K (3, 3) and distCoeffs, 4 or more
        numbers, or none: k1, k2, p1, p2, k3; with `fisheye` the k1 to k4 of the functions of cv2.fisheye.

        OpenCV: world to camera on column vectors, camera space as ours, x right, y down, z forward (right-handed), rvec the
        axis times the angle in radians, but the centre of the first pixel, top left, is (0, 0): K's principal point moves
        by half a pixel. Raises ValueError for skew, which OpenCV's functions ignore, and for coefficients beyond k3 other than
        0 (rational, thin prism, tilt). https://docs.opencv.org/4.x/d9/d0c/group__calib3d.html

        >>> K = [[50, 0, 99.5], [0, 50, 49.5], [0, 0, 1]]
        >>> camera = Camera.from_opencv([np.pi, 0, 0], [0, 0, 4], K, (100, 200))
        >>> (camera.projection @ [1, 0.5, 0, 1] / 4).round(9)
        array([112.5 ,  43.75,   1.  ])
        >>> Camera.from_opencv([np.pi, 0, 0], [0, 0, 4], K, (100, 200), [-0.1, 0, 0.02, 0]).distortion.p1
        0.02
        """
        from scipy.spatial.transform import Rotation

        rvec, tvec = (
            check_array(name, np.reshape(vector, -1), (3,)) for name, vector in (("rvec", rvec), ("tvec", tvec))
        )
        K = check_array("K", K, (3, 3)).copy()
        K[:2, 2] += 0.5 * K[2, 2]
        lens = None if distortion is None else _opencv_lens(np.ravel(distortion), fisheye)
        if lens is None and fisheye:
            raise ValueError("a fisheye camera needs its four coefficients, got none")
        camera = cls(K, Rotation.from_rotvec(rvec).as_matrix(), tvec, size, lens)
        camera._refuse("OpenCV's cameraMatrix", lens=True)
        return camera

    def to_opencv(self) -> OpenCV:
        """Return rvec (3,), tvec (3,), K (3, 3) and distCoeffs, k1, k2, p1, p2, k3, 0 of a pinhole, or a fisheye's k1 to k4.

        Raises ValueError for skew, which OpenCV's functions ignore, and for the k4 of r**8, which OpenCV has not.
        """
        from scipy.spatial.transform import Rotation

        self._refuse("OpenCV's cameraMatrix", lens=True)
        lens = Distortion() if self.distortion is None else self.distortion
        if lens.fisheye:
            coefficients = lens.coefficients[:4]
        elif lens.k4:
            raise ValueError(f"OpenCV has no radial coefficient of r**8, got k4 = {lens.k4:g}")
        else:
            coefficients = lens.coefficients[[0, 1, 4, 5, 2]]
        K = self.K - [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]]
        return OpenCV(Rotation.from_matrix(self.R).as_rotvec(), self.t, K, coefficients)

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

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the camera of what `to_dict` returned, also after `json.dumps` and `json.loads`: the same numbers.

        Raises ValueError for a key that is missing or unknown, and what `Camera` raises.

        >>> camera = Camera.look_at((1, 2, 3))
        >>> Camera.from_dict(camera.to_dict()).to_dict() == camera.to_dict()
        True
        """
        keys = {"K", "R", "t", "size"}
        if not keys <= set(values) <= keys | {"distortion", "orthographic"}:
            raise ValueError(f"a camera has K, R, t, size, distortion and orthographic, got {sorted(values)}")
        lens = values.get("distortion")
        if lens is not None:
            try:
                lens = Distortion(**lens)
            except TypeError as error:
                raise ValueError(f"distortion must have the names of a Distortion, got {lens!r}") from error
        R, t = check_array("R", values["R"], (3, 3)), check_array("t", values["t"], (3,))
        return cls(values["K"], R, t, tuple(values["size"]), lens, bool(values.get("orthographic", False)))

    def to_dict(self) -> dict[str, Any]:
        """Return K, R, t, size, distortion and orthographic as lists, numbers and None, which `json.dumps` writes exactly: the
        one format that holds any camera."""
        return {
            "K": self.K.tolist(),
            "R": self.R.tolist(),
            "t": self.t.tolist(),
            "size": list(self.size),
            "distortion": None if self.distortion is None else asdict(self.distortion),
            "orthographic": self.orthographic,
        }

    def _refuse(self, format: str, mirrored: bool = False, lens: bool = False) -> None:
        """Raise ValueError for an orthographic camera, skew, a lens unless `lens`, and if `mirrored` for a negative fy."""
        if self.orthographic or not lens:
            self.require_pinhole(format)
        if abs(self.K[0, 1]) > _SLIGHT_SKEW * self.K[0, 0]:
            raise ValueError(f"{format} has no skew, got {self.K[0, 1]:g} px")
        if mirrored and self.K[1, 1] < 0:
            raise ValueError(f"{format} has only positive focal lengths, got fy = {self.K[1, 1]:g} px")


def _opencv_lens(coefficients: np.ndarray, fisheye: bool) -> Distortion | None:
    """Return the lens of distCoeffs, None if they are all 0."""
    if fisheye:
        k1, k2, k3, k4 = map(float, check_array("distortion", coefficients, (4,)))
        return Distortion(k1, k2, k3, k4, fisheye=True)
    if len(coefficients) not in (0, 4, 5, 8, 12, 14):
        raise ValueError(f"distortion must have 4, 5, 8, 12 or 14 numbers, got {len(coefficients)}")
    if np.any(coefficients[5:]):
        raise ValueError(f"only k1, k2, p1, p2 and k3 may differ from 0, got {coefficients.tolist()}")
    k1, k2, p1, p2, k3 = map(float, [*coefficients[:5], *[0.0] * (5 - len(coefficients[:5]))])
    lens = Distortion(k1, k2, k3, 0.0, p1, p2)
    return None if lens.changes_nothing else lens


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
