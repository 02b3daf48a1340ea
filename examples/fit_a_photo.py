"""Fit a mesh to a photo with the library instead of the command line."""

from pathlib import Path

import diffrender as dr
from diffrender.placement import photo_camera
from diffrender.views.mask import find_mask
from diffrender.views.photo import load_photo

ASSETS = Path(__file__).parent.parent / "assets"

photo = load_photo(ASSETS / "duck.jpg")
mask = find_mask(photo).mask
view = dr.View(photo.image, mask, photo_camera(mask.shape))

for step in dr.fit([view], settings=dr.FitSettings(steps=40, faces=6000, resolution=160)):
    if step.step % 10 == 0:
        print(f"step {step.step} of {step.steps}: loss {step.loss:.4f}")
step.mesh.save("duck.glb")
