"""How a sphere grows into the object of one view: coarse and fast at first, its gaps open, its limbs round.

Faces and smoothness follow the fit, as Palfinger's do (Continuous remeshing for inverse rendering, 2022), but by the steps
alone, so that a run can go on from any of them. Here progress is the share of the steps that are done, from 0 to 1.
"""

from dataclasses import replace

import numpy as np

from .depth import RoundDepth
from .gaps import Gaps
from .optimize.schedule import cosine, geometric
from .views.view import View

FURTHEST = (
    0.5  # of an edge's length: the most that a vertex moves in a step; neighbours that do not would be folded over
)
UNFOLD_EVERY = 2  # steps
UNFOLD_ROUNDS = 8
SHARP_FROM = 0.8  # progress
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


def face_count(faces: int, progress: float) -> int:
    """Return the faces to aim for, of a mesh that ends with `faces`."""
    first = min(1.0, max(_COARSEST, _FEWEST / faces))
    return round(faces * geometric(first, 1.0, min(1.0, progress / _FINE_FROM)))


def rate(faces: int, progress: float) -> float:
    """Return the share of the learning rate: it goes with the length of the edges."""
    return (face_count(faces, 0) / face_count(faces, progress)) ** 0.5 * cosine(1.0, _LAST_RATE, progress)


def smoothness(first: float, last: float, progress: float) -> float:
    """Return the smoothness between that of the start and the last one."""
    return geometric(first, last, min(1.0, progress / _SMOOTH_UNTIL))


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

    def pull(self, vertices: np.ndarray, faces: np.ndarray, edge: float) -> np.ndarray:
        """Return what to add to the parameter of Large Steps (V, 3) for depth; `edge` is the length of the mesh's edges."""
        return _PULL * self._depth.pull(vertices, faces, _LEAST_DEPTH * edge)
