"""Exclusive prefix sums on the device: of few values in one launch, else sums of chunks, their scan, the chunks again."""

from typing import Any

import numpy as np
from numba import cuda

from .arrays import Workspace
from .jit import THREADS, blocks, device, kernel

_EACH = 8  # consecutive values of a thread
_CHUNK = THREADS * _EACH
_FEW = 16  # chunks that one block goes over sooner than two more kernels are launched


def scan(counts: Any, offsets: Any, workspace: Workspace, marks: tuple[int, int] = (0, 0), flags: Any = None) -> None:
    """Fill offsets (N + 1,) int64 with the sums of counts (N,) before each, and flags (2,) with those at `marks`."""
    count = len(offsets) - 1
    chunks = blocks(count + 1, _CHUNK)  # the total has a place of its own
    if flags is None:
        flags = workspace.take((2,), np.int64)
    stream = workspace.stream
    if chunks <= _FEW:
        _scan_few[1, THREADS, stream](counts, count, offsets, marks[0], marks[1], flags)
        return
    sums = workspace.take((chunks,), np.int64)
    _sum_chunks[chunks, THREADS, stream](counts, count, sums)
    _scan_sums[1, THREADS, stream](sums)
    _spread[chunks, THREADS, stream](counts, count, sums, offsets, marks[0], marks[1], flags)


@device
def _before(shared, thread, value):
    """Return the sum of the values of the threads before this one. All threads of the block must call it."""
    shared[thread] = value
    cuda.syncthreads()
    step = 1
    while step < THREADS:
        other = shared[thread - step] if thread >= step else shared[thread] - shared[thread]
        cuda.syncthreads()
        shared[thread] += other
        cuda.syncthreads()
        step *= 2
    return shared[thread] - value


@kernel
def _sum_chunks(counts, count, sums):
    shared = cuda.shared.array(THREADS, np.int64)
    thread = cuda.threadIdx.x
    first = cuda.blockIdx.x * _CHUNK + thread * _EACH
    total = _sum_each(counts, first, count)
    before = _before(shared, thread, total)
    if thread == THREADS - 1:
        sums[cuda.blockIdx.x] = before + total


@kernel
def _scan_sums(sums):
    shared = cuda.shared.array(THREADS, np.int64)
    thread = cuda.threadIdx.x
    each = (len(sums) + THREADS - 1) // THREADS
    first = min(thread * each, len(sums))
    last = min(first + each, len(sums))
    total = np.int64(0)
    for i in range(first, last):
        total += sums[i]
    before = _before(shared, thread, total)
    for i in range(first, last):
        value = sums[i]
        sums[i] = before
        before += value


@kernel
def _scan_few(counts, count, offsets, first_mark, second_mark, flags):
    shared = cuda.shared.array(THREADS, np.int64)
    thread = cuda.threadIdx.x
    done = np.int64(0)
    for chunk in range(count // _CHUNK + 1):
        first = chunk * _CHUNK + thread * _EACH
        total = _sum_each(counts, first, count)
        before = done + _before(shared, thread, total)
        done += shared[THREADS - 1]
        cuda.syncthreads()
        _write_each(counts, first, count, before, offsets, first_mark, second_mark, flags)


@kernel
def _spread(counts, count, sums, offsets, first_mark, second_mark, flags):
    shared = cuda.shared.array(THREADS, np.int64)
    thread = cuda.threadIdx.x
    first = cuda.blockIdx.x * _CHUNK + thread * _EACH
    before = sums[cuda.blockIdx.x] + _before(shared, thread, _sum_each(counts, first, count))
    _write_each(counts, first, count, before, offsets, first_mark, second_mark, flags)


@device
def _sum_each(counts, first, count):
    total = np.int64(0)
    for i in range(first, min(first + _EACH, count)):
        total += counts[i]
    return total


@device
def _write_each(counts, first, count, before, offsets, first_mark, second_mark, flags):
    """Write the sums before a thread's values, and before what follows the last one; keep those at the marks."""
    for i in range(first, min(first + _EACH, count + 1)):
        offsets[i] = before
        if i == first_mark:
            flags[0] = before
        if i == second_mark:
            flags[1] = before
        if i < count:
            before += counts[i]
