"""Checks of what CUDA arrays hold, on the device, so that nothing is copied to the host to be looked at.

`bins` makes them in passing, and the host reads what they found with the number of entries, for which it waits anyway.
"""

from typing import Any

import numpy as np
from numba import cuda

from ..checks import face_out_of_range
from ..formulas.constants import ZERO
from .arrays import download
from .jit import THREADS, device

# Places in a report (REPORT,) int64: entries and slots of `bins`, then what was found; 0 says that nothing was.
ENTRIES, ENDS, BAD_FACE, OTHER_FACES, BAD_VERTICES, FIRST_VERTEX, BAD_ATTRIBUTES, FIRST_ATTRIBUTE = range(8)
REPORT = 8


@device
def adopt_face(i, given, vertices, known, faces, report):
    """Copy face i of any integer kind to faces (F, 3) int32; a bad one becomes 0, 0, 0. Note if it is not that of `known`."""
    good, same = True, True
    for corner in range(3):
        vertex = given[i, corner]
        good = good and vertex >= 0 and vertex < vertices
        same = same and vertex == known[i, corner]
    if not good:
        for corner in range(3):
            faces[i, corner] = 0
        cuda.atomic.max(report, BAD_FACE, len(given) - i)
    else:
        for corner in range(3):
            faces[i, corner] = given[i, corner]
    if not same:
        report[OTHER_FACES] = 1  # whoever writes it writes the same


@device
def inspect_row(i, values, report, number, first):
    """Count a row of values (N, C) with NaN or infinity, and keep the first one."""
    good = True
    for k in range(values.shape[1]):
        good = good and values[i, k] - values[i, k] == ZERO
    if not good:
        cuda.atomic.add(report, number, 1)
        cuda.atomic.max(report, first, len(values) - i)


@device
def smallest_depth(vertices, smallest):
    """Write the smallest positive depth of this block's vertices, infinity for none. All its threads must call it."""
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


def raise_bad_face(report: np.ndarray, faces: Any, vertices: int, stream: Any) -> None:
    """Raise ValueError that names the first face with an index out of range, if there is one."""
    if report[BAD_FACE]:
        number = len(faces) - int(report[BAD_FACE])
        face = download(faces, stream)[number]
        raise face_out_of_range(number, face[(face < 0) | (face >= vertices)][0], vertices)


def raise_not_finite(name: str, values: Any, count: int, value: int, stream: Any) -> None:
    """Raise ValueError that counts the rows of values (N, C) with NaN or infinity and shows the first."""
    if count:
        first = len(values) - int(value)
        row = download(values, stream)[first]
        raise ValueError(f"{name} has NaN or infinity in {count} rows, first in row {first}: {row}")
