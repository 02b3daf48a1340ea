"""The stages of hard rendering as rows of the table of gradients: what `dr.interpolate` and `dr.antialias` return."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import diffrender as dr
from diffrender.fragments import Fragments
from diffrender.rendering import front_of

from .gradient_draw import Draw, Given, Values, in_pixels
from .gradient_scenes import Scene

COLUMNS = ("vertices", "attributes", "values")
_CHANNELS = 3
NOT_YET = "Attributes are interpolated before."
NO_VALUES = "Values are what it returns."

Row = tuple[str, str, Draw, Given, dict[str, str], Given, tuple[str, ...]]


def stages() -> Iterator[Row]:
    """Yield the name, the function's own name, and what else `Output` has, for each of them."""
    for perspective in (False, True):
        name = "at pixels' centres" + (", perspective correct" if perspective else "")
        draw, given = _interpolated(perspective), in_pixels(_CHANNELS)
        yield name, "interpolate", draw, given, {"values": NO_VALUES}, lambda scene: {}, COLUMNS
    blanks = {"attributes": NOT_YET}
    yield "boundaries", "antialias", _antialiased, _values, blanks, lambda scene: {}, COLUMNS


def _fragments(scene: Scene, vertices: np.ndarray) -> Fragments:
    return dr.rasterize_hard(vertices, front_of(scene.mesh, scene.camera, scene.soft).faces, scene.camera.size)


def _interpolated(perspective: bool) -> Draw:
    def draw(scene: Scene, values: Values) -> Any:
        drawn = dr.interpolate(_fragments(scene, values["vertices"]), values["attributes"], None, perspective)

        def backward(grad: np.ndarray) -> Values:
            whole = np.zeros_like(drawn.values)
            whole[: grad[..., 0].size] = grad.reshape(-1, _CHANNELS)
            grads = drawn.backward(whole)
            return {"vertices": grads.vertices_pixel, "attributes": grads.attributes}

        return drawn.image, backward

    return draw


def _antialiased(scene: Scene, values: Values) -> Any:
    fragments = _fragments(scene, values["vertices"])
    # Vertices that move by much may give another number of fragments: then the image jumps.
    drawn = dr.antialias(fragments, np.resize(values["values"], (fragments.count, _CHANNELS)))

    def backward(grad: np.ndarray) -> Values:
        grads = drawn.backward(grad)
        return {"vertices": grads.vertices_pixel, "values": grads.values}

    return drawn.image, backward


def _values(scene: Scene) -> Values:
    vertices = in_pixels()(scene)["vertices"]
    count = _fragments(scene, vertices).count
    return {"vertices": vertices, "values": np.random.default_rng(7).uniform(0.1, 0.9, (count, _CHANNELS))}
