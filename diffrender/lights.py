"""Lights of several kinds at once, in RGB: what they are, and what their gradients are called.

All are measured by what they make of a white, matt surface: an ambient light of (1, 1, 1) shows it as (1, 1, 1), and so
does a directional light of that intensity that falls on it at a right angle. So pi does not appear. Linear light has no
upper end: colours may exceed 1, and an image is not clipped; `numpy.clip` it before it goes to a file.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

Normals = Literal["smooth", "flat"]
_WHITE = (1.0, 1.0, 1.0)
_DARK = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Directional:
    """Lights so far away that they fall on everything alike: `directions` (L, 3) towards them in the world, any length but
    0, and RGB `intensities` (L, 3) >= 0. One row for all, or one light without the first axis, will do.
    """

    directions: Any
    intensities: Any = _WHITE

    def __post_init__(self) -> None:
        directions, intensities = _rows("directional light", "directions", self.directions, self.intensities)
        if not directions.any(axis=1).all():
            raise ValueError(f"directional light directions must not be all 0, got {directions.tolist()}")
        _set(self, directions=directions, intensities=intensities)


@dataclass(frozen=True)
class Points:
    """Lights at `positions` (L, 3) in the world, with RGB `intensities` (L, 3) >= 0.

    With falloff "inverse-square" a light of intensity i does at distance r what a directional one of i / r^2 does; with
    "none" the distance does not matter. A vertex exactly at a light gets nothing from it.
    """

    positions: Any
    intensities: Any = _WHITE
    falloff: Literal["inverse-square", "none"] = "inverse-square"

    def __post_init__(self) -> None:
        positions, intensities = _rows("point light", "positions", self.positions, self.intensities)
        if self.falloff not in ("inverse-square", "none"):
            raise ValueError(f"point light falloff must be 'inverse-square' or 'none', got {self.falloff!r}")
        _set(self, positions=positions, intensities=intensities)


@dataclass(frozen=True)
class Specular:
    """A gloss of RGB `color` (3,) >= 0 whose highlights are the smaller the larger `shininess` >= 1 is.

    Under a light whose diffuse part is E, a surface shows E * color * max(n . h, 0)^shininess on top, h being the unit
    vector half-way between light and eye. E falls to 0 where the surface turns away, so no highlight ends abruptly. There
    is no factor that keeps the energy. Blinn, Models of light reflection, 1977, as a reflectance.
    """

    color: Any = (0.5, 0.5, 0.5)
    shininess: float = 32.0

    def __post_init__(self) -> None:
        _set(self, color=_rgb("specular color", self.color))
        if not (math.isfinite(self.shininess) and self.shininess >= 1):
            raise ValueError(f"specular shininess must be finite and >= 1, got {self.shininess}")


@dataclass(frozen=True)
class Lights:
    """Any lights together, shaded at the vertices (Gouraud): colours between vertices are blended, so that a highlight smaller
    than a face is missed.

    `ambient` (3,) comes from everywhere. `sh` (9, 3) are the coefficients of the light from all around, of second order, as
    `diffrender.harmonics.sh_basis` orders them; it is not clipped where they make it negative. `specular` reflects
    directional and point lights, with the eye at the camera's centre. `softness` rounds the corner of max(0, n . l), as in
    `Light`. `normals` are "smooth", those of the vertices, or "flat", each face its own. Raises ValueError with the value
    that is wrong. Ramamoorthi & Hanrahan, An efficient representation for irradiance environment maps, 2001.
    """

    ambient: Any = _DARK
    directional: Directional | None = None
    points: Points | None = None
    sh: Any | None = None
    specular: Specular | None = None
    normals: Normals = "smooth"
    softness: float = 0.1

    def __post_init__(self) -> None:
        _set(self, ambient=_rgb("ambient light", self.ambient))
        for name, kind in (("directional", Directional), ("points", Points), ("specular", Specular)):
            value = getattr(self, name)
            if value is not None and not isinstance(value, kind):
                raise ValueError(f"{name} must be a {kind.__name__} or None, got {value!r}")
        if self.sh is not None:
            sh = np.array(self.sh, np.float64)
            if sh.shape != (9, 3) or not np.isfinite(sh).all():
                raise ValueError(f"sh must be finite and have shape (9, 3), got shape {sh.shape}: {sh.tolist()}")
            _set(self, sh=sh)
        if self.normals not in ("smooth", "flat"):
            raise ValueError(f"normals must be 'smooth' or 'flat', got {self.normals!r}")
        if not (math.isfinite(self.softness) and self.softness >= 0):
            raise ValueError(f"softness must be finite and >= 0, got {self.softness}")


class DirectionalGradients(NamedTuple):
    """Gradients of `Directional` by the names of its fields."""

    directions: np.ndarray  # (L, 3)
    intensities: np.ndarray  # (L, 3)


class PointsGradients(NamedTuple):
    """Gradients of `Points` by the names of its fields."""

    positions: np.ndarray  # (L, 3)
    intensities: np.ndarray  # (L, 3)


class SpecularGradients(NamedTuple):
    """Gradients of `Specular` by the names of its fields."""

    color: np.ndarray  # (3,)
    shininess: float


class LightsGradients(NamedTuple):
    """Gradients of `Lights` by the names of its fields; None for what it does not have."""

    ambient: np.ndarray  # (3,)
    directional: DirectionalGradients | None
    points: PointsGradients | None
    sh: np.ndarray | None  # (9, 3)
    specular: SpecularGradients | None


def _rows(kind: str, name: str, vectors: Any, intensities: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors and intensities, both (L, 3)."""
    rows = np.atleast_2d(np.array(vectors, np.float64))
    if rows.ndim != 2 or rows.shape[1] != 3 or not len(rows) or not np.isfinite(rows).all():
        raise ValueError(f"{kind} {name} must be finite and have shape (L, 3), got shape {rows.shape}: {rows.tolist()}")
    values = np.array(intensities, np.float64)
    if values.shape not in ((3,), (1, 3), rows.shape) or not np.isfinite(values).all() or values.min() < 0:
        raise ValueError(
            f"{kind} intensities must be finite, >= 0 and of shape {rows.shape}, got shape {values.shape}: {values.tolist()}"
        )
    return rows, np.broadcast_to(values, rows.shape).copy()


def _rgb(name: str, value: Any) -> np.ndarray:
    values = np.array(value, np.float64)
    if values.shape != (3,) or not np.isfinite(values).all() or values.min() < 0:
        raise ValueError(f"{name} must be three finite numbers >= 0, got {values.tolist()}")
    return values


def _set(instance: Any, **values: Any) -> None:
    for name, value in values.items():
        object.__setattr__(instance, name, value)
