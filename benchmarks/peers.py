"""Forward + backward to the vertices, diffrender and its peers by turns in one run.

DEODR draws one layer with antialiased outlines; diffrender sums every face within reach of a pixel, which is far more
work. Mitsuba samples boundaries. Times are medians; the ratio of medians is what can be compared between machines.

Each has a turn of some calls, then the other: the machine's speed changes from second to second. The first call of a turn is
kept apart: it finds the caches full of the other's data and its own threads asleep, as a lone call in a program does; the
others are what a call costs in a loop.
"""

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import diffrender as dr

SIDE = 256  # px
FILLED = 0.7  # of the half-width
SIGMA = 1.64  # px^2
DISTANCE = 3.0
LIGHT = (0.3, -0.8, -0.5)  # towards the light
CALLS = 6  # of a turn
PEERS = ("DEODR mask", "DEODR lit RGB", "Mitsuba")


def scene(faces: int) -> tuple[dr.Mesh, dr.Camera]:
    """Return an icosphere of `faces` faces, turned so that nothing is symmetric, and a camera that it fills 70 % of."""
    subdivisions = round(math.log(faces / 20, 4))
    if 20 * 4**subdivisions != faces:
        raise SystemExit(f"an icosphere has 20 * 4**n faces, such as 1280, 5120 or 20480; got {faces}")
    sphere = dr.icosphere(subdivisions)
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    vertices = sphere.vertices @ (turn * np.sign(np.linalg.det(turn))).T
    # The outline of a unit sphere at distance d is a circle of radius f / sqrt(d^2 - 1).
    focal = FILLED * SIDE / 2 * math.sqrt(DISTANCE**2 - 1)
    K = np.array([[focal, 0, SIDE / 2], [0, focal, SIDE / 2], [0, 0, 1]])
    camera = dr.Camera(K, np.eye(3), np.array([0, 0, DISTANCE]), (SIDE, SIDE))
    return dr.Mesh(vertices.astype(np.float32), sphere.faces), camera


class Ours:
    """diffrender: `render_silhouette`, or `render` with vertex colours and a light."""

    def __init__(self, mesh: dr.Mesh, camera: dr.Camera, lit: bool = False):
        self.mesh, self.camera, self.lit = mesh, camera, lit
        if lit:
            self.mesh = dr.Mesh(mesh.vertices, mesh.faces, _colors(mesh))

    def forward(self) -> np.ndarray:
        """Render and return alpha (H, W), or RGBA (H, W, 4)."""
        if not self.lit:
            self.rendering: Any = dr.render_silhouette(self.mesh, self.camera, dr.Soft(sigma=SIGMA))
            return self.rendering.alpha
        settings = dr.Soft(sigma=SIGMA, near=DISTANCE - 1.1, far=DISTANCE + 1.1)
        self.rendering = dr.render(self.mesh, self.camera, settings, dr.Light(LIGHT, 0.4, 0.6))
        return self.rendering.image

    def backward(self, grad: np.ndarray) -> np.ndarray:
        """Return the gradient of the vertices (V, 3)."""
        return self.rendering.backward(grad).vertices


class Deodr:
    """DEODR's Scene3D, sigma 1: one colour channel without light, or RGB with a light."""

    def __init__(self, mesh: dr.Mesh, camera: dr.Camera, lit: bool = False):
        from deodr import differentiable_renderer as deodr
        from deodr.triangulated_mesh import ColoredTriMesh

        self.lit = lit
        colors = _colors(mesh).astype(np.float64) if lit else np.ones((len(mesh.vertices), 1))
        self.mesh = ColoredTriMesh(mesh.faces.astype(np.uint32), mesh.vertices.astype(np.float64), colors=colors)
        self.scene = deodr.Scene3D(sigma=1, integer_pixel_centers=False)
        light = -0.6 * np.array(LIGHT) / np.linalg.norm(LIGHT) if lit else None
        self.scene.set_light(light_directional=light, light_ambient=0.4 if lit else 1.0)  # type: ignore[arg-type]
        self.scene.set_mesh(self.mesh)
        self.scene.set_background_color([0.0] * (3 if lit else 1))
        extrinsic = np.column_stack([camera.R, camera.t])
        self.camera = deodr.Camera(extrinsic, camera.K, SIDE, SIDE)

    def forward(self) -> np.ndarray:
        """Render and return the mask (H, W) or RGB (H, W, 3)."""
        image = self.scene.render(self.camera)
        return image if self.lit else image[..., 0]

    def backward(self, grad: np.ndarray) -> np.ndarray:
        """Return the gradient of the vertices (V, 3)."""
        self.scene.clear_gradients()
        self.scene.render_backward(grad.reshape(SIDE, SIDE, -1).astype(np.float64))
        assert self.mesh._vertices_b is not None
        return self.mesh._vertices_b


