"""What each way of rendering costs: forward, backward, and both beside plain vertex colours; and how memory goes with overlap.

python -m benchmarks.modes --threads 1 --json benchmarks/results/modes-cpu.json

The modes have a turn of some calls each, round after round, in one process: a machine's speed changes from second to
second, so shares of plain colours are taken within a round. Times and shares are medians. Memory is that of processes of
their own.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import diffrender as dr
from diffrender import grids

from .environment import announce, save
from .peers import DISTANCE, FILLED, LIGHT, SIDE, SIGMA, scene

CALLS = 4  # of a turn; the first, which finds the caches full of another mode's data, is left out
WANTED = 2.5  # times forward, at most
PLAIN = "vertex colours"
_TEXELS = (256, 1024)  # of a side: where the sphere faces the camera, about half a texel a pixel and about two
_SOFT = dr.Soft(sigma=SIGMA, near=DISTANCE - 1.1, far=DISTANCE + 1.1)
_SUN = dr.Directional((LIGHT, (0.8, 0.3, -0.5)), (0.5, 0.5, 0.5))
_LAMP = dr.Points(((0.5, -2.0, -2.0), (2.0, 1.0, -1.5)), (2.0, 2.0, 2.0))
LAYERS = (1, 10, 100)
LAYERED_FACES = 20_000
_COLUMNS = 100  # of squares, of one sheet over the whole image


class Mode(NamedTuple):
    """One way to render: its name, what renders, and which field is the image."""

    name: str
    draw: Callable[[], Any]
    image: str = "image"


@dataclass
class Samples:
    """What was measured of a mode: ms forward and backward, call after call, and its share of plain colours, by round."""

    forward: list[float]
    backward: list[float]
    of_plain: list[float]


def modes(faces: int) -> list[Mode]:
    """Return every mode on the peers' scene, 256 x 256 px."""
    mesh, camera = scene(faces)
    colored = dr.Mesh(mesh.vertices, mesh.faces, (0.5 + 0.4 * mesh.vertices).astype(np.float32))
    lights = {
        "Lights: 2 directional": dr.Lights(ambient=(0.2,) * 3, directional=_SUN),
        "Lights: 2 points": dr.Lights(ambient=(0.2,) * 3, points=_LAMP),
        "Lights: harmonics": dr.Lights(sh=np.linspace(0.8, -0.1, 27).reshape(9, 3)),
        "Lights: 2 directional, gloss": dr.Lights(ambient=(0.2,) * 3, directional=_SUN, specular=dr.Specular()),
        "Lights: 2 directional, flat": dr.Lights(ambient=(0.2,) * 3, directional=_SUN, normals="flat"),
        "Lights: all of them, flat": dr.Lights(
            (0.2,) * 3, _SUN, _LAMP, np.linspace(0.4, -0.1, 27).reshape(9, 3), dr.Specular(), "flat"
        ),
    }
    found = [
        Mode("silhouette", lambda: dr.render_silhouette(mesh, camera, _SOFT), "alpha"),
        Mode(PLAIN, lambda: dr.render(colored, camera, _SOFT)),
        Mode("Light", lambda: dr.render(colored, camera, _SOFT, dr.Light(LIGHT))),
    ]
    for name, light in lights.items():
        found.append(Mode(name, lambda light=light: dr.render(colored, camera, _SOFT, light)))  # type: ignore[misc]
    for side in _TEXELS:
        for filter in ("bilinear", "trilinear"):
            textured = on_sphere(mesh, filter, side)
            name = f"texture {side} x {side}, {filter}"
            found.append(Mode(name, lambda textured=textured: dr.render(textured, camera, _SOFT)))  # type: ignore[misc]
    found.append(
        Mode("perspective_correct", lambda: dr.render(colored, camera, replace(_SOFT, perspective_correct=True)))
    )
    for name in ("depth", "positions_world", "normals_world", "uv"):
        shown = on_sphere(mesh, "bilinear", 1) if name == "uv" else colored
        found.append(
            Mode(
                f"attributes: {name}",
                lambda name=name, shown=shown: dr.render_attributes(shown, camera, name, _SOFT),  # type: ignore[misc]
            )
        )
    parallel = replace(camera, K=_intrinsics(FILLED * SIDE / 2), orthographic=True)
    bent = replace(camera, distortion=dr.Distortion(k1=-0.2, k2=0.05, p1=0.001))
    found.append(Mode("orthographic", lambda: dr.render(colored, parallel, _SOFT)))
    found.append(Mode("lens", lambda: dr.render(colored, bent, _SOFT)))
    # The sphere is cut in the middle, at depth 1, where its outline has the size that it has in the other modes.
    inside = replace(camera, K=_intrinsics(FILLED * SIDE / 2), t=np.array([0, 0, 1.0]))
    cut = dr.Soft(sigma=SIGMA, near=0.9, far=2.1, clip_near=1 / 2.1)
    found.append(Mode("cut at the near plane", lambda: dr.render(colored, inside, cut)))
    return found


