"""COLMAP models, text or binary: cameras and images; points are skipped. Its pixels and camera axes are ours.

https://colmap.github.io/format.html and https://colmap.github.io/cameras.html.
"""

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..camera import Camera
from ..distortion import Distortion
from ..files import write_atomically
from ..interchange import quaternion_of, rotation_of
from ..lens_models import MODELS, PARAMETERS, model_of, read_model, write_model
from .frame import Frame, compare_size, photo_names, photo_size

_MODEL_FOLDERS = (".", "sparse", "sparse/0")

_UNSUPPORTED = {7: "FOV", 10: "THIN_PRISM_FISHEYE", 11: "RAD_TAN_THIN_PRISM_FISHEYE"}


class _Intrinsics(NamedTuple):
    K: np.ndarray  # (3, 3) px
    size: tuple[int, int]  # (H, W)
    distortion: Distortion | None


class _Image(NamedTuple):
    name: str
    camera: int
    quaternion: tuple[float, ...]  # w x y z, world to camera
    translation: tuple[float, ...]


def find(directory: Path) -> tuple[Path, Path] | None:
    """Return the files of cameras and images of a folder's model, binary before text, as COLMAP does."""
    for folder in _MODEL_FOLDERS:
        for suffix in (".bin", ".txt"):
            cameras = directory / folder / f"cameras{suffix}"
            if cameras.is_file():
                return cameras, cameras.with_stem("images")
    return None


def read(directory: Path, model: tuple[Path, Path]) -> list[Frame]:
    """Read the frames of a model, in the order of their names, with the photos in images or image and masks in masks or
    mask below `directory`.

    Raises ValueError or FileNotFoundError that names the file and the value.
    """
    cameras_file, images_file = model
    if not images_file.is_file():
        raise FileNotFoundError(f"{images_file}: no such file, but there is {cameras_file.name}")
    binary = cameras_file.suffix == ".bin"
    cameras = dict((_binary_cameras if binary else _text_cameras)(cameras_file))
    images = sorted((_binary_images if binary else _text_images)(images_file), key=lambda image: image.name)
    if not images:
        raise ValueError(f"{images_file}: has no images")
    photos = next((directory / name for name in ("images", "image") if (directory / name).is_dir()), None)
    if photos is None:
        raise FileNotFoundError(f"{directory / 'images'}: no such folder; the photos of {images_file} belong there")
    masks = next((directory / name for name in ("masks", "mask") if (directory / name).is_dir()), None)
    frames = []
    for name, image in zip(photo_names([photos / image.name for image in images]), images, strict=True):
        photo = photos / image.name
        if not photo.is_file():
            raise FileNotFoundError(f"{photo}: no such file, named in {images_file}")
        if image.camera not in cameras:
            raise ValueError(f"{images_file}: image {image.name} has camera {image.camera}, not in {cameras_file.name}")
        K, size, distortion = cameras[image.camera]
        compare_size(photo, photo_size(photo), size, cameras_file)
        R, t = _pose(image, images_file)
        frames.append(Frame(name, photo, _mask(masks, image.name), Camera(K, R, t, size), distortion))
    return frames


def write(frames: Sequence[Frame], directory: Path) -> None:
    """Write a text model without points to sparse/0, for frames whose photos are in images below `directory`."""
    folder = directory / "sparse" / "0"
    folder.mkdir(parents=True)
    cameras: dict[str, int] = {}  # photos of one camera share its line
    images = []
    for number, frame in enumerate(frames, 1):
        camera = cameras.setdefault(_camera_text(frame), len(cameras) + 1)
        pose = " ".join(map(repr, (*quaternion_of(frame.camera.R).tolist(), *frame.camera.t.tolist())))
        name = frame.image.relative_to(directory / "images").as_posix()
        images.append(f"{number} {pose} {camera} {name}\n\n")  # the empty line: no points seen
    lines = [f"{number} {camera}\n" for camera, number in cameras.items()]
    write_atomically(folder / "cameras.txt", "# CAMERA_ID MODEL WIDTH HEIGHT PARAMS[]\n" + "".join(lines))
    header = "# IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME\n# POINTS2D[] as X Y POINT3D_ID\n"
    write_atomically(folder / "images.txt", header + "".join(images))
    write_atomically(folder / "points3D.txt", "# POINT3D_ID X Y Z R G B ERROR TRACK[] as IMAGE_ID POINT2D_IDX\n")


