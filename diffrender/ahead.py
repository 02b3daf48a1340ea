"""Kernels that the cache lacks, compiled by several processes at once before they are called.

Numba compiles under the interpreter lock, so that helpers are processes. Each writes into the cache, where whoever calls a
kernel finds it. Only the command line starts them by itself; a program that wants them calls `warm_up`.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import Any

COMMANDS = ("fit", "pose", "render")  # whose kernels `signatures.py` lists
_FEW = 8  # kernels, such as those of `render`: a helper compiles again what they share, and saves nothing

# Who is told, by the cache, of kernels that it lacks.
watcher: "Watcher | None" = None


def warm_up(
    commands: Iterable[str] = COMMANDS, processes: int | None = None, report: Callable[[int, int], None] | None = None
) -> int:
    """Compile what the commands need and the cache lacks; return how many kernels that was.

    `processes` work at once, by default `$DIFFRENDER_COMPILERS`, or as many as `get_num_threads()`; report(done, all) is called
    as they go on. A script that calls it needs no `if __name__ == "__main__"` on any system. Raises ValueError for an unknown
    command or processes < 1, OSError where the cache cannot be written.
    """
    from .jit import cache_directory

    for command in (chosen := tuple(commands)):
        if command not in COMMANDS:
            raise ValueError(f"commands must be among {', '.join(COMMANDS)}, got {command!r}")
    if processes is not None and processes < 1:
        raise ValueError(f"processes must be a positive integer, got {processes!r}")
    if cache_directory() is None:
        raise OSError("no folder for compiled kernels can be written: set DIFFRENDER_CACHE_DIR to one that can")
    jobs = missing(chosen)
    with contextlib.closing(Helpers(jobs, _processes() if processes is None else processes)) as helpers:
        while not helpers.wait(0.2):
            if report is not None:
                report(helpers.done, len(jobs))
        left = [number for number in jobs if not helpers.is_done(number)]
        for number in left:  # where no process can be started
            _compile(number)
    if report is not None and jobs:
        report(len(jobs), len(jobs))
    return len(jobs)


def missing(commands: Iterable[str]) -> list[int]:
    """Return which of the listed kernels (their numbers, longest first) the commands need and the cache lacks."""
    from .jit import cache_directory
    from .signatures import KERNELS

    wanted = set(commands)
    if cache_directory() is None:
        return []
    numbers = [number for number, kernel in enumerate(KERNELS) if wanted & set(kernel.commands)]
    return [number for number in numbers if _lacks(_dispatcher(number), KERNELS[number].signature)]


def _lacks(dispatcher: Any, signature: tuple) -> bool:
    """Return whether a kernel is there, as in a list that is out of date not all are, and the cache does not have it."""
    return dispatcher is not None and not dispatcher._cache.holds(signature, dispatcher.targetctx)


class Helpers:
    """Processes that compile kernels into the cache, the longest first; `close` ends them at once."""

    def __init__(self, numbers: Iterable[int], processes: int):
        self._changed = threading.Condition()
        self._waiting, self._begun, self._done = list(numbers), set[int](), set[int]()
        self._children: list[subprocess.Popen] = []
        for _ in range(min(processes, len(self._waiting)) if sys.executable else 0):
            try:
                self._children.append(_start())
            except OSError:  # a sandbox that lets no process begin
                break
        self._feeding = len(self._children)
        for child in self._children:
            threading.Thread(target=self._feed, args=(child,), name="diffrender-helper", daemon=True).start()

    @property
    def done(self) -> int:
        """How many kernels are in the cache."""
        return len(self._done)

    def is_done(self, number: int) -> bool:
        """Return whether a kernel has been compiled."""
        return number in self._done

    def take(self, number: int) -> bool:
        """Return whether the caller should compile a kernel because no helper has begun; none will."""
        with self._changed:
            if number in self._waiting:
                self._waiting.remove(number)
                return True
            return number not in self._begun and number not in self._done

    def wait_for(self, number: int) -> bool:
        """Return whether a kernel that a helper has begun is compiled, once the helper is done or dead; help meanwhile."""
        while number in self._begun:
            with self._changed:
                other = self._waiting.pop(0) if self._waiting else None
                if other is None and number in self._begun:
                    self._changed.wait(0.2)  # for ever, Windows would not hear Ctrl-C
            if other is not None:
                _compile(other)
        return self.is_done(number)

    def wait(self, seconds: float) -> bool:
        """Wait for so long at most; return whether nobody works any more."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._feeding, seconds)

    def close(self) -> None:
        """End the processes at once: what they have half compiled is lost, and the cache is whole."""
        with self._changed:
            self._waiting.clear()
        for child in self._children:
            child.kill()
        for child in self._children:
            child.wait()

    def _feed(self, child: subprocess.Popen) -> None:
        """Give a child kernel after kernel, and note what it has done, until none is left or it dies."""
        number = None
        with contextlib.suppress(OSError, ValueError), child:
            while (number := self._next()) is not None:
                child.stdin.write(f"{number}\n")  # type: ignore[union-attr]
                child.stdin.flush()  # type: ignore[union-attr]
                if child.stdout.readline().split() != ["done", str(number)]:  # type: ignore[union-attr]
                    break
                self._note(number, self._done)
        with self._changed:
            self._feeding -= 1
        self._note(number)

    def _next(self) -> int | None:
        with self._changed:
            if not self._waiting:
                return None
            number = self._waiting.pop(0)
            self._begun.add(number)
            return number

    def _note(self, number: int | None, where: set | None = None) -> None:
        with self._changed:
            if number is not None:
                self._begun.discard(number)
                if where is not None:
                    where.add(number)
            self._changed.notify_all()


