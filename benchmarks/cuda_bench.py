"""The CUDA backend on a GPU: accuracy, same bits, and times beside the ceilings of the machine, measured in the same run.

    python -m benchmarks.cuda_bench [--json FILE] [--hard]

`benchmarks/gpu_bench.sh` runs this, the tests and compute-sanitizer in one call. Times are medians between CUDA events,
arrays on the device. Works in Numba's simulator too, with --small; its times mean nothing.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numba import cuda

import diffrender as dr
from diffrender.cuda import blend, contributions, fragments, outline, resolve, zbuffer
from diffrender.cuda.driver import query_driver
from diffrender.cuda.jit import SIMULATED, blocks
from diffrender.hard import draw_hard

from .environment import describe

SIZES = (256, 512, 1024)
SUBDIVISIONS = (4, 6, 8)  # 5,120, 81,920 and 1,310,720 faces
SIGMA = 1.64  # px^2
FILL = 0.7  # of the image's side that the sphere's diameter takes
REPEATS = 30
LARGEST_ON_CPU = 100_000  # faces that are drawn on the CPU too, by all its threads
RUNS_FOR_BITS = 20
AS_GOOD = 2  # times the CPU's error in the same precision
AS_THE_CPU = 1e-9  # hard rendering in double precision, where rounding differs
# Floating-point operations of a (pixel, face) pair, counted in the formulas: an exponential is 14, a division 1.
FORWARD_FLOPS, BACKWARD_FLOPS = 75, 80
FORWARD_BYTES, BACKWARD_BYTES = 56, 80  # that an entry or a slot cannot do without: geometry, bounds, index, gradients


def sphere(subdivisions: int, side: int, dtype: Any = np.float32) -> tuple[np.ndarray, np.ndarray]:
    """Return vertices in pixel space and faces of a sphere, turned so that nothing is symmetric."""
    ball = dr.icosphere(subdivisions)
    turn, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
    points = ball.vertices.astype(np.float64) @ turn + [0, 0, 4]
    flat = points[:, :2] / points[:, 2:] * (FILL * side / 2 * np.sqrt(15)) + side / 2
    return np.c_[flat, points[:, 2]].astype(np.float32).astype(dtype), ball.faces.astype(np.int32)


def accuracy(subdivisions: int, side: int) -> dict[str, dict[str, float]]:
    """Compare single precision, on the device and on the CPU, with the CPU's double, which the tests hold to the oracle."""
    random = np.random.default_rng(0)
    grad_alpha, grad_color = random.normal(size=(side, side)), random.normal(size=(side, side, 3))

    def draw(dtype: Any, backend: Any, colored: bool) -> tuple[Any, Any]:
        vertices, faces = sphere(subdivisions, side, dtype)
        attributes = random_colors(len(vertices)).astype(dtype) if colored else None
        raster = dr.rasterize_soft(
            vertices, faces, (side, side), SIGMA, attributes=attributes, near=1.0, far=6.0, backend=backend
        )
        return raster, raster.backward(grad_alpha, grad_color if colored else None)

    found: dict[str, dict[str, float]] = {}
    for name, colored in (("silhouette", False), ("color", True)):
        expected, expected_grads = draw(np.float64, "cpu", colored)
        for backend in ("cpu", "cuda"):
            actual, grads = draw(np.float32, backend, colored)
            row = found.setdefault(backend, {})
            row[f"{name} alpha, largest"] = float(np.abs(actual.alpha - expected.alpha).max())
            row[f"{name} vertices, relative L2"] = _relative(grads.vertices_pixel, expected_grads.vertices_pixel)
            if colored:
                row["color, largest"] = float(np.abs(actual.color - expected.color).max())
                row["color attributes, relative L2"] = _relative(grads.attributes, expected_grads.attributes)
    return found


def hard_accuracy(subdivisions: int, side: int) -> dict[str, dict[str, float]]:
    """Compare hard rendering, in single precision on both and in double on the device, with the CPU's in double."""
    grad = np.random.default_rng(0).normal(size=(side, side, 4))

    def draw(dtype: Any, backend: Any) -> tuple[Any, Any]:
        vertices, faces = sphere(subdivisions, side, dtype)
        colors = random_colors(len(vertices)).astype(dtype)
        raster = draw_hard(vertices, faces, (side, side), dr.Hard(), colors, backend=backend)
        return raster.image, raster.backward(grad)

    expected, expected_grads = draw(np.float64, "cpu")
    found: dict[str, dict[str, float]] = {}
    for backend, dtype in (("cpu", np.float32), ("cuda", np.float32), ("cuda in double", np.float64)):
        actual, grads = draw(dtype, backend.split()[0])
        found[backend] = {
            "hard image, largest": float(np.abs(actual - expected).max()),
            "hard vertices, relative L2": _relative(grads.vertices_pixel, expected_grads.vertices_pixel),
            "hard attributes, relative L2": _relative(grads.attributes, expected_grads.attributes),
        }
    vertices, faces = sphere(subdivisions, side, np.float64)
    ids = [dr.rasterize_hard(vertices, faces, (side, side), backend=name).face_ids for name in ("cpu", "cuda")]
    found["cuda in double"]["hard, pixels that see another face"] = float((ids[0] != ids[1]).sum())
    return found


