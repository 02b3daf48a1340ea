"""Images of whatever vertices have: depth, normals, positions, UV or attributes with any number of channels, and back."""

from dataclasses import replace
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from .backend import Name, RasterGradients
from .beams import unit, unit_backward
from .camera import Camera, ProjectDirections, ProjectGradients, project, project_backward, project_jvp
from .checks import check_attributes, check_background
from .corners import join_corners, split_corners, split_rows
from .directions import check_directions
from .forward_mode import pose_shapes, raster_directions
from .hard import Hard, HardRaster, draw_hard
from .in_front import Behind, InFront, in_front_backward
from .mesh import Mesh
from .rasterize import Raster
from .rendering import Soft, draw_soft, front_of
from .shading import normal_sums, normal_sums_backward, normal_sums_jvp

Derived = Literal["depth", "positions_world", "normals_world", "normals_camera", "uv"]
_DEFAULT = Soft()


class AttributeGradients(NamedTuple):
    """Gradients of an image of attributes by the names of the inputs."""

    vertices: np.ndarray  # (V, 3), by way of the attributes too where these come from the mesh
    attributes: np.ndarray | None  # (V, C), or (T, 2) of the mesh's uv; None for what else comes from the mesh
    rotation: np.ndarray  # (3,) axis-angle increment of the camera, see Camera.moved
    translation: np.ndarray  # (3,)
    K: np.ndarray  # (3, 3) of the camera's intrinsics, 0 where K is constant
    distortion: np.ndarray | None  # (6,) of the lens' k1, k2, k3, k4, p1, p2


class AttributeTangents(NamedTuple):
    """How an image of attributes changes in a direction; with a leading axis (D, ...) for several of them."""

    image: np.ndarray  # (H, W, C)
    alpha: np.ndarray  # (H, W)


