"""How the soft silhouette changes in directions: the forward mode of `diffrender.cpu.silhouette`, over the same blocks."""

import numpy as np

from ..formulas.constants import ONE, ZERO
from ..jit import kernel, prefer_wide_vectors
from ..kernel_memory import aligned
from ..lanes import at, load, lower, store
from ..spin import claim, lead, publish
from .blocks import SAVED_NEAREST, drop_idle, save_nearest
from .rows import put_rows, put_upstream
from .spans import BATCH, list_blocks, list_groups, new_lists, number_of, places_of, put_corners
from .strips import STRIP_ROWS, fill, stride_of, strip_size
from .tangent import NEAREST, OUTLINE, add_outline, begin_tangents, put_motions, put_nearest, take_tangents
from .union import covered_backward

_AT_ONCE = 96  # blocks at a time, as on the way back


@kernel
def silhouette_tangent(
    share,
    shares,
    board,
    face_corners,
    geometry,
    bounds,
    starts,
    entries,
    order,
    turn,
    radius,
    scale,
    lowest,
    shape,
    owners,
    vanished,
    transmittance,
    ones,
    motions,
    tangent,
):
    """Fill tangent (D, H, W, 1) of alpha for motions (V, D, 3) of the vertices, whose depths do not count; `ones` (H, W)
    are 1.

    The change of alpha is the sum over faces of its derivatives for the corners, which the way back has for grad_alpha = 1, times
    what the corners do.
    """
    if share < 0:
        lead(publish(board))
        return
    prefer_wide_vectors()
    directions, height, width = tangent.shape[0], tangent.shape[1], tangent.shape[2]
    stride = stride_of(width)
    size = strip_size(width)
    upstream = aligned(size, geometry)
    fill(upstream, 0, size, ZERO)
    owner = upstream if len(owners) == 0 else aligned(size, geometry)
    tangents = aligned(directions * size, geometry)
    lists = new_lists(width, _AT_ONCE, geometry)
    blocks = lists[1]
    saved = aligned((len(blocks) // 2 + 1) * SAVED_NEAREST, geometry)
    rows = aligned(NEAREST, geometry)
    of_face = directions * OUTLINE
    ways = aligned(BATCH * of_face, geometry)
    nothing = motions[:0]
    while True:
        claimed = claim(turn)
        if claimed >= len(order):
            break
        strip = order[claimed]
        top = strip * STRIP_ROWS
        bottom = lower(top + STRIP_ROWS, height)
        for row in range(top, bottom, 2):
            place = (row - top) * stride
            put_upstream(transmittance, ones, row, bottom, vanished, upstream, place)
            if len(owners) != 0:
                put_rows(owners[0], row, bottom, -ONE, owner, place)
        begin_tangents(tangents, directions * size)
        entry, end = starts[strip], starts[strip + 1]
        while entry < end:
            batch = lower(BATCH, end - entry)
            groups = list_groups(
                geometry, bounds, entries, entry, batch, top, bottom, radius, scale, stride, lists, False
            )
            put_corners(lists)
            for number in range(batch):
                face = at(entries, entry + number)
                put_motions(motions, nothing, face_corners, face, ways, number * of_face, OUTLINE)
            group = np.int64(0)  # not a literal, for which Numba would compile a second version
            while group < groups:
                group, count = list_blocks(group, groups, _AT_ONCE, stride, lists)
                count = drop_idle(lists, count, upstream)
                for block in range(0, count, 2):
                    save_nearest(lists, block, saved, block // 2 * SAVED_NEAREST)
                for block in range(0, count, 2):
                    into = block // 2 * SAVED_NEAREST
                    logit = load(saved, into)
                    grad = covered_backward(upstream, owner, lists, block, entries, entry, logit, lowest, shape, owners)
                    store(saved, into, grad)
                for block in range(0, count, 2):
                    into = block // 2 * SAVED_NEAREST
                    put_nearest(load(saved, into), saved, into, scale, rows)
                    first, second = places_of(lists, block)
                    way = number_of(lists, block) * of_face
                    add_outline(rows, ways, way, OUTLINE, directions, tangents, size, first, second)
            entry += batch
        for row in range(top, bottom, 2):
            take_tangents(tangents, size, (row - top) * stride, row, bottom, tangent)
