"""Hard rendering: its time beside DEODR's, what overlap costs it, and how near its edges and their gradient come to the truth.

python -m benchmarks.hard --json benchmarks/results/hard-cpu.json     # DEODR needs pip install -e '.[bench]'
"""

import argparse
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import diffrender as dr
from diffrender.camera import project

from .environment import announce, save
from .outline_truth import area_coverage, coverage_gradient
from .peers import CALLS, LIGHT, SIDE, Deodr, _colors, _milliseconds, scene

_FACES = (1280, 5120, 20480, 81920)


class OursHard:
    """diffrender's `render` with vertex colours, a light and `Hard`."""

    def __init__(self, mesh: dr.Mesh, camera: dr.Camera):
        self.mesh, self.camera = dr.Mesh(mesh.vertices, mesh.faces, _colors(mesh)), camera

    def forward(self) -> np.ndarray:
        """Render and return RGBA (H, W, 4)."""
        self.rendering = dr.render(self.mesh, self.camera, dr.Hard(), dr.Light(LIGHT, 0.4, 0.6))
        return self.rendering.image

    def backward(self, grad: np.ndarray) -> np.ndarray:
        """Return the gradient of the vertices (V, 3)."""
        return self.rendering.backward(grad).vertices


def measure_peer(faces: int, turns: int) -> dict[str, Any]:
    """Return the times in ms, forward + backward, of diffrender and of DEODR's lit RGB mode on one scene, taken by turns."""
    mesh, camera = scene(faces)
    runners: dict[str, Any] = {"ours": OursHard(mesh, camera), "DEODR": Deodr(mesh, camera, lit=True)}
    grad = np.random.default_rng(1).normal(size=(SIDE, SIDE, 4)).astype(np.float32)
    grads = {"ours": grad, "DEODR": grad[..., :3]}
    for name, runner in runners.items():  # the warm-up
        runner.forward()
        if not np.abs(runner.backward(grads[name])).max() > 0:
            raise SystemExit(f"{name} returned no gradient: its time would mean nothing")
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in runners}
    for _ in range(turns):
        for name, runner in runners.items():
            time.sleep(0.003)  # until the other's threads have gone to sleep
            times = []
            for _ in range(CALLS):
                forward = _milliseconds(runner.forward)
                times.append((forward, _milliseconds(partial(runner.backward, grads[name]))))
            samples[name].extend(times[1:])
    ours, theirs = (np.array(times) for times in samples.values())
    total, peer = ours.sum(axis=1), theirs.sum(axis=1)
    return {
        "faces": faces,
        "forward_ms": float(np.median(ours[:, 0])),
        "backward_ms": float(np.median(ours[:, 1])),
        "total_ms": float(np.median(total)),
        "total_quartiles_ms": np.percentile(total, [25, 75]).tolist(),
        "deodr_ms": float(np.median(peer)),
        "deodr_quartiles_ms": np.percentile(peer, [25, 75]).tolist(),
        "ratio": float(np.median(total) / np.median(peer)),
        "fastest_ratio": float(total.min() / peer.min()),
    }


def measure_overlap(layers: int, calls: int = 15) -> dict[str, Any]:
    """Return the times in ms of the parts of a hard rendering of spheres within each other, or behind each other."""
    mesh, camera = scene(1280)
    row: dict[str, Any] = {"layers": layers}
    for name, scale, away in (("nested", 0.1, 0.0), ("behind", 0.0, 8.0)):
        step = np.arange(layers)[:, None, None] / max(layers - 1, 1)
        vertices = (mesh.vertices * (1 - scale * step) + step * [0, 0, away]).reshape(-1, 3)
        faces = (mesh.faces + len(mesh.vertices) * np.arange(layers)[:, None, None]).reshape(-1, 3)
        pixel = project(vertices, camera).astype(np.float32)
        colors = np.random.default_rng(0).uniform(size=vertices.shape).astype(np.float32)
        grad = np.random.default_rng(1).normal(size=(SIDE, SIDE, 3)).astype(np.float32)
        times = []
        for _ in range(calls):
            begin = time.perf_counter()
            fragments = dr.rasterize_hard(pixel, faces, camera.size)
            rasterized = time.perf_counter()
            drawn = dr.interpolate(fragments, colors)
            interpolated = time.perf_counter()
            image = dr.antialias(fragments, drawn.values)
            grads = image.backward(grad)
            antialiased = time.perf_counter()
            drawn.backward(grads.values)
            times.append((rasterized - begin, antialiased - interpolated, time.perf_counter() - begin))
        rasterize, antialias, total = np.median(times, axis=0) * 1e3
        outlines = np.median([_milliseconds(partial(_outlines, fragments)) for _ in range(calls)])
        row[name] = {
            "rasterize_ms": rasterize,
            "find_outlines_ms": float(outlines),
            "antialias_ms": antialias,
            "total_ms": total,
            "pairs": len(fragments.pairs.pixels),
        }
    return row


def _outlines(fragments: dr.Any) -> None:
    from diffrender.fragments import find_boundaries

    find_boundaries(fragments)


def measure_gradient(faces: int) -> dict[str, Any]:
    """Return how far coverage and the gradient of sum(weights * coverage) are from the exact area of the outline."""
    from scipy.spatial import ConvexHull

    mesh, camera = scene(faces)
    pixel = project(mesh.vertices, camera).astype(np.float32)
    weights = np.random.default_rng(1).normal(size=camera.size)
    hull = ConvexHull(pixel[:, :2].astype(np.float64)).vertices  # the sphere is convex, and so is its outline
    polygon = pixel[hull, :2].astype(np.float64)
    expected = np.zeros(pixel.shape)
    expected[hull, :2] = coverage_gradient(polygon, weights)
    fragments = dr.rasterize_hard(pixel, mesh.faces, camera.size)
    drawn = dr.antialias(fragments, fragments.covered[:, None])
    grad = drawn.backward(weights[..., None]).vertices_pixel
    direction = np.random.default_rng(2).normal(size=polygon.shape)
    step = 1e-5
    moved = [(weights * area_coverage(polygon + sign * step * direction, camera.size)).sum() for sign in (1, -1)]
    slope = (moved[0] - moved[1]) / (2 * step)
    return {
        "faces": faces,
        "coverage_error": float(np.abs(drawn.image[..., 0] - area_coverage(polygon, camera.size)).max()),
        "gradient_error": float(np.linalg.norm(grad - expected) / np.linalg.norm(expected)),
        "truth_against_differences": float(abs((expected[hull, :2] * direction).sum() / slope - 1)),
    }
