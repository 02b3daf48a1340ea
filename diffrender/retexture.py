"""A fit of a texture to photos, the shape held: its texels go down the gradient that the renderer has for them."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from . import loss
from .adjust import unadjusted
from .backend import Name
from .camera import project
from .fit_settings import FitSettings
from .fit_state import FitState, Step, Texels
from .mesh import Mesh
from .optimize.adam import Adam, AdamState
from .paint import EDGE_OF_MANY, core
from .plan import Plan
from .rendering import render, render_silhouette, soft_around
from .texture import Texture
from .views.view import View

_HARD = 1e-6  # px^2: of a shape that is held, soft edges would only mix in what is behind them
_ADAM = Adam(0.8, 0.95)
_BAND = 1 << 16  # texels updated at a time: what that computes by the way stays in the processor's cache


class _Target(NamedTuple):
    """A view, and the pixels (H, W) that count: 1 well inside its mask where it sees the mesh, else 0."""

    view: View
    weight: np.ndarray


def texel_steps(
    mesh: Mesh | str, views: list[View], settings: FitSettings, state: FitState | None, backend: Name
) -> Iterator[Step]:
    """Fit the texels of a mesh, which stays where it is, to views as `worked_on` returns them, one `Step` at a time.

    Texels that no view sees keep their colours to the bit. Raises ValueError for a start that is no mesh or has no texture,
    a state of another kind of fit, or if no view sees the mesh inside its mask.
    """
    if not isinstance(mesh, Mesh):
        raise ValueError(f"hold_shape needs a mesh with a texture to start from, got {mesh!r}")
    if mesh.texture is None and state is None:
        raise ValueError("hold_shape fits the texture of a mesh, but this one has none")
    if state is not None and state.texels is None:
        raise ValueError("hold_shape cannot go on from the state of a fit of a shape")
    state = state or _start(mesh, views)
    start = retextured(state)
    targets = [target for view in views if (target := _target(start, view, settings.gamma, backend)) is not None]
    if not targets:
        raise ValueError(
            f"none of {len(views)} views sees the mesh inside its mask: does it lie in the cameras' world?"
        )
    return _steps(targets, settings, state, backend)


def retextured(state: FitState) -> Mesh:
    """Return the mesh of a state: that of the start with another texture."""
    assert state.texels is not None
    image, uv, faces_uv, wrap, filter = state.texels
    colors = None if (state.colors == 1).all() else state.colors
    texture = Texture(image, wrap, filter)  # type: ignore[arg-type]
    return Mesh(state.parameter.astype(np.float32), state.faces, colors, uv, faces_uv, texture)


def _start(mesh: Mesh, views: list[View]) -> FitState:
    assert mesh.texture is not None and mesh.uv is not None and mesh.faces_uv is not None
    vertices, texture = mesh.vertices.astype(np.float64), mesh.texture
    image = texture.image.astype(np.float32)
    colors = np.ones(vertices.shape, np.float32) if mesh.vertex_colors is None else mesh.vertex_colors
    return FitState(
        step=0,
        parameter=vertices,
        smoothness=0.0,
        colors=colors.astype(np.float32),
        faces=mesh.faces,
        scale=float(np.linalg.norm(np.ptp(vertices, axis=0))) / 2,
        shape_moments=_ADAM.init(np.zeros((0, 3))),
        color_moments=_ADAM.init(image),
        adjustments=unadjusted([view.camera for view in views]),
        texels=Texels(image, mesh.uv.astype(np.float32), mesh.faces_uv, texture.wrap, texture.filter),
    )


def _target(mesh: Mesh, view: View, gamma: float, backend: Name) -> _Target | None:
    """Return a view with its pixels that count, or None if none does."""
    if project(mesh.vertices, view.camera)[:, 2].max() <= 0:
        return None
    alpha = render_silhouette(mesh, view.camera, soft_around(mesh, view.camera, _HARD, gamma), backend).alpha
    weight = (core(view.mask, EDGE_OF_MANY)[..., 0] & (alpha > 0.5)).astype(np.float32)
    return _Target(view, weight) if weight.any() else None


def _steps(targets: list[_Target], settings: FitSettings, state: FitState, backend: Name) -> Iterator[Step]:
    plan = Plan(settings, "held", max(targets[0].view.camera.size))
    mesh = retextured(state)
    for step in range(state.step, settings.steps):
        assert state.texels is not None
        chosen = plan.views(len(targets), step)
        value, gradient, images = 0.0, np.zeros_like(state.texels.image), []
        for number in chosen:
            compared, grad, image = _compare(mesh, targets[number], settings, backend)
            value += compared / len(chosen)
            gradient += grad
            images.append(image)
        gradient /= np.float32(len(chosen))
        rate = plan.color_rate(step) * (1 - plan.progress(step))  # to 0, or the last views seen would count more
        texels, moments = _updated(state.texels.image, gradient, state.color_moments, rate)
        state = state._replace(step=step + 1, texels=state.texels._replace(image=texels), color_moments=moments)
        mesh = retextured(state)
        yield Step(step + 1, settings.steps, mesh, value, {"color": value}, images[0], state)


def _compare(mesh: Mesh, target: _Target, settings: FitSettings, backend: Name) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the loss of a view, its gradient for the texture (H, W, 3), and the image (H, W, 4)."""
    camera = target.view.camera
    rendering = render(mesh, camera, soft_around(mesh, camera, _HARD, settings.gamma), backend=backend)
    grad_image = np.zeros_like(rendering.image)
    value, grad_image[..., :3] = loss.l2(
        rendering.image[..., :3], target.view.image, target.weight, settings.color_space
    )
    texture = rendering.backward(grad_image).texture
    assert texture is not None
    return value, texture, rendering.image


def _updated(image: np.ndarray, gradient: np.ndarray, moments: AdamState, rate: float) -> tuple[np.ndarray, AdamState]:
    """Return an image (H, W, 3) and its moments after a step of Adam, band by band: the same numbers as at once."""
    image, first, second = image.copy(), moments.first.copy(), moments.second.copy()
    rows = max(1, _BAND // image.shape[1])
    for top in range(0, len(image), rows):
        band = slice(top, top + rows)
        before = AdamState(moments.step, first[band], second[band])
        delta, after = _ADAM.update(gradient[band], before, rate)
        first[band], second[band] = after.first, after.second
        image[band] = np.clip(image[band] + delta, 0, 1)
    return image, AdamState(moments.step + 1, first, second)
