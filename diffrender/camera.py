"""Cameras: world to pixels, and back for gradients."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from types import ModuleType
from typing import Literal, NamedTuple

import numpy as np

from .checks import check_array, check_size
from .distortion import Distortion
from .interchange import Interchange
from .memory import empty, empty_like
from .threads import added_up, portions_of, run_on_workers, share_out

_NO_LENS = Distortion()


@dataclass(frozen=True)
class Camera(Interchange):
    """A camera: intrinsics K (3, 3) in px, world-to-camera R (3, 3) and t (3,), size (H, W) in px, and what its lens does.

    Camera space is x right, y down, z forward; K may hold skew, and a negative fy where a calibration mirrors the world.
    A pixel is K (x', y', 1), with x', y' = x/z, y/z as the lens bends them (`distortion`, None for a pinhole), or with
    `orthographic` x, y in units of the world. Only vertices are bent: the edges between them stay straight in the image, so
    subdivide a mesh whose faces are large in it. What lies at depth <= 0 is behind every camera, orthographic or not.
    `from_opengl`, `from_nvdiffrast`, `from_nerf`, `from_colmap`, `from_opencv`, `from_pytorch3d` and their `to_` convert,
    and `to_dict` and `from_dict` keep any camera as JSON.
    Raises ValueError for a K that is not upper triangular, an R that is not a rotation, non-finite numbers, or an
    orthographic camera with a lens.
    """

    K: np.ndarray
    R: np.ndarray
    t: np.ndarray
    size: tuple[int, int]
    distortion: Distortion | None = None
    orthographic: bool = False

    def __post_init__(self) -> None:
        K = check_array("K", self.K, (3, 3))
        R = check_array("R", self.R, (3, 3))
        t = check_array("t", self.t, (3,))
        if K[2, 2] == 0 or np.abs([K[1, 0], K[2, 0], K[2, 1]]).max() > 1e-9 * np.abs(K).max():
            raise ValueError(f"K must be upper triangular with K[2, 2] = 1, got {K.tolist()}")
        K = K / K[2, 2]
        if K[0, 0] <= 0 or K[1, 1] == 0:
            raise ValueError(f"fx must be positive and fy not 0, got fx = {K[0, 0]:.6g}, fy = {K[1, 1]:.6g}")
        if np.abs(R @ R.T - np.eye(3)).max() > 1e-6 or np.linalg.det(R) < 0:
            raise ValueError(f"R must be a rotation matrix, got determinant {np.linalg.det(R):.6g} and {R.tolist()}")
        if not (self.distortion is None or isinstance(self.distortion, Distortion)):
            raise ValueError(f"distortion must be a Distortion or None, got {self.distortion!r}")
        if self.orthographic and self.distortion is not None:
            raise ValueError(f"an orthographic camera has no angles for a lens to bend, got {self.distortion}")
        for name, value in (("K", K), ("R", R), ("t", t), ("size", check_size(self.size))):
            object.__setattr__(self, name, value)

    @staticmethod
    def look_at(
        eye: tuple[float, float, float] | np.ndarray,
        target: tuple[float, float, float] | np.ndarray = (0.0, 0.0, 0.0),
        up: tuple[float, float, float] | np.ndarray = (0.0, 1.0, 0.0),
        fov_degrees: float = 40.0,
        size: tuple[int, int] = (256, 256),
        span: float | None = None,
    ) -> "Camera":
        """Return a camera at `eye` that sees `target` in the middle of the image and `up` upwards.

        `fov_degrees` is the field of view over the shorter side; `span` instead makes the camera orthographic, with so much of
        the world over the shorter side. Raises ValueError if eye equals target or the view is along `up`.
        """
        eye, target, up = (
            check_array("eye", eye, (3,)),
            check_array("target", target, (3,)),
            check_array("up", up, (3,)),
        )
        if not 0 < fov_degrees < 180:
            raise ValueError(f"fov_degrees must lie between 0 and 180, got {fov_degrees}")
        if span is not None and not (np.isfinite(span) and span > 0):
            raise ValueError(f"span must be positive, got {span}")
        forward = target - eye
        distance = np.linalg.norm(forward)
        if distance == 0:
            raise ValueError(f"eye and target are the same point {eye.tolist()}")
        forward = forward / distance
        right = np.cross(forward, up)
        if np.linalg.norm(right) <= 1e-9 * np.linalg.norm(up):
            raise ValueError(f"up {up.tolist()} is parallel to the direction of view {forward.tolist()}")
        right = right / np.linalg.norm(right)
        R = np.stack([right, np.cross(forward, right), forward])
        height, width = size
        focal = min(height, width) / (2 * np.tan(np.radians(fov_degrees) / 2) if span is None else span)
        K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
        return Camera(K, R, -R @ eye, size, orthographic=span is not None)

    @staticmethod
    def from_projection(
        P: np.ndarray,
        size: tuple[int, int],
        pixel_centers: Literal["half", "integer"] = "half",
        front: tuple[float, float, float] | np.ndarray = (0.0, 0.0, 0.0),
    ) -> "Camera":
        """Return the camera of a projection P (3, 4) from world to pixels, of any scale.

        `pixel_centers="integer"` says that P puts the centre of the first pixel at (0, 0) instead of (0.5, 0.5). A P
        whose left block has a negative determinant is the negative of one, or mirrors the world, as some calibrations
        do (fy is then negative): the latter if it gives `front` (3,), a point of the world, a positive depth. Raises
        ValueError for a P without a finite centre. RQ decomposition, Hartley & Zisserman ch. 6.
        """
        from scipy.linalg import rq

        P, front = check_array("P", P, (3, 4)), check_array("front", front, (3,))
        P = np.column_stack([P[:, :3], P @ [*front, 1]])  # of the world with its origin moved there
        determinant = np.linalg.det(P[:, :3])
        if abs(determinant) <= 1e-12 * np.abs(P[:, :3]).max() ** 3:
            raise ValueError(f"P has no finite camera centre: its left 3x3 block has determinant {determinant:.3g}")
        if determinant < 0 and P[2, 3] <= 0:
            P = -P
        K, R = rq(P[:, :3])
        wanted = np.array([1.0, np.sign(np.linalg.det(P[:, :3])), 1.0])
        signs = np.sign(np.diag(K)) * wanted
        K, R = K * signs, signs[:, None] * R
        t = np.linalg.solve(K, P[:, 3])
        K = K / K[2, 2]
        if pixel_centers == "integer":
            K[:2, 2] += 0.5
        elif pixel_centers != "half":
            raise ValueError(f"pixel_centers must be 'half' or 'integer', got {pixel_centers!r}")
        return Camera(np.triu(K), R, t - R @ front, size)

    @property
    def projection(self) -> np.ndarray:
        """World to homogeneous pixels (3, 4): K [R | t], whose third entry is the depth; 1 of an orthographic camera.

        Raises ValueError for a camera with a lens: a matrix cannot say what it does.
        """
        if self.distortion is not None:
            raise ValueError(f"a camera with a lens has no projection matrix, got {self.distortion}")
        pose = np.column_stack([self.R, self.t])
        return self.K @ (np.vstack([pose[:2], [0, 0, 0, 1]]) if self.orthographic else pose)

    @property
    def focal(self) -> float:
        """The geometric mean of the focal lengths in px; of an orthographic camera, px per unit of the world."""
        return float(np.sqrt(abs(self.K[0, 0] * self.K[1, 1])))

    @property
    def center(self) -> np.ndarray:
        """The camera's position in the world (3,). Raises ValueError for an orthographic camera, whose rays meet nowhere."""
        if self.orthographic:
            raise ValueError("an orthographic camera has no centre: its rays are parallel")
        return -self.R.T @ self.t

    def directions(self, points: np.ndarray) -> np.ndarray:
        """Return the directions (V, 3), of length 1 and in their dtype, of the rays that points (V, 3) of the world lie on."""
        if self.orthographic:
            return np.broadcast_to(self.R[2].astype(points.dtype), points.shape)
        rays = points - self.center.astype(points.dtype)
        rays /= np.linalg.norm(rays, axis=1, keepdims=True)
        return rays

    def require_pinhole(self, purpose: str) -> None:
        """Raise ValueError unless this is a pinhole without a lens; `purpose` says what needs one."""
        if not is_bare(self):
            found = "an orthographic one" if self.orthographic else f"one with {self.distortion}"
            raise ValueError(f"{purpose} needs a pinhole camera, got {found}")

    def resized(self, size: tuple[int, int]) -> "Camera":
        """Return the camera of the same photo scaled to size (H, W)."""
        scale = np.diag([size[1] / self.size[1], size[0] / self.size[0], 1.0])
        return replace(self, K=scale @ self.K, size=size)

    def moved(self, rotation: np.ndarray, translation: np.ndarray) -> "Camera":
        """Return the camera with x_camera' = exp([rotation]x) x_camera + translation, both (3,) in camera space."""
        turn = rotation_matrix(check_array("rotation", rotation, (3,)))
        left, _, right = np.linalg.svd(turn @ self.R)  # many increments must not drift from the rotations
        return replace(self, R=left @ right, t=turn @ self.t + check_array("translation", translation, (3,)))


