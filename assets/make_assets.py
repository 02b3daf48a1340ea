"""Make the files of this folder: `pip install -e '.[dev]'`, then `python assets/make_assets.py`; it takes two minutes.

The duck's photo is rendered by Mitsuba 3, not by diffrender: a target must not come from the code that fits it.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from diffrender.color import to_bytes
from diffrender.inflate import smooth
from diffrender.mesh import Mesh
from diffrender.polygonize import polygonize
from diffrender.repair import unfold
from diffrender.shading import vertex_normals
from diffrender.topology import uniform_laplacian

HERE = Path(__file__).parent
SIZE = (480, 560)  # (H, W) px
SAMPLES = 400

# linear RGB
YELLOW, ORANGE, DARK = (0.80, 0.47, 0.02), (0.72, 0.13, 0.01), (0.012, 0.012, 0.018)

Part = tuple[tuple[float, float, float], tuple[float, float, float], float]
# center, radii, degrees about z; x is where the duck looks, y is up
BODY: list[Part] = [
    ((0.0, 0.0, 0.0), (0.92, 0.60, 0.66), 4),
    ((0.25, 0.05, 0.0), (0.62, 0.62, 0.60), 0),
    ((-0.82, 0.36, 0.0), (0.30, 0.15, 0.26), -48),
    ((-0.08, 0.10, 0.56), (0.50, 0.26, 0.16), 16),
    ((-0.08, 0.10, -0.56), (0.50, 0.26, 0.16), 16),
    ((0.50, 0.80, 0.0), (0.46, 0.45, 0.44), 0),
]
BEAK: list[Part] = [((0.98, 0.70, 0.0), (0.26, 0.085, 0.22), 6), ((0.94, 0.64, 0.0), (0.20, 0.07, 0.17), -8)]
EYES = [((0.745, 0.94, 0.315), 0.085), ((0.745, 0.94, -0.315), 0.085)]


def ellipsoid(
    points: np.ndarray, center: tuple[float, float, float], radii: tuple[float, float, float], degrees: float
) -> np.ndarray:
    """Return about the distance to an ellipsoid of points (..., 3), positive inside."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    local = (points - np.array(center)) @ turn.T / np.array(radii)
    length = np.linalg.norm(local, axis=-1)
    return (1 - length) * length / np.maximum(np.linalg.norm(local / np.array(radii), axis=-1), 1e-9)


def union(fields: list[np.ndarray], softness: float) -> np.ndarray:
    """Blend fields where they meet."""
    return softness * np.logaddexp.reduce(np.stack(fields) / softness, axis=0)


def make_duck() -> Mesh:
    """Return a rubber duck, closed, with painted vertices."""
    step = 0.07
    x, y, z = np.arange(-1.35, 1.45, step), np.arange(-0.85, 1.45, step), np.arange(-0.95, 0.95, step)
    points = np.stack(np.meshgrid(x, y, z, indexing="ij"), axis=-1)
    body = union([ellipsoid(points, *part) for part in BODY], 0.06)
    field = union([body, union([ellipsoid(points, *part) for part in BEAK], 0.02)], 0.02)
    field = np.minimum(field, points[..., 1] + 0.52)  # it stands on a flat base
    grid, faces = polygonize(field)
    vertices = smooth(np.array([x[0], y[0], z[0]]) + grid * step, faces, iterations=5)
    vertices = unfold(vertices, faces, uniform_laplacian(faces, len(vertices)))
    beak = union([ellipsoid(vertices, *part) for part in BEAK], 0.02)
    colors = mix(np.tile(YELLOW, (len(vertices), 1)), ORANGE, np.clip(beak / 0.02 + 1.0, 0, 1))
    for center, radius in EYES:
        depth = radius - np.linalg.norm(vertices - np.array(center), axis=1)
        colors = mix(colors, DARK, np.clip(depth / 0.02 + 0.5, 0, 1))
    return Mesh(vertices.astype(np.float32), faces, colors)


def mix(colors: np.ndarray, other: tuple[float, float, float], share: np.ndarray) -> np.ndarray:
    """Return colours (V, 3) mixed with another by share (V,)."""
    return colors + share[:, None] * (np.array(other) - colors)


