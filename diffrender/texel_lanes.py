"""What kernels do in lanes with texels, which lie anywhere in memory: where they are, and how they are loaded and added to."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .lanes import BLOCK, LANES, LanesType, address_of, element_of, halves_of, indices, spread_scalar

SHIFT = 6  # a chunk are 2**SHIFT texels
ADDED = 4  # numbers of a texel where it is loaded or added to: a vector
_INT32 = ir.IntType(32)
_WHOLE = LanesType(types.int32)


@intrinsic
def whole(typing_context, a):  # type: ignore[no-untyped-def]
    """Return lanes of reals that are whole numbers as such, of 32 bits."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.fptosi(arguments[0], ir.VectorType(_INT32, LANES))

    return _WHOLE(a), generate


@intrinsic
def power_of_two(typing_context, n):  # type: ignore[no-untyped-def]
    """Return 2**n for lanes of whole numbers whose power is normal."""
    width, places, bias = (32, 23, 127) if n.dtype == types.float32 else (64, 52, 1023)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        integers = ir.VectorType(ir.IntType(width), LANES)
        power = builder.sext(builder.fptosi(arguments[0], ir.VectorType(_INT32, LANES)), integers)
        biased = builder.add(power, ir.Constant(integers, [bias] * LANES))
        return builder.bitcast(builder.shl(biased, ir.Constant(integers, [places] * LANES)), arguments[0].type)

    return n(n), generate


@intrinsic
def place_in(typing_context, start, row, width, column):  # type: ignore[no-untyped-def]
    """Return start + row * width + column of lanes of whole numbers."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        start, row, width, column = arguments
        return builder.add(builder.add(start, builder.mul(row, width)), column)

    return _WHOLE(_WHOLE, _WHOLE, _WHOLE, _WHOLE), generate


@intrinsic
def starts_of(typing_context, offsets, level):  # type: ignore[no-untyped-def]
    """Return where levels, whole numbers in lanes, begin: the integers of `offsets` at their places, or 0 if it has but one."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        nothing = ir.Constant(ir.VectorType(_INT32, LANES), None)
        length = context.make_array(offsets)(context, builder, arguments[0]).nitems
        result = cgutils.alloca_once_value(builder, nothing)
        with builder.if_then(builder.icmp_signed(">", length, length.type(1))):
            found = nothing
            for lane in range(LANES):
                place = builder.sext(builder.extract_element(arguments[1], _INT32(lane)), ir.IntType(64))
                number = builder.load(element_of(context, builder, offsets, (arguments[0], place)))
                found = builder.insert_element(found, builder.trunc(number, _INT32), _INT32(lane))
            builder.store(found, result)
        return builder.load(result)

    return _WHOLE(offsets, _WHOLE), generate


@intrinsic
def load_texels(typing_context, texels, cells, place):  # type: ignore[no-untyped-def]
    """Return the three channels of LANES texels, whose numbers cells (int32) holds from `place` on, as lanes.

    One more number than the texels have must lie behind the last: each is loaded with the first of the next.
    """

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        halves = []
        for begin in (0, BLOCK):
            rows = []
            for lane in range(begin, begin + ADDED):  # of lanes k and k + 4 in one register
                pair = [_texel(context, builder, texels, cells, arguments, lane + step) for step in (0, ADDED)]
                rows.append(builder.shuffle_vector(*pair, indices(list(range(2 * ADDED)))))
            halves.append(_transposed(builder, rows)[:3])
        channels = [builder.shuffle_vector(*pair, indices(list(range(LANES)))) for pair in zip(*halves, strict=True)]
        return context.make_tuple(builder, signature.return_type, channels)

    return types.UniTuple(LanesType(texels.dtype), 3)(texels, cells, types.intp), generate


