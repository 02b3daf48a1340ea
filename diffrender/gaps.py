"""Narrow gaps of a mask, made wider for as long as a mesh is too coarse, and its image too soft, to enter them."""

import numpy as np


class Gaps:
    """The gaps of a mask (H, W) that no disc of `radius` px fits into, but for nicks of less than radius^2 px^2."""

    def __init__(self, mask: np.ndarray, radius: float):
        from scipy.ndimage import distance_transform_edt, label

        parts, _ = label(_narrow(mask <= 0.5, radius))
        large = np.bincount(parts.ravel()) >= radius**2
        large[0] = False  # what is in no part
        gaps = large[parts]
        self._mask = mask
        self._distance = distance_transform_edt(~gaps) if gaps.any() else np.full(mask.shape, np.inf)

    def widened(self, by: float) -> np.ndarray:
        """Return the mask without what is up to `by` px from a gap, with a soft edge of 1 px."""
        return (self._mask * np.clip(self._distance - by, 0, 1)).astype(self._mask.dtype)


def _narrow(region: np.ndarray, radius: float) -> np.ndarray:
    """Return the part of a region (H, W) that no disc of `radius` px inside it covers; beyond the image it goes on."""
    from scipy.ndimage import distance_transform_edt

    width = int(np.ceil(2 * radius))
    padded = np.pad(region, width, mode="edge")
    middles = distance_transform_edt(padded) > radius
    if not middles.any():
        return region
    covered = distance_transform_edt(~middles) <= radius
    return (padded & ~covered)[width:-width, width:-width]
