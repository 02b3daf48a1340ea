"""The shape experiment of GenDR: a sphere to an aeroplane in 100 steps, judged by hard silhouettes.

python -m benchmarks.gendr                 # ten minutes, eight of them their search of settings; --json writes the figures
python -m benchmarks.gendr --coverages     # the kinds of coverage and union instead, with our settings at one elevation

Petersen et al., GenDR: A Generalized Differentiable Renderer, CVPR 2022: 64x64 px, the 24 views of one elevation at a time,
distance 2.732, half-angle 15 degrees, 642 vertices, soft IoU + 0.03 Laplacian + 0.0003 flatness. What is random is the azimuth
that the views start from. The aeroplane is our own, as theirs is not free; so figures compare methods here, not papers.
"""

import argparse
import itertools
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np

import diffrender as dr
from diffrender import loss
from diffrender.backend import CoverageName, UnionName
from diffrender.optimize.adam import Adam
from diffrender.optimize.large_steps import LargeSteps
from diffrender.optimize.schedule import geometric
from diffrender.scatter import add_at
from diffrender.topology import adjacent_faces, uniform_laplacian

from .environment import announce, save
from .shapes import shape

SIDE, VIEWS, DISTANCE, FOV_DEGREES = 64, 24, 2.732, 30
ELEVATIONS = (-60, -30, 0, 30, 60)
STEPS, SOLVED = 100, 0.1
RADIUS = 0.5  # of the sphere, and of the aeroplane around its middle
LAPLACIAN_WEIGHT, FLATTEN_WEIGHT = 0.03, 0.0003
PER_NDC = (SIDE / 2) ** 2  # px^2 of a sigma in squared NDC, in which the image is 2 wide
HARD = dr.Soft(sigma=1e-6)


class Settings(NamedTuple):
    """What a run is driven by. Sigma is in squared NDC, and goes from its start to its end in 3/4 of the steps."""

    learning_rate: float
    sigma: float
    sigma_end: float
    learning_rate_end: float
    smoothness: float | None = (
        None  # lambda of Large Steps with uniform Adam; None: their parametrisation and plain Adam
    )
    coverage: CoverageName = "sigmoid"
    union: UnionName = "probabilistic"

    def soft(self, sigma: float) -> dr.Soft:
        """Return the rasterizer's settings for a sigma in squared NDC. A Cauchy tail would fill the image with every face."""
        cutoff = 1e-2 if self.coverage == "cauchy" else dr.Soft.cutoff
        return dr.Soft(sigma=sigma * PER_NDC, cutoff=cutoff, coverage=self.coverage, union=self.union)


# The measure's best of those tried. At elevation 0, which sees the disc's edge alone, its sides pass through each other;
# with a learning rate of 0.1 they do not, and the loss at -30 is 0.03 higher.
OURS = Settings(0.15, 5e-4, 1e-5, 0.02, 2.0)
# Of their search's grid, for all elevations; `search` picks for each, at an azimuth that is not judged.
THEIRS = Settings(10**-1.5, 10**-4.5, 10**-4.5, 10**-1.5)
SIGMA_FACTORS = (0.1, 1.0, 10.0)  # times ours, of other coverages
SEARCH_SEED = 100
SEARCH_RATES = tuple(10.0 ** np.linspace(-1.25, -1.75, 3))
SEARCH_SIGMAS = tuple(
    10.0 ** np.arange(-2, -7, -1)
)  # theirs has 0.1 too, where all pixels are covered by the sphere, and 1e-7
SEARCH_NEAR = tuple(
    10.0 ** np.arange(-0.75, 1, 0.25)
)  # times the best of these, in a second round; theirs is twice as fine


class Scene(NamedTuple):
    """Cameras around an aeroplane, and whether it covers the middle of each pixel (H, W), as 0 or 1."""

    cameras: list[dr.Camera]
    masks: list[np.ndarray]


