"""What a camera's numbers are, found from pictures by Adam: poses, focal lengths, principal point, skew and lens.

As they are, and whitened by what they do to the vertices' pixels: a longer focal length looks much like a shorter distance,
and Adam, which scales every number by itself, creeps along such a valley. Vertices are not whitened: where they are free, too,
a mesh that grows looks much like a longer focal length, and after 500 steps both are still part of the way.

python -m benchmarks.unknowns              # some minutes; --json writes the figures
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import diffrender as dr
from diffrender.camera import project, rotation_matrix
from diffrender.distortion import Distortion
from diffrender.loss import l2
from diffrender.optimize.adam import Adam
from diffrender.optimize.schedule import cosine
from diffrender.rendering import RenderGradients

from .environment import announce, save
from .shapes import directions_around

VIEWS, SIZE, FOV_DEGREES, DISTANCE = 8, (96, 120), 50, 3.4
SOFT = dr.Soft(sigma=1.0, gamma=1e-3, near=DISTANCE - 1.5, far=DISTANCE + 1.5)
LENS = Distortion(-0.35, 0.12, 0, 0, 0.01, -0.008)
RIM = 0.4  # normalised radius of the object's rim in a picture
SPECKLE = 0.15
SKEW = 1.5  # px
STEPS = 500
ADAM = Adam(0.9, 0.99)
# Two halves of a whitened descent: the floor of the eigenvalues, relative to the largest, and px that a number moves the
# vertices by, root mean square, in the first steps. What changes next to nothing has to wait until the rest fits.
HALVES = ((1e-2, 0.15), (1e-6, 0.02))


class Guess(NamedTuple):
    """All that a picture is made of. The cameras share K and lens."""

    mesh: dr.Mesh
    cameras: list[dr.Camera]
    light: dr.Light


class Unknown(NamedTuple):
    """Something to be found: how a guess moves with numbers that are about 0.01 to 0.1 large, and how wrong a guess is."""

    name: str
    unit: str
    start: Callable[[np.random.Generator, Guess], np.ndarray]  # how far from the truth a guess begins
    rate: float  # of Adam's first steps
    moved: Callable[[Guess, np.ndarray], Guess]
    gradient: Callable[[Guess, list[RenderGradients]], np.ndarray]  # of the loss for the numbers, at 0
    error: Callable[[Guess, Guess], float]  # of a guess and the truth, in `unit`
    of_cameras: bool = True


def _held(values: np.ndarray, count: int) -> np.ndarray:
    """Return values (N, 3) with those of the first cameras at 0."""
    return np.where(np.arange(len(values))[:, None] < count, 0.0, values)


def rotations(held: int = 0) -> Unknown:
    """Turns (N, 3) of the cameras about the world's origin; the first few cameras are known."""

    def moved(guess: Guess, turns: np.ndarray) -> Guess:
        cameras = [
            camera.moved(turn, camera.t - rotation_matrix(turn) @ camera.t)
            for camera, turn in zip(guess.cameras, _held(turns, held), strict=True)
        ]
        return guess._replace(cameras=cameras)

    def gradient(guess: Guess, grads: list[RenderGradients]) -> np.ndarray:
        # Turning around c instead of the camera: x -> exp(w) (x - c) + c, so the lever is x - c.
        pairs = zip(guess.cameras, grads, strict=True)
        return _held(np.array([grad.rotation - np.cross(camera.t, grad.translation) for camera, grad in pairs]), held)

    def error(guess: Guess, truth: Guess) -> float:
        pairs = list(zip(guess.cameras, truth.cameras, strict=True))[held:]
        sines = [np.linalg.norm(camera.R - true.R) / np.sqrt(8) for camera, true in pairs]
        return float(np.degrees(2 * np.arcsin(np.minimum(sines, 1))).mean())

    return Unknown("rotations", "degrees", _normal(0.05, lambda g: (len(g.cameras), 3)), 2e-3, moved, gradient, error)


def translations(held: int = 0) -> Unknown:
    """Shifts (N, 3) of the cameras; the first few are known."""

    def moved(guess: Guess, shifts: np.ndarray) -> Guess:
        pairs = zip(guess.cameras, _held(shifts, held), strict=True)
        return guess._replace(cameras=[camera.moved(np.zeros(3), shift) for camera, shift in pairs])

    def gradient(guess: Guess, grads: list[RenderGradients]) -> np.ndarray:
        return _held(np.array([grad.translation for grad in grads]), held)

    def error(guess: Guess, truth: Guess) -> float:
        pairs = list(zip(guess.cameras, truth.cameras, strict=True))[held:]
        return float(np.mean([np.linalg.norm(camera.t - true.t) for camera, true in pairs]))

    return Unknown("translations", "units", _normal(0.08, lambda g: (len(g.cameras), 3)), 3e-3, moved, gradient, error)


