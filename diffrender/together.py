"""Views that are drawn together: what `render` does, with the arrays of all views one after the other."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from .backend import RasterGradients
from .camera import Camera, is_bare, project_views, project_views_backward
from .channels import rows_with_color
from .checks import check_finite
from .corners import split_corners
from .cpu.rasterize import draw_views
from .illuminate import lit_colors, lit_colors_backward
from .in_front import Behind, InFront, in_front_backward
from .lights import Lights
from .memory import empty, empty_like, zeros
from .mesh import Mesh
from .ranges import Ranges, ranges_of
from .rasterize import Raster, gradient_shapes
from .rendering import (
    Lit,
    RenderGradients,
    SilhouetteGradients,
    Soft,
    albedo_of,
    eye_of,
    front_of,
    near_plane,
    raster_settings,
    view_gradients,
)
from .shading import Light, ShadingGradients, light_gradients, normal_sums, shade_with
from .threads import run_on_workers

View = tuple[Mesh, Camera]


class Together:
    """B views, whose image (B, H, W, 4), or alpha (B, H, W) alone, is filled, and the way back.

    Of a mesh that all views show, `_vertices` and `_faces` have the rows once, else those of the views' meshes one after the
    other; what the rasterizer gets has rows for each view.
    """

    def __init__(self, views: Sequence[View], settings: Soft, light: Light | Lights | None, image: np.ndarray):
        self.count, painted = len(views), image.ndim == 4
        self._cameras, self._light = [camera for _, camera in views], light
        self._whole = self._meshes = _without_repeats([mesh for mesh, _ in views])
        if isinstance(light, Lights) and light.normals == "flat":
            self._meshes = [split_corners(mesh) for mesh in self._whole]
        self._of_meshes = _ranges_of(self._meshes)
        self._ranges = _ranges_of(self._meshes * self.count) if self._is_shared else self._of_meshes
        self._vertices = _joined([mesh.vertices for mesh in self._meshes])
        self._faces = _joined([mesh.faces for mesh in self._meshes])
        colors = self._colors() if painted else None
        pixel, faces, ranges = self._project(near_plane(settings)), self._faces, self._ranges
        self._fronts: list[InFront] | None = None
        if pixel is None:
            self._fronts = [self._front(view, settings, colors) for view in range(self.count)]
            ranges, pixel, faces, colors = _of_fronts(self._fronts)
            check_finite("vertices_pixel", pixel)
        faces = _numbered(faces, ranges)
        size = self._cameras[0].size
        how = raster_settings(settings, 3 if painted else None, pixel.dtype)
        into = image.reshape(-1, *image.shape[2:])
        drawn = draw_views(pixel, faces, ranges, size, how, colors, into=into)
        self._raster, self._drawn_ranges = Raster(drawn, "cpu", gradient_shapes(pixel, colors)), ranges

    @property
    def _is_shared(self) -> bool:
        return len(self._meshes) < self.count

    def _mesh_of(self, view: int) -> int:
        return 0 if self._is_shared else view

    def _colors(self) -> np.ndarray:
        """Return the lit colours of the vertices of all views."""
        self._albedo = _joined([albedo_of(mesh) for mesh in self._meshes])
        if self._light is None:
            colors = self._albedo
        else:
            self._normals = _joined([normal_sums(mesh.vertices, mesh.faces) for mesh in self._meshes])
            if isinstance(self._light, Light):
                colors = shade_with(self._normals, self._albedo, self._light)
            else:
                # A highlight depends on where it is seen from.
                seen = len(self._meshes) if self._light.specular is None else self.count
                colors = np.concatenate([lit_colors(*self._lit(view)) for view in range(seen)])
        check_finite("attributes", colors)
        if len(colors) == self._ranges.vertices[-1]:
            return colors
        repeated = empty((self.count, *colors.shape), colors.dtype)
        repeated[:] = colors
        return repeated.reshape(-1, 3)

    def _lit(self, view: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, Lights, np.ndarray]:
        """Return what `lit_colors` takes."""
        assert isinstance(self._light, Lights)
        rows = _rows(self._of_meshes, self._mesh_of(view))
        eye = eye_of(self._cameras[view], self._light)
        return self._normals[rows], self._vertices[rows], self._albedo[rows], self._light, eye

    def _project(self, near: float) -> np.ndarray | None:
        """Return vertices_pixel (V, 3) of all views, or None where one has more of a camera than a pinhole, faces that reach
        behind it, nothing in front of it, or numbers that are not finite."""
        if not all(map(is_bare, self._cameras)):
            return None
        pixel, extents = project_views(self._vertices, self._ranges.vertices, self._cameras)
        seen = all(one.finite and one.farthest > near and (near <= 0 or one.nearest >= near) for one in extents)
        return pixel if seen else None

    def _front(self, view: int, settings: Soft, colors: np.ndarray | None) -> InFront:
        given = None if colors is None else colors[_rows(self._ranges, view)]
        try:
            return front_of(self._meshes[self._mesh_of(view)], self._cameras[view], settings, given)
        except ValueError as error:
            raise ValueError(f"view {view}: {error}") from None

    def backward(self, grad: np.ndarray) -> list[Any]:
        """Return the gradients of each view, `RenderGradients` for grad_image (B, H, W, 4) or `SilhouetteGradients` for
        grad_alpha (B, H, W)."""
        if self._raster.color is None:
            found = self._behind(self._raster.backward(grad.reshape(self._raster.alpha.shape)))
            return [SilhouetteGradients(*behind.projected) for behind in found]
        found = self._behind(self._raster_backward(grad))
        return [
            self._gradients(view, behind, lit)
            for view, (behind, lit) in enumerate(zip(found, self._lit_backward(found), strict=True))
        ]

    def _raster_backward(self, grad: np.ndarray) -> RasterGradients:
        alpha = self._raster.alpha
        grad_image = np.ascontiguousarray(grad.reshape(*alpha.shape, 4), alpha.dtype)
        painted = rows_with_color(grad_image).reshape(self.count, -1).any(axis=1)
        if painted.all():
            return self._raster.image_backward(grad_image)
        of_alpha = self._raster.backward(grad_image[..., 3])
        if not painted.any():
            return of_alpha
        # Views with a gradient of alpha alone go the way of the silhouette, whose rounding is another.
        whole = self._raster.image_backward(grad_image)
        at_vertices = np.repeat(painted, np.diff(self._drawn_ranges.vertices))[:, None]
        assert whole.attributes is not None and of_alpha.attributes is not None
        return RasterGradients(
            np.where(at_vertices, whole.vertices_pixel, of_alpha.vertices_pixel),
            np.where(at_vertices, whole.attributes, of_alpha.attributes),
        )

    def _behind(self, raster: RasterGradients) -> list[Behind]:
        """Return the gradients of what each view was projected from."""
        parts = [
            RasterGradients(raster.vertices_pixel[rows], None if raster.attributes is None else raster.attributes[rows])
            for rows in (_rows(self._drawn_ranges, view) for view in range(self.count))
        ]
        if self._fronts is not None:
            return [in_front_backward(front, part) for front, part in zip(self._fronts, parts, strict=True)]
        projected = project_views_backward(self._vertices, self._ranges.vertices, self._cameras, raster.vertices_pixel)
        return [Behind(view, part.attributes, None) for view, part in zip(projected, parts, strict=True)]

    def _lit_backward(self, found: list[Behind]) -> Sequence[Lit]:
        """Return the gradients of what lit each view."""
        if self._light is None:
            return [None] * self.count
        grads = [behind.attributes for behind in found if behind.attributes is not None]
        if isinstance(self._light, Lights):
            lit = []
            for view, grad in enumerate(grads):
                sums, vertices, albedo, lights, eye = self._lit(view)
                faces = self._meshes[self._mesh_of(view)].faces
                lit.append(lit_colors_backward(sums, vertices, faces, albedo, lights, eye, grad))
            return lit
        from .by_view import shade_views_backward

        light, (unit, length) = self._light, self._light.unit
        grad_color = np.concatenate(grads, out=empty((sum(map(len, grads)), 3), grads[0].dtype))
        grad_albedo, grad_sums = empty_like(grad_color), empty(grad_color.shape, np.float64)
        grad_vertices, totals = zeros(grad_color.shape, np.float64), np.zeros((self.count, 5))
        given = (self._vertices, self._faces, *self._ranges, self._normals)
        numbers = (unit, light.ambient, light.diffuse, light.softness, self._albedo)
        into = (grad_albedo, grad_sums, grad_vertices, totals)
        run_on_workers(shade_views_backward, *given, *numbers, grad_color, *into, most=self.count)
        grad_vertices = grad_vertices.astype(grad_color.dtype)
        rows = (_rows(self._ranges, view) for view in range(self.count))
        return [
            ShadingGradients(grad_vertices[part], grad_albedo[part], light_gradients(of_view, unit, length))
            for part, of_view in zip(rows, totals, strict=True)
        ]

    def _gradients(self, view: int, behind: Behind, lit: Lit) -> RenderGradients:
        mesh, whole = self._meshes[self._mesh_of(view)], self._whole[self._mesh_of(view)]
        return view_gradients(mesh, None if mesh is whole else whole, self._cameras[view], behind, lit)


def _without_repeats(meshes: list[Mesh]) -> list[Mesh]:
    """Return the one mesh of all views, or the mesh of each."""
    return meshes[:1] if all(mesh is meshes[0] for mesh in meshes) else meshes


def _ranges_of(meshes: Sequence[Mesh]) -> Ranges:
    return ranges_of([(len(mesh.vertices), len(mesh.faces)) for mesh in meshes])


def _rows(ranges: Ranges, view: int) -> slice:
    """Return the rows of a view's vertices."""
    return slice(*ranges.vertices[view : view + 2].tolist())


def _numbered(faces: np.ndarray, ranges: Ranges) -> np.ndarray:
    """Return faces (F, 3) that count the vertices of all views, of those that count their view's: of each view, or of one."""
    starts = ranges.faces.tolist()
    numbered, repeated = empty((starts[-1], 3), np.int32), len(faces) < starts[-1]
    for (begin, end), first in zip(pairwise(starts), ranges.vertices.tolist(), strict=False):
        np.add(faces if repeated else faces[begin:end], np.int32(first), out=numbered[begin:end])
    return numbered


def _joined(arrays: list[np.ndarray]) -> np.ndarray:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _of_fronts(fronts: list[InFront]) -> tuple[Ranges, np.ndarray, np.ndarray, np.ndarray | None]:
    """Return what the rasterizer gets of all views: ranges, vertices_pixel, faces, which count a view's vertices from its first,
    and attributes."""
    ranges = ranges_of([(len(front.vertices_pixel), len(front.faces)) for front in fronts])
    pixel, faces = (np.concatenate([front[column] for front in fronts]) for column in (0, 1))
    values = [front.attributes for front in fronts if front.attributes is not None]
    return ranges, pixel, faces, np.concatenate(values) if values else None
