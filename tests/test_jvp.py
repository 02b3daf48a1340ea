"""The forward mode: it is the transpose of the way back, on every path, in both precisions and backends."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from meshes import bumpy, tilted_camera
from test_rendering import LIGHT, SOFT, textured

import diffrender as dr

LENS = replace(tilted_camera(), distortion=dr.Distortion(0.1, -0.05, 0.01, 0.002, 0.01, -0.02))
FISHEYE = replace(tilted_camera(), distortion=dr.Distortion(0.1, -0.05, 0.01, 0.002, fisheye=True))
ORTHOGRAPHIC = dr.Camera.look_at((1.5, 1.1, 3.4), (0.1, -0.1, 0.2), (0.3, 1, -0.2), size=(31, 44), span=3)
CUT = replace(SOFT, clip_near=0.55)  # in the middle of the mesh
LIGHTS = dr.Lights(
    ambient=(0.1, 0.2, 0.15),
    directional=dr.Directional([(0.2, 0.9, 0.5), (1, 0.2, 0.1)], [(1, 0.5, 0.3), (0.2, 0.4, 0.3)]),
    points=dr.Points([(2, 1, 3)], (3, 4, 5)),
    sh=np.random.default_rng(2).normal(size=(9, 3)) * 0.1,
    specular=dr.Specular((0.4, 0.3, 0.5), 8.0),
)
FLAT = dr.Lights(
    directional=dr.Directional((0.2, 0.9, 0.5)), points=dr.Points((2, 1, 3), falloff="none"), normals="flat"
)


class Path(NamedTuple):
    """A way through the renderer."""

    name: str
    camera: dr.Camera = tilted_camera()
    soft: dr.Soft = SOFT
    light: dr.Light | dr.Lights | None = None
    filter: str = ""  # of a texture

    def render(self, mesh, backend="cpu"):
        mesh = textured(mesh, self.filter) if self.filter else mesh
        return dr.render(mesh, self.camera, self.soft, self.light, backend)


PATHS = [
    Path("plain"),
    Path("lens", LENS),
    Path("fisheye", FISHEYE),
    Path("orthographic", ORTHOGRAPHIC),
    Path("cut", soft=CUT),
    Path("light", light=LIGHT),
    Path("lights", light=LIGHTS),
    Path("lights of faces cut", soft=CUT, light=FLAT),
    Path("perspective", soft=replace(SOFT, perspective_correct=True)),
    Path("bilinear", filter="bilinear"),
    Path("trilinear cut", soft=replace(CUT, perspective_correct=True), light=LIGHT, filter="trilinear"),
]


def directions_like(grads, count, seed=3):
    """Return `count` random directions for each gradient there is, by name."""
    random = np.random.default_rng(seed)

    def like(grad):
        if grad is None:
            return None
        if hasattr(grad, "_asdict"):
            return type(grad)(*map(like, grad))
        return random.normal(size=(count, *np.shape(grad)))

    return {name: like(grad) for name, grad in grads._asdict().items() if grad is not None}


def one_of(direction, number):
    """Return one of several directions."""
    if direction is None:
        return None
    if hasattr(direction, "_asdict"):
        return type(direction)(*(one_of(part, number) for part in direction))
    return direction[number]


def dot(grad, direction):
    """Return the inner product of a gradient and a direction."""
    if grad is None:
        return 0.0
    if hasattr(grad, "_asdict"):
        return sum(map(dot, grad, direction))
    return float((np.asarray(grad, np.float64) * direction).sum())


def assert_transposed(image, grads, jvp, grad_image, tolerance):
    """Check <grad_image, jvp(d)> = <backward(grad_image), d> for each input alone and for all together."""
    directions = directions_like(grads, 3)
    for names in [*([name] for name in directions), list(directions)]:
        chosen = {name: directions[name] for name in names}
        tangents = jvp(**chosen)
        assert tangents.shape == (3, *image.shape) and tangents.dtype == image.dtype
        for number, tangent in enumerate(tangents):
            forward = float((grad_image * tangent.astype(np.float64)).sum())
            back = sum(dot(getattr(grads, name), one_of(chosen[name], number)) for name in names)
            # The products cancel where they add up, rounding does not: it is measured by what would be without.
            scale = np.abs(grad_image * tangent).sum()
            assert scale > 0, f"nothing changes with {names}"
            assert abs(forward - back) <= tolerance * scale, (names, number, forward, back)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_it_is_the_transpose_of_the_way_back(path):
    rendering = path.render(bumpy(1))
    assert 0.1 < (rendering.image[..., 3] > 0.5).mean() < 0.95
    grad = np.random.default_rng(1).normal(size=rendering.image.shape)
    assert_transposed(rendering.image, rendering.backward(grad), rendering.jvp, grad, 1e-12)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_it_is_so_in_float32(path):
    rendering = path.render(bumpy(1, np.float32))
    grad = np.random.default_rng(1).normal(size=rendering.image.shape).astype(np.float32)
    assert_transposed(rendering.image, rendering.backward(grad), rendering.jvp, grad, 1e-5)
