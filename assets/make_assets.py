"""Make everything in this folder: the meshes, the photo of the duck and its mask. The same files every time.

    pip install -e ".[dev,bench]"        # mitsuba, scikit-image
    python assets/make_assets.py         # minutes; --samples 16 for a quick, noisy look, --output DIR for elsewhere

The duck is an implicit surface, smooth unions of balls and capsules, which scikit-image polygonises. The photo
is traced by Mitsuba 3 from a far finer polygonisation than `duck.glb`, so the code that fits it has no part in it.
"""

import argparse
import colorsys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image
from skimage.measure import marching_cubes

from diffrender.color import linear_to_srgb, srgb_to_linear
from diffrender.mesh import Mesh

WIDTH, HEIGHT = 640, 480
TURN_DEGREES = -32.0  # the duck's turn about the vertical in the photo, from profile towards the camera

# sRGB
YELLOW = (0.975, 0.77, 0.09)
ORANGE = (0.93, 0.43, 0.06)
BLUSH = (0.96, 0.60, 0.16)
BLACK = (0.10, 0.07, 0.06)
WHITE = (0.97, 0.96, 0.92)


# --- The duck: y is up, it stands on y = 0 and looks along +x. Distances of points (N, 3), negative inside. ---


def ball(points: np.ndarray, center: tuple[float, float, float], radii: tuple[float, float, float]) -> np.ndarray:
    """Return about the distance to an ellipsoid."""
    offset = points - np.array(center)
    inner = np.linalg.norm(offset / np.array(radii), axis=1)
    outer = np.linalg.norm(offset / np.array(radii) ** 2, axis=1)
    return inner * (inner - 1) / np.maximum(outer, 1e-9)


def capsule(
    points: np.ndarray, start: tuple[float, float, float], end: tuple[float, float, float], radii: tuple[float, float]
) -> np.ndarray:
    """Return about the distance to a rod whose radius runs from radii[0] to radii[1]."""
    axis = np.array(end) - np.array(start)
    along = np.clip((points - np.array(start)) @ axis / (axis @ axis), 0, 1)
    nearest = np.array(start) + along[:, None] * axis
    return np.linalg.norm(points - nearest, axis=1) - (radii[0] + along * (radii[1] - radii[0]))


def union(a: np.ndarray, b: np.ndarray, blend: float) -> np.ndarray:
    """Return the smaller of two distances, rounded where they differ by less than `blend`."""
    overlap = np.maximum(blend - np.abs(a - b), 0) / blend
    return np.minimum(a, b) - overlap**3 * blend / 6


def feathers(points: np.ndarray) -> np.ndarray:
    """Return the distance to the duck without its beak."""
    mirrored = points * (1, 1, 0) + np.abs(points) * (0, 0, 1)
    body = ball(points, (-0.08, 0.60, 0), (0.98, 0.60, 0.70))
    body = union(body, ball(points, (0.38, 0.68, 0), (0.58, 0.60, 0.60)), 0.35)
    body = union(body, capsule(points, (-0.72, 0.78, 0), (-1.16, 1.14, 0), (0.34, 0.11)), 0.45)
    body = union(body, capsule(points, (0.36, 0.95, 0), (0.42, 1.40, 0), (0.42, 0.36)), 0.30)
    body = union(body, ball(points, (0.46, 1.58, 0), (0.53, 0.50, 0.51)), 0.22)
    tilted = mirrored - np.array([-0.16, 0.74, 0.60])
    cos, sin = np.cos(np.radians(-14)), np.sin(np.radians(-14))
    tilted = np.stack([tilted[:, 0] * cos - tilted[:, 1] * sin, tilted[:, 0] * sin + tilted[:, 1] * cos, tilted[:, 2]], 1)
    wing = ball(tilted, (0, 0, 0), (0.50, 0.27, 0.20))
    wing = union(wing, ball(tilted, (-0.40, 0.10, 0.0), (0.24, 0.15, 0.14)), 0.20)
    body = union(body, wing, 0.10)
    return -union(-body, points[:, 1] - 0.04, 0.16)  # a flat foot to stand on


def beak(points: np.ndarray) -> np.ndarray:
    """Return the distance to the beak: two lips, the upper one longer."""
    bent = points - np.array([0, 1, 0]) * np.maximum(points[:, :1] - 0.95, 0) ** 2 * 0.9
    upper = ball(bent, (1.00, 1.53, 0), (0.33, 0.10, 0.27))
    lower = ball(bent, (0.96, 1.42, 0), (0.25, 0.09, 0.20))
    return union(upper, lower, 0.06)