def make_cube() -> Mesh:
    """Return a cube with a colour on each side: 24 vertices, corners are not shared between sides."""
    colors = [(0.8, 0.1, 0.1), (0.1, 0.6, 0.15), (0.1, 0.2, 0.8), (0.85, 0.65, 0.1), (0.6, 0.1, 0.6), (0.1, 0.6, 0.7)]
    vertices: list[np.ndarray] = []
    faces = []
    for side in range(6):
        axis, sign = side // 2, 1 - 2 * (side % 2)
        u, v = np.eye(3)[(axis + 1) % 3], np.eye(3)[(axis + 2) % 3] * sign
        center = np.eye(3)[axis] * sign
        vertices += [center - u - v, center + u - v, center + u + v, center - u + v]
        faces += [(4 * side, 4 * side + 1, 4 * side + 2), (4 * side, 4 * side + 2, 4 * side + 3)]
    return Mesh(np.array(vertices, np.float32), np.array(faces), np.repeat(colors, 4, axis=0))


def make_torus(around: int = 64, across: int = 32) -> Mesh:
    """Return a torus whose colour turns around it."""
    u, v = np.meshgrid(np.arange(around), np.arange(across), indexing="ij")
    a, b = 2 * np.pi * u / around, 2 * np.pi * v / across
    ring = 1 + 0.4 * np.cos(b)
    vertices = np.stack([ring * np.cos(a), ring * np.sin(a), 0.4 * np.sin(b)], axis=-1).reshape(-1, 3)
    here, right = u * across + v, (u + 1) % around * across + v
    above, beyond = u * across + (v + 1) % across, (u + 1) % around * across + (v + 1) % across
    faces = np.concatenate(
        [np.stack([here, right, beyond], -1).reshape(-1, 3), np.stack([here, beyond, above], -1).reshape(-1, 3)]
    )
    colors = 0.45 + 0.4 * np.cos(a.reshape(-1, 1) - np.array([0, 2, 4]) * np.pi / 3)
    return Mesh(vertices.astype(np.float32), faces, colors)


def noise(size: int, octaves: int, seed: int) -> np.ndarray:
    """Return periodic noise (size, size) of about +-1: random values on ever finer grids, interpolated by Fourier."""
    random = np.random.default_rng(seed)
    total = np.zeros((size, size))
    for octave in range(octaves):
        cells = 4 * 2**octave
        spectrum = np.zeros((size, size), complex)
        start = (size - cells) // 2
        coarse = np.fft.fftshift(np.fft.fft2(random.normal(size=(cells, cells))))
        spectrum[start : start + cells, start : start + cells] = coarse
        total += np.fft.ifft2(np.fft.ifftshift(spectrum)).real * (size / cells) ** 2 / 2**octave
    return total / 2


