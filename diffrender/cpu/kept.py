"""Lists of blocks that the way forward leaves for the way back, as far as there is room: what is not kept is found again.

`kept` are the blocks (N,) int32 of `diffrender.cpu.spans`, batch after batch, and notes (1 + 2 B,) int64: how many pieces of the
room are taken, and of each of B batches where its blocks begin and end, -1 for the first if they are not there. Where they are
depends on which thread was first, what is read there does not.
"""

from functools import lru_cache

import numpy as np

from ..jit import borrower
from ..lanes import LANES, at, lower, put
from ..memory import Layout, arrays_of
from ..spin import claim
from ..threads import get_num_threads
from .bins import Bins, room_for_entries
from .block_lanes import put_sums
from .spans import BATCH, are_in_group, list_blocks

_MOST = 1 << 23  # blocks, 32 MB: what goes through the caches faster than it is found
_PER_ENTRY = 32  # blocks: of faces that have more, finding them is little of the work
_PIECE = 1 << 13  # blocks, which a thread takes for itself at a time
_REST = 1 << 9  # blocks, which a batch of a dense mesh has: with less it takes the next piece


def new_kept(bins: Bins, most: int = _MOST) -> tuple[np.ndarray, np.ndarray]:
    """Return room for the blocks of all faces of a usual size, but for `most` blocks at most."""
    entries = len(bins.entries)
    pieces = min(most, entries * _PER_ENTRY + get_num_threads() * _PIECE) // _PIECE
    # For as many batches as there was room for: in a fit the number of entries is another one at each step.
    batches = max(entries, room_for_entries(len(bins.corners))) // BATCH + len(bins.starts)
    blocks, notes = arrays_of(_layout(pieces, batches))
    notes[0] = 0
    return blocks, notes


@lru_cache(maxsize=64)
def _layout(pieces: int, batches: int) -> Layout:
    return Layout(((pieces * _PIECE,), np.int32), ((1 + 2 * batches,), np.int64))


@borrower
def room_for(kept, begin, limit):
    """Return from where to where there is room for a batch, which is `begin` to `limit` if that is enough."""
    blocks, notes = kept
    if begin + _REST > limit:
        begin = claim(notes) * _PIECE
        limit = lower(begin + _PIECE, len(blocks)) - LANES
    return begin, limit


@borrower
def keep(kept, place, limit, lists, count):
    """Write listed blocks to a place, if there is room, and return the place behind them."""
    end = place + count
    if end <= limit:
        for k in range(0, count, LANES):
            put_sums(kept[0], place + k, lists[1], k, 0)
    return end


@borrower
def note(kept, strip, entry, begin, end, limit):
    """Note where the blocks are of a batch that begins at an entry of a strip; return where the next one's can be."""
    notes = kept[1]
    place, fits = 1 + 2 * (entry // BATCH + strip), end <= limit  # no two batches of strips have the same place
    put(notes, place, begin if fits else -1)
    put(notes, place + 1, end)
    return end if fits else begin


@borrower
def kept_of(kept, strip, entry):
    """Return where the blocks begin and end of a batch that begins at an entry of a strip, or -1 and any number."""
    notes = kept[1]
    place = 1 + 2 * (entry // BATCH + strip)
    return at(notes, place), at(notes, place + 1)


@borrower
def take_blocks(group, groups, room, stride, lists, kept, begin, end):
    """Do what `list_blocks` does, from the blocks that are kept between `begin` and `end` unless `begin` is negative; return also
    where the next ones begin."""
    if begin < 0:
        group, count = list_blocks(group, groups, room, stride, lists)
    else:
        blocks = kept[0]
        count = lower(room, end - begin)
        # As many as would be listed, whole groups: the order of sums depends on it.
        while begin + count < end and are_in_group(at(blocks, begin + count - 1), at(blocks, begin + count)):
            count += 2
        for k in range(0, count, LANES):
            put_sums(lists[1], k, blocks, begin + k, 0)
        begin += count
        group = group if begin < end else groups
    return group, count, begin
