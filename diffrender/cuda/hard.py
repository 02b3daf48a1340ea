"""Hard rendering on the device: memory and launches around the kernels.

Which faces meet at which edges is found on the host, once for a mesh; all else is done where the image is.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ..antialiasing import AntialiasGradients
from ..backend import BackendError, RasterDirections, RasterGradients, on_device
from ..checks import check_attributes, check_background, check_gradient
from ..fragments import Pairs, Places
from ..hard import FAINT, Hard, HardRaster
from ..interpolation import InterpolationGradients
from ..surface_links import Surface, link_surface, links_of
from . import blend, contributions, fragments, outline, resolve, zbuffer
from .arrays import Workspace, allocate, download, stream_of, wait_for
from .gather import Incidence, expected, incidence
from .inspect import BAD_VERTICES, ENTRIES, FIRST_VERTEX, OTHER_FACES, REPORT, raise_bad_face, raise_not_finite
from .jit import spread
from .rasterize import lock
from .scan import scan

_RING = zbuffer.RING
_NO_FORWARD_MODE = "hard rendering has its forward mode on backend 'cpu' only"
_KEPT = 4  # surfaces whose links are on the device


class _Surface(NamedTuple):
    """Half edges on the device, see `diffrender.surface_links.Surface`."""

    linked: Any
    ring: Any
    heads: Any
    seconds: Any
    pieces: Any
    charts: Any
    seams: Any


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
    linked = _links(of, own_faces, vertices, attribute_faces, stream)
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
        given = (*around, owners, below, scratch, number, asked, counts, offsets)
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


_turn = threading.Lock()
_faces_of: list[tuple[Incidence, np.ndarray, Surface | None]] = []
_on_device: list[tuple[Surface, Workspace, _Surface]] = []


def _links(of: Incidence, faces: Any, vertices: Any, attribute_faces: np.ndarray | None, stream: Any) -> _Surface:
    """Return the links of faces that have an incidence, whose open edges are joined where vertices are in the same place."""
    known = next(((host, surface) for other, host, surface in _faces_of if other is of), None)
    if known is not None and known[1] is not None and attribute_faces is None:
        return _upload(known[1], stream)
    host_faces = download(faces, stream) if known is None else known[0]
    count = max(1, len(vertices))
    is_open = links_of(host_faces, count).is_open
    host_vertices = np.zeros((count, 3))
    if is_open and len(vertices):
        host_vertices = download(vertices, stream) if on_device(vertices) else vertices
    corners = host_faces if attribute_faces is None or not len(attribute_faces) else attribute_faces
    surface = link_surface(host_faces, host_vertices, corners)
    if known is None:
        with _turn:
            _faces_of.insert(0, (of, host_faces, None if is_open or attribute_faces is not None else surface))
            del _faces_of[_KEPT:]
    return _upload(surface, stream)


def _upload(surface: Surface, stream: Any) -> _Surface:
    links = surface.links
    for other, workspace, there in list(_on_device):
        if other.links is links and other.charts is surface.charts:
            wait_for(workspace.stream, stream)
            return there
    workspace = Workspace(stream)
    linked, ring, heads, seconds, pieces = (
        workspace.upload(array) for array in (links.faces, links.ring, links.heads, links.seconds, links.pieces)
    )
    charts = ring if surface.charts is links.ring else workspace.upload(surface.charts)
    seams = workspace.upload(_not_empty(surface.seams))[: len(surface.seams)]
    there = _Surface(linked, ring, heads, seconds, pieces, charts, seams)
    with _turn:
        _on_device.insert(0, (surface, workspace, there))
        del _on_device[_KEPT:]
    return there


class DeviceInterpolation:
    """What `interpolate` returns for fragments of the device, see `diffrender.interpolation.Interpolation`."""

    def __init__(self, of: DeviceFragments, given: tuple, values: Any, workspace: Workspace):
        self._of, self._given, self._values, self._workspace = of, given, values, workspace

    @property
    def values(self) -> Any:
        """A row for each fragment (S, C)."""
        return self._of.result(self._values)

    @property
    def image(self) -> Any:
        """The values at the pixels' centres (H, W, C)."""
        return self._of.result(self._values[: self._of.pixels].reshape(*self._of.size, self._values.shape[1]))

    @property
    def slopes(self) -> Any:
        """Raise BackendError: slopes are for textures."""
        raise BackendError("the slopes of an interpolation are found by backend 'cpu' only")

    def backward(self, grad_values: Any) -> InterpolationGradients:
        """Return the gradients for grad_values (S, C). Raises ValueError for another shape."""
        grad_values = check_gradient(grad_values, "grad_values", self._values, "cuda")
        with lock:
            scratch = Workspace(self._of.stream)
            grads = _Gradients(self._of, scratch)
            grads.add_values(self._given, _given_to(grad_values, scratch))
            return InterpolationGradients(grads.of_vertices(), grads.of_attributes())


