"""Worker threads for kernels that release the interpreter lock.

Python threads instead of Numba's `prange`: no threading layer that aborts when two threads of a program call at once,
a third of the compile time, and the work of each task is the same whatever the number of threads. A worker that has done
its shares waits awake for about a millisecond, since the way back follows the way forward, and then goes to sleep. Awake,
it needs no interpreter lock: `diffrender.spin` has what happens there.
"""

import contextlib
import ctypes
import os
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import Any

from .formulas.constants import LEAST, PORTION

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


def run_on_workers(kernel: Callable[..., None], *arguments: Any, most: int | None = None) -> None:
    """Call `kernel(share, shares, board, *arguments)` for each of as many shares as there are threads, or `most` if fewer.

    The kernel must begin as `diffrender.spin` says. Raises MemoryError if a kernel gets no memory.
    """
    global _crew
    shares = get_num_threads() if most is None else max(1, min(get_num_threads(), most))
    # While another thread of the program has the crew, this one does its work alone: the results are the same.
    if shares == 1 or not _busy.acquire(blocking=False):
        kernel(0, 1, _no_board(), *arguments)
        return
    try:
        if _crew is None:
            _crew = _Crew(get_num_threads())
        _crew.run(kernel, shares, arguments)
    finally:
        _busy.release()


def parts_of(count: int) -> int:
    """Return in how many parts `count` vertices or faces are worth sharing out, at least one."""
    return max(1, min(get_num_threads(), count // LEAST))


def portions_of(vertices: int) -> int:
    """Return in how many portions so many vertices are summed up."""
    return -(-vertices // PORTION)


def added_up(rows: Any) -> Any:
    """Return the sums over all portions, of rows (N, ...) for each."""
    return rows[0] if len(rows) == 1 else rows.sum(axis=0)  # NumPy adds whole rows one by one


def share_out(kernel: Callable[..., None], count: int, *arguments: Any) -> None:
    """Call `run_on_workers` with as many shares as `count` vertices or faces are worth waking workers for."""
    run_on_workers(kernel, *arguments, most=parts_of(count))


@cache
def _no_board() -> Any:
    from .spin import new_board

    return new_board()


class _Crew:
    """Threads 1 to workers - 1; the caller of `run` is worker 0."""

    def __init__(self, workers: int):
        from . import spin

        self.spin = spin
        self.board = spin.new_board()
        self.jobs = 0
        self.dismissed = False
        self.asleep = [False] * workers
        self.bells = [threading.Semaphore(0) for _ in range(workers)]
        self.threads = [
            threading.Thread(target=self._work, args=(worker,), name=f"diffrender-{worker}", daemon=True)
            for worker in range(1, workers)
        ]
        for thread in self.threads:
            thread.start()

    def run(self, kernel: Callable[..., None], shares: int, arguments: tuple) -> None:
        """Let the caller and the workers do the shares of a kernel."""
        self._wake(shares)
        try:
            kernel(-1, shares, self.board, *arguments)
        finally:
            self._wait()
        if self.board[self.spin.ERROR]:
            raise MemoryError("a kernel got no memory for its buffers")

    def dismiss(self) -> None:
        """Let the threads end."""
        self.dismissed = True
        self.spin.dismiss(self.board)
        self._wake(len(self.asleep))

    def _wake(self, shares: int) -> None:
        self.jobs += 1  # before it is asked who sleeps: whoever is about to do so sees it
        for worker in range(1, shares):
            if self.asleep[worker]:
                self.asleep[worker] = False
                _keep_off_this_core(self.threads[worker - 1])
                self.bells[worker].release()

    def _wait(self) -> None:
        """Wait until no worker is in the job any more, even if interrupted: they still use the arrays."""
        interrupt = None
        while self.board[self.spin.GATE] != self.spin.CLOSED:
            try:
                time.sleep(1e-4)
            except BaseException as error:
                interrupt = error
        if interrupt is not None:
            raise interrupt

    def _work(self, worker: int) -> None:
        seen = 0
        while not self.dismissed:
            known = self.jobs
            seen = self.spin.serve(self.board, seen)
            self.asleep[worker] = True
            if self.jobs != known:
                self.asleep[worker] = False
                continue
            self.bells[worker].acquire()


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
