"""Cameras of other systems: the line that reads each, and proof that it gives the same picture.

python -m benchmarks.cameras               # half a minute; writes docs/cameras.md and assets/cameras.png

Each system's own documented projection is written out here in NumPy, as its user would write it, or called where it is
installed (OpenCV). A hard picture is drawn from it in the system's own coordinates, by points in triangles and a z-buffer, or
with rays, and compared with what diffrender draws through the camera that the line gives.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

import diffrender as dr
from diffrender.camera import project

ROOT = Path(__file__).parent.parent
SIZE = (120, 160)  # px
CENTER = np.array([0.0, 0.25, 0.0])  # of the sample mesh
DISTANCE = 5.2  # of the camera
FOCAL, SKEW, PRINCIPAL = (190.0, 172.0), 6.0, (-35.0, 71.0)  # px; the principal point lies to the left of the image
SOFT = dr.Soft(
    sigma=1e-6, gamma=1e-5, near=2.0, far=7.0, perspective_correct=True
)  # as hard as a picture in the libraries
LEVELS = 255
_CHUNK = 512  # faces that rays are compared with at once


class Drawing(NamedTuple):
    """A hard picture: the face at each pixel's centre, -1 without one (H, W), and its perspective barycentrics (H, W, 3)."""

    faces: np.ndarray
    barycentrics: np.ndarray


class Projected(NamedTuple):
    """Where a system puts points: in its own coordinates of the image, and the columns' and rows' centres in the same."""

    points: np.ndarray  # (V, 2)
    depth: np.ndarray  # (V,) along the direction of view, whatever its sign is there
    columns: np.ndarray  # (W,) of the picture's columns from left to right, as the system's user sees it
    rows: np.ndarray  # (H,) from the array's first row to the last

    @property
    def pixels(self) -> np.ndarray:
        """Points (V, 2) in px, by the places of the first and the last centre."""
        steps = [(axis - line[0]) / (line[-1] - line[0]) * (len(line) - 1) + 0.5 for axis, line in self._axes]
        return np.stack(steps, axis=1)

    @property
    def _axes(self) -> list[tuple[np.ndarray, np.ndarray]]:
        return [(self.points[:, 0], self.columns), (self.points[:, 1], self.rows)]


Numbers = dict[str, Any]


class System(NamedTuple):
    """A system's camera: how it is read and written here, and its own projection of points (V, 3) with its numbers."""

    family: str
    variant: str  # "" of a family of one
    read: str  # Python, whose names are those of the numbers, and `size`
    write: str  # Python that assigns them, of `camera`
    convention: str
    project: Callable[..., Projected]
    camera: dr.Camera  # the sample
    numbers: Mapping[str, Any] = MappingProxyType({})  # what `write` does not assign
    rays: Callable[..., tuple[np.ndarray, np.ndarray]] | None = None  # their origin (3,) and directions (H, W, 3)

    @property
    def name(self) -> str:
        """Family and variant."""
        return f"{self.family} {self.variant}".strip()


def sample(skew: float = 0.0, focal: tuple[float, float] = FOCAL, lens: dr.Distortion | None = None) -> dr.Camera:
    """Return a rotated camera with fx != fy and a principal point outside the image, in whose middle `CENTER` lies."""
    height, width = SIZE
    K = np.array([[focal[0], skew, PRINCIPAL[0]], [0, focal[1], PRINCIPAL[1]], [0, 0, 1]])
    R = dr.Camera.look_at((2.5, 1.6, 2.6), up=(0.25, 1.0, 0.1)).R
    toward = np.linalg.solve(K, [width / 2, height / 2, 1])
    return dr.Camera(K, R, DISTANCE * toward / np.linalg.norm(toward) - R @ CENTER, SIZE, lens)


# Each system's projection, as its documentation has it ----------------------------------------------------------------


