"""The optimiser loop: a mesh's vertices and colours fitted to one photo or many. Knows no files and prints nothing."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from . import growth, loss, regularize
from .adjust import Adjustments, Rates, adjust, adjusted, unadjusted
from .backend import Name
from .camera import Camera, project
from .growth import Growth
from .halves import Mirror, Symmetry, check_symmetry, symmetric_start, with_reflections
from .hull import hull_mesh
from .inflate import inflate
from .mesh import Mesh, icosphere, subdivide
from .optimize.adam import Adam, AdamState
from .optimize.clip import shortened
from .optimize.large_steps import LargeSteps
from .optimize.schedule import cosine, geometric
from .orbit import middle
from .paint import blend, paint, visibility
from .placement import place
from .priors import Priors
from .quality import even_edge_length
from .remesh import remesh
from .rendering import Soft, render
from .repair import unfold
from .symmetry import Plane
from .topology import adjacent_faces, uniform_laplacian
from .views.view import View

_VIEWS_FOR_HULL = 12
_MARGIN = 16  # px around the masks of several views: the mesh may begin outside them


@dataclass(frozen=True)
class FitSettings:
    """Settings of `fit`; the defaults need no tuning for one photo of a thing. Lengths are in px of the working size."""

    steps: int = 200
    seed: int = 0
    faces: int | None = None  # of the start mesh that `fit` makes itself; None: 40,000, or 100,000 for a hull
    thickness: float = 0.8  # of the balloon start: 1 makes a disc a sphere
    resolution: int | None = None  # px of the long side that the fit works at; None: 384, or 768 for a hull
    sigma_start: float | None = None  # px^2; None: 0.05 for a balloon, 0.8 hull, (4 % of the long side)^2 further off
    sigma_end: float = 0.02  # px^2; a union of many soft faces bulges by about its root, so the end must be sharp
    gamma: float = 1e-3
    learning_rate: float | None = (
        None  # in units of the object's size; None: 2e-3 for a balloon, 1.2e-2 for a hull, 5e-2 further off
    )
    color_learning_rate: float | None = None  # None: 2e-2, or 5e-3 for a hull, which begins with the photos' colours
    smoothness_start: float | None = None  # None: as below for a balloon, 50 times as much further off
    smoothness: float | None = None  # lambda of Large Steps at the end, for 20,000 faces; None: 8, or 1 for a hull
    silhouette_weight: float = 1.0
    color_weight: float | None = None  # None: 1, or 40 for a hull, whose silhouettes fit to begin with
    laplacian_weight: float = 0.3
    color_space: loss.ColorSpace = "srgb"
    views_per_step: int = 4
    longest_gradient: float | None = (
        None  # quantile of the vertices' gradients that longer ones are shortened to; None: 1, or 0.5 for a hull
    )
    camera_learning_rate: float = (
        0.0  # in sizes of the object, and radians: cameras are put right by the way; 0: as given
    )
    exposure_learning_rate: float = 0.0  # of the logarithm of each photo's gains; 0: all photos are exposed alike
    remesh_every: int = 0  # steps between remeshings to about `faces` even triangles; 0: the start's triangles stay
    symmetry: Symmetry = "none"  # "auto", or the normal (x, y, z) of the plane that mirrors the object, in the world

    rigidity: float = 0.0  # weight of what a mesh departs from the start's shape by, apart from turns of its parts
    volume_weight: float = 0.0  # of the squared relative change of the start's volume

    def __post_init__(self) -> None:
        object.__setattr__(self, "symmetry", check_symmetry(self.symmetry))
        for name in ("steps", "faces", "resolution", "views_per_step"):
            value = getattr(self, name)
            if value is None and name in ("faces", "resolution"):
                continue
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive integer, got {value!r}")
        if not isinstance(self.remesh_every, int) or self.remesh_every < 0:
            raise ValueError(f"remesh_every must be an integer >= 0, got {self.remesh_every!r}")
        if self.rigidity > 0 and self.remesh_every > 0:
            raise ValueError(
                f"rigidity {self.rigidity} needs the start's triangles, but remesh_every is {self.remesh_every}"
            )
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float) and not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{field.name} must be finite and >= 0, got {value}")
        if self.adjusts_views and self.symmetry != "none":
            raise ValueError(
                "cameras and exposures cannot be adjusted with symmetry: reflected views have none of their own"
            )
        for name in ("sigma_start", "sigma_end", "gamma", "thickness"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be positive, got {value}")

    @property
    def adjusts_views(self) -> bool:
        """Whether the fit changes cameras or exposures by the way."""
        return self.camera_learning_rate > 0 or self.exposure_learning_rate > 0


class FitState(NamedTuple):
    """All that the loop needs to go on after `step` steps, to the same bits as without a stop."""

    step: int
    parameter: np.ndarray  # (V, 3) float64, u of Large Steps
    smoothness: float  # the lambda that u is for
    colors: np.ndarray  # (V, 3) float32 linear RGB
    faces: np.ndarray  # (F, 3) int32
    scale: float  # half the diagonal of the start mesh's bounding box
    shape_moments: AdamState
    color_moments: AdamState
    adjustments: Adjustments
    plane: Plane | None = None  # that mirrors the object


class Step(NamedTuple):
    """One step of a fit: the mesh after it, the loss before it and its parts, the soft image (H, W, 4) that was compared."""

    step: int  # 1-based
    steps: int
    mesh: Mesh
    loss: float
    parts: dict[str, float]
    image: np.ndarray
    state: FitState

    @property
    def done(self) -> bool:
        """Whether this is the last step."""
        return self.step == self.steps


def fit(
    views: Sequence[View],
    mesh: Mesh | str | None = None,
    settings: FitSettings = FitSettings(),
    state: FitState | None = None,
    backend: Name = "cpu",
) -> Iterator[Step]:
    """Fit a mesh's vertices and colours to views, one `Step` at a time; the last step's mesh is the result.

    `mesh` is the start: a Mesh, which is moved and scaled onto the masks; "sphere", which is also stretched; "balloon", the
    silhouette of the first view blown up; "hull", all that no mask of several views contradicts; None takes
    what `default_start` says. With `settings.symmetry`, each view is also one from the other side of the plane, and the
    balloon a solid that the plane mirrors. `state`, of an earlier Step, goes on from there. `backend` "cpu", "cuda" or
    "auto" draws the images. Raises ValueError for no views, another mesh, a state that has ended, or a plane that the photo
    cannot tell depth by, BackendError for "cuda" without a usable GPU. After SoftRas (Liu 2019) and Large Steps (Nicolet 2021).
    """
    views = list(views)
    if not views:
        raise ValueError("fit needs at least one view, got none")
    if mesh is None:
        mesh = default_start(len(views))
    if isinstance(mesh, Mesh) and settings.faces is None:
        settings = replace(settings, faces=len(mesh.faces))
    views, settings = _worked_on(views, settings, mesh == "hull")
    alone = len(views) == 1 and settings.symmetry == "none"
    grows = mesh == "sphere" and alone and settings.remesh_every > 0
    settings = _resolved(settings, mesh, max(views[0].camera.size), grows)
    priors = None
    is_held = settings.rigidity > 0 or settings.volume_weight > 0
    if state is None or is_held:
        assert settings.faces is not None
        make = partial(_start_mesh, mesh, views, settings, grows)
        start, plane = symmetric_start(mesh, views, settings.symmetry, settings.faces, make)
        state = state or _start(start, with_reflections(views, plane), settings)._replace(plane=plane)
        priors = Priors.of(start, settings.rigidity, settings.volume_weight) if is_held else None
    views = with_reflections(views, state.plane)
    if len(state.adjustments.rotations) != len(views):
        raise ValueError(f"the state is that of a fit to {len(state.adjustments.rotations)} views, got {len(views)}")
    if state.step >= settings.steps:
        raise ValueError(f"the fit has already ended: {state.step} of {settings.steps} steps are done")
    return _steps(views, settings, state, backend, mesh == "hull", grows, priors)


def default_start(views: int) -> str:
    """Return the start mesh for a number of views: a hull needs many, with few it has edges that no object has."""
    return "balloon" if views == 1 else "sphere" if views < _VIEWS_FOR_HULL else "hull"


def _worked_on(views: Sequence[View], settings: FitSettings, hull: bool) -> tuple[list[View], FitSettings]:
    """Return the views as a fit compares them, and settings with the size of image and mesh filled in."""
    faces, resolution = (100_000, 768) if hull else (40_000, 384)
    settings = replace(settings, faces=settings.faces or faces, resolution=settings.resolution or resolution)
    assert settings.resolution is not None
    views = [view.limited(settings.resolution) for view in views]
    if len(views) > 1:
        views = [view.cropped(_MARGIN) for view in views]
    return views, settings


def _resolved(settings: FitSettings, mesh: Mesh | str, side: int, grows: bool) -> FitSettings:
    """Fill in what depends on how far the start mesh is from the silhouette, in an image of `side` px, and if it grows."""
    hull, close = mesh == "hull", mesh in ("balloon", "hull")
    reach = 0.9 if hull else 0.22 if close else (0.018 if grows else 0.04) * side
    smoothness = _given(settings.smoothness, 1.0 if hull else 2.0 if grows else 8.0)
    return replace(
        settings,
        sigma_start=_given(settings.sigma_start, max(reach**2, settings.sigma_end)),
        learning_rate=_given(settings.learning_rate, 1e-2 if hull else 2e-3 if close else 0.15 if grows else 5e-2),
        color_learning_rate=_given(settings.color_learning_rate, 5e-3 if hull else 2e-2),
        color_weight=_given(settings.color_weight, 40.0 if hull else 1.0),
        longest_gradient=_given(settings.longest_gradient, 0.5 if hull else 1.0),
        smoothness=smoothness,
        smoothness_start=_given(settings.smoothness_start, smoothness * (2 if hull else 1 if close else 50)),
    )


def _given(value: float | None, default: float) -> float:
    return default if value is None else value


def _start_mesh(mesh: Mesh | str, views: list[View], settings: FitSettings, grows: bool) -> Mesh:
    assert settings.faces is not None
    if mesh == "hull":
        return hull_mesh(views, settings.faces)
    if mesh == "balloon":
        return inflate(views[0], settings.faces, settings.thickness)
    if mesh == "sphere":
        faces = growth.face_count(settings.faces, 0) if grows else settings.faces
        subdivisions = max(1, round(math.log(faces / 20, 4)))
        return place(icosphere(subdivisions), views, stretch=True)
    if not isinstance(mesh, Mesh):
        raise ValueError(f"mesh must be a Mesh, 'sphere', 'balloon', 'hull' or None, got {mesh!r}")
    return place(mesh, views)


def _start(mesh: Mesh, views: list[View], settings: FitSettings) -> FitState:
    laplacian = uniform_laplacian(mesh.faces, len(mesh.vertices))
    vertices = unfold(mesh.vertices, mesh.faces, laplacian)
    smoothness = _smoothness(settings, 0, len(mesh.faces))
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
        shape_moments=Adam(uniform=True).init(parameter),
        color_moments=Adam().init(colors),
        adjustments=unadjusted([view.camera for view in views]),
    )


def _steps(
    views: list[View],
    settings: FitSettings,
    state: FitState,
    backend: Name,
    hull: bool,
    grows: bool,
    priors: Priors | None,
) -> Iterator[Step]:
    faces = state.faces
    laplacian = uniform_laplacian(faces, len(state.colors))
    pairs = adjacent_faces(faces)
    preconditioner = LargeSteps(laplacian, state.smoothness)
    shape_optimizer, color_optimizer = Adam(uniform=True), Adam()
    vertices = preconditioner.to_vertices(state.parameter)
    mirror = Mirror.of(vertices, faces, state.plane)
    scale = state.scale
    levels: dict[int, list[View]] = {}
    grown = Growth(views[0], settings.thickness) if grows else None
    unfold_every, unfold_rounds = (growth.UNFOLD_EVERY, growth.UNFOLD_ROUNDS) if grows else (10, 40)
    assert settings.sigma_start is not None and settings.learning_rate is not None
    assert (
        settings.color_learning_rate is not None
        and settings.longest_gradient is not None
        and settings.faces is not None
    )
    for step in range(state.step, settings.steps):
        # What grows is as smooth as after its last remeshing.
        smoothness = state.smoothness if grows else _smoothness(settings, step, len(faces))
        if smoothness != state.smoothness:
            preconditioner = LargeSteps(laplacian, smoothness)
            parameter = preconditioner.to_parameter(vertices)
            state = state._replace(
                parameter=parameter, smoothness=smoothness, shape_moments=shape_optimizer.init(parameter)
            )
        progress = step / settings.steps
        # Softness shrinks over the first three quarters or so; the rest sharpens at the final one.
        sharp_from = growth.SHARP_FROM if grows else 0.75
        sigma = geometric(settings.sigma_start, settings.sigma_end, min(1.0, progress / sharp_from))
        level = _level(sigma, hull)
        if level not in levels:
            levels[level] = [view.limited(max(view.camera.size) // level) for view in views]
        mesh = Mesh(vertices.astype(np.float32), faces, state.colors)
        chosen = _choose(len(views), settings, step)
        adjustments = state.adjustments
        seen = [grown.view(progress, level)] if grown else [levels[level][number] for number in chosen]
        looked_at = [adjustments.placed(number, view) for number, view in zip(chosen, seen, strict=True)]
        compare = _compare_one if len(views) == 1 else _compare_many
        gains = [adjustments.gain(number) for number in chosen]
        parts, grad_vertices, grad_colors, grad_views, image = compare(
            mesh, looked_at, gains, sigma / level**2, settings, backend
        )
        value, gradient = regularize.laplacian(vertices / scale, laplacian)
        parts["laplacian"] = settings.laplacian_weight * value
        grad_vertices = shortened(grad_vertices, settings.longest_gradient)
        grad_vertices = grad_vertices + settings.laplacian_weight * gradient / scale
        if priors is not None:
            held, gradient = priors.evaluate(vertices, faces)
            parts |= held
            grad_vertices = grad_vertices + gradient
        rate = cosine(1.0, 0.1, progress)
        if settings.adjusts_views:
            rates = Rates(settings.camera_learning_rate * rate, settings.exposure_learning_rate * rate)
            grad_all = np.zeros((len(views), 9))
            grad_all[chosen] = grad_views
            adjustments = adjust(adjustments, grad_all, middle(mesh), scale, rates)
        shape_rate = settings.learning_rate * scale * (growth.rate(settings.faces, progress) if grows else rate)
        delta, shape_moments = shape_optimizer.update(
            preconditioner.gradient(mirror.gradient(grad_vertices)), state.shape_moments, shape_rate
        )
        color_delta, color_moments = color_optimizer.update(
            grad_colors, state.color_moments, settings.color_learning_rate * rate
        )
        colors = np.clip(state.colors + color_delta, 0, 1)
        if grown:
            parameter, vertices = _moved(grown, delta, state, vertices, preconditioner)
        else:
            parameter = state.parameter + delta
            vertices = preconditioner.to_vertices(parameter)
        last = step + 1 == settings.steps
        unfolded = vertices
        if last or (step + 1) % unfold_every == 0:
            unfolded = unfold(vertices, faces, laplacian, pairs, 40 if last else unfold_rounds)
        if unfolded is not vertices:
            # Back through the solver: a resumed run has its vertices from there, to the last bit.
            parameter = preconditioner.to_parameter(mirror.symmetric(unfolded))
            vertices = preconditioner.to_vertices(parameter)
        if _is_remeshed(settings, step + 1):
            progress = (step + 1) / settings.steps
            count = growth.face_count(settings.faces, progress) if grows else settings.faces
            vertices, faces, colors, shape_moments, color_moments = _remeshed(
                vertices, faces, colors, shape_moments, color_moments, count
            )
            laplacian, pairs = uniform_laplacian(faces, len(colors)), adjacent_faces(faces)
            smoothness = _smoothness(settings, step + 1, len(faces), grows)
            preconditioner = LargeSteps(laplacian, smoothness)
            parameter = preconditioner.to_parameter(vertices)
            vertices = preconditioner.to_vertices(parameter)
            mirror = Mirror.of(vertices, faces, state.plane)
        state = state._replace(
            step=step + 1,
            parameter=parameter,
            smoothness=smoothness,
            colors=colors,
            faces=faces,
            shape_moments=shape_moments,
            color_moments=color_moments,
            adjustments=adjustments,
        )
        shown = Mesh(vertices.astype(np.float32), faces, colors)
        if last:
            shown = _painted(shown, adjusted(views, adjustments), settings, hull)
        yield Step(step + 1, settings.steps, shown, sum(parts.values()), parts, image, state)


def _level(sigma: float, hull: bool) -> int:
    """Return by what the images' sides are divided at a sigma in px^2.

    A soft image needs few pixels: halved while an edge stays wider than one of them. A hull's edges are sharp and in place;
    there, small images let the photos' patterns find each other from further away.
    """
    quarter, half = (0.4, 0.1) if hull else (32, 4)
    return 4 if sigma >= quarter else 2 if sigma >= half else 1


def _moved(
    grown: Growth, delta: np.ndarray, state: FitState, vertices: np.ndarray, preconditioner: LargeSteps
) -> tuple[np.ndarray, np.ndarray]:
    """Return the parameter (V, 3) after a step of growth by delta, and its vertices, none further than it may go."""
    edge = even_edge_length(vertices, state.faces, len(state.faces))
    delta = delta + grown.pull(vertices, state.faces, edge)
    parameter = state.parameter + delta
    moved = preconditioner.to_vertices(parameter)
    furthest = float(np.sqrt(((moved - vertices) ** 2).sum(axis=1).max()))
    if furthest <= growth.FURTHEST * edge:
        return parameter, moved
    parameter = state.parameter + growth.FURTHEST * edge / furthest * delta
    return parameter, preconditioner.to_vertices(parameter)


def _is_remeshed(settings: FitSettings, step: int) -> bool:
    """Return whether the mesh gets new triangles after a step: not in the last twentieth, which only sharpens."""
    return settings.remesh_every > 0 and step % settings.remesh_every == 0 and step <= 0.95 * settings.steps


def _remeshed(
    vertices: np.ndarray,
    faces: np.ndarray,
    colors: np.ndarray,
    shape_moments: AdamState,
    color_moments: AdamState,
    count: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, AdamState, AdamState]:
    """Return a fit's mesh with about `count` even triangles, and all that the optimisers know of its vertices."""
    length = even_edge_length(vertices, faces, count)
    carried = [colors, *shape_moments[1:], *color_moments[1:]]
    mesh = remesh(vertices, faces, length, carried, rounds=2)
    colors, first, second, color_first, color_second = mesh.carried
    return (
        mesh.vertices,
        mesh.faces,
        colors,
        AdamState(shape_moments.step, first, second),
        AdamState(color_moments.step, color_first, color_second),
    )


