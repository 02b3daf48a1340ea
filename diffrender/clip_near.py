"""Faces that reach behind the camera, cut at a plane of depth, and the way back for gradients.

The part of a face in front of the plane is a triangle or a quadrilateral, which becomes two triangles. To the soft
rasterizer they are faces like any other: the cut edge is an outline, at which coverage falls to a half and beyond, and the
diagonal of a quadrilateral is a seam like every edge between two faces, with a coverage of 3/4. So when a vertex passes
through the plane, coverage along one edge of its face changes by at most a quarter, within sqrt(sigma) px of it.
"""

from dataclasses import dataclass

import numpy as np

from .scatter import add_at


@dataclass(frozen=True)
class Cut:
    """The faces in front of a plane of depth, with N new vertices on it, which are numbered after the mesh's V own.

    New vertex i is `t[i]` of the way along `edges[i]`, whose first end is in front and second one behind. Each corner of a
    face lies between two corners of its parent in the same way; the two are one where it was not cut.
    """

    vertices: int  # V
    faces: np.ndarray  # (F', 3) int32
    edges: np.ndarray  # (N, 2)
    t: np.ndarray  # (N,) in [0, 1)
    t_by_front: np.ndarray  # (N,) derivative of t for the depth of the edge's first end
    t_by_behind: np.ndarray  # (N,) and of its second
    parents: np.ndarray  # (F',) which face each came from
    between: np.ndarray  # (F', 3, 2) corners 0, 1, 2 of the parent

    def along(self, values: np.ndarray) -> np.ndarray:
        """Return values (V + N, C) of all vertices for those of the mesh's (V, C)."""
        front, behind = values[self.edges[:, 0]], values[self.edges[:, 1]]
        return np.concatenate([values, front + self.t[:, None].astype(values.dtype) * (behind - front)])

    def along_backward(self, values: np.ndarray, grad: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the gradients for values (V, C) and for t (N,), for grad (V + N, C)."""
        own, new = grad[: self.vertices], grad[self.vertices :]
        front, behind = self.edges.T
        share = self.t[:, None]
        sums = add_at(front, (1 - share) * new, self.vertices) + add_at(behind, share * new, self.vertices)
        return own + sums.astype(own.dtype), (new * (values[behind] - values[front])).sum(axis=1)

    def at_corners(self, values: np.ndarray) -> np.ndarray:
        """Return values (F', 3, C) at the corners of the faces for values (F, 3, C) at those of the mesh's, such as UV."""
        front, behind = self._ends(values)
        return front + self._share.astype(values.dtype) * (behind - front)

    def at_corners_backward(self, values: np.ndarray, grad: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the gradients for values (F, 3, C) and for t (N,), for grad (F', 3, C)."""
        front, behind = self._ends(values)
        sums = np.zeros((len(values) * 3, values.shape[2]))
        for end, weight in ((0, 1 - self._share), (1, self._share)):
            corners = 3 * self.parents[:, None] + self.between[..., end]
            sums += add_at(corners.ravel(), (weight * grad).reshape(-1, values.shape[2]), len(sums))
        new = self.faces >= self.vertices
        grad_t = np.bincount(self.faces[new] - self.vertices, (grad * (behind - front)).sum(axis=2)[new], len(self.t))
        return sums.reshape(values.shape).astype(values.dtype), grad_t

    def along_jvp(self, values: np.ndarray, moved: np.ndarray, t: np.ndarray) -> np.ndarray:
        """Return how `along` of values (V, C) changes as they do by moved (D, V, C), and t by t (D, N): (D, V + N, C)."""
        way = values[self.edges[:, 1]] - values[self.edges[:, 0]]
        changed = np.stack([self.along(one) for one in moved])
        changed[:, self.vertices :] += t[..., None] * way
        return changed

    def at_corners_jvp(self, values: np.ndarray, moved: np.ndarray, t: np.ndarray) -> np.ndarray:
        """Return how `at_corners` of values (F, 3, C) changes as they do by moved (D, F, 3, C), and t by t (D, N)."""
        front, behind = self._ends(values)
        changed = np.stack([self.at_corners(one) for one in moved])
        shifts = np.concatenate([np.zeros((len(t), self.vertices)), t], axis=1)[:, self.faces]
        return changed + shifts[..., None] * (behind - front)

    def _ends(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        parents = self.parents[:, None]
        return values[parents, self.between[..., 0]], values[parents, self.between[..., 1]]

    @property
    def _share(self) -> np.ndarray:
        """How far each corner (F', 3, 1) is from the first to the second of its two corners of the parent."""
        return np.append(np.zeros(self.vertices), self.t)[self.faces][..., None]

    def depth_backward(self, grad_t: np.ndarray) -> np.ndarray:
        """Return the gradient for the depths (V,) of the mesh's vertices for that of t (N,)."""
        front, behind = self.edges.T
        by_front = np.bincount(front, grad_t * self.t_by_front, self.vertices)
        return by_front + np.bincount(behind, grad_t * self.t_by_behind, self.vertices)

    def depth_jvp(self, depth: np.ndarray) -> np.ndarray:
        """Return how t (D, N) changes as the depths (D, V) of the mesh's vertices do."""
        front, behind = self.edges.T
        return depth[:, front] * self.t_by_front + depth[:, behind] * self.t_by_behind


def cut_faces(depth: np.ndarray, faces: np.ndarray, near: float) -> Cut:
    """Return the parts with depth >= near of faces (F, 3), whose vertices lie at depth (V,)."""
    front = depth >= near
    corners_in_front = front[faces]
    count = corners_in_front.view(np.int8) @ np.ones(3, np.int8)
    whole, one, two = (np.flatnonzero(count == number) for number in (3, 1, 2))
    # Turned so that corner 0 is the one that differs from the other two: a in front, or a behind.
    a, b, c = _turned(corners_in_front[one])
    pieces = [_pairs((a, a), (a, b), (a, c))]
    a, b, c = _turned(~corners_in_front[two])
    pieces += [_pairs((b, a), (b, b), (c, c)), _pairs((b, a), (c, c), (c, a))]
    parents, between = np.concatenate([one, two, two]), np.concatenate(pieces)
    ends = faces[parents[:, None, None], between].astype(np.int64)  # (.., 3, 2) vertices
    is_new = ends[..., 0] != ends[..., 1]
    keys, number = np.unique(ends[is_new] @ [len(depth), 1], return_inverse=True)
    edges = np.stack(np.divmod(keys, len(depth)), axis=1)
    cut_corners = ends[..., 0].astype(np.int32)
    cut_corners[is_new] = len(depth) + number
    z_front, z_behind = depth[edges[:, 0]], depth[edges[:, 1]]
    t = (z_front - near) / (z_front - z_behind)
    uncut = np.broadcast_to(np.array([(0, 0), (1, 1), (2, 2)], np.int8), (len(whole), 3, 2))
    return Cut(
        vertices=len(depth),
        faces=np.concatenate([faces[whole], cut_corners]),
        edges=edges,
        t=t,
        t_by_front=(1 - t) / (z_front - z_behind),
        t_by_behind=t / (z_front - z_behind),
        parents=np.concatenate([whole, parents]),
        between=np.concatenate([uncut, between.astype(np.int8)]),
    )


def _turned(alone: np.ndarray) -> np.ndarray:
    """Return the corners 0, 1, 2 (3, F') of faces in their order, from the one that is True in `alone` (F', 3)."""
    return (np.argmax(alone, axis=1) + [[0], [1], [2]]) % 3


def _pairs(*corners: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return (F', 3, 2) of the pairs of parents' corners (F',) that a face's three corners lie between."""
    return np.stack([np.stack(pair, axis=1) for pair in corners], axis=1)
