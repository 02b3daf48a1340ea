"""A small render on a backend, compared with the CPU's in double precision."""

import time
from typing import Any, Literal, NamedTuple

import numpy as np

from .camera import Camera, project
from .rasterize import rasterize_soft
from .sphere import icosphere

FACES = 1280
SIDE = 128  # px
ALPHA_TOLERANCE = 1e-5
GRADIENT_TOLERANCE = 1e-4


class SelfCheck(NamedTuple):
    """What a backend did: seconds forward and backward when warm, and how far single precision is from double."""

    seconds: float
    alpha_error: float  # largest
    gradient_error: float  # relative, L2

    @property
    def good(self) -> bool:
        """Whether the backend computes what it should."""
        return self.alpha_error <= ALPHA_TOLERANCE and self.gradient_error <= GRADIENT_TOLERANCE


def check_backend(backend: Literal["cpu", "cuda"], subdivisions: int = 3, side: int = SIDE) -> SelfCheck:
    """Draw a coloured sphere and its gradient on a backend. Raises whatever the backend raises."""
    expected_alpha, expected_gradient = _draw("cpu", np.float64, subdivisions, side)
    alpha, gradient = _draw(backend, np.float32, subdivisions, side)
    began = time.perf_counter()
    _draw(backend, np.float32, subdivisions, side)
    seconds = time.perf_counter() - began
    return SelfCheck(
        seconds,
        float(np.abs(alpha - expected_alpha).max()),
        float(np.linalg.norm(gradient - expected_gradient) / np.linalg.norm(expected_gradient)),
    )


def _draw(backend: Literal["cpu", "cuda"], dtype: Any, subdivisions: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return alpha and the gradient; the points in the image are the same in both precisions."""
    ball = icosphere(subdivisions)
    camera = Camera.look_at((0.7, 1.1, 3.2), size=(side, side))
    points = project(ball.vertices.astype(np.float64), camera).astype(np.float32).astype(dtype)
    attributes = (ball.vertices * 0.4 + 0.5).astype(dtype)
    raster = rasterize_soft(points, ball.faces, camera.size, attributes=attributes, near=2.0, far=5.0, backend=backend)
    rows, columns = np.mgrid[0:side, 0:side] / side
    grads = raster.backward(columns - rows, np.dstack([rows, columns, rows * columns]))
    return raster.alpha, grads.vertices_pixel
