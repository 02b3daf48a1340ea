"""The forward mode: it is the transpose of the way back, on every path, in both precisions and backends."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import scenes
from conftest import BACKENDS
from gradcheck import relative_l2
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


def assert_transposed(image, grads, jvp, grad_image, tolerance, count=3, alone=True):
    """Check <grad_image, jvp(d)> = <backward(grad_image), d> for all inputs together, and for each alone."""
    directions = directions_like(grads, count)
    for names in [list(directions), *([name] for name in directions if alone)]:
        chosen = {name: directions[name] for name in names}
        tangents = jvp(**chosen)
        assert tangents.shape == (count, *image.shape) and tangents.dtype == image.dtype
        for number, tangent in enumerate(tangents):
            forward = float((grad_image * tangent.astype(np.float64)).sum())
            back = sum(dot(getattr(grads, name), one_of(chosen[name], number)) for name in names)
            # The products cancel where they add up, rounding does not: it is measured by what would be without.
            scale = np.abs(grad_image * tangent).sum()
            assert scale > 0, f"nothing changes with {names}"
            assert abs(forward - back) <= tolerance * scale, (names, number, forward, back)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_it_is_the_transpose_of_the_way_back(path):
    for dtype, tolerance in ((np.float64, 1e-12), (np.float32, 1e-5)):
        rendering = path.render(bumpy(1, dtype))
        assert 0.1 < (rendering.image[..., 3] > 0.5).mean() < 0.95
        grad = np.random.default_rng(1).normal(size=rendering.image.shape).astype(dtype)
        assert_transposed(rendering.image, rendering.backward(grad), rendering.jvp, grad, tolerance)


class Kind(NamedTuple):
    """What the rasterizer draws, and how."""

    name: str
    channels: int = 0
    filter: str = ""  # of a texture
    perspective: bool = False
    coverage: str = "sigmoid"
    union: str = "probabilistic"
    precision: type = np.float64

    @property
    def simulated_only(self):
        """Whether the CPU would compile kernels for it alone, for seconds: its formulas are those of others."""
        return self.coverage in ("cauchy", "uniform")

    def draw(self, on, scene, dtype):
        options = {"perspective_correct": self.perspective, "coverage": self.coverage, "union": self.union} | {
            "near": 1.0,
            "far": 6.0,
            "sigma": 0.8,
        }
        if self.channels:
            options |= {"attributes": scene.attributes(self.channels).astype(dtype), "background": 0.3}
        if self.filter:
            random = np.random.default_rng(3)
            uv = random.uniform(-0.3, 1.3, (len(scene.vertices), 2)).astype(dtype)
            texture = dr.Texture(random.uniform(0, 1, (9, 12, 3)).astype(dtype), filter=self.filter)
            options |= {"texture": texture, "uv": uv}
        return on.rasterize(scene.vertices.astype(dtype), scene.faces, scene.size, **options)


KINDS = [
    Kind("silhouette"),
    Kind("color", 5),
    Kind("perspective", 2, perspective=True, precision=np.float32),
    Kind("bilinear", 3, "bilinear", precision=np.float32),
    Kind("trilinear", 3, "trilinear", True),
    Kind("gaussian max", 2, coverage="gaussian", union="max", precision=np.float32),
    Kind("cauchy max", coverage="cauchy", union="max", precision=np.float32),
    Kind("uniform", 3, "trilinear", coverage="uniform", precision=np.float32),
]


def joined(raster):
    """Return a raster's colour, if any, and alpha, or how they change, as one image."""
    alpha = raster.alpha[..., None]
    return alpha if raster.color is None else np.concatenate([raster.color, alpha], axis=-1)


def small_scene(on):
    """Faces that lie over each other, fewer of them in the simulator."""
    if on.simulated:
        return scenes.shared_vertices(vertices=6, count=5, size=(9, 12))
    return scenes.shared_vertices()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_on_both_backends(on, kind):
    if kind.simulated_only and not on.simulated:
        pytest.skip("takes seconds to compile")
    scene = small_scene(on)
    # In the simulator one precision, and together what takes long: five directions are more than a launch takes.
    for dtype in {kind.precision} if on.simulated else {kind.precision, np.float32}:
        raster = kind.draw(on, scene, dtype)
        image = joined(raster)
        grad = np.random.default_rng(1).normal(size=image.shape).astype(dtype)
        back = raster.backward(grad[..., -1], grad[..., :-1] if kind.channels else None)
        grads = back._replace(attributes=back.attributes if kind.channels else None)
        count = 5 if kind.name == "color" or not on.simulated else 1
        tolerance = 1e-12 if dtype is np.float64 else 3e-5
        assert_transposed(
            image, grads, lambda **chosen: joined(raster.jvp(**chosen)), grad, tolerance, count, not on.simulated
        )


def test_backends_agree(on_cuda):
    scene = small_scene(on_cuda)
    for kind in (KINDS[0], KINDS[4]):
        rasters = [kind.draw(backend, scene, np.float64) for backend in (on_cuda, BACKENDS[0])]
        direction = np.random.default_rng(4).normal(size=scene.vertices.shape)
        actual, expected = (joined(raster.jvp(vertices_pixel=direction)) for raster in rasters)
        assert relative_l2(actual, expected) < 1e-12


