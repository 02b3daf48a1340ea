"""How near the silhouette's kernels are to what this processor can do.

    python -m benchmarks.roofline [--json FILE]

The five inner loops are compiled by themselves and run on blocks that stay in the L1 cache: their sum is the ceiling, what a
pair of pixel and face would cost if every lane counted and finding the blocks, sorting and gathering cost nothing. Their
instructions are counted in their assembly. What `render_silhouette` and its `backward` take per contributing pair on one
thread is set against that ceiling, and the loops' flops against the fastest loop of fused multiply-adds. docs/roofline.md
has a run and what it means.
"""

import argparse
import json
import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numba
import numpy as np

import diffrender as dr
from diffrender.camera import project
from diffrender.cpu import blocks, spans, strips
from diffrender.cpu.bins import sort_into_bins
from diffrender.formulas.constants import CULLING_MARGIN, ZERO
from diffrender.formulas.coverage import union_step
from diffrender.formulas.pixel import covered_logit_backward
from diffrender.formulas.shape import face_odds, shape_of
from diffrender.jit import FAST_MATH, prefer_wide_vectors
from diffrender.lanes import (
    BLOCK,
    COLUMNS,
    LANES,
    fma,
    higher,
    lane_numbers,
    load,
    load_pair,
    select,
    store,
    store_pair,
)
from diffrender.ranges import one_view

from .environment import describe
from .peers import SIDE, SIGMA, scene
from .scaling import count_pairs

_CUTOFF = 1e-4
_LOWEST = np.float32(np.log(_CUTOFF) - np.log1p(-_CUTOFF))
_SHAPE = shape_of("sigmoid", np.dtype(np.float32))
_ROOM = np.int64(96)  # blocks, as many as a kernel does at once
_REPEATS = 500

_loop = numba.njit(nogil=True, fastmath=FAST_MATH, error_model="numpy")


@_loop
def _logits(lists, count, repeats, image, saved, sums):
    prefer_wide_vectors()
    for _ in range(repeats):
        for block in range(0, count, 2):
            logit, _, _, _ = blocks.coverage_logits(lists, block)
            store(saved, block * BLOCK, logit)


@_loop
def _union(lists, count, repeats, image, saved, sums):
    prefer_wide_vectors()
    for _ in range(repeats):
        for block in range(0, count, 2):
            logit = load(saved, block * BLOCK)
            exponential = select(logit >= _LOWEST, face_odds(higher(logit, _LOWEST), _SHAPE), ZERO)
            first, second = spans.places_of(lists, block)
            store_pair(image, first, second, union_step(load_pair(image, first, second), exponential))


