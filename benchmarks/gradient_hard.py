"""The stages of hard rendering as rows of the table of gradients: what `dr.interpolate` and `dr.antialias` return."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import diffrender as dr
from diffrender.corners import join_corners
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
    given, blanks = _of_faces, {"values": "They are interpolated from attributes."}
    yield "seams of faces with colours of their own", "antialias", _faceted, given, blanks, lambda scene: {}, COLUMNS


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


def _faceted(scene: Scene, values: Values) -> Any:
    faces = front_of(scene.mesh, scene.camera, scene.soft).faces
    corners, vertices = np.arange(faces.size, dtype=np.int32).reshape(-1, 3), values["vertices"]
    fragments = dr.rasterize_hard(vertices[faces].reshape(-1, 3), corners, scene.camera.size)
    drawn = dr.interpolate(fragments, np.repeat(values["attributes"], 3, axis=0))
    image = dr.antialias(fragments, drawn.values)

    def backward(grad: np.ndarray) -> Values:
        areas = image.backward(grad)
        grads = drawn.backward(areas.values)
        grad_vertices = join_corners(faces, areas.vertices_pixel + grads.vertices_pixel, len(vertices))
        return {"vertices": grad_vertices, "attributes": grads.attributes.reshape(-1, 3, _CHANNELS).sum(axis=1)}

    return image.image, backward


def _of_faces(scene: Scene) -> Values:
    """Return vertices in pixels and a colour for each face."""
    faces = front_of(scene.mesh, scene.camera, scene.soft).faces
    colors = np.random.default_rng(8).uniform(0.1, 0.9, (len(faces), _CHANNELS))
    return {"vertices": in_pixels()(scene)["vertices"], "attributes": colors}


def _values(scene: Scene) -> Values:
    vertices = in_pixels()(scene)["vertices"]
    count = _fragments(scene, vertices).count
    return {"vertices": vertices, "values": np.random.default_rng(7).uniform(0.1, 0.9, (count, _CHANNELS))}
