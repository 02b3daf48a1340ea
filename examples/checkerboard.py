"""Render a textured plane in perspective, and get the gradient of a loss for its texture and for where that lies."""

import numpy as np
from PIL import Image

import diffrender as dr
from diffrender.color import to_bytes
from diffrender.loss import l2

SQUARES, TEXELS = 16, 16  # along a side, and of a square

rows, columns = np.mgrid[0 : SQUARES * TEXELS, 0 : SQUARES * TEXELS] // TEXELS
board = np.where((rows + columns)[..., None] % 2, (0.9, 0.85, 0.7), (0.1, 0.15, 0.3))

corners = np.array([(-8.0, 0, -16), (8, 0, -16), (8, 0, 2), (-8, 0, 2)], np.float32)
plane = dr.Mesh(
    corners,
    np.array([(0, 2, 1), (0, 3, 2)]),
    uv=np.array([(0, 0), (1, 0), (1, 1), (0, 1)]),
    texture=dr.Texture(board, wrap="clamp", filter="trilinear"),
)
camera = dr.Camera.look_at(eye=(0, 1.2, 3.5), target=(0, 0, -2), size=(192, 256))
rendering = dr.render(plane, camera, dr.Soft(sigma=0.3, near=1, far=30, background=(0.5, 0.6, 0.8)))

value, grad_image = l2(rendering.image, np.ones_like(rendering.image))
grads = rendering.backward(grad_image)
print(f"loss {value:.4f}")
print(f"texture {grads.texture.shape}, uv {grads.uv.shape}: {grads.uv.round(4).tolist()}")
Image.fromarray(to_bytes(np.clip(rendering.image, 0, 1))).save("checkerboard.png")