def test_directions_at_once_and_threads_change_no_bit():
    rendering = PATHS[-1].render(bumpy(1, np.float32))
    directions = directions_like(rendering.backward(np.ones(rendering.image.shape)), 4)
    together = rendering.jvp(**directions)
    for number in range(4):
        alone = rendering.jvp(**{name: one_of(direction, number) for name, direction in directions.items()})
        assert alone.shape == rendering.image.shape
        np.testing.assert_array_equal(alone, together[number])
    before = dr.get_num_threads()
    try:
        for threads in (1, 3):
            dr.set_num_threads(threads)
            np.testing.assert_array_equal(rendering.jvp(**directions), together)
    finally:
        dr.set_num_threads(before)


def test_the_silhouette_changes_as_alpha_does():
    mesh = bumpy(1)
    silhouette, image = dr.render_silhouette(mesh, LENS, SOFT), dr.render(mesh, LENS, SOFT)
    directions = directions_like(silhouette.backward(np.ones(LENS.size)), 2)
    expected = image.jvp(**directions)[..., 3]
    assert relative_l2(silhouette.jvp(**directions), expected) < 1e-12
    one = {name: direction[0] for name, direction in directions.items()}
    assert relative_l2(silhouette.jvp(**one), expected[0]) < 1e-12


def test_it_is_the_slope_of_the_image():
    mesh, camera, random = bumpy(1), tilted_camera(), np.random.default_rng(5)
    vertices, colors = random.normal(size=(2, *mesh.vertices.shape)) * 0.3
    rotation, translation, focal = (0.2, -0.1, 0.3), np.array([0.1, 0.2, -0.3]), np.diag([3.0, -2.0, 0.0])
    tangent = dr.render(mesh, camera, SOFT, LIGHTS).jvp(vertices, colors, rotation, translation, focal)

    def image(step):
        moved = dr.Mesh(mesh.vertices + step * vertices, mesh.faces, mesh.vertex_colors + step * colors)
        pose = camera.moved(step * np.array(rotation), step * translation)
        return dr.render(moved, replace(pose, K=camera.K + step * focal), SOFT, LIGHTS).image

    step = 1e-6
    assert relative_l2((image(step) - image(-step)) / (2 * step), tangent) < 1e-5


def test_errors_show_the_value():
    mesh = bumpy(1)
    rendering, silhouette = dr.render(mesh, tilted_camera(), SOFT, LIGHT), dr.render_silhouette(mesh, tilted_camera())
    with pytest.raises(ValueError, match="at least one of vertices, rotation, translation, K, distortion, got none"):
        silhouette.jvp()
    with pytest.raises(ValueError, match=r"rotation must have shape \(3,\), or \(D, 3\) for D of them, got \(4,\)"):
        rendering.jvp(rotation=np.zeros(4))
    with pytest.raises(ValueError, match=r"vertices must have shape \(42, 3\), .*, got \(0, 42, 3\)"):
        rendering.jvp(vertices=np.zeros((0, 42, 3)))
    with pytest.raises(ValueError, match=r"of the same length, or none, got rotation \(2, 3\), translation \(3,\)"):
        rendering.jvp(rotation=np.zeros((2, 3)), translation=np.zeros(3))
    with pytest.raises(ValueError, match=r"translation has NaN or infinity, first at \(1,\): nan"):
        rendering.jvp(translation=(0, np.nan, 0))
    with pytest.raises(ValueError, match="a direction of distortion was given, but there is no distortion"):
        rendering.jvp(distortion=np.zeros(6))
    with pytest.raises(ValueError, match="the direction of rotation must be numbers of shape .3,., got 'left'"):
        rendering.jvp(rotation="left")
    with pytest.raises(ValueError, match="the direction of light must be a LightGradients, got 3"):
        rendering.jvp(light=3)
    with pytest.raises(ValueError, match="rendered without a light: 3"):
        dr.render(mesh, tilted_camera()).jvp(light=3)
    with pytest.raises(ValueError, match="there is no attributes"):
        dr.rasterize_soft(*scenes.duplicates()).jvp(attributes=np.zeros((3, 3)))


def test_device_arrays_stay_on_the_device(on_cuda):
    cuda = pytest.importorskip("numba.cuda")
    scene = small_scene(on_cuda)
    direction = np.random.default_rng(2).normal(size=scene.vertices.shape)
    options = {"attributes": scene.attributes(2), "near": 1.0, "far": 6.0}
    host = on_cuda.rasterize(*scene, **options).jvp(vertices_pixel=direction)
    device = on_cuda.rasterize(cuda.to_device(scene.vertices), *scene[1:], **options)
    tangents = device.jvp(vertices_pixel=cuda.to_device(direction))
    assert np.abs(host.color).max() > 0
    for actual, expected in zip(tangents, host):
        assert not isinstance(actual, np.ndarray)
        np.testing.assert_array_equal(actual.copy_to_host(), expected)
