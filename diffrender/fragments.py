"""The hard rasterizer: what is seen in each pixel, face by face, and where the boundaries between faces seen lie in it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .backend import Name, choose, on_device
from .checks import check_faces, check_size, check_vertices
from .memory import Layout, arrays_of, empty, fresh_arrays_of
from .spin import new_stages
from .surface_links import Surface, known_links, link_surface
from .threads import run_on_workers

if TYPE_CHECKING:
    from .cuda.hard import DeviceFragments

_PORTIONS, _PIXEL_PORTIONS = 8, 16  # of faces, and of pixels with outlines, the unit of work of a thread
_ENTRIES = 4  # strips that a face has room in at first
_ROOM, _SPARE = 8, 1024  # for how many outlines each row and each column has room at first, and the image besides
_OF_SEAM = 6  # pixels that a seam passes


class Places(NamedTuple):
    """Where on faces outlines ask for values, beside the pixels' centres."""

    faces: np.ndarray  # (N,) int32
    corners: np.ndarray  # (N,) int32 at which the edge begins that the place is on, or -1
    at: np.ndarray  # (N, 2) px, or the share of the edge
    pixels: np.ndarray  # (N,) int32, row * W + column


class Pairs(NamedTuple):
    """Pixels with a boundary in them, see `diffrender.cpu.resolve`."""

    pixels: np.ndarray  # (N,) int32
    sides: np.ndarray  # (N, 2) int32 rows of values
    areas: np.ndarray  # (N,)
    owners: np.ndarray  # (N, 2) int32
    numbers: np.ndarray  # (N, 4)
    cutters: np.ndarray  # (N, 4) int32


class Changed(NamedTuple):
    """The pixels that pairs are in, each once, see `diffrender.cpu.cross.finish_boundaries`."""

    pixels: np.ndarray  # (M,) int32
    starts: np.ndarray  # (S + 1,) int64 where those of each strip begin
    of_pairs: np.ndarray  # (N,) int32 which of them a pair is in


class Seen(NamedTuple):
    """Runs of pixels that see one face, and the faces seen in each strip of the image, see `diffrender.cpu.hard.draw_ids`."""

    run_ends: np.ndarray  # (H + 2, W + 2) int32
    run_counts: np.ndarray  # (H + 2,) int32
    slots: np.ndarray  # (H + 2, W + 2) int32, of runs
    faces: np.ndarray  # (S, ROWS W + 2) int32
    starts: np.ndarray  # (S + 1,) int64, of numbers that go on from strip to strip


