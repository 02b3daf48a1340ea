"""The CUDA backend: memory and launches around the kernels."""

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backend import Drawn, RasterDirections, RasterGradients, RasterSettings, TexturedFaces, on_device
from ..formulas.shape import shape_of
from ..limits import BACKGROUND_DEPTH, least_factor, limits_of, reach_of
from .arrays import Workspace, allocate, download, stream_of, wait_for
from .bins import TILE, Bins, sort_into_bins
from .color import CHANNELS, color_backward, color_forward
from .gather import Incidence, expected, gather, incidence
from .inspect import (
    BAD_ATTRIBUTES,
    BAD_VERTICES,
    FIRST_ATTRIBUTE,
    FIRST_VERTEX,
    OTHER_FACES,
    raise_bad_face,
    raise_not_finite,
)
from .jit import THREADS, blocks
from .silhouette import LANES, PIXELS, WARPS, silhouette_backward, silhouette_forward
from .surfaces import SurfaceData, draw_surface, draw_surface_backward, gather_texture, prepare, without_texture

lock = threading.RLock()  # one program's calls from several threads queue up: the device is one


@dataclass(frozen=True)
class _Saved:
    """What the way back needs: memory O(pixels + entries), whatever the overlap."""

    workspace: Workspace
    bins: Bins
    faces: Any
    incidence: Incidence | None  # of the faces, if it is known
    vertices: int
    transmittance: Any  # (H, W)
    depth: tuple | None  # lowest depth logit, vertices, nearest depth, depth scale, attributes (V, C)
    color: Any  # (H, W, C) on the device
    softmax: tuple  # maximum and inverse sum, (H, W) each
    coverage: tuple  # reals radius, 1 / sigma and lowest logit; shape; owners (H, W) in a tuple, or ()
    vanished: float  # up to which a pixel's transmittance, see `alpha_of`, is none
    stays: bool  # whether results stay on the device
    surface: SurfaceData | None = None

    @property
    def nbytes(self) -> int:
        """Bytes kept on the device."""
        return self.workspace.nbytes


def draw(
    vertices: Any,
    faces: Any,
    size: tuple[int, int],
    settings: RasterSettings,
    attributes: Any | None,
    textured: TexturedFaces | None = None,
) -> Drawn:
    """Return alpha (H, W), color (H, W, C) with attributes, and what `draw_backward` needs."""
    with lock:
        return _draw(vertices, faces, size, settings, attributes, textured)


def _draw(
    vertices: Any,
    faces: Any,
    size: tuple[int, int],
    settings: RasterSettings,
    attributes: Any | None,
    textured: TexturedFaces | None,
) -> Drawn:
    stays = on_device(vertices)
    dtype = vertices.dtype
    real = dtype.type
    limits = limits_of(dtype)
    workspace = Workspace(stream_of(*(array for array in (vertices, faces, attributes) if on_device(array))))
    stream, count = workspace.stream, len(vertices)
    vertices = _on_device(vertices, workspace)
    given_faces, faces = faces, _on_device(faces, workspace)
    if attributes is not None:
        given_attributes, attributes = attributes, _on_device(attributes, workspace)
    known = expected(len(faces), count, stream)
    bins = sort_into_bins(vertices, faces, size, settings, workspace, attributes, None if known is None else known.of)
    faces, report = bins.faces, bins.report
    if on_device(given_faces):
        raise_bad_face(report, given_faces, count, stream)
    if stays:
        raise_not_finite("vertices_pixel", vertices, report[BAD_VERTICES], report[FIRST_VERTEX], stream)
    if attributes is not None and on_device(given_attributes):
        raise_not_finite("attributes", attributes, report[BAD_ATTRIBUTES], report[FIRST_ATTRIBUTE], stream)
    if report[OTHER_FACES]:
        known = None
    coverage = (
        bins.radius,
        real(1 / settings.sigma),
        real(reach_of(settings.coverage, settings.cutoff, settings.sigma)[0]),
        shape_of(settings.coverage, dtype),
        (workspace.take(size, np.int32),) if settings.union == "max" else (),
    )
    vanished = least_factor(settings.union, dtype)
    alpha = allocate(size, dtype, stream) if stays else workspace.take(size, dtype)
    transmittance = workspace.take(size, dtype)
    grid = (blocks(size[1], TILE), blocks(size[0], TILE))
    binned = (bins.geometry, bins.bounds, bins.ends, bins.columns, bins.entries, *coverage)
    if attributes is None:
        silhouette_forward[grid, PIXELS, stream](*binned, alpha, transmittance)
        saved = _Saved(workspace, bins, faces, known, count, transmittance, None, None, (), coverage, vanished, stays)
        return Drawn(_result(alpha, saved), None, saved)
    nearest = float(download(bins.smallest, stream).min())
    nearest = nearest if np.isfinite(nearest) else 0.0
    scale = 1 / ((settings.far - settings.near) * settings.gamma)
    background_logit = BACKGROUND_DEPTH / settings.gamma - (settings.far - nearest) * scale
    channels = attributes.shape[1]
    color = allocate((*size, channels), dtype, stream) if stays else workspace.take((*size, channels), dtype)
    depth = (real(limits.lowest_depth), vertices, real(nearest), real(scale), attributes)
    softmax = (workspace.take(size, dtype), workspace.take(size, dtype))
    assert settings.background is not None
    background = workspace.upload(settings.background)
    behind = (real(background_logit), background)
    image = (alpha, transmittance, color, *softmax)
    surface = None
    if settings.perspective_correct or textured is not None:
        surface = prepare(bins, faces, depth, settings.perspective_correct, textured, workspace)
        draw_surface((grid, PIXELS, stream), (bins.corners, *binned, depth[0]), surface, attributes, behind, image)
    else:
        for first in range(0, channels, CHANNELS):
            color_forward[grid, PIXELS, stream](bins.corners, *binned, *depth, first, *behind, *image)
    saved = _Saved(
        workspace, bins, faces, known, count, transmittance, depth, color, softmax, coverage, vanished, stays, surface
    )
    return Drawn(_result(alpha, saved), _result(color, saved), saved)


