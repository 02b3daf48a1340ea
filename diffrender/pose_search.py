"""The search for a pose: many starts, drawn small; the best of them followed from resolution to resolution."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from .camera import Camera
from .hard import Hard
from .loss import silhouette_iou
from .mesh import Mesh, subdivide
from .orbit import middle
from .pose import PoseFit, PoseStep
from .pose_beside import tilted, turned
from .pose_descent import Hypothesis, advanced, in_front, refined, started
from .pose_level import Level, level_of, normal_equations, recut, scatter
from .pose_matte import matte
from .pose_moves import angle_between, zoomed
from .pose_settings import PoseSettings
from .pose_starts import Start, apart, spread_starts
from .rendering import render_silhouette
from .views.view import View

_SMALL = 32  # px of the long side that starts are drawn at
_REACHES = (5, 3, 3)  # px on either side of the outline that a mask is cut anew in, one after the other
_DENSE = 10_000  # faces
_MARGIN = 0.25  # of the mask's size
_COARSE = ((2, 12), (3, 8))  # steps at the coarsest resolution, and how many hypotheses go on after them
_TURNED = (3, 8)  # of the best of those, and how many turned ones are followed up
_TILTS = 2  # of each
_BESIDE_STEPS, _ROOM = 4, 5  # of turned and of tilted ones, and how many go on after the turned ones
_FINER_STEPS, _FEWEST = 8, 4
_HOPELESS = 2.0  # times the best's loss, and a hypothesis that has had time is given up
_ALIKE = 1.03  # a hypothesis fits as well as the best if its loss is at most so many times as large
_NOTHING = 1e-6  # a loss that is as good as none
_DIFFERENT = 10.0  # degrees from which on a pose is another one
_SAME = 2.0  # degrees up to which two hypotheses have become one


class _Round(NamedTuple):
    """The number of a resolution, how many steps each hypothesis takes at it, and how many hypotheses go on after them.

    With `beside` only new hypotheses take steps, those beside the ones that there are.
    """

    level: int
    steps: int
    room: int
    beside: str = ""


class PoseSearch:
    """A search that goes on as far as its `steps` are taken, and can be concluded at any time after the first."""

    def __init__(
        self,
        mesh: Mesh,
        target: View | np.ndarray,
        camera: Camera | None = None,
        settings: PoseSettings = PoseSettings(),  # noqa: B008
    ):
        self.view = _view_of(target, camera)
        self.view.camera.require_pinhole("the search for a pose")
        self.mesh = mesh if mesh.texture is None else _colored(mesh)
        self.center = middle(mesh)
        self.closed = _looks_outwards(mesh)
        if self.mesh.vertex_colors is None:
            settings = replace(settings, color_weight=0.0)
        self.settings = settings
        self.part = _around_mask(self.view)
        sides = [min(settings.resolution, max(self.part.camera.size))]
        while sides[0] > 1.5 * _SMALL:
            sides.insert(0, (sides[0] + 1) // 2)
        self.levels = [level_of(self.part, side) for side in sides]
        self._kept: list[Hypothesis] = []
        self._others: list[Hypothesis] = []

    @property
    def begun(self) -> bool:
        """Whether there is a pose to conclude with."""
        return bool(self._kept)

    def steps(self) -> Iterator[PoseStep]:
        """Yield the best pose after each step of the search. Raises ValueError as `fit_pose` does."""
        self._kept = [started(self.mesh, start.camera, self.levels[0], self.settings) for start in self._starts()]
        done, rounds, tried = 0, self._rounds(), False
        for number, (at, most, room, beside) in enumerate(rounds):
            if self._kept[0].camera.size != self.levels[at].size:
                self._kept = [refined(hypothesis, self.levels[at], self.settings) for hypothesis in self._kept]
            planned = done + _planned(len(self._kept), rounds[number:])
            first = 0
            if beside:
                first = len(self._kept)
                self._kept += self._beside(beside, self.levels[at])
            for index in range(first, len(self._kept)):
                for step in range(most):
                    self._kept[index], moving = self._advanced(self._kept[index], self.levels[at])
                    best = min(self._kept, key=_loss)
                    yield PoseStep(done + step + 1, planned, best.loss, self._full(best.camera))
                    if not moving:
                        break
                done += most
            tried = tried or beside == "tilted"
            self._kept = _followed(self._kept, room, _HOPELESS if tried else math.inf)
        self._kept, self._others = self._settled()
        if self.settings.recut:
            yield from self._recut(done)

    def _beside(self, how: str, level: Level) -> list[Hypothesis]:
        given = level, self.center, self.settings, self.closed
        return (
            turned(self._kept[: _TURNED[0]], *given, _TURNED[1])
            if how == "turned"
            else tilted(self._kept, *given, _TILTS)
        )

    def _settled(self) -> tuple[list[Hypothesis], list[Hypothesis]]:
        """Return the pose that is taken, and others that fit as well: of these it is turned least against the camera given."""
        alike = [kept for kept in self._kept if kept.loss <= _ALIKE * self._kept[0].loss + _NOTHING]
        best = min(alike, key=lambda kept: float(angle_between(kept.camera.R, self.view.camera.R)))
        return [best], [other for other in alike if _apart(other, best) > _DIFFERENT]

    def _recut(self, done: int) -> Iterator[PoseStep]:
        """Cut the mask anew along the best pose's outline and go on from there, several times."""
        best, most = self._kept[0], self.settings.steps
        image = self.part.resized(self.levels[-1].size).image
        for number, reach in enumerate(_REACHES):
            self.levels[-1] = recut(image, matte(image, self._alpha(best.camera), reach))
            best = refined(best, self.levels[-1], self.settings)
            for step in range(most):
                best, moving = self._advanced(best, self.levels[-1])
                self._kept = [best]
                at, planned = done + number * most + step + 1, done + len(_REACHES) * most
                yield PoseStep(at, planned, best.loss, self._full(best.camera))
                if not moving:
                    break

    def conclude(self) -> PoseFit:
        """Return the best pose so far, judged at the finest resolution. Raises ValueError before the first step."""
        if not self._kept:
            raise ValueError("the search has not begun: there is no pose yet")
        level, best = self.levels[-1], min(self._kept, key=_loss)
        if best.camera.size != level.size:
            best = refined(best, level, self.settings)
        normal = normal_equations(best.mesh, best.compared, level, self.center, self.settings, self.closed)
        inverse = best.reach * np.linalg.pinv(normal.matrix, rcond=1e-14, hermitian=True)
        covariance = inverse @ scatter(normal, best.mesh, best.compared, level, self.settings) @ inverse
        sigmas = np.sqrt(np.maximum(np.diag(covariance), 0))
        return PoseFit(
            camera=self._full(best.camera),
            covariance=covariance,
            sigma_rotation_degrees=np.degrees(sigmas[:3]),
            sigma_translation=sigmas[3:6],
            sigma_focal=float(sigmas[6]) if self.settings.focal else None,
            iou=1 - silhouette_iou(self._alpha(best.camera), level.sharp[..., 3])[0],
            residual=best.loss,
            alternatives=tuple(self._full(other.camera) for other in self._others),
            starts=self.settings.starts,
            history=tuple(self._full(camera) for camera in (*best.path, best.camera)),
        )

    def _starts(self) -> list[Start]:
        """Return the hypotheses to follow. Raises ValueError if none can be."""
        level, camera = self.levels[0], self.part.camera
        found = []
        if self.settings.starts:
            ranked = spread_starts(self.mesh, camera, self.center, level, self.settings, self.closed)
            found = apart(ranked, self.settings.refined)
        if not self.settings.starts or in_front(self.mesh, camera):
            alpha = self._alpha(camera.resized(level.size))
            if alpha.max() > 0.01:
                found.append(Start(camera, 0.0))
            elif not found:
                raise ValueError(
                    "the mesh lies outside the image as the start camera sees it: give another camera, or starts > 0"
                )
        return found

    def _alpha(self, camera: Camera) -> np.ndarray:
        return render_silhouette(self.mesh, camera, Hard()).alpha

    def _full(self, camera: Camera) -> Camera:
        """Return a pose with the intrinsics of the whole picture."""
        whole = self.view.camera
        zoom = camera.resized(self.part.camera.size).focal / self.part.camera.focal if self.settings.focal else 1.0
        return zoomed(replace(whole, R=camera.R, t=camera.t), zoom)

    def _advanced(self, hypothesis: Hypothesis, level: Level) -> tuple[Hypothesis, bool]:
        return advanced(hypothesis, level, self.center, self.settings, self.closed)

    def _rounds(self) -> list[_Round]:
        """Return the rounds of the search: at the coarsest resolution many hypotheses take a few steps, then fewer take more."""
        most, last = self.settings.steps, len(self.levels) - 1
        rounds = [_Round(0, steps, room) for steps, room in _COARSE]
        if self.settings.starts:
            rounds.append(_Round(0, _BESIDE_STEPS, _ROOM, "turned"))
        if last:
            rounds.append(_Round(1, _FINER_STEPS, _FEWEST))
        if self.settings.starts:
            rounds.append(_Round(min(1, last), _BESIDE_STEPS, _FEWEST, "tilted"))
        rounds += [_Round(at, _FINER_STEPS, _FEWEST) for at in range(2, last)]
        rounds.append(_Round(last, most, _FEWEST))
        return [round._replace(steps=min(round.steps, most)) for round in rounds]


