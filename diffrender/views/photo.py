"""Photos and masks from image files."""

import os
import warnings
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from ..color import srgb_to_linear

_SMALLEST = 8  # px


@dataclass(frozen=True)
class Photo:
    """A linear RGB image (H, W, 3) float32 in [0, 1], and alpha (H, W) or None if the file is opaque."""

    image: np.ndarray
    alpha: np.ndarray | None = None


def load_photo(path: str | os.PathLike) -> Photo:
    """Read a photo: turned as its EXIF says, of any mode and depth that Pillow reads, its colour profile applied.

    Raises FileNotFoundError or IsADirectoryError, or ValueError that names the file when it is not an image, damaged,
    or under 8 px on a side.
    """
    picture = _open(Path(path))
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        grey = _normalised(np.asarray(picture), path)
        return Photo(np.repeat(srgb_to_linear(grey)[..., None], 3, axis=2))
    alpha = None
    if "A" in picture.getbands() or "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        alpha = np.asarray(rgba.getchannel("A"), np.float32) / 255
        picture = _without_alpha(rgba, picture)
    rgb = np.asarray(_to_srgb(picture), np.float32) / 255
    if alpha is not None and (alpha == 1).all():
        alpha = None
    return Photo(srgb_to_linear(rgb), alpha)


def load_mask(path: str | os.PathLike, size: tuple[int, int]) -> np.ndarray:
    """Read a mask for a photo of size (H, W) as (H, W) float32 in [0, 1]: white is the object, or what is opaque in a
    file whose alpha says more than its colour.

    Raises what `load_photo` raises, and ValueError for another size or a mask that is empty or full.
    """
    picture = _open(Path(path))
    if (picture.height, picture.width) != tuple(size):
        raise ValueError(
            f"{path}: the mask is {picture.width}x{picture.height} px, but the photo is {size[1]}x{size[0]} px"
        )
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        mask = _normalised(np.asarray(picture), path)
    else:
        mask = np.asarray(picture.convert("RGB").convert("L"), np.float32) / 255
        if "A" in picture.getbands() or "transparency" in picture.info:
            alpha = np.asarray(picture.convert("RGBA").getchannel("A"), np.float32) / 255
            mask = alpha if np.ptp(mask) == 0 or not (mask[alpha > 0.5] < 0.5).any() else mask * alpha
    share = float((mask > 0.5).mean())
    if share in (0.0, 1.0):
        raise ValueError(f"{path}: the mask is {'full' if share else 'empty'}: {share:.0%} of its pixels are white")
    return mask


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return an image (H, W) or (H, W, C) float32 of size (H', W'), each pixel the mean of the area it covers.

    A tent filter, widened when shrinking: unlike Lanczos it cannot leave the range of the values.
    """
    if image.shape[:2] == tuple(size):
        return image.astype(np.float32)
    if image.ndim == 3:
        return np.stack([resize(image[..., channel], size) for channel in range(image.shape[2])], axis=2)
    resampling = Image.Resampling.BOX if image.shape[0] >= size[0] else Image.Resampling.BILINEAR
    plane = Image.fromarray(np.ascontiguousarray(image, np.float32))
    return np.asarray(plane.resize((size[1], size[0]), resampling))


def _open(path: Path) -> Image.Image:
    if path.is_dir():
        raise IsADirectoryError(f"{path}: is a directory, not an image")
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            opened = Image.open(BytesIO(path.read_bytes()))
            opened.load()
            picture: Image.Image = ImageOps.exif_transpose(opened)
    except UnidentifiedImageError:
        raise ValueError(f"{path}: not an image that Pillow can read") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ValueError(f"{path}: too large, more than {Image.MAX_IMAGE_PIXELS:,} pixels") from None
    except PermissionError:
        raise
    except Exception as error:  # Pillow raises OSError, SyntaxError, struct.error and more for damaged files
        raise ValueError(f"{path}: damaged image ({error})") from error
    if min(picture.size) < _SMALLEST:
        raise ValueError(
            f"{path}: too small, {picture.width}x{picture.height} px; at least {_SMALLEST}x{_SMALLEST} needed"
        )
    return picture


def _normalised(values: np.ndarray, path: str | os.PathLike) -> np.ndarray:
    """Scale a one-channel image of more than 8 bits to [0, 1]: integers by 16 bits, floats as they are."""
    if np.issubdtype(values.dtype, np.integer):
        return np.clip(values.astype(np.float32) / 65535, 0, 1)
    if not np.isfinite(values).all():
        raise ValueError(f"{path}: has {int((~np.isfinite(values)).sum())} pixels that are NaN or infinite")
    top = float(values.max())
    scale = 1.0 if top <= 1 else 255.0 if top <= 255 else 65535.0
    return np.clip(values.astype(np.float32) / scale, 0, 1)


def _without_alpha(rgba: Image.Image, original: Image.Image) -> Image.Image:
    flat = rgba.convert("RGB")
    if profile := original.info.get("icc_profile"):
        flat.info["icc_profile"] = profile
    return flat


def _to_srgb(picture: Image.Image) -> Image.Image:
    profile = picture.info.get("icc_profile")
    if profile and picture.mode in ("RGB", "CMYK", "L"):
        try:
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            converted = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass  # an unusable profile is no reason to refuse the photo
    return picture.convert("RGB")
