"""The whole walk from a mesh to an image, and back: project, shade, rasterize."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .backend import Name
from .camera import Camera, project, project_backward
from .jit import kernel
from .mesh import Mesh
from .rasterize import Raster, rasterize_soft
from .shading import Light, LightGradients, normal_sums, shade_with, shade_with_backward
from .spin import lead, publish
from .threads import run_on_workers

_PLAIN = 0.8  # albedo of a mesh without colours


@dataclass(frozen=True)
class Soft:
    """Settings of the soft rasterizer, with the meaning they have in `rasterize_soft`; sigma is in pixel squared."""

    sigma: float = 1.0
    gamma: float = 1e-2
    near: float = 1.0
    far: float = 100.0
    cutoff: float = 1e-4
    background: tuple[float, float, float] = (0.0, 0.0, 0.0)
    cull_backfaces: bool = False
    perspective_correct: bool = False  # of vertex colours; a texture lies in perspective in any case


class SilhouetteGradients(NamedTuple):
    """Gradients of a silhouette: vertices (V, 3), and the camera's axis-angle and translation increments (3,)."""

    vertices: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray


class RenderGradients(NamedTuple):
    """Gradients of an image by the names of the inputs; None for what the call did not have."""

    vertices: np.ndarray  # (V, 3)
    vertex_colors: np.ndarray | None  # (V, 3)
    rotation: np.ndarray  # (3,) axis-angle increment of the camera, see Camera.moved
    translation: np.ndarray  # (3,)
    light: LightGradients | None
    uv: np.ndarray | None = None  # (T, 2)
    texture: np.ndarray | None = None  # (H, W, 3) of the texture's image


class SilhouetteRendering:
    """What `render_silhouette` returns: `alpha` (H, W) and `backward`."""

    def __init__(self, mesh: Mesh, camera: Camera, raster: Raster):
        self.alpha = raster.alpha
        self._mesh, self._camera, self._raster = mesh, camera, raster

    def backward(self, grad_alpha: np.ndarray) -> SilhouetteGradients:
        """Return the gradients for grad_alpha (H, W)."""
        grads = self._raster.backward(grad_alpha=grad_alpha)
        projected = project_backward(self._mesh.vertices, self._camera, grads.vertices_pixel)
        return SilhouetteGradients(projected.vertices, projected.rotation, projected.translation)


class Rendering:
    """What `render` returns: `image` (H, W, 4) linear RGBA, not premultiplied, and `backward`."""

    def __init__(
        self,
        mesh: Mesh,
        camera: Camera,
        light: Light | None,
        albedo: np.ndarray,
        normals: np.ndarray | None,
        raster: Raster,
    ):
        assert raster.color is not None
        self.image = np.empty((*raster.alpha.shape, 4), raster.alpha.dtype)
        run_on_workers(_join, raster.color, raster.alpha, self.image)
        self._mesh, self._camera, self._raster = mesh, camera, raster
        self._light, self._albedo, self._normals = light, albedo, normals

    def backward(self, grad_image: np.ndarray) -> RenderGradients:
        """Return the gradients for grad_image (H, W, 4). Raises ValueError for another shape."""
        if np.shape(grad_image) != self.image.shape:
            raise ValueError(f"grad_image must have shape {self.image.shape}, got {np.shape(grad_image)}")
        grad_color = np.empty((*self.image.shape[:2], 3), self.image.dtype)
        grad_alpha = np.empty(self.image.shape[:2], self.image.dtype)
        any_color = np.zeros(len(grad_alpha), np.bool_)
        run_on_workers(_split, np.ascontiguousarray(grad_image, self.image.dtype), grad_color, grad_alpha, any_color)
        # A gradient of alpha alone goes the way of the silhouette, at half the cost.
        raster = self._raster.backward(grad_alpha, grad_color if any_color.any() else None)
        mesh = self._mesh
        projected = project_backward(mesh.vertices, self._camera, raster.vertices_pixel)
        vertices, albedo, light = projected.vertices, raster.attributes, None
        assert albedo is not None
        if self._light is not None:
            assert self._normals is not None
            shading = shade_with_backward(self._normals, mesh.vertices, mesh.faces, self._albedo, self._light, albedo)
            vertices, albedo, light = vertices + shading.vertices, shading.albedo, shading.light
        return RenderGradients(
            vertices=vertices,
            vertex_colors=None if mesh.vertex_colors is None else albedo,
            rotation=projected.rotation,
            translation=projected.translation,
            light=light,
            uv=raster.uv,
            texture=raster.texture,
        )


