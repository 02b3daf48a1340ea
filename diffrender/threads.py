"""Worker threads for kernels that release the interpreter lock.

Python threads instead of Numba's `prange`: no threading layer that aborts when two threads of a program call at once,
a third of the compile time, and the work of each task is the same whatever the number of threads. A worker that has done
its share waits awake for about a millisecond, since the way back follows the way forward, and then goes to sleep.
"""

import contextlib
import ctypes
import os
import threading
from collections.abc import Callable
from typing import Any

_crew: "_Crew | None" = None
_threads: int | None = None
_busy = threading.Lock()


def get_num_threads() -> int:
    """Return the number of threads that kernels use: `set_num_threads`, `$DIFFRENDER_NUM_THREADS`, or the usable cores."""
    global _threads
    if _threads is None:
        _threads = _threads_from_environment()
    return _threads


def set_num_threads(count: int) -> None:
    """Use `count` threads for kernels from now on; results do not depend on it. Raises ValueError unless count >= 1."""
    global _crew, _threads
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ValueError(f"the number of threads must be a positive integer, got {count!r}")
    with _busy:
        _threads = count
        if _crew is not None:
            _crew.dismiss()
        _crew = None


def run_on_workers(kernel: Callable[..., None], *arguments: Any) -> None:
    """Call `kernel(worker, workers, *arguments)` once for each worker, at the same time, and wait for all of them."""
    global _crew
    workers = get_num_threads()
    # While another thread of the program has the crew, this one does its work alone: the results are the same.
    if workers == 1 or not _busy.acquire(blocking=False):
        kernel(0, 1, *arguments)
        return
    try:
        if _crew is None:
            _crew = _Crew(workers)
        _crew.run(kernel, arguments)
    finally:
        _busy.release()


class _Crew:
    """Threads 1 to workers - 1; the caller of `run` is worker 0."""

    def __init__(self, workers: int):
        from .spin import counters

        self.workers = workers
        self.order = 0
        self.job: tuple[Callable[..., None], tuple] | None = None
        self.orders, self.done = counters(workers), counters(workers)
        self.asleep = [False] * (workers + 1)  # the last is the caller
        self.bells = [threading.Semaphore(0) for _ in range(workers + 1)]
        self.errors: list[BaseException] = []
        self.threads = [
            threading.Thread(target=self._work, args=(worker,), name=f"diffrender-{worker}", daemon=True)
            for worker in range(1, workers)
        ]
        for thread in self.threads:
            thread.start()

    def run(self, kernel: Callable[..., None], arguments: tuple) -> None:
        """Let all workers do a kernel. Raises what one of them raises."""
        self.errors.clear()
        self._publish((kernel, arguments))
        try:
            kernel(0, self.workers, *arguments)
        finally:
            self._wait()
            self.job = None  # or it would keep the arrays alive until the next call
        if self.errors:
            raise self.errors.pop()

    def dismiss(self) -> None:
        """Let the threads end."""
        self._publish(None)

    def _publish(self, job: tuple[Callable[..., None], tuple] | None) -> None:
        from .spin import LINE

        self.job = job
        self.order += 1
        self.orders[LINE:] = self.order
        for worker in range(1, self.workers):
            self._ring(worker)

    def _ring(self, who: int) -> None:
        if self.asleep[who]:
            self.asleep[who] = False
            if who < self.workers:
                _keep_off_this_core(self.threads[who - 1])
            self.bells[who].release()

    def _wait(self) -> None:
        from .spin import LINE, spin_until

        while not spin_until(self.done, 1, self.workers, self.order):
            # In this order: who is asleep is rung for after `done` is set, so either `done` is seen or the bell.
            self.asleep[self.workers] = True
            if (self.done[LINE::LINE] < self.order).any():
                self.bells[self.workers].acquire()

    def _work(self, worker: int) -> None:
        from .spin import LINE, spin_until

        seen = 0
        while True:
            while not spin_until(self.orders, worker, worker + 1, seen + 1):
                self.asleep[worker] = True
                if self.orders[LINE * worker] <= seen:
                    self.bells[worker].acquire()
            seen = int(self.orders[LINE * worker])  # one that was given up by an interrupt is left out
            if self.job is None:
                return
            kernel, arguments = self.job
            try:
                kernel(worker, self.workers, *arguments)
            except BaseException as error:
                self.errors.append(error)
            del kernel, arguments
            self.done[LINE * worker] = seen
            self._ring(self.workers)


def _keep_off_this_core(thread: threading.Thread) -> None:
    """Let a thread that is about to wake run on any core but the caller's.

    Linux likes to wake a thread on the core of the one that wakes it, where the two would share the time for some
    milliseconds: longer than a small image takes.
    """
    if _get_core is None or thread.native_id is None:
        return
    others = os.sched_getaffinity(0) - {_get_core()}
    if others:
        with contextlib.suppress(OSError):  # a sandbox may forbid it
            os.sched_setaffinity(thread.native_id, others)


def _find_get_core() -> Callable[[], int] | None:
    if not hasattr(os, "sched_setaffinity"):
        return None
    try:
        return ctypes.CDLL(None).sched_getcpu
    except (OSError, AttributeError):
        return None


_get_core = _find_get_core()


def _threads_from_environment() -> int:
    text = os.environ.get("DIFFRENDER_NUM_THREADS")
    if text:
        if not text.isdigit() or int(text) < 1:
            raise ValueError(f"DIFFRENDER_NUM_THREADS must be a positive integer, got {text!r}")
        return int(text)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _forget_crew() -> None:
    global _crew, _busy
    _crew, _busy = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_crew)  # threads do not survive a fork
