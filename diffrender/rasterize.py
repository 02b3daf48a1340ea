"""The soft rasterizer: triangles in pixel space to alpha and colour, and back."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from .backend import (
    Backend,
    CoverageName,
    Drawn,
    Name,
    RasterDirections,
    RasterGradients,
    RasterSettings,
    RasterTangents,
    TexturedFaces,
    UnionName,
    choose,
    load,
    on_device,
    warn_of_fallback,
)
from .channels import split_channels
from .checks import (
    check_attributes,
    check_background,
    check_choice,
    check_faces,
    check_gradient,
    check_positive,
    check_size,
    check_uv,
    check_vertices,
)
from .directions import check_directions
from .texture import Texture


class Raster:
    """What `rasterize_soft` returns: `alpha` (H, W), `color` (H, W, C) or None, `backend` and `backward`."""

    def __init__(self, drawn: Drawn, backend: str, shapes: dict[str, tuple[int, ...] | None], again: Any = None):
        self.alpha = drawn.alpha
        self.color = drawn.color
        self.image = drawn.image  # (H, W, C + 1) of which these are views, see `Drawn`
        self.backend = backend
        self._drawn = drawn
        self._shapes = shapes  # of the gradients, None of what the caller did not give
        self._again = again  # draws the same on the CPU, for a GPU that runs out of memory on the way back

    @property
    def kept_bytes(self) -> int:
        """Memory kept for the way back: it grows with pixels and faces, not with how many faces lie over each other."""
        return self._drawn.saved.nbytes

    def backward(self, grad_alpha: Any | None = None, grad_color: Any | None = None) -> RasterGradients:
        """Return the gradients of the loss for its gradients grad_alpha (H, W) and grad_color (H, W, C).

        Either may be omitted. Raises ValueError for another shape. The same arrays give the same bits every time.
        """
        if grad_alpha is None and grad_color is None:
            raise ValueError("backward needs grad_alpha, grad_color or both, got neither")
        if grad_color is not None and self.color is None:
            raise ValueError("grad_color was given, but rasterize_soft was called without attributes or texture")
        if grad_alpha is not None:
            grad_alpha = check_gradient(grad_alpha, "grad_alpha", self.alpha, self.backend)
        if grad_color is not None:
            grad_color = check_gradient(grad_color, "grad_color", self.color, self.backend)
        return self._of_given(
            self._on_backend(lambda backend: backend.draw_backward(self._drawn, grad_alpha, grad_color))
        )

    def image_backward(self, grad_image: np.ndarray) -> RasterGradients:
        """Return the gradients for grad_image (H, W, 4) of colour and alpha, which has been checked."""
        if self.backend == "cpu":
            from .cpu.rasterize import draw_image_backward

            return self._of_given(draw_image_backward(self._drawn, grad_image))
        grad_color, grad_alpha = split_channels(grad_image)
        return self.backward(grad_alpha, grad_color)

    def _of_given(self, grads: RasterGradients) -> RasterGradients:
        """Return the gradients without those of attributes that the caller did not give."""
        if grads.attributes is None or self._shapes["attributes"]:
            return grads
        return grads._replace(attributes=None)

    def jvp(
        self,
        vertices_pixel: Any | None = None,
        attributes: Any | None = None,
        uv: Any | None = None,
        texture: Any | None = None,
    ) -> RasterTangents:
        """Return how alpha and color change in a direction of the inputs, exactly as `backward` has it: forward mode.

        Each direction has the shape of its gradient, or all have one leading axis of D directions, which are done in one pass:
        the results then have it too. What is not given stays. Raises ValueError for another shape, numbers that are not
        finite, or a direction of what the raster does not have.
        """
        given = {"vertices_pixel": vertices_pixel, "attributes": attributes, "uv": uv, "texture": texture}
        directions, several = check_directions(given, self._shapes)
        image = self.image_jvp(RasterDirections(**directions))
        if not several:
            image = image[0]
        rows = (slice(None),) * (image.ndim - 1)  # Numba's arrays of a device know no ellipsis
        return RasterTangents(image[(*rows, -1)], None if self.color is None else image[(*rows, slice(None, -1))])

    def image_jvp(self, directions: RasterDirections) -> Any:
        """Return how color and then alpha change in directions that have been checked: (D, H, W, C + 1), C = 0 without color."""
        return self._on_backend(lambda backend: backend.draw_jvp(self._drawn, directions))

    def _on_backend(self, work: Callable[[Backend], Any]) -> Any:
        """Return what is done on the backend, or on the CPU if the GPU runs out of memory and that is allowed."""
        try:
            return work(load(self.backend))  # type: ignore[arg-type]
        except MemoryError as error:
            if self._again is None:
                raise
            warn_of_fallback(str(error))
            self._drawn, self.backend, self._again = self._again(), "cpu", None
            return work(load("cpu"))


def gradient_shapes(vertices: Any, attributes: Any | None) -> dict[str, tuple[int, ...] | None]:
    """Return what a raster without a texture has gradients of, by name, as `Raster` takes it."""
    colored = None if attributes is None else tuple(attributes.shape)
    return {"vertices_pixel": tuple(vertices.shape), "attributes": colored, "uv": None, "texture": None}


def rasterize_soft(
    vertices_pixel: Any,
    faces: Any,
    size: tuple[int, int],
    sigma: float = 1.64,
    cutoff: float = 1e-4,
    attributes: Any | None = None,
    gamma: float = 1e-2,
    near: float = 1.0,
    far: float = 100.0,
    background: float | tuple[float, ...] | np.ndarray = (0.0, 0.0, 0.0),
    cull_backfaces: bool = False,
    backend: Name = "cpu",
    perspective_correct: bool = False,
    texture: Texture | None = None,
    uv: Any | None = None,
    faces_uv: Any | None = None,
    coverage: CoverageName = "sigmoid",
    union: UnionName = "probabilistic",
) -> Raster:
    """Draw faces (F, 3) with vertices_pixel (V, 3), x px, y px, depth, softly on an image of size (H, W).

    Every face covers a pixel by D = sigmoid(+-d^2 / sigma), d its distance to the face's boundary and sigma in
    pixel squared; alpha is their probabilistic union, color a softmax over depth, of softness gamma, of the attributes
    (V, C). Faces with D < cutoff do not count at a pixel. near and far only scale depth; nothing is clipped. A face
    with a depth <= 0 or no area contributes nothing. The dtype of vertices_pixel, float32 or float64, is the precision.
    With x = +-d^2 / sigma, `coverage` makes D of it: "sigmoid" 1 / (1 + exp(-x)); "gaussian" Phi(x), the standard normal
    distribution function; "cauchy" 1/2 + atan(x) / pi; "uniform" 1/2 + x / 2 clipped to [0, 1]. The tail of "cauchy" is
    heavy: at the default cutoff a face reaches 56 sqrt(sigma) px far, 19 times as far as with "sigmoid", and takes as much
    longer; a cutoff of 1e-2 (5.6 sqrt(sigma) px) is a better choice there. `union` makes alpha of the D: "probabilistic"
    1 - prod(1 - D), or "max", the largest, whose gradient goes to the face of the largest x alone, the first in face order
    among equals. Which one is best depends on the task (Petersen et al., GenDR, CVPR 2022).
    Attributes are interpolated linearly in the image, or with `perspective_correct` linearly in space.
    A texture lies on the faces by uv (T, 2), whose rows faces_uv (F, 3) names for each corner, None meaning `faces`; it is
    interpolated as in space in any case and multiplied by the attributes (V, 3), 1 if there are none. Beside a face
    it is, as attributes are, that at its clipped barycentric coordinates. A trilinear one is blended from two of its sizes by
    how far uv goes from pixel to pixel, which has its gradient too.
    `backend` is "cpu", "cuda" or "auto" (a usable GPU, else the CPU). CUDA arrays (anything with
    `__cuda_array_interface__`) stay on their device and stream, and so do the results; they need "cuda" or "auto".
    uv, faces_uv and texture are host arrays, and so are their gradients.
    Raises ValueError for input of the wrong shape, range or type, BackendError without a usable GPU for "cuda",
    MemoryError if it is too small. After Liu et al., Soft Rasterizer, ICCV 2019.
    """
    chosen = choose(backend)
    if chosen == "cpu" and any(on_device(value) for value in (vertices_pixel, faces, attributes)):
        raise ValueError("a CUDA array was given to backend 'cpu': copy it to the host, or use backend='cuda'")
    vertices = check_vertices(vertices_pixel)
    faces = check_faces(faces, len(vertices))
    size = check_size(size)
    textured, painted = None, attributes is not None
    if texture is not None:
        if uv is None:
            raise ValueError("a texture needs uv, got None")
        textured = _texture_on_faces(texture, uv, faces_uv, faces, vertices.dtype)
        attributes = np.ones((len(vertices), 3), vertices.dtype) if attributes is None else attributes
    if attributes is not None:
        attributes = check_attributes(attributes, vertices)
        if textured is not None and attributes.shape[1] != 3:
            raise ValueError(f"attributes must have shape (V, 3) with a texture, got {attributes.shape}")
    channels = None if attributes is None else attributes.shape[1]
    how = RasterSettings(
        sigma, cutoff, gamma, near, far, None, bool(cull_backfaces), bool(perspective_correct), coverage, union
    )
    settings = check_settings(how, background, channels, vertices.dtype)
    arguments = (vertices, faces, size, settings, attributes, textured)
    shapes = gradient_shapes(vertices, attributes if painted else None) | {
        "uv": None if textured is None else textured.uv.shape,
        "texture": None if texture is None else texture.image.shape,
    }
    if chosen == "cpu":
        return Raster(load("cpu").draw(*arguments), "cpu", shapes)

    def again() -> Drawn:
        return load("cpu").draw(*arguments)

    may_fall_back = backend == "auto" and not any(on_device(value) for value in (vertices, faces, attributes))
    try:
        return Raster(load("cuda").draw(*arguments), "cuda", shapes, again if may_fall_back else None)
    except MemoryError as error:
        if not may_fall_back:
            raise
        warn_of_fallback(str(error))
        return Raster(again(), "cpu", shapes)


def check_settings(
    settings: RasterSettings, background: float | tuple[float, ...] | np.ndarray, channels: int | None, dtype: np.dtype
) -> RasterSettings:
    """Return settings with the background (C,) of as many channels as there are, if any. Raises ValueError for numbers out of
    range."""
    check_positive("sigma", settings.sigma)
    if not 0 < settings.cutoff < 0.5:
        raise ValueError(f"cutoff must lie between 0 and 0.5, got {settings.cutoff}")
    check_choice("coverage", settings.coverage, CoverageName)
    check_choice("union", settings.union, UnionName)
    if channels is None:
        return settings
    check_positive("gamma", settings.gamma)
    near, far = settings.near, settings.far
    if not (math.isfinite(near) and math.isfinite(far) and far > near):
        raise ValueError(f"far must be greater than near, got near={near}, far={far}")
    return settings._replace(background=check_background(background, channels, dtype))


def _texture_on_faces(texture: Texture, uv: Any, faces_uv: Any, faces: Any, dtype: np.dtype) -> TexturedFaces:
    from .pyramid import build_pyramid

    uv, faces_uv = check_uv(uv, faces_uv, faces, dtype)
    if texture.image.dtype != dtype:
        texture = replace(texture, image=texture.image.astype(dtype))
    return TexturedFaces(build_pyramid(texture), uv, faces_uv)