def draw_backward(drawn: Drawn, grad_alpha: Any | None, grad_color: Any | None) -> RasterGradients:
    """Return the gradients for grad_alpha (H, W) and grad_color (H, W, C); None means zero."""
    with lock:
        return _draw_backward(drawn, grad_alpha, grad_color)


def _draw_backward(drawn: Drawn, grad_alpha: Any | None, grad_color: Any | None) -> RasterGradients:
    saved: _Saved = drawn.saved
    bins, dtype, stream = saved.bins, drawn.alpha.dtype, saved.workspace.stream
    real = dtype.type
    for array in (grad_alpha, grad_color):
        wait_for(getattr(array, "stream", 0), stream)
    scratch = Workspace(stream)
    if grad_alpha is None:
        grad_alpha = np.zeros(drawn.alpha.shape, dtype)
    grad_alpha = _on_device(grad_alpha, scratch)
    channels = 0 if grad_color is None else drawn.color.shape[2]
    slot_gradients = scratch.take_at_least(bins.slot_count, dtype, 9 + 3 * channels if channels else 6)
    vanished = real(saved.vanished)
    binned = (bins.geometry, bins.bounds, bins.slots, bins.slot_count, bins.slot_faces, *saved.coverage, vanished)
    grid, block = blocks(bins.slot_count, WARPS), (LANES, WARPS)
    if grad_color is None:
        silhouette_backward[grid, block, stream](*binned, saved.transmittance, grad_alpha, slot_gradients)
        grads = _gather(saved, slot_gradients, channels, scratch)
        return grads if saved.surface is None else without_texture(grads, saved.surface)
    assert saved.depth is not None
    given_color = grad_color
    grad_color = _on_device(grad_color, scratch)
    image = (saved.transmittance, saved.color, *saved.softmax, grad_alpha, grad_color, slot_gradients)
    if saved.surface is None:
        for first in range(0, channels, CHANNELS):
            color_backward[grid, block, stream](bins.corners, *binned, *saved.depth, first, *image)
        return _gather(saved, slot_gradients, channels, scratch)
    arguments, attributes = (bins.corners, *binned, saved.depth[0]), saved.depth[4]
    sums = draw_surface_backward(
        (grid, block, stream), arguments, saved.surface, attributes, image, given_color, bins.slot_count, scratch
    )
    grads = _gather(saved, slot_gradients, channels, scratch)
    return gather_texture(grads, saved.surface, bins.slots, sums, scratch)


def _gather(saved: _Saved, slot_gradients: Any, channels: int, scratch: Workspace) -> RasterGradients:
    dtype, stream, count = slot_gradients.dtype, scratch.stream, saved.vertices
    width = 0 if saved.depth is None else saved.depth[4].shape[1]

    def results(columns: int) -> Any:
        if not columns:
            return scratch.take((1, 1), dtype)
        shape = (max(1, count), columns)
        return allocate(shape, dtype, stream) if saved.stays else scratch.take(shape, dtype)

    grad_vertices, grad_attributes = results(3), results(width)
    if count and len(saved.faces):
        of = saved.incidence or incidence(saved.faces, count, stream)
        scale = dtype.type(0 if saved.depth is None else saved.depth[3])
        gather[blocks(count * (3 + channels)), THREADS, stream](
            of.starts,
            of.faces,
            saved.bins.corners,
            saved.bins.slots,
            slot_gradients,
            channels,
            scale,
            grad_vertices,
            grad_attributes,
        )
    if width and (not channels or not len(saved.faces)):
        grad_attributes.copy_to_device(np.zeros(grad_attributes.shape, dtype), stream=stream)
    if not len(saved.faces):
        grad_vertices.copy_to_device(np.zeros(grad_vertices.shape, dtype), stream=stream)
    if not count:
        return RasterGradients(np.zeros((0, 3), dtype), np.zeros((0, width), dtype) if width else None)
    return RasterGradients(_result(grad_vertices, saved), _result(grad_attributes, saved) if width else None)


def _on_device(array: Any, workspace: Workspace) -> Any:
    return array if on_device(array) else workspace.upload(array)


def _result(array: Any, saved: _Saved) -> Any:
    return array if saved.stays else download(array, saved.workspace.stream)


def draw_jvp(drawn: Drawn, directions: RasterDirections) -> Any:
    """Return how colour, if any, and then alpha change in each direction (D, H, W, C + 1)."""
    from .forward_mode import tangent_of

    with lock:
        return tangent_of(drawn, directions)