def _intrinsics(focal: float) -> np.ndarray:
    return np.array([[focal, 0, SIDE / 2], [0, focal, SIDE / 2], [0, 0, 1]])


def on_sphere(mesh: dr.Mesh, filter: Any, side: int) -> dr.Mesh:
    """Return a sphere with a texture of noise, by longitude and latitude, without a seam where the texture repeats."""
    x, y, z = mesh.vertices.T
    uv = np.stack([np.arctan2(x, z) / (2 * np.pi), np.arccos(np.clip(y, -1, 1)) / np.pi], axis=1)[mesh.faces]
    uv[..., 0] -= np.round(uv[..., 0] - uv[:, :1, 0])
    image = np.random.default_rng(2).uniform(size=(side, side, 3)).astype(np.float32)
    corners = np.arange(mesh.faces.size, dtype=np.int32).reshape(-1, 3)
    return dr.Mesh(
        mesh.vertices,
        mesh.faces,
        uv=uv.reshape(-1, 2).astype(np.float32),
        faces_uv=corners,
        texture=dr.Texture(image, "repeat", filter),
    )


def measure(faces: int, rounds: int, only: str = "") -> list[dict[str, Any]]:
    """Return a row for each mode, or for those whose names contain `only` and plain colours."""
    # On one thread its own time is taken: what other programs do to the machine matters less.
    clock = time.process_time if dr.get_num_threads() == 1 else time.perf_counter
    chosen = [mode for mode in modes(faces) if only in mode.name or mode.name == PLAIN]
    grads, samples = {}, {}
    for mode in chosen:  # the warm-up
        rendering = mode.draw()
        image = getattr(rendering, mode.image)
        grads[mode.name] = np.random.default_rng(1).normal(size=image.shape).astype(image.dtype)
        if not np.abs(rendering.backward(grads[mode.name]).vertices).max() > 0:
            raise SystemExit(f"{mode.name}: no gradient, so that its time would mean nothing")
        samples[mode.name] = Samples([], [], [])
    for _ in range(rounds):
        totals = {}
        for mode in chosen:
            times = [_once(mode, grads[mode.name], clock) for _ in range(CALLS)][1:]
            samples[mode.name].forward.extend(forward for forward, _ in times)
            samples[mode.name].backward.extend(backward for _, backward in times)
            totals[mode.name] = float(np.median([sum(pair) for pair in times]))
        for name, total in totals.items():
            samples[name].of_plain.append(total / totals[PLAIN])
    return [_row(faces, name, found) for name, found in samples.items()]


def _once(mode: Mode, grad: np.ndarray, clock: Callable[[], float]) -> tuple[float, float]:
    begin = clock()
    rendering = mode.draw()
    middle = clock()
    rendering.backward(grad)
    return (middle - begin) * 1e3, (clock() - middle) * 1e3


def _row(faces: int, name: str, found: Samples) -> dict[str, Any]:
    forward, backward = np.array(found.forward), np.array(found.backward)
    return {
        "mode": name,
        "faces": faces,
        "forward_ms": float(np.median(forward)),
        "backward_ms": float(np.median(backward)),
        "backward_over_forward": float(np.median(backward / forward)),
        "of_plain_colours": float(np.median(found.of_plain)),
    }


