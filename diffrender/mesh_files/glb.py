"""GLB, written: glTF 2.0 in one file, the texture inside it."""

from typing import Any

import numpy as np

from ..mesh import Mesh
from .container import pack
from .picture import encode

_FLOAT, _UNSIGNED, _SHORT = 5126, 5125, 5123
_VERTICES, _INDICES = 34962, 34963
_WRAPS = {"repeat": 10497, "clamp": 33071}
_LINEAR, _LINEAR_MIPMAP_LINEAR = 9729, 9987


def format_glb(mesh: Mesh) -> bytes:
    """Return the bytes of a GLB file. Colours have 16 bits: 8 band the dark end of linear light.

    A vertex of glTF has one uv, so those on seams are written once for each; faces keep their order.
    """
    from ..shading import vertex_normals

    normals, lengths = vertex_normals(mesh.vertices.astype(np.float64), mesh.faces)
    normals[lengths == 0] = (0, 0, 1)  # glTF wants unit length
    vertex, place, faces = split(mesh)
    vertices = mesh.vertices.astype(np.float32)[vertex]
    floats: dict[str, Any] = {"componentType": _FLOAT, "type": "VEC3"}
    columns: list[tuple[str, np.ndarray, dict[str, Any]]] = [
        ("POSITION", vertices, {**floats, "min": vertices.min(0).tolist(), "max": vertices.max(0).tolist()}),
        ("NORMAL", normals.astype(np.float32)[vertex], floats),
    ]
    if mesh.uv is not None and place is not None:
        columns.append(("TEXCOORD_0", mesh.uv.astype(np.float32)[place], {**floats, "type": "VEC2"}))
    if mesh.vertex_colors is not None:
        rgba = np.concatenate([mesh.vertex_colors[vertex], np.ones((len(vertices), 1))], axis=1)
        quantised = np.rint(rgba * 65535).astype(np.uint16)
        columns.append(("COLOR_0", quantised, {"componentType": _SHORT, "normalized": True, "type": "VEC4"}))
    columns.append(("indices", faces.astype(np.uint32).reshape(-1), {"componentType": _UNSIGNED, "type": "SCALAR"}))
    body = _Body()
    accessors = []
    for name, values, description in columns:
        view = body.add(np.ascontiguousarray(values).tobytes(), _INDICES if name == "indices" else _VERTICES)
        accessors.append({"bufferView": view, "count": len(values), **description})
    attributes = {name: number for number, (name, _, _) in enumerate(columns[:-1])}
    surface: dict[str, Any] = {"metallicFactor": 0, "roughnessFactor": 1}
    material = {"pbrMetallicRoughness": surface, "doubleSided": True}
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "diffrender"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "materials": [material],
        "meshes": [{"primitives": [{"attributes": attributes, "indices": len(columns) - 1, "material": 0}]}],
        "accessors": accessors,
    }
    if mesh.texture is not None:
        surface["baseColorTexture"] = {"index": 0}
        wrap = _WRAPS[mesh.texture.wrap]
        smooth = _LINEAR if mesh.texture.filter == "bilinear" else _LINEAR_MIPMAP_LINEAR
        document |= {
            "textures": [{"source": 0, "sampler": 0}],
            "samplers": [{"magFilter": _LINEAR, "minFilter": smooth, "wrapS": wrap, "wrapT": wrap}],
            "images": [{"bufferView": body.add(encode(mesh.texture.image)), "mimeType": "image/png"}],
        }
    document |= {"buffers": [{"byteLength": len(body.content)}], "bufferViews": body.views}
    return pack(document, bytes(body.content))


def split(mesh: Mesh) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Return the mesh as one index for all: for each vertex written its vertex (N,) and its uv (N,), or None, and faces.

    They come in the order of the vertices, so that a reader who joins those at one place finds that order again.
    """
    count = len(mesh.vertices)
    if mesh.uv is None or mesh.faces_uv is None:
        return np.arange(count), None, mesh.faces
    pairs = mesh.faces.astype(np.int64) * len(mesh.uv) + mesh.faces_uv
    rest = np.setdiff1d(np.arange(count), mesh.faces)  # of no face
    kept, index = np.unique(np.concatenate([pairs.ravel(), rest * len(mesh.uv)]), return_inverse=True)
    vertex, place = np.divmod(kept, len(mesh.uv))
    return vertex, place, index.reshape(-1)[: pairs.size].reshape(-1, 3)


class _Body:
    """The buffer of a GLB file, which grows by whole views."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.views: list[dict[str, int]] = []

    def add(self, chunk: bytes, target: int | None = None) -> int:
        """Append a chunk as a view of its own, the next one 4 bytes aligned, and return its number."""
        view = {"buffer": 0, "byteOffset": len(self.content), "byteLength": len(chunk)}
        self.views.append(view if target is None else {**view, "target": target})
        self.content += chunk + b"\0" * (-len(chunk) % 4)
        return len(self.views) - 1