class AttributeRendering:
    """What `render_attributes` returns: `image` (H, W, C), `alpha` (H, W), `backward` and `jvp`."""

    def __init__(
        self,
        whole: Mesh,
        mesh: Mesh,
        front: InFront,
        name: str | None,
        values: np.ndarray,
        raster: Raster | HardRaster,
    ):
        if isinstance(raster, HardRaster):
            self.image, self.alpha = np.ascontiguousarray(raster.image[..., :-1]), np.ascontiguousarray(raster.alpha)
        else:
            assert raster.color is not None
            self.alpha = np.ascontiguousarray(raster.alpha)
            self.image, self._below = _divide(raster.color)
        self._whole, self._mesh, self._front, self._name = whole, mesh, front, name
        self._values, self._raster = values, raster

    def backward(self, grad_image: np.ndarray, grad_alpha: np.ndarray | None = None) -> AttributeGradients:
        """Return the gradients for grad_image (H, W, C), and grad_alpha (H, W) if any. Raises ValueError for other shapes."""
        if np.shape(grad_image) != self.image.shape:
            raise ValueError(f"grad_image must have shape {self.image.shape}, got {np.shape(grad_image)}")
        grad = np.asarray(grad_image, self.image.dtype)
        mesh, camera = self._mesh, self._front.camera
        soft = not isinstance(self._raster, HardRaster)
        projected, at_vertices, at_uv = (self._soft_backward if soft else self._hard_backward)(grad, grad_alpha)
        attributes = None
        if self._name is None:
            attributes = at_vertices
        elif self._name == "uv" and soft:
            assert mesh.uv is not None and mesh.faces_uv is not None and at_vertices is not None
            attributes = join_corners(mesh.faces_uv, at_vertices, len(mesh.uv))
            vertices = join_corners(self._whole.faces, projected.vertices, len(self._whole.vertices))
            projected = projected._replace(vertices=vertices)
        elif self._name == "uv":
            attributes = at_uv
        else:
            assert at_vertices is not None
            projected = _derive_backward(self._name, mesh, camera, self._values, at_vertices, projected)
        camera_gradients = (projected.rotation, projected.translation, projected.K, projected.distortion)
        return AttributeGradients(projected.vertices, attributes, *camera_gradients)

    def jvp(
        self,
        vertices: Any | None = None,
        attributes: Any | None = None,
        rotation: Any | None = None,
        translation: Any | None = None,
        K: Any | None = None,
        distortion: Any | None = None,
    ) -> AttributeTangents:
        """Return how image and alpha change in a direction of the inputs: forward mode, the transpose of `backward`.

        Each direction has the shape that its gradient has, see `AttributeGradients`, or all have one leading axis of D
        directions, and then so have the results. What is not given stays. Raises ValueError for another shape, numbers that are
        not finite, or a direction of attributes that come from the mesh.
        """
        given = {"vertices": vertices, "attributes": attributes, "rotation": rotation, "translation": translation}
        given |= {"K": K, "distortion": distortion}
        shapes = pose_shapes(self._front) | {"vertices": self._whole.vertices.shape, "attributes": None}
        if self._name is None:
            shapes["attributes"] = self._values.shape
        elif self._name == "uv" and self._whole.uv is not None:
            shapes["attributes"] = self._whole.uv.shape
        directions, several = check_directions(given, shapes)
        tangents = (self._hard_jvp if isinstance(self._raster, HardRaster) else self._soft_jvp)(directions)
        return tangents if several else AttributeTangents(*(tangent[0] for tangent in tangents))

    def _soft_jvp(self, directions: dict[str, np.ndarray]) -> AttributeTangents:
        if self._name == "uv":
            assert self._mesh.uv is not None and self._mesh.faces_uv is not None
            of_rows = {"vertices": self._whole.faces, "attributes": self._mesh.faces_uv}
            directions = directions | {
                name: split_rows(rows, directions[name]) for name, rows in of_rows.items() if name in directions
            }
        assert self._front.attributes is not None
        count = len(next(iter(directions.values())))
        still = np.zeros((count, *self._values.shape))
        moved = raster_directions(
            self._front, directions, directions.get("attributes") if self._name == "uv" else self._change(directions)
        )
        moved = moved._replace(attributes=still if moved.attributes is None else moved.attributes)
        depth = self._front.vertices_pixel[:, 2:]
        assert moved.vertices_pixel is not None and moved.attributes is not None
        inverse = _inverse(depth)
        of_inverse = -inverse * inverse * moved.vertices_pixel[..., 2:]
        over = moved.attributes * inverse + self._front.attributes * of_inverse
        packed = self._raster.image_jvp(moved._replace(attributes=np.concatenate([over, of_inverse], axis=-1)))
        image = (packed[..., :-2] - self.image * packed[..., -2:-1]) / self._below
        return AttributeTangents(image, np.ascontiguousarray(packed[..., -1]))

    def _hard_jvp(self, directions: dict[str, np.ndarray]) -> AttributeTangents:
        if self._name == "uv":
            moved = raster_directions(self._front, directions, None, directions.get("attributes"))
            moved = moved._replace(attributes=moved.uv, uv=None)
        else:
            moved = raster_directions(self._front, directions, self._change(directions))
        image = self._raster.image_jvp(moved)
        return AttributeTangents(np.ascontiguousarray(image[..., :-1]), np.ascontiguousarray(image[..., -1]))

    def _change(self, directions: dict[str, np.ndarray]) -> np.ndarray | None:
        """Return how the attributes of vertices change (D, V, C), None if they stay."""
        if self._name is None:
            return directions.get("attributes")
        return _derive_jvp(self._name, self._mesh, self._front.camera, self._values, directions)

    def _soft_backward(self, grad: np.ndarray, grad_alpha: np.ndarray | None) -> Behind:
        assert isinstance(self._raster, Raster)
        raster = self._raster.backward(grad_alpha, _divide_backward(self.image, self._below, grad))
        assert raster.attributes is not None and self._front.attributes is not None
        inverse = _inverse(self._front.vertices_pixel[:, 2:])
        grad_values, grad_inverse = _weigh_backward(self._front.attributes, inverse, raster.attributes)
        grad_pixel = np.array(raster.vertices_pixel)
        grad_pixel[:, 2:] -= grad_inverse * inverse * inverse
        return in_front_backward(self._front, RasterGradients(grad_pixel, grad_values))

    def _hard_backward(self, grad: np.ndarray, grad_alpha: np.ndarray | None) -> Behind:
        assert isinstance(self._raster, HardRaster)
        of_alpha = np.zeros(self.alpha.shape, grad.dtype) if grad_alpha is None else np.asarray(grad_alpha, grad.dtype)
        if of_alpha.shape != self.alpha.shape:
            raise ValueError(f"grad_alpha must have shape {self.alpha.shape}, got {of_alpha.shape}")
        raster = self._raster.backward(np.concatenate([grad, of_alpha[..., None]], axis=-1))
        if self._name == "uv":
            raster = RasterGradients(raster.vertices_pixel, None, raster.attributes)
        return in_front_backward(self._front, raster)