def intrinsics(name: str, unit: str, places: Sequence[tuple[int, int]], start: float, per_unit: float) -> Unknown:
    """Some entries of K, in units of fx."""
    rows, columns = np.array(places).T

    def moved(guess: Guess, steps: np.ndarray) -> Guess:
        K = guess.cameras[0].K.copy()
        K[rows, columns] += steps * K[0, 0]
        return guess._replace(cameras=[replace(camera, K=K) for camera in guess.cameras])

    def gradient(guess: Guess, grads: list[RenderGradients]) -> np.ndarray:
        grad_K = np.sum([grad.K for grad in grads], axis=0)
        return np.asarray(grad_K[rows, columns] * guess.cameras[0].K[0, 0])

    def error(guess: Guess, truth: Guess) -> float:
        K, true = guess.cameras[0].K, truth.cameras[0].K
        return float(np.abs((K - true)[rows, columns]).mean() / true[0, 0] * per_unit)

    return Unknown(name, unit, _normal(start, lambda g: len(places)), 3e-3, moved, gradient, error)


def lens() -> Unknown:
    """k1, k2, k3, p1, p2, which begin at 0, in units of what they do at the rim of the object; k4 would do next to nothing."""
    scale = np.array([RIM**-2, RIM**-4, RIM**-6, 0, RIM**-1, RIM**-1])

    def moved(guess: Guess, steps: np.ndarray) -> Guess:
        bent = Distortion(*(_coefficients(guess) + scale * steps))
        return guess._replace(cameras=[replace(camera, distortion=bent) for camera in guess.cameras])

    def gradient(guess: Guess, grads: list[RenderGradients]) -> np.ndarray:
        return scale * np.sum([grad.distortion for grad in grads if grad.distortion is not None], axis=0)

    def error(guess: Guess, truth: Guess) -> float:
        camera = truth.cameras[0]
        bent = [
            project(truth.mesh.vertices, replace(camera, distortion=one.cameras[0].distortion))
            for one in (guess, truth)
        ]
        return float(np.linalg.norm(bent[0] - bent[1], axis=1).mean())

    def start(random: np.random.Generator, guess: Guess) -> np.ndarray:
        return -_coefficients(guess) / np.where(scale == 0, 1, scale)

    return Unknown("lens", "px on the object", start, 2e-3, moved, gradient, error)


def _coefficients(guess: Guess) -> np.ndarray:
    distortion = guess.cameras[0].distortion
    assert distortion is not None
    return distortion.coefficients


def vertices() -> Unknown:
    """The mesh's vertices (V, 3)."""

    def moved(guess: Guess, steps: np.ndarray) -> Guess:
        mesh = guess.mesh
        return guess._replace(mesh=replace(mesh, vertices=mesh.vertices + steps.astype(mesh.vertices.dtype)))

    def gradient(guess: Guess, grads: list[RenderGradients]) -> np.ndarray:
        return np.asarray(np.sum([grad.vertices for grad in grads], axis=0, dtype=np.float64))

    def error(guess: Guess, truth: Guess) -> float:
        # The median: a few vertices that no camera sees well stay where they began.
        return float(np.median(np.linalg.norm(guess.mesh.vertices - truth.mesh.vertices, axis=1)))

    return Unknown(
        "vertices",
        "units (median)",
        _normal(0.012, lambda g: g.mesh.vertices.shape),
        1e-3,
        moved,
        gradient,
        error,
        False,
    )


def _normal(scale: float, shape: Callable[[Guess], Any]) -> Callable[[np.random.Generator, Guess], np.ndarray]:
    return lambda random, guess: random.normal(0, scale, shape(guess))


FOCAL = intrinsics("focal lengths", "%", ((0, 0), (1, 1)), 0.06, 100)
PRINCIPAL = intrinsics("principal point", "% of fx", ((0, 2), (1, 2)), 0.03, 100)
SKEWED = intrinsics("skew", "% of fx", ((0, 1),), 0.03, 100)
CALIBRATION = (FOCAL, PRINCIPAL, SKEWED, lens())

