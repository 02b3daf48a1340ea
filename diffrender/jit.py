"""The only place with Numba flags and the cache policy.

Numba's cache does not notice an edit in *another* file's functions, so the cache directory carries a hash of all the
package's sources. It is `$DIFFRENDER_CACHE_DIR`, else the user's cache directory, else (read-only home) a folder of
the user's own in the temporary directory; where nothing can be written, kernels are compiled in every process.
"""

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba import types
from numba.core import config as numba_config
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.runtime import rtsys
from numba.extending import intrinsic, overload  # noqa: F401  (fastmath.py chooses an exp by precision with it)

from . import ahead

# What is made here of Numba's insides is known to fit these versions. With others kernels compile longer.
FITS_NUMBA = (0, 61) <= numba.version_info.short <= (0, 68)
_OF_CALLEES: dict[str, Any] = {}
_OF_KERNELS: dict[str, Any] = {}
if FITS_NUMBA:
    from .compilers import CalleeCompiler, KernelCompiler

    _OF_CALLEES["pipeline_class"], _OF_KERNELS["pipeline_class"] = CalleeCompiler, KernelCompiler

# No "nnan" and no "ninf": P = prod(1 + exp(x)) overflows to inf on purpose. No "reassoc": sums have the order written.
FAST_MATH = {"contract", "arcp", "nsz", "afn"}


def formula(function: Callable) -> Callable:
    """Compile a scalar function that kernels of every backend inline; Python can call its `py_func`, and nothing else."""
    return _callee(function, forceinline=True)


def borrower(function: Callable) -> Callable:
    """Compile a formula that takes arrays and makes none: it does not count its references to them.

    Where counts are not seen to cancel, as in a function that calls subroutines within loops, they stay in the kernel, and
    threads wait for each other's.
    """
    return _callee(function, forceinline=True, _nrt=False)


def subroutine(function: Callable) -> Callable:
    """Compile a function that kernels call, and Python cannot, once for each kernel: inlined, it would be in it many times."""
    return _callee(function)


def _callee(function: Callable, **options: bool) -> Callable:
    compiled = _compiled(function, no_cpython_wrapper=True, **_OF_CALLEES, **options)
    # A call from Python looks for a version compiled before, which has no wrapper here: it must find none.
    compiled.add_overload = lambda result: compiled.overloads.update({tuple(result.signature.args): result})

    def refuse(*arguments: Any, **keywords: Any) -> None:
        raise TypeError(f"{function.__name__} is for kernels to call: from Python, call {function.__name__}.py_func")

    compiled._compile_for_args = _let_python_call(compiled) if numba_config.ENABLE_CUDASIM else refuse
    return compiled


def _let_python_call(compiled: Any) -> Callable:
    """Return what a call from Python compiles for a function: in the simulator, where kernels are Python."""
    twin = _compiled(compiled.py_func)
    add = twin.add_overload

    def add_to_both(result: Any) -> None:
        add(result)
        compiled._insert([kind._code for kind in result.signature.args], result.entry_point, False)

    twin.add_overload = add_to_both
    return twin._compile_for_args


def kernel(function: Callable) -> Callable:
    """Compile a loop that runs without the interpreter lock and is kept in the cache."""
    compiled = _compiled(function, nogil=True, **_OF_KERNELS)
    directory = cache_directory()
    if directory is not None:
        # Numba reads its cache directory here and only here; other packages' functions keep theirs.
        config: Any = numba_config
        previous = config.CACHE_DIR
        config.CACHE_DIR = str(directory)
        try:
            compiled._cache = KernelCache(function)
        finally:
            config.CACHE_DIR = previous
    return compiled


class KernelCache(FunctionCache):
    """Numba's cache of a function, that loads only what machine code needs to run.

    Before it looks for it, Numba would import all that compilation may need: half of the time to a first image.
    """

    def __init__(self, function: Callable):
        super().__init__(function)
        self._cache_file.__class__ = CacheFile

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the code of a signature, or None if there is none."""
        found = self._load(sig, target_context)
        if found is None and ahead.watcher is not None and ahead.watcher.missed(self._py_func, sig):
            return self._load(sig, target_context)
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the code of a signature."""
        super().save_overload(sig, data)
        if ahead.watcher is not None:
            ahead.watcher.compiled()

    def holds(self, sig: Any, target_context: Any) -> bool:
        """Return whether there is code of a signature, without loading it."""
        return self._index_key(sig, target_context.codegen()) in self._cache_file._load_index()

    def _load(self, sig: Any, target_context: Any) -> Any:
        if not FITS_NUMBA:
            return super().load_overload(sig, target_context)
        rtsys.initialize(target_context)
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)


class CacheFile(IndexDataCacheFile):
    """Numba's cache of a function, with the code of each signature in a file of its own name.

    Numba numbers them: of two processes that compile two signatures at the same time, one could load the other's code, which
    takes its arrays for something else. Of two that write the index at once, one is forgotten: it is compiled again.
    """

    def save(self, key: Any, data: Any) -> None:
        """Write the code of a signature, then its place in the index."""
        name = f"{self._index_name[:-4]}.{hashlib.sha256(repr(key).encode()).hexdigest()[:16]}.nbc"
        self._save_data(name, data)
        self._save_index(self._load_index() | {key: name})


def _compiled(function: Callable, **options: Any) -> Any:
    return numba.njit(no_cfunc_wrapper=True, fastmath=FAST_MATH, error_model="numpy", **options)(function)


@intrinsic
def prefer_wide_vectors(typing_context):  # type: ignore[no-untyped-def]
    """Let the kernel that calls this use vectors of 512 bits where the processor has them; LLVM is shy of them."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')  # llvmlite knows only plain attributes
        return context.get_dummy_value()

    return types.none(), generate


@cache
def cache_directory() -> Path | None:
    """Return the folder of the kernel cache, made if need be, or None where none can be written."""
    for root in _cache_roots():
        directory = root / f"kernels-{_source_hash()}"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=directory):
                return directory
        except OSError:
            continue
    return None


def _cache_roots() -> list[Path]:
    chosen = os.environ.get("DIFFRENDER_CACHE_DIR")
    if chosen:
        return [Path(chosen)]
    if sys.platform == "win32":
        home = Path(os.environ.get("LOCALAPPDATA", "~\\AppData\\Local"))
    elif sys.platform == "darwin":
        home = Path("~/Library/Caches")
    else:
        home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    return [home.expanduser() / "diffrender", Path(tempfile.gettempdir()) / f"diffrender-{user}"]


def _source_hash() -> str:
    digest = hashlib.sha256(numba.__version__.encode())
    package = Path(__file__).parent
    for source in sorted(
        [
            *(p for folder in ("formulas", "cpu", "cuda") for p in package.glob(f"{folder}/*.py")),
            *(
                package / name
                for name in (
                    "by_view.py",
                    "compilers.py",
                    "grids.py",
                    "lanes.py",
                    "kernel_memory.py",
                    "pinhole.py",
                    "projection.py",
                    "pyramid.py",
                    "ranges.py",
                    "shading.py",
                    "rendering.py",
                    "spin.py",
                    "texel_lanes.py",
                )
            ),
            Path(__file__),
        ]
    ):
        digest.update(source.name.encode())
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]
