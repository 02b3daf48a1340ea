"""Sphere to cow from silhouettes, diffrender and DEODR by turns in one run, both driven by the same optimiser.

python -m benchmarks.cow                        # with extra bench, ten minutes; --json writes the figures
python -m benchmarks.cow --protocol pytorch3d   # 20 views around and colours, as in PyTorch3D's tutorial; diffrender alone

What is random is the azimuth that the views start from. Seconds are those of the optimisation; judging stops the clock.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

import diffrender as dr
from diffrender import loss
from diffrender.compare import compare_meshes
from diffrender.fitting import soft_around
from diffrender.optimize.adam import Adam, AdamState
from diffrender.optimize.large_steps import LargeSteps
from diffrender.optimize.schedule import geometric
from diffrender.quality import even_edge_length
from diffrender.remesh import remesh
from diffrender.topology import count_flipped_faces, uniform_laplacian

from .environment import describe
from .shapes import shape

SIDE, JUDGED_SIDE = 128, 256  # px
START_RADIUS = 0.5  # of the sphere; the cow's farthest vertex is 1 from its middle
SLICE = 0.5  # seconds of a turn
HARD = dr.Soft(sigma=1e-6)
SAMPLES = 4  # of a target's pixel, along each side
STAGES = 4  # of lambda
SHAPE_ADAM, COLOR_ADAM = Adam(0.9, 0.95, uniform=True), Adam(0.9, 0.95)
COLOR_RATE, COLOR_WEIGHT = 0.02, 1.0
POINTS = 50_000  # of each surface, for Chamfer


class Protocol_(NamedTuple):
    """Where cameras stand, angles in degrees; the unseen ones are half way between the others."""

    azimuths: np.ndarray
    elevations: np.ndarray
    unseen_azimuths: np.ndarray
    unseen_elevations: np.ndarray
    distance: float
    fov_degrees: float
    marks: tuple[float, ...]  # seconds at which the mesh is judged


PROTOCOLS = {
    "orbit": Protocol_(
        45.0 * np.arange(8),
        np.tile([25.0, -10.0], 4),
        45.0 * (np.arange(8) + 0.5),
        np.tile([0.0, 40.0], 4),
        3.2,
        40.0,
        (1, 2, 4, 7, 10, 15, 21),
    ),
    "pytorch3d": Protocol_(
        np.linspace(-180, 180, 20),
        np.linspace(0, 360, 20),
        45.0 * (np.arange(8) + 0.5),
        np.tile([10.0, 45.0, -20.0, 65.0], 2),
        2.7,
        60.0,
        (5, 10, 20, 30, 45, 60),
    ),
}


class Recipe(NamedTuple):
    """How a mesh is fitted; what has an end reaches it after `steps`, and stays there."""

    learning_rate: float
    learning_rate_end: float
    smoothness: float  # lambda of Large Steps
    smoothness_end: float
    sigma: float  # px^2 for diffrender; for DEODR px, the width of its edges
    sigma_end: float
    steps: int
    remesh_every: int = 0  # steps between remeshings to the same number of even triangles, in 4/5 of `steps`; 0: never
    views: int | None = None  # of a step; None: all


class Scene(NamedTuple):
    """A target, and cameras around it with images: coloured and whole (H, W, 4), and whether pixels are covered (H, W)."""

    target: dr.Mesh
    cameras: list[dr.Camera]
    images: list[np.ndarray]
    unseen: list[dr.Camera]
    unseen_masks: list[np.ndarray]


def scene(protocol: Protocol_, seed: int) -> Scene:
    """Return the cow and its views."""
    target = shape("cow")
    turn = np.random.default_rng(seed).uniform(0, 360)
    cameras = [_camera(protocol, a + turn, e, SIDE) for a, e in zip(protocol.azimuths, protocol.elevations, strict=True)]
    unseen = [
        _camera(protocol, a + turn, e, JUDGED_SIDE)
        for a, e in zip(protocol.unseen_azimuths, protocol.unseen_elevations, strict=True)
    ]
    return Scene(target, cameras, [sampled(target, c) for c in cameras], unseen, [hard(target, c) for c in unseen])


def _camera(protocol: Protocol_, azimuth: float, elevation: float, side: int) -> dr.Camera:
    around, above = math.radians(azimuth), math.radians(elevation)
    direction = [math.sin(around) * math.cos(above), math.sin(above), math.cos(around) * math.cos(above)]
    eye = protocol.distance * np.array(direction)
    return dr.Camera.look_at(eye, fov_degrees=protocol.fov_degrees, size=(side, side))


def hard(mesh: dr.Mesh, camera: dr.Camera) -> np.ndarray:
    """Return whether a mesh covers the middle of each pixel (H, W)."""
    return dr.render_silhouette(mesh, camera, HARD).alpha > 0.5


def sampled(mesh: dr.Mesh, camera: dr.Camera) -> np.ndarray:
    """Return colours over black and coverage (H, W, 4), the mean of 4 x 4 hard samples of a pixel."""
    height, width = camera.size
    large = camera.resized((SAMPLES * height, SAMPLES * width))
    image = dr.render(mesh, large, soft_around(mesh, large, HARD.sigma)).image
    image = image.reshape(height, SAMPLES, width, SAMPLES, 4)
    covered = image[..., 3:] > 0.5
    return np.concatenate([image[..., :3] * covered, covered], axis=-1).mean(axis=(1, 3), dtype=np.float32)


class Gradients(NamedTuple):
    """Gradients of the loss for vertices (V, 3), and for their colours (V, 3) where these are fitted."""

    vertices: np.ndarray
    colors: np.ndarray | None = None


class Drawer(Protocol):
    """A renderer that compares meshes with a scene's images."""

    colored: bool

    def gradients(self, mesh: dr.Mesh, sigma: float, chosen: np.ndarray) -> Gradients:
        """Return gradients of the mean loss over the views chosen, by number."""


