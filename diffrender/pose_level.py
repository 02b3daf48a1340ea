"""One resolution of a pose's search: the picture at it, how far a render is from that, and the normal equations."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from .camera import Camera
from .hard import Hard
from .mesh import Mesh
from .pose_exposure import exposure, without_exposure
from .pose_matte import Matte
from .pose_moves import moves
from .pose_settings import PoseSettings
from .rendering import Soft, render, soft_around
from .views.view import View

# px^2, and taps of about a Gaussian of 1 px: with these, soft edges' slopes are most like the change of sharp edges, smoothed
# alike (cosine 0.7 to 0.95 on meshes of 12 to 20,000 faces; 0.1 to 0.7 without the taps).
_SIGMA, _TAPS = 0.25, np.array([1, 4, 6, 4, 1], np.float32) / 16
_GAMMA = 0.05
_HUBER = 0.2  # of the full range: what is off by more counts by its size, not by the square of it


class Level(NamedTuple):
    """A picture at one resolution: RGBA over black (H, W, 4), colours up to about 1, smoothed and as it is."""

    target: np.ndarray
    sharp: np.ndarray
    trust: np.ndarray | None = None  # (H, W) weight of each pixel's mask; None: 1

    @property
    def size(self) -> tuple[int, int]:
        """The (H, W) in px."""
        return self.target.shape[0], self.target.shape[1]

    @property
    def mask(self) -> np.ndarray:
        """The mask (H, W)."""
        return self.target[..., 3]


class Comparison(NamedTuple):
    """A sharp render beside the picture: the robust loss per pixel, residuals (H, W, 4), their weights, and gains (3, 2)."""

    camera: Camera
    loss: float
    residual: np.ndarray
    weight: np.ndarray
    gains: np.ndarray


class Normal(NamedTuple):
    """Normal equations of K unknowns: matrix (K, K), gradient (K,), and the weighted Jacobian (K, N) that they are made of."""

    matrix: np.ndarray
    gradient: np.ndarray
    weighted: np.ndarray

    def gradient_of(self, residual: np.ndarray) -> np.ndarray:
        """Return the gradient (K,) that other residuals have with this Jacobian."""
        return (self.weighted @ residual.ravel()).astype(np.float64)


def level_of(view: View, long_side: int) -> Level:
    """Return a view scaled to a long side in px."""
    scaled = view.limited(long_side)
    sharp = _over_black(scaled.image, scaled.mask)
    return Level(smoothed(sharp), sharp)


def recut(image: np.ndarray, cut: Matte) -> Level:
    """Return the level of a linear image (H, W, 3) with a matte as its mask."""
    sharp = _over_black(image, cut.mask)
    return Level(smoothed(sharp), sharp, cut.trust)


def _over_black(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    colors = image * mask[..., None]
    brightness = float(np.quantile(colors[mask >= 0.5 * mask.max()], 0.95))
    return np.dstack([colors / max(brightness, 1e-3), mask])


def smoothed(images: np.ndarray) -> np.ndarray:
    """Return images (..., H, W, 4), smoothed."""
    from scipy.ndimage import convolve1d

    return convolve1d(convolve1d(images, _TAPS, axis=-2, mode="nearest"), _TAPS, axis=-3, mode="nearest")


def softness(mesh: Mesh, camera: Camera, closed: bool) -> Soft:
    """Return how a mesh is drawn for derivatives: of a closed one the faces that look away have no say in its colours."""
    return replace(soft_around(mesh, camera, _SIGMA, _GAMMA), cull_backfaces=closed)


def over_black(image: np.ndarray) -> np.ndarray:
    """Return RGBA (..., 4) with its colours times alpha."""
    premultiplied = image * image[..., 3:]
    premultiplied[..., 3] = image[..., 3]
    return premultiplied


def compare(mesh: Mesh, camera: Camera, level: Level, settings: PoseSettings) -> Comparison:
    """Draw a mesh sharply and compare it with the picture. Raises ValueError if it is behind the camera."""
    image = smoothed(over_black(render(mesh, camera, Hard()).image))
    residual, gains = residuals(image[None], level, settings)
    weight = np.minimum(1, _HUBER / np.maximum(np.abs(residual[0]), 1e-6))
    return Comparison(camera, float(_huber(residual)[0]), residual[0], weight, gains[0])


def losses(images: np.ndarray, level: Level, settings: PoseSettings) -> np.ndarray:
    """Return the robust loss (B,) of images (B, H, W, 4) over black."""
    return _huber(residuals(images, level, settings)[0])


def _huber(residual: np.ndarray) -> np.ndarray:
    size = np.abs(residual)
    near = np.minimum(size, _HUBER)
    return (near * (2 * size - near)).sum(axis=(1, 2, 3)) / (residual.shape[1] * residual.shape[2])


def residuals(images: np.ndarray, level: Level, settings: PoseSettings) -> tuple[np.ndarray, np.ndarray]:
    """Return residuals (B, H, W, 4) of images (B, H, W, 4) over black, and gains and offsets (B, 3, 2)."""
    gains = np.zeros((len(images), 3, 2), np.float32)
    if settings.color_weight:
        gains[...] = exposure(images, level.target, settings.exposure)
    return _differences(images, level.target, gains, level.trust, settings), gains


def _differences(
    images: np.ndarray, target: np.ndarray, gains: np.ndarray, trust: np.ndarray | None, settings: PoseSettings
) -> np.ndarray:
    """Return the weighted differences (B, H, W, 4) of images, exposed as gains say, from a target."""
    off = np.zeros_like(images)
    off[..., 3] = np.sqrt(settings.silhouette_weight) * (images[..., 3] - target[..., 3])
    if trust is not None:
        off[..., 3] *= trust
    if settings.color_weight:
        shown = gains[:, None, None, :, 0] * images[..., :3] + gains[:, None, None, :, 1] * images[..., 3:]
        off[..., :3] = np.sqrt(settings.color_weight / 3) * (shown - target[..., :3])
    return off


def scatter(normal: Normal, mesh: Mesh, compared: Comparison, level: Level, settings: PoseSettings) -> np.ndarray:
    """Return the covariance (K, K) of the gradient, if the picture's pixels have independent errors of the size that is seen.

    White, A heteroskedasticity-consistent covariance matrix estimator, 1980; of pixels as they are, since smoothing spreads
    each one's error.
    """
    image = over_black(render(mesh, compared.camera, Hard()).image)
    off = _differences(image[None], level.sharp, compared.gains[None], level.trust, settings)[0]
    pulled = (smoothed(normal.weighted.reshape(-1, *off.shape)) * off).reshape(len(normal.weighted), -1)
    return (pulled @ pulled.T).astype(np.float64)


def normal_equations(
    mesh: Mesh, compared: Comparison, level: Level, center: np.ndarray, settings: PoseSettings, closed: bool
) -> Normal:
    """Return the Gauss-Newton equations of the loss at a comparison; gains and offsets are projected out.

    Values are those of sharp edges, which are where the picture's are, slopes those of soft ones, which reach further.
    """
    rendering = render(mesh, compared.camera, softness(mesh, compared.camera, closed))
    tangent = rendering.jvp(**moves(compared.camera, center, settings.focal)._asdict())
    image = rendering.image
    alpha, d_alpha = image[..., 3:], tangent[..., 3:].copy()
    tangent *= alpha
    tangent += image * d_alpha
    tangent[..., 3:] = d_alpha
    jacobian = smoothed(tangent)  # of what is over black
    d_alpha = jacobian[..., 3:]
    if settings.color_weight:
        gain, offset = compared.gains.T
        d_colors = gain * jacobian[..., :3] + offset * d_alpha
        if settings.exposure:
            d_colors = without_exposure(d_colors, smoothed(over_black(image)), compared.weight)
        jacobian[..., :3] = np.sqrt(settings.color_weight / 3) * d_colors
    else:
        jacobian[..., :3] = 0
    d_alpha *= np.sqrt(settings.silhouette_weight)
    if level.trust is not None:
        d_alpha *= level.trust[..., None]
    flat = jacobian.reshape(len(jacobian), -1)
    weighted = flat * compared.weight.ravel()
    gradient = weighted @ compared.residual.ravel()
    return Normal((weighted @ flat.T).astype(np.float64), gradient.astype(np.float64), weighted)
