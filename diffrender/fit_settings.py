"""What a fit can be asked for."""

import math
from dataclasses import dataclass, fields
from typing import Any

from .halves import Symmetry, check_symmetry
from .loss import ColorSpace

_OF_FREE_SHAPES = {
    "remesh_every": 0,
    "symmetry": "none",
    "rigidity": 0.0,
    "volume_weight": 0.0,
    "camera_learning_rate": 0.0,
    "exposure_learning_rate": 0.0,
}


@dataclass(frozen=True)
class FitSettings:
    """Settings of `fit`; the defaults need no tuning for one photo of a thing. Lengths are in px of the working size."""

    steps: int = 200
    seed: int = 0
    faces: int | None = None  # of the start mesh that `fit` makes itself; None: 40,000, or 100,000 for a hull
    thickness: float = 0.8  # of the balloon start: 1 makes a disc a sphere
    resolution: int | None = None  # px of the long side that the fit works at; None: 384, or 768 for a hull
    sigma_start: float | None = None  # px^2; None: 0.05 for a balloon, 0.8 hull, (4 % of the long side)^2 further off
    sigma_end: float = 0.02  # px^2; a union of many soft faces bulges by about its root, so the end must be sharp
    gamma: float = 1e-3
    # In units of the object's size; None: 2e-3 for a balloon, 1.2e-2 for a hull, 5e-2 further off.
    learning_rate: float | None = None
    color_learning_rate: float | None = None  # None: 2e-2, or 5e-3 for a hull, which begins with the photos' colours
    smoothness_start: float | None = None  # None: as below for a balloon, 50 times as much further off
    smoothness: float | None = None  # lambda of Large Steps at the end, for 20,000 faces; None: 8, or 1 for a hull
    silhouette_weight: float = 1.0
    color_weight: float | None = None  # None: 1, or 40 for a hull, whose silhouettes fit to begin with
    laplacian_weight: float = 0.3
    color_space: ColorSpace = "srgb"
    views_per_step: int = 4
    # Quantile of the vertices' gradients that longer ones are shortened to; None: 1, or 0.5 for a hull.
    longest_gradient: float | None = None
    # In sizes of the object, and radians: cameras are put right by the way; 0: as given.
    camera_learning_rate: float = 0.0
    exposure_learning_rate: float = 0.0  # of the logarithm of each photo's gains; 0: all photos are exposed alike
    remesh_every: int = 0  # steps between remeshings to about `faces` even triangles; 0: the start's triangles stay
    symmetry: Symmetry = "none"  # "auto", or the normal (x, y, z) of the plane that mirrors the object, in the world
    rigidity: float = 0.0  # weight of what a mesh departs from the start's shape by, apart from turns of its parts
    volume_weight: float = 0.0  # of the squared relative change of the start's volume
    # Of a template with colours, seen by several views: as little of it changes as explains them; in shares of the weight at
    # which nothing moves. 0.007 is usual, 0 lets all of it change.
    sparsity: float = 0.0
    hold_shape: bool = False  # of a mesh with a texture: only that is fitted, and the mesh stays where it is

    def __post_init__(self) -> None:
        object.__setattr__(self, "symmetry", check_symmetry(self.symmetry))
        for name in ("steps", "faces", "resolution", "views_per_step"):
            value = getattr(self, name)
            if value is None and name in ("faces", "resolution"):
                continue
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive integer, got {value!r}")
        if not isinstance(self.remesh_every, int) or self.remesh_every < 0:
            raise ValueError(f"remesh_every must be an integer >= 0, got {self.remesh_every!r}")
        if self.rigidity > 0 and self.remesh_every > 0:
            raise ValueError(
                f"rigidity {self.rigidity} needs the start's triangles, but remesh_every is {self.remesh_every}"
            )
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float) and not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{field.name} must be finite and >= 0, got {value}")
        if self.adjusts_views and self.symmetry != "none":
            raise ValueError(
                "cameras and exposures cannot be adjusted with symmetry: reflected views have none of their own"
            )
        if self.hold_shape and self.sparsity > 0:
            raise ValueError(f"hold_shape does not go with sparsity {self.sparsity}")
        if self.hold_shape or self.sparsity > 0:
            asked = "hold_shape" if self.hold_shape else f"sparsity {self.sparsity}"
            for name, off in _OF_FREE_SHAPES.items():
                if getattr(self, name) != off:
                    raise ValueError(f"{asked} does not go with {name} {getattr(self, name)}")
        for name in ("sigma_start", "sigma_end", "gamma", "thickness"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be positive, got {value}")

    @property
    def adjusts_views(self) -> bool:
        """Whether the fit changes cameras or exposures by the way."""
        return self.camera_learning_rate > 0 or self.exposure_learning_rate > 0


def settings_from(values: dict[str, Any]) -> FitSettings:
    """Return settings from a dictionary, as `dataclasses.asdict` makes. Raises ValueError for a name that is unknown."""
    known = {field.name for field in fields(FitSettings)}
    if unknown := sorted(set(values) - known):
        raise ValueError(f"unknown settings of the fit: {', '.join(unknown)}")
    return FitSettings(**values)
