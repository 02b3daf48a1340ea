"""Hard rendering: the nearest surface in each pixel, with exactly antialiased boundaries, instead of the soft aggregate.

Its stages are four primitives that compose, as those of nvdiffrast do (Laine et al., Modular Primitives for High-Performance
Differentiable Rendering, 2020):

    fragments = dr.rasterize_hard(vertices_pixel, mesh.faces, size, attribute_faces=mesh.faces_uv)
    uv = dr.interpolate(fragments, mesh.uv, mesh.faces_uv)
    colors = dr.sample_texture(fragments, mesh.texture, uv.values, uv.slopes)
    image = dr.antialias(fragments, colors.values)

and back, in the reverse order:

    of_image = image.backward(grad_image)
    of_colors = colors.backward(of_image.values)
    of_uv = uv.backward(of_colors.uv, of_colors.slopes)
    grad_vertices_pixel = of_image.vertices_pixel + of_uv.vertices_pixel
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from .antialiasing import blend
from .backend import Name, RasterDirections, RasterGradients, choose
from .checks import check_attributes, check_background, check_gradient, check_positive
from .directions import check_directions
from .fragments import Fragments, rasterize_checked, rasterize_hard
from .interpolation import Interpolation, fill, interpolate
from .texture import Texture
from .texturing import Sampled, sample_texture
from .threads import run_on_workers

FAINT = 1 / 256  # alpha below which a pixel's colour goes over to the background's


@dataclass(frozen=True)
class Hard:
    """Settings of hard rendering: one layer, edges exactly antialiased, so that its cost does not grow with overlap.

    A pixel's alpha is the area of it that is covered, its colour the mean over what is seen there. Edges of outlines, and lines
    where faces cross, have a gradient in the pixels that they pass and in no others: a shape that is not where it should be by
    more than a pixel feels nothing, where `Soft` with a large sigma does. Faces that reach nearer than the depth `near` are cut
    there.
    """

    background: tuple[float, float, float] = (0.0, 0.0, 0.0)
    cull_backfaces: bool = False
    near: float = 0.1
    perspective_correct: bool = True  # of vertex colours; a texture lies in perspective in any case

    def __post_init__(self) -> None:
        check_positive("near", self.near)


class Cover(NamedTuple):
    """A texture and where it lies on faces."""

    texture: Texture
    uv: np.ndarray  # (T, 2)
    faces_uv: np.ndarray  # (F, 3)
    has_seams: bool = True  # where faces_uv differ across an edge, else nowhere


class _Layer(NamedTuple):
    """A texture at the fragments, and what it is looked up with."""

    uv: Interpolation
    sampled: Sampled


class HardRaster:
    """What hard rendering gives: `image` (H, W, C + 1), colours that are not premultiplied and alpha, and `backward`.

    Without attributes there is alpha alone.
    """

    def __init__(
        self,
        fragments: Fragments,
        drawn: Interpolation | None,
        background: np.ndarray | None,
        layer: _Layer | None = None,
        jumps: np.ndarray | None = None,
    ):
        pixels = fragments.size[0] * fragments.size[1]
        self._fragments, self._drawn, self._background, self._layer = fragments, drawn, background, layer
        values = fragments.covered[:, None] if drawn is None else drawn.values
        if layer is not None:
            from .cpu.texturing import multiply

            lit, values = values, np.empty_like(values)
            run_on_workers(multiply, lit, layer.sampled.values, values)
        # The image is the first rows of the values, and takes their memory.
        image = values[:pixels]
        # Of values that have been blended already, there are jumps.
        self._jumps = blend(fragments, values, image, FAINT, background) if jumps is None else jumps
        self.image = image.reshape(*fragments.size, -1)

    @property
    def alpha(self) -> np.ndarray:
        """The area of each pixel that is covered (H, W)."""
        return self.image[..., -1]

    def backward(self, grad_image: np.ndarray) -> RasterGradients:
        """Return the gradients for grad_image (H, W, C + 1). Raises ValueError for another shape."""
        fragments, drawn = self._fragments, self._drawn
        grad_image = check_gradient(grad_image, "grad_image", self.image, "cpu")
        flat = grad_image.reshape(-1, grad_image.shape[-1])
        if drawn is not None and self._layer is None:
            assert self._background is not None
            given = (FAINT, self._background, self.image.reshape(flat.shape), self._jumps)
            return RasterGradients(*drawn.blended_backward(*given, flat))
        grad_points = np.zeros(fragments.points.shape)
        changes, grad_places = self._outlines_backward(flat, grad_points)
        if drawn is None:
            return RasterGradients(fragments.gradients(grad_points, np.empty((0, 1)))[0], None)
        assert self._layer is not None
        grad_values = np.concatenate([flat, np.zeros((1, flat.shape[1]), flat.dtype), grad_places])
        grad_values[fragments.changed.pixels] += changes
        by_places, grad_uv, grad_texture = self._layer_backward(self._layer, grad_values)
        by_values, grad_attributes = drawn.points_backward(grad_values)
        grad_points += by_places + by_values
        return RasterGradients(*fragments.gradients(grad_points, grad_attributes), grad_uv, grad_texture)

    def _outlines_backward(self, grad_image: np.ndarray, grad_points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what the gradient of the values at changed pixels' centres (M, C + 1) is more than grad_image (H W, C + 1), and
        that of values at places (N, C + 1), and add to grad_points (V, 3) what the areas give."""
        from .cpu.blend import outlines_backward

        fragments, changed, dtype = self._fragments, self._fragments.changed, self.image.dtype
        background = np.empty(0, dtype) if self._background is None else self._background
        changes = np.empty((len(changed.pixels), grad_image.shape[1]), dtype)
        grad_places = np.empty((len(fragments.places.faces), grad_image.shape[1]), dtype)
        surface, into = (fragments.points, fragments.faces, fragments.size[1]), (changes, grad_places, grad_points)
        pairs = (*fragments.pairs, changed.pixels, changed.of_pairs, self._jumps)
        outlines_backward(*surface, *pairs, FAINT, background, self.image.reshape(grad_image.shape), grad_image, *into)
        return changes, grad_places

    def _layer_backward(self, layer: _Layer, grad_values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Turn grad_values (S, 4) into those of the colours that the texture is multiplied by, in place, and return the gradients
        of points (V, 3), uv (T, 2) and the texture (H, W, 3)."""
        from .cpu.texturing import multiply_backward

        assert self._drawn is not None
        grad_colors = np.empty_like(layer.sampled.values)
        run_on_workers(multiply_backward, self._drawn.values, layer.sampled.values, grad_values, grad_colors)
        grads = layer.sampled.backward(grad_colors)
        by_places, grad_uv = layer.uv.points_backward(grads.uv, grads.slopes)
        return by_places, grad_uv.astype(layer.uv.attributes.dtype), grads.texture

    def jvp(
        self,
        vertices_pixel: Any | None = None,
        attributes: Any | None = None,
        uv: Any | None = None,
        texture: Any | None = None,
    ) -> np.ndarray:
        """Return how the image (H, W, C + 1) changes in a direction of the inputs, exactly as `backward` has it: forward mode.

        Each direction has the shape of its gradient, or all have one leading axis of D directions, which are done in one pass:
        the result then has it too. What is not given stays. Raises ValueError for another shape, numbers that are not
        finite, or a direction of what the raster does not have.
        """
        given = {"vertices_pixel": vertices_pixel, "attributes": attributes, "uv": uv, "texture": texture}
        directions, several = check_directions(given, self._shapes())
        tangents = self.image_jvp(RasterDirections(**directions))
        return tangents if several else tangents[0]

    def _shapes(self) -> dict[str, tuple[int, ...] | None]:
        """Return the shapes of the gradients by name, None of what the raster does not have."""
        drawn, layer = self._drawn, self._layer
        return {
            "vertices_pixel": self._fragments.points.shape,
            "attributes": None if drawn is None else drawn.attributes.shape,
            "uv": None if layer is None else layer.uv.attributes.shape,
            "texture": None if layer is None else layer.sampled.shape,
        }

    def image_jvp(self, directions: RasterDirections) -> np.ndarray:
        """Return how the image changes in directions that have been checked: (D, H, W, C + 1)."""
        from .cpu.hard_tangent import areas_tangent, blend_tangent, straight_alpha_tangent

        fragments, pairs, pixels = self._fragments, self._fragments.pairs, self._fragments.face_ids.size
        count = len(next(given for given in directions if given is not None))
        motions = fragments.points_motions(directions.vertices_pixel, count)
        if self._drawn is None:
            values = np.zeros((count, fragments.count, 1), self.image.dtype)
        else:
            values, _ = self._drawn.points_jvp(motions, directions.attributes)
        if self._layer is not None:
            self._layer_jvp(self._layer, motions, directions, values)
        of_areas = np.zeros((count, len(pairs.areas)))
        if directions.vertices_pixel is not None:
            surface, hangs_on = (fragments.points, fragments.faces), (pairs.owners, pairs.numbers, pairs.cutters)
            rows = np.zeros(fragments.points.shape)
            areas_tangent(*surface, pairs.pixels, fragments.size[1], *hangs_on, motions, rows, of_areas)
        blend_tangent(pairs.pixels, pairs.sides, pairs.areas, self._jumps, of_areas, values)
        if self._background is not None:
            image, marks = self.image.reshape(pixels, -1), np.zeros(pixels, np.bool_)
            straight_alpha_tangent(pairs.pixels, FAINT, self._background, image, marks, values)
        return values[:, :pixels].reshape(count, *self.image.shape)

    def _layer_jvp(self, layer: _Layer, motions: np.ndarray, directions: RasterDirections, values: np.ndarray) -> None:
        """Turn how the colours that the texture is multiplied by change (D, S, 4) into how the products do."""
        from .cpu.texturing import multiply_tangent

        assert self._drawn is not None
        moves = layer.uv.points_jvp(motions, directions.uv, layer.sampled.takes_slopes)
        colors = layer.sampled.values_jvp(*moves, directions.texture)
        run_on_workers(multiply_tangent, self._drawn.values, layer.sampled.values, colors, values)


def draw_hard(
    vertices: Any,
    faces: Any,
    size: tuple[int, int],
    settings: Hard,
    attributes: Any | None,
    attribute_faces: np.ndarray | None = None,
    cover: Cover | None = None,
    backend: Name = "cpu",
    checked: bool = False,
) -> HardRaster:
    """Draw faces (F, 3) with vertices (V, 3) in pixel space on an image of size (H, W), with attributes (V, C), or such at the
    corners that attribute_faces (F, 3) names; with a cover, times its texture. Vertices and size may have been checked."""
    seams = attribute_faces if cover is None or not cover.has_seams else cover.faces_uv
    fragments: Any
    if checked and choose(backend) == "cpu":
        fragments = rasterize_checked(vertices, faces, size, bool(settings.cull_backfaces), seams)
    else:
        fragments = rasterize_hard(vertices, faces, size, settings.cull_backfaces, seams, backend)
    if not isinstance(fragments, Fragments):
        from .cuda.hard_raster import draw

        return draw(fragments, attributes, attribute_faces, cover, settings)
    if attributes is None:
        return HardRaster(fragments, None, None)
    if attribute_faces is None:
        attributes, attribute_faces = check_attributes(attributes, fragments.vertices_pixel), fragments.faces
    channels, dtype = attributes.shape[1], attributes.dtype
    background, nothing = _background_of(settings, channels, dtype), np.zeros(channels, dtype)
    drawn, jumps = fill(
        fragments,
        attributes,
        attribute_faces,
        settings.perspective_correct,
        nothing,
        channels + 1,
        FAINT,
        background if cover is None else None,
    )
    if cover is None:
        return HardRaster(fragments, drawn, background, jumps=jumps)
    uv = interpolate(fragments, cover.uv, cover.faces_uv)
    assert isinstance(uv, Interpolation)
    slopes = uv.slopes if cover.texture.filter == "trilinear" else None
    layer = _Layer(uv, sample_texture(fragments, cover.texture, uv.values, slopes))
    return HardRaster(fragments, drawn, background, layer)


def _background_of(settings: Hard, channels: int, dtype: np.dtype) -> np.ndarray:
    background = settings.background
    if isinstance(background, tuple) and all(isinstance(number, float) for number in background):
        return _checked_background(background, channels, dtype)
    return check_background(background, channels, dtype)


@lru_cache  # the same one is checked for image after image
def _checked_background(background: tuple[float, ...], channels: int, dtype: np.dtype) -> np.ndarray:
    return check_background(background, channels, dtype)
