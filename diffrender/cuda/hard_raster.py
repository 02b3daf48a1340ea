"""Hard rendering on the device: its stages in one, see `diffrender.hard`."""

from typing import Any, NamedTuple

import numpy as np

from ..backend import RasterDirections, RasterGradients
from ..checks import check_attributes, check_background, check_gradient
from ..hard import FAINT, Cover, Hard, HardRaster
from ..interpolation import interpolate as interpolate_at_corners
from ..pyramid import CHANNELS
from ..texturing import pyramid_of
from . import blend, fragments, hard_tangent, look_up
from .antialiasing import areas_backward, blend_pairs
from .arrays import Workspace, allocate, download, given_to
from .hard import DeviceFragments
from .hard_gradients import HardGradients, moved_by_areas
from .interpolation import DeviceInterpolation, interpolate
from .jit import spread
from .rasterize import lock
from .texturing import DeviceSampled, sample


class _Layer(NamedTuple):
    """A texture at the fragments, and what it is looked up with."""

    uv: DeviceInterpolation
    sampled: DeviceSampled


class DeviceRaster(HardRaster):
    """`diffrender.hard.HardRaster` of fragments of the device."""

    def __init__(
        self,
        of: DeviceFragments,
        drawn: DeviceInterpolation | None,
        background: np.ndarray | None,
        layer: _Layer | None = None,
    ):
        self._of, self._drawn_there, self._layer_there = of, drawn, layer
        with lock:
            self._workspace = Workspace(of.stream)
            stream, pixels = of.stream, of.pixels
            if drawn is None:
                values = self._workspace.take_at_least(of.count, of.dtype, 1)[: of.count]
                fragments.cover[(*spread(of.count), stream)](of.ids, values)
            else:
                values = drawn._values
            if layer is not None:
                lit, values = values, self._workspace.take_at_least(of.count, of.dtype, values.shape[1])[: of.count]
                look_up.multiply[(*spread(of.count), stream)](lit, layer.sampled._values, values)
            image = values[:pixels]
            self._jumps = blend_pairs(of, values, image, self._workspace)
            self._behind = None
            if background is not None:
                self._behind = self._workspace.upload(background)
                if background.any():
                    blend.show_background[(*spread(pixels), stream)](self._behind, image)
                blend.to_straight_alpha[(*spread(len(of.order)), stream)](
                    of.order, of.dtype.type(FAINT), self._behind, image
                )
            self._image = image
            if of.stays:  # a copy: its memory is the caller's, ours is used again
                kept = allocate(image.shape, of.dtype, stream)
                blend.copy_rows[(*spread(image.size), stream)](image, kept)
                image = kept
            self.image = of.result(image.reshape(*of.size, image.shape[1]))

    def backward(self, grad_image: Any) -> RasterGradients:
        """Return the gradients for grad_image (H, W, C + 1). Raises ValueError for another shape."""
        of, drawn = self._of, self._drawn_there
        grad_image = check_gradient(grad_image, "grad_image", self.image, "cuda")
        channels = self.image.shape[2]
        with lock:
            scratch = Workspace(of.stream)
            given = given_to(grad_image, scratch).reshape(of.pixels, channels)
            grad_values = scratch.take_at_least(of.count, of.dtype, channels)[: of.count]
            blend.spread_gradient[(*spread(grad_values.size), of.stream)](given, grad_values)
            if self._behind is not None:
                straight = (of.order, of.dtype.type(FAINT), self._behind, self._image, grad_values)
                blend.to_straight_alpha_backward[(*spread(len(of.order)), of.stream)](*straight)
            grads = HardGradients(of, scratch)
            grads.add_areas(areas_backward(of, self._jumps, grad_values, scratch))
            if drawn is None:
                return RasterGradients(grads.of_vertices(), None)
            by_uv = texture = None
            if self._layer_there is not None:
                by_uv, texture = self._layer_there_backward(self._layer_there, drawn, grad_values, scratch)
            grads.add_values(drawn._given, grad_values)
            found = RasterGradients(grads.of_vertices(by_uv), grads.of_attributes())
            if by_uv is None:
                return found
            of_uv = by_uv.of_attributes()
            return found._replace(uv=download(of_uv, of.stream) if of.stays else of_uv, texture=texture)

    def _layer_there_backward(
        self, layer: _Layer, drawn: DeviceInterpolation, grad_values: Any, scratch: Workspace
    ) -> tuple[HardGradients, np.ndarray]:
        """Turn grad_values (S, 4) into those of the colours that the texture is multiplied by, in place, and return the gradients
        of where the texture is looked up, and of the texture (H, W, 3)."""
        of, sampled = self._of, layer.sampled
        grad_colors, grad_uv, grad_slopes = (
            scratch.take_at_least(of.count, of.dtype, columns)[: of.count] for columns in (sampled.shape[2], 2, 4)
        )
        products = (drawn._values, sampled._values, grad_values, grad_colors)
        look_up.multiply_backward[(*spread(of.count), of.stream)](*products)
        grad_slopes = grad_slopes.reshape(of.count, 2, 2)
        texture = sampled.fill_gradients(grad_colors, grad_uv, grad_slopes, scratch)
        grads = HardGradients(of, scratch)
        grads.add_values(layer.uv._given, grad_uv, grad_slopes if sampled.takes_slopes else None)
        return grads, texture

    def jvp(
        self,
        vertices_pixel: Any | None = None,
        attributes: Any | None = None,
        uv: Any | None = None,
        texture: Any | None = None,
    ) -> Any:
        """Return what `diffrender.hard.HardRaster.jvp` does, where the image is."""
        tangents: Any = super().jvp(vertices_pixel, attributes, uv, texture)
        if self._of.stays:
            tangents.stream = self._of.stream  # one of several is a view, which forgets it
        return tangents

    def _shapes(self) -> dict[str, tuple[int, ...] | None]:
        drawn, layer = self._drawn_there, self._layer_there
        return {
            "vertices_pixel": tuple(self._of.vertices_pixel.shape),
            "attributes": None if drawn is None else drawn.shape,
            "uv": None if layer is None else layer.uv.shape,
            "texture": None if layer is None else layer.sampled.shape,
        }

    def image_jvp(self, directions: RasterDirections) -> Any:
        """Return how the image changes in directions that have been checked: (D, H, W, C + 1)."""
        of, drawn = self._of, self._drawn_there
        count, channels = len(next(given for given in directions if given is not None)), self.image.shape[2]

        def launch(kernel: Any, items: int, *arguments: Any) -> None:
            kernel[(*spread(items), of.stream)](*arguments)

        with lock:
            scratch = Workspace(of.stream)
            motions = of.points_motions(directions.vertices_pixel, count, scratch)
            values, of_areas = scratch.take((1, 1, 1), of.dtype)[:0], scratch.take((1, 1), np.float64)[:0]
            if drawn is not None:
                values, _ = drawn.points_jvp(motions, directions.attributes, scratch)
            if drawn is not None and self._layer_there is not None:
                uv, sampled = self._layer_there
                moves = uv.points_jvp(motions, directions.uv, scratch, sampled.takes_slopes)
                colors = sampled.tangents(*moves, directions.texture, scratch)
                products = (drawn._values, sampled._values, colors, values)
                launch(look_up.multiply_tangent, count * of.count, *products)
            if directions.vertices_pixel is not None:
                pairs = len(of.pairs.pixels)
                keys, grads = moved_by_areas(of, scratch.upload(np.ones(max(1, pairs))), scratch)
                of_areas = scratch.take((count, max(1, pairs)), np.float64)
                launch(hard_tangent.areas_tangent, count * pairs, keys, grads, motions, of_areas)
            shape = (count, of.pixels, channels)
            tangents = allocate(shape, of.dtype, of.stream) if of.stays else scratch.take(shape, of.dtype)
            launch(hard_tangent.crop, tangents.size, values, tangents)
            where = (of.order, of.pair_starts, of.pairs.sides, of.pairs.areas, self._jumps)
            launch(hard_tangent.blend_tangent, count * len(of.order), *where, of_areas, values, tangents)
            if self._behind is not None:
                straight = (of.order, of.dtype.type(FAINT), self._behind, self._image)
                launch(hard_tangent.straight_alpha_tangent, count * len(of.order), *straight, tangents)
            return of.result(tangents.reshape(count, *of.size, channels))


def draw(
    of: DeviceFragments,
    attributes: Any | None,
    attribute_faces: np.ndarray | None,
    cover: Cover | None,
    settings: Hard,
) -> DeviceRaster:
    """Draw fragments with attributes, as `diffrender.hard.draw_hard` does."""
    if attributes is None:
        return DeviceRaster(of, None, None)
    if attribute_faces is None:
        attributes = check_attributes(attributes, of.vertices_pixel)
    channels = attributes.shape[1]
    background = check_background(settings.background, channels, of.dtype)
    nothing = np.zeros(channels, of.dtype)
    drawn = interpolate(of, attributes, attribute_faces, settings.perspective_correct, nothing, channels + 1, kept=True)
    layer = None
    if cover is not None:
        uv: Any = interpolate_at_corners(of, cover.uv, cover.faces_uv)
        slopes = uv.slopes_there if cover.texture.filter == "trilinear" else None
        nothing = np.zeros(CHANNELS, of.dtype)
        layer = _Layer(uv, sample(of, pyramid_of(cover.texture, of.dtype), uv._values, slopes, nothing))
    return DeviceRaster(of, drawn, background, layer)