def interpolate(
    of: DeviceFragments,
    attributes: Any,
    attribute_faces: Any | None,
    perspective_correct: bool,
    background: np.ndarray,
    channels: int,
    kept: bool = False,
) -> DeviceInterpolation:
    """Interpolate what has been checked, as `diffrender.interpolation.fill` does; values that are `kept` are the raster's."""
    with lock:
        workspace, stream = Workspace(of.stream), of.stream
        wait_for(getattr(attributes, "stream", 0), stream)
        is_given = on_device(attributes)
        attributes = attributes if is_given else workspace.upload(_not_empty(attributes))
        if is_given:
            report = workspace.upload(np.zeros(2, np.int64))
            fragments.inspect[(*spread(len(attributes)), stream)](attributes, report)
            bad, first = download(report, stream)
            raise_not_finite("attributes", attributes, bad, first, stream)
        faces = of.own_faces if attribute_faces is None else workspace.upload(_not_empty(attribute_faces))
        given = (bool(perspective_correct), attributes, faces)
        shape = (of.count, channels)
        if of.stays and not kept:
            values = allocate(shape, of.dtype, stream)
        else:
            values = workspace.take_at_least(of.count, of.dtype, channels)[: of.count]
        surface, places = (of.points, of.own_faces, of.ids), tuple(of.places)
        fragments.interpolate[(*spread(of.count), stream)](
            *surface, places, *given, workspace.upload(background), values
        )
        return DeviceInterpolation(of, given, values, workspace)


def _not_empty(array: np.ndarray) -> np.ndarray:
    return array if len(array) else np.zeros((1, *array.shape[1:]), array.dtype)


def _given_to(array: Any, workspace: Workspace) -> Any:
    """Return an array of the caller on the device, when its work is done."""
    if not on_device(array):
        return workspace.upload(array)
    wait_for(getattr(array, "stream", 0), workspace.stream)
    return array


