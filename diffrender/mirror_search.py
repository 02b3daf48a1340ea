"""The plane that mirrors the object of one photo, found by the shades on the solid that it leads to.

The silhouette says nothing of the plane: some symmetric solid fills a mask whatever the plane is. And colours that mirror each
other say little, since where a place's partner is depends on the depth, which is only guessed. But a wrong solid faces the
wrong way, and then no light explains how bright the photo is where.
"""

import math

import numpy as np

from .mirror_rays import mirror_frame
from .mirror_shading import unexplained_shading
from .tomography import symmetric_occupancy
from .views.view import View

_PHOTO = 128  # px of the long side
_LEVELS = ((32, 40),)
_AZIMUTHS = (20, 30, 40, 50, 60)  # degrees that the object is turned by, to either side
_ELEVATIONS = (7, 20, 33)  # degrees that the camera looks down by


def find_normal(view: View) -> np.ndarray:
    """Return the normal (3,) of the plane that most likely mirrors the object of a photo, to about 10 degrees, for an object
    that stands upright in the photo and is seen half from the front, level or from above. It is often wrong.

    Raises ValueError if no plane tried leads to a solid that shows enough of itself.
    """
    view = view.limited(_PHOTO)
    angles = [(side * azimuth, elevation) for azimuth in _AZIMUTHS for side in (-1, 1) for elevation in _ELEVATIONS]
    unexplained = [_unexplained(view, _normal(view, *pair)) for pair in angles]
    best = int(np.argmin(unexplained))
    if not math.isfinite(unexplained[best]):
        raise ValueError("no plane was found that mirrors the object: give its normal instead of 'auto'")
    return _normal(view, *angles[best])


def _normal(view: View, azimuth: float, elevation: float) -> np.ndarray:
    """Return the normal (3,), in the world, of an upright plane of an object turned by an azimuth, seen from an elevation."""
    turned, above = math.radians(azimuth), math.radians(elevation)
    camera_space = [math.cos(turned), -math.sin(turned) * math.sin(above), math.sin(turned) * math.cos(above)]
    return np.array(camera_space) @ view.camera.R


def _unexplained(view: View, normal: np.ndarray) -> float:
    try:
        frame = mirror_frame(view, normal)
    except ValueError:  # it looks along the plane or the normal
        return math.inf
    cube, occupancy = symmetric_occupancy(view, frame, _LEVELS)
    return unexplained_shading(view, cube, occupancy)
