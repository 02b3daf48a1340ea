"""Photos with cameras, read from `transforms.json`, COLMAP and IDR/NeuS folders, and written as any of them.

World coordinates are never changed: a mesh fitted to a scene lies where the scene's files have their origin and axes.
"""

import os
import re
import secrets
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from PIL import Image

from ..camera import Camera
from ..color import to_bytes
from ..distortion import Distortion
from ..lens_models import can_hold
from . import colmap, idr, transforms
from .frame import Frame
from .mask import save_mask
from .photo import Photo

__all__ = ["Change", "Distortion", "Format", "Frame", "Scene", "changes", "held_camera", "read_scene", "write_scene"]

Format = Literal["transforms", "colmap", "idr"]
Change = Literal["distortion", "skew", "mirror"]

_WRITERS = {"transforms": transforms.write, "colmap": colmap.write, "idr": idr.write}
_UNSEEN_SHEAR = 0.01  # px between the photo's top and bottom: rounding in a calibration, not a skew


@dataclass(frozen=True)
class Scene:
    """The frames of a directory in one of the formats. Raises ValueError if there are none or two have one name."""

    directory: Path
    format: Format
    frames: tuple[Frame, ...]

    def __post_init__(self) -> None:
        if not self.frames:
            raise ValueError(f"{self.directory}: the scene has no photos")
        twice = [name for name, count in Counter(frame.name for frame in self.frames).items() if count > 1]
        if twice:
            images = " and ".join(str(frame.image) for frame in self.frames if frame.name == twice[0])
            raise ValueError(f"{self.directory}: several photos have the name {twice[0]!r}: {images}")


def read_scene(path: str | os.PathLike) -> Scene:
    """Read the cameras of a folder, or of one JSON file like `transforms.json`; of the photos only the size.

    A folder is taken for the first that it has of: transforms.json or transforms_train.json, IDR's cameras_sphere.npz
    or cameras.npz, a COLMAP model. Raises ValueError or FileNotFoundError that names the file and the value.
    """
    path = Path(path)
    if path.is_file():
        if path.suffix.lower() != ".json":
            raise ValueError(f"{path}: a scene is a folder or a .json file like transforms.json")
        return Scene(path.parent, "transforms", tuple(transforms.read(path)))
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: no such folder")
    if (file := transforms.find(path)) is not None:
        return Scene(path, "transforms", tuple(transforms.read(file)))
    if (file := idr.find(path)) is not None:
        return Scene(path, "idr", tuple(idr.read(file)))
    if (model := colmap.find(path)) is not None:
        return Scene(path, "colmap", tuple(colmap.read(path, model)))
    raise ValueError(
        f"{path}: no cameras found; looked for {', '.join((*transforms.NAMES, *idr.NAMES))}, and for COLMAP's cameras.bin "
        f"or cameras.txt in it, in sparse and in sparse/0"
    )


def write_scene(scene: Scene, directory: str | os.PathLike, format: Format) -> Scene:
    """Write a scene in a format, with copies of its photos and masks, whole or not at all; return it as read again.

    Photos of which `changes` is not empty are resampled for a camera that the format can hold and written as PNG. IDR's
    photos are PNG always, and numbered; there alpha becomes a mask. COLMAP's model is text, without points, and spaces in
    names are underscores. Raises FileExistsError if the directory has anything in it, and what `Frame.load` raises.
    """
    if format not in get_args(Format):
        raise ValueError(f"format must be one of {', '.join(get_args(Format))}, got {format!r}")
    with _whole_directory(Path(os.path.abspath(directory))) as folder:
        pairs = zip(scene.frames, _names(scene, format), strict=True)
        _WRITERS[format]([_copied(frame, name, folder, format) for frame, name in pairs], folder)
    return read_scene(directory)


def changes(frame: Frame, format: Format) -> frozenset[Change]:
    """Return what of a frame's calibration a format cannot hold.

    "distortion" is taken out of the photo. "skew" becomes a shear of the photo that leaves its middle row in place.
    "mirror", a negative fy, turns the photo upside down, y to H - y: such a calibration mirrors the world, so photos
    that fit an unmirrored camera in that same world are mirror images. R, t and the world stay as they are.
    """
    found: set[Change] = set()
    if format != "idr":
        if abs(_shear(frame.camera)) * frame.camera.size[0] > _UNSEEN_SHEAR:
            found.add("skew")
        if frame.camera.K[1, 1] < 0:
            found.add("mirror")
    lens = frame.distortion
    # A lens that was round about the old K would not be about a new one.
    if lens is not None and (found or format == "idr" or (format == "colmap" and not can_hold(lens))):
        found.add("distortion")
    return frozenset(found)


