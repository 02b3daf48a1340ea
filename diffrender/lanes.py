"""LANES numbers as one value, so that a kernel says itself what is done side by side: a compiler that has to find out
guesses wrongly when a loop changes a little.

A `Lanes` is a vector of LLVM, which splits it into what the processor has: one register of AVX-512, two of AVX2, four of
NEON. Formulas take scalars and lanes alike; instead of `a if c else b` they say `select(c, a, b)`.
"""

import itertools
import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import PrimitiveModel
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.extending import intrinsic, overload, register_model

LANES = 16  # float32 in a register of AVX-512, or in two of AVX2
# Of an image, lanes are two blocks of COLUMNS in two rows each: a blurred triangle of a dense mesh fills them best.
BLOCK = LANES // 2
COLUMNS = BLOCK // 2
STEPS = 8  # blocks beside each other, enough for most rows
# Sums keep the order in which they are written: the same bits whatever the compiler's version.
_FLAGS = ("contract", "nsz", "arcp", "afn")
_INT32 = ir.IntType(32)
_CPU_FIRST = {"target": "cpu"}  # Numba asks what is made for one target before what is made for all


class LanesType(types.Type):
    """LANES numbers of one precision, or whole numbers."""

    def __init__(self, dtype: types.Number):
        self.dtype = dtype
        super().__init__(name=f"Lanes({dtype})")


class MaskType(types.Type):
    """LANES truth values."""

    def __init__(self) -> None:
        super().__init__(name="Mask")


_LANES = {dtype: LanesType(dtype) for dtype in (types.float32, types.float64)}
_WHOLE = LanesType(types.int32)
_MASK = MaskType()


@register_model(LanesType)
class _LanesModel(PrimitiveModel):
    def __init__(self, manager: Any, kind: LanesType):
        number = {types.float32: ir.FloatType(), types.float64: ir.DoubleType()}.get(kind.dtype, _INT32)
        super().__init__(manager, kind, ir.VectorType(number, LANES))


@register_model(MaskType)
class _MaskModel(PrimitiveModel):
    def __init__(self, manager: Any, kind: MaskType):
        super().__init__(manager, kind, ir.VectorType(ir.IntType(1), LANES))


def _is_lanes(kind: Any) -> bool:
    return isinstance(kind, LanesType)


def _common(*kinds: Any) -> LanesType | None:
    """Return the type of lanes among arguments that are lanes or real scalars, or None if no formula of lanes fits them."""
    lanes = {kind for kind in kinds if _is_lanes(kind)}
    others = all(isinstance(kind, types.Float) for kind in kinds if not _is_lanes(kind))
    return lanes.pop() if len(lanes) == 1 and others and _WHOLE not in lanes else None


def indices(numbers: list[int]) -> ir.Constant:
    return ir.Constant(ir.VectorType(_INT32, len(numbers)), numbers)


def spread_scalar(builder: ir.IRBuilder, scalar: ir.Value, count: int = LANES) -> ir.Value:
    """Return a vector of a scalar, so many times."""
    undefined = ir.Constant(ir.VectorType(scalar.type, count), ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(_INT32, 0))
    return builder.shuffle_vector(first, undefined, indices([0] * count))


def _as_lanes(context: Any, builder: ir.IRBuilder, lanes: LanesType, kinds: tuple, values: list) -> list:
    """Return values that are lanes, or scalars of any precision, as lanes."""
    return [
        value if _is_lanes(kind) else spread_scalar(builder, context.cast(builder, value, kind, lanes.dtype))
        for kind, value in zip(kinds, values, strict=True)
    ]


