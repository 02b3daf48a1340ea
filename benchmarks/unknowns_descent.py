"""Adam for cameras, light and shape together: cameras whitened, and the shape carried along.

A longer focal length looks much like a larger or nearer object. With a known object that is an ill-conditioned valley, which
whitening by what the numbers do to the vertices' pixels makes round. With an unknown one every vertex has to move as well
before the pictures agree again, and Adam, which gives each vertex its own step, needs thousands of them. So a step of the cameras
takes the vertices along, each to where its pixels stay, as nearly as they can: what is left, the Schur complement
that bundle adjustment calls the reduced camera system, is what cameras are whitened by.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

import diffrender as dr
from diffrender.camera import project
from diffrender.loss import l2
from diffrender.optimize.adam import Adam
from diffrender.optimize.schedule import cosine
from diffrender.rendering import RenderGradients

from .unknowns_kinds import DISTANCE, Guess, Unknown

# A gamma that is large for a solid so small: faces seen edge-on change their depth in no time, and at 1e-3 the loss jumps
# wherever one turns, so that vertices stay where they are caught.
SOFT = dr.Soft(sigma=1.0, gamma=5e-2, near=DISTANCE - 1.5, far=DISTANCE + 1.5)
ADAM = Adam(0.9, 0.99)
_UNSEEN = 1e-3  # weight of a vertex' place in a picture that does not show it
_GAUGE = 1e-9  # eigenvalue, relative to the largest, below which pictures cannot tell
_STIFFNESS = 1e-3  # of a vertex in directions that no picture shows, relative to the mean
_STEP = 1e-5  # of finite differences


class Stage(NamedTuple):
    """A part of a descent, in which rates fall to 0 along a cosine."""

    share: float  # of all steps
    shape: bool  # whether vertices move, too
    camera_rate: float  # px that a whitened number moves the vertices by, root mean square, in the first steps
    shape_rate: float  # px in all pictures together that a vertex' number moves it by
    floor: float  # of the eigenvalues, relative to the largest: what changes next to nothing waits until the rest fits


KNOWN_SHAPE = (
    Stage(0.3, False, 0.15, 0.0, 1e-2),
    Stage(0.35, False, 0.05, 0.0, 1e-4),
    Stage(0.35, False, 0.005, 0.0, 1e-6),
)
FREE_SHAPE = (
    Stage(0.2, False, 0.15, 0.0, 1e-2),
    Stage(0.2, False, 0.05, 0.0, 1e-4),
    Stage(0.3, True, 0.03, 0.1, 1e-4),
    Stage(0.3, True, 0.01, 0.03, 1e-6),
)


class Sensitivity(NamedTuple):
    """What cameras' numbers (N,) and vertices (V, 3) do to the vertices' pixels, in squares of px."""

    reduced: np.ndarray  # (N, N) of the cameras, per vertex and picture, when vertices follow; else with vertices held
    follow: np.ndarray | None  # (V, 3, N) where vertices go so that their pixels stay
    vertices: np.ndarray  # (V, 3, 3)

    def camera_matrix(self, floor: float) -> np.ndarray:
        """Return reduced^-1/2 with a floor of the eigenvalues; what pictures cannot tell does not move."""
        values, vectors = np.linalg.eigh(self.reduced)
        largest = values.max()
        scales = np.where(values > _GAUGE * largest, 1 / np.sqrt(np.maximum(values, floor * largest)), 0)
        return vectors * scales @ vectors.T

    def shape_matrix(self) -> np.ndarray:
        """Return vertices^-1/2 (V, 3, 3), with a floor for what no picture shows."""
        mean = np.trace(self.vertices, axis1=1, axis2=2).mean()
        values, vectors = np.linalg.eigh(self.vertices + _STIFFNESS * mean * np.eye(3))
        return np.asarray(vectors / np.sqrt(values)[:, None, :] @ vectors.transpose(0, 2, 1))


class Numbers(NamedTuple):
    """Several unknowns' numbers in one row (N,)."""

    unknowns: tuple[Unknown, ...]
    shapes: tuple[tuple[int, ...], ...]

    @property
    def length(self) -> int:
        """How many there are."""
        return sum(int(np.prod(shape)) for shape in self.shapes)

    def moved(self, guess: Guess, row: np.ndarray) -> Guess:
        """Return the guess after a step."""
        for unknown, shape in zip(self.unknowns, self.shapes, strict=True):
            count = int(np.prod(shape))
            guess, row = unknown.moved(guess, row[:count].reshape(shape)), row[count:]
        return guess

    def gradient(self, guess: Guess, grads: list[RenderGradients]) -> np.ndarray:
        """Return the gradient (N,)."""
        return np.concatenate([np.zeros(0), *(unknown.gradient(guess, grads).ravel() for unknown in self.unknowns)])