def scene(elevation: float, seed: int) -> Scene:
    """Return 24 views at an elevation in degrees."""
    aeroplane = shape("aeroplane")
    target = dr.Mesh(RADIUS * aeroplane.vertices, aeroplane.faces)
    begin = np.random.default_rng(seed).uniform(0, 2 * math.pi)
    above = math.radians(elevation)
    cameras = []
    for azimuth in begin + 2 * math.pi * np.arange(VIEWS) / VIEWS:
        eye = np.array([math.sin(azimuth) * math.cos(above), math.sin(above), math.cos(azimuth) * math.cos(above)])
        cameras.append(dr.Camera.look_at(DISTANCE * eye, fov_degrees=FOV_DEGREES, size=(SIDE, SIDE)))
    return Scene(cameras, [hard(target, camera).astype(np.float32) for camera in cameras])


def hard(mesh: dr.Mesh, camera: dr.Camera) -> np.ndarray:
    """Return whether a mesh covers the middle of each pixel (H, W)."""
    return dr.render_silhouette(mesh, camera, HARD).alpha > 0.5


class Prior:
    """Their priors of a mesh's form: 0.03 |v - mean of its neighbours|^2 + 0.0003 (1 - cos(angle between normals))^2, summed."""

    def __init__(self, faces: np.ndarray, vertices: int):
        from scipy.sparse import diags

        laplacian = uniform_laplacian(faces, vertices)
        self.faces, self.pairs = faces, adjacent_faces(faces)
        self.offsets = (diags(1 / laplacian.diagonal()) @ laplacian).tocsr()

    def gradient(self, vertices: np.ndarray) -> np.ndarray:
        """Return the gradient (V, 3)."""
        offset = self.offsets @ vertices
        return 2 * LAPLACIAN_WEIGHT * (self.offsets.T @ offset) + FLATTEN_WEIGHT * self._flatten_gradient(vertices)

    def _flatten_gradient(self, vertices: np.ndarray) -> np.ndarray:
        corners = vertices[self.faces]
        first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
        crossed = np.cross(first, second)
        length = np.maximum(np.linalg.norm(crossed, axis=1, keepdims=True), 1e-12)
        normals = crossed / length
        a, b = normals[self.pairs[:, 0]], normals[self.pairs[:, 1]]
        slope = -2 * (1 - (a * b).sum(axis=1, keepdims=True))
        grad_normals = add_at(self.pairs[:, 0], slope * b, len(normals)) + add_at(
            self.pairs[:, 1], slope * a, len(normals)
        )
        # Scaling to length 1 goes back as the projection off the normal over the length; e1 x e2 as (e2 x g, g x e1).
        grad_crossed = (grad_normals - (grad_normals * normals).sum(axis=1, keepdims=True) * normals) / length
        grad_first, grad_second = np.cross(second, grad_crossed), np.cross(grad_crossed, first)
        count = len(vertices)
        return (
            add_at(self.faces[:, 1], grad_first, count)
            + add_at(self.faces[:, 2], grad_second, count)
            - add_at(self.faces[:, 0], grad_first + grad_second, count)
        )


class Displaced:
    """Their parametrisation: a sphere's coordinates as logits, displaced, each keeping its sign; and a common centre.

    The parameter is (V + 1, 3), the centre last. It is SoftRas' (Liu 2019).
    """

    def __init__(self, vertices: np.ndarray):
        with np.errstate(divide="ignore"):
            self.base = np.log(np.abs(vertices) / (1 - np.abs(vertices)))
        self.sign = np.sign(vertices)

    def begin(self) -> np.ndarray:
        """Return the parameter of the sphere."""
        return np.zeros((len(self.base) + 1, 3))

    def vertices(self, parameter: np.ndarray) -> np.ndarray:
        """Return the vertices (V, 3), within [-1, 1]."""
        center = np.tanh(parameter[-1])
        share = _sigmoid(self.base + parameter[:-1])
        return self.sign * share * (1 - self.sign * center) + center

    def backward(self, parameter: np.ndarray, grad: np.ndarray) -> np.ndarray:
        """Return the gradient of the parameter from that of the vertices (V, 3)."""
        center = np.tanh(parameter[-1])
        share = _sigmoid(self.base + parameter[:-1])
        moved = self.sign * share * (1 - share) * (1 - self.sign * center) * grad
        centered = ((1 - share) * grad).sum(axis=0) * (1 - center**2)
        return np.vstack([moved, centered])


