"""What a picture is made of, found from pictures by Adam: poses, focal lengths, principal point, skew, lens, light and shape.

One at a time and together with every vertex of the mesh; `unknowns_descent` says how, `unknowns_kinds` what.

python -m benchmarks.unknowns --json benchmarks/results/unknowns-cpu.json      # ten minutes
python -m benchmarks.unknowns --page docs/unknowns.md                          # writes the page of the figures that are there
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .environment import announce, save
from .unknowns_descent import FREE_SHAPE, Numbers, sensitivity, solve
from .unknowns_kinds import (
    CALIBRATION,
    FOCAL,
    PRINCIPAL,
    SIZE,
    SKEWED,
    VIEWS,
    Guess,
    Unknown,
    harmonics,
    lens,
    rotations,
    sun_direction,
    sun_strength,
    translations,
    truth,
    vertices,
)

RESULTS = Path(__file__).parent / "results"
STEPS = 500
SUNLIGHT = (sun_direction(), sun_strength())


class Problem(NamedTuple):
    """Unknowns of one set of pictures, under a sun or under light from all around."""

    name: str
    unknowns: tuple[Unknown, ...]
    sky: bool = False
    plainly: bool = False  # also by Adam on the numbers as they are
    aligned: bool = False  # errors are those after the similarity that brings the vertices to the true ones


# Where the mesh is free as well as the poses, two cameras are known, or else all can turn, shift and grow together.
PROBLEMS = (
    Problem("poses", (rotations(), translations())),
    Problem("focal lengths", (FOCAL,)),
    Problem("principal point", (PRINCIPAL,)),
    Problem("skew", (SKEWED,)),
    Problem("lens", (lens(),)),
    Problem("directional light", SUNLIGHT),
    Problem("spherical harmonics", (harmonics(),), sky=True),
    Problem("vertices", (vertices(),)),
    Problem("poses and calibration", (rotations(), translations(), *CALIBRATION), plainly=True),
    Problem("poses and vertices", (rotations(2), translations(2), vertices())),
    Problem("poses and vertices, no pose known", (rotations(), translations(), vertices()), aligned=True),
    Problem("focal lengths and vertices", (FOCAL, vertices()), plainly=True),
    Problem("lens and vertices", (lens(), vertices())),
    Problem("directional light and vertices", (*SUNLIGHT, vertices())),
    Problem("spherical harmonics and vertices", (harmonics(), vertices()), sky=True),
    Problem("poses, calibration and vertices", (rotations(2), translations(2), *CALIBRATION, vertices()), plainly=True),
    Problem(
        "everything",
        (rotations(2), translations(2), *CALIBRATION, *SUNLIGHT, vertices()),
    ),
    Problem(
        "everything, no pose known", (rotations(), translations(), *CALIBRATION, *SUNLIGHT, vertices()), aligned=True
    ),
)


def measure(problem: Problem, seeds: int, steps: int) -> list[dict[str, Any]]:
    """Return a row for each unknown of a problem: medians over seeds of the errors at the start and at the end."""
    rows, errors = [], []
    for seed in range(seeds):
        true = truth(seed, problem.sky)
        guesses = list(solve(problem.unknowns, true, seed, steps))
        if problem.plainly:
            guesses.append(solve(problem.unknowns, true, seed, steps, together=False)[1])
        if problem.aligned:
            guesses = [aligned(guess, true) for guess in guesses]
        errors.append([[unknown.error(guess, true) for guess in guesses] for unknown in problem.unknowns])
    for unknown, (start, end, *plain) in zip(problem.unknowns, np.median(errors, axis=0).tolist(), strict=True):
        row = {"problem": problem.name, "unknown": unknown.name, "unit": unknown.unit, "start": start, "end": end}
        rows.append({**row, "plain": plain[0] if plain else None})
        print(_line(rows[-1]), flush=True)
    return rows


def aligned(guess: Guess, true: Guess) -> Guess:
    """Return the guess after the similarity of the world that brings its vertices nearest the true ones: no picture changes.

    Umeyama, Least-squares estimation of transformation parameters between two point patterns, 1991.
    """
    points, goals = (one.mesh.vertices.astype(np.float64) for one in (guess, true))
    center, goal = points.mean(axis=0), goals.mean(axis=0)
    left, stretch, right = np.linalg.svd((goals - goal).T @ (points - center))
    sign = np.array([1, 1, np.linalg.det(left @ right)])
    turn = left * sign @ right
    scale = (stretch * sign).sum() / ((points - center) ** 2).sum()
    moved = scale * (points - center) @ turn.T + goal
    mesh = replace(guess.mesh, vertices=moved.astype(np.float32))
    cameras = []
    for camera in guess.cameras:  # x_camera = R x + t keeps its direction: R' x' + t' = scale (R x + t)
        R = camera.R @ turn.T
        cameras.append(replace(camera, R=R, t=scale * (camera.t + camera.R @ center) - R @ goal))
    sun = guess.light.directional
    light = guess.light
    if sun is not None:
        light = replace(light, directional=replace(sun, directions=sun.directions @ turn.T))
    return Guess(mesh, cameras, light)


def ambiguity() -> list[dict[str, Any]]:
    """Return for the pictures of seed 0 what they tell of the focal lengths: what 1 % moves the vertices by, px root mean square,
    when all else that is free makes up for it as well as it can; and how many directions they cannot tell at all."""
    true = truth(0, False)
    rows = []
    for free, poses, shape, calibration in (
        ("nothing else", None, False, False),
        ("vertices", None, True, False),
        ("vertices and all poses but two", 2, True, False),
        ("vertices and all poses but one", 1, True, False),
        ("vertices and all poses", 0, True, False),
        ("vertices, all poses but two, principal point, skew and lens", 2, True, True),
        ("vertices, all poses, principal point, skew and lens", 0, True, True),
    ):
        moving = () if poses is None else (rotations(poses), translations(poses))
        shapes: tuple[tuple[int, ...], ...] = tuple((VIEWS, 3) for _ in moving)
        if calibration:
            moving, shapes = (*moving, PRINCIPAL, SKEWED, lens()), (*shapes, (2,), (1,), (6,))
        numbers = Numbers((FOCAL, *moving), ((2,), *shapes))
        reduced = sensitivity(numbers, true, follow=shape).reduced
        held = 2 * 3 * (poses or 0) + int(calibration)  # numbers of known poses, and the lens' k4, which do nothing
        values = np.linalg.eigvalsh(reduced)
        both = np.zeros((len(reduced), len(reduced) - 1))  # both focal lengths together, and all the others
        both[:2, 0] = 0.01
        both[2:, 1:] = np.eye(len(reduced) - 2)
        curvature = both.T @ reduced @ both
        rest = curvature[0, 0] - curvature[0, 1:] @ np.linalg.pinv(curvature[1:, 1:], rcond=1e-9) @ curvature[1:, 0]
        rows.append(
            {
                "free": free,
                "px": float(np.sqrt(max(rest, 0))),
                "gauge": int((values < 1e-9 * values.max()).sum()) - held,
            }
        )
    return rows


def _line(row: dict[str, Any]) -> str:
    plain = row["plain"]
    cells = (f"{row['start']:.3g}", f"{row['end']:.2g}", "" if plain is None else f"{plain:.2g}")
    return f"| {row['problem']} | {row['unknown']}, {row['unit']} | {' | '.join(cells)} |"


def page(figures: dict[str, Any], lights: dict[str, Any]) -> str:
    """Return docs/unknowns.md of the figures of this benchmark and of `unknown_lights`."""
    from .unknown_lights import table

    steps, edge = figures["steps"], figures["edge"]
    seeds = "one seed" if figures["seeds"] == 1 else f"the medians of {figures['seeds']} seeds"
    held = 100 * sum(stage.share for stage in FREE_SHAPE if not stage.shape)
    most, least = figures["ambiguity"][0]["px"], figures["ambiguity"][-1]["px"]
    ambiguous = [f"| {row['free']} | {row['px']:.3f} | {row['gauge']} |" for row in figures["ambiguity"]]
    parts = [
        "# The solved unknown comes back",
        "Pictures are rendered of a scene; some of what it is made of is changed; descent by the gradients of the pictures finds "
        "it again. Written by `python -m benchmarks.unknowns` and `python -m benchmarks.unknown_lights`.",
        f"The scene: {VIEWS} pictures of {SIZE[1]} x {SIZE[0]} px of a bumpy, speckled ball of 642 vertices (edges {edge:.2f} "
        "units long on average), from all around; all cameras share K, with skew and fx != fy, and a lens. "
        f"{steps} steps of Adam (0.9, 0.99), {seeds}. What is changed, as standard deviations of independent normal numbers: "
        "rotations 0.05 rad about each axis and translations 0.08 units along each, of each camera; focal lengths 6 %, "
        "principal point and skew 3 % of fx; the lens begins at 0; the light's direction 0.4 along each axis, intensity and "
        "ambient 0.15, SH coefficients 0.3 each; vertices 0.012 units along each axis. Where vertices and poses are free, two "
        "poses are known. Vertices are judged by their median error, since some are hardly seen.",
        "| problem | unknown | error at the start | at the end | by Adam as it is |\n| --- | --- | --- | --- | --- |\n"
        + "\n".join(_cells(figures["rows"])),
        "## How",
        "The last column is Adam on every number as it is. What it leaves is not a lack of information: a longer focal length "
        "looks much like a larger object, and numbers that each have a step of their own creep along such a valley. So cameras' "
        "numbers are whitened by what they do to the vertices' pixels, and where vertices are free each step of the cameras "
        "takes them along to where their pixels stay. What is left to whiten by is the Schur complement, the reduced camera "
        "system of bundle adjustment ([`unknowns_descent.py`](../benchmarks/unknowns_descent.py)). Where "
        f"vertices are free, the first {held:.0f} % of the steps hold them.",
        "As much comes from the loss. Pictures are compared over black, where a colour counts as far as it is there, and gamma "
        "is 0.05. With colours as they are and gamma at 1e-3, faces that turn away make the loss jump: 500 steps then left 0.8 % "
        "of the focal length with calibration and vertices unknown, 1.4 % with poses as well, whitened but without vertices that "
        "follow; and with vertices that follow, they kept a third of their error.",
        "## What pictures tell of the focal length",
        "How far 1 % of both focal lengths moves the vertices' pixels, root mean square, after all that is free has made up for "
        "it as well as it can, and how many directions no picture can tell (gauge freedoms: the similarities of the world).",
        "| free beside the focal lengths | px | gauge freedoms |\n| --- | --- | --- |\n" + "\n".join(ambiguous),
        "So none of these is a gauge freedom of the focal length, and what was left of it was the optimiser's. It is known the "
        f"more weakly the more is free, down to {least:.4f} px, {most / least:.0f} times less than alone. How the whole world is "
        "turned, shifted and scaled is not known without poses: rows with no pose known have the errors after the similarity "
        "that brings the vertices nearest to the true ones. Everything together with no pose known is not found in these steps.",
        "## Light on a known shape",
        "Four pictures of 64 x 64 px ([`unknown_lights.py`](../benchmarks/unknown_lights.py)); directions in degrees, all else "
        "relative to the truth's length. L-BFGS is `diffrender.optimize.lbfgs`.",
        table(lights["rows"]),
    ]
    return "\n\n".join(parts) + "\n"


def _cells(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return the lines of the table, each problem named once."""
    lines, last = [], None
    for row in rows:
        name = "" if row["problem"] == last else row["problem"]
        last = row["problem"]
        lines.append(_line({**row, "problem": name}))
    return lines


