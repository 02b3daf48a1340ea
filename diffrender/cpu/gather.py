"""Gradients from slots to vertices, always in the same order."""

from ..jit import kernel
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
    for vertex in range(first, last):
        gradient[vertex, 0], gradient[vertex, 1], gradient[vertex, 2] = 0, 0, 0
        for channel in range(channels):
            rest[vertex, channel] = 0
    for view in range(len(face_starts) - 1):
        if vertex_starts[view] >= last or vertex_starts[view + 1] <= first:
            continue
        for face in range(face_starts[view], face_starts[view + 1]):
            begin, end = slots[face], slots[face + 1]
            if begin == end:
                continue
            for corner in range(3):
                vertex = corners[face, corner]
                if vertex < first or vertex >= last:
                    continue
                for slot in range(begin, end):
                    place = corner * width
                    gradient[vertex, 0] += entry_gradients[slot, place]
                    gradient[vertex, 1] += entry_gradients[slot, place + 1]
                    if width > 2:
                        gradient[vertex, 2] += entry_gradients[slot, place + 2]
                        for channel in range(channels):
                            rest[vertex, channel] += entry_gradients[slot, place + 3 + channel]