def random_colors(count: int) -> np.ndarray:
    """Return the same colours (V, 3) for the same count."""
    return np.random.default_rng(count).uniform(size=(count, 3)).astype(np.float32)


def _relative(actual: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(actual - expected) / np.linalg.norm(expected))


def different_results(subdivisions: int, side: int, runs: int) -> int:
    """Return how many different images and gradients the same call gives: 1 is right."""
    vertices, faces = sphere(subdivisions, side)
    random = np.random.default_rng(0)
    grads = random.normal(size=(side, side)), random.normal(size=(side, side, 3))
    results = set()
    for _ in range(runs):
        raster = dr.rasterize_soft(
            vertices, faces, (side, side), SIGMA, attributes=random_colors(len(vertices)), near=1, far=6, backend="cuda"
        )
        back, outline = raster.backward(*grads), raster.backward(grads[0])
        arrays = (raster.alpha, raster.color, *back, outline.vertices_pixel)
        results.add(b"".join(array.tobytes() for array in arrays if array is not None))
    return len(results)


def different_hard_results(subdivisions: int, side: int, runs: int) -> int:
    """Return how many different images and gradients hard rendering gives for the same call: 1 is right."""
    vertices, faces = sphere(subdivisions, side)
    grad = np.random.default_rng(0).normal(size=(side, side, 4))
    results = set()
    for _ in range(runs):
        raster = draw_hard(vertices, faces, (side, side), dr.Hard(), random_colors(len(vertices)), backend="cuda")
        arrays = (raster.image, *raster.backward(grad))
        results.add(b"".join(array.tobytes() for array in arrays if array is not None))
    return len(results)


@cuda.jit
def _copy(source, target):  # type: ignore[no-untyped-def]
    i = cuda.grid(1)
    if i < len(source):
        target[i] = source[i]


@cuda.jit
def _multiply_add(values, rounds):  # type: ignore[no-untyped-def]
    i = cuda.grid(1)
    factor, a, b, c, d = values[0], values[1], values[2], values[3], values[4]
    for _ in range(rounds):
        a = cuda.fma(a, factor, b)
        b = cuda.fma(b, factor, c)
        c = cuda.fma(c, factor, d)
        d = cuda.fma(d, factor, a)
    if a + b + c + d == np.float32(1.5):
        values[i % 5] = a


def ceilings(small: bool) -> dict[str, float]:
    """Return the bandwidth in GB/s of a copy, and the arithmetic in Gflop/s of chained multiply-adds."""
    count = 1 << (10 if small else 28)
    source, target = cuda.device_array(count, np.float32), cuda.device_array(count, np.float32)
    copying = _milliseconds(lambda: _copy[blocks(count), 256](source, target), 1 if small else 10)
    values = cuda.to_device(np.full(8, 0.5, np.float32))
    grid, threads, rounds = (1, 4, 2) if small else (132 * 16, 256, 4096)
    adding = _milliseconds(lambda: _multiply_add[grid, threads](values, rounds), 1 if small else 10)
    return {
        "bandwidth GB/s": 8 * count / copying / 1e6,
        "arithmetic Gflop/s": grid * threads * rounds * 8 / adding / 1e6,
    }


def _milliseconds(work: Any, repeats: int) -> float:
    """Return the median time between events around `work`, after one run that does not count."""
    work()
    times = []
    for _ in range(repeats):
        begin, end = cuda.event(), cuda.event()
        begin.record()
        work()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    return median(times)


def _wall_milliseconds(work: Any, repeats: int) -> float:
    """Return the median time of `work`, which waits for what it starts, after a run that does not count."""
    work()
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - begin))
    return median(times)


