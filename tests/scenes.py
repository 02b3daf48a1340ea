"""Scenes in pixel space for the rasterizer: vertices (V, 3) float64 that float32 holds exactly, faces (F, 3), size."""

from typing import NamedTuple

import numpy as np

from diffrender.sphere import icosphere


class Scene(NamedTuple):
    vertices: np.ndarray
    faces: np.ndarray
    size: tuple[int, int]

    def window(self, size):
        """Return the part of this size around the middle, its corner on a multiple of 8 px as tiles are."""
        size = tuple(min(pair) for pair in zip(self.size, size))
        top, left = ((whole - part) // 2 // 8 * 8 for whole, part in zip(self.size, size))
        return Scene(_exact(self.vertices - [left, top, 0]), self.faces, size)

    def attributes(self, channels):
        return _exact(np.random.default_rng(5).uniform(0, 1, (len(self.vertices), channels)))


def _exact(values):
    return np.asarray(values, np.float32).astype(np.float64)


def random_triangles(seed=0, count=9, size=(23, 37)):
    """Overlapping triangles of all sizes, some partly off the image."""
    random = np.random.default_rng(seed)
    centers = random.uniform(-3, [size[1] + 3, size[0] + 3], (count, 1, 2))
    spread = random.choice([0.4, 3, 9, 30], (count, 1, 1))
    flat = (centers + spread * random.normal(size=(count, 3, 2))).reshape(-1, 2)
    depth = random.uniform(2, 4, len(flat))
    return Scene(_exact(np.c_[flat, depth]), np.arange(3 * count).reshape(-1, 3), size)


def shared_vertices(seed=1, vertices=10, count=14, size=(23, 37)):
    """Faces that share vertices, front and back facing."""
    random = np.random.default_rng(seed)
    flat = random.uniform(-2, [size[1] + 2, size[0] + 2], (vertices, 2))
    faces = np.array([random.choice(vertices, 3, replace=False) for _ in range(count)])
    return Scene(_exact(np.c_[flat, random.uniform(2, 3, vertices)]), faces, size)


def sphere(subdivisions=1, size=(33, 41)):
    """A sphere in perspective, turned so that nothing is symmetric."""
    mesh = icosphere(subdivisions)
    turn, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
    points = mesh.vertices.astype(np.float64) @ turn * np.sign(np.linalg.det(turn)) + [0.05, -0.03, 4]
    focal = 1.6 * size[0]
    flat = points[:, :2] / points[:, 2:] * focal + [size[1] / 2, size[0] / 2]
    return Scene(_exact(np.c_[flat, points[:, 2]]), mesh.faces, size)


def strip_borders():
    """Edges on and near the rows and columns where strips and blocks of 16 begin."""
    rows = [0, 15.5, 16, 16.5, 31.9, 32.1]
    vertices = [(2 + 5 * i, row, 2 + 0.1 * i) for i, row in enumerate(rows)]
    vertices += [(15.9, 4, 3), (16.1, 30, 3.1), (32.3, 33.4, 2.5), (48.3, 18.4, 2.2)]
    faces = [(0, 1, 6), (1, 2, 7), (3, 4, 8), (5, 6, 9), (2, 8, 9), (0, 7, 9), (4, 6, 7)]
    return Scene(_exact(vertices), np.array(faces), (36, 50))


def slivers():
    """Long and thin triangles, across and beyond the image."""
    vertices = [(-40, 3, 2), (80, 9.3, 3), (81, 9.7, 3), (5, -300, 2), (6, 400, 2.5), (6.3, 410, 2.4), (3.3, 3.1, 2)]
    vertices += [(30.2, 17.7, 2.2), (30.3, 17.9, 2.3)]
    return Scene(_exact(vertices), np.array([(0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 7, 8)]), (17, 53))


def degenerate():
    """Good faces among ones without area, with repeated vertices, behind the camera or far off."""
    scene = random_triangles(seed=4, count=3, size=(20, 30))
    extra = [
        (5, 5, 2),
        (10, 10, 2),
        (15, 15, 2),
        (8, 3, -1),
        (20, 4, 0),
        (12, 18, 3),
        (1e4, 2e4, 2),
        (2e4, 2e4, 2),
        (1e4, 3e4, 2),
    ]
    start = len(scene.vertices)
    faces = [(0, 1, 2), (3, 3, 4), (2, 2, 2), (3, 5, 0), (4, 5, 1), (6, 7, 8)]
    faces = np.concatenate([scene.faces, np.array(faces) + start])
    return Scene(np.concatenate([scene.vertices, _exact(extra)]), faces, scene.size)


def duplicates():
    """The same face several times, once turned over."""
    vertices = _exact([(3, 2, 2), (25, 5, 2.5), (9, 15, 3)])
    return Scene(vertices, np.array([(0, 1, 2), (0, 1, 2), (2, 1, 0)]), (18, 28))


def one_pixel():
    """An image of one pixel."""
    return Scene(_exact([(-1, -1, 2), (3, 0.2, 2.5), (0.3, 2, 3)]), np.array([(0, 1, 2)]), (1, 1))


def huge():
    """Triangles many times as large as the image, with a corner or an edge inside it."""
    vertices = [(-9000, -8000, 3), (9000, -7000, 4), (15.3, 9.2, 5), (-500, 14.3, 2), (700, 16.2, 2.1), (20, 900, 2.2)]
    return Scene(_exact(vertices), np.array([(0, 1, 2), (3, 4, 5)]), (24, 40))


ALL = [random_triangles, shared_vertices, sphere, strip_borders, slivers, degenerate, duplicates, one_pixel, huge]