def _planned(count: int, rounds: Sequence[_Round]) -> int:
    """Return how many steps that many hypotheses take at most."""
    total = 0
    for _, steps, room, beside in rounds:
        new = {"": count, "turned": _TURNED[1], "tilted": _TILTS * count}[beside]
        total += new * steps
        count = min(count + (new if beside else 0), room)
    return total


def _loss(hypothesis: Hypothesis) -> float:
    return hypothesis.loss


def _apart(first: Hypothesis, second: Hypothesis) -> float:
    return float(angle_between(first.camera.R, second.camera.R))


def _followed(kept: Sequence[Hypothesis], room: int, hopeless: float) -> list[Hypothesis]:
    """Return the best hypotheses, the best first, of those that have come to the same pose only the better, and
    without those whose loss is more than so many times the best's."""
    ranked: list[Hypothesis] = []
    for candidate in sorted(kept, key=_loss):
        if ranked and candidate.loss > hopeless * ranked[0].loss:
            break
        others = np.array([other.camera.R for other in ranked]).reshape(-1, 3, 3)
        if (angle_between(others, candidate.camera.R) > _SAME).all():
            ranked.append(candidate)
    return ranked[:room]


def _colored(mesh: Mesh) -> Mesh:
    """Return a mesh that has its texture's colours at its vertices, after as many subdivisions as make these dense."""
    while len(mesh.faces) < _DENSE:
        mesh = subdivide(mesh)
    return mesh.with_vertex_colors()