def descend(scene: Scene, settings: Settings) -> Iterator[dr.Mesh]:
    """Yield the mesh before each step."""
    sphere = dr.icosphere(3)
    start, faces = RADIUS * sphere.vertices.astype(np.float64), sphere.faces
    prior = Prior(faces, len(start))
    if settings.smoothness is None:
        displaced = Displaced(start)
        optimizer, parameter = Adam(0.5, 0.95), displaced.begin()
    else:
        large = LargeSteps(uniform_laplacian(faces, len(start)), settings.smoothness)
        optimizer, parameter = Adam(0.8, 0.95, uniform=True), large.to_parameter(start)
    state = optimizer.init(parameter)
    for step in range(STEPS):
        vertices = displaced.vertices(parameter) if settings.smoothness is None else large.to_vertices(parameter)
        mesh = dr.Mesh(vertices.astype(np.float32), faces)
        yield mesh
        progress = min(1.0, step / (0.75 * STEPS))
        sigma = geometric(settings.sigma, settings.sigma_end, progress)
        rate = geometric(settings.learning_rate, settings.learning_rate_end, progress)
        grad = image_gradient(mesh, scene, settings.soft(sigma)) + prior.gradient(vertices)
        grad = displaced.backward(parameter, grad) if settings.smoothness is None else large.gradient(grad)
        delta, state = optimizer.update(grad, state, rate)
        parameter = parameter + delta


def image_gradient(mesh: dr.Mesh, scene: Scene, settings: dr.Soft) -> np.ndarray:
    """Return the gradient (V, 3) of the views' mean soft IoU loss."""
    total = np.zeros(mesh.vertices.shape)
    for camera, mask in zip(scene.cameras, scene.masks, strict=True):
        rendering = dr.render_silhouette(mesh, camera, settings)
        _, grad = loss.silhouette_iou(rendering.alpha, mask)
        total += rendering.backward(grad).vertices
    return total / len(scene.cameras)


def run(scene: Scene, settings: Settings) -> dict[str, Any]:
    """Return the least hard 1 - IoU of a run, the steps before it was below 0.1, if it was, the last mesh and the seconds."""
    best, solved, begin = math.inf, None, time.perf_counter()
    for step, mesh in enumerate(descend(scene, settings)):
        value = float(np.mean([1 - loss.iou(hard(mesh, c), m > 0.5) for c, m in zip(*scene, strict=True)]))
        best = min(best, value)
        if value < SOLVED and solved is None:
            solved = step
    return {"loss": best, "steps": solved, "mesh": mesh, "seconds": time.perf_counter() - begin}


def search(elevation: float) -> tuple[float, float]:
    """Return the learning rate and sigma of the least loss: on a coarse grid of both, then of sigma near the best."""
    seen = scene(elevation, SEARCH_SEED)

    def tried(rate: float, sigma: float) -> tuple[float, float, float]:
        return run(seen, Settings(rate, sigma, sigma, rate))["loss"], rate, sigma

    best = min(tried(rate, sigma) for rate in SEARCH_RATES for sigma in SEARCH_SIGMAS)
    best = min([best, *(tried(best[1], best[2] * factor) for factor in SEARCH_NEAR if factor != 1)])
    return best[1], best[2]


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def compare_coverages(elevation: int, seeds: int) -> list[dict[str, Any]]:
    """Return a row per coverage, union, factor of sigma and seed: each has a width of its own at the same sigma."""
    rows = []
    for seed in range(seeds):
        seen = scene(elevation, seed)
        for coverage, union in itertools.product(get_args(CoverageName), get_args(UnionName)):
            for factor in SIGMA_FACTORS:
                sigmas = {"sigma": factor * OURS.sigma, "sigma_end": factor * OURS.sigma_end}
                settings = OURS._replace(coverage=coverage, union=union, **sigmas)
                result = run(seen, settings)
                del result["mesh"]
                rows.append({"elevation": elevation, "seed": seed, "factor": factor, **settings._asdict(), **result})
    return rows