class ProjectGradients(NamedTuple):
    """Gradients by the names of `project`'s inputs; rotation and translation are the increments of `Camera.moved` at 0."""

    vertices: np.ndarray  # (V, 3)
    rotation: np.ndarray  # (3,)
    translation: np.ndarray  # (3,)
    K: np.ndarray  # (3, 3), 0 where K is constant
    distortion: np.ndarray | None  # (6,) of k1, k2, k3, k4, p1, p2; None without a lens


@cache
def _pinhole() -> ModuleType:
    """Return the kernels. An import statement within a function takes as long as a small one of them each time."""
    from . import pinhole

    return pinhole


def project(vertices_world: np.ndarray, camera: Camera) -> np.ndarray:
    """Project vertices_world (V, 3) to vertices_pixel (V, 3), x px, y px, depth, in their dtype.

    A vertex with depth <= 0 has no image: its x and y are 0, and the rasterizer leaves out its faces. Pinhole model,
    Hartley & Zisserman ch. 6; lenses see `Distortion.distort`.
    """
    return project_within(vertices_world, camera)[0]


class Extent(NamedTuple):
    """How far vertices are, the nearest and the farthest of them, and whether all their numbers are finite."""

    nearest: float
    farthest: float
    finite: bool


def project_within(vertices_world: np.ndarray, camera: Camera) -> tuple[np.ndarray, Extent]:
    """Return what `project` does, and its extent."""
    pixel, vertices = empty_like(vertices_world), np.ascontiguousarray(vertices_world)
    extents = np.empty((portions_of(len(pixel)), 3))
    if is_bare(camera):
        given = (vertices, camera.K, camera.R, camera.t)
        share_out(_pinhole().project_vertices, len(pixel), *given, pixel, extents)
    else:
        from .projection import project_bent

        share_out(project_bent, len(pixel), vertices, *_numbers(camera), pixel, extents)
    return pixel, _joined(extents, pixel)


