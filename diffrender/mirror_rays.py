"""One photo and its mirror image as a stereo pair: coordinates in which both of them look along an axis.

The camera and its mirror image see a point X = C + (h + D) m + q (cos(phi) a + sin(phi) b) on the rays (phi, w1) and
(phi, w2), with w1 = (D + h) / q and w2 = (D - h) / q: m is the plane's normal and points from the camera to the plane, D their
distance, h the point's height over the plane. A point and its mirror image change places with w1 and w2, and a row of the
photo, all w of one phi, needs to be compared with itself alone. So a solid that is symmetric is a cube of values (phi, w1, w2)
equal to its own transpose, and a photo of it is a sum along the last axis.
"""

from typing import NamedTuple

import numpy as np

from .placement import object_depth
from .symmetry import Plane
from .thickness import squared_half_thickness
from .views.view import View

_BORDER = 2  # cells around the object
_SAMPLES = 3  # of the photo in a cell, along each side
_REACH = 1.6  # extents of the object in the photo that it may reach in depth, before and behind its middle
_STEEPEST = 0.995  # cosine of the least angle, 6 degrees, between the middle ray and the normal, or the plane


class MirrorFrame(NamedTuple):
    """The camera's centre (3,), the unit vectors m, a and b (3,), the camera's distance D from the plane, and in front of
    the object's middle the depth q and the extent of the object, in units of the world."""

    center: np.ndarray
    m: np.ndarray
    a: np.ndarray
    b: np.ndarray
    distance: float
    depth: float
    extent: float

    @property
    def plane(self) -> Plane:
        """The plane of symmetry."""
        return Plane(self.m, float(self.m @ self.center) + self.distance)

    def rays(self, phi: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Return the directions (..., 3) of rays (phi, w), as long as q = 1 is deep."""
        return w[..., None] * self.m + np.cos(phi)[..., None] * self.a + np.sin(phi)[..., None] * self.b

    def to_world(self, points: np.ndarray) -> np.ndarray:
        """Return the points (N, 3) of the world of (h, q cos(phi), q sin(phi))."""
        return self.center + self.distance * self.m + points @ np.stack([self.m, self.a, self.b])


def mirror_frame(view: View, normal: np.ndarray) -> MirrorFrame:
    """Return the frame of a photo and the normal (3,) of a plane that passes through the middle of the object.

    One photo does not tell how far away an object is: the plane passes through a point in the middle of the mask at the
    depth at which a lone photo's object is put. Raises ValueError if the photo looks along the normal or the plane, or unless
    the camera is a bare pinhole.
    """
    camera = view.camera
    camera.require_pinhole("depth by symmetry")
    rays = _mask_rays(view)
    # The middle of the rays: of the mask's bounding box, so that a limb does not draw it away.
    low, high = rays.min(axis=0), rays.max(axis=0)
    middle = (low + high) / 2 @ camera.R  # as deep as 1
    unit = normal / np.linalg.norm(normal)
    cosine = float(unit @ middle) / float(np.linalg.norm(middle))
    if not np.sqrt(1 - _STEEPEST**2) < abs(cosine) < _STEEPEST:
        seen = "along the plane, so that both halves look alike" if abs(cosine) < 0.5 else "across the plane"
        raise ValueError(
            f"the photo looks {seen}: the normal {np.round(normal, 3).tolist()} is {np.degrees(np.arccos(cosine)):.1f} degrees "
            "from the line of sight, and one photo shows depth by symmetry only between 6 and 84, or 96 and 174"
        )
    m = unit * np.sign(cosine)
    depth = object_depth(camera)
    a = middle - (middle @ m) * m
    return MirrorFrame(
        center=camera.center,
        m=m,
        a=a / np.linalg.norm(a),
        b=np.cross(m, a / np.linalg.norm(a)),
        distance=float(m @ middle) * depth,
        depth=float(np.linalg.norm(a)) * depth,
        extent=float((high - low)[:2].max()) * depth,
    )


class Cube(NamedTuple):
    """Cells (P, W, W) on phi and w, the latter the same for both axes and descending, so that what is near comes first.

    `mask` and `thickness` (P, W) are the photo's, the latter how deep the object is likely to be, in units of the world, as
    are `depth` q, `step` along the rays of the last axis, and `volume`, all (W, W); `inside` (P, W, W) is what both may see.
    """

    frame: MirrorFrame
    phi: np.ndarray
    w: np.ndarray
    mask: np.ndarray
    thickness: np.ndarray
    depth: np.ndarray
    step: np.ndarray
    volume: np.ndarray
    inside: np.ndarray

    def cells(self, phi: np.ndarray, w: np.ndarray) -> list[np.ndarray]:
        """Return which cells, in fractions, phi and w fall into."""
        return [(phi - self.phi[0]) / (self.phi[1] - self.phi[0]), (w - self.w[0]) / (self.w[1] - self.w[0])]


def mirror_cube(view: View, frame: MirrorFrame, size: int) -> Cube:
    """Return the cells of a photo in its frame, `size` along each axis."""
    rays = _mask_rays(view) @ view.camera.R
    along, across = rays @ frame.m, rays @ np.stack([frame.a, frame.b]).T
    radius = np.linalg.norm(across, axis=1)
    phi = _axis(np.arctan2(across[:, 1], across[:, 0]), size)
    w = _axis(along / radius, size)[::-1]
    thickness = 2 * np.sqrt(np.maximum(squared_half_thickness(view.mask), 0)) / view.camera.focal
    mask, thick = sampled(view, frame, phi, w, [view.mask, thickness * object_depth(view.camera)])
    total = np.maximum(w[:, None] + w, 1e-6)
    depth = 2 * frame.distance / total
    width = w[0] - w[1]
    step = np.sqrt(1 + w * w)[:, None] * 2 * frame.distance / total**2 * width
    volume = depth**3 / total * (phi[1] - phi[0]) * width**2
    seen = mask > 0.5
    near = np.abs(depth - frame.depth) < _REACH * frame.extent
    inside = seen[:, :, None] & seen[:, None, :] & near
    return Cube(frame, phi, w, mask, thick, depth, step, volume, inside)


def _mask_rays(view: View) -> np.ndarray:
    """Return the rays (N, 3) of the mask's pixels in camera space, 1 deep."""
    pixels = np.argwhere(view.mask > 0.5)[:, ::-1] + 0.5
    return np.column_stack([pixels, np.ones(len(pixels))]) @ np.linalg.inv(view.camera.K).T


def _axis(values: np.ndarray, size: int) -> np.ndarray:
    step = float(np.ptp(values)) / (size - 2 * _BORDER)
    return float(values.min()) + step * (np.arange(size) - _BORDER + 0.5)


def sampled(
    view: View, frame: MirrorFrame, phi: np.ndarray, w: np.ndarray, images: list[np.ndarray]
) -> list[np.ndarray]:
    """Return the means of images (H, W) in the cells (P, W) of phi and w."""
    from scipy.ndimage import map_coordinates

    shifts = (np.arange(_SAMPLES) + 0.5) / _SAMPLES - 0.5
    means = [np.zeros((len(phi), len(w))) for _ in images]
    for phi_shift in shifts * (phi[1] - phi[0]):
        for w_shift in shifts * (w[1] - w[0]):
            rays = frame.rays(*np.meshgrid(phi + phi_shift, w + w_shift, indexing="ij"))
            pixel = rays @ view.camera.R.T @ view.camera.K.T
            places = [pixel[..., 1] / pixel[..., 2] - 0.5, pixel[..., 0] / pixel[..., 2] - 0.5]
            for mean, image in zip(means, images, strict=True):
                mean += map_coordinates(image, places, order=1) / _SAMPLES**2
    return means
