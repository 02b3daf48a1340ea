"""The CPU backend: memory and threads around the kernels."""

import math
from dataclasses import dataclass

import numpy as np

from ..backend import Drawn, RasterGradients, RasterSettings
from ..limits import BACKGROUND_DEPTH, limits_of, reach_of
from ..threads import run_on_workers, share_out
from .bins import Bins, sort_into_bins
from .gather import gather


@dataclass(frozen=True)
class _Saved:
    """What the way back needs: memory O(pixels + entries), whatever the overlap."""

    bins: Bins
    vertices: int
    coverage: tuple  # of reals: radius, 1 / sqrt(sigma), lowest and highest logit
    transmittance: np.ndarray  # (H, W)
    depth: tuple | None  # lowest depth logit, depth logits (V,), attributes (V, C)
    depth_scale: float
    softmax: tuple  # maximum and inverse sum, (H, W) each

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        arrays = (*vars(self.bins).values(), self.transmittance, *(self.depth or ())[1:], *self.softmax)
        return sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))


def draw(
    vertices: np.ndarray,
    faces: np.ndarray,
    size: tuple[int, int],
    settings: RasterSettings,
    attributes: np.ndarray | None,
) -> Drawn:
    """Return alpha (H, W), color (H, W, C) with attributes, and what `draw_backward` needs."""
    real = vertices.dtype.type
    limits = limits_of(vertices.dtype)
    lowest, radius = reach_of(settings)
    bins = sort_into_bins(vertices, faces, size, radius, settings.cull_backfaces, attributes is not None)
    alpha = np.empty(size, vertices.dtype)
    transmittance = np.empty_like(alpha)
    coverage = (real(bins.radius), real(1 / math.sqrt(settings.sigma)), real(lowest), real(limits.highest))
    binned = (bins.geometry, bins.bounds, bins.starts, bins.entries, bins.order, np.zeros(1, np.int64))
    if attributes is None:
        from .silhouette import silhouette_forward

        run_on_workers(silhouette_forward, *binned, *coverage, alpha, transmittance)
        return Drawn(alpha, None, _Saved(bins, len(vertices), coverage, transmittance, None, 0.0, ()))
    from .color import color_forward

    scale = 1 / ((settings.far - settings.near) * settings.gamma)
    depth_logits, background_logit = _depth_logits(vertices[:, 2], scale, settings)
    depth = (real(limits.lowest_depth), depth_logits, attributes)
    color = np.empty((*size, attributes.shape[1]), vertices.dtype)
    softmax = (np.empty_like(alpha), np.empty_like(alpha))
    run_on_workers(
        color_forward,
        bins.corners,
        *binned,
        *coverage,
        *depth,
        real(background_logit),
        settings.background,
        alpha,
        transmittance,
        color,
        *softmax,
    )
    return Drawn(alpha, color, _Saved(bins, len(vertices), coverage, transmittance, depth, scale, softmax))


def _depth_logits(depth: np.ndarray, scale: float, settings: RasterSettings) -> tuple[np.ndarray, float]:
    """Return zbar / gamma per vertex and for the background, both relative to the nearest vertex.

    A softmax does not see the shift, and float32 keeps the differences that matter: zbar / gamma itself is in the
    thousands for a small gamma.
    """
    ahead = depth > 0
    nearest = float(depth[ahead].min()) if ahead.any() else 0.0
    logits = ((nearest - depth.astype(np.float64)) * scale).astype(depth.dtype)
    return logits, BACKGROUND_DEPTH / settings.gamma - (settings.far - nearest) * scale


def draw_backward(drawn: Drawn, grad_alpha: np.ndarray | None, grad_color: np.ndarray | None) -> RasterGradients:
    """Return the gradients for grad_alpha (H, W) and grad_color (H, W, C); None means zero."""
    saved: _Saved = drawn.saved
    bins = saved.bins
    dtype = drawn.alpha.dtype
    vanished = dtype.type(limits_of(dtype).vanished)
    binned = (bins.geometry, bins.bounds, bins.slots, bins.starts, bins.entries, bins.order, np.zeros(1, np.int64))
    if grad_alpha is None:
        grad_alpha = np.zeros_like(drawn.alpha)
    grad_vertices = np.empty((saved.vertices, 3), dtype)
    if grad_color is None:
        from .silhouette import silhouette_backward

        entry_gradients = np.empty((len(bins.entries), 6), dtype)
        run_on_workers(
            silhouette_backward,
            *binned,
            *saved.coverage,
            vanished,
            saved.transmittance,
            grad_alpha,
            entry_gradients,
        )
        share_out(
            gather, saved.vertices, bins.corners, bins.slots, entry_gradients, grad_vertices, np.empty((0, 0), dtype)
        )
        return RasterGradients(grad_vertices, None if saved.depth is None else np.zeros_like(saved.depth[2]))
    from .color import color_backward

    assert saved.depth is not None
    channels = grad_color.shape[2]
    entry_gradients = np.empty((len(bins.entries), 9 + 3 * channels), dtype)
    run_on_workers(
        color_backward,
        bins.corners,
        *binned,
        *saved.coverage,
        vanished,
        *saved.depth,
        saved.transmittance,
        drawn.color,
        *saved.softmax,
        grad_alpha,
        grad_color,
        entry_gradients,
    )
    grad_attributes = np.empty((saved.vertices, channels), dtype)
    share_out(gather, saved.vertices, bins.corners, bins.slots, entry_gradients, grad_vertices, grad_attributes)
    grad_vertices[:, 2] *= -dtype.type(saved.depth_scale)
    return RasterGradients(grad_vertices, grad_attributes)
