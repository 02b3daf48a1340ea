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
    small, rotations = camera.resized(level.size), even_rotations(settings.starts)
    places = _on_mask(mesh, small, rotations, center, level)
    images = draw_all(mesh, _cameras(small, rotations, places, center), closed)
    places = _as_large(small, places, images[..., 3], level)
    return ranked(mesh, _cameras(small, rotations, places, center), level, settings, closed)


def ranked(mesh: Mesh, cameras: Sequence[Camera], level: Level, settings: PoseSettings, closed: bool) -> list[Start]:
    """Return hypotheses with cameras of the level's size, the best first."""
    ranks = losses(draw_all(mesh, cameras, closed), level, settings)
    return [Start(cameras[number], float(ranks[number])) for number in np.argsort(ranks, kind="stable")]


def apart(starts: Sequence[Start], count: int) -> list[Start]:
    """Return the first hypotheses, at most `count`, that are turned against each other."""
    kept: list[int] = []
    rotations = np.stack([start.camera.R for start in starts])
    for number in range(len(starts)):
        if not kept or angle_between(rotations[kept], rotations[number]).min() > _APART:
            kept.append(number)
            if len(kept) == count:
                break
    return [starts[number] for number in kept]


def draw_all(mesh: Mesh, cameras: Sequence[Camera], closed: bool) -> np.ndarray:
    """Return images (B, H, W, 4), over black and smoothed, of a mesh from cameras of one size, drawn in one batch."""
    depths = np.stack([mesh.vertices @ camera.R[2] + camera.t[2] for camera in cameras])
    low, high = float(depths.min()), float(depths.max())
    margin = 0.05 * (high - low)
    gamma = _GAMMA * float(np.median(np.ptp(depths, axis=1))) / (high - low + 2 * margin)
    soft = Soft(_SIGMA, gamma, low - margin, high + margin, cull_backfaces=closed)
    images = render_batch(mesh, cameras, soft).image
    return smoothed(over_black(images))


def _cameras(camera: Camera, rotations: np.ndarray, places: np.ndarray, center: np.ndarray) -> list[Camera]:
    """Return a camera for each rotation (B, 3, 3), before which the mesh's center (3,) is at a place of (B, 3)."""
    shifts = places - rotations @ center
    return [replace(camera, R=R, t=t) for R, t in zip(rotations, shifts, strict=True)]


def _on_mask(mesh: Mesh, camera: Camera, rotations: np.ndarray, center: np.ndarray, level: Level) -> np.ndarray:
    """Return the places (B, 3) of the center from which the mesh has about the mask's bounding box."""
    rows, columns = (np.flatnonzero((level.mask > 0.5).any(axis=axis)) for axis in (1, 0))
    if not len(rows):  # so small a mask that its softness leaves nothing
        row, column = np.unravel_index(level.mask.argmax(), level.mask.shape)
        rows, columns = np.array([row]), np.array([column])
    low, high = np.array([columns[0], rows[0]]), np.array([columns[-1] + 1, rows[-1] + 1])
    about = mesh.vertices - center
    depths = np.empty(len(rotations))
    for number, R in enumerate(rotations):
        turned = R @ about.T
        near, across = -float(turned[2].min()), float(np.ptp(turned[:2], axis=1).mean())
        depths[number] = max(camera.focal * across / float(np.mean(high - low)), 1.2 * near)
    return depths[:, None] * np.linalg.solve(camera.K, [*(low + high) / 2, 1.0])


def _as_large(camera: Camera, places: np.ndarray, alphas: np.ndarray, level: Level) -> np.ndarray:
    """Return the places (B, 3) moved so that what is seen from there, alphas (B, H, W), has the mask's area and centroid."""
    areas, wanted = alphas.sum(axis=(1, 2), dtype=np.float64), float(level.mask.sum())
    nearer = np.clip(np.sqrt(areas / wanted), 1 / _FURTHEST, _FURTHEST)
    off = _centroids(level.mask[None]) - _centroids(alphas)
    pixels = places @ camera.K.T
    rays = np.column_stack([pixels[:, :2] / pixels[:, 2:] + off, np.ones(len(places))]) @ np.linalg.inv(camera.K).T
    return np.where(areas[:, None] < 1e-6, places, (places[:, 2] * nearer)[:, None] * rays)


def _centroids(weights: np.ndarray) -> np.ndarray:
    """Return the centroid (B, 2), x and y in px, of weights (B, H, W)."""
    height, width = weights.shape[1:]
    total = np.maximum(weights.sum(axis=(1, 2), dtype=np.float64), 1e-12)
    x = weights.sum(axis=1, dtype=np.float64) @ (np.arange(width) + 0.5)
    y = weights.sum(axis=2, dtype=np.float64) @ (np.arange(height) + 0.5)
    return np.stack([x / total, y / total], axis=1)
