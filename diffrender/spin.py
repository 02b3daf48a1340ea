"""Threads that share out a kernel without the interpreter lock and without going to sleep: waking a core, or waiting for
the lock, takes longer than a small image.

A kernel that can be shared out begins with

    if share < 0:
        lead(publish(board))
        return

Called with share -1, it writes its own address and arguments to the board, and the caller and every worker that is awake
call it with the next of `shares` until none is left. Nobody waits for a worker that has not joined in: one that sleeps
through a job is not missed.
"""

import platform

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .jit import formula, kernel, subroutine
from .threads import get_num_threads

_LINE = 8  # int64 a cache line: numbers that different threads write must not share one
_ORDER = 0 * _LINE  # number of the job; negative: the crew is dismissed
GATE = 1 * _LINE  # how many workers are in the job, plus CLOSED when none may join any more
_NEXT = 2 * _LINE  # share
_SHARES, _FUNCTION, ERROR = 3 * _LINE, 3 * _LINE + 1, 3 * _LINE + 2
_ARGUMENTS = 4 * _LINE
_ROOM = 1024  # for arguments: an array of two dimensions takes nine
CLOSED = -(2**40)
_SPINS = 20_000  # about a millisecond of pauses

_INT32, _INT64 = ir.IntType(32), ir.IntType(64)
_SHARE = ir.FunctionType(_INT32, [_INT64.as_pointer(), _INT64])  # (arguments, share) to Numba's status


def new_board() -> np.ndarray:
    """Return the memory through which a crew agrees, with no job on it."""
    board = np.zeros(_ARGUMENTS + _ROOM, np.int64)
    board[GATE] = CLOSED
    return board


def dismiss(board: np.ndarray) -> None:
    """Let all who serve a board return."""
    board[_ORDER] = -1


