"""What lanes do with blocks' integers. A block is one: its column from its face's origin on, the number of the face in its
batch from bit NUMBER_BIT on, and from PAIR_BIT on the pair of rows, counted from the face's first.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..lanes import (
    _INT32,
    _LANES,
    BLOCK,
    COLUMNS,
    LANES,
    STEPS,
    LanesType,
    address_of,
    element_of,
    indices,
    spread_scalar,
)

NUMBER_BIT, PAIR_BIT = 22, 26
COLUMN_MASK = 2**NUMBER_BIT - 1

_VECTOR = ir.VectorType(_INT32, LANES)
_WHOLE = LanesType(types.int32)


def _constant(numbers: Any, kind: ir.Type) -> ir.Constant:
    return ir.Constant(ir.VectorType(kind, LANES), list(numbers))


@intrinsic
def coordinates_of(typing_context, blocks, block, like):  # type: ignore[no-untyped-def]
    """Return x and y of the pixels of a block and the next one, which go down before they go across, from their face's origin on,
    in the precision of the scalar `like`."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        address = address_of(context, builder, blocks, arguments[:2], 2)
        both = builder.load(address, align=4)
        real, twice = context.get_value_type(like), ir.VectorType(_INT32, 2)
        columns = builder.and_(both, ir.Constant(twice, [COLUMN_MASK] * 2))
        rows = builder.shl(builder.lshr(both, ir.Constant(twice, [PAIR_BIT] * 2)), ir.Constant(twice, [1, 1]))
        apart = indices([0] * BLOCK + [1] * BLOCK)
        results = []
        for integers, within in ((columns, lambda lane: lane % BLOCK // 2), (rows, lambda lane: lane % 2)):
            reals = builder.sitofp(integers, ir.VectorType(real, 2))  # as two: LANES of them take eight times as long
            spread = builder.shuffle_vector(reals, reals, apart)
            offsets = _constant([float(within(lane)) for lane in range(LANES)], real)
            results.append(builder.fadd(spread, offsets))
        return context.make_tuple(builder, signature.return_type, results)

    return types.UniTuple(_LANES[like], 2)(blocks, types.intp, like), generate


@intrinsic
def put_items(typing_context, array, place, first):  # type: ignore[no-untyped-def]
    """Write STEPS blocks, `first` and then COLUMNS more each time, to an array of int32 from `place` on."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        vector = ir.VectorType(_INT32, STEPS)
        item = context.cast(builder, arguments[2], first, types.int32)
        items = builder.add(
            spread_scalar(builder, item, STEPS), ir.Constant(vector, [k * COLUMNS for k in range(STEPS)])
        )
        address = builder.bitcast(element_of(context, builder, array, arguments), vector.as_pointer())
        builder.store(items, address, align=4)
        return context.get_dummy_value()

    return types.none(array, types.intp, first), generate


@intrinsic
def put_sums(typing_context, array, place, terms, first, more):  # type: ignore[no-untyped-def]
    """Write LANES integers of `terms` (int32) from `first` on, plus `more`, to an array of int32 from `place` on."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        values = builder.load(address_of(context, builder, terms, (arguments[2], arguments[3])), align=4)
        summand = spread_scalar(builder, context.cast(builder, arguments[4], more, types.int32))
        address = builder.bitcast(element_of(context, builder, array, arguments), _VECTOR.as_pointer())
        builder.store(builder.add(values, summand), address, align=4)
        return context.get_dummy_value()

    return types.none(array, types.intp, terms, types.intp, more), generate


@intrinsic
def put_integers(typing_context, array, place, lanes, first, step):  # type: ignore[no-untyped-def]
    """Write lanes that are whole numbers, plus `first`, `first` + `step`, ..., to an array of int32 from `place` on."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        start, more = (
            spread_scalar(builder, context.cast(builder, value, kind, types.int32))
            for value, kind in zip(arguments[3:], (first, step), strict=True)
        )
        steps = builder.add(start, builder.mul(more, _constant(range(LANES), _INT32)))
        address = builder.bitcast(element_of(context, builder, array, arguments), _VECTOR.as_pointer())
        builder.store(builder.add(builder.fptosi(arguments[2], _VECTOR), steps), address, align=4)
        return context.get_dummy_value()

    return types.none(array, types.intp, lanes, first, step), generate


@intrinsic
def columns_of(typing_context, table, width, rows, place, count):  # type: ignore[no-untyped-def]
    """Return the columns of a table (N, width), a literal width, as lanes: of the rows that `rows` (int32) names from `place` on.

    Where there are but `count` of them, the last takes the other lanes.
    """
    if not isinstance(width, types.IntegerLiteral):
        return None
    columns = width.literal_value
    lanes = _WHOLE if table.dtype == types.int32 else _LANES[table.dtype]

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        integer = arguments[3].type
        last = builder.sub(arguments[4], integer(1))
        kind = ir.VectorType(context.get_value_type(table.dtype), columns).as_pointer()
        listed = []
        for lane in range(LANES):
            number = builder.select(builder.icmp_signed("<", last, integer(lane)), last, integer(lane))
            where = builder.add(arguments[3], number)
            row = builder.load(element_of(context, builder, rows, (arguments[2], where)))
            cell = builder.mul(builder.sext(row, integer), integer(columns))
            address = builder.bitcast(element_of(context, builder, table, (arguments[0], cell)), kind)
            listed.append(builder.load(address, align=table.dtype.bitwidth // 8))
        return context.make_tuple(builder, signature.return_type, _transposed(builder, listed))

    return types.UniTuple(lanes, columns)(table, width, rows, types.intp, types.intp), generate


def _transposed(builder: ir.IRBuilder, rows: list) -> list:
    """Return the columns of LANES rows."""
    groups, height = [[row] for row in rows], 1  # vectors of some columns each, of so many rows
    while height < LANES:
        merged = []
        for above, below in zip(groups[::2], groups[1::2], strict=True):
            count = above[0].type.count
            order = [
                half + column + k for column in range(0, count, height) for half in (0, count) for k in range(height)
            ]
            merged.append(
                [
                    builder.shuffle_vector(*both, indices(order[k : k + LANES]))
                    for both in zip(above, below, strict=True)
                    for k in range(0, 2 * count, LANES)
                ]
            )
        groups, height = merged, 2 * height
    return groups[0]


@intrinsic
def as_reals(typing_context, whole, like):  # type: ignore[no-untyped-def]
    """Return whole numbers in lanes as reals in the precision of the scalar `like`."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.sitofp(arguments[0], ir.VectorType(context.get_value_type(like), LANES))

    return _LANES[like](_WHOLE, like), generate


@intrinsic
def put_origins(typing_context, array, rows, stride, columns):  # type: ignore[no-untyped-def]
    """Write where in a strip, whose rows take `stride` numbers, lanes' pairs of rows (reals) and columns begin."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        apart = spread_scalar(builder, builder.trunc(arguments[2], _INT32))
        along = builder.mul(builder.fptosi(arguments[1], _VECTOR), apart)
        across = builder.add(arguments[3], arguments[3])
        zero = ir.Constant(ir.IntType(64), 0)
        address = address_of(context, builder, array, (arguments[0], zero))
        builder.store(builder.add(along, across), address, align=4)
        return context.get_dummy_value()

    return types.none(array, rows, types.int64, _WHOLE), generate
