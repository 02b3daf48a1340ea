"""What the search for a pose can be asked for."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class PoseSettings:
    """Settings of `fit_pose`. The defaults need no tuning for a mesh of anything in a picture of any size."""

    starts: int = 700  # rotations that are tried, evenly spread over all; 0: only the camera given
    refined: int = 40  # of them that are followed up, beside the camera given
    focal: bool = False  # whether the focal length is unknown, too
    exposure: bool = True  # whether a gain and an offset of each colour channel are unknown, or one gain of all
    light: bool = True  # whether the light that falls on a mesh with colours is unknown, or they are seen as they are
    recut: bool = (
        False  # whether the mask is only about right, and is cut anew along the outline of the pose found with it
    )
    resolution: int = 192  # px at most of the long side of what is compared, the mask and what is around it
    steps: int = 20  # at most, at each resolution
    silhouette_weight: float = 1.0
    color_weight: float = 1.0  # 0: colours say nothing

    def __post_init__(self) -> None:
        for name, least in (("starts", 0), ("refined", 1), ("resolution", 8), ("steps", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ValueError(f"{name} must be an integer >= {least}, got {value!r}")
        for name in ("silhouette_weight", "color_weight"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be finite and >= 0, got {value}")
        if self.silhouette_weight == 0 and self.color_weight == 0:
            raise ValueError("silhouette_weight and color_weight are both 0: there is nothing to compare")
