"""Small meshes and views for tests."""

import numpy as np

import diffrender as dr


def bumpy(subdivisions=1, dtype=np.float64, seed=0):
    """A dented sphere with random colours, nowhere symmetric."""
    sphere = dr.icosphere(subdivisions)
    random = np.random.default_rng(seed)
    vertices = (sphere.vertices * (1 + 0.2 * random.uniform(-1, 1, (len(sphere.vertices), 1)))).astype(dtype)
    return dr.Mesh(vertices, sphere.faces, random.uniform(0.1, 0.9, vertices.shape).astype(dtype))


def mirrored_blob(subdivisions):
    """A lump that the plane x = 0 mirrors vertex by vertex, and no other plane at all."""
    ball = dr.icosphere(subdivisions)
    around = ball.vertices.astype(np.float64)
    folded = np.abs(around[:, :1]) * [1, 0, 0] + around * [0, 1, 1]
    waves = np.random.default_rng(2).normal(size=(5, 3)) * 2
    radius = 1 + 0.4 * np.cos(folded @ waves.T + np.arange(5)).mean(axis=1, keepdims=True)
    return around * radius * [1, 0.8, 0.6], ball.faces


def tilted_camera(size=(31, 44)):
    """A camera whose K has skew and unequal focal lengths and whose R is far from symmetric."""
    camera = dr.Camera.look_at((1.5, 1.1, 3.4), (0.1, -0.1, 0.2), (0.3, 1, -0.2), fov_degrees=44, size=size)
    K = camera.K + [[1.5, 0.8, 0.7], [0, -2, -1.2], [0, 0, 0]]
    return dr.Camera(K, camera.R, camera.t, size)


def disc_view(size=(48, 60), radius=15):
    """A view of a shaded disc on grey."""
    y, x = np.mgrid[0 : size[0], 0 : size[1]] + 0.5
    offset = np.hypot(x - 0.5 * size[1], y - 0.5 * size[0])
    mask = (offset < radius).astype(np.float32)
    inside = np.stack([0.2 + 0.6 * x / size[1], 0.1 + 0.5 * y / size[0], np.full(size, 0.15)], axis=-1)
    image = np.where(mask[..., None] > 0, inside, 0.5).astype(np.float32)
    from diffrender.placement import photo_camera

    return dr.View(image, mask, photo_camera(size))