def _camera_text(frame: Frame) -> str:
    # Rounded, so that the photos of one camera share its line although each was decomposed from its own matrix.
    model = model_of(frame.distortion)
    parameters = write_model(model, frame.camera.K.round(9), frame.distortion)
    height, width = frame.camera.size
    return f"{model} {width} {height} {' '.join(map(repr, parameters.tolist()))}"


def _mask(masks: Path | None, name: str) -> Path | None:
    """Return the mask of a photo: COLMAP's name, a.jpg.png, or a.png."""
    if masks is None:
        return None
    candidates = (masks / f"{name}.png", (masks / name).with_suffix(".png"))
    return next((path for path in candidates if path.is_file()), None)


def _pose(image: _Image, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return world-to-camera R (3, 3) and t (3,)."""
    quaternion, translation = np.array(image.quaternion), np.array(image.translation)
    if not (np.isfinite(quaternion).all() and np.isfinite(translation).all()) or not quaternion.any():
        raise ValueError(
            f"{path}: image {image.name} has no valid pose: quaternion {quaternion.tolist()}, translation "
            f"{translation.tolist()}"
        )
    return rotation_of(quaternion), translation


def _intrinsics(path: Path, camera: int, model: str, size: tuple[int, int], parameters: Sequence[float]) -> _Intrinsics:
    if model not in PARAMETERS:
        raise ValueError(f"{path}: camera {camera} has the model {model}; {', '.join(PARAMETERS)} can be read")
    try:
        K, distortion = read_model(model, parameters)
    except ValueError as error:
        raise ValueError(f"{path}: camera {camera}: {error}") from error
    return _Intrinsics(K, size, distortion)


def _text_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text file ({error})") from error


def _text_cameras(path: Path) -> Iterator[tuple[int, _Intrinsics]]:
    for number, line in enumerate(_text_lines(path), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            camera, model, *rest = line.split()
            identity, width, height = map(int, (camera, *rest[:2]))
            parameters = list(map(float, rest[2:]))
        except ValueError as error:
            raise ValueError(f"{path}: line {number} is not a camera: {line!r}") from error
        yield identity, _intrinsics(path, identity, model, (height, width), parameters)


def _text_images(path: Path) -> Iterator[_Image]:
    """Yield the images: one line each, and one that may be empty with the points seen in it."""
    lines = iter(enumerate(_text_lines(path), 1))
    for number, line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        try:
            _, *pose, camera, name = line.split(maxsplit=9)
            yield _Image(name.strip(), int(camera), tuple(map(float, pose[:4])), tuple(map(float, pose[4:7])))
        except ValueError as error:
            raise ValueError(f"{path}: line {number} is not an image: {line!r}") from error
        number, points = next(lines, (number, ""))
        if len(points.split()) % 3:
            raise ValueError(f"{path}: line {number} is not a list of points X Y ID: {points[:80]!r}")


class _Reader:
    """The bytes of a file, taken from the front. Raises ValueError that names the file when there are too few."""

    def __init__(self, path: Path) -> None:
        self.path, self.content, self.at = path, path.read_bytes(), 0

    def take(self, layout: str) -> tuple:
        layout = "<" + layout
        start = self.skip(struct.calcsize(layout))
        return struct.unpack_from(layout, self.content, start)

    def text(self) -> str:
        end = self.content.find(b"\0", self.at)
        if end < 0:
            self.skip(len(self.content))
        start = self.skip(end + 1 - self.at)
        return self.content[start:end].decode("utf-8", "surrogateescape")

    def skip(self, count: int) -> int:
        start = self.at
        if start + count > len(self.content):
            raise ValueError(f"{self.path}: truncated: {len(self.content)} bytes, at least {start + count} expected")
        self.at += count
        return start


def _binary_cameras(path: Path) -> Iterator[tuple[int, _Intrinsics]]:
    reader = _Reader(path)
    for _ in range(reader.take("Q")[0]):
        camera, number, width, height = reader.take("iiQQ")
        model = MODELS[number][0] if number in MODELS else _UNSUPPORTED.get(number, f"number {number}")
        parameters = reader.take(f"{len(PARAMETERS.get(model, ()))}d")
        yield camera, _intrinsics(path, camera, model, (height, width), parameters)


def _binary_images(path: Path) -> Iterator[_Image]:
    reader = _Reader(path)
    for _ in range(reader.take("Q")[0]):
        _, *pose, camera = reader.take("I7dI")
        yield _Image(reader.text(), camera, tuple(pose[:4]), tuple(pose[4:]))
        reader.skip(24 * reader.take("Q")[0])  # x, y and the number of a point
