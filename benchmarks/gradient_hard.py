"""The stages of hard rendering as rows of the table of gradients: what `dr.interpolate`, `dr.sample_texture` and `dr.antialias`
return."""

from collections.abc import Iterator
from typing import Any, get_args

import numpy as np

import diffrender as dr
from diffrender.corners import join_corners
from diffrender.fragments import Fragments
from diffrender.rendering import front_of
from diffrender.texture import Filter

from .gradient_draw import Draw, Given, Values, in_pixels, materials_of
from .gradient_scenes import Scene

COLUMNS = ("vertices", "attributes", "values", "uv", "slopes", "texture")
_CHANNELS = 3
NOT_YET = "Attributes are interpolated before."
NO_VALUES = "Values are what it returns."
NO_TEXTURE = "It looks up no texture."
BEFORE = "Values are taken at the fragments' places, which are found before."
UNUSED = "A bilinear texture is not blended from several sizes."

Row = tuple[str, str, Draw, Given, dict[str, str], Given, tuple[str, ...]]


def stages() -> Iterator[Row]:
    """Yield the name, the function's own name, and what else `Output` has, for each of them."""
    unused = {"values": NO_VALUES} | dict.fromkeys(("uv", "slopes", "texture"), NO_TEXTURE)
    given = in_pixels(_CHANNELS)
    for what in ("image", "slopes"):
        for perspective in (False, True):
            name = ("at" if what == "image" else "slopes at") + " pixels' centres"
            name += ", perspective correct" if perspective else ""
            yield name, "interpolate", _interpolated(what, perspective), given, unused, lambda scene: {}, COLUMNS
    unused = {"vertices": BEFORE, "attributes": NOT_YET, "values": NO_VALUES}
    for filter in get_args(Filter):
        names = ("uv", "slopes", "texture") if filter == "trilinear" else ("uv", "texture")
        blanks = unused if filter == "trilinear" else unused | {"slopes": UNUSED}
        yield (
            f"colours, {filter}",
            "sample_texture",
            _sampled(filter),
            _looked_up(*names),
            blanks,
            lambda scene: {},
            COLUMNS,
        )
    blanks = {"attributes": NOT_YET} | dict.fromkeys(("uv", "slopes", "texture"), NO_TEXTURE)
    yield "boundaries", "antialias", _antialiased, _values, blanks, lambda scene: {}, COLUMNS
    given = _of_faces
    blanks = {"values": "They are interpolated from attributes."} | dict.fromkeys(
        ("uv", "slopes", "texture"), NO_TEXTURE
    )
    yield "seams of faces with colours of their own", "antialias", _faceted, given, blanks, lambda scene: {}, COLUMNS


def _fragments(scene: Scene, vertices: np.ndarray) -> Fragments:
    return dr.rasterize_hard(vertices, front_of(scene.mesh, scene.camera, scene.soft).faces, scene.camera.size)


def _interpolated(what: str, perspective: bool) -> Draw:
    def draw(scene: Scene, values: Values) -> Any:
        drawn = dr.interpolate(_fragments(scene, values["vertices"]), values["attributes"], None, perspective)
        pixels = scene.camera.size[0] * scene.camera.size[1]

        def backward(grad: np.ndarray) -> Values:
            whole, of_slopes = np.zeros_like(drawn.values), np.zeros((*drawn.values.shape, 2))
            (whole if what == "image" else of_slopes)[:pixels] = grad.reshape(pixels, *grad.shape[2:])
            grads = drawn.backward(whole) if what == "image" else drawn.backward(whole, of_slopes)
            return {"vertices": grads.vertices_pixel, "attributes": grads.attributes}

        slopes = drawn.slopes[:pixels].reshape(*scene.camera.size, _CHANNELS, 2)
        return drawn.image if what == "image" else slopes, backward

    return draw


def _sampled(filter: Filter) -> Draw:
    def draw(scene: Scene, values: Values) -> Any:
        fragments = _fragments(scene, in_pixels()(scene)["vertices"])
        texture = dr.Texture(values["texture"], filter=filter)
        drawn = dr.sample_texture(fragments, texture, values["uv"], values.get("slopes"))
        return drawn.values, lambda grad: drawn.backward(grad)._asdict()

    return draw


def _looked_up(*names: str) -> Given:
    """Return a function that returns a place for each fragment, how far it goes from pixel to pixel, and a texture."""

    def given(scene: Scene) -> Values:
        count, random = _values(scene)["values"].shape[0], np.random.default_rng(8)
        uv, slopes = random.uniform(-0.3, 1.3, (count, 2)), random.normal(size=(count, 2, 2)) * 0.15
        values = {"uv": uv, "slopes": slopes, "texture": materials_of("texture")(scene)["texture"]}
        return {name: values[name] for name in names}

    return given


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
