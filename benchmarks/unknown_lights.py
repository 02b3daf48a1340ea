"""Lights as the unknowns of a rendered image: a direction, intensities, a place, a gloss and spherical harmonics.

python -m benchmarks.unknown_lights --json benchmarks/results/unknown-lights-cpu.json      # five minutes

Targets are four images of a lump of known shape and colours under known lights. The start is far from them, the loss the mean
squared difference of the images. Two methods: Adam with a learning rate that falls to a hundredth, and L-BFGS, which reads
off the gradients that a light further off does what a weaker one does. Numbers that must not be negative stay above their
least value.
"""

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import diffrender as dr
from diffrender.lights import LightsGradients
from diffrender.loss import l2
from diffrender.optimize.adam import Adam
from diffrender.optimize.lbfgs import LBFGS

from .environment import announce, save

SIZE = (64, 64)  # px
STEPS = 1000
EVALUATIONS = 200  # at most, of the loss by L-BFGS
UNIT = 20  # of Adam's first steps: how far a number of L-BFGS' moves, so that all are about as large
LOUDER = 1e3  # the loss for L-BFGS, whose first step is at most 1 long
SLOWEST = 0.01  # of the learning rate, at the last step
SOFT = dr.Soft(sigma=1.0, gamma=1e-2, near=2.0, far=6.0)
# All around: from one side alone, half of what spherical harmonics do cannot be seen, and images agree where lights do not.
EYES = ((2.0, 2.0, 2.0), (2.0, -2.0, -2.0), (-2.0, 2.0, -2.0), (-2.0, -2.0, 2.0))
CAMERAS = [dr.Camera.look_at(eye, size=SIZE) for eye in EYES]

Unknowns = dict[str, np.ndarray]


class Problem:
    """Lights made of unknowns; where these begin and end, what they may not fall below, and how fast Adam moves each.

    `gradients` picks those of the unknowns, by their names, out of the lights'; `errors` says in words how far off they are.
    """

    def __init__(
        self,
        name: str,
        lights: Callable[..., dr.Lights],
        gradients: Callable[[LightsGradients], Unknowns],
        truth: dict[str, Any],
        start: dict[str, Any],
        rates: dict[str, float],
        floors: dict[str, float],
    ):
        self.name, self.lights, self.gradients = name, lights, gradients
        self.truth = {key: np.array(value, np.float64) for key, value in truth.items()}
        self.start = {key: np.array(value, np.float64) for key, value in start.items()}
        self.rates, self.floors = rates, floors

    def errors(self, unknowns: Unknowns) -> dict[str, float]:
        """Return for each unknown the angle in degrees of directions, or else the relative error: |x - truth| / |truth|."""
        return {name: _error(name, value, self.truth[name]) for name, value in unknowns.items()}


