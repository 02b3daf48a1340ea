"""One photo of a mirror-symmetric object, rendered by Mitsuba: how near the fit comes to the truth with and without the prior.

python -m benchmarks.mirror                # ten minutes; --picture draws what they look like from the side. Mitsuba needs
                                           # DRJIT_LIBLLVM_PATH=libLLVM-19.so

The photo is lit by a sky and a sun from one side and taken with the field of view that the fit assumes, from a distance that it
does not know. So before a mesh is compared it is scaled about the camera's centre, which changes nothing in the photo, by the
factor with the least Chamfer distance: for all methods alike. A fit has nothing random in it; the photo's noise is, by --seed.
"""

import argparse
import json
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import diffrender as dr
from diffrender.compare import Comparison, compare_meshes
from diffrender.orbit import facing, middle, orbited
from diffrender.placement import photo_camera
from diffrender.record.evaluate import evaluate, inspect
from diffrender.record.picture import headlight, picture, save_image

from .environment import announce, save
from .shapes import shape

SIZE = (512, 512)
SAMPLES = 64  # of Mitsuba's pixel
DISTANCE = 4.0  # from the camera to an object whose farthest vertex is at 1
# Azimuth and elevation of the camera in degrees: half from the front, and the side is not always the same.
POSES = {
    "cow": (35, 15),
    "horse": (-50, 20),
    "aeroplane": (42, 28),
    "chair": (-32, 22),
    "teddy": (55, 12),
    "mug": (-45, 25),
    "car": (38, 18),
    "duck": (-58, 10),
    "person": (48, 16),
    "fish": (-40, 24),
}
FACES, RESOLUTION = 12_000, 256  # of the fits, whose other settings are the defaults
METHODS = ("without", "plane given", "plane found")
POINTS = 20_000  # sampled of each surface to compare them; a tenth while the factor is sought
SIDES = (-90, -45, 90)  # degrees that the pictures are turned by
SIDE = 170  # px of a picture


class Photo(NamedTuple):
    """A view, the mesh in it as it lies in the world of the view's camera, and the normal (3,) of its plane of symmetry."""

    view: dr.View
    truth: dr.Mesh
    normal: np.ndarray


def photograph(name: str, seed: int = 0) -> Photo:
    """Return Mitsuba's photo of a shape."""
    azimuth, elevation = np.radians(POSES[name])
    direction = [
        math.sin(azimuth) * math.cos(elevation),
        math.sin(elevation),
        math.cos(azimuth) * math.cos(elevation),
    ]
    there, here = dr.Camera.look_at(DISTANCE * np.array(direction), size=SIZE), photo_camera(SIZE)
    turn, shift = here.R.T @ there.R, here.R.T @ (there.t - here.t)
    mesh = shape(name)
    truth = dr.Mesh((mesh.vertices @ turn.T + shift).astype(np.float32), mesh.faces, mesh.vertex_colors)
    return Photo(_rendered(truth, here, seed), truth, turn @ [1.0, 0.0, 0.0])


def _rendered(mesh: dr.Mesh, camera: dr.Camera, seed: int) -> dr.View:
    import mitsuba as mi

    mi.set_variant("llvm_ad_rgb")
    color = {"type": "mesh_attribute", "name": "vertex_color"}
    properties = mi.Properties()
    properties["bsdf"] = mi.load_dict({"type": "principled", "base_color": color, "roughness": 0.5, "specular": 0.4})
    thing = mi.Mesh("object", len(mesh.vertices), len(mesh.faces), props=properties)
    assert mesh.vertex_colors is not None
    thing.add_attribute("vertex_color", 3, mesh.vertex_colors.ravel().tolist())
    parameters = mi.traverse(thing)
    parameters["vertex_positions"] = mesh.vertices.ravel()
    parameters["faces"] = mesh.faces.astype(np.uint32).ravel()
    parameters.update()
    film = {"type": "hdrfilm", "width": SIZE[1], "height": SIZE[0], "pixel_format": "rgba", "rfilter": {"type": "box"}}
    ahead = camera.center + camera.R[2]
    to_world = mi.ScalarTransform4f().look_at(camera.center.tolist(), ahead.tolist(), (-camera.R[1]).tolist())
    scene = {
        "type": "scene",
        "integrator": {"type": "path", "max_depth": 4, "hide_emitters": True},
        "sensor": {
            "type": "perspective",
            "fov": math.degrees(2 * math.atan(SIZE[1] / 2 / camera.K[0, 0])),
            "to_world": to_world,
            "film": film,
            "sampler": {"type": "independent", "sample_count": SAMPLES},
        },
        "sky": {"type": "constant", "radiance": {"type": "rgb", "value": [0.5, 0.55, 0.6]}},
        "sun": {
            "type": "directional",
            "direction": [0.6, -1.0, -0.7],
            "irradiance": {"type": "rgb", "value": [1.6, 1.5, 1.3]},
        },
        "object": thing,
    }
    image = np.array(mi.render(mi.load_dict(scene), seed=seed))  # type: ignore[arg-type]
    alpha = np.clip(image[..., 3:], 0, 1)
    color_image = np.where(alpha > 0, image[..., :3] / np.maximum(alpha, 1e-6), 0)
    return dr.View(np.clip(color_image, 0, 1), alpha[..., 0], camera)


