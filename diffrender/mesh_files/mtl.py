"""OBJ's materials, read and written: of them the diffuse colour and its texture count."""

import math
import warnings
from pathlib import Path

import numpy as np

from ..color import srgb_to_linear
from ..texture import Texture
from .beside import find_beside
from .picture import decode
from .surface import WHITE, Material

_VALUES = {  # of map_Kd's options
    **dict.fromkeys(("-blendu", "-blendv", "-cc", "-clamp", "-texres", "-bm", "-boost", "-imfchan", "-type"), (1, 1)),
    **dict.fromkeys(("-o", "-s", "-t"), (1, 3)),
    "-mm": (2, 2),
}


def load_materials(path: Path, libraries: list[str], names: list[str]) -> dict[str, Material]:
    """Read the materials of these names from the libraries of the OBJ file `path`.

    Warns of libraries, textures and materials that are not there. Raises ValueError for a damaged texture.
    """
    found: dict[str, dict[str, str]] = {}
    for library in libraries:
        whole = find_beside(path, library)
        files = [whole] if whole else [find_beside(path, part) or path.parent / part for part in library.split()]
        for file in files:
            if file.is_file():
                found |= _entries(file)
            else:
                warnings.warn(f"{path}: no file {file.name} with its materials", stacklevel=5)
    textures: dict[str, Texture | None] = {}
    materials = {}
    for name in names:
        if name not in found:
            if found:
                warnings.warn(f"{path}: no material {name!r} in {', '.join(libraries)}", stacklevel=5)
            continue
        image = found[name].get("map_kd")
        if image is not None and image not in textures:
            textures[image] = _load_texture(path, image)
        texture = None if image is None else textures[image]
        materials[name] = Material(_factor(path, found[name].get("kd"), texture is not None), texture)
    return materials


def format_mtl(name: str, image: str, wrap: str) -> str:
    """Return the text of a file with a material of that name, whose texture is the file `image`."""
    option = "-clamp on " if wrap == "clamp" else ""
    return f"newmtl {name}\nKa 0 0 0\nKd 1 1 1\nKs 0 0 0\nillum 1\nmap_Kd {option}{image}\n"


def material_name(library: str) -> str:
    """Return the name for the only material of a library, without blanks: many programs end a name there."""
    return "_".join(Path(library).stem.split())


def _entries(file: Path) -> dict[str, dict[str, str]]:
    """Return what each material says, by lower-case keywords."""
    materials: dict[str, dict[str, str]] = {}
    current: dict[str, str] = {}
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        keyword, _, rest = line.strip().replace("\t", " ").partition(" ")
        if keyword == "newmtl":
            current = materials.setdefault(rest.strip(), {})
        else:
            current[keyword.lower()] = rest.strip()
    return materials


def _load_texture(path: Path, entry: str) -> Texture | None:
    wrap, name = _options(path, entry)
    file = find_beside(path, name)
    if file is None:
        warnings.warn(f"{path}: no file {name} with its texture, so it has none", stacklevel=6)
        return None
    return Texture(decode(file.read_bytes(), str(file)), "clamp" if wrap == "clamp" else "repeat")


def _options(path: Path, entry: str) -> tuple[str, str]:
    """Return the wrap and the file's name of `-clamp on -s 1 1 1 name with blanks.png`."""
    wrap, words = "repeat", entry.split(" ")
    while len(words) > 1 and words[0] in _VALUES:
        option = words.pop(0)
        least, most = _VALUES[option]
        taken: list[str] = []
        while len(taken) < most and len(words) > 1 and (len(taken) < least or _is_number(words[0])):
            taken.append(words.pop(0))
        if option == "-clamp":
            wrap = "clamp" if taken == ["on"] else "repeat"
        elif option in ("-o", "-s", "-t") and any(float(value) != (option == "-s") for value in taken):
            warnings.warn(f"{path}: its texture's option {option} {' '.join(taken)} is not followed", stacklevel=7)
    return wrap, " ".join(words)


def _is_number(word: str) -> bool:
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False


def _factor(path: Path, color: str | None, textured: bool) -> tuple[float, ...]:
    """Return Kd as linear RGB. As three.js does, it is taken for sRGB; one number is grey."""
    if color is None:
        return WHITE
    words = color.split()
    if not words or not all(map(_is_number, words[:3])):
        warnings.warn(f"{path}: its material's colour 'Kd {color}' is not followed", stacklevel=6)
        return WHITE
    srgb = np.clip([float(word) for word in (words * 3)[:3]], 0, 1)
    # Several programs write black beside a texture, and none means it.
    return WHITE if textured and not srgb.any() else tuple(float(value) for value in srgb_to_linear(srgb))
