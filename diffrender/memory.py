"""Memory for large arrays that goes from one rendering to the next.

What is freed goes back to the system or not, as the C library thinks best, and comes again page by page, each of which costs
2 to 4 us on a virtual machine: up to a fifth of a rendering's time, by luck. Here the memory of a large array waits for the next
of about its size, from when the last array that shows any of it is gone, whoever held that.
"""

import ctypes
import math
import os
import threading
from collections import defaultdict
from functools import lru_cache
from typing import Any

import numpy as np

_LEAST = 1 << 13  # numbers, 32 KB of float32: the C library keeps smaller pieces at hand itself
_ALIGNMENT = 64  # bytes of a cache line and of the widest vectors
_MOST_IDLE = 1 << 29  # bytes: what a million faces take on 2,048 x 2,048 px, lit, forward and backward
_PATIENCE = 1 << 10  # pieces of memory that come back: about a hundred renderings


def empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return an array (C order) of any content, as `np.empty` does; a large one begins at a multiple of 64 bytes."""
    count = math.prod(shape)
    if count < _LEAST:
        return np.empty(shape, dtype)
    return np.ndarray(shape, dtype, _lend(count * np.dtype(dtype).itemsize))


def empties(*kinds: tuple[tuple[int, ...], Any]) -> list[np.ndarray]:
    """Return an array (C order) of any content for each shape and dtype, all in one piece of memory, which is lent as long as any
    of them is in use; each begins at a multiple of 64 bytes. To ask for many arrays one by one takes as long as a small kernel.
    """
    size, places = _places(kinds)
    loan = _lend(size)
    return [np.ndarray(shape, dtype, loan, place) for shape, dtype, place in places]


class Borrowed:
    """Arrays as those of `empties`, for as long as a `with` block lasts, after which nothing may use them: so they need not be
    made, if the same kinds were borrowed before."""

    __slots__ = ("_kinds", "_memory")

    def __init__(self, *kinds: tuple[tuple[int, ...], Any]):
        self._kinds = kinds

    def __enter__(self) -> list[np.ndarray]:
        size, places = _places(self._kinds)
        memory = self._memory = _idle.take(size)
        if memory.kinds != self._kinds:
            memory.kinds = self._kinds
            memory.arrays = [np.ndarray(shape, dtype, memory.bytes, place) for shape, dtype, place in places]
        return memory.arrays

    def __exit__(self, *error: object) -> None:
        _idle.put(self._memory)


@lru_cache(maxsize=64)  # the same are asked for image after image
def _places(kinds: tuple[tuple[tuple[int, ...], Any], ...]) -> tuple[int, list[tuple[tuple[int, ...], np.dtype, int]]]:
    """Return how many bytes arrays take one after the other, and of each its shape, dtype and the byte at which it begins."""
    places, size = [], 0
    for shape, kind in kinds:
        dtype = np.dtype(kind)
        places.append((shape, dtype, size))
        size += -(-math.prod(shape) * dtype.itemsize // _ALIGNMENT) * _ALIGNMENT
    return max(size, _ALIGNMENT), places


def empty_like(array: np.ndarray) -> np.ndarray:
    """Return an array (C order) of any content, with the shape and dtype of another."""
    return empty(array.shape, array.dtype)


def zeros(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return an array of zeros (C order)."""
    if math.prod(shape) < _LEAST:
        return np.zeros(shape, dtype)
    array = empty(shape, dtype)
    array.fill(0)
    return array


def _lend(size: int) -> "_Loan":
    memory = _idle.take(size)
    loan = _Loan(memory.size, np.uint8, memory.bytes)
    loan.memory = memory
    return loan


class _Loan(np.ndarray):
    """Lent memory: the array in it, and each view of that, holds on to this; the last of them gone, the memory comes back."""

    __slots__ = ("memory",)
    memory: "_Memory"

    def __del__(self) -> None:
        memory = getattr(self, "memory", None)  # a view of a loan has none
        if memory is not None and _idle is not None:  # as at the interpreter's end
            _idle.put(memory)


class _Memory:
    """So many bytes from an aligned address on."""

    __slots__ = ("arrays", "bytes", "kinds", "since", "size")

    def __init__(self, size: int):
        self.kinds: tuple = ()  # of the arrays that were borrowed last
        self.arrays: list[np.ndarray] = []
        self.size, self.since = size, 0  # the number of times that any memory had come back when this did
        whole = np.empty(size + _ALIGNMENT - 1, np.uint8)
        aligned = -(-whole.__array_interface__["data"][0] // _ALIGNMENT) * _ALIGNMENT
        # Not an array: a view of a view has the first array as its base, and would leave the loan between out.
        self.bytes = (ctypes.c_uint8 * size).from_address(aligned)
        self.bytes.whole = whole  # type: ignore[attr-defined]  # it lives as long


class _Idle:
    """Memory that nobody uses: at most `most` bytes of it, and none that was not wanted while `patience` others came back.

    A loan may end anywhere, also within these methods, when garbage is collected. So nobody waits for the lock: whoever does not
    get it does without, which costs time alone.
    """

    def __init__(self, most: int = _MOST_IDLE, patience: int = _PATIENCE):
        self.bytes, self._most, self._patience, self._puts = 0, most, patience, 0
        self._by_size: defaultdict[int, list[_Memory]] = defaultdict(list)  # the latest last
        self._lock = threading.Lock()

    def take(self, least: int) -> _Memory:
        """Return memory of at least so many bytes, and at most a quarter more."""
        step = 1 << (least.bit_length() - 3)
        size = -(-least // step) * step
        if self._lock.acquire(blocking=False):
            try:
                waiting = self._by_size[size]
                if waiting:
                    self.bytes -= size
                    return waiting.pop()  # what was used last is in the caches
            finally:
                self._lock.release()
        return _Memory(size)

    def put(self, memory: _Memory) -> None:
        """Keep memory, and let go of what has waited longest if that is too much."""
        if self._lock.acquire(blocking=False):
            try:
                self._puts = memory.since = self._puts + 1
                self._by_size[memory.size].append(memory)
                self.bytes += memory.size
                while self.bytes > self._most:
                    oldest = min(
                        (waiting for waiting in self._by_size.values() if waiting), key=lambda waiting: waiting[0].since
                    )
                    self.bytes -= oldest.pop(0).size
                if self._puts % self._patience == 0:
                    for waiting in self._by_size.values():
                        while waiting and waiting[0].since <= self._puts - self._patience:
                            self.bytes -= waiting.pop(0).size
            finally:
                self._lock.release()


_idle = _Idle()


def _forget() -> None:
    """Begin anew: in the child of a fork the lock may be held by a thread that is not there."""
    global _idle
    _idle = _Idle()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