def extent_of(vertices_pixel: np.ndarray) -> Extent:
    """Return the extent of vertices_pixel (V, 3)."""
    depth = vertices_pixel[:, 2]  # NaN is neither near nor far, as NumPy has it
    nearest, farthest = float(depth.min(initial=math.inf)), float(depth.max(initial=-math.inf))
    return Extent(nearest, farthest, bool(np.isfinite(vertices_pixel).all()))


def _joined(extents: np.ndarray, vertices_pixel: np.ndarray) -> Extent:
    """Return the extent of vertices_pixel (V, 3), of whose parts those are known (N, 3), see `project_portion`."""
    if len(extents) == 1:
        nearest, farthest, total = extents[0].tolist()
    else:
        nearest = float(extents[:, 0].min(initial=math.inf))
        farthest = float(extents[:, 1].max(initial=-math.inf))
        total = extents[:, 2].sum()
    return Extent(nearest, farthest, True) if math.isfinite(total) else extent_of(vertices_pixel)


def project_backward(vertices_world: np.ndarray, camera: Camera, grad_vertices_pixel: np.ndarray) -> ProjectGradients:
    """Carry grad_vertices_pixel (V, 3) back to the world, the camera's pose, K and lens; 0 from vertices with depth <= 0."""
    vertices = np.ascontiguousarray(vertices_world)
    grad = np.ascontiguousarray(grad_vertices_pixel, vertices.dtype)
    grad_world, grad_lens = empty_like(vertices), None
    if is_bare(camera):
        rows = np.zeros((portions_of(len(vertices)), 15))
        arguments = (vertices, camera.K, camera.R, camera.t, grad, grad_world, rows)
        share_out(_pinhole().project_vertices_backward, len(vertices), *arguments)
        sums = added_up(rows)
    else:
        from .projection import project_bent_backward

        sums = np.zeros(22)
        project_bent_backward(vertices, *_numbers(camera), grad, grad_world, sums)
    if camera.distortion is not None:
        grad_lens = sums[15:21] + sums[21] * camera.distortion.straight_by_coefficients
        if camera.distortion.fisheye:
            grad_lens[4:] = 0  # it has no p1 and p2
    return _named(grad_world, sums, grad_lens)


def _named(grad_world: np.ndarray, sums: np.ndarray, grad_lens: np.ndarray | None) -> ProjectGradients:
    """Return by name what `project_portion_backward` sums up."""
    return ProjectGradients(grad_world, sums[3:6], sums[:3], sums[6:15].reshape(3, 3), grad_lens)


