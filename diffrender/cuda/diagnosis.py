"""Whether this machine's GPU can be used, and if not, why and what to do. Imports Numba only when all else is there."""

import importlib.metadata
import os
from functools import cache
from typing import NamedTuple

from ..backend import BackendError
from .driver import query_driver

_OLDEST_CUDA = (12, 0)
_OLDEST_GPU = (5, 0)  # that CUDA 12 compiles for
_OLDEST_GPU_OF_13 = (7, 5)


class Diagnosis(NamedTuple):
    """Whether CUDA works; if not, a sentence why, and a command or step that mends it, where there is one."""

    usable: bool
    simulated: bool
    reason: str | None = None
    remedy: str | None = None


def require() -> None:
    """Raise BackendError, with the reason and the remedy, unless CUDA works."""
    found = diagnose()
    if not found.usable:
        remedy = f"; {found.remedy}" if found.remedy else ""
        raise BackendError(f"backend 'cuda' cannot be used: {found.reason}{remedy}")


@cache
def diagnose() -> Diagnosis:
    """Look for whatever a kernel needs, in the order in which a user has to put it there, and try one at the end."""
    simulated = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")
    if simulated:
        if package_version("numba-cuda") is None:
            return Diagnosis(
                False, True, "the package numba-cuda is missing", "install it with: pip install numba-cuda"
            )
        return Diagnosis(True, True)
    driver = query_driver()
    if driver.cuda is None:
        return Diagnosis(False, False, driver.problem, "it takes an NVIDIA GPU with its driver (nvidia.com/drivers)")
    if driver.problem:
        return Diagnosis(False, False, driver.problem, "see what `nvidia-smi` says")
    if driver.cuda < _OLDEST_CUDA:
        return Diagnosis(
            False,
            False,
            f"the NVIDIA driver runs CUDA up to {driver.cuda[0]}.{driver.cuda[1]}, and it takes "
            f"{_OLDEST_CUDA[0]}.{_OLDEST_CUDA[1]} or newer",
            "update the driver (nvidia.com/drivers)",
        )
    gpu = driver.gpus[0]
    if gpu.capability < _OLDEST_GPU:
        return Diagnosis(
            False,
            False,
            f"the {gpu.name} has compute capability {gpu.capability[0]}.{gpu.capability[1]}, and it takes "
            f"{_OLDEST_GPU[0]}.{_OLDEST_GPU[1]} or newer",
        )
    install = f"install it with: pip install 'diffrender-mesh[{extra_for(driver.cuda, gpu.capability)}]'"
    if package_version("numba-cuda") is None:
        return Diagnosis(False, False, "the package numba-cuda is missing", install)
    toolkit = package_version("cuda-bindings")
    if toolkit is not None and int(toolkit.split(".")[0]) > driver.cuda[0]:
        return Diagnosis(
            False,
            False,
            f"the CUDA {toolkit.split('.')[0]} packages are installed, but the NVIDIA driver runs CUDA only up to "
            f"{driver.cuda[0]}.{driver.cuda[1]}",
            f"update the driver, or {install}",
        )
    try:
        _try_a_kernel()
    except Exception as error:  # whatever it is: the user asked whether it works
        return Diagnosis(False, False, f"a first kernel failed: {first_line(error)}", install.replace("it", "all", 1))
    return Diagnosis(True, False)


def extra_for(cuda: tuple[int, int], capability: tuple[int, int]) -> str:
    """Return the extra of this package that suits a driver's CUDA version and a GPU."""
    return "cuda13" if cuda[0] >= 13 and capability >= _OLDEST_GPU_OF_13 else "cuda12"


def package_version(name: str) -> str | None:
    """Return the version of an installed distribution, None if it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's text that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _try_a_kernel() -> None:
    import numpy as np
    from numba import cuda

    @cuda.jit
    def double(values):
        i = cuda.grid(1)
        if i < len(values):
            values[i] *= 2

    values = cuda.to_device(np.arange(4, dtype=np.float32))
    double[1, 32](values)
    if values.copy_to_host().tolist() != [0, 2, 4, 6]:
        raise RuntimeError("it ran, and its result is wrong")
