"""Gradients from slots to vertices, always in the same order."""

import numpy as np

from ..formulas.constants import LEAST, ZERO
from ..jit import kernel, subroutine
from ..lanes import at, higher, lower, put
from ..spin import await_tasks, claim, lead, publish


@kernel
def gather(share, shares, board, slots, entry_gradients, gathered):
    """Do `gather_part` for each share."""
    if share < 0:
        lead(publish(board))
        return
    gather_part(share, shares, slots, entry_gradients, gathered)


@subroutine
def gather_after(stages, tasks, share, shares, board, slots, entry_gradients, gathered):
    """Do `gather_part` in the second of two stages, once all `tasks` of the first have been done, which fill the slots."""
    if not await_tasks(stages[0], tasks, share, board):
        return
    parts = higher(1, lower(shares, len(gathered[0]) // LEAST))
    part = claim(stages[1])
    while part < parts:
        gather_part(part, parts, slots, entry_gradients, gathered)
        part = claim(stages[1])


@subroutine
def gather_part(part, parts, slots, entry_gradients, gathered):
    """Gather a part of the vertices from the slots of all faces.

    `gathered` are the gradients (V, 3) and (V, C) to fill, a factor of the depth's, the starts (B + 1,) of views' vertices and of
    their faces, and corners (F, 3). A slot holds for each of three corners x and y, or x, y, depth and C attributes. A part
    goes over all faces of the views that its vertices are of, since slots lie in their order: picking a vertex's slots out of
    the whole of memory takes three times as long.
    """
    gradient, rest, depth_factor, vertex_starts, face_starts, corners = gathered
    channels = rest.shape[1]
    width = entry_gradients.shape[1] // 3
    first, last = len(gradient) * part // parts, len(gradient) * (part + 1) // parts
    for place in range(3 * first, 3 * last):
        put(gradient, place, ZERO)
    for place in range(channels * first, channels * last):
        put(rest, place, ZERO)
    for view in range(len(face_starts) - 1):
        if vertex_starts[view] >= last or vertex_starts[view + 1] <= first:
            continue
        for face in range(face_starts[view], face_starts[view + 1]):
            begin, end = at(slots, face), at(slots, face + 1)
            if begin == end:
                continue
            for corner in range(3):
                vertex = np.int64(at(corners, 3 * face + corner))
                if vertex < first or vertex >= last:
                    continue
                into = 3 * vertex
                x, y, z = at(gradient, into), at(gradient, into + 1), at(gradient, into + 2)
                for slot in range(begin, end):
                    place = (3 * slot + corner) * width
                    x += at(entry_gradients, place)
                    y += at(entry_gradients, place + 1)
                    if width > 2:
                        z += at(entry_gradients, place + 2)
                        for channel in range(channels):
                            more = at(entry_gradients, place + 3 + channel)
                            put(rest, vertex * channels + channel, at(rest, vertex * channels + channel) + more)
                put(gradient, into, x)
                put(gradient, into + 1, y)
                put(gradient, into + 2, z)
    if width > 2:
        for place in range(3 * first + 2, 3 * last, 3):
            put(gradient, place, at(gradient, place) * depth_factor)