def opengl(points: np.ndarray, size: tuple[int, int], view: np.ndarray, projection: np.ndarray) -> Projected:
    """clip = projection view p; NDC from -1 to 1, y up; the first row of the picture is the top one. OpenGL 4.6, 13.8."""
    clip = (projection @ view @ _homogeneous(points).T).T
    columns, rows = _centers(-1, 1, size[1]), _centers(1, -1, size[0])
    return Projected(clip[:, :2] / clip[:, 3:], clip[:, 3], columns, rows)


def nvdiffrast(points: np.ndarray, size: tuple[int, int], matrix: np.ndarray) -> Projected:
    """pos = p @ matrix.T goes into `rasterize`; the first row of the tensor is at y = -1. nvdiffrast, Coordinate systems."""
    pos = _homogeneous(points) @ matrix.T
    columns, rows = _centers(-1, 1, size[1]), _centers(-1, 1, size[0])
    return Projected(pos[:, :2] / pos[:, 3:], pos[:, 3], columns, rows)


def pytorch3d(
    points: np.ndarray,
    size: tuple[int, int],
    R: np.ndarray,
    T: np.ndarray,
    focal_length: np.ndarray,
    principal_point: np.ndarray,
    in_ndc: bool,
) -> Projected:
    """p R + T on row vectors, +x left, +y up; NDC is 2 long over the shorter side. docs/notes/cameras.md and renderer.md."""
    height, width = size
    short = min(size)
    if not in_ndc:
        focal_length = focal_length * 2 / short
        principal_point = -(principal_point - np.array([width, height]) / 2) * 2 / short
    x, y, z = (points @ R + T).T
    ndc = np.stack([focal_length[0] * x / z + principal_point[0], focal_length[1] * y / z + principal_point[1]], axis=1)
    columns, rows = (_centers(side / short, -side / short, side) for side in (width, height))
    return Projected(ndc, z, columns, rows)


def nerf(points: np.ndarray, size: tuple[int, int], transform_matrix: np.ndarray, K: np.ndarray) -> Projected:
    """The inverse of camera to world, and a camera that looks along its -z with y up."""
    x, y, z = (np.linalg.inv(transform_matrix) @ _homogeneous(points).T)[:3]
    pixels = np.stack([K[0, 0] * x / -z + K[0, 2], -K[1, 1] * y / -z + K[1, 2]], axis=1)
    return Projected(pixels, -z, np.arange(size[1]) + 0.5, np.arange(size[0]) + 0.5)


