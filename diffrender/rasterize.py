"""The soft rasterizer: triangles in pixel space to alpha and colour, and back."""

import math
import operator
from typing import Any, NamedTuple

import numpy as np

from .threads import run_on_workers

_BACKGROUND_DEPTH = 1e-10  # zbar of the background in the softmax, as in SoftRas


class _Range(NamedTuple):
    """What the kernels need to stay in the range of a precision."""

    highest: float  # coverage logit above which 1 + exp(x) is exp(x); exp must not overflow
    vanished: float  # transmittance below which its products go denormal
    lowest_depth: float  # depth logit below the maximum where a face has no weight left


_RANGES = {
    np.dtype(np.float32): _Range(80.0, 1e-12, -60.0),
    np.dtype(np.float64): _Range(700.0, 1e-200, -600.0),
}


class RasterGradients(NamedTuple):
    """Gradients by the names of the inputs of `rasterize_soft`."""

    vertices_pixel: np.ndarray  # (V, 3)
    attributes: np.ndarray | None  # (V, C)


class Raster:
    """What `rasterize_soft` returns: `alpha` (H, W), `color` (H, W, C) or None, and `backward`."""

    def __init__(self, alpha: np.ndarray, color: np.ndarray | None, saved: dict[str, Any]):
        self.alpha = alpha
        self.color = color
        self._saved = saved

    def backward(self, grad_alpha: np.ndarray | None = None, grad_color: np.ndarray | None = None) -> RasterGradients:
        """Return the gradients of the loss for its gradients grad_alpha (H, W) and grad_color (H, W, C).

        Either may be omitted. Raises ValueError for another shape. The same arrays give the same bits every time.
        """
        if grad_alpha is None and grad_color is None:
            raise ValueError("backward needs grad_alpha, grad_color or both, got neither")
        dtype = self.alpha.dtype
        if grad_alpha is None:
            upstream_alpha = np.zeros_like(self.alpha)
        else:
            upstream_alpha = _matching(grad_alpha, "grad_alpha", self.alpha.shape, dtype)
        if grad_color is None:
            return _backward_alpha(self._saved, upstream_alpha)
        if self.color is None:
            raise ValueError("grad_color was given, but rasterize_soft was called without attributes")
        upstream_color = _matching(grad_color, "grad_color", self.color.shape, dtype)
        return _backward_color(self._saved, self.color, upstream_alpha, upstream_color)


