"""Cameras and exposures that are a little wrong are put right."""

import numpy as np
import pytest
from meshes import bumpy

import diffrender as dr
from diffrender.adjust import Rates, adjust, unadjusted
from diffrender.camera import rotation_matrix
from diffrender.loss import l2

SOFT = dr.Soft(sigma=0.5, gamma=1e-3, near=2, far=6)
MESH = bumpy(2)
EYES = ((4, 0, 0.3), (0, 4, 0.4), (-3, 0.5, 2.5), (0.5, -1, 3.9), (-2, -3, -1))
CAMERAS = [dr.Camera.look_at(eye, fov_degrees=36, size=(48, 48)) for eye in EYES]


def between(first, second):
    """Return the angle in degrees between rotations (N, 3, 3), and the distance of the cameras' images of 0 (N, 3)."""
    turns = np.einsum("nij,nkj->nik", first.rotations, second.rotations)
    angles = np.degrees(np.arccos(np.clip((np.trace(turns, axis1=1, axis2=2) - 1) / 2, -1, 1)))
    return angles, np.linalg.norm(first.translations - second.translations, axis=1)


def descend(adjustments, images, cameras, rates, steps, chosen=lambda step: range(len(EYES))):
    for step in range(steps):
        gradients = np.zeros((len(cameras), 9))
        for number in chosen(step):
            camera = cameras[number]
            placed = dr.Camera(camera.K, adjustments.rotations[number], adjustments.translations[number], camera.size)
            rendering = dr.render(MESH, placed, SOFT)
            gain = adjustments.gain(number)
            shown = rendering.image * np.append(gain, 1).astype(np.float32)
            _, grad = l2(shown, images[number])
            grads = rendering.backward(grad * np.append(gain, 1).astype(np.float32))
            log_gain = (grad * shown)[..., :3].sum(axis=(0, 1))
            gradients[number] = np.concatenate([grads.rotation, grads.translation, log_gain])
        shrink = 0.01 ** (step / steps)
        adjustments = adjust(
            adjustments, gradients, np.zeros(3), 1.0, Rates(rates.camera * shrink, rates.gain * shrink)
        )
    return adjustments


@pytest.mark.parametrize("some", [False, True])
def test_cameras_and_exposures_that_are_off_come_back(some):
    random = np.random.default_rng(2)
    gains = np.exp(random.uniform(-0.3, 0.3, (len(EYES), 3)))
    gains /= np.exp(np.log(gains).mean(axis=0))
    images = [
        dr.render(MESH, camera, SOFT).image * np.append(gain, 1).astype(np.float32)
        for camera, gain in zip(CAMERAS, gains, strict=True)
    ]
    # What is common to all is the object's own place: nobody can tell.
    turns, shifts = (step - step.mean(axis=0) for step in random.normal(0, 0.02, (2, len(EYES), 3)))
    off = [
        dr.Camera(camera.K, camera.R @ rotation_matrix(turn), camera.t + camera.R @ shift, camera.size)
        for camera, turn, shift in zip(CAMERAS, turns, shifts, strict=True)
    ]
    truth, start = unadjusted(CAMERAS), unadjusted(off)
    chosen = (lambda step: [step % 5, (step + 2) % 5]) if some else (lambda step: range(5))
    found = descend(start, images, off, Rates(4e-3, 2e-2), 250 if some else 100, chosen)
    before, after = between(start, truth), between(found, truth)
    assert before[0].mean() > 1.5 and before[1].mean() > 0.02
    assert after[0].max() < 0.1 and after[1].max() < 4e-3
    np.testing.assert_allclose([found.gain(number) for number in range(len(EYES))], gains, rtol=0.01)
