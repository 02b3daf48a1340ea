"""A run's log: one line of JSON a step."""

import json
from pathlib import Path
from typing import Any

from ..files import write_atomically


class Log:
    """Appends to a file of JSON lines. Of a file that is there already, the lines up to `step` are kept.

    A line that a power cut tore in half is dropped, and so are those of steps that a resumed run makes again.
    """

    def __init__(self, path: Path, step: int):
        self._path = path
        kept = []
        if path.exists() and step:
            for line in path.read_text(errors="replace").splitlines():
                try:
                    if json.loads(line)["step"] <= step:
                        kept.append(line + "\n")
                except (ValueError, KeyError, TypeError):
                    break
        write_atomically(path, "".join(kept))

    def append(self, values: dict[str, Any]) -> None:
        """Add one line. Raises OSError if the disk is full."""
        with open(self._path, "a") as handle:
            handle.write(json.dumps(values) + "\n")
