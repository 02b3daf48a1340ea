"""A pose that is followed downhill, one Levenberg-Marquardt step at a time."""

from typing import NamedTuple

import numpy as np

from .camera import Camera, project
from .mesh import Mesh
from .pose_level import Comparison, Level, compare, normal_equations
from .pose_light import relit
from .pose_moves import moved
from .pose_settings import PoseSettings

_TRUST, _STIFFER, _LOOSER = 1e-2, 6.0, 0.2  # of Levenberg and Marquardt's damping
_MOST_STIFF, _LEAST_STIFF = 1e4, 1e-7
_STILL = 3e-3  # px that the mesh's image moves by in a step when a pose has converged
_REACH, _FURTHEST = 1.5, 3.0  # times as far as the equations say a step goes: at first, and at most
_TURN = 0.5  # radians that a step turns by at most
_SHIFT = 0.3  # of the distance that a step shifts by at most


class Hypothesis(NamedTuple):
    """A pose that is followed up: the mesh as it is, and as it is lit there; the pose's comparison; the damping, and how much
    further than the equations say a step should go; the way so far."""

    plain: Mesh
    mesh: Mesh
    compared: Comparison
    damping: float
    reach: float
    path: tuple[Camera, ...]

    @property
    def camera(self) -> Camera:
        """The pose, with the intrinsics of the resolution that it was last compared at."""
        return self.compared.camera

    @property
    def loss(self) -> float:
        """The loss at the resolution that the pose was last compared at."""
        return self.compared.loss


def started(mesh: Mesh, camera: Camera, level: Level, settings: PoseSettings) -> Hypothesis:
    """Return a pose at the begin of its way. Raises ValueError if the camera does not see the mesh."""
    return Hypothesis(mesh, mesh, compare(mesh, camera.resized(level.size), level, settings), _TRUST, _REACH, ())


def refined(hypothesis: Hypothesis, level: Level, settings: PoseSettings) -> Hypothesis:
    """Return a pose at another resolution, there lit as the picture says."""
    plain, camera = hypothesis.plain, hypothesis.camera.resized(level.size)
    lit = plain.vertex_colors is not None and settings.color_weight and settings.light
    mesh = relit(plain, camera, level) if lit else plain
    return Hypothesis(plain, mesh, compare(mesh, camera, level, settings), _TRUST, _REACH, hypothesis.path)


def advanced(
    hypothesis: Hypothesis, level: Level, center: np.ndarray, settings: PoseSettings, closed: bool
) -> tuple[Hypothesis, bool]:
    """Return the pose after a step down, and whether it goes on: not if it has converged or no step leads down.

    Marquardt's scaling by the diagonal: unknowns need no common unit. The slopes of soft edges and the values of sharp ones
    differ by a factor about, which each step finds out for the next one.
    """
    plain, mesh, compared, damping, reach, path = hypothesis
    normal = normal_equations(mesh, compared, level, center, settings, closed)
    scale = np.diag(normal.matrix) + 1e-9 * np.trace(normal.matrix) + 1e-300
    while damping <= _MOST_STIFF:
        step = -reach * np.linalg.solve(normal.matrix + damping * np.diag(scale), normal.gradient)
        depth = float(compared.camera.R[2] @ center + compared.camera.t[2])
        turn, shift = float(np.linalg.norm(step[:3])), float(np.linalg.norm(step[3:6]))
        step /= max(turn / _TURN, shift / (_SHIFT * depth), 1.0)
        camera = moved(compared.camera, center, step)
        if _largest_shift(mesh, compared.camera, camera) < _STILL:
            break
        if in_front(mesh, camera):
            after = compare(mesh, camera, level, settings)
            if after.loss < compared.loss:
                change = normal.gradient_of(after.residual) - normal.gradient
                found = float(step @ change) / max(float(step @ normal.matrix @ step), 1e-300)
                reach = min(max(1 / max(found, 1e-3), 1.0), _FURTHEST)
                looser = max(damping * _LOOSER, _LEAST_STIFF)
                return Hypothesis(plain, mesh, after, looser, reach, (*path, compared.camera)), True
        damping *= _STIFFER
        reach = 1.0
    return hypothesis, False


def in_front(mesh: Mesh, camera: Camera) -> bool:
    """Whether all of a mesh is in front of a camera."""
    return float((mesh.vertices @ camera.R[2] + camera.t[2]).min()) > 0


def _largest_shift(mesh: Mesh, before: Camera, after: Camera) -> float:
    """Return by how many px the images of a mesh's vertices differ at most."""
    some = mesh.vertices[:: max(1, len(mesh.vertices) // 500)]
    return float(np.abs(project(some, before)[:, :2] - project(some, after)[:, :2]).max())