def _define(symbol: Callable, arity: int, emit: Callable, result: Any = None, has_condition: bool = False) -> None:
    """Let `symbol` take lanes, and scalars beside them, by the instructions that `emit` makes of them.

    Numba's overloads do that with less code, but each is compiled by itself for each combination of types: seconds.
    """

    def lanes_among(kinds: tuple) -> LanesType | None:
        if len(kinds) != arity + has_condition or (has_condition and not isinstance(kinds[0], MaskType)):
            return None
        numbers = kinds[1:] if has_condition else kinds
        return _common(*numbers) or (_LANES.get(numbers[0]) if has_condition else None)

    class Template(AbstractTemplate):
        key = symbol
        metadata = _CPU_FIRST

        def generic(self, args: tuple, kws: dict) -> Any:
            lanes = None if kws else lanes_among(args)
            return lanes and (result or lanes)(*args)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        lanes = lanes_among(signature.args)
        assert lanes is not None
        values = _as_lanes(context, builder, lanes, signature.args[has_condition:], list(arguments[has_condition:]))
        return emit(builder, *arguments[:has_condition], *values)

    infer_global(symbol)(Template)
    for kinds in itertools.product((LanesType, types.Float), repeat=arity):
        if has_condition or LanesType in kinds:
            lower_builtin(symbol, *((MaskType,) if has_condition else ()), *kinds)(generate)


def _define_scalar(symbol: Callable, emit: Callable, has_condition: bool = False) -> None:
    """Let `symbol` take two scalars of the CPU by the instructions that `emit` makes of them; elsewhere it is an overload."""

    class Template(AbstractTemplate):
        key = symbol
        metadata = _CPU_FIRST

        def generic(self, args: tuple, kws: dict) -> Any:
            condition, numbers = args[: len(args) - 2], args[len(args) - 2 :]
            if kws or condition != (types.boolean,) * has_condition or not all(_is_scalar(kind) for kind in numbers):
                return None
            return self.context.unify_types(*numbers)(*args)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        pairs = list(zip(signature.args, arguments, strict=True))
        values = [context.cast(builder, value, kind, signature.return_type) for kind, value in pairs[has_condition:]]
        return emit(builder, *arguments[:has_condition], *values)

    infer_global(symbol)(Template)
    lower_builtin(symbol, *((types.Boolean,) if has_condition else ()), types.Number, types.Number)(generate)


def _is_scalar(kind: Any) -> bool:
    return isinstance(kind, types.Float) or (isinstance(kind, types.Integer) and kind.signed)


def _inline(function: Callable) -> Callable:
    """Register an overload for scalars that is always inlined."""
    return overload(function, jit_options={"forceinline": True})


def select(condition, a, b):  # type: ignore[no-untyped-def]
    """Return `a` where the condition holds, else `b`. Both are evaluated."""
    return a if condition else b


def lower(a, b):  # type: ignore[no-untyped-def]
    """Return the lower of two."""
    return a if a < b else b


def higher(a, b):  # type: ignore[no-untyped-def]
    """Return the higher of two."""
    return a if a > b else b


def fma(a, b, c):  # type: ignore[no-untyped-def]
    """Return a * b + c, rounded once where the processor can."""
    return a * b + c


def times_sign(value, sign):  # type: ignore[no-untyped-def]
    """Return value where `sign` is positive, -value where it is negative; at 0 either."""
    return value if sign > 0 else -value


@_inline(select)
def _(condition, a, b):  # type: ignore[no-untyped-def]
    return None if isinstance(condition, MaskType) else select


@_inline(lower)
def _(a, b):  # type: ignore[no-untyped-def]
    return None if _is_lanes(a) or _is_lanes(b) else lower


@_inline(higher)
def _(a, b):  # type: ignore[no-untyped-def]
    return None if _is_lanes(a) or _is_lanes(b) else higher


@_inline(fma)
def _(a, b, c):  # type: ignore[no-untyped-def]
    return None if _common(a, b, c) else fma


@_inline(times_sign)
def _(value, sign):  # type: ignore[no-untyped-def]
    return None if _is_lanes(value) else times_sign


def _compare(relation: str) -> Callable:
    return lambda builder, a, b: builder.fcmp_ordered(relation, a, b)


