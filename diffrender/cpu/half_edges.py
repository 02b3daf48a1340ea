"""Which faces meet at which edges: half edges linked in rings, one ring an edge.

Half edge 3 f + k goes from corner k of face f to corner k + 1.
"""

import numpy as np

from ..jit import borrower, kernel


@borrower
def ends_of(faces, half):
    """Return the vertices that a half edge goes from and to."""
    face, corner = half // 3, half % 3
    return faces[face, corner], faces[face, corner + 1 if corner < 2 else 0]


@kernel
def link_half_edges(faces, count, ring, heads):
    """Fill ring (3 F,) with the next half edge between the same two of `count` vertices, and heads with the first of each edge;
    return the number of edges and of those with a single face.

    Half edges are sorted by their lower vertex, and matched there by a mark at their higher one.
    """
    total = ring.shape[0]
    starts = np.zeros(count + 1, np.int32)
    for half in range(total):
        a, b = ends_of(faces, half)
        starts[min(a, b) + 1] += 1
    for vertex in range(count):
        starts[vertex + 1] += starts[vertex]
    order = np.empty(total, np.int32)
    cursor = starts[:-1].copy()
    for half in range(total):
        a, b = ends_of(faces, half)
        order[cursor[min(a, b)]] = half
        cursor[min(a, b)] += 1
    mark = np.full(count, -1, np.int32)
    first = np.empty(count, np.int32)
    edges, single = 0, 0
    for vertex in range(count):
        for place in range(starts[vertex], starts[vertex + 1]):
            half = order[place]
            a, b = ends_of(faces, half)
            other = max(a, b)
            if mark[other] != vertex:
                mark[other], first[other] = vertex, half
                ring[half] = half
                heads[edges] = half
                edges += 1
                single += 1
            else:
                head = first[other]
                if ring[head] == head:
                    single -= 1
                ring[half] = ring[head]
                ring[head] = half
    return edges, single


@kernel
def pair_half_edges(faces, ring, heads, seconds):
    """Fill seconds (E,) with the other half edge of each edge that has two, which run in opposite directions; else -1."""
    for edge in range(len(heads)):
        head = heads[edge]
        other = ring[head]
        opposite = ends_of(faces, head)[0] == ends_of(faces, other)[1]
        seconds[edge] = other if other != head and ring[other] == head and opposite else -1
