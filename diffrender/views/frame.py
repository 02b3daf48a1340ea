"""One posed photo of a scene: where its files are, its camera and its lens."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from ..camera import Camera
from ..distortion import Distortion
from .distortion import sample, source_pixels
from .photo import Photo, load_mask, load_photo

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
_EXIF_ORIENTATION = 0x0112


@dataclass(frozen=True)
class Frame:
    """A photo of a scene, its mask if there is one, its pinhole camera of the photo's size, and its lens.

    `name` is unique in the scene: the photo's stem, or its path without suffix where stems collide. Pixels are the
    stored ones, not turned by EXIF, since calibrations count those. Raises ValueError for a name that is no such path, or a
    camera with a lens of its own: the photo is undistorted for it.
    """

    name: str
    image: Path
    mask: Path | None
    camera: Camera
    distortion: Distortion | None = None

    def __post_init__(self) -> None:
        path = PurePosixPath(self.name)
        if not path.parts or path.is_absolute() or ".." in path.parts or "\\" in self.name:
            raise ValueError(f"name must be a relative path without '..', got {self.name!r}")
        self.camera.require_pinhole("a photo of a scene")

    def load(self) -> tuple[Photo, np.ndarray | None]:
        """Read the photo and its mask (H, W) float32 as the pinhole camera sees them.

        Pixels that the distorted photo does not have get its nearest colour, and 0 in the mask and in alpha. Raises what
        `load_photo` and `load_mask` raise, and ValueError that names a photo which is not of the camera's size.
        """
        return self.load_as(self.camera)

    def load_as(self, camera: Camera) -> tuple[Photo, np.ndarray | None]:
        """Read the photo and its mask as `camera`, which differs from the frame's in K and size only, would see them."""
        photo = _unturned(load_photo(self.image), self.image)
        height, width = self.camera.size
        if photo.image.shape[:2] != (height, width):
            raise _other_size(self.image, photo.image.shape[:2], f"its camera is for {width}x{height} px")
        mask = None if self.mask is None else load_mask(self.mask, (height, width))
        if self.distortion is None and camera.size == self.camera.size and np.array_equal(camera.K, self.camera.K):
            return photo, mask
        pixels, inside = source_pixels(camera, self.camera, self.distortion)
        alpha, mask = (None if values is None else sample(values, pixels) * inside for values in (photo.alpha, mask))
        return Photo(sample(photo.image, pixels), alpha), mask


def photo_size(path: Path) -> tuple[int, int]:
    """Return the size (H, W) in px of an image's stored pixels, from its header. Raises FileNotFoundError, or ValueError
    that names the file."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with Image.open(path) as picture:
            return picture.height, picture.width
    except PermissionError:
        raise
    except Exception as error:  # Pillow raises OSError, SyntaxError, struct.error and more for damaged files
        raise ValueError(f"{path}: not an image that Pillow can read") from error


def compare_size(path: Path, found: tuple[int, int], wanted: tuple[float, float], source: Path) -> None:
    """Raise ValueError with both sizes (H, W) if the photo's is not the one that the file `source` says."""
    if found != wanted:
        raise _other_size(path, found, f"{source} says {wanted[1]:g}x{wanted[0]:g} px")


def photo_names(images: Sequence[Path]) -> list[str]:
    """Return a name for each photo: its stem, or, where stems collide, its path without suffix from the folder that all
    photos are in."""
    stems = Counter(path.stem for path in images)
    if len(stems) == len(images):
        return [path.stem for path in images]
    whole = [Path(os.path.abspath(path)) for path in images]
    top = os.path.commonpath([path.parent for path in whole])
    return [path.stem if stems[path.stem] == 1 else path.with_suffix("").relative_to(top).as_posix() for path in whole]


def _other_size(path: Path, found: tuple[int, ...], wanted: str) -> ValueError:
    return ValueError(f"{path}: the photo is {found[1]}x{found[0]} px, but {wanted}")


def _unturned(photo: Photo, path: Path) -> Photo:
    """Undo what `load_photo` did for the photo's EXIF orientation."""
    with Image.open(path) as picture:
        orientation = picture.getexif().get(_EXIF_ORIENTATION, 1)
    if orientation not in range(2, 9):
        return photo

    def back(values: np.ndarray) -> np.ndarray:
        if orientation >= 5:  # rows are columns
            values = values.swapaxes(0, 1)
        rows = -1 if orientation in (3, 4, 6, 7) else 1
        columns = -1 if orientation in (2, 3, 7, 8) else 1
        return np.ascontiguousarray(values[::rows, ::columns])

    return Photo(back(photo.image), None if photo.alpha is None else back(photo.alpha))
