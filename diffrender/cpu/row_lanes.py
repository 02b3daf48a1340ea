"""What kernels do in lanes with the pixels of two rows, BLOCK of each: numbers beside each other in memory."""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..lanes import BLOCK, LANES, LanesType, address_of, halves_of, indices, spread_scalar


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
def where_all(typing_context, a, b, c, d):  # type: ignore[no-untyped-def]
    """Return where four masks hold."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        first, second = builder.and_(*arguments[:2]), builder.and_(*arguments[2:])
        return builder.and_(first, second)

    return a(a, b, c, d), generate


@intrinsic
def put_pair_where(typing_context, array, first, second, mask, value):  # type: ignore[no-untyped-def]
    """Write one value to the places of a pair of blocks, see `store_pair`, where a mask holds."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        _, first, second, mask, number = arguments
        number = context.cast(builder, number, value, array.dtype)
        items = spread_scalar(builder, number, BLOCK)
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
def any_marked(typing_context, mask, marks, first, second, ids, third, fourth, face):  # type: ignore[no-untyped-def]
    """Return whether, in a lane where a mask holds, marks are not negative and ids are not `face`: integers of contiguous arrays,
    BLOCK of them from `first` on, and from `third`, and as many from `second` and `fourth`."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        inside, of_marks, first, second, of_ids, third, fourth, face = arguments
        found = None
        places = ((first, third), (second, fourth))
        for within, (place, other) in zip(halves_of(builder, inside), places, strict=True):
            mark, number = (
                builder.load(address_of(context, builder, kind, at, BLOCK), align=kind.dtype.bitwidth // 8)
                for kind, at in ((marks, (of_marks, place)), (ids, (of_ids, other)))
            )
            own = spread_scalar(builder, context.cast(builder, face, signature.args[-1], ids.dtype), BLOCK)
            is_other = builder.icmp_signed("!=", number, own)
            is_marked = builder.icmp_signed(">=", mark, ir.Constant(mark.type, None))
            here = builder.and_(within, builder.and_(is_marked, is_other))
            found = here if found is None else builder.or_(found, here)
        bits = ir.IntType(BLOCK)
        return builder.icmp_unsigned("!=", builder.bitcast(found, bits), ir.Constant(bits, 0))

    return types.boolean(mask, marks, types.intp, types.intp, ids, types.intp, types.intp, face), generate
