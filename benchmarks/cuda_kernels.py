"""Compile every CUDA kernel without a GPU, and list what each takes of a multiprocessor.

    python -m benchmarks.cuda_kernels [--json FILE]

Needs the extra cuda12, which brings the compiler and ptxas from PyPI. Exits with status 1 if a kernel of single
precision spills registers or holds a double-precision instruction; but hard rendering finds what is seen in double precision,
as on the CPU. (Else it is for checking gradients.)
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

# Capability and precision. Doubles are for checking gradients: that their kernels compile is enough to know.
TARGETS = (((8, 0), "float32"), ((9, 0), "float32"), ((9, 0), "float64"))
_PARTS = 4  # of a target's kernels, compiled by one process each


class Resources(NamedTuple):
    """What ptxas says of a kernel: registers of a thread, bytes of spills and stack a thread, of shared memory a block."""

    kernel: str
    capability: str
    precision: str
    registers: int
    spill_bytes: int
    stack_bytes: int
    shared_bytes: int
    double_instructions: int


def signatures(precision: str) -> dict[str, tuple[Any, tuple]]:
    """Return each kernel by name, with the types of its arguments in a precision."""
    from numba import types

    from diffrender.cuda import bins, color, gather, look_up, scan, silhouette, surface, tangent
    from diffrender.formulas.shape import Sigmoid

    real = getattr(types, precision)
    i32, i64 = types.int32, types.int64
    reals, reals2, reals3 = real[::1], real[:, ::1], real[:, :, ::1]
    ints, ints2, longs = i32[::1], i32[:, ::1], i64[::1]
    coverage = (*(real,) * 3, types.NamedTuple((real,), Sigmoid), types.Tuple(()))
    binned = (reals2, ints2, longs, i64, ints, *coverage)
    bands = (reals2, ints2, longs, i64, ints, *coverage, real)
    tiles, reals4 = (*binned, real), real[:, :, :, ::1]
    depth = (real, reals2, real, real, reals2, i64)
    texture = (reals, longs, reals, types.boolean)
    surfaces = (real, reals2, reals2, i64, *texture)
    fragments = (ints2, reals2, reals3, *texture)  # and a texture at them
    kernels: dict[str, tuple[Any, tuple]] = {
        "bins.zero": (bins._zero, (ints, longs)),
        "bins.prepare": (
            bins._prepare,
            (
                *(reals2, reals2, i64[:, ::1], ints2, real, real, real, types.boolean, i64, i64, i64, i64),
                *(ints2, ints2, reals2, ints2, ints, reals, longs),
            ),
        ),
        "bins.fill": (bins._fill, (i64, ints2, longs, longs, i64, i64, ints, ints)),
        "scan.sum_chunks": (scan._sum_chunks, (ints, i64, longs)),
        "scan.scan_sums": (scan._scan_sums, (longs,)),
        "scan.few": (scan._scan_few, (ints, i64, longs, i64, i64, longs)),
        "scan.spread": (scan._spread, (ints, i64, longs, longs, i64, i64, longs)),
        "silhouette_forward": (silhouette.silhouette_forward, (*binned, reals2, reals2)),
        "silhouette_backward": (silhouette.silhouette_backward, (*bands, reals2, reals2, reals2)),
        "color_forward": (
            color.color_forward,
            (ints2, *binned, *depth, real, reals, reals2, reals2, reals3, reals2, reals2),
        ),
        "color_backward": (
            color.color_backward,
            (ints2, *bands, *depth, reals2, reals3, reals2, reals2, reals2, reals3, reals2),
        ),
        "prepare_surface": (
            surface.prepare_surface,
            (
                *(ints2, ints2, reals2, ints2, reals2, real, real),
                *(types.boolean, i64, ints2, reals2, ints2, reals2),
            ),
        ),
        "surface_forward": (
            surface.surface_forward,
            (ints2, *binned, *surfaces, real, reals, reals2, reals2, reals3, reals2, reals2),
        ),
        "surface_backward": (
            surface.surface_backward,
            (
                *(ints2, *bands, *surfaces, real, types.boolean, reals2, reals3, reals2, reals2, reals2, reals3),
                *(reals2, reals2, longs, real),
            ),
        ),
        "prepare_ways": (
            tangent.prepare_ways,
            (ints2, reals2, ints2, reals3, real, reals2, real, ints2, reals3, reals3),
        ),
        "silhouette_tangent": (tangent.silhouette_tangent, (*tiles, reals2, reals3, i64, reals4)),
        "color_tangent": (
            tangent.color_tangent,
            (
                *(ints2, *tiles, *surfaces, real, types.boolean, reals2, reals3, reals2, reals2),
                *(reals3, reals3, reals2, i64, reals4),
            ),
        ),
        "look_up": (look_up.look_up, (*fragments, reals, reals2)),
        "look_up_backward": (look_up.look_up_backward, (*fragments, reals2, reals2, reals3, longs, real)),
        "look_up_tangent": (look_up.look_up_tangent, (*fragments, reals3, reals4, reals2, reals3)),
        "look_up.multiply": (look_up.multiply, (reals2, reals2, reals2)),
        "look_up.multiply_backward": (look_up.multiply_backward, (reals2, reals2, reals2, reals2)),
        "look_up.multiply_tangent": (look_up.multiply_tangent, (reals2, reals2, reals3, reals3)),
        "gather_uv": (surface.gather_uv, (longs, ints, ints2, longs, reals2, reals2)),
        "surface.clear": (surface.clear, (longs,)),
        "gather": (gather.gather, (longs, ints, ints2, longs, reals2, i64, real, reals2, reals2)),
        "gather.compare": (gather._compare, (ints2, ints2, ints)),
        "gather.count": (gather._count, (ints2, ints2, ints)),
        "gather.fill": (gather._fill, (ints2, longs, ints, ints)),
        "gather.order": (gather._order, (ints2, longs, ints, ints)),
    }
    return kernels | hard_signatures(precision)


def hard_signatures(precision: str) -> dict[str, tuple[Any, tuple]]:
    """Return the kernels of hard rendering: values are in a precision, all that tells where something lies in float64."""
    from numba import types
    from numba.np.numpy_support import from_dtype

    from diffrender.cuda import (
        blend,
        contributions,
        fragments,
        hard_tangent,
        outline,
        resolve,
        slopes,
        zbuffer,
    )

    real = getattr(types, precision)
    i64, flag = types.int64, types.boolean
    reals, reals2, reals3, reals4 = real[::1], real[:, ::1], real[:, :, ::1], real[:, :, :, ::1]
    signs, ints, ints2, ints3 = types.int8[::1], types.int32[::1], types.int32[:, ::1], types.int32[:, :, ::1]
    longs, double = i64[::1], types.float64
    doubles, doubles2, doubles3 = double[::1], double[:, ::1], double[:, :, ::1]
    surface = types.Tuple((doubles2, ints2, ints2, signs, ints, ints, ints))
    found, outlines = types.Tuple((ints, ints, ints, doubles2)), types.Tuple((ints, doubles2, ints))
    into = types.Tuple((ints, ints2, doubles, ints2, doubles2, ints2))
    places = types.Tuple((ints, ints, doubles2, ints))
    scratch = types.Tuple(
        tuple(types.Array(from_dtype(np.dtype(kind)), len(shape) + 1, "C") for shape, kind in resolve.SCRATCH)
    )
    around = (surface, types.Tuple((doubles2, ints2)), ints, outlines, longs, ints)
    binned, given = (doubles2, ints2, signs, ints2, longs), (flag, reals2, ints2)
    of_slopes = (types.Tuple(given), types.Tuple((reals3, reals2)))
    named, rows = types.Tuple((longs, ints)), (types.Tuple((longs, ints)), ints2, longs, longs, doubles2)
    kernels: dict[str, tuple[Any, tuple]] = {
        "zbuffer.clear": (zbuffer.clear, (doubles, ints, ints, doubles, ints, ints, ints, ints, longs)),
        "zbuffer.prepare": (
            zbuffer.prepare,
            (reals2, ints2, ints2, i64, i64, flag, ints2, doubles2, signs, ints2, ints, longs),
        ),
        "zbuffer.draw_ids": (zbuffer.draw_ids, (*binned, flag, doubles2, ints2)),
        "zbuffer.name_faces": (zbuffer.name_faces, (i64, ints2, ints)),
        "zbuffer.draw_under": (zbuffer.draw_under, (*binned, ints, ints2, longs, doubles2, flag, ints, doubles)),
        "zbuffer.crop": (zbuffer.crop, (ints2, ints2)),
        "zbuffer.invert": (zbuffer.invert, (doubles2, reals2)),
        "find_outlines": (
            outline.find_outlines,
            (surface, ints, ints, ints, ints, doubles2, ints2, doubles2, flag, longs, ints, ints2, found),
        ),
        "outline.find_farthest": (outline.find_farthest, (doubles2, doubles2)),
        "outline.arrange": (outline.arrange, (longs, i64, found, outlines, ints)),
        "find_meetings": (outline.find_meetings, (surface, ints2, ints, ints)),
        "resolve": (
            resolve.resolve,
            (*around, ints, ints, ints, scratch, i64, longs, ints, longs, into, places),
        ),
        "find_below": (resolve.find_below, (*around, ints, ints2, scratch, longs, ints)),
        "interpolate": (fragments.interpolate, (doubles2, ints2, ints2, places, *given, reals, reals2)),
        "fragments.inspect": (fragments.inspect, (reals2, longs)),
        "fragments.cover": (fragments.cover, (ints2, reals2)),
        "fragments.weigh_centers": (fragments.weigh_centers, (doubles2, ints2, ints2, flag, doubles3)),
        "fragments.find_seen": (fragments.find_seen, (ints2, longs, ints2, ints)),
        "fragments.list_seen": (fragments.list_seen, (longs, longs, longs, ints)),
        "interpolate_backward": (
            fragments.interpolate_backward,
            (doubles2, ints2, ints2, longs, ints2, longs, ints, *given, reals2, doubles2),
        ),
        "fragments.add_slots": (fragments.add_slots, (longs, longs, ints, doubles2)),
        "places_backward": (
            fragments.places_backward,
            (
                *(doubles2, ints2, places, i64, *given, reals2, ints2, doubles),
                *(types.Tuple((doubles3, doubles3, doubles2)), doubles3, doubles3),
            ),
        ),
        "blend": (blend.blend, (ints, longs, ints2, doubles, reals2, reals2, reals2)),
        "blend_backward": (blend.blend_backward, (ints, longs, ints2, doubles, reals2, i64, reals2, doubles)),
        "nothing_backward": (blend.nothing_backward, (ints, ints2, doubles, i64, reals2, doubles)),
        "areas_backward": (
            blend.areas_backward_each,
            (
                *(doubles2, ints2, ints, i64, types.Tuple((ints2, doubles2, ints2)), doubles, doubles3, ints3),
                *(types.UniTuple(ints2, 2), ints2, doubles3),
            ),
        ),
        "to_straight_alpha": (blend.to_straight_alpha, (ints, real, reals, reals2)),
        "to_straight_alpha_backward": (blend.to_straight_alpha_backward, (ints, real, reals, reals2, reals2)),
        "blend.show_background": (blend.show_background, (reals, reals2)),
        "blend.spread_gradient": (blend.spread_gradient, (reals2, reals2)),
        "blend.copy_rows": (blend.copy_rows, (reals2, reals2)),
        "blend.add_row": (blend.add_row, (doubles, i64, reals2)),
        "contributions.clear": (contributions._clear, (ints,)),
        "contributions.count": (contributions._count, (ints, ints)),
        "contributions.fill": (contributions._fill, (ints, longs, ints, ints)),
        "contributions.order": (contributions._order, (ints, longs, ints, ints)),
        "contributions.copy_keys": (contributions.copy_keys, (ints, ints)),
        "contributions.name_places": (contributions.name_places, (ints2, places, ints)),
        "gather_points": (
            contributions.gather_points,
            (*rows, flag, named, i64, doubles3, doubles3, doubles2, reals2),
        ),
        "gather_attributes": (contributions.gather_attributes, (*rows, named, i64, doubles3, reals2)),
        "move_points": (hard_tangent.move_points, (doubles2, doubles3, doubles3)),
        "interpolate_tangent": (
            hard_tangent.interpolate_tangent,
            (doubles2, ints2, ints2, places, *given, doubles3, reals3, reals3, reals4),
        ),
        "areas_tangent": (hard_tangent.areas_tangent, (ints2, doubles3, doubles3, doubles2)),
        "hard_tangent.crop": (hard_tangent.crop, (reals3, reals3)),
        "blend_tangent": (
            hard_tangent.blend_tangent,
            (ints, longs, ints2, doubles, reals2, doubles2, reals3, reals3),
        ),
        "straight_alpha_tangent": (hard_tangent.straight_alpha_tangent, (ints, real, reals, reals2, reals3)),
        "contributions.add": (contributions.add, (reals2, reals2)),
        "slope": (slopes.slope, (doubles2, ints2, ints2, places, types.Tuple(given), reals3)),
        "slope_centers_backward": (
            slopes.slope_centers_backward,
            (doubles2, ints2, ints2, longs, ints2, types.Tuple((longs, ints)), *of_slopes, doubles3, doubles3),
        ),
        "slope_places_backward": (
            slopes.slope_places_backward,
            (doubles2, ints2, places, *of_slopes, doubles, doubles3, doubles3),
        ),
        "slopes.add_to_slots": (slopes.add_to_slots, (doubles3, doubles2)),
        "slopes.add_to_places": (slopes.add_to_places, (doubles3, doubles3, doubles3)),
    }
    return kernels


def compile_ptx(kernel: Any, types: tuple, capability: tuple[int, int]) -> str:
    """Return a kernel's PTX. Numba asks the present GPU what to compile functions for; without one, it is told."""
    from numba import cuda
    from numba.cuda import dispatcher

    class Device:
        compute_capability = capability

    asked: Any = dispatcher
    asked.get_current_device = lambda: Device
    return cuda.compile_ptx(kernel.py_func, types, cc=capability)[0]


