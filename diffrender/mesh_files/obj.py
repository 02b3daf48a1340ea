"""Wavefront OBJ, read and written: faces name positions and uv separately, so that a seam does not cut the surface.

trimesh, which reads the other formats, repeats the vertices at seams and loses which ones were one.
"""

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..color import linear_to_srgb, srgb_to_linear
from ..mesh import Mesh
from .mtl import load_materials, material_name
from .surface import NO_UV, Material, Surface

_PLAIN = "\0"  # no material of a file is called so: lines have none


class _Lines(NamedTuple):
    """The lines of a file by kind, without their first word."""

    v: list[str]
    vt: list[str]
    faces: list[str]
    before: list[tuple[int, int]]  # how many v and vt came before each face, for indices that count back from it
    materials: list[str]  # of each face
    libraries: list[str]


def load_obj(path: Path) -> Surface | None:
    """Read an OBJ file and the materials and textures that it names; None if it has no faces.

    Polygons are cut into fans of triangles. Raises ValueError for lines that make no sense.
    """
    lines = _sorted(path.read_text(encoding="utf-8", errors="replace"))
    if not lines.faces:
        return None
    numbers = _numbers("v", lines.v, 3)
    vertices = numbers[:, :3]
    colors = None
    if numbers.shape[1] >= 6:  # x y z [w] r g b
        colors = numbers[:, -3:]
        colors = srgb_to_linear(np.clip(colors / (255 if colors.max() > 1 else 1), 0, 1).astype(np.float32))
    uv = _numbers("vt", lines.vt, 2)[:, :2] if lines.vt else np.empty((0, 2))
    uv = uv * (1, -1) + (0, 1)  # v goes up in OBJ; in float64, so that no float32 loses a digit
    corners, places, faces_line = _triangles(lines)
    used = np.zeros(len(vertices), bool)
    if corners.min() >= 0 and corners.max() < len(vertices):  # else Mesh says which one is not
        used[corners] = True
        corners = (np.cumsum(used) - 1)[corners]
        vertices, colors = vertices[used], None if colors is None else colors[used]
    names, faces_name = np.unique(np.array(lines.materials), return_inverse=True)
    known = load_materials(path, lines.libraries, [str(name) for name in names if name != _PLAIN])
    return Surface(
        vertices,
        corners,
        colors,
        uv,
        places,
        faces_name.reshape(-1)[faces_line],
        [known.get(str(name), Material()) for name in names],
    )


def format_obj(mesh: Mesh, library: str | None) -> str:
    """Return the text of an OBJ file; colours are sRGB behind the positions, `library` is the name of its materials' file.

    Nine significant digits hold a float32 exactly; v, which goes up here, needs those of a float64.
    """
    vertices, colors = mesh.vertices, mesh.vertex_colors
    text = ["# diffrender\n"]
    if library is not None:
        text.append(f"mtllib {library}\nusemtl {material_name(library)}\n")
    if colors is None:
        text.append(_rows("v %.9g %.9g %.9g\n", vertices))
    else:
        text.append(_rows("v %.9g %.9g %.9g %.6g %.6g %.6g\n", np.hstack([vertices, linear_to_srgb(colors)])))
    if mesh.uv is None or mesh.faces_uv is None:
        text.append(_rows("f %d %d %d\n", mesh.faces + 1))
    else:
        text.append(_rows("vt %.17g %.17g\n", mesh.uv.astype(np.float64) * (1, -1) + (0, 1)))
        pairs = np.stack([mesh.faces, mesh.faces_uv], axis=2) + 1
        text.append(_rows("f %d/%d %d/%d %d/%d\n", pairs.reshape(-1, 6)))
    return "".join(text)


def _rows(line: str, values: np.ndarray) -> str:
    return line * len(values) % tuple(values.ravel().tolist())


def _sorted(text: str) -> _Lines:
    lines = _Lines([], [], [], [], [], [])
    material = _PLAIN
    for line in text.replace("\t", " ").replace("\\\n", " ").splitlines():
        kind, _, rest = line.strip().partition(" ")
        if kind == "v":
            lines.v.append(rest)
        elif kind == "vt":
            lines.vt.append(rest)
        elif kind == "f":
            lines.faces.append(rest.partition("#")[0])
            lines.before.append((len(lines.v), len(lines.vt)))
            lines.materials.append(material)
        elif kind == "usemtl":
            material = rest.strip()
        elif kind == "mtllib":
            lines.libraries.append(rest.strip())
    return lines


def _numbers(kind: str, lines: list[str], least: int) -> np.ndarray:
    """Return the numbers (N, C) of lines, as many of each as all have. Raises ValueError that shows a line without `least`."""
    rows = [line.split() for line in lines]
    count = min(map(len, rows), default=least)
    if count < least:
        wrong = next(row for row in rows if len(row) < least)
        raise ValueError(f"a line '{kind} {' '.join(wrong)}' needs {least} numbers")
    try:
        return np.array([row[:count] for row in rows], np.float64).reshape(-1, count)
    except ValueError as error:
        raise ValueError(f"a line '{kind}' holds no number: {error}") from None


def _triangles(lines: _Lines) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the triangles' indices (F, 3) of vertices and of uv, and the number of the line (F,) that each is from."""
    alike = defaultdict(list)  # lines of one form are parsed together
    for number, line in enumerate(lines.faces):
        alike[len(line.split()), line.count("/"), line.count("//")].append(number)
    corners, places, numbers = [], [], []
    before = np.array(lines.before)
    for (count, slashes, doubles), chosen in alike.items():
        first = lines.faces[chosen[0]].strip()
        each = slashes // count if count >= 3 and slashes % count == 0 else 3
        if each > 2 or doubles not in (0, count):
            raise ValueError(f"a line 'f {first}' is no polygon of v, v/vt, v//vn or v/vt/vn")
        width = 1 if not each else 2 if doubles or each == 1 else 3
        text = " ".join(lines.faces[number] for number in chosen).replace("/", " ")
        try:
            indices = np.array(text.split(), np.int64).reshape(len(chosen), count, width)
        except ValueError:
            raise ValueError(f"a line such as 'f {first}' is no polygon of v, v/vt, v//vn or v/vt/vn") from None
        there = before[chosen]
        fan = np.stack([np.zeros(count - 2, int), np.arange(1, count - 1), np.arange(2, count)], axis=1)
        corners.append(_from_zero(indices[..., 0], there[:, :1])[:, fan])
        if each and not doubles and lines.vt:  # some programs write indices of uv that they leave out
            places.append(_from_zero(indices[..., 1], there[:, 1:])[:, fan])
            if (places[-1] < 0).any():
                raise ValueError(f"a line such as 'f {first}' refers to uv {indices[..., 1].min()}, which none has")
        else:
            places.append(np.full_like(corners[-1], NO_UV))
        numbers.append(np.repeat(chosen, count - 2))
    source = np.concatenate(numbers)
    order = np.argsort(source, kind="stable")
    faces, faces_uv = (np.concatenate([part.reshape(-1, 3) for part in parts])[order] for parts in (corners, places))
    return faces, faces_uv, source[order]


def _from_zero(indices: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Return indices (N, C) that count from 1, or, negative, back from the `before` (N, 1) seen so far, as from 0."""
    return np.where(indices < 0, indices + before, indices - 1)
