"""Sphere to cow from silhouettes, diffrender and DEODR by turns in one run, both driven by the same optimiser.

python -m benchmarks.cow                        # with extra bench, six minutes; --json writes the figures
python -m benchmarks.cow --protocol pytorch3d   # 20 views around and colours, as in PyTorch3D's tutorial; diffrender alone

What is random is the azimuth that the views start from. Seconds are those of the optimisation; judging stops the clock.
"""

import argparse
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

import diffrender as dr
from diffrender import loss
from diffrender.compare import compare_meshes
from diffrender.optimize.adam import Adam, AdamState
from diffrender.optimize.large_steps import LargeSteps
from diffrender.optimize.schedule import geometric
from diffrender.quality import even_edge_length
from diffrender.remesh import remesh
from diffrender.rendering import soft_around
from diffrender.topology import count_flipped_faces, uniform_laplacian

from .environment import announce, save
from .shapes import shape

SIDE, JUDGED_SIDE = 128, 256  # px
START_RADIUS = 0.5  # of the sphere; the cow's farthest vertex is 1 from its middle
SLICE = 0.5  # seconds of a turn
HARD = dr.Soft(sigma=1e-6)
SAMPLES = 4  # of a target's pixel, along each side
STAGES = 4  # of lambda
SHAPE_ADAM, COLOR_ADAM = Adam(0.9, 0.95, uniform=True), Adam(0.9, 0.95)
COLOR_RATE, COLOR_WEIGHT = 0.02, 1.0
SHARP = 0.03  # px^2
POINTS = 50_000  # of each surface, for Chamfer


class Setup(NamedTuple):
    """Where cameras stand, angles in degrees; the unseen ones are half way between the others."""

    azimuths: np.ndarray
    elevations: np.ndarray
    unseen_azimuths: np.ndarray
    unseen_elevations: np.ndarray
    distance: float
    fov_degrees: float
    marks: tuple[float, ...]  # seconds at which the mesh is judged