def _place(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
    """Return the address of board[index], the first two arguments."""
    structure = context.make_array(signature.args[0])(context, builder, arguments[0])
    return builder.gep(structure.data, [arguments[1]])


@intrinsic
def _load(typing_context, array, index):  # type: ignore[no-untyped-def]
    """Return array[index] as it is in memory now: a plain load would be made once, before the loop."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.load_atomic(_place(context, builder, signature, arguments), ordering="acquire", align=8)

    return types.int64(array, types.intp), generate


@intrinsic
def _store(typing_context, array, index, value):  # type: ignore[no-untyped-def]
    """Write array[index] after all that was written before."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        place = _place(context, builder, signature, arguments)
        builder.store_atomic(arguments[2], place, ordering="release", align=8)
        return context.get_dummy_value()

    return types.none(array, types.intp, types.int64), generate


@intrinsic
def _add(typing_context, array, index, value):  # type: ignore[no-untyped-def]
    """Add to array[index] and return what it was, in one step that threads cannot do at the same time."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.atomic_rmw("add", _place(context, builder, signature, arguments), arguments[2], "acq_rel")

    return types.int64(array, types.intp, types.int64), generate


@intrinsic
def _swap(typing_context, array, index, expected, value):  # type: ignore[no-untyped-def]
    """Write `value` to array[index] if it is `expected`, and return what it was, in one step."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        place = _place(context, builder, signature, arguments)
        found = builder.cmpxchg(place, arguments[2], arguments[3], "acq_rel", "acquire")
        return builder.extract_value(found, 0)

    return types.int64(array, types.intp, types.int64, types.int64), generate


@intrinsic
def _pause(typing_context):  # type: ignore[no-untyped-def]
    """Tell the processor that this is a waiting loop, where it has a word for that."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        if platform.machine().lower() in ("x86_64", "amd64"):
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse2.pause"), [])
        return context.get_dummy_value()

    return types.none(), generate


@intrinsic
def publish(typing_context, board):  # type: ignore[no-untyped-def]
    """Write the address of the kernel that this stands in, and its arguments, to a board; return the board.

    The kernel's first two arguments must be `share` and `shares`.
    """

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        function = builder.function
        function.attributes.add("noinline")  # or it would be compiled a second time, within its own trampoline
        data = context.make_array(board)(context, builder, arguments[0]).data
        values = context.call_conv.get_arguments(function)
        assert len(values) <= _ROOM
        for k, value in enumerate(values):
            place = builder.gep(data, [_INT64(_ARGUMENTS + k)])
            builder.store(value, builder.bitcast(place, value.type.as_pointer()))
        trampoline = _trampoline(builder.module, function, [value.type for value in values])
        builder.store(builder.ptrtoint(trampoline, _INT64), builder.gep(data, [_INT64(_FUNCTION)]))
        builder.store(values[1], builder.gep(data, [_INT64(_SHARES)]))
        context.nrt.incref(builder, board, arguments[0])
        return arguments[0]

    return board(board), generate


def _trampoline(module: ir.Module, function: ir.Function, kinds: list) -> ir.Function:
    """Return a function (arguments, share) that calls a kernel with arguments of these kinds, but for the first."""
    trampoline = ir.Function(module, _SHARE, name=f"{function.name}.share")
    trampoline.linkage = "internal"
    builder = ir.IRBuilder(trampoline.append_basic_block())
    area, share = trampoline.args
    values = [
        builder.load(builder.bitcast(builder.gep(area, [_INT64(k)]), kind.as_pointer())) for k, kind in enumerate(kinds)
    ]
    result, error = (builder.alloca(argument.type.pointee) for argument in function.args[:2])
    builder.ret(builder.call(function, [result, error, share, *values[1:]]))
    return trampoline


@intrinsic
def _call(typing_context, board, share):  # type: ignore[no-untyped-def]
    """Do a share of the job on the board and return Numba's status, 0 if all went well."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        data = context.make_array(board)(context, builder, arguments[0]).data
        address = builder.load(builder.gep(data, [_INT64(_FUNCTION)]))
        function = builder.inttoptr(address, _SHARE.as_pointer())
        return builder.call(function, [builder.gep(data, [_INT64(_ARGUMENTS)]), arguments[1]])

    return types.int32(board, types.int64), generate


@subroutine
def _work(board):
    """Do shares until none is left."""
    shares = _load(board, _SHARES)
    while True:
        share = _add(board, _NEXT, 1)
        if share >= shares:
            break
        if _call(board, share) != 0:
            _store(board, ERROR, 1)


@subroutine
def lead(board):
    """Open the job on the board, do shares of it, and wait a while for those who have joined in.

    Whoever called the kernel must see to it that board[GATE] is CLOSED before the arguments go away.
    """
    _store(board, _NEXT, 0)
    _store(board, ERROR, 0)
    _store(board, GATE, 0)
    _add(board, _ORDER, 1)
    _work(board)
    _add(board, GATE, CLOSED)
    for _ in range(_SPINS):
        if _load(board, GATE) == CLOSED:
            break
        _pause()


@kernel
def serve(board, seen):
    """Join in the jobs after number `seen`; return the last one's number when none has come for about a millisecond."""
    waited = 0
    while waited < _SPINS:
        order = _load(board, _ORDER)
        if order == seen:
            _pause()
            waited += 1
            continue
        seen, waited = order, 0
        if order < 0:
            break
        gate = _load(board, GATE)
        while gate >= 0:
            found = _swap(board, GATE, gate, gate + 1)
            if found == gate:
                _work(board)
                _add(board, GATE, -1)
                break
            gate = found
    return seen


@formula
def claim(turn):
    """Return turn[0] (int64) and add 1 to it, in one step that threads cannot do at the same time."""
    return _add(turn, 0, 1)


@formula
def claim_near(stage, share, shares, tasks):
    """Return a task of a stage that nobody has claimed yet, or a number not below `tasks` if there is none.

    Each share has tasks of its own, the same in all stages that have as many, and takes those of others when it has done them:
    what was written for a task is then still in the caches of its core, from where another core would have to fetch it.
    """
    owners = min(shares, len(stage) // _LINE - 2)  # fewer if the crew has grown since the stage was made
    found = np.int64(tasks)
    for k in range(owners):
        if found >= tasks:
            owner = (share + k) % owners
            found = _add(stage, (2 + owner) * _LINE, 1) * owners + owner
    return found


def new_stages(count: int) -> np.ndarray:
    """Return what a kernel needs that does `count` stages one after the other: of each, tasks that are claimed, that are done,
    and that each share has claimed of its own, see `claim_near`."""
    return np.zeros((count, (2 + get_num_threads()) * _LINE), np.int64)


@formula
def finish(stage):
    """Count one task of a stage as done, see `await_tasks`."""
    _add(stage, _LINE, 1)


@intrinsic
def _give_way(typing_context):  # type: ignore[no-untyped-def]
    """Let another thread have this core, if one waits for it."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        if platform.system() != "Windows":
            kind = ir.FunctionType(_INT32, [])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, "sched_yield"), [])
        return context.get_dummy_value()

    return types.none(), generate


@subroutine
def await_tasks(stage, tasks, share, board):
    """Wait until all tasks of a stage are done, and return True; or False if this share is not needed any more.

    Others do these tasks, in shares of the same job. Share 0 waits for them however long that takes, unless one got no memory;
    the others go after about a millisecond.
    """
    waited = 0
    while _load(stage, _LINE) < tasks:
        if waited < _SPINS:
            _pause()
            waited += 1
            continue
        if share > 0 or _load(board, ERROR) != 0:
            return False
        _give_way()
    return True