def duck(points: np.ndarray) -> np.ndarray:
    """Return about the distance to the duck."""
    return union(feathers(points), beak(points), 0.07)


def paint(points: np.ndarray) -> np.ndarray:
    """Return the linear RGB of points on the duck's surface."""
    color = np.tile(YELLOW, (len(points), 1))
    side = np.abs(points[:, 2])
    cheek = np.linalg.norm((np.stack([points[:, 0], points[:, 1], side], 1) - (0.74, 1.36, 0.40)) / 0.19, axis=1)
    color = mix(color, BLUSH, 0.75 * np.exp(-(cheek**2)))
    color = mix(color, BLUSH, 0.45 * np.clip(0.35 - points[:, 1], 0, 0.35) / 0.35)
    color = mix(color, ORANGE, edge(feathers(points) - beak(points) - 0.01, 0.012))
    eye = np.hypot((points[:, 0] - 0.72) / 0.095, (points[:, 1] - 1.70) / 0.135)
    color = mix(color, BLACK, edge((1 - eye) * 0.1, 0.01) * (side > 0.2))
    glint = np.hypot(points[:, 0] - 0.745, points[:, 1] - 1.755)
    color = mix(color, WHITE, edge(0.036 - glint, 0.008) * (side > 0.2))
    return srgb_to_linear(np.clip(color, 0, 1))


def mix(color: np.ndarray, other: tuple[float, float, float], weight: np.ndarray) -> np.ndarray:
    return color + weight[:, None] * (np.array(other) - color)


def edge(distance: np.ndarray, width: float) -> np.ndarray:
    """Return 0 to 1 as distance goes from -width to width."""
    t = np.clip(distance / width / 2 + 0.5, 0, 1)
    return t * t * (3 - 2 * t)