def render_attributes(
    mesh: Mesh,
    camera: Camera,
    attributes: np.ndarray | Derived,
    settings: Soft | Hard = _DEFAULT,
    background: float | tuple[float, ...] | np.ndarray | None = None,
    backend: Name = "cpu",
) -> AttributeRendering:
    """Render attributes (V, C) of a mesh's vertices, or what it has under a name, to an image (H, W, C).

    Names are "depth" (along the camera's z), "positions_world", "normals_world", "normals_camera" (unit at the vertices,
    area-weighted) and "uv" (T, 2). Attributes are interpolated in perspective, so on one face depth and positions are those
    of the point that the pixel sees. Where soft faces blend, the value is their mean, weighted by the softmax of `render`'s
    colours and by 1 / depth; it is not multiplied by alpha, and blended normals are shorter than 1. The background takes
    part at `settings.far`, and is all there is in empty pixels: `background`, by default `far` for depth and 0 for others.
    With `Hard` a value is the mean over what of the pixel is covered, as colours are; the background is all there is in pixels
    that are empty, by default 0. `settings.background` is that of colours and not used. Raises ValueError for attributes of
    another shape or name, uv without any, a far <= 0, and as `render` does.
    """
    if isinstance(settings, Soft) and settings.far <= 0:
        raise ValueError(f"settings.far must be > 0 to interpolate in perspective, got {settings.far}")
    whole, name = mesh, attributes if isinstance(attributes, str) else None
    if name == "uv" and mesh.uv is None:
        raise ValueError("attributes 'uv' need a mesh with uv, got None")
    if isinstance(settings, Hard):
        return _render_hard(mesh, camera, attributes, settings, background, backend)
    if name == "uv":
        mesh = split_corners(mesh)
    values = check_attributes(attributes, mesh.vertices) if name is None else _derive(name, mesh, camera)
    if background is None:
        background = settings.far if name == "depth" else 0.0
    behind = check_background(background, values.shape[1], values.dtype)
    front = front_of(mesh, camera, settings, values)
    assert front.attributes is not None
    packed = _weigh(front.attributes, _inverse(front.vertices_pixel[:, 2:]))
    packed_behind: Any = (*(behind / settings.far), 1 / settings.far)
    raster = draw_soft(
        front._replace(attributes=packed),
        replace(settings, background=packed_behind, perspective_correct=False),
        backend,
    )
    return AttributeRendering(whole, mesh, front, name, values, raster)


def _render_hard(
    mesh: Mesh,
    camera: Camera,
    attributes: np.ndarray | Derived,
    settings: Hard,
    background: float | tuple[float, ...] | np.ndarray | None,
    backend: Name,
) -> AttributeRendering:
    name = attributes if isinstance(attributes, str) else None
    given: Any  # at vertices, or at corners in the case of uv: both are cut where faces are
    if name == "uv":
        values, given = mesh.uv, (None, True)
    else:
        values = check_attributes(attributes, mesh.vertices) if name is None else _derive(name, mesh, camera)
        given = (values, False)
    assert values is not None
    behind: Any = tuple(check_background(0.0 if background is None else background, values.shape[1], values.dtype))
    front = front_of(mesh, camera, settings, *given)
    drawn = (front.uv, front.faces_uv) if name == "uv" else (front.attributes, None)
    settings = replace(settings, background=behind, perspective_correct=True)
    raster = draw_hard(front.vertices_pixel, front.faces, camera.size, settings, *drawn, backend=backend)
    return AttributeRendering(mesh, mesh, front, name, values, raster)


