"""What kernels do in lanes with pixels beside each other that see one face: values of three channels there, and back.

A slot has QUADS numbers: those of a plane c0 + cx x + cy y in the image for each of three channels times q, and q.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..lanes import BLOCK, address_of, indices, spread_scalar, sums_of
from .quads import FLAGS

_DOUBLES = ir.VectorType(ir.DoubleType(), BLOCK)
_INT32 = ir.IntType(32)


def _first_four(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    return builder.shuffle_vector(value, value, indices([0, 1, 2, 3]))


def _times(builder: ir.IRBuilder, *factors: ir.Value) -> ir.Value:
    return builder.fmul(*factors, flags=FLAGS)


def _plus(builder: ir.IRBuilder, *terms: ir.Value) -> ir.Value:
    return builder.fadd(*terms, flags=FLAGS)


def _along(builder: ir.IRBuilder, start: ir.Value) -> ir.Value:
    """Return start, start + 1, ..."""
    return _plus(
        builder, spread_scalar(builder, start, BLOCK), ir.Constant(_DOUBLES, [float(lane) for lane in range(BLOCK)])
    )


def _planes_at(
    context: Any, builder: ir.IRBuilder, kind: Any, planes: ir.Value, place: ir.Value, x: ir.Value, y: ir.Value
) -> list[ir.Value]:
    """Return the four numbers of a slot at (x, y), ..., each in lanes."""
    start, by_x, by_y = (
        builder.load(address_of(context, builder, kind, (planes, builder.add(place, place.type(4 * k))), 4), align=8)
        for k in range(3)
    )
    on_row = _plus(builder, start, _times(builder, by_y, spread_scalar(builder, y, 4)))
    return [
        _plus(
            builder,
            builder.shuffle_vector(on_row, on_row, indices([k] * BLOCK)),
            _times(builder, builder.shuffle_vector(by_x, by_x, indices([k] * BLOCK)), x),
        )
        for k in range(4)
    ]


def _inverse(builder: ir.IRBuilder, q: ir.Value) -> ir.Value:
    return builder.fdiv(ir.Constant(_DOUBLES, [1.0] * BLOCK), q, flags=FLAGS)


@intrinsic
def fill_run(typing_context, planes, slot_place, x, y, values, place):  # type: ignore[no-untyped-def]
    """Write the values (..., 4) of BLOCK pixels from `place` on, at (x, y), (x + 1, y), ..., the last of each being 1."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        flat, slot_place, x, y, into, place = arguments
        *quantities, q = _planes_at(context, builder, planes, flat, slot_place, _along(builder, x), y)
        inverse = _inverse(builder, q)
        lanes = [*(_times(builder, quantity, inverse) for quantity in quantities), ir.Constant(_DOUBLES, [1.0] * BLOCK)]
        number = context.get_value_type(values.dtype)
        if values.dtype != types.float64:
            lanes = [builder.fptrunc(value, ir.VectorType(number, BLOCK)) for value in lanes]
        pairs = [builder.shuffle_vector(*lanes[k : k + 2], indices(list(range(2 * BLOCK)))) for k in (0, 2)]
        turns = [channel * BLOCK + lane for lane in range(BLOCK) for channel in range(4)]
        address = address_of(context, builder, values, (into, place), 4 * BLOCK)
        builder.store(builder.shuffle_vector(*pairs, indices(turns)), address, align=values.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.none(planes, types.intp, types.float64, types.float64, values, types.intp), generate


@intrinsic
def add_run(typing_context, planes, slot_place, x, y, dx, dy, grads, place, count, sums):  # type: ignore[no-untyped-def]
    """Add to a slot's sums what `count` <= BLOCK pixels give that `fill_run` filled, for grads (..., 4) from `place` on: of g / q
    for each channel and g . value / q, and of these times dx, dx + 1, ..., and times dy. Of grads BLOCK pixels are read."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        flat, slot_place, x, y, dx, dy, given, place, count, into = arguments
        *quantities, q = _planes_at(context, builder, planes, flat, slot_place, _along(builder, x), y)
        inverse = _inverse(builder, q)
        address = address_of(context, builder, grads, (given, place), 4 * BLOCK)
        both = builder.load(address, align=grads.dtype.bitwidth // 8)
        numbers = ir.VectorType(_INT32, BLOCK)
        lanes = ir.Constant(numbers, list(range(BLOCK)))
        within = builder.icmp_signed("<", lanes, spread_scalar(builder, builder.trunc(count, _INT32), BLOCK))
        weighed, along = [], None
        for channel in range(3):
            grad = builder.shuffle_vector(both, both, indices([4 * lane + channel for lane in range(BLOCK)]))
            if grads.dtype != types.float64:
                grad = builder.fpext(grad, _DOUBLES)
            # What lies beyond is no number, perhaps.
            grad = builder.select(within, _times(builder, grad, inverse), ir.Constant(_DOUBLES, None))
            product = builder.select(within, _times(builder, grad, quantities[channel]), ir.Constant(_DOUBLES, None))
            along = product if along is None else _plus(builder, along, product)
            weighed.append(grad)
        weighed.append(builder.select(within, _times(builder, along, inverse), ir.Constant(_DOUBLES, None)))
        from_corner = _along(builder, dx)
        totals = sums_of(builder, [*weighed, *(_times(builder, value, from_corner) for value in weighed)])
        _add_to(context, builder, sums, into, slot_place, totals)
        by_y = _times(builder, _first_four(builder, totals), spread_scalar(builder, dy, 4))
        _add_to(context, builder, sums, into, builder.add(slot_place, slot_place.type(BLOCK)), by_y)
        return context.get_dummy_value()

    numbers = (types.float64,) * 4
    return types.none(planes, types.intp, *numbers, grads, types.intp, types.intp, sums), generate


def _add_to(context: Any, builder: ir.IRBuilder, kind: Any, array: ir.Value, place: ir.Value, values: ir.Value) -> None:
    address = address_of(context, builder, kind, (array, place), values.type.count)
    builder.store(builder.fadd(builder.load(address, align=8), values, flags=()), address, align=8)
