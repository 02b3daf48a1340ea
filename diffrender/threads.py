"""Worker threads for kernels that release the interpreter lock.

Python threads instead of Numba's `prange`: no threading layer that aborts when two threads of a program call at once,
a third of the compile time, and the work of each task is the same whatever the number of threads.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_pool: ThreadPoolExecutor | None = None
_threads: int | None = None


def get_num_threads() -> int:
    """Return the number of threads that kernels use: `set_num_threads`, `$DIFFRENDER_NUM_THREADS`, or the usable cores."""
    global _threads
    if _threads is None:
        _threads = _threads_from_environment()
    return _threads


def set_num_threads(count: int) -> None:
    """Use `count` threads for kernels from now on; results do not depend on it. Raises ValueError unless count >= 1."""
    global _pool, _threads
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ValueError(f"the number of threads must be a positive integer, got {count!r}")
    _threads = count
    _pool = None  # threads of the old pool end when their last task has ended


def run_on_workers(kernel: Callable[..., None], *arguments: Any) -> None:
    """Call `kernel(worker, workers, *arguments)` once for each worker, at the same time, and wait for all of them."""
    workers = get_num_threads()
    if workers == 1:
        kernel(0, 1, *arguments)
        return
    pool = _get_pool(workers)
    others = [pool.submit(kernel, worker, workers, *arguments) for worker in range(1, workers)]
    try:
        kernel(0, workers, *arguments)
    finally:
        for other in others:
            other.result()


def _get_pool(workers: int) -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(workers - 1, thread_name_prefix="diffrender")
    return _pool


def _threads_from_environment() -> int:
    text = os.environ.get("DIFFRENDER_NUM_THREADS")
    if text:
        if not text.isdigit() or int(text) < 1:
            raise ValueError(f"DIFFRENDER_NUM_THREADS must be a positive integer, got {text!r}")
        return int(text)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _forget_pool() -> None:
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)  # threads do not survive a fork
