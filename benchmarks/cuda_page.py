"""Write docs/gpu.md from what `python -m benchmarks.cuda_bench` found on a GPU.

python -m benchmarks.cuda_page benchmarks/results/cuda-nvidia-h200.json
"""

import argparse
import json
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[1]
_PAGE = """# On a GPU

{gpu} beside {cores} cores of its host, an {processor}; Numba {numba}, numba-cuda {numba-cuda}. Written by
`python -m benchmarks.cuda_page` from [`{file}`](../benchmarks/results/{file}), which
`benchmarks/gpu_bench.sh` measures in one call.

## Is it right?

Spheres, gradients of random numbers, against the CPU in double precision; in brackets the CPU in single precision. The same
call gave {different} result in 20 runs, hard rendering {different_hard}. Faces at the rim of a fine mesh are slivers, which
single precision knows badly, whatever computes with it.

{accuracy}

In double precision hard rendering differs from the CPU's by at most {double:.0e}, and the same face is seen in every pixel.

## What does it cost?

Median ms of forward + backward to the vertices, sigma 1.64 px², vertices and faces on the device. "From NumPy": arrays come
from the host and go back there. The CPU has all cores of the host.

{times}

A launch takes Numba some 20 to 70 µs, more than a small mesh takes the GPU: at 5,120 faces the CPU is as fast. At 81,920 the
GPU is {least} to {most} times as fast as the {cores} cores from NumPy arrays, and more where they stay on the device. Hard
rendering launches about 60 kernels for an image and its gradient: it gains from some 100,000 faces on.
"""


def page(report: dict[str, Any], file: str) -> str:
    """Return the page for a report of `cuda_bench`."""
    large = [row for row in report["times"] if row["faces"] == 81920]
    gains = [row["cpu, arrays of the host, silhouette both ms"] / row[_FROM_HOST] for row in large]
    hard = report["hard accuracy"]
    return _PAGE.format(
        **{name: report[name] for name in ("gpu", "cores", "processor", "numba", "numba-cuda")},
        file=file,
        different=report["different results"],
        different_hard=report["different hard results"],
        accuracy=_accuracy({name: _joined(row, hard[name]) for name, row in report["accuracy"].items()}),
        double=max(max(row["cuda in double"].values()) for row in hard.values()),
        times=_times(report["times"]),
        least=f"{min(gains):.1f}",
        most=f"{max(gains):.1f}",
    )


def _joined(soft: dict[str, Any], hard: dict[str, Any]) -> dict[str, dict[str, float]]:
    return {backend: soft[backend] | hard[backend] for backend in ("cpu", "cuda")}


_FROM_HOST = "cuda, arrays of the host, silhouette both ms"


def _accuracy(scenes: dict[str, Any]) -> str:
    names = list(scenes)
    lines = [f"| | {' | '.join(names)} |", f"| --- |{' --- |' * len(names)}"]
    for name in scenes[names[0]]["cuda"]:
        cells = [f"{scenes[scene]['cuda'][name]:.1e} ({scenes[scene]['cpu'][name]:.1e})" for scene in names]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _times(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| image | faces | silhouette | from NumPy | CPU | colours | hard, colours | CPU, hard |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        colors = row["color forward ms"] + row["color backward ms"]
        host = [row.get(name) for name in (_FROM_HOST, "cpu, arrays of the host, silhouette both ms")]
        numbers = [row["silhouette both ms"], *host, colors, row["hard both ms"], row["cpu, hard both ms"]]
        cells = ["" if number is None else f"{number:.2f}" for number in numbers]
        lines.append(f"| {row['side']}² | {row['faces']:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("json", type=Path)
    parser.add_argument("--page", type=Path, default=_ROOT / "docs/gpu.md")
    arguments = parser.parse_args()
    arguments.page.write_text(page(json.loads(arguments.json.read_text()), arguments.json.name))


if __name__ == "__main__":
    main()
