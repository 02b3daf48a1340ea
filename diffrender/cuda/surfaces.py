"""Memory and launches around the kernels of surfaces in perspective."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backend import RasterGradients, TexturedFaces, on_device
from ..grids import grid_unit, of_grids
from ..pyramid import CHANNELS as HUES
from ..pyramid import Pyramid
from .arrays import Workspace, download
from .bins import Bins
from .color import CHANNELS
from .gather import incidence
from .jit import THREADS, blocks
from .surface import TINT, clear, gather_uv, prepare_surface, surface_backward, surface_forward


@dataclass(frozen=True)
class SurfaceData:
    """What the kernels of surfaces take beside those of plain colour."""

    tints: Any  # (F, TINT), see `prepare_surface`
    texture: tuple  # texels (3 N,), offsets (L,), sizes (2 L,), whether it repeats; no level without a texture
    face_uv: Any  # (F, 3) int32 corners in the texture, wound as faces are
    of_log_q: float  # times q, turns a gradient of log q into one of the depth logit
    perspective: bool  # of attributes
    textured: TexturedFaces | None


def prepare(
    bins: Bins, faces: Any, depth: tuple, perspective: bool, textured: TexturedFaces | None, workspace: Workspace
) -> SurfaceData:
    """Return what is known of the faces; `depth` is that of plain colour."""
    _, vertices, nearest, scale, _ = depth
    dtype, count = vertices.dtype, max(1, len(faces))
    tints = workspace.take((count, TINT), dtype)
    if textured is None:
        empty = workspace.upload(np.zeros(1, dtype))
        texture = (empty, workspace.upload(np.zeros(1, np.int64))[:0], empty, False)
        faces_uv, uv, face_uv = bins.corners, vertices, bins.corners
    else:
        pyramid = textured.pyramid
        texture = (*(workspace.upload(array) for array in pyramid[:3]), pyramid.repeat)
        faces_uv, uv = workspace.upload(textured.faces_uv), workspace.upload(textured.uv)
        face_uv = workspace.take((count, 3), np.int32)
    if len(faces):
        prepare_surface[blocks(len(faces)), THREADS, workspace.stream](
            faces,
            bins.corners,
            bins.geometry,
            bins.bounds,
            vertices,
            nearest,
            scale,
            perspective,
            len(texture[1]),
            faces_uv,
            uv,
            face_uv,
            tints,
        )
    of_log_q = dtype.type(1 / (float(nearest) * float(scale)) if nearest > 0 else 0)
    return SurfaceData(tints, texture, face_uv, of_log_q, perspective, textured)


def draw_surface(
    launch: tuple, binned: tuple, surface: SurfaceData, attributes: Any, behind: tuple, image: tuple
) -> None:
    """Fill the image, CHANNELS channels a launch."""
    for first in range(0, attributes.shape[1], CHANNELS):
        surface_forward[launch](*binned, surface.tints, attributes, first, *surface.texture, *behind, *image)


def draw_surface_backward(
    launch: tuple,
    binned: tuple,
    surface: SurfaceData,
    attributes: Any,
    image: tuple,
    grad_color: Any,
    slot_count: int,
    scratch: Workspace,
) -> tuple:
    """Fill the slots' gradients, and return those of (u, v) by slot, the grid of the texels' and its unit."""
    textured = surface.textured
    slot_uv = scratch.take_at_least(slot_count if textured else 1, attributes.dtype, 6)
    grid = scratch.take((HUES * textured.pyramid.texel_count if textured else 1,), np.int64)
    clear[blocks(len(grid)), THREADS, scratch.stream](grid)
    unit = 0.0
    if textured is not None:  # of the host: a sum in an order of its own
        numbers = (download(array, scratch.stream) if on_device(array) else array for array in (grad_color, attributes))
        unit = grid_unit(*numbers)
    of_grid = (slot_uv, grid, attributes.dtype.type(unit))
    fixed = (surface.of_log_q, surface.perspective)
    for first in range(0, attributes.shape[1], CHANNELS):
        surface_backward[launch](*binned, surface.tints, attributes, first, *surface.texture, *fixed, *image, *of_grid)
    return slot_uv, grid, unit


def gather_texture(
    grads: RasterGradients, surface: SurfaceData, slots: Any, sums: tuple, scratch: Workspace
) -> RasterGradients:
    """Return the gradients with those of uv (T, 2) and the texture (H, W, 3), on the host."""
    if surface.textured is None:
        return grads
    pyramid, uv, faces_uv = surface.textured
    if not len(faces_uv):
        return without_texture(grads, surface)
    slot_uv, grid, unit = sums
    stream = scratch.stream
    of = incidence(scratch.upload(faces_uv), len(uv), stream)
    grad_uv = scratch.take(uv.shape, uv.dtype)
    gather_uv[blocks(2 * len(uv)), THREADS, stream](of.starts, of.faces, surface.face_uv, slots, slot_uv, grad_uv)
    return grads._replace(uv=download(grad_uv, stream), texture=texture_of_grid(pyramid, grid, unit, stream))


def texture_of_grid(pyramid: Pyramid, grid: Any, unit: float, stream: Any) -> np.ndarray:
    """Return the gradient (H, W, 3) of the texture for whole numbers of 1 / unit on the device, a grid (3 N,)."""
    grids = download(grid, stream).reshape(1, pyramid.texel_count, HUES)
    return of_grids(pyramid, grids, np.ones((1, pyramid.texel_count), np.uint8), unit)


def without_texture(grads: RasterGradients, surface: SurfaceData) -> RasterGradients:
    """Return gradients of alpha alone, which does not depend on a texture."""
    if surface.textured is None:
        return grads
    pyramid, uv, _ = surface.textured
    return grads._replace(uv=np.zeros_like(uv), texture=np.zeros((*pyramid.size, HUES), uv.dtype))