def rasterize_soft(
    vertices_pixel: np.ndarray,
    faces: np.ndarray,
    size: tuple[int, int],
    sigma: float = 1.64,
    cutoff: float = 1e-4,
    attributes: np.ndarray | None = None,
    gamma: float = 1e-2,
    near: float = 1.0,
    far: float = 100.0,
    background: float | tuple[float, ...] | np.ndarray = (0.0, 0.0, 0.0),
    cull_backfaces: bool = False,
) -> Raster:
    """Draw faces (F, 3) with vertices_pixel (V, 3), x px, y px, depth, softly on an image of size (H, W).

    Every face covers a pixel by D = sigmoid(+-d^2 / sigma), d its distance to the face's boundary and sigma in
    pixel squared; alpha is their probabilistic union, color a softmax over depth, of softness gamma, of the attributes
    (V, C). Faces with D < cutoff do not count at a pixel. near and far only scale depth; nothing is clipped. A face
    with a depth <= 0 or no area contributes nothing. The dtype of vertices_pixel, float32 or float64, is the precision.
    Raises ValueError for input of the wrong shape, range or type. After Liu et al., Soft Rasterizer, ICCV 2019.
    """
    from .cpu.color import color_forward
    from .cpu.silhouette import silhouette_forward
    from .cpu.strips import sort_into_strips

    vertices = _check_vertices(vertices_pixel)
    faces = _check_faces(faces, len(vertices))
    height, width = _check_size(size)
    _check_positive("sigma", sigma)
    if not 0 < cutoff < 0.5:
        raise ValueError(f"cutoff must lie between 0 and 0.5, got {cutoff}")
    dtype = vertices.dtype
    real = dtype.type
    limits = _RANGES[dtype]
    lowest = math.log(cutoff) - math.log1p(-cutoff)
    radius = math.sqrt(-lowest * sigma)
    strips = sort_into_strips(vertices, faces, (height, width), radius, bool(cull_backfaces))
    alpha = np.empty((height, width), dtype)
    transmittance = np.empty_like(alpha)
    saved = {
        "strips": strips,
        "vertices": len(vertices),
        "transmittance": transmittance,
        "coverage": (real(strips.radius), real(1 / sigma), real(lowest), real(limits.highest)),
        "vanished": real(limits.vanished),
    }
    binned = (strips.geometry, strips.bounds, strips.starts, strips.entries)
    if attributes is None:
        run_on_workers(silhouette_forward, *binned, *saved["coverage"], alpha, transmittance)
        return Raster(alpha, None, saved)
    attributes = _check_attributes(attributes, len(vertices), dtype)
    channels = attributes.shape[1]
    _check_positive("gamma", gamma)
    if not (math.isfinite(near) and math.isfinite(far) and far > near):
        raise ValueError(f"far must be greater than near, got near={near}, far={far}")
    depth_scale = 1 / ((far - near) * gamma)
    depth_logits, background_logit = _depth_logits(vertices[:, 2], depth_scale, far, gamma)
    color = np.empty((height, width, channels), dtype)
    maxima = np.empty_like(alpha)
    inverse_sums = np.empty_like(alpha)
    saved |= {
        "depth": (real(limits.lowest_depth), depth_logits, attributes),
        "depth_scale": depth_scale,
        "softmax": (maxima, inverse_sums),
    }
    run_on_workers(
        color_forward,
        strips.corners,
        *binned,
        *saved["coverage"],
        *saved["depth"],
        real(background_logit),
        _check_background(background, channels, dtype),
        alpha,
        transmittance,
        color,
        maxima,
        inverse_sums,
    )
    return Raster(alpha, color, saved)


def _depth_logits(depth: np.ndarray, scale: float, far: float, gamma: float) -> tuple[np.ndarray, float]:
    """Return zbar / gamma per vertex and for the background, both relative to the nearest vertex.

    A softmax does not see the shift, and float32 keeps the differences that matter: zbar / gamma itself is in the
    thousands for a small gamma.
    """
    ahead = depth > 0
    nearest = float(depth[ahead].min()) if ahead.any() else 0.0
    logits = ((nearest - depth.astype(np.float64)) * scale).astype(depth.dtype)
    return logits, _BACKGROUND_DEPTH / gamma - (far - nearest) * scale


def _backward_alpha(saved: dict[str, Any], grad_alpha: np.ndarray) -> RasterGradients:
    from .cpu.silhouette import silhouette_backward
    from .cpu.strips import gather

    strips = saved["strips"]
    dtype = grad_alpha.dtype
    entry_gradients = np.empty((len(strips.entries), 6), dtype)
    run_on_workers(
        silhouette_backward,
        strips.geometry,
        strips.bounds,
        strips.slots,
        strips.starts,
        strips.entries,
        *saved["coverage"],
        saved["vanished"],
        saved["transmittance"],
        grad_alpha,
        entry_gradients,
    )
    grad_vertices = np.zeros((saved["vertices"], 3), dtype)
    gather(strips.corners, strips.slots, entry_gradients, 0, 2, grad_vertices)
    grad_attributes = np.zeros_like(saved["depth"][2]) if "depth" in saved else None
    return RasterGradients(grad_vertices, grad_attributes)


def _backward_color(
    saved: dict[str, Any], color: np.ndarray, grad_alpha: np.ndarray, grad_color: np.ndarray
) -> RasterGradients:
    from .cpu.color import color_backward
    from .cpu.strips import gather

    strips = saved["strips"]
    dtype = grad_alpha.dtype
    channels = color.shape[2]
    entry_gradients = np.empty((len(strips.entries), 9 + 3 * channels), dtype)
    run_on_workers(
        color_backward,
        strips.corners,
        strips.geometry,
        strips.bounds,
        strips.slots,
        strips.starts,
        strips.entries,
        *saved["coverage"],
        saved["vanished"],
        *saved["depth"],
        saved["transmittance"],
        color,
        *saved["softmax"],
        grad_alpha,
        grad_color,
        entry_gradients,
    )
    grad_vertices = np.zeros((saved["vertices"], 3), dtype)
    grad_depth = np.zeros((saved["vertices"], 1), dtype)
    grad_attributes = np.zeros((saved["vertices"], channels), dtype)
    gather(strips.corners, strips.slots, entry_gradients, 0, 2, grad_vertices)
    gather(strips.corners, strips.slots, entry_gradients, 6, 1, grad_depth)
    gather(strips.corners, strips.slots, entry_gradients, 9, channels, grad_attributes)
    grad_vertices[:, 2] = -dtype.type(saved["depth_scale"]) * grad_depth[:, 0]
    return RasterGradients(grad_vertices, grad_attributes)


