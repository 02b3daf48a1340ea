"""What of a mesh the rasterizer gets: its vertices in pixels, and its faces, cut where they reach behind the camera."""

from typing import NamedTuple

import numpy as np

from .backend import RasterDirections, RasterGradients
from .camera import (
    Camera,
    Extent,
    ProjectDirections,
    ProjectGradients,
    extent_of,
    project,
    project_backward,
    project_jvp,
    project_within,
)
from .clip_near import Cut, cut_faces
from .corners import join_corners


class InFront(NamedTuple):
    """Input of the rasterizer: vertices_pixel (V', 3), faces (F', 3), attributes (V', C) or None; and where it came from."""

    vertices_pixel: np.ndarray
    faces: np.ndarray
    attributes: np.ndarray | None
    camera: Camera
    vertices: np.ndarray  # (V, 3) of the mesh
    values: np.ndarray | None  # (V, C) attributes of the mesh
    cut: Cut | None  # None where all faces are in front
    extent: Extent  # of vertices_pixel
    uv: np.ndarray | None = None  # (T', 2)
    faces_uv: np.ndarray | None = None  # (F', 3)
    mesh_uv: np.ndarray | None = None  # (T, 2) and
    mesh_faces_uv: np.ndarray | None = None  # (F, 3) of the mesh


class Behind(NamedTuple):
    """Gradients for what `in_front` takes: those of the projection, and of attributes (V, C) and uv (T, 2), or None."""

    projected: ProjectGradients
    attributes: np.ndarray | None
    uv: np.ndarray | None


def in_front(
    vertices: np.ndarray,
    faces: np.ndarray,
    camera: Camera,
    near: float,
    attributes: np.ndarray | None = None,
    uv: np.ndarray | None = None,
    faces_uv: np.ndarray | None = None,
) -> InFront:
    """Project vertices (V, 3) and cut the faces that reach behind the plane at depth `near`; with 0, leave them as they are.

    Colours and uv of new vertices are those on the face in space. Costs one pass over the depths if nothing reaches behind.
    """
    (pixel, extent), given = project_within(vertices, camera), (uv, faces_uv)
    if near <= 0 or extent.nearest >= near:
        return InFront(pixel, faces, attributes, camera, vertices, attributes, None, extent, *given, *given)
    cut = cut_faces(_depths(vertices, camera), faces, near)
    # In float64: a vertex on the plane is the difference of two that are far from it.
    pixel = project(cut.along(vertices.astype(np.float64)), camera).astype(vertices.dtype)
    values = None if attributes is None else cut.along(attributes)
    laid: tuple[np.ndarray | None, np.ndarray | None] = (None, None)
    if uv is not None and faces_uv is not None:
        corners = cut.at_corners(uv[faces_uv])
        laid = (corners.reshape(-1, 2), np.arange(cut.faces.size, dtype=np.int32).reshape(-1, 3))
    return InFront(pixel, cut.faces, values, camera, vertices, attributes, cut, extent_of(pixel), *laid, *given)


def in_front_backward(front: InFront, grads: RasterGradients) -> Behind:
    """Carry the rasterizer's gradients back to what `in_front` took.

    A new vertex a + t (b - a) moves with a, b and t, and t with the depths of both, which are R[2] x + t[2]: as a gradient
    g of a vertex's depth, they give (0, 0, g) in camera space.
    """
    if front.cut is None:
        projected = project_backward(front.vertices, front.camera, grads.vertices_pixel)
        return Behind(projected, grads.attributes, grads.uv)
    cut, camera, vertices = front.cut, front.camera, front.vertices.astype(np.float64)
    projected = project_backward(cut.along(vertices), camera, grads.vertices_pixel)
    grad_vertices, grad_t = cut.along_backward(vertices, projected.vertices)
    grad_values = grad_uv = None
    if grads.attributes is not None:
        assert front.values is not None
        grad_values, by_values = cut.along_backward(front.values, grads.attributes)
        grad_t = grad_t + by_values
    if grads.uv is not None:
        assert front.mesh_uv is not None and front.mesh_faces_uv is not None
        corners = front.mesh_uv[front.mesh_faces_uv]
        grad_corners, by_uv = cut.at_corners_backward(corners, grads.uv.reshape(-1, 3, 2))
        grad_uv = join_corners(front.mesh_faces_uv, grad_corners.reshape(-1, 2), len(front.mesh_uv))
        grad_t = grad_t + by_uv
    grad_depth = cut.depth_backward(grad_t)
    moment, force = grad_depth @ (vertices @ camera.R[:2].T + camera.t[:2]), grad_depth.sum()
    projected = projected._replace(
        vertices=(grad_vertices + grad_depth[:, None] * camera.R[2]).astype(front.vertices.dtype),
        rotation=projected.rotation + [moment[1], -moment[0], 0],
        translation=projected.translation + [0, 0, force],
    )
    return Behind(projected, grad_values, grad_uv)


def in_front_jvp(
    front: InFront,
    directions: ProjectDirections,
    attributes: np.ndarray | None,
    uv: np.ndarray | None,
    count: int,
) -> RasterDirections:
    """Return what the rasterizer's input does in `count` directions of the projection's, of attributes (D, V, C) and uv
    (D, T, 2), or None where they stay. See `in_front_backward`."""
    if front.cut is None:
        return RasterDirections(project_jvp(front.vertices, front.camera, directions, count), attributes, uv)
    cut, camera, vertices = front.cut, front.camera, front.vertices.astype(np.float64)
    moved, rotation, translation, _, _ = directions
    depth = np.zeros((count, len(vertices)))
    if moved is not None:
        for axis in range(3):  # by hand: BLAS may add up in another order for more directions or threads
            depth += camera.R[2, axis] * moved[..., axis]
    if translation is not None:
        depth += translation[:, 2:]
    if rotation is not None:
        x, y = camera.R[:2] @ vertices.T + camera.t[:2, None]
        depth += rotation[:, :1] * y - rotation[:, 1:2] * x
    t = cut.depth_jvp(depth)
    moved = np.zeros((count, *vertices.shape)) if moved is None else moved
    pixel = project_jvp(
        cut.along(vertices), camera, directions._replace(vertices=cut.along_jvp(vertices, moved, t)), count
    ).astype(front.vertices.dtype)
    if front.values is not None:
        given = np.zeros((count, *front.values.shape)) if attributes is None else attributes
        attributes = cut.along_jvp(front.values, given, t)
    if front.mesh_uv is not None and front.mesh_faces_uv is not None:
        given = np.zeros((count, *front.mesh_uv.shape)) if uv is None else uv
        corners = cut.at_corners_jvp(front.mesh_uv[front.mesh_faces_uv], given[:, front.mesh_faces_uv], t)
        uv = corners.reshape(count, -1, 2)
    return RasterDirections(pixel, attributes, uv)


def _depths(vertices: np.ndarray, camera: Camera) -> np.ndarray:
    x, y, z = vertices.T.astype(np.float64)
    return camera.R[2, 0] * x + camera.R[2, 1] * y + camera.R[2, 2] * z + camera.t[2]
