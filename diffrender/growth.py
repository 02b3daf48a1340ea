"""How a sphere grows into the object of one view: coarse and fast at first, its gaps open, its limbs round.

Faces and smoothness follow the fit, as Palfinger's do (Continuous remeshing for inverse rendering, 2022), but by the steps
alone, so that a run can go on from any of them. Here progress is the share of the steps that are done, from 0 to 1.
"""

from dataclasses import replace

import numpy as np

from .body import Body
from .depth import RoundDepth
from .fit_settings import FitSettings
from .gaps import Gaps
from .optimize.schedule import cosine, geometric
from .plan import UNFOLD_ROUNDS, Defaults, Plan
from .quality import even_edge_length
from .views.view import View

_FURTHEST = (
    0.5  # of an edge's length: the most that a vertex moves in a step; neighbours that do not would be folded over
)
_UNFOLD_EVERY = 2  # steps
_UNFOLD_ROUNDS = 8
_SHARP_FROM = 0.8  # progress
_COARSEST = 1 / 16  # of the faces, at the start
_FEWEST = 1000  # faces to start with, if there are as many at the end
_FINE_FROM = 0.7  # progress
_SMOOTH_UNTIL = 0.5  # progress
_LAST_RATE = 0.3  # of the learning rate
_GAP = 0.03  # of the long side: half the width of what counts as a gap
_WIDER = 0.01  # of the long side: what a gap is widened by on each side
_WIDER_UNTIL = 0.6, 0.75  # progress at which gaps begin and end to get as narrow as they are
_PULL = 0.5  # of the way to the round body, per step, before smoothing
_LEAST_DEPTH = 2.0  # edges: half of what a limb measures along the rays
_DEFAULTS = Defaults(reach_of_side=0.018, learning_rate=0.15, smoothness=2.0, smoothness_start=50.0)


def face_count(faces: int, progress: float) -> int:
    """Return the faces to aim for, of a mesh that ends with `faces`."""
    first = min(1.0, max(_COARSEST, _FEWEST / faces))
    return round(faces * geometric(first, 1.0, min(1.0, progress / _FINE_FROM)))


class GrowthPlan(Plan):
    """The schedules of growth: faces and smoothness follow the steps, and smoothness changes with the faces alone."""

    keeps_smoothness = True

    def __init__(self, settings: FitSettings, side: int):
        super().__init__(settings, "far", side, _DEFAULTS)

    def sigma(self, step: int) -> float:
        """Return the softness in px^2 at the full size."""
        return self._sigma(step, _SHARP_FROM)

    def shape_rate(self, step: int, scale: float) -> float:
        """Return the learning rate of the vertices of an object of size `scale`: it goes with the length of the edges."""
        progress = self.progress(step)
        finer = (face_count(self.final_faces, 0) / face_count(self.final_faces, progress)) ** 0.5
        return self._learning_rate * scale * (finer * cosine(1.0, _LAST_RATE, progress))

    def smoothness(self, step: int, faces: int) -> float:
        """Return lambda of Large Steps after a remeshing."""
        return self._smoothness(min(1.0, self.progress(step) / _SMOOTH_UNTIL), faces)

    def unfold_rounds(self, step: int) -> int:
        """Return how often folds may be smoothed after a step."""
        if self.is_last(step):
            return UNFOLD_ROUNDS
        return _UNFOLD_ROUNDS if (step + 1) % _UNFOLD_EVERY == 0 else 0

    def faces(self, step: int) -> int:
        """Return the number of faces of the mesh before a step."""
        return face_count(self.final_faces, self.progress(step))


class Growth:
    """What one view asks of a mesh that grows into it: its silhouette, step by step, and its depth."""

    def __init__(self, view: View, thickness: float):
        self._view = view
        self._side = max(view.camera.size)
        self._gaps = Gaps(view.mask, _GAP * self._side)
        self._depth = RoundDepth(view, thickness)

    def view(self, progress: float, level: int) -> View:
        """Return the view to compare with, at its size over `level`.

        Once the mesh covers a gap, only its rim sees that, so it must enter from the gap's mouth, which is narrow.
        """
        begin, end = _WIDER_UNTIL
        by = _WIDER * self._side * min(1.0, (end - progress) / (end - begin))
        view = replace(self._view, mask=self._gaps.widened(by)) if by > 0 else self._view
        return view.limited(self._side // level)

    def moved(self, body: Body, parameter: np.ndarray, delta: np.ndarray) -> tuple[np.ndarray, Body]:
        """Return the parameter of Large Steps (V, 3) after a step by delta, and the body, no vertex further than it may go."""
        edge = even_edge_length(body.vertices, body.faces, len(body.faces))
        delta = delta + _PULL * self._depth.pull(body.vertices, body.faces, _LEAST_DEPTH * edge)
        moved = body.at(parameter + delta)
        furthest = float(np.sqrt(((moved.vertices - body.vertices) ** 2).sum(axis=1).max()))
        if furthest > _FURTHEST * edge:
            delta = _FURTHEST * edge / furthest * delta
            moved = body.at(parameter + delta)
        return parameter + delta, moved
