"""The whole walk from a mesh to an image, and back: project, shade, rasterize."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from .backend import CoverageName, Name, RasterGradients, RasterSettings, UnionName, choose, load
from .camera import Camera, project
from .channels import has_color, join_channels
from .checks import check_attributes, check_finite
from .corners import join_corners, split_corners, split_rows
from .directions import check_directions
from .forward_mode import image_jvp, light_directions, light_shapes, lit_colors_change, mesh_shapes, pose_shapes
from .hard import Cover, Hard, HardRaster, draw_hard
from .illuminate import IlluminationGradients, lit_colors, lit_colors_backward
from .in_front import Behind, InFront, in_front, in_front_backward
from .lights import Lights, LightsGradients
from .mesh import Mesh
from .rasterize import Raster, check_settings, gradient_shapes, rasterize_soft
from .shading import Light, LightGradients, ShadingGradients, normal_sums, shade_with, shade_with_backward
from .texture import Texture

_PLAIN = 0.8  # albedo of a mesh without colours


@dataclass(frozen=True)
class Soft:
    """Settings of the soft rasterizer, with the meaning they have in `rasterize_soft`; sigma is in pixel squared.

    `coverage` is "sigmoid", "gaussian", "cauchy" or "uniform" (D of x = +-d^2 / sigma), `union` "probabilistic" or "max"; of
    "cauchy" faces reach far, for which a larger cutoff of 1e-2 is better.

    Faces that reach behind the depth `clip_near * far` are cut there (see `clip_near`), a place that is relative to the scene
    and that no vertex moves: nearer, a face's image would grow without bound. At 0 nothing is cut, and a face with a vertex
    behind the camera is left out.
    """

    sigma: float = 1.0
    gamma: float = 1e-2
    near: float = 1.0
    far: float = 100.0
    cutoff: float = 1e-4
    background: tuple[float, float, float] = (0.0, 0.0, 0.0)
    cull_backfaces: bool = False
    clip_near: float = 1e-3
    perspective_correct: bool = False  # of vertex colours; a texture lies in perspective in any case
    coverage: CoverageName = "sigmoid"
    union: UnionName = "probabilistic"


class SilhouetteGradients(NamedTuple):
    """Gradients of a silhouette, by the names that `RenderGradients` has."""

    vertices: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    K: np.ndarray
    distortion: np.ndarray | None


class RenderGradients(NamedTuple):
    """Gradients of an image by the names of the inputs; None for what the call did not have."""

    vertices: np.ndarray  # (V, 3)
    vertex_colors: np.ndarray | None  # (V, 3)
    rotation: np.ndarray  # (3,) axis-angle increment of the camera, see Camera.moved
    translation: np.ndarray  # (3,)
    light: LightGradients | LightsGradients | None
    K: np.ndarray  # (3, 3) of the camera's intrinsics, 0 where K is constant
    distortion: np.ndarray | None  # (6,) of the lens' k1, k2, k3, k4, p1, p2
    uv: np.ndarray | None = None  # (T, 2)
    texture: np.ndarray | None = None  # (H, W, 3) of the texture's image


class SilhouetteRendering:
    """What `render_silhouette` returns: `alpha` (H, W) and `backward`."""

    def __init__(self, front: InFront, raster: Raster | HardRaster):
        self.alpha = raster.alpha
        self._front, self._raster = front, raster

    def backward(self, grad_alpha: np.ndarray) -> SilhouetteGradients:
        """Return the gradients for grad_alpha (H, W)."""
        if isinstance(self._raster, HardRaster):
            grads = self._raster.backward(np.asarray(grad_alpha)[..., None])
        else:
            grads = self._raster.backward(grad_alpha=grad_alpha)
        projected, _, _ = in_front_backward(self._front, grads)
        return SilhouetteGradients(*projected)

    def jvp(
        self,
        vertices: Any | None = None,
        rotation: Any | None = None,
        translation: Any | None = None,
        K: Any | None = None,
        distortion: Any | None = None,
    ) -> np.ndarray:
        """Return how alpha (H, W) changes in a direction of the inputs, or (D, H, W) for D directions; see `Rendering.jvp`."""
        given = {
            "vertices": vertices,
            "rotation": rotation,
            "translation": translation,
            "K": K,
            "distortion": distortion,
        }
        directions, several = check_directions(given, pose_shapes(self._front))
        tangent = image_jvp(self._front, self._raster, directions)[..., 0]
        return tangent if several else tangent[0]


Lit = ShadingGradients | IlluminationGradients | None  # gradients of what lit a mesh, if anything did


def view_gradients(
    mesh: Mesh, whole: Mesh | None, camera: Camera, behind: Behind, lit: Lit, texture: np.ndarray | None = None
) -> RenderGradients:
    """Return by name the gradients of a view of a mesh, or of the `whole` one whose corners it has."""
    projected, albedo = behind.projected, behind.attributes
    vertices, translation = projected.vertices, projected.translation
    assert albedo is not None
    if lit is not None:
        vertices, albedo = vertices + lit.vertices, lit.albedo
    if isinstance(lit, IlluminationGradients):
        # The eye is -R^T t: a turn about it, which is what the increment of the rotation does to it, leaves it there.
        translation = translation - camera.R @ lit.eye
    if whole is not None:
        vertices, albedo = (join_corners(whole.faces, grad, len(whole.vertices)) for grad in (vertices, albedo))
    return RenderGradients(
        vertices=vertices,
        vertex_colors=None if mesh.vertex_colors is None else albedo,
        rotation=projected.rotation,
        translation=translation,
        light=None if lit is None else lit.light,
        K=projected.K,
        distortion=projected.distortion,
        uv=behind.uv,
        texture=texture,
    )


class Rendering:
    """What `render` returns: `image` (H, W, 4) linear RGBA, not premultiplied, and `backward`."""

    def __init__(
        self,
        mesh: Mesh,
        front: InFront,
        light: Light | Lights | None,
        albedo: np.ndarray,
        normals: np.ndarray | None,
        raster: Raster | HardRaster,
        whole: Mesh | None = None,
    ):
        if isinstance(raster, HardRaster):
            self.image = raster.image
        else:
            assert raster.color is not None
            self.image = join_channels(raster.color, raster.alpha) if raster.image is None else raster.image
        self._mesh, self._front, self._raster = mesh, front, raster
        self._light, self._albedo, self._normals = light, albedo, normals
        self._whole = whole  # the mesh whose corners `mesh` has, if it is split

    def backward(self, grad_image: np.ndarray) -> RenderGradients:
        """Return the gradients for grad_image (H, W, 4). Raises ValueError for another shape."""
        if np.shape(grad_image) != self.image.shape:
            raise ValueError(f"grad_image must have shape {self.image.shape}, got {np.shape(grad_image)}")
        raster = self._raster_backward(grad_image)
        behind = in_front_backward(self._front, raster)
        lit = self._lit_backward(behind.attributes)
        return view_gradients(self._mesh, self._whole, self._front.camera, behind, lit, raster.texture)

    def _lit_backward(self, grad_color: np.ndarray | None) -> Lit:
        if self._light is None:
            return None
        assert self._normals is not None and grad_color is not None
        mesh = self._mesh
        given = (mesh.vertices, mesh.faces, self._albedo)
        if isinstance(self._light, Lights):
            eye = eye_of(self._front.camera, self._light)
            return lit_colors_backward(self._normals, *given, self._light, eye, grad_color)
        return shade_with_backward(self._normals, *given, self._light, grad_color)

    def jvp(
        self,
        vertices: Any | None = None,
        vertex_colors: Any | None = None,
        rotation: Any | None = None,
        translation: Any | None = None,
        K: Any | None = None,
        distortion: Any | None = None,
        light: LightGradients | LightsGradients | None = None,
        uv: Any | None = None,
        texture: Any | None = None,
    ) -> np.ndarray:
        """Return how the image (H, W, 4) changes in a direction of the inputs: forward mode, the transpose of `backward`.

        Each direction has the shape that its gradient has, see `RenderGradients`, or all have one leading axis of D directions,
        and then so has the result, (D, H, W, 4): they are done in one pass. `light` takes the kind of gradients that
        `backward` returns for it. What is not given stays, and so do entries of `light` that are None and entries of K
        that are constant. Six directions of `rotation` and `translation` give the Jacobian of a rigid pose. Raises
        ValueError for another shape, numbers that are not finite, or a direction of what the rendering does not have.
        """
        given = {"vertices": vertices, "vertex_colors": vertex_colors, "rotation": rotation, "translation": translation}
        given |= {"K": K, "distortion": distortion, "uv": uv, "texture": texture} | light_directions(self._light, light)
        mesh = self._mesh if self._whole is None else self._whole
        shapes = pose_shapes(self._front) | mesh_shapes(mesh) | light_shapes(self._light)
        directions, several = check_directions(given, shapes)
        if self._whole is not None:
            directions |= {
                name: split_rows(mesh.faces, directions[name])
                for name in ("vertices", "vertex_colors")
                if name in directions
            }
        colors = directions.get("vertex_colors")
        if self._light is not None:
            assert self._normals is not None
            surface = (self._mesh.vertices, self._mesh.faces, self._albedo, self._normals)
            colors = lit_colors_change(*surface, self._light, self._front.camera, directions)
        tangent = image_jvp(self._front, self._raster, directions, colors)
        return tangent if several else tangent[0]

    def _raster_backward(self, grad_image: np.ndarray) -> RasterGradients:
        if isinstance(self._raster, HardRaster):
            return self._raster.backward(grad_image)
        grad_image = np.ascontiguousarray(grad_image, self.image.dtype)
        if has_color(grad_image):
            return self._raster.image_backward(grad_image)
        return self._raster.backward(grad_image[..., 3])


def render(
    mesh: Mesh,
    camera: Camera,
    settings: Soft | Hard = Soft(),
    light: Light | Lights | None = None,
    backend: Name = "cpu",
) -> Rendering:
    """Render a mesh to linear RGBA (H, W, 4), the size being the camera's, on `backend` "cpu", "cuda" or "auto".

    `settings` choose how: `Soft`, the aggregate of all faces, or `Hard`, what is seen.
    Without a light the vertex colours are shown as they are; a mesh without colours is grey. Light is linear and not
    clipped: colours exceed 1 where it is strong. A texture is multiplied by the lit vertex colours, 1 where there are none;
    `backward` then has the gradients of `uv` and `texture` too, and in all of them what a trilinear texture's level
    contributes. To compare with a photo, blend:
    image[..., :3] * alpha + (1 - alpha) * behind. Raises ValueError if no vertex is in front of the camera.
    """
    whole = None
    if isinstance(light, Lights) and light.normals == "flat":
        whole, mesh = mesh, split_corners(mesh)
    albedo = albedo_of(mesh)
    normals, color = None, albedo
    if light is not None:
        normals = normal_sums(mesh.vertices, mesh.faces)
        if isinstance(light, Lights):
            color = lit_colors(normals, mesh.vertices, albedo, light, eye_of(camera, light))
        else:
            color = shade_with(normals, albedo, light)
    front = front_of(mesh, camera, settings, color, mesh.texture is not None)
    raster = _draw(front, settings, backend, mesh.texture)
    return Rendering(mesh, front, light, albedo, normals, raster, whole)


def render_silhouette(
    mesh: Mesh, camera: Camera, settings: Soft | Hard = Soft(), backend: Name = "cpu"
) -> SilhouetteRendering:
    """Render the silhouette of a mesh: alpha (H, W), without colours. Raises ValueError as `render` does."""
    front = front_of(mesh, camera, settings)
    return SilhouetteRendering(front, _draw(front, settings, backend))


def soft_around(mesh: Mesh, camera: Camera, sigma: float, gamma: float = 1e-3) -> Soft:
    """Return settings whose depth range is that of the mesh in the camera, so that gamma is relative to its size."""
    depth = project(mesh.vertices, camera)[:, 2]
    near, far = max(float(depth.min()), 1e-6), float(depth.max())
    margin = 0.1 * (far - near) + 1e-6
    return Soft(sigma=sigma, gamma=gamma, near=near - margin, far=far + margin)


def albedo_of(mesh: Mesh) -> np.ndarray:
    """Return the colours (V, 3) of a mesh's vertices, or what it has without any."""
    if mesh.vertex_colors is None:
        return np.full_like(mesh.vertices, _PLAIN if mesh.texture is None else 1)
    return mesh.vertex_colors


