"""Gradients from slots to vertices, always in the same order: each vertex adds up the faces that it is a corner of."""

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import cuda

from ..formulas.constants import ZERO
from .arrays import Workspace, download, wait_for
from .jit import THREADS, blocks, kernel
from .scan import scan

_lock = threading.Lock()
_latest: "tuple[Incidence, ...]" = ()  # a fit draws the same faces again and again; a texture has its own
_KEPT = 2


@dataclass(frozen=True)
class Incidence:
    """The faces of each vertex in rising order: those of vertex v are faces[starts[v] : starts[v + 1]]."""

    of: Any  # (F, 3) int32 faces that this is the incidence of
    starts: Any  # (V + 1,) int64
    faces: Any  # (3 F,) int32
    workspace: Workspace


def expected(faces: int, vertices: int, stream: Any) -> "Incidence | None":
    """Return the latest incidence of as many faces and vertices: `bins` tells in passing whether the faces are the same."""
    with _lock:
        latest = _latest
    for known in latest:
        if len(known.of) == faces and len(known.starts) == vertices + 1:
            wait_for(known.workspace.stream, stream)
            return known
    return None


def incidence(faces: Any, vertices: int, stream: Any) -> Incidence:
    """Return the incidence of faces (F, 3), one of the calls before if the faces are the same."""
    global _latest
    with _lock:
        latest = _latest
    for known in latest:
        if _is_of(known, faces, vertices, stream):
            return known
    found = _build(faces, vertices, Workspace(stream))
    with _lock:
        _latest = (found, *_latest)[:_KEPT]
    return found


def _is_of(known: Incidence, faces: Any, vertices: int, stream: Any) -> bool:
    if len(known.of) != len(faces) or len(known.starts) != vertices + 1:
        return False
    scratch = Workspace(stream)
    differ = scratch.upload(np.zeros(1, np.int32))
    wait_for(known.workspace.stream, stream)
    _compare[blocks(3 * len(faces)), THREADS, stream](known.of, faces, differ)
    return not download(differ, stream)[0]


def _build(faces: Any, vertices: int, workspace: Workspace) -> Incidence:
    size, stream = len(faces), workspace.stream
    own = workspace.take((size, 3), np.int32)
    starts = workspace.take((vertices + 1,), np.int64)
    ordered = workspace.take((3 * size,), np.int32)
    scratch = Workspace(stream)
    counts = scratch.upload(np.zeros(max(1, vertices), np.int32))
    unordered = scratch.take((3 * size,), np.int32)
    _count[blocks(3 * size), THREADS, stream](faces, own, counts)
    scan(counts, starts, scratch)
    _fill[blocks(3 * size), THREADS, stream](own, starts, counts, unordered)
    _order[blocks(3 * size), THREADS, stream](own, starts, unordered, ordered)
    return Incidence(own, starts, ordered, workspace)


@kernel
def _compare(one, other, differ):
    i = cuda.grid(1)
    if i < 3 * len(one) and one[i // 3, i % 3] != other[i // 3, i % 3]:
        differ[0] = 1


@kernel
def _count(faces, own, counts):
    i = cuda.grid(1)
    if i < 3 * len(faces):
        vertex = faces[i // 3, i % 3]
        own[i // 3, i % 3] = vertex
        cuda.atomic.add(counts, vertex, 1)


@kernel
def _fill(faces, starts, counts, unordered):
    i = cuda.grid(1)
    if i < 3 * len(faces):
        vertex = faces[i // 3, i % 3]
        unordered[starts[vertex] + cuda.atomic.sub(counts, vertex, 1) - 1] = i


@kernel
def _order(faces, starts, unordered, ordered):
    """Put each corner at its rank among those of its vertex: `unordered` is in whatever order the threads came."""
    i = cuda.grid(1)
    if i < 3 * len(faces):
        vertex = faces[i // 3, i % 3]
        rank = 0
        for k in range(starts[vertex], starts[vertex + 1]):
            if unordered[k] < i:
                rank += 1
        ordered[starts[vertex] + rank] = i // 3


@kernel
def gather(starts, vertex_faces, corners, slots, slot_gradients, channels, depth_scale, grad_vertices, grad_attributes):
    """Fill grad_vertices (V, 3) and, if channels > 0, grad_attributes (V, C), a thread each number."""
    components = 3 + channels
    i = cuda.grid(1)
    if i >= len(grad_vertices) * components:
        return
    vertex = i // components
    component = i - vertex * components
    total = grad_vertices.dtype.type(ZERO)
    if component != 2 or channels > 0:
        first_slot = slots[0]
        for k in range(starts[vertex], starts[vertex + 1]):
            face = vertex_faces[k]
            begin, end = slots[face] - first_slot, slots[face + 1] - first_slot
            if begin < end:
                corner = 0
                if corners[face, 1] == vertex:
                    corner = 1
                elif corners[face, 2] == vertex:
                    corner = 2
                if component < 2:
                    column = 2 * corner + component
                elif component == 2:
                    column = 6 + corner
                else:
                    column = 9 + corner * channels + component - 3
                for slot in range(begin, end):
                    total += slot_gradients[slot, column]
    if component < 2:
        grad_vertices[vertex, component] = total
    elif component == 2:
        grad_vertices[vertex, 2] = -depth_scale * total
    else:
        grad_attributes[vertex, component - 3] = total
