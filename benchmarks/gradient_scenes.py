"""Scenes that gradients are checked on: each full of what makes one difficult, under a camera far from symmetric."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

import diffrender as dr
from diffrender.rendering import front_of

SIZE = (24, 40)
TEXTURE_SIZE = (9, 14)
_GRAZING = np.sin(np.radians(3.0))  # of the angle between a face and the ray to it


class Scene(NamedTuple):
    """A mesh with colours and uv but no texture, in float64, and how it is seen."""

    name: str
    about: str
    mesh: dr.Mesh
    camera: dr.Camera
    soft: dr.Soft

    def seen_by(self, kind: str) -> dr.Camera:
        """Return the scene's camera as another kind of one, see `CAMERAS`."""
        return CAMERAS[kind](self)

    def depths(self) -> np.ndarray:
        """Return the depths (V,) of the vertices."""
        return self.mesh.vertices @ self.camera.R[2] + self.camera.t[2]


def scenes() -> list[Scene]:
    """Return all scenes."""
    return [_overlapping(), _grazing(), _crossing(), _off_screen()]


def facts(scene: Scene) -> dict[str, float]:
    """Return what a scene has of each difficulty, counted apart from the renderer: see `DIFFICULTIES`."""
    front = front_of(scene.mesh, scene.camera, scene.soft)
    corners = front.vertices_pixel[front.faces][..., :2]
    height, width = scene.camera.size
    low, high = corners.min(axis=1), corners.max(axis=1)
    beside = ((high < 0) | (low > [width, height])).any(axis=1)
    leaving = ((low < 0) | (high > [width, height])).any(axis=1) & ~beside
    a, b, c = scene.mesh.vertices[scene.mesh.faces].transpose(1, 0, 2)
    normals, rays = np.cross(b - a, c - a), (a + b + c) / 3 - scene.camera.center
    sines = np.abs((normals * rays).sum(axis=1)) / np.linalg.norm(normals, axis=1) / np.linalg.norm(rays, axis=1)
    in_front = scene.depths()[scene.mesh.faces] >= scene.soft.clip_near * scene.soft.far
    return {
        "faces": len(scene.mesh.faces),
        "layers": float(_layers(corners, scene.camera.size).max()),
        "grazing": float((sines < _GRAZING).sum()),
        "cut": float((in_front.any(axis=1) & ~in_front.all(axis=1)).sum()),
        "leaving": float(leaving.sum()),
        "beside": float(beside.sum()),
        "asymmetry": float(np.abs(scene.camera.R - scene.camera.R.T).max()),
    }


# What `facts` counts, in words.
DIFFICULTIES = {
    "faces": "faces",
    "layers": "most faces over one pixel",
    "grazing": "faces within 3° of edge-on",
    "cut": "cut at the near plane",
    "leaving": "partly off the image",
    "beside": "wholly off it",
    "asymmetry": "largest entry of R - Rᵀ",
}