def eye_of(camera: Camera, lights: Lights) -> np.ndarray:
    """Return where the camera is (3,), or anywhere if no highlight depends on it: an orthographic one is nowhere."""
    return np.zeros(3) if lights.specular is None else camera.center


def front_of(
    mesh: Mesh, camera: Camera, settings: Soft | Hard, attributes: np.ndarray | None = None, with_uv: bool = False
) -> InFront:
    """Project a mesh, with attributes (V, C) and its uv, and cut it at the near plane. Raises ValueError as `render` does."""
    near = near_plane(settings)
    uv = (mesh.uv, mesh.faces_uv) if with_uv else (None, None)
    front = in_front(mesh.vertices, mesh.faces, camera, near, attributes, *uv)
    farthest = front.extent.farthest
    if farthest <= near:
        where = (
            "behind it"
            if farthest <= 0
            else f"nearer than {'near' if isinstance(settings, Hard) else 'clip_near * far'}"
        )
        raise ValueError(
            f"the camera does not see the mesh: all {len(mesh.vertices)} vertices are {where} "
            f"(largest depth {farthest:.4g}, must be > {near:.4g})"
        )
    return front


def near_plane(settings: Soft | Hard) -> float:
    """Return the depth at which faces are cut. Raises ValueError for a clip_near out of range."""
    if isinstance(settings, Hard):
        return settings.near
    if not 0 <= settings.clip_near < 1:
        raise ValueError(f"clip_near must lie in [0, 1), got {settings.clip_near}")
    return max(0.0, settings.clip_near * settings.far)