def _choose(relation: str) -> Callable:
    # Not `min` and `max`: those of Numba also mind NaN, and are three instructions instead of one.
    def choose(builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
        compare = builder.icmp_signed if isinstance(a.type, ir.IntType) else builder.fcmp_ordered
        return builder.select(compare(relation, a, b), a, b)

    return choose


def _flip(builder: ir.IRBuilder, value: ir.Value, sign: ir.Value) -> ir.Value:
    bits = _sign_bits(builder, [sign])
    return builder.bitcast(builder.xor(builder.bitcast(value, bits.type), bits), value.type)


_define(operator.add, 2, lambda builder, a, b: builder.fadd(a, b, flags=_FLAGS))
_define(operator.sub, 2, lambda builder, a, b: builder.fsub(a, b, flags=_FLAGS))
_define(operator.mul, 2, lambda builder, a, b: builder.fmul(a, b, flags=_FLAGS))
_define(operator.truediv, 2, lambda builder, a, b: builder.fdiv(a, b, flags=_FLAGS))
_define(operator.lt, 2, _compare("<"), _MASK)
_define(operator.le, 2, _compare("<="), _MASK)
_define(operator.gt, 2, _compare(">"), _MASK)
_define(operator.ge, 2, _compare(">="), _MASK)
_define(operator.neg, 1, lambda builder, a: builder.fneg(a, flags=_FLAGS))
_define(lower, 2, _choose("<"))
_define(higher, 2, _choose(">"))
_define(fma, 3, lambda builder, a, b, c: _call(builder, "fmuladd", [a, b, c]))
_define(times_sign, 2, _flip)
_define(select, 2, lambda builder, condition, a, b: builder.select(condition, a, b), has_condition=True)
_define_scalar(lower, _choose("<"))
_define_scalar(higher, _choose(">"))
_define_scalar(select, lambda builder, condition, a, b: builder.select(condition, a, b), has_condition=True)


def _call(builder: ir.IRBuilder, name: str, values: list) -> ir.Value:
    kind = values[0].type
    suffix = "f32" if kind.element == ir.FloatType() else "f64"
    name = f"llvm.{name}.v{kind.count}{suffix}"
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * len(values)), name)
    return builder.call(function, values)


@intrinsic
def negative_beside(typing_context, value, a, b, c):  # type: ignore[no-untyped-def]
    """Return value >= 0 where none of a, b, c has a minus sign, else -value: three operations that any unit can do."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        bits = _sign_bits(builder, list(arguments[1:]))
        return builder.bitcast(builder.or_(builder.bitcast(arguments[0], bits.type), bits), arguments[0].type)

    return value(value, a, b, c), generate


def _sign_bits(builder: ir.IRBuilder, values: list) -> ir.Value:
    """Return the sign bits that any of the values has, as integers."""
    width = 32 if values[0].type.element == ir.FloatType() else 64
    integers = ir.VectorType(ir.IntType(width), LANES)
    bits = builder.bitcast(values[0], integers)
    for value in values[1:]:
        bits = builder.or_(bits, builder.bitcast(value, integers))
    return builder.and_(bits, ir.Constant(integers, [1 << (width - 1)] * LANES))


def halves_of(builder: ir.IRBuilder, value: ir.Value) -> list[ir.Value]:
    return [builder.shuffle_vector(value, value, indices(list(range(begin, begin + BLOCK)))) for begin in (0, BLOCK)]


@intrinsic
def exp_of_lanes(typing_context, a):  # type: ignore[no-untyped-def]
    """Return e**a by the C library, lane after lane."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return _call(builder, "exp", list(arguments))

    return a(a), generate


@intrinsic
def log_of_lanes(typing_context, a):  # type: ignore[no-untyped-def]
    """Return the natural logarithm by the C library, lane after lane."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return _call(builder, "log", list(arguments))

    return a(a), generate


@intrinsic
def split_power(typing_context, a):  # type: ignore[no-untyped-def]
    """Return m in [sqrt(1/2), sqrt(2)) and n with a = m * 2**n, for normal a > 0 in float32."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        integers = ir.VectorType(_INT32, LANES)
        bits = builder.bitcast(arguments[0], integers)
        above = builder.sub(bits, ir.Constant(integers, [0x3F3504F3] * LANES))  # the bits of sqrt(1/2)
        places = ir.Constant(integers, [23] * LANES)
        power = builder.ashr(above, places)
        mantissa = builder.bitcast(builder.sub(bits, builder.shl(power, places)), arguments[0].type)
        return context.make_tuple(builder, signature.return_type, [mantissa, builder.sitofp(power, arguments[0].type)])

    return types.UniTuple(a, 2)(a), generate


