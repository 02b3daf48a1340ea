"""What a fit knows of its mesh beside the photos: that it stays near the start mesh's shape, or keeps its volume."""

from typing import Any, NamedTuple

import numpy as np

from . import regularize
from .mesh import Mesh
from .topology import cotangent_laplacian


class Priors(NamedTuple):
    """Weights, and the start mesh that they hold to: its vertices (V, 3), Laplacian and area; and its volume.

    `rigidity` weighs the mean squared strain, over the start's area and apart from turns, `volume` the squared relative
    change of the volume: neither depends on the unit or on the number of faces.
    """

    rigidity: float
    volume: float
    rest: np.ndarray
    laplacian: Any
    area: float
    rest_volume: float

    @staticmethod
    def of(start: Mesh, rigidity: float, volume: float) -> "Priors":
        """Return the priors of a start mesh. Raises ValueError for a volume to be kept of a mesh that has none."""
        rest = start.vertices.astype(np.float64)
        corners = rest[start.faces]
        crossed = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        rest_volume = regularize.signed_volume(rest, start.faces)
        if volume > 0 and not abs(rest_volume) > 1e-9 * float(np.ptp(rest, axis=0).max()) ** 3:
            raise ValueError(f"the start mesh has no volume to keep: its signed volume is {rest_volume:.3g}")
        laplacian = cotangent_laplacian(rest, start.faces)
        return Priors(rigidity, volume, rest, laplacian, float(np.linalg.norm(crossed, axis=1).sum()) / 2, rest_volume)

    def evaluate(self, vertices: np.ndarray, faces: np.ndarray) -> tuple[dict[str, float], np.ndarray]:
        """Return the weighted losses by name, of those that have a weight, and their gradient (V, 3)."""
        parts, total = {}, np.zeros_like(vertices)
        if self.rigidity > 0:
            value, gradient = regularize.arap(vertices, self.rest, self.laplacian)
            weight = self.rigidity * len(self.rest) / self.area
            parts["rigidity"] = weight * value
            total += weight * gradient
        if self.volume > 0:
            value, gradient = regularize.volume(vertices, faces, self.rest_volume)
            parts["volume"] = self.volume * value
            total += self.volume * gradient
        return parts, total
