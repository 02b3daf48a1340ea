"""Which face each texel of a texture lies on."""

import numpy as np

from .jit import kernel, subroutine

SMALLEST, LARGEST = 16, 8192  # px of a side; 8,192 need about 3 GB
EMPTY = -1
_CLEARLY = 1e-3  # barycentric: nearer to an edge two faces that share it may both claim a texel


def check_texture_size(size: int) -> None:
    """Raise ValueError unless a square texture may have this side, px."""
    if not (isinstance(size, int | np.integer) and SMALLEST <= size <= LARGEST):
        raise ValueError(f"a texture's size must be from {SMALLEST} to {LARGEST:,} px, got {size}")


def cover(uv: np.ndarray, faces_uv: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the face (H, W) int32 at each texel's centre, -1 where there is none, and which faces (F,) meet others there.

    uv (T, 2) is in px, the centre of the first texel at (0.5, 0.5); what lies beyond the image is left out.
    """
    faces = np.full(size, EMPTY, np.int32)
    meeting = np.zeros(len(faces_uv), np.bool_)
    _cover(np.ascontiguousarray(uv, np.float64), np.ascontiguousarray(faces_uv, np.int32), faces, meeting)
    return faces, meeting


def give_small_faces_a_texel(uv: np.ndarray, faces_uv: np.ndarray, owner: np.ndarray) -> None:
    """Write faces into the texels of `owner` (H, W), as `cover` returns it, that hold their middles and are still empty.

    A chart smaller than a texel may cover no centre, and would show what is nearest to it: another chart.
    """
    column, row = np.floor(uv[faces_uv].mean(axis=1)).astype(np.int64).T
    height, width = owner.shape
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    faces = np.flatnonzero(inside)[owner[row[inside], column[inside]] == EMPTY]
    owner[row[faces], column[faces]] = faces


def barycentric(uv: np.ndarray, faces_uv: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the weights (N, 3) of the corners of faces_uv (N, 3) at points (N, 2) in px; thirds for a face without area."""
    a, b, c = (uv[faces_uv[:, corner]].astype(np.float64) for corner in range(3))
    area = _cross(b - a, c - a)
    first, second = _cross(b - points, c - points), _cross(c - points, a - points)
    weights = np.stack([first, second, area - first - second], axis=1)
    return np.where(area[:, None] != 0, weights / np.where(area != 0, area, 1)[:, None], 1 / 3)


def _cross(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]


@subroutine
def _least(ax, ay, bx, by, cx, cy, area, x, y):
    """Return the least barycentric coordinate of a point."""
    first = ((bx - x) * (cy - y) - (by - y) * (cx - x)) / area
    second = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) / area
    return min(first, second, 1 - first - second)


@kernel
def _cover(uv, faces_uv, faces, meeting):
    height, width = faces.shape
    for face in range(len(faces_uv)):
        a, b, c = faces_uv[face]
        ax, ay, bx, by, cx, cy = uv[a, 0], uv[a, 1], uv[b, 0], uv[b, 1], uv[c, 0], uv[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0:
            continue
        left = max(0, int(np.ceil(min(ax, bx, cx) - 0.5)))
        right = min(width - 1, int(np.floor(max(ax, bx, cx) - 0.5)))
        top = max(0, int(np.ceil(min(ay, by, cy) - 0.5)))
        bottom = min(height - 1, int(np.floor(max(ay, by, cy) - 0.5)))
        for row in range(top, bottom + 1):
            y = row + 0.5
            for column in range(left, right + 1):
                x = column + 0.5
                inside = _least(ax, ay, bx, by, cx, cy, area, x, y)
                if inside < 0:
                    continue
                before = faces[row, column]
                if before < 0:
                    faces[row, column] = face
                elif inside > _CLEARLY:
                    d, e, f = faces_uv[before]
                    dx, dy, ex, ey, fx, fy = uv[d, 0], uv[d, 1], uv[e, 0], uv[e, 1], uv[f, 0], uv[f, 1]
                    other = (ex - dx) * (fy - dy) - (ey - dy) * (fx - dx)
                    if _least(dx, dy, ex, ey, fx, fy, other, x, y) > _CLEARLY:
                        meeting[face] = True
                        meeting[before] = True