def ptxas() -> Path:
    """Return the assembler of the nvidia-cuda-nvcc-cu12 package. Raises FileNotFoundError without it."""
    import nvidia

    for folder in nvidia.__path__:
        for found in Path(folder).glob("cuda_nvcc/bin/ptxas*"):
            return found
    raise FileNotFoundError("ptxas is missing: pip install 'diffrender-mesh[cuda12]'")


def measure(name: str, ptx: str, capability: tuple[int, int], precision: str) -> Resources:
    """Assemble PTX and return what ptxas reports."""
    target = f"sm_{capability[0]}{capability[1]}"
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "kernel.ptx"
        source.write_text(ptx)
        command = [str(ptxas()), "-v", f"-arch={target}", str(source), "-o", str(Path(folder) / "kernel.cubin")]
        report = subprocess.run(command, capture_output=True, text=True, check=True).stderr

    def number(pattern: str) -> int:
        return sum(int(value) for value in re.findall(pattern, report))

    return Resources(
        kernel=name,
        capability=target,
        precision=precision,
        registers=number(r"Used (\d+) registers"),
        spill_bytes=number(r"(\d+) bytes spill"),
        stack_bytes=number(r"(\d+) bytes stack frame"),
        shared_bytes=number(r"(\d+) bytes smem"),
        double_instructions=len(re.findall(r"^\s*(?:@\S+\s+)?[a-z][\w.]*\.f64\b.*;", ptx, re.MULTILINE)),
    )


