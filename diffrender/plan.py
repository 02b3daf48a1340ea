"""What a fit does at each of its steps: the settings, with what depends on the start filled in, as schedules."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeVar

import numpy as np

from .fit_settings import FitSettings
from .optimize.schedule import cosine, geometric
from .views.view import View

# "far": a sphere or a template, whose silhouette is not yet the object's; "held": a mesh that only gets colours.
Start = Literal["balloon", "hull", "far", "held"]

_MARGIN = 16  # px around the masks of several views: the mesh may begin outside them
_SHARP_FROM = 0.75  # of the steps: softness shrinks until then; the rest sharpens at the final one
_LAST_RATE = 0.1  # of the learning rates
_UNFOLD_EVERY, UNFOLD_ROUNDS = 10, 40
_REMESHED_UNTIL = 0.95  # of the steps: the last ones only sharpen
_FACES_OF_SMOOTHNESS = 20_000  # that the settings' smoothness is meant for

_T = TypeVar("_T", int, float)


class Defaults(NamedTuple):
    """What settings are where they say None."""

    faces: int = 40_000
    resolution: int = 384
    reach: float = 0.0  # px: the root of the first sigma ...
    reach_of_side: float = 0.0  # ... to which this share of the image's long side is added
    learning_rate: float = 5e-2
    color_learning_rate: float = 2e-2
    color_weight: float = 1.0
    longest_gradient: float = 1.0
    smoothness: float = 8.0
    smoothness_start: float = 1.0  # times the smoothness at the end


_DEFAULTS: dict[Start, Defaults] = {
    "balloon": Defaults(reach=0.22, learning_rate=2e-3),
    "hull": Defaults(100_000, 768, 0.9, 0.0, 1e-2, 5e-3, 40.0, 0.5, 1.0, 2.0),
    "far": Defaults(reach_of_side=0.04, smoothness_start=50.0),
    "held": Defaults(resolution=2048),
}


def worked_on(views: Sequence[View], settings: FitSettings, start: Start) -> list[View]:
    """Return the views as a fit compares them: at its resolution, several of them cut to what is around their masks."""
    side = _given(settings.resolution, _DEFAULTS[start].resolution)
    views = [view.limited(side) for view in views]
    return [view.cropped(_MARGIN) for view in views] if len(views) > 1 else views


class Plan:
    """The schedules of a fit, by step from 0 on, for a start and images of `side` px; lengths are in px and in sizes of the
    object."""

    keeps_smoothness = False  # until the next remeshing

    def __init__(self, settings: FitSettings, start: Start, side: int, defaults: Defaults | None = None):
        default = defaults or _DEFAULTS[start]
        reach = default.reach + default.reach_of_side * side
        self.settings, self.start, self.steps = settings, start, settings.steps
        self.final_faces = _given(settings.faces, default.faces)
        self.color_weight = _given(settings.color_weight, default.color_weight)
        self.longest_gradient = _given(settings.longest_gradient, default.longest_gradient)
        self._sigma_start = _given(settings.sigma_start, max(reach**2, settings.sigma_end))
        self._learning_rate = _given(settings.learning_rate, default.learning_rate)
        self._color_learning_rate = _given(settings.color_learning_rate, default.color_learning_rate)
        smoothness = _given(settings.smoothness, default.smoothness)
        self._smoothness_end = max(smoothness, 1e-9)
        self._smoothness_start = max(_given(settings.smoothness_start, default.smoothness_start * smoothness), 1e-9)

    def progress(self, step: int) -> float:
        """Return the share of the steps that are done."""
        return step / self.steps

    def sigma(self, step: int) -> float:
        """Return the softness in px^2 at the full size."""
        return self._sigma(step, _SHARP_FROM)

    def level(self, step: int) -> int:
        """Return by what the images' sides are divided.

        A soft image needs few pixels: halved while an edge stays wider than one of them. A hull's edges are sharp and in
        place; there, small images let the photos' patterns find each other from further away.
        """
        sigma = self.sigma(step)
        quarter, half = (0.4, 0.1) if self.start == "hull" else (32, 4)
        return 4 if sigma >= quarter else 2 if sigma >= half else 1

    def rate(self, step: int) -> float:
        """Return the share of the learning rates that is left."""
        return cosine(1.0, _LAST_RATE, self.progress(step))

    def shape_rate(self, step: int, scale: float) -> float:
        """Return the learning rate of the vertices of an object of size `scale`."""
        return self._learning_rate * scale * self.rate(step)

    def color_rate(self, step: int) -> float:
        """Return the learning rate of the colours."""
        return self._color_learning_rate * self.rate(step)

    def smoothness(self, step: int, faces: int) -> float:
        """Return lambda of Large Steps: first the whole object bends, then its limbs, then its details.

        It is proportional to the number of faces: the square root of lambda is a distance in edges.
        """
        stage = min(2, 3 * step // self.steps)
        return self._smoothness(stage / 2, faces)

    def views(self, count: int, step: int) -> list[int]:
        """Pick the views of a step, from the step's own random numbers, so that a resumed run picks the same."""
        few = self.settings.views_per_step
        if count <= few:
            return list(range(count))
        return np.random.default_rng([self.settings.seed, step]).permutation(count)[:few].tolist()

    def unfold_rounds(self, step: int) -> int:
        """Return how often folds may be smoothed after a step."""
        return UNFOLD_ROUNDS if (step + 1) % _UNFOLD_EVERY == 0 or self.is_last(step) else 0

    def is_remeshed(self, step: int) -> bool:
        """Return whether the mesh gets new triangles after a step."""
        every = self.settings.remesh_every
        return every > 0 and (step + 1) % every == 0 and step + 1 <= _REMESHED_UNTIL * self.steps

    def faces(self, step: int) -> int:
        """Return the number of faces of the mesh before a step, if it is remeshed."""
        return self.final_faces

    def is_last(self, step: int) -> bool:
        """Return whether no step comes after this one."""
        return step + 1 == self.steps

    def _sigma(self, step: int, sharp_from: float) -> float:
        return geometric(self._sigma_start, self.settings.sigma_end, min(1.0, self.progress(step) / sharp_from))

    def _smoothness(self, share: float, faces: int) -> float:
        return geometric(self._smoothness_start, self._smoothness_end, share) * faces / _FACES_OF_SMOOTHNESS


def _given(value: _T | None, default: _T) -> _T:
    return default if value is None else value
