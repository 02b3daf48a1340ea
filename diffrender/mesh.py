"""Triangle meshes."""

import os
from dataclasses import dataclass, replace

import numpy as np

from .checks import check_finite
from .texture import Texture

_FURTHEST_UV = 10_000  # repetitions of a texture: further out, float32 has no digits left for the place in it


@dataclass(frozen=True)
class Mesh:
    """Vertices (V, 3), faces (F, 3) counter-clockwise seen from outside, and linear RGB vertex_colors (V, 3) or None.

    A texture lies on the faces by uv (T, 2), whose rows faces_uv (F, 3) names for each corner, None meaning `faces`; it is
    multiplied by the vertex colours, where there are any, as in glTF. Vertices are float32, or float64 if given so, and
    colours, uv and texture of the same precision; faces become int32. Raises ValueError for an empty mesh, NaN or
    infinity, an index out of range, colours outside [0, 1], uv further out than 10,000, or a texture without uv.
    """

    vertices: np.ndarray
    faces: np.ndarray
    vertex_colors: np.ndarray | None = None
    uv: np.ndarray | None = None
    faces_uv: np.ndarray | None = None
    texture: Texture | None = None

    def __post_init__(self) -> None:
        vertices, faces = np.asarray(self.vertices), np.asarray(self.faces)
        if vertices.ndim != 2 or vertices.shape[1] != 3:
            raise ValueError(f"vertices must have shape (V, 3), got {vertices.shape}")
        if faces.ndim == 2 and (not len(vertices) or not len(faces)):
            raise ValueError(f"the mesh is empty: {len(vertices)} vertices and {len(faces)} faces")
        dtype = np.float64 if vertices.dtype == np.float64 else np.float32
        vertices = np.ascontiguousarray(vertices, dtype)
        check_finite("vertices", vertices)
        object.__setattr__(self, "vertices", vertices)
        object.__setattr__(self, "faces", _checked_faces("faces", faces, len(vertices), "vertex", "vertices"))
        if self.vertex_colors is not None:
            colors = np.ascontiguousarray(self.vertex_colors, dtype)
            if colors.shape != vertices.shape:
                raise ValueError(f"vertex_colors must have shape {vertices.shape}, got {colors.shape}")
            check_finite("vertex_colors", colors)
            if colors.min() < 0 or colors.max() > 1:
                raise ValueError(f"vertex_colors must lie in [0, 1], got {colors.min():.4g} to {colors.max():.4g}")
            object.__setattr__(self, "vertex_colors", colors)
        self._check_texture(dtype)

    def _check_texture(self, dtype: type) -> None:
        if self.uv is None:
            for name in ("faces_uv", "texture"):
                if getattr(self, name) is not None:
                    raise ValueError(f"a mesh with {name} needs uv, got None")
            return
        uv: np.ndarray = np.ascontiguousarray(self.uv, dtype)
        if uv.ndim != 2 or uv.shape[1] != 2:
            raise ValueError(f"uv must have shape (T, 2), got {uv.shape}")
        check_finite("uv", uv)
        if uv.size and np.abs(uv).max() > _FURTHEST_UV:
            raise ValueError(f"uv must lie within +-{_FURTHEST_UV}, got {uv.min():.4g} to {uv.max():.4g}")
        faces_uv = np.asarray(self.faces if self.faces_uv is None else self.faces_uv)
        faces_uv = _checked_faces("faces_uv", faces_uv, len(uv), "uv", "of them")
        if faces_uv.shape != self.faces.shape:
            raise ValueError(f"faces_uv must have the shape of faces {self.faces.shape}, got {faces_uv.shape}")
        object.__setattr__(self, "uv", uv)
        object.__setattr__(self, "faces_uv", faces_uv)
        if self.texture is not None and self.texture.image.dtype != dtype:
            object.__setattr__(self, "texture", replace(self.texture, image=self.texture.image.astype(dtype)))

    def save(self, path: str | os.PathLike) -> None:
        """Write the mesh to an OBJ, PLY, STL or GLB file, whole or not at all.

        A texture is a PNG inside GLB, and of OBJ a file of its name with .png, beside the .mtl; PLY has its colours at the
        vertices, STL has none. Vertex colours are sRGB in OBJ and PLY, linear in GLB (glTF 2.0). OBJ has no word for a
        texture's filter. Raises ValueError for another suffix and OSError if a file cannot be written.
        """
        from .mesh_files.save import save_mesh

        save_mesh(self, path)

    def with_vertex_colors(self) -> "Mesh":
        """Return the mesh with the colours that its texture has at the vertices, times those they had, and without the
        texture. A vertex on a seam gets the mean of what it has there."""
        from .sampling import with_vertex_colors

        return with_vertex_colors(self)


def _checked_faces(name: str, faces: np.ndarray, count: int, one: str, many: str) -> np.ndarray:
    """Return faces (F, 3) as int32. Raises ValueError for another shape or type, or an index that is not below `count`."""
    if faces.ndim != 2 or faces.shape[1] != 3:
        raise ValueError(f"{name} must have shape (F, 3), got {faces.shape}")
    if not np.issubdtype(faces.dtype, np.integer):
        raise ValueError(f"{name} must be integers, got {faces.dtype}")
    if faces.size and (faces.min() < 0 or faces.max() >= count):
        wrong = np.argwhere((faces < 0) | (faces >= count))[0]
        raise ValueError(f"face {wrong[0]} refers to {one} {faces[wrong[0], wrong[1]]}, but there are {count} {many}")
    return np.ascontiguousarray(faces, np.int32)


def subdivide(mesh: Mesh) -> Mesh:
    """Return the mesh with each face cut in four at the middles of its edges; colours and uv in between are means."""
    middles, faces = _halved(mesh.faces, len(mesh.vertices))

    def finer(values: np.ndarray) -> np.ndarray:
        return np.concatenate([values, (values[middles[:, 0]] + values[middles[:, 1]]) / 2])

    colors = None if mesh.vertex_colors is None else finer(mesh.vertex_colors)
    vertices, uv, faces_uv = finer(mesh.vertices), None, None
    if mesh.uv is not None and mesh.faces_uv is not None:
        middles, faces_uv = _halved(mesh.faces_uv, len(mesh.uv))  # a seam's edges have two middles there
        uv = finer(mesh.uv)
    return Mesh(vertices, faces, colors, uv, faces_uv, mesh.texture)


def _halved(faces: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the edges (E, 2) of faces over `count` points, and four faces for each, with edge e's middle as count + e."""
    from .topology import unique_edges

    edges = unique_edges(faces).astype(np.int64)
    keys = edges[:, 0] * count + edges[:, 1]
    a, b, c = faces.astype(np.int64).T
    ab, bc, ca = (
        count + np.searchsorted(keys, np.minimum(first, second) * count + np.maximum(first, second))
        for first, second in ((a, b), (b, c), (c, a))
    )
    corners = ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))
    return edges, np.concatenate([np.stack(three, axis=1) for three in corners])
