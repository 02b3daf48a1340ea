"""Many views in one call, of one mesh or of a mesh each, with the bits of as many single calls."""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from operator import add
from typing import Any, Generic, NamedTuple, TypeVar, overload

import numpy as np

from .backend import Name, choose
from .camera import Camera
from .hard import Hard
from .lights import Lights
from .memory import empty
from .mesh import Mesh
from .rendering import (
    RenderGradients,
    Rendering,
    SilhouetteGradients,
    SilhouetteRendering,
    Soft,
    render,
    render_silhouette,
)
from .shading import Light
from .together import Together, View

_FACES = 1 << 16  # at a time: what kernels hand over to each other stays in memory that the system need not give anew

_DEFAULT = Soft()
_Gradients = TypeVar("_Gradients", RenderGradients, SilhouetteGradients)


class SharedGradients(NamedTuple):
    """Gradients of what all views of a batch share, None for what the call did not have."""

    vertices: np.ndarray  # (V, 3)
    vertex_colors: np.ndarray | None  # (V, 3)
    light: Any  # LightGradients, LightsGradients or None
    uv: np.ndarray | None  # (T, 2)
    texture: np.ndarray | None  # (H, W, 3)


class BatchGradients(Sequence[_Gradients], Generic[_Gradients]):
    """The gradients of each view, in the order of the cameras."""

    def __init__(self, views: list[_Gradients], shared: bool):
        self._views: list[_Gradients] = views
        self._shared = shared

    def __len__(self) -> int:
        return len(self._views)

    @overload
    def __getitem__(self, view: int) -> _Gradients: ...

    @overload
    def __getitem__(self, view: slice) -> list[_Gradients]: ...

    def __getitem__(self, view: int | slice) -> _Gradients | list[_Gradients]:
        return self._views[view]

    def summed(self) -> SharedGradients:
        """Return the sums over the views, added in their order. Raises ValueError if each view has a mesh of its own."""
        if not self._shared:
            raise ValueError(f"the {len(self)} views have a mesh each: there is nothing to sum over them")
        return SharedGradients(
            *(_sum([getattr(view, name, None) for view in self._views]) for name in SharedGradients._fields)
        )


def _sum(values: Sequence[Any]) -> Any:
    """Return the sum of arrays, of tuples of such field by field, or None of None."""
    if isinstance(values[0], tuple):
        return type(values[0])(*map(_sum, zip(*values, strict=True)))
    return None if values[0] is None else reduce(add, values)


class _Batch(Generic[_Gradients]):
    """Views drawn in parts, one after the other: those drawn together, or single views. `alone` draws a view by itself."""

    def __init__(self, parts: list[Any], shared: bool, count: int, alone: Callable[[int], Any]):
        self._parts, self._shared, self._count, self._alone = parts, shared, count, alone

    def _jvp(self, given: Mapping[str, Any]) -> np.ndarray:
        """Return the tangents of all views for directions by name: what is a list has a direction for each view."""
        for name, value in given.items():
            if isinstance(value, list) and len(value) != self._count:
                raise ValueError(f"{name} has directions for {len(value)} views, but there are {self._count}")
        together = isinstance(self._parts[0], Together)  # all parts are, or none
        tangents = []
        for view in range(self._count):
            of_view = {name: value[view] if isinstance(value, list) else value for name, value in given.items()}
            rendering = self._alone(view) if together else self._parts[view]
            try:
                tangents.append(rendering.jvp(**of_view))
            except ValueError as error:
                raise ValueError(f"view {view}: {error}") from None
        return np.stack(tangents)

    def _backward(self, name: str, shape: tuple[int, ...], grad: np.ndarray) -> BatchGradients[_Gradients]:
        if np.shape(grad) != shape:
            raise ValueError(f"{name} must have shape {shape}, got {np.shape(grad)}")
        grad, views, begin = np.asarray(grad), [], 0
        for part in self._parts:
            if isinstance(part, Together):
                views += part.backward(grad[begin : begin + part.count])
                begin += part.count
            else:
                views.append(part.backward(grad[begin]))
                begin += 1
        return BatchGradients(views, self._shared)


class BatchSilhouette(_Batch[SilhouetteGradients]):
    """What `render_silhouette_batch` returns: `alpha` (B, H, W), `backward` and `jvp`."""

    def __init__(self, alpha: np.ndarray, parts: list[Any], shared: bool, alone: Callable[[int], SilhouetteRendering]):
        super().__init__(parts, shared, len(alpha), alone)
        self.alpha = alpha

    def backward(self, grad_alpha: np.ndarray) -> BatchGradients[SilhouetteGradients]:
        """Return the gradients of each view for grad_alpha (B, H, W). Raises ValueError for another shape."""
        return self._backward("grad_alpha", self.alpha.shape, grad_alpha)

    def jvp(
        self,
        vertices: Any | None = None,
        rotation: Any | None = None,
        translation: Any | None = None,
        K: Any | None = None,
        distortion: Any | None = None,
    ) -> np.ndarray:
        """Return how alpha (B, H, W) changes in a direction of the inputs, or (B, D, H, W) for D; see `BatchRendering.jvp`."""
        names = ("vertices", "rotation", "translation", "K", "distortion")
        return self._jvp(dict(zip(names, (vertices, rotation, translation, K, distortion), strict=True)))


