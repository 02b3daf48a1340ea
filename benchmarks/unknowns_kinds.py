"""What can be unknown in a rendered picture: how a guess of it moves, its gradient, and how wrong it is."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np

import diffrender as dr
from diffrender.camera import project, rotation_matrix
from diffrender.distortion import Distortion
from diffrender.lights import LightsGradients
from diffrender.rendering import RenderGradients

from .shapes import directions_around

VIEWS, SIZE, FOV_DEGREES, DISTANCE = 8, (96, 120), 50, 3.4
LENS = Distortion(-0.35, 0.12, 0, 0, 0.01, -0.008)
RIM = 0.4  # normalised radius of the object's rim in a picture
SPECKLE = 0.15
SKEW = 1.5  # px
SUN = dr.Lights((0.3, 0.35, 0.4), dr.Directional((0.3, 0.8, 0.6), (0.7, 0.65, 0.55)))
_DARKEST = 0.01  # what intensities may fall to on the way


class Guess(NamedTuple):
    """All that a picture is made of. The cameras share K and lens."""

    mesh: dr.Mesh
    cameras: list[dr.Camera]
    light: dr.Lights


class Unknown(NamedTuple):
    """Something to be found: how a guess moves with numbers that are about 0.01 to 0.1 large, and how wrong a guess is."""

    name: str
    unit: str
    start: Callable[[np.random.Generator, Guess], np.ndarray]  # how far from the truth a guess begins
    rate: float  # of Adam's first steps
    moved: Callable[[Guess, np.ndarray], Guess]
    gradient: Callable[[Guess, list[RenderGradients]], np.ndarray]  # of the loss for the numbers, at 0
    error: Callable[[Guess, Guess], float]  # of a guess and the truth, in `unit`
    kind: Literal["camera", "light", "shape"] = "camera"


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
        "shape",
    )


def sun_direction() -> Unknown:
    """The direction (1, 3) of a light that is far away."""

    def moved(guess: Guess, steps: np.ndarray) -> Guess:
        sun = _sun(guess)
        return guess._replace(light=replace(guess.light, directional=replace(sun, directions=sun.directions + steps)))

    def gradient(guess: Guess, grads: list[RenderGradients]) -> np.ndarray:
        return np.sum([_light(grad).directional.directions for grad in grads], axis=0)

    def error(guess: Guess, truth: Guess) -> float:
        (a,), (b,) = (_sun(one).directions for one in (guess, truth))
        return float(np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b)), a @ b)))

    def start(random: np.random.Generator, guess: Guess) -> np.ndarray:
        return random.normal(0, 0.4, (1, 3))

    return Unknown("light's direction", "degrees", start, 0.02, moved, gradient, error, "light")


def sun_strength() -> Unknown:
    """The intensity of that light and the ambient one, (2, 3) in RGB."""

    def moved(guess: Guess, steps: np.ndarray) -> Guess:
        sun, light = _sun(guess), guess.light
        intensities, ambient = (
            np.maximum(value + step, _DARKEST)
            for value, step in zip((sun.intensities[0], light.ambient), steps, strict=True)
        )
        return guess._replace(light=replace(light, ambient=ambient, directional=replace(sun, intensities=intensities)))

    def gradient(guess: Guess, grads: list[RenderGradients]) -> np.ndarray:
        lights = [_light(grad) for grad in grads]
        return np.sum([[light.directional.intensities[0], light.ambient] for light in lights], axis=0)

    def error(guess: Guess, truth: Guess) -> float:
        a, b = (np.array([_sun(one).intensities[0], one.light.ambient]) for one in (guess, truth))
        return float(100 * np.linalg.norm(a - b) / np.linalg.norm(b))

    return Unknown("light's strength", "%", _normal(0.15, lambda g: (2, 3)), 0.01, moved, gradient, error, "light")


def harmonics() -> Unknown:
    """The coefficients (9, 3) of light from all around."""

    def moved(guess: Guess, steps: np.ndarray) -> Guess:
        return guess._replace(light=replace(guess.light, sh=guess.light.sh + steps))

    def gradient(guess: Guess, grads: list[RenderGradients]) -> np.ndarray:
        return np.sum([_light(grad).sh for grad in grads], axis=0)

    def error(guess: Guess, truth: Guess) -> float:
        return float(100 * np.linalg.norm(guess.light.sh - truth.light.sh) / np.linalg.norm(truth.light.sh))

    return Unknown("SH coefficients", "%", _normal(0.3, lambda g: (9, 3)), 0.02, moved, gradient, error, "light")


def _sun(guess: Guess) -> dr.Directional:
    assert guess.light.directional is not None
    return guess.light.directional


def _light(grad: RenderGradients) -> Any:
    assert isinstance(grad.light, LightsGradients)
    return grad.light


def _normal(scale: float, shape: Callable[[Guess], Any]) -> Callable[[np.random.Generator, Guess], np.ndarray]:
    return lambda random, guess: random.normal(0, scale, shape(guess))


FOCAL = intrinsics("focal lengths", "%", ((0, 0), (1, 1)), 0.06, 100)
PRINCIPAL = intrinsics("principal point", "% of fx", ((0, 2), (1, 2)), 0.03, 100)
SKEWED = intrinsics("skew", "% of fx", ((0, 1),), 0.03, 100)
CALIBRATION = (FOCAL, PRINCIPAL, SKEWED, lens())


def truth(seed: int, sky: bool) -> Guess:
    """Return a bumpy ball with smooth colours and speckles, eight cameras with one lens around it, and a light: a sun, or with
    `sky` spherical harmonics."""
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
    if not sky:
        return Guess(mesh, cameras, SUN)
    sh = random.normal(0, 0.3, (9, 3))
    sh[0] += 2.5
    return Guess(mesh, cameras, dr.Lights(sh=sh))


def _waves(random: np.random.Generator, points: np.ndarray, frequency: float) -> np.ndarray:
    """Return the mean (N,) of six plane waves at points (N, 3)."""
    directions, phases = frequency * random.normal(size=(6, 3)), random.uniform(0, 2 * np.pi, 6)
    return np.asarray(np.cos(points @ directions.T + phases).mean(axis=1))
