"""The object in many photos of one scene, found together: one colour model of the background and one of the object."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ..color import to_bytes
from ..threads import get_num_threads
from .mask import clean, distance_to_colors, opencv
from .photo import Photo

_MODEL_SIDE = 200  # px of the long side of each photo that the colour models are learnt from
_BORDER = 0.03  # of the shorter side: taken for background in every photo
_SCALE = 8.0  # steps of a colour distance in the bytes that Otsu's threshold is chosen in
_SMALLEST_PART = 0.005  # of the largest one: a hand may look out from behind the body
_SMALLEST_HOLE = 5e-5  # of the photo


def find_masks(photos: Sequence[Photo]) -> list[np.ndarray]:
    """Return the object's mask (H, W) float32, 0 or 1, in each of the photos of one object before one background.

    Colours are learnt from all photos at once, small and stacked into one picture; each photo is then cut at its own size
    with these, so that a bad photo cannot spoil its own model. Raises ModuleNotFoundError with the command to install
    OpenCV where it is missing. Rother et al., GrabCut, 2004.
    """
    cv2 = opencv()
    pictures = [to_bytes(photo.image) for photo in photos]
    small = [_shrunk(cv2, picture) for picture in pictures]
    width = max(picture.shape[1] for picture in small)
    # Photos of other sizes are filled up with pixels that are left out of the guess and called background.
    stack = np.concatenate([np.pad(p, ((0, 0), (0, width - p.shape[1]), (0, 0)), mode="edge") for p in small])
    border = np.concatenate([_border(picture.shape[0], picture.shape[1], width) for picture in small])
    lab = cv2.cvtColor(stack, cv2.COLOR_RGB2LAB).astype(np.float32)
    distance = np.clip(distance_to_colors(lab, lab[border], clusters=8) * _SCALE, 0, 255).astype(np.uint8)
    threshold, _ = cv2.threshold(distance, 0, 255, cv2.THRESH_OTSU)
    labels = np.where(distance > threshold, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[border] = cv2.GC_BGD
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    if (labels == cv2.GC_PR_FGD).sum() < 16:  # one colour everywhere
        return [np.zeros(photo.image.shape[:2], np.float32) for photo in photos]
    cv2.setRNGSeed(0)  # its colour clusters start at random
    cv2.grabCut(stack, labels, None, background, foreground, 4, cv2.GC_INIT_WITH_MASK)
    starts = np.cumsum([0] + [picture.shape[0] for picture in small])

    def cut(number: int) -> np.ndarray:
        height, width = pictures[number].shape[:2]
        rows = slice(starts[number], starts[number + 1])
        guess = np.ascontiguousarray(labels[rows, : small[number].shape[1]])
        guess = cv2.resize(guess, (width, height), interpolation=cv2.INTER_NEAREST)
        guess[guess == cv2.GC_BGD] = cv2.GC_PR_BGD  # with the colours known, an object may reach the photo's border
        models = background.copy(), foreground.copy()
        cv2.grabCut(pictures[number], guess, None, *models, 1, cv2.GC_EVAL_FREEZE_MODEL)
        found = (guess == cv2.GC_FGD) | (guess == cv2.GC_PR_FGD)
        return clean(found, smallest_hole=_SMALLEST_HOLE, smallest_part=_SMALLEST_PART)

    with ThreadPoolExecutor(get_num_threads()) as pool:
        return list(pool.map(cut, range(len(pictures))))


def _shrunk(cv2: Any, picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    scale = min(1.0, _MODEL_SIDE / max(height, width))
    return cv2.resize(
        picture, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA
    )


def _border(height: int, width: int, padded: int) -> np.ndarray:
    """Return the pixels (H, padded) of a photo's border, and those that it is filled up with."""
    band = max(2, round(_BORDER * min(height, width)))
    border = np.ones((height, padded), bool)
    border[band:-band, band : width - band] = False
    return border