def problems() -> list[Problem]:
    """Return the problems, from one direction to everything at once."""
    direction, away = (0.5, 0.7, 0.6), (-0.8, -0.2, 0.5)
    sun, fill = (0.9, 0.7, 0.5), (0.1, 0.3, 0.5)
    sh = np.random.default_rng(0).normal(size=(9, 3)) * 0.3
    sh[0] += 2.5

    def directional(directions: Any, intensities: Any, ambient: Any) -> dr.Lights:
        return dr.Lights(ambient, dr.Directional(directions, intensities))

    def point(positions: Any, intensities: Any) -> dr.Lights:
        return dr.Lights((0.1, 0.1, 0.1), points=dr.Points(positions, intensities))

    def glossy(directions: Any, color: Any, shininess: Any) -> dr.Lights:
        lamp = dr.Directional(directions, (0.8, 0.8, 0.8))
        return dr.Lights((0.1, 0.1, 0.1), lamp, specular=dr.Specular(color, float(shininess)))

    def around(sh: Any) -> dr.Lights:
        return dr.Lights(sh=sh)

    def of_directional(light: LightsGradients) -> Unknowns:
        assert light.directional is not None
        return {**light.directional._asdict(), "ambient": light.ambient}

    def of_point(light: LightsGradients) -> Unknowns:
        assert light.points is not None
        return light.points._asdict()

    def of_glossy(light: LightsGradients) -> Unknowns:
        assert light.directional is not None and light.specular is not None
        shininess = np.array(light.specular.shininess)
        return {"directions": light.directional.directions, "color": light.specular.color, "shininess": shininess}

    def of_around(light: LightsGradients) -> Unknowns:
        assert light.sh is not None
        return {"sh": light.sh}

    return [
        Problem(
            "one directional light and ambient",
            directional,
            of_directional,
            {"directions": [direction], "intensities": [sun], "ambient": fill},
            {"directions": [away], "intensities": [(0.4, 0.4, 0.4)], "ambient": (0.4, 0.4, 0.4)},
            {"directions": 0.05, "intensities": 0.03, "ambient": 0.03},
            {"intensities": 0.0, "ambient": 0.0},
        ),
        Problem(
            "two directional lights",
            directional,
            of_directional,
            {"directions": [direction, (-0.9, 0.1, 0.4)], "intensities": [sun, fill], "ambient": (0.1, 0.1, 0.1)},
            {
                "directions": [(0.0, 0.2, 1.0), (-0.3, -0.3, 0.9)],
                "intensities": [(0.4, 0.4, 0.4)] * 2,
                "ambient": (0.3, 0.3, 0.3),
            },
            {"directions": 0.05, "intensities": 0.03, "ambient": 0.03},
            {"intensities": 0.0, "ambient": 0.0},
        ),
        Problem(
            "one point light",
            point,
            of_point,
            {"positions": [(1.2, 1.5, 1.4)], "intensities": [(3.0, 2.5, 1.5)]},
            {"positions": [(-1.5, 0.3, 2.0)], "intensities": [(1.0, 1.0, 1.0)]},
            {"positions": 0.05, "intensities": 0.05},
            {"intensities": 0.0},
        ),
        Problem(
            "direction and gloss",
            glossy,
            of_glossy,
            {"directions": [direction], "color": (0.6, 0.5, 0.3), "shininess": 25.0},
            {"directions": [away], "color": (0.2, 0.2, 0.2), "shininess": 8.0},
            {"directions": 0.05, "color": 0.03, "shininess": 1.0},
            {"color": 0.0, "shininess": 1.0},
        ),
        Problem("spherical harmonics", around, of_around, {"sh": sh}, {"sh": np.zeros((9, 3))}, {"sh": 0.1}, {}),
    ]


def lump() -> dr.Mesh:
    """Return the object: a dented sphere in soft colours, that shows normals of all directions."""
    sphere = dr.icosphere(3)
    waves = np.sin(sphere.vertices @ np.array([(3.0, 1, -2), (-1, 4, 2), (2, -2, 3)]).T)
    vertices = sphere.vertices * (1 + 0.07 * waves.sum(axis=1, keepdims=True))
    return dr.Mesh(vertices.astype(np.float32), sphere.faces, (0.6 + 0.25 * waves).clip(0.1, 0.9).astype(np.float32))


def solve(problem: Problem, mesh: dr.Mesh, steps: int = STEPS) -> dict[str, Any]:
    """Return the errors of the unknowns and of the image at the start and at the end, and how long it took."""
    adam = Adam()
    targets = [dr.render(mesh, camera, SOFT, problem.lights(**problem.truth)).image for camera in CAMERAS]
    unknowns = dict(problem.start)
    states = {name: adam.init(value) for name, value in unknowns.items()}
    losses, begin = [], time.perf_counter()
    for step in range(steps):
        value, gradients = _loss(problem, mesh, targets, unknowns)
        losses.append(value)
        for name, grad in gradients.items():
            rate = problem.rates[name] * SLOWEST ** (step / steps)
            delta, states[name] = adam.update(grad, states[name], rate)
            unknowns[name] = np.maximum(unknowns[name] + delta, problem.floors.get(name, -math.inf))
    seconds = time.perf_counter() - begin
    found, evaluations = _by_curvature(problem, mesh, targets)
    return {
        "problem": problem.name,
        "start": problem.errors(problem.start),
        "end": problem.errors(unknowns),
        "lbfgs": problem.errors(found),
        "evaluations": evaluations,
        "loss_start": losses[0],
        "loss_end": _loss(problem, mesh, targets, unknowns)[0],
        "loss_lbfgs": _loss(problem, mesh, targets, found)[0],
        "steps": steps,
        "seconds": seconds,
    }


