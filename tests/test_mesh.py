import json
import struct

import numpy as np
import pytest
import trimesh
from meshes import bumpy

import diffrender as dr
from diffrender import files

TRIANGLE = np.array([(0.0, 0, 0), (1, 0, 0), (0, 1, 0)], np.float32)
FACE = np.array([(0, 1, 2)])


@pytest.mark.parametrize("suffix, places", [(".glb", 2e-5), (".ply", 0.01), (".obj", 0.01)])
def test_files_keep_shape_exactly_and_colors_closely(tmp_path, suffix, places):
    mesh = bumpy(2, np.float32)
    path = tmp_path / f"mesh{suffix}"
    mesh.save(path)
    again = dr.load_mesh(path)
    np.testing.assert_array_equal(again.vertices, mesh.vertices)
    np.testing.assert_array_equal(again.faces, mesh.faces)
    np.testing.assert_allclose(again.vertex_colors, mesh.vertex_colors, atol=places)
    first = path.read_bytes()
    mesh.save(path)
    assert path.read_bytes() == first
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_stl_has_shape_alone_and_shares_corners(tmp_path):
    mesh = bumpy(1, np.float32)
    mesh.save(tmp_path / "mesh.stl")
    again = dr.load_mesh(tmp_path / "mesh.stl")
    assert again.vertex_colors is None
    assert len(again.vertices) == len(mesh.vertices)
    np.testing.assert_array_equal(np.sort(again.vertices, axis=0), np.sort(mesh.vertices, axis=0))


def test_dark_colors_do_not_band_in_glb(tmp_path):
    colors = np.linspace(0, 0.004, 12, dtype=np.float32).repeat(3).reshape(12, 3)
    sphere = dr.icosphere(0)
    dr.Mesh(sphere.vertices, sphere.faces, colors).save(tmp_path / "dark.glb")
    assert len(np.unique(dr.load_mesh(tmp_path / "dark.glb").vertex_colors)) == 12


def test_glb_is_what_its_specification_asks_for(tmp_path):
    mesh = bumpy(1, np.float32)
    mesh.save(tmp_path / "mesh.glb")
    data = (tmp_path / "mesh.glb").read_bytes()
    magic, version, length = struct.unpack_from("<III", data)
    assert (magic, version, length) == (0x46546C67, 2, len(data))
    json_length, kind = struct.unpack_from("<II", data, 12)
    assert kind == 0x4E4F534A and json_length % 4 == 0
    document = json.loads(data[20 : 20 + json_length])
    body = data[20 + json_length + 8 :]
    sizes = {5126: 4, 5125: 4, 5123: 2}
    widths = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}
    for accessor in document["accessors"]:
        view = document["bufferViews"][accessor["bufferView"]]
        item = sizes[accessor["componentType"]] * widths[accessor["type"]]
        assert view["byteOffset"] % 4 == 0
        assert view["byteLength"] == accessor["count"] * item
        assert view["byteOffset"] + view["byteLength"] <= len(body)
    position = document["accessors"][document["meshes"][0]["primitives"][0]["attributes"]["POSITION"]]
    np.testing.assert_array_equal(np.float32(position["min"]), mesh.vertices.min(axis=0))
    assert trimesh.load_scene(tmp_path / "mesh.glb").to_geometry().is_watertight


