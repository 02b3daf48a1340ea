"""What a measurement was made on."""

import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from diffrender import get_num_threads

_PACKAGES = ("numpy", "numba", "llvmlite", "scipy", "DEODR", "numba-cuda")


def describe() -> dict[str, str]:
    """Return the processor, its cores, our threads and the packages' versions."""
    facts = {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "diffrender threads": str(get_num_threads()),
        "python": platform.python_version(),
    }
    for package in _PACKAGES:
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            facts[package] = "not installed"
    return facts


def announce() -> dict[str, str]:
    """Print what a measurement is made on, and return it as `describe` does."""
    facts = describe()
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    return facts


def save(path: Path | None, environment: dict[str, str], **figures: Any) -> None:
    """Write the figures of a measurement, and what it was made on, as JSON, if there is a path."""
    if path:
        path.write_text(json.dumps({"environment": environment, **figures}, indent=2) + "\n")


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
