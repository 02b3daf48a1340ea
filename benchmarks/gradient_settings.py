"""Numbers of the renderer that have no gradient, and which outputs depend on them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, replace
from typing import Any, NamedTuple

import numpy as np

import diffrender as dr
from diffrender.lights import LightsGradients
from diffrender.rendering import RenderGradients
from diffrender.shading import LightGradients

from .gradient_scenes import Scene

_NUDGE = 1.01
_LIGHT = dr.Light((0.3, 0.8, 0.6))
_LIGHTS = dr.Lights((0.2, 0.2, 0.2), dr.Directional((0.2, 0.9, 0.5)), dr.Points((1.5, 0.5, 2)))


class Setting(NamedTuple):
    """A number without a gradient, and whether each kind of output depends on it."""

    owner: str
    name: str
    felt: dict[str, bool]


def settings(shown: Sequence[Scene]) -> list[Setting]:
    """Return the numbers among the fields of `dr.Soft`, `dr.Light` and `dr.Lights` that have no gradient."""

    def alpha(scene: Scene, soft: dr.Soft) -> np.ndarray:
        return dr.render_silhouette(scene.mesh, scene.camera, soft).alpha

    def depth(scene: Scene, soft: dr.Soft) -> np.ndarray:
        return dr.render_attributes(scene.mesh, scene.camera, "depth", soft).image

    def colors(scene: Scene, soft: dr.Soft) -> np.ndarray:
        return dr.render(scene.mesh, scene.camera, soft).image[..., :3]

    def lit(scene: Scene, light: dr.Light | dr.Lights) -> np.ndarray:
        return dr.render(scene.mesh, scene.camera, scene.soft, light).image[..., :3]

    found = []
    for name in _numbers(dr.Soft, RenderGradients):
        kinds: dict[str, Callable[[Scene, Any], np.ndarray]] = {"alpha": alpha, "colours": colors, "depth": depth}
        felt = {kind: _differs(draw, [(scene, scene.soft) for scene in shown], name) for kind, draw in kinds.items()}
        found.append(Setting("Soft", name, felt))
    for light, gradients in ((_LIGHT, LightGradients), (_LIGHTS, LightsGradients)):
        for name in _numbers(type(light), gradients):
            felt = {"alpha": False, "colours": _differs(lit, [(scene, light) for scene in shown], name), "depth": False}
            found.append(Setting(type(light).__name__, name, felt))
    return found


def _numbers(owner: Any, gradients: Any) -> Iterable[str]:
    """Yield the fields that are numbers and have no gradient; the others are switches, see `MODES`."""
    for field in fields(owner):
        if isinstance(field.default, float | tuple) and field.name not in gradients._fields:
            yield field.name


def _differs(draw: Callable[[Scene, Any], np.ndarray], given: Sequence[tuple[Scene, Any]], name: str) -> bool:
    """Whether a number that is 1 % larger changes any image."""
    return any(not np.array_equal(draw(scene, owner), draw(scene, _nudged(owner, name))) for scene, owner in given)


def _nudged(owner: Any, name: str) -> Any:
    value = getattr(owner, name)
    return replace(owner, **{name: tuple(_NUDGE * x for x in value) if isinstance(value, tuple) else _NUDGE * value})