class _Gradients:
    """The gradients of vertices and attributes, from values, from areas, or both."""

    def __init__(self, of: DeviceFragments, scratch: Workspace):
        self._of, self._scratch = of, scratch
        self._given: tuple | None = None
        self._by_pairs: Any = None
        self._pair_keys: Any = None
        self._by_places: Any = None
        self._attributes_by_places: Any = None
        self._sums = scratch.take((1, fragments.POSITIONS), np.float64)
        self._slots = of.offsets  # not looked at without values
        self._names: tuple[int, tuple] | None = None  # of vertices

    def add_values(self, given: tuple, grad_values: Any) -> None:
        """Take what gradients of values (S, C or more) give."""
        of, scratch, take = self._of, self._scratch, self._scratch.take_at_least
        self._given = given
        _, attributes, _ = given
        channels, surface = attributes.shape[1], (of.points, of.own_faces)
        self._slots, listed, listed_faces = of.slots()
        count = len(listed)
        self._sums = take(count, np.float64, fragments.POSITIONS + 3 * channels)[:count]
        places, number = tuple(of.places), len(of.places.faces)
        self._launch(
            fragments.interpolate_backward,
            count,
            *surface,
            of.bounds,
            of.offsets,
            of.ids,
            listed,
            listed_faces,
            *given,
            grad_values,
            self._sums,
        )
        self._launch(fragments.add_slots, self._sums.size, of.offsets, self._slots, listed_faces, self._sums)
        alone = scratch.upload(np.arange(3, dtype=np.int32)[None])

        def room(columns: int) -> Any:
            return take(number, np.float64, 3 * columns)[:number].reshape(number, 3, columns)

        self._by_places, self._attributes_by_places = room(3), room(channels)
        own = (room(3), room(channels), take(number, np.float64, channels)[:number])
        self._launch(
            fragments.places_backward,
            number,
            *surface,
            places,
            of.size[1],
            *given,
            grad_values,
            alone,
            scratch.upload(np.zeros(1)),
            own,
            self._by_places,
            self._attributes_by_places,
        )

    def add_areas(self, grad_areas: Any) -> None:
        """Take what gradients of the pairs' areas (N,) give."""
        of, take = self._of, self._scratch.take_at_least
        count, moved = len(of.pairs.pixels), blend.MOVED
        own_points, self._by_pairs = (
            take(count, np.float64, 3 * moved)[:count].reshape(count, moved, 3) for _ in range(2)
        )
        own_faces = take(count, np.int32, 6)[:count].reshape(count, 2, 3)
        own = (take(count, np.int32, 2)[:count], take(count, np.int32, 4)[:count])
        self._pair_keys = take(count, np.int32, moved)[:count]
        pairs = (of.pairs.owners, of.pairs.numbers, of.pairs.cutters)
        surface, into = (of.points, of.own_faces, of.pairs.pixels, of.size[1]), (self._pair_keys, self._by_pairs)
        self._launch(blend.areas_backward_each, count, *surface, pairs, grad_areas, own_points, own_faces, own, *into)

    def of_vertices(self) -> Any:
        """Return the gradient of the vertices (V, 3)."""
        of, scratch = self._of, self._scratch
        first, named = self._named(of.own_faces, len(of.points))
        grads = self._room((len(of.points), 3))
        none = scratch.take((1, 3, 3), np.float64)
        by_pairs = none if self._by_pairs is None else self._by_pairs
        by_places = none if self._by_places is None else self._by_places
        rows = ((of.of.starts, of.of.faces), of.own_faces, of.offsets, self._slots, self._sums, self._given is not None)
        self._launch(
            contributions.gather_points, 3 * len(grads), *rows, named, first, by_pairs, by_places, of.points, grads
        )
        return of.result(grads[: len(of.vertices_pixel)])

    def of_attributes(self) -> Any:
        """Return the gradient of the attributes (T, C)."""
        assert self._given is not None
        of, (_, attributes, faces) = self._of, self._given
        first, named = self._named(faces, len(attributes))
        count = len(attributes)
        incident = of.of if faces is of.own_faces else incidence(faces, count, of.stream)
        grads = self._room((count, attributes.shape[1]))
        rows = ((incident.starts, incident.faces), faces, of.offsets, self._slots, self._sums)
        self._launch(
            contributions.gather_attributes, grads.size, *rows, named, first, self._attributes_by_places, grads
        )
        return of.result(grads if len(of.vertices_pixel) or faces is not of.own_faces else grads[:0])

    def _named(self, faces: Any, rows: int) -> tuple[int, tuple]:
        """Return how many gradients come from pairs, and what `order_by_key` says of these and of those of places."""
        of, take = self._of, self._scratch.take_at_least
        if faces is of.own_faces and self._names is not None:
            return self._names
        by_pairs = self._pair_keys is not None and faces is of.own_faces  # which name vertices
        first = self._pair_keys.size if by_pairs else 0
        places = 0 if self._by_places is None else len(of.places.faces)
        total = first + 3 * places
        keys = take(total, np.int32)[:total]
        if first:
            self._launch(contributions.copy_keys, first, self._pair_keys.reshape(first), keys)
        if places:
            self._launch(contributions.name_places, 3 * places, faces, tuple(of.places), keys[first:])
        names = first, contributions.order_by_key(keys, rows, self._scratch)
        if faces is of.own_faces:
            self._names = names
        return names

    def _room(self, shape: tuple[int, ...]) -> Any:
        of = self._of
        return allocate(shape, of.dtype, of.stream) if of.stays else self._scratch.take(shape, of.dtype)

    def _launch(self, kernel: Callable, count: int, *arguments: Any) -> None:
        kernel[(*spread(count), self._of.stream)](*arguments)  # type: ignore[index]


