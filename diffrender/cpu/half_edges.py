"""Which faces meet at which edges: half edges linked in rings, one ring an edge.

Half edge 3 f + k goes from corner k of face f to corner k + 1.
"""

import numpy as np

from ..jit import borrower, kernel, subroutine


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


@subroutine
def _root_of(pieces, face):
    while pieces[face] != face:
        pieces[face] = pieces[pieces[face]]
        face = pieces[face]
    return face


@kernel
def label_pieces(ring, pieces):
    """Fill pieces (F,) with the first face of the piece of the surface, joined by edges, that each face is in."""
    for face in range(len(pieces)):
        pieces[face] = face
    for half in range(len(ring)):
        one, other = _root_of(pieces, half // 3), _root_of(pieces, ring[half] // 3)
        pieces[max(one, other)] = min(one, other)
    for face in range(len(pieces)):
        pieces[face] = _root_of(pieces, face)


@subroutine
def _hash_of(x):
    """Return the bits of a coordinate, of both zeros the same."""
    return np.int64(0) if x == 0.0 else np.float64(x).view(np.int64)


@kernel
def join_places(faces, ring, vertices, joined):
    """Write to joined (V,) the first of all vertices in one place, among those of edges with a single face; return whether there
    are any such.

    Vertices are looked up by the bits of their coordinates in a table that is at most half full.
    """
    is_open = np.zeros(len(vertices), np.bool_)
    for half in range(len(ring)):
        if ring[half] == half:
            a, b = ends_of(faces, half)
            is_open[a], is_open[b] = True, True
    size = 4
    while size < 2 * len(vertices):
        size *= 2
    table = np.full(size, -1, np.int32)
    any_joined = False
    for vertex in range(len(vertices)):
        if not is_open[vertex]:
            continue
        x, y, z = vertices[vertex, 0], vertices[vertex, 1], vertices[vertex, 2]
        key = _hash_of(x) * np.int64(-7046029254386353131)
        key = ((key ^ (key >> 29)) + _hash_of(y)) * np.int64(-4417276706812531889)
        key = ((key ^ (key >> 32)) + _hash_of(z)) * np.int64(1609587929392839161)
        place = (key ^ (key >> 31)) & (size - 1)
        while table[place] >= 0:
            other = table[place]
            if vertices[other, 0] == x and vertices[other, 1] == y and vertices[other, 2] == z:
                joined[vertex] = other
                any_joined = True
                break
            place = (place + 1) & (size - 1)
        if joined[vertex] == vertex:
            table[place] = vertex
    return any_joined


@kernel
def find_seams(ring, charts, heads, seams):
    """Write to seams (E,) one half edge of each edge with two faces that the links `charts` of attributes do not join; return how
    many there are."""
    count = 0
    for head in heads:
        other = ring[head]
        if other != head and ring[other] == head and charts[head] != other:
            seams[count] = head
            count += 1
    return count