def fit(photo: Photo, method: str) -> tuple[dr.Mesh, np.ndarray | None]:
    """Return the mesh fitted, and the normal (3,) of the plane that it used."""
    normal = (float(photo.normal[0]), float(photo.normal[1]), float(photo.normal[2]))
    base = dr.FitSettings(faces=FACES, resolution=RESOLUTION)
    settings = {
        "without": base,
        "plane given": replace(base, symmetry=normal),
        "plane found": replace(base, symmetry="auto"),
    }
    *_, last = dr.fit([photo.view], settings=settings[method])
    return last.mesh, None if last.state.plane is None else last.state.plane.normal


def aligned(mesh: dr.Mesh, truth: dr.Mesh, camera: dr.Camera) -> tuple[dr.Mesh, Comparison, float]:
    """Return a mesh scaled about the camera's centre so that it is nearest to the truth, how near, and the factor."""
    from scipy.optimize import minimize_scalar

    def scaled(logarithm: float) -> dr.Mesh:
        vertices = camera.center + (mesh.vertices - camera.center) * math.exp(logarithm)
        return dr.Mesh(vertices.astype(np.float32), mesh.faces, mesh.vertex_colors)

    def chamfer(logarithm: float) -> float:
        return compare_meshes(scaled(logarithm), truth, points=POINTS // 10).chamfer

    tried = np.linspace(math.log(0.5), math.log(2), 15)
    best = min(tried, key=chamfer)
    found = minimize_scalar(chamfer, bounds=(best - 0.1, best + 0.1), method="bounded", options={"xatol": 1e-3}).x
    result = scaled(found)
    return result, compare_meshes(result, truth, points=POINTS), math.exp(found)


def measure(names: list[str], seed: int, picture_path: Path | None) -> list[dict[str, Any]]:
    """Return a row per object and method, and draw a row of pictures per object."""
    rows, pictures = [], []
    for name in names:
        photo = photograph(name, seed)
        shown = [_photo_picture(photo.view), *_sides(photo.truth, photo.view.camera)]
        for method in METHODS:
            begin = time.perf_counter()
            mesh, normal = fit(photo, method)
            seconds = time.perf_counter() - begin
            placed, near, factor = aligned(mesh, photo.truth, photo.view.camera)
            row = {
                "object": name,
                "method": method,
                "chamfer": near.chamfer,
                "f_score": near.f_score,
                "normal_consistency": near.normal_consistency,
                "factor": factor,
                "seconds": seconds,
                **evaluate(mesh, photo.view),
                **inspect(mesh),
            }
            if normal is not None:
                cosine = min(1.0, abs(float(normal @ photo.normal)))
                row["plane_error_degrees"] = math.degrees(math.acos(cosine))
            print(json.dumps(row), flush=True)
            rows.append(row)
            shown += _sides(placed, photo.view.camera)
        pictures.append(np.hstack(shown))
        if picture_path:
            save_image(np.vstack(pictures), picture_path)
    return rows


def _photo_picture(view: dr.View) -> np.ndarray:
    from diffrender.color import to_bytes

    small = view.resized((SIDE, SIDE))
    mask = small.mask[..., None]
    return to_bytes(small.image * mask + 0.85 * (1 - mask))


def _sides(mesh: dr.Mesh, camera: dr.Camera) -> list[np.ndarray]:
    ahead = facing(mesh, camera, (SIDE, SIDE))
    around = [orbited(ahead, middle(mesh), degrees) for degrees in SIDES]
    return [picture(mesh, side, headlight(side), samples=2) for side in around]


def table(rows: list[dict[str, Any]]) -> str:
    """Return Chamfer distances, in percent of the object's radius, and their ratios to that without, as a Markdown table."""
    lines = [
        "| object | without | plane given | ratio | plane found | ratio | plane off by |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    chamfers = []
    for name in dict.fromkeys(row["object"] for row in rows):
        without, given, found = (
            next(row for row in rows if (row["object"], row["method"]) == (name, method)) for method in METHODS
        )
        values = np.array([row["chamfer"] for row in (without, given, found)])
        chamfers.append(values)
        lines.append(_line(name, values, values / values[0], f"{found['plane_error_degrees']:.0f}°"))
    ratios = np.array(chamfers) / np.array(chamfers)[:, :1]
    for name, statistic in (("mean", np.mean), ("median", np.median)):
        lines.append(_line(name, statistic(chamfers, axis=0), statistic(ratios, axis=0), ""))
    return "\n".join(lines)


def _line(name: str, chamfers: np.ndarray, ratios: np.ndarray, error: str) -> str:
    without, given, found = (f"{100 * value:.1f} %" for value in chamfers)
    return f"| {name} | {without} | {given} | {ratios[1]:.2f} | {found} | {ratios[2]:.2f} | {error} |"


def main() -> None:
    """Measure, print a Markdown table, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", nargs="+", default=list(POSES), choices=list(POSES))
    parser.add_argument("--seed", type=int, default=0, help="of the photo's noise")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument(
        "--picture", type=Path, help="draw photo, truth and fits here, from both sides and half from behind"
    )
    options = parser.parse_args()
    facts = announce()
    rows = measure(options.objects, options.seed, options.picture)
    print(table(rows))
    save(options.json, facts, rows=rows)


if __name__ == "__main__":
    main()