class Silhouettes:
    """diffrender: `render_silhouette`."""

    colored = False

    def __init__(self, scene: Scene):
        self.cameras, self.masks = scene.cameras, [np.ascontiguousarray(image[..., 3]) for image in scene.images]

    def gradients(self, mesh: dr.Mesh, sigma: float, chosen: np.ndarray) -> Gradients:
        """Return gradients of the mean soft IoU loss."""
        total = np.zeros_like(mesh.vertices)
        settings = dr.Soft(sigma=sigma)
        for view in chosen:
            rendering = dr.render_silhouette(mesh, self.cameras[view], settings)
            _, grad = loss.silhouette_iou(rendering.alpha, self.masks[view])
            total += rendering.backward(grad).vertices
        return Gradients(total / len(chosen))


class Colors:
    """diffrender: `render`, alpha compared by soft IoU, colours over black by their squared difference."""

    colored = True

    def __init__(self, scene: Scene):
        self.cameras, self.images = scene.cameras, scene.images

    def gradients(self, mesh: dr.Mesh, sigma: float, chosen: np.ndarray) -> Gradients:
        """Return gradients of the mean loss."""
        vertices, colors = np.zeros_like(mesh.vertices), np.zeros_like(mesh.vertices)
        for view in chosen:
            camera, target = self.cameras[view], self.images[view]
            rendering = dr.render(mesh, camera, soft_around(mesh, camera, sigma))
            color, alpha = rendering.image[..., :3], rendering.image[..., 3]
            _, grad_alpha = loss.silhouette_iou(alpha, target[..., 3])
            _, grad_blended = loss.l2(color * alpha[..., None], target[..., :3])
            grad_blended = COLOR_WEIGHT * grad_blended
            grad_alpha = grad_alpha + (grad_blended * color).sum(axis=2)
            grads = rendering.backward(np.dstack([grad_blended * alpha[..., None], grad_alpha]))
            assert grads.vertex_colors is not None
            vertices += grads.vertices
            colors += grads.vertex_colors
        return Gradients(vertices / len(chosen), colors / len(chosen))


