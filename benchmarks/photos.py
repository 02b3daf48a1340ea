"""A folder of photos with cameras to a mesh by `diffrender fit`, judged by the photos that it was not shown.

python -m benchmarks.photos DIRECTORY      # two minutes a seed for thirty photos; --json writes the figures
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from .environment import announce, save

COLUMNS = {
    "seconds": ("seconds", 0),
    "silhouette_iou": ("silhouette_iou, held out", 4),
    "psnr_db": ("psnr_db, held out", 2),
    "shown_silhouette_iou": ("shown", 4),
    "shown_psnr_db": ("shown", 2),
    "flipped_faces": ("flipped faces", 0),
}


def measure(directory: Path, every: int, seed: int, out: Path) -> dict[str, Any]:
    """Run the command as a user does, start, photos, masks, GIF and all, and return its figures and seconds."""
    command = [sys.executable, "-m", "diffrender.cli.main", "fit", str(directory), "--out", str(out)]
    begin = time.perf_counter()
    subprocess.run([*command, "--hold-out", str(every), "--seed", str(seed)], check=True)
    seconds = time.perf_counter() - begin
    metrics = json.loads((out / "metrics.json").read_text())
    shown = {f"shown_{name}": metrics[name] for name in ("silhouette_iou", "psnr_db")}
    held_out = {name: metrics["held_out"][name] for name in ("silhouette_iou", "psnr_db")}
    return {"seed": seed, "seconds": seconds, **held_out, **shown, "flipped_faces": metrics["flipped_faces"]}


def table(rows: list[dict[str, Any]]) -> str:
    """Return the seeds and their medians as a Markdown table."""
    lines = [
        "| seed | " + " | ".join(title for title, _ in COLUMNS.values()) + " |",
        "| --- " * (len(COLUMNS) + 1) + "|",
    ]
    median = {"seed": "median", **{name: float(np.median([row[name] for row in rows])) for name in COLUMNS}}
    for row in [*rows, median]:
        values = [f"{row[name]:.{digits}f}" for name, (_, digits) in COLUMNS.items()]
        lines.append(f"| {row['seed']} | {' | '.join(values)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print a Markdown table, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--every", type=int, default=5, help="leave every n-th photo out")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    facts = announce()
    rows = []
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(options.directory, options.every, seed, Path(folder)))
    print(table(rows))
    save(options.json, facts, rows=rows)


if __name__ == "__main__":
    main()
