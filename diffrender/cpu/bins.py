"""Faces sorted into horizontal strips of the image: who touches which rows, and where its gradients go.

A strip is the unit of work of a thread. Each (strip, face) entry owns one gradient slot, numbered face by face, so
that slots are written by one thread and summed in a fixed order, whatever the number of threads.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..formulas.constants import COORDINATE_LIMIT, SMALLEST_SQUARE
from ..formulas.triangle import pixel_range, signed_area_twice
from ..jit import formula, kernel, subroutine
from ..kernel_memory import aligned
from ..lanes import at, higher, lower, put, select
from ..memory import Layout, arrays_of, empty
from ..ranges import Ranges
from ..spin import await_tasks, claim, finish, lead, new_stages, publish
from ..threads import parts_of, run_on_workers
from .depths import put_depths
from .spans import GEOMETRY, INVERSE_AREA
from .strips import STRIP_ROWS

_SLICES = 16
_SIZES = 64  # of strips, by which they are put in order
_ENTRIES, _SPARE = 2, 1024  # strips that a face has room in at first, and the mesh besides


class Bins(NamedTuple):
    """Faces of B views by strip, S of each. `corners` is wound to positive area, `geometry` and `bounds` are below."""

    corners: np.ndarray  # (F, 3) int32 vertex indices
    geometry: np.ndarray  # (F, 8): x y of corners a, b, c and 1 / (2 area), see `diffrender.cpu.spans`
    bounds: np.ndarray  # (F, 4) int32 inclusive pixel range x0 x1 y0 y1; y1 < y0 for a face that contributes nothing
    slots: np.ndarray  # (F + 1,) int64 first gradient slot of each face
    starts: np.ndarray  # (B S + 1,) int64 first entry of each strip, view by view
    entries: np.ndarray  # (E,) int32 faces, strip by strip; within a strip slice by slice, in face order
    order: np.ndarray  # (B S,) int64 strips, the fullest first or nearly so: whoever is free takes the next


class Depths(NamedTuple):
    """Depths in B views. See `diffrender.cpu.depths`."""

    nearest: np.ndarray  # (B,) float64 the least one
    per_depth: np.ndarray  # (B,) float64 slices of a unit of depth
    ahead: np.ndarray  # (B,) float64 the least one in front of the camera
    logits: np.ndarray  # (V,) zbar / gamma relative to that


def sort_depths(vertices: np.ndarray, ranges: Ranges, scale: float) -> Depths:
    """Return the depths of vertices (V, 3) of B views, for scale = 1 / ((far - near) gamma)."""
    of_views = (np.empty(ranges.views), np.empty(ranges.views), np.empty(ranges.views))
    depths = Depths(*of_views, empty((len(vertices),), vertices.dtype))
    put_depths(vertices, ranges.vertices, _SLICES, scale, *depths)
    return depths


def sort_into_bins(
    vertices: np.ndarray,
    faces: np.ndarray,
    ranges: Ranges,
    size: tuple[int, int],
    radius: float,
    cull_backfaces: bool,
    depths: Depths | None,
) -> Bins:
    """Sort faces (F, 3) with vertices (V, 3) in pixel space into the strips of images of size (H, W), of a view each.

    A pixel can still count `radius` px from a face, which has a margin for rounding.
    With `depths` the faces of a strip come in slices of depth, the nearest first: what they hide can be left out sooner.
    """
    count, strips = len(faces), ranges.views * -(-size[0] // STRIP_ROWS)
    *filled, slices, entries = arrays_of(_layout(count, strips, vertices.dtype))
    corners, geometry, bounds, slots, starts, order = filled
    in_slices = _in_one_slice(ranges.views) if depths is None else (depths.nearest, depths.per_depth)
    given = (vertices, faces, ranges.faces, *size, radius, cull_backfaces, *in_slices)
    # Each part of the faces counts for itself: whoever fills the slices knows where each part's entries begin.
    parts = parts_of(count)
    while True:
        counts = np.zeros((parts, strips * _SLICES), np.int64)
        into = (corners, geometry, bounds, slices, slots, counts, starts, entries, order)
        run_on_workers(_sort, new_stages(1 + parts), *given, *into, most=parts)
        total = int(starts[-1])
        if total <= len(entries):
            return Bins(corners, geometry, bounds, slots, starts, entries[:total], order)
        entries = empty((total,), np.int32)


@lru_cache(maxsize=64)  # the same is asked for image after image
def _layout(faces: int, strips: int, dtype: np.dtype) -> Layout:
    """Return the arrays of `Bins`, the slice of each face, and room for entries."""
    return Layout(
        ((faces, 3), np.int32),
        ((faces, GEOMETRY), dtype),
        ((faces, 4), np.int32),
        ((faces + 1,), np.int64),
        ((strips + 1,), np.int64),
        ((strips,), np.int64),
        ((faces,), np.uint8),
        ((room_for_entries(faces),), np.int32),
    )


def room_for_entries(faces: int) -> int:
    """Return for how many entries of so many faces there is room at first."""
    return _ENTRIES * faces + _SPARE


@lru_cache(maxsize=64)
def _in_one_slice(views: int) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(views), np.zeros(views)


@kernel
def _sort(
    share,
    shares,
    board,
    stages,
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
    slots,
    counts,
    starts,
    entries,
    order,
):
    """Fill what `Bins` holds, and slices (F,), or only starts, whose last is their number, if there is no room for the entries.

    counts (parts, B S _SLICES), zeros, become the entries that each part of the faces has in each slice.
    """
    if share < 0:
        lead(publish(board))
        return
    parts, per_view = len(counts), counts.shape[1] // (len(face_starts) - 1)
    own = np.int64(0)
    part = claim(stages[0])
    while part < parts:
        own = part
        _prepare(
            part,
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
            slots,
            per_view,
            counts,
        )
        finish(stages[0])
        part = claim(stages[0])
    if not await_tasks(stages[0], parts, share, board):
        return
    for k in range(parts):
        part = (own + k) % parts  # its own first, which is in this core's caches
        if claim(stages[1 + part]) == 0:
            if part == 0:
                _start(counts, starts, order)
            _fill(part, face_starts, per_view, bounds, slices, counts, slots, entries)


@subroutine
def _prepare(
    part,
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
    slots,
    per_view,
    counts,
):
    """Fill what is known of each face of a part, and count the entries of slices, of which the strips of a view have `per_view`;
    slots (F + 1,) number them within the part."""
    count, parts = len(faces), len(counts)
    of_part = counts[part]
    total, view = 0, 0
    for face in range(count * part // parts, count * (part + 1) // parts):
        put(slots, face, total)
        while face >= face_starts[view + 1]:
            view += 1
        a, b, c = np.int64(at(faces, 3 * face)), np.int64(at(faces, 3 * face + 1)), np.int64(at(faces, 3 * face + 2))
        # In float64: the sign and the zero of the area must be those of the exact triangle.
        ax, ay = np.float64(at(vertices, 3 * a)), np.float64(at(vertices, 3 * a + 1))
        bx, by = np.float64(at(vertices, 3 * b)), np.float64(at(vertices, 3 * b + 1))
        cx, cy = np.float64(at(vertices, 3 * c)), np.float64(at(vertices, 3 * c + 1))
        depth = lower(lower(at(vertices, 3 * a + 2), at(vertices, 3 * b + 2)), at(vertices, 3 * c + 2))
        area = signed_area_twice(ax, ay, bx, by, cx, cy)
        _put_box(bounds, face, 0, -1, 0, -1)
        if area == 0.0 or (cull_backfaces and area > 0.0) or depth <= 0.0:
            continue
        # Selects: half of the faces are turned, and no processor guesses which.
        turned = area < 0.0
        b, c = select(turned, c, b), select(turned, b, c)
        bx, cx = select(turned, cx, bx), select(turned, bx, cx)
        by, cy = select(turned, cy, by), select(turned, by, cy)
        area = abs(area)
        left, right = lower(lower(ax, bx), cx), higher(higher(ax, bx), cx)
        top, bottom = lower(lower(ay, by), cy), higher(higher(ay, by), cy)
        if lower(left, top) < -COORDINATE_LIMIT or higher(right, bottom) > COORDINATE_LIMIT:
            continue
        ab = (bx - ax) ** 2 + (by - ay) ** 2
        bc = (cx - bx) ** 2 + (cy - by) ** 2
        ca = (ax - cx) ** 2 + (ay - cy) ** 2
        if lower(lower(area, ab), lower(bc, ca)) < SMALLEST_SQUARE:
            continue  # zero in float32
        put(corners, 3 * face, a)
        put(corners, 3 * face + 1, b)
        put(corners, 3 * face + 2, c)
        into = GEOMETRY * face
        put(geometry, into, ax)
        put(geometry, into + 1, ay)
        put(geometry, into + 2, bx)
        put(geometry, into + 3, by)
        put(geometry, into + 4, cx)
        put(geometry, into + 5, cy)
        put(geometry, into + INVERSE_AREA, 1.0 / area)
        first_x, last_x = pixel_range(left - radius, right + radius, np.float64(width))
        first_y, last_y = pixel_range(top - radius, bottom + radius, np.float64(height))
        if first_x > last_x or first_y > last_y:
            continue
        _put_box(bounds, face, first_x, last_x, first_y, last_y)
        in_slice = lower(np.int64((depth - nearest[view]) * per_depth[view]), _SLICES - 1)
        put(slices, face, in_slice)
        first, last = first_y // STRIP_ROWS, last_y // STRIP_ROWS
        total += last - first + 1
        for strip in range(first, last + 1):
            place = view * per_view + strip * _SLICES + in_slice
            put(of_part, place, at(of_part, place) + 1)


@formula
def _put_box(bounds, face, left, right, top, bottom):
    put(bounds, 4 * face, left)
    put(bounds, 4 * face + 1, right)
    put(bounds, 4 * face + 2, top)
    put(bounds, 4 * face + 3, bottom)


@subroutine
def _start(counts, starts, order):
    """Fill starts (B S + 1,), and order (B S,): strips of about as many entries keep theirs, which is near enough."""
    parts, total, most = len(counts), np.int64(0), np.int64(1)
    for strip in range(len(order)):
        starts[strip] = total
        for place in range(strip * _SLICES, (strip + 1) * _SLICES):
            for part in range(parts):
                total += at(counts, part * counts.shape[1] + place)
        most = higher(most, total - starts[strip])
    starts[len(order)] = total
    ends = aligned(_SIZES + 1, np.int64)
    for size in range(_SIZES + 1):
        ends[size] = 0
    for strip in range(len(order)):
        ends[_size_of(starts, strip, most) + 1] += 1
    for size in range(_SIZES):
        ends[size + 1] += ends[size]
    for strip in range(len(order)):
        size = _size_of(starts, strip, most)
        order[ends[size]] = strip
        ends[size] += 1


@formula
def _size_of(starts, strip, most):
    """Return 0 for the fullest strips up to _SIZES - 1 for empty ones."""
    return (_SIZES - 1) * (most - (starts[strip + 1] - starts[strip])) // most


@subroutine
def _fill(part, face_starts, per_view, bounds, slices, counts, slots, entries):
    """Write the faces of a part to their slices, and number the slots of all parts, if there is room for the entries."""
    count, parts = len(bounds), len(counts)
    cursor = aligned(counts.shape[1], np.int64)
    before, total = 0, 0
    for place in range(len(cursor)):
        cursor[place] = total
        for other in range(parts):
            if other < part:
                cursor[place] += counts[other, place]
                before += counts[other, place]
            total += counts[other, place]
    if total > len(entries):
        return
    if part == 0:
        slots[count] = total
    view = 0
    for face in range(count * part // parts, count * (part + 1) // parts):
        while face >= face_starts[view + 1]:
            view += 1
        put(slots, face, at(slots, face) + before)
        top, bottom = np.int64(at(bounds, 4 * face + 2)), np.int64(at(bounds, 4 * face + 3))
        if bottom >= top:
            first = view * per_view + np.int64(at(slices, face))
            for strip in range(top // STRIP_ROWS, bottom // STRIP_ROWS + 1):
                place = first + strip * _SLICES
                at_place = at(cursor, place)
                put(entries, at_place, face)
                put(cursor, place, at_place + 1)