def all_resources() -> list[Resources]:
    """Compile every kernel for every target, on all cores."""
    parts = [(*target, number) for target in TARGETS for number in range(_PARTS)]
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        return [row for rows in pool.map(_resources, parts) for row in rows]


def _resources(part: tuple[tuple[int, int], str, int]) -> list[Resources]:
    capability, precision, number = part
    kernels = list(signatures(precision).items())[number::_PARTS]
    return [measure(name, compile_ptx(*kernel, capability), capability, precision) for name, kernel in kernels]


def main() -> None:
    """Print the table; exit with status 1 if a kernel is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    arguments = parser.parse_args()
    resources = all_resources()
    print("| kernel | target | precision | registers | spills, B | stack, B | shared, B | f64 |")
    print("| --- | --- | --- | --: | --: | --: | --: | --: |")
    for row in resources:
        print("| " + " | ".join(str(value) for value in row) + " |")
    if arguments.json:
        arguments.json.write_text(json.dumps([row._asdict() for row in resources], indent=1) + "\n")
    single = [row for row in resources if row.precision == "float32"]
    exact = set(hard_signatures("float32"))  # which face is seen, and how much of a pixel, must not depend on rounding
    wrong = [row for row in single if row.spill_bytes or (row.double_instructions and row.kernel not in exact)]
    for row in wrong:
        print(
            f"{row.kernel} for {row.capability}: {row.spill_bytes} bytes of spills, "
            f"{row.double_instructions} double-precision instructions in {row.precision}",
            file=sys.stderr,
        )
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
