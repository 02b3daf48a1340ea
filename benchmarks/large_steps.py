"""A sphere that becomes three thin, concave shapes: Large Steps with remeshing against plain Adam with a Laplacian penalty.

python -m benchmarks.large_steps           # eight minutes; --json writes the figures, --pictures draws what was found
python -m benchmarks.large_steps --tune    # what the settings of plain Adam were chosen from: fifteen minutes
"""

import argparse
import itertools
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import diffrender as dr
from diffrender import regularize
from diffrender.compare import compare_meshes
from diffrender.optimize.adam import Adam, AdamState
from diffrender.optimize.large_steps import LargeSteps
from diffrender.optimize.schedule import cosine, geometric
from diffrender.quality import aspect_ratios, even_edge_length, self_intersections
from diffrender.remesh import remesh
from diffrender.repair import keep_apart, unfold
from diffrender.topology import uniform_laplacian

from .environment import announce, save
from .shapes import directions_around, shape

SHAPES = ("octopus", "horse", "aeroplane")
SECONDS = 20.0  # of one core, for a fit
VIEWS, SIZE, FOV_DEGREES, DISTANCE = 16, 256, 40, 3.2
SHARP_SIGMA, SAMPLES = 1e-2, 4  # of the targets: px^2 of an image that is so many times as wide, which is then averaged
SIGMA_START, SIGMA_END = 1.0, 0.003  # px^2
RADIUS = 0.2  # of the sphere that a fit starts with, shapes having one of 1
VIEWS_PER_STEP = 6
FACES = 10_000  # which both methods end with, about
SETTLED = 0.5  # share of the time after which edges are as sharp, and faces as many, as they get
BETAS = 0.9, 0.99  # of Adam: gradients shrink a lot on the way, so the second moment must forget
FACES_START = 1280
EVERY = 10  # steps between two remeshings, and between two looks for folds and for faces that meet
LONGEST = 0.3  # edges that a vertex moves by at most in a step
LEARNING_RATE, SMOOTHNESS_START, SMOOTHNESS = 0.05, 10.0, 1.0  # lambda for 20,000 faces
METHODS = ("Adam, Laplacian penalty", "Large Steps, remeshing")
RATIOS = (1.2, 1.5, 2.0, 4.0)  # between the bins of the aspect ratios


class Plain(NamedTuple):
    """Settings of plain Adam."""

    learning_rate: float
    weight: float  # of the Laplacian penalty


GRID = [Plain(*values) for values in itertools.product((3e-3, 1e-2, 3e-2), (1.0, 3.0, 5.0, 10.0))]
TUNED = {"octopus": Plain(1e-2, 3.0), "horse": Plain(1e-2, 5.0), "aeroplane": Plain(1e-2, 5.0)}


class View(NamedTuple):
    """A camera, the light that comes with it, and the target's grey over black and alpha, each (H, W) float32."""

    camera: dr.Camera
    light: dr.Light
    grey: np.ndarray
    alpha: np.ndarray


class Scene(NamedTuple):
    """A target and its views."""

    target: dr.Mesh
    views: list[View]


class Found(NamedTuple):
    """A mesh, and the steps and seconds that it took."""

    mesh: dr.Mesh
    steps: int
    seconds: float


def scene(name: str, seed: int) -> Scene:
    """Return a grey shape, lit from each camera's upper left. The 16 cameras, all around, are turned as one by the seed."""
    target = _target(name)
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    views = []
    for eye in DISTANCE * directions_around(VIEWS) @ turn.T:
        camera = dr.Camera.look_at(eye, fov_degrees=FOV_DEGREES, size=(SIZE, SIZE))
        x, y, z = (float(value) for value in camera.R.T @ np.array([-0.5, -0.7, -1.0]))
        light = dr.Light((x, y, z), ambient=0.2, diffuse=0.8)
        image = dr.render(target, camera.resized((SAMPLES * SIZE, SAMPLES * SIZE)), _soft(SHARP_SIGMA), light).image
        grey, alpha = image[..., 0] * image[..., 3], image[..., 3]
        views.append(View(camera, light, _shrunk(grey, SAMPLES), _shrunk(alpha, SAMPLES)))
    return Scene(target, views)