def coverage_table(rows: list[dict[str, Any]]) -> str:
    """Return the least 1 - IoU by coverage, union and factor of sigma as a Markdown table: medians of the seeds."""
    lines = [f"| coverage, union | {' | '.join(f'sigma x {factor:g}' for factor in SIGMA_FACTORS)} | best |"]
    lines.append("| --- " * (len(SIGMA_FACTORS) + 2) + "|")
    for coverage, union in itertools.product(get_args(CoverageName), get_args(UnionName)):
        losses = [
            float(np.median([row["loss"] for row in rows if _is(row, coverage, union, factor)]))
            for factor in SIGMA_FACTORS
        ]
        shown = " | ".join(f"{loss:.4f}" for loss in [*losses, min(losses)])
        lines.append(f"| {coverage}, {union} | {shown} |")
    return "\n".join(lines)


def _is(row: dict[str, Any], coverage: str, union: str, factor: float) -> bool:
    return (row["coverage"], row["union"], row["factor"]) == (coverage, union, factor)


def methods(elevation: int, searched: bool) -> dict[str, Settings]:
    """Return the settings to compare at an elevation in degrees."""
    settings = {"theirs, one for all": THEIRS}
    if searched:
        rate, sigma = search(elevation)
        settings["theirs, searched"] = Settings(rate, sigma, sigma, rate)
    return settings | {"ours, one for all": OURS}


def measure(seeds: int, searched: bool) -> list[dict[str, Any]]:
    """Return a row per elevation, seed and method."""
    rows = []
    for elevation in ELEVATIONS:
        compared = methods(elevation, searched)
        for seed in range(seeds):
            seen = scene(elevation, seed)
            for name, settings in compared.items():
                result = run(seen, settings)
                del result["mesh"]
                rows.append({"elevation": elevation, "seed": seed, "method": name, **settings._asdict(), **result})
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Return the least 1 - IoU, and the steps to 0.1 in brackets, as a Markdown table: medians of the seeds, and their mean."""
    names = list(dict.fromkeys(row["method"] for row in rows))
    lines = [f"| elevation | {' | '.join(names)} |", "| --- " * (1 + len(names)) + "|"]
    means = []
    for elevation in ELEVATIONS:
        cells = []
        for name in names:
            seen = [row for row in rows if (row["elevation"], row["method"]) == (elevation, name)]
            steps = np.median([math.inf if row["steps"] is None else row["steps"] for row in seen])
            cells.append((float(np.median([row["loss"] for row in seen])), steps))
        means.append([value for value, _ in cells])
        shown = [f"{value:.4f} ({steps:.0f})" if steps < math.inf else f"{value:.4f} (-)" for value, steps in cells]
        lines.append(f"| {elevation} | {' | '.join(shown)} |")
    lines.append(f"| mean | {' | '.join(f'{mean:.4f}' for mean in np.mean(means, axis=0))} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print a Markdown table, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--no-search", action="store_true", help="leave out what their search of settings would pick")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--coverages", action="store_true", help="compare the kinds of coverage and union")
    parser.add_argument("--elevation", type=int, default=30, help="at which to compare them, in degrees")
    options = parser.parse_args()
    facts = announce()
    if options.coverages:
        rows = compare_coverages(options.elevation, options.seeds)
        print(coverage_table(rows))
        save(options.json, facts, rows=rows)
        return
    rows = measure(options.seeds, not options.no_search)
    print(table(rows))
    save(options.json, facts, rows=rows)


if __name__ == "__main__":
    main()
