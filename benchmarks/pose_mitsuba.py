"""`diffrender pose` on pictures by another renderer, Mitsuba 3: known meshes before textured backgrounds, lit, from random sides.

Ten pictures; each goes through the command line as a user would call it, with the field of view, and without a mask. A pose
is right if the rotation is less than 2 degrees off and the place less than 1 % of the distance.

python -m benchmarks.pose_mitsuba --json benchmarks/results/pose-mitsuba-cpu.json     # extra bench
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import diffrender as dr
from diffrender.color import to_bytes
from diffrender.orbit import middle
from diffrender.pose_moves import angle_between

from .cube_pose import random_rotation
from .environment import announce, save

SIZE = (360, 480)  # (H, W) px
FOV = 34.0  # degrees over the shorter side
SAMPLES = 128
PICTURES = 10
SEED = 12
ROTATION, TRANSLATION = 2.0, 0.01  # degrees, of the distance
_ASSETS = Path(__file__).parent.parent / "assets"


def knot() -> dr.Mesh:
    """Return a lumpy closed tube without any symmetry, coloured by where it is."""
    along, around = 160, 24
    t = np.linspace(0, 2 * np.pi, along, endpoint=False)
    center = np.column_stack(
        [np.cos(t) + 0.45 * np.cos(2 * t), np.sin(t) - 0.4 * np.sin(2 * t), 0.45 * np.sin(3 * t + 0.6)]
    )
    forward = np.roll(center, -1, axis=0) - np.roll(center, 1, axis=0)
    forward /= np.linalg.norm(forward, axis=1, keepdims=True)
    side = np.cross(forward, [0.3, 0.2, 1.0])
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    up = np.cross(side, forward)
    angle = np.linspace(0, 2 * np.pi, around, endpoint=False)
    radius = 0.28 + 0.1 * np.cos(t + 1)[:, None, None]
    ring = np.cos(angle)[None, :, None] * side[:, None] + np.sin(angle)[None, :, None] * up[:, None]
    vertices = (center[:, None] + radius * ring).reshape(-1, 3)
    i, j = np.meshgrid(np.arange(along), np.arange(around), indexing="ij")
    a, b = i * around + j, (i + 1) % along * around + j
    c, d = (i + 1) % along * around + (j + 1) % around, i * around + (j + 1) % around
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    stripes = 0.5 + 0.45 * np.sin(np.column_stack([3 * t + 1, 2 * t, 5 * t + 2]))
    return _outwards(dr.Mesh(vertices.astype(np.float32), faces, np.repeat(stripes, around, axis=0).astype(np.float32)))


def lump(seed: int) -> dr.Mesh:
    """Return a smooth lump without symmetry, with patches of colour."""
    ball = dr.icosphere(5)
    random = np.random.default_rng(seed)
    points = ball.vertices.astype(np.float64)
    radius = 1 + 0.22 * np.sin(points @ random.normal(size=(3, 4)) * 2.2 + random.uniform(0, 6, 4)).sum(
        axis=1, keepdims=True
    )
    patches = np.sin(points @ random.normal(size=(3, 3)) * 4 + random.uniform(0, 6, 3))
    colors = 0.5 + 0.4 * np.tanh(4 * patches)
    return dr.Mesh((points * radius * [1.2, 0.9, 0.8]).astype(np.float32), ball.faces, colors.astype(np.float32))


def box() -> dr.Mesh:
    """Return a box of three different sides with the colours of assets/cube.glb."""
    cube = dr.load_mesh(_ASSETS / "cube.glb")
    return dr.Mesh(cube.vertices * np.array([1.3, 0.8, 1.0], np.float32), cube.faces, cube.vertex_colors)


def _outwards(mesh: dr.Mesh) -> dr.Mesh:
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    inside_out = np.einsum("ij,ij->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) < 0
    return dr.Mesh(mesh.vertices, mesh.faces[:, ::-1] if inside_out else mesh.faces, mesh.vertex_colors)


def meshes() -> list[tuple[str, dr.Mesh]]:
    """Return the meshes by turns."""
    return [
        ("duck", dr.load_mesh(_ASSETS / "duck.glb")),
        ("knot", knot()),
        ("box", box()),
        ("lump", lump(3)),
        ("lump 2", lump(8)),
    ]


def camera_for(mesh: dr.Mesh, random: np.random.Generator) -> dr.Camera:
    """Return a camera that sees the mesh from anywhere, off the middle, 0.35 to 0.55 of the image's height large."""
    center = middle(mesh)
    radius = float(np.linalg.norm(mesh.vertices - center, axis=1).max())
    focal = SIZE[0] / 2 / np.tan(np.radians(FOV) / 2)
    distance = focal * 2 * radius / (random.uniform(0.45, 0.65) * SIZE[0])
    K = np.array([[focal, 0, SIZE[1] / 2], [0, focal, SIZE[0] / 2], [0, 0, 1]])
    pixel = np.array([SIZE[1], SIZE[0]]) * (0.5 + random.uniform(-0.1, 0.1, 2))
    rotation = random_rotation(random)
    place = distance * np.array([*((pixel - K[:2, 2]) / focal), 1.0])
    return dr.Camera(K, rotation, place - rotation @ center, SIZE)


