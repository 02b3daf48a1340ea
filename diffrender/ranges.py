"""Where each view's vertices and faces are in arrays of those of all views, one view after the other."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .jit import formula


class Ranges(NamedTuple):
    """View i has the rows from [i] to [i + 1] of the arrays of vertices and faces."""

    vertices: np.ndarray  # (B + 1,) int64
    faces: np.ndarray  # (B + 1,) int64

    @property
    def views(self) -> int:
        """How many there are."""
        return len(self.faces) - 1


@lru_cache(maxsize=64)  # a mesh is drawn again and again
def one_view(vertices: int, faces: int) -> Ranges:
    """Return the ranges of a single view's V vertices and F faces."""
    return Ranges(np.array((0, vertices), np.int64), np.array((0, faces), np.int64))


def ranges_of(counts: Sequence[tuple[int, int]]) -> Ranges:
    """Return the ranges of views with so many vertices and faces each."""
    ends = np.zeros((2, len(counts) + 1), np.int64)
    np.cumsum(np.transpose(counts), axis=1, out=ends[:, 1:])
    return Ranges(ends[0], ends[1])


@formula
def origin_of(view, starts, values):
    """Return where a view's rows begin in values: those of all views lie there by `starts` (B + 1,), or one view's for all."""
    return starts[view] if len(values) == starts[len(starts) - 1] else 0
