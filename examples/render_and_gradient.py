"""Render a mesh, compare it with a picture, and get the gradient of the difference for everything that went in."""

from pathlib import Path

import numpy as np
from PIL import Image

import diffrender as dr
from diffrender.color import to_bytes
from diffrender.loss import l2

ASSETS = Path(__file__).parent.parent / "assets"

mesh = dr.load_mesh(ASSETS / "torus.ply")
camera = dr.Camera.look_at(eye=(2, 2.5, 4), size=(192, 256))
light = dr.Light(direction=(0.3, 0.8, 0.6))
settings = dr.Soft(sigma=1.0, gamma=1e-2, near=2, far=8)

rendering = dr.render(mesh, camera, settings, light)
target = np.zeros_like(rendering.image)
value, grad_image = l2(rendering.image, target)
grads = rendering.backward(grad_image)

print(f"loss {value:.4f}")
print(f"vertices {grads.vertices.shape}, vertex_colors {grads.vertex_colors.shape}")
print(f"camera rotation {grads.rotation.round(4)}, translation {grads.translation.round(4)}")
print(f"light direction {grads.light.direction.round(4)}")
Image.fromarray(to_bytes(np.clip(rendering.image, 0, 1))).save("torus.png")