def _by_curvature(problem: Problem, mesh: dr.Mesh, targets: list[np.ndarray]) -> tuple[Unknowns, int]:
    """Return what L-BFGS finds, and how often it asked for the loss."""
    units = {name: UNIT * problem.rates[name] for name in problem.start}

    def unknowns_of(row: np.ndarray) -> Unknowns:
        found = {}
        for name, start in problem.start.items():
            values, row = row[: start.size].reshape(start.shape), row[start.size :]
            found[name] = np.maximum(units[name] * values, problem.floors.get(name, -math.inf))
        return found

    def loss(row: np.ndarray) -> tuple[float, np.ndarray]:
        unknowns = unknowns_of(row)
        value, gradients = _loss(problem, mesh, targets, unknowns)
        free = {name: unknowns[name] > problem.floors.get(name, -math.inf) for name in unknowns}
        rows = [(LOUDER * units[name] * free[name] * gradients[name]).ravel() for name in unknowns]
        return LOUDER * value, np.concatenate(rows)

    method = LBFGS()
    state = method.init(loss, np.concatenate([(start / units[name]).ravel() for name, start in problem.start.items()]))
    while not state.stopped and state.evaluations < EVALUATIONS:
        state = method.update(loss, state)
    return unknowns_of(state.parameter), state.evaluations


def _loss(problem: Problem, mesh: dr.Mesh, targets: list[np.ndarray], unknowns: Unknowns) -> tuple[float, Unknowns]:
    """Return the mean loss of all views, and its gradients."""
    total, sums = 0.0, {name: np.zeros_like(value) for name, value in unknowns.items()}
    for camera, target in zip(CAMERAS, targets, strict=True):
        rendering = dr.render(mesh, camera, SOFT, problem.lights(**unknowns))
        value, grad_image = l2(rendering.image, target)
        light = rendering.backward(grad_image).light
        assert isinstance(light, LightsGradients)
        total += float(value) / len(CAMERAS)
        for name, grad in problem.gradients(light).items():
            sums[name] += grad / len(CAMERAS)
    return total, sums


def _error(name: str, value: np.ndarray, truth: np.ndarray) -> float:
    if name == "directions":
        lengths = np.linalg.norm(value, axis=1) * np.linalg.norm(truth, axis=1)
        crossed = np.linalg.norm(np.cross(value, truth), axis=1)  # an angle's cosine has no digits left near 0
        return float(np.degrees(np.arctan2(crossed / lengths, (value * truth).sum(axis=1) / lengths)).max())
    return float(np.linalg.norm(value - truth) / np.linalg.norm(truth))


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a Markdown table: an unknown a line."""
    lines = [
        "| problem | unknown | error at the start | Adam, 1,000 steps | L-BFGS | evaluations |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        for number, (name, start) in enumerate(row["start"].items()):
            cells = [_shown(name, error) for error in (start, row["end"][name], row["lbfgs"][name])]
            first = number == 0
            count = str(row["evaluations"]) if first else ""
            lines.append(f"| {row['problem'] if first else ''} | {name} | {' | '.join(cells)} | {count} |")
    return "\n".join(lines)


def _shown(name: str, error: float) -> str:
    return f"{error:.2g}°" if name == "directions" else f"{100 * error:.2g} %"


def main() -> None:
    """Solve, print a Markdown table, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    facts, mesh = announce(), lump()
    rows = [solve(problem, mesh, options.steps) for problem in problems()]
    print(table(rows))
    save(options.json, facts, rows=rows)


if __name__ == "__main__":
    main()