SETUPS = {
    "orbit": Setup(
        45.0 * np.arange(8),
        np.tile([25.0, -10.0], 4),
        45.0 * (np.arange(8) + 0.5),
        np.tile([0.0, 40.0], 4),
        3.2,
        40.0,
        (1, 2, 4, 7, 10, 15, 21),
    ),
    "pytorch3d": Setup(
        np.linspace(-180, 180, 20),
        np.linspace(0, 360, 20),
        np.linspace(-180, 180, 39)[1::2],
        np.linspace(0, 360, 39)[1::2],
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


# By search at an azimuth that is not judged. With sigma 1, DEODR's edges cover 7 % too much, and its IoU ends 0.04 lower.
RECIPES = {
    ("diffrender", "kept"): Recipe(0.1, 0.005, 5, 2, 0.3, 0.02, 600),
    ("DEODR", "kept"): Recipe(0.1, 0.005, 5, 2, 1.0, 0.25, 720),
    ("diffrender", "remeshed"): Recipe(0.06, 0.003, 20, 3, 0.3, 0.02, 600, remesh_every=40),
    ("DEODR", "remeshed"): Recipe(0.1, 0.005, 20, 5, 1.0, 0.25, 720, remesh_every=40),
}
COLORED_RECIPE = Recipe(0.06, 0.002, 20, 3, 0.3, 0.003, 1000, remesh_every=40, views=5)


class Scene(NamedTuple):
    """A target, and cameras around it with images: coloured and whole (H, W, 4), and whether pixels are covered (H, W)."""

    target: dr.Mesh
    cameras: list[dr.Camera]
    images: list[np.ndarray]
    unseen: list[dr.Camera]
    unseen_masks: list[np.ndarray]


def scene(setup: Setup, seed: int) -> Scene:
    """Return the cow and its views."""
    target = shape("cow")
    turn = np.random.default_rng(seed).uniform(0, 360)
    cameras = [_camera(setup, a + turn, e, SIDE) for a, e in zip(setup.azimuths, setup.elevations, strict=True)]
    unseen = [
        _camera(setup, a + turn, e, JUDGED_SIDE)
        for a, e in zip(setup.unseen_azimuths, setup.unseen_elevations, strict=True)
    ]
    return Scene(target, cameras, [sampled(target, c) for c in cameras], unseen, [hard(target, c) for c in unseen])


def _camera(setup: Setup, azimuth: float, elevation: float, side: int) -> dr.Camera:
    around, above = math.radians(azimuth), math.radians(elevation)
    direction = [math.sin(around) * math.cos(above), math.sin(above), math.cos(around) * math.cos(above)]
    eye = setup.distance * np.array(direction)
    return dr.Camera.look_at(eye, fov_degrees=setup.fov_degrees, size=(side, side))


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
    """diffrender: `render`, alpha and colours over black compared.

    Few middles of pixels lie within reach of a sharp edge: then a pixel is the mean of 2 x 2 samples, as the targets' are of
    more, and alpha's loss a squared difference, which ends where the shares of covered pixels are met. Soft IoU ends at 0 or 1.
    """

    colored = True

    def __init__(self, scene: Scene):
        self.images = scene.images
        self.cameras = {
            samples: [c.resized((samples * SIDE, samples * SIDE)) for c in scene.cameras] for samples in (1, 2)
        }

    def gradients(self, mesh: dr.Mesh, sigma: float, chosen: np.ndarray) -> Gradients:
        """Return gradients of the mean loss."""
        samples = 2 if sigma < SHARP else 1
        vertices, colors = np.zeros_like(mesh.vertices), np.zeros_like(mesh.vertices)
        for view in chosen:
            camera = self.cameras[samples][view]
            rendering = dr.render(mesh, camera, soft_around(mesh, camera, sigma * samples**2))
            color, alpha = rendering.image[..., :3], rendering.image[..., 3:]
            blended = np.concatenate([color * alpha, alpha], axis=2)
            pooled = blended.reshape(SIDE, samples, SIDE, samples, 4).mean(axis=(1, 3))
            grad = _loss_gradient(pooled, self.images[view], samples > 1) / np.float32(samples**2)
            grad = grad.repeat(samples, axis=0).repeat(samples, axis=1)
            grad_alpha = grad[..., 3:] + (grad[..., :3] * color).sum(axis=2, keepdims=True)
            grads = rendering.backward(np.concatenate([grad[..., :3] * alpha, grad_alpha], axis=2))
            assert grads.vertex_colors is not None
            vertices += grads.vertices
            colors += grads.vertex_colors
        return Gradients(vertices / len(chosen), colors / len(chosen))


def _loss_gradient(image: np.ndarray, target: np.ndarray, sharp: bool) -> np.ndarray:
    """Return the gradient (H, W, 4) of the squared difference of colours, and of alpha or of its soft IoU."""
    _, grad_color = loss.l2(image[..., :3], target[..., :3])
    if sharp:
        grad_alpha = (image[..., 3] - target[..., 3]) / target[..., 3].sum()
    else:
        _, grad_alpha = loss.silhouette_iou(image[..., 3], target[..., 3])
    return np.concatenate([COLOR_WEIGHT * grad_color, grad_alpha[..., None]], axis=2)


class Deodr:
    """DEODR's Scene3D, one colour channel without light."""

    colored = False

    def __init__(self, scene: Scene):
        from deodr import differentiable_renderer as deodr

        self.faces: np.ndarray | None = None
        self.mesh: Any = None
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


class Run:
    """A fit with a clock of its own, which stops while its meshes are judged."""

    def __init__(self, drawer: Drawer, scene: Scene, marks: tuple[float, ...], recipe: Recipe, seed: int):
        self.scene, self.marks = scene, marks
        self.meshes = descend(drawer, len(scene.cameras), recipe, seed)
        self.mesh = scene.target  # until the first step
        self.steps, self.seconds = 0, 0.0
        self.ious: list[float] = []

    @property
    def done(self) -> bool:
        """Whether the mesh was judged at all marks."""
        return len(self.ious) == len(self.marks)

    def advance(self) -> None:
        """Take steps for a turn, and judge the mesh if it has come to a mark."""
        until = min(self.seconds + SLICE, self.marks[len(self.ious)])
        while self.seconds < until:
            begin = time.perf_counter()
            self.mesh = next(self.meshes)
            self.seconds += time.perf_counter() - begin
            self.steps += 1
        if self.seconds >= self.marks[len(self.ious)]:
            self.ious.append(held_out_iou(self.mesh, self.scene))

    def figures(self) -> dict[str, Any]:
        """Return how fast the fit was, and how good."""
        compared = compare_meshes(self.mesh, self.scene.target, POINTS)
        return {
            "steps": self.steps,
            "steps_per_second": self.steps / self.seconds,
            "ious": self.ious,
            "chamfer": compared.chamfer,
            "normal_consistency": compared.normal_consistency,
            "flipped_faces": count_flipped_faces(self.mesh.vertices, self.mesh.faces),
            "faces": len(self.mesh.faces),
        }


def held_out_iou(mesh: dr.Mesh, scene: Scene) -> float:
    """Return the mean IoU of hard silhouettes in the unseen views."""
    pairs = zip(scene.unseen, scene.unseen_masks, strict=True)
    return float(np.mean([loss.iou(hard(mesh, camera), mask) for camera, mask in pairs]))


def measure(seeds: int, protocol: str, pictures: Path | None) -> list[dict[str, Any]]:
    """Return a row per seed and method; with `pictures`, draw the meshes of the last seed there."""
    setup, rows = SETUPS[protocol], []
    for seed in range(seeds):
        seen = scene(setup, seed)
        if protocol == "pytorch3d":
            contests = [{("diffrender", "remeshed"): Run(Colors(seen), seen, setup.marks, COLORED_RECIPE, seed)}]
        else:
            contests = [
                {
                    (name, triangles): Run(drawer(seen), seen, setup.marks, RECIPES[name, triangles], seed)
                    for name, drawer in (("diffrender", Silhouettes), ("DEODR", Deodr))
                }
                for triangles in ("kept", "remeshed")
            ]
        for contest in contests:
            warm_up(seen, protocol)
            while not all(run.done for run in contest.values()):
                for run in contest.values():
                    if not run.done:
                        time.sleep(0.003)  # until the other's threads have gone to sleep
                        run.advance()
            for (name, triangles), run in contest.items():
                rows.append({"method": name, "triangles": triangles, "seed": seed, **run.figures()})
        if pictures and seed == seeds - 1:
            draw([seen.target, *(run.mesh for contest in contests for run in contest.values())], pictures)
    return rows


def warm_up(scene: Scene, protocol: str) -> None:
    """Take a few steps, so that no kernel is compiled during a measurement."""
    recipe = Recipe(0.1, 0.1, 5, 5, 0.3, 0.1, 5, remesh_every=2)
    steps = descend(Colors(scene) if protocol == "pytorch3d" else Silhouettes(scene), len(scene.cameras), recipe, 0)
    for _ in range(4):
        next(steps)


def draw(meshes: list[dr.Mesh], path: Path) -> None:
    """Draw each mesh in a row: from the front, side, back, above and below, the last two seen by no camera of the orbit."""
    from diffrender.record.picture import headlight, picture, save_image

    eyes = ((1.2, 0.8, 2.7), (3, 0.2, 0.1), (-1.5, 1.5, -2.2), (0.1, 3, 0.2), (0.5, -2.8, 0.6))
    cameras = [dr.Camera.look_at(eye, fov_degrees=40, size=(240, 240)) for eye in eyes]
    rows = [np.hstack([picture(mesh, camera, headlight(camera)) for camera in cameras]) for mesh in meshes]
    save_image(np.vstack(rows), path)


def table(rows: list[dict[str, Any]], marks: tuple[float, ...]) -> str:
    """Return the medians of the seeds as a Markdown table."""
    lines = [
        "| method | triangles | steps/s | "
        + " | ".join(f"IoU {mark} s" for mark in marks)
        + " | Chamfer | normals | flipped |",
        "| --- " * (6 + len(marks)) + "|",
    ]
    for name, triangles in dict.fromkeys((row["method"], row["triangles"]) for row in rows):
        seen = [row for row in rows if (row["method"], row["triangles"]) == (name, triangles)]
        ious = " | ".join(f"{iou:.4f}" for iou in np.median([row["ious"] for row in seen], axis=0))
        speed, chamfer, normals, flipped = (
            float(np.median([row[key] for row in seen]))
            for key in ("steps_per_second", "chamfer", "normal_consistency", "flipped_faces")
        )
        lines.append(f"| {name} | {triangles} | {speed:.1f} | {ious} | {chamfer:.4f} | {normals:.3f} | {flipped:.0f} |")
    return "\n".join(lines)


def ratios(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Return, by triangles, the median over seeds of diffrender's steps per second over DEODR's."""
    found: dict[str, float] = {}
    for triangles in dict.fromkeys(row["triangles"] for row in rows):
        ours, theirs = (
            [r["steps_per_second"] for r in rows if (r["method"], r["triangles"]) == (name, triangles)]
            for name in ("diffrender", "DEODR")
        )
        if theirs:
            found[triangles] = float(np.median(np.divide(ours, theirs)))
    return found


def main() -> None:
    """Measure, print a Markdown table, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--protocol", choices=tuple(SETUPS), default="orbit")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--pictures", type=Path, help="also draw the meshes of the last seed here, a PNG")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    facts = announce()
    rows = measure(options.seeds, options.protocol, options.pictures)
    print(table(rows, SETUPS[options.protocol].marks))
    speeds = ratios(rows)
    for triangles, ratio in speeds.items():
        print(f"steps per second, triangles {triangles}: {ratio:.2f} times DEODR's")
    save(options.json, facts, protocol=options.protocol, rows=rows, ratios=speeds)


if __name__ == "__main__":
    main()
