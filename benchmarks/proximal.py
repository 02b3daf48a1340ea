"""A template of which a small part has changed: how exactly that part is found, and how much of the rest stays at 0.

python -m benchmarks.proximal              # ten minutes on two cores; --json writes the figures
"""

import argparse
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import diffrender as dr
from diffrender.defect import over_black
from diffrender.rendering import soft_around

from .environment import announce, save
from .shapes import directions_around

CHANGED = 0.05  # of the vertices
HEIGHT = 0.15  # of the bump or dent, of a template with a radius of about 1; 6 to 7 px
VIEWS, SIZE, FOV_DEGREES, DISTANCE = 16, (128, 128), 36, 4.0
HARD, SAMPLES = 1e-6, 8  # px^2, and samples along each side of a pixel
SPARSITY = 0.007
KINDS = ("sharp", "noise", "exposure")
NOISE, EXPOSURE = 0.01, 1.02  # added to linear colours; times them all


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


def photographed(scene: Scene, kind: str, seed: int) -> list[dr.View]:
    """Return a view of the truth per camera, as KINDS says; a pixel is the mean of more samples than the fit itself takes."""
    template = scene.template
    mesh = dr.Mesh((template.vertices + scene.truth).astype(np.float32), template.faces, template.vertex_colors)
    random = np.random.default_rng([seed, 1])
    views = []
    for camera in scene.cameras:
        height, width = camera.size
        large = camera.resized((SAMPLES * height, SAMPLES * width))
        image = over_black(dr.render(mesh, large, soft_around(mesh, large, HARD)).image)
        image = image.reshape(height, SAMPLES, width, SAMPLES, 4).mean(axis=(1, 3))
        alpha = np.clip(image[..., 3], 0, 1)
        colors = image[..., :3] / np.maximum(alpha, 1e-6)[..., None]
        if kind == "noise":
            colors = colors + NOISE * random.normal(size=colors.shape)
        elif kind == "exposure":
            colors = EXPOSURE * colors
        views.append(dr.View(np.clip(colors, 0, 1).astype(np.float32), alpha.astype(np.float32), camera))
    return views


def fit(scene: Scene, views: list[dr.View]) -> tuple[np.ndarray, float]:
    """Return the offsets (V, 3) found from the template, and the seconds a step took."""
    settings = dr.FitSettings(sparsity=SPARSITY)
    begin = time.perf_counter()
    *_, last = dr.fit(views, scene.template, settings)
    seconds = (time.perf_counter() - begin) / settings.steps
    return last.mesh.vertices.astype(np.float64) - scene.template.vertices, seconds


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
    """Return a row per kind of photos and seed."""
    rows = []
    for seed in range(seeds):
        changed = scene(seed)
        for kind in KINDS:
            offset, seconds = fit(changed, photographed(changed, kind, seed))
            row = {"photos": kind, "seed": seed, **figures(changed, offset), "seconds_per_step": seconds}
            rows.append(row)
            print(row, flush=True)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Return the medians of the seeds as a Markdown table, with the worst in brackets."""
    worst = {"still": min, "precision": min, "recall": min, "error": max, "largest_error": max}
    lines = [
        "| photos | unchanged at exactly 0 | precision | recall | error of offsets | largest error | ms a step |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for kind in KINDS:
        seen = [row for row in rows if row["photos"] == kind]
        shares = []
        for name, of_all in worst.items():
            values = [100 * row[name] for row in seen]
            shares.append(f"{np.median(values):.1f} % ({of_all(values):.1f})")
        milliseconds = 1e3 * np.median([row["seconds_per_step"] for row in seen])
        lines.append(f"| {kind} | {' | '.join(shares)} | {milliseconds:.0f} |")
    return "\n".join(lines)


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
