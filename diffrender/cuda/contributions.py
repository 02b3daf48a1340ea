"""Gradients that name their vertices, summed up at these in a fixed order: each vertex adds up its faces, then what names it."""

from typing import Any

import numpy as np
from numba import cuda

from .arrays import Workspace
from .blend import MOVED
from .fragments import POSITIONS
from .jit import device, kernel, spread
from .scan import scan


def order_by_key(keys: Any, rows: int, workspace: Workspace) -> tuple[Any, Any]:
    """Return (starts, order): keys (N,) int32 with the value r are those numbered order[starts[r] : starts[r + 1]], in rising
    order; those below 0 are left out."""
    take, stream, count = workspace.take, workspace.stream, len(keys)
    counts, starts = take((max(1, rows),), np.int32), take((max(1, rows) + 1,), np.int64)
    unordered = workspace.take_at_least(count, np.int32)
    order = workspace.take_at_least(count, np.int32)
    _clear[(*spread(rows), stream)](counts)
    _count[(*spread(count), stream)](keys, counts)
    scan(counts, starts, workspace)
    _fill[(*spread(count), stream)](keys, starts, counts, unordered)
    _order[(*spread(count), stream)](keys, starts, unordered, order)
    return starts, order


@kernel
def _clear(counts):
    for i in range(cuda.grid(1), len(counts), cuda.gridsize(1)):
        counts[i] = 0


@kernel
def _count(keys, counts):
    for i in range(cuda.grid(1), len(keys), cuda.gridsize(1)):
        if keys[i] >= 0:
            cuda.atomic.add(counts, keys[i], 1)


@kernel
def _fill(keys, starts, counts, unordered):
    for i in range(cuda.grid(1), len(keys), cuda.gridsize(1)):
        key = keys[i]
        if key >= 0:
            unordered[starts[key] + cuda.atomic.sub(counts, key, 1) - 1] = i


@kernel
def _order(keys, starts, unordered, order):
    for i in range(cuda.grid(1), len(keys), cuda.gridsize(1)):
        key = keys[i]
        if key >= 0:
            rank = 0
            for k in range(starts[key], starts[key + 1]):
                if unordered[k] < i:
                    rank += 1
            order[starts[key] + rank] = i


@kernel
def copy_keys(some, keys):
    """Begin keys with some of them."""
    for i in range(cuda.grid(1), len(some), cuda.gridsize(1)):
        keys[i] = some[i]


@kernel
def name_places(faces, places, keys):
    """Fill keys (3 N,) with the corners of the faces that places lie on."""
    for i in range(cuda.grid(1), 3 * len(places[0]), cuda.gridsize(1)):
        keys[i] = faces[places[0][i // 3], i % 3]


@device
def _corner_of(faces, face, row, before):
    """Return the first corner after the corner `before` at which a face has a row."""
    for corner in range(before + 1, 3):
        if faces[face, corner] == row:
            return corner
    return 2


@kernel
def gather_points(
    incidence, faces, offsets, slots, sums, has_sums, named, first, by_pairs, by_places, points, grad_vertices
):
    """Fill grad_vertices (V, 3), for x px, y px and depth, from the rows of faces and from what names its vertex: `first`
    gradients by pairs, then those by places. d(1 / z) = -dz / z^2."""
    for i in range(cuda.grid(1), 3 * len(grad_vertices), cuda.gridsize(1)):
        vertex, axis = i // 3, i % 3
        total, previous, corner = 0.0, -1, -1
        if has_sums:
            for k in range(incidence[0][vertex], incidence[0][vertex + 1]):
                face = incidence[1][k]
                corner = _corner_of(faces, face, vertex, corner if face == previous else -1)
                previous = face
                slot = slots[offsets[face]]
                if slot < slots[offsets[face + 1]]:
                    total += sums[slot, 3 * corner + axis]
        for k in range(named[0][vertex], named[0][vertex + 1]):
            number = named[1][k]
            if number < first:
                total += by_pairs[number // MOVED, number % MOVED, axis]
            else:
                total += by_places[(number - first) // 3, (number - first) % 3, axis]
        grad_vertices[vertex, axis] = -total * points[vertex, 2] * points[vertex, 2] if axis == 2 else total


@kernel
def gather_attributes(incidence, faces, offsets, slots, sums, named, first, by_places, grad_attributes):
    """Fill grad_attributes (T, C) from the rows of faces and from places, whose gradients come after `first` others."""
    channels = grad_attributes.shape[1]
    for i in range(cuda.grid(1), channels * len(grad_attributes), cuda.gridsize(1)):
        row, channel = i // channels, i % channels
        total, previous, corner = 0.0, -1, -1
        for k in range(incidence[0][row], incidence[0][row + 1]):
            face = incidence[1][k]
            corner = _corner_of(faces, face, row, corner if face == previous else -1)
            previous = face
            slot = slots[offsets[face]]
            if slot < slots[offsets[face + 1]]:
                total += sums[slot, POSITIONS + channels * corner + channel]
        for k in range(named[0][row], named[0][row + 1]):
            number = named[1][k] - first
            if number >= 0:
                total += by_places[number // 3, number % 3, channel]
        grad_attributes[row, channel] = total


@kernel
def add(more, grads):
    """Add more gradients (V, 3) to others."""
    for i in range(cuda.grid(1), 3 * len(grads), cuda.gridsize(1)):
        grads[i // 3, i % 3] += more[i // 3, i % 3]
