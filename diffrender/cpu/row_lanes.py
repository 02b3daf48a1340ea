"""What kernels do in lanes with the pixels of two rows, BLOCK of each: numbers beside each other in memory."""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..lanes import BLOCK, LANES, LanesType, address_of, halves_of, indices

_RGB = 3


@intrinsic
def load_colors(typing_context, array, place):  # type: ignore[no-untyped-def]
    """Return red, green and blue of LANES pixels of a contiguous array, three numbers each from `place` on."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        array_value, place = arguments
        parts = []
        for k in range(_RGB):
            where = builder.add(place, ir.Constant(place.type, k * LANES))
            address = address_of(context, builder, array, (array_value, where))
            parts.append(builder.load(address, align=array.dtype.bitwidth // 8))
        results = []
        for channel in range(_RGB):
            places = [_RGB * lane + channel for lane in range(LANES)]
            both = builder.shuffle_vector(*parts[:2], indices([where % (2 * LANES) for where in places]))
            order = [lane if where < 2 * LANES else where - LANES for lane, where in enumerate(places)]
            results.append(builder.shuffle_vector(both, parts[2], indices(order)))
        return context.make_tuple(builder, signature.return_type, results)

    return types.UniTuple(LanesType(array.dtype), _RGB)(array, types.intp), generate


@intrinsic
def store_colors(typing_context, array, place, red, green, blue):  # type: ignore[no-untyped-def]
    """Write red, green and blue of LANES pixels to a contiguous array, three numbers each from `place` on."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        array_value, place, *colors = arguments
        for k in range(_RGB):
            cells = [divmod(k * LANES + lane, _RGB) for lane in range(LANES)]
            both = builder.shuffle_vector(
                *colors[:2], indices([pixel + channel % 2 * LANES for pixel, channel in cells])
            )
            order = [lane if channel < 2 else LANES + pixel for lane, (pixel, channel) in enumerate(cells)]
            where = builder.add(place, ir.Constant(place.type, k * LANES))
            address = address_of(context, builder, array, (array_value, where))
            builder.store(
                builder.shuffle_vector(both, colors[2], indices(order)), address, align=array.dtype.bitwidth // 8
            )
        return context.get_dummy_value()

    return types.none(array, types.intp, red, green, blue), generate


@intrinsic
def columns_twice(typing_context, like):  # type: ignore[no-untyped-def]
    """Return 0, 1, ... BLOCK - 1 twice, in the precision of the scalar `like`."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        kind = ir.VectorType(context.get_value_type(like), LANES)
        return ir.Constant(kind, [float(lane % BLOCK) for lane in range(LANES)])

    return LanesType(like)(like), generate


@intrinsic
def cross_exactly(typing_context, a, b, c, d):  # type: ignore[no-untyped-def]
    """Return a b - c d of lanes, both products rounded: exchanging (a, b) with (c, d) turns the sign and changes nothing else."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        first, second = builder.fmul(*arguments[:2], flags=()), builder.fmul(*arguments[2:], flags=())
        return builder.fsub(first, second, flags=())

    return a(a, a, a, a), generate


@intrinsic
def put_pair_where(typing_context, array, first, second, mask, value):  # type: ignore[no-untyped-def]
    """Write one value to the places of a pair of blocks, see `store_pair`, where a mask holds."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        _, first, second, mask, number = arguments
        number = context.cast(builder, number, value, array.dtype)
        vector = ir.VectorType(number.type, BLOCK)
        undefined = ir.Constant(vector, ir.Undefined)
        item = builder.insert_element(undefined, number, ir.Constant(ir.IntType(32), 0))
        items = builder.shuffle_vector(item, undefined, indices([0] * BLOCK))
        for place, chosen in zip((first, second), halves_of(builder, mask), strict=True):
            address = address_of(context, builder, array, (arguments[0], place), BLOCK)
            align = array.dtype.bitwidth // 8
            known = builder.load(address, align=align)
            builder.store(builder.select(chosen, items, known), address, align=align)
        return context.get_dummy_value()

    return types.none(array, types.intp, types.intp, mask, value), generate


@intrinsic
def lowest_lane(typing_context, lanes):  # type: ignore[no-untyped-def]
    """Return the lowest number in lanes, none of which is NaN."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        value, count = arguments[0], LANES
        while count > 1:
            count //= 2
            low = builder.shuffle_vector(value, value, indices(list(range(count))))
            high = builder.shuffle_vector(value, value, indices(list(range(count, 2 * count))))
            value = builder.select(builder.fcmp_ordered("<", low, high), low, high)
        return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))

    return lanes.dtype(lanes), generate


@intrinsic
def all_negative(typing_context, array, place):  # type: ignore[no-untyped-def]
    """Return whether BLOCK integers of a contiguous array, from `place` on, are all negative."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        address = address_of(context, builder, array, arguments, BLOCK)
        numbers = builder.load(address, align=array.dtype.bitwidth // 8)
        is_negative = builder.icmp_signed("<", numbers, ir.Constant(numbers.type, None))
        bits = ir.IntType(BLOCK)
        return builder.icmp_signed("==", builder.bitcast(is_negative, bits), ir.Constant(bits, -1))

    return types.boolean(array, types.intp), generate
