"""Textures: images that cover a mesh by UV coordinates."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from .checks import check_finite

Wrap = Literal["repeat", "clamp"]
Filter = Literal["bilinear", "trilinear"]


@dataclass(frozen=True)
class Texture:
    """An image (H, W, 3) of linear RGB in [0, 1], how it goes on outside of UV [0, 1], and how it is sampled.

    UV (0, 0) is the top left corner of the image and (1, 1) the bottom right one, so the centre of the texel in row 0 and
    column 0 is (0.5 / W, 0.5 / H), as in glTF; OBJ's v goes up. "trilinear" blends between two sizes of the image where it
    is drawn smaller than it is, "bilinear" takes it as it is. float32, or float64 if given so. Raises ValueError for
    another shape, numbers that are not finite or outside [0, 1], or another name.
    """

    image: np.ndarray
    wrap: Wrap = "repeat"
    filter: Filter = "trilinear"

    def __post_init__(self) -> None:
        image = np.asarray(self.image)
        if image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise ValueError(f"a texture's image must have shape (H, W, 3), got {image.shape}")
        image = np.ascontiguousarray(image, np.float64 if image.dtype == np.float64 else np.float32)
        check_finite("a texture's image", image)
        if image.min() < 0 or image.max() > 1:
            raise ValueError(f"a texture's image must lie in [0, 1], got {image.min():.4g} to {image.max():.4g}")
        if self.wrap not in ("repeat", "clamp"):
            raise ValueError(f"wrap must be 'repeat' or 'clamp', got {self.wrap!r}")
        if self.filter not in ("bilinear", "trilinear"):
            raise ValueError(f"filter must be 'bilinear' or 'trilinear', got {self.filter!r}")
        object.__setattr__(self, "image", image)