class _Now(NamedTuple):
    """A step: its number from 1 on, the share of the time that is over, softness in px^2, and the views."""

    step: int
    progress: float
    sigma: float
    views: list[View]


def _steps(scene: Scene, seconds: float, seed: int) -> Iterator[_Now]:
    """Yield steps until the time is over, each with views of its own, chosen by the seed."""
    random, begin = np.random.default_rng(seed), time.process_time()
    for step in itertools.count(1):
        progress = (time.process_time() - begin) / seconds
        if progress >= 1:
            return
        sigma = geometric(SIGMA_START, SIGMA_END, min(1, progress / SETTLED))
        chosen = random.permutation(VIEWS)[:VIEWS_PER_STEP]
        yield _Now(step, progress, sigma, [scene.views[number] for number in chosen])


def fit_plain(scene: Scene, plain: Plain, seconds: float, seed: int) -> Found:
    """Fit the vertices of a sphere, which keeps its faces."""
    begin, step = time.process_time(), 0
    vertices, faces = RADIUS * _ball().vertices.astype(np.float64), _ball().faces
    laplacian = uniform_laplacian(faces, len(vertices))
    optimizer = Adam(*BETAS)
    state = optimizer.init(vertices)
    for now in _steps(scene, seconds, seed):
        _, smooth = regularize.laplacian(vertices, laplacian)
        gradient = _gradient(vertices, faces, now) + plain.weight * smooth
        delta, state = optimizer.update(gradient, state, cosine(1, 0.1, now.progress) * plain.learning_rate)
        vertices, step = vertices + delta, now.step
    return Found(dr.Mesh(vertices.astype(np.float32), faces), step, time.process_time() - begin)


def fit_large_steps(scene: Scene, seconds: float, seed: int) -> Found:
    """Fit a sphere that gets ever finer faces, none of which ever meet."""
    begin, step = time.process_time(), 0
    ball = dr.icosphere(3)
    vertices, faces = RADIUS * ball.vertices.astype(np.float64), ball.faces
    optimizer = Adam(*BETAS, uniform=True)
    state, apart = optimizer.init(vertices), vertices
    laplacian, preconditioner = _smoothed(vertices, faces, 0)
    for now in _steps(scene, seconds, seed):
        gradient = preconditioner.gradient(_gradient(vertices, faces, now))
        delta, state = optimizer.update(gradient, state, cosine(1, 0.1, now.progress) * LEARNING_RATE)
        # Back from the parameter without the vertices' own: the solve is linear.
        move = preconditioner.to_vertices(delta)
        longest = LONGEST * even_edge_length(vertices, faces, len(faces))
        vertices = vertices + move * min(1, longest / np.linalg.norm(move, axis=1).max())
        step = now.step
        if step % EVERY == 0:
            vertices = keep_apart(apart, unfold(vertices, faces, laplacian), faces)
            if now.progress < 0.9:
                vertices, faces, state = _remeshed(vertices, faces, state, now.progress)
            apart = vertices
            laplacian, preconditioner = _smoothed(vertices, faces, now.progress)
    vertices = keep_apart(apart.astype(np.float32), vertices.astype(np.float32), faces)
    return Found(dr.Mesh(vertices, faces), step, time.process_time() - begin)


def _smoothed(vertices: np.ndarray, faces: np.ndarray, progress: float) -> tuple[Any, LargeSteps]:
    """Return the Laplacian and Large Steps, lambda in proportion to the faces: its square root is a distance in edges."""
    laplacian = uniform_laplacian(faces, len(vertices))
    smoothness = geometric(SMOOTHNESS_START, SMOOTHNESS, progress) * len(faces) / 20_000
    return laplacian, LargeSteps(laplacian, smoothness)


