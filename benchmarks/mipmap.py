"""How near a checkerboard that is drawn small comes to the mean over each pixel, bilinear against trilinear.

python -m benchmarks.mipmap --json benchmarks/results/mipmap-cpu.json
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import diffrender as dr

from .environment import announce, save

_SIDE = 128  # px
_SUPER = 16  # rays along a side of a pixel, for the truth
_TEXELS = 8  # along a side of a square


def measure(squares: int, tilt: float) -> dict[str, Any]:
    """Return the root mean square and the largest error of a plane that fills the image, tilted by so many degrees."""
    rows, columns = np.mgrid[0 : squares * _TEXELS, 0 : squares * _TEXELS] // _TEXELS
    board = np.repeat(((rows + columns) % 2).astype(np.float32)[..., None], 3, axis=2)
    turn, half = np.radians(tilt), 5.0
    x, y = np.array([-half, half, half, -half]), np.array([-half, -half, half, half])
    corners = np.stack([x, y * np.cos(turn), y * np.sin(turn) + 4], axis=1)
    uv = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])

    def draw(side: int, filter: Any) -> np.ndarray:
        pixel = np.c_[corners[:, :2] / corners[:, 2:] * side + side / 2, corners[:, 2]].astype(np.float32)
        raster = dr.rasterize_soft(
            pixel,
            np.array([(0, 1, 2), (0, 2, 3)]),
            (side, side),
            sigma=1e-3,
            near=0.1,
            far=20,
            texture=dr.Texture(board, "repeat", filter),
            uv=uv,
        )
        assert raster.color is not None and raster.alpha.min() > 0.5, "the plane must fill the image"
        return raster.color[..., 0]

    truth = draw(_SIDE * _SUPER, "bilinear").astype(np.float64).reshape(_SIDE, _SUPER, _SIDE, _SUPER).mean(axis=(1, 3))
    errors = {filter: draw(_SIDE, filter) - truth for filter in ("bilinear", "trilinear")}
    row: dict[str, Any] = {"squares": squares, "tilt": tilt, "texels": squares * _TEXELS}
    for filter, error in errors.items():
        row[filter] = {"rms": float(np.sqrt((error**2).mean())), "largest": float(np.abs(error).max())}
    return row


def table(rows: list[dict[str, Any]]) -> str:
    """Return the figures as a Markdown table."""
    lines = [
        "| squares | tilt | bilinear rms | trilinear rms | bilinear largest | trilinear largest |",
        "|" + " --- |" * 6,
    ]
    for row in rows:
        one, two = row["bilinear"], row["trilinear"]
        lines.append(
            f"| {row['squares']} | {row['tilt']:.0f}° | {one['rms']:.4f} | {two['rms']:.4f} "
            f"| {one['largest']:.3f} | {two['largest']:.3f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, print the table, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    facts = announce()
    rows = [measure(squares, tilt) for squares in (16, 64, 256) for tilt in (0.0, 40.0)]
    print(table(rows))
    save(options.json, facts, rows=rows)


if __name__ == "__main__":
    main()