class Watcher:
    """What happens in a command when the cache lacks a kernel: helpers compile the others that it will need."""

    def __init__(self, command: str | None):
        self._command = command
        self._helpers: Helpers | None = None
        self._own = 0
        self.busy = False  # now
        self.all = 0  # kernels that the cache lacked

    @property
    def done(self) -> int:
        """How many of all kernels are compiled."""
        return self._own + (self._helpers.done if self._helpers else 0)

    def missed(self, function: Callable, signature: tuple) -> bool:
        """Return whether the cache has a kernel now that it lacked, because a helper has compiled it."""
        number = _number(function, signature)
        if self._helpers is None:
            self._start(number)
        self.busy = True
        if self._helpers is not None and number is not None and not self._helpers.take(number):
            found = self._helpers.wait_for(number)
            self.busy = not found  # what it compiled meanwhile may have ended that
            return found
        self.all = max(self.all, self.done + 1)
        return False

    def compiled(self) -> None:
        """Note that this process has compiled a kernel."""
        self._own += 1
        self.busy = False

    def close(self) -> None:
        """End the helpers."""
        if self._helpers is not None:
            self._helpers.close()

    def _start(self, number: int | None) -> None:
        if number is None or self._command is None:
            return
        numbers = missing([self._command])
        self.all = self.done + len(numbers)
        others = [each for each in numbers if each != number]
        if len(others) > _FEW:
            self._helpers = Helpers(others, _processes() - 1)


@contextlib.contextmanager
def watch(command: str | None) -> Iterator[Watcher]:
    """Yield what is told of kernels that the cache lacks; helpers compile what a command, if one of `COMMANDS`, needs."""
    global watcher
    watcher = Watcher(command if command in COMMANDS else None)
    try:
        yield watcher
    finally:
        watcher.close()
        watcher = None


def _processes() -> int:
    from .threads import get_num_threads

    chosen = os.environ.get("DIFFRENDER_COMPILERS")
    return int(chosen) if chosen and chosen.isdecimal() else get_num_threads()


def _dispatcher(number: int) -> Any:
    from .signatures import KERNELS

    kernel = KERNELS[number]
    try:
        return getattr(import_module(f"diffrender.{kernel.module}"), kernel.name, None)
    except ModuleNotFoundError:
        return None


def _number(function: Callable, signature: tuple) -> int | None:
    from .signatures import KERNELS

    where = function.__module__.removeprefix("diffrender."), function.__name__, tuple(signature)
    for number, kernel in enumerate(KERNELS):
        if (kernel.module, kernel.name, kernel.signature) == where:
            return number
    return None


def _compile(number: int) -> None:
    from .signatures import KERNELS

    _dispatcher(number).compile(KERNELS[number].signature)


def _start() -> subprocess.Popen:
    # The path of modules is this process's: a folder that the user is in is on it only if it is on this one.
    code = f"import sys; sys.path[:] = {sys.path!r}; from diffrender.ahead import work; work()"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),  # only Windows has it, and windows
    )


def work() -> None:
    """Compile the kernels whose numbers come in, line by line, until no more can come: the life of a helper."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all in the terminal; who started this one ends it
    for line in sys.stdin:
        _compile(int(line))
        print("done", int(line), flush=True)
