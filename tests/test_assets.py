import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import label

import diffrender as dr
from diffrender.loss import iou
from diffrender.topology import count_flipped_faces, is_closed_manifold
from diffrender.views.mask import find_mask
from diffrender.views.photo import load_photo

ROOT = Path(__file__).parent.parent
ASSETS = ROOT / "assets"


@pytest.mark.parametrize("name, closed", [("duck.glb", True), ("torus.ply", True), ("cube.glb", False)])
def test_meshes_load_with_colors(name, closed):
    mesh = dr.load_mesh(ASSETS / name)
    assert is_closed_manifold(mesh.faces) == closed
    assert count_flipped_faces(mesh.vertices, mesh.faces) == 0
    assert np.ptp(mesh.vertex_colors, axis=0).max() > 0.3
    corners = mesh.vertices[mesh.faces]
    assert np.linalg.det(corners).sum() > 0  # the volume: outward


def test_the_sample_photos_duck_is_found():
    truth = np.asarray(Image.open(ASSETS / "duck_mask.png")) > 127
    assert label(truth)[1] == 1 and 0.2 < truth.mean() < 0.5
    found = find_mask(load_photo(ASSETS / "duck.jpg"))
    assert found.source == "grabcut"
    assert iou(found.mask > 0.5, truth) > 0.97


@pytest.mark.parametrize("script", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_examples_run(script, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(script)])
    runpy.run_path(str(script), run_name="__main__")
    assert capsys.readouterr().out
    for path in tmp_path.glob("*.png"):
        assert np.ptp(np.asarray(Image.open(path))) > 30
