"""The seam between what is computed and where: what a backend must do, and how one is chosen."""

import importlib
import warnings
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, cast

import numpy as np

if TYPE_CHECKING:
    from .pyramid import Pyramid

Name = Literal["cpu", "cuda", "auto"]
CoverageName = Literal["sigmoid", "gaussian", "cauchy", "uniform"]
UnionName = Literal["probabilistic", "max"]
NAMES: tuple[Name, ...] = ("cpu", "cuda", "auto")


class BackendError(RuntimeError):
    """A backend that was asked for cannot be used here; the message says why and what to do."""


class RasterSettings(NamedTuple):
    """The numbers of a soft rasterization, checked at the door."""

    sigma: float
    cutoff: float
    gamma: float
    near: float
    far: float
    background: np.ndarray | None  # (C,) of the precision of the vertices, None without attributes
    cull_backfaces: bool
    perspective_correct: bool = False
    coverage: CoverageName = "sigmoid"
    union: UnionName = "probabilistic"


class TexturedFaces(NamedTuple):
    """A texture of the precision of the vertices, and where it lies on the faces; arrays of the host, checked at the door."""

    pyramid: "Pyramid"
    uv: np.ndarray  # (T, 2)
    faces_uv: np.ndarray  # (F, 3) int32


class Drawn(NamedTuple):
    """An image, and what its backend keeps for the way back."""

    alpha: Any  # (H, W)
    color: Any  # (H, W, C) or None
    saved: Any
    image: Any = None  # (H, W, C + 1) of which color and alpha are views, where a backend lays them together


class RasterGradients(NamedTuple):
    """Gradients by the names of the inputs of `rasterize_soft`."""

    vertices_pixel: np.ndarray  # (V, 3)
    attributes: np.ndarray | None  # (V, C)
    uv: np.ndarray | None = None  # (T, 2)
    texture: np.ndarray | None = None  # (H, W, 3)


class RasterDirections(NamedTuple):
    """Directions, D of each, by the names of `RasterGradients`; None where nothing changes. Arrays of the host."""

    vertices_pixel: np.ndarray | None = None  # (D, V, 3)
    attributes: np.ndarray | None = None  # (D, V, C)
    uv: np.ndarray | None = None  # (D, T, 2)
    texture: np.ndarray | None = None  # (D, H, W, 3)


class RasterTangents(NamedTuple):
    """How what `rasterize_soft` gives changes in a direction; with a leading axis (D, ...) for several of them."""

    alpha: np.ndarray  # (H, W)
    color: np.ndarray | None  # (H, W, C)


class Backend(Protocol):
    """What `diffrender.cpu.rasterize` and `diffrender.cuda.rasterize` both are: pixel-by-face work, and nothing else.

    Arrays are C-contiguous: vertices (V, 3) and attributes (V, C) of one precision, faces (F, 3) int32. Host arrays have
    been checked; results live where `vertices` lives, but gradients of uv and texture on the host.
    """

    def draw(
        self,
        vertices: Any,
        faces: Any,
        size: tuple[int, int],
        settings: RasterSettings,
        attributes: Any | None,
        textured: TexturedFaces | None = None,
    ) -> Drawn:
        """Return alpha (H, W), color (H, W, C) with attributes, three of them with a texture, and what `draw_backward` needs."""

    def draw_backward(self, drawn: Drawn, grad_alpha: Any | None, grad_color: Any | None) -> RasterGradients:
        """Return the gradients for grad_alpha (H, W) and grad_color (H, W, C); None means zero."""

    def draw_jvp(self, drawn: Drawn, directions: RasterDirections) -> Any:
        """Return how colour, if any, and then alpha change in each direction (D, H, W, C + 1)."""


def load(name: Literal["cpu", "cuda"]) -> Backend:
    """Return a backend. Raises BackendError for "cuda" where no GPU can be used."""
    if name == "cuda":
        from .cuda.diagnosis import require

        require()
    return _module(name)


@cache
def _module(name: str) -> Backend:
    return cast(Backend, importlib.import_module(f"diffrender.{name}.rasterize"))


def choose(name: str) -> Literal["cpu", "cuda"]:
    """Return "cpu" or "cuda" for "cpu", "cuda" or "auto": a usable GPU, else the CPU with one warning a process.

    Raises ValueError for another name, BackendError for "cuda" where no GPU can be used.
    """
    if name not in NAMES:
        raise ValueError(f"backend must be 'cpu', 'cuda' or 'auto', got {name!r}")
    if name == "cpu":
        return "cpu"
    from .cuda.diagnosis import diagnose, require

    if name == "cuda":
        require()
        return "cuda"
    found = diagnose()
    if found.usable and not found.simulated:
        return "cuda"
    warn_of_fallback(found.reason or "Numba's CUDA simulator is slower than the CPU")
    return "cpu"


_warned = False


def warn_of_fallback(reason: str) -> None:
    """Say once in a process that "auto" goes on with the CPU."""
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(f"backend 'auto' uses the CPU: {reason}", stacklevel=2)


def on_device(value: Any) -> bool:
    """Whether a value is a CUDA array: of Numba, CuPy, PyTorch, JAX or anything with `__cuda_array_interface__`."""
    if type(value) is np.ndarray or value is None:  # asked a dozen times for every image
        return False
    return hasattr(value, "__cuda_array_interface__") or bool(getattr(value, "__cuda_ndarray__", False))