class Mitsuba:
    """Mitsuba 3 on LLVM: a mesh that shines, projective sampling of its outlines, 16 samples a pixel."""

    def __init__(self, mesh: dr.Mesh, camera: dr.Camera):
        import drjit
        import mitsuba as mi

        self.drjit, self.mi = drjit, mi
        mi.set_variant("llvm_ad_rgb")
        shape = mi.Mesh("mesh", len(mesh.vertices), len(mesh.faces), props=_emitter(mi))
        self.parameters = mi.traverse(shape)
        self.parameters["vertex_positions"] = mesh.vertices.ravel()
        self.parameters["faces"] = mesh.faces.astype(np.uint32).ravel()
        self.parameters.update()
        degrees = math.degrees(2 * math.atan(SIDE / 2 / camera.K[0, 0]))
        # Ours looks along +z with y down; theirs along +z with x to the left.
        to_world = mi.ScalarTransform4f().look_at([0, 0, -DISTANCE], [0, 0, 0], [0, -1, 0])
        self.scene = mi.load_dict(
            {
                "type": "scene",
                "integrator": {"type": "direct_projective"},
                "sensor": {
                    "type": "perspective",
                    "fov": degrees,
                    "to_world": to_world,
                    "film": {"type": "hdrfilm", "width": SIDE, "height": SIDE, "rfilter": {"type": "box"}},
                },
                "mesh": shape,
            }
        )
        self.parameters = mi.traverse(self.scene)
        names = list(self.parameters.keys())  # iteration gives pairs
        self.key = next(key for key in names if key.endswith("vertex_positions"))

    def forward(self) -> np.ndarray:
        """Render and return the mask (H, W)."""
        self.drjit.enable_grad(self.parameters[self.key])
        self.parameters.update()
        self.image = self.mi.render(self.scene, self.parameters, spp=16)
        return np.array(self.image)[..., 0]

    def backward(self, grad: np.ndarray) -> np.ndarray:
        """Return the gradient of the vertices (V, 3)."""
        upstream = self.mi.TensorXf(np.repeat(grad[..., None] / 3, 3, axis=2))
        self.drjit.backward(self.drjit.sum(self.image * upstream, axis=None))
        return np.array(self.drjit.grad(self.parameters[self.key])).reshape(-1, 3)


def _emitter(mi: Any) -> Any:
    properties = mi.Properties()
    properties["emitter"] = mi.load_dict({"type": "area", "radiance": {"type": "rgb", "value": 1.0}})
    return properties


def _colors(mesh: dr.Mesh) -> np.ndarray:
    return (0.5 + 0.4 * mesh.vertices).astype(np.float32)


def measure(name: str, faces: int, turns: int) -> dict[str, Any]:
    """Return the times in ms of diffrender and of the peer `name` on one scene, taken by turns."""
    mesh, camera = scene(faces)
    lit = name == "DEODR lit RGB"
    peer: Any = Mitsuba(mesh, camera) if name == "Mitsuba" else Deodr(mesh, camera, lit)
    runners: dict[str, Any] = {"ours": Ours(mesh, camera, lit), "peer": peer}
    grad = np.random.default_rng(1).normal(size=(SIDE, SIDE, 4) if lit else (SIDE, SIDE)).astype(np.float32)
    grads = {"ours": grad, "peer": grad[..., :3] if lit else grad}  # DEODR's image has no alpha
    images = {name: runner.forward() for name, runner in runners.items()}
    for runner_name, runner in runners.items():  # the warm-up
        if not np.abs(runner.backward(grads[runner_name])).max() > 0:
            raise SystemExit(f"{runner_name} returned no gradient: its time would mean nothing")
    firsts: dict[str, list[float]] = {name: [] for name in runners}
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in runners}
    for _ in range(turns):
        for runner_name, runner in runners.items():
            calls = 2 if isinstance(runner, Mitsuba) else CALLS
            time.sleep(0.003)  # until the other's threads have gone to sleep: they must not slow this one down
            times = []
            for _ in range(calls):
                forward = _milliseconds(runner.forward)
                times.append((forward, _milliseconds(partial(runner.backward, grads[runner_name]))))
            firsts[runner_name].append(sum(times[0]))
            samples[runner_name].extend(times[1:])
    ours, theirs = (np.array(samples[key]) for key in ("ours", "peer"))
    forward, backward = np.median(ours, axis=0)
    total, peer_total = ours.sum(axis=1), theirs.sum(axis=1)
    first, peer_first = (float(np.median(firsts[key])) for key in ("ours", "peer"))
    return {
        "peer": name,
        "faces": faces,
        "forward_ms": float(forward),
        "backward_ms": float(backward),
        "total_ms": float(np.median(total)),
        "total_quartiles_ms": np.percentile(total, [25, 75]).tolist(),
        "peer_total_ms": float(np.median(peer_total)),
        "peer_quartiles_ms": np.percentile(peer_total, [25, 75]).tolist(),
        "ratio": float(np.median(total) / np.median(peer_total)),
        "first_ms": first,
        "peer_first_ms": peer_first,
        "first_ratio": first / peer_first,
        "backward_over_forward": float(backward / forward),
        "mean_difference": float(np.abs(_composited(images["ours"]) - images["peer"]).mean()),
    }


def _composited(image: np.ndarray) -> np.ndarray:
    return image[..., :3] * image[..., 3:] if image.ndim == 3 else image


def _milliseconds(call: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    call()
    return (time.perf_counter() - begin) * 1e3


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a Markdown table."""
    lines = [
        "| peer | faces | forward ms | backward ms | ms (quartiles) | peer ms (quartiles) | ratio | peer / ours | 1st call |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        own, other = row["total_quartiles_ms"], row["peer_quartiles_ms"]
        lines.append(
            f"| {row['peer']} | {row['faces']:,} | {row['forward_ms']:.2f} | {row['backward_ms']:.2f} "
            f"| {row['total_ms']:.2f} ({own[0]:.2f} to {own[1]:.2f}) "
            f"| {row['peer_total_ms']:.2f} ({other[0]:.2f} to {other[1]:.2f}) "
            f"| {row['ratio']:.3g} | {1 / row['ratio']:.3g} | {row['first_ratio']:.3g} |"
        )
    return "\n".join(lines)
