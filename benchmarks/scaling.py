"""What a silhouette costs, forward + backward, as one thing at a time grows: per contributing (pixel, face) pair."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

import diffrender as dr

from .peers import SIGMA, scene
from .processes import cube_sphere

REPEATS = 9


class _Grown(NamedTuple):
    """A scene in which one thing has grown."""

    what: str
    mesh: dr.Mesh
    camera: dr.Camera
    sigma: float
    grad: np.ndarray


def measure() -> list[dict[str, Any]]:
    """Return a row per scene: what grew, faces, side, sigma, threads, time, pairs, ns of one core per pair.

    Scenes take turns, round after round: a machine's speed changes from second to second, and would else be that of a row.
    """
    scenes = [_grown("faces", faces) for faces in (1280, 5120, 20480, 81920, 327680, 1310720, 1997568)]
    scenes.append(_grown("faces and pixels", 1997568, 2048))
    scenes += [_grown("pixels", 5120, side) for side in (128, 512, 1024, 2048)]
    scenes += [_grown("sigma", 5120, sigma=sigma) for sigma in (0.1, 0.4, 6.5, 26.0)]
    scenes += [_grown("overlap", 1280, layers=layers) for layers in (10, 100)]
    samples: list[list[tuple[float, float]]] = [[] for _ in scenes]
    before = dr.get_num_threads()
    dr.set_num_threads(1)
    try:
        for _ in range(REPEATS):
            for of, times in zip(scenes, samples, strict=True):
                forward, backward = _once(
                    of.mesh, of.camera, of.grad, of.sigma
                )  # finds the caches full of another scene
                calls = 5 if forward + backward < 20 else 1
                turn = [_once(of.mesh, of.camera, of.grad, of.sigma) for _ in range(calls)]
                times.append(tuple(np.median(turn, axis=0)))
    finally:
        dr.set_num_threads(before)
    rows = []
    for of, times in zip(scenes, samples, strict=True):
        pairs = count_pairs(of.mesh, of.camera, of.sigma)
        figures = (len(of.mesh.faces), of.camera.size[0], of.sigma, 1, *np.median(times, axis=0).tolist(), pairs)
        rows.append(_figures(of.what, *figures))
    for faces in (1280, 5120, 20480, 81920):
        rows.extend(_threads(faces))
    return rows


def _threads(faces: int, turns: int = 12) -> list[dict[str, Any]]:
    """Return a row for one and one for two threads, taken by turns, with how much faster two are; and how much faster two
    programs beside each other are done than one after the other, which is what the machine has to give at that time."""
    mesh, camera = scene(faces)
    grad = np.random.default_rng(1).normal(size=camera.size).astype(np.float32)
    pairs = count_pairs(mesh, camera, SIGMA)
    samples: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    beside: list[float] = []
    before = dr.get_num_threads()

    def several(_: Any = None) -> tuple[float, float]:
        forward, backward = np.median([_once(mesh, camera, grad) for _ in range(5)], axis=0).tolist()
        return forward, backward

    try:
        with ThreadPoolExecutor(2) as programs:
            for _ in range(turns):
                for threads, times in samples.items():
                    dr.set_num_threads(threads)
                    _once(mesh, camera, grad)  # the threads of a crew start
                    times.append(several())
                dr.set_num_threads(1)
                beside.append(float(np.mean([sum(times) for times in programs.map(several, range(2))])))
    finally:
        dr.set_num_threads(before)
    alone, shared = (np.sum(samples[threads], axis=1) for threads in samples)
    rows = []
    for threads, times in samples.items():
        forward, backward = np.median(times, axis=0)
        rows.append(_figures("threads", faces, camera.size[0], SIGMA, threads, forward, backward, pairs))
    rows[1]["faster_than_one_thread"] = float(np.median(alone / shared))
    rows[1]["two_programs"] = float(np.median(2 * alone / np.array(beside)))
    return rows


def _once(mesh: dr.Mesh, camera: dr.Camera, grad: np.ndarray, sigma: float = SIGMA) -> tuple[float, float]:
    begin = time.perf_counter()
    rendering = dr.render_silhouette(mesh, camera, dr.Soft(sigma=sigma))
    middle = time.perf_counter()
    rendering.backward(grad)
    return (middle - begin) * 1e3, (time.perf_counter() - middle) * 1e3


def _grown(what: str, faces: int, side: int = 256, sigma: float = SIGMA, layers: int = 1) -> _Grown:
    mesh, camera = scene(1280 if faces == 1997568 else faces)
    if faces == 1997568:  # no icosphere has about 2 million
        mesh = cube_sphere(408)
    if layers > 1:
        offsets = len(mesh.vertices) * np.arange(layers)[:, None, None]
        scale = np.linspace(1, 0.9, layers)[:, None, None]
        mesh = dr.Mesh(
            (mesh.vertices * scale).reshape(-1, 3).astype(np.float32),
            (mesh.faces + offsets).reshape(-1, 3).astype(np.int32),
        )
    grad = np.random.default_rng(1).normal(size=(side, side)).astype(np.float32)
    return _Grown(what, mesh, camera.resized((side, side)), sigma, grad)


def _figures(
    what: str, faces: int, side: int, sigma: float, threads: int, forward: float, backward: float, pairs: int
) -> dict[str, Any]:
    return {
        "what": what,
        "faces": faces,
        "side": side,
        "sigma": sigma,
        "threads": threads,
        "forward_ms": forward,
        "backward_ms": backward,
        "pairs": pairs,
        "core_ns_per_pair": (forward + backward) * threads * 1e6 / pairs,
    }


def count_pairs(mesh: dr.Mesh, camera: dr.Camera, sigma: float) -> int:
    """Return the number of (pixel, face) pairs whose coverage is at least the cutoff, counted apart from the kernels."""
    from diffrender.camera import project

    reach = np.sqrt(-sigma * (np.log(1e-4) - np.log1p(-1e-4)))
    corners = project(mesh.vertices, camera)[mesh.faces][..., :2].astype(np.float64)
    height, width = camera.size
    low = np.maximum(np.ceil(corners.min(axis=1) - reach - 0.5), 0).astype(int)
    high = np.minimum(np.floor(corners.max(axis=1) + reach - 0.5), [width - 1, height - 1]).astype(int)
    size = np.maximum(high - low + 1, 0)
    total = 0
    chunk = max(1, int(4e6 // max(1, size.prod(axis=1).max())))
    for begin in range(0, len(corners), chunk):
        part = corners[begin : begin + chunk]
        across, down = size[begin : begin + chunk].max(axis=0)
        x = low[begin : begin + chunk, 0, None, None] + np.arange(across)[None, None, :] + 0.5
        y = low[begin : begin + chunk, 1, None, None] + np.arange(down)[None, :, None] + 0.5
        distance, signs = np.inf, []
        for k in range(3):
            a, b = part[:, k, :, None, None], part[:, (k + 1) % 3, :, None, None]
            ex, ey = b[:, 0] - a[:, 0], b[:, 1] - a[:, 1]
            px, py = x - a[:, 0], y - a[:, 1]
            t = np.clip((px * ex + py * ey) / np.maximum(ex * ex + ey * ey, 1e-30), 0, 1)
            distance = np.minimum(distance, (px - t * ex) ** 2 + (py - t * ey) ** 2)
            signs.append(ex * py - ey * px)
        inside = (np.minimum.reduce(signs) >= 0) | (np.maximum.reduce(signs) <= 0)
        on_image = (x < high[begin : begin + chunk, 0, None, None] + 1) & (
            y < high[begin : begin + chunk, 1, None, None] + 1
        )
        total += int(np.count_nonzero((inside | (distance <= reach * reach)) & on_image))
    return total


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a Markdown table."""
    lines = [
        "| what grows | faces | side px | sigma px^2 | threads | forward ms | backward ms | million pairs | core ns a pair "
        "| faster than 1 | two programs |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        lines.append(
            f"| {row['what']} | {row['faces']:,} | {row['side']} | {row['sigma']:g} | {row['threads']} | {row['forward_ms']:.2f} "
            f"| {row['backward_ms']:.2f} | {row['pairs'] / 1e6:.2f} | {row['core_ns_per_pair']:.2f} "
            f"| {row.get('faster_than_one_thread', 1):.2f} | {row.get('two_programs', 1):.2f} |"
        )
    return "\n".join(lines)
