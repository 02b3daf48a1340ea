"""Both backends for every test that asks for one: the real GPU where there is one, else Numba's CUDA simulator."""

import os

from diffrender.cuda.driver import query_driver

if not query_driver().gpus:
    os.environ["NUMBA_ENABLE_CUDASIM"] = "1"  # read when Numba is imported first

os.environ.setdefault("DIFFRENDER_COMPILERS", "1")  # tests run side by side: helpers would take the other's core

import functools
import importlib.util
import sys

import pytest

import diffrender as dr

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") == "1"
if SIMULATED:
    # Each of its threads is one of Python's, and one that watches the others never lets go by itself: four times as fast.
    sys.setswitchinterval(1e-4)
WINDOW = (14, 20)  # px that the simulator draws: it takes a millisecond for what a GPU does in a nanosecond


class Backend:
    """A backend under test: `rasterize` is `rasterize_soft` on it, `scene` a scene of a size that it can draw in a test."""

    def __init__(self, name):
        self.name = name
        self.simulated = name == "cuda" and SIMULATED
        self.rasterize = functools.partial(dr.rasterize_soft, backend=name)

    def scene(self, make):
        return make().window(WINDOW) if self.simulated else make()

    def __repr__(self):
        return f"Backend({self.name})"


_without_numba_cuda = pytest.mark.skipif(
    importlib.util.find_spec("numba_cuda") is None, reason="numba-cuda is not installed"
)
BACKENDS = [Backend("cpu"), pytest.param(Backend("cuda"), marks=_without_numba_cuda)]


@pytest.fixture(params=BACKENDS, ids=["cpu", "cuda"])
def on(request):
    """The backend that a test runs on."""
    return request.param


@pytest.fixture(params=BACKENDS[1:], ids=["cuda"])
def on_cuda(request):
    """The CUDA backend, for what only it has."""
    return request.param
