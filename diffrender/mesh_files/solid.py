"""PLY and STL, by trimesh: the only module that knows it."""

from pathlib import Path
from typing import Any

import numpy as np

from ..color import linear_to_srgb, srgb_to_linear
from ..mesh import Mesh


def load_solid(path: Path) -> Mesh | None:
    """Read a PLY or STL file; None if it has no faces. The corners of STL are joined where they meet.

    Raises whatever trimesh's parsers do.
    """
    import trimesh

    scene = trimesh.load_scene(path, process=False)
    parts = [part for part in scene.geometry.values() if isinstance(part, trimesh.Trimesh) and len(part.faces)]
    if not parts:
        return None
    vertices, faces, colors, start = [], [], [], 0
    for part in parts:
        if path.suffix.lower() == ".stl":  # STL repeats a corner for each face; edges need them shared
            part.merge_vertices()
        vertices.append(part.vertices)
        faces.append(part.faces + start)
        colors.append(_vertex_colors(part))
        start += len(part.vertices)
    painted = [color for color in colors if color is not None]
    return Mesh(
        np.concatenate(vertices).astype(np.float32),
        np.concatenate(faces),
        np.concatenate(painted) if len(painted) == len(parts) else None,
    )


def format_solid(mesh: Mesh, suffix: str) -> bytes:
    """Return the bytes of a file of suffix "ply", with the vertices' colours as sRGB of 8 bits, or "stl", without."""
    import trimesh

    colors = None
    if mesh.vertex_colors is not None and suffix != "stl":
        colors = np.rint(linear_to_srgb(mesh.vertex_colors) * 255).astype(np.uint8)
    exported = trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_colors=colors, process=False)
    content: Any = exported.export(file_type=suffix)
    return content.encode() if isinstance(content, str) else content


def _vertex_colors(part: Any) -> np.ndarray | None:
    visual = part.visual
    if visual.kind == "texture":
        if getattr(visual.material, "image", None) is None:
            return None
        visual = visual.to_color()
    if visual.kind not in ("vertex", "face") or len(visual.vertex_colors) != len(part.vertices):
        return None
    return srgb_to_linear(np.asarray(visual.vertex_colors)[:, :3].astype(np.float32) / 255)
