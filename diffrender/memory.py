"""Memory for large arrays that goes from one rendering to the next.

What is freed goes back to the system or not, as the C library thinks best, and comes again page by page, each of which costs
2 to 4 us on a virtual machine: up to a fifth of a rendering's time, by luck. Here the memory of a large array waits for the next
of about its size, from when the last array that shows any of it is gone, whoever held that.
"""

import math
import os
import threading
from collections import defaultdict
from functools import lru_cache
from sys import getrefcount
from typing import Any

import numpy as np

_LEAST = 1 << 14  # numbers, 64 KB of float32: the C library keeps smaller pieces at hand itself
_ALIGNMENT = 64  # bytes of a cache line and of the widest vectors
_MOST_BYTES = 1 << 30  # twice what a million faces take on 2,048 x 2,048 px, lit, forward and backward
_MOST_PIECES = 128  # of a size: whoever holds more arrays than that does without
_PATIENCE = 1 << 10  # pieces of memory that are lent: about a hundred renderings


def empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return an array (C order) of any content, as `np.empty` does; a large one begins at a multiple of 64 bytes."""
    count = math.prod(shape)
    if count < _LEAST:
        return np.empty(shape, dtype)
    return np.ndarray(shape, dtype, *_pool.lend(count * np.dtype(dtype).itemsize))


def empties(*kinds: tuple[tuple[int, ...], Any]) -> list[np.ndarray]:
    """Return an array (C order) of any content for each shape and dtype, all in one piece of memory, which is lent as long as any
    of them is in use; each begins at a multiple of 64 bytes. To ask for many arrays one by one takes as long as a small kernel.
    """
    return fresh_arrays_of(_layout_of(*kinds))


class Layout:
    """Arrays of given shapes and dtypes one after the other, that are needed time and again: whoever asks for them keeps it."""

    def __init__(self, *kinds: tuple[tuple[int, ...], Any]):
        self.places, size = [], 0  # of each array its shape, dtype and the byte at which it begins
        for shape, kind in kinds:
            dtype = np.dtype(kind)
            self.places.append((shape, dtype, size))
            size += -(-math.prod(shape) * dtype.itemsize // _ALIGNMENT) * _ALIGNMENT
        self.size = max(size, _ALIGNMENT)  # bytes

    def arrays(self, owner: np.ndarray, begin: int) -> list[np.ndarray]:
        """Return new arrays in an owner's memory, from the byte `begin` on."""
        return [np.ndarray(shape, dtype, owner, begin + place) for shape, dtype, place in self.places]


_layout_of = lru_cache(maxsize=64)(Layout)  # the same are asked for image after image


def arrays_of(layout: Layout) -> list[np.ndarray]:
    """Return what `empties` does. The arrays themselves are lent again once nothing holds any of them or a view of it: to make
    some twenty takes as long as what a small kernel does with them.

    They are not for users, who may give an array another shape, or make it one that cannot be written to.
    """
    return _pool.lend_arrays(layout)


def fresh_arrays_of(layout: Layout) -> list[np.ndarray]:
    """Return what `empties` does: arrays that nobody has had before, in memory that is lent."""
    return layout.arrays(*_pool.lend(layout.size))


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


class _Memory:
    """So many bytes from an aligned address on.

    NumPy keeps under each array that is lent, and under each view of it, the one that owns the memory, which so has more
    references than its own as long as there is any of them.
    """

    __slots__ = ("alone", "arrays", "begin", "kind", "owner", "since", "size")

    def __init__(self, kind: int | Layout):
        self.kind, self.size = kind, kind.size if isinstance(kind, Layout) else kind
        self.owner = np.empty(self.size + _ALIGNMENT - 1, np.uint8)
        self.begin = -self.owner.__array_interface__["data"][0] % _ALIGNMENT
        self.since = 0  # the number of times that any memory had been lent when this was
        self.arrays = tuple(kind.arrays(self.owner, self.begin)) if isinstance(kind, Layout) else ()
        self.alone = self.references()  # while nothing is lent

    def references(self) -> int:
        """Return how many there are to the owner and to the arrays: none of them ever has fewer than while nothing is lent, so
        that the sum tells."""
        count = getrefcount(self.owner)
        return count + sum(map(getrefcount, self.arrays)) if self.arrays else count


class _Pool:
    """Memory that is lent or waits: at most `most` bytes, none that was not lent again while other memory was `patience` times.

    To let go of what is lent does no harm: it goes back to the system once its last array is gone.
    """

    def __init__(self, most: int = _MOST_BYTES, patience: int = _PATIENCE):
        self.bytes, self._most, self._patience, self._lent = 0, most, patience, 0
        self._by_kind: defaultdict[int | Layout, list[_Memory]] = defaultdict(list)
        self._lock = threading.Lock()

    def lend(self, least: int) -> tuple[np.ndarray, int]:
        """Return the owner of at least so many bytes, and at most a quarter more, and where they begin in it. The memory is free
        again once nothing refers to the owner, that is, has it under it."""
        step = 1 << (least.bit_length() - 3)
        memory, owner = self._taken(-(-least // step) * step)
        return owner, memory.begin

    def lend_arrays(self, layout: Layout) -> list[np.ndarray]:
        """Return the arrays of a layout, which are free again once nothing else refers to any of them or to the owner."""
        memory, _owner = self._taken(layout)
        return [*memory.arrays]  # references of their own: that of the tuple is always there

    def _taken(self, kind: int | Layout) -> tuple[_Memory, np.ndarray]:
        """Return memory of a kind that was free, and its owner: while that is held, nobody else finds it free."""
        # Nobody waits: garbage that is collected in here may ask for memory as it goes, and would wait for itself.
        if not self._lock.acquire(False):
            memory = _Memory(kind)
            return memory, memory.owner
        try:
            self._lent += 1
            for memory in reversed(self._by_kind[kind]):
                if memory.references() == memory.alone:
                    break
            else:
                memory = self._added(kind)
            memory.since = self._lent
            if self._lent % self._patience == 0:
                self._let_go()
            return memory, memory.owner
        finally:
            self._lock.release()

    def _added(self, kind: int | Layout) -> _Memory:
        """Return more memory, of which this pool knows unless it knows many pieces of this kind."""
        memory, pieces = _Memory(kind), self._by_kind[kind]
        if len(pieces) < _MOST_PIECES:
            memory.since = self._lent
            pieces.append(memory)
            self.bytes += memory.size
            self._let_go()
        return memory

    def _let_go(self) -> None:
        """Let go of what is not wanted any more, and of what was lent longest ago while there is too much."""
        known = [memory for pieces in self._by_kind.values() for memory in pieces]
        for memory in sorted(known, key=lambda memory: memory.since):
            if self.bytes <= self._most and memory.since > self._lent - self._patience:
                break
            pieces = self._by_kind[memory.kind]
            pieces.remove(memory)
            if not pieces:
                del self._by_kind[memory.kind]
            self.bytes -= memory.size


_pool = _Pool()


def _forget() -> None:
    """Begin anew: in the child of a fork the lock may be held by a thread that is not there."""
    global _pool
    _pool = _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