def _remeshed(
    vertices: np.ndarray, faces: np.ndarray, state: AdamState, progress: float
) -> tuple[np.ndarray, np.ndarray, AdamState]:
    """Return the mesh with about as many faces as it should have by now, or as it is if some of the new ones would meet."""
    count = round(geometric(FACES_START, FACES, min(1, progress / SETTLED)))
    length = even_edge_length(vertices, faces, count)
    # These shapes are round: an edge that is sharp is so by mistake, and must not stay because of it.
    new = remesh(vertices, faces, length, state[1:], crease=180)
    if len(self_intersections(new.vertices, new.faces, corners_too=True)):
        return vertices, faces, state
    return new.vertices, new.faces, AdamState(state.step, *new.carried)


def _gradient(vertices: np.ndarray, faces: np.ndarray, now: _Now) -> np.ndarray:
    """Return the gradient (V, 3) of the mean squared differences of alpha and of grey over black, one plus the other."""
    mesh, gradient = dr.Mesh(vertices.astype(np.float32), faces), np.zeros_like(vertices)
    for view in now.views:
        rendering = dr.render(mesh, view.camera, _soft(now.sigma), view.light)
        grey, alpha = rendering.image[..., 0], rendering.image[..., 3]
        scale = np.float32(2 / alpha.size / len(now.views))
        too_bright, too_full = scale * (grey * alpha - view.grey), scale * (alpha - view.alpha)
        grad_image = np.zeros_like(rendering.image)
        grad_image[..., 0], grad_image[..., 3] = too_bright * alpha, too_full + too_bright * grey
        gradient += rendering.backward(grad_image).vertices
    return gradient


def figures(found: Found, target: dr.Mesh) -> dict[str, Any]:
    """Return how close a mesh is to its target, and what its faces are like."""
    mesh = found.mesh
    comparison = compare_meshes(mesh, target)
    ratios = aspect_ratios(mesh.vertices, mesh.faces)
    bins = np.searchsorted(RATIOS, ratios, side="right")
    return {
        "chamfer": comparison.chamfer,
        "normal_consistency": comparison.normal_consistency,
        "f_score": comparison.f_score,
        "intersecting_faces": intersecting_faces(mesh),
        "faces": len(mesh.faces),
        "aspect_ratios": (np.bincount(bins, minlength=len(RATIOS) + 1) / len(ratios)).tolist(),
        "largest_aspect_ratio": float(ratios.max()),
        "steps": found.steps,
        "seconds": found.seconds,
    }


def intersecting_faces(mesh: dr.Mesh) -> int:
    """Return the number of faces that meet another one, which may share a corner with them, but no edge."""
    return len(np.unique(self_intersections(mesh.vertices, mesh.faces, corners_too=True)))


def measure(seeds: int, seconds: float, pictures: Path | None = None) -> list[dict[str, Any]]:
    """Return a row per shape, seed and method, the methods by turns."""
    rows = []
    for name in SHAPES:
        meshes = [_target(name)]
        for seed in range(seeds):
            seen = scene(name, seed)
            for method in METHODS:
                plain = method == METHODS[0]
                found = fit_plain(seen, TUNED[name], seconds, seed) if plain else fit_large_steps(seen, seconds, seed)
                rows.append({"shape": name, "seed": seed, "method": method, **figures(found, seen.target)})
                print(_described(rows[-1]), flush=True)
                meshes.append(found.mesh)
        if pictures:
            draw(meshes, pictures / f"{name}.png")
    return rows


