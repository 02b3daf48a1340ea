"""A cube's corners and colours found again from tiny images: the protocol of nvdiffrast's cube sample.

Each step draws the true cube and the optimised one from the same random pose, at 4 x 4 to 16 x 16 px, and takes a step of
Adam on their squared difference. The start is the truth with every coordinate off by up to 0.5 (the cube's edge is 1) and
random colours. The figure is the mean distance of the eight corners from the truth. Laine et al., Modular Primitives for
High-Performance Differentiable Rendering, 2020, section 4.1; camera, noise and rates are those of the sample's code.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import diffrender as dr
from diffrender.optimize.adam import Adam

from .environment import announce, save

RESULT = Path(__file__).parent / "results" / "cube-corners-cpu.json"
PAGE = Path(__file__).parent.parent / "docs" / "cube-corners.md"
_INTRODUCTION = """# A cube from tiny images

Each step draws a cube and a wrong one from the same random pose, in images so small that the whole cube is a few pixels, and
takes a step of Adam on their squared difference. The wrong one begins with every coordinate of its corners off by up to half
its edge, and random colours. Figures are the mean distance of the eight corners from the truth, edges being 1: medians of
{seeds} seeds, and the worst of them at the end. The protocol is that of nvdiffrast's cube sample (Laine et al. 2020); the same
renderer draws both. `python -m benchmarks.cube_corners` writes this page.

{table}
"""
SIZES = (4, 8, 16)  # px
REPORTED = (100, 200, 500, 1000, 2000)
MODES: dict[str, Any] = {  # sigma in px^2
    "soft, sigma 0.1": dr.Soft(sigma=0.1, gamma=1e-2, near=2, far=5),
    "soft, sigma 1": dr.Soft(sigma=1, gamma=0.1, near=2, far=5),
    "hard": dr.Hard(),
}
_NOISE = 0.5
_WOBBLE = 0.25  # of the position, each axis
_DISTANCE = 3.5
_FOCAL = 1 / 0.4  # in half images


def true_cube() -> dr.Mesh:
    """Return a cube of edge 1 around the origin with shared corners, coloured by where they are."""
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], np.float32)
    squares = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
    faces = [triangle for a, b, c, d in squares for triangle in ((a, b, c), (a, c, d))]
    return dr.Mesh(corners - 0.5, np.array(faces, np.int32), corners)


def random_camera(random: np.random.Generator, side: int) -> dr.Camera:
    """Return a camera that looks at the cube from anywhere, which is a little off the image's middle."""
    turn, _ = np.linalg.qr(random.normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    offset = random.uniform(-_WOBBLE, _WOBBLE, 3) + [0, 0, _DISTANCE]
    focal = _FOCAL * side / 2
    K = np.array([[focal, 0, side / 2], [0, focal, side / 2], [0, 0, 1]])
    return dr.Camera(K, turn, offset, (side, side))


def run(settings: Any, side: int, seed: int, steps: int) -> list[float]:
    """Return the mean corner error after each step."""
    random = np.random.default_rng(seed)
    truth = true_cube()
    vertices = truth.vertices + random.uniform(-_NOISE, _NOISE, (8, 3)).astype(np.float32)
    colors = random.uniform(0, 1, (8, 3)).astype(np.float32)
    adam = Adam()
    states = (adam.init(vertices), adam.init(colors))
    errors = []
    for step in range(steps):
        camera = random_camera(random, side)
        target = _over_black(dr.render(truth, camera, settings).image)
        rendering = dr.render(dr.Mesh(vertices, truth.faces, colors), camera, settings)
        color, alpha = rendering.image[..., :3], rendering.image[..., 3:]
        grad = 2 * (color * alpha - target) / target.size
        grads = rendering.backward(np.dstack([grad * alpha, (grad * color).sum(axis=2)]))
        rate = 1e-2 * max(0.01, 10 ** (-step * 5e-4))
        assert grads.vertex_colors is not None
        shift, first = adam.update(grads.vertices, states[0], rate)
        tint, second = adam.update(grads.vertex_colors, states[1], rate)
        vertices, colors, states = vertices + shift, np.clip(colors + tint, 0, 1), (first, second)
        errors.append(float(np.linalg.norm(vertices - truth.vertices, axis=1).mean()))
    return errors


def _over_black(image: np.ndarray) -> np.ndarray:
    return image[..., :3] * image[..., 3:]


def measure(seeds: int, steps: int) -> list[dict[str, Any]]:
    """Return for each mode and size the median over seeds of the mean corner error after REPORTED steps."""
    rows = []
    for mode, settings in MODES.items():
        for side in SIZES:
            errors = np.array([run(settings, side, seed, steps) for seed in range(seeds)])
            reported = {str(at): float(np.median(errors[:, at - 1])) for at in REPORTED if at <= steps}
            rows.append({"mode": mode, "side": side, "start_to_end": reported, "worst": float(errors[:, -1].max())})
            print(json.dumps(rows[-1]), flush=True)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Return the errors as a Markdown table."""
    steps = list(rows[0]["start_to_end"])
    head = f"| mode | image | {' | '.join(f'{step} steps' for step in steps)} | worst at the end |"
    lines = [head, "| --- " * (len(steps) + 3) + "|"]
    for row in rows:
        errors = " | ".join(f"{row['start_to_end'][step]:.2g}" for step in steps)
        lines.append(f"| {row['mode']} | {row['side']} x {row['side']} | {errors} | {row['worst']:.2g} |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2000)
    given = parser.parse_args()
    facts = announce()
    measured = measure(given.seeds, given.steps)
    save(RESULT, facts, rows=measured)
    PAGE.write_text(_INTRODUCTION.format(seeds=given.seeds, table=table(measured)))
    print(table(measured))
