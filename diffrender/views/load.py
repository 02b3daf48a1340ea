"""Views from a folder of photos whose cameras are known."""

import os
import warnings

from .masks import find_masks
from .scene import read_scene
from .view import View

_SMALLEST_SHARE, _LARGEST_SHARE = 0.001, 0.98  # of a photo, that its object may fill


def load_views(path: str | os.PathLike) -> list[View]:
    """Return the views of a posed photo set, by name in the order of its frames: photos undistorted, masks read or found.

    A mask is the frame's own, else the photo's transparency, else found in all photos that have none together; a photo in
    which nothing is found is left out with a warning that names it. Raises what `read_scene` and `Frame.load` raise,
    and ValueError if no photo shows an object.
    """
    scene = read_scene(path)
    photos, masks = [], []
    for frame in scene.frames:
        photo, mask = frame.load()
        photos.append(photo)
        masks.append(photo.alpha if mask is None else mask)
    without = [number for number, mask in enumerate(masks) if mask is None]
    if without:
        for number, mask in zip(without, find_masks([photos[number] for number in without]), strict=True):
            masks[number] = mask
    views = []
    for frame, photo, mask in zip(scene.frames, photos, masks, strict=True):
        assert mask is not None
        share = float((mask > 0.5).mean())
        if not _SMALLEST_SHARE <= share <= _LARGEST_SHARE:
            warnings.warn(f"{frame.image}: left out, its mask covers {share:.1%} of the photo", stacklevel=2)
            continue
        views.append(View(photo.image, mask, frame.camera, frame.name))
    if not views:
        raise ValueError(f"{path}: found no object in any of the {len(photos)} photos; put masks beside them")
    return views
