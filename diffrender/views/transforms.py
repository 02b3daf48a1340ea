"""`transforms.json` of NeRF (Blender), instant-ngp and nerfstudio.

transform_matrix is camera-to-world in OpenGL's axes, x right, y up, z backward; pixels are ours. `applied_transform` and
`applied_scale` say how the frames were moved from the world of another file, such as COLMAP's
(https://docs.nerf.studio/quickstart/data_conventions.html); nerfstudio takes transform_matrix as it stands and uses them
only to carry results back. So does this: the world is that of transform_matrix.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..camera import Camera
from ..distortion import Distortion
from ..files import write_atomically
from ..interchange import focal_of, pose_from_opengl, pose_to_opengl
from .frame import Frame, compare_size, photo_names, photo_size

NAMES = ("transforms.json", "transforms_train.json")

_MODELS = ("SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "OPENCV_FISHEYE")
_ENTRIES = ((0, 0), (1, 1), (0, 2), (1, 2))
_DISTORTION = ("k1", "k2", "k3", "k4", "p1", "p2")


def find(directory: Path) -> Path | None:
    """Return the first of `NAMES` in a folder."""
    return next((directory / name for name in NAMES if (directory / name).is_file()), None)


def read(path: Path) -> list[Frame]:
    """Read the frames of a transforms.json in its order; what a frame states wins over what the file states for all.

    Raises ValueError or FileNotFoundError that names the file, the frame and the value.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not a JSON file ({error})") from error
    entries = document.get("frames") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"{path}: has no list of objects called frames")
    if not entries:
        raise ValueError(f"{path}: has no frames")
    images = [_image_path(path, entry, index) for index, entry in enumerate(entries)]
    return [
        _frame(path, name, image, entry, document)
        for name, image, entry in zip(photo_names(images), images, entries, strict=True)
    ]


def write(frames: Sequence[Frame], directory: Path) -> None:
    """Write transforms.json for frames whose photos and masks are below `directory`; what all share stands once."""
    lenses = [_intrinsics(frame) for frame in frames]
    shared = {key: value for key, value in lenses[0].items() if all(lens.get(key) == value for lens in lenses)}
    if not set(_DISTORTION) <= set(shared):  # nerfstudio takes all of a lens from one place
        shared = {key: value for key, value in shared.items() if key not in _DISTORTION}
    entries = []
    for frame, lens in zip(frames, lenses, strict=True):
        entry: dict[str, Any] = {"file_path": frame.image.relative_to(directory).as_posix()}
        if frame.mask is not None:
            entry["mask_path"] = frame.mask.relative_to(directory).as_posix()
        pose = pose_to_opengl(frame.camera.R, frame.camera.t)
        own = {key: value for key, value in lens.items() if key not in shared}
        entries.append(entry | own | {"transform_matrix": pose.tolist()})
    write_atomically(directory / NAMES[0], json.dumps(shared | {"frames": entries}, indent=2) + "\n")


def _intrinsics(frame: Frame) -> dict[str, Any]:
    K, (height, width) = frame.camera.K, frame.camera.size
    values: dict[str, Any] = {"camera_model": "PINHOLE", "w": width, "h": height}
    # Rounded, so that the photos of one camera share these although each was decomposed from its own matrix.
    values |= {key: round(float(K[at]), 9) for key, at in zip(("fl_x", "fl_y", "cx", "cy"), _ENTRIES, strict=True)}
    if frame.distortion is not None:
        values |= asdict(frame.distortion)
        values["camera_model"] = "OPENCV_FISHEYE" if values.pop("fisheye") else "OPENCV"
    return values


def _image_path(path: Path, entry: dict[str, Any], index: int) -> Path:
    name = _text(entry, "file_path", f"{path}: frame {index}")
    image = path.parent / name
    if not image.is_file():
        image = image.with_name(image.name + ".png")  # NeRF's Blender scenes leave it out
    if not image.is_file():
        raise FileNotFoundError(f"{path.parent / name}: no such file, named in {path}")
    return image


def _text(entry: dict[str, Any], key: str, where: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value.strip("./\\ "):
        raise ValueError(f"{where}: {key} must be the path of a file, got {value!r}")
    return value.replace("\\", "/")


def _frame(path: Path, name: str, image: Path, entry: dict[str, Any], document: dict[str, Any]) -> Frame:
    where = f"{path}: frame {name}"
    numbers = _Numbers(entry, document, where)
    height, width = photo_size(image)
    wanted = (numbers.get("h", height), numbers.get("w", width))
    compare_size(image, (height, width), wanted, path)
    fx, fy = _focal_lengths(numbers, width, height)
    K = np.array([[fx, 0, numbers.get("cx", width / 2)], [0, fy, numbers.get("cy", height / 2)], [0, 0, 1]])
    try:
        R, t = pose_from_opengl(entry.get("transform_matrix"))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    mask = None
    if entry.get("mask_path") is not None:
        mask = path.parent / _text(entry, "mask_path", where)
        if not mask.is_file():
            raise FileNotFoundError(f"{mask}: no such file, named in {path}")
    try:
        return Frame(name, image, mask, Camera(K, R, t, (height, width)), _distortion(numbers, entry, document))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


class _Numbers:
    """The numbers of a frame, and where it has none, of the whole file."""

    def __init__(self, entry: dict[str, Any], document: dict[str, Any], where: str) -> None:
        self.scopes, self.where = (entry, document), where

    def get(self, key: str, otherwise: float) -> float:
        for scope in self.scopes:
            if scope.get(key) is not None:
                return self.checked(scope, key)
        return otherwise

    def checked(self, scope: dict[str, Any], key: str) -> float:
        value = scope[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{self.where}: {key} must be a finite number, got {value!r}")
        return value

    def focal(self, key: str, angle_key: str, length: int) -> float | None:
        """Return a focal length in px, stated as such or as the angle of view over `length` px; the frame's goes first."""
        for scope in self.scopes:
            if scope.get(key) is not None:
                return self.checked(scope, key)
            if scope.get(angle_key) is not None:
                angle = self.checked(scope, angle_key)
                if not 0 < angle < math.pi:
                    raise ValueError(f"{self.where}: {angle_key} must lie between 0 and pi, got {angle}")
                return focal_of(angle, length)
        return None


def _focal_lengths(numbers: _Numbers, width: int, height: int) -> tuple[float, float]:
    fx = numbers.focal("fl_x", "camera_angle_x", width)
    fy = numbers.focal("fl_y", "camera_angle_y", height)
    if fx is None and fy is None:
        raise ValueError(f"{numbers.where}: no focal length: fl_x or camera_angle_x is needed")
    fx, fy = (fy if fx is None else fx), (fx if fy is None else fy)
    assert fx is not None and fy is not None
    if fx <= 0 or fy <= 0:
        raise ValueError(f"{numbers.where}: focal lengths must be positive, got {fx:g} and {fy:g}")
    return fx, fy


def _distortion(numbers: _Numbers, entry: dict[str, Any], document: dict[str, Any]) -> Distortion | None:
    model = entry.get("camera_model", document.get("camera_model", "OPENCV"))
    if model not in _MODELS:
        raise ValueError(f"camera_model must be one of {', '.join(_MODELS)}, got {model!r}")
    fisheye = model == "OPENCV_FISHEYE" or entry.get("is_fisheye", document.get("is_fisheye")) is True
    k1, k2, k3, k4, p1, p2 = (numbers.get(key, 0.0) for key in _DISTORTION)
    lens = Distortion(k1, k2, k3, k4, p1, p2, fisheye)
    return None if lens.changes_nothing else lens
