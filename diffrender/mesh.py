"""Triangle meshes and their files. The only module that knows trimesh."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .checks import check_finite
from .color import linear_to_srgb, srgb_to_linear
from .files import atomic_path
from .texture import Texture

_FORMATS = (".glb", ".obj", ".ply", ".stl")
_READABLE = (*_FORMATS, ".gltf")
_FURTHEST_UV = 10_000  # repetitions of a texture: further out, float32 has no digits left for the place in it


@dataclass(frozen=True)
class Mesh:
    """Vertices (V, 3), faces (F, 3) counter-clockwise seen from outside, and linear RGB vertex_colors (V, 3) or None.

    A texture lies on the faces by uv (T, 2), whose rows faces_uv (F, 3) names for each corner, None meaning `faces`; it is
    multiplied by the vertex colours, where there are any, as in glTF. Vertices are float32, or float64 if given so, and
    colours, uv and texture of the same precision; faces become int32. Raises ValueError for an empty mesh, NaN or
    infinity, an index out of range, colours outside [0, 1], uv further out than 10,000, or a texture without uv.
    """

    vertices: np.ndarray
    faces: np.ndarray
    vertex_colors: np.ndarray | None = None
    uv: np.ndarray | None = None
    faces_uv: np.ndarray | None = None
    texture: Texture | None = None

    def __post_init__(self) -> None:
        vertices, faces = np.asarray(self.vertices), np.asarray(self.faces)
        if vertices.ndim != 2 or vertices.shape[1] != 3:
            raise ValueError(f"vertices must have shape (V, 3), got {vertices.shape}")
        if faces.ndim == 2 and (not len(vertices) or not len(faces)):
            raise ValueError(f"the mesh is empty: {len(vertices)} vertices and {len(faces)} faces")
        dtype = np.float64 if vertices.dtype == np.float64 else np.float32
        vertices = np.ascontiguousarray(vertices, dtype)
        check_finite("vertices", vertices)
        object.__setattr__(self, "vertices", vertices)
        object.__setattr__(self, "faces", _checked_faces("faces", faces, len(vertices), "vertex", "vertices"))
        if self.vertex_colors is not None:
            colors = np.ascontiguousarray(self.vertex_colors, dtype)
            if colors.shape != vertices.shape:
                raise ValueError(f"vertex_colors must have shape {vertices.shape}, got {colors.shape}")
            check_finite("vertex_colors", colors)
            if colors.min() < 0 or colors.max() > 1:
                raise ValueError(f"vertex_colors must lie in [0, 1], got {colors.min():.4g} to {colors.max():.4g}")
            object.__setattr__(self, "vertex_colors", colors)
        self._check_texture(dtype)

    def _check_texture(self, dtype: type) -> None:
        if self.uv is None:
            for name in ("faces_uv", "texture"):
                if getattr(self, name) is not None:
                    raise ValueError(f"a mesh with {name} needs uv, got None")
            return
        uv: np.ndarray = np.ascontiguousarray(self.uv, dtype)
        if uv.ndim != 2 or uv.shape[1] != 2:
            raise ValueError(f"uv must have shape (T, 2), got {uv.shape}")
        check_finite("uv", uv)
        if uv.size and np.abs(uv).max() > _FURTHEST_UV:
            raise ValueError(f"uv must lie within +-{_FURTHEST_UV}, got {uv.min():.4g} to {uv.max():.4g}")
        faces_uv = np.asarray(self.faces if self.faces_uv is None else self.faces_uv)
        faces_uv = _checked_faces("faces_uv", faces_uv, len(uv), "uv", "of them")
        if faces_uv.shape != self.faces.shape:
            raise ValueError(f"faces_uv must have the shape of faces {self.faces.shape}, got {faces_uv.shape}")
        object.__setattr__(self, "uv", uv)
        object.__setattr__(self, "faces_uv", faces_uv)
        if self.texture is not None and self.texture.image.dtype != dtype:
            object.__setattr__(self, "texture", replace(self.texture, image=self.texture.image.astype(dtype)))

    def save(self, path: str | os.PathLike) -> None:
        """Write the mesh to an OBJ, PLY, STL or GLB file, whole or not at all.

        Colours are sRGB in OBJ and PLY, linear in GLB (glTF 2.0), absent from STL. Raises ValueError for another suffix
        and OSError if the file cannot be written.
        """
        suffix = Path(path).suffix.lower()
        if suffix not in _FORMATS:
            raise ValueError(
                f"cannot write meshes as {suffix or 'a file without suffix'}: use one of {', '.join(_FORMATS)}"
            )
        content = _glb(self) if suffix == ".glb" else _export(self, suffix[1:])
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)


def _checked_faces(name: str, faces: np.ndarray, count: int, one: str, many: str) -> np.ndarray:
    """Return faces (F, 3) as int32. Raises ValueError for another shape or type, or an index that is not below `count`."""
    if faces.ndim != 2 or faces.shape[1] != 3:
        raise ValueError(f"{name} must have shape (F, 3), got {faces.shape}")
    if not np.issubdtype(faces.dtype, np.integer):
        raise ValueError(f"{name} must be integers, got {faces.dtype}")
    if faces.size and (faces.min() < 0 or faces.max() >= count):
        wrong = np.argwhere((faces < 0) | (faces >= count))[0]
        raise ValueError(f"face {wrong[0]} refers to {one} {faces[wrong[0], wrong[1]]}, but there are {count} {many}")
    return np.ascontiguousarray(faces, np.int32)


def load_mesh(path: str | os.PathLike) -> Mesh:
    """Read an OBJ, PLY, STL, GLB or glTF file; a scene of several parts becomes one mesh.

    Vertex colours, or a texture's colours at the vertices, come as linear RGB. Raises FileNotFoundError, or ValueError
    that names the file when it is of another format, damaged or without triangles.
    """
    path = Path(path)
    if path.suffix.lower() not in _READABLE:
        raise ValueError(f"{path}: cannot read meshes of this kind, use one of {', '.join(_READABLE)}")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    import trimesh

    try:
        scene = trimesh.load_scene(path, process=False)
        parts = [(scene.geometry[name], placed) for placed, name in map(scene.graph.get, scene.graph.nodes_geometry)]
        parts = [(part, placed) for part, placed in parts if isinstance(part, trimesh.Trimesh) and len(part.faces)]
    except Exception as error:  # trimesh raises whatever its parsers do
        raise ValueError(f"{path}: not a readable mesh ({type(error).__name__}: {error})") from error
    if not parts:
        raise ValueError(f"{path}: holds no triangles")
    suffix = path.suffix.lower()
    if suffix == ".stl":  # STL repeats a corner for each face; edges need them shared
        for part, _ in parts:
            part.merge_vertices()
    vertices, faces, colors, start = [], [], [], 0
    for part, placed in parts:
        vertices.append(part.vertices @ placed[:3, :3].T + placed[:3, 3])
        mirrored = np.linalg.det(placed[:3, :3]) < 0
        faces.append((part.faces[:, ::-1] if mirrored else part.faces) + start)
        colors.append(_vertex_colors(part, linear=suffix in (".glb", ".gltf")))
        start += len(part.vertices)
    painted = [color for color in colors if color is not None]
    try:
        return Mesh(
            np.concatenate(vertices).astype(np.float32),
            np.concatenate(faces),
            np.concatenate(painted) if len(painted) == len(parts) else None,
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def icosphere(subdivisions: int = 3, radius: float = 1.0) -> Mesh:
    """Return a sphere of 20 * 4**subdivisions nearly equal triangles around the origin."""
    import trimesh

    sphere = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    return Mesh(sphere.vertices.astype(np.float32), sphere.faces)


def subdivide(mesh: Mesh) -> Mesh:
    """Return the mesh with each face cut in four at the middles of its edges; colours in between are means."""
    from .topology import unique_edges

    edges = unique_edges(mesh.faces).astype(np.int64)
    count = len(mesh.vertices)
    keys = edges[:, 0] * count + edges[:, 1]
    a, b, c = mesh.faces.astype(np.int64).T
    ab, bc, ca = (
        count + np.searchsorted(keys, np.minimum(first, second) * count + np.maximum(first, second))
        for first, second in ((a, b), (b, c), (c, a))
    )
    faces = np.concatenate(
        [np.stack(corners, axis=1) for corners in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
    )

    def with_middles(values: np.ndarray) -> np.ndarray:
        return np.concatenate([values, (values[edges[:, 0]] + values[edges[:, 1]]) / 2])

    colors = None if mesh.vertex_colors is None else with_middles(mesh.vertex_colors)
    return Mesh(with_middles(mesh.vertices), faces, colors)


def _vertex_colors(part: Any, linear: bool) -> np.ndarray | None:
    visual = part.visual
    textured = visual.kind == "texture"
    attributes = getattr(visual, "vertex_attributes", {})
    if textured and "color" in attributes:  # glTF: a material and colours
        colors, textured = np.asarray(attributes["color"]), False
    elif textured:
        material = visual.material
        if getattr(material, "image", None) is None and getattr(material, "baseColorTexture", None) is None:
            return None
        colors = np.asarray(visual.to_color().vertex_colors)
    elif visual.kind in ("vertex", "face"):
        colors = np.asarray(visual.vertex_colors)
    else:
        return None
    if len(colors) != len(part.vertices):
        return None
    scale = np.iinfo(colors.dtype).max if np.issubdtype(colors.dtype, np.integer) else 1
    values = np.clip(colors[:, :3].astype(np.float32) / scale, 0, 1)
    return values if linear and not textured else srgb_to_linear(values)


def _export(mesh: Mesh, suffix: str) -> bytes:
    import trimesh

    colors = None
    if mesh.vertex_colors is not None and suffix != "stl":
        colors = np.rint(linear_to_srgb(mesh.vertex_colors) * 255).astype(np.uint8)
    exported = trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_colors=colors, process=False)
    # Nine significant digits hold a float32 exactly.
    options: dict[str, Any] = {"digits": 9, "header": "diffrender"} if suffix == "obj" else {}
    content: Any = exported.export(file_type=suffix, **options)
    return content.encode() if isinstance(content, str) else content


def _glb(mesh: Mesh) -> bytes:
    """Write glTF 2.0 binary: trimesh rounds colours to 8 bits, which bands the dark end of linear light; 16 bits don't."""
    import json
    import struct

    from .shading import vertex_normals

    normals, lengths = vertex_normals(mesh.vertices.astype(np.float64), mesh.faces)
    normals[lengths == 0] = (0, 0, 1)  # glTF wants unit length
    vertices = mesh.vertices.astype(np.float32)
    columns: list[tuple[str, np.ndarray, dict[str, Any]]] = [
        (
            "POSITION",
            vertices,
            {"componentType": 5126, "type": "VEC3", "min": vertices.min(0).tolist(), "max": vertices.max(0).tolist()},
        ),
        ("NORMAL", normals.astype(np.float32), {"componentType": 5126, "type": "VEC3"}),
    ]
    if mesh.vertex_colors is not None:
        rgba = np.concatenate([mesh.vertex_colors, np.ones((len(vertices), 1))], axis=1)
        quantised = np.rint(rgba * 65535).astype(np.uint16)
        columns.append(("COLOR_0", quantised, {"componentType": 5123, "normalized": True, "type": "VEC4"}))
    columns.append(("indices", mesh.faces.astype(np.uint32).reshape(-1), {"componentType": 5125, "type": "SCALAR"}))
    views, accessors, chunks, offset = [], [], [], 0
    for number, (name, values, description) in enumerate(columns):
        chunk = np.ascontiguousarray(values).tobytes()
        views.append(
            {
                "buffer": 0,
                "byteOffset": offset,
                "byteLength": len(chunk),
                "target": 34963 if name == "indices" else 34962,
            }
        )
        accessors.append({"bufferView": number, "count": len(values), **description})
        chunks.append(chunk + b"\0" * (-len(chunk) % 4))
        offset += len(chunks[-1])
    attributes = {name: number for number, (name, _, _) in enumerate(columns[:-1])}
    material = {"pbrMetallicRoughness": {"metallicFactor": 0, "roughnessFactor": 1}, "doubleSided": True}
    document = {
        "asset": {"version": "2.0", "generator": "diffrender"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "materials": [material],
        "meshes": [{"primitives": [{"attributes": attributes, "indices": len(columns) - 1, "material": 0}]}],
        "buffers": [{"byteLength": offset}],
        "bufferViews": views,
        "accessors": accessors,
    }
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", offset, 0x004E4942) + b"".join(chunks)
    return struct.pack("<III", 0x46546C67, 2, 12 + len(body)) + body