def sensitivity(numbers: Numbers, guess: Guess, follow: bool, hidden: float = _UNSEEN) -> Sensitivity:
    """Return what the cameras' numbers and the vertices do, vertices following or held, with a weight for those hidden."""
    guess = guess._replace(mesh=replace(guess.mesh, vertices=guess.mesh.vertices.astype(np.float64)))
    weight = np.where(_seen(guess), 1.0, hidden)[..., None]
    by_camera = [
        (_pixels(numbers.moved(guess, step)) - _pixels(numbers.moved(guess, -step))) * weight / (2 * _STEP)
        for step in _STEP * np.eye(numbers.length)
    ]
    cameras = np.array(by_camera).reshape(numbers.length, *weight.shape[:2], 2)
    by_vertex = [(_pixels(_shifted(guess, d)) - _pixels(_shifted(guess, -d))) * weight for d in _STEP * np.eye(3)]
    vertices = np.array(by_vertex) / (2 * _STEP)
    of_vertices = np.einsum("anvk,bnvk->vab", vertices, vertices)
    of_cameras = np.einsum("pnvk,qnvk->pq", cameras, cameras)
    goes = None
    if follow:
        both = np.einsum("anvk,pnvk->vap", vertices, cameras)
        goes = -np.linalg.solve(of_vertices, both)
        of_cameras = of_cameras + np.einsum("vap,vaq->pq", both, goes)
    return Sensitivity(of_cameras / weight.size, goes, of_vertices)


def solve(
    unknowns: Sequence[Unknown], true: Guess, seed: int, steps: int, together: bool = True
) -> tuple[Guess, Guess]:
    """Return the guess that a descent began with, and the one it ended with.

    Without `together` it is Adam on all numbers as they are, from the first step to the last.
    """
    random = np.random.default_rng(seed)
    starts = [unknown.start(random, true) for unknown in unknowns]
    guess = true
    for unknown, start in zip(unknowns, starts, strict=True):
        guess = unknown.moved(guess, start)
    pairs = list(zip(unknowns, starts, strict=True))
    kinds = {
        kind: Numbers(
            tuple(one for one, _ in pairs if one.kind == kind),
            tuple(start.shape for one, start in pairs if one.kind == kind),
        )
        for kind in ("camera", "light", "shape")
    }
    targets = [_over_black(dr.render(true.mesh, camera, SOFT, true.light).image) for camera in true.cameras]
    begin = guess
    if not together:
        return begin, _plainly(guess, kinds, targets, steps)
    stages: tuple[Stage, ...] = FREE_SHAPE if kinds["shape"].length else KNOWN_SHAPE
    if not (kinds["camera"].length or kinds["light"].length):
        stages = tuple(stage for stage in stages if stage.shape)
    whole = sum(stage.share for stage in stages)
    for stage in stages:
        guess = _descend(guess, kinds, targets, stage, round(steps * stage.share / whole))
    return begin, guess


