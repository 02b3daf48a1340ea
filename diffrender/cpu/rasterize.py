"""The CPU backend: memory and threads around the kernels."""

import math
from functools import cache, lru_cache
from itertools import pairwise
from types import ModuleType
from typing import NamedTuple

import numpy as np

from ..backend import CoverageName, Drawn, RasterGradients, RasterSettings, TexturedFaces, UnionName
from ..formulas.constants import CULLING_MARGIN
from ..formulas.shape import shape_of
from ..grids import grid_unit, texture_gradient
from ..limits import BACKGROUND_DEPTH, least_factor, limits_of, reach_of
from ..memory import Layout, arrays_of, empty, empty_like, zeros
from ..pyramid import CHANNELS
from ..ranges import Ranges, one_view
from ..spin import new_stages
from ..threads import run_on_workers, share_out
from .bins import Bins, sort_depths, sort_into_bins
from .forward_mode import draw_jvp as draw_jvp
from .gather import gather
from .kept import new_kept


class _Saved(NamedTuple):
    """What the way back needs: memory O(pixels + entries), whatever the overlap, and at most that of `new_kept`."""

    bins: Bins
    ranges: Ranges
    height: int  # of one view's image
    coverage: tuple  # reals radius, 1 / sqrt(sigma) and lowest logit; shape; owners (B H, W) in a tuple, or ()
    transmittance: np.ndarray  # (B H, W), see `alpha_of`
    vanished: np.floating  # up to which it is none
    depth: tuple | None  # lowest depth logit, depth logits (V,), attributes (V, C)
    depth_scale: float
    softmax: tuple  # maximum and inverse sum, (B H, W) each
    kept: tuple[np.ndarray, np.ndarray]
    surface: "_Surface | None" = None

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        arrays = (*self.bins, self.transmittance, *self.coverage[-1], *self.kept)
        arrays += (*(self.depth or ())[1:], *self.softmax)
        if self.surface is not None:
            arrays += (*self.surface.of_log_q, *self.surface.arguments, *(self.surface.arguments[1] or ()))
        return sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))


class _Surface(NamedTuple):
    """What the kernels of surfaces take beside those of plain colour."""

    arguments: tuple  # q of the attributes, texture or None, q of the texture, its corners (F, 3), uv (T, 2)
    of_log_q: tuple  # of the attributes and the texture, (V,) each
    textured: TexturedFaces | None


def draw(
    vertices: np.ndarray,
    faces: np.ndarray,
    size: tuple[int, int],
    settings: RasterSettings,
    attributes: np.ndarray | None,
    textured: TexturedFaces | None = None,
) -> Drawn:
    """Return alpha (H, W), color (H, W, C) with attributes, and what `draw_backward` needs."""
    return draw_views(vertices, faces, one_view(len(vertices), len(faces)), size, settings, attributes, textured)


def draw_views(
    vertices: np.ndarray,
    faces: np.ndarray,
    ranges: Ranges,
    size: tuple[int, int],
    settings: RasterSettings,
    attributes: np.ndarray | None,
    textured: TexturedFaces | None = None,
    into: np.ndarray | None = None,
) -> Drawn:
    """Return what `draw` returns for each of B views, alpha (B H, W) and, with attributes, an image (B H, W, C + 1) of color and
    alpha; `into` may be the one or the other, to be filled.

    Each view has its own vertices and faces, by `ranges`, and its image lies below those before. Bits are those of views drawn
    one by one.
    """
    kind = (settings.coverage, settings.union, vertices.dtype)
    radius, numbers, vanished = _coverage_of(float(settings.sigma), float(settings.cutoff), *kind)
    scale = 1 / ((settings.far - settings.near) * settings.gamma)
    depths = None if attributes is None else sort_depths(vertices, ranges, scale)
    bins = sort_into_bins(vertices, faces, ranges, size, radius, settings.cull_backfaces, depths)
    height, width = size
    shape = (ranges.views * height, width)
    transmittance, *softmax = arrays_of(_of_pixels(shape, 1 if depths is None else 3, vertices.dtype))
    coverage = (*numbers, _new_owners(transmittance, len(faces), settings.union))
    kept = new_kept(bins)
    binned = (bins.geometry, bins.bounds, bins.starts, bins.entries, bins.order, height, np.zeros(1, np.int64))
    if attributes is None or depths is None:
        alpha = empty_like(transmittance) if into is None else into
        run_on_workers(_silhouette().silhouette_forward, *binned, *coverage, kept, alpha, transmittance)
        saved = _Saved(bins, ranges, height, coverage, transmittance, vanished, None, 0.0, (), kept)
        return Drawn(alpha, None, saved)
    of_far = BACKGROUND_DEPTH / settings.gamma
    background = [of_far - (settings.far - ahead) * scale for ahead in depths.ahead.tolist()]
    background_logits = np.array(background, vertices.dtype)
    depth = (vertices.dtype.type(limits_of(vertices.dtype).lowest_depth), depths.logits, attributes)
    image = empty((*shape, attributes.shape[1] + 1), vertices.dtype) if into is None else into
    surface = None
    if settings.perspective_correct or textured is not None:
        forward = _of_surfaces().surface_forward
        surface = _surface(vertices, faces, ranges, bins.corners, scale, settings.perspective_correct, textured)
    else:
        forward = _color().color_forward
    run_on_workers(
        forward,
        bins.corners,
        *binned,
        *coverage,
        kept,
        *depth,
        *(() if surface is None else surface.arguments),
        background_logits,
        settings.background,
        image,
        transmittance,
        *softmax,
    )
    saved = _Saved(bins, ranges, height, coverage, transmittance, vanished, depth, scale, (*softmax,), kept, surface)
    return Drawn(image[..., -1], image[..., :-1], saved, image)


