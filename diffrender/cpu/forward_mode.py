"""The forward mode of the CPU backend: memory and threads around its kernels."""

from typing import TYPE_CHECKING

import numpy as np

from ..backend import Drawn, RasterDirections
from ..pyramid import fill_pyramid
from ..threads import run_on_workers

if TYPE_CHECKING:
    from .rasterize import _Saved


def draw_jvp(drawn: Drawn, directions: RasterDirections) -> np.ndarray:
    """Return how colour, if any, and then alpha change in each direction (D, H, W, C + 1)."""
    saved: _Saved = drawn.saved
    bins, dtype = saved.bins, drawn.alpha.dtype
    count = len(next(given for given in directions if given is not None))
    channels = 0 if saved.depth is None else drawn.color.shape[2]
    tangent = np.empty((count, *drawn.alpha.shape, channels + 1), dtype)
    binned = (bins.geometry, bins.bounds, bins.starts, bins.entries, bins.order, np.zeros(1, np.int64))
    arguments = (bins.corners, *binned, *saved.coverage, saved.vanished)
    image = (saved.transmittance, np.ones(drawn.alpha.shape, dtype))
    if saved.depth is None:
        from .silhouette_tangent import silhouette_tangent

        motions = _by_row(directions.vertices_pixel, dtype)
        run_on_workers(silhouette_tangent, *arguments, *image, motions, tangent)
        return tangent
    from .color_tangent import color_tangent

    motions = np.zeros((len(saved.depth[1]), count, 3), dtype)
    if directions.vertices_pixel is not None:
        motions = _by_row(directions.vertices_pixel, dtype)
        motions[..., 2] *= -dtype.type(saved.depth_scale)
    nothing = np.empty((0, count, channels), dtype)
    painted = nothing if directions.attributes is None else _by_row(directions.attributes, dtype)
    laid = nothing if directions.uv is None else _by_row(directions.uv, dtype)
    run_on_workers(
        color_tangent,
        *arguments,
        *saved.depth,
        *_surface(saved),
        *image,
        drawn.image,
        *saved.softmax,
        motions,
        painted,
        laid,
        _texel_motions(saved, directions),
        tangent,
    )
    return tangent


def _by_row(directions: np.ndarray | None, dtype: np.dtype) -> np.ndarray:
    """Return directions (D, V, C) as (V, D, C): what a corner does in all of them lies together."""
    assert directions is not None
    return np.array(directions.transpose(1, 0, 2), dtype, order="C")


def _surface(saved: "_Saved") -> tuple:
    """Return what the kernel takes of a surface, or of plain colours, for which q is 1."""
    assert saved.depth is not None
    surface, like = saved.surface, saved.depth[1]
    nowhere = np.empty((0, 2), like.dtype)
    if surface is None:
        ones, zeros = np.ones_like(like), np.zeros_like(like)
        return (ones, None, ones, saved.bins.corners, nowhere, zeros, zeros)
    if surface.textured is None:
        q, of_log_q = surface.arguments[0], surface.of_log_q
        return (q, None, q, saved.bins.corners, nowhere, *of_log_q)
    return (*surface.arguments, *surface.of_log_q)


def _texel_motions(saved: "_Saved", directions: RasterDirections) -> np.ndarray:
    """Return how the texels of all levels change (D, 3 N + 1), or (0, 1) if they stay."""
    assert saved.depth is not None
    if directions.texture is None or saved.surface is None or saved.surface.textured is None:
        return np.empty((0, 1), saved.depth[1].dtype)
    pyramid = saved.surface.textured.pyramid
    texels = np.empty((len(directions.texture), len(pyramid.texels)), pyramid.texels.dtype)
    for image, levels in zip(directions.texture, texels, strict=True):
        fill_pyramid(pyramid, image, levels)
    return texels