def _descend(guess: Guess, kinds: dict[str, Numbers], targets: list[np.ndarray], stage: Stage, steps: int) -> Guess:
    camera, light, shape = (kinds[kind] for kind in ("camera", "light", "shape"))
    free = stage.shape and shape.length > 0
    # The far side of a known shape makes weak directions a little stronger, and first steps along them shorter.
    known = sensitivity(camera, guess, follow=free, hidden=_UNSEEN if shape.length else 1.0)
    of_camera = known.camera_matrix(stage.floor) if camera.length else np.zeros((0, 0))
    of_shape = known.shape_matrix()
    follow = None if known.follow is None else known.follow @ of_camera
    rates = [stage.camera_rate, stage.shape_rate]
    states = [ADAM.init(np.zeros(camera.length)), ADAM.init(np.zeros((len(guess.mesh.vertices), 3)))]
    of_light = [ADAM.init(np.zeros(shape)) for shape in light.shapes]
    for step in range(steps):
        grads = _gradients(guess, targets)
        fall = cosine(1.0, 0.0, step / steps)
        grad_camera = of_camera.T @ camera.gradient(guess, grads)
        grad_shape = np.sum([grad.vertices for grad in grads], axis=0, dtype=np.float64)
        if follow is not None:
            grad_camera = grad_camera + np.einsum("vap,va->p", follow, grad_shape)
        row, states[0] = ADAM.update(grad_camera, states[0], fall * rates[0])
        moved = guess
        for number, unknown in enumerate(light.unknowns):
            gradient = unknown.gradient(guess, grads)
            delta, of_light[number] = ADAM.update(gradient, of_light[number], fall * unknown.rate)
            moved = unknown.moved(moved, delta)
        moved = camera.moved(moved, of_camera @ row)
        if free:
            own, states[1] = ADAM.update(np.einsum("vab,va->vb", of_shape, grad_shape), states[1], fall * rates[1])
            shift = np.einsum("vab,vb->va", of_shape, own)
            moved = _shifted(moved, shift if follow is None else shift + follow @ row)
        guess = moved
    return guess


def _plainly(guess: Guess, kinds: dict[str, Numbers], targets: list[np.ndarray], steps: int) -> Guess:
    unknowns = [pair for numbers in kinds.values() for pair in zip(numbers.unknowns, numbers.shapes, strict=True)]
    states = [ADAM.init(np.zeros(shape)) for _, shape in unknowns]
    for step in range(steps):
        grads = _gradients(guess, targets)
        deltas = []
        for number, (unknown, _) in enumerate(unknowns):
            gradient, rate = unknown.gradient(guess, grads), cosine(unknown.rate, 0.0, step / steps)
            delta, states[number] = ADAM.update(gradient, states[number], rate)
            deltas.append(delta)
        for (unknown, _), delta in zip(unknowns, deltas, strict=True):
            guess = unknown.moved(guess, delta)
    return guess


def _gradients(guess: Guess, targets: list[np.ndarray]) -> list[RenderGradients]:
    """Return the gradients of the mean squared differences of pictures over black: a colour counts as far as it is there."""
    grads = []
    for camera, target in zip(guess.cameras, targets, strict=True):
        rendering = dr.render(guess.mesh, camera, SOFT, guess.light)
        color, alpha = rendering.image[..., :3], rendering.image[..., 3:]
        grad = l2(_over_black(rendering.image), target)[1]
        by_alpha = grad[..., 3:] + (grad[..., :3] * color).sum(axis=-1, keepdims=True)
        grads.append(rendering.backward(np.concatenate([grad[..., :3] * alpha, by_alpha], axis=-1)))
    return grads


def _over_black(image: np.ndarray) -> np.ndarray:
    """Return RGBA (H, W, 4) premultiplied."""
    return np.concatenate([image[..., :3] * image[..., 3:], image[..., 3:]], axis=-1)


def _shifted(guess: Guess, shift: np.ndarray) -> Guess:
    vertices = guess.mesh.vertices
    return guess._replace(mesh=replace(guess.mesh, vertices=vertices + np.asarray(shift, vertices.dtype)))


def _pixels(guess: Guess) -> np.ndarray:
    """Return x and y px (N, V, 2) of all vertices in all pictures."""
    points = guess.mesh.vertices.astype(np.float64)
    return np.array([project(points, camera)[:, :2] for camera in guess.cameras])


def _seen(guess: Guess) -> np.ndarray:
    """Return whether a picture shows a face at a vertex (N, V)."""
    seen = np.zeros((len(guess.cameras), len(guess.mesh.vertices)), bool)
    for row, camera in zip(seen, guess.cameras, strict=True):
        ids = dr.visible_faces(guess.mesh, camera).face_ids
        row[guess.mesh.faces[np.unique(ids[ids >= 0])]] = True
    return seen
