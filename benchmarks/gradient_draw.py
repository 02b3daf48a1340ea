"""How the renderer's outputs are drawn from values by name, and with gradients by the same names."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

import diffrender as dr
from diffrender.lights import Normals
from diffrender.rendering import front_of
from diffrender.texture import Filter, Wrap

from .gradient_scenes import TEXTURE_SIZE, Scene

Values = dict[str, Any]
Draw = Callable[[Scene, Values], tuple[np.ndarray, Callable[[np.ndarray], Values]]]  # an array, and its backward
Given = Callable[[Scene], Values]

_K = (np.array([0, 1, 0, 0, 1]), np.array([0, 1, 1, 2, 2]))  # where fx, fy, skew, cx and cy are in it
LIGHT = {
    "light.direction": np.array([0.3, 0.8, 0.6]),
    "light.ambient": np.float64(0.3),
    "light.diffuse": np.float64(0.7),
}
LIGHTS: dict[str, Values] = {
    "ambient": {"light.ambient": np.array([0.2, 0.3, 0.25])},
    "directional": {
        "light.directional.directions": np.array([(0.2, 0.9, 0.5), (-1, 0.3, 0.4)]),
        "light.directional.intensities": np.array([(0.6, 0.5, 0.4), (0.1, 0.2, 0.3)]),
    },
    "points": {
        "light.points.positions": np.array([(1.5, 0.5, 2.0), (0.5, -2, -2)]),
        "light.points.intensities": np.array([(2.0, 1.5, 1.0), (1, 1, 1)]),
    },
    "sh": {"light.sh": np.random.default_rng(3).normal(size=(9, 3)) * 0.3},
    "specular": {"light.specular.color": np.array([0.4, 0.5, 0.3]), "light.specular.shininess": np.float64(7.0)},
}


class Mode(NamedTuple):
    """How faces are drawn, as changes of a scene's `dr.Soft` or a function that returns other settings for it; and in which
    kinds of output this shows."""

    name: str
    changes: Values | Callable[[dr.Soft], Any]
    shows_in: tuple[str, ...] = ("silhouette", "colours", "depth")

    def settings(self, soft: dr.Soft) -> Any:
        """Return what a picture is drawn with."""
        return self.changes(soft) if callable(self.changes) else replace(soft, **self.changes)


PLAIN = Mode("", {})
HARD = Mode("hard", lambda soft: dr.Hard(soft.background, near=soft.clip_near * soft.far))


def silhouette(mode: Mode = PLAIN, kind: str = "pinhole") -> Draw:
    """Draw alpha by `dr.render_silhouette`."""

    def draw(scene: Scene, values: Values) -> Any:
        soft = mode.settings(scene.soft)
        rendering = dr.render_silhouette(_mesh(scene, values), _camera(scene, values, kind), soft)
        return rendering.alpha, lambda grad: by_name(rendering.backward(grad))

    return draw


def image(
    mode: Mode = PLAIN,
    kind: str = "pinhole",
    light: Callable[[Values], dr.Light | dr.Lights | None] = lambda values: None,
    wrap: Wrap = "repeat",
    filter: Filter = "trilinear",
) -> Draw:
    """Draw RGBA by `dr.render`, with a texture if the values have one."""

    def draw(scene: Scene, values: Values) -> Any:
        mesh, soft = _mesh(scene, values, wrap, filter), mode.settings(scene.soft)
        rendering = dr.render(mesh, _camera(scene, values, kind), soft, light(values))
        return rendering.image, lambda grad: by_name(rendering.backward(grad))

    return draw


def alpha_of(colored: Draw) -> Draw:
    """Draw the last channel of an image alone."""

    def draw(scene: Scene, values: Values) -> Any:
        whole, backward = colored(scene, values)
        return whole[..., -1], lambda grad: backward(np.dstack([np.zeros((*grad.shape, whole.shape[-1] - 1)), grad]))

    return draw


def attributes(name: str | None = None, mode: Mode = PLAIN, kind: str = "pinhole") -> Draw:
    """Draw what has a name by `dr.render_attributes`, or else the attributes among the values."""

    def draw(scene: Scene, values: Values) -> Any:
        rendering = _attribute_rendering(scene, values, name, mode, kind)

        def backward(grad: np.ndarray) -> Values:
            grads = by_name(rendering.backward(grad))
            return grads | {"uv": grads.pop("attributes")} if name == "uv" else grads

        return rendering.image, backward

    return draw


def alpha_beside_attributes(mode: Mode = PLAIN) -> Draw:
    """Draw the alpha that `dr.render_attributes` returns too."""

    def draw(scene: Scene, values: Values) -> Any:
        rendering = _attribute_rendering(scene, values, None, mode, "pinhole")
        return rendering.alpha, lambda grad: by_name(rendering.backward(np.zeros_like(rendering.image), grad))

    return draw


def raster(what: str, mode: Mode = PLAIN) -> Draw:
    """Draw the "alpha" or "color" of `dr.rasterize_soft`, with a texture if the values have one."""

    def draw(scene: Scene, values: Values) -> Any:
        front, soft = front_of(scene.mesh, scene.camera, scene.soft, None, True), scene.soft
        given, textured = values.get("attributes"), {}
        if "texture" in values:
            textured = {"texture": dr.Texture(values["texture"]), "uv": values["uv"], "faces_uv": front.faces_uv}
        settings: Values = {"sigma": soft.sigma, "gamma": soft.gamma, "near": soft.near, "far": soft.far}
        settings |= {"background": np.linspace(0.2, 0.6, 3 if given is None else given.shape[1])}
        size = scene.camera.size
        settings |= {} if callable(mode.changes) else mode.changes
        drawn = dr.rasterize_soft(values["vertices"], front.faces, size, attributes=given, **settings, **textured)

        def backward(grad: np.ndarray) -> Values:
            grads = by_name(drawn.backward(**{f"grad_{what}": grad}))
            return {"vertices": grads.pop("vertices_pixel")} | grads

        return getattr(drawn, what), backward

    return draw


def one_light(values: Values) -> dr.Light:
    """Return the light that values describe."""
    x, y, z = values["light.direction"]
    return dr.Light((x, y, z), float(values["light.ambient"]), float(values["light.diffuse"]))


def lights_of(
    *parts: str, normals: Normals = "smooth", falloff: Any = "inverse-square"
) -> Callable[[Values], dr.Lights]:
    """Return a function that returns lights with some of the parts of `LIGHTS`, from values."""
    makers: dict[str, Callable[..., Any]] = {
        "directional": dr.Directional,
        "points": lambda *numbers: dr.Points(*numbers, falloff=falloff),
        "specular": lambda color, shininess: dr.Specular(color, float(shininess)),
    }

    def lights(values: Values) -> dr.Lights:
        made = {part: makers.get(part, lambda value: value)(*(values[name] for name in LIGHTS[part])) for part in parts}
        return dr.Lights(**made, normals=normals)

    return lights


def numbers_of_lights(*parts: str) -> Values:
    """Return the values that `lights_of` takes."""
    return {name: value for part in parts for name, value in LIGHTS[part].items()}


def geometry(*materials: str, kind: str = "pinhole", **other: Any) -> Given:
    """Return a function that returns a scene's vertices, pose, K and lens, some of its materials, and other values."""

    def given(scene: Scene) -> Values:
        camera = scene.seen_by(kind)
        pose = {"rotation": np.zeros(3), "translation": np.zeros(3), "K": camera.K[_K]}
        lens = {} if camera.distortion is None else {"distortion": np.zeros(6)}
        return {"vertices": scene.mesh.vertices} | materials_of(*materials)(scene) | pose | lens | other

    return given


