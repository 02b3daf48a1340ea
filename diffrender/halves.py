"""The symmetry prior of a fit: its setting, the plane and the start mesh, and what keeps a mesh its own mirror image."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np

from .mesh import Mesh
from .reflection import reflected_view
from .symmetry import Plane, find_plane, mirror_pairs
from .views.view import View

Symmetry = Literal["none", "auto"] | tuple[float, float, float]


def check_symmetry(value: Any) -> Symmetry:
    """Return a setting as "none", "auto" or the normal of a plane. Raises ValueError that shows what it is not."""
    if isinstance(value, str) and value in ("none", "auto"):
        return value  # type: ignore[return-value]
    try:
        x, y, z = (float(number) for number in value)
    except (TypeError, ValueError):
        raise ValueError(f"symmetry must be 'none', 'auto' or the normal (x, y, z) of a plane, got {value!r}") from None
    Plane.through(np.zeros(3), np.array([x, y, z]))
    return x, y, z


def symmetric_start(
    start: Mesh | str, views: list[View], symmetry: Symmetry, faces: int, make: Callable[[], Mesh]
) -> tuple[Mesh, Plane | None]:
    """Return the start mesh of a fit and the plane that mirrors the object, or None without symmetry.

    `make` makes the mesh without it. Of one photo, the balloon becomes a solid that the plane mirrors; "auto" finds the
    plane in the photo. Of a mesh given, or a hull, the plane is sought in the mesh, from the normal on if that is given.
    Raises ValueError for a plane that the photo cannot tell depth by, or "auto" with a sphere for several photos.
    """
    if symmetry == "none":
        return make(), None
    normal = None if symmetry == "auto" else np.array(symmetry)
    if len(views) == 1 and isinstance(start, str):
        from .mirror_search import find_normal
        from .mirror_solid import symmetric_solid

        if normal is None:
            normal = find_normal(views[0])
        solid, plane = symmetric_solid(views[0], normal, faces)
        return (solid if start == "balloon" else make()), plane
    mesh = make()
    if start == "sphere":
        if normal is None:
            raise ValueError("symmetry 'auto' cannot find a plane in a sphere: give its normal, or start from a hull")
        return mesh, Plane.through(mesh.vertices.mean(axis=0), normal)
    given = None if normal is None else Plane.through(mesh.vertices.mean(axis=0), normal)
    return mesh, find_plane(mesh.vertices, mesh.faces, given).plane


def with_reflections(views: list[View], plane: Plane | None) -> list[View]:
    """Return the views and, if there is a plane, what their mirror images see."""
    return views if plane is None else [*views, *(reflected_view(view, plane) for view in views)]


class Mirror(NamedTuple):
    """The plane of a mesh and the partners (V,) of its vertices; without these, everything is left as it is."""

    plane: Plane | None
    pairs: np.ndarray | None

    @staticmethod
    def of(vertices: np.ndarray, faces: np.ndarray, plane: Plane | None) -> "Mirror":
        """Return the mirror of a mesh, without partners if it is not symmetric vertex by vertex."""
        return Mirror(plane, None if plane is None else mirror_pairs(vertices, faces, plane))

    def symmetric(self, vertices: np.ndarray) -> np.ndarray:
        """Return the means (V, 3) of vertices and of their partners' mirror images."""
        if self.plane is None or self.pairs is None:
            return vertices
        return (vertices + self.plane.mirror(vertices[self.pairs])) / 2

    def gradient(self, gradient: np.ndarray) -> np.ndarray:
        """Return the part (V, 3) of a gradient that keeps a symmetric mesh so: directions are mirrored as points are, but
        for the offset."""
        if self.plane is None:
            return gradient
        return Mirror(Plane(self.plane.normal, 0.0), self.pairs).symmetric(gradient)
