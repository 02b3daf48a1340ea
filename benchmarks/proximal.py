"""A template of which a small part has changed: how exactly that part is found, and how much of the rest stays at 0.

python -m benchmarks.proximal              # ten minutes on two cores; --json writes the figures
"""

import argparse
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import diffrender as dr
from diffrender import loss
from diffrender.optimize.adam import Adam
from diffrender.optimize.defect import Defect, over_black, over_black_backward
from diffrender.optimize.proximal import Only, ProximalAdam, holding_weight
from diffrender.optimize.schedule import cosine
from diffrender.optimize.smoothing import Smoothing
from diffrender.optimize.transformation import Transformation, chain
from diffrender.topology import uniform_laplacian

from .environment import announce, save
from .shapes import directions_around

CHANGED = 0.05  # of the vertices
HEIGHT = 0.15  # of the bump or dent, of a template with a radius of about 1; 6 to 7 px
VIEWS, SIZE, FOV_DEGREES, DISTANCE = 16, (128, 128), 36, 4.0
SOFT = dr.Soft(sigma=0.1, gamma=1e-3, near=DISTANCE - 1.5, far=DISTANCE + 1.5)
SAMPLES = 4  # of a sharp image's pixel, along each side
STEPS, LEARNING_RATE, SWEEPS = 100, 1e-2, 24
REFIT_STEPS, REFIT_LEARNING_RATE, REFIT_SWEEPS = 40, 3e-3, 4
WEIGHT = 0.015  # of the one that holds the template
ADAM = Adam(0.8, 0.95, vector=True)

# What the images are: drawn by the renderer that the fit draws with; sharp, as photos are, where soft edges differ from them
# all around the mesh. What the soft images of the fit are compared with: these; these plus what soft and sharp images differ
# by, of the template; or of the mesh as it moves. Then what the optimiser is.
METHODS = (
    ("soft", "as they are", "smoothing, proximal"),
    ("sharp", "as they are", "smoothing, proximal"),
    ("sharp", "corrected once", "smoothing, proximal"),
    ("sharp", "corrected anew", "smoothing, proximal"),
    ("sharp", "corrected anew", "smoothing, proximal, refit"),
)
EVERY = 10  # steps to a new correction
CORRECTIONS = {
    "corrected once": Defect(SOFT, SAMPLES, STEPS + REFIT_STEPS),
    "corrected anew": Defect(SOFT, SAMPLES, EVERY),
}


class Scene(NamedTuple):
    """A template, the offsets (V, 3) of its vertices that are true, and the cameras."""

    template: dr.Mesh
    truth: np.ndarray
    cameras: list[dr.Camera]


def scene(seed: int) -> Scene:
    """Return a bumpy ball of 2,562 vertices with smooth colours, of which a patch has risen, or sunk for an odd seed.

    The patch is the 5 % of the vertices that are nearest to a point; the change falls off to 0 at its edge as a parabola.
    """
    random = np.random.default_rng(seed)
    ball = dr.icosphere(4)
    around = ball.vertices.astype(np.float64)
    radius = 1 + 0.25 * _waves(random, around, 2.5)
    colors = np.stack([0.5 + 0.9 * _waves(random, around, 4.0) for _ in range(3)], axis=1)
    # Vertices in float32, as they are drawn: unchanged ones are then the same numbers in the truth.
    template = dr.Mesh((around * radius[:, None]).astype(np.float32), ball.faces, np.clip(colors, 0.05, 0.95))
    middle = random.normal(size=3)
    middle /= np.linalg.norm(middle)
    distance = np.linalg.norm(around - middle, axis=1)
    count = round(CHANGED * len(around))
    reach = np.sort(distance)[count - 1 : count + 1].mean()
    height = HEIGHT * np.maximum(0, 1 - (distance / reach) ** 2) * (1 if seed % 2 == 0 else -1)
    cameras = [
        dr.Camera.look_at(DISTANCE * eye, fov_degrees=FOV_DEGREES, size=SIZE) for eye in directions_around(VIEWS)
    ]
    return Scene(template, height[:, None] * middle, cameras)


def draw(scene: Scene, kind: str) -> list[np.ndarray]:
    """Return an image (H, W, 4) of the truth per camera, colours over black and alpha: soft or sharp."""
    mesh = _moved(scene.template, scene.truth)
    if kind == "sharp":
        return [Defect(SOFT, SAMPLES).sharp(mesh, camera) for camera in scene.cameras]
    return [over_black(dr.render(mesh, camera, SOFT).image) for camera in scene.cameras]


def fit(scene: Scene, images: list[np.ndarray], correction: str, method: str) -> tuple[np.ndarray, float]:
    """Return the offsets (V, 3) found from the template, and the seconds a step took."""
    offset = np.zeros_like(scene.truth)
    laplacian = uniform_laplacian(scene.template.faces, len(offset))
    defect = CORRECTIONS.get(correction)
    smoothing = Smoothing(laplacian, SWEEPS)
    gradient, _ = smoothing.update(_gradient(scene, _targets(scene, images, offset, defect), offset), None)
    begin, steps = time.perf_counter(), STEPS
    proximal = chain(smoothing, ProximalAdam(WEIGHT * holding_weight(gradient)))
    offset = _descend(scene, images, defect, offset, proximal, STEPS, LEARNING_RATE)
    if "refit" in method:
        steps += REFIT_STEPS
        again = chain(Smoothing(laplacian, REFIT_SWEEPS), Only((offset != 0).any(axis=1)), ADAM)
        offset = _descend(scene, images, defect, offset, again, REFIT_STEPS, REFIT_LEARNING_RATE)
    return offset, (time.perf_counter() - begin) / steps


