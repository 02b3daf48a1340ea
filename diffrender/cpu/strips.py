"""The memory of a strip: the unit of work of a thread, and how its rows lie there."""

from ..jit import formula
from ..lanes import BLOCK, COLUMNS, lower, put

STRIP_ROWS = 32  # a face of a dense mesh touches 1.3 strips; 32 rows of colour sums still fit in the L2 cache


@formula
def stride_of(width):
    """Return how many numbers a row of a strip takes: a block from the last column on still lies within its pair."""
    return width + COLUMNS


@formula
def strip_size(width):
    """Return how many numbers a strip takes, with room for a block that does not count."""
    return STRIP_ROWS * stride_of(width) + BLOCK


@formula
def strips_of(height):
    """Return how many strips an image has."""
    return (height + STRIP_ROWS - 1) // STRIP_ROWS


@formula
def rows_of(strip, strips, height):
    """Return of a strip, `strips` to a view, its view, the row it begins at and the one it ends before, and the same rows among
    those of all views' images, one below the other.

    Faces' coordinates are those of their view: float32 would round those of a tall image in other ways.
    """
    view = strip // strips
    top = (strip - view * strips) * STRIP_ROWS
    bottom = lower(top + STRIP_ROWS, height)
    return view, top, bottom, view * height + top, view * height + bottom


@formula
def slot_of(slots, bounds, face, top):
    """Return the gradient slot that a face has in the strip that begins at row `top`."""
    return slots[face] + top // STRIP_ROWS - bounds[face, 2] // STRIP_ROWS


@formula
def fill(array, begin, end, value):
    """Write a value to array[begin:end]: a slice would take Numba half a second to compile, for its error messages."""
    for i in range(begin, end):
        put(array, i, value)
