"""glTF 2.0, read: the triangles of its scene with their colours, uv and base colour textures."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..texture import Texture
from .container import Container
from .picture import decode
from .surface import NO_UV, WHITE, Material, Surface

_TRIANGLES, _STRIP, _FAN = 4, 5, 6
_REPEAT, _MIRRORED = 10497, 33648
_UNMIPPED = (9728, 9729)  # minification filters that take the texture at full size
_PLAIN = -1  # the material of a primitive that names none
_TRANSFORM, _GLOSSY = "KHR_texture_transform", "KHR_materials_pbrSpecularGlossiness"


class _Part(NamedTuple):
    vertices: np.ndarray  # (V, 3)
    faces: np.ndarray  # (F, 3)
    colors: np.ndarray | None  # (V, 3)
    uv: np.ndarray | None  # (V, 2)
    material: int


class _Coat(NamedTuple):
    """What a material says of its base colour."""

    factor: tuple[float, ...]
    texture: dict[str, Any] | None  # as glTF's textureInfo


def load_gltf(path: Path) -> Surface | None:
    """Read a GLB or glTF file; None if its scene has no triangles. Points, lines, skins and morph targets do not count.

    Raises ValueError, KeyError, IndexError or TypeError for a document that contradicts itself or is damaged.
    """
    file = Container(path)
    parts = [
        _placed(_part(file, primitive), matrix)
        for node, matrix in _nodes(file)
        if "mesh" in node
        for primitive in file.entries("meshes")[node["mesh"]]["primitives"]
        if primitive.get("mode", _TRIANGLES) in (_TRIANGLES, _STRIP, _FAN)
    ]
    parts = [part for part in parts if len(part.faces)]
    if not parts:
        return None
    starts = np.cumsum([0, *(len(part.vertices) for part in parts)])
    painted = all(part.colors is not None for part in parts)
    used = sorted({part.material for part in parts})
    pictures: dict[tuple[int, str], Texture | None] = {}
    uv = np.concatenate([np.zeros((len(part.vertices), 2)) if part.uv is None else part.uv for part in parts])
    faces = np.concatenate([part.faces + start for part, start in zip(parts, starts, strict=False)])
    return Surface(
        np.concatenate([part.vertices for part in parts]),
        faces,
        np.concatenate([part.colors for part in parts if part.colors is not None]) if painted else None,
        uv,
        np.concatenate(
            [
                np.full_like(part.faces, NO_UV) if part.uv is None else part.faces + start
                for part, start in zip(parts, starts, strict=False)
            ]
        ),
        np.repeat([used.index(part.material) for part in parts], [len(part.faces) for part in parts]),
        [_material(file, number, _places_of(parts, number), pictures) for number in used],
    )


def _nodes(file: Container) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """Yield the nodes of the scene with their matrices (4, 4) to the world."""
    nodes, scenes = file.entries("nodes"), file.entries("scenes")
    roots = scenes[file.document.get("scene", 0)].get("nodes", []) if scenes else range(len(nodes))
    waiting = [(number, np.eye(4)) for number in roots]
    seen = set()
    while waiting:
        number, above = waiting.pop(0)
        if number in seen:
            raise ValueError(f"node {number} hangs in two places")
        seen.add(number)
        matrix = above @ _matrix(nodes[number])
        yield nodes[number], matrix
        waiting += [(child, matrix) for child in nodes[number].get("children", [])]


def _matrix(node: dict[str, Any]) -> np.ndarray:
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T  # column by column
    x, y, z, w = node.get("rotation", (0, 0, 0, 1))
    turn = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(turn) * node.get("scale", (1, 1, 1))
    matrix[:3, 3] = node.get("translation", (0, 0, 0))
    return matrix


def _part(file: Container, primitive: dict[str, Any]) -> _Part:
    attributes = primitive["attributes"]
    vertices = file.numbers(attributes["POSITION"]).astype(np.float64)
    corners = file.numbers(primitive["indices"])[:, 0] if "indices" in primitive else np.arange(len(vertices))
    faces = _faces(corners.astype(np.int64), primitive.get("mode", _TRIANGLES))
    if faces.size and faces.max() >= len(vertices):
        raise ValueError(f"a face refers to vertex {faces.max()}, but there are {len(vertices)} vertices")
    colors = None
    if "COLOR_0" in attributes:
        colors = np.clip(file.numbers(attributes["COLOR_0"])[:, :3].astype(np.float32), 0, 1)
    material = primitive.get("material", _PLAIN)
    return _Part(vertices, faces, colors, _uv(file, attributes, _coat(file, material).texture), material)


def _faces(corners: np.ndarray, mode: int) -> np.ndarray:
    if mode == _TRIANGLES:
        return corners[: len(corners) // 3 * 3].reshape(-1, 3)
    first = np.arange(max(len(corners) - 2, 0))
    if mode == _FAN:
        return np.stack([np.full(len(first), corners[0]), corners[first + 1], corners[first + 2]], axis=1)
    odd = first % 2  # every second triangle of a strip is the other way round
    return np.stack([corners[first], corners[first + 1 + odd], corners[first + 2 - odd]], axis=1)


def _uv(file: Container, attributes: dict[str, int], texture: dict[str, Any] | None) -> np.ndarray | None:
    """Return the uv (V, 2) that a material's texture goes by."""
    texture = texture or {}
    transform = texture.get("extensions", {}).get(_TRANSFORM, {})
    name = f"TEXCOORD_{transform.get('texCoord', texture.get('texCoord', 0))}"
    if name not in attributes:
        return None
    uv = file.numbers(attributes[name])
    if transform.get("rotation"):
        warnings.warn(f"{file.path}: the rotation {transform['rotation']} of its texture is not followed", stacklevel=6)
    if "scale" in transform or "offset" in transform:
        return uv * np.array(transform.get("scale", (1, 1))) + transform.get("offset", (0, 0))
    return uv


