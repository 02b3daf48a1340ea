"""Hard rendering: its time beside DEODR's, what overlap costs it, and how near its edges and their gradient come to the truth.

python -m benchmarks.hard --json benchmarks/results/hard-cpu.json     # DEODR needs pip install -e '.[bench]'
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import diffrender as dr
from diffrender import fragments as module
from diffrender.camera import project
from diffrender.hard import draw_hard
from diffrender.in_front import InFront
from diffrender.rendering import front_of

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


def measure_overlap(layers: int, arranged: str, calls: int = 15) -> dict[str, Any]:
    """Return the times in ms of the parts of a hard rendering of spheres "nested" in each other, 10 % smaller in the end, or
    "behind" each other, on one thread."""
    mesh, camera = scene(1280)
    shrink, away = (0.1, 0.0) if arranged == "nested" else (0.0, 8.0)
    step = np.arange(layers)[:, None, None] / max(layers - 1, 1)
    vertices = (mesh.vertices * (1 - shrink * step) + step * [0, 0, away]).reshape(-1, 3)
    faces = (mesh.faces + len(mesh.vertices) * np.arange(layers)[:, None, None]).reshape(-1, 3)
    pixel = project(vertices, camera).astype(np.float32)
    colors = np.random.default_rng(0).uniform(size=vertices.shape).astype(np.float32)
    grad = np.random.default_rng(1).normal(size=(SIDE, SIDE, 3)).astype(np.float32)
    times = []
    threads = dr.get_num_threads()
    dr.set_num_threads(1)
    try:
        for _ in range(calls):
            with _clocked() as boundaries:
                begin = time.perf_counter()
                fragments = dr.rasterize_hard(pixel, faces, camera.size)
                rasterized = time.perf_counter()
            drawn = dr.interpolate(fragments, colors)
            interpolated = time.perf_counter()
            grads = _antialias(fragments, drawn.values, grad)
            antialiased = time.perf_counter()
            drawn.backward(grads.values)
            end = time.perf_counter()
            # By itself: what the other parts leave in the caches grows with the layers.
            again = min(_milliseconds(partial(_antialias, fragments, drawn.values, grad)) for _ in range(5)) / 1e3
            found = sum(boundaries)
            times.append((rasterized - begin - found, found, antialiased - interpolated, again, end - begin))
    finally:
        dr.set_num_threads(threads)
    names = ("ids_ms", "boundaries_ms", "antialias_ms", "antialias_again_ms", "total_ms")
    medians = dict(zip(names, (np.median(times, axis=0) * 1e3).tolist(), strict=True))
    return {"arranged": arranged, "layers": layers, "pairs": len(fragments.pairs.pixels), **medians}


def _antialias(fragments: Any, values: np.ndarray, grad: np.ndarray) -> Any:
    return dr.antialias(fragments, values).backward(grad)


@contextmanager
def _clocked() -> Iterator[list[float]]:
    """Measure how long the search for boundaries takes, in s."""
    search, times = module._boundaries, []

    def timed(*arguments: Any) -> Any:
        begin = time.perf_counter()
        found = search(*arguments)
        times.append(time.perf_counter() - begin)
        return found

    module._boundaries = timed  # type: ignore[assignment]
    try:
        yield times
    finally:
        module._boundaries = search


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


def measure_image(name: str, mesh: dr.Mesh, camera: dr.Camera) -> dict[str, Any]:
    """Return how far an antialiased image, premultiplied, is from the mean of 256 samples a pixel, and fewer samples are."""
    front = front_of(mesh, camera, dr.Hard(), mesh.vertex_colors)
    assert front.attributes is not None
    image = draw_hard(front.vertices_pixel, front.faces, camera.size, dr.Hard(), front.attributes).image
    image = np.concatenate([image[..., :3] * image[..., 3:], image[..., 3:]], axis=-1)
    row: dict[str, Any] = {"scene": name, "faces": len(mesh.faces)}
    means = {side: _sampled(front, camera.size, side) for side in (1, 2, 4, 8, 16)}
    finest = means.pop(16)
    row["ours_rms"] = _rms(image - finest)
    row["ours_largest"] = float(np.abs(image - finest).max())
    row["ours_over_0.1"] = int((np.abs(image - finest).max(axis=-1) > 0.1).sum())
    row["aliased_over_0.1"] = int((np.abs(means[1] - finest).max(axis=-1) > 0.1).sum())
    row["samples_rms"] = {str(side**2): _rms(mean - finest) for side, mean in means.items()}
    return row


def measure_jumps(name: str, mesh: dr.Mesh, camera: dr.Camera, steps: int = 40, step: float = 0.01) -> dict[str, Any]:
    """Return how many pixels change by more than 0.05 as a mesh moves by `step` px, in which an edge passes 0.014 of a pixel."""
    front = front_of(mesh, camera, dr.Hard(), mesh.vertex_colors)
    assert front.attributes is not None
    changes, passed, before = [], 0, None
    for k in range(steps + 1):
        vertices = front.vertices_pixel.astype(np.float64) + [0.8 * step * k, 0.6 * step * k, 0]
        raster = draw_hard(vertices, front.faces, camera.size, dr.Hard(), front.attributes.astype(np.float64))
        image = np.concatenate([raster.image[..., :3] * raster.image[..., 3:], raster.image[..., 3:]], axis=-1)
        if before is not None:
            changes.append(np.abs(image - before).max(axis=-1))
            passed += len(np.unique(raster._fragments.pairs.pixels))
        before = image
    return {
        "scene": name,
        "steps": steps,
        "boundary_pixels": passed,
        "jumps": int((np.array(changes) > 5 * step).sum()),
        "largest": float(np.max(changes)),
    }


def _sampled(front: InFront, size: tuple[int, int], side: int) -> np.ndarray:
    """Return the mean of side^2 samples in each pixel (H, W, 4): images of pixels' centres, the mesh shifted."""
    total: Any = 0
    for y, x in np.ndindex(side, side):
        moved = front.vertices_pixel.astype(np.float64)
        moved[:, :2] -= (np.array([x, y]) + 0.5) / side - 0.5
        fragments = dr.rasterize_hard(moved, front.faces, size)
        drawn = dr.interpolate(fragments, front.attributes).image
        total = total + np.concatenate([drawn, (fragments.face_ids >= 0)[..., None]], axis=-1)
    return total / side**2


