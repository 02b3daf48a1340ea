"""Lists of blocks that the way forward keeps for the way back, as far as there is room: what is not kept is found again."""

import numpy as np

from ..jit import borrower
from ..lanes import LANES, at, lower, put
from ..memory import empty
from ..spin import claim
from .bins import Bins
from .block_lanes import put_sums
from .spans import BATCH, OF_GROUP, list_blocks

_MOST = 1 << 23
_CHUNK = 1 << 14
_FULL = 1 << 10
_PER_ENTRY = 24


def new_kept(bins: Bins) -> tuple:
    chunks = min(len(bins.entries) * _PER_ENTRY // _CHUNK + 2, _MOST // _CHUNK)
    return (
        empty((chunks * _CHUNK,), np.int32),
        empty((2 * (len(bins.entries) // BATCH + len(bins.starts)),), np.int32),
        np.zeros(1, np.int64),
    )


@borrower
def room_for(kept, place, limit):
    """Return where the next batch can be kept and the end of the room, or two numbers of which the second is not greater."""
    if place + _FULL > limit:
        place = claim(kept[2]) * _CHUNK
        limit = lower(place + _CHUNK, len(kept[0]))
    return place, limit


@borrower
def keep(kept, place, limit, lists, count):
    """Write blocks to a place where there is room; return the place after them."""
    end = place + count
    if end + LANES <= limit:
        for k in range(0, count, LANES):
            put_sums(kept[0], place + k, lists[1], k, 0)
    return end


@borrower
def note(kept, batch, begin, end, limit):
    put(kept[1], 2 * batch, begin if end + LANES <= limit else -1)
    put(kept[1], 2 * batch + 1, end)


@borrower
def kept_at(kept, batch):
    return np.int64(at(kept[1], 2 * batch)), np.int64(at(kept[1], 2 * batch + 1))


@borrower
def take_blocks(group, groups, room, stride, lists, kept, place, end):
    """Return the next group, the blocks and the place after."""
    if place < 0:
        group, count = list_blocks(group, groups, room, stride, lists)
        return group, count, place
    count = lower(room, end - place)
    last = np.int64(at(kept[0], place + count - 1)) & OF_GROUP
    while place + count < end and np.int64(at(kept[0], place + count)) & OF_GROUP == last:
        count += 2
    for k in range(0, count, LANES):
        put_sums(lists[1], k, kept[0], place + k, 0)
    place += count
    return (group if place < end else groups), count, place
