"""Fit a mesh to a photo with the library instead of the command line."""

from pathlib import Path

import diffrender as dr

ASSETS = Path(__file__).parent.parent / "assets"

view = dr.View.from_photo(ASSETS / "duck.jpg")
for step in dr.fit([view], settings=dr.FitSettings(steps=40, faces=6000, resolution=160)):
    if step.step % 10 == 0:
        print(f"step {step.step} of {step.steps}: loss {step.loss:.4f}")
step.mesh.save("duck.glb")
