"""Forward mode: the walk from directions of a mesh, its camera and its light to how the image changes, stage by stage."""

from typing import Any

import numpy as np

from .backend import RasterDirections
from .camera import Camera, ProjectDirections
from .hard import HardRaster
from .illuminate import lit_colors_jvp
from .in_front import InFront, in_front_jvp
from .lights import Lights, LightsGradients
from .mesh import Mesh
from .rasterize import Raster
from .shading import Light, LightGradients, normal_sums_jvp, shade_with_jvp

Shapes = dict[str, tuple[int, ...] | None]


def pose_shapes(front: InFront) -> Shapes:
    """Return the shapes of the gradients of vertices and camera."""
    lens = None if front.camera.distortion is None else (6,)
    return {"vertices": front.vertices.shape, "rotation": (3,), "translation": (3,), "K": (3, 3), "distortion": lens}


def mesh_shapes(mesh: Mesh) -> Shapes:
    """Return the shapes of the gradients of a mesh, None of what it does not have."""
    colors, uv, texture = mesh.vertex_colors, mesh.uv, mesh.texture
    return {
        "vertices": mesh.vertices.shape,
        "vertex_colors": None if colors is None else colors.shape,
        "uv": None if texture is None or uv is None else uv.shape,
        "texture": None if texture is None else texture.image.shape,
    }


def light_shapes(light: Light | Lights | None) -> Shapes:
    """Return the shapes of the gradients of a light, by names such as "light.points.positions"."""
    if light is None:
        return {}
    if isinstance(light, Light):
        return {"light.direction": (3,), "light.ambient": (), "light.diffuse": ()}
    shapes: Shapes = {"light.ambient": (3,)}
    if light.directional is not None:
        rows = light.directional.directions.shape
        shapes |= {"light.directional.directions": rows, "light.directional.intensities": rows}
    if light.points is not None:
        rows = light.points.positions.shape
        shapes |= {"light.points.positions": rows, "light.points.intensities": rows}
    if light.sh is not None:
        shapes["light.sh"] = (9, 3)
    if light.specular is not None:
        shapes |= {"light.specular.color": (3,), "light.specular.shininess": ()}
    return shapes


def light_directions(light: Light | Lights | None, given: Any) -> dict[str, Any]:
    """Return the entries of what was given as a direction of a light by the names that `light_shapes` has.

    Raises ValueError for anything but the light's own kind of gradients.
    """
    if given is None:
        return {}
    if light is None:
        raise ValueError(f"a direction of light was given, but the image was rendered without a light: {given!r}")
    kind = LightsGradients if isinstance(light, Lights) else LightGradients
    if not isinstance(given, kind):
        raise ValueError(f"the direction of light must be a {kind.__name__}, got {given!r}")
    return _flat("light", given)


def _flat(name: str, given: Any) -> dict[str, Any]:
    if not hasattr(given, "_asdict"):
        return {name: given}
    entries: dict[str, Any] = {}
    for field, value in given._asdict().items():
        entries |= _flat(f"{name}.{field}", value)
    return entries


def lit_colors_change(
    vertices: np.ndarray,
    faces: np.ndarray,
    albedo: np.ndarray,
    normals: np.ndarray,
    light: Light | Lights,
    camera: Camera,
    directions: dict[str, np.ndarray],
) -> np.ndarray | None:
    """Return how the lit colours of vertices change (D, V, 3) in directions by name, None if they stay."""
    of_light = {name.removeprefix("light."): value for name, value in directions.items() if name.startswith("light.")}
    moved, painted = directions.get("vertices"), directions.get("vertex_colors")
    # The eye is -R^T t: a turn about it, which is what the increment of the rotation does to it, leaves it there.
    has_eye = isinstance(light, Lights) and light.specular is not None
    shifted = directions.get("translation") if has_eye else None
    if not of_light and moved is None and painted is None and shifted is None:
        return None
    count = len(next(iter(directions.values())))
    sums = None if moved is None else normal_sums_jvp(vertices, faces, moved)
    if isinstance(light, Light):
        return shade_with_jvp(normals, albedo, light, sums, painted, of_light, count)
    still = np.zeros((count, *vertices.shape))
    return lit_colors_jvp(
        normals,
        vertices,
        albedo,
        light,
        camera.center if has_eye else np.zeros(3),
        still if sums is None else sums,
        still if moved is None else moved,
        still if painted is None else painted,
        np.zeros((count, 3)) if shifted is None else -(shifted[:, :, None] * camera.R).sum(axis=1),
        of_light,
    )


def raster_directions(
    front: InFront, directions: dict[str, np.ndarray], attributes: np.ndarray | None, uv: np.ndarray | None = None
) -> RasterDirections:
    """Return what the rasterizer's input does in directions by name and as attributes (D, V, C) and uv (D, T, 2) do."""
    projected = ProjectDirections(*(directions.get(name) for name in ProjectDirections._fields))
    return in_front_jvp(front, projected, attributes, uv, len(next(iter(directions.values()))))


def image_jvp(
    front: InFront, raster: Raster | HardRaster, directions: dict[str, np.ndarray], colors: np.ndarray | None = None
) -> np.ndarray:
    """Return how colour, if any, and alpha change (D, H, W, C + 1) in directions by name and as colours do (D, V, C)."""
    moved = raster_directions(front, directions, colors, directions.get("uv"))
    return raster.image_jvp(moved._replace(texture=directions.get("texture")))
