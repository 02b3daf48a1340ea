"""The plane that mirrors the object of one photo, found by the colours that two mirrored halves must have in common.

The silhouette says nothing of the plane: some symmetric solid fills a mask whatever the plane is. So each plane tried gets its
smoothest solid, coarsely, and then the photo is asked whether places that mirror each other look alike.
"""

import math

import numpy as np

from .color import linear_to_srgb
from .mirror_rays import Cube, mirror_frame, sampled
from .tomography import symmetric_occupancy
from .views.view import View

_PHOTO = 128  # px of the long side
_LEVELS = ((32, 40),)
_AZIMUTHS = (25, 35, 45, 55, 65)  # degrees that the object is turned by, to either side
_ELEVATIONS = (5, 20, 35)  # degrees that the camera looks down by
_REFINEMENTS = (6.0, 3.0)  # degrees
_OWN_PARTNER = 3  # cells: what is this near to the plane looks like its mirror image, whatever the plane
_BRIGHTNESS = 0.1  # weight of a difference in brightness: the light falls on one half more than on the other
_FOREIGN = 0.5  # difference in sRGB beyond which places are just not the same


def find_normal(view: View) -> np.ndarray:
    """Return the normal (3,) of the plane that mirrors the object of a photo best, for an object that stands upright in the
    photo and is seen half from the front, level or from above.

    Raises ValueError if the object is nowhere to be seen together with its mirror image.
    """
    view = view.limited(_PHOTO)
    tried: dict[tuple[float, float], float] = {
        (side * azimuth, elevation): _mismatch(view, side * azimuth, elevation)
        for azimuth in _AZIMUTHS
        for side in (-1, 1)
        for elevation in _ELEVATIONS
    }
    best = min(tried, key=lambda angles: tried[angles])
    if not math.isfinite(tried[best]):
        raise ValueError("no plane was found that mirrors the object: give its normal instead of 'auto'")
    for step in _REFINEMENTS:
        for angles in [(best[0] + a * step, best[1] + e * step) for a, e in ((-1, 0), (1, 0), (0, -1), (0, 1))]:
            tried[angles] = _mismatch(view, *angles)
        best = min(tried, key=lambda angles: tried[angles])
    return _normal(view, *best)


def _normal(view: View, azimuth: float, elevation: float) -> np.ndarray:
    """Return the normal (3,), in the world, of an upright plane of an object turned by an azimuth, seen from an elevation."""
    turned, above = math.radians(azimuth), math.radians(elevation)
    camera_space = [math.cos(turned), -math.sin(turned) * math.sin(above), math.sin(turned) * math.cos(above)]
    return np.array(camera_space) @ view.camera.R


def _mismatch(view: View, azimuth: float, elevation: float) -> float:
    """Return the mean difference in colour of places that mirror each other where the camera sees both."""
    try:
        frame = mirror_frame(view, _normal(view, azimuth, elevation))
    except ValueError:  # it looks along the plane or the normal
        return math.inf
    cube, occupancy = symmetric_occupancy(view, frame, _LEVELS)
    weight = _seen_twice(occupancy)
    difference = np.minimum(_differences(view, cube), _FOREIGN)
    total = float(weight.sum())
    return float((weight * difference).sum()) / total if total > 0 else math.inf


def _seen_twice(occupancy: np.ndarray) -> np.ndarray:
    """Return how much (P, W, W) the photo sees of a cell and of its partner: about the lesser of the two."""
    before = np.cumprod(1 - occupancy, axis=2)
    seen = occupancy * np.concatenate([np.ones_like(before[:, :, :1]), before[:, :, :-1]], axis=2)
    partner = np.swapaxes(seen, 1, 2)
    number = np.arange(occupancy.shape[1])
    apart = np.abs(number[:, None] - number) > _OWN_PARTNER
    return seen * partner / (seen + partner + 1e-6) * apart


def _differences(view: View, cube: Cube) -> np.ndarray:
    """Return how the colours (P, W) of each row differ from each other (P, W, W), mostly in hue."""
    image = linear_to_srgb(view.image) * view.mask[..., None]
    *channels, mask = sampled(view, cube.frame, cube.phi, cube.w, [*np.moveaxis(image, 2, 0), view.mask])
    colors = np.stack(channels, axis=2) / np.maximum(mask, 0.05)[..., None]
    difference = colors[:, :, None] - colors[:, None]
    brightness = difference.mean(axis=3, keepdims=True)
    return np.sqrt(((difference - brightness) ** 2).sum(axis=3) + _BRIGHTNESS * brightness[..., 0] ** 2)
