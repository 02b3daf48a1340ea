"""What a fit knows of its mesh beside the photos: that it is smooth, stays near the start mesh's shape, keeps its volume."""

from typing import Any, NamedTuple, Protocol

import numpy as np

from . import regularize
from .body import Body
from .fit_settings import FitSettings
from .mesh import Mesh
from .topology import cotangent_laplacian


class Prior(Protocol):
    """A loss of the shape alone."""

    @property
    def name(self) -> str:
        """What the losses of a step call it."""

    def evaluate(self, body: Body) -> tuple[float, np.ndarray]:
        """Return the weighted loss and its gradient (V, 3)."""


class Smooth(NamedTuple):
    """A small uniform Laplacian of the vertices, in sizes of the object, `scale`."""

    weight: float
    scale: float
    name: str = "laplacian"

    def evaluate(self, body: Body) -> tuple[float, np.ndarray]:
        """Return the weighted loss and its gradient (V, 3)."""
        value, gradient = regularize.laplacian(body.vertices / self.scale, body.laplacian)
        return self.weight * value, self.weight * gradient / self.scale


class Rigid(NamedTuple):
    """The mean squared strain since the rest vertices (V, 3), over the start's area and apart from turns of its parts: it
    depends neither on the unit nor on the number of faces. `laplacian` is the cotangent one at rest."""

    weight: float
    rest: np.ndarray
    laplacian: Any
    area: float
    name: str = "rigidity"

    @staticmethod
    def of(start: Mesh, weight: float) -> "Rigid":
        """Return the prior that holds to a start mesh."""
        rest = start.vertices.astype(np.float64)
        corners = rest[start.faces]
        crossed = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        area = float(np.linalg.norm(crossed, axis=1).sum()) / 2
        return Rigid(weight, rest, cotangent_laplacian(rest, start.faces), area)

    def evaluate(self, body: Body) -> tuple[float, np.ndarray]:
        """Return the weighted loss and its gradient (V, 3)."""
        value, gradient = regularize.arap(body.vertices, self.rest, self.laplacian)
        weight = self.weight * len(self.rest) / self.area
        return weight * value, weight * gradient


class SameVolume(NamedTuple):
    """The squared relative change of the volume since the start."""

    weight: float
    rest_volume: float
    name: str = "volume"

    @staticmethod
    def of(start: Mesh, weight: float) -> "SameVolume":
        """Return the prior that keeps a start mesh's volume. Raises ValueError if it has none."""
        rest = start.vertices.astype(np.float64)
        volume = regularize.signed_volume(rest, start.faces)
        if not abs(volume) > 1e-9 * float(np.ptp(rest, axis=0).max()) ** 3:
            raise ValueError(f"the start mesh has no volume to keep: its signed volume is {volume:.3g}")
        return SameVolume(weight, volume)

    def evaluate(self, body: Body) -> tuple[float, np.ndarray]:
        """Return the weighted loss and its gradient (V, 3)."""
        value, gradient = regularize.volume(body.vertices, body.faces, self.rest_volume)
        return self.weight * value, self.weight * gradient


def is_held(settings: FitSettings) -> bool:
    """Return whether some prior needs the start mesh."""
    return settings.rigidity > 0 or settings.volume_weight > 0


def priors_of(settings: FitSettings, scale: float, start: Mesh | None) -> list[Prior]:
    """Return the priors that settings ask for, of an object of size `scale`; `start` is its start mesh if it `is_held`."""
    priors: list[Prior] = [Smooth(settings.laplacian_weight, scale)]
    if start is not None and settings.rigidity > 0:
        priors.append(Rigid.of(start, settings.rigidity))
    if start is not None and settings.volume_weight > 0:
        priors.append(SameVolume.of(start, settings.volume_weight))
    return priors
