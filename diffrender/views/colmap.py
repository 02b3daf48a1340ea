"""COLMAP models, text or binary: cameras and images; points are skipped. Its pixels and camera axes are ours.

https://colmap.github.io/format.html and https://colmap.github.io/cameras.html.
"""

import math
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..camera import Camera
from ..distortion import Distortion
from ..files import write_atomically
from ..interchange import quaternion_of, rotation_of
from .frame import Frame, compare_size, photo_names, photo_size

_MODEL_FOLDERS = (".", "sparse", "sparse/0")

# Number in binary files: name and what the parameters are. f stands for fx = fy.
_MODELS = {
    0: ("SIMPLE_PINHOLE", "f cx cy"),
    1: ("PINHOLE", "fx fy cx cy"),
    2: ("SIMPLE_RADIAL", "f cx cy k1"),
    3: ("RADIAL", "f cx cy k1 k2"),
    4: ("OPENCV", "fx fy cx cy k1 k2 p1 p2"),
    5: ("OPENCV_FISHEYE", "fx fy cx cy k1 k2 k3 k4"),
    6: ("FULL_OPENCV", "fx fy cx cy k1 k2 p1 p2 k3 d1 d2 d3"),  # d: the denominator, k4 to k6 in OpenCV
    8: ("SIMPLE_RADIAL_FISHEYE", "f cx cy k1"),
    9: ("RADIAL_FISHEYE", "f cx cy k1 k2"),
}
_PARAMETERS = {name: parameters.split() for name, parameters in _MODELS.values()}
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


def can_hold(distortion: Distortion) -> bool:
    """Return whether one of COLMAP's models is this lens: none has Brown's k4."""
    return distortion.fisheye or distortion.k4 == 0


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
    K, lens = frame.camera.K, frame.distortion
    values = {"fx": K[0, 0], "fy": K[1, 1], "cx": K[0, 2], "cy": K[1, 2], "d1": 0.0, "d2": 0.0, "d3": 0.0}
    # Rounded, so that the photos of one camera share its line although each was decomposed from its own matrix.
    values = {key: round(float(value), 9) for key, value in values.items()}
    if lens is None:
        model = "PINHOLE"
    else:
        model = "OPENCV_FISHEYE" if lens.fisheye else "FULL_OPENCV" if lens.k3 else "OPENCV"
        values |= {key: getattr(lens, key) for key in ("k1", "k2", "k3", "k4", "p1", "p2")}
    height, width = frame.camera.size
    parameters = " ".join(repr(float(values[key])) for key in _PARAMETERS[model])
    return f"{model} {width} {height} {parameters}"


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
    where = f"{path}: camera {camera}"
    names = _PARAMETERS.get(model)
    if names is None:
        raise ValueError(f"{where} has the model {model}; {', '.join(_PARAMETERS)} can be read")
    if len(parameters) != len(names):
        raise ValueError(f"{where}: {model} has {len(names)} parameters, {' '.join(names)}, got {len(parameters)}")
    values = dict(zip(names, map(float, parameters), strict=True))
    if not all(map(math.isfinite, values.values())):
        raise ValueError(f"{where}: parameters must be finite, got {values}")
    if any(values.get(key) for key in ("d1", "d2", "d3")):
        raise ValueError(f"{where}: {model} is read only if k4, k5 and k6 are 0, got {list(parameters[-3:])}")
    fx, fy = (values["f"],) * 2 if "f" in values else (values["fx"], values["fy"])
    if fx <= 0 or fy <= 0:
        raise ValueError(f"{where}: focal lengths must be positive, got {fx:g} and {fy:g}")
    lens = {key: values[key] for key in ("k1", "k2", "k3", "k4", "p1", "p2") if key in values}
    distortion = Distortion(**lens, fisheye=model.endswith("FISHEYE"))
    K = np.array([[fx, 0, values["cx"]], [0, fy, values["cy"]], [0, 0, 1]])
    return _Intrinsics(K, size, None if distortion.changes_nothing else distortion)


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
        if number not in _MODELS:
            model = _UNSUPPORTED.get(number, f"number {number}")
            raise ValueError(f"{path}: camera {camera} has the model {model}; {', '.join(_PARAMETERS)} can be read")
        model = _MODELS[number][0]
        yield camera, _intrinsics(path, camera, model, (height, width), reader.take(f"{len(_PARAMETERS[model])}d"))


def _binary_images(path: Path) -> Iterator[_Image]:
    reader = _Reader(path)
    for _ in range(reader.take("Q")[0]):
        _, *pose, camera = reader.take("I7dI")
        yield _Image(reader.text(), camera, tuple(pose[:4]), tuple(pose[4:]))
        reader.skip(24 * reader.take("Q")[0])  # x, y and the number of a point
