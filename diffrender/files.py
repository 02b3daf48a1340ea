"""Whole files or none: every file that the project writes goes through `atomic_path`."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path` to write to; rename it over `path` on success, remove it on error.

    The temporary name keeps the suffix, because writers choose the format by it. Raises OSError (disk full,
    no permission, missing folder); `path` then still holds what it held before.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.stem}.{os.getpid()}.{secrets.token_hex(4)}.tmp{target.suffix}")
    try:
        yield temporary
        with open(temporary, "rb+") as handle:  # the bytes must be on disk before the name points at them
            os.fsync(handle.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: str | os.PathLike, content: bytes | str) -> None:
    """Write bytes, or text as UTF-8, to `path`: afterwards it holds the whole content, or, after an error, what it held."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
