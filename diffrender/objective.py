"""What a fit makes small: how its mesh's images differ from views, in silhouette and colours."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from . import loss
from .backend import Name
from .camera import Camera
from .mesh import Mesh
from .rendering import RenderGradients, Rendering, render, soft_around
from .views.view import View


class Exposed(NamedTuple):
    """A view, and the gains (3,) that the mesh's colours are multiplied by to look as they do in its photo."""

    view: View
    gain: np.ndarray


class Objective(NamedTuple):
    """Weights of the losses, the space colours are compared in, the softness between surfaces, and what draws."""

    silhouette_weight: float
    color_weight: float
    color_space: loss.ColorSpace
    gamma: float
    backend: Name

    def compare(self, mesh: Mesh, seen: Sequence[Exposed], sigma: float) -> "Comparison":
        """Compare with views from several sides: silhouettes and colours both shape the mesh. `sigma` is in px^2 of theirs."""
        parts = {"silhouette": 0.0, "color": 0.0}
        grad_vertices, grad_colors = np.zeros_like(mesh.vertices), np.zeros_like(mesh.vertices)
        images, grad_views = [], []
        for one in seen:
            rendering = self._render(mesh, one.view.camera, sigma)
            losses = self._losses(rendering.image, one)
            grad_image = losses.grad_color
            grad_image[..., 3] += losses.grad_silhouette
            grads = rendering.backward(grad_image / np.float32(len(seen)))
            for name, value in losses.parts.items():
                parts[name] += value / len(seen)
            grad_vertices += grads.vertices
            grad_colors += grads.vertex_colors
            grad_views.append(_grad_view(grads, losses.grad_log_gain / len(seen)))
            images.append(rendering.image)
        return Comparison(parts, grad_vertices, grad_colors, np.array(grad_views), images[0])

    def compare_alone(self, mesh: Mesh, only: Exposed, sigma: float) -> "Comparison":
        """Compare with the only view. It says nothing about depth, so nothing may move along its rays; and colours, free at
        every vertex, explain the photo's colours by themselves: they must not push the shape about."""
        camera = only.view.camera
        rendering = self._render(mesh, camera, sigma)
        losses = self._losses(rendering.image, only)
        grad_colors = rendering.backward(losses.grad_color).vertex_colors
        grad_image = np.zeros_like(rendering.image)
        grad_image[..., 3] = losses.grad_silhouette
        grads = rendering.backward(grad_image)
        rays = camera.directions(mesh.vertices)
        grad_vertices = grads.vertices - (grads.vertices * rays).sum(axis=1, keepdims=True) * rays
        assert grad_colors is not None
        grad_view = _grad_view(grads, losses.grad_log_gain)[None]
        return Comparison(losses.parts, grad_vertices, grad_colors, grad_view, rendering.image)

    def _render(self, mesh: Mesh, camera: Camera, sigma: float) -> Rendering:
        return render(mesh, camera, soft_around(mesh, camera, sigma, self.gamma), backend=self.backend)

    def _losses(self, image: np.ndarray, seen: Exposed) -> "_ImageLosses":
        """Compare an image (H, W, 4), its colours times the gains, with a view."""
        view = seen.view
        silhouette, grad_alpha = loss.silhouette_iou(image[..., 3], view.mask)
        gains = np.append(seen.gain, np.float32(1))
        exposed = image * gains
        color, grad_color = loss.l2_covered(exposed, view.image, view.mask, self.color_space)
        grad_color *= self.color_weight
        parts = {"silhouette": self.silhouette_weight * silhouette, "color": self.color_weight * color}
        grad_log_gain = (grad_color * exposed)[..., :3].sum(axis=(0, 1), dtype=np.float64)
        return _ImageLosses(parts, self.silhouette_weight * grad_alpha, grad_color * gains, grad_log_gain)


class Comparison(NamedTuple):
    """Losses by name, their gradients for vertices and colours (V, 3) and for the views (N, 9), and the first view's image."""

    parts: dict[str, float]
    grad_vertices: np.ndarray
    grad_colors: np.ndarray
    grad_views: np.ndarray
    image: np.ndarray


class _ImageLosses(NamedTuple):
    """Weighted losses by name, and their gradients for an image: of the silhouette (H, W), of the colours (H, W, 4); and
    of the colours for the logarithms of the gains (3,)."""

    parts: dict[str, float]
    grad_silhouette: np.ndarray
    grad_color: np.ndarray
    grad_log_gain: np.ndarray


def _grad_view(grads: RenderGradients, grad_log_gain: np.ndarray) -> np.ndarray:
    return np.concatenate([grads.rotation, grads.translation, grad_log_gain])