def held_camera(camera: Camera, format: Format) -> Camera:
    """Return the camera of the same place, R and size that a format can hold: without skew, fy positive, except in IDR."""
    if format == "idr":
        return camera
    height, shear = camera.size[0], _shear(camera)
    K = np.array([[1, -shear, shear * height / 2], [0, 1, 0], [0, 0, 1]]) @ camera.K
    K[0, 1] = 0  # where rounding left something
    if K[1, 1] < 0:
        K = np.array([[1, 0, 0], [0, -1, height], [0, 0, 1]]) @ K
    return replace(camera, K=K)


def _shear(camera: Camera) -> float:
    """Return the px that skew moves the image to the right for each px further down."""
    return float(camera.K[0, 1] / camera.K[1, 1])


def _names(scene: Scene, format: Format) -> list[str]:
    """Return the name of each frame in a format."""
    if format == "idr":
        digits = max(3, len(str(len(scene.frames) - 1)))  # NeuS takes photos in the order of their names
        return [f"{index:0{digits}d}" for index in range(len(scene.frames))]
    names = [frame.name for frame in scene.frames]
    if format == "colmap":  # which reads a name in a text file up to the first space
        names = [re.sub(r"\s", "_", name) for name in names]
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise ValueError(f"{scene.directory}: several photos have the name {twice[0]!r} if spaces are underscores")
    return names


def _copied(frame: Frame, name: str, folder: Path, format: Format) -> Frame:
    """Write a frame's photo and mask below a folder, as they are where that is possible, and return the copies' frame."""
    resampled = bool(changes(frame, format))
    camera = held_camera(frame.camera, format)
    copies_photo = not resampled and format != "idr"  # its photos are PNG
    copies_mask = not resampled and frame.mask is not None and _is_plain_png(frame.mask)
    image_folder, mask_folder = ("image", "mask") if format == "idr" else ("images", "masks")
    image = folder / image_folder / (name + (frame.image.suffix if copies_photo else ".png"))
    mask = folder / mask_folder / (f"{name}{image.suffix}.png" if format == "colmap" else f"{name}.png")
    image.parent.mkdir(parents=True, exist_ok=True)

    values: np.ndarray | None = None
    if not copies_photo or not (copies_mask or frame.mask is None):
        if resampled:
            photo, values = frame.load_as(camera)
        else:
            photo, values = replace(frame, mask=None if copies_mask else frame.mask, distortion=None).load()
        if not copies_photo:
            _save_photo(photo, image)
        if format == "idr" and frame.mask is None:
            values = photo.alpha
    if copies_photo:
        shutil.copyfile(frame.image, image)
    has_mask = copies_mask or values is not None
    if has_mask:
        mask.parent.mkdir(parents=True, exist_ok=True)
    if copies_mask and frame.mask is not None:
        shutil.copyfile(frame.mask, mask)
    elif values is not None:
        save_mask(values, mask)
    return Frame(name, image, mask if has_mask else None, camera, None if resampled else frame.distortion)


def _save_photo(photo: Photo, path: Path) -> None:
    values = photo.image if photo.alpha is None else np.dstack([photo.image, photo.alpha])
    Image.fromarray(to_bytes(values)).save(path)


def _is_plain_png(path: Path) -> bool:
    """Whether an image is a PNG that everybody takes for the same mask: alpha, palettes and 16 bits are read differently."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with Image.open(path) as picture:
            return picture.format == "PNG" and picture.mode in ("1", "L", "RGB") and "transparency" not in picture.info
    except OSError:
        return False  # `load_mask` says what is wrong


@contextmanager
def _whole_directory(directory: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `directory`; rename it to that on success, remove it on error."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise FileExistsError(f"{directory}: exists and is not an empty folder")
    directory.parent.mkdir(parents=True, exist_ok=True)
    temporary = directory.with_name(f".{directory.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    temporary.mkdir()
    try:
        yield temporary
        if directory.exists():
            directory.rmdir()  # empty, but not every system renames over it
        os.replace(temporary, directory)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
