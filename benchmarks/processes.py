"""What only a process of its own shows: time to import, to the first image with a warm and an empty kernel cache, memory.

A step of a fit, all that `fit` does for it included, is measured here too.
"""

import json
import os
import subprocess
import sys
import tempfile
from typing import Any

import numpy as np

import diffrender as dr

_FIRST_IMAGE = """
import time; begin = time.perf_counter()
import diffrender as dr
mesh = dr.icosphere(3)
dr.render(mesh, dr.Camera.look_at(eye=(0, 0, 4)))
print(time.perf_counter() - begin)
"""
_IMPORT = "import time; begin = time.perf_counter(); import diffrender; print(time.perf_counter() - begin)"
_MEMORY = """
import numpy as np
from benchmarks.processes import cube_sphere
import diffrender as dr
mesh, side = cube_sphere(408), 2048
camera = dr.Camera.look_at(eye=(0, 0, 4), fov_degrees=40, size=(side, side))
def peak():  # not getrusage's, which counts the parent's before the program began
    return next(int(line.split()[1]) / 2**20 for line in open("/proc/self/status") if line.startswith("VmHWM"))
before = peak()
rendering = dr.render_silhouette(mesh, camera, dr.Soft(sigma=1.64))
rendering.backward(np.ones((side, side), np.float32))
print(len(mesh.faces), before, peak())
"""


def cube_sphere(side: int) -> dr.Mesh:
    """Return a sphere of radius 1 made of six grids of side x side squares, cut in two: 12 side^2 faces."""
    u, v = np.meshgrid(*(np.tan(np.linspace(-1, 1, side + 1) * np.pi / 4),) * 2, indexing="ij")
    w = np.ones_like(u)
    sheets = [(u, v, w), (v, u, -w), (w, u, v), (-w, v, u), (v, w, u), (u, -w, v)]
    vertices = np.concatenate([np.stack(sheet, axis=-1).reshape(-1, 3) for sheet in sheets])
    vertices /= np.linalg.norm(vertices, axis=1, keepdims=True)
    first = np.arange((side + 1) ** 2).reshape(side + 1, side + 1)
    a, b, c, d = first[:-1, :-1], first[1:, :-1], first[1:, 1:], first[:-1, 1:]
    faces = np.stack([np.stack([a, b, c], -1), np.stack([a, c, d], -1)], axis=2).reshape(-1, 3)
    return dr.Mesh(
        vertices.astype(np.float32), np.concatenate([faces + k * first.size for k in range(6)]).astype(np.int32)
    )


def measure() -> dict[str, Any]:
    """Return seconds to import and to the first image, and the memory of 2 million faces at 2,048 x 2,048 px."""
    with tempfile.TemporaryDirectory() as cache:
        empty = float(_run(_FIRST_IMAGE, cache))
        warm = sorted(float(_run(_FIRST_IMAGE, cache)) for _ in range(5))[2]
        imports = sorted(float(_run(_IMPORT, cache)) for _ in range(5))[2]
        faces, before, most = _run(_MEMORY, cache).split()
    return {
        "import_s": imports,
        "first_image_warm_s": warm,
        "first_image_empty_s": empty,
        "memory_faces": int(faces),
        "memory_before_GiB": float(before),
        "memory_peak_GiB": float(most),
        "fit_step_ms": _fit_step(),
    }


def _run(code: str, cache: str) -> str:
    environment = {**os.environ, "DIFFRENDER_CACHE_DIR": cache}
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    ).stdout


def _fit_step() -> float:
    """Return the median of the steps' ms of a fit of a sphere to a lit torus-like silhouette, 256 x 256, 5,120 faces."""
    import time

    camera = dr.Camera.look_at(eye=(0, 0, 4), size=(256, 256))
    target = dr.render(dr.icosphere(3), camera, light=dr.Light()).image
    view = dr.View(target[..., :3], target[..., 3], camera)
    times = []
    begin = time.perf_counter()
    for _ in dr.fit([view], dr.icosphere(4)):
        times.append((time.perf_counter() - begin) * 1e3)
        begin = time.perf_counter()
    return float(np.median(times))


def table(row: dict[str, Any]) -> str:
    """Return the figures as a Markdown table."""
    return "\n".join(
        ["| what | measured |", "| --- | --- |", *(f"| {key} | {value:.4g} |" for key, value in row.items())]
    )


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
