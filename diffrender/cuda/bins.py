"""Faces sorted into square tiles of the image: who touches which pixels, and where its gradients go.

A tile is a block's work on the way forward. Its faces are in face order, whatever the order in which blocks run: the
sort counts faces by (tile, block of faces), scans the counts, and ranks a face among those of its own block. On the way
back each warp owns a band of rows of one face's bounding box, and so one gradient slot, numbered face by face.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import cuda

from ..backend import RasterSettings
from ..formulas.constants import COORDINATE_LIMIT, CULLING_MARGIN, HALF, ONE, SMALLEST_SQUARE, ZERO
from ..formulas.triangle import columns_in_slab, edge_frame, half_length, pixel_range
from ..limits import reach_of
from .arrays import Workspace, download
from .inspect import (
    BAD_ATTRIBUTES,
    BAD_VERTICES,
    ENDS,
    ENTRIES,
    FIRST_ATTRIBUTE,
    FIRST_VERTEX,
    REPORT,
    adopt_face,
    inspect_row,
    smallest_depth,
)
from .jit import SIMULATED, THREADS, blocks, device, kernel
from .scan import scan

TILE = 8 if SIMULATED else 16  # px, side of a tile: one thread a pixel
BAND = 48 if SIMULATED else 1024  # px of a face's bounding box that one warp goes over on the way back
_SORTED = 8 if SIMULATED else 64  # faces that a block of the sort ranks against each other, each by as many steps
_CELLS = 16 if SIMULATED else 1 << 23  # most counters of the sort; more faces a block are taken for larger images


@dataclass(frozen=True)
class Bins:
    """Faces by tile. `corners`, `geometry` and `bounds` are those of the CPU's bins, on the device."""

    corners: Any  # (F, 3) int32 vertex indices, wound to positive area
    geometry: Any  # (F, 16): mx my nx ny half of ab, bc, ca (see `edge_frame`), 1 / (2 area)
    bounds: Any  # (F, 4) int32 inclusive pixel range x0 x1 y0 y1; y1 < y0 for a face that contributes nothing
    slots: Any  # (F + 1,) int64 first gradient slot of each face, plus slots[0]
    slot_faces: Any  # (S,) int32 the face of each slot
    slot_count: int
    ends: Any  # int64; ends[(tile + 1) * columns - 1] is where the entries of a tile end and the next one's begin
    columns: int  # blocks of faces, each a column of `ends`
    entries: Any  # (E,) int32 faces, in face order within a tile
    radius: float  # px, how far from a face a pixel can still count
    faces: Any  # (F, 3) int32 as they were given, on the device; a bad one is 0, 0, 0
    smallest: Any  # smallest positive depths, infinity for none
    report: np.ndarray  # (REPORT,) int64 of the host, see `diffrender.cuda.inspect`