def _rms(error: np.ndarray) -> float:
    return float(np.sqrt((error**2).mean()))


def scenes() -> list[tuple[str, dr.Mesh, dr.Camera]]:
    """Return a sphere, the torus over itself, two spheres that cross, and a duck, each with colours that vary slowly."""
    size, assets = (96, 128), Path(__file__).parent.parent / "assets"

    def colored(vertices: np.ndarray, faces: np.ndarray) -> dr.Mesh:
        vertices = (vertices - vertices.mean(axis=0)) / np.ptp(vertices, axis=0).max() * 2
        return dr.Mesh(vertices.astype(np.float32), faces, (0.5 + 0.35 * np.sin(2 * vertices)).astype(np.float32))

    ball = dr.icosphere(4)
    both = np.concatenate([ball.vertices * 0.8 + [-0.4, 0, 0], ball.vertices * 0.7 + [0.45, 0.2, 0.3]])
    torus, duck = (dr.load_mesh(assets / name) for name in ("torus.ply", "duck.glb"))
    meshes = {
        "sphere": colored(ball.vertices, ball.faces),
        "torus": colored(torus.vertices, torus.faces),
        "crossing spheres": colored(both, np.concatenate([ball.faces, ball.faces + len(ball.vertices)])),
        "duck": colored(duck.vertices, duck.faces),
    }
    eyes = {"sphere": (0, 0.3, 3.3), "torus": (2.4, 0.9, 1.2)}
    return [
        (name, mesh, dr.Camera.look_at(eyes.get(name, (1.2, 1.4, 3.0)), fov_degrees=42, size=size))
        for name, mesh in meshes.items()
    ]


def table(result: dict[str, Any]) -> str:
    """Return the figures as Markdown tables."""
    lines = ["| faces | forward ms | backward ms | ms (quartiles) | DEODR ms (quartiles) | ratio |", "|" + " --- |" * 6]
    for row in result["deodr"]:
        own, other = row["total_quartiles_ms"], row["deodr_quartiles_ms"]
        lines.append(
            f"| {row['faces']:,} | {row['forward_ms']:.2f} | {row['backward_ms']:.2f} "
            f"| {row['total_ms']:.2f} ({own[0]:.2f} to {own[1]:.2f}) "
            f"| {row['deodr_ms']:.2f} ({other[0]:.2f} to {other[1]:.2f}) | {row['ratio']:.3f} |"
        )
    lines += ["", "| layers | ids ms | boundaries ms | antialias ms | again | total ms | pairs |", "|" + " --- |" * 7]
    for row in result["overlap"]:
        lines.append(
            f"| {row['layers']} {row['arranged']} | {row['ids_ms']:.2f} | {row['boundaries_ms']:.2f} "
            f"| {row['antialias_ms']:.2f} | {row['antialias_again_ms']:.2f} | {row['total_ms']:.2f} | {row['pairs']} |"
        )
    lines += ["", "| faces | largest error of coverage | relative error of its gradient |", "|" + " --- |" * 3]
    for row in result["gradients"]:
        lines.append(f"| {row['faces']:,} | {row['coverage_error']:.1e} | {row['gradient_error']:.1e} |")
    lines += [
        "",
        "| scene | ours rms | 1 sample | 4 | 16 | 64 | ours over 0.1 | 1 sample over 0.1 |",
        "|" + " --- |" * 8,
    ]
    for row in result["images"]:
        samples = " | ".join(f"{value:.4f}" for value in row["samples_rms"].values())
        lines.append(
            f"| {row['scene']} | {row['ours_rms']:.4f} | {samples} | {row['ours_over_0.1']} | {row['aliased_over_0.1']} |"
        )
    lines += ["", "| scene | pixels with a boundary, 40 steps | that jump | largest change |", "|" + " --- |" * 4]
    for row in result["jumps"]:
        lines.append(f"| {row['scene']} | {row['boundary_pixels']:,} | {row['jumps']} | {row['largest']:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print the tables, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=20, help="of six calls each beside DEODR")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    facts = announce()
    result: dict[str, Any] = {
        "deodr": [measure_peer(faces, options.turns) for faces in _FACES],
        "overlap": [measure_overlap(layers, how) for how in ("nested", "behind") for layers in (1, 10, 100)],
        "gradients": [measure_gradient(faces) for faces in (1280, 20480)],
        "images": [measure_image(*scene) for scene in scenes()],
        "jumps": [measure_jumps(*scene) for scene in scenes()],
    }
    print(table(result))
    save(options.json, facts, **result)


if __name__ == "__main__":
    main()
