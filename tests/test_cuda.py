"""What only the CUDA backend has: arrays that stay on the device, reused buffers, its sort and its sums."""

import gc
import subprocess
import sys
import types

import numpy as np
import pytest
import scenes

import diffrender as dr

pytest.importorskip("numba_cuda")

from numba import cuda

from diffrender.cuda import arrays, bins, gather, jit, scan
from diffrender.hard import Cover, draw_hard

DEPTH = {"near": 1.0, "far": 6.0}


@pytest.fixture
def scene(on_cuda):
    return on_cuda.scene(scenes.shared_vertices)


def test_device_arrays_stay_on_the_device_and_give_the_same_bits(on_cuda, scene):
    attributes, random = scene.attributes(2), np.random.default_rng(0)
    grad_alpha, grad_color = random.normal(size=scene.size), random.normal(size=(*scene.size, 2))
    host = on_cuda.rasterize(*scene, attributes=attributes, **DEPTH)
    device = on_cuda.rasterize(
        cuda.to_device(scene.vertices),
        cuda.to_device(scene.faces),  # int64, as PyTorch has them
        scene.size,
        attributes=cuda.to_device(attributes),
        **DEPTH,
    )
    expected = host.backward(grad_alpha, grad_color)
    # Gradients may lie on either side.
    for grads in (
        device.backward(cuda.to_device(grad_alpha), cuda.to_device(grad_color)),
        device.backward(grad_alpha, grad_color),
    ):
        for actual, other in zip(grads[:2], expected[:2]):
            assert arrays.as_device(actual, "result") is actual
            np.testing.assert_array_equal(actual.copy_to_host(), other)
    np.testing.assert_array_equal(device.alpha.copy_to_host(), host.alpha)
    np.testing.assert_array_equal(device.color.copy_to_host(), host.color)
    assert isinstance(host.alpha, np.ndarray) and isinstance(expected.vertices_pixel, np.ndarray)


def test_faces_and_attributes_of_the_host_go_with_vertices_of_the_device(on_cuda, scene):
    out = on_cuda.rasterize(cuda.to_device(scene.vertices), *scene[1:], attributes=scene.attributes(2), **DEPTH)
    expected = dr.rasterize_soft(*scene, attributes=scene.attributes(2), **DEPTH)
    np.testing.assert_allclose(out.color.copy_to_host(), expected.color, rtol=1e-12)
    grads = out.backward(np.ones(scene.size))
    assert not grads.attributes.copy_to_host().any()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the simulator computes with the infinity too
def test_contents_of_device_arrays_are_checked(on_cuda, scene):
    vertices, faces, size = scene
    wrong = vertices.copy()
    wrong[4, 1] = np.nan
    wrong[7] = np.inf
    with pytest.raises(ValueError, match="vertices_pixel has NaN or infinity in 2 rows, first in row 4: .*nan"):
        on_cuda.rasterize(cuda.to_device(wrong), faces, size)
    for index in (-1, 10):
        bad = faces.copy()
        bad[3, 2] = bad[5, 0] = index
        with pytest.raises(ValueError, match=f"face 3 refers to vertex {index}, but there are 10 vertices"):
            on_cuda.rasterize(cuda.to_device(vertices), cuda.to_device(bad), size)
    attributes = scene.attributes(2)
    attributes[9, 1] = np.inf
    with pytest.raises(ValueError, match="attributes has NaN or infinity in 1 rows, first in row 9"):
        on_cuda.rasterize(cuda.to_device(vertices), faces, size, attributes=cuda.to_device(attributes))


def test_forms_of_device_arrays_are_checked(on_cuda, scene):
    vertices, faces, size = scene
    on_device = cuda.to_device(vertices)
    with pytest.raises(ValueError, match="a CUDA array was given to backend 'cpu'"):
        dr.rasterize_soft(on_device, faces, size)
    with pytest.raises(ValueError, match=r"vertices_pixel must be C-contiguous on the device, got strides"):
        on_cuda.rasterize(cuda.to_device(np.asfortranarray(vertices)), faces, size)
    with pytest.raises(ValueError, match="vertices_pixel must be float32 or float64, got int64"):
        on_cuda.rasterize(cuda.to_device(vertices.astype(int)), faces, size)
    with pytest.raises(ValueError, match="attributes must be float64 like vertices_pixel, got float32"):
        single = cuda.to_device(scene.attributes(2).astype(np.float32))
        on_cuda.rasterize(on_device, faces, size, attributes=single)
    with pytest.raises(ValueError, match="attributes is a CUDA array, so vertices_pixel must be one too"):
        on_cuda.rasterize(vertices, faces, size, attributes=cuda.to_device(scene.attributes(2)))
    out = on_cuda.rasterize(on_device, faces, size)
    with pytest.raises(ValueError, match="grad_alpha must be float64 like the image, got float32"):
        out.backward(cuda.to_device(np.ones(size, np.float32)))
    with pytest.raises(ValueError, match="grad_alpha is a CUDA array, but the image was drawn by backend 'cpu'"):
        dr.rasterize_soft(*scene).backward(cuda.to_device(np.ones(size)))


