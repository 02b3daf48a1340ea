"""A fit that changes as little of a template as explains the photos: most of its vertices move by exactly 0.

First proximal steps find what has to move (`ProximalAdam`); then that is fitted anew without their weight, which shortens
offsets; then what moved by less than a photo resolves goes back; and the rest is fitted once more.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from . import loss
from .adjust import unadjusted
from .backend import Name
from .camera import project
from .defect import correction, over_black, over_black_backward
from .fit_settings import FitSettings
from .fit_state import Change, FitState, Step
from .mesh import Mesh
from .optimize.adam import Adam
from .optimize.proximal import Only, ProximalAdam, ProximalAdamState, holding_weight
from .optimize.schedule import cosine
from .optimize.smoothing import Smoothing
from .paint import blend
from .rendering import render, soft_around
from .topology import uniform_laplacian
from .views.view import View

_SIGMA = 0.1  # px^2
_REFRESH_EVERY = 10  # steps between corrections of the soft images
_RESOLVED = 0.5  # px: what moves by less does not show
_LEARNING_RATE = 6e-3  # sizes of the object
_LAST_RATE = 0.01  # of the learning rate, at the end of a stage


class _Stage(NamedTuple):
    """A part of the fit: the share of the steps it ends at, how far its steps are smoothed, its share of the learning rate."""

    until: float
    sweeps: int
    rate: float
    proximal: bool = False


_STAGES = (_Stage(0.6, 24, 1.0, proximal=True), _Stage(0.85, 4, 0.3), _Stage(1.0, 4, 0.05))
_REFIT = Adam(0.8, 0.95, vector=True)


def sparse_steps(
    mesh: Mesh | str, views: list[View], settings: FitSettings, state: FitState | None, backend: Name
) -> Iterator[Step]:
    """Fit a template, which stays where it is, to views as `worked_on` returns them, one `Step` at a time.

    All views are compared in every step, as images over black; the template's colours, or if it has none those that the
    views show on it, are held. Raises ValueError for a start that is no mesh, or for a lone view.
    """
    if not isinstance(mesh, Mesh):
        raise ValueError(f"sparsity {settings.sparsity} needs a mesh to start from, got {mesh!r}")
    if len(views) < 2:
        raise ValueError(f"sparsity {settings.sparsity} needs views from several sides, got {len(views)}")
    return _steps(views, settings, state or _start(mesh, views), backend)


def changed_mesh(state: FitState) -> Mesh:
    """Return the mesh of a state; vertices that have not moved have the template's very coordinates."""
    return Mesh(state.parameter.astype(np.float32), state.faces, state.colors)


def _start(mesh: Mesh, views: list[View]) -> FitState:
    rest = mesh.vertices.astype(np.float64)
    colors = mesh.vertex_colors
    if colors is None:
        colors = blend(mesh, views)
    still = np.zeros_like(rest)
    return FitState(
        step=0,
        parameter=rest,
        smoothness=0.0,
        colors=colors.astype(np.float32),
        faces=mesh.faces,
        scale=float(np.linalg.norm(np.ptp(rest, axis=0))) / 2,
        shape_moments=_REFIT.init(rest),
        color_moments=Adam().init(colors),
        adjustments=unadjusted([view.camera for view in views]),
        change=Change(rest, still, still, 0.0),
    )


def _steps(views: list[View], settings: FitSettings, state: FitState, backend: Name) -> Iterator[Step]:
    photos = [np.dstack([view.image * view.mask[..., None], view.mask]) for view in views]
    laplacian = uniform_laplacian(state.faces, len(state.colors))
    smoothings = [Smoothing(laplacian, stage.sweeps) for stage in _STAGES]
    starts = [0, *(round(stage.until * settings.steps) for stage in _STAGES)]
    targets: list[np.ndarray] = []
    assert state.change is not None
    change = state.change
    for step in range(state.step, settings.steps):
        number = next(k for k in range(len(_STAGES)) if step < starts[k + 1])
        stage = _STAGES[number]
        moments = state.shape_moments
        if step == starts[number]:
            moments = _REFIT.init(change.rest)
            if number == len(_STAGES) - 1:
                change = change._replace(offset=np.where(_resolved(change, views), change.offset, 0))
        if step % _REFRESH_EVERY == 0:
            change = change._replace(corrected=change.offset)
        if not targets or step % _REFRESH_EVERY == 0:
            then = _moved(change, change.corrected, state)
            targets = [
                photo + correction(then, view.camera, soft_around(then, view.camera, _SIGMA, settings.gamma), backend)
                for photo, view in zip(photos, views, strict=True)
            ]
        mesh = _moved(change, change.offset, state)
        value, gradient, image = _compare(mesh, views, targets, settings, backend)
        gradient, _ = smoothings[number].update(gradient, None)
        if step == 0:
            change = change._replace(weight=settings.sparsity * holding_weight(gradient))
        progress = (step - starts[number]) / (starts[number + 1] - starts[number])
        rate = stage.rate * state.scale * cosine(1.0, _LAST_RATE, progress)
        rate *= _LEARNING_RATE if settings.learning_rate is None else settings.learning_rate
        if stage.proximal:
            before = ProximalAdamState(change.offset, moments)
            delta, after = ProximalAdam(change.weight).update(gradient, before, rate)
            moments = after.moments
        else:
            gradient, _ = Only((change.offset != 0).any(axis=1)).update(gradient, None)
            delta, moments = _REFIT.update(gradient, moments, rate)
        change = change._replace(offset=change.offset + delta)
        state = state._replace(
            step=step + 1, parameter=change.rest + change.offset, shape_moments=moments, change=change
        )
        yield Step(step + 1, settings.steps, changed_mesh(state), value, {"image": value}, image, state)


def _moved(change: Change, offset: np.ndarray, state: FitState) -> Mesh:
    return Mesh((change.rest + offset).astype(np.float32), state.faces, state.colors)


def _compare(
    mesh: Mesh, views: list[View], targets: list[np.ndarray], settings: FitSettings, backend: Name
) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the images' mean squared difference, its gradient for the vertices (V, 3), and the first image (H, W, 4)."""
    total, gradient, images = 0.0, np.zeros(mesh.vertices.shape), []
    for view, target in zip(views, targets, strict=True):
        soft = soft_around(mesh, view.camera, _SIGMA, settings.gamma)
        rendering = render(mesh, view.camera, soft, backend=backend)
        value, grad = loss.l2(over_black(rendering.image), target)
        total += value
        gradient += rendering.backward(over_black_backward(rendering.image, grad)).vertices
        images.append(rendering.image)
    return total / len(views), gradient / len(views), images[0]


def _resolved(change: Change, views: list[View]) -> np.ndarray:
    """Return whether each vertex (V, 1) has moved as far as the nearest view could show."""
    px_per_length = [view.camera.focal / np.maximum(project(change.rest, view.camera)[:, 2], 1e-9) for view in views]
    return (np.linalg.norm(change.offset, axis=1) * np.max(px_per_length, axis=0) >= _RESOLVED)[:, None]
