"""A mask cut anew along the outline of a pose, to a fraction of a pixel: how much of each pixel is the object."""

from typing import NamedTuple

import numpy as np

_INSET = 0.4  # of the reach: so near to the outline, colours are not taken for one side's
_LOCAL = 0.8  # of the reach: a Gaussian that averages the colours of a side


class Matte(NamedTuple):
    """The share of the object (H, W) in each pixel, and how far that is to be trusted (H, W), from 0 to 1."""

    mask: np.ndarray
    trust: np.ndarray


def matte(image: np.ndarray, alpha: np.ndarray, reach: int) -> Matte:
    """Return the matte of a linear image (H, W, 3) within `reach` px of the outline of alpha (H, W), and alpha elsewhere.

    A pixel of the outline is a mixture of what is inside nearby and what is outside; the less those differ, or the more each
    varies, the less it says. After Hanek & Beetz, The contracting curve density algorithm, 2004.
    """
    from scipy.ndimage import binary_dilation, binary_erosion

    inside = alpha > 0.5
    inset = max(1, round(_INSET * reach))
    fore, fore_spread = _local(image, binary_erosion(inside, iterations=inset, border_value=1), _LOCAL * reach)
    back, back_spread = _local(image, ~binary_dilation(inside, iterations=inset), _LOCAL * reach)
    band = binary_dilation(inside, iterations=reach) & ~binary_erosion(inside, iterations=reach, border_value=1)
    apart = fore - back
    contrast = (apart * apart).sum(axis=2)
    share = ((image - back) * apart).sum(axis=2) / np.maximum(contrast, 1e-9)
    trust = contrast / (contrast + fore_spread + back_spread + 1e-9)
    known = band & np.isfinite(fore[..., 0]) & np.isfinite(back[..., 0])
    mask = np.where(known, np.clip(share, 0, 1), alpha)
    return Matte(mask.astype(np.float32), np.where(known, trust, np.where(band, 0, 1)).astype(np.float32))


def _local(image: np.ndarray, where: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean colour (H, W, 3) of pixels nearby out of those `where`, NaN if there are none, and its variance (H, W)."""
    from scipy.ndimage import gaussian_filter

    share = gaussian_filter(where.astype(np.float64), width, truncate=3)
    share[share < 1e-4] = np.nan
    blur = (width, width, 0)
    mean = gaussian_filter(image * where[..., None].astype(np.float64), blur, truncate=3) / share[..., None]
    square = gaussian_filter((image**2).sum(axis=2) * where, width, truncate=3) / share
    return mean, np.maximum(square - (mean**2).sum(axis=2), 0)