def project_views(
    vertices_world: np.ndarray, starts: np.ndarray, cameras: Sequence[Camera]
) -> tuple[np.ndarray, list[Extent]]:
    """Project the vertices of B views by cameras that are bare pinholes, to vertices_pixel (V, 3) from starts (B + 1,) on, and
    return their extents too.

    vertices_world are those of all views too, or of one mesh that all views show.
    """
    from . import by_view

    pixel, extents = empty((int(starts[-1]), 3), vertices_world.dtype), np.empty((len(cameras), 3))
    arguments = (vertices_world, starts, *_poses(cameras), pixel, extents)
    run_on_workers(by_view.project_views, *arguments, most=len(cameras))
    rows = zip(pairwise(starts.tolist()), extents[:, None], strict=True)
    return pixel, [_joined(extent, pixel[begin:end]) for (begin, end), extent in rows]


def project_views_backward(
    vertices_world: np.ndarray, starts: np.ndarray, cameras: Sequence[Camera], grad_vertices_pixel: np.ndarray
) -> list[ProjectGradients]:
    """Return `project_backward` for each view of what `project_views` took, for grad_vertices_pixel (V, 3)."""
    from . import by_view

    grad_world, sums = empty_like(grad_vertices_pixel), np.zeros((len(cameras), 15))
    arguments = (vertices_world, starts, *_poses(cameras), grad_vertices_pixel, grad_world, sums)
    run_on_workers(by_view.project_views_backward, *arguments, most=len(cameras))
    parts = zip(pairwise(starts.tolist()), sums, strict=True)
    return [_named(grad_world[begin:end], of_view, None) for (begin, end), of_view in parts]


def _poses(cameras: Sequence[Camera]) -> list[np.ndarray]:
    """Return K (B, 3, 3), R (B, 3, 3) and t (B, 3)."""
    return [np.array([getattr(camera, name) for camera in cameras]) for name in ("K", "R", "t")]


class ProjectDirections(NamedTuple):
    """Directions, D of each, by the names of `ProjectGradients`; None where nothing changes."""

    vertices: np.ndarray | None = None  # (D, V, 3)
    rotation: np.ndarray | None = None  # (D, 3)
    translation: np.ndarray | None = None  # (D, 3)
    K: np.ndarray | None = None  # (D, 3, 3), of which only fx, skew, cx, fy and cy are looked at
    distortion: np.ndarray | None = None  # (D, 6)


def project_jvp(vertices_world: np.ndarray, camera: Camera, directions: ProjectDirections, count: int) -> np.ndarray:
    """Return how the pixels change in `count` directions (D, V, 3), in the vertices' dtype; 0 for depths <= 0."""
    vertices = np.ascontiguousarray(vertices_world)
    moved, rotation, translation, K, distortion = directions
    moved = np.zeros((0, *vertices.shape)) if moved is None else np.ascontiguousarray(moved, np.float64)
    motions, tangent = np.zeros((count, 22)), np.empty((count, *vertices.shape), vertices.dtype)
    if translation is not None:
        motions[:, :3] = translation
    if rotation is not None:
        motions[:, 3:6] = rotation
    if K is not None:
        motions[:, 6:15] = K.reshape(-1, 9)
    if distortion is not None and camera.distortion is not None:
        motions[:, 15:21] = distortion
        if camera.distortion.fisheye:
            motions[:, 19:21] = 0  # it has no p1 and p2
        motions[:, 21] = (motions[:, 15:21] * camera.distortion.straight_by_coefficients).sum(axis=1)
    if is_bare(camera):
        from .pinhole import project_vertices_tangent

        share_out(
            project_vertices_tangent, len(vertices), vertices, camera.K, camera.R, camera.t, moved, motions, tangent
        )
    else:
        from .projection import project_bent_tangent

        share_out(project_bent_tangent, len(vertices), vertices, *_numbers(camera), moved, motions, tangent)
    return tangent


def _numbers(camera: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, bool]:
    """Return what kernels know of a camera. An orthographic one gets a lens that does nothing."""
    lens = _NO_LENS if camera.distortion is None else camera.distortion
    return camera.K, camera.R, camera.t, lens.numbers, camera.orthographic


def is_bare(camera: Camera) -> bool:
    """Whether this is a pinhole without a lens, which has kernels of its own."""
    return camera.distortion is None and not camera.orthographic


def rotation_matrix(vector: np.ndarray) -> np.ndarray:
    """Rodrigues' formula, with its limit at angle 0."""
    angle = np.linalg.norm(vector)
    x, y, z = vector
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sinc(angle / np.pi) * cross + 0.5 * np.sinc(angle / 2 / np.pi) ** 2 * cross @ cross
