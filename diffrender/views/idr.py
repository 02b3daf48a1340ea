"""IDR and NeuS folders: image/ (or rgb/), mask/, and world_mat_i and scale_mat_i in cameras_sphere.npz (or cameras.npz).

world_mat_i projects the world to pixels, with pixel centres on integers. scale_mat_i maps the unit sphere to the part of
the world that NeuS looks at; it is not applied here: meshes stay in world coordinates.
https://github.com/lioryariv/idr/blob/main/DATA_CONVENTION.md
"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..camera import Camera
from ..files import atomic_path
from .frame import IMAGE_SUFFIXES, Frame, photo_names, photo_size

NAMES = ("cameras_sphere.npz", "cameras.npz")


def find(directory: Path) -> Path | None:
    """Return the first of `NAMES` in a folder."""
    return next((directory / name for name in NAMES if (directory / name).is_file()), None)


def read(path: Path) -> list[Frame]:
    """Read the frames of a cameras_sphere.npz and the photos beside it.

    Matrix i belongs to the photo whose stem is the number i, if all are such numbers; else to the i-th photo if there
    are as many of both. Masks are matched by stem, by number, or by order. Raises ValueError or FileNotFoundError that
    names the file and the value.
    """
    matrices = _matrices(path)
    folder = next((path.parent / name for name in ("image", "rgb") if (path.parent / name).is_dir()), None)
    if folder is None:
        raise FileNotFoundError(f"{path.parent / 'image'}: no such folder; the photos of {path} belong there")
    images = _pictures(folder)
    if not images:
        raise ValueError(f"{folder}: has no photos")
    numbers = _numbers_of(images, sorted(number for kind, number in matrices if kind == "world"), path)
    masks = _masks(images, path.parent / "mask")
    frames = []
    for name, image, number in zip(photo_names(images), images, numbers, strict=True):
        scale = matrices.get(("scale", number), np.eye(4))
        try:
            # A mirroring matrix has its front where the scene is.
            camera = Camera.from_projection(
                matrices["world", number][:3], photo_size(image), "integer", front=scale[:3, 3]
            )
        except ValueError as error:
            raise ValueError(f"{path}: world_mat_{number}: {error}") from error
        frames.append(Frame(name, image, masks.get(image), camera))
    return frames


def write(frames: Sequence[Frame], directory: Path) -> None:
    """Write cameras_sphere.npz for frames in the order of their photos' names. Raises ValueError for a mirroring camera
    with the middle of the scene behind it, which the format has no words for."""
    center, radius = _sphere([frame.camera for frame in frames])
    sphere = np.diag([radius, radius, radius, 1.0])
    sphere[:3, 3] = center
    matrices = {}
    for index, frame in enumerate(frames):
        camera = frame.camera
        if camera.K[1, 1] < 0 and camera.R[2] @ center + camera.t[2] <= 0:
            raise ValueError(
                f"view {index}: a camera with negative fy must have the middle of the scene in front of it"
            )
        to_integers = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])
        matrices[f"world_mat_{index}"] = np.vstack([to_integers @ camera.projection, [0, 0, 0, 1]])
        matrices[f"scale_mat_{index}"] = sphere
    with atomic_path(directory / NAMES[0]) as temporary:
        np.savez(temporary, **matrices)  # type: ignore[arg-type]


def _matrices(path: Path) -> dict[tuple[str, int], np.ndarray]:
    """Return world and scale matrices by ("world" or "scale", number), all finite and of 4 columns."""
    try:
        with np.load(path) as archive:
            matrices = {
                (match[1], int(match[2])): np.asarray(archive[name], np.float64)
                for name in archive.files
                if (match := re.fullmatch(r"(world|scale)_mat_(\d+)", name))
            }
    except PermissionError:
        raise
    except Exception as error:  # zipfile, zlib, pickle and NumPy have each their own
        raise ValueError(f"{path}: not a readable .npz file ({error})") from error
    if not any(kind == "world" for kind, _ in matrices):
        raise ValueError(f"{path}: has no world_mat_0, world_mat_1, ...")
    for (kind, number), matrix in matrices.items():
        if matrix.shape not in ((4, 4), (3, 4)):
            raise ValueError(f"{path}: {kind}_mat_{number} must have shape (4, 4), got {matrix.shape}")
        if not np.isfinite(matrix).all():
            raise ValueError(f"{path}: {kind}_mat_{number} must be finite, got {matrix.tolist()}")
    return matrices


def _pictures(folder: Path) -> list[Path]:
    """Return the image files of a folder by name, or by number if all names are one."""
    paths = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and path.name[0] != "."]
    by_name = sorted(paths, key=lambda path: path.name)
    numbers = {path: number for path in paths if (number := _number(path)) is not None}
    return sorted(by_name, key=numbers.__getitem__) if len(numbers) == len(paths) else by_name


def _number(path: Path) -> int | None:
    return int(path.stem) if path.stem.isascii() and path.stem.isdigit() else None


def _numbers_of(images: list[Path], stated: list[int], path: Path) -> list[int]:
    """Return the number of each photo's matrix."""
    numbers = [number for image in images if (number := _number(image)) in set(stated)]
    if len(set(numbers)) == len(images):
        return numbers
    if len(stated) != len(images):
        raise ValueError(
            f"{path}: has {len(stated)} world matrices, but {images[0].parent} {len(images)} photos that are not all "
            f"named by the number of one"
        )
    return stated


def _masks(images: list[Path], folder: Path) -> dict[Path, Path]:
    """Return the mask of each photo that has one."""
    masks = _pictures(folder) if folder.is_dir() else []
    if not masks:
        return {}
    by_stem = {mask.stem: mask for mask in masks}
    if any(image.stem in by_stem for image in images):
        return {image: by_stem[image.stem] for image in images if image.stem in by_stem}
    by_number = {number: mask for mask in masks if (number := _number(mask)) is not None}
    if all(_number(image) in by_number for image in images):  # 000000.png and 000.png
        return {image: by_number[number] for image in images if (number := _number(image)) is not None}
    if len(masks) != len(images):
        raise ValueError(f"{folder}: has {len(masks)} masks with names of none of the {len(images)} photos")
    return dict(zip(images, masks, strict=True))


def _sphere(cameras: Sequence[Camera]) -> tuple[np.ndarray, float]:
    """Return centre (3,) and radius of a sphere around what the cameras look at.

    The centre is the point nearest to the rays through the middles of the images; the radius fills the widest view, but
    is at most half the distance of the nearest camera, since NeuS wants them well outside.
    """
    origins = np.array([camera.center for camera in cameras])
    middles = np.array([(camera.size[1] / 2, camera.size[0] / 2, 1) for camera in cameras])
    rays = np.array([camera.R.T @ np.linalg.solve(camera.K, p) for camera, p in zip(cameras, middles, strict=True)])
    rays /= np.linalg.norm(rays, axis=1)[:, None]
    across = np.eye(3) - rays[:, :, None] * rays[:, None, :]  # the part of a vector that is not along the ray
    start = origins.mean(axis=0)
    system = across.sum(axis=0)
    if np.linalg.cond(system) < 1e6:
        center = start + np.linalg.solve(system, np.einsum("nij,nj->i", across, origins - start))
    else:  # one camera, or parallel ones: any distance is as good
        center = start + rays[0] * max(1.0, float(np.ptp(origins, axis=0).max()))
    distances = np.linalg.norm(origins - center, axis=1)
    spans = [distance * max(c.size) / 2 / c.focal for c, distance in zip(cameras, distances, strict=True)]
    radius = min(max(spans), float(distances.min()) / 2)
    return center, radius if radius > 0 else 1.0