def finish(state: FitState, views: Sequence[View], settings: FitSettings, hull: bool = False) -> Mesh:
    """Return the mesh that a fit would end with if `state` were its last: for a run that was interrupted or has ended.

    `hull` says that it started from one.
    """
    laplacian = uniform_laplacian(state.faces, len(state.colors))
    vertices = LargeSteps(laplacian, state.smoothness).to_vertices(state.parameter)
    vertices = unfold(vertices, state.faces, laplacian)
    mesh = Mesh(vertices.astype(np.float32), state.faces, state.colors)
    views, settings = _worked_on(views, settings, hull)
    return _painted(mesh, adjusted(with_reflections(views, state.plane), state.adjustments), settings, hull)


def _smoothness(settings: FitSettings, step: int, faces: int, grows: bool = False) -> float:
    """Return lambda at a step: first the whole object bends, then its limbs, then its details.

    It is proportional to the number of faces: the square root of lambda is a distance in edges.
    """
    assert settings.smoothness is not None and settings.smoothness_start is not None
    first, last = max(settings.smoothness_start, 1e-9), max(settings.smoothness, 1e-9)
    if grows:
        return growth.smoothness(first, last, step / settings.steps) * faces / 20_000
    stage = min(2, 3 * step // settings.steps)
    return geometric(first, last, stage / 2) * faces / 20_000


def _choose(count: int, settings: FitSettings, step: int) -> list[int]:
    """Pick the views of a step, from the step's own random numbers, so that a resumed run picks the same."""
    if count <= settings.views_per_step:
        return list(range(count))
    return np.random.default_rng([settings.seed, step]).permutation(count)[: settings.views_per_step].tolist()


class _Comparison(NamedTuple):
    """Losses by name, their gradients for vertices and colours (V, 3) and for the views (N, 9), and the first view's image."""

    parts: dict[str, float]
    grad_vertices: np.ndarray
    grad_colors: np.ndarray
    grad_views: np.ndarray
    image: np.ndarray


def _compare_many(
    mesh: Mesh, views: list[View], gains: list[np.ndarray], sigma: float, settings: FitSettings, backend: Name
) -> _Comparison:
    """Compare with views from several sides: silhouettes and colours both shape the mesh."""
    parts = {"silhouette": 0.0, "color": 0.0}
    grad_vertices, grad_colors = np.zeros_like(mesh.vertices), np.zeros_like(mesh.vertices)
    images, grad_views = [], []
    for view, gain in zip(views, gains, strict=True):
        rendering = render(mesh, view.camera, soft_around(mesh, view.camera, sigma, settings.gamma), backend=backend)
        losses = _image_losses(rendering.image, gain, view, settings)
        grad_image = losses.grad_color
        grad_image[..., 3] += losses.grad_silhouette
        grads = rendering.backward(grad_image / np.float32(len(views)))
        for name, value in losses.parts.items():
            parts[name] += value / len(views)
        grad_vertices += grads.vertices
        grad_colors += grads.vertex_colors
        grad_views.append(np.concatenate([grads.rotation, grads.translation, losses.grad_log_gain / len(views)]))
        images.append(rendering.image)
    return _Comparison(parts, grad_vertices, grad_colors, np.array(grad_views), images[0])


def _compare_one(
    mesh: Mesh, views: list[View], gains: list[np.ndarray], sigma: float, settings: FitSettings, backend: Name
) -> _Comparison:
    """Compare with the only view. It says nothing about depth, so nothing may move along its rays; and colours, free at
    every vertex, explain the photo's colours by themselves: they must not push the shape about."""
    (view,), (gain,) = views, gains
    rendering = render(mesh, view.camera, soft_around(mesh, view.camera, sigma, settings.gamma), backend=backend)
    losses = _image_losses(rendering.image, gain, view, settings)
    grad_colors = rendering.backward(losses.grad_color).vertex_colors
    grad_image = np.zeros_like(rendering.image)
    grad_image[..., 3] = losses.grad_silhouette
    grads = rendering.backward(grad_image)
    rays = mesh.vertices - view.camera.center.astype(np.float32)
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    grad_vertices = grads.vertices - (grads.vertices * rays).sum(axis=1, keepdims=True) * rays
    assert grad_colors is not None
    grad_view = np.concatenate([grads.rotation, grads.translation, losses.grad_log_gain])[None]
    return _Comparison(losses.parts, grad_vertices, grad_colors, grad_view, rendering.image)


class _ImageLosses(NamedTuple):
    """Weighted losses by name, and their gradients for an image: of the silhouette (H, W), of the colours (H, W, 4); and
    of the colours for the logarithms of the gains (3,)."""

    parts: dict[str, float]
    grad_silhouette: np.ndarray
    grad_color: np.ndarray
    grad_log_gain: np.ndarray


def _image_losses(image: np.ndarray, gain: np.ndarray, view: View, settings: FitSettings) -> _ImageLosses:
    """Compare an image (H, W, 4), its colours times the gains (3,), with a view."""
    assert settings.color_weight is not None
    silhouette, grad_alpha = loss.silhouette_iou(image[..., 3], view.mask)
    gains = np.append(gain, np.float32(1))
    exposed = image * gains
    color, grad_color = loss.l2_covered(exposed, view.image, view.mask, settings.color_space)
    grad_color *= settings.color_weight
    parts = {"silhouette": settings.silhouette_weight * silhouette, "color": settings.color_weight * color}
    grad_log_gain = (grad_color * exposed)[..., :3].sum(axis=(0, 1), dtype=np.float64)
    return _ImageLosses(parts, settings.silhouette_weight * grad_alpha, grad_color * gains, grad_log_gain)


def soft_around(mesh: Mesh, camera: Camera, sigma: float, gamma: float = 1e-3) -> Soft:
    """Return settings whose depth range is that of the mesh in the camera, so that gamma is relative to its size."""
    depth = project(mesh.vertices, camera)[:, 2]
    near, far = max(float(depth.min()), 1e-6), float(depth.max())
    margin = 0.1 * (far - near) + 1e-6
    return Soft(sigma=sigma, gamma=gamma, near=near - margin, far=far + margin)


def _painted(mesh: Mesh, views: list[View], settings: FitSettings, hull: bool) -> Mesh:
    """Return the mesh with its final colours, `views` and `settings` being those of `_worked_on`.

    A fit from a hull has its faces cut in four, so that colours are as fine as the photos, and these blended from all views.
    Of another, vertices that no view sees well get the colour that a view has at their place: the back mirrors the front.
    """
    if hull:
        fine = subdivide(mesh)
        return replace(fine, vertex_colors=blend(fine, views))
    assert mesh.vertex_colors is not None
    seen = visibility(mesh, views, settings.gamma)[:, None].astype(np.float32)
    colors = seen * mesh.vertex_colors + (1 - seen) * paint(mesh, views)
    return replace(mesh, vertex_colors=np.clip(colors, 0, 1))


def settings_from(values: dict[str, Any]) -> FitSettings:
    """Return settings from a dictionary, as `dataclasses.asdict` makes. Raises ValueError for a name that is unknown."""
    known = {field.name for field in fields(FitSettings)}
    if unknown := sorted(set(values) - known):
        raise ValueError(f"unknown settings of the fit: {', '.join(unknown)}")
    return FitSettings(**values)