class DeviceAntialiased:
    """What `antialias` returns for fragments of the device, see `diffrender.antialiasing.Antialiased`."""

    def __init__(self, of: DeviceFragments, image: Any, jumps: Any, workspace: Workspace):
        self._of, self._jumps, self._workspace = of, jumps, workspace
        self.image = of.result(image.reshape(*of.size, image.shape[1]))

    def backward(self, grad_image: Any) -> AntialiasGradients:
        """Return the gradients for grad_image (H, W, C). Raises ValueError for another shape."""
        grad_image = check_gradient(grad_image, "grad_image", self.image, "cuda")
        of, channels = self._of, self.image.shape[2]
        with lock:
            scratch = Workspace(of.stream)
            given = _given_to(grad_image, scratch).reshape(of.pixels, channels)
            grads = _Gradients(of, scratch)
            shape = (of.count, channels)
            grad_values = allocate(shape, of.dtype, of.stream) if of.stays else scratch.take(shape, of.dtype)
            grads.add_areas(_blend_backward(of, self._jumps, given, grad_values, scratch))
            nothing = scratch.take((channels,), np.float64)
            pairs = (of.pairs.pixels, of.pairs.sides, of.pairs.areas)
            blend.nothing_backward[1, blend.LANES, of.stream](*pairs, of.pixels, given, nothing)
            blend.add_row[(*spread(channels), of.stream)](nothing, of.pixels, grad_values)
            return AntialiasGradients(grads.of_vertices(), of.result(grad_values))


def antialias(of: DeviceFragments, values: Any) -> DeviceAntialiased:
    """Return the antialiased image of values (S, C) that have been checked."""
    with lock:
        workspace = Workspace(of.stream)
        values, channels = _given_to(values, workspace), values.shape[1]
        shape = (of.pixels, channels)
        image = allocate(shape, of.dtype, of.stream) if of.stays else workspace.take(shape, of.dtype)
        blend.copy_rows[(*spread(image.size), of.stream)](values, image)
        return DeviceAntialiased(of, image, _blend(of, values, image, workspace), workspace)


def _blend(of: DeviceFragments, values: Any, image: Any, workspace: Workspace) -> Any:
    count, channels = len(of.pairs.pixels), values.shape[1]
    jumps = workspace.take_at_least(count, of.dtype, channels)[:count]
    where = (of.order, of.pair_starts, of.pairs.sides, of.pairs.areas)
    blend.blend[(*spread(len(of.order) * channels), of.stream)](*where, values, image, jumps)
    return jumps


def _blend_backward(of: DeviceFragments, jumps: Any, grad_image: Any, grad_values: Any, scratch: Workspace) -> Any:
    """Fill grad_values (S, C) from grad_image (H W, C), and return the gradient of the areas."""
    blend.spread_gradient[(*spread(grad_values.size), of.stream)](grad_image, grad_values)
    return _areas_backward(of, jumps, grad_values, scratch)


