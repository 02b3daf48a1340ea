"""Every output's gradient for every input against finite differences in float64, or the reason why there is none.

python -m benchmarks.gradient_table        # two minutes; writes docs/gradients.md and benchmarks/results/gradient-table.json
"""

import argparse
import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import diffrender as dr

from .environment import announce
from .gradient_draw import Values
from .gradient_outputs import Output, outputs
from .gradient_scenes import Scene, facts, scenes
from .gradient_settings import settings

TOLERANCE, LEAST_COSINE, LEAST_KEPT = 1e-5, 0.99999, 0.9
DIRECTIONS = 16
_ROOT = Path(__file__).resolve().parents[1]


class Cell(NamedTuple):
    """How the gradient of one output for one input compares with differences: the worst of all scenes, and where that was."""

    group: str
    output: str
    input: str
    error: float  # |gradient - differences| / |differences|
    cosine: float
    bias: float  # signed; the largest by size
    tried: int  # directions, of all scenes together
    kept: int  # of these, those without a corner or jump
    scene: str  # of the largest error
    problem: str = ""

    @property
    def passed(self) -> bool:
        """Whether all is within the tolerances."""
        close = self.error <= TOLERANCE and self.cosine >= LEAST_COSINE and abs(self.bias) <= TOLERANCE
        return close and not self.problem and self.kept >= LEAST_KEPT * self.tried


class Blank(NamedTuple):
    """Why one input is none of an output's."""

    group: str
    output: str
    input: str
    reason: str
    unfelt: bool  # whether it can be given, and makes no difference; else there is none to give


def measure(output: Output, shown: Sequence[Scene], directions: int = DIRECTIONS) -> list[Cell]:
    """Return the cells of a row. Raises ValueError for an input that is not one of the row's columns."""
    checks: dict[str, list[tuple[Scene, Any]]] = {}
    for scene in shown:
        unfelt = output.unfelt(scene)

        def draw(scene: Scene = scene, unfelt: Values = unfelt, **values: Any) -> Any:
            return output.draw(scene, unfelt | values)

        found = dr.gradcheck(draw, output.inputs(scene), tolerance=TOLERANCE, directions=directions)
        for check in found.inputs:
            checks.setdefault(check.name, []).append((scene, check))
    if set(checks) - set(output.columns):
        raise ValueError(f"{output.name} has inputs without a column: {sorted(set(checks) - set(output.columns))}")
    return [_worst(output, name, checks[name]) for name in output.columns if name in checks]


def blanks(output: Output, shown: Sequence[Scene]) -> list[Blank]:
    """Return the blank cells of a row with their reasons.

    Raises ValueError for a blank without a reason, a reason that is not true, or a gradient that has no cell.
    """
    inputs, unfelt = output.inputs(shown[0]), output.unfelt(shown[0])
    for scene in shown:
        _check_unfelt(output, scene)
    if set(inputs) & set(output.blanks) or set(inputs) | set(output.blanks) != set(output.columns):
        columns = Counter([*inputs, *output.blanks, *output.columns])
        raise ValueError(f"each column is an input or a blank of {output.name}, got {columns}")
    return [
        Blank(output.group, output.name, name, output.blanks[name], name in unfelt)
        for name in output.columns
        if name in output.blanks
    ]


def failures(cells: Sequence[Cell]) -> list[str]:
    """Return a line for each cell that is not within the tolerances."""
    return [
        f"{cell.group}, {cell.output}, {cell.input}: error {cell.error:.1e}, cosine {cell.cosine:.6f}, "
        f"bias {cell.bias:+.1e}, kept {cell.kept} of {cell.tried}; {cell.scene} {cell.problem}"
        for cell in cells
        if not cell.passed
    ]


def _worst(output: Output, name: str, checks: list[tuple[Scene, Any]]) -> Cell:
    def error(check: Any) -> float:
        return check.relative_error if math.isfinite(check.relative_error) else math.inf

    scene, worst = max(checks, key=lambda pair: error(pair[1]))
    found = [check for _, check in checks]
    return Cell(
        output.group,
        output.name,
        name,
        error(worst),
        float(np.min([check.cosine for check in found])),
        float(max((check.bias for check in found), key=abs)),
        sum(check.tried for check in found),
        sum(check.tried - check.kinks for check in found),
        scene.name,
        "; ".join(check.problem for check in found if check.problem),
    )


def _check_unfelt(output: Output, scene: Scene) -> None:
    """Raise ValueError unless all gradients are those of inputs, or exactly 0 as the differences then are too."""
    inputs, unfelt = output.inputs(scene), output.unfelt(scene)
    image, backward = output.draw(scene, unfelt | inputs)
    random = np.random.default_rng(1)
    for name, gradient in backward(random.normal(size=image.shape)).items():
        if name not in inputs and gradient is not None and np.any(gradient):
            raise ValueError(f"{output.name} has a gradient for {name} in {scene.name}, but no such cell")
    for name, value in unfelt.items():
        moved = value * random.uniform(0.9, 1.0, np.shape(value))
        if not np.array_equal(output.draw(scene, unfelt | inputs | {name: moved})[0], image):
            raise ValueError(f"{output.name} depends on {name} in {scene.name}, but has no gradient for it")


def _merged(blanks: Sequence[Blank]) -> list[Values]:
    """Return blanks with all inputs that have the same reason as one."""
    merged: dict[tuple, list[str]] = {}
    for group, output, name, reason, unfelt in blanks:
        merged.setdefault((group, output, reason, unfelt), []).append(name)
    names = ("group", "output", "reason", "unfelt")
    return [dict(zip(names, key, strict=True)) | {"inputs": inputs} for key, inputs in merged.items()]


def _as_json(rows: Sequence[Values]) -> str:
    """Return rows as JSON, a line each, as they are hundreds; null for what is not finite."""
    finite = [{k: None if isinstance(x, float) and not math.isfinite(x) else x for k, x in row.items()} for row in rows]
    return "[\n" + ",\n".join("    " + json.dumps(row, allow_nan=False) for row in finite) + "\n  ]"


def main() -> None:
    """Measure, write the page and the figures, and end with status 1 if a cell is not within the tolerances."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", type=Path, default=_ROOT / "docs/gradients.md")
    parser.add_argument("--json", type=Path, default=_ROOT / "benchmarks/results/gradient-table.json")
    options = parser.parse_args()
    from .gradient_page import page

    dr.set_num_threads(1)  # such small images are no work for two
    environment, shown = announce(), scenes()
    cells, empty = [], []
    for output in outputs():
        row = measure(output, shown)
        cells += row
        empty += blanks(output, shown)
        print(f"{output.group}, {output.name}: error at most {max(cell.error for cell in row):.1e}", flush=True)
    unmoved = settings(shown)
    parts = {
        "environment": json.dumps(environment),
        "tolerance": json.dumps({"error": TOLERANCE, "cosine": LEAST_COSINE, "kept": LEAST_KEPT}),
        "scenes": _as_json([{"name": scene.name, **facts(scene)} for scene in shown]),
        "cells": _as_json([cell._asdict() for cell in cells]),
        "blanks": _as_json(_merged(empty)),
        "settings": _as_json([setting._asdict() for setting in unmoved]),
    }
    options.json.write_text("{\n" + ",\n".join(f'  "{name}": {part}' for name, part in parts.items()) + "\n}\n")
    options.page.write_text(page(cells, empty, unmoved, shown, environment, DIRECTIONS))
    wrong = failures(cells)
    print("\n".join([*wrong, f"{len(cells) - len(wrong)} of {len(cells)} cells passed, {len(empty)} are blank"]))
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