def in_pixels(channels: int = 0, textured: bool = False) -> Given:
    """Return a function that returns what `dr.rasterize_soft` takes of a scene."""

    def given(scene: Scene) -> Values:
        front = front_of(scene.mesh, scene.camera, scene.soft, None, True)
        values: Values = {"vertices": front.vertices_pixel}
        if channels:
            values |= {"attributes": np.random.default_rng(6).uniform(0.1, 0.9, (len(values["vertices"]), channels))}
        return values | ({"uv": front.uv, "texture": _texture_image()} if textured else {})

    return given


def materials_of(*names: str, channels: int = 0) -> Given:
    """Return a function that returns a scene's vertex_colors, uv or texture, and attributes with so many channels."""

    def given(scene: Scene) -> Values:
        mesh = scene.mesh
        values = {"vertex_colors": mesh.vertex_colors, "uv": mesh.uv, "texture": _texture_image()}
        found = {name: values[name] for name in names}
        if channels:
            found["attributes"] = np.random.default_rng(channels).normal(size=(len(mesh.vertices), channels))
        return found

    return given


def by_name(grads: Any, prefix: str = "") -> Values:
    """Return gradients by the names of their values; of K, those of fx, fy, skew, cx and cy."""
    found: Values = {}
    for name, value in grads._asdict().items():
        if hasattr(value, "_asdict"):
            found |= by_name(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value[_K] if name == "K" else value
    return found


def _attribute_rendering(scene: Scene, values: Values, name: str | None, mode: Mode, kind: str) -> Any:
    given: Any = values["attributes"] if name is None else name
    background = np.linspace(0.2, 0.6, given.shape[1]) if name is None else None
    mesh, camera = _mesh(scene, values), _camera(scene, values, kind)
    return dr.render_attributes(mesh, camera, given, mode.settings(scene.soft), background)


def _mesh(scene: Scene, values: Values, wrap: Wrap = "repeat", filter: Filter = "trilinear") -> dr.Mesh:
    texture = dr.Texture(values["texture"], wrap, filter) if "texture" in values else None
    given = {name: values[name] for name in ("vertices", "vertex_colors", "uv") if name in values}
    return replace(scene.mesh, texture=texture, **given)


def _camera(scene: Scene, values: Values, kind: str) -> dr.Camera:
    camera = scene.seen_by(kind)
    K, lens = camera.K.copy(), camera.distortion
    K[_K] = values["K"]
    if lens is not None:
        added = values["distortion"] * ([1, 1, 1, 1, 0, 0] if lens.fisheye else 1)  # a fisheye lens has no p1 and p2
        lens = dr.Distortion(*(lens.coefficients + added), fisheye=lens.fisheye)
    return replace(camera, K=K, distortion=lens).moved(values["rotation"], values["translation"])


def _texture_image() -> np.ndarray:
    return np.random.default_rng(7).uniform(0.1, 0.9, (*TEXTURE_SIZE, 3))