@lru_cache(maxsize=64)
def _of_pixels(shape: tuple[int, int], count: int, dtype: np.dtype) -> Layout:
    return Layout(*((shape, dtype) for _ in range(count)))


@lru_cache(maxsize=64)  # the same for image after image
def _coverage_of(
    sigma: float, cutoff: float, coverage: CoverageName, union: UnionName, dtype: np.dtype
) -> tuple[float, tuple, np.floating]:
    """Return how far in px faces reach at most, what kernels know of coverage, and up to where a pixel's factor is none."""
    lowest, reach = reach_of(coverage, cutoff, sigma)
    radius = reach + CULLING_MARGIN
    reals = (dtype.type(radius), dtype.type(1 / math.sqrt(sigma)), dtype.type(lowest))
    return radius, (*reals, shape_of(coverage, dtype)), dtype.type(least_factor(union, dtype))


# Modules of kernels, imported when they are needed: the statement takes as long as a small kernel each time.
@cache
def _silhouette() -> ModuleType:
    from . import silhouette

    return silhouette


@cache
def _color() -> ModuleType:
    from . import color

    return color


@cache
def _of_surfaces() -> ModuleType:
    from . import surface

    return surface


def _new_owners(like: np.ndarray, faces: int, union: str) -> tuple:
    """Return what kernels take as owners. Raises ValueError for more faces than their numbers' precision can tell apart."""
    if union == "probabilistic":
        return ()
    most = 2 ** (np.finfo(like.dtype).nmant + 1)
    if faces > most:
        raise ValueError(f"union 'max' takes at most {most} faces in {like.dtype} on the CPU, got {faces}")
    return (empty_like(like),)


def _surface(
    vertices: np.ndarray,
    faces: np.ndarray,
    ranges: Ranges,
    corners: np.ndarray,
    scale: float,
    perspective: bool,
    textured: TexturedFaces | None,
) -> _Surface:
    """Return what the kernels of surfaces take, q = 1 / depth being relative to the nearest vertex of its view."""
    depth = vertices[:, 2]
    inverse = np.divide(1, depth, out=np.zeros_like(depth), where=depth > 0)
    nearest = [max(part.max(initial=0), np.finfo(depth.dtype).tiny) for part in _by_view(inverse, ranges.vertices)]
    relative = inverse / _for_vertices(np.array(nearest, depth.dtype), ranges)
    space = (relative, inverse / depth.dtype.type(scale))
    image = (np.ones_like(depth), np.zeros_like(depth))
    q, of_log_q = space if perspective else image
    if textured is None:
        return _Surface((q, None, q, corners, vertices[:, :2]), (of_log_q, of_log_q), None)
    pyramid = textured.pyramid
    # Faces were wound to positive area: so are their corners in the texture.
    turned = corners[:, 1] != faces[:, 1]
    face_uv = np.where(turned[:, None], textured.faces_uv[:, [0, 2, 1]], textured.faces_uv)
    return _Surface((q, pyramid.arguments, space[0], face_uv, textured.uv), (of_log_q, space[1]), textured)


def _by_view(values: np.ndarray, starts: np.ndarray) -> list[np.ndarray]:
    return [values[begin:end] for begin, end in pairwise(starts.tolist())]


def _for_vertices(of_views: np.ndarray, ranges: Ranges) -> np.ndarray:
    """Return values of views (B,) for each of their vertices (V,), or as they are for a single view."""
    return of_views if ranges.views == 1 else np.repeat(of_views, np.diff(ranges.vertices))


def draw_backward(drawn: Drawn, grad_alpha: np.ndarray | None, grad_color: np.ndarray | None) -> RasterGradients:
    """Return the gradients for grad_alpha (H, W) and grad_color (H, W, C); None means zero."""
    if grad_color is None:
        assert grad_alpha is not None
        return _outline_backward(drawn, grad_alpha)
    grad_image = empty_like(drawn.image)
    grad_image[..., :-1], grad_image[..., -1] = grad_color, 0 if grad_alpha is None else grad_alpha
    return draw_image_backward(drawn, grad_image)


