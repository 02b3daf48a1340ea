"""Losses and priors as rows of the table of gradients: numbers, from an image or from a mesh alone."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import diffrender as dr
from diffrender import loss, regularize, symmetry
from diffrender.topology import adjacent_faces, cotangent_laplacian, uniform_laplacian, unique_edges

from .gradient_draw import Draw, Given, Values
from .gradient_scenes import Scene

COLUMNS = ("image", "vertices", "plane.normal", "plane.offset")
IMAGES = "A loss compares images and knows no mesh. Its target, mask and weights are data, without a gradient."
SHAPES = "A prior looks at the mesh alone."
NO_PLANE = "There is no plane in it."

Row = tuple[str, str, Draw, Given, dict[str, str], Given, tuple[str, ...]]


def losses_and_priors() -> Iterator[Row]:
    """Yield the name, the function's own name, and what else `Output` has, for each of them."""
    of_image = dict.fromkeys(("vertices", "plane.normal", "plane.offset"), IMAGES)

    def row(name: str, call: str, draw: Draw, given: Given, blanks: dict[str, str]) -> Row:
        return name, call, draw, given, blanks, lambda scene: {}, COLUMNS

    yield row("silhouette_iou", "silhouette_iou", _value(_overlap, "image"), _alpha, of_image)
    for call, given in (("l1", _colors), ("l2", _colors), ("l2_covered", _image)):
        for space in ("linear", "srgb"):
            yield row(f"{call}, {space}", call, _value(_compared(call, space), "image"), given, of_image)
    of_shape = {"image": SHAPES, "plane.normal": NO_PLANE, "plane.offset": NO_PLANE}
    for name, (call, function) in _PRIORS.items():
        yield row(name, call, _value(function, "vertices"), _vertices, of_shape)
    inputs = ("vertices", "plane.normal", "plane.offset")
    for call, paired in (("symmetry", False), ("paired_symmetry", True)):
        yield row(call, call, _value(_mirrored(paired), *inputs), _plane, {"image": SHAPES})


def _value(function: Callable[..., tuple], *names: str) -> Draw:
    """Draw the value of `function(scene, *inputs)`, which returns it and its gradients."""

    def draw(scene: Scene, values: Values) -> Any:
        value, *gradients = function(scene, *(values[name] for name in names))
        return np.asarray(value), lambda grad: {n: grad * g for n, g in zip(names, gradients, strict=True)}

    return draw


def _image(scene: Scene) -> Values:
    return {"image": dr.render(scene.mesh, scene.camera, scene.soft).image}


def _colors(scene: Scene) -> Values:
    return {"image": _image(scene)["image"][..., :3]}  # empty pixels' alpha is 0, where sRGB has a corner


def _alpha(scene: Scene) -> Values:
    return {"image": _image(scene)["image"][..., 3]}


def _vertices(scene: Scene) -> Values:
    return {"vertices": scene.mesh.vertices}


def _plane(scene: Scene) -> Values:
    return _vertices(scene) | {"plane.normal": np.array([0.9, 0.3, -0.2]), "plane.offset": np.float64(0.05)}


def _overlap(scene: Scene, alpha: np.ndarray) -> tuple:
    mask = np.random.default_rng(8).uniform(size=alpha.shape) > 0.5
    return loss.silhouette_iou(alpha, mask.astype(np.float64))


def _compared(call: str, space: str) -> Callable[[Scene, np.ndarray], tuple]:
    def compared(scene: Scene, image: np.ndarray) -> tuple:
        random = np.random.default_rng(9)
        target, weight = random.uniform(size=image.shape), random.uniform(size=image.shape[:2])
        target = target[..., :3] if call == "l2_covered" else target
        return getattr(loss, call)(image, target, weight, space)

    return compared


def _volume(scene: Scene, vertices: np.ndarray) -> tuple:
    target = 1.3 * regularize.signed_volume(scene.mesh.vertices, scene.mesh.faces)
    return regularize.volume(vertices, scene.mesh.faces, target)


def _arap(scene: Scene, vertices: np.ndarray) -> tuple:
    rest = scene.mesh.vertices + np.random.default_rng(10).normal(size=vertices.shape) * 0.1
    return regularize.arap(vertices, rest, cotangent_laplacian(rest, scene.mesh.faces))


_PRIORS: dict[str, tuple[str, Callable[[Scene, np.ndarray], tuple]]] = {
    "laplacian, uniform": (
        "laplacian",
        lambda s, v: regularize.laplacian(v, uniform_laplacian(s.mesh.faces, len(v))),
    ),
    "laplacian, cotangent": (
        "laplacian",
        lambda s, v: regularize.laplacian(v, cotangent_laplacian(s.mesh.vertices, s.mesh.faces)),
    ),
    "edge_length": ("edge_length", lambda s, v: regularize.edge_length(v, unique_edges(s.mesh.faces), 0.4)),
    "normal_consistency": (
        "normal_consistency",
        lambda s, v: regularize.normal_consistency(v, s.mesh.faces, adjacent_faces(s.mesh.faces)),
    ),
    "volume": ("volume", _volume),
    "arap": ("arap", _arap),
}


def _mirrored(paired: bool) -> Callable[..., tuple]:
    def mirrored(scene: Scene, vertices: np.ndarray, normal: np.ndarray, offset: np.float64) -> tuple:
        plane = symmetry.Plane(normal, float(offset))
        if paired:
            pairs = np.random.default_rng(4).permutation(len(vertices))
            value, gradient, of_plane = symmetry.paired_symmetry(vertices, pairs, plane)
        else:
            value, gradient, of_plane = symmetry.symmetry(vertices, scene.mesh.faces, plane)
        return value, gradient, *of_plane

    return mirrored