def _descend(
    scene: Scene,
    images: list[np.ndarray],
    defect: Defect | None,
    offset: np.ndarray,
    optimizer: Transformation,
    steps: int,
    learning_rate: float,
) -> np.ndarray:
    state = optimizer.init(offset)
    corrected = defect.init() if defect else None
    targets = images
    for step in range(steps):
        rate = cosine(learning_rate, 0.01 * learning_rate, step / steps)
        if defect and corrected:
            corrections, corrected = defect.update(_moved(scene.template, offset), scene.cameras, corrected)
            targets = [image + correction for image, correction in zip(images, corrections, strict=True)]
        delta, state = optimizer.update(_gradient(scene, targets, offset), state, rate)
        offset = offset + delta
    return offset


def _targets(scene: Scene, images: list[np.ndarray], offset: np.ndarray, defect: Defect | None) -> list[np.ndarray]:
    if defect is None:
        return images
    corrections, _ = defect.update(_moved(scene.template, offset), scene.cameras, defect.init())
    return [image + correction for image, correction in zip(images, corrections, strict=True)]


def _gradient(scene: Scene, images: list[np.ndarray], offset: np.ndarray) -> np.ndarray:
    """Return the gradient (V, 3) of the images' mean squared difference, colours blended over black and alpha."""
    mesh = _moved(scene.template, offset)
    gradient = np.zeros_like(offset)
    for camera, target in zip(scene.cameras, images, strict=True):
        rendering = dr.render(mesh, camera, SOFT)
        _, grad_blended = loss.l2(over_black(rendering.image), target)
        gradient += rendering.backward(over_black_backward(rendering.image, grad_blended)).vertices
    return gradient / len(images)


def figures(scene: Scene, offset: np.ndarray) -> dict[str, float]:
    """Return the share of unchanged vertices that moved by exactly 0, and how well the changed ones were found.

    A vertex counts as changed if its true offset is not 0, in the fit likewise: there is no threshold. The error is
    |offsets - truth| / |truth| over all vertices, the largest error a vertex's distance from its place over the height.
    """
    true, found = (scene.truth != 0).any(axis=1), (offset != 0).any(axis=1)
    both = int(np.count_nonzero(true & found))
    return {
        "still": float((~found[~true]).mean()),
        "precision": both / max(1, int(found.sum())),
        "recall": float(found[true].mean()),
        "error": float(np.linalg.norm(offset - scene.truth) / np.linalg.norm(scene.truth)),
        "largest_error": float(np.linalg.norm(offset - scene.truth, axis=1).max() / HEIGHT),
    }


def measure(seeds: int) -> list[dict[str, Any]]:
    """Return a row per seed and method."""
    rows = []
    for seed in range(seeds):
        changed = scene(seed)
        images = {kind: draw(changed, kind) for kind in ("soft", "sharp")}
        for kind, correction, method in METHODS:
            offset, seconds = fit(changed, images[kind], correction, method)
            rows.append(
                {
                    "images": kind,
                    "correction": correction,
                    "method": method,
                    "seed": seed,
                    **figures(changed, offset),
                    "seconds_per_step": seconds,
                }
            )
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Return the medians of the seeds as a Markdown table, with the worst in brackets."""
    lines = [
        "| images | compared with | method | still | precision | recall | error of offsets | largest error | ms a step |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for kind, correction, method in METHODS:
        seen = [row for row in rows if (row["images"], row["correction"], row["method"]) == (kind, correction, method)]
        shares = []
        for name, worst in (
            ("still", min),
            ("precision", min),
            ("recall", min),
            ("error", max),
            ("largest_error", max),
        ):
            values = [100 * row[name] for row in seen]
            shares.append(f"{np.median(values):.1f} % ({worst(values):.1f})")
        milliseconds = 1e3 * np.median([row["seconds_per_step"] for row in seen])
        lines.append(f"| {kind} | {correction} | {method} | {' | '.join(shares)} | {milliseconds:.0f} |")
    return "\n".join(lines)


def _moved(mesh: dr.Mesh, offset: np.ndarray) -> dr.Mesh:
    return dr.Mesh((mesh.vertices + offset).astype(np.float32), mesh.faces, mesh.vertex_colors)


def _waves(random: np.random.Generator, points: np.ndarray, frequency: float) -> np.ndarray:
    """Return the mean (N,) of six plane waves at points (N, 3)."""
    directions, phases = frequency * random.normal(size=(6, 3)), random.uniform(0, 2 * np.pi, 6)
    return np.cos(points @ directions.T + phases).mean(axis=1)


def main() -> None:
    """Measure, print a Markdown table, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    facts = announce()
    rows = measure(options.seeds)
    print(table(rows))
    save(options.json, facts, rows=rows)


if __name__ == "__main__":
    main()
