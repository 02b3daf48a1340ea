"""Thin gaps and thin limbs of a mask, made wider while an image is too soft to show them."""

import numpy as np


class ThinParts:
    """A mask (H, W) whose gaps and limbs that are narrower than a disc of `radius` px can be widened."""

    def __init__(self, mask: np.ndarray, radius: float):
        from scipy.ndimage import distance_transform_edt

        self._mask = mask
        inside = mask > 0.5
        gaps, limbs = _thin(~inside, radius), _thin(inside, radius)
        self._to_gap = distance_transform_edt(~gaps) if gaps.any() else np.full(mask.shape, np.inf)
        self._to_limb = distance_transform_edt(~limbs) if limbs.any() else np.full(mask.shape, np.inf)

    def widened(self, by: float) -> np.ndarray:
        """Return the mask with `by` px more on each side of a gap or limb; where the two meet, it stays as it is."""
        near_gap = np.clip(by + 0.5 - self._to_gap, 0, 1)
        near_limb = np.clip(by + 0.5 - self._to_limb, 0, 1)
        gap = near_gap * (1 - near_limb * LIMB_BLOCKS)
        limb = near_limb * (1 - near_gap)
        return (self._mask * (1 - gap) + (1 - self._mask) * limb).astype(self._mask.dtype)


LIMB_BLOCKS = 0.0


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
