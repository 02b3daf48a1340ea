"""The gradients of a hard rasterization's vertices and attributes on the device, from what its stages give."""

from collections.abc import Callable
from typing import Any

import numpy as np

from . import blend, contributions, fragments, slopes
from .arrays import Workspace, allocate
from .gather import incidence
from .hard import DeviceFragments
from .jit import spread


def moved_by_areas(of: DeviceFragments, grad_areas: Any, scratch: Workspace) -> tuple[Any, Any]:
    """Return the vertices (N, MOVED) that the pairs' areas (N,) depend on, -1 for none, and their gradients (N, MOVED, 3)."""
    take, count, moved = scratch.take_at_least, len(of.pairs.pixels), blend.MOVED
    own_points, by_pairs = (take(count, np.float64, 3 * moved)[:count].reshape(count, moved, 3) for _ in range(2))
    own_faces = take(count, np.int32, 6)[:count].reshape(count, 2, 3)
    own = (take(count, np.int32, 2)[:count], take(count, np.int32, 4)[:count])
    keys = take(count, np.int32, moved)[:count]
    pairs, into = (of.pairs.owners, of.pairs.numbers, of.pairs.cutters), (own_points, own_faces, own, keys, by_pairs)
    surface = (of.points, of.own_faces, of.pairs.pixels, of.size[1])
    blend.areas_backward_each[(*spread(count), of.stream)](*surface, pairs, grad_areas, *into)
    return keys, by_pairs


class HardGradients:
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

    def add_values(self, given: tuple, grad_values: Any, grad_slopes: Any | None = None) -> None:
        """Take what gradients of values (S, C or more) give, and of slopes (S, C, 2): then grad_values are not kept."""
        of, scratch, take = self._of, self._scratch, self._scratch.take_at_least
        self._given = given
        _, attributes, _ = given
        channels, surface = attributes.shape[1], (of.points, of.own_faces)
        self._slots, listed, listed_faces = of.slots()
        count = len(listed)
        self._sums = take(count, np.float64, fragments.POSITIONS + 3 * channels)[:count]
        places, number = tuple(of.places), len(of.places.faces)
        shrinking, by_slopes = scratch.upload(np.zeros(1)), None
        if grad_slopes is not None:
            shrinking = take(number, np.float64)[:number]
            by_slopes = self._add_slopes(given, grad_slopes, grad_values, shrinking)
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
        if by_slopes is not None:
            self._launch(slopes.add_to_slots, by_slopes[0].size, by_slopes[0], self._sums)
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
            shrinking,
            own,
            self._by_places,
            self._attributes_by_places,
        )
        if by_slopes is not None:
            into = (self._by_places, self._attributes_by_places)
            self._launch(slopes.add_to_places, by_slopes[1].size, by_slopes[1], *into)

    def _add_slopes(self, given: tuple, grad_slopes: Any, grad_values: Any, shrinking: Any) -> tuple[Any, Any]:
        """Add to grad_values (S, C) what grad_slopes (S, C, 2) give, fill shrinking (N,), and return the rest at the corners of
        the faces of entries and of places, (N, 3, C + 3)."""
        of, take = self._of, self._scratch.take_at_least
        _, listed, listed_faces = of.slots()
        channels, surface, grads = given[1].shape[1], (of.points, of.own_faces), (grad_slopes, grad_values)

        def room(count: int, columns: int) -> Any:
            return take(count, np.float64, 3 * columns)[:count].reshape(count, 3, columns)

        found = []
        for count in (len(listed), len(of.places.faces)):
            found.append((room(count, channels + 1), room(count, channels + 3)))
        seen, places, count = (of.bounds, of.offsets, of.ids, (listed, listed_faces)), tuple(of.places), len(shrinking)
        self._launch(slopes.slope_centers_backward, len(listed), *surface, *seen, given, grads, *found[0])
        self._launch(slopes.slope_places_backward, count, *surface, places, given, grads, shrinking, *found[1])
        return found[0][1], found[1][1]

    def add_areas(self, grad_areas: Any) -> None:
        """Take what gradients of the pairs' areas (N,) give."""
        self._pair_keys, self._by_pairs = moved_by_areas(self._of, grad_areas, self._scratch)

    def of_vertices(self, beside: "HardGradients | None" = None) -> Any:
        """Return the gradient of the vertices (V, 3), with those that others beside them give."""
        of, grads = self._of, self._vertices()
        if beside is not None:
            self._launch(contributions.add, grads.size, beside._vertices(), grads)
        return of.result(grads[: len(of.vertices_pixel)])

    def _vertices(self) -> Any:
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
        return grads

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
