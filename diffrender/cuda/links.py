"""The links of surfaces drawn last, on the device."""

import threading
from typing import Any, NamedTuple

import numpy as np

from ..backend import on_device
from ..surface_links import Surface, link_surface, links_of
from .arrays import Workspace, download, not_empty, wait_for
from .gather import Incidence

_KEPT = 4  # surfaces


class DeviceSurface(NamedTuple):
    """Half edges on the device, see `diffrender.surface_links.Surface`."""

    linked: Any
    ring: Any
    heads: Any
    seconds: Any
    pieces: Any
    charts: Any
    seams: Any


_turn = threading.Lock()
_faces_of: list[tuple[Incidence, np.ndarray, Surface | None]] = []
_on_device: list[tuple[Surface, Workspace, DeviceSurface]] = []


def surface_of(
    of: Incidence, faces: Any, vertices: Any, attribute_faces: np.ndarray | None, stream: Any
) -> DeviceSurface:
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


def _upload(surface: Surface, stream: Any) -> DeviceSurface:
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
    seams = workspace.upload(not_empty(surface.seams))[: len(surface.seams)]
    there = DeviceSurface(linked, ring, heads, seconds, pieces, charts, seams)
    with _turn:
        _on_device.insert(0, (surface, workspace, there))
        del _on_device[_KEPT:]
    return there
