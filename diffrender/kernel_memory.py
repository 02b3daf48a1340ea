"""Memory that kernels take for themselves."""

from numba import types
from numba.extending import intrinsic

_LINE = 64  # bytes of a cache line


@intrinsic
def aligned(typing_context, count, like):  # type: ignore[no-untyped-def]
    """Return an empty array (count,) of the type of an array, or of a NumPy type; MemoryError if there is no memory for it.

    It begins at a cache line: a vector across two lines costs several times as much. And Numba takes several times as long to
    compile `np.empty`, for shapes and types that are not here.
    """
    element = like.dtype if isinstance(like, types.Array) else like.instance_type
    kind = types.Array(element, 1, "C")

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        width = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(element)))
        line = context.get_constant(types.uint32, _LINE)
        memory = context.nrt.meminfo_alloc_aligned(builder, builder.mul(arguments[0], width), line)
        array = context.make_array(kind)(context, builder)
        context.populate_array(
            array,
            data=builder.bitcast(context.nrt.meminfo_data(builder, memory), array.data.type),
            shape=(arguments[0],),
            strides=(width,),
            itemsize=width,
            meminfo=memory,
        )
        return array._getvalue()

    return kind(types.intp, like), generate
