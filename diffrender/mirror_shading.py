"""How badly one light explains the shades of a photo on a solid: least on a solid whose surface faces where the object's does."""

import numpy as np

from .color import linear_to_srgb, srgb_to_linear
from .mirror_rays import Cube, sampled
from .views.view import View

_WHOLE = 0.8  # of a cell is in the mask: the edge's colours are mixed with the background
_MET = 0.3  # of a cell's light meets the solid
_SAME_HUE = 0.1  # difference in sRGB over brightness below which places count as of one colour
_DARKEST = 0.005  # linear: of what is black, the shade says nothing
_STRONGEST = 1.5  # difference of logarithms beyond which it is not the light
_RIDGE = 1e-3  # of a sum of squares of normals


def unexplained_shading(view: View, cube: Cube, occupancy: np.ndarray) -> float:
    """Return the share of the variation in brightness between places of one hue that no light far away explains.

    It is 0 if their brightness is a quadric of the normals of the solid, `occupancy` (P, W, W), where the photo sees it, and
    1 if these say nothing: infinite if too little is seen. Of what shades an object, the low frequencies alone are left:
    Ramamoorthi & Hanrahan, An Efficient Representation for Irradiance Environment Maps, 2001.
    """
    image = linear_to_srgb(view.image) * view.mask[..., None]
    *channels, mask = sampled(view, cube.frame, cube.phi, cube.w, [*np.moveaxis(image, 2, 0), view.mask])
    met, normals = _seen_normals(cube, occupancy)
    used = (mask > _WHOLE) & (met > _MET)
    x, y, z = normals[used].T
    light = np.stack([x, y, z, x * x, y * y, x * y, x * z, y * z], axis=1)
    if len(light) <= light.shape[1]:
        return np.inf
    colors = (np.stack(channels, axis=2) / np.maximum(mask, 0.05)[..., None])[used]
    gray = colors.mean(axis=1, keepdims=True)
    hue = (colors - gray) / np.maximum(gray, 0.08)
    brightness = np.log(np.maximum(srgb_to_linear(gray), _DARKEST))
    # An object has dark and light parts: each place is compared with the mean of those of its hue.
    alike = np.exp(-0.5 * ((hue[:, None] - hue) ** 2).sum(axis=2) / _SAME_HUE**2)
    alike /= alike.sum(axis=1, keepdims=True)
    brightness = np.clip(brightness - alike @ brightness, -_STRONGEST, _STRONGEST)
    light = light - alike @ light
    ridge = _RIDGE * len(light) * np.eye(light.shape[1])
    left = brightness - light @ np.linalg.solve(light.T @ light + ridge, light.T @ brightness)
    return float(np.abs(left).mean() / max(np.abs(brightness).mean(), 1e-9))


def _seen_normals(cube: Cube, occupancy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how much of each cell's light meets the solid (P, W), and the mean normal (P, W, 3) of it there, along the plane's
    normal and away from and around the camera's axis."""
    width = cube.w[1] - cube.w[0]
    around, first, second = np.gradient(occupancy)
    around, first, second = around / (cube.phi[1] - cube.phi[0]), first / width, second / width
    outward = -(cube.w[:, None] * first + cube.w * second)
    slopes = -np.stack([first - second, outward, around], axis=-1) / cube.depth[..., None]
    normals = slopes / np.maximum(np.linalg.norm(slopes, axis=-1, keepdims=True), 1e-6)
    before = np.cumprod(1 - occupancy, axis=2)
    seen = occupancy * np.concatenate([np.ones_like(before[:, :, :1]), before[:, :, :-1]], axis=2)
    met = seen.sum(axis=2)
    return met, (seen[..., None] * normals).sum(axis=2) / np.maximum(met, 1e-6)[..., None]