def raster_settings(settings: Soft, channels: int | None, dtype: np.dtype) -> RasterSettings:
    """Return settings as a backend takes them, for attributes (V, C) or None. Raises ValueError for numbers out of range."""
    try:
        return _known_settings(settings, channels, dtype)
    except TypeError:  # a background that is an array or a list
        return _known_settings.__wrapped__(settings, channels, dtype)


@lru_cache(maxsize=64)  # the same ones are asked for image after image
def _known_settings(settings: Soft, channels: int | None, dtype: np.dtype) -> RasterSettings:
    how = RasterSettings(
        settings.sigma,
        settings.cutoff,
        settings.gamma,
        settings.near,
        settings.far,
        None,
        bool(settings.cull_backfaces),
        bool(settings.perspective_correct),
        settings.coverage,
        settings.union,
    )
    return check_settings(how, settings.background, channels, dtype)


def _draw(front: InFront, settings: Soft | Hard, backend: Name, texture: Texture | None = None) -> Raster | HardRaster:
    if isinstance(settings, Soft):
        return draw_soft(front, settings, backend, texture)
    cover = None
    if texture is not None:
        assert front.uv is not None and front.faces_uv is not None
        # Faces that the near plane has cut have uv of their own, each: which edges are seams is not known.
        cover = Cover(texture, front.uv, front.faces_uv, front.cut is None)
    drawn = (front.vertices_pixel, front.faces, front.camera.size, settings, front.attributes)
    return draw_hard(*drawn, cover=cover, backend=backend, checked=front.extent.finite)


