"""The only place with CUDA compiler flags and the cache of compiled kernels."""

import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import cuda

from ..jit import cache_directory
from ..jit import kernel as compile_for_cpu

# The simulator runs every thread as one of Python's, so there its blocks are small; that also makes a small image go
# through as many tiles, batches and bands as a large one.
SIMULATED = bool(numba.config.ENABLE_CUDASIM)
THREADS = 16 if SIMULATED else 256  # of a block of the one-dimensional kernels

_MOST_BLOCKS = 1 << 14  # of kernels that go over their items in strides

# Small images have small grids; that is no fault of the caller's.
# The text begins with the escape codes of bold type, and the class is that of numba-cuda or of numba.
warnings.filterwarnings("ignore", message=r".*Grid size \d+ will likely", category=Warning)


def _share_safely() -> None:
    """Let the simulator's threads get one shared array of a line: its own look-up can make two, if threads come together."""
    from numba.core import types
    from numba.cuda.simulator.kernelapi import FakeCUDAShared
    from numba.np import numpy_support

    lock = threading.Lock()

    def array(self: Any, shape: Any, dtype: Any) -> np.ndarray:
        caller = sys._getframe(1)
        line = caller.f_code.co_filename, caller.f_lineno
        with lock:
            if line not in self._allocations:
                real = numpy_support.as_dtype(dtype) if isinstance(dtype, types.Type) else dtype
                self._allocations[line] = np.empty(shape, real)
            return self._allocations[line]

    FakeCUDAShared.array = array


def _keep_device_in_sight(names: dict[str, Any]) -> None:
    """Let functions of a module see the simulated device as `cuda`, also for kernels of another module.

    The simulator puts it in the place of a module's `cuda` while a thread is in one of its functions, and takes it away when
    that one leaves: others that are in one too lose it.
    """
    from numba.cuda.simulator import kernel as simulator

    class Here:
        def __getattr__(self, name: str) -> Any:
            return getattr(simulator._kernel_context or cuda, name)

    if names.get("cuda") is cuda:
        names["cuda"] = Here()


if SIMULATED:
    _share_safely()


def kernel(function: Callable) -> Any:
    """Compile a kernel that is kept in the cache. No fast math: 1 - 1 / inf is 1 on purpose."""
    compiled = cuda.jit(function)
    directory = cache_directory()
    if directory is not None and hasattr(compiled, "enable_caching"):
        from numba.cuda.core import config

        previous = config.CACHE_DIR
        config.CACHE_DIR = str(directory)
        try:
            compiled.enable_caching()
        finally:
            config.CACHE_DIR = previous
    return compiled


def device(function: Callable) -> Any:
    """Compile a function that kernels call."""
    if not SIMULATED:
        return cuda.jit(device=True)(function)
    _keep_device_in_sight(function.__globals__)
    return function


def shared(function: Callable) -> Any:
    """Compile a function of arrays and numbers, without any of `cuda`, that kernels call for each of their items.

    It may call what kernels of the CPU call. In the simulator it runs as machine code, which is a hundred times as fast.
    """
    compiled = compile_for_cpu(function)
    if not SIMULATED:
        return compiled

    def call(*arguments: Any) -> Any:
        return compiled(*(_plain(argument) for argument in arguments))

    return call


def _plain(value: Any) -> Any:
    """Return NumPy's array in place of the simulator's, also within tuples."""
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    value = getattr(value, "__dict__", {}).get("_item", value)
    return getattr(value, "__dict__", {}).get("_ary", value)


def blocks(count: int, threads: int = THREADS) -> int:
    """Return how many blocks of `threads` cover `count`, at least 1: CUDA refuses an empty grid."""
    return max(1, -(-count // threads))


def spread(count: int) -> tuple[int, int]:
    """Return blocks and threads of a kernel whose threads take one of `count` items after the other: no more in the simulator
    than show that the order does not matter."""
    return (2, 4) if SIMULATED else (min(blocks(count, 128), _MOST_BLOCKS), 128)