@_loop
def _nearest(lists, count, repeats, image, saved, sums):
    prefer_wide_vectors()
    for _ in range(repeats):
        for block in range(0, count, 2):
            blocks.save_nearest(lists, block, saved, block // 2 * blocks.SAVED_NEAREST)


@_loop
def _slopes(lists, count, repeats, image, saved, sums):
    prefer_wide_vectors()
    for _ in range(repeats):
        for block in range(0, count, 2):
            above = load_pair(image, *spans.places_of(lists, block))
            into = block // 2 * blocks.SAVED_NEAREST
            store(saved, into, covered_logit_backward(above, load(saved, into), _LOWEST, _SHAPE))


@_loop
def _sums(lists, count, repeats, image, saved, sums):
    prefer_wide_vectors()
    all_faces = np.int64(-1)  # have sums already
    for _ in range(repeats):
        blocks.add_nearest(lists, (), count // 2, saved, blocks.SAVED_NEAREST, sums, all_faces)


@_loop
def _multiply_add(repeats, out):
    """Do 10 fused multiply-adds of LANES a turn that do not wait for each other."""
    prefer_wide_vectors()
    a = lane_numbers(out[0])
    b, c, d, e = a + a, a * a, a - a, a + a * a
    for _ in range(repeats):
        a, b, c, d, e = fma(a, out[0], a), fma(b, out[0], b), fma(c, out[0], c), fma(d, out[0], d), fma(e, out[0], e)
        a, b, c, d, e = fma(a, out[0], a), fma(b, out[0], b), fma(c, out[0], c), fma(d, out[0], d), fma(e, out[0], e)
    store(out, 0, a + b + (c + d) + e)


_LOOPS = {"forward: logits": _logits, "forward: union": _union}
_LOOPS |= {"backward: nearest points": _nearest, "backward: slopes": _slopes, "backward: sums": _sums}


def measure(faces: list[int], turns: int = 25) -> dict[str, Any]:
    """Return the loops' figures, the ceiling in ns per pair, and a row for each number of faces.

    All are timed by turns, and the shares taken within a turn: the machine's speed changes from second to second.
    """
    calls: dict[Any, Callable[[], Any]] = {
        "peak": partial(_multiply_add, _REPEATS * 100, np.full(LANES, 1e-9, np.float32))
    }
    count, loops = _prepared_loops()
    calls |= loops
    scenes = {number: scene(number) for number in faces}
    calls |= {number: partial(_forward_and_backward, *drawn) for number, drawn in scenes.items()}
    for call in calls.values():
        call()
    samples: dict[Any, list[int]] = {key: [] for key in calls}
    for _ in range(turns):
        for key, call in calls.items():
            samples[key].append(min(_nanoseconds(call) for _ in range(2)))
    times = {key: np.array(values, np.float64) for key, values in samples.items()}
    peak = _REPEATS * 100 * 10 * LANES * 2 / times["peak"]
    pieces = _REPEATS * count / 2
    ceiling = sum(times[name] for name in _LOOPS) / pieces / LANES
    rows = []
    for name, loop in _LOOPS.items():
        instructions, flops = _count_instructions(loop)
        rows.append(
            {
                "loop": name,
                "instructions_per_16": instructions,
                "flops_per_16": flops,
                "ns_per_16": float(np.median(times[name]) / pieces),
                "of_fma_peak": float(np.median(flops * pieces / times[name] / peak)),
            }
        )
    silhouette = []
    for number, (mesh, camera) in scenes.items():
        pairs = count_pairs(mesh, camera, SIGMA)
        silhouette.append(
            {
                "faces": number,
                "pairs": pairs,
                "lanes_that_count": pairs / (_count_blocks(mesh, camera) * BLOCK),
                "ns_per_pair": float(np.median(times[number]) / pairs),
                "of_ceiling": float(np.median(ceiling * pairs / times[number])),
            }
        )
    return {
        "fma_peak_gflops": float(np.median(peak)),
        "loops": rows,
        "ceiling_ns_per_pair": float(np.median(ceiling)),
        "silhouette": silhouette,
    }


def _forward_and_backward(mesh: dr.Mesh, camera: dr.Camera) -> None:
    rendering = dr.render_silhouette(mesh, camera, dr.Soft(sigma=SIGMA))
    rendering.backward(np.ones((SIDE, SIDE), np.float32))


def _binned(mesh: dr.Mesh, camera: dr.Camera) -> tuple[Any, np.float32, np.float32]:
    pixel = project(mesh.vertices, camera)
    ranges, radius = one_view(len(pixel), len(mesh.faces)), float(np.sqrt(-_LOWEST * SIGMA)) + CULLING_MARGIN
    bins = sort_into_bins(pixel, mesh.faces, ranges, camera.size, radius, False, None)
    return bins, np.float32(radius), np.float32(1 / np.sqrt(SIGMA))


def _prepared_loops() -> tuple[int, dict[str, Callable[[], None]]]:
    """Return a number of blocks, and for each loop a call that goes over them _REPEATS times."""
    bins, radius, scale = _binned(*scene(5120))
    strip = 4
    lists, count = _list(bins.geometry, bins.bounds, bins.entries, bins.starts[strip], strip, radius, scale)
    image = np.empty(strips.STRIP_ROWS * (SIDE + COLUMNS) + BLOCK, np.float32)
    saved = np.zeros(2 * count * blocks.SAVED_NEAREST, np.float32)
    sums = np.zeros(spans.BATCH * blocks.EDGE_SUMS, np.float32)

    def run(loop: Callable[..., None]) -> None:
        image.fill(1e-6)  # or the odds would grow without end
        loop(lists, count, _REPEATS, image, saved, sums)

    return count, {name: partial(run, loop) for name, loop in _LOOPS.items()}


@_loop
def _list(geometry, bounds, entries, entry, strip, radius, scale):
    """Return the lists of a batch of faces of a strip, and how many blocks they have."""
    stride, top = strips.stride_of(SIDE), strip * strips.STRIP_ROWS
    lists = spans.new_lists(SIDE, _ROOM, geometry)
    bottom = top + strips.STRIP_ROWS
    groups = spans.list_groups(
        geometry, bounds, entries, entry, spans.BATCH, top, bottom, radius, scale, stride, lists, False
    )
    spans.put_corners(lists)
    _, count = spans.list_blocks(np.int64(0), groups, _ROOM, stride, lists)
    return lists, count


def _nanoseconds(call: Callable[[], Any]) -> int:
    begin = time.perf_counter_ns()
    call()
    return time.perf_counter_ns() - begin


_JUMP = re.compile(r"\s+j\w+\s+(\S+)")
_WIDTH = {"x": 4, "y": 8, "z": 16}
_ARITHMETIC = re.compile(r"v(fn?m(?:add|sub)\w*|add|sub|mul|div|max|min|cmp\w*|rcp\w*|sqrt)ps$")


def _count_instructions(loop: Any) -> tuple[int, int]:
    """Return the instructions, and the float32 operations of x86 vectors, of the busiest innermost loop in the assembly."""
    lines = next(iter(loop.inspect_asm().values())).split("\n")
    places = {line[:-1]: k for k, line in enumerate(lines) if line.endswith(":")}
    bodies = []
    for k, line in enumerate(lines):
        jump = _JUMP.match(line)
        if jump and places.get(jump[1], k) < k:
            begin = places[jump[1]]
            jumps = [(place, _JUMP.match(lines[place])) for place in range(begin, k)]
            if not any(
                other and begin <= places.get(other[1], -1) <= place for place, other in jumps
            ):  # it is innermost
                body = lines[begin : k + 1]
                bodies.append([part for part in body if part.startswith("\t") and part.strip()[0] != "."])
    busiest = max(bodies, key=_flops_of, default=[])
    return len(busiest), _flops_of(busiest)


def _flops_of(body: list[str]) -> int:
    flops = 0
    for instruction in body:
        name, *operands = instruction.split(None, 1)
        match = _ARITHMETIC.match(name)
        if match:
            width = max(_WIDTH[register] for register in re.findall(r"%([xyz])mm", operands[0]))
            flops += width * (2 if match[1].startswith("f") else 1)
    return flops


def _count_blocks(mesh: dr.Mesh, camera: dr.Camera) -> int:
    bins, radius, scale = _binned(mesh, camera)
    return _count(bins.geometry, bins.bounds, bins.starts, bins.entries, radius, scale, *camera.size)


@_loop
def _count(geometry, bounds, starts, entries, radius, scale, height, width):
    stride = strips.stride_of(width)
    lists = spans.new_lists(width, _ROOM, geometry)
    total = 0
    for strip in range(len(starts) - 1):
        top = strip * strips.STRIP_ROWS
        bottom = min(top + strips.STRIP_ROWS, height)
        for entry in range(starts[strip], starts[strip + 1], spans.BATCH):
            batch = min(spans.BATCH, starts[strip + 1] - entry)
            groups = spans.list_groups(
                geometry, bounds, entries, entry, batch, top, bottom, radius, scale, stride, lists, False
            )
            group = np.int64(0)
            while group < groups:
                group, count = spans.list_blocks(group, groups, _ROOM, stride, lists)
                total += count
    return total


def table(result: dict[str, Any]) -> str:
    """Return the figures as two Markdown tables."""
    lines = ["| loop, for 16 lanes | instructions | flops | ns | of the fma peak |", "| --- | --- | --- | --- | --- |"]
    for row in result["loops"]:
        lines.append(
            f"| {row['loop']} | {row['instructions_per_16']} | {row['flops_per_16']} | {row['ns_per_16']:.1f} "
            f"| {row['of_fma_peak']:.0%} |"
        )
    instructions, flops, time_ns = (
        sum(row[key] for row in result["loops"]) for key in ("instructions_per_16", "flops_per_16", "ns_per_16")
    )
    share = flops / time_ns / result["fma_peak_gflops"]
    lines += [
        f"| all | {instructions} | {flops} | {time_ns:.1f} | {share:.0%} |",
        "",
        f"fma peak of one core: {result['fma_peak_gflops']:.0f} GFLOP/s; "
        f"ceiling: {result['ceiling_ns_per_pair']:.2f} ns per pair.",
        "",
        "| faces | pairs | lanes that count | ns per pair, one thread | of the ceiling |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in result["silhouette"]:
        lines.append(
            f"| {row['faces']:,} | {row['pairs']:,} | {row['lanes_that_count']:.0%} | {row['ns_per_pair']:.2f} "
            f"| {row['of_ceiling']:.0%} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure on one thread, print, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, nargs="+", default=[1280, 5120, 20480, 81920])
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    before = dr.get_num_threads()
    dr.set_num_threads(1)
    try:
        result = {"environment": describe(), **measure(options.faces)}
    finally:
        dr.set_num_threads(before)
    print(table(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
