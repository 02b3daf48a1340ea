"""Four numbers of a pixel as one value, in float64: three channels, and q or alpha."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core.datamodel import PrimitiveModel
from numba.extending import intrinsic, register_model

from ..lanes import address_of, spread_scalar

FLAGS = ("contract", "nsz", "arcp", "afn")
_DOUBLES = ir.VectorType(ir.DoubleType(), 4)
_INT32 = ir.IntType(32)


class QuadType(types.Type):
    """Four numbers."""

    def __init__(self) -> None:
        super().__init__(name="Quad")


_QUAD = QuadType()


@register_model(QuadType)
class _QuadModel(PrimitiveModel):
    def __init__(self, manager: Any, kind: QuadType):
        super().__init__(manager, kind, _DOUBLES)


def _read(context: Any, builder: ir.IRBuilder, kind: types.Array, arguments: tuple) -> ir.Value:
    address = address_of(context, builder, kind, arguments, 4)
    numbers = builder.load(address, align=kind.dtype.bitwidth // 8)
    return numbers if kind.dtype == types.float64 else builder.fpext(numbers, _DOUBLES)


@intrinsic
def load_quad(typing_context, array, place):  # type: ignore[no-untyped-def]
    """Return four numbers of a contiguous array from `place` on."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return _read(context, builder, array, arguments)

    return _QUAD(array, types.intp), generate


@intrinsic
def quad_of(typing_context, a, b, c, d):  # type: ignore[no-untyped-def]
    """Return four numbers as one value."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        quad = ir.Constant(_DOUBLES, ir.Undefined)
        for k, number in enumerate(arguments):
            quad = builder.insert_element(quad, number, _INT32(k))
        return quad

    return _QUAD(types.float64, types.float64, types.float64, types.float64), generate


@intrinsic
def store_quad(typing_context, array, place, quad):  # type: ignore[no-untyped-def]
    """Write four numbers to a contiguous array from `place` on."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        number = context.get_value_type(array.dtype)
        value = arguments[2]
        if array.dtype != types.float64:
            value = builder.fptrunc(value, ir.VectorType(number, 4))
        builder.store(value, address_of(context, builder, array, arguments, 4), align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.none(array, types.intp, _QUAD), generate


@intrinsic
def add_quad(typing_context, array, place, quad):  # type: ignore[no-untyped-def]
    """Add four numbers to those of an array of float64 from `place` on."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        address = address_of(context, builder, array, arguments, 4)
        total = builder.fadd(builder.load(address, align=8), arguments[2], flags=())
        builder.store(total, address, align=8)
        return context.get_dummy_value()

    return types.none(array, types.intp, _QUAD), generate


@intrinsic
def times(typing_context, quad, factor):  # type: ignore[no-untyped-def]
    """Return a quad times a number."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.fmul(arguments[0], spread_scalar(builder, arguments[1], 4), flags=FLAGS)

    return _QUAD(_QUAD, types.float64), generate


@intrinsic
def add_times(typing_context, start, quad, factor):  # type: ignore[no-untyped-def]
    """Return start + quad * factor."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        start, quad, factor = arguments
        return builder.fadd(start, builder.fmul(quad, spread_scalar(builder, factor, 4), flags=FLAGS), flags=FLAGS)

    return _QUAD(_QUAD, _QUAD, types.float64), generate


@intrinsic
def number_of(typing_context, quad, place):  # type: ignore[no-untyped-def]
    """Return one of four numbers."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.extract_element(arguments[0], builder.trunc(arguments[1], _INT32))

    return types.float64(_QUAD, types.int64), generate


@intrinsic
def with_last(typing_context, quad, number):  # type: ignore[no-untyped-def]
    """Return a quad with another fourth number."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.insert_element(arguments[0], arguments[1], _INT32(3))

    return _QUAD(_QUAD, types.float64), generate


@intrinsic
def product_of_three(typing_context, first, second):  # type: ignore[no-untyped-def]
    """Return the sum of products of the first three numbers."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        products = builder.fmul(*arguments, flags=FLAGS)
        one, two, three = (builder.extract_element(products, _INT32(k)) for k in range(3))
        return builder.fadd(builder.fadd(one, two, flags=()), three, flags=())

    return types.float64(_QUAD, _QUAD), generate


@intrinsic
def product_of_four(typing_context, first, second):  # type: ignore[no-untyped-def]
    """Return the sum of products of all four numbers."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        products = builder.fmul(*arguments, flags=FLAGS)
        one, two, three, four = (builder.extract_element(products, _INT32(k)) for k in range(4))
        return builder.fadd(builder.fadd(one, two, flags=()), builder.fadd(three, four, flags=()), flags=())

    return types.float64(_QUAD, _QUAD), generate