def _everything(on_cuda, scene):
    out = on_cuda.rasterize(scene.vertices.astype(np.float32), *scene[1:], attributes=scene.attributes(3), **DEPTH)
    random = np.random.default_rng(0)
    grads = out.backward(random.normal(size=scene.size), random.normal(size=(*scene.size, 3)))
    return b"".join(array.tobytes() for array in (out.alpha, out.color, *grads[:2]))


def test_the_same_bits_every_time(on_cuda):
    scene = on_cuda.scene(lambda: scenes.sphere(1 if on_cuda.simulated else 5, size=(300, 400)))
    runs = 3 if on_cuda.simulated else 20
    assert len({_everything(on_cuda, scene) for _ in range(runs)}) == 1


def test_buffers_are_reused_but_not_while_an_image_needs_them(on_cuda, scene, monkeypatch):
    expected = _everything(on_cuda, scene)
    gc.collect()
    allocated = []
    allocate = arrays.allocate
    monkeypatch.setattr(arrays, "allocate", lambda *args: allocated.append(args) or allocate(*args))
    assert _everything(on_cuda, scene) == expected
    assert not allocated
    other = on_cuda.scene(lambda: scenes.shared_vertices(seed=3))
    held = on_cuda.rasterize(*scene)
    for _ in range(2):
        on_cuda.rasterize(*other).backward(np.ones(other.size))
    grads = held.backward(np.ones(scene.size))
    assert allocated  # two images at a time need more
    np.testing.assert_array_equal(
        grads.vertices_pixel, on_cuda.rasterize(*scene).backward(np.ones(scene.size)).vertices_pixel
    )


def test_other_faces_of_the_same_number_have_their_own_incidence(on_cuda, scene):
    for faces in (scene.faces, scene.faces[:, [1, 0, 2]], (scene.faces + 1) % 10, scene.faces):
        grad = np.ones(scene.size)
        grads = on_cuda.rasterize(scene.vertices, faces, scene.size).backward(grad)
        expected = dr.rasterize_soft(scene.vertices, faces, scene.size).backward(grad)
        np.testing.assert_allclose(grads.vertices_pixel, expected.vertices_pixel, rtol=1e-9, atol=1e-12)


def test_incidence_lists_each_vertexs_faces_in_order(on_cuda):
    faces = np.random.default_rng(0).integers(0, 9, (40, 3)).astype(np.int32)
    found = gather.incidence(cuda.to_device(faces), 12, 0)
    starts, listed = found.starts.copy_to_host(), found.faces.copy_to_host()
    for vertex in range(12):
        np.testing.assert_array_equal(listed[starts[vertex] : starts[vertex + 1]], np.argwhere(faces == vertex)[:, 0])
    assert gather.incidence(cuda.to_device(faces.copy()), 12, 0) is found


