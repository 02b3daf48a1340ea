"""A texture's image in a file and in memory."""

import warnings
from io import BytesIO

import numpy as np

from ..color import srgb_to_linear, to_bytes

_DEEP = 65535  # white of a grey image of 16 bits


def decode(content: bytes, name: str) -> np.ndarray:
    """Return the linear RGB (H, W, 3) float32 of an image file's bytes, without its transparency.

    Raises ValueError that gives `name` for what is no image, damaged or too large. A colour profile does not count,
    and nor does the orientation that a camera has noted, as glTF 2.0 says of textures.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            opened = Image.open(BytesIO(content))
            opened.load()
            picture: Image.Image = opened
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ValueError(f"{name}: too large, more than {Image.MAX_IMAGE_PIXELS:,} pixels") from None
    except Exception as error:  # Pillow raises OSError, SyntaxError, struct.error and more for damaged files
        raise ValueError(f"{name}: not a readable image ({error})") from error
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        grey = np.clip(np.asarray(picture, np.float32) / _DEEP, 0, 1)
        return np.repeat(srgb_to_linear(grey)[..., None], 3, axis=2)
    if "transparency" in picture.info:  # of one colour, or of a palette: Pillow warns where it would be lost
        picture = picture.convert("RGBA")
    shades = srgb_to_linear(np.arange(256, dtype=np.float32) / 255)
    return shades[np.asarray(picture.convert("RGB"))]


def encode(image: np.ndarray) -> bytes:
    """Return the bytes of a PNG of linear RGB (H, W, 3): sRGB of 8 bits, from which `decode` makes the same 8 bits."""
    from PIL import Image

    rows = [to_bytes(part) for part in np.array_split(image, max(1, len(image) // 256))]  # the curve takes much memory
    file = BytesIO()
    Image.fromarray(np.concatenate(rows)).save(file, "PNG")
    return file.getvalue()