class BatchRendering(_Batch[RenderGradients]):
    """What `render_batch` returns: `image` (B, H, W, 4) linear RGBA, not premultiplied, `backward` and `jvp`."""

    def __init__(self, image: np.ndarray, parts: list[Any], shared: bool, alone: Callable[[int], Rendering]):
        super().__init__(parts, shared, len(image), alone)
        self.image = image

    def backward(self, grad_image: np.ndarray) -> BatchGradients[RenderGradients]:
        """Return the gradients of each view for grad_image (B, H, W, 4). Raises ValueError for another shape."""
        return self._backward("grad_image", self.image.shape, grad_image)

    def jvp(
        self,
        vertices: Any | None = None,
        vertex_colors: Any | None = None,
        rotation: Any | None = None,
        translation: Any | None = None,
        K: Any | None = None,
        distortion: Any | None = None,
        light: Any | None = None,
        uv: Any | None = None,
        texture: Any | None = None,
    ) -> np.ndarray:
        """Return how the image (B, H, W, 4) changes in a direction of the inputs, or (B, D, H, W, 4) in D of them.

        Each direction is as `Rendering.jvp` takes it and the same for all views, as for the pose of a rig of cameras or the
        vertices of the one mesh, or a list of B, one for each view. Views are done one by one, and those that were drawn
        together once more. Raises ValueError that names the view as `Rendering.jvp` does, and for a list of another length.
        """
        given = {"vertices": vertices, "vertex_colors": vertex_colors, "rotation": rotation, "translation": translation}
        given |= {"K": K, "distortion": distortion, "light": light, "uv": uv, "texture": texture}
        return self._jvp(given)


def render_batch(
    meshes: Mesh | Sequence[Mesh],
    cameras: Camera | Sequence[Camera],
    settings: Soft | Hard = _DEFAULT,
    light: Light | Lights | None = None,
    backend: Name = "cpu",
) -> BatchRendering:
    """Render B views to linear RGBA (B, H, W, 4): one mesh from many cameras, a mesh for each, or many meshes from one camera.

    Images and gradients have the bits of `render` for each view, and the other arguments its meaning; the views of small
    images together take less time, as they share the cores and what a call costs. `Hard` settings, textures and "cuda" are
    drawn view by view. Raises ValueError for no views, for meshes and cameras whose numbers differ, for images of different
    sizes, for meshes of different precisions, and as `render` does.
    """
    views, shared = _paired(meshes, cameras)

    def alone(view: int) -> Rendering:
        return render(*views[view], settings, light, backend)

    if not isinstance(settings, Soft) or choose(backend) != "cpu" or any(mesh.texture is not None for mesh, _ in views):
        singles = [alone(view) for view in range(len(views))]
        return BatchRendering(np.stack([single.image for single in singles]), singles, shared, alone)
    image = _new_image(views, 4)
    return BatchRendering(image, _together(views, settings, light, image), shared, alone)


def render_silhouette_batch(
    meshes: Mesh | Sequence[Mesh],
    cameras: Camera | Sequence[Camera],
    settings: Soft | Hard = _DEFAULT,
    backend: Name = "cpu",
) -> BatchSilhouette:
    """Render the silhouettes of B views: alpha (B, H, W), without colours. Raises ValueError as `render_batch` does."""
    views, shared = _paired(meshes, cameras)

    def alone(view: int) -> SilhouetteRendering:
        return render_silhouette(*views[view], settings, backend)

    if not isinstance(settings, Soft) or choose(backend) != "cpu":
        singles = [alone(view) for view in range(len(views))]
        return BatchSilhouette(np.stack([single.alpha for single in singles]), singles, shared, alone)
    alpha = _new_image(views)
    return BatchSilhouette(alpha, _together(views, settings, None, alpha), shared, alone)


def _new_image(views: list[View], *channels: int) -> np.ndarray:
    mesh, camera = views[0]
    return empty((len(views), *camera.size, *channels), mesh.vertices.dtype)


def _together(views: list[View], settings: Soft, light: Light | Lights | None, image: np.ndarray) -> list[Together]:
    """Fill the image of all views, in pieces of at most _FACES faces, or of one view."""
    parts, begin, faces = [], 0, 0
    for number, (mesh, _) in enumerate(views):
        if begin < number and faces + len(mesh.faces) > _FACES:
            parts.append(slice(begin, number))
            begin, faces = number, 0
        faces += len(mesh.faces)
    parts.append(slice(begin, len(views)))
    return [Together(views[part], settings, light, image[part]) for part in parts]


def _paired(meshes: Mesh | Sequence[Mesh], cameras: Camera | Sequence[Camera]) -> tuple[list[View], bool]:
    """Return the mesh and the camera of each view, and whether all views have one mesh."""
    shown = [meshes] if isinstance(meshes, Mesh) else list(meshes)
    seen_by = [cameras] if isinstance(cameras, Camera) else list(cameras)
    for name, kind, given in (("meshes", Mesh, shown), ("cameras", Camera, seen_by)):
        if not given:
            raise ValueError(f"a batch needs at least one view, got no {name}")
        for number, value in enumerate(given):
            if not isinstance(value, kind):
                raise ValueError(f"{name} must be of type {kind.__name__}, got {value!r} for view {number}")
    if isinstance(meshes, Mesh):
        shown *= len(seen_by)
    elif isinstance(cameras, Camera):
        seen_by *= len(shown)
    if len(shown) != len(seen_by):
        raise ValueError(f"there must be as many meshes as cameras, got {len(shown)} and {len(seen_by)}")
    views = list(zip(shown, seen_by, strict=True))
    (first, camera), *_ = views
    for number, (mesh, other) in enumerate(views):
        if other.size != camera.size:
            raise ValueError(
                f"the cameras of a batch must have one size: that of view 0 is {camera.size}, of view {number} {other.size}"
            )
        if mesh.vertices.dtype != first.vertices.dtype:
            raise ValueError(
                "the meshes of a batch must have one precision: "
                f"that of view 0 is {first.vertices.dtype}, of view {number} {mesh.vertices.dtype}"
            )
    return views, all(mesh is first for mesh, _ in views)
