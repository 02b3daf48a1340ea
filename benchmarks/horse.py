"""A horse from its silhouette alone: a sphere is fitted to scikit-image's horse, with and without remeshing.

python -m benchmarks.horse                 # needs scikit-image; minutes; --json writes the figures, --pictures what came out
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

import diffrender as dr
from diffrender.placement import photo_camera
from diffrender.quality import aspect_ratios, self_intersections
from diffrender.record.evaluate import evaluate, inspect
from diffrender.record.picture import headlight, picture, save_image

from .environment import announce, save

REMESH_EVERY = (0, 10)
BORDER = 24  # px at most that a seed adds on each side of the photo
GREY = 0.5  # linear: of the horse, which is only a silhouette
TILE = (360, 480)
SIDES = {"front": (0, 0), "back": (180, 0), "head": (90, 0), "tail": (-90, 0), "top": (0, 85), "oblique": (40, 20)}


def horse_view(seed: int) -> dr.View:
    """Return the horse as a photo and its mask: as it is for seed 0, for others with a border of random widths."""
    from skimage.data import horse

    mask = ~horse()
    if seed:
        borders = np.random.default_rng(seed).integers(0, BORDER + 1, (2, 2))
        mask = np.pad(mask, borders)
    mask = mask.astype(np.float32)
    return dr.View(np.repeat(GREY * mask[..., None], 3, axis=2), mask, photo_camera(mask.shape))


def fit(view: dr.View, settings: dr.FitSettings) -> tuple[dr.Mesh, float]:
    """Return the mesh that a sphere ends as, and the seconds it took."""
    begin = time.perf_counter()
    *_, step = dr.fit([view], "sphere", settings)
    return step.mesh, time.perf_counter() - begin


def figures(mesh: dr.Mesh, view: dr.View) -> dict[str, float]:
    """Return how well a mesh fills the silhouette, and how good its triangles are."""
    ratios = aspect_ratios(mesh.vertices, mesh.faces)
    median, high, worst = (float(value) for value in np.quantile(ratios, (0.5, 0.99, 1)))
    return {
        "iou": evaluate(mesh, view)["silhouette_iou"],
        "faces": len(mesh.faces),
        "flipped_faces": inspect(mesh)["flipped_faces"],
        "aspect_median": median,
        "aspect_99": high,
        "aspect_worst": worst,
        "self_intersections": len(self_intersections(mesh.vertices, mesh.faces)),
    }


def sheet(mesh: dr.Mesh, view: dr.View) -> np.ndarray:
    """Return pictures (H, W, 3) of a mesh from the six SIDES, in grey."""
    grey = dr.Mesh(mesh.vertices, mesh.faces, np.full_like(mesh.vertices, GREY))
    tiles = []
    for azimuth, elevation in SIDES.values():
        camera = _camera(mesh, view, np.radians(azimuth), np.radians(elevation))
        tiles.append(picture(grey, camera, headlight(camera)))
    return np.vstack([np.hstack(tiles[:3]), np.hstack(tiles[3:])])


def _camera(mesh: dr.Mesh, view: dr.View, azimuth: float, elevation: float) -> dr.Camera:
    """Return a camera that sees the mesh from angles (radians) around the one of the view."""
    right, down, forward = view.camera.R
    out = np.cos(elevation) * (np.sin(azimuth) * right - np.cos(azimuth) * forward) - np.sin(elevation) * down
    middle = (mesh.vertices.min(axis=0) + mesh.vertices.max(axis=0)) / 2
    distance = 2 * float(np.linalg.norm(np.ptp(mesh.vertices, axis=0)))
    return dr.Camera.look_at(middle + distance * out, middle, up=-down, fov_degrees=30, size=TILE)


def measure(seeds: int, steps: int, pictures: Path | None) -> list[dict[str, Any]]:
    """Return a row per seed and fit; the compiler's time is not in them."""
    rows = []
    fit(horse_view(0), dr.FitSettings(steps=2, faces=2000, remesh_every=1))
    for seed in range(seeds):
        view = horse_view(seed)
        for remesh_every in REMESH_EVERY:
            mesh, seconds = fit(view, dr.FitSettings(steps=steps, remesh_every=remesh_every))
            rows.append({"remesh_every": remesh_every, "seed": seed, **figures(mesh, view), "seconds": seconds})
            if pictures:
                pictures.mkdir(parents=True, exist_ok=True)
                save_image(sheet(mesh, view), pictures / f"horse-{remesh_every}-{seed}.png")
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Return the medians of the seeds as a Markdown table, with the worst in brackets."""
    lines = [
        "| remeshed every | IoU | faces | flipped | aspect 50 % | aspect 99 % | worst aspect | self-intersections | s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    columns = {
        "iou": ".4f",
        "faces": ".0f",
        "flipped_faces": ".0f",
        "aspect_median": ".2f",
        "aspect_99": ".2f",
        "aspect_worst": ".1f",
        "self_intersections": ".0f",
        "seconds": ".1f",
    }
    for remesh_every in REMESH_EVERY:
        seen = [row for row in rows if row["remesh_every"] == remesh_every]
        cells = []
        for name, form in columns.items():
            values = [row[name] for row in seen]
            worst = min(values) if name == "iou" else max(values)
            cells.append(f"{np.median(values):{form}} ({worst:{form}})")
        lines.append(f"| {remesh_every or 'never'} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print a Markdown table, and write the figures and the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=dr.FitSettings().steps)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--pictures", type=Path, help="folder for a picture of each mesh, from six sides")
    options = parser.parse_args()
    facts = announce()
    rows = measure(options.seeds, options.steps, options.pictures)
    print(table(rows))
    save(options.json, facts, rows=rows)


if __name__ == "__main__":
    main()