def draw_soft(front: InFront, settings: Soft, backend: Name, texture: Texture | None = None) -> Raster:
    """Rasterize what is in front of a camera, with its attributes and texture or without any."""
    chosen = choose(backend)
    if chosen == "cpu" and texture is None:  # what comes from a mesh need not be looked at again
        pixel, attributes = front.vertices_pixel, front.attributes
        if not front.extent.finite:
            check_finite("vertices_pixel", pixel)
        if attributes is not None:
            attributes = check_attributes(attributes, pixel)
        how = raster_settings(settings, None if attributes is None else attributes.shape[1], pixel.dtype)
        drawn = load("cpu").draw(pixel, front.faces, front.camera.size, how, attributes)
        return Raster(drawn, "cpu", gradient_shapes(pixel, attributes))
    textured: dict[str, Any] = {}
    if texture is not None:
        textured = {"texture": texture, "uv": front.uv, "faces_uv": front.faces_uv}
    return rasterize_soft(
        front.vertices_pixel,
        front.faces,
        front.camera.size,
        sigma=settings.sigma,
        cutoff=settings.cutoff,
        attributes=front.attributes,
        gamma=settings.gamma,
        near=settings.near,
        far=settings.far,
        background=settings.background,
        cull_backfaces=settings.cull_backfaces,
        backend=backend,
        perspective_correct=settings.perspective_correct,
        coverage=settings.coverage,
        union=settings.union,
        **textured,
    )