@dataclass(frozen=True)
class Fragments:
    """What `rasterize_hard` returns: what each pixel sees, and all that `interpolate` and `antialias` need.

    There are `count` fragments: first the H W pixels' centres, row after row, then one for nothing at all, then places on faces
    that a boundary within a pixel shows as well.
    """

    vertices_pixel: np.ndarray  # (V, 3)
    faces: np.ndarray  # (F, 3) int32
    size: tuple[int, int]
    points: np.ndarray  # (V, 3) float64: x px, y px, 1 / depth
    nearest: np.ndarray  # (H + 2, W + 2) 1 / depth
    ids: np.ndarray  # (H + 2, W + 2) int32
    seen: Seen
    pairs: Pairs
    places: Places
    changed: Changed

    @property
    def face_ids(self) -> np.ndarray:
        """The nearest face at each pixel's centre (H, W) int32, -1 for none."""
        return self.ids[1:-1, 1:-1]

    @property
    def depth(self) -> np.ndarray:
        """The depth at each pixel's centre (H, W), infinite where nothing is seen."""
        with np.errstate(divide="ignore"):
            return (1 / self.nearest[1:-1, 1:-1]).astype(self.vertices_pixel.dtype)

    @property
    def count(self) -> int:
        """The number of fragments."""
        return self.size[0] * self.size[1] + 1 + len(self.places.faces)

    @cached_property
    def covered(self) -> np.ndarray:
        """1 for each fragment (S,) that lies on a face, 0 for the others."""
        pixels = self.size[0] * self.size[1]
        covered = np.ones(self.count, self.vertices_pixel.dtype)
        covered[:pixels] = (self.face_ids >= 0).ravel()
        covered[pixels] = 0
        return covered

    def barycentrics(self, perspective_correct: bool = True) -> np.ndarray:
        """Return the barycentric coordinates (H, W, 3) float64 at pixels' centres, in space or in the image; -1 for nothing."""
        from .cpu.fragments import weigh_centers

        weights = np.empty((*self.size, 3))
        run_on_workers(weigh_centers, self.points, self.faces, self.ids, bool(perspective_correct), weights)
        return weights

    def gradients(self, grad_points: np.ndarray, grad_attributes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the gradients of vertices_pixel (V, 3) for those of points, and of attributes (T, C), in their precision."""
        from .cpu.fragments import finish_gradients

        dtype = self.vertices_pixel.dtype
        grads = (np.empty(grad_points.shape, dtype), np.empty(grad_attributes.shape, dtype))
        finish_gradients(self.points, grad_points, grad_attributes, *grads)
        return grads

    def points_motions(self, vertices_pixel: np.ndarray | None, count: int) -> np.ndarray:
        """Return how points move (V, D, 3) in `count` directions of vertices_pixel (D, V, 3), or not at all."""
        motions = np.zeros((len(self.points), count, 3))
        if vertices_pixel is not None:
            motions[:] = vertices_pixel.transpose(1, 0, 2)
            motions[..., 2] *= -(self.points[:, 2:] ** 2)
        return motions


def rasterize_hard(
    vertices_pixel: Any,
    faces: Any,
    size: tuple[int, int],
    cull_backfaces: bool = False,
    attribute_faces: Any = None,
    backend: Name = "cpu",
) -> "Fragments | DeviceFragments":
    """Find what each pixel of an image of size (H, W) sees of faces (F, 3) with vertices_pixel (V, 3), x px, y px, depth.

    The nearest face at a pixel's centre, which belongs to one face only (top-left rule); and all outlines of the surface, lines
    where faces cross, and seams that are seen in a pixel, with the exact area beyond each. A seam is an edge at which one of the
    two faces has other attributes than the other: other rows of them in attribute_faces (F, 3), None meaning the faces
    themselves, where vertices may be several in one place. A face with a depth <= 0 or no area is left out. Computed in float64
    and the same at any number of threads.
    `backend` is "cpu", "cuda" or "auto" (a usable GPU, else the CPU). CUDA arrays stay on their device and stream, and so do the
    results; they need "cuda" or "auto". Raises ValueError for input of the wrong shape, range or type, BackendError without a
    usable GPU for "cuda".
    """
    chosen = choose(backend)
    if chosen == "cpu" and (on_device(vertices_pixel) or on_device(faces)):
        raise ValueError("a CUDA array was given to backend 'cpu': copy it to the host, or use backend='cuda'")
    vertices, size = check_vertices(vertices_pixel), check_size(size)
    if chosen == "cpu":
        return rasterize_checked(vertices, faces, size, bool(cull_backfaces), attribute_faces)
    faces = check_faces(faces, len(vertices))
    corners = faces if attribute_faces is None else _check_corners(attribute_faces, faces)
    from .cuda.hard import rasterize

    return rasterize(vertices, faces, size, bool(cull_backfaces), None if attribute_faces is None else corners)


def rasterize_checked(
    vertices: np.ndarray, faces: Any, size: tuple[int, int], cull_backfaces: bool, attribute_faces: Any
) -> Fragments:
    """Do what `rasterize_hard` does, on the CPU, for vertices (V, 3) and a size that have been checked."""
    known = known_links(faces, len(vertices))
    faces = check_faces(faces, len(vertices)) if known is None else faces
    corners = faces if attribute_faces is None else _check_corners(attribute_faces, faces)
    linked = link_surface(faces, vertices, corners, known)
    of_fragments, of_search = _layouts(len(vertices), len(faces), size)
    points, nearest, ids, *seen = fresh_arrays_of(of_fragments)
    signs, bounds, counts, starts, facing, farthest, marked_tiles, last, entries = arrays_of(of_search)
    seen_sign = np.zeros(1, np.int64)
    given = (vertices, faces, *size, cull_backfaces)
    tiles = (farthest, marked_tiles, last)
    while True:
        into = (points, signs, bounds, counts, starts, entries, nearest, ids)
        run_on_workers(_hard().see_faces, new_stages(5), *given, *into, *seen, facing, *tiles, seen_sign)
        if starts[-1] <= len(entries):
            break
        entries = empty((int(starts[-1]),), np.int32)
    binned, centers = (points, faces, signs, bounds, starts, entries), (nearest, ids, seen[0], *tiles)
    boundaries = _boundaries(linked, binned, int(seen_sign[0]), centers)
    return Fragments(vertices, faces, size, points, nearest, ids, Seen(*seen), *boundaries)


@lru_cache(maxsize=64)  # the same are asked for image after image
def _layouts(vertices: int, faces: int, size: tuple[int, int]) -> tuple[Layout, Layout]:
    """Return the arrays that `rasterize_checked` needs: what fragments hold, and what it takes to find them."""
    hard, (height, width) = _hard(), size
    drawn = (height + 2 * hard.RING, width + 2 * hard.RING)
    strips = -(-drawn[0] // hard.ROWS)
    tiles = (strips * hard.ROWS // hard.TILE, -(-drawn[1] // hard.TILE))
    of_fragments = Layout(
        ((vertices, 3), np.float64),
        (drawn, np.float64),
        (drawn, np.int32),
        (drawn, np.int32),
        ((drawn[0],), np.int32),
        (drawn, np.int32),
        ((strips, hard.ROWS * width + 2), np.int32),
        ((strips + 1,), np.int64),
    )
    of_search = Layout(
        ((faces,), np.int8),
        ((faces, 4), np.int32),
        ((_PORTIONS, strips), np.int64),
        ((strips + 1,), np.int64),
        ((strips, 2), np.bool_),
        (tiles, np.float64),
        (tiles, np.bool_),
        ((height * width + hard.BLOCK,), np.int32),
        ((_ENTRIES * faces + _SPARE,), np.int32),
    )
    return of_fragments, of_search


def _check_corners(attribute_faces: Any, faces: np.ndarray) -> np.ndarray:
    if on_device(attribute_faces):
        raise ValueError("attribute_faces are a CUDA array: give them on the host")
    corners = np.asarray(attribute_faces)
    if corners.shape != faces.shape or corners.dtype.kind not in "iu" or (corners.size and corners.min() < 0):
        raise ValueError(
            f"attribute_faces must be integers >= 0 of shape {faces.shape}, got {corners.dtype} of {corners.shape}"
        )
    return np.ascontiguousarray(corners, np.int32)


def _boundaries(linked: Surface, binned: tuple, seen_sign: int, centers: tuple) -> tuple[Pairs, Places, Changed]:
    find_boundaries, find_seam_candidates = _of_boundaries()
    points, faces, signs, *bins = binned
    nearest, ids, run_ends, *tiles = centers
    links = linked.links
    surface = (points, faces, links.faces, signs, links.ring)
    rows, columns = ids.shape
    room = _ROOM * (rows + columns) + _SPARE + _OF_SEAM * len(linked.seams)
    most = 2 * room  # pairs
    while True:
        of_candidates, of_pairs = _layouts_of_boundaries(rows, columns, len(bins[1]), room, most)
        *candidates_of, suspects, suspect_counts, portions = arrays_of(of_candidates)
        filled = arrays_of(of_pairs)
        totals, found = np.zeros(2, np.int64), np.zeros(4, np.int64)
        into = (*tiles, *candidates_of)
        if len(linked.seams):  # first: those of a pixel are read last
            given = (*surface, links.pieces, linked.seams, seen_sign, nearest, ids)
            totals[:] = find_seam_candidates(*given, *into)
        edges = (links.pieces, linked.charts, links.heads, links.seconds)
        seen = (*bins, seen_sign, nearest, ids, run_ends)
        search = (totals, suspects, suspect_counts, portions)
        run_on_workers(find_boundaries, new_stages(4), *surface, *edges, *seen, *into, *search, *filled, found)
        candidates, (n, m, changed, needed) = int(totals[0]), found.tolist()
        if max(2 * candidates, needed) <= most and candidates <= room:
            return (  # views, which users may do with as they like
                Pairs(*(part[:n] for part in filled[:6])),
                Places(*(part[:m] for part in filled[6:10])),
                Changed(filled[10][:changed], filled[11][:], filled[12][:n]),
            )
        room, most = max(room, candidates), max(most, 2 * candidates, needed)
        tiles[-1].fill(-1)


@lru_cache(maxsize=64)
def _layouts_of_boundaries(rows: int, columns: int, ends: int, room: int, most: int) -> tuple[Layout, Layout]:
    """Return the arrays that `_boundaries` needs: `room` candidates and what it takes to find them, and at most so many pairs."""
    pixels = ((rows - 2) * (columns - 2),)
    of_candidates = Layout(
        (pixels, np.int32),
        (pixels, np.int32),
        (pixels, np.float64),
        ((room,), np.int32),
        ((room, 2), np.float64),
        ((room,), np.int32),
        ((rows, 2 * columns), np.int32),
        ((rows - 1,), np.int32),
        ((_PIXEL_PORTIONS, 2), np.int64),
    )
    of_pairs = Layout(
        ((most,), np.int32),
        ((most, 2), np.int32),
        ((most,), np.float64),
        ((most, 2), np.int32),
        ((most, 4), np.float64),
        ((most, 4), np.int32),
        ((2 * most,), np.int32),
        ((2 * most,), np.int32),
        ((2 * most, 2), np.float64),
        ((2 * most,), np.int32),
        ((most,), np.int32),
        ((ends,), np.int64),
        ((most,), np.int32),
    )
    return of_candidates, of_pairs


# Modules of kernels, imported when they are needed: the statement takes as long as a small kernel each time.
@cache
def _hard() -> ModuleType:
    from .cpu import hard

    return hard


@cache
def _of_boundaries() -> tuple[Callable, Callable]:
    from .cpu.boundaries import find_boundaries
    from .cpu.seams import find_seam_candidates

    return find_boundaries, find_seam_candidates