def _texel(context: Any, builder: ir.IRBuilder, texels: Any, cells: Any, arguments: tuple, lane: int) -> ir.Value:
    place = builder.add(arguments[2], ir.Constant(arguments[2].type, lane))
    number = builder.sext(builder.load(element_of(context, builder, cells, (arguments[1], place))), ir.IntType(64))
    first = builder.mul(number, ir.Constant(number.type, 3))
    address = address_of(context, builder, texels, (arguments[0], first), ADDED)
    return builder.load(address, align=texels.dtype.bitwidth // 8)


def _transposed(builder: ir.IRBuilder, rows: list) -> list:
    """Return four vectors of 2 x 4 numbers with rows and columns exchanged in each half."""

    def both(a: ir.Value, b: ir.Value, numbers: tuple) -> ir.Value:
        """Pick numbers of the first half of a (0 to 3) and b (4 to 7), and the same of the second."""
        first = [number if number < 4 else number + 4 for number in numbers]
        return builder.shuffle_vector(a, b, indices([*first, *(number + 4 for number in first)]))

    low, high = (0, 4, 1, 5), (2, 6, 3, 7)
    a, b, c, d = rows
    ab, cd, ab_high, cd_high = both(a, b, low), both(c, d, low), both(a, b, high), both(c, d, high)
    first, second = (0, 1, 4, 5), (2, 3, 6, 7)
    return [both(ab, cd, first), both(ab, cd, second), both(ab_high, cd_high, first), both(ab_high, cd_high, second)]


@intrinsic
def store_texels(typing_context, array, place, red, green, blue):  # type: ignore[no-untyped-def]
    """Write lanes as LANES times (red, green, blue, 0) to an array from `place` on."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        halves = zip(*(halves_of(builder, value) for value in arguments[2:]), strict=True)
        for begin, channels in zip((0, BLOCK), halves, strict=True):
            nothing = ir.Constant(channels[0].type, None)
            for lane, row in enumerate(_transposed(builder, [*channels, nothing])):
                for step in (0, ADDED):
                    numbers = indices(list(range(step, step + ADDED)))
                    into = ir.Constant(arguments[1].type, (begin + lane + step) * ADDED)
                    where = builder.add(arguments[1], into)
                    address = address_of(context, builder, array, (arguments[0], where), ADDED)
                    builder.store(builder.shuffle_vector(row, row, numbers), address, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.none(array, types.intp, red, green, blue), generate


@intrinsic
def add_to_texels(typing_context, grid, touched, cells, values, shares, where, unit):  # type: ignore[no-untyped-def]
    """Add to the four texels of each lane in which a mask holds, whose numbers cells (int32) has, their share of the lane's four
    values, in whole numbers of 1 / unit, to four of grid (int64); set their chunks in `touched` (uint8) to 1.

    What is added must be below 2**51: 1.5 * 2**52 is added to it, whose last bit is 1, so that what is left when its bits are
    taken away from those of the sum is the number, rounded.
    """
    rounding = 1.5 * 2**52
    long = ir.IntType(64)
    doubles, longs = ir.VectorType(ir.DoubleType(), ADDED), ir.VectorType(long, ADDED)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        of_unit = spread_scalar(builder, arguments[6], ADDED)
        magic = ir.Constant(doubles, [rounding] * ADDED)
        left = cgutils.alloca_once_value(builder, builder.zext(builder.bitcast(arguments[5], ir.IntType(LANES)), long))
        begin, body, end = (builder.append_basic_block(name) for name in ("lanes", "lane", "done"))
        builder.branch(begin)
        builder.position_at_end(begin)
        lanes = builder.load(left)
        builder.cbranch(builder.icmp_unsigned("!=", lanes, long(0)), body, end)
        builder.position_at_end(body)
        lane = builder.cttz(lanes, ir.IntType(1)(1))
        builder.store(builder.and_(lanes, builder.sub(lanes, long(1))), left)
        address = address_of(context, builder, values, (arguments[3], builder.mul(lane, long(ADDED))), ADDED)
        value = builder.load(address, align=values.dtype.bitwidth // 8)
        for corner in range(4):
            place = builder.add(lane, long(corner * LANES))
            cell = builder.sext(builder.load(element_of(context, builder, cells, (arguments[2], place))), long)
            share = builder.load(element_of(context, builder, shares, (arguments[4], place)))
            product = builder.fmul(value, spread_scalar(builder, share, ADDED))
            if product.type != doubles:
                product = builder.fpext(product, doubles)
            counted = builder.bitcast(builder.fadd(builder.fmul(product, of_unit), magic), longs)
            number = builder.sub(counted, builder.bitcast(magic, longs))
            into = address_of(context, builder, grid, (arguments[0], builder.mul(cell, long(ADDED))), ADDED)
            builder.store(builder.add(builder.load(into, align=8), number), into, align=8)
            chunk = builder.ashr(cell, long(SHIFT))
            builder.store(ir.IntType(8)(1), element_of(context, builder, touched, (arguments[1], chunk)))
        builder.branch(begin)
        builder.position_at_end(end)
        return context.get_dummy_value()

    return types.none(grid, touched, cells, values, shares, where, types.float64), generate