def times(subdivisions: int, side: int, repeats: int, limits: dict[str, float]) -> dict[str, float | int]:
    """Time the silhouette and the colour, forward and backward, with everything on the device."""
    host_vertices, host_faces = sphere(subdivisions, side)
    vertices, faces = cuda.to_device(host_vertices), cuda.to_device(host_faces)
    attributes = cuda.to_device(random_colors(len(host_vertices)))
    random = np.random.default_rng(0)
    grad_alpha = cuda.to_device(random.normal(size=(side, side)).astype(np.float32))
    grad_color = cuda.to_device(random.normal(size=(side, side, 3)).astype(np.float32))

    def outline() -> Any:
        return dr.rasterize_soft(vertices, faces, (side, side), SIGMA, backend="cuda")

    def picture() -> Any:
        return dr.rasterize_soft(
            vertices, faces, (side, side), SIGMA, attributes=attributes, near=1, far=6, backend="cuda"
        )

    drawn, painted = outline(), picture()
    drawn.backward(grad_alpha)
    bins = drawn._drawn.saved.bins
    bounds = bins.bounds.copy_to_host().astype(np.int64)
    pairs = int(((bounds[:, 1] - bounds[:, 0] + 1) * (bounds[:, 3] - bounds[:, 2] + 1)).clip(0).sum())
    row: dict[str, float | int] = {
        "side": side,
        "faces": len(host_faces),
        "million pairs in boxes": pairs / 1e6,
        "silhouette forward ms": _milliseconds(outline, repeats),
        "silhouette backward ms": _milliseconds(lambda: drawn.backward(grad_alpha), repeats),
        "silhouette both ms": _milliseconds(lambda: outline().backward(grad_alpha), repeats),
        "color forward ms": _milliseconds(picture, repeats),
        "color backward ms": _milliseconds(lambda: painted.backward(grad_alpha, grad_color), repeats),
    }
    entries = int(
        bins.ends[bins.ends.size - len(host_faces) - 2 : bins.ends.size - len(host_faces) - 1].copy_to_host()[0]
    )
    if len(host_faces) <= LARGEST_ON_CPU:
        given = (host_vertices, host_faces, (side, side), SIGMA)
        grad = grad_alpha.copy_to_host()
        for backend in ("cpu", "cuda"):
            row[f"{backend}, arrays of the host, silhouette both ms"] = _wall_milliseconds(
                lambda backend=backend: dr.rasterize_soft(*given, backend=backend).backward(grad), repeats
            )
    moved = {
        "forward": FORWARD_BYTES * entries + 8 * side**2,
        "backward": BACKWARD_BYTES * bins.slot_count + 8 * side**2,
    }
    for way, flops in (("forward", FORWARD_FLOPS), ("backward", BACKWARD_FLOPS)):
        seconds = float(row[f"silhouette {way} ms"]) / 1000
        row[f"silhouette {way}, part of arithmetic"] = flops * pairs / seconds / 1e9 / limits["arithmetic Gflop/s"]
        row[f"silhouette {way}, part of bandwidth"] = moved[way] / seconds / 1e9 / limits["bandwidth GB/s"]
    return row


def hard_times(subdivisions: int, side: int, repeats: int) -> dict[str, float | int]:
    """Time hard rendering of colours and its stages, with everything on the device, and on the CPU with all its threads."""
    vertices, faces = (cuda.to_device(array) for array in sphere(subdivisions, side))
    attributes = cuda.to_device(random_colors(len(vertices)))
    grad = cuda.to_device(np.random.default_rng(0).normal(size=(side, side, 4)).astype(np.float32))
    drawn = (vertices, faces, (side, side))

    def picture() -> Any:
        return draw_hard(*drawn, dr.Hard(), attributes, backend="cuda")

    raster, seen = picture(), dr.rasterize_hard(*drawn, backend="cuda")
    raster.backward(grad)
    on_host = [array.copy_to_host() for array in (vertices, faces, attributes, grad)]
    return {
        "side": side,
        "faces": len(faces),
        "hard pairs": len(seen.pairs.pixels),
        "hard forward ms": _milliseconds(picture, repeats),
        "hard rasterize ms": _milliseconds(lambda: dr.rasterize_hard(*drawn, backend="cuda"), repeats),
        "hard interpolate ms": _milliseconds(lambda: dr.interpolate(seen, attributes), repeats),
        "hard backward, but for what the first finds, ms": _milliseconds(lambda: raster.backward(grad), repeats),
        "hard both ms": _milliseconds(lambda: picture().backward(grad), repeats),
        "cpu, hard both ms": _wall_milliseconds(
            lambda: draw_hard(on_host[0], on_host[1], (side, side), dr.Hard(), on_host[2]).backward(on_host[3]),
            min(repeats, 10),
        ),
    }


