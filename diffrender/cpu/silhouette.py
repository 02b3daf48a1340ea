"""The soft silhouette over strips: forward, and its reverse. Formulas are in `diffrender.formulas`.

Both go over the blocks of pixels that faces can reach. The way back does so in three steps with memory between them: in one,
a block would be such a long chain of arithmetic that the processor cannot look ahead to the next.
"""

import numpy as np

from ..formulas.constants import ONE, ZERO
from ..formulas.shape import face_odds
from ..jit import kernel, prefer_wide_vectors
from ..kernel_memory import aligned
from ..lanes import (
    BLOCK,
    at,
    higher,
    load,
    lower,
    put,
    select,
    store,
)
from ..spin import claim, finish, lead, publish
from .blocks import (
    EDGE_SUMS,
    SAVED_NEAREST,
    add_nearest,
    begin_others,
    coverage_logits,
    drop_idle,
    put_corner_gradients,
    save_nearest,
)
from .gather import gather_after
from .kept import keep, kept_of, note, room_for, take_blocks
from .live import count_live, is_live, new_live, put_nothing
from .rows import put_rows, put_upstream, take_alpha
from .spans import BATCH, list_blocks, list_groups, new_lists, put_corners
from .strips import fill, rows_of, slot_of, stride_of, strip_size, strips_of
from .union import begin_peaks, covered_backward, join, take_owners

_FORWARD, _BACKWARD = 64, 48  # blocks at a time, and a little more: what is kept of them fits in the L1 cache
_MANY_IDLE = 2  # rows of a strip: from there on it pays to look for blocks that nothing comes from


@kernel
def silhouette_forward(
    share,
    shares,
    board,
    geometry,
    bounds,
    starts,
    entries,
    order,
    height,
    turn,
    radius,
    scale,
    lowest,
    shape,
    owners,
    kept,
    alpha,
    transmittance,
):
    """Fill alpha and transmittance T = 1 - alpha (H, W) of the strips that this share gets.

    `turn` (1,) counts the strips that have been taken, in `order`. `shape` is of `diffrender.formulas.shape`, `owners` of
    `diffrender.cpu.union`, `kept` of `diffrender.cpu.kept`.
    """
    if share < 0:
        lead(publish(board))
        return
    prefer_wide_vectors()
    width, strips = alpha.shape[1], strips_of(height)
    stride = stride_of(width)
    odds = aligned(strip_size(width), geometry)
    owner = odds if len(owners) == 0 else aligned(len(odds), geometry)
    lists = new_lists(width, _FORWARD, geometry)
    blocks = lists[1]
    logits = aligned(len(blocks) * BLOCK, geometry)
    kept_to, limit = np.int64(0), np.int64(0)
    while True:
        claimed = claim(turn)
        if claimed >= len(order):
            break
        strip = order[claimed]
        _, top, bottom, begin, after = rows_of(strip, strips, height)
        fill(odds, 0, len(odds), ZERO)
        if len(owners) != 0:
            begin_peaks(odds, owner)
        entry, end = starts[strip], starts[strip + 1]
        while entry < end:
            batch = lower(BATCH, end - entry)
            groups = list_groups(
                geometry, bounds, entries, entry, batch, top, bottom, radius, scale, stride, lists, False
            )
            kept_from, limit = room_for(kept, kept_to, limit)
            kept_to = kept_from
            group = np.int64(0)  # not a literal, for which Numba would compile a second version
            while group < groups:
                group, count = list_blocks(group, groups, _FORWARD, stride, lists)
                kept_to = keep(kept, kept_to, limit, lists, count)
                for block in range(0, count, 2):
                    logit, _, _, _ = coverage_logits(lists, block)
                    store(logits, block * BLOCK, logit)
                for block in range(0, count, 2):
                    logit = load(logits, block * BLOCK)
                    # Not a select of what is stored: that becomes a masked store, which some processors do in 40 steps.
                    exponential = select(logit >= lowest, face_odds(higher(logit, lowest), shape), ZERO)
                    join(odds, owner, lists, block, entries, entry, logit, exponential, owners)
            kept_to = note(kept, strip, entry, kept_from, kept_to, limit)
            entry += batch
        for row in range(begin, after, 2):
            place = (row - begin) * stride
            take_alpha(odds, place, row, after, lowest, shape, owners, alpha, transmittance)
            if len(owners) != 0:
                take_owners(owner, place, row, after, owners[0])


