"""Find the pose of a known mesh in an image by descending the gradient of the camera's pose."""

from pathlib import Path

import numpy as np

import diffrender as dr
from diffrender.loss import l2
from diffrender.optimize.adam import Adam

ASSETS = Path(__file__).parent.parent / "assets"

mesh = dr.load_mesh(ASSETS / "cube.glb")
truth = dr.Camera.look_at(eye=(3, 2.5, 5), size=(64, 64))
settings = dr.Soft(sigma=2.0, gamma=1e-2, near=3, far=10)
target = dr.render(mesh, truth, settings).image

camera = truth.moved(np.array([0.15, -0.2, 0.1]), np.array([0.2, -0.1, 0.3]))
adam = Adam()
state = adam.init(np.zeros(6))


def error_degrees() -> float:
    """Return the angle between the camera's rotation and the true one."""
    cosine = (np.trace(camera.R @ truth.R.T) - 1) / 2
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


print(f"start: {error_degrees():.2f} degrees off")
for step in range(150):
    rendering = dr.render(mesh, camera, settings)
    _, grad_image = l2(rendering.image, target)
    grads = rendering.backward(grad_image)
    delta, state = adam.update(np.concatenate([grads.rotation, grads.translation]), state, 0.02 * 0.97**step)
    camera = camera.moved(delta[:3], delta[3:])
print(f"end: {error_degrees():.2f} degrees off")
assert error_degrees() < 1