def nerf_rays(size: tuple[int, int], transform_matrix: np.ndarray, K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rays that NeRF's `get_rays` makes, through centres at halves as nerfstudio has them."""
    i, j = np.meshgrid(np.arange(size[1]) + 0.5, np.arange(size[0]) + 0.5)
    directions = np.stack([(i - K[0, 2]) / K[0, 0], -(j - K[1, 2]) / K[1, 1], -np.ones_like(i)], axis=-1)
    return transform_matrix[:3, 3], (directions[..., None, :] * transform_matrix[:3, :3]).sum(-1)


def colmap(
    points: np.ndarray, size: tuple[int, int], qvec: np.ndarray, tvec: np.ndarray, params: np.ndarray, model: str
) -> Projected:
    """R(qvec) p + tvec, x right, y down, z forward, and the lens of sensor/models.h."""
    x, y, z = (_qvec2rotmat(qvec) @ points.T + tvec[:, None])[:3]
    u, v = x / z, y / z
    r2 = u * u + v * v
    single = model in ("SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL")
    fx, fy, cx, cy, *extra = [params[0], *params] if single else params
    if model == "OPENCV_FISHEYE":
        r = np.sqrt(r2)
        theta = np.arctan(r)
        scale = theta * (1 + sum(k * theta ** (2 * n) for n, k in enumerate(extra, 1))) / r
        u, v = u * scale, v * scale
    elif model in ("SIMPLE_RADIAL", "RADIAL"):
        radial = sum(k * r2**n for n, k in enumerate(extra, 1))
        u, v = u + u * radial, v + v * radial
    elif model in ("OPENCV", "FULL_OPENCV"):
        k1, k2, p1, p2, k3, k4, k5, k6 = [*extra, 0, 0, 0, 0][:8]
        radial = (1 + k1 * r2 + k2 * r2**2 + k3 * r2**3) / (1 + k4 * r2 + k5 * r2**2 + k6 * r2**3)
        u, v = (
            u * radial + 2 * p1 * u * v + p2 * (r2 + 2 * u * u),
            v * radial + 2 * p2 * u * v + p1 * (r2 + 2 * v * v),
        )
    pixels = np.stack([fx * u + cx, fy * v + cy], axis=1)
    return Projected(pixels, z, np.arange(size[1]) + 0.5, np.arange(size[0]) + 0.5)


def opencv(
    points: np.ndarray,
    size: tuple[int, int],
    rvec: np.ndarray,
    tvec: np.ndarray,
    K: np.ndarray,
    distCoeffs: np.ndarray,
    fisheye: bool,
) -> Projected:
    """cv2.projectPoints, or that of cv2.fisheye; centres on integers."""
    import cv2

    places = np.ascontiguousarray(points[:, None])
    pixels, _ = (cv2.fisheye if fisheye else cv2).projectPoints(places, rvec, tvec, K, distCoeffs)
    depth = (cv2.Rodrigues(rvec)[0] @ points.T)[2] + tvec[2]
    return Projected(pixels[:, 0], depth, np.arange(size[1]), np.arange(size[0]))


def opencv_rays(
    size: tuple[int, int], rvec: np.ndarray, tvec: np.ndarray, K: np.ndarray, distCoeffs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The rays that the lens itself bends into the pixels' centres, by cv2.undistortPoints."""
    import cv2

    i, j = np.meshgrid(np.arange(size[1], dtype=np.float64), np.arange(size[0], dtype=np.float64))
    until = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-9)
    straight = cv2.undistortPoints(np.stack([i, j], axis=-1).reshape(-1, 1, 2), K, distCoeffs, criteria=until)
    R = cv2.Rodrigues(rvec)[0]
    rays = np.concatenate([straight[:, 0], np.ones((straight.shape[0], 1))], axis=1) @ R
    return -R.T @ tvec, rays.reshape(*size, 3)


def systems() -> list[System]:
    """Return what is compared."""
    plain, skewed = sample(), sample(SKEW)
    brown, full = dr.Distortion(-0.12, 0.04, 0, 0, 0.006, -0.004), dr.Distortion(-0.12, 0.04, -0.008, 0, 0.006, -0.004)
    fish = dr.Distortion(-0.03, 0.004, -0.002, 0.001, fisheye=True)
    from_colmap = "dr.Camera.from_colmap(qvec, tvec, params, size, model)"
    to_colmap = "qvec, tvec, params = camera.to_colmap(model)"
    colmap_is = "world to camera; x right, y down, z forward; px from the top left corner, centres at halves"
    lenses = {
        "SIMPLE_RADIAL": ((FOCAL[0],) * 2, dr.Distortion(-0.12)),
        "RADIAL": ((FOCAL[0],) * 2, dr.Distortion(-0.12, 0.04)),
        "OPENCV": (FOCAL, brown),
        "FULL_OPENCV": (FOCAL, full),
        "OPENCV_FISHEYE": (FOCAL, fish),
    }
    pytorch3d_line = "dr.Camera.from_pytorch3d(R, T, focal_length, principal_point, size, in_ndc)"
    pytorch3d_back = "R, T, focal_length, principal_point = camera.to_pytorch3d(in_ndc)"
    pytorch3d_is = (
        "world to camera, on row vectors; x left, y up, z forward; with in_ndc NDC, x left, y up, 2 long over the shorter side, "
        "else px from the top left corner, centres at halves"
    )
    opencv_line = "dr.Camera.from_opencv(rvec, tvec, K, size, distCoeffs, fisheye)"
    opencv_back = "rvec, tvec, K, distCoeffs = camera.to_opencv()"
    opencv_is = "world to camera; x right, y down, z forward; px, the first centre at (0, 0)"
    return [
        System(
            "OpenGL",
            "",
            "dr.Camera.from_opengl(view, projection, size)",
            "view, projection = camera.to_opengl(near, far)",
            "world to camera, on column vectors; x right, y up, z backward; NDC y up, the picture's first row at the top",
            opengl,
            skewed,
        ),
        System(
            "nvdiffrast",
            "",
            "dr.Camera.from_nvdiffrast(matrix, size)",
            "matrix = camera.to_nvdiffrast(near, far)",
            "world to clip space, `positions @ matrix.T`; the tensor's first row at y = -1, the lower end of clip space",
            nvdiffrast,
            skewed,
        ),
        System(
            "PyTorch3D",
            "NDC",
            pytorch3d_line,
            pytorch3d_back,
            pytorch3d_is,
            pytorch3d,
            plain,
            {"in_ndc": True},
        ),
        System(
            "PyTorch3D",
            "screen",
            pytorch3d_line,
            pytorch3d_back,
            pytorch3d_is,
            pytorch3d,
            plain,
            {"in_ndc": False},
        ),
        System(
            "NeRF, nerfstudio",
            "",
            "dr.Camera.from_nerf(transform_matrix, K, size)",
            "transform_matrix, K = camera.to_nerf()",
            "camera to world; x right, y up, z backward; px from the top left corner, centres at halves",
            nerf,
            plain,
            rays=nerf_rays,
        ),
        System("COLMAP", "PINHOLE", from_colmap, to_colmap, colmap_is, colmap, plain, {"model": "PINHOLE"}),
        *(
            System("COLMAP", model, from_colmap, to_colmap, colmap_is, colmap, sample(0, focal, lens), {"model": model})
            for model, (focal, lens) in lenses.items()
        ),
        System("OpenCV", "", opencv_line, opencv_back, opencv_is, opencv, sample(lens=full), {"fisheye": False}),
        System("OpenCV", "fisheye", opencv_line, opencv_back, opencv_is, opencv, sample(lens=fish), {"fisheye": True}),
    ]


def shaded(mesh: dr.Mesh) -> dr.Mesh:
    """Return a mesh in float64 whose vertex colours hold light from one side, so that any turn of a picture shows."""
    assert mesh.vertex_colors is not None
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    normals = np.zeros(mesh.vertices.shape)
    for corner in range(3):
        np.add.at(
            normals, mesh.faces[:, corner], np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        )
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    light = 0.35 + 0.65 * np.clip(normals @ [0.8, 0.5, 0.33], 0, None)
    return dr.Mesh(mesh.vertices.astype(np.float64), mesh.faces, mesh.vertex_colors * light[:, None])


# Pictures -------------------------------------------------------------------------------------------------------------


def draw(seen: Projected, faces: np.ndarray) -> Drawing:
    """Draw faces (F, 3) by the side of each edge that a centre is on, the nearest first; all in the system's coordinates."""
    ids = np.full((len(seen.rows), len(seen.columns)), -1)
    nearest, barycentrics = np.zeros(ids.shape), np.full((*ids.shape, 3), -1.0)
    for face, corners in enumerate(faces):
        (ax, ay), (bx, by), (cx, cy) = seen.points[corners]
        inside = [
            np.flatnonzero((line >= min(ends)) & (line <= max(ends)))
            for line, ends in ((seen.rows, (ay, by, cy)), (seen.columns, (ax, bx, cx)))
        ]
        if not (len(inside[0]) and len(inside[1])):
            continue
        place = np.ix_(*inside)
        y, x = seen.rows[inside[0]][:, None], seen.columns[inside[1]][None, :]
        sides = [
            (px - x) * (qy - y) - (py - y) * (qx - x)
            for px, py, qx, qy in ((bx, by, cx, cy), (cx, cy, ax, ay), (ax, ay, bx, by))
        ]
        total = sides[0] + sides[1] + sides[2]
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = np.stack([side / total for side in sides], axis=-1)
        weights = shares / seen.depth[corners]
        near = weights.sum(-1)
        won = (shares >= 0).all(-1) & (near > nearest[place])
        rows, columns = inside[0][np.nonzero(won)[0]], inside[1][np.nonzero(won)[1]]
        nearest[rows, columns], ids[rows, columns] = near[won], face
        barycentrics[rows, columns] = weights[won] / near[won][:, None]
    return Drawing(ids, barycentrics)


def cast(origin: np.ndarray, directions: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> Drawing:
    """Cast rays (H, W, 3) at faces (F, 3). Möller & Trumbore 1997."""
    rays = directions.reshape(-1, 3)
    nearest, ids = np.full(len(rays), np.inf), np.full(len(rays), -1)
    barycentrics = np.full((len(rays), 3), -1.0)
    for first in range(0, len(faces), _CHUNK):
        a, b, c = np.moveaxis(vertices[faces[first : first + _CHUNK]], 1, 0)
        edge1, edge2, away = b - a, c - a, origin - a
        # Scalar triple products with a ray d: d . (e2 x s) and so on, each one matrix product for all rays.
        determinant = rays @ np.cross(edge2, edge1).T
        across = np.cross(away, edge1)
        with np.errstate(divide="ignore", invalid="ignore"):
            u = rays @ np.cross(edge2, away).T / determinant
            v = rays @ across.T / determinant
            distance = (edge2 * across).sum(1) / determinant
        hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (distance > 0)
        distance = np.where(hit, distance, np.inf)
        which = distance.argmin(axis=1)
        row = np.arange(len(rays))
        near = distance[row, which]
        won = near < nearest
        nearest[won], ids[won] = near[won], first + which[won]
        u, v = u[row, which][won], v[row, which][won]
        barycentrics[won] = np.stack([1 - u - v, u, v], axis=1)
    shape = directions.shape[:2]
    return Drawing(ids.reshape(shape), barycentrics.reshape(*shape, 3))


def picture(mesh: dr.Mesh, drawing: Drawing) -> np.ndarray:
    """Return linear RGBA (H, W, 4), not premultiplied, of vertex colours."""
    assert mesh.vertex_colors is not None
    hit = drawing.faces >= 0
    corners = mesh.vertex_colors[mesh.faces[drawing.faces]]
    return np.dstack([np.where(hit[..., None], np.einsum("hwk,hwkc->hwc", drawing.barycentrics, corners), 0), hit])


def _homogeneous(points: np.ndarray) -> np.ndarray:
    return np.column_stack([points, np.ones(len(points))])


def _centers(first: float, last: float, count: int) -> np.ndarray:
    """Return the centres (N,) of equal cells from an edge to another."""
    return first + (np.arange(count) + 0.5) / count * (last - first)


def _qvec2rotmat(qvec: np.ndarray) -> np.ndarray:
    """COLMAP's scripts/python/read_write_model.py."""
    w, x, y, z = qvec
    return np.array(
        [
            [1 - 2 * y**2 - 2 * z**2, 2 * x * y - 2 * w * z, 2 * z * x + 2 * w * y],
            [2 * x * y + 2 * w * z, 1 - 2 * x**2 - 2 * z**2, 2 * y * z - 2 * w * x],
            [2 * z * x - 2 * w * y, 2 * y * z + 2 * w * x, 1 - 2 * x**2 - 2 * y**2],
        ]
    )


# What is measured -----------------------------------------------------------------------------------------------------


class Comparison(NamedTuple):
    """A system's picture, ours through the converted camera, and figures."""

    system: System
    theirs: np.ndarray  # (H, W, 4)
    ours: np.ndarray
    figures: dict[str, Any]
    faces: int  # of the mesh


def compare(system: System, mesh: dr.Mesh) -> Comparison:
    """Write the sample camera as the system's numbers, draw with them, read them, and draw with what was read."""
    names: Numbers = {"dr": dr, "camera": system.camera, "size": SIZE, "near": 1.0, "far": 9.0, **system.numbers}
    exec(system.write, names)
    given = {name: names[name] for name in _arguments(system.project)}
    read = eval(system.read, names)
    seen = system.project(mesh.vertices, SIZE, **given)
    rays = None if system.rays is None else system.rays(SIZE, **given)
    drawing = draw(seen, mesh.faces) if rays is None else cast(*rays, mesh.vertices, mesh.faces)
    ours = dr.visible_faces(mesh, read)
    theirs, image = picture(mesh, drawing), dr.render(mesh, read, SOFT).image
    differs = drawing.faces != ours.face_ids
    levels = LEVELS * np.abs(theirs[..., :3] * theirs[..., 3:] - image[..., :3] * image[..., 3:]).max(-1)
    figures = {
        "system": system.name,
        "vertices_px": float(np.abs(seen.pixels - project(mesh.vertices, read)[:, :2]).max()),
        "drawn": int((drawing.faces >= 0).sum()),
        "other_face": int(differs.sum()),
        "same_within_2_levels": float((levels <= 2).mean()),
        "median_level": float(np.median(levels[drawing.faces >= 0])),
        "round_trip": _difference(read, system.camera),
    }
    return Comparison(system, theirs, image, figures, len(mesh.faces))


def bent_rays(mesh: dr.Mesh) -> tuple[int, int]:
    """Return how many pixels see another face through OpenCV's lens itself, whose rays bend, than where only vertices are bent,
    and how many see one."""
    camera = next(system.camera for system in systems() if system.name == "OpenCV")
    drawing = cast(*opencv_rays(SIZE, *camera.to_opencv()), mesh.vertices, mesh.faces)
    seen = dr.visible_faces(mesh, camera)
    return int((drawing.faces != seen.face_ids).sum()), int((drawing.faces >= 0).sum())


def _arguments(function: Callable[..., Any]) -> Sequence[str]:
    """Return the names of a projection's numbers: what comes after points and size."""
    code = function.__code__
    return code.co_varnames[2 : code.co_argcount]


def _difference(camera: dr.Camera, other: dr.Camera) -> float:
    """Return the largest difference of two cameras' numbers: px of K, and what R, t and the lens are in."""
    lenses = [np.zeros(6) if one.distortion is None else one.distortion.coefficients for one in (camera, other)]
    pairs = [(camera.K, other.K), (camera.R, other.R), (camera.t, other.t), tuple(lenses)]
    return float(max(np.abs(a - b).max() for a, b in pairs))


def refusals() -> list[tuple[str, str, str, str]]:
    """Return what cannot be held: the system, what it is, the line that refuses it, and its error."""
    lens, skewed = replace(sample(SKEW), distortion=dr.Distortion(k1=-0.1)), sample(SKEW)
    mirrored = replace(sample(), K=sample().K * [[1], [-1], [1]])
    cases = [
        ("OpenGL, nvdiffrast", "a lens", "camera.to_opengl(1, 9)", lens),
        ("PyTorch3D", "skew", "camera.to_pytorch3d()", skewed),
        ("PyTorch3D", "a lens", "camera.to_pytorch3d()", lens),
        ("NeRF", "skew", "camera.to_nerf()", skewed),
        ("NeRF", "a negative fy", "camera.to_nerf()", mirrored),
        ("NeRF", "a lens", "camera.to_nerf()", lens),
        ("COLMAP", "skew", 'camera.to_colmap("OPENCV")', skewed),
        ("COLMAP", "another lens", 'camera.to_colmap("RADIAL")', sample(lens=dr.Distortion(-0.1, p1=0.01))),
        (
            "COLMAP",
            "a rational lens",
            'dr.Camera.from_colmap(q, t, [99, 99, 80, 60, *8 * [0.1]], (120, 160), "FULL_OPENCV")',
            skewed,
        ),
        ("OpenCV", "skew", "camera.to_opencv()", skewed),
        ("OpenCV", "a rational lens", "dr.Camera.from_opencv(t, t, K, (120, 160), 8 * [0.1])", skewed),
    ]
    rows = []
    for system, what, line, camera in cases:
        try:
            eval(line, {"camera": camera, "dr": dr, "q": (1, 0, 0, 0), "t": np.zeros(3), "K": np.eye(3)})
        except ValueError as error:
            rows.append((system, what, line, str(error)))
        else:
            raise AssertionError(f"{line} took {what}")
    return rows


def sheet(comparisons: Sequence[Comparison], path: Path) -> None:
    """Draw a contact sheet: each system's own picture, ours, and where they differ."""
    from PIL import Image, ImageDraw, ImageFont

    from diffrender.color import to_bytes

    height, width = SIZE
    gap, line, columns = 4, 14, 7
    rows = -(-len(comparisons) // columns)
    cell = line + 3 * height + 3 * gap
    page = Image.new("RGB", (columns * (width + gap) + gap, rows * (cell + gap) + gap), "white")
    ink = ImageDraw.Draw(page)
    for number, one in enumerate(comparisons):
        left, top = gap + number % columns * (width + gap), gap + number // columns * (cell + gap)
        ink.text((left, top), one.system.name, "black", ImageFont.load_default())
        panels = [image[..., :3] * image[..., 3:] + 0.8 * (1 - image[..., 3:]) for image in (one.theirs, one.ours)]
        panels.append(1 - np.clip(20 * np.abs(panels[0] - panels[1]), 0, 1))
        for row, panel in enumerate(panels):
            page.paste(Image.fromarray(to_bytes(panel)), (left, top + line + row * (height + gap)))
    page.quantize(128).save(path, optimize=True)


def document(
    comparisons: Sequence[Comparison],
    refused: Sequence[tuple[str, str, str, str]],
    bent: tuple[int, int],
    json_is_exact: bool,
) -> str:
    """Return docs/cameras.md."""
    assert json_is_exact
    drawn = [one.figures["drawn"] for one in comparisons]
    families = {
        one.system.family: [two.system for two in comparisons if two.system.family == one.system.family]
        for one in comparisons
    }
    parts = [
        "# Cameras of other systems",
        "Written by `python -m benchmarks.cameras`. Ours: world to camera, x right, y down, z forward, K in px, the centre of "
        "the first pixel, top left, at (0.5, 0.5) ([`conventions.py`](../diffrender/conventions.py)).",
        "## The line that reads it",
        "`size` is (height, width) in px. The second line goes back.",
    ]
    for family, (first, *rest) in families.items():
        variants = [system.variant for system in (first, *rest) if system.variant.isupper()]
        models = f" Models: {', '.join(variants)}." if len(variants) > 1 else ""
        parts += [
            f"**{family}**: {first.convention}.{models}",
            f"```python\ncamera = {first.read}\n{first.write}\n```",
        ]
    parts += [
        "**Any camera, exactly**: JSON.",
        "```python\ncamera = dr.Camera.from_dict(json.loads(text))\ntext = json.dumps(camera.to_dict())\n```",
        "Folders of photos are read whole: `dr.load_views` and `diffrender convert` take COLMAP models, `transforms.json` with "
        "nerfstudio's lens, and IDR.",
        "## The same picture",
        f"The duck of `assets/`, {min(drawn):,} to {max(drawn):,} of {SIZE[0] * SIZE[1]:,} pixels, from a rotated camera with "
        f"fx = {FOCAL[0]:g}, fy = {FOCAL[1]:g} px (where a model has two), the principal point at "
        f"({PRINCIPAL[0]:g}, {PRINCIPAL[1]:g}) px, left of the image, and {SKEW:g} px of skew or a lens where the system has "
        "that. Each system's documented projection, written out in NumPy as its user would write it (OpenCV's is called), puts "
        "the vertices into its own coordinates; a z-buffer there, for NeRF the rays of its `get_rays`, draws a hard picture. "
        "Beside it stand `dr.visible_faces` and `dr.render` through the camera that the line gives.",
        "| system | in the sample | vertices, largest difference, px | pixels with another face | colours within 2/255 | "
        "written and read, largest difference |\n| --- | --- | --- | --- | --- | --- |\n"
        + "\n".join(map(_row, comparisons)),
        "![Each system's own picture, ours, and what differs, 20 times](../assets/cameras.png)",
        "Upper row: drawn from the system's own formulas; middle: `dr.render`; lower: what differs, times 20. The few pixels "
        "that do have an edge within 0.001 px of their centre, and are soft there. Both bend the vertices by the lens and leave "
        "the edges between them straight. The lens itself, by the rays of `cv2.undistortPoints`, shows another face in "
        f"{bent[0]} of {bent[1]:,} pixels: the duck's {comparisons[0].faces:,} faces are small. Subdivide a mesh of large ones.",
        "The last column is of K in px, R, t and the lens. All systems together hold skew, fx != fy, an off-image principal "
        "point and distortion; only JSON holds all of it in one camera, and gives back the same bits.",
        "## What is refused",
        "Nothing is dropped silently: what a system cannot hold is an error that shows the value.",
        "| system | what | line | error |\n| --- | --- | --- | --- |\n"
        + "\n".join(f"| {system} | {what} | `{line}` | {error} |" for system, what, line, error in refused),
    ]
    return "\n\n".join(parts) + "\n"


def _row(one: Comparison) -> str:
    camera, figures = one.system.camera, one.figures
    found = []
    if camera.K[0, 1]:
        found.append("skew")
    if camera.distortion is not None:
        found.append("lens")
    cells = (
        figures["system"],
        ", ".join(found) or "pinhole",
        f"{figures['vertices_px']:.1e}",
        f"{figures['other_face']} of {figures['drawn']:,}",
        f"{100 * figures['same_within_2_levels']:.2f} %",
        f"{figures['round_trip']:.1e}",
    )
    return f"| {' | '.join(cells)} |"


def json_round_trip() -> bool:
    """Return whether a camera with everything, and an orthographic one, come back from JSON bit for bit."""
    everything = sample(SKEW, lens=dr.Distortion(-0.12, 0.04, -0.008, 0.002, 0.006, -0.004))
    cameras = [everything, dr.Camera.look_at((1, 2, 3), span=3)]
    exact = []
    for camera in cameras:
        back = dr.Camera.from_dict(json.loads(json.dumps(camera.to_dict())))
        exact.append(all(np.array_equal(getattr(back, name), getattr(camera, name)) for name in ("K", "R", "t")))
        exact.append(
            (back.size, back.distortion, back.orthographic) == (camera.size, camera.distortion, camera.orthographic)
        )
    return all(exact)


def main() -> None:
    """Compare all, and write the page and its picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "cameras.md")
    parser.add_argument("--sheet", type=Path, default=ROOT / "assets" / "cameras.png")
    options = parser.parse_args()
    mesh = shaded(dr.load_mesh(ROOT / "assets" / "duck.glb"))
    comparisons = []
    for system in systems():
        comparisons.append(compare(system, mesh))
        print(_row(comparisons[-1]), comparisons[-1].figures["median_level"], flush=True)
    options.page.write_text(document(comparisons, refusals(), bent_rays(mesh), json_round_trip()), encoding="utf-8")
    sheet(comparisons, options.sheet)


if __name__ == "__main__":
    main()
