"""Silhouette, forward + backward to the vertices: diffrender and DEODR's mask mode by turns in one run.

    python -m benchmarks.silhouette            # needs pip install -e '.[bench]'

DEODR draws one layer with antialiased outlines; diffrender sums every face within reach of a pixel, which is far more
work. Times are medians; the ratio of medians is what can be compared between machines.
"""

import argparse
import json
import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import diffrender as dr

from .environment import describe

SIDE = 256  # px
FILLED = 0.7  # of the half-width
SIGMA = 1.64  # px^2
DISTANCE = 3.0


def scene(faces: int) -> tuple[dr.Mesh, dr.Camera]:
    """Return an icosphere of `faces` faces, turned so that nothing is symmetric, and a camera that it fills 70 % of."""
    subdivisions = round(math.log(faces / 20, 4))
    if 20 * 4**subdivisions != faces:
        raise SystemExit(f"an icosphere has 20 * 4**n faces, such as 1280, 5120 or 20480; got {faces}")
    sphere = dr.icosphere(subdivisions)
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    vertices = sphere.vertices @ (turn * np.sign(np.linalg.det(turn))).T
    # The outline of a unit sphere at distance d is a circle of radius f / sqrt(d^2 - 1).
    focal = FILLED * SIDE / 2 * math.sqrt(DISTANCE**2 - 1)
    K = np.array([[focal, 0, SIDE / 2], [0, focal, SIDE / 2], [0, 0, 1]])
    camera = dr.Camera(K, np.eye(3), np.array([0, 0, DISTANCE]), (SIDE, SIDE))
    return dr.Mesh(vertices.astype(np.float32), sphere.faces), camera


class Ours:
    """diffrender.render_silhouette."""

    def __init__(self, mesh: dr.Mesh, camera: dr.Camera):
        self.mesh, self.camera = mesh, camera

    def forward(self) -> np.ndarray:
        """Render and return alpha (H, W)."""
        self.rendering = dr.render_silhouette(self.mesh, self.camera, dr.Soft(sigma=SIGMA))
        return self.rendering.alpha

    def backward(self, grad: np.ndarray) -> np.ndarray:
        """Return the gradient of the vertices (V, 3)."""
        return self.rendering.backward(grad).vertices


class Deodr:
    """DEODR's Scene3D with one colour channel, no light to compute, sigma 1."""

    def __init__(self, mesh: dr.Mesh, camera: dr.Camera):
        from deodr import differentiable_renderer as deodr
        from deodr.triangulated_mesh import ColoredTriMesh

        colors = np.ones((len(mesh.vertices), 1))
        self.mesh = ColoredTriMesh(mesh.faces.astype(np.uint32), mesh.vertices.astype(np.float64), colors=colors)
        self.scene = deodr.Scene3D(sigma=1, integer_pixel_centers=False)
        self.scene.set_light(light_directional=None, light_ambient=1.0)  # type: ignore[arg-type]
        self.scene.set_mesh(self.mesh)
        self.scene.set_background_color([0.0])
        extrinsic = np.column_stack([camera.R, camera.t])
        self.camera = deodr.Camera(extrinsic, camera.K, SIDE, SIDE)

    def forward(self) -> np.ndarray:
        """Render and return the mask (H, W)."""
        return self.scene.render(self.camera)[..., 0]

    def backward(self, grad: np.ndarray) -> np.ndarray:
        """Return the gradient of the vertices (V, 3)."""
        self.scene.clear_gradients()
        self.scene.render_backward(grad[..., None].astype(np.float64))
        assert self.mesh._vertices_b is not None
        return self.mesh._vertices_b


def measure(faces: int, repeats: int) -> dict[str, Any]:
    """Return the times in ms of both on one scene, taken by turns."""
    mesh, camera = scene(faces)
    runners: dict[str, Any] = {"diffrender": Ours(mesh, camera), "DEODR": Deodr(mesh, camera)}
    grad = np.random.default_rng(1).normal(size=(SIDE, SIDE)).astype(np.float32)
    images = {name: runner.forward() for name, runner in runners.items()}
    for name, runner in runners.items():  # the warm-up
        if not np.abs(runner.backward(grad)).max() > 0:
            raise SystemExit(f"{name} returned no gradient: its time would mean nothing")
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in runners}
    for _ in range(repeats):
        for name, runner in runners.items():
            time.sleep(0.003)  # until the other's threads have gone to sleep: they must not slow this one down
            forward = _milliseconds(runner.forward)
            samples[name].append((forward, _milliseconds(partial(runner.backward, grad))))
    ours, theirs = (np.array(samples[name]) for name in ("diffrender", "DEODR"))
    forward, backward = np.median(ours, axis=0)
    total, deodr_total = ours.sum(axis=1), theirs.sum(axis=1)
    return {
        "faces": faces,
        "forward_ms": forward,
        "backward_ms": backward,
        "total_ms": float(np.median(total)),
        "total_quartiles_ms": np.percentile(total, [25, 75]).tolist(),
        "deodr_total_ms": float(np.median(deodr_total)),
        "deodr_quartiles_ms": np.percentile(deodr_total, [25, 75]).tolist(),
        "ratio": float(np.median(total) / np.median(deodr_total)),
        "backward_over_forward": float(backward / forward),
        "mean_difference_of_alpha": float(np.abs(images["diffrender"] - images["DEODR"]).mean()),
    }


def _milliseconds(call: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    call()
    return (time.perf_counter() - begin) * 1e3


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a Markdown table."""
    lines = [
        "| faces | forward ms | backward ms | total ms (quartiles) | DEODR ms (quartiles) | total / DEODR | backward / forward |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        own, other = row["total_quartiles_ms"], row["deodr_quartiles_ms"]
        lines.append(
            f"| {row['faces']:,} | {row['forward_ms']:.2f} | {row['backward_ms']:.2f} "
            f"| {row['total_ms']:.2f} ({own[0]:.2f} to {own[1]:.2f}) "
            f"| {row['deodr_total_ms']:.2f} ({other[0]:.2f} to {other[1]:.2f}) "
            f"| {row['ratio']:.2f} | {row['backward_over_forward']:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, nargs="+", default=[1280, 5120, 20480])
    parser.add_argument("--repeats", type=int, default=60)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    rows = [measure(faces, options.repeats) for faces in options.faces]
    facts = describe()
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    print(table(rows))
    worst = max(row["mean_difference_of_alpha"] for row in rows)
    print(f"mean difference of the two silhouettes: at most {worst:.4f}")
    if options.json:
        options.json.write_text(json.dumps({"environment": facts, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
