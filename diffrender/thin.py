"""Narrow gaps of a mask, made wider while a mesh is too coarse, and its image too soft, to enter them."""

import numpy as np


class Gaps:
    """The gaps of a mask (H, W) that no disc of `radius` px fits into, nicks of a few pixels left out."""

    def __init__(self, mask: np.ndarray, radius: float):
        from scipy.ndimage import distance_transform_edt, label

        self._mask = mask
        gaps, _ = label(_thin(mask <= 0.5, radius))
        large = np.bincount(gaps.ravel()) >= NICK * radius**2
        large[0] = False
        large = large[gaps]
        self._distance = distance_transform_edt(~large) if large.any() else np.full(mask.shape, np.inf)

    def widened(self, by: float) -> np.ndarray:
        """Return the mask without what is up to `by` px from a gap."""
        return (self._mask * np.clip(self._distance - by, 0, 1)).astype(self._mask.dtype)


NICK = 1.0


def _thin(region: np.ndarray, radius: float) -> np.ndarray:
    """Return the part of a region (H, W) that no disc of `radius` px inside it covers; beyond the image it goes on."""
    from scipy.ndimage import distance_transform_edt

    width = int(np.ceil(2 * radius))
    padded = np.pad(region, width, mode="edge")
    core = distance_transform_edt(padded) > radius
    if not core.any():
        return region
    covered = distance_transform_edt(~core) <= radius
    return (padded & ~covered)[width:-width, width:-width]
