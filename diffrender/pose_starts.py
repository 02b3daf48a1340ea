"""Where a search for a pose begins: rotations spread evenly over all, each placed on the mask, drawn small and ranked."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from .batches import render_batch
from .camera import Camera
from .mesh import Mesh
from .pose_level import Level, losses, over_black, smoothed
from .pose_moves import angle_between
from .pose_settings import PoseSettings
from .rendering import Soft

_PHI, _PSI = np.sqrt(2.0), 1.533751168755204288118041
_APART = 12.0  # degrees between hypotheses that are followed up
_SIGMA, _GAMMA = 0.1, 0.01  # px^2, and of a mesh's depth: about sharp
_FURTHEST = 2.0  # a hypothesis is not brought nearer or further at once than by this factor


class Start(NamedTuple):
    """A hypothesis and its loss in the small picture."""

    camera: Camera
    loss: float


def even_rotations(count: int) -> np.ndarray:
    """Return rotations (count, 3, 3) that cover all rotations evenly. Super-Fibonacci spirals, Alexa 2022."""
    s = np.arange(count) + 0.5
    r, R = np.sqrt(s / count), np.sqrt(1 - s / count)
    alpha, beta = 2 * np.pi * s / _PHI, 2 * np.pi * s / _PSI
    x, y, z, w = r * np.sin(alpha), r * np.cos(alpha), R * np.sin(beta), R * np.cos(beta)
    return np.stack(
        [
            np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], axis=-1),
            np.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], axis=-1),
            np.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], axis=-1),
        ],
        axis=-2,
    )


def spread_starts(
    mesh: Mesh, camera: Camera, center: np.ndarray, level: Level, settings: PoseSettings, closed: bool
) -> list[Start]:
    """Return all rotations as hypotheses, the best first: placed by the middle and the area of what they cover."""
    small = camera.resized(level.size)
    cameras = [_on_mask(mesh, replace(small, R=R), center, level) for R in even_rotations(settings.starts)]
    images = draw_all(mesh, cameras, closed)
    cameras = [
        _as_large(candidate, center, image[..., 3], level) for candidate, image in zip(cameras, images, strict=True)
    ]
    ranks = losses(draw_all(mesh, cameras, closed), level, settings)
    return [Start(cameras[number], float(ranks[number])) for number in np.argsort(ranks, kind="stable")]


def apart(starts: Sequence[Start], count: int) -> list[Start]:
    """Return the first hypotheses, at most `count`, that are turned against each other."""
    kept: list[Start] = []
    for start in starts:
        if all(angle_between(start.camera.R, other.camera.R) > _APART for other in kept):
            kept.append(start)
            if len(kept) == count:
                break
    return kept


def draw_all(mesh: Mesh, cameras: Sequence[Camera], closed: bool) -> np.ndarray:
    """Return images (B, H, W, 4), over black and smoothed, of a mesh from cameras of one size, drawn in one batch."""
    depths = np.stack([mesh.vertices @ camera.R[2] + camera.t[2] for camera in cameras])
    low, high = float(depths.min()), float(depths.max())
    margin = 0.05 * (high - low)
    gamma = _GAMMA * float(np.median(np.ptp(depths, axis=1))) / (high - low + 2 * margin)
    soft = Soft(_SIGMA, gamma, low - margin, high + margin, cull_backfaces=closed)
    images = render_batch(mesh, cameras, soft).image
    return smoothed(over_black(images))


def _on_mask(mesh: Mesh, camera: Camera, center: np.ndarray, level: Level) -> Camera:
    """Return a camera whose view of the mesh has about the mask's bounding box."""
    rows, columns = (np.flatnonzero((level.mask > 0.5).any(axis=axis)) for axis in (1, 0))
    if not len(rows):  # so small a mask that its softness leaves nothing
        row, column = np.unravel_index(level.mask.argmax(), level.mask.shape)
        rows, columns = np.array([row]), np.array([column])
    low, high = np.array([columns[0], rows[0]]), np.array([columns[-1] + 1, rows[-1] + 1])
    turned = (mesh.vertices - center) @ camera.R.T
    across = float(np.mean(np.ptp(turned[:, :2], axis=0)))
    near = -float(turned[:, 2].min())
    depth = max(camera.focal * across / float(np.mean(high - low)), 1.2 * near)
    ray = np.linalg.solve(camera.K, [*(low + high) / 2, 1.0])
    return replace(camera, t=depth * ray - camera.R @ center)


def _as_large(camera: Camera, center: np.ndarray, alpha: np.ndarray, level: Level) -> Camera:
    """Return the camera moved so that what it sees has the mask's area and centroid."""
    area, wanted = float(alpha.sum()), float(level.mask.sum())
    if area < 1e-6:
        return camera
    middle = camera.R @ center + camera.t
    nearer = np.clip(np.sqrt(area / wanted), 1 / _FURTHEST, _FURTHEST)
    off = _centroid(level.mask) - _centroid(alpha)
    pixel = camera.K @ middle
    ray = np.linalg.solve(camera.K, [*(pixel[:2] / pixel[2] + off), 1.0])
    return replace(camera, t=middle[2] * nearer * ray - camera.R @ center)


def _centroid(weights: np.ndarray) -> np.ndarray:
    total = float(weights.sum())
    height, width = weights.shape
    return np.array(
        [
            weights.sum(axis=0) @ (np.arange(width) + 0.5) / total,
            weights.sum(axis=1) @ (np.arange(height) + 0.5) / total,
        ]
    )
