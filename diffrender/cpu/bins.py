"""Faces sorted into horizontal strips of the image: who touches which rows, and where its gradients go.

A strip is the unit of work of a thread. Each (strip, face) entry owns one gradient slot, numbered face by face, so
that slots are written by one thread and summed in a fixed order, whatever the number of threads.
"""

from dataclasses import dataclass

import numpy as np

from ..formulas.constants import AB, BC, CA, COORDINATE_LIMIT, CULLING_MARGIN, SMALLEST_SQUARE
from ..formulas.triangle import (
    edge_frame,
    half_length,
    pixel_range,
    signed_area_twice,
)
from ..jit import formula, kernel
from ..memory import empty
from ..ranges import Ranges, most_by_view
from ..spin import lead, publish
from ..threads import share_out
from .blocks import LOW, SLOPES, STRIP_ROWS

_SLICES = 16


@dataclass(frozen=True)
class Bins:
    """Faces of B views by strip, S of each. `corners` is wound to positive area, `geometry` and `bounds` are below."""

    corners: np.ndarray  # (F, 3) int32 vertex indices
    geometry: np.ndarray  # (F, 16): mx my nx ny half of ab, bc, ca (see `edge_frame`), 1 / (2 area)
    bounds: np.ndarray  # (F, 4) int32 inclusive pixel range x0 x1 y0 y1; y1 < y0 for a face that contributes nothing
    slots: np.ndarray  # (F + 1,) int64 first gradient slot of each face
    starts: np.ndarray  # (B S + 1,) int64 first entry of each strip, view by view
    entries: np.ndarray  # (E,) int32 faces, strip by strip; within a strip slice by slice, in face order
    order: np.ndarray  # (B S,) int64 strips, the fullest first: whoever is free takes the next
    radius: float  # px, how far from a face a pixel can still count


