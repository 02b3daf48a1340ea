"""What the table of gradients has rows for: each output, from which inputs it comes, and why no others have a part in it.

A new way of drawing faces is one more entry of `MODES`, a new output one more of `outputs`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

from diffrender.lights import Normals
from diffrender.outputs import Derived
from diffrender.texture import Filter, Wrap

from .gradient_draw import (
    HARD,
    LIGHT,
    LIGHTS,
    PLAIN,
    Draw,
    Given,
    Mode,
    Values,
    alpha_beside_attributes,
    alpha_of,
    attributes,
    geometry,
    image,
    in_pixels,
    lights_of,
    materials_of,
    numbers_of_lights,
    one_light,
    raster,
    silhouette,
)
from .gradient_hard import stages
from .gradient_losses import losses_and_priors
from .gradient_scenes import CAMERAS, Scene

MODES = [
    PLAIN,
    Mode("back faces culled", {"cull_backfaces": True}),
    Mode("sharp", {"sigma": 0.05, "gamma": 1e-3}),
    Mode("blurred", {"sigma": 12.0, "gamma": 0.3}),
    Mode("perspective correct", {"perspective_correct": True}, ("colours",)),
    Mode("Gaussian", {"coverage": "gaussian"}),
    Mode("Cauchy", {"coverage": "cauchy"}),
    Mode("uniform", {"coverage": "uniform"}),
    Mode("maximum", {"union": "max"}),
    HARD,
]

# Why an input is none of an output's.
COVERAGE = "Alpha is how much of a pixel faces cover; no colour, texture, attribute or light has a part in that."
NO_LENS = "The camera has no lens."
NO_TEXTURE = "The mesh has no texture."
UNUSED_UV = "Without a texture to look up, uv is not used."
IN_PIXELS = "The rasterizer begins with vertices in pixels: it knows no camera and no light."
ITS_COLORS = "The rasterizer's colours are its attributes."
NO_LIGHT = "There is no such light in the picture."
NO_ATTRIBUTES = "The call takes no attributes, only the mesh's colours."
DERIVED = "What is drawn comes from the mesh itself."
NOT_COLORS = "Attributes are drawn in place of colours, unlit and without a texture."

_CAMERA = ("rotation", "translation", "K", "distortion")
_LIGHTS = tuple(dict.fromkeys([*LIGHT, *numbers_of_lights(*LIGHTS)]))
_COLORS = ("vertex_colors", "attributes", "uv", "texture")
COLUMNS = ("vertices", *_COLORS, *_CAMERA, *_LIGHTS)
_NO_LIGHTS, _NO_LENS = dict.fromkeys(_LIGHTS, NO_LIGHT), {"distortion": NO_LENS}
_ALL_LIGHTS = numbers_of_lights(*LIGHTS)
_ALONE = dict.fromkeys((name for name in LIGHT if name not in _ALL_LIGHTS), NO_LIGHT)


@dataclass(frozen=True)
class Output:
    """A row: what `draw` draws from the inputs. `blanks` has the reason why each other column is none of them.

    Some of these can be given nevertheless: `unfelt`, which must not make a difference of a single bit.
    """

    group: str
    name: str
    call: str  # the public function
    draw: Draw
    inputs: Given
    blanks: dict[str, str]
    unfelt: Given = lambda scene: {}
    columns: tuple[str, ...] = COLUMNS


def outputs() -> list[Output]:
    """Return all rows, group by group."""
    priors = [Output("Losses and priors", *row) for row in losses_and_priors()]
    hard = [Output("Stages of hard rendering", *row) for row in stages()]
    return [*_alpha(), *_colors(), *_lit(), *_textured(), *_attributes(), *_cameras(), *_rasterized(), *hard, *priors]


def _alpha() -> Iterator[Output]:
    group, unfelt = "Alpha", materials_of("vertex_colors", "uv", "texture")
    unlit = dict.fromkeys((*_COLORS, *_LIGHTS), COVERAGE) | {"attributes": NO_ATTRIBUTES} | _NO_LENS
    for mode in _modes("silhouette"):
        yield Output(
            group, _named("silhouette", mode), "render_silhouette", silhouette(mode), geometry(), unlit, unfelt
        )
    lit = alpha_of(image(light=lights_of(*LIGHTS)))

    def material_and_light(scene: Scene) -> Values:
        return unfelt(scene) | _ALL_LIGHTS

    yield Output(group, "of a lit texture", "render", lit, geometry(), unlit | _ALONE, material_and_light)
    beside = dict.fromkeys((*_COLORS, *_LIGHTS), NOT_COLORS) | {"attributes": COVERAGE} | _NO_LENS
    others = materials_of("vertex_colors", "uv", "texture", channels=3)
    for mode in (PLAIN, HARD):
        name, draw = _named("beside attributes", mode), alpha_beside_attributes(mode)
        yield Output(group, name, "render_attributes", draw, geometry(), beside, others)


def _colors() -> Iterator[Output]:
    given = geometry("vertex_colors")
    for mode in _modes("colours"):
        name = _named("vertex colours", mode)
        yield Output("Colours", name, "render", image(mode), given, _untextured() | _NO_LIGHTS, materials_of("uv"))


def _lit() -> Iterator[Output]:
    def row(name: str, draw: Draw, numbers: Values) -> Output:
        blanks = _untextured() | {light: NO_LIGHT for light in _LIGHTS if light not in numbers}
        given = geometry("vertex_colors", **numbers)
        return Output("Lit colours", name, "render", draw, given, blanks, materials_of("uv"))

    yield row("Light", image(light=one_light), LIGHT)
    for normals in get_args(Normals):
        for name, falloff, parts in (
            ("directional", "none", ("directional",)),
            ("points", "inverse-square", ("points",)),
            ("points without falloff", "none", ("points",)),
            ("spherical harmonics", "none", ("sh",)),
            ("specular", "inverse-square", ("directional", "points", "specular")),
            ("all", "inverse-square", ("directional", "points", "sh", "specular")),
        ):
            draw = image(light=lights_of("ambient", *parts, normals=normals, falloff=falloff))
            yield row(f"Lights: {name}, {normals}", draw, numbers_of_lights("ambient", *parts))


def _textured() -> Iterator[Output]:
    blanks, given = {"attributes": NO_ATTRIBUTES} | _NO_LENS, geometry("vertex_colors", "uv", "texture")
    for filter in get_args(Filter):
        for wrap in get_args(Wrap):
            for mode in (PLAIN, HARD):
                draw, name = image(mode, wrap=wrap, filter=filter), _named(f"{filter}, {wrap}", mode)
                yield Output("Textures", name, "render", draw, given, blanks | _NO_LIGHTS)
    given = geometry("vertex_colors", "uv", "texture", **_ALL_LIGHTS)
    for mode in (PLAIN, HARD):
        draw, name = image(mode, light=lights_of(*LIGHTS)), _named("trilinear, repeat, lit", mode)
        yield Output("Textures", name, "render", draw, given, blanks | _ALONE)


def _attributes() -> Iterator[Output]:
    group, call = "Attributes", "render_attributes"
    blanks = dict.fromkeys((*_COLORS, *_LIGHTS), NOT_COLORS) | _NO_LENS
    unfelt = materials_of("vertex_colors", "uv", "texture")
    for channels in (1, 3, 7):

        def given(scene: Scene, channels: int = channels) -> Values:
            return geometry()(scene) | materials_of(channels=channels)(scene)

        for mode in (PLAIN, HARD):
            name = _named(f"{channels} channel{'s' if channels > 1 else ''}", mode)
            yield Output(group, name, call, attributes(mode=mode), given, _without(blanks, "attributes"), unfelt)
    blanks |= {"attributes": DERIVED}
    for name in get_args(Derived):
        for mode in _modes("depth") if name == "depth" else [PLAIN, HARD]:
            draw, row = attributes(name, mode), _named(name, mode)
            if name == "uv":
                others = materials_of("vertex_colors", "texture")
                yield Output(group, row, call, draw, geometry("uv"), _without(blanks, "uv"), others)
            else:
                yield Output(group, row, call, draw, geometry(), blanks, unfelt)


def _cameras() -> Iterator[Output]:
    """The plainest outputs through every other kind of camera."""
    group = "Cameras"
    for kind in list(CAMERAS)[1:]:
        lens = _NO_LENS if kind == "orthographic" else {}
        given, colored = geometry(kind=kind), geometry("vertex_colors", kind=kind)
        colors = _without(_untextured(), "distortion") | _NO_LIGHTS | lens
        alpha = dict.fromkeys((*_COLORS, *_LIGHTS), COVERAGE) | {"attributes": NO_ATTRIBUTES} | lens
        depth = dict.fromkeys((*_COLORS, *_LIGHTS), NOT_COLORS) | {"attributes": DERIVED} | lens
        uv, unfelt = materials_of("uv"), materials_of("vertex_colors", "uv", "texture")
        yield Output(group, f"{kind}, silhouette", "render_silhouette", silhouette(kind=kind), given, alpha, unfelt)
        yield Output(group, f"{kind}, vertex colours", "render", image(kind=kind), colored, colors, uv)
        yield Output(group, f"{kind}, depth", "render_attributes", attributes("depth", kind=kind), given, depth, unfelt)


def _rasterized() -> Iterator[Output]:
    group, call = "In pixels", "rasterize_soft"
    blanks = dict.fromkeys((*_CAMERA, *_LIGHTS), IN_PIXELS) | {"vertex_colors": ITS_COLORS}
    alpha = blanks | dict.fromkeys(("attributes", "uv", "texture"), COVERAGE)

    def colors(scene: Scene) -> Values:
        return _without(in_pixels(3, textured=True)(scene), "vertices")

    for mode in _modes("silhouette", soft=True):
        yield Output(group, _named("alpha", mode), call, raster("alpha", mode), in_pixels(), alpha, colors)
    plain = blanks | {"uv": UNUSED_UV, "texture": NO_TEXTURE}
    for channels, modes in ((3, [PLAIN]), (5, _modes("colours", soft=True))):
        for mode in modes:
            name = _named(f"color, {channels} channels", mode)
            yield Output(group, name, call, raster("color", mode), in_pixels(channels), plain)
    yield Output(group, "color, textured", call, raster("color"), in_pixels(3, textured=True), blanks)


def _modes(kind: str, soft: bool = False) -> list[Mode]:
    return [mode for mode in MODES if kind in mode.shows_in and not (soft and callable(mode.changes))]


def _named(what: str, mode: Mode) -> str:
    return f"{what}, {mode.name}" if mode.name else what


def _untextured() -> dict[str, str]:
    return {"attributes": NO_ATTRIBUTES, "uv": UNUSED_UV, "texture": NO_TEXTURE} | _NO_LENS


def _without(named: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in named.items() if key != name}