# A problem is a list of unknowns: a light's numbers, whose gradients `RenderGradients.light` has, would be one more. Where
# the mesh is free as well, two cameras are known: else all could turn, shift and grow together.
PROBLEMS: dict[str, tuple[Unknown, ...]] = {
    "poses": (rotations(), translations()),
    "focal lengths": (FOCAL,),
    "principal point": (PRINCIPAL,),
    "skew": (SKEWED,),
    "lens": (lens(),),
    "calibration": CALIBRATION,
    "poses and calibration": (rotations(), translations(), *CALIBRATION),
    "vertices": (vertices(),),
    "calibration and vertices": (*CALIBRATION, vertices()),
    "all of it, two poses known": (rotations(2), translations(2), *CALIBRATION, vertices()),
}


def truth(seed: int) -> Guess:
    """Return a bumpy ball with smooth colours and speckles, eight cameras with one lens around it, and a light."""
    random = np.random.default_rng(seed)
    ball = dr.icosphere(3)
    around = ball.vertices.astype(np.float64)
    radius = 1 + 0.25 * _waves(random, around, 2.5)
    colors = np.stack([0.5 + 1.2 * _waves(random, around, 6.0) for _ in range(3)], axis=1)
    colors += random.normal(0, SPECKLE, colors.shape)  # smooth colours slide over the vertices, these do not
    mesh = dr.Mesh((around * radius[:, None]).astype(np.float32), ball.faces, np.clip(colors, 0.05, 0.95))
    cameras = [
        dr.Camera.look_at(DISTANCE * eye, 0.1 * random.normal(size=3), fov_degrees=FOV_DEGREES, size=SIZE)
        for eye in directions_around(VIEWS)
    ]
    K = cameras[0].K + [[0, SKEW, 2.0], [0, -3.0, -1.5], [0, 0, 0]]
    cameras = [replace(camera, K=K, distortion=LENS) for camera in cameras]
    return Guess(mesh, cameras, dr.Light((0.3, 0.8, 0.6), 0.5, 0.5))


class Group(NamedTuple):
    """Unknowns that descend together: numbers (N,), all in one row, are `matrix` (N, N) times those that Adam sees."""

    unknowns: tuple[Unknown, ...]
    shapes: list[tuple[int, ...]]
    matrix: np.ndarray | None
    rate: float

    def moved(self, guess: Guess, delta: np.ndarray) -> Guess:
        """Return the guess after a step (N,) of Adam's."""
        delta = delta if self.matrix is None else self.matrix @ delta
        for unknown, shape in zip(self.unknowns, self.shapes, strict=True):
            count = int(np.prod(shape))
            guess, delta = unknown.moved(guess, delta[:count].reshape(shape)), delta[count:]
        return guess

    def gradient(self, guess: Guess, grads: list[RenderGradients]) -> np.ndarray:
        """Return the gradient (N,) for the numbers that Adam sees."""
        row = np.concatenate([unknown.gradient(guess, grads).ravel() for unknown in self.unknowns])
        return row if self.matrix is None else self.matrix.T @ row


def groups(
    unknowns: Sequence[Unknown], shapes: Sequence[tuple[int, ...]], guess: Guess, half: int | None
) -> list[Group]:
    """Return each unknown alone, or in a `half` of a whitened descent those of the cameras together.

    The matrix is (J^T J / vertices)^-1/2, J being the derivative of all vertices' pixels. Park et al., CamP: Camera
    Preconditioning for Neural Radiance Fields, 2023.
    """
    pairs = list(zip(unknowns, shapes, strict=True))
    alone = [Group((one,), [shape], None, one.rate) for one, shape in pairs if half is None or not one.of_cameras]
    together = [(one, shape) for one, shape in pairs if one.of_cameras]
    if half is None or not together:
        return alone
    floor, rate = HALVES[half]
    plain = Group(tuple(one for one, _ in together), [shape for _, shape in together], None, rate)
    count = sum(int(np.prod(shape)) for shape in plain.shapes)
    columns = [
        (_pixels(plain.moved(guess, step)) - _pixels(plain.moved(guess, -step))) / 2e-5 for step in 1e-5 * np.eye(count)
    ]
    values, vectors = np.linalg.eigh(np.array(columns) @ np.array(columns).T / (len(columns[0]) / 2))
    matrix = vectors / np.sqrt(np.maximum(values, floor * values.max())) @ vectors.T
    return [plain._replace(matrix=matrix), *alone]


