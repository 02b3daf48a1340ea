"""Hard rendering on the device: memory and launches around the kernels that find what is seen.

Which faces meet at which edges is found on the host, once for a mesh; all else is done where the image is.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..backend import on_device
from ..fragments import Pairs, Places
from . import fragments, hard_tangent, outline, resolve, zbuffer
from .arrays import Workspace, allocate, download, stream_of
from .gather import Incidence, expected, incidence
from .inspect import BAD_VERTICES, ENTRIES, FIRST_VERTEX, OTHER_FACES, REPORT, raise_bad_face, raise_not_finite
from .jit import spread
from .links import surface_of
from .rasterize import lock
from .scan import scan

_RING = zbuffer.RING


@dataclass(frozen=True, eq=False)
class DeviceFragments:
    """What `rasterize_hard` returns with backend "cuda": what each pixel sees, as `diffrender.fragments.Fragments` has it.

    Arrays are CUDA arrays if the vertices were, else NumPy's.
    """

    vertices_pixel: Any  # (V, 3) as given
    faces: Any  # (F, 3) as given
    size: tuple[int, int]
    workspace: Workspace
    stays: bool  # whether results stay on the device
    own_faces: Any  # (F, 3) int32 on the device
    points: Any  # (V, 3) float64 on the device: x px, y px, 1 / depth
    nearest: Any  # (H + 2, W + 2) 1 / depth on the device
    ids: Any  # (H + 2, W + 2) int32 on the device
    bounds: Any  # (F, 4) int32
    offsets: Any  # (F + 1,) int64 entries, see `diffrender.cuda.zbuffer`
    entries: int
    order: Any  # (P,) int32 pixels with boundaries
    pair_starts: Any  # (P + 1 or more,) int64
    pairs: Pairs
    places: Places
    of: Incidence
    seen: list = field(default_factory=list)  # of what is known when it has been asked for

    @property
    def dtype(self) -> np.dtype:
        """The precision of values."""
        return self.vertices_pixel.dtype

    @property
    def stream(self) -> Any:
        """The stream that all work is on."""
        return self.workspace.stream

    @property
    def face_ids(self) -> Any:
        """The nearest face at each pixel's centre (H, W) int32, -1 for none."""
        ids = allocate(self.size, np.int32, self.stream)
        zbuffer.crop[(*spread(ids.size), self.stream)](self.ids, ids)
        return self.result(ids)

    @property
    def depth(self) -> Any:
        """The depth at each pixel's centre (H, W), infinite where nothing is seen."""
        depth = allocate(self.size, self.dtype, self.stream)
        zbuffer.invert[(*spread(depth.size), self.stream)](self.nearest, depth)
        return self.result(depth)

    @property
    def pixels(self) -> int:
        """The number of pixels."""
        return self.size[0] * self.size[1]

    @property
    def count(self) -> int:
        """The number of fragments."""
        return self.pixels + 1 + len(self.places.faces)

    @cached_property
    def covered(self) -> Any:
        """1 for each fragment (S,) that lies on a face, 0 for the others."""
        values = allocate((self.count, 1), self.dtype, self.stream)
        fragments.cover[(*spread(self.count), self.stream)](self.ids, values)
        return self.result(values.reshape(self.count))

    def barycentrics(self, perspective_correct: bool = True) -> Any:
        """Return the barycentric coordinates (H, W, 3) float64 at pixels' centres, in space or in the image; -1 for nothing."""
        weights = allocate((*self.size, 3), np.float64, self.stream)
        fragments.weigh_centers[(*spread(self.pixels), self.stream)](
            self.points, self.own_faces, self.ids, bool(perspective_correct), weights
        )
        return self.result(weights)

    def result(self, array: Any) -> Any:
        """Return an array of the device there, or on the host if the vertices were."""
        if not self.stays:
            return download(array, self.stream)
        array.stream = self.stream  # a view forgets it
        return array

    def points_motions(self, vertices_pixel: np.ndarray | None, count: int, scratch: Workspace) -> Any:
        """Return how points move (V, D, 3) in `count` directions of vertices_pixel (D, V, 3), or not at all."""
        moved = vertices_pixel is not None and vertices_pixel.size
        given = scratch.upload(np.ascontiguousarray(vertices_pixel, np.float64) if moved else np.zeros((1, 1, 3)))
        given = given if moved else given[:0]
        motions = scratch.take((len(self.points), count, 3), np.float64)
        hard_tangent.move_points[(*spread(motions.size), self.stream)](self.points, given, motions)
        return motions

    def slots(self) -> tuple[Any, Any, Any]:
        """Return how many entries are seen before each (E + 1,), these entries (N,) int64 and their faces (N,) int32, found at
        the first way back."""
        if not self.seen:
            take, stream, count = self.workspace.take, self.stream, self.entries
            flags = self.workspace.take_at_least(count, np.int32)[:count]
            before, totals = self.workspace.take_at_least(count + 1, np.int64)[: count + 1], take((2,), np.int64)
            if count:
                fragments.find_seen[(*spread(count), stream)](self.bounds, self.offsets, self.ids, flags)
            scan(flags, before, self.workspace, (count, count), totals)
            seen = int(download(totals, stream)[0])
            listed = self.workspace.take_at_least(seen, np.int64)[:seen]
            faces = self.workspace.take_at_least(seen, np.int32)[:seen]
            if seen:
                fragments.list_seen[(*spread(count), stream)](self.offsets, before, listed, faces)
            self.seen.append((before, listed, faces))
        return self.seen[0]


