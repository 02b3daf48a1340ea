"""What a mesh file says, before it is a Mesh: faces with indices of their own into uv, and materials."""

import warnings
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ..mesh import Mesh
from ..sampling import sample, vertex_means
from ..texture import Texture

WHITE = (1.0, 1.0, 1.0)
NO_UV = -1  # the index of a corner without uv


class Material(NamedTuple):
    """The linear RGB that multiplies everything, and the texture."""

    factor: tuple[float, ...] = WHITE
    texture: Texture | None = None


@dataclass(frozen=True)
class Surface:
    """Vertices (V, 3), faces (F, 3), linear RGB colors (V, 3) or None, uv (T, 2) and faces_uv (F, 3) with -1 for corners
    that have none, and for each face the number (F,) of its material."""

    vertices: np.ndarray
    faces: np.ndarray
    colors: np.ndarray | None
    uv: np.ndarray
    faces_uv: np.ndarray
    faces_material: np.ndarray
    materials: list[Material]

    def to_mesh(self, path: object, welded: bool = False) -> Mesh:
        """Return the mesh, with a texture if one covers it all, else with colours at the vertices.

        `welded` joins the vertices that the file had to repeat at seams, where uv are kept. Warns, with the path, of what
        is lost. Raises ValueError for what Mesh refuses.
        """
        if self.faces_uv.max() >= len(self.uv):
            wrong = np.argwhere(self.faces_uv >= len(self.uv))[0]
            raise ValueError(
                f"face {wrong[0]} refers to uv {self.faces_uv[tuple(wrong)]}, but there are {len(self.uv)} of them"
            )
        everywhere = len(self.uv) > 0 and bool((self.faces_uv != NO_UV).all())
        mesh = Mesh(
            self.vertices.astype(np.float32),
            self.faces,
            self.colors,
            self.uv.astype(np.float32) if everywhere else None,
            self.faces_uv if everywhere else None,
        )
        kinds = {_key(self.materials[number]): self.materials[number] for number in np.unique(self.faces_material)}
        textured = [material for material in kinds.values() if material.texture is not None]
        if textured and len(kinds) == 1 and everywhere:
            mesh = replace(mesh, texture=_multiplied(textured[0]))
        elif textured or self._tells(list(kinds.values())):
            if textured:
                why = f"{len(kinds)} materials" if len(kinds) > 1 else "faces without texture coordinates"
                warnings.warn(
                    f"{path}: one texture cannot hold it ({why}): its colours at the vertices are taken", stacklevel=4
                )
                return replace(mesh, vertex_colors=self._baked(), uv=None, faces_uv=None)
            mesh = replace(mesh, vertex_colors=self._baked())
        return weld(mesh) if welded and everywhere else mesh

    def _tells(self, materials: list[Material]) -> bool:
        """Return whether plain materials say anything of colour: one grey for all is what programs write for none."""
        factors = {material.factor for material in materials}
        if self.colors is not None:
            return factors != {WHITE}
        return len(factors) > 1 or any(max(factor) != min(factor) for factor in factors)

    def _baked(self) -> np.ndarray:
        corners = np.ones((*self.faces.shape, 3))
        for number in np.unique(self.faces_material):
            material, chosen = self.materials[number], self.faces_material == number
            places = self.faces_uv[chosen]
            color = np.ones((*places.shape, 3))
            if material.texture is not None and len(self.uv):
                there = places != NO_UV
                # Also checks them: a mesh has no uv that cannot be looked up.
                uv = Mesh(self.vertices, self.faces, uv=self.uv, faces_uv=np.zeros_like(self.faces)).uv
                assert uv is not None
                color[there] = sample(material.texture, uv[places[there]])
            corners[chosen] = color * material.factor
        colors = vertex_means(corners, self.faces, len(self.vertices))
        return np.clip(colors if self.colors is None else colors * self.colors, 0, 1).astype(np.float32)


def weld(mesh: Mesh) -> Mesh:
    """Return the mesh with vertices joined that have one position and one colour; their order stays that of the first ones.

    glTF gives each vertex one uv, so that it repeats those on a seam, and the surface falls apart there.
    """
    parts = [mesh.vertices] if mesh.vertex_colors is None else [mesh.vertices, mesh.vertex_colors]
    keys = np.ascontiguousarray(np.concatenate(parts, axis=1) + 0.0)  # -0 is 0
    rows = keys.view(np.dtype((np.void, keys.dtype.itemsize * keys.shape[1]))).ravel()
    _, first, group = np.unique(rows, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    kept = first[order]
    return replace(
        mesh,
        vertices=mesh.vertices[kept],
        faces=rank[group.reshape(-1)][mesh.faces],
        vertex_colors=None if mesh.vertex_colors is None else mesh.vertex_colors[kept],
    )


def _key(material: Material) -> tuple[object, ...]:
    return id(material.texture), *material.factor


def _multiplied(material: Material) -> Texture:
    texture = material.texture
    assert texture is not None
    if material.factor == WHITE:
        return texture
    return replace(texture, image=np.clip(texture.image * np.array(material.factor, np.float32), 0, 1))
