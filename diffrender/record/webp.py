"""Animated WebP: all colours, a fraction of a GIF's size."""

import os
from collections.abc import Sequence

import numpy as np

from ..files import atomic_path
from .gif import FRAME_MS, frame_durations

_QUALITY = 85  # of 100


def save_webp(
    frames: Sequence[np.ndarray], path: str | os.PathLike, hold: Sequence[int] = (), frame_ms: int = FRAME_MS
) -> None:
    """Write frames (H, W, 3) uint8 of one size as an endless WebP, the frames numbered in `hold` shown for longer.

    Raises ValueError for no frames, or a Pillow that was built without animated WebP.
    """
    from PIL import Image

    if not len(frames):
        raise ValueError("a WebP needs at least one frame, got none")
    Image.init()  # else Pillow has not yet looked what it can write
    if "WEBP" not in Image.SAVE_ALL:
        raise ValueError(
            f"{path}: this Pillow was built without animated WebP; write a .gif, or install Pillow's wheel"
        )
    pages = [Image.fromarray(frame) for frame in frames]
    durations = frame_durations(len(frames), hold, frame_ms)
    with atomic_path(path) as temporary:
        pages[0].save(
            temporary,
            format="WEBP",
            save_all=True,
            append_images=pages[1:],
            duration=durations,
            loop=0,
            quality=_QUALITY,
            method=4,  # of 6: the last two take twice as long for some per cent
        )