def layered(layers: int, stretched: bool = False) -> dict[str, tuple[Any, ...]]:
    """Return for plain colours, a texture and lights what `dr.render` takes: LAYERED_FACES faces as so many sheets, one behind
    the other: the same faces in the middle of the image, or stretched over all of it."""
    squares = LAYERED_FACES // (2 * layers)
    rows = next(rows for rows in range(round(squares**0.5), 0, -1) if squares % rows == 0)
    u, v = np.meshgrid(np.linspace(0, 1, squares // rows + 1), np.linspace(0, 1, rows + 1))
    one = np.stack([u, v, np.zeros_like(u)], axis=-1).reshape(-1, 3)
    first = np.arange(len(one)).reshape(u.shape)
    a, b, c, d = first[:-1, :-1], first[:-1, 1:], first[1:, 1:], first[1:, :-1]
    faces = np.concatenate([np.stack(corners, axis=-1).reshape(-1, 3) for corners in ((a, b, c), (a, c, d))])
    depths = np.linspace(-1, 1, layers) if layers > 1 else np.zeros(1)
    across, down = (1, 1) if stretched else (squares / rows / _COLUMNS, rows / _COLUMNS)
    size = (2.4 * across, 2.4 * down, 1)
    vertices = np.concatenate([(one - (0.5, 0.5, 0)) * size + (0, 0, depth) for depth in depths])
    vertices = vertices.astype(np.float32)
    faces = np.concatenate([faces + k * len(one) for k in range(layers)]).astype(np.int32)
    uv = np.tile(one[:, :2], (layers, 1)).astype(np.float32)
    image = np.random.default_rng(0).uniform(size=(256, 256, 3)).astype(np.float32)
    camera = dr.Camera.look_at(
        eye=(0, 0, 40), fov_degrees=2.8, size=(SIDE, SIDE)
    )  # so far away that all layers fill the image
    soft = dr.Soft(sigma=SIGMA, gamma=0.1, near=38, far=42)
    colors = (0.5 + 0.2 * np.tile(one, (layers, 1))).astype(np.float32)
    plain = dr.Mesh(vertices, faces, colors)
    textured = dr.Mesh(vertices, faces, uv=uv, faces_uv=faces, texture=dr.Texture(image))
    lights = dr.Lights((0.2,) * 3, _SUN, _LAMP, specular=dr.Specular())
    return {
        PLAIN: (plain, camera, soft),
        "texture": (textured, camera, soft),
        "Lights": (plain, camera, soft, lights),
    }


def _memory_here(name: str, layers: int, stretched: bool) -> dict[str, float]:
    """Return the MiB that one forward and backward take at most, of this process and of NumPy's arrays."""
    import tracemalloc

    arguments = layered(layers, stretched)[name]
    grad = np.ones((SIDE, SIDE, 4), np.float32)

    def both() -> None:
        dr.render(*arguments).backward(grad)

    both()  # kernels are loaded, threads have started
    grids.forget()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins again
    before = _kilobytes("VmRSS")
    both()
    grids.forget()
    process = (_kilobytes("VmHWM") - before) / 2**10
    tracemalloc.start()
    both()
    return {"process": process, "arrays": tracemalloc.get_traced_memory()[1] / 2**20}


def _kilobytes(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(field))


def memory() -> list[dict[str, Any]]:
    """Return a row for each of three modes and two kinds of layers: MiB at most with 1, 10 and 100 layers, faces and pixels
    being the same."""
    rows = []
    for kind in ("stacked", "stretched"):
        for name in layered(1):
            row: dict[str, Any] = {"mode": name, "layers": kind, "arrays_MiB": {}, "process_MiB": {}}
            for layers in LAYERS:
                command = [sys.executable, "-m", "benchmarks.modes", "--one", name, str(layers), kind]
                found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                row["arrays_MiB"][layers], row["process_MiB"][layers] = found["arrays"], found["process"]
            rows.append(row)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Return the times as a Markdown table, a mode a line."""
    counts = sorted({row["faces"] for row in rows})
    lines = [
        "| mode |" + "".join(f" {faces:,}: forward, backward, ms | ratio | of colours |" for faces in counts),
        "|" + " --- |" * (1 + 3 * len(counts)),
    ]
    for name in dict.fromkeys(row["mode"] for row in rows):
        cells = []
        for row in (row for row in rows if row["mode"] == name):
            cells.append(f" {row['forward_ms']:.2f}, {row['backward_ms']:.2f} | {row['backward_over_forward']:.2f} ")
            cells.append(f" {row['of_plain_colours']:.2f} ")
        lines.append(f"| {name} |" + "|".join(cells) + "|")
    return "\n".join(lines)


def memory_table(rows: list[dict[str, Any]]) -> str:
    """Return the memory as a Markdown table."""
    lines = [
        "| layers | mode |" + "".join(f" {layers} |" for layers in LAYERS) + " most / least | process |",
        "|" + " --- |" * (4 + len(LAYERS)),
    ]
    for row in rows:
        arrays, process = (list(row[key].values()) for key in ("arrays_MiB", "process_MiB"))
        shown = " | ".join(f"{value:.2f}" for value in arrays)
        grown = ", ".join(f"{value:.1f}" for value in process)
        lines.append(f"| {row['layers']} | {row['mode']} | {shown} | {max(arrays) / min(arrays):.3f} | {grown} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print the tables, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, nargs="+", default=[1280, 5120, 20480])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, help="of diffrender; with 1, its time on the processor is taken")
    parser.add_argument("--only", default="", help="modes whose names contain this, and plain colours")
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--one", nargs=3, metavar=("MODE", "LAYERS", "KIND"), help="only its memory, as JSON")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(_memory_here(options.one[0], int(options.one[1]), options.one[2] == "stretched")))
        return
    if options.threads:
        dr.set_num_threads(options.threads)
    facts = announce()
    rows = [row for faces in options.faces for row in measure(faces, options.rounds, options.only)]
    print(table(rows))
    worst = max(rows, key=lambda row: row["backward_over_forward"])
    print(
        f"largest backward / forward: {worst['backward_over_forward']:.2f} "
        f"({worst['mode']}, {worst['faces']:,} faces); asked: at most {WANTED}"
    )
    remembered = [] if options.no_memory else memory()
    print(memory_table(remembered))
    save(options.json, facts, modes=rows, memory=remembered)


if __name__ == "__main__":
    main()
