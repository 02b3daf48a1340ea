"""Gradients from slots to vertices, always in the same order."""

import numpy as np

from ..formulas.constants import ZERO
from ..jit import kernel
from ..lanes import at, put
from ..spin import lead, publish


@kernel
def gather(share, shares, board, vertex_starts, face_starts, corners, slots, entry_gradients, gradient, rest):
    """Fill gradient (V, 3) and rest (V, C) of a share of the vertices from the slots of all faces.

    A slot holds for each of three corners x and y, or x, y, depth and C attributes. All workers go over all faces of the views
    that their vertices are of, since slots lie in their order: picking a vertex's slots out of the whole of memory takes three
    times as long.
    """
    if share < 0:
        lead(publish(board))
        return
    channels = rest.shape[1]
    width = entry_gradients.shape[1] // 3
    first, last = len(gradient) * share // shares, len(gradient) * (share + 1) // shares
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
