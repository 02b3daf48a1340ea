"""Find the pose of a known mesh in an image by descending the gradient of the camera's pose."""

from pathlib import Path

import numpy as np

import diffrender as dr
from diffrender.loss import l2
from diffrender.optimize.adam import Adam

ASSETS = Path(__file__).parent.parent / "assets"

mesh = dr.load_mesh(ASSETS / "cube.glb")
truth = dr.Camera.look_at(eye=(3, 2.5, 5), size=(64, 64))
settings = dr.Soft(sigma=4.0, gamma=1e-2, near=3, far=10)


def premultiplied(image: np.ndarray) -> np.ndarray:
    """Return colour times alpha, then alpha: what is compared must fade out at the outline."""
    return np.dstack([image[..., :3] * image[..., 3:], image[..., 3:]])


target = premultiplied(dr.render(mesh, truth, settings).image)

camera = truth.moved(np.array([0.15, -0.2, 0.1]), np.array([0.2, -0.1, 0.3]))
adam = Adam()
state = adam.init(np.zeros(6))


def error_degrees() -> float:
    """Return the angle between the camera's rotation and the true one."""
    cosine = (np.trace(camera.R @ truth.R.T) - 1) / 2
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


print(f"start: {error_degrees():.2f} degrees off")
for step in range(200):
    rendering = dr.render(mesh, camera, settings)
    color, alpha = rendering.image[..., :3], rendering.image[..., 3:]
    _, grad = l2(premultiplied(rendering.image), target)
    grad_alpha = grad[..., 3:] + (grad[..., :3] * color).sum(axis=2, keepdims=True)
    grads = rendering.backward(np.dstack([grad[..., :3] * alpha, grad_alpha]))
    # Turn about the cube, which sits at the world's origin and so at camera.t, instead of about the camera: else every
    # turn also moves the cube across the image, and the descent zigzags.
    grad_turn = grads.rotation - np.cross(camera.t, grads.translation)
    delta, state = adam.update(np.concatenate([grad_turn, grads.translation]), state, 0.03 * 0.98**step)
    turned = camera.moved(delta[:3], np.zeros(3))
    camera = turned.moved(np.zeros(3), camera.t - turned.t + delta[3:])
print(f"end: {error_degrees():.2f} degrees off")
assert error_degrees() < 1