def _layers(corners: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return how many triangles (F, 3, 2) lie over each pixel's centre (H, W)."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    layers = np.zeros(size)
    for triangle in corners:
        sides = []
        for (ax, ay), (bx, by) in zip(triangle, np.roll(triangle, -1, axis=0), strict=True):
            sides.append((bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0)
        layers += np.all(sides, axis=0) | ~np.any(sides, axis=0)
    return layers


def _camera(eye: tuple[float, float, float], up: tuple[float, float, float], fov_degrees: float) -> dr.Camera:
    """Return a camera with skew, unequal focal lengths and a shifted principal point."""
    camera = dr.Camera.look_at(eye, (0.1, -0.1, 0.2), up, fov_degrees, SIZE)
    return replace(camera, K=camera.K + [[1.3, 0.9, 0.7], [0, -1.7, -1.2], [0, 0, 0]])


def _mesh(vertices: np.ndarray, faces: np.ndarray, seed: int) -> dr.Mesh:
    """Return a mesh with random colours, and faces anywhere in the texture and beyond its border."""
    random = np.random.default_rng(seed)
    colors = random.uniform(0.1, 0.9, vertices.shape)
    uv = random.uniform(-0.3, 1.3, (len(vertices), 2))
    return dr.Mesh(vertices, faces, colors, uv, random.integers(0, len(uv), faces.shape))


def _balls(seed: int, *places: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Return vertices and faces of dented balls of radius 0.8 or so."""
    ball, random = dr.icosphere(0), np.random.default_rng(seed)
    vertices = [ball.vertices * random.uniform(0.6, 1.0, (len(ball.vertices), 1)) + place for place in places]
    faces = [ball.faces + number * len(ball.vertices) for number in range(len(places))]
    return np.concatenate(vertices).astype(np.float64), np.concatenate(faces)


def _overlapping() -> Scene:
    balls = _balls(1, (0.0, 0, 0), (0.5, 0.2, 0.4), (-0.4, 0.3, -0.9), (0.3, -0.4, -1.6))
    soft = dr.Soft(1.3, 2e-2, near=1.0, far=7.0, background=(0.1, 0.2, 0.3))
    camera = _camera((1.5, 1.1, 3.0), (0.9, 1, -0.2), 44)
    return Scene("overlapping", "four dented balls in and behind each other", _mesh(*balls, 11), camera, soft)


def _grazing() -> Scene:
    """Faces that lie along the rays from the camera but for a degree or two, and a ball among them."""
    camera, random = _camera((-1.8, 0.6, -2.9), (1, 0.4, 0.5), 40), np.random.default_rng(2)
    vertices, faces = _balls(3, (0.1, 0, 0.3))
    for _ in range(14):
        middle = random.uniform(-0.7, 0.7, 3) + [0.1, -0.1, 0.2]
        ray = (middle - camera.center) / np.linalg.norm(middle - camera.center)
        across = np.cross(ray, random.normal(size=3))
        across /= np.linalg.norm(across)
        tilt = np.radians(random.uniform(0.3, 2.5)) * np.cross(ray, across)
        corners = [middle + s * 0.7 * (ray + tilt) + 0.5 * o * across for s, o in ((-1, 0.2), (0.9, -0.8), (1, 1))]
        faces = np.concatenate([faces, [len(vertices) + np.arange(3)]])
        vertices = np.concatenate([vertices, corners])
    soft = dr.Soft(1.1, 3e-2, near=1.5, far=6.0, background=(0.3, 0.1, 0.2))
    return Scene(
        "grazing", "faces seen nearly edge-on, a dented ball among them", _mesh(vertices, faces, 12), camera, soft
    )


def _crossing() -> Scene:
    """The camera stands among the balls, and the near plane goes through them."""
    balls = _balls(4, (0.0, 0, 0), (0.3, -0.5, 0.7), (-0.7, 0.5, -0.4))
    camera = _camera((0.9, 0.5, 1.2), (1, 0.2, -0.3), 70)
    soft = dr.Soft(1.3, 2e-2, near=0.3, far=4.0, background=(0.2, 0.3, 0.1), clip_near=0.1)
    return Scene(
        "crossing", "a camera among three dented balls, which its near plane cuts", _mesh(*balls, 13), camera, soft
    )


def _off_screen() -> Scene:
    """A small part of balls close by, and a face far larger than the image."""
    vertices, faces = _balls(5, (0.1, 0, 0.3), (1.1, 0.5, 0.1), (-0.9, 0.4, -0.3))
    vertices = np.concatenate([vertices, [(-9.0, 0.4, -2.6), (4.5, 4.6, -3.4), (-3, -12, -1.5)]])
    faces = np.concatenate([faces, [len(vertices) - np.arange(1, 4)]])
    camera = _camera((2.1, -1.2, 2.6), (0.2, -0.6, 1), 22)
    soft = dr.Soft(1.6, 4e-2, near=1.0, far=30.0, background=(0.2, 0.2, 0.4))
    return Scene(
        "off screen", "a close-up of three dented balls before a huge face", _mesh(vertices, faces, 14), camera, soft
    )


def _orthographic(scene: Scene) -> dr.Camera:
    K, depth = scene.camera.K.copy(), scene.depths()
    K[:2, :2] /= np.median(depth[depth > scene.soft.clip_near * scene.soft.far])  # about as large in the image
    return replace(scene.camera, K=K, orthographic=True)


def _through(lens: dr.Distortion) -> Callable[[Scene], dr.Camera]:
    return lambda scene: replace(scene.camera, distortion=lens)


CAMERAS: dict[str, Callable[[Scene], dr.Camera]] = {
    "pinhole": lambda scene: scene.camera,
    "orthographic": _orthographic,
    "Brown-Conrady": _through(dr.Distortion(-0.21, 0.07, 0.013, -0.004, 0.004, -0.006)),
    "fisheye": _through(dr.Distortion(0.03, -0.01, 0.004, -0.001, fisheye=True)),
}
