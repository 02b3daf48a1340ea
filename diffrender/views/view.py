"""One photo with what is known of it: the pixels, the object's mask and the camera."""

import os
from dataclasses import dataclass, replace

import numpy as np

from ..camera import Camera
from ..checks import check_finite

_RIM = 0.02  # of the long side
_ROUNDING = 1e-5  # that a render may be out of [0, 1] by


@dataclass(frozen=True)
class View:
    """A linear RGB image (H, W, 3) in [0, 1], the object's mask (H, W) in [0, 1] and the camera, all of one size; and a name.

    Raises ValueError for shapes that differ, values out of range or an empty mask.
    """

    image: np.ndarray
    mask: np.ndarray
    camera: Camera
    name: str = ""

    def __post_init__(self) -> None:
        image, mask = np.asarray(self.image, np.float32), np.asarray(self.mask, np.float32)
        size = tuple(self.camera.size)
        if image.shape != (*size, 3):
            raise ValueError(f"image must have shape {(*size, 3)} like the camera's size, got {image.shape}")
        if mask.shape != size:
            raise ValueError(f"mask must have shape {size} like the camera's size, got {mask.shape}")
        for name, values in (("image", image), ("mask", mask)):
            check_finite(name, values)
            low, high = values.min(), values.max()
            if low < -_ROUNDING or high > 1 + _ROUNDING:
                raise ValueError(f"{name} must lie in [0, 1], got {low:.4g} to {high:.4g}")
            object.__setattr__(self, name, values if low >= 0 and high <= 1 else np.clip(values, 0, 1))
        if not (mask > 0.5).any():
            raise ValueError("the mask is empty: no pixel is above 0.5")

    def resized(self, size: tuple[int, int]) -> "View":
        """Return the view scaled to size (H, W) by averaging."""
        from .photo import resize

        if tuple(size) == tuple(self.camera.size):
            return self
        image, mask = (np.clip(resize(values, size), 0, 1) for values in (self.image, self.mask))
        return View(image, mask, self.camera.resized(size), self.name)

    def limited(self, long_side: int) -> "View":
        """Return the view scaled down so that its long side has at most `long_side` px."""
        scale = min(1.0, long_side / max(self.camera.size))
        height, width = self.camera.size
        return self.resized((max(1, round(height * scale)), max(1, round(width * scale))))

    def cut_off_border(self) -> int:
        """Return the width in px of the photo's border that says nothing, since the object goes on beyond it; 0 if it ends
        before. Scans and video frames have a dark rim, where the object seems to end."""
        width = max(1, round(_RIM * max(self.mask.shape)))
        inner = self.mask[width:-width, width:-width] > 0.5
        if not inner.size:
            return 0
        return width if max(inner[0].sum(), inner[-1].sum(), inner[:, 0].sum(), inner[:, -1].sum()) else 0

    def cropped(self, margin: int) -> "View":
        """Return the part of the view within `margin` px of the mask, less the border where the photo cuts the object off:
        what a fit compares, without the empty rest."""
        border = self.cut_off_border()
        low, high = [], []
        for axis, length in enumerate(self.mask.shape):
            places = np.flatnonzero((self.mask > 0.5).any(axis=1 - axis))
            low.append(max(border, int(places[0]) - margin))
            high.append(min(length - border, int(places[-1]) + 1 + margin))
        window = slice(low[0], high[0]), slice(low[1], high[1])
        K = self.camera.K - [[0, 0, low[1]], [0, 0, low[0]], [0, 0, 0]]
        camera = replace(self.camera, K=K, size=(high[0] - low[0], high[1] - low[1]))
        return View(self.image[window], self.mask[window], camera, self.name)

    @staticmethod
    def from_photo(path: str | os.PathLike, mask_path: str | os.PathLike | None = None) -> "View":
        """Return the view of a lone photo of which nothing is known: the mask is read or found, the camera assumed.

        Raises what `load_photo` and `find_mask` raise.
        """
        from ..placement import photo_camera
        from .mask import find_mask
        from .photo import load_photo

        photo = load_photo(path)
        mask = find_mask(photo, mask_path).mask
        return View(photo.image, mask, photo_camera(mask.shape))