@intrinsic
def scale_by_power(typing_context, mantissa, power):  # type: ignore[no-untyped-def]
    """Return mantissa * 2**n in float32, n being the integer in the lowest bits of `power`; the result must be normal."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        integers = ir.VectorType(_INT32, LANES)
        bits, exponent = (builder.bitcast(value, integers) for value in arguments)
        scaled = builder.add(bits, builder.shl(exponent, ir.Constant(integers, [23] * LANES)))
        return builder.bitcast(scaled, arguments[0].type)

    return mantissa(mantissa, power), generate


@intrinsic
def spread(typing_context, scalar):  # type: ignore[no-untyped-def]
    """Return a scalar in every lane."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return spread_scalar(builder, arguments[0])

    return _LANES[scalar](scalar), generate


@intrinsic
def lane_numbers(typing_context, like):  # type: ignore[no-untyped-def]
    """Return 0, 1, 2, ... in the precision of the scalar `like`."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        kind = ir.VectorType(context.get_value_type(like), LANES)
        return ir.Constant(kind, [float(lane) for lane in range(LANES)])

    return _LANES[like](like), generate


@intrinsic
def pair(typing_context, a, b):  # type: ignore[no-untyped-def]
    """Return scalar a in the lanes of the first block and b in those of the second."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        first, second = (spread_scalar(builder, value) for value in arguments)
        return builder.shuffle_vector(first, second, indices([*range(BLOCK), *range(LANES, LANES + BLOCK)]))

    return _LANES[a](a, b), generate


@intrinsic
def load_rows(typing_context, array, first, second):  # type: ignore[no-untyped-def]
    """Return two numbers of a contiguous array, those of a block's rows, in all its columns, for the first and second block."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        kind, align = context.get_value_type(array.dtype), array.dtype.bitwidth // 8
        addresses = [element_of(context, builder, array, (arguments[0], place)) for place in arguments[1:]]
        if align == 8:
            twice = ir.VectorType(kind, 2).as_pointer()
            both = [builder.load(builder.bitcast(address, twice), align=align) for address in addresses]
            return builder.shuffle_vector(*both, indices([0, 1] * COLUMNS + [2, 3] * COLUMNS))
        # Two of float32 as one of 64 bits: then LLVM finds the one instruction that lays out both blocks.
        wide = ir.IntType(64)
        both = []
        for address in addresses:
            rows = builder.load(builder.bitcast(address, wide.as_pointer()), align=align)
            both.append(spread_scalar(builder, rows, BLOCK))
        is_first = ir.Constant(ir.VectorType(ir.IntType(1), BLOCK), [True] * COLUMNS + [False] * COLUMNS)
        return builder.bitcast(builder.select(is_first, *both), ir.VectorType(kind, LANES))

    return _LANES[array.dtype](array, types.intp, types.intp), generate


@intrinsic
def load_pair(typing_context, array, first, second):  # type: ignore[no-untyped-def]
    """Return BLOCK numbers of a contiguous array from one place on and as many from another."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        halves = [
            builder.load(
                address_of(context, builder, array, (arguments[0], place), BLOCK), align=array.dtype.bitwidth // 8
            )
            for place in arguments[1:]
        ]
        return builder.shuffle_vector(*halves, indices(list(range(LANES))))

    return _LANES[array.dtype](array, types.intp, types.intp), generate


