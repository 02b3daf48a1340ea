"""One photo with what is known of it: the pixels, the object's mask and the camera."""

import os
from dataclasses import dataclass

import numpy as np

from ..camera import Camera
from ..checks import check_finite


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
            if values.min() < 0 or values.max() > 1:
                raise ValueError(f"{name} must lie in [0, 1], got {values.min():.4g} to {values.max():.4g}")
        if not (mask > 0.5).any():
            raise ValueError("the mask is empty: no pixel is above 0.5")
        object.__setattr__(self, "image", image)
        object.__setattr__(self, "mask", mask)

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

    def cropped(self, margin: int) -> "View":
        """Return the part of the view within `margin` px of the mask: what a fit compares, without the empty rest."""
        top, bottom, left, right = (
            bound
            for axis in (1, 0)
            for places in [np.flatnonzero((self.mask > 0).any(axis=axis))]
            for bound in (max(0, places[0] - margin), min(self.mask.shape[1 - axis], places[-1] + 1 + margin))
        )
        window = slice(top, bottom), slice(left, right)
        K = self.camera.K - [[0, 0, left], [0, 0, top], [0, 0, 0]]
        camera = Camera(K, self.camera.R, self.camera.t, (bottom - top, right - left))
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