def _derive(name: str, mesh: Mesh, camera: Camera) -> np.ndarray:
    """Return what a mesh has under a name, (V, C)."""
    if name == "depth":
        return project(mesh.vertices, camera)[:, 2:]
    if name == "positions_world":
        return mesh.vertices
    if name == "uv":
        assert mesh.uv is not None
        return mesh.uv[mesh.faces_uv].reshape(-1, 2)
    if name not in get_args(Derived):
        raise ValueError(f"attributes must be an array (V, C) or one of {', '.join(get_args(Derived))}, got {name!r}")
    normals = unit(normal_sums(mesh.vertices, mesh.faces).T).vectors.T
    return (normals if name == "normals_world" else normals @ camera.R.T).astype(mesh.vertices.dtype)


def _derive_backward(
    name: str, mesh: Mesh, camera: Camera, values: np.ndarray, grad: np.ndarray, projected: ProjectGradients
) -> ProjectGradients:
    """Return the gradients of a projection with those added that grad (V, C), of what has a name, sends to its inputs."""
    if name == "depth":
        by_depth = project_backward(mesh.vertices, camera, np.concatenate([np.zeros((len(grad), 2)), grad], axis=1))
        return projected._replace(
            vertices=projected.vertices + by_depth.vertices,
            rotation=projected.rotation + by_depth.rotation,
            translation=projected.translation + by_depth.translation,
        )
    if name == "positions_world":
        return projected._replace(vertices=projected.vertices + grad)
    if name == "normals_camera":
        projected = projected._replace(
            rotation=projected.rotation + np.cross(values, grad).sum(axis=0, dtype=np.float64)
        )
        grad = grad @ camera.R
    scaled = unit(normal_sums(mesh.vertices, mesh.faces).T)
    grad_sums = np.ascontiguousarray(unit_backward(scaled, grad.T.astype(np.float64)).T)
    through_normals = normal_sums_backward(mesh.vertices, mesh.faces, grad_sums)
    return projected._replace(vertices=projected.vertices + through_normals)


def _derive_jvp(
    name: str, mesh: Mesh, camera: Camera, values: np.ndarray, directions: dict[str, np.ndarray]
) -> np.ndarray | None:
    """Return how what a mesh has under a name changes (D, V, C) in directions by name, None if it stays."""
    count, moved = len(next(iter(directions.values()))), directions.get("vertices")
    if name == "depth":
        projected = ProjectDirections(*(directions.get(field) for field in ("vertices", "rotation", "translation")))
        return project_jvp(mesh.vertices, camera, projected, count)[..., 2:]
    if name == "positions_world":
        return moved
    change = np.zeros((count, *values.shape))
    if moved is not None:
        scaled = unit(normal_sums(mesh.vertices, mesh.faces).T)
        for d, sums in enumerate(normal_sums_jvp(mesh.vertices, mesh.faces, moved)):
            change[d] = unit_backward(scaled, sums.T).T
    if name == "normals_camera":
        change = change @ camera.R.T
        if "rotation" in directions:
            change += np.cross(directions["rotation"][:, None], values)
    return change


def _inverse(depth: np.ndarray) -> np.ndarray:
    """Return 1 / depth (V, 1), or 0 behind the camera, where no face is drawn."""
    return np.where(depth > 0, 1 / np.where(depth > 0, depth, 1), 0).astype(depth.dtype)


def _weigh(values: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """Return (V, C + 1): values and 1, over depth. In the image these are linear, which values in perspective are not."""
    return np.concatenate([values * inverse, inverse], axis=1)


def _weigh_backward(values: np.ndarray, inverse: np.ndarray, grad: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the gradients of values (V, C) and of 1 / depth (V, 1)."""
    return grad[:, :-1] * inverse, (grad[:, :-1] * values).sum(axis=1, keepdims=True) + grad[:, -1:]


def _divide(packed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the values (H, W, C), and 1 / depth (H, W, 1), which they were divided by."""
    return packed[..., :-1] / packed[..., -1:], packed[..., -1:]


def _divide_backward(image: np.ndarray, below: np.ndarray, grad: np.ndarray) -> np.ndarray:
    return np.concatenate([grad, -(grad * image).sum(axis=-1, keepdims=True)], axis=-1) / below