def _placed(part: _Part, matrix: np.ndarray) -> _Part:
    if (matrix == np.eye(4)).all():
        return part
    vertices = part.vertices @ matrix[:3, :3].T + matrix[:3, 3]
    mirrored = np.linalg.det(matrix[:3, :3]) < 0
    return part._replace(vertices=vertices, faces=part.faces[:, ::-1] if mirrored else part.faces)


def _coat(file: Container, number: int) -> _Coat:
    entry = {} if number == _PLAIN else file.entries("materials")[number]
    if glossy := entry.get("extensions", {}).get(_GLOSSY):
        factor, texture = glossy.get("diffuseFactor", WHITE), glossy.get("diffuseTexture")
    else:
        metal = entry.get("pbrMetallicRoughness", {})
        factor, texture = metal.get("baseColorFactor", WHITE), metal.get("baseColorTexture")
    return _Coat(tuple(min(max(float(value), 0.0), 1.0) for value in factor[:3]), texture)


def _material(
    file: Container, number: int, uv: np.ndarray | None, pictures: dict[tuple[int, str], Texture | None]
) -> Material:
    coat = _coat(file, number)
    if coat.texture is None:
        return Material(coat.factor)
    index = int(coat.texture["index"])
    entry = file.entries("textures")[index]
    sampler = file.entries("samplers")[entry["sampler"]] if "sampler" in entry else {}
    wrap = _wrap(file.path, sampler, uv)
    if (index, wrap) not in pictures:
        image = _image(file, entry)
        smooth = "bilinear" if sampler.get("minFilter") in _UNMIPPED else "trilinear"
        pictures[index, wrap] = None if image is None else Texture(image, wrap, smooth)  # type: ignore[arg-type]
    return Material(coat.factor, pictures[index, wrap])


def _wrap(path: Path, sampler: dict[str, Any], uv: np.ndarray | None) -> str:
    """Return the wrap for both axes that draws what the sampler asks for on each; warns if none does."""
    modes = [sampler.get(name, _REPEAT) for name in ("wrapS", "wrapT")]
    if modes == [_REPEAT, _REPEAT]:
        return "repeat"
    if _MIRRORED not in modes and modes[0] == modes[1]:
        return "clamp"
    beyond = [False, False] if uv is None else [bool((axis < 0).any() or (axis > 1).any()) for axis in uv.T]
    needed = {mode for mode, out in zip(modes, beyond, strict=True) if out}
    if len(needed) > 1 or _MIRRORED in needed:
        warnings.warn(f"{path}: its texture is wrapped by {modes}; it is repeated instead", stacklevel=5)
    # Within the image a mirror shows at its edge what clamping does.
    return "repeat" if _REPEAT in needed or _MIRRORED in needed else "clamp"


def _places_of(parts: list[_Part], material: int) -> np.ndarray | None:
    places = [part.uv for part in parts if part.material == material and part.uv is not None]
    return np.concatenate(places) if places else None


def _image(file: Container, texture: dict[str, Any]) -> np.ndarray | None:
    """Return the image (H, W, 3) of an entry of `textures`, or None, with a warning, if there is none."""
    source = texture.get("source", texture.get("extensions", {}).get("EXT_texture_webp", {}).get("source"))
    if source is None:
        warnings.warn(f"{file.path}: its texture is of a kind that cannot be read, so it has none", stacklevel=6)
        return None
    entry = file.entries("images")[source]
    if "bufferView" in entry:
        return decode(file.view(entry["bufferView"]), f"{file.path}: image {source}")
    content = file.fetch(entry["uri"])
    if content is None:
        warnings.warn(f"{file.path}: no file {entry['uri']} with its texture, so it has none", stacklevel=6)
        return None
    name = f"image {source}" if entry["uri"].startswith("data:") else entry["uri"]
    return decode(content, f"{file.path}: {name}")
