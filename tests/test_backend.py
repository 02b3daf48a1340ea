"""The seam between backends, and what happens where there is no GPU, the wrong driver, or too little memory."""

import importlib
import inspect
import warnings

import numpy as np
import pytest
import scenes

import diffrender as dr
from diffrender import backend, selfcheck
from diffrender.cuda import diagnosis, driver


def test_both_backends_have_the_signatures_of_the_protocol():
    pytest.importorskip("numba_cuda")
    import diffrender.cpu.rasterize
    import diffrender.cuda.rasterize

    names = [name for name in vars(backend.Backend) if not name.startswith("_")]
    assert names == ["draw", "draw_backward", "draw_jvp"]
    for name in names:
        wanted = list(inspect.signature(getattr(backend.Backend, name)).parameters)[1:]
        for module in (diffrender.cpu.rasterize, diffrender.cuda.rasterize):
            assert list(inspect.signature(getattr(module, name)).parameters) == wanted


KERNELS = {
    "bins": ["Bins", "sort_into_bins"],
    "silhouette": ["silhouette_forward", "silhouette_backward"],
    "color": ["color_forward", "color_backward"],
}


@pytest.mark.parametrize("module", KERNELS)
def test_both_backends_have_the_same_parts(module):
    pytest.importorskip("numba_cuda")
    for package in ("cpu", "cuda"):
        home = importlib.import_module(f"diffrender.{package}.{module}")
        assert all(hasattr(home, name) for name in KERNELS[module])


def test_render_and_its_gradients_do_not_depend_on_the_backend(on_cuda):
    mesh = dr.icosphere(1 if on_cuda.simulated else 3)
    mesh = dr.Mesh(mesh.vertices, mesh.faces, mesh.vertices * 0.4 + 0.5)
    camera = dr.Camera.look_at((1, 1, 3), size=(12, 15) if on_cuda.simulated else (90, 120))
    soft, light = dr.Soft(near=2, far=5), dr.Light((0.3, 0.8, 0.5))
    grad = np.random.default_rng(0).normal(size=(*camera.size, 4)).astype(np.float32)
    expected = dr.render(mesh, camera, soft, light)
    rendering = dr.render(mesh, camera, soft, light, backend="cuda")
    np.testing.assert_allclose(rendering.image, expected.image, atol=1e-4)
    for actual, other in zip(rendering.backward(grad)[:4], expected.backward(grad)[:4]):
        np.testing.assert_allclose(actual, other, atol=1e-4 * np.abs(other).max())
    outline = dr.render_silhouette(mesh, camera, soft, backend="cuda")
    np.testing.assert_allclose(outline.alpha, expected.image[..., 3], atol=1e-5)


def test_a_fit_runs_on_cuda(on_cuda):
    from meshes import disc_view

    view = disc_view().limited(16)
    settings = dr.FitSettings(steps=2, faces=100, resolution=16)
    *_, step = dr.fit([view], "sphere", settings, backend="cuda")
    *_, expected = dr.fit([view], "sphere", settings)
    assert step.done
    # Adam goes by the sign of a gradient at first, also where it is only rounding.
    np.testing.assert_allclose(step.image, expected.image, atol=5e-3)


def test_selfcheck_finds_both_backends_good(on):
    check = selfcheck.check_backend(on.name, *((0, 12) if on.simulated else ()))
    assert check.good and 0 < check.alpha_error < 1e-5 and check.seconds > 0


def test_an_unknown_backend_is_an_error():
    with pytest.raises(ValueError, match="backend must be 'cpu', 'cuda' or 'auto', got 'gpu'"):
        dr.rasterize_soft(*scenes.one_pixel(), backend="gpu")


@pytest.fixture
def machine(monkeypatch):
    """Set what the machine seems to have; ask again afterwards."""

    def set_up(cuda=None, gpus=(), problem=None, packages=(), kernel=None):
        monkeypatch.delenv("NUMBA_ENABLE_CUDASIM", raising=False)
        monkeypatch.setattr(diagnosis, "query_driver", lambda: driver.Driver(cuda, gpus, problem))
        monkeypatch.setattr(diagnosis, "package_version", dict(packages).get)
        monkeypatch.setattr(diagnosis, "_try_a_kernel", kernel or (lambda: None))
        monkeypatch.setattr(backend, "_warned", False)
        diagnosis.diagnose.cache_clear()

    yield set_up
    diagnosis.diagnose.cache_clear()


GPU = driver.Gpu("NVIDIA H200", (9, 0), 1 << 37)
NUMBA = {"numba-cuda": "0.30.4", "cuda-bindings": "12.9.1"}


def _broken():
    raise RuntimeError("\nCUDA_ERROR_UNSUPPORTED_PTX_VERSION\nand more")


