"""The optimiser loop: a mesh's vertices and colours fitted to one photo or many. Knows no files and prints nothing."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np

from .adjust import Adjustments, Rates, adjust, adjusted, unadjusted
from .backend import Name
from .body import Body
from .fit_settings import FitSettings
from .fit_state import FitState, Step
from .growth import Growth, GrowthPlan
from .halves import symmetric_start, with_reflections
from .hull import hull_mesh
from .inflate import inflate
from .mesh import Mesh, subdivide
from .objective import Comparison, Exposed, Objective
from .optimize.adam import Adam, AdamState
from .optimize.clip import shortened
from .optimize.large_steps import LargeSteps
from .orbit import middle
from .paint import blend, paint, visibility
from .placement import place
from .plan import UNFOLD_ROUNDS, Plan, Start, worked_on
from .priors import Prior, is_held, priors_of
from .quality import even_edge_length
from .remesh import remesh
from .repair import unfold
from .retexture import retextured, texel_steps
from .sparse import changed_mesh, sparse_steps
from .sphere import icosphere
from .topology import uniform_laplacian
from .views.view import View

_VIEWS_FOR_HULL = 12
_SHAPE_OPTIMIZER, _COLOR_OPTIMIZER = Adam(uniform=True), Adam()


def fit(
    views: Sequence[View],
    mesh: Mesh | str | None = None,
    settings: FitSettings = FitSettings(),  # noqa: B008
    state: FitState | None = None,
    backend: Name = "cpu",
) -> Iterator[Step]:
    """Fit a mesh's vertices and colours to views, one `Step` at a time; the last step's mesh is the result.

    `mesh` is the start: a Mesh, whose texture becomes vertex colours, and which is moved and scaled onto the masks; "sphere",
    which is also stretched; "balloon", the silhouette of the first view blown up; "hull", all that no mask of several views
    contradicts; None takes what `default_start` says. With `settings.sparsity`, a Mesh stays where it is, and as little of it
    as possible changes; with `settings.hold_shape` it all stays but for its texture, whose texels are fitted. With
    `settings.symmetry`, each view is also one from the other side of the plane, and the balloon a solid that the plane
    mirrors. `state`, of an earlier Step, goes on from there. `backend` "cpu", "cuda" or "auto" draws the images. Raises
    ValueError for no views, another mesh, a state that has ended, or a plane that the photo cannot tell depth by,
    BackendError for "cuda" without a usable GPU. After SoftRas (Liu 2019) and Large Steps (Nicolet 2021).
    """
    views = list(views)
    if not views:
        raise ValueError("fit needs at least one view, got none")
    if mesh is None:
        mesh = default_start(len(views))
    if state is not None and state.step >= settings.steps:
        raise ValueError(f"the fit has already ended: {state.step} of {settings.steps} steps are done")
    if settings.hold_shape:
        return texel_steps(mesh, worked_on(views, settings, "held"), settings, state, backend)
    if isinstance(mesh, Mesh):
        mesh = mesh.with_vertex_colors()
    if isinstance(mesh, Mesh) and settings.faces is None:
        settings = replace(settings, faces=len(mesh.faces))
    if settings.sparsity > 0:
        return sparse_steps(mesh, worked_on(views, settings, "far"), settings, state, backend)
    kind = _kind(mesh)
    views = worked_on(views, settings, kind)
    grows = mesh == "sphere" and len(views) == 1 and settings.symmetry == "none" and settings.remesh_every > 0
    side = max(views[0].camera.size)
    plan = GrowthPlan(settings, side) if grows else Plan(settings, kind, side)
    start = None
    if state is None or is_held(settings):
        make = partial(_start_mesh, mesh, views, plan)
        start, plane = symmetric_start(mesh, views, settings.symmetry, plan.final_faces, make)
        state = state or _start(start, with_reflections(views, plane), plan)._replace(plane=plane)
    views = with_reflections(views, state.plane)
    if len(state.adjustments.rotations) != len(views):
        raise ValueError(f"the state is that of a fit to {len(state.adjustments.rotations)} views, got {len(views)}")
    return _steps(_Problem(views, plan, priors_of(settings, state.scale, start), grows, backend), state)


def default_start(views: int) -> str:
    """Return the start mesh for a number of views: a hull needs many, with few it has edges that no object has."""
    return "balloon" if views == 1 else "sphere" if views < _VIEWS_FOR_HULL else "hull"


def finish(state: FitState, views: Sequence[View], settings: FitSettings, hull: bool = False) -> Mesh:
    """Return the mesh that a fit would end with if `state` were its last: for a run that was interrupted or has ended.

    `hull` says that it started from one.
    """
    if state.change is not None:
        return changed_mesh(state)
    if state.texels is not None:
        return retextured(state)
    body = Body.of(state.parameter, state.faces, state.smoothness, state.plane)
    if state.step < settings.steps:
        flat = body.unfolded(UNFOLD_ROUNDS)
        body = body if flat is None else body.at(flat)
    views = worked_on(views, settings, "hull" if hull else "far")
    views = adjusted(with_reflections(views, state.plane), state.adjustments)
    return _painted(body.mesh(state.colors), views, settings.gamma, hull)


class _Problem(NamedTuple):
    """What does not change from step to step: the views, with those of mirror images, the schedules, the priors, whether a
    sphere grows into the only view, and what draws."""

    views: list[View]
    plan: Plan
    priors: list[Prior]
    grows: bool
    backend: Name


def _kind(mesh: Mesh | str) -> Start:
    if mesh == "hull":
        return "hull"
    return "balloon" if mesh == "balloon" else "far"


def _start_mesh(mesh: Mesh | str, views: list[View], plan: Plan) -> Mesh:
    if mesh == "hull":
        return hull_mesh(views, plan.final_faces)
    if mesh == "balloon":
        return inflate(views[0], plan.final_faces, plan.settings.thickness)
    if mesh == "sphere":
        subdivisions = max(1, round(math.log(plan.faces(0) / 20, 4)))
        return place(icosphere(subdivisions), views, stretch=True)
    if not isinstance(mesh, Mesh):
        raise ValueError(f"mesh must be a Mesh, 'sphere', 'balloon', 'hull' or None, got {mesh!r}")
    return place(mesh, views)


def _start(mesh: Mesh, views: list[View], plan: Plan) -> FitState:
    laplacian = uniform_laplacian(mesh.faces, len(mesh.vertices))
    vertices = unfold(mesh.vertices, mesh.faces, laplacian)
    smoothness = plan.smoothness(0, len(mesh.faces))
    parameter = LargeSteps(laplacian, smoothness).to_parameter(vertices)
    colors = mesh.vertex_colors
    if colors is None and len(views) > 1:
        colors = blend(Mesh(vertices.astype(np.float32), mesh.faces), views)
    elif colors is None:
        inside = np.concatenate([view.image[view.mask > 0.5] for view in views])
        colors = np.tile(inside.mean(axis=0), (len(vertices), 1))  # the photo paints it, step by step
    colors = colors.astype(np.float32)
    return FitState(
        step=0,
        parameter=parameter,
        smoothness=smoothness,
        colors=colors,
        faces=mesh.faces,
        scale=float(np.linalg.norm(np.ptp(vertices, axis=0))) / 2,
        shape_moments=_SHAPE_OPTIMIZER.init(parameter),
        color_moments=_COLOR_OPTIMIZER.init(colors),
        adjustments=unadjusted([view.camera for view in views]),
    )


def _steps(problem: _Problem, state: FitState) -> Iterator[Step]:
    plan, settings = problem.plan, problem.plan.settings
    objective = Objective(
        settings.silhouette_weight, plan.color_weight, settings.color_space, settings.gamma, problem.backend
    )
    pyramid = _Pyramid(problem.views)
    growth = Growth(problem.views[0], settings.thickness) if problem.grows else None
    body = Body.of(state.parameter, state.faces, state.smoothness, state.plane)
    for step in range(state.step, plan.steps):
        state, body = _with_smoothness(state, body, plan, step)
        level = plan.level(step)
        chosen = plan.views(len(problem.views), step)
        seen = [growth.view(plan.progress(step), level)] if growth else [pyramid.view(n, level) for n in chosen]
        exposed = [
            Exposed(state.adjustments.placed(n, view), state.adjustments.gain(n))
            for n, view in zip(chosen, seen, strict=True)
        ]
        mesh, sigma = body.mesh(state.colors), plan.sigma(step) / level**2
        if len(problem.views) == 1:
            comparison = objective.compare_alone(mesh, exposed[0], sigma)
        else:
            comparison = objective.compare(mesh, exposed, sigma)
        parts, gradient = comparison.parts, shortened(comparison.grad_vertices, plan.longest_gradient)
        for prior in problem.priors:
            parts[prior.name], grad_prior = prior.evaluate(body)
            gradient = gradient + grad_prior
        delta, shape_moments = _SHAPE_OPTIMIZER.update(
            body.gradient(gradient), state.shape_moments, plan.shape_rate(step, state.scale)
        )
        color_delta, color_moments = _COLOR_OPTIMIZER.update(
            comparison.grad_colors, state.color_moments, plan.color_rate(step)
        )
        if growth:
            parameter, body = growth.moved(body, state.parameter, delta)
        else:
            parameter = state.parameter + delta
            body = body.at(parameter)
        state = state._replace(
            step=step + 1,
            parameter=parameter,
            colors=np.clip(state.colors + color_delta, 0, 1),
            shape_moments=shape_moments,
            color_moments=color_moments,
            adjustments=_adjusted(state, mesh, chosen, comparison, plan, step),
        )
        state, body = _unfolded(state, body, plan.unfold_rounds(step))
        if plan.is_remeshed(step):
            state, body = _remeshed(state, body, plan)
        shown = body.mesh(state.colors)
        if plan.is_last(step):
            views = adjusted(problem.views, state.adjustments)
            shown = _painted(shown, views, settings.gamma, plan.start == "hull")
        yield Step(step + 1, plan.steps, shown, sum(parts.values()), parts, comparison.image, state)


class _Pyramid:
    """Views at full size and smaller ones, made when first asked for."""

    def __init__(self, views: list[View]):
        self._levels = {1: views}

    def view(self, number: int, level: int) -> View:
        """Return a view with its sides divided by `level`."""
        if level not in self._levels:
            self._levels[level] = [view.limited(max(view.camera.size) // level) for view in self._levels[1]]
        return self._levels[level][number]


def _with_smoothness(state: FitState, body: Body, plan: Plan, step: int) -> tuple[FitState, Body]:
    """Return the state and its body with the smoothness that a step has; what is known of the parameter goes with it."""
    smoothness = plan.smoothness(step, len(body.faces))
    if plan.keeps_smoothness or smoothness == state.smoothness:
        return state, body
    parameter, body = body.smoothed(smoothness)
    moments = _SHAPE_OPTIMIZER.init(parameter)
    return state._replace(parameter=parameter, smoothness=smoothness, shape_moments=moments), body


def _adjusted(
    state: FitState, mesh: Mesh, chosen: list[int], comparison: Comparison, plan: Plan, step: int
) -> Adjustments:
    """Return the adjustments after a step in which some views were compared with a mesh."""
    settings, rate = plan.settings, plan.rate(step)
    if not settings.adjusts_views:
        return state.adjustments
    rates = Rates(settings.camera_learning_rate * rate, settings.exposure_learning_rate * rate)
    gradients = np.zeros((len(state.adjustments.rotations), 9))
    gradients[chosen] = comparison.grad_views
    return adjust(state.adjustments, gradients, middle(mesh), state.scale, rates)


def _unfolded(state: FitState, body: Body, rounds: int) -> tuple[FitState, Body]:
    """Return the state and its body with folds smoothed."""
    parameter = body.unfolded(rounds) if rounds else None
    if parameter is None:
        return state, body
    # Back through the solver: a resumed run has its vertices from there, to the last bit.
    return state._replace(parameter=parameter), body.at(parameter)


def _remeshed(state: FitState, body: Body, plan: Plan) -> tuple[FitState, Body]:
    """Return a fit's state with even triangles, and its body, all that the optimisers know of its vertices carried over."""
    length = even_edge_length(body.vertices, body.faces, plan.faces(state.step))
    carried = [state.colors, *state.shape_moments[1:], *state.color_moments[1:]]
    mesh = remesh(body.vertices, body.faces, length, carried, rounds=2)
    colors, first, second, color_first, color_second = mesh.carried
    smoothness = plan.smoothness(state.step, len(mesh.faces))
    parameter, body = Body.at_vertices(mesh.vertices, mesh.faces, smoothness, state.plane)
    state = state._replace(
        parameter=parameter,
        smoothness=smoothness,
        colors=colors,
        faces=mesh.faces,
        shape_moments=AdamState(state.shape_moments.step, first, second),
        color_moments=AdamState(state.color_moments.step, color_first, color_second),
    )
    return state, body


def _painted(mesh: Mesh, views: list[View], gamma: float, hull: bool) -> Mesh:
    """Return the mesh with its final colours, from views as `worked_on` returns them.

    A fit from a hull has its faces cut in four, so that colours are as fine as the photos, and these blended from all views.
    Of another, vertices that no view sees well get the colour that a view has at their place: the back mirrors the front.
    """
    if hull:
        fine = subdivide(mesh)
        return replace(fine, vertex_colors=blend(fine, views))
    assert mesh.vertex_colors is not None
    seen = visibility(mesh, views, gamma)[:, None].astype(np.float32)
    colors = seen * mesh.vertex_colors + (1 - seen) * paint(mesh, views)
    return replace(mesh, vertex_colors=np.clip(colors, 0, 1))