def _areas_backward(of: DeviceFragments, jumps: Any, grad_values: Any, scratch: Workspace) -> Any:
    count = len(of.pairs.pixels)
    grad_areas = scratch.take_at_least(count, np.float64)[:count]
    where = (of.order, of.pair_starts, of.pairs.sides, of.pairs.areas, jumps, of.pixels)
    blend.blend_backward[(*spread(len(of.order)), of.stream)](*where, grad_values, grad_areas)
    return grad_areas


class DeviceRaster(HardRaster):
    """`diffrender.hard.HardRaster` of fragments of the device."""

    def __init__(self, of: DeviceFragments, drawn: DeviceInterpolation | None, background: np.ndarray | None):
        self._of, self._drawn_there = of, drawn
        with lock:
            self._workspace = Workspace(of.stream)
            stream, pixels = of.stream, of.pixels
            if drawn is None:
                values = self._workspace.take_at_least(of.count, of.dtype, 1)[: of.count]
                fragments.cover[(*spread(of.count), stream)](of.ids, values)
            else:
                values = drawn._values
            image = values[:pixels]
            self._jumps = _blend(of, values, image, self._workspace)
            self._behind = None
            if background is not None:
                self._behind = self._workspace.upload(background)
                if background.any():
                    blend.show_background[(*spread(pixels), stream)](self._behind, image)
                blend.to_straight_alpha[(*spread(len(of.order)), stream)](
                    of.order, of.dtype.type(FAINT), self._behind, image
                )
            self._image = image
            if of.stays:  # a copy: its memory is the caller's, ours is used again
                kept = allocate(image.shape, of.dtype, stream)
                blend.copy_rows[(*spread(image.size), stream)](image, kept)
                image = kept
            self.image = of.result(image.reshape(*of.size, image.shape[1]))

    def backward(self, grad_image: Any) -> RasterGradients:
        """Return the gradients for grad_image (H, W, C + 1). Raises ValueError for another shape."""
        of, drawn = self._of, self._drawn_there
        grad_image = check_gradient(grad_image, "grad_image", self.image, "cuda")
        channels = self.image.shape[2]
        with lock:
            scratch = Workspace(of.stream)
            given = _given_to(grad_image, scratch).reshape(of.pixels, channels)
            grad_values = scratch.take_at_least(of.count, of.dtype, channels)[: of.count]
            blend.spread_gradient[(*spread(grad_values.size), of.stream)](given, grad_values)
            if self._behind is not None:
                straight = (of.order, of.dtype.type(FAINT), self._behind, self._image, grad_values)
                blend.to_straight_alpha_backward[(*spread(len(of.order)), of.stream)](*straight)
            grads = _Gradients(of, scratch)
            grads.add_areas(_areas_backward(of, self._jumps, grad_values, scratch))
            if drawn is None:
                return RasterGradients(grads.of_vertices(), None)
            grads.add_values(drawn._given, grad_values)
            return RasterGradients(grads.of_vertices(), grads.of_attributes())

    def jvp(
        self,
        vertices_pixel: Any | None = None,
        attributes: Any | None = None,
        uv: Any | None = None,
        texture: Any | None = None,
    ) -> np.ndarray:
        """Raise BackendError."""
        raise BackendError(_NO_FORWARD_MODE)

    def image_jvp(self, directions: RasterDirections) -> np.ndarray:
        """Raise BackendError."""
        raise BackendError(_NO_FORWARD_MODE)


def draw(
    of: DeviceFragments, attributes: Any | None, attribute_faces: np.ndarray | None, settings: Hard
) -> DeviceRaster:
    """Draw fragments with attributes, as `diffrender.hard.draw_hard` does."""
    if attributes is None:
        return DeviceRaster(of, None, None)
    if attribute_faces is None:
        attributes = check_attributes(attributes, of.vertices_pixel)
    channels = attributes.shape[1]
    background = check_background(settings.background, channels, of.dtype)
    nothing = np.zeros(channels, of.dtype)
    drawn = interpolate(of, attributes, attribute_faces, settings.perspective_correct, nothing, channels + 1, kept=True)
    return DeviceRaster(of, drawn, background)
