"""What the NVIDIA driver says of itself, asked directly: it needs neither numba-cuda nor a toolkit to answer."""

import ctypes
import sys
from functools import cache
from typing import Any, NamedTuple

_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*
_NO_DEVICE = 100


class Gpu(NamedTuple):
    """A GPU by name, compute capability and memory in bytes."""

    name: str
    capability: tuple[int, int]
    memory: int


class Driver(NamedTuple):
    """The driver: the newest CUDA version that it runs, its GPUs, or why it does not answer."""

    cuda: tuple[int, int] | None
    gpus: tuple[Gpu, ...]
    problem: str | None


@cache
def query_driver() -> Driver:
    """Ask the driver, once in a process."""
    try:
        library = _open()
    except OSError:
        return Driver(None, (), "no NVIDIA driver was found")
    try:
        return _query(library)
    except (AttributeError, ValueError) as error:
        return Driver(None, (), f"the NVIDIA driver does not answer ({error})")


def _open() -> Any:
    if sys.platform == "darwin":
        raise OSError("macOS has no CUDA")
    return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")  # 64-bit Windows has one convention


def _query(library: Any) -> Driver:
    version = ctypes.c_int(0)
    if library.cuDriverGetVersion(ctypes.byref(version)) != 0:
        return Driver(None, (), "the NVIDIA driver does not tell its version")
    cuda = (version.value // 1000, version.value % 1000 // 10)
    status = library.cuInit(0)
    if status == _NO_DEVICE:
        return Driver(cuda, (), "the NVIDIA driver finds no GPU")
    if status != 0:
        return Driver(cuda, (), f"the NVIDIA driver does not start (CUDA error {status})")
    count = ctypes.c_int(0)
    if library.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value == 0:
        return Driver(cuda, (), "the NVIDIA driver finds no GPU")
    return Driver(cuda, tuple(_gpu(library, number) for number in range(count.value)), None)


def _gpu(library: Any, number: int) -> Gpu:
    device, name = ctypes.c_int(0), ctypes.create_string_buffer(256)
    major, minor, memory = ctypes.c_int(0), ctypes.c_int(0), ctypes.c_size_t(0)
    for status in (
        library.cuDeviceGet(ctypes.byref(device), number),
        library.cuDeviceGetName(name, len(name), device),
        library.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device),
        library.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device),
        library.cuDeviceTotalMem_v2(ctypes.byref(memory), device),
    ):
        if status != 0:
            raise ValueError(f"CUDA error {status} about GPU {number}")
    return Gpu(name.value.decode(errors="replace"), (major.value, minor.value), memory.value)
