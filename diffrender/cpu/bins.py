"""Faces sorted into horizontal strips of the image: who touches which rows, and where its gradients go.

A strip is the unit of work of a thread. Each (strip, face) entry owns one gradient slot, numbered face by face, so
that slots are written by one thread and summed in a fixed order, whatever the number of threads.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..formulas.constants import COORDINATE_LIMIT, CULLING_MARGIN, SMALLEST_SQUARE
from ..formulas.triangle import pixel_range, signed_area_twice
from ..jit import formula, kernel
from ..kernel_memory import aligned
from ..lanes import at, higher, lower, put
from ..memory import empty
from ..ranges import Ranges
from ..spin import lead, publish
from ..threads import parts_of, run_on_workers
from .depths import put_depths
from .spans import GEOMETRY, INVERSE_AREA
from .strips import STRIP_ROWS

_SLICES = 16


@dataclass(frozen=True)
class Bins:
    """Faces of B views by strip, S of each. `corners` is wound to positive area, `geometry` and `bounds` are below."""

    corners: np.ndarray  # (F, 3) int32 vertex indices
    geometry: np.ndarray  # (F, 8): x y of corners a, b, c and 1 / (2 area), see `diffrender.cpu.spans`
    bounds: np.ndarray  # (F, 4) int32 inclusive pixel range x0 x1 y0 y1; y1 < y0 for a face that contributes nothing
    slots: np.ndarray  # (F + 1,) int64 first gradient slot of each face
    starts: np.ndarray  # (B S + 1,) int64 first entry of each strip, view by view
    entries: np.ndarray  # (E,) int32 faces, strip by strip; within a strip slice by slice, in face order
    order: np.ndarray  # (B S,) int64 strips, the fullest first: whoever is free takes the next
    radius: float  # px, how far from a face a pixel can still count


class Depths(NamedTuple):
    """Depths in B views. See `diffrender.cpu.depths`."""

    nearest: np.ndarray  # (B,) float64 the least one
    per_depth: np.ndarray  # (B,) float64 slices of a unit of depth
    ahead: np.ndarray  # (B,) float64 the least one in front of the camera
    logits: np.ndarray  # (V,) zbar / gamma relative to that


def sort_depths(vertices: np.ndarray, ranges: Ranges, scale: float) -> Depths:
    """Return the depths of vertices (V, 3) of B views, for scale = 1 / ((far - near) gamma)."""
    nearest, per_depth, ahead = np.empty((3, ranges.views))
    depths = Depths(nearest, per_depth, ahead, empty((len(vertices),), vertices.dtype))
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

    With `depths` the faces of a strip come in slices of depth, the nearest first: what they hide can be left out sooner.
    """
    height, width = size
    count, views = len(faces), ranges.views
    corners = empty((count, 3), np.int32)
    geometry = empty((count, GEOMETRY), vertices.dtype)
    bounds = empty((count, 4), np.int32)
    radius += CULLING_MARGIN
    in_slices = (np.zeros(views), np.zeros(views)) if depths is None else (depths.nearest, depths.per_depth)
    slices = empty((count,), np.uint8)
    slots = empty((count + 1,), np.int64)
    per_view = _SLICES * -(-height // STRIP_ROWS)
    # Each part of the faces counts for itself: whoever fills the slices knows where each part's entries begin.
    parts = parts_of(count)
    counts = np.zeros((parts, views * per_view), np.int64)
    arguments = (vertices, faces, ranges.faces, height, width, radius, cull_backfaces, *in_slices)
    run_on_workers(_prepare, *arguments, corners, geometry, bounds, slices, slots, per_view, counts, most=parts)
    starts = np.empty(views * per_view + 1, np.int64)
    entries = empty((int(counts.sum()),), np.int32)
    run_on_workers(_fill, ranges.faces, per_view, bounds, slices, counts, slots, starts, entries, most=parts)
    starts = starts[::_SLICES].copy()
    order = np.argsort(starts[:-1] - starts[1:], kind="stable")
    return Bins(corners, geometry, bounds, slots, starts, entries, order, radius)


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
    slots,
    per_view,
    counts,
):
    """Fill what is known of each face, and count the entries of slices, of which the strips of a view have `per_view`.

    counts (parts, B S _SLICES), zeros, has the entries of each part of the faces, slots (F + 1,) number them within the part.
    """
    if share < 0:
        lead(publish(board))
        return
    count, parts = len(faces), len(counts)
    for part in range(share, parts, shares):
        of_part = counts[part]
        total, view = 0, 0
        for face in range(count * part // parts, count * (part + 1) // parts):
            put(slots, face, total)
            while face >= face_starts[view + 1]:
                view += 1
            a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
            # In float64: the sign and the zero of the area must be those of the exact triangle.
            ax, ay = np.float64(vertices[a, 0]), np.float64(vertices[a, 1])
            bx, by = np.float64(vertices[b, 0]), np.float64(vertices[b, 1])
            cx, cy = np.float64(vertices[c, 0]), np.float64(vertices[c, 1])
            area = signed_area_twice(ax, ay, bx, by, cx, cy)
            _put_box(bounds, face, 0, -1, 0, -1)
            if area == 0.0 or (cull_backfaces and area > 0.0):
                continue
            if vertices[a, 2] <= 0.0 or vertices[b, 2] <= 0.0 or vertices[c, 2] <= 0.0:
                continue
            if area < 0.0:
                b, c = c, b
                bx, by, cx, cy = cx, cy, bx, by
                area = -area
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
            depth = lower(lower(vertices[a, 2], vertices[b, 2]), vertices[c, 2])
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


@kernel
def _fill(share, shares, board, face_starts, per_view, bounds, slices, counts, slots, starts, entries):
    """Write the faces to their slices, which begin at starts (B S _SLICES + 1,), and number the slots of all parts."""
    if share < 0:
        lead(publish(board))
        return
    count, parts = len(bounds), len(counts)
    for part in range(share, parts, shares):
        cursor = aligned(counts.shape[1], np.int64)
        before, total = 0, 0
        for place in range(len(cursor)):
            cursor[place] = total
            if part == 0:
                starts[place] = total
            for other in range(parts):
                if other < part:
                    cursor[place] += counts[other, place]
                    before += counts[other, place]
                total += counts[other, place]
        if part == 0:
            starts[len(cursor)], slots[count] = total, total
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