def rasterize(
    vertices: Any, faces: Any, size: tuple[int, int], cull_backfaces: bool, attribute_faces: np.ndarray | None
) -> DeviceFragments:
    """Do what `diffrender.rasterize_hard` does, with arrays that have been checked as far as the host can."""
    with lock:
        return _rasterize(vertices, faces, size, cull_backfaces, attribute_faces)


def _rasterize(
    vertices: Any, faces: Any, size: tuple[int, int], cull_backfaces: bool, attribute_faces: np.ndarray | None
) -> DeviceFragments:
    stays = on_device(vertices)
    workspace = Workspace(stream_of(*(array for array in (vertices, faces) if on_device(array))))
    take, stream, (height, width) = workspace.take, workspace.stream, size
    own_vertices, given = vertices, faces
    if not len(vertices) or not len(faces):  # a face without area in their place
        own_vertices, given = np.zeros((1, 3), vertices.dtype), np.zeros((1, 3), np.int32)
    own_vertices, given = (a if on_device(a) else workspace.upload(a) for a in (own_vertices, given))

    def launch(kernel: Any, count: int, *arguments: Any) -> None:
        kernel[(*spread(count), stream)](*arguments)

    drawn, pixels = (height + 2 * _RING, width + 2 * _RING), height * width
    tiles = tuple(-(-length // zbuffer.TILE) for length in drawn)
    nearest, ids = take(drawn, np.float64), take(drawn, np.int32)
    under, owners, depths = take((pixels,), np.int32), take((pixels,), np.int32), take((pixels,), np.float64)
    counts, marked, facing = take((2 * pixels,), np.int32), take(tiles, np.int32), take((2,), np.int32)
    report = take((REPORT,), np.int64)
    flat = (nearest.reshape(nearest.size), ids.reshape(ids.size), under, depths)
    launch(zbuffer.clear, 2 * nearest.size, *flat, counts, owners, marked.reshape(marked.size), facing, report)
    faces_count = len(given)
    own_faces = take((faces_count, 3), np.int32)  # of the caller's, which may change before the way back
    known = expected(faces_count, len(own_vertices), stream)
    given_faces = (own_vertices, given, own_faces if known is None else known.of)
    points, signs = take((len(own_vertices), 3), np.float64), take((faces_count,), np.int8)
    bounds, touched = take((faces_count, 4), np.int32), take((faces_count,), np.int32)
    offsets, totals = take((faces_count + 1,), np.int64), take((2,), np.int64)
    settings, found = (height, width, bool(cull_backfaces)), (own_faces, points, signs, bounds, touched, report)
    launch(zbuffer.prepare, max(len(points), faces_count), *given_faces, *settings, *found)
    scan(touched, offsets, workspace, (faces_count, faces_count), report)
    binned = (points, own_faces, signs, bounds, offsets)
    work = max(4 * faces_count, nearest.size)
    for choosing in (False, True):
        launch(zbuffer.draw_ids, work, *binned, choosing, nearest, ids)
    launch(zbuffer.name_faces, nearest.size, faces_count, ids, facing)

    told = download(report, stream)
    entries = int(told[ENTRIES])
    raise_bad_face(told, given, len(own_vertices), stream)
    raise_not_finite("vertices_pixel", own_vertices, told[BAD_VERTICES], told[FIRST_VERTEX], stream)
    of = incidence(own_faces, len(own_vertices), stream) if known is None or told[OTHER_FACES] else known
    linked = surface_of(of, own_faces, vertices, attribute_faces, stream)
    surface = (points, own_faces, linked.linked, signs, linked.ring, linked.pieces, linked.charts)
    farthest = take(tiles, np.float64)
    launch(outline.find_farthest, farthest.size, nearest, farthest)
    edges = (linked.heads, linked.seconds, linked.seams, facing, nearest, ids, farthest)
    none = (take((1,), np.int32), take((1,), np.int32), take((1,), np.int32), take((1, 2), np.float64))
    starts, numbers = take((2 * pixels + 1,), np.int64), len(linked.seams) + len(linked.heads)
    launch(outline.find_outlines, numbers, surface, *edges, False, starts, counts, marked, none)
    launch(outline.find_meetings, 2 * nearest.size, surface, ids, counts, owners)
    scan(counts, starts, workspace, (pixels, 2 * pixels), totals)
    found_count, both = (int(value) for value in download(totals, stream))
    loose = (
        *(workspace.take_at_least(found_count, np.int32) for _ in range(3)),
        workspace.take_at_least(found_count, np.float64, 2),
    )
    outlines = (
        workspace.take_at_least(found_count, np.int32),
        workspace.take_at_least(found_count, np.float64, 2),
        workspace.take_at_least(found_count, np.int32),
    )
    order = workspace.take_at_least(both - found_count, np.int32)[: both - found_count]
    launch(outline.find_outlines, numbers, surface, *edges, True, starts, counts, marked, loose)
    launch(outline.arrange, max(found_count, pixels), starts, found_count, loose, outlines, order)
    for choosing in (False, True):
        launch(zbuffer.draw_under, work, *binned, facing, marked, starts, nearest, choosing, under, depths)
    around = (surface, (nearest, ids), under, outlines, starts, order)
    pair_starts, pairs, places = _resolve(around, owners, (facing, bounds), workspace)
    return DeviceFragments(
        vertices,
        faces,
        size,
        workspace,
        stays,
        own_faces,
        points,
        nearest,
        ids,
        bounds,
        offsets,
        entries,
        order,
        pair_starts,
        pairs,
        places,
        of,
    )


def _resolve(around: tuple, owners: Any, among: tuple, workspace: Workspace) -> tuple[Any, Pairs, Places]:
    stream, order = workspace.stream, around[5]
    count, threads = len(order), resolve.THREADS
    blocks = max(1, min(-(-count // threads), resolve.BLOCKS))
    pad = Workspace(stream)
    scratch = tuple(pad.take((blocks * threads, *shape), kind) for shape, kind in resolve.SCRATCH)
    counts = workspace.take_at_least(2 * count, np.int32)[: 2 * count]
    offsets = workspace.take_at_least(2 * count + 1, np.int64)[: 2 * count + 1]
    below, totals = pad.take_at_least(count, np.int32)[:count], pad.upload(np.zeros(3, np.int64))
    asked = totals[2:]

    def turn(number: int, into: tuple, places: tuple) -> None:
        given = (*around, owners, among[0], below, scratch, number, asked, counts, offsets)
        resolve.resolve[blocks, threads, stream](*given, into, places)

    nowhere = _rooms(pad, 1, 1)
    turn(resolve.COUNT, *nowhere)
    scan(counts, offsets, workspace, (count, 2 * count), totals)
    pair_count, both, any_asked = (int(value) for value in download(totals, stream))
    if any_asked:
        number = pad.take((blocks * threads,), np.int64)
        given = (*around, *among, scratch, number, below)
        resolve.find_below[min(count, blocks * threads), resolve.LANES, stream](*given)
        turn(resolve.RECOUNT, *nowhere)
        scan(counts, offsets, workspace, (count, 2 * count), totals)
        pair_count, both, _ = (int(value) for value in download(totals, stream))
    into, places = _rooms(workspace, pair_count, both - pair_count)
    turn(resolve.WRITE, into, places)
    return offsets, Pairs(*into), Places(*places)


def _rooms(workspace: Workspace, pairs: int, places: int) -> tuple[tuple, tuple]:
    def room(count: int, dtype: Any, columns: int | None = None) -> Any:
        return workspace.take_at_least(count, dtype, columns)[:count]

    into = (
        room(pairs, np.int32),
        room(pairs, np.int32, 2),
        room(pairs, np.float64),
        room(pairs, np.int32, 2),
        room(pairs, np.float64, 4),
        room(pairs, np.int32, 4),
    )
    return into, (
        room(places, np.int32),
        room(places, np.int32),
        room(places, np.float64, 2),
        room(places, np.int32),
    )