@kernel
def _join(share, shares, board, color, alpha, image):
    """Fill image (H, W, 4): NumPy takes ten times as long to lay three channels beside one."""
    if share < 0:
        lead(publish(board))
        return
    height, width = alpha.shape
    for row in range(height * share // shares, height * (share + 1) // shares):
        for column in range(width):
            image[row, column, 0] = color[row, column, 0]
            image[row, column, 1] = color[row, column, 1]
            image[row, column, 2] = color[row, column, 2]
            image[row, column, 3] = alpha[row, column]


@kernel
def _split(share, shares, board, image, color, alpha, any_color):
    """Undo `_join`, and note for each row (H,) whether any colour is not 0."""
    if share < 0:
        lead(publish(board))
        return
    height, width = alpha.shape
    for row in range(height * share // shares, height * (share + 1) // shares):
        largest = image.dtype.type(0)
        for column in range(width):
            red, green, blue = image[row, column, 0], image[row, column, 1], image[row, column, 2]
            color[row, column, 0], color[row, column, 1], color[row, column, 2] = red, green, blue
            largest = max(largest, abs(red), abs(green), abs(blue))
            alpha[row, column] = image[row, column, 3]
        any_color[row] = largest != 0


def render(
    mesh: Mesh, camera: Camera, settings: Soft = Soft(), light: Light | None = None, backend: Name = "cpu"
) -> Rendering:
    """Render a mesh to linear RGBA (H, W, 4), the size being the camera's, on `backend` "cpu", "cuda" or "auto".

    Without a light the vertex colours are shown as they are; a mesh without colours is grey. A texture is multiplied by the
    lit vertex colours, 1 where there are none; `backward` then has the gradients of `uv` and `texture` too, and in all of
    them what a trilinear texture's level contributes. To compare with a photo, blend:
    image[..., :3] * alpha + (1 - alpha) * behind. Raises ValueError if no vertex is in front of the camera.
    """
    albedo = mesh.vertex_colors
    if albedo is None:
        albedo = np.full_like(mesh.vertices, _PLAIN if mesh.texture is None else 1)
    normals = None if light is None else normal_sums(mesh.vertices, mesh.faces)
    color = albedo if light is None or normals is None else shade_with(normals, albedo, light)
    raster = _rasterize(mesh, camera, settings, backend, color)
    return Rendering(mesh, camera, light, albedo, normals, raster)


def render_silhouette(
    mesh: Mesh, camera: Camera, settings: Soft = Soft(), backend: Name = "cpu"
) -> SilhouetteRendering:
    """Render the soft silhouette of a mesh: alpha (H, W), without colours. Raises ValueError as `render` does."""
    raster = _rasterize(mesh, camera, settings, backend)
    return SilhouetteRendering(mesh, camera, raster)


def soft_around(mesh: Mesh, camera: Camera, sigma: float, gamma: float = 1e-3) -> Soft:
    """Return settings whose depth range is that of the mesh in the camera, so that gamma is relative to its size."""
    depth = project(mesh.vertices, camera)[:, 2]
    near, far = max(float(depth.min()), 1e-6), float(depth.max())
    margin = 0.1 * (far - near) + 1e-6
    return Soft(sigma=sigma, gamma=gamma, near=near - margin, far=far + margin)


def _rasterize(mesh: Mesh, camera: Camera, settings: Soft, backend: Name, color: np.ndarray | None = None) -> Raster:
    vertices_pixel = project(mesh.vertices, camera)
    nearest = vertices_pixel[:, 2].max()
    if nearest <= 0:
        raise ValueError(
            f"the camera does not see the mesh: all {len(vertices_pixel)} vertices are behind it "
            f"(largest depth {nearest:.4g}, must be > 0)"
        )
    textured: dict[str, Any] = {}
    if color is not None and mesh.texture is not None:
        textured = {"texture": mesh.texture, "uv": mesh.uv, "faces_uv": mesh.faces_uv}
    return rasterize_soft(
        vertices_pixel,
        mesh.faces,
        camera.size,
        sigma=settings.sigma,
        cutoff=settings.cutoff,
        attributes=color,
        gamma=settings.gamma,
        near=settings.near,
        far=settings.far,
        background=settings.background,
        cull_backfaces=settings.cull_backfaces,
        backend=backend,
        perspective_correct=settings.perspective_correct,
        **textured,
    )