def cloth(size: int = 1024) -> np.ndarray:
    """Return a woven checked table cloth in blues, linear RGB."""
    stripe = (np.arange(size) * 10 // size) % 2
    weight = (stripe[:, None] + stripe[None, :]) / 2
    light, dark = np.array([0.42, 0.55, 0.62]), np.array([0.05, 0.16, 0.28])
    thread = np.sin(np.arange(size) * 2 * np.pi / 8)
    grain = (1 + 0.10 * thread[:, None] * thread[None, :]) * (1 + 0.08 * noise(size, 6, 1))
    return np.clip((light + weight[..., None] * (dark - light)) * grain[..., None], 0, 1)


def plaster(size: int = 512) -> np.ndarray:
    """Return a wall of grey-green plaster, linear RGB."""
    return np.clip(np.array([0.23, 0.33, 0.33]) * (1 + 0.10 * noise(size, 6, 2))[..., None], 0, 1)


def render_photo(mesh_path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the photo (H, W, 3) linear and the object's coverage (H, W), both from Mitsuba 3."""
    import mitsuba as mi

    mi.set_variant("scalar_rgb")
    transform = mi.ScalarTransform4f
    camera: dict[str, Any] = {
        "type": "perspective",
        "fov": 30,
        "fov_axis": "smaller",
        "to_world": transform().look_at(origin=[0.15, 1.0, 5.4], target=[0.05, 0.27, 0], up=[0, 1, 0]),
        "film": {"type": "hdrfilm", "width": SIZE[1], "height": SIZE[0], "rfilter": {"type": "gaussian"}},
        "sampler": {"type": "independent", "sample_count": SAMPLES, "seed": 3},
    }
    duck: dict[str, Any] = {
        "type": "ply",
        "filename": str(mesh_path),
        "to_world": transform().rotate([0, 1, 0], -24),
        "bsdf": {
            "type": "blendbsdf",
            "weight": 0.05,
            "paint": {"type": "diffuse", "reflectance": {"type": "mesh_attribute", "name": "vertex_color"}},
            "gloss": {"type": "roughconductor", "alpha": 0.2},
        },
    }

    def surface(pixels: np.ndarray, repeat: float) -> dict[str, Any]:
        texture = {
            "type": "bitmap",
            "bitmap": mi.Bitmap(pixels.astype(np.float32)),
            "raw": True,
            "to_uv": transform().scale([repeat, repeat, 1]),
        }
        return {"type": "diffuse", "reflectance": texture}

    scene = {
        "type": "scene",
        "integrator": {"type": "path", "max_depth": 6},
        "sensor": camera,
        "duck": duck,
        "table": {
            "type": "rectangle",
            "to_world": transform().translate([0, -0.525, 0]).rotate([0, 1, 0], 24).rotate([1, 0, 0], -90).scale(8),
            "bsdf": surface(cloth(), 2.6),
        },
        "wall": {
            "type": "rectangle",
            "to_world": transform().translate([0, 2, -3.6]).scale(9),
            "bsdf": surface(plaster(), 3),
        },
        "window": {
            "type": "rectangle",
            "to_world": transform().look_at(origin=[-4.5, 5.0, 4.5], target=[0, 0, 0], up=[0, 1, 0]).scale(1.9),
            "emitter": {"type": "area", "radiance": {"type": "rgb", "value": [9.5, 9.0, 8.2]}},
        },
        "sky": {"type": "constant", "radiance": {"type": "rgb", "value": [0.42, 0.46, 0.52]}},
    }
    photo = np.array(mi.render(mi.load_dict(scene)))[..., :3]
    camera["film"] = {**camera["film"], "rfilter": {"type": "box"}}
    glowing = {**duck, "bsdf": {"type": "diffuse", "reflectance": 0.0}, "emitter": {"type": "area", "radiance": 1.0}}
    alone = {"type": "scene", "integrator": {"type": "direct"}, "sensor": camera, "duck": glowing}
    return photo, np.array(mi.render(mi.load_dict(alone)))[..., 0]


def save_ply_for_mitsuba(mesh: Mesh, path: Path) -> None:
    """Write vertices, smooth normals and linear colours under the names that Mitsuba reads."""
    assert mesh.vertex_colors is not None
    normals, _ = vertex_normals(mesh.vertices, mesh.faces)
    header = ["ply", "format ascii 1.0", f"element vertex {len(mesh.vertices)}"]
    header += [f"property float {name}" for name in ("x", "y", "z", "nx", "ny", "nz", "r", "g", "b")]
    header += [f"element face {len(mesh.faces)}", "property list uchar int vertex_indices", "end_header"]
    rows = np.hstack([mesh.vertices, normals, mesh.vertex_colors])
    lines = [" ".join(f"{value:.7g}" for value in row) for row in rows]
    lines += [f"3 {a} {b} {c}" for a, b, c in mesh.faces]
    path.write_text("\n".join(header + lines) + "\n")


def main() -> None:
    """Write all files of this folder."""
    duck = make_duck()
    duck.save(HERE / "duck.glb")
    make_cube().save(HERE / "cube.glb")
    make_torus().save(HERE / "torus.ply")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "duck.ply"
        save_ply_for_mitsuba(duck, path)
        photo, coverage = render_photo(path)
    Image.fromarray(to_bytes(photo)).save(HERE / "duck.jpg", quality=92)
    Image.fromarray(np.rint(np.clip(coverage, 0, 1) * 255).astype(np.uint8)).save(HERE / "duck_mask.png")


if __name__ == "__main__":
    main()