def _outline_backward(drawn: Drawn, grad_alpha: np.ndarray) -> RasterGradients:
    """Return the gradients for grad_alpha (H, W): they go the way of the silhouette, at half the cost."""
    saved: _Saved = drawn.saved
    entry_gradients, gathered = _new_gradients(saved, 6, 0)
    image = (saved.transmittance, grad_alpha, entry_gradients)
    run_on_workers(_silhouette().silhouette_backward, *_way_back(saved), *image, gathered)
    grad_attributes = None if saved.depth is None else zeros(saved.depth[2].shape, grad_alpha.dtype)
    plain = RasterGradients(gathered[0], grad_attributes)
    return plain if saved.surface is None else _without_texture(plain, saved.surface)


def _way_back(saved: _Saved) -> tuple:
    """Return what the kernels of silhouettes, colour and surfaces take alike on the way back."""
    bins = saved.bins
    strips = (bins.slots, bins.starts, bins.entries, bins.order, saved.height, new_stages(2))
    return (bins.geometry, bins.bounds, *strips, *saved.coverage, saved.kept, saved.vanished)


def _new_gradients(saved: _Saved, width: int, channels: int) -> tuple[np.ndarray, tuple]:
    """Return memory for gradients of the entries (E, width), and what `gather_after` takes, whose first two are those of the
    vertices (V, 3) and of their attributes (V, C)."""
    count, dtype = int(saved.ranges.vertices[-1]), saved.transmittance.dtype
    entry_gradients, grad_vertices = empty((len(saved.bins.entries), width), dtype), empty((count, 3), dtype)
    depth_factor = dtype.type(-saved.depth_scale)
    gathered = (grad_vertices, empty((count, channels), dtype), depth_factor, *saved.ranges, saved.bins.corners)
    return entry_gradients, gathered


def draw_image_backward(drawn: Drawn, grad_image: np.ndarray) -> RasterGradients:
    """Return the gradients for grad_image (H, W, C + 1) of what was drawn with attributes."""
    saved: _Saved = drawn.saved
    assert saved.depth is not None
    channels = drawn.image.shape[2] - 1
    entry_gradients, gathered = _new_gradients(saved, 9 + 3 * channels, channels)
    arguments = (saved.bins.corners, *_way_back(saved), *saved.depth)
    image = (saved.transmittance, drawn.image, *saved.softmax, grad_image, entry_gradients)
    grad_uv = grad_texture = None
    if saved.surface is None:
        run_on_workers(_color().color_backward, *arguments, *image, gathered)
    else:
        grad_uv, grad_texture = _surface_backward(saved, arguments, image, gathered)
    return RasterGradients(gathered[0], gathered[1], grad_uv, grad_texture)


def _without_texture(grads: RasterGradients, surface: _Surface) -> RasterGradients:
    """Return gradients of alpha alone, which does not depend on a texture."""
    if surface.textured is None:
        return grads
    pyramid, uv, _ = surface.textured
    return grads._replace(uv=np.zeros_like(uv), texture=np.zeros((*pyramid.size, CHANNELS), uv.dtype))


def _surface_backward(
    saved: _Saved, arguments: tuple, image: tuple, gathered: tuple
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Fill the gradients of `gathered`, and return those of uv (T, 2) and the texture (H, W, 3), or None without one."""
    surface_backward = _of_surfaces().surface_backward
    assert saved.surface is not None and saved.depth is not None
    surface, bins, entry_gradients, dtype = saved.surface, saved.bins, image[-1], image[-1].dtype
    arguments = (*arguments, *surface.arguments, *surface.of_log_q, *image, gathered)
    textured = surface.textured
    if textured is None:
        nothing = (np.empty((0, 0), np.int64), np.empty((0, 0), np.uint8), 0.0)
        run_on_workers(surface_backward, *arguments, entry_gradients, *nothing)
        return None, None
    unit = grid_unit(image[-2][..., :-1], saved.depth[2])
    entry_uv = empty((len(bins.entries), 6), dtype)
    grad_texture = texture_gradient(textured.pyramid, unit, surface_backward, *arguments, entry_uv)
    grad_uv = empty((len(textured.uv), 3), dtype)  # there is room for a depth
    face_uv = surface.arguments[3]
    of_uv = (grad_uv, np.empty((0, 0), dtype), dtype.type(0), *one_view(len(grad_uv), len(face_uv)), face_uv)
    share_out(gather, len(grad_uv), bins.slots, entry_uv, of_uv)
    return np.ascontiguousarray(grad_uv[:, :2]), grad_texture
