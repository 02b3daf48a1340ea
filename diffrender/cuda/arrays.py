"""Arrays on the device: other libraries' without a copy, and buffers that are reused from call to call."""

import math
import sys
import threading
import weakref
from collections import deque
from typing import Any

import numpy as np
from numba import cuda

from ..backend import on_device

KEPT_BYTES = 1 << 30  # of buffers that nobody uses at the moment

_lock = threading.Lock()
_free: dict[tuple, list[Any]] = {}  # buffers by stream, shape and precision, the least recently used first
_free_bytes = 0
_returned: deque[tuple[tuple, Any]] = deque()  # filled by the garbage collector, which must not wait for a lock


def as_device(value: Any, name: str) -> Any:
    """Return Numba's view of a CUDA array, with its stream. Raises ValueError unless it is C-contiguous."""
    array = value if getattr(value, "__cuda_ndarray__", False) else cuda.as_cuda_array(value, sync=False)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):  # its interface does not tell its stream
        pointer = torch.cuda.current_stream(value.device).cuda_stream
        array.stream = cuda.external_stream(pointer) if pointer else 0
    if not array.is_c_contiguous():
        raise ValueError(f"{name} must be C-contiguous on the device, got strides {array.strides}")
    return array


def stream_of(*arrays: Any) -> Any:
    """Return the stream of the first array that names one, else the default stream; it waits for the others' work."""
    streams = [array.stream for array in arrays if array is not None and getattr(array, "stream", None)]
    if not streams:
        return 0
    for other in streams[1:]:
        wait_for(other, streams[0])
    return streams[0]


def wait_for(other: Any, stream: Any) -> None:
    """Wait for the work on another stream, unless it is the same one or the default, which `stream` waits for itself."""
    if other and int(other) != int(stream or 0):
        other.synchronize()


def allocate(shape: tuple[int, ...], dtype: Any, stream: Any) -> Any:
    """Return a new device array. Raises MemoryError that says how much was asked for."""
    try:
        return cuda.device_array(shape, dtype, stream=stream)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    _drop_free_buffers(0)  # what is kept for later may make room
    try:
        return cuda.device_array(shape, dtype, stream=stream)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise MemoryError(
            f"the GPU has no room for {_size(shape, dtype) / 1e6:.0f} MB more: use a smaller image or mesh, or backend='cpu'"
        ) from error


def download(array: Any, stream: Any) -> np.ndarray:
    """Return a host copy of a device array, when the work before it on the stream is done."""
    host = array.copy_to_host(stream=stream)
    if stream:
        stream.synchronize()
    return host


def not_empty(array: np.ndarray) -> np.ndarray:
    """Return an array, or one with a row of zeros in place of none: buffers have at least one."""
    return array if len(array) else np.zeros((1, *array.shape[1:]), array.dtype)


def is_out_of_memory(error: Exception) -> bool:
    """Whether an exception of the driver means that its memory is used up."""
    return isinstance(error, MemoryError) or "out_of_memory" in str(error).lower().replace(" ", "_")


class Workspace:
    """Buffers of one image and its way back. They return to the pool when the workspace is no longer used."""

    def __init__(self, stream: Any):
        self.stream = stream
        self._taken: list[tuple[tuple, Any]] = []
        weakref.finalize(self, _returned.extend, self._taken)

    def take(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Return a buffer with anything in it. Later work on the same stream may use it again: order is the stream's."""
        key = (int(self.stream) if self.stream else 0, shape, np.dtype(dtype).str)
        buffer = _take_free(key)
        if buffer is None:
            buffer = allocate(shape, dtype, self.stream)
        self._taken.append((key, buffer))
        return buffer

    def take_at_least(self, count: int, dtype: Any, columns: int | None = None) -> Any:
        """Return a buffer of `count` rows or up to an eighth more, so that similar counts share one."""
        step = 1 << max(0, count.bit_length() - 4)
        rows = max(1, -(-count // step) * step)
        return self.take((rows,) if columns is None else (rows, columns), dtype)

    def upload(self, array: np.ndarray) -> Any:
        """Return a device copy of a host array."""
        if 0 in array.strides:  # of an axis of length 1: the copy to the device would take it for a repetition
            array = array.copy()
        buffer = self.take(array.shape, array.dtype)
        buffer.copy_to_device(array, stream=self.stream)
        return buffer

    @property
    def nbytes(self) -> int:
        """Bytes of all buffers."""
        return sum(_size(shape, dtype) for (_, shape, dtype), _ in self._taken)


def given_to(array: Any, workspace: Workspace) -> Any:
    """Return an array of the caller on the device, when its work is done."""
    if not on_device(array):
        return workspace.upload(array)
    wait_for(getattr(array, "stream", 0), workspace.stream)
    return array


def _size(shape: tuple[int, ...], dtype: Any) -> int:
    return math.prod(shape) * np.dtype(dtype).itemsize


def _take_free(key: tuple) -> Any | None:
    global _free_bytes
    with _lock:
        while _returned:
            returned_key, buffer = _returned.popleft()
            _free.setdefault(returned_key, []).append(buffer)
            _free[returned_key] = _free.pop(returned_key)  # now the most recently used
            _free_bytes += _size(*returned_key[1:])
        _drop_locked(KEPT_BYTES)
        if not _free.get(key):
            return None
        _free_bytes -= _size(*key[1:])
        return _free[key].pop()


def _drop_free_buffers(limit: int) -> None:
    with _lock:
        _returned.clear()
        _drop_locked(limit)


def _drop_locked(limit: int) -> None:
    global _free_bytes
    while _free_bytes > limit:
        key = next(iter(_free))
        _free_bytes -= len(_free[key]) * _size(*key[1:])
        del _free[key]