def background(random: np.random.Generator) -> np.ndarray:
    """Return a textured wall (H, W, 3): wood-like stripes, checks or blotches in two colours, with noise on top."""
    side = 512
    y, x = np.mgrid[0:side, 0:side] / side
    kind = random.integers(3)
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(random.normal(size=(side, side)), 14, mode="wrap")
    noise /= noise.std()
    if kind == 0:
        share = 0.5 + 0.5 * np.sin(60 * (x + 0.05 * noise))
    elif kind == 1:
        share = ((np.floor(14 * x) + np.floor(14 * y)) % 2).astype(float)
    else:
        share = 1 / (1 + np.exp(-3 * noise))
    first, second = random.uniform(0.15, 0.75, (2, 3)) * [[1], [0.8]]
    grain = gaussian_filter(random.normal(size=(side, side, 1)), (1, 1, 0))
    return np.clip(share[..., None] * first + (1 - share[..., None]) * second + 0.06 * grain, 0, 1)


def rendered(mesh: dr.Mesh, camera: dr.Camera, random: np.random.Generator) -> np.ndarray:
    """Return Mitsuba's picture (H, W, 3), linear: a wall behind the object, a lamp to one side, light from around."""
    import mitsuba as mi

    if mi.variant() is None:
        mi.set_variant("llvm_ad_rgb" if "llvm_ad_rgb" in mi.variants() else "scalar_rgb")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mesh.ply"
        _write_ply(mesh, path)
        center, distance = middle(mesh), float((camera.R @ middle(mesh) + camera.t)[2])
        to_world = np.eye(4, dtype=np.float32)
        to_world[:3, :3] = camera.R.T @ np.diag([-1.0, -1.0, 1.0])  # Mitsuba: x left, y up, z forward
        to_world[:3, 3] = camera.center
        depth = distance * 1.6
        half = depth * np.tan(np.radians(FOV) / 2) * 1.6
        wall = np.eye(4, dtype=np.float32)
        wall[:3, :3] = camera.R.T @ np.diag([half, -half, -half])
        wall[:3, 3] = camera.center + depth * camera.R[2]
        lamp = camera.R.T @ (np.array([random.uniform(-1, 1), random.uniform(-1.2, -0.3), -0.8]) * distance) + center
        scene = mi.load_dict(
            {
                "type": "scene",
                "integrator": {"type": "path", "max_depth": 4},
                "sensor": {
                    "type": "perspective",
                    "fov": FOV,
                    "fov_axis": "smaller",
                    "to_world": mi.ScalarTransform4f(to_world),
                    "film": {"type": "hdrfilm", "width": SIZE[1], "height": SIZE[0], "rfilter": {"type": "box"}},
                    "sampler": {"type": "independent", "sample_count": SAMPLES},
                },
                "object": {
                    "type": "ply",
                    "filename": str(path),
                    "face_normals": len(mesh.faces) < 100,
                    "bsdf": {"type": "twosided", "bsdf": _plastic()},
                },
                "wall": {
                    "type": "rectangle",
                    "to_world": mi.ScalarTransform4f(wall),
                    "bsdf": {
                        "type": "twosided",
                        "bsdf": {
                            "type": "diffuse",
                            "reflectance": {
                                "type": "bitmap",
                                "bitmap": mi.Bitmap(background(random).astype(np.float32)),
                                "raw": True,
                            },
                        },
                    },
                },
                "around": {"type": "constant", "radiance": {"type": "rgb", "value": 0.45}},
                "lamp": {
                    "type": "sphere",
                    "center": lamp.tolist(),
                    "radius": 0.15 * distance,
                    "emitter": {
                        "type": "area",
                        "radiance": {
                            "type": "rgb",
                            "value": [float(v) for v in random.uniform(22, 30) * np.array([1.0, 0.95, 0.85])],
                        },
                    },
                },
            }
        )
        return np.array(mi.render(scene))[..., :3]


