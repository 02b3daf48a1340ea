"""Sums over the faces of each vertex, always in the same order: each vertex adds up what its faces have for it.

Workers share out the vertices, so that none writes where another does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..jit import kernel
from ..threads import run_on_workers

_FEW = 4096  # vertices or faces are done sooner than other threads wake up


@dataclass(frozen=True)
class Incidence:
    """The corners of each vertex in rising order: those of vertex v are corners[starts[v] : starts[v + 1]]."""

    of: np.ndarray  # (F, 3) int32 faces that this is the incidence of
    starts: np.ndarray  # (V + 1,) int32
    corners: np.ndarray  # (3 F,) int32, 3 * face + 0, 1 or 2


_latest: Incidence | None = None  # a fit draws the same faces again and again


def incidence(faces: np.ndarray, vertices: int) -> Incidence:
    """Return the incidence of faces (F, 3) int32, that of the call before if the faces are the same."""
    global _latest
    known = _latest
    if known is not None and len(known.starts) == vertices + 1 and np.array_equal(known.of, faces):
        return known
    starts, corners = np.zeros(vertices + 1, np.int32), np.empty(faces.size, np.int32)
    _sort(faces, starts, corners)
    _latest = Incidence(faces.copy(), starts, corners)
    return _latest


def share_out(function: Callable[..., None], count: int, *arguments: Any) -> None:
    """Call a kernel on all workers, or on this thread alone where there is too little to share."""
    if count < _FEW:
        function(0, 1, *arguments)
    else:
        run_on_workers(function, *arguments)


@kernel
def _sort(faces, starts, corners):
    count = 3 * len(faces)
    flat = faces.reshape(count)
    for corner in range(count):
        starts[flat[corner] + 1] += 1
    for vertex in range(len(starts) - 1):
        starts[vertex + 1] += starts[vertex]
    cursor = starts.copy()
    for corner in range(count):
        corners[cursor[flat[corner]]] = corner
        cursor[flat[corner]] += 1


@kernel
def gather(worker, workers, starts, incident, corners, slots, entry_gradients, gradient, rest):
    """Fill gradient (V, 3) and rest (V, C) from the slots of each vertex's faces.

    A slot holds x, y for each of three corners; if it holds more, then the depth and the C attributes of each.
    `corners` (F, 3) are in the order of the slots, which may wind a face the other way than it was given.
    """
    channels = rest.shape[1]
    has_depth = entry_gradients.shape[1] > 6
    count = len(starts) - 1
    for vertex in range(count * worker // workers, count * (worker + 1) // workers):
        for axis in range(3):
            gradient[vertex, axis] = 0
        for channel in range(channels):
            rest[vertex, channel] = 0
        for place in range(starts[vertex], starts[vertex + 1]):
            face = incident[place] // 3
            begin, end = slots[face], slots[face + 1]
            if begin == end:
                continue
            corner = incident[place] - 3 * face
            if corners[face, corner] != vertex:
                corner = 3 - corner  # b and c were exchanged
            for slot in range(begin, end):
                gradient[vertex, 0] += entry_gradients[slot, 2 * corner]
                gradient[vertex, 1] += entry_gradients[slot, 2 * corner + 1]
                if has_depth:
                    gradient[vertex, 2] += entry_gradients[slot, 6 + corner]
                    for channel in range(channels):
                        rest[vertex, channel] += entry_gradients[slot, 9 + corner * channels + channel]
