"""Meshes to files."""

import os
from contextlib import ExitStack
from pathlib import Path

from ..files import atomic_path, write_atomically
from ..mesh import Mesh
from ..sampling import with_vertex_colors

WRITABLE = (".glb", ".obj", ".ply", ".stl")


def save_mesh(mesh: Mesh, path: str | os.PathLike) -> None:
    """Write a mesh as `Mesh.save` says."""
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in WRITABLE:
        raise ValueError(
            f"cannot write meshes as {suffix or 'a file without suffix'}: use one of {', '.join(WRITABLE)}"
        )
    if suffix == ".obj":
        _save_obj(mesh, path)
    elif suffix == ".glb":
        from .glb import format_glb

        write_atomically(path, format_glb(mesh))
    else:
        from .solid import format_solid

        write_atomically(path, format_solid(with_vertex_colors(mesh), suffix[1:]))


def _save_obj(mesh: Mesh, path: Path) -> None:
    from .mtl import format_mtl, material_name
    from .obj import format_obj
    from .picture import encode

    if mesh.texture is None:
        write_atomically(path, format_obj(mesh, None))
        return
    if not path.name.isprintable():
        raise ValueError(f"{path.name!r} cannot be named in a line of an OBJ file: use a name of letters and digits")
    library, image = path.with_suffix(".mtl"), path.with_suffix(".png")
    content = encode(mesh.texture.image)
    with ExitStack() as all_or_none:  # the names are given last of all, that of the OBJ at the very end
        for target, text in (
            (path, format_obj(mesh, library.name)),
            (library, format_mtl(material_name(library.name), image.name, mesh.texture.wrap)),
        ):
            all_or_none.enter_context(atomic_path(target)).write_bytes(text.encode())
        all_or_none.enter_context(atomic_path(image)).write_bytes(content)
