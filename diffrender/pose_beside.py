"""Hypotheses beside others: a descent may end in the wrong one of several poses that look almost the same.

Two kinds. Of an object that is about as long as it is broad, a quarter or half turn about one of its own axes has nearly the
same outline. And of what is nearly flat as it is seen, a face looked at head on, a tilt to one side has nearly the outline of
that to the other: between them the descent would have to go uphill (Schweighofer & Pinz, Robust pose estimation from a planar
target, 2006).
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations, product

import numpy as np

from .camera import Camera
from .pose_descent import Hypothesis, in_front, refined
from .pose_level import Level
from .pose_moves import angle_between, moved
from .pose_settings import PoseSettings
from .pose_starts import Start, ranked

_TILTS, _SIDES = (4.0, 9.0), 8  # degrees, and in how many directions
_BESIDE = 3.0  # degrees between hypotheses that go on side by side
_NOTHING = 1e-6  # a loss that is as good as none
_HOPELESS = 20.0  # times the best's loss, and a turned hypothesis is not followed up


def quarter_turns() -> np.ndarray:
    """Return the rotations (23, 3, 3) that map the axes to the axes, without the one that leaves all as it is."""
    signed = (
        np.eye(3)[list(order)] * np.array(signs)[:, None]
        for order in permutations(range(3))
        for signs in product((1, -1), repeat=3)
    )
    return np.stack([turn for turn in signed if np.linalg.det(turn) > 0 and np.trace(turn) < 3])


def turned(
    parents: Sequence[Hypothesis], level: Level, center: np.ndarray, settings: PoseSettings, closed: bool, count: int
) -> list[Hypothesis]:
    """Return the best hypotheses, at most `count`, of those that are turned about the mesh's own axes against others."""
    found: list[tuple[Start, Hypothesis]] = []
    for parent in parents:
        place = parent.camera.R @ center + parent.camera.t
        cameras = [_placed(parent.camera, parent.camera.R @ turn, place, center) for turn in quarter_turns()]
        found += [(start, parent) for start in _ranked(parent, cameras, level, settings, closed)]
    worst = _HOPELESS * parents[0].loss + _NOTHING
    found = [pair for pair in found if pair[0].loss < worst]
    found.sort(key=lambda pair: pair[0].loss)
    return _followed(found, [other.camera for other in parents], level, settings, count)


def tilted(
    parents: Sequence[Hypothesis], level: Level, center: np.ndarray, settings: PoseSettings, closed: bool, count: int
) -> list[Hypothesis]:
    """Return for each hypothesis the best, at most `count`, of those that are tilted against it in any direction."""
    angles = np.arange(_SIDES) * (2 * np.pi / _SIDES)
    axes = np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)
    steps = [np.array([*(np.radians(degrees) * axis), 0, 0, 0]) for degrees in _TILTS for axis in axes]
    new: list[Hypothesis] = []
    for parent in parents:
        cameras = [moved(parent.camera, center, step) for step in steps]
        found = [(start, parent) for start in _ranked(parent, cameras, level, settings, closed)]
        new += _followed(found, [], level, settings, count)
    return new


def _placed(camera: Camera, R: np.ndarray, place: np.ndarray, center: np.ndarray) -> Camera:
    return replace(camera, R=R, t=place - R @ center)


def _ranked(
    parent: Hypothesis, cameras: Sequence[Camera], level: Level, settings: PoseSettings, closed: bool
) -> list[Start]:
    """Return what a mesh looks most like the picture from, the best first."""
    seen = [camera for camera in cameras if in_front(parent.mesh, camera)]
    if not seen:
        return []
    return ranked(parent.mesh, seen, level, settings, closed)


def _followed(
    found: Sequence[tuple[Start, Hypothesis]],
    others: Sequence[Camera],
    level: Level,
    settings: PoseSettings,
    count: int,
) -> list[Hypothesis]:
    """Return hypotheses for the first of those found, at most `count`, that are apart from each other and from others."""
    taken = [camera.R for camera in others]
    new: list[Hypothesis] = []
    for start, parent in found:
        if len(new) == count:
            break
        if all(angle_between(start.camera.R, R) > _BESIDE for R in taken):
            taken.append(start.camera.R)
            path = (*parent.path, parent.camera)
            compared = parent.compared._replace(camera=start.camera)
            new.append(refined(parent._replace(compared=compared, path=path), level, settings))
    return new