class Deodr:
    """DEODR's Scene3D, one colour channel without light."""

    colored = False

    def __init__(self, scene: Scene):
        from deodr import differentiable_renderer as deodr

        self.faces: np.ndarray | None = None
        self.scene = deodr.Scene3D(sigma=1, integer_pixel_centers=False)
        self.scene.set_light(light_directional=None, light_ambient=1.0)  # type: ignore[arg-type]
        self.scene.set_background_color([0.0])
        self.cameras = [deodr.Camera(np.column_stack([c.R, c.t]), c.K, SIDE, SIDE) for c in scene.cameras]
        # It multiplies a gradient by R where its way back from the camera takes the transposed: once to undo that, once for it.
        self.repairs = [c.R @ c.R for c in scene.cameras]
        self.masks = [np.ascontiguousarray(image[..., 3]) for image in scene.images]

    def gradients(self, mesh: dr.Mesh, sigma: float, chosen: np.ndarray) -> Gradients:
        """Return gradients of the mean soft IoU loss."""
        vertices = mesh.vertices.astype(np.float64)
        self._show(vertices, mesh.faces)
        self.scene.sigma = sigma
        total = np.zeros_like(vertices)
        for view in chosen:
            image = self.scene.render(self.cameras[view])[..., 0]
            _, grad = loss.silhouette_iou(image, self.masks[view])
            self.scene.clear_gradients()
            self.scene.render_backward(grad[..., None])
            total += self.mesh._vertices_b @ self.repairs[view]
        return Gradients(total / len(chosen))

    def _show(self, vertices: np.ndarray, faces: np.ndarray) -> None:
        if self.faces is faces:
            self.mesh.set_vertices(vertices)
            return
        from deodr.triangulated_mesh import ColoredTriMesh

        self.faces = faces
        self.mesh = ColoredTriMesh(faces.astype(np.uint32), vertices, colors=np.ones((len(vertices), 1)))
        self.scene.set_mesh(self.mesh)


def descend(drawer: Drawer, views: int, recipe: Recipe, seed: int) -> Iterator[dr.Mesh]:
    """Yield the mesh after each step, from a sphere of 2,562 vertices on, without end. Large Steps, Nicolet 2021."""
    sphere = dr.icosphere(4)
    vertices, faces = START_RADIUS * sphere.vertices.astype(np.float64), sphere.faces
    colors = np.full(vertices.shape, 0.5)
    laplacian = uniform_laplacian(faces, len(vertices))
    random = np.random.default_rng(seed)
    state, color_state = SHAPE_ADAM.init(vertices), COLOR_ADAM.init(colors)
    smoothness, step = -1.0, 0
    while True:
        progress = min(1.0, step / recipe.steps)
        remeshes = recipe.remesh_every > 0 and step > 0 and step % recipe.remesh_every == 0 and progress < 0.8
        if remeshes:
            length = even_edge_length(vertices, faces, len(sphere.faces))
            even = remesh(vertices, faces, length, [colors, *state[1:], *color_state[1:]], rounds=2)
            vertices, faces = even.vertices, even.faces
            colors = even.carried[0]
            state = AdamState(state.step, *even.carried[1:3])
            color_state = AdamState(color_state.step, *even.carried[3:5])
            laplacian = uniform_laplacian(faces, len(vertices))
        stage = min(STAGES - 1, int(progress * STAGES)) / (STAGES - 1)
        wanted = geometric(recipe.smoothness, recipe.smoothness_end, stage)
        if remeshes or wanted != smoothness:
            if wanted != smoothness:
                state = SHAPE_ADAM.init(vertices)
            smoothness = wanted
            preconditioner = LargeSteps(laplacian, smoothness)
            parameter = preconditioner.to_parameter(vertices)
        mesh = dr.Mesh(vertices.astype(np.float32), faces, colors.astype(np.float32) if drawer.colored else None)
        chosen = random.permutation(views)[: recipe.views]
        sigma = geometric(recipe.sigma, recipe.sigma_end, progress)
        grads = drawer.gradients(mesh, sigma, chosen)
        rate = geometric(recipe.learning_rate, recipe.learning_rate_end, progress)
        delta, state = SHAPE_ADAM.update(preconditioner.gradient(grads.vertices), state, rate)
        parameter = parameter + delta
        vertices = preconditioner.to_vertices(parameter)
        if grads.colors is not None:
            share = rate / recipe.learning_rate
            delta, color_state = COLOR_ADAM.update(grads.colors.astype(np.float64), color_state, COLOR_RATE * share)
            colors = np.clip(colors + delta, 0, 1)
        step += 1
        yield dr.Mesh(vertices.astype(np.float32), faces, colors.astype(np.float32) if drawer.colored else None)
