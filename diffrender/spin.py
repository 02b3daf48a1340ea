"""Threads that agree without the interpreter lock and without going to sleep: waking a core takes longer than a small image."""

import platform

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .jit import kernel

LINE = 8  # int64 a cache line: counters of different threads must not share one
_SPINS = 20_000  # about a millisecond of pauses


@intrinsic
def _load(typing_context, array, index):  # type: ignore[no-untyped-def]
    """Return array[index] as it is in memory now: a plain load would be made once, before the loop."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        structure = context.make_array(signature.args[0])(context, builder, arguments[0])
        pointer = cgutils.get_item_pointer(
            context, builder, signature.args[0], structure, [arguments[1]], wraparound=False
        )
        return builder.load_atomic(pointer, ordering="acquire", align=8)

    return types.int64(array, types.intp), generate


@intrinsic
def claim(typing_context, turn):  # type: ignore[no-untyped-def]
    """Return turn[0] (int64) and add 1 to it, in one step that threads cannot do at the same time."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        structure = context.make_array(signature.args[0])(context, builder, arguments[0])
        return builder.atomic_rmw("add", structure.data, ir.Constant(ir.IntType(64), 1), "monotonic")

    return types.int64(turn), generate


@intrinsic
def _pause(typing_context):  # type: ignore[no-untyped-def]
    """Tell the processor that this is a waiting loop, where it has a word for that."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        if platform.machine().lower() in ("x86_64", "amd64"):
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse2.pause"), [])
        return context.get_dummy_value()

    return types.none(), generate


@kernel
def spin_until(counters, first, last, value):
    """Return whether all counters[LINE * i] for first <= i < last are at least `value`, after waiting a while for it."""
    for _ in range(_SPINS):
        waiting = False
        for i in range(first, last):
            if _load(counters, LINE * i) < value:
                waiting = True
        if not waiting:
            return True
        _pause()
    return False


def counters(count: int) -> np.ndarray:
    """Return `count` counters, each in a cache line of its own."""
    return np.zeros(LINE * count, np.int64)