def tune(seconds: float) -> list[dict[str, Any]]:
    """Return a row per shape and setting of plain Adam, with a seed that `measure` does not begin with."""
    rows = []
    for name in SHAPES:
        seen = scene(name, 100)
        for plain in GRID:
            found = fit_plain(seen, plain, seconds, 100)
            row = {"shape": name, "seed": 100, "method": METHODS[0], "plain": plain, **figures(found, seen.target)}
            print(plain, _described(row), flush=True)
            rows.append(row)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Return the medians of the seeds as a Markdown table, with the worst in brackets, and that of the aspect ratios."""
    lines = [
        "| shape | method | Chamfer, 1/1000 of the radius | normals | F-score | faces that meet | target's | steps | s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    limits = ["1", *map(str, RATIOS)]
    bins = [*(f"{low} to {high}" for low, high in zip(limits, limits[1:], strict=False)), f"above {limits[-1]}"]
    histogram = [f"| shape | method | {' | '.join(bins)} | largest |", "| --- " * (len(bins) + 3) + "|"]
    for name, method in itertools.product(SHAPES, METHODS):
        seen = [row for row in rows if (row["shape"], row["method"]) == (name, method)]

        def middle(key: str, worst: Any, unit: str, scale: float = 1, seen: list[dict[str, Any]] = seen) -> str:
            values = [scale * row[key] for row in seen]
            return f"{np.median(values):{unit}} ({worst(values):{unit}})"

        cells = (
            middle("chamfer", max, ".2f", 1e3),
            middle("normal_consistency", min, ".3f"),
            middle("f_score", min, ".3f"),
            middle("intersecting_faces", max, ".0f"),
            f"{intersecting_faces(_target(name))}",
            middle("steps", min, ".0f"),
            middle("seconds", max, ".1f"),
        )
        lines.append(f"| {name} | {method} | {' | '.join(cells)} |")
        shares = 100 * np.median([row["aspect_ratios"] for row in seen], axis=0)
        largest = middle("largest_aspect_ratio", max, ".1f")
        histogram.append(f"| {name} | {method} | {' | '.join(f'{share:.1f} %' for share in shares)} | {largest} |")
    return "\n".join([*lines, "", *histogram])


def draw(meshes: list[dr.Mesh], path: Path) -> None:
    """Draw meshes below each other, from four sides each."""
    from diffrender.record.picture import headlight, picture, save_image

    eyes = (1.2, 0.8, 2.7), (3, 0.2, 0.1), (-1.5, 1.5, -2.2), (0.3, -2.8, 0.5)
    cameras = [dr.Camera.look_at(eye, fov_degrees=40, size=(240, 240)) for eye in eyes]
    save_image(np.vstack([np.hstack([picture(m, c, headlight(c)) for c in cameras]) for m in meshes]), path)


def _described(row: dict[str, Any]) -> str:
    return (
        f"{row['shape']} {row['seed']} {row['method']}: Chamfer {1e3 * row['chamfer']:.2f}, "
        f"{row['intersecting_faces']} of {row['faces']} faces meet, {row['steps']} steps in {row['seconds']:.1f} s"
    )


def _target(name: str) -> dr.Mesh:
    colored = shape(name)
    return dr.Mesh(colored.vertices, colored.faces)


@cache
def _ball() -> dr.Mesh:
    """Return a sphere of radius 1 with about as many faces as the other method ends with, as even as its are."""
    fine = dr.icosphere(5)
    even = remesh(fine.vertices, fine.faces, even_edge_length(fine.vertices, fine.faces, FACES), rounds=10)
    return dr.Mesh(even.vertices / np.linalg.norm(even.vertices, axis=1, keepdims=True), even.faces)


def _soft(sigma: float) -> dr.Soft:
    return dr.Soft(sigma=sigma, gamma=1e-3, near=DISTANCE - 1.5, far=DISTANCE + 1.5)


def _shrunk(values: np.ndarray, factor: int) -> np.ndarray:
    """Return the means (H, W) of squares of `factor` pixels a side."""
    height, width = (side // factor for side in values.shape)
    return values.reshape(height, factor, width, factor).mean(axis=(1, 3))


def main() -> None:
    """Measure, print Markdown tables, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of one core, for each fit")
    parser.add_argument("--tune", action="store_true", help="try the settings of plain Adam instead")
    parser.add_argument("--pictures", type=Path, help="also draw the targets and what was found into this folder")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    # So that the time of the processor is that of the method: threads that wait for others use it, too.
    dr.set_num_threads(1)
    facts = announce()
    if options.tune:
        tune(options.seconds)
        return
    rows = measure(options.seeds, options.seconds, options.pictures)
    print(table(rows))
    save(options.json, facts, rows=rows)


if __name__ == "__main__":
    main()