@kernel
def silhouette_backward(
    share,
    shares,
    board,
    geometry,
    bounds,
    slots,
    starts,
    entries,
    order,
    height,
    stages,
    radius,
    scale,
    lowest,
    shape,
    owners,
    kept,
    vanished,
    transmittance,
    grad_alpha,
    entry_gradients,
    gathered,
):
    """Fill one slot (6,) = (x, y) of corners a, b, c per entry, from grad_alpha (H, W), and what is `gathered` from them.

    `stages` count the strips that have been taken, and done, and the parts of what `gather_after` does.
    """
    if share < 0:
        lead(publish(board))
        return
    prefer_wide_vectors()
    width, strips = grad_alpha.shape[1], strips_of(height)
    stride = stride_of(width)
    upstream = aligned(strip_size(width), geometry)  # grad_alpha * T, 0 where T has vanished
    fill(upstream, 0, len(upstream), ZERO)
    owner = upstream if len(owners) == 0 else aligned(len(upstream), geometry)
    lists = new_lists(width, _BACKWARD, geometry)
    blocks = lists[1]
    saved = aligned((len(blocks) // 2 + 1) * SAVED_NEAREST, geometry)
    sums = aligned(BATCH * EDGE_SUMS, geometry)
    totals = aligned(16, geometry)
    live, chosen = new_live(width), aligned(BATCH, np.int32)
    while True:
        claimed = claim(stages[0])
        if claimed >= len(order):
            break
        strip = order[claimed]
        _, top, bottom, begin, after = rows_of(strip, strips, height)
        idle = 0
        for row in range(begin, after, 2):
            place = (row - begin) * stride
            idle += put_upstream(transmittance, grad_alpha, row, after, vanished, upstream, place)
            if len(owners) != 0:
                put_rows(owners[0], row, after, -ONE, owner, place)
        has_idle = idle > _MANY_IDLE * width
        if has_idle:
            count_live(upstream, bottom - top, width, stride, live)
        entry, end = starts[strip], starts[strip + 1]
        while entry < end:
            batch = 0
            kept_from, kept_to = kept_of(kept, strip, entry)
            if has_idle:
                kept_from = np.int64(-1)  # batches are made of other faces
            while entry < end and batch < BATCH:
                face = at(entries, entry)
                entry += 1
                if has_idle and not is_live(live, bounds, face, top, bottom, width):
                    put_nothing(entry_gradients, slot_of(slots, bounds, face, top))
                    continue
                put(chosen, batch, face)
                batch += 1
            if batch == 0:
                break
            groups = list_groups(
                geometry, bounds, chosen, 0, batch, top, bottom, radius, scale, stride, lists, kept_from >= 0
            )
            put_corners(lists)
            begun = np.int64(0)
            group = np.int64(0)  # not a literal, for which Numba would compile a second version
            while group < groups:
                group, count, kept_from = take_blocks(group, groups, _BACKWARD, stride, lists, kept, kept_from, kept_to)
                if has_idle:
                    count = drop_idle(lists, count, upstream)
                for block in range(0, count, 2):
                    save_nearest(lists, block, saved, block // 2 * SAVED_NEAREST)
                for block in range(0, count, 2):
                    into = block // 2 * SAVED_NEAREST
                    logit = load(saved, into)
                    grad = covered_backward(upstream, owner, lists, block, chosen, 0, logit, lowest, shape, owners)
                    store(saved, into, grad)
                begun = add_nearest(lists, (), count // 2, saved, SAVED_NEAREST, sums, begun)
            begin_others(sums, EDGE_SUMS, batch, begun)
            for number in range(batch):
                face = at(chosen, number)
                slot = slot_of(slots, bounds, face, top)
                put_corner_gradients(sums, number, scale, totals, entry_gradients, slot, 2)
        finish(stages[0])
    gather_after(stages, len(order), share, shares, board, slots, entry_gradients, gathered)
