"""The forward mode of the CUDA backend: memory and launches around its kernels."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ..backend import Drawn, RasterDirections
from ..pyramid import Pyramid, fill_pyramid
from .arrays import Workspace, allocate, download
from .bins import TILE
from .color import CHANNELS
from .jit import THREADS, blocks
from .silhouette import PIXELS
from .surfaces import SurfaceData, prepare
from .tangent import DIRECTIONS, LAID, OUTLINE, SOLID, color_tangent, prepare_ways, silhouette_tangent

if TYPE_CHECKING:
    from .rasterize import _Saved


def tangent_of(drawn: Drawn, directions: RasterDirections) -> Any:
    """Return how colour, if any, and then alpha change in each direction (D, H, W, C + 1), where the image is."""
    saved: _Saved = drawn.saved
    bins, dtype, stream = saved.bins, drawn.alpha.dtype, saved.workspace.stream
    scratch = Workspace(stream)
    count = len(next(given for given in directions if given is not None))
    size = drawn.alpha.shape
    channels = 0 if saved.depth is None else saved.color.shape[2]
    shape = (count, *size, channels + 1)
    tangent = allocate(shape, dtype, stream) if saved.stays else scratch.take(shape, dtype)
    surface = None if saved.depth is None else _surface(saved, scratch)
    ways = _ways(saved, surface, directions, count, dtype, scratch)
    binned = (bins.geometry, bins.bounds, bins.ends, bins.columns, bins.entries)
    binned = (*binned, *saved.coverage, dtype.type(saved.vanished))
    launch = ((blocks(size[1], TILE), blocks(size[0], TILE)), PIXELS, stream)
    if surface is None:
        for first in range(0, count, DIRECTIONS):
            silhouette_tangent[launch](*binned, saved.transmittance, ways, first, tangent)
        return tangent if saved.stays else download(tangent, stream)
    assert saved.depth is not None
    painted = _upload(directions.attributes, dtype, scratch)
    pyramid = None if surface.textured is None else surface.textured.pyramid
    texels = scratch.upload(texel_motions(pyramid, directions.texture, dtype))
    texels = texels if directions.texture is not None else texels[:0]
    fixed = (surface.of_log_q, surface.perspective, saved.transmittance, saved.color, *saved.softmax)
    for channel in range(0, channels, CHANNELS):
        face = (saved.depth[0], surface.tints, saved.depth[4], channel, *surface.texture)
        for first in range(0, count, DIRECTIONS):
            color_tangent[launch](bins.corners, *binned, *face, *fixed, ways, painted, texels, first, tangent)
    return tangent if saved.stays else download(tangent, stream)


def _surface(saved: "_Saved", scratch: Workspace) -> SurfaceData:
    """Return what the kernel takes of a surface, or of plain colours."""
    if saved.surface is not None:
        return saved.surface
    assert saved.depth is not None
    return prepare(saved.bins, saved.faces, saved.depth, False, None, scratch)


def _ways(
    saved: "_Saved",
    surface: SurfaceData | None,
    directions: RasterDirections,
    count: int,
    dtype: np.dtype,
    scratch: Workspace,
) -> Any:
    """Return how each face goes in each direction, (F, D, ...)."""
    width, bins = OUTLINE, saved.bins
    tints, face_uv, scale, of_log_q = bins.geometry, bins.corners, dtype.type(0), dtype.type(0)
    if surface is not None:
        assert saved.depth is not None
        width = SOLID if surface.textured is None else LAID
        tints, face_uv, scale, of_log_q = surface.tints, surface.face_uv, saved.depth[3], surface.of_log_q
    ways = scratch.take((max(1, len(saved.faces)), count, width), dtype)
    if len(saved.faces):
        motions = directions.vertices_pixel
        motions = np.zeros((count, saved.vertices, 3), dtype) if motions is None else motions
        prepare_ways[blocks(len(saved.faces) * count), THREADS, scratch.stream](
            bins.corners,
            bins.geometry,
            bins.bounds,
            _upload(motions, dtype, scratch),
            scale,
            tints,
            of_log_q,
            face_uv,
            _upload(directions.uv, dtype, scratch),
            ways,
        )
    return ways


def _upload(directions: np.ndarray | None, dtype: np.dtype, scratch: Workspace) -> Any:
    """Return directions (D, N, C) on the device, or (0, 1, 1) if they stay."""
    if directions is None:
        return scratch.upload(np.zeros((1, 1, 1), dtype))[:0]
    return scratch.upload(np.ascontiguousarray(directions, dtype))


def texel_motions(pyramid: Pyramid | None, images: np.ndarray | None, dtype: np.dtype) -> np.ndarray:
    """Return how the texels of all levels change (D, 3 N + 1) as images do (D, H, W, 3), or (1, 1) of them if they stay."""
    if images is None or pyramid is None:
        return np.zeros((1, 1), dtype)
    texels = np.empty((len(images), len(pyramid.texels)), dtype)
    for image, levels in zip(images, texels, strict=True):
        fill_pyramid(pyramid, image, levels)
    return texels