def _pixels(guess: Guess) -> np.ndarray:
    points = guess.mesh.vertices.astype(np.float64)
    return np.concatenate([project(points, camera)[:, :2].ravel() for camera in guess.cameras])


def solve(
    unknowns: Sequence[Unknown], true: Guess, seed: int, steps: int, whitened: bool
) -> tuple[Guess, Guess, float]:
    """Return the guess that the descent began with, the one it ended with, and the seconds a step took."""
    random = np.random.default_rng(seed)
    targets = [dr.render(true.mesh, camera, SOFT, true.light).image for camera in true.cameras]
    starts = [unknown.start(random, true) for unknown in unknowns]
    guess = true
    for unknown, start in zip(unknowns, starts, strict=True):
        guess = unknown.moved(guess, start)
    begin, started = guess, time.perf_counter()
    shapes = [start.shape for start in starts]
    for half in range(len(HALVES)) if whitened else [None]:
        descents = groups(unknowns, shapes, guess, half)
        guess = _descend(guess, targets, descents, steps // (len(HALVES) if whitened else 1))
    return begin, guess, (time.perf_counter() - started) / steps


def _descend(guess: Guess, targets: list[np.ndarray], descents: list[Group], steps: int) -> Guess:
    states = [ADAM.init(np.zeros(sum(int(np.prod(shape)) for shape in group.shapes))) for group in descents]
    for step in range(steps):
        grads = [_gradients(guess, camera, target) for camera, target in zip(guess.cameras, targets, strict=True)]
        gradients = [group.gradient(guess, grads) for group in descents]
        for number, (group, gradient) in enumerate(zip(descents, gradients, strict=True)):
            delta, states[number] = ADAM.update(gradient, states[number], cosine(group.rate, 0.0, step / steps))
            guess = group.moved(guess, delta)
    return guess


def _gradients(guess: Guess, camera: dr.Camera, target: np.ndarray) -> RenderGradients:
    rendering = dr.render(guess.mesh, camera, SOFT, guess.light)
    return rendering.backward(l2(rendering.image, target)[1])


def measure(seeds: int, steps: int) -> list[dict[str, Any]]:
    """Return a row for each unknown of each problem: medians over seeds of the errors at the start and at the end."""
    rows = []
    for problem, unknowns in PROBLEMS.items():
        errors, seconds = [], []
        for seed in range(seeds):
            true = truth(seed)
            begin, plain, taken = solve(unknowns, true, seed, steps, whitened=False)
            white = solve(unknowns, true, seed, steps, whitened=True)[1] if _has_cameras(unknowns) else plain
            errors.append([[one.error(guess, true) for guess in (begin, plain, white)] for one in unknowns])
            seconds.append(taken)
        for unknown, (start, plainly, whitened) in zip(unknowns, np.median(errors, axis=0), strict=True):
            rows.append(
                {
                    "problem": problem,
                    "unknown": unknown.name,
                    "unit": unknown.unit,
                    "start": float(start),
                    "adam": float(plainly),
                    "adam_whitened": float(whitened) if _has_cameras(unknowns) else None,
                    "ms_per_step": 1e3 * float(np.median(seconds)),
                }
            )
            print(_line(rows[-1]), flush=True)
    return rows


def _has_cameras(unknowns: Sequence[Unknown]) -> bool:
    return any(unknown.of_cameras for unknown in unknowns)


def _line(row: dict[str, Any]) -> str:
    white = row["adam_whitened"]
    cells = (f"{row['start']:.3g}", f"{row['adam']:.2g}", "" if white is None else f"{white:.2g}")
    return f"| {row['problem']} | {row['unknown']}, {row['unit']} | {' | '.join(cells)} |"


def _waves(random: np.random.Generator, points: np.ndarray, frequency: float) -> np.ndarray:
    """Return the mean (N,) of six plane waves at points (N, 3)."""
    directions, phases = frequency * random.normal(size=(6, 3)), random.uniform(0, 2 * np.pi, 6)
    return np.asarray(np.cos(points @ directions.T + phases).mean(axis=1))


def main() -> None:
    """Measure, print a Markdown table, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    facts = announce()
    print("| problem | unknown | start | Adam | Adam, whitened |\n| --- | --- | --- | --- | --- |")
    rows = measure(options.seeds, options.steps)
    save(options.json, facts, steps=options.steps, seeds=options.seeds, rows=rows)


if __name__ == "__main__":
    main()
