"""What a command says, and does, while kernels are compiled."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from diffrender.ahead import Watcher, watch

_PATIENCE = 1.0  # seconds of compilation after which it is told
_TICK = 0.25

_bars: list = []  # the bar that stands, if one does


@contextmanager
def compiling(command: str | None) -> Iterator[None]:
    """Let helpers compile what a command needs and the cache lacks; say so if it takes long."""
    with watch(command) as watcher:
        over = threading.Event()
        teller = threading.Thread(target=_tell, args=(watcher, over), name="diffrender-teller", daemon=True)
        teller.start()
        try:
            yield
        finally:
            over.set()
            teller.join()


@contextmanager
def told_by(bar) -> Iterator[None]:  # type: ignore[no-untyped-def]
    """Let a bar say, by bar(text), what a line would say; bar(None) takes it back."""
    _bars.append(bar)
    try:
        yield
    finally:
        _bars.remove(bar)


def _tell(watcher: Watcher, over: threading.Event) -> None:
    waited, told = 0.0, None
    while not over.wait(_TICK):
        waited += _TICK * watcher.busy
        bar = _bars[-1] if _bars else _line
        if told is not None and (told != bar or not watcher.busy):
            told(None)
            told = None
        if watcher.busy and waited >= _PATIENCE:
            bar(f"compiling kernels for this processor, once: {watcher.done} of {watcher.all}")
            told = bar
    if told is not None:
        told(None)


def _line(text: str | None) -> None:
    """Say something in a line of the terminal that changes; in files and pipes it would be noise."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text or ''}", end="", file=sys.stderr, flush=True)
