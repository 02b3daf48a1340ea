"""The only place with CUDA compiler flags and the cache of compiled kernels."""

import warnings
from collections.abc import Callable
from typing import Any

import numba
from numba import cuda
from numba.core.errors import NumbaPerformanceWarning

from ..jit import cache_directory

# The simulator runs every thread as one of Python's, so there its blocks are small; that also makes a small image go
# through as many tiles, batches and bands as a large one.
SIMULATED = bool(numba.config.ENABLE_CUDASIM)
THREADS = 16 if SIMULATED else 256  # of a block of the one-dimensional kernels

# Small images have small grids; that is no fault of the caller's.
warnings.filterwarnings("ignore", message="Grid size", category=NumbaPerformanceWarning)


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
    return cuda.jit(device=True)(function)


def blocks(count: int, threads: int = THREADS) -> int:
    """Return how many blocks of `threads` cover `count`, at least 1: CUDA refuses an empty grid."""
    return max(1, -(-count // threads))
