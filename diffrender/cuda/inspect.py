"""Checks of what CUDA arrays hold, on the device, so that nothing is copied to the host to be looked at."""

from typing import Any

import numpy as np
from numba import cuda

from ..checks import face_out_of_range
from ..formulas.constants import ZERO
from .arrays import Workspace
from .bins import download
from .jit import THREADS, blocks, kernel


def adopt_faces(faces: Any, vertices: int, workspace: Workspace) -> tuple[Any, Any]:
    """Return faces (F, 3) of any integer kind as int32, and a flag for `raise_bad_face`; a bad face becomes 0, 0, 0."""
    own = workspace.take((len(faces), 3), np.int32)
    flag = workspace.upload(np.zeros(1, np.int32))
    if len(faces):
        _adopt_faces[blocks(len(faces)), THREADS, workspace.stream](faces, vertices, own, flag)
    return own, flag


def raise_bad_face(flag: Any, faces: Any, vertices: int, stream: Any) -> None:
    """Raise ValueError that names the first face with an index out of range, if there is one."""
    value = int(download(flag, stream)[0])
    if value:
        number = len(faces) - value
        face = download(faces, stream)[number]
        raise face_out_of_range(number, face[(face < 0) | (face >= vertices)][0], vertices)


def raise_not_finite(name: str, values: Any, workspace: Workspace) -> None:
    """Raise ValueError that counts the rows of values (N, C) with NaN or infinity and shows the first."""
    flags = workspace.upload(np.zeros(2, np.int32))
    if len(values):
        _find_not_finite[blocks(len(values)), THREADS, workspace.stream](values, flags)
    count, value = (int(flag) for flag in download(flags, workspace.stream))
    if count:
        first = len(values) - value
        row = download(values, workspace.stream)[first]
        raise ValueError(f"{name} has NaN or infinity in {count} rows, first in row {first}: {row}")


def nearest_depth(vertices: Any, workspace: Workspace) -> float:
    """Return the smallest positive depth of vertices (V, 3), 0 if there is none."""
    if not len(vertices):
        return 0.0
    smallest = workspace.take((blocks(len(vertices)),), vertices.dtype)
    _smallest_depth[blocks(len(vertices)), THREADS, workspace.stream](vertices, smallest)
    nearest = float(download(smallest, workspace.stream).min())
    return nearest if np.isfinite(nearest) else 0.0


@kernel
def _adopt_faces(faces, vertices, own, flag):
    i = cuda.grid(1)
    if i < len(faces):
        good = True
        for corner in range(3):
            good = good and faces[i, corner] >= 0 and faces[i, corner] < vertices
        for corner in range(3):
            own[i, corner] = faces[i, corner] if good else 0
        if not good:
            cuda.atomic.max(flag, 0, len(faces) - i)


@kernel
def _find_not_finite(values, flags):
    i = cuda.grid(1)
    if i < len(values):
        good = True
        for k in range(values.shape[1]):
            good = good and values[i, k] - values[i, k] == ZERO
        if not good:
            cuda.atomic.add(flags, 0, 1)
            cuda.atomic.max(flags, 1, len(values) - i)


@kernel
def _smallest_depth(vertices, smallest):
    shared = cuda.shared.array(THREADS, vertices.dtype)
    thread, i = cuda.threadIdx.x, cuda.grid(1)
    shared[thread] = vertices.dtype.type(np.inf)
    if i < len(vertices) and vertices[i, 2] > ZERO:
        shared[thread] = vertices[i, 2]
    cuda.syncthreads()
    step = THREADS // 2
    while step > 0:
        if thread < step and shared[thread + step] < shared[thread]:
            shared[thread] = shared[thread + step]
        cuda.syncthreads()
        step //= 2
    if thread == 0:
        smallest[cuda.blockIdx.x] = shared[0]