@intrinsic
def store_pair(typing_context, array, first, second, lanes):  # type: ignore[no-untyped-def]
    """Write the lanes of the first block from one place on, those of the second from another."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        for place, values in zip(arguments[1:3], halves_of(builder, arguments[3]), strict=True):
            address = address_of(context, builder, array, (arguments[0], place), BLOCK)
            builder.store(values, address, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.none(array, types.intp, types.intp, lanes), generate


@intrinsic
def load_apart(typing_context, array, place):  # type: ignore[no-untyped-def]
    """Return LANES numbers of each row of a pair, of which those of the first and the second take turns from `place` on."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        both = builder.load(address_of(context, builder, array, arguments, 2 * LANES), align=array.dtype.bitwidth // 8)
        rows = [builder.shuffle_vector(both, both, indices(list(range(k, 2 * LANES, 2)))) for k in (0, 1)]
        return context.make_tuple(builder, signature.return_type, rows)

    return types.UniTuple(_LANES[array.dtype], 2)(array, types.intp), generate


@intrinsic
def store_together(typing_context, array, place, first, second):  # type: ignore[no-untyped-def]
    """Write LANES numbers of each row of a pair, by turns, from `place` on."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        numbers = [number for lane in range(LANES) for number in (lane, LANES + lane)]
        both = builder.shuffle_vector(arguments[2], arguments[3], indices(numbers))
        address = address_of(context, builder, array, arguments, 2 * LANES)
        builder.store(both, address, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.none(array, types.intp, first, second), generate


@intrinsic
def load_four(typing_context, array, place):  # type: ignore[no-untyped-def]
    """Return each of the four channels of LANES pixels that a contiguous array has from `place` on."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        align = array.dtype.bitwidth // 8
        even, odd = indices(list(range(0, 2 * LANES, 2))), indices(list(range(1, 2 * LANES, 2)))
        # In two steps of two vectors each: LLVM takes a step of four apart, number by number.
        pairs = []
        for begin in range(0, 4 * LANES, 2 * LANES):
            halves = []
            for k in (begin, begin + LANES):
                where = builder.add(arguments[1], ir.Constant(arguments[1].type, k))
                halves.append(builder.load(address_of(context, builder, array, (arguments[0], where)), align=align))
            pairs.append([builder.shuffle_vector(*halves, numbers) for numbers in (even, odd)])
        first, second = zip(*pairs, strict=True)  # of channels 0 and 2, and of 1 and 3
        channels = [builder.shuffle_vector(*both, numbers) for numbers in (even, odd) for both in (first, second)]
        return context.make_tuple(builder, signature.return_type, channels)

    return types.UniTuple(_LANES[array.dtype], 4)(array, types.intp), generate


@intrinsic
def store_four(typing_context, array, place, a, b, c, d):  # type: ignore[no-untyped-def]
    """Write the four channels of LANES pixels, pixel by pixel, from `place` on."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        align = array.dtype.bitwidth // 8
        low, high = (
            indices([number for lane in range(begin, begin + BLOCK) for number in (lane, LANES + lane)])
            for begin in (0, BLOCK)
        )
        first, second, third, fourth = arguments[2:]
        vectors = []
        for numbers in (low, high):
            both = builder.shuffle_vector(first, third, numbers), builder.shuffle_vector(second, fourth, numbers)
            vectors += [builder.shuffle_vector(*both, half) for half in (low, high)]
        for k, vector in enumerate(vectors):
            where = builder.add(arguments[1], ir.Constant(arguments[1].type, k * LANES))
            builder.store(vector, address_of(context, builder, array, (arguments[0], where)), align=align)
        return context.get_dummy_value()

    return types.none(array, types.intp, a, b, c, d), generate


def element_of(context: Any, builder: ir.IRBuilder, kind: types.Array, arguments: tuple) -> ir.Value:
    array = cgutils.create_struct_proxy(kind)(context, builder, arguments[0])
    return builder.gep(array.data, [arguments[1]])


def address_of(
    context: Any, builder: ir.IRBuilder, kind: types.Array, arguments: tuple, count: int = LANES
) -> ir.Value:
    vector = ir.VectorType(context.get_value_type(kind.dtype), count)
    return builder.bitcast(element_of(context, builder, kind, arguments), vector.as_pointer())


@intrinsic
def load(typing_context, array, place):  # type: ignore[no-untyped-def]
    """Return LANES numbers of a contiguous array from `place` on, which must all lie within it."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.load(address_of(context, builder, array, arguments), align=array.dtype.bitwidth // 8)

    return _LANES[array.dtype](array, types.intp), generate