@pytest.mark.parametrize("count", [0, 1, 7, 127, 128, 129, 1000, 5000])
def test_scan_gives_the_sums_before(on_cuda, count):
    counts = np.random.default_rng(count).integers(0, 9, max(1, count)).astype(np.int32)
    workspace = arrays.Workspace(0)
    offsets, flags = cuda.device_array(count + 1, np.int64), cuda.device_array(2, np.int64)
    scan.scan(cuda.to_device(counts), offsets, workspace, (count // 2, count), flags)
    expected = np.concatenate([[0], np.cumsum(counts[:count])])
    np.testing.assert_array_equal(offsets.copy_to_host(), expected)
    np.testing.assert_array_equal(flags.copy_to_host(), expected[[count // 2, count]])


def test_a_tiles_faces_are_in_order_and_complete(on_cuda):
    scene = on_cuda.scene(lambda: scenes.sphere(2, size=(40, 60)))
    settings = dr.backend.RasterSettings(1.64, 1e-4, 1e-2, 1.0, 6.0, None, False)
    vertices, faces = cuda.to_device(scene.vertices), cuda.to_device(scene.faces.astype(np.int32))
    found = bins.sort_into_bins(vertices, faces, scene.size, settings, arrays.Workspace(0))
    ends, entries = found.ends.copy_to_host(), found.entries.copy_to_host()
    bounds = found.bounds.copy_to_host()
    across = -(-scene.size[1] // bins.TILE)
    assert found.columns > 1  # more than one block of faces
    for tile in range(across * -(-scene.size[0] // bins.TILE)):
        x, y = tile % across * bins.TILE, tile // across * bins.TILE
        touching = (bounds[:, 0] < x + bins.TILE) & (bounds[:, 1] >= x) & (bounds[:, 2] < y + bins.TILE)
        touching &= (bounds[:, 3] >= y) & (bounds[:, 3] >= bounds[:, 2])
        begin = ends[tile * found.columns - 1] if tile else 0
        np.testing.assert_array_equal(entries[begin : ends[(tile + 1) * found.columns - 1]], np.flatnonzero(touching))


def test_kernels_are_kept_in_the_cache_of_the_package(tmp_path):
    code = (
        "from diffrender.cuda.silhouette import silhouette_forward as kernel;"
        "from diffrender.jit import cache_directory;"
        "assert str(cache_directory()) in kernel._cache.cache_path, kernel._cache.cache_path"
    )
    environment = {"PATH": "", "DIFFRENDER_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


def test_a_pytorch_tensor_is_taken_on_its_current_stream(monkeypatch):
    """PyTorch's array interface does not tell the stream, so PyTorch is asked."""

    class Tensor:
        __cuda_array_interface__ = {}  # noqa: RUF012
        device = "cuda:0"

    torch = types.SimpleNamespace(Tensor=Tensor)
    torch.cuda = types.SimpleNamespace(current_stream=lambda device: types.SimpleNamespace(cuda_stream=77))
    monkeypatch.setitem(sys.modules, "torch", torch)
    view = cuda.to_device(np.zeros(3))
    monkeypatch.setattr(arrays.cuda, "as_cuda_array", lambda value, sync: view, raising=False)
    monkeypatch.setattr(arrays.cuda, "external_stream", lambda pointer: f"stream {pointer}")
    assert arrays.as_device(Tensor(), "vertices_pixel") is view
    assert view.stream == "stream 77"


def test_the_first_stream_is_used_and_others_are_waited_for():
    class Stream:
        def __init__(self, pointer):
            self.pointer, self.waits = pointer, 0

        def __int__(self):
            return self.pointer

        def synchronize(self):
            self.waits += 1

    one, same, other = Stream(5), Stream(5), Stream(6)
    given = [types.SimpleNamespace(stream=stream) for stream in (0, one, same, other)]
    assert arrays.stream_of(*given) is one
    assert (one.waits, same.waits, other.waits) == (0, 0, 1)
    assert arrays.stream_of(given[0]) == 0


@pytest.mark.skipif(not jit.SIMULATED, reason="real GPUs share memory by themselves")
def test_threads_of_the_simulator_get_the_same_shared_array(on_cuda):
    @jit.kernel
    def tell(places):
        shared = cuda.shared.array(4096, np.int64)
        places[cuda.blockIdx.x, cuda.threadIdx.x] = shared.ctypes.data
        cuda.syncthreads()

    places = cuda.device_array((150, jit.THREADS), np.int64)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        tell[150, jit.THREADS](places)
    finally:
        sys.setswitchinterval(interval)
    found = places.copy_to_host()
    np.testing.assert_array_equal(found, np.broadcast_to(found[:, :1], found.shape))


def _draw_hard(vertices, faces, size, attributes, grad):
    fragments = dr.rasterize_hard(vertices, faces, size, backend="cuda")
    drawn = dr.interpolate(fragments, attributes)
    out = dr.antialias(fragments, drawn.values)
    back = out.backward(grad)
    return fragments.face_ids, drawn.values, out.image, *back, *drawn.backward(back.values)


def test_hard_rendering_stays_on_the_device_and_gives_the_same_bits(on_cuda, scene):
    vertices, faces, size = scene.vertices, scene.faces, (10, 12) if on_cuda.simulated else scene.size
    attributes, grad = scene.attributes(2), np.random.default_rng(0).normal(size=(*size, 2))
    expected = _draw_hard(vertices, faces, size, attributes, grad)
    there = (cuda.to_device(vertices), cuda.to_device(faces), size, cuda.to_device(attributes), cuda.to_device(grad))
    for _ in range(1 if on_cuda.simulated else 20):
        for actual, other in zip(_draw_hard(*there), expected):
            np.testing.assert_array_equal(actual.copy_to_host(), other)


def test_the_forward_mode_of_hard_rendering_stays_on_the_device(on_cuda, scene):
    vertices, faces, size, colors = scene.vertices, scene.faces, (5, 8), scene.attributes(2)
    direction = np.random.default_rng(0).normal(size=(2, *vertices.shape))
    host = draw_hard(vertices, faces, size, dr.Hard(), colors, backend="cuda").jvp(vertices, colors)
    there = draw_hard(cuda.to_device(vertices), faces, size, dr.Hard(), cuda.to_device(colors), backend="cuda")
    tangent = there.jvp(cuda.to_device(vertices), colors)
    assert np.abs(host).max() > 0 and not isinstance(tangent, np.ndarray)
    np.testing.assert_array_equal(tangent.copy_to_host(), host)
    outline = draw_hard(vertices, faces, size, dr.Hard(), None, backend="cuda")
    assert outline.jvp(direction).shape == (2, *size, 1) and np.abs(outline.jvp(direction)).max() > 0
    nothing = draw_hard(np.zeros((0, 3)), np.zeros((0, 3), int), (2, 3), dr.Hard(), np.zeros((0, 3)), backend="cuda")
    assert not nothing.jvp(np.zeros((0, 3))).any()
    with pytest.raises(ValueError, match="there is no uv that the image depends on"):
        there.jvp(uv=vertices)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_hard_rendering_checks_device_arrays(on_cuda, scene):
    vertices, faces, size = scene.vertices.copy(), scene.faces, (4, 4)
    with pytest.raises(ValueError, match="a CUDA array was given to backend 'cpu'"):
        dr.rasterize_hard(cuda.to_device(vertices), faces, size)
    bad = faces.copy()
    bad[3, 2] = 10
    with pytest.raises(ValueError, match="face 3 refers to vertex 10, but there are 10 vertices"):
        dr.rasterize_hard(vertices, cuda.to_device(bad), size, backend="cuda")
    vertices[4, 1] = np.nan
    with pytest.raises(ValueError, match="vertices_pixel has NaN or infinity in 1 rows, first in row 4: .*nan"):
        dr.rasterize_hard(cuda.to_device(vertices), faces, size, backend="cuda")
    fragments = dr.rasterize_hard(np.zeros((0, 3)), np.zeros((0, 3), int), size, backend="cuda")
    image = dr.antialias(fragments, fragments.covered[:, None])
    assert not image.image.any() and image.backward(np.ones((4, 4, 1))).vertices_pixel.shape == (0, 3)
    with pytest.raises(ValueError, match="values is a CUDA array, so vertices_pixel must be one too"):
        dr.antialias(fragments, cuda.to_device(np.ones((fragments.count, 1))))


def test_textures_of_hard_rendering_stay_on_the_device(on_cuda, scene):
    vertices, faces, size, random = scene.vertices, scene.faces[6:10], (4, 7), np.random.default_rng(0)
    texture, uv = dr.Texture(random.uniform(size=(9, 12, 3)), "repeat"), 6 * random.uniform(size=(9, 2))
    corners, results = random.integers(0, 9, faces.shape), []
    for place in (np.asarray, cuda.to_device):
        fragments = dr.rasterize_hard(place(vertices), faces, size, attribute_faces=corners, backend="cuda")
        places = dr.interpolate(fragments, uv, corners)
        sampled = dr.sample_texture(fragments, texture, places.values, places.slopes)
        if place is np.asarray:
            with pytest.raises(ValueError, match="uv is a CUDA array, so vertices_pixel must be one too"):
                dr.sample_texture(fragments, texture, cuda.to_device(places.values), places.slopes)
        grad = np.random.default_rng(1).normal(size=(fragments.count, 3))
        back = sampled.backward(place(grad))
        of_places = places.backward(back.uv, back.slopes)
        moves = sampled.values_jvp(*(array.reshape(1, *array.shape) for array in (back.uv, back.slopes)), None)
        results.append((places.slopes, sampled.values, moves, back.uv, back.slopes, back.texture, *of_places))
    assert isinstance(results[1][5], np.ndarray)  # the texture's gradient is the host's
    for expected, actual in zip(*results):
        assert np.abs(expected).max() > 0
        np.testing.assert_array_equal(actual if actual is results[1][5] else actual.copy_to_host(), expected)
    settings, colors = dr.Hard(), np.ones_like(vertices)
    cover = Cover(texture, uv, corners)
    drawn = draw_hard(
        cuda.to_device(vertices), faces, size, settings, cuda.to_device(colors), cover=cover, backend="cuda"
    )
    grads, tangent = drawn.backward(cuda.to_device(np.ones((*size, 4)))), drawn.jvp(uv=uv)
    assert isinstance(grads.uv, np.ndarray) and np.abs(grads.uv).max() > 0 and not isinstance(tangent, np.ndarray)
    empty = draw_hard(
        vertices[:0],
        faces[:0],
        size,
        settings,
        vertices[:0],
        cover=cover._replace(faces_uv=corners[:0]),
        backend="cuda",
    )
    assert not empty.image.any() and not empty.backward(empty.image).uv.any() and not empty.jvp(uv=uv).any()
    with pytest.raises(ValueError, match="attribute_faces are a CUDA array: give them on the host"):
        dr.rasterize_hard(vertices, faces, size, attribute_faces=cuda.to_device(faces), backend="cuda")
