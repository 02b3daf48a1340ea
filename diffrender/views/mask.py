"""The object of a photo: from a mask file, the alpha channel, a plain background or GrabCut."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..color import linear_to_srgb, to_bytes
from ..files import atomic_path
from .photo import Photo, load_mask

Source = Literal["file", "alpha", "background", "grabcut"]

_SMALLEST_SHARE, _LARGEST_SHARE = 0.005, 0.98  # of the photo
_WORKING_SIDE = 360  # px of the long side that GrabCut works at: seconds instead of minutes, as sharp as a fit needs
_BORDER_AGREEMENT = 0.7  # of the border's pixels must fit one smooth colour for it to be a plain background
_BORDER_RUNS = 2  # in which the object may touch the border: a pattern touches it in many


@dataclass(frozen=True)
class Mask:
    """The mask (H, W) float32 in steps of 1/255, as an 8-bit file keeps it, and where it comes from."""

    mask: np.ndarray
    source: Source


def find_mask(photo: Photo, path: str | os.PathLike | None = None) -> Mask:
    """Return the object's mask: from `path`, else the photo's alpha, else a plain background, else GrabCut.

    Raises ValueError if what was found is under 0.5 % or over 98 % of the photo, ModuleNotFoundError with the command to
    install it where OpenCV is needed and missing, and what `load_mask` raises.
    """
    size = photo.image.shape[:2]
    if path is not None:
        return Mask(_quantised(load_mask(Path(path), size)), "file")
    if photo.alpha is not None:
        return _plausible(photo.alpha, "alpha")
    srgb = linear_to_srgb(photo.image)
    plain = _off_plain_background(srgb)
    if plain is not None:
        return _plausible(plain, "background")
    return _plausible(_grabcut(to_bytes(photo.image)), "grabcut")


def save_mask(mask: np.ndarray, path: str | os.PathLike) -> None:
    """Write a mask (H, W) in [0, 1] as an 8-bit PNG."""
    from PIL import Image

    with atomic_path(path) as temporary:
        Image.fromarray(np.rint(mask * 255).astype(np.uint8)).save(temporary)


def _quantised(mask: np.ndarray) -> np.ndarray:
    return (np.rint(np.clip(mask, 0, 1) * 255) / 255).astype(np.float32)


def _plausible(mask: np.ndarray, source: Source) -> Mask:
    share = float((mask > 0.5).mean())
    if not _SMALLEST_SHARE <= share <= _LARGEST_SHARE:
        raise ValueError(
            f"found no object in the photo: the mask (from its {source}) covers {share:.1%} of it; give one with --mask FILE"
        )
    return Mask(_quantised(mask), source)


def _off_plain_background(srgb: np.ndarray) -> np.ndarray | None:
    """Return the pixels that differ from a background of one slowly changing colour, or None if there is none.

    The colour is a quadratic in x and y fitted to the border; pixels of an object that touches it are outliers.
    """
    height, width = srgb.shape[:2]
    band = max(2, round(0.02 * min(height, width)))
    border = np.ones((height, width), bool)
    border[band:-band, band:-band] = False
    y, x = np.mgrid[0:height, 0:width]
    x, y = 2 * x / width - 1, 2 * y / height - 1
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    colors, basis = srgb[border].astype(np.float64), terms[border]
    keep = np.abs(colors - _mode(colors)).max(axis=1) < 0.15
    for _ in range(8):
        if keep.mean() < 0.5 * _BORDER_AGREEMENT:  # a gradient leaves the first guess behind: the fit may grow
            return None
        coefficients = np.linalg.lstsq(basis[keep], colors[keep], rcond=None)[0]
        residual = np.abs(basis @ coefficients - colors).max(axis=1)
        noise = float(np.median(residual[keep])) * 1.5
        keep = residual < max(4 * noise, 0.02)
    if noise > 0.02 or keep.mean() < _BORDER_AGREEMENT:
        return None  # a texture, not a colour
    difference = np.abs(srgb - terms @ coefficients).max(axis=2)
    differs = difference >= max(5 * noise, 0.04)
    return None if _runs_along_border(differs) > _BORDER_RUNS else clean(differs, smallest_hole=0.0002)


def _runs_along_border(differs: np.ndarray) -> int:
    """Return how often the border of a mask (H, W) goes in and out of it, specks left out."""
    from scipy.ndimage import median_filter

    rim = np.concatenate([differs[0, :-1], differs[:-1, -1], differs[-1, :0:-1], differs[:0:-1, 0]])  # once around
    rim = median_filter(rim.astype(np.uint8), 2 * max(1, len(rim) // 200) + 1, mode="wrap")
    return int(np.count_nonzero(rim != np.roll(rim, 1)) / 2)


def _mode(colors: np.ndarray) -> np.ndarray:
    """Return the middle of the most frequent colour, in bins of 1/12."""
    bins = np.clip((colors * 12).astype(int), 0, 11) @ [144, 12, 1]
    values, counts = np.unique(bins, return_counts=True)
    return np.median(colors[bins == values[counts.argmax()]], axis=0)


def clean(mask: np.ndarray, smallest_hole: float, smallest_part: float = 0.1) -> np.ndarray:
    """Keep the parts of at least a share of the largest one; fill holes smaller than a share of the image."""
    from scipy.ndimage import label

    labels, count = label(mask)
    if not count:
        return mask.astype(np.float32)
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    mask = (areas >= smallest_part * areas.max())[labels] & mask
    holes, count = label(~mask)
    if count:
        areas = np.bincount(holes.ravel())
        small = areas < smallest_hole * mask.size
        small[0] = False
        mask |= small[holes]
    return mask.astype(np.float32)


def _grabcut(rgb: np.ndarray) -> np.ndarray:
    """Cut the object out of an RGB image (H, W, 3) uint8. Rother et al., GrabCut, 2004, started from the border.

    Several first guesses run at a small size; the result is the one whose edge lies best on edges of the photo.
    """
    cv2 = opencv()
    cv2.setRNGSeed(0)  # its colour clusters start at random
    height, width = rgb.shape[:2]
    scale = min(1.0, _WORKING_SIDE / max(height, width))
    small = cv2.resize(rgb, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    candidates = [_cut(cv2, small, guess) for guess in _guesses(cv2, small)]
    best = max(candidates, key=lambda mask: _score(cv2, small, mask))
    best = clean(_smoothed(cv2, best), smallest_hole=0.01) > 0.5
    if scale == 1.0:
        return best.astype(np.float32)
    large = cv2.resize(best.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return (large > 0.5).astype(np.float32)


def _guesses(cv2: Any, image: np.ndarray) -> list[np.ndarray]:
    """Return first guesses in GrabCut's labels: the border is background, what differs from it most is the object."""
    height, width = image.shape[:2]
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32)
    band = max(2, round(0.03 * min(height, width)))
    border = np.ones((height, width), bool)
    border[band:-band, band:-band] = False
    distance = distance_to_colors(lab, lab[border])
    y, x = np.mgrid[0:height, 0:width]
    radius = np.hypot((x - width / 2) / (width / 2), (y - height / 2) / (height / 2))
    guesses = []
    for margin in (0.04, 0.1):
        guess = np.full((height, width), cv2.GC_PR_FGD, np.uint8)
        inset_y, inset_x = max(1, round(margin * height)), max(1, round(margin * width))
        outside = np.ones((height, width), bool)
        outside[inset_y:-inset_y, inset_x:-inset_x] = False
        guess[outside] = cv2.GC_BGD
        guesses.append(guess)
    for share in (0.2, 0.35, 0.5):
        salience = distance * np.exp(-(radius**2))
        guess = np.where(salience > np.quantile(salience, 1 - share), cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
        guess[border] = cv2.GC_BGD
        guesses.append(guess)
    guess = np.where(radius < 0.75, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    guess[border] = cv2.GC_BGD
    guesses.append(guess)
    return guesses


def distance_to_colors(lab: np.ndarray, samples: np.ndarray, clusters: int = 6) -> np.ndarray:
    """Return the distance (H, W) of each pixel to the nearest of the samples' colour clusters, in their own spread."""
    from scipy.cluster.vq import kmeans2

    centers, labels = kmeans2(samples.astype(np.float64), clusters, minit="++", seed=0)
    distances = []
    for number, center in enumerate(centers):
        own = samples[labels == number]
        if len(own) < 8:
            continue
        precision = np.linalg.inv(np.cov(own.T) + 9 * np.eye(3))
        offset = lab - center
        distances.append(np.sqrt(np.einsum("hwi,ij,hwj->hw", offset, precision, offset)))
    return np.min(distances, axis=0)


def _cut(cv2: Any, image: np.ndarray, guess: np.ndarray, iterations: int = 4) -> np.ndarray:
    labels = guess.copy()
    possible = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    if possible.sum() < 16 or (~possible).sum() < 16:
        return possible
    cv2.grabCut(image, labels, None, np.zeros((1, 65)), np.zeros((1, 65)), iterations, cv2.GC_INIT_WITH_MASK)
    return (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)


def _smoothed(cv2: Any, mask: np.ndarray) -> np.ndarray:
    """Take off hairs and fill cracks with a disc of 1 % of the image, then keep the edge's curve."""
    radius = max(1, round(0.008 * max(mask.shape)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, disc)
    return cv2.morphologyEx(closed, cv2.MORPH_OPEN, disc) > 0


def _score(cv2: Any, image: np.ndarray, mask: np.ndarray) -> float:
    """Judge a cut: its edge lies on edges of the photo, it is compact, in the middle, and does not run along the border."""
    kept = clean(_smoothed(cv2, mask), smallest_hole=0.01) > 0.5
    share = kept.mean()
    if not 0.02 < share < 0.9:
        return -1.0
    lab = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32), (0, 0), 1.0)
    gradient = np.sqrt(sum(cv2.Sobel(lab, cv2.CV_32F, dx, dy).__pow__(2).sum(axis=2) for dx, dy in ((1, 0), (0, 1))))
    gradient = gradient / (np.quantile(gradient, 0.95) + 1e-6)
    edge = cv2.morphologyEx(kept.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    contrast = float(np.minimum(gradient[edge], 1).mean())
    perimeter = edge.sum() / 2
    compactness = min(1.0, 4 * np.pi * kept.sum() / perimeter**2)
    rim = np.concatenate([kept[0], kept[-1], kept[:, 0], kept[:, -1]])
    center = np.argwhere(kept).mean(axis=0) / kept.shape - 0.5
    return (
        contrast + 0.3 * compactness - 0.5 * float(rim.mean()) - 0.5 * float(np.hypot(*center)) + 0.2 * min(share, 0.3)
    )


def opencv() -> Any:
    try:
        import cv2
    except ImportError:
        raise ModuleNotFoundError(
            "finding the object in this photo needs OpenCV: run `pip install opencv-python-headless`, "
            "or give a mask with --mask FILE"
        ) from None
    return cv2