def _looks_outwards(mesh: Mesh) -> bool:
    """Whether a mesh is closed, with its faces turned outwards; vertices in the same place count as one."""
    _, same = np.unique(mesh.vertices, axis=0, return_inverse=True)
    faces = same.reshape(-1)[mesh.faces]
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    volume = float(np.einsum("ij,ij->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])))
    there = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    keys = np.sort(there @ [len(same), 1]), np.sort(there @ [1, len(same)])
    return volume > 0 and bool((keys[0] == keys[1]).all())


def _around_mask(view: View) -> View:
    """Return the part of a view around its mask, with room for poses that are too large."""
    sides = [int(np.ptp(np.flatnonzero((view.mask > 0.5).any(axis=axis)))) + 1 for axis in (0, 1)]
    return view.cropped(math.ceil(_MARGIN * max(sides)) + 1)


def _view_of(target: View | np.ndarray, camera: Camera | None) -> View:
    if isinstance(target, View):
        return target if camera is None else replace(target, camera=camera)
    image = np.asarray(target)
    if image.ndim != 3 or image.shape[2] != 4:
        raise ValueError(f"target must be a View or RGBA of shape (H, W, 4), got shape {image.shape}")
    if camera is None:
        raise ValueError("a target that is no View needs a camera")
    return View(image[..., :3], image[..., 3], camera)
