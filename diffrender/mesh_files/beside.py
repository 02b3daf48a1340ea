"""Files that a mesh file names: materials, textures, buffers."""

from pathlib import Path


def find_beside(path: Path, name: str) -> Path | None:
    """Return the file that `path` calls `name`, relative to its folder; or None if there is none.

    A path of the machine that wrote the file, such as C:\\work\\skin.png, stands for the file of that name beside `path`.
    """
    relative = name.replace("\\", "/")
    if relative.startswith("/") or ":" in relative:
        relative = relative.rsplit("/", 1)[-1]
    try:
        found = path.parent / relative
        return found if found.is_file() else None
    except (OSError, ValueError):  # a name that no file can have
        return None