def _check_vertices(vertices: np.ndarray) -> np.ndarray:
    vertices = np.asarray(vertices)
    if vertices.ndim != 2 or vertices.shape[1] != 3:
        raise ValueError(f"vertices_pixel must have shape (V, 3), got {vertices.shape}")
    if vertices.dtype not in _RANGES:
        raise ValueError(f"vertices_pixel must be float32 or float64, got {vertices.dtype}")
    check_finite("vertices_pixel", vertices)
    return np.ascontiguousarray(vertices)


def check_finite(name: str, values: np.ndarray) -> None:
    """Raise ValueError that counts the rows of `values` (N, C) holding NaN or infinity and shows the first."""
    # One pass in the good case: a sum of finite values this size does not overflow in float64.
    if not math.isfinite(float(values.sum(dtype=np.float64))):
        bad = np.flatnonzero(~np.isfinite(values).all(axis=tuple(range(1, values.ndim))))
        if len(bad):
            raise ValueError(f"{name} has NaN or infinity in {len(bad)} rows, first in row {bad[0]}: {values[bad[0]]}")


def _check_faces(faces: np.ndarray, vertices: int) -> np.ndarray:
    faces = np.asarray(faces)
    if faces.ndim != 2 or faces.shape[1] != 3:
        raise ValueError(f"faces must have shape (F, 3), got {faces.shape}")
    if not np.issubdtype(faces.dtype, np.integer):
        raise ValueError(f"faces must be integers, got {faces.dtype}")
    if faces.size and (faces.min() < 0 or faces.max() >= vertices):
        wrong = np.argwhere((faces < 0) | (faces >= vertices))[0]
        raise ValueError(
            f"face {wrong[0]} refers to vertex {faces[wrong[0], wrong[1]]}, but there are {vertices} vertices"
        )
    return np.ascontiguousarray(faces, np.int32)


def _check_size(size: tuple[int, int]) -> tuple[int, int]:
    try:
        height, width = (operator.index(length) for length in size)
    except (TypeError, ValueError):
        raise ValueError(f"size must be two positive integers (H, W), got {size!r}") from None
    if height < 1 or width < 1:
        raise ValueError(f"size must be two positive integers (H, W), got {size!r}")
    return height, width


def _check_positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be positive and finite, got {value}")


def _check_attributes(attributes: np.ndarray, vertices: int, dtype: np.dtype) -> np.ndarray:
    attributes = np.asarray(attributes)
    if attributes.ndim != 2 or attributes.shape[0] != vertices or attributes.shape[1] < 1:
        raise ValueError(f"attributes must have shape (V, C) with V = {vertices}, got {attributes.shape}")
    check_finite("attributes", attributes)
    return np.ascontiguousarray(attributes, dtype)


def _check_background(background: float | tuple[float, ...] | np.ndarray, channels: int, dtype: np.dtype) -> np.ndarray:
    values = np.asarray(background, dtype)
    if values.ndim == 0 or (values.ndim == 1 and not values.any()):
        values = np.full(channels, values.flat[0] if values.size else 0, dtype)  # black has any number of channels
    if values.shape != (channels,):
        raise ValueError(f"background must have {channels} values, one per attribute, got {background!r}")
    if not np.isfinite(values).all():
        raise ValueError(f"background must be finite, got {background!r}")
    return np.ascontiguousarray(values)


def _matching(gradient: np.ndarray, name: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    gradient = np.asarray(gradient)
    if gradient.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {gradient.shape}")
    return np.ascontiguousarray(gradient, dtype)