def main() -> None:
    """Measure, print a Markdown table, and write the figures; or write the page of figures that are there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument(
        "--only", nargs="+", help="names of problems; of the others the figures that are there are kept"
    )
    parser.add_argument("--json", type=Path, help="also write the figures here, after each problem")
    parser.add_argument("--page", type=Path, help="measure nothing: write docs/unknowns.md from benchmarks/results")
    options = parser.parse_args()
    if options.page:
        figures, lights = (
            json.loads((RESULTS / f"{name}-cpu.json").read_text()) for name in ("unknowns", "unknown-lights")
        )
        options.page.write_text(page(figures, lights), encoding="utf-8")
        return
    facts = announce()
    print("| problem | unknown | start | end | Adam as it is |\n| --- | --- | --- | --- | --- |")
    rows = []
    if options.only and options.json and options.json.exists():
        rows = json.loads(options.json.read_text())["rows"]
    known = {"steps": options.steps, "seeds": options.seeds, "edge": _edge_length(), "ambiguity": ambiguity()}
    names = [problem.name for problem in PROBLEMS]
    for problem in PROBLEMS:
        if options.only is None or problem.name in options.only:
            rows = [row for row in rows if row["problem"] != problem.name]
            rows += measure(problem, options.seeds, options.steps)
            rows.sort(key=lambda row: names.index(row["problem"]))
            save(options.json, facts, **known, rows=rows)


def _edge_length() -> float:
    mesh = truth(0, False).mesh
    corners = mesh.vertices[mesh.faces]
    return float(np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).mean())


if __name__ == "__main__":
    main()