class _Timed:
    """A kernel that waits for itself and notes how long it took."""

    def __init__(self, kernel: Any, name: str, spent: dict[str, float]):
        self._kernel, self._name, self._spent = kernel, name, spent

    def __getitem__(self, grid: Any) -> Any:
        def launch(*arguments: Any) -> None:
            begin, end = cuda.event(), cuda.event()
            begin.record()
            self._kernel[grid](*arguments)
            end.record()
            end.synchronize()
            self._spent[self._name] = self._spent.get(self._name, 0.0) + begin.elapsed_time(end)

        return launch


def hard_kernels(subdivisions: int, side: int) -> dict[str, float]:
    """Return the milliseconds of each kernel of hard rendering of colours, forward and back, the most first; scans apart."""
    vertices, faces = (cuda.to_device(array) for array in sphere(subdivisions, side))
    attributes, spent = cuda.to_device(random_colors(len(vertices))), dict[str, float]()
    grad = cuda.to_device(np.random.default_rng(0).normal(size=(side, side, 4)).astype(np.float32))

    def both() -> Any:
        return draw_hard(vertices, faces, (side, side), dr.Hard(), attributes, backend="cuda").backward(grad)

    both()
    modules = (blend, contributions, fragments, outline, resolve, zbuffer)
    kernels = [(module, name, getattr(module, name)) for module in modules for name in dir(module)]
    kernels = [entry for entry in kernels if _is_launched(entry[2])]
    try:
        for module, name, kernel in kernels:
            setattr(module, name, _Timed(kernel, f"{module.__name__.rpartition('.')[2]}.{name}", spent))
        both()
    finally:
        for module, name, kernel in kernels:
            setattr(module, name, kernel)
    return {name: round(value, 4) for name, value in sorted(spent.items(), key=lambda entry: -entry[1])}


def _is_launched(function: Any) -> bool:
    """Whether this is a kernel, of the device or of the simulator, and not what kernels call."""
    options = getattr(function, "targetoptions", {})
    return hasattr(function, "forall") and not (options.get("device") or getattr(function, "_device", False))


def main() -> None:
    """Measure, print, write; exit with status 1 if the results are off."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    parser.add_argument("--small", action="store_true", help="tiny problems, to try this script without a GPU")
    parser.add_argument("--hard", action="store_true", help="hard rendering alone")
    arguments = parser.parse_args()
    small = arguments.small or SIMULATED
    gpus = query_driver().gpus
    report: dict[str, Any] = {"gpu": gpus[0].name if gpus else "Numba's simulator", **describe()}
    print(report)
    scenes = ((0, 12),) if small else ((3, 128), (4, 256), (6, 512))
    runs = (0, 12, 2) if small else (6, 512, RUNS_FOR_BITS)
    for kind, compare, count in (
        ("", accuracy, different_results),
        ("hard ", hard_accuracy, different_hard_results),
    ):
        chosen = bool(kind) or not arguments.hard
        report[f"{kind}accuracy"] = {
            f"{20 * 4**subdivisions} faces at {side}": compare(subdivisions, side)
            for subdivisions, side in (scenes if chosen else ())
        }
        report[f"different {kind}results"] = count(*runs) if chosen else 1
        shown = (f"{kind}accuracy", f"different {kind}results")
        print(json.dumps({name: report[name] for name in shown}, indent=1), flush=True)
    report["hard kernels, ms"] = {
        f"{20 * 4**subdivisions} faces at {side}": hard_kernels(subdivisions, side)
        for subdivisions, side in (((0, 12),) if small else ((4, 256), (6, 512), (8, 1024)))
    }
    print(json.dumps(report["hard kernels, ms"], indent=1), flush=True)
    repeats = 1 if small else REPEATS
    if not arguments.hard:
        report["ceilings"] = ceilings(small)
        print(report["ceilings"], flush=True)
    report["times"] = []
    for side in (12,) if small else SIZES:
        for subdivisions in (0,) if small else SUBDIVISIONS:
            row = hard_times(subdivisions, side, repeats)
            if not arguments.hard:
                row |= times(subdivisions, side, repeats, report["ceilings"])
            report["times"].append(row)
            print({name: round(value, 4) for name, value in row.items()}, flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    # Slivers at the rim of a fine mesh are ill-conditioned in single precision, whatever computes them.
    errors = [
        (name, value, scene["cpu"][name])
        for scene in (*report["accuracy"].values(), *report["hard accuracy"].values())
        for name, value in scene["cuda"].items()
        if value > AS_GOOD * scene["cpu"][name] + 1e-6
    ]
    errors += [
        (name, value, 0.0)
        for scene in report["hard accuracy"].values()
        for name, value in scene["cuda in double"].items()
        if value > AS_THE_CPU
    ]
    different = report["different results"], report["different hard results"]
    if errors or different != (1, 1):
        sys.exit(f"off: {errors}, {different} different results")


if __name__ == "__main__":
    main()
