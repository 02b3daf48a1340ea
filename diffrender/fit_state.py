"""What a fit is between two steps, and what it shows after one."""

from typing import NamedTuple

import numpy as np

from .adjust import Adjustments
from .mesh import Mesh
from .optimize.adam import AdamState
from .symmetry import Plane


class Change(NamedTuple):
    """A sparse change: where the template's vertices (V, 3) rest, how far each has moved, and had when soft images were
    last corrected; and the weight that holds them, in units of loss per length."""

    rest: np.ndarray
    offset: np.ndarray
    corrected: np.ndarray
    weight: float


class Texels(NamedTuple):
    """The texture of a mesh whose shape is held, linear RGB (H, W, 3), and how it lies there: as in `Mesh` and `Texture`."""

    image: np.ndarray
    uv: np.ndarray
    faces_uv: np.ndarray
    wrap: str
    filter: str


class FitState(NamedTuple):
    """All that the loop needs to go on after `step` steps, to the same bits as without a stop."""

    step: int
    parameter: np.ndarray  # (V, 3) float64, u of Large Steps
    smoothness: float  # the lambda that u is for
    colors: np.ndarray  # (V, 3) float32 linear RGB
    faces: np.ndarray  # (F, 3) int32
    scale: float  # half the diagonal of the start mesh's bounding box
    shape_moments: AdamState
    color_moments: AdamState
    adjustments: Adjustments
    plane: Plane | None = None  # that mirrors the object
    change: Change | None = None  # of a template of which as little as possible changes
    texels: Texels | None = None  # of a mesh whose shape is held; `color_moments` are theirs then


class Step(NamedTuple):
    """One step of a fit: the mesh after it, the loss before it and its parts, the soft image (H, W, 4) that was compared."""

    step: int  # 1-based
    steps: int
    mesh: Mesh
    loss: float
    parts: dict[str, float]
    image: np.ndarray
    state: FitState

    @property
    def done(self) -> bool:
        """Whether this is the last step."""
        return self.step == self.steps
