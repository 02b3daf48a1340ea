"""What a batch of views costs beside as many single calls, forward and backward.

python -m benchmarks.batches --json benchmarks/results/batches-cpu.json

A batch and its single calls have turns in one process, round after round: a machine's speed changes from second to second,
so ratios are taken within a round, and their medians count. Before, the bits are compared.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import diffrender as dr

from .environment import announce, save
from .peers import DISTANCE, LIGHT, SIGMA, scene

VIEWS = 64
WANTED = 0.7  # of the time of single calls
_LIT = dr.Light(LIGHT, 0.4, 0.6)
_SOFT = dr.Soft(sigma=SIGMA, near=DISTANCE - 1.1, far=DISTANCE + 1.1)


class Work(NamedTuple):
    """Faces of each mesh, px of a side, whether it is lit vertex colours or silhouettes, and whether each view has its mesh."""

    faces: int
    side: int
    lit: bool
    own: bool = False

    def __str__(self) -> str:
        kind = "vertex colours, light" if self.lit else "silhouette"
        return f"{kind}, {self.faces:,} faces{' of a mesh each' if self.own else ''}, {self.side} x {self.side}"


_WORK = [
    *(Work(faces, 128, lit) for faces in (320, 1280, 5120) for lit in (False, True)),
    Work(1280, 128, True, own=True),
    *(Work(320, 32, lit) for lit in (False, True)),
]


class Timed(NamedTuple):
    """The two ways to do some work, each of which returns images and gradients of the vertices."""

    single: Callable[[], list[tuple[np.ndarray, np.ndarray]]]
    batch: Callable[[], list[tuple[np.ndarray, np.ndarray]]]


def prepare(work: Work) -> Timed:
    """Return both ways, over cameras all around one mesh, or around as many of different shapes."""
    sphere, camera = scene(work.faces)
    random = np.random.default_rng(0)
    cameras = [camera.moved(turn, np.zeros(3)) for turn in random.normal(size=(VIEWS, 3))]
    # Turned about the mesh's middle: the camera goes around it.
    cameras = [dr.Camera(camera.K, other.R, camera.t, camera.size).resized((work.side,) * 2) for other in cameras]
    size = [*(random.uniform(0.8, 1, VIEWS) if work.own else (1.0,))]
    meshes = [_colored(dr.Mesh((scale * sphere.vertices).astype(np.float32), sphere.faces)) for scale in size]
    given = meshes if work.own else meshes[0]
    shown = meshes if work.own else meshes * VIEWS
    shape = (VIEWS, work.side, work.side, *((4,) if work.lit else ()))
    grads = random.normal(size=shape).astype(np.float32)

    def single() -> list[tuple[np.ndarray, np.ndarray]]:
        found = []
        for mesh, view, grad in zip(shown, cameras, grads, strict=True):
            if work.lit:
                rendering = dr.render(mesh, view, _SOFT, _LIT)
                found.append((rendering.image, rendering.backward(grad).vertices))
            else:
                outline = dr.render_silhouette(mesh, view, _SOFT)
                found.append((outline.alpha, outline.backward(grad).vertices))
        return found

    def batch() -> list[tuple[np.ndarray, np.ndarray]]:
        if work.lit:
            rendering = dr.render_batch(given, cameras, _SOFT, _LIT)
            return [(image, of.vertices) for image, of in zip(rendering.image, rendering.backward(grads), strict=True)]
        outlines = dr.render_silhouette_batch(given, cameras, _SOFT)
        return [(alpha, of.vertices) for alpha, of in zip(outlines.alpha, outlines.backward(grads), strict=True)]

    return Timed(single, batch)


def _colored(mesh: dr.Mesh) -> dr.Mesh:
    return dr.Mesh(mesh.vertices, mesh.faces, (0.5 + 0.4 * mesh.vertices).astype(np.float32))


def measure(work: Work, rounds: int) -> dict[str, Any]:
    """Return a row: ms a view of single calls and of the batch, and the ratio, as medians."""
    timed = prepare(work)
    for one, other in zip(timed.single(), timed.batch(), strict=True):
        if not all(map(np.array_equal, one, other)):
            raise SystemExit(f"{work}: the batch has other bits than the single calls")
        if not one[1].any():
            raise SystemExit(f"{work}: no gradient, so that its time would mean nothing")
    samples = np.array([[_seconds(way) for way in timed] for _ in range(rounds)])
    single, batch = 1e3 * np.median(samples, axis=0) / VIEWS
    ratios = samples[:, 1] / samples[:, 0]
    return {
        "work": str(work),
        "threads": dr.get_num_threads(),
        "single_ms": single,
        "batch_ms": batch,
        "ratio": float(np.median(ratios)),
        "quartiles": np.percentile(ratios, [25, 75]).tolist(),
    }


def _seconds(way: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    way()
    return time.perf_counter() - begin


def table(rows: list[dict[str, Any]]) -> str:
    """Return Markdown."""
    lines = [
        f"| {VIEWS} views | threads | single calls, ms a view | batch, ms a view | ratio (quartiles) |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        low, high = row["quartiles"]
        times = f"{row['single_ms']:.3f} | {row['batch_ms']:.3f} | {row['ratio']:.2f} ({low:.2f} to {high:.2f})"
        lines.append(f"| {row['work']} | {row['threads']} | {times} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print a table, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    dr.set_num_threads(max(options.threads))
    environment = announce()
    rows = []
    for threads in options.threads:
        dr.set_num_threads(threads)
        rows += [measure(work, options.rounds) for work in _WORK]
    print(table(rows))
    save(options.json, environment, views=VIEWS, wanted=WANTED, rounds=options.rounds, rows=rows)


if __name__ == "__main__":
    main()