def sort_into_bins(
    vertices: Any,
    faces: Any,
    size: tuple[int, int],
    settings: RasterSettings,
    workspace: Workspace,
    attributes: Any | None = None,
    known: Any | None = None,
) -> Bins:
    """Sort faces (F, 3) with vertices (V, 3) in pixel space into the tiles of an image of size (H, W).

    All are on the device; faces may be of any integer kind. In passing, `report` is made of them and of attributes (V, C),
    and whether the faces are `known` (F, 3): each launch costs the host what a small mesh costs the device.
    """
    height, width = size
    count = len(faces)
    stream, take = workspace.stream, workspace.take
    radius = reach_of(settings.coverage, settings.cutoff, settings.sigma)[1] + CULLING_MARGIN
    tiles_x, tiles_y = blocks(width, TILE), blocks(height, TILE)
    tiles = tiles_x * tiles_y
    columns = max(1, min(blocks(count, _SORTED), _CELLS // tiles))
    rounds = blocks(count, columns * _SORTED)
    columns = blocks(count, rounds * _SORTED)
    cells = tiles * columns
    corners, bounds = take((max(count, 1), 3), np.int32), take((max(count, 1), 4), np.int32)
    geometry = take((max(count, 1), 16), vertices.dtype)
    counts, offsets = take((cells + count,), np.int32), take((cells + count + 1,), np.int64)
    own = take((count, 3), np.int32)  # of the caller's, which may change before the way back
    report, smallest = take((REPORT,), np.int64), take((blocks(max(count, len(vertices))),), vertices.dtype)
    real = vertices.dtype.type
    _zero[blocks(max(cells + count, REPORT)), THREADS, stream](counts, report)
    _prepare[blocks(max(count, len(vertices))), THREADS, stream](
        vertices,
        vertices if attributes is None else attributes,
        faces,
        own if known is None else known,
        real(height),
        real(width),
        real(radius),
        settings.cull_backfaces,
        tiles_x,
        columns,
        rounds,
        cells,
        own,
        corners,
        geometry,
        bounds,
        counts,
        smallest,
        report,
    )
    scan(counts, offsets, workspace, (cells, cells + count), report)
    found = download(report, stream)
    entry_count, end = int(found[ENTRIES]), int(found[ENDS])
    entries = workspace.take_at_least(entry_count, np.int32)
    slot_faces = workspace.take_at_least(end - entry_count, np.int32)
    slots = offsets[cells:]
    if count:
        _fill[columns, _SORTED, stream](count, bounds, offsets, slots, tiles_x, rounds, entries, slot_faces)
    return Bins(
        corners,
        geometry,
        bounds,
        slots,
        slot_faces,
        end - entry_count,
        offsets,
        columns,
        entries,
        real(radius),
        own,
        smallest,
        found,
    )


@kernel
def _zero(counts, report):
    i = cuda.grid(1)
    if i < len(counts):
        counts[i] = 0
    if i < len(report):
        report[i] = 0


@device
def _store_frame(geometry, face, first, ax, ay, bx, by):
    half = half_length(ax, ay, bx, by)
    mx, my, nx, ny = edge_frame(ax, ay, bx, by, half)
    geometry[face, first] = mx
    geometry[face, first + 1] = my
    geometry[face, first + 2] = nx
    geometry[face, first + 3] = ny
    geometry[face, first + 4] = half


@kernel
def _prepare(
    vertices,
    attributes,
    given_faces,
    known_faces,
    height,
    width,
    radius,
    cull_backfaces,
    tiles_x,
    columns,
    rounds,
    cells,
    faces,
    corners,
    geometry,
    bounds,
    counts,
    smallest,
    report,
):
    face = cuda.grid(1)
    smallest_depth(vertices, smallest)
    if face < len(vertices):
        inspect_row(face, vertices, report, BAD_VERTICES, FIRST_VERTEX)
        inspect_row(face, attributes, report, BAD_ATTRIBUTES, FIRST_ATTRIBUTE)
    if face >= len(given_faces):
        return
    adopt_face(face, given_faces, len(vertices), known_faces, faces, report)
    bounds[face, 0] = 0
    bounds[face, 1] = -1
    bounds[face, 2] = 0
    bounds[face, 3] = -1
    a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
    ax, ay, bx, by, cx, cy = (
        vertices[a, 0],
        vertices[a, 1],
        vertices[b, 0],
        vertices[b, 1],
        vertices[c, 0],
        vertices[c, 1],
    )
    abx, aby, bcx, bcy, cax, cay = bx - ax, by - ay, cx - bx, cy - by, ax - cx, ay - cy
    # (b - a) x (c - a) by Kahan's fused form: a plain difference of products may take the wrong sign, or miss the zero.
    product = aby * cax
    area = cuda.fma(abx, -cay, product) + cuda.fma(aby, cax, -product)
    if area == ZERO or (cull_backfaces and area > ZERO):
        return
    if not (vertices[a, 2] > ZERO and vertices[b, 2] > ZERO and vertices[c, 2] > ZERO):
        return
    if area < ZERO:
        b, c = c, b
        bx, by, cx, cy = cx, cy, bx, by
        abx, aby, bcx, bcy, cax, cay = -cax, -cay, -bcx, -bcy, -abx, -aby
        area = -area
    if not area > ZERO:  # NaN
        return
    left, right = min(ax, bx, cx), max(ax, bx, cx)
    top, bottom = min(ay, by, cy), max(ay, by, cy)
    if not (min(left, top) >= -COORDINATE_LIMIT and max(right, bottom) <= COORDINATE_LIMIT):
        return
    ab = abx * abx + aby * aby
    bc = bcx * bcx + bcy * bcy
    ca = cax * cax + cay * cay
    if min(area, ab, bc, ca) < SMALLEST_SQUARE:
        return
    corners[face, 0] = a
    corners[face, 1] = b
    corners[face, 2] = c
    _store_frame(geometry, face, 0, ax, ay, bx, by)
    _store_frame(geometry, face, 5, bx, by, cx, cy)
    _store_frame(geometry, face, 10, cx, cy, ax, ay)
    geometry[face, 15] = ONE / area
    first_x, last_x = pixel_range(left - radius, right + radius, width)
    first_y, last_y = pixel_range(top - radius, bottom + radius, height)
    if first_x > last_x or first_y > last_y:
        return
    bounds[face, 0] = first_x
    bounds[face, 1] = last_x
    bounds[face, 2] = first_y
    bounds[face, 3] = last_y
    column = face // (_SORTED * rounds)
    for tile_y in range(first_y // TILE, last_y // TILE + 1):
        for tile_x in range(first_x // TILE, last_x // TILE + 1):
            cuda.atomic.add(counts, (tile_y * tiles_x + tile_x) * columns + column, 1)
    rows = band_rows(first_x, last_x)
    counts[cells + face] = (last_y - first_y) // rows + 1


@device
def band_rows(first_x, last_x):
    """Return how many rows of a face's bounding box are one warp's work on the way back."""
    return max(1, BAND // (last_x - first_x + 1))


@kernel
def _fill(count, bounds, offsets, slots, tiles_x, rounds, entries, slot_faces):
    lefts = cuda.shared.array(_SORTED, np.int32)
    rights = cuda.shared.array(_SORTED, np.int32)
    tops = cuda.shared.array(_SORTED, np.int32)
    bottoms = cuda.shared.array(_SORTED, np.int32)
    thread = cuda.threadIdx.x
    column, columns = cuda.blockIdx.x, cuda.gridDim.x
    first_slot = slots[0]
    for turn in range(rounds):
        face = (column * rounds + turn) * _SORTED + thread
        left, right, top, bottom = 0, -1, 0, -1
        if face < count and bounds[face, 3] >= bounds[face, 2]:
            left, right = bounds[face, 0] // TILE, bounds[face, 1] // TILE
            top, bottom = bounds[face, 2] // TILE, bounds[face, 3] // TILE
            for slot in range(slots[face] - first_slot, slots[face + 1] - first_slot):
                slot_faces[slot] = face
        lefts[thread] = left
        rights[thread] = right
        tops[thread] = top
        bottoms[thread] = bottom
        cuda.syncthreads()
        for tile_y in range(top, bottom + 1):
            for tile_x in range(left, right + 1):
                rank = 0
                for other in range(thread):
                    if (
                        lefts[other] <= tile_x
                        and tile_x <= rights[other]
                        and tops[other] <= tile_y
                        and tile_y <= bottoms[other]
                    ):
                        rank += 1
                entries[offsets[(tile_y * tiles_x + tile_x) * columns + column] + rank] = face
        cuda.syncthreads()
        # The next turn goes on behind these faces; after the last, each offset is where its entries end.
        for tile_y in range(top, bottom + 1):
            for tile_x in range(left, right + 1):
                cuda.atomic.add(offsets, (tile_y * tiles_x + tile_x) * columns + column, 1)
        cuda.syncthreads()


@device
def load_edge(geometry, face, edge):
    """Return (mx, my, nx, ny, half) of an edge."""
    first = 5 * edge
    return (
        geometry[face, first],
        geometry[face, first + 1],
        geometry[face, first + 2],
        geometry[face, first + 3],
        geometry[face, first + 4],
    )


@device
def row_range(geometry, face, low, high, first, last, radius, width):
    """Return the pixels of rows with low <= y <= high that can lie within `radius` of a face whose bounds are [first, last]."""
    edges = load_edge(geometry, face, 0), load_edge(geometry, face, 1), load_edge(geometry, face, 2)
    return columns_in_slab(low, high, first, last, radius, width, *edges)


@device
def box_in_tile(geometry, bounds, face, tile_x, tile_y, radius, width):
    """Return the pixels x0 x1 y0 y1 of a tile that a face may count at; y1 < y0 if there is none."""
    x0, x1, y0, y1 = bounds[face, 0], bounds[face, 1], bounds[face, 2], bounds[face, 3]
    first, last = tile_x * TILE, tile_x * TILE + TILE - 1
    top, bottom = max(y0, tile_y * TILE), min(y1, tile_y * TILE + TILE - 1)
    if x1 - x0 >= TILE and y1 - y0 >= TILE:  # a long sliver's box is far larger than itself
        real = geometry.dtype.type
        x0, x1 = row_range(geometry, face, real(top) + HALF, real(bottom) + HALF, x0, x1, radius, width)
    if x0 > last or x1 < first:
        return 0, -1, 0, -1
    return x0, x1, top, bottom
