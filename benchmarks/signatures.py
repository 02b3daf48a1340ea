"""Which kernels a first `fit`, `pose` and `render` compile: writes `diffrender/signatures.py`. Takes some minutes.

Each command runs in a process of its own with an empty cache. `python -m benchmarks.signatures`
"""

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
ASSETS = ROOT / "assets"
COMMANDS = {
    "fit": ("fit", str(ASSETS / "duck.jpg"), "--steps", "20"),
    "pose": ("pose", str(ASSETS / "duck.jpg"), "--mesh", str(ASSETS / "duck.glb")),
    "render": ("render", str(ASSETS / "torus.ply")),
}
_SHORT = {"int": "i", "uint": "u", "float": "f"}
_HEAD = '''"""The kernels that a first fit, pose and render compile, the longest first, for `ahead.py`.

Written by `python -m benchmarks.signatures`. One that is missing here, or out of date, is compiled when it is called.
"""

from dataclasses import dataclass
from typing import Any

from numba.types import NamedUniTuple, Tuple, b1, f4, f8, i1, i4, i8, none, u1

from .formulas.shape import Sigmoid


@dataclass(frozen=True)
class Kernel:
    """Where a kernel is, which commands need it, and the types that it is called with."""

    module: str
    name: str
    commands: tuple[str, ...]
    signature: tuple[Any, ...]


# fmt: off
KERNELS = (
'''


def used() -> dict[tuple[str, str, str], float]:
    """Return (module, name, signature) of each kernel that this process has called, and how many seconds it compiled."""
    from numba import types
    from numba.core.dispatcher import Dispatcher

    from diffrender.jit import KernelCache

    kernels = {}
    for module in [module for name, module in sys.modules.items() if name.startswith("diffrender.")]:
        for value in vars(module).values():
            if isinstance(value, Dispatcher) and isinstance(getattr(value, "_cache", None), KernelCache):
                where = value.py_func.__module__.removeprefix("diffrender.")
                for signature, result in value.overloads.items():
                    if any(isinstance(kind, types.Literal) for kind in signature):
                        continue  # called by a kernel, which holds it
                    text = f"({', '.join(map(source, signature))},)"
                    timers = (result.metadata or {}).get("timers", {})
                    kernels[where, value.py_func.__name__, text] = timers.get("compiler_lock", 0.0)
    return kernels


def source(kind: Any) -> str:
    """Return the Python that makes a type. Raises ValueError for one that no kernel has been called with so far."""
    from numba import types

    if isinstance(kind, types.Array) and (kind.layout, kind.mutable, kind.aligned) == ("C", True, True):
        return f"{source(kind.dtype)}[{':,' * (kind.ndim - 1)}::1]"
    if isinstance(kind, types.Boolean):
        return "b1"
    if isinstance(kind, types.Integer | types.Float):
        return f"{_SHORT[kind.name.rstrip('0123456789')]}{kind.bitwidth // 8}"
    if isinstance(kind, types.NoneType):
        return "none"
    if isinstance(kind, types.NamedUniTuple):
        return f"NamedUniTuple({source(kind.dtype)}, {kind.count}, {kind.instance_class.__name__})"
    if isinstance(kind, types.BaseTuple):
        return f"Tuple(({''.join(source(each) + ', ' for each in kind.types).rstrip()}))"
    raise ValueError(f"no kernel is known with {kind}")


def _run(command: str) -> None:
    """Run a command of the command line and print what it used."""
    from diffrender.cli.main import app

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        out = Path(folder) / "out.png" if command == "render" else Path(folder)
        app([*COMMANDS[command], "--out", str(out)], standalone_mode=False)
    print(json.dumps([[*kernel, seconds] for kernel, seconds in used().items()]))


def main() -> None:
    """Write the list."""
    commands: dict[tuple[str, str, str], list[str]] = {}
    longest: dict[tuple[str, str, str], float] = {}
    for command in COMMANDS:
        with tempfile.TemporaryDirectory() as cache:
            environment = {**os.environ, "DIFFRENDER_CACHE_DIR": cache, "DIFFRENDER_COMPILERS": "1"}
            output = subprocess.run(
                [sys.executable, "-m", "benchmarks.signatures", command],
                env=environment,
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            ).stdout
        for module, name, signature, seconds in json.loads(output.splitlines()[-1]):
            key = (module, name, signature)
            commands.setdefault(key, []).append(command)
            longest[key] = max(longest.get(key, 0.0), seconds)
    lines = []
    for module, name, signature in sorted(longest, key=lambda key: -longest[key]):
        needed = "".join(f'"{command}", ' for command in commands[module, name, signature]).rstrip()
        lines.append(f'    Kernel("{module}", "{name}", ({needed}),')
        lines += textwrap.wrap(f"{signature}),", 120, initial_indent=" " * 11, subsequent_indent=" " * 12)
    text = "\n".join([*lines, ")", "# fmt: on", ""])
    (ROOT / "diffrender" / "signatures.py").write_text(_HEAD + text)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _run(sys.argv[1])
    else:
        main()