def _plastic() -> dict[str, Any]:
    return {"type": "diffuse", "reflectance": {"type": "mesh_attribute", "name": "vertex_color"}}


def _write_ply(mesh: dr.Mesh, path: Path) -> None:
    """Write a mesh as Mitsuba reads it, with linear colours as an attribute."""
    assert mesh.vertex_colors is not None
    names = ("x", "y", "z", "r", "g", "b")
    header = [f"element vertex {len(mesh.vertices)}", *(f"property float {name}" for name in names)]
    header += [f"element face {len(mesh.faces)}", "property list uchar int vertex_indices"]
    faces = np.empty(len(mesh.faces), [("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, mesh.faces
    body = np.hstack([mesh.vertices, mesh.vertex_colors]).astype("<f4").tobytes() + faces.tobytes()
    path.write_bytes("\n".join(["ply", "format binary_little_endian 1.0", *header, "end_header", ""]).encode() + body)


def measure(number: int, name: str, mesh: dr.Mesh, folder: Path) -> dict[str, Any]:
    """Return how far the command is off for one picture; picture, mesh and results are left in the folder."""
    random = np.random.default_rng([SEED, number])
    truth = camera_for(mesh, random)
    photo, model, out = (folder / f"{number}{suffix}" for suffix in (".png", ".glb", ""))
    Image.fromarray(to_bytes(rendered(mesh, truth, random))).save(photo)
    mesh.save(model)
    command = [sys.executable, "-m", "diffrender.cli.main", "pose", photo, "--mesh", model, "--fov", FOV, "--out", out]
    begin = time.perf_counter()
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    row: dict[str, Any] = {"picture": number, "mesh": name, "seconds": round(time.perf_counter() - begin, 1)}
    if done.returncode:
        return row | {
            "error": done.stderr.strip().splitlines()[-1:],
            "rotation": None,
            "translation": None,
            "right": False,
        }
    found = dr.Camera.from_dict(json.loads((out / "camera.json").read_text()))
    place, wanted = (camera.R @ middle(mesh) + camera.t for camera in (found, truth))
    rotation = float(angle_between(found.R, truth.R))
    translation = float(np.linalg.norm(place - wanted) / np.linalg.norm(wanted))
    right = rotation < ROTATION and translation < TRANSLATION
    said = [line for line in done.stdout.splitlines() if line.startswith(("mask", "mesh at", "silhouette"))]
    said = [line.replace(f"{out}/", "") for line in said]
    return row | {"rotation": rotation, "translation": translation, "right": right, "said": said}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=PICTURES)
    parser.add_argument("--folder", type=Path, help="where pictures and overlays are left")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    facts = announce()
    kept = given.folder or Path(tempfile.mkdtemp())
    kept.mkdir(parents=True, exist_ok=True)
    shapes, rows = meshes(), []
    for index in range(given.pictures):
        rows.append(measure(index, *shapes[index % len(shapes)], kept))
        print(json.dumps(rows[-1]), flush=True)
    print(f"{sum(row['right'] for row in rows)} of {len(rows)} right")
    save(given.json, facts, rows=rows)
