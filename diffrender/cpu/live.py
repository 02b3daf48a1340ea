"""Which parts of a strip send anything back: of a dense mesh, whose inside is opaque, only what is near its outline does."""

import numpy as np

from ..formulas.constants import ZERO
from ..jit import formula, subroutine
from ..kernel_memory import aligned
from ..lanes import at, higher, lower, put
from .strips import STRIP_ROWS

_ROWS = 8  # of a band


@subroutine
def new_live(width):
    """Return the memory for `count_live`."""
    return aligned(STRIP_ROWS // _ROWS * (width + 1), np.int32)


@subroutine
def count_live(upstream, rows, width, stride, live):
    """Write for each band of a strip in how many of the columns before each one there is something upstream."""
    for band in range((rows + _ROWS - 1) // _ROWS):
        into, total = band * (width + 1), 0
        put(live, into, 0)
        for column in range(width):
            found = False
            for pair in range(band * _ROWS // 2, lower((band + 1) * _ROWS, rows + 1) // 2):
                place = 2 * (pair * stride + column)
                found = found or at(upstream, place) != ZERO or at(upstream, place + 1) != ZERO
            total += 1 if found else 0
            put(live, into + column + 1, total)


@formula
def is_live(live, bounds, face, top, bottom, width):
    """Return whether anything is upstream where a face can reach in the strip from `top` to `bottom`."""
    left, right = np.int64(bounds[face, 0]), np.int64(bounds[face, 1]) + 1
    first = (higher(np.int64(bounds[face, 2]), top) - top) // _ROWS
    last = (lower(np.int64(bounds[face, 3]), bottom - 1) - top) // _ROWS
    found = 0
    for band in range(first, last + 1):
        found += at(live, band * (width + 1) + right) - at(live, band * (width + 1) + left)
    return found > 0


@formula
def put_nothing(entry_gradients, slot):
    """Write to a slot that nothing comes back."""
    for k in range(entry_gradients.shape[1]):
        entry_gradients[slot, k] = ZERO