@intrinsic
def store(typing_context, array, place, lanes):  # type: ignore[no-untyped-def]
    """Write lanes to a contiguous array from `place` on."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        address = address_of(context, builder, array, arguments)
        builder.store(arguments[2], address, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.none(array, types.intp, lanes), generate


@intrinsic
def any_lane(typing_context, mask):  # type: ignore[no-untyped-def]
    """Return whether a mask holds in any lane."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        bits = ir.IntType(LANES)
        return builder.icmp_unsigned("!=", builder.bitcast(arguments[0], bits), ir.Constant(bits, 0))

    return types.boolean(mask), generate


@intrinsic
def at(typing_context, array, place):  # type: ignore[no-untyped-def]
    """Return array[place] of a contiguous array, for a place that is known to lie within it: never counted from the end."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.load(element_of(context, builder, array, arguments))

    return array.dtype(array, types.intp), generate


@intrinsic
def put(typing_context, array, place, value):  # type: ignore[no-untyped-def]
    """Write array[place] as `at` reads it."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        converted = context.cast(builder, arguments[2], value, array.dtype)
        builder.store(converted, element_of(context, builder, array, arguments))
        return context.get_dummy_value()

    return types.none(array, types.intp, value), generate


@intrinsic
def round_down(typing_context, a):  # type: ignore[no-untyped-def]
    """Return the largest whole number not above a, for lanes."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return _call(builder, "floor", list(arguments))

    return a(a), generate


@intrinsic
def root(typing_context, a):  # type: ignore[no-untyped-def]
    """Return the square root of lanes."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return _call(builder, "sqrt", list(arguments))

    return a(a), generate


@intrinsic
def magnitude(typing_context, a):  # type: ignore[no-untyped-def]
    """Return the absolute value of lanes."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return _call(builder, "fabs", list(arguments))

    return a(a), generate


@intrinsic
def sum_up(typing_context, sums, place, totals, count):  # type: ignore[no-untyped-def]
    """Write the totals of `count` (a literal) times LANES sums from `place` on, always added in the same order.

    `totals` must have room for a multiple of BLOCK numbers.
    """
    if not isinstance(count, types.IntegerLiteral):
        return None
    number = count.literal_value

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        align = sums.dtype.bitwidth // 8
        for begin in range(0, number, BLOCK):
            values = []
            for k in range(begin, min(begin + BLOCK, number)):
                where = builder.add(arguments[1], ir.Constant(arguments[1].type, k * LANES))
                value = builder.load(address_of(context, builder, sums, (arguments[0], where)), align=align)
                values.append(builder.fadd(*halves_of(builder, value), flags=_FLAGS))
            into = ir.Constant(arguments[1].type, begin)
            address = address_of(context, builder, totals, (arguments[2], into), BLOCK)
            builder.store(sums_of(builder, values), address, align=align)
        return context.get_dummy_value()

    return types.none(sums, types.intp, totals, count), generate


def sums_of(builder: ir.IRBuilder, values: list) -> ir.Value:
    """Return, for up to BLOCK vectors of BLOCK numbers, the total of the k-th as the k-th number."""
    # Each round halves the partial sums of two vectors and lays them side by side in one.
    width = BLOCK
    while width > 1:
        half = width // 2
        if len(values) % 2:
            values = [*values, values[-1]]
        low = [group + j for group in range(0, 2 * BLOCK, width) for j in range(half)]
        high = [place + half for place in low]
        values = [
            builder.fadd(
                builder.shuffle_vector(a, b, indices(low)),
                builder.shuffle_vector(a, b, indices(high)),
                flags=_FLAGS,
            )
            for a, b in zip(values[::2], values[1::2], strict=True)
        ]
        width = half
    return values[0]