PROBLEMS = [
    ({"problem": "no NVIDIA driver was found"}, "no NVIDIA driver was found; it takes an NVIDIA GPU with its driver"),
    ({"cuda": (12, 4), "problem": "the NVIDIA driver finds no GPU"}, "finds no GPU; see what `nvidia-smi` says"),
    ({"cuda": (11, 4), "gpus": (GPU,)}, "runs CUDA up to 11.4, and it takes 12.0 or newer; update the driver"),
    (
        {"cuda": (12, 4), "gpus": (GPU._replace(name="GTX 680", capability=(3, 0)),)},
        "the GTX 680 has compute capability 3.0, and it takes 5.0 or newer",
    ),
    (
        {"cuda": (12, 4), "gpus": (GPU,)},
        "numba-cuda is missing; install it with: pip install 'diffrender-mesh.cuda12.'",
    ),
    (
        {"cuda": (13, 0), "gpus": (GPU,)},
        "numba-cuda is missing; install it with: pip install 'diffrender-mesh.cuda13.'",
    ),
    (
        {"cuda": (13, 0), "gpus": (GPU._replace(capability=(6, 1)),)},
        "numba-cuda is missing; install it with: pip install 'diffrender-mesh.cuda12.'",
    ),
    (
        {"cuda": (12, 4), "gpus": (GPU,), "packages": NUMBA | {"cuda-bindings": "13.0.1"}},
        "the CUDA 13 packages are installed, but the NVIDIA driver runs CUDA only up to 12.4; update the driver, or install",
    ),
    (
        {"cuda": (12, 4), "gpus": (GPU,), "packages": NUMBA, "kernel": _broken},
        "a first kernel failed: CUDA_ERROR_UNSUPPORTED_PTX_VERSION; install",
    ),
]


@pytest.mark.parametrize("found, message", PROBLEMS)
def test_without_a_usable_gpu_cuda_is_an_error_and_auto_is_the_cpu_with_one_warning(machine, found, message):
    machine(**found)
    scene = scenes.duplicates()
    with pytest.raises(backend.BackendError, match=f"backend 'cuda' cannot be used: .*{message}"):
        dr.rasterize_soft(*scene, backend="cuda")
    with pytest.warns(UserWarning, match="backend 'auto' uses the CPU: .") as caught:
        out = dr.rasterize_soft(*scene, backend="auto")
    assert len(caught) == 1 and out.backend == "cpu"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = dr.rasterize_soft(*scene, backend="auto")
    assert again.alpha.tobytes() == out.alpha.tobytes() == dr.rasterize_soft(*scene).alpha.tobytes()


def test_a_usable_gpu_is_taken_by_auto(machine):
    machine(cuda=(12, 4), gpus=(GPU,), packages=NUMBA)
    assert diagnosis.diagnose() == diagnosis.Diagnosis(True, False)
    assert backend.choose("auto") == backend.choose("cuda") == "cuda"


@pytest.mark.parametrize("where", ["draw", "draw_backward"])
def test_a_gpu_without_memory_is_an_error_and_auto_goes_on_with_the_cpu(on_cuda, machine, monkeypatch, where):
    import diffrender.cuda.rasterize

    def fail(*_):
        raise MemoryError("the GPU has no room for 123 MB more")

    scene = on_cuda.scene(scenes.duplicates)
    grad = np.ones(scene.size)
    machine(cuda=(12, 4), gpus=(GPU,), packages=NUMBA)
    monkeypatch.setattr(diffrender.cuda.rasterize, where, fail)
    with pytest.raises(MemoryError, match="no room for 123 MB"):
        dr.rasterize_soft(*scene, backend="cuda").backward(grad)
    with pytest.warns(UserWarning, match="no room for 123 MB") as caught:
        grads = dr.rasterize_soft(*scene, backend="auto").backward(grad)
    assert len(caught) == 1
    assert grads.vertices_pixel.tobytes() == dr.rasterize_soft(*scene).backward(grad).vertices_pixel.tobytes()


class FakeLibrary:
    """libcuda by its answers; a status other than 0 is an error."""

    def __init__(self, init=0, count=1, status=0):
        self.init, self.count, self.status = init, count, status

    def cuDriverGetVersion(self, version):
        version._obj.value = 12040
        return 0

    def cuInit(self, _):
        return self.init

    def cuDeviceGetCount(self, count):
        count._obj.value = self.count
        return 0

    def cuDeviceGet(self, device, number):
        device._obj.value = number
        return 0

    def cuDeviceGetName(self, name, length, device):
        name.value = b"NVIDIA H200"
        return self.status

    def cuDeviceGetAttribute(self, value, attribute, device):
        value._obj.value = {75: 9, 76: 0}[attribute]
        return 0

    def cuDeviceTotalMem_v2(self, memory, device):
        memory._obj.value = 1 << 37
        return 0


@pytest.mark.parametrize(
    "library, expected",
    [
        (FakeLibrary(), driver.Driver((12, 4), (GPU,), None)),
        (FakeLibrary(count=2), driver.Driver((12, 4), (GPU, GPU), None)),
        (FakeLibrary(count=0), driver.Driver((12, 4), (), "the NVIDIA driver finds no GPU")),
        (FakeLibrary(init=100), driver.Driver((12, 4), (), "the NVIDIA driver finds no GPU")),
        (FakeLibrary(init=803), driver.Driver((12, 4), (), "the NVIDIA driver does not start (CUDA error 803)")),
        (
            FakeLibrary(status=1),
            driver.Driver(None, (), "the NVIDIA driver does not answer (CUDA error 1 about GPU 0)"),
        ),
        (object(), driver.Driver(None, (), None)),
    ],
)
def test_the_driver_is_asked_directly(monkeypatch, library, expected):
    monkeypatch.setattr(driver, "_open", lambda: library)
    found = driver.query_driver.__wrapped__()
    if expected.problem is None and not expected.gpus:
        assert "does not answer" in found.problem
    else:
        assert found == expected


def test_no_driver_at_all(monkeypatch):
    def missing():
        raise OSError("libcuda.so.1: cannot open shared object file")

    monkeypatch.setattr(driver, "_open", missing)
    assert driver.query_driver.__wrapped__() == driver.Driver(None, (), "no NVIDIA driver was found")