def sort_into_bins(
    vertices: np.ndarray,
    faces: np.ndarray,
    ranges: Ranges,
    size: tuple[int, int],
    radius: float,
    cull_backfaces: bool,
    nearest: np.ndarray | None,
) -> Bins:
    """Sort faces (F, 3) with vertices (V, 3) in pixel space into the strips of images of size (H, W), of a view each.

    With `nearest` (B,), the least depth in each view, the faces of a strip come in _SLICES slices of depth, the nearest first:
    what they hide can be left out sooner.
    """
    height, width = size
    count, views = len(faces), ranges.views
    corners = empty((count, 3), np.int32)
    geometry = empty((count, 20), vertices.dtype)
    bounds = empty((count, 4), np.int32)
    radius += CULLING_MARGIN
    if nearest is None:
        depths = (np.zeros(views), np.zeros(views))
    else:
        depths = (nearest, np.array(_slices_per_depth(nearest, most_by_view(vertices[:, 2], ranges.vertices))))
    slices = empty((count,), np.uint8)
    arguments = (vertices, faces, ranges.faces, height, width, radius, cull_backfaces, *depths)
    share_out(_prepare, count, *arguments, corners, geometry, bounds, slices)
    slots = empty((count + 1,), np.int64)
    per_view = _SLICES * -(-height // STRIP_ROWS)
    starts = np.zeros(views * per_view + 1, np.int64)
    _count(ranges.faces, per_view, bounds, slices, slots, starts)
    entries = empty((int(slots[-1]),), np.int32)
    _fill(ranges.faces, per_view, bounds, slices, starts.copy(), entries)
    starts = starts[::_SLICES].copy()
    order = np.argsort(starts[:-1] - starts[1:], kind="stable")
    return Bins(corners, geometry, bounds, slots, starts, entries, order, radius)


def _slices_per_depth(nearest: np.ndarray, farthest: np.ndarray) -> list[float]:
    pairs = zip(nearest.tolist(), farthest.tolist(), strict=True)
    return [_SLICES / (last - first) if last > first else 0.0 for first, last in pairs]


@kernel
def _prepare(
    share,
    shares,
    board,
    vertices,
    faces,
    face_starts,
    height,
    width,
    radius,
    cull_backfaces,
    nearest,
    per_depth,
    corners,
    geometry,
    bounds,
    slices,
):
    if share < 0:
        lead(publish(board))
        return
    count = len(faces)
    view = 0
    for face in range(count * share // shares, count * (share + 1) // shares):
        while face >= face_starts[view + 1]:
            view += 1
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        # In float64: the sign and the zero of the area must be those of the exact triangle.
        ax, ay = np.float64(vertices[a, 0]), np.float64(vertices[a, 1])
        bx, by = np.float64(vertices[b, 0]), np.float64(vertices[b, 1])
        cx, cy = np.float64(vertices[c, 0]), np.float64(vertices[c, 1])
        area = signed_area_twice(ax, ay, bx, by, cx, cy)
        bounds[face, 0], bounds[face, 1], bounds[face, 2], bounds[face, 3] = 0, -1, 0, -1
        if area == 0.0 or (cull_backfaces and area > 0.0):
            continue
        if vertices[a, 2] <= 0.0 or vertices[b, 2] <= 0.0 or vertices[c, 2] <= 0.0:
            continue
        if area < 0.0:
            b, c = c, b
            bx, by, cx, cy = cx, cy, bx, by
            area = -area
        left, right = min(ax, bx, cx), max(ax, bx, cx)
        top, bottom = min(ay, by, cy), max(ay, by, cy)
        if min(left, top) < -COORDINATE_LIMIT or max(right, bottom) > COORDINATE_LIMIT:
            continue
        ab = (bx - ax) ** 2 + (by - ay) ** 2
        bc = (cx - bx) ** 2 + (cy - by) ** 2
        ca = (ax - cx) ** 2 + (ay - cy) ** 2
        if min(area, ab, bc, ca) < SMALLEST_SQUARE:
            continue  # zero in float32
        corners[face, 0], corners[face, 1], corners[face, 2] = a, b, c
        _store_frame(geometry, face, AB, ax, ay, bx, by)
        _store_frame(geometry, face, BC, bx, by, cx, cy)
        _store_frame(geometry, face, CA, cx, cy, ax, ay)
        geometry[face, 15] = 1.0 / area
        rounding = max(
            _store_slope(geometry, face, AB, ax, ay, bx, by),
            _store_slope(geometry, face, BC, bx, by, cx, cy),
            _store_slope(geometry, face, CA, cx, cy, ax, ay),
        )
        geometry[face, SLOPES + 3] = rounding * (right - left + bottom - top + radius)
        first_x, last_x = pixel_range(left - radius, right + radius, np.float64(width))
        first_y, last_y = pixel_range(top - radius, bottom + radius, np.float64(height))
        if first_x <= last_x and first_y <= last_y:
            bounds[face, 0], bounds[face, 1] = first_x, last_x
            bounds[face, 2], bounds[face, 3] = first_y, last_y
        depth = min(vertices[a, 2], vertices[b, 2], vertices[c, 2])
        slices[face] = min(int((depth - nearest[view]) * per_depth[view]), _SLICES - 1)


@formula
def _store_frame(geometry, face, edge, ax, ay, bx, by):
    first = 5 * edge
    half = half_length(ax, ay, bx, by)
    mx, my, nx, ny = edge_frame(ax, ay, bx, by, half)
    geometry[face, first], geometry[face, first + 1] = mx, my
    geometry[face, first + 2], geometry[face, first + 3] = nx, ny
    geometry[face, first + 4] = half


@formula
def _store_slope(geometry, face, edge, ax, ay, bx, by):
    """Store dx / dy of an edge, and return how far a unit in the last place of float32 in y moves x."""
    low = abs(by - ay) <= 2.0 * LOW
    slope = 0.0 if low else (bx - ax) / (by - ay)
    geometry[face, SLOPES + edge] = slope
    return 4e-7 * abs(slope)


@kernel
def _count(face_starts, per_view, bounds, slices, slots, starts):
    """Number the slots of faces, and add up the entries of slices, of which the strips of a view have `per_view`."""
    total, view = 0, 0
    for face in range(len(bounds)):
        while face >= face_starts[view + 1]:
            view += 1
        slots[face] = total
        if bounds[face, 3] >= bounds[face, 2]:
            first, last = bounds[face, 2] // STRIP_ROWS, bounds[face, 3] // STRIP_ROWS
            total += last - first + 1
            for strip in range(first, last + 1):
                starts[view * per_view + strip * _SLICES + slices[face] + 1] += 1
    slots[len(bounds)] = total
    for strip in range(len(starts) - 1):
        starts[strip + 1] += starts[strip]


@kernel
def _fill(face_starts, per_view, bounds, slices, cursor, entries):
    """Write the faces to the slices that begin at cursor (B S _SLICES + 1,), which then stands at their ends."""
    view = 0
    for face in range(len(bounds)):
        while face >= face_starts[view + 1]:
            view += 1
        if bounds[face, 3] >= bounds[face, 2]:
            for strip in range(bounds[face, 2] // STRIP_ROWS, bounds[face, 3] // STRIP_ROWS + 1):
                place = view * per_view + strip * _SLICES + slices[face]
                entries[cursor[place]] = face
                cursor[place] += 1
