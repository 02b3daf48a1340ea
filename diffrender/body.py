"""A mesh as the optimiser holds it: vertices, and what follows from how they are joined."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .halves import Mirror
from .mesh import Mesh
from .optimize.large_steps import LargeSteps
from .repair import unfold
from .symmetry import Plane
from .topology import adjacent_faces, uniform_laplacian


@dataclass(frozen=True)
class Body:
    """Vertices (V, 3) float64 and faces (F, 3), their uniform Laplacian (V, V) and pairs (P, 2) of neighbouring faces, the
    parametrisation that steps are made in, and the mirror that they keep to."""

    vertices: np.ndarray
    faces: np.ndarray
    laplacian: Any
    pairs: np.ndarray
    parametrisation: LargeSteps
    mirror: Mirror

    @staticmethod
    def of(parameter: np.ndarray, faces: np.ndarray, smoothness: float, plane: Plane | None) -> "Body":
        """Return the body with a parameter (V, 3) of Large Steps."""
        laplacian = uniform_laplacian(faces, len(parameter))
        return _body(parameter, faces, laplacian, LargeSteps(laplacian, smoothness), plane)

    @staticmethod
    def at_vertices(
        vertices: np.ndarray, faces: np.ndarray, smoothness: float, plane: Plane | None
    ) -> tuple[np.ndarray, "Body"]:
        """Return the parameter (V, 3) of vertices (V, 3), and the body with it: one factorisation serves both."""
        laplacian = uniform_laplacian(faces, len(vertices))
        parametrisation = LargeSteps(laplacian, smoothness)
        parameter = parametrisation.to_parameter(vertices)
        return parameter, _body(parameter, faces, laplacian, parametrisation, plane)

    def at(self, parameter: np.ndarray) -> "Body":
        """Return the body with the same faces and another parameter (V, 3)."""
        return replace(self, vertices=self.parametrisation.to_vertices(parameter))

    def gradient(self, grad_vertices: np.ndarray) -> np.ndarray:
        """Carry a gradient of the vertices (V, 3) to the parameter, the part of it that keeps to the mirror."""
        return self.parametrisation.gradient(self.mirror.gradient(grad_vertices))

    def smoothed(self, smoothness: float) -> tuple[np.ndarray, "Body"]:
        """Return the parameter (V, 3) and the body, its vertices in place, for another smoothness of the steps."""
        parametrisation = LargeSteps(self.laplacian, smoothness)
        return parametrisation.to_parameter(self.vertices), replace(self, parametrisation=parametrisation)

    def unfolded(self, rounds: int) -> np.ndarray | None:
        """Return the parameter (V, 3) of the body with its folded faces made flat, or None if none is folded."""
        flat = unfold(self.vertices, self.faces, self.laplacian, self.pairs, rounds)
        return None if flat is self.vertices else self.parametrisation.to_parameter(self.mirror.symmetric(flat))

    def mesh(self, colors: np.ndarray) -> Mesh:
        """Return it as a mesh with vertex colours (V, 3)."""
        return Mesh(self.vertices.astype(np.float32), self.faces, colors)


def _body(
    parameter: np.ndarray, faces: np.ndarray, laplacian: Any, parametrisation: LargeSteps, plane: Plane | None
) -> Body:
    vertices = parametrisation.to_vertices(parameter)
    mirror = Mirror.of(vertices, faces, plane)
    return Body(vertices, faces, laplacian, adjacent_faces(faces), parametrisation, mirror)
