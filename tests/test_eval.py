"""`diffrender eval`, on photos of a mesh that is known."""

import json
import sys

import numpy as np
import pytest
from diffrender.cli import main as cli
from meshes import bumpy
from PIL import Image

import diffrender as dr
from diffrender.record.picture import picture

MESH = bumpy(2, np.float32)
SIZE = (48, 64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Photos, masks and cameras of a mesh in the IDR layout, whose pixel centres are on integers; and the mesh."""
    folder = tmp_path_factory.mktemp("photos")
    for name in ("image", "mask"):
        (folder / name).mkdir()
    matrices = {}
    for number in range(5):
        angle = 2 * np.pi * number / 5
        camera = dr.Camera.look_at((4 * np.sin(angle), 0.5, 4 * np.cos(angle)), fov_degrees=40, size=SIZE)
        rgba = picture(MESH, camera, backdrop=None)
        Image.fromarray(np.where(rgba[..., 3:] > 127, rgba[..., :3], 90)).save(folder / "image" / f"{number:03d}.png")
        Image.fromarray(rgba[..., 3]).save(folder / "mask" / f"{number:03d}.png")
        to_integers = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])
        matrices[f"world_mat_{number}"] = np.vstack([to_integers @ camera.projection, [0, 0, 0, 1]])
        matrices[f"scale_mat_{number}"] = np.eye(4)
    np.savez(folder / "cameras_sphere.npz", **matrices)
    MESH.save(folder / "mesh.glb")
    dr.Mesh(MESH.vertices * np.float32(1.05), MESH.faces, MESH.vertex_colors).save(folder / "larger.ply")
    return folder


def run(monkeypatch, capsys, *arguments):
    """Run the command in this process; return its exit status, output and errors."""
    monkeypatch.setattr(sys, "argv", ["diffrender", "eval", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    captured = capsys.readouterr()
    return stop.value.code or 0, captured.out, captured.err


def test_views_are_judged_one_by_one_and_on_the_mean(folder, monkeypatch, capsys):
    status, printed, errors = run(monkeypatch, capsys, folder / "mesh.glb", folder, "--json")
    assert (status, errors) == (0, "")
    document = json.loads(printed)
    assert set(document) == {"mesh", "directory", "views", "mean"}
    views = document["views"]
    assert len(views) == 5 and len({view["name"] for view in views}) == 5
    assert all("000" in views[0]["name"] and set(view) == {"name", "silhouette_iou", "psnr_db"} for view in views)
    assert min(view["silhouette_iou"] for view in views) > 0.97 and min(view["psnr_db"] for view in views) > 25
    for name, mean in document["mean"].items():
        assert mean == pytest.approx(np.mean([view[name] for view in views]))
    worse = json.loads(run(monkeypatch, capsys, folder / "larger.ply", folder, "--json")[1])
    assert worse["mean"]["silhouette_iou"] < document["mean"]["silhouette_iou"] - 0.05


def test_every_nth_view(folder, monkeypatch, capsys):
    whole = json.loads(run(monkeypatch, capsys, folder / "mesh.glb", folder, "--json")[1])["views"]
    for options, expected in ((["--every", 2], whole[::2]), (["--every", 3, "--offset", 1], whole[1::3])):
        document = json.loads(run(monkeypatch, capsys, folder / "mesh.glb", folder, "--json", *options)[1])
        assert document["views"] == expected


def test_a_reference_is_measured_to(folder, monkeypatch, capsys):
    arguments = [folder / "mesh.glb", "--reference", folder / "larger.ply", "--points", 2000]
    document = json.loads(run(monkeypatch, capsys, *arguments, "--json")[1])
    assert set(document) == {"mesh", "reference"}
    assert 0.02 < document["reference"]["chamfer"] < 0.05 and document["reference"]["points"] == 2000
    assert document["reference"]["mesh"].endswith("larger.ply")
    wide = json.loads(run(monkeypatch, capsys, *arguments, "--json", "--threshold", 0.5)[1])["reference"]
    assert (wide["f_score"], wide["threshold"]) == (1, 0.5)
    status, printed, errors = run(monkeypatch, capsys, *arguments)
    assert (status, errors) == (0, "")
    for word in ("larger.ply", "chamfer", "f_score", "2,000"):
        assert word in "".join(printed.split()) or word in printed


def test_the_table_has_a_row_for_each_view_and_the_sheet_is_written(folder, tmp_path, monkeypatch, capsys):
    arguments = [folder, folder, "--reference", folder / "mesh.glb", "--points", 500, "--sheet", tmp_path / "a.png"]
    status, printed, errors = run(monkeypatch, capsys, *arguments)  # the folder stands for the mesh.glb in it
    assert (status, errors) == (0, "")
    assert "mean of 5" in printed and "silhouette_iou" in printed and "chamfer" in printed and "wrote" in printed
    assert all(f"{number:03d}" in printed for number in range(5))
    assert Image.open(tmp_path / "a.png").width > 480


def test_equal_images_are_null_in_json(folder, monkeypatch, capsys):
    monkeypatch.setattr("diffrender.record.evaluate.psnr_db", lambda *_: float("inf"))
    document = json.loads(run(monkeypatch, capsys, folder / "mesh.glb", folder, "--json")[1])
    assert document["mean"]["psnr_db"] is None and document["views"][0]["psnr_db"] is None
    assert "inf" in run(monkeypatch, capsys, folder / "mesh.glb", folder)[1]


def test_mistakes_end_in_one_line_and_status_1(folder, tmp_path, monkeypatch, capsys):
    mesh = folder / "mesh.glb"
    (tmp_path / "bad.glb").write_bytes(b"no")
    flat = tmp_path / "flat.obj"
    flat.write_text("v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n")
    for arguments, message in (
        ([mesh], "give a DIRECTORY of photos with cameras, --reference, or both"),
        ([tmp_path / "none.glb", folder], "none.glb: no such file"),
        ([mesh, "--reference", tmp_path / "bad.glb"], "bad.glb: not a readable mesh"),
        ([mesh, "--reference", flat], "the reference has no area"),
        ([mesh, "--reference", mesh, "--threshold", "-1"], "threshold must be positive and finite, got -1"),
        ([mesh, "--reference", mesh, "--every", "2"], "give a DIRECTORY with them"),
        ([mesh, folder, "--threshold", "1"], "give --reference with it"),
        ([mesh, folder, "--offset", "5"], "--offset 5 leaves no view to judge"),
        ([mesh, tmp_path / "nowhere"], "nowhere"),
    ):
        status, printed, errors = run(monkeypatch, capsys, *arguments)
        assert (status, printed) == (1, ""), arguments
        assert errors.startswith("diffrender: error: ") and errors.count("\n") == 1 and message in errors, errors