def polygonise(distance: Callable[[np.ndarray], np.ndarray], spacing: float, rounds: int = 12) -> trimesh.Trimesh:
    """Return the surface where distance is 0 as a closed mesh of nearly equal triangles, about `spacing` wide."""
    low, high = np.array([-1.5, -0.2, -1.1]), np.array([1.6, 2.4, 1.1])
    axes = [np.arange(start, stop, spacing) for start, stop in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    volume = distance(grid.reshape(-1, 3)).reshape(grid.shape[:3])
    vertices, faces, _, _ = marching_cubes(volume, 0.0, spacing=(spacing,) * 3)
    mesh = trimesh.Trimesh(vertices + low, faces)
    mesh.merge_vertices()
    if mesh.volume < 0:
        mesh.invert()
    neighbours = trimesh.smoothing.laplacian_calculation(mesh, equal_weight=True)
    points = np.array(mesh.vertices)
    for _ in range(rounds):  # slide along the surface towards the neighbours' middle, then back onto the surface
        points += 0.6 * (neighbours @ points - points)
        for _ in range(2):
            slope = gradient(distance, points)
            points -= (distance(points) / np.maximum((slope**2).sum(1), 0.1))[:, None] * slope
    return trimesh.Trimesh(points, mesh.faces, process=False)


def gradient(distance: Callable[[np.ndarray], np.ndarray], points: np.ndarray, step: float = 1e-4) -> np.ndarray:
    offsets = np.eye(3) * step
    return np.stack([distance(points + o) - distance(points - o) for o in offsets], 1) / (2 * step)


def make_duck(spacing: float) -> Mesh:
    mesh = polygonise(duck, spacing)
    return Mesh(mesh.vertices.astype(np.float32), mesh.faces, paint(np.asarray(mesh.vertices)))


# --- The other meshes ---


def make_cube() -> Mesh:
    """Return a cube of side 2 with four vertices a face, so that every face has its own colour."""
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    colors = ["#e6432f", "#3fa7d6", "#59b157", "#f5b82e", "#8e5bb5", "#f2efe6"]
    vertices, faces, paints = [], [], []
    for number, color in enumerate(colors):
        axis, sign = number // 2, 1 - 2 * (number % 2)
        corners = np.insert(square, axis, sign, axis=1)
        order = [0, 1, 2, 3] if sign * (-1) ** axis > 0 else [3, 2, 1, 0]
        faces += [[4 * number + order[i] for i in triangle] for triangle in ((0, 1, 2), (0, 2, 3))]
        vertices.append(corners)
        paints += [[int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]] * 4
    return Mesh(np.concatenate(vertices).astype(np.float32), np.array(faces), srgb_to_linear(np.array(paints)))


def make_torus() -> Mesh:
    """Return a torus around the y axis whose hue goes once around."""
    torus = trimesh.creation.torus(major_radius=1.0, minor_radius=0.4, major_sections=64, minor_sections=32)
    torus.apply_transform(trimesh.transformations.rotation_matrix(-np.pi / 2, (1, 0, 0)))
    hue = np.arctan2(torus.vertices[:, 2], torus.vertices[:, 0]) / (2 * np.pi) % 1
    paints = np.array([colorsys.hsv_to_rgb(h, 0.65, 0.95) for h in hue])
    return Mesh(torus.vertices.astype(np.float32), torus.faces, srgb_to_linear(paints))


# --- The photo ---


def planks(rng: np.random.Generator, size: int = 1024, count: int = 8) -> np.ndarray:
    """Return a texture (size, size, 3), sRGB, of boards painted slate blue, along the columns' direction."""
    from scipy.ndimage import gaussian_filter, gaussian_filter1d

    rows = np.arange(size)
    board = rows * count // size
    grain = gaussian_filter(rng.standard_normal((size, size)), (1.2, 60), mode="wrap")
    streaks = gaussian_filter(rng.standard_normal((size, size)), (0.6, 18), mode="wrap")
    clouds = gaussian_filter(rng.standard_normal((size, size)), (30, 90), mode="wrap")
    value = 0.050 * grain / grain.std() + 0.022 * streaks / streaks.std() + 0.020 * clouds / clouds.std()
    value += rng.uniform(-0.05, 0.05, count)[board][:, None]
    shift = rng.integers(0, size, count)
    for number in range(count):
        value[board == number] = np.roll(value[board == number], shift[number], axis=1)
    inside = (rows * count % size) / size  # 0 to 1 across a board
    gap = gaussian_filter1d(((inside < 0.022) | (inside > 0.978)).astype(float), 1.2, mode="wrap")
    color = np.array([0.36, 0.47, 0.58]) * (1 + value[..., None] * np.array([1.35, 1.1, 0.9]))
    return np.clip(color * (1 - 0.62 * gap[:, None, None]), 0, 1)


def tiles(rng: np.random.Generator, size: int = 1024, count: int = 8) -> np.ndarray:
    """Return a texture (size, size, 3), sRGB, of square tiles in teal and sea blue with pale joints."""
    from scipy.ndimage import gaussian_filter

    rows, columns = np.mgrid[:size, :size]
    row, column = rows * count // size, columns * count // size
    teal, sea = np.array([0.26, 0.56, 0.60]), np.array([0.25, 0.47, 0.66])
    blend = rng.uniform(0, 1, (count, count))[row, column][..., None]
    shade = 1 + rng.uniform(-0.13, 0.10, (count, count))[row, column][..., None]
    glaze = gaussian_filter(rng.standard_normal((size, size)), 14, mode="wrap")
    color = (teal + blend * (sea - teal)) * (shade + 0.025 * (glaze / glaze.std())[..., None])
    inside = np.minimum((rows * count % size) / size, (columns * count % size) / size)
    inside = np.minimum(inside, 1 - np.maximum((rows * count % size) / size, (columns * count % size) / size))
    joint = gaussian_filter((inside < 0.02).astype(float), 1.5, mode="wrap")[..., None]
    color = color * (1 - 0.10 * np.clip(1 - inside / 0.07, 0, 1)[..., None])
    return np.clip(color + joint * (np.array([0.66, 0.74, 0.78]) - color), 0, 1)


def photograph(model: Mesh, samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Trace the model on its table: the photo (H, W, 3), sRGB uint8, and the mask (H, W), 255 where the model is."""
    import mitsuba as mi

    mi.set_variant("scalar_rgb")
    place = mi.ScalarTransform4f
    rng = np.random.default_rng(7)

    def matte(texture: np.ndarray, repeat: tuple[float, float]) -> dict:
        bitmap = mi.Bitmap(np.rint(texture * 255).astype(np.uint8))
        image = {"type": "bitmap", "bitmap": bitmap, "to_uv": place().scale((*repeat, 1))}
        return {"type": "twosided", "material": {"type": "diffuse", "reflectance": image}}

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "model.ply")
        write_ply(model, path)
        shape = {"type": "ply", "filename": path, "to_world": place().rotate((0, 1, 0), TURN_DEGREES)}
        rubber = {
            "type": "principled",
            "base_color": {"type": "mesh_attribute", "name": "vertex_color"},
            "roughness": 0.55,
            "specular": 0.25,
        }
        sensor = {
            "type": "thinlens",
            "fov": 30.0,
            "fov_axis": "y",
            "aperture_radius": 0.055,
            "focus_distance": 6.2,
            "to_world": place().look_at((0.0, 2.55, 6.6), (0.02, 0.98, 0), (0, 1, 0)),
            "film": {"type": "hdrfilm", "width": WIDTH, "height": HEIGHT, "rfilter": {"type": "gaussian"}},
            "sampler": {"type": "multijitter", "sample_count": samples},
        }
        scene = mi.load_dict(
            {
                "type": "scene",
                "integrator": {"type": "path", "max_depth": 7},
                "sensor": sensor,
                "model": {**shape, "bsdf": rubber},
                "table": {
                    "type": "rectangle",
                    "to_world": place().translate((0, 0, 1)).rotate((1, 0, 0), -90).scale((6, 4.2, 1)),
                    "bsdf": matte(planks(rng), (1.5, 1.3)),
                },
                "wall": {
                    "type": "rectangle",
                    "to_world": place().translate((0, 2, -3.2)).scale((8, 6, 1)),
                    "bsdf": matte(tiles(rng), (2.0, 1.5)),
                },
                "softbox": {
                    "type": "rectangle",
                    "to_world": place().look_at((-4.2, 6.4, 4.6), (0, 0.8, 0), (0, 1, 0)).scale((1.9, 1.9, 1)),
                    "emitter": {"type": "area", "radiance": {"type": "rgb", "value": (11.5, 10.9, 10.0)}},
                },
                "sky": {"type": "constant", "radiance": {"type": "rgb", "value": (0.52, 0.57, 0.64)}},
            }
        )
        light = np.array(mi.render(scene, spp=samples, seed=1))[..., :3]
        # The mask: the model glows, nothing else does, and no light is reflected.
        glow = {"type": "area", "radiance": {"type": "rgb", "value": 1.0}}
        bare = {"type": "path", "max_depth": 1}
        dark = mi.load_dict({"type": "scene", "integrator": bare, "sensor": sensor, "model": {**shape, "emitter": glow}})
        covered = np.array(mi.render(dark, spp=64, seed=1))[..., 0]
    photo = np.rint(linear_to_srgb(np.clip(expose(light), 0, 1).astype(np.float64)) * 255).astype(np.uint8)
    return photo, np.where(covered >= 0.5, 255, 0).astype(np.uint8)


def expose(light: np.ndarray) -> np.ndarray:
    """Roll the brightest tones off instead of clipping them; below 0.6 the response is linear."""
    knee, top = 0.6, 0.4
    return np.where(light < knee, light, knee + top * (1 - np.exp(-np.maximum(light - knee, 0) / top)))


def write_ply(model: Mesh, path: str) -> None:
    """Write a PLY with normals and linear float colours as Mitsuba reads them."""
    assert model.vertex_colors is not None
    normals = trimesh.Trimesh(model.vertices, model.faces, process=False).vertex_normals
    rows = np.concatenate([model.vertices, normals, model.vertex_colors], axis=1).astype("<f4")
    names = ("x", "y", "z", "nx", "ny", "nz", "r", "g", "b")
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(rows)}"]
    header += [f"property float {name}" for name in names]
    header += [f"element face {len(model.faces)}", "property list uchar int vertex_indices", "end_header", ""]
    faces = np.empty(len(model.faces), [("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, model.faces
    Path(path).write_bytes("\n".join(header).encode() + rows.tobytes() + faces.tobytes())


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the meshes, the photo and its mask.")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, help="folder to write to")
    parser.add_argument("--samples", type=int, default=1024, help="light paths a pixel of the photo")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    make_duck(spacing=0.056).save(options.output / "duck.glb")
    make_cube().save(options.output / "cube.glb")
    make_torus().save(options.output / "torus.ply")
    photo, mask = photograph(make_duck(spacing=0.016), options.samples)
    Image.fromarray(photo).save(options.output / "duck_photo.jpg", quality=93, subsampling=0)
    Image.fromarray(mask).save(options.output / "duck_mask.png", optimize=True)
    for path in sorted(options.output.iterdir()):
        print(f"{path.stat().st_size / 1000:8.1f} kB  {path.name}")


if __name__ == "__main__":
    main()