def test_parts_of_a_scene_are_placed_and_joined(tmp_path):
    scene = trimesh.Scene()
    box = trimesh.creation.box()
    scene.add_geometry(box, transform=trimesh.transformations.translation_matrix([3, 0, 0]))
    scene.add_geometry(box.copy(), transform=np.diag([-1.0, 1, 1, 1]))
    scene.export(tmp_path / "two.glb")
    mesh = dr.load_mesh(tmp_path / "two.glb")
    assert len(mesh.faces) == 24
    assert mesh.vertices[:, 0].max() == pytest.approx(3.5)
    volume = trimesh.Trimesh(mesh.vertices, mesh.faces).volume
    assert volume == pytest.approx(2)  # the mirrored one is not inside out


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "mesh.glb"
    bumpy().save(path)
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        dr.icosphere(1).save(path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((np.zeros((0, 3)), FACE), "the mesh is empty: 0 vertices and 1 faces"),
        ((TRIANGLE, np.zeros((0, 3), int)), "the mesh is empty: 3 vertices and 0 faces"),
        ((TRIANGLE[:, :2], FACE), r"vertices must have shape \(V, 3\), got \(3, 2\)"),
        ((TRIANGLE, FACE[0]), r"faces must have shape \(F, 3\), got \(3,\)"),
        ((TRIANGLE, FACE * 1.0), "faces must be integers, got float64"),
        ((TRIANGLE, FACE + 1), "face 0 refers to vertex 3, but there are 3 vertices"),
        ((TRIANGLE * np.nan, FACE), "vertices has NaN or infinity in 3 rows, first in row 0"),
        ((TRIANGLE, FACE, np.ones((2, 3))), r"vertex_colors must have shape \(3, 3\), got \(2, 3\)"),
        ((TRIANGLE, FACE, TRIANGLE * 2), r"vertex_colors must lie in \[0, 1\], got 0 to 2"),
    ],
)
def test_bad_meshes_are_named_with_their_value(arguments, message):
    with pytest.raises(ValueError, match=message):
        dr.Mesh(*arguments)


def test_bad_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.obj: no such file"):
        dr.load_mesh(tmp_path / "none.obj")
    with pytest.raises(ValueError, match=r"mesh\.xyz: cannot read meshes of this kind, use one of .glb, .obj"):
        dr.load_mesh(tmp_path / "mesh.xyz")
    (tmp_path / "bad.glb").write_bytes(b"glTF, but not really")
    with pytest.raises(ValueError, match=r"bad\.glb: not a readable mesh"):
        dr.load_mesh(tmp_path / "bad.glb")
    trimesh.PointCloud(TRIANGLE).export(tmp_path / "cloud.ply")
    with pytest.raises(ValueError, match=r"cloud\.ply: holds no triangles"):
        dr.load_mesh(tmp_path / "cloud.ply")
    with pytest.raises(ValueError, match=r"cannot write meshes as .xyz: use one of .glb"):
        bumpy().save(tmp_path / "mesh.xyz")


def test_a_texture_needs_places_for_each_corner():
    ball = dr.icosphere(1)
    uv = np.random.default_rng(0).random((len(ball.vertices), 2))
    texture = dr.Texture(np.full((4, 8, 3), 0.5))
    mesh = dr.Mesh(ball.vertices, ball.faces, uv=uv, texture=texture)
    np.testing.assert_array_equal(mesh.faces_uv, ball.faces)
    assert mesh.uv.dtype == mesh.texture.image.dtype == np.float32
    for arguments, message in (
        ({"texture": texture}, "a mesh with texture needs uv"),
        ({"uv": uv[:, :1]}, r"uv must have shape \(T, 2\), got"),
        ({"uv": uv * np.nan}, "uv .*nan"),
        ({"uv": uv + 20_000}, r"uv must lie within \+-10000, got 2e\+04"),
        ({"uv": uv[:5]}, "face 0 refers to uv .*, but there are 5 of them"),
        ({"uv": uv, "faces_uv": ball.faces[:3]}, r"faces_uv must have the shape of faces \(80, 3\), got \(3, 3\)"),
    ):
        with pytest.raises(ValueError, match=message):
            dr.Mesh(ball.vertices, ball.faces, **arguments)
    for image, message in (
        (np.zeros((4, 4)), r"must have shape \(H, W, 3\), got \(4, 4\)"),
        (np.full((4, 4, 3), 2.0), "must lie in"),
    ):
        with pytest.raises(ValueError, match=message):
            dr.Texture(image)
    with pytest.raises(ValueError, match="wrap must be 'repeat' or 'clamp', got 'mirror'"):
        dr.Texture(np.zeros((4, 4, 3)), wrap="mirror")
