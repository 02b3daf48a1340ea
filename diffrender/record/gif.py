"""Animated GIFs of a fit and of a finished mesh."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..backend import Name
from ..camera import Camera
from ..files import atomic_path
from ..mesh import Mesh
from ..orbit import middle, orbited
from .picture import headlight, picture

if TYPE_CHECKING:
    from PIL import Image

FRAME_MS = 60
_HOLD_MS = 900
_GUTTER = 6  # px between target and optimisation


def turntable(
    mesh: Mesh, camera: Camera, frames: int = 36, backend: Name = "cpu", down: np.ndarray | None = None
) -> list[np.ndarray]:
    """Return pictures (H, W, 3) uint8 of a mesh seen from a camera that goes once around it, about `down` as `orbited`."""
    if frames < 1:
        raise ValueError(f"a turntable needs at least one frame, got {frames}")
    center = middle(mesh)
    cameras = [orbited(camera, center, 360 * number / frames, down) for number in range(frames)]
    return [picture(mesh, view, headlight(view), backend=backend) for view in cameras]


def beside(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return two pictures (H, W, 3) uint8 of one height with a white gutter between them."""
    gutter = np.full((left.shape[0], _GUTTER, 3), 255, np.uint8)
    return np.concatenate([left, gutter, right], axis=1)


def save_gif(
    frames: Sequence[np.ndarray], path: str | os.PathLike, hold: Sequence[int] = (), frame_ms: int = FRAME_MS
) -> None:
    """Write frames (H, W, 3) uint8 as an endless GIF, the frames numbered in `hold` shown for longer.

    All frames share a palette made of them together, without dithering: colours do not flicker.
    """
    from PIL import Image

    if not len(frames):
        raise ValueError("a GIF needs at least one frame, got none")
    palette = _palette(frames[:: max(1, len(frames) // 16)])
    pages = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    durations = frame_durations(len(frames), hold, frame_ms)
    with atomic_path(path) as temporary:
        pages[0].save(
            temporary, format="GIF", save_all=True, append_images=pages[1:], duration=durations, loop=0, optimize=False
        )


def frame_durations(count: int, hold: Sequence[int], frame_ms: int) -> list[int]:
    """Return for how many ms each of `count` frames is shown: longer for those in `hold`, whose numbers may be negative."""
    held = {number % count for number in hold}
    return [_HOLD_MS if number in held else frame_ms for number in range(count)]


def _palette(frames: Sequence[np.ndarray]) -> Image.Image:
    """Return a picture with a palette of 256 colours for all frames.

    Colours are weighted with the root of their number: a backdrop must not take the palette from a small shadow.
    """
    from PIL import Image

    colors, counts = np.unique(
        np.concatenate([frame[::2, ::2].reshape(-1, 3) // 4 * 4 + 2 for frame in frames]), axis=0, return_counts=True
    )
    weighted = np.repeat(colors, np.ceil(np.sqrt(counts)).astype(int), axis=0)
    return Image.fromarray(weighted[None]).quantize(256, method=Image.Quantize.MEDIANCUT, kmeans=3)
