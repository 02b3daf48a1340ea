"""Meshes from files."""

import os
from pathlib import Path

from ..mesh import Mesh

READABLE = (".glb", ".obj", ".ply", ".stl", ".gltf")


def load_mesh(path: str | os.PathLike) -> Mesh:
    """Read an OBJ, PLY, STL, GLB or glTF file; a scene of several parts becomes one mesh.

    Colours come as linear RGB, a texture with its uv, once per place on the surface: vertices that glTF repeats at seams are
    joined. Of several materials with textures, and of a texture in PLY, the colours at the vertices are taken. Warns of
    what a file names but lacks. Raises FileNotFoundError, or ValueError that names the file when it is of another format,
    damaged or without triangles.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in READABLE:
        raise ValueError(f"{path}: cannot read meshes of this kind, use one of {', '.join(READABLE)}")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        mesh = _load(path, suffix)
    except (MemoryError, PermissionError, FileNotFoundError):
        raise
    except Exception as error:  # parsers raise whatever they stumble over
        if str(error).startswith(str(path)):
            raise
        kind = "" if type(error) is ValueError else f"{type(error).__name__}: "
        raise ValueError(f"{path}: not a readable mesh ({kind}{error})") from error
    if mesh is None:
        raise ValueError(f"{path}: holds no triangles")
    return mesh


def _load(path: Path, suffix: str) -> Mesh | None:
    if suffix in (".ply", ".stl"):
        from .solid import load_solid

        return load_solid(path)
    if suffix == ".obj":
        from .obj import load_obj

        surface = load_obj(path)
    else:
        from .gltf import load_gltf

        surface = load_gltf(path)
    return None if surface is None else surface.to_mesh(path, welded=suffix != ".obj")
