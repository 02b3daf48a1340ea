"""Textures and their uv in mesh files."""

import base64
import json
import warnings

import numpy as np
import pytest
import trimesh
from meshes import bumpy
from PIL import Image

import diffrender as dr
from diffrender import files
from diffrender.color import srgb_to_linear, to_bytes
from diffrender.mesh import subdivide
from diffrender.mesh_files.container import Container
from diffrender.mesh_files.surface import weld
from diffrender.sampling import sample
from diffrender.topology import is_closed_manifold

RANDOM = np.random.default_rng(3)
SHADES = RANDOM.integers(0, 256, (6, 9, 3), np.uint8)
IMAGE = srgb_to_linear(SHADES.astype(np.float32) / 255)


def ball(colors=False, wrap="repeat", smooth="trilinear"):
    """A dented sphere, cut along its back: uv of the corners there are elsewhere than those of the same vertices before."""
    mesh = bumpy(2, np.float32)
    along = np.arctan2(mesh.vertices[:, 0], mesh.vertices[:, 2]) / (2 * np.pi) + 0.5
    uv = np.stack([along, 0.5 - mesh.vertices[:, 1] / 3], axis=1).astype(np.float32)
    across = np.ptp(along[mesh.faces], axis=1) > 0.5
    beyond = across[:, None] & (along[mesh.faces] < 0.5)
    extra = np.unique(mesh.faces[beyond])
    index = np.full(len(uv), -1)
    index[extra] = len(uv) + np.arange(len(extra))
    return dr.Mesh(
        mesh.vertices,
        mesh.faces,
        mesh.vertex_colors if colors else None,
        np.concatenate([uv, uv[extra] + np.float32([1, 0])]),
        np.where(beyond, index[mesh.faces], mesh.faces),
        dr.Texture(IMAGE, wrap, smooth),
    )


def assert_same(again, mesh):
    np.testing.assert_array_equal(again.vertices, mesh.vertices)
    np.testing.assert_array_equal(again.faces, mesh.faces)
    np.testing.assert_array_equal(again.uv[again.faces_uv], mesh.uv[mesh.faces_uv])
    np.testing.assert_array_equal(to_bytes(again.texture.image), to_bytes(mesh.texture.image))
    assert again.texture.wrap == mesh.texture.wrap


@pytest.mark.parametrize("wrap, smooth", [("repeat", "trilinear"), ("clamp", "bilinear")])
@pytest.mark.parametrize("colors", [False, True])
def test_textures_come_back_from_obj_and_glb_to_the_bit(tmp_path, colors, wrap, smooth):
    mesh = ball(colors, wrap, smooth)
    assert len(mesh.uv) > len(mesh.vertices)
    mesh.save(tmp_path / "first.obj")
    first = dr.load_mesh(tmp_path / "first.obj")
    first = dr.Mesh(
        first.vertices,
        first.faces,
        first.vertex_colors,
        first.uv,
        first.faces_uv,
        dr.Texture(first.texture.image, wrap, smooth),
    )
    first.save(tmp_path / "second.glb")
    second = dr.load_mesh(tmp_path / "second.glb")
    assert second.texture.filter == smooth
    second.save(tmp_path / "third.obj")
    for again in (first, second, dr.load_mesh(tmp_path / "third.obj")):
        assert_same(again, mesh)
        assert is_closed_manifold(again.faces)
        if colors:
            np.testing.assert_allclose(again.vertex_colors, mesh.vertex_colors, atol=3e-5)
        else:
            assert again.vertex_colors is None
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "first.png")), SHADES)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [
        *("first.mtl", "first.obj", "first.png", "second.glb", "third.mtl", "third.obj", "third.png")
    ]


def test_another_reader_finds_the_same_texture_at_the_same_place(tmp_path):
    mesh = ball(wrap="repeat")
    for name in ("mesh.obj", "mesh.glb"):
        mesh.save(tmp_path / name)
        (other,) = trimesh.load_scene(tmp_path / name, process=False).geometry.values()
        colors = srgb_to_linear(other.visual.to_color().vertex_colors[:, :3].astype(np.float32) / 255)
        for vertex in (0, 40, 100):
            corner = np.argwhere(mesh.faces == vertex)[0]
            place = mesh.uv[mesh.faces_uv[tuple(corner)]]
            there = np.flatnonzero((other.vertices.astype(np.float32) == mesh.vertices[vertex]).all(axis=1))
            assert len(there)
            found = other.visual.uv[there] * (1, -1) + (0, 1)
            assert np.abs(found - place).sum(axis=1).min() < 1e-6
        material = other.visual.material
        picture = material.image if name.endswith("obj") else material.baseColorTexture
        np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), SHADES)
        assert colors.shape[1] == 3


SQUARE = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"


def write_obj(folder, faces="f 1/1 2/2 3/3 4/4\n", mtl="newmtl m\nmap_Kd skin.png\n", vertices=SQUARE):
    (folder / "m.obj").write_text(f"mtllib m.mtl\n{vertices}usemtl m\n{faces}")
    (folder / "m.mtl").write_text(mtl)
    Image.fromarray(SHADES).save(folder / "skin.png")
    return folder / "m.obj"


def test_obj_of_other_programs(tmp_path):
    mesh = dr.load_mesh(write_obj(tmp_path))
    np.testing.assert_array_equal(mesh.faces, [(0, 1, 2), (0, 2, 3)])
    np.testing.assert_array_equal(mesh.uv, [(0, 1), (1, 1), (1, 0), (0, 0)])  # v goes up in OBJ
    for faces in (
        "f -4/-4 -3/-3 -2/-2 -1/-1\n",
        "f 1/1/1 2/2/1 3/3/1 \\\n 4/4/1\n",
        "f\t1/1 2/2 3/3\r\nf 1/1 3/3 4/4 # the other half\n",
    ):
        np.testing.assert_array_equal(dr.load_mesh(write_obj(tmp_path, faces)).faces_uv, mesh.faces_uv)
    np.testing.assert_array_equal(
        dr.load_mesh(write_obj(tmp_path, "f 1//1 2//1 3//1\n", "newmtl m\n")).faces, [(0, 1, 2)]
    )
    options = "newmtl m\nKd 0.5 1 0\nmap_Kd -s 1 1 1 -clamp on -bm 0.2 C:\\work\\skin.png\n"
    texture = dr.load_mesh(write_obj(tmp_path, mtl=options)).texture
    assert texture.wrap == "clamp"
    np.testing.assert_allclose(texture.image, IMAGE * srgb_to_linear(np.array([0.5, 1, 0])), atol=1e-6)
    black = dr.load_mesh(write_obj(tmp_path, mtl="newmtl m\nKd 0 0 0\nmap_Kd skin.png\n"))
    np.testing.assert_array_equal(black.texture.image, IMAGE)
    red = dr.load_mesh(write_obj(tmp_path, mtl="newmtl m\nKd 1 0 0\n"))
    np.testing.assert_array_equal(red.vertex_colors, np.tile([1, 0, 0], (4, 1)))
    assert dr.load_mesh(write_obj(tmp_path, mtl="newmtl m\nKd 0.8 0.8 0.8\n")).vertex_colors is None


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"vertices": SQUARE.replace("vt 0 1", "vt nan 1")},
            "m.obj: .*uv has NaN or infinity in 1 rows, first in row 3",
        ),
        ({"faces": "f 1/1 2/2 3/9\n"}, "m.obj: .*face 0 refers to uv 8, but there are 4"),
        ({"faces": "f 1/1 2/2 3/-9\n"}, "m.obj: .*3/-9' refers to uv -9"),
        ({"faces": "f 1/1 2/2 7/3\n"}, "m.obj: .*face 0 refers to vertex 6, but there are 4"),
        ({"faces": "f 1/1 2/2\n"}, "m.obj: .*line 'f 1/1 2/2' is no polygon"),
        ({"faces": "f 1/1 2/2 3/x\n"}, "m.obj: .*3/x' is no polygon"),
        ({"vertices": SQUARE.replace("v 0 1 0", "v 0 1")}, "m.obj: .*line 'v 0 1' needs 3 numbers"),
        ({"vertices": SQUARE.replace("v 0 1 0", "v 0 1 up")}, "m.obj: .*'up'"),
        ({"faces": ""}, "m.obj: holds no triangles"),
    ],
)
def test_bad_obj_files_are_named_with_their_value(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        dr.load_mesh(write_obj(tmp_path, **change))


def test_damaged_and_missing_textures_are_named(tmp_path):
    path = write_obj(tmp_path)
    whole = (tmp_path / "skin.png").read_bytes()
    (tmp_path / "skin.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"skin\.png: not a readable image"):
        dr.load_mesh(path)
    (tmp_path / "skin.png").unlink()
    with pytest.warns(UserWarning, match=r"m\.obj: no file skin\.png"):
        mesh = dr.load_mesh(path)
    assert mesh.texture is None and mesh.uv is not None
    (tmp_path / "m.mtl").unlink()
    with pytest.warns(UserWarning, match=r"m\.obj: no file m\.mtl"):
        dr.load_mesh(path)


def test_two_textures_are_taken_at_the_vertices(tmp_path):
    mtl = "newmtl m\nmap_Kd skin.png\nnewmtl n\nKd 1 0 0\n"
    path = write_obj(tmp_path, "f 1/1 2/2 3/3\nusemtl n\nf 1/1 3/3 4/4\n", mtl)
    with pytest.warns(UserWarning, match=r"m\.obj: one texture cannot hold it \(2 materials\)"):
        mesh = dr.load_mesh(path)
    texture = dr.Texture(IMAGE)
    corner = sample(texture, np.array([(1, 1), (0, 1)], np.float32))
    assert mesh.texture is None
    np.testing.assert_allclose(mesh.vertex_colors[1], corner[0], atol=1e-6)
    np.testing.assert_allclose(mesh.vertex_colors[0], (corner[1] + [1, 0, 0]) / 2, atol=1e-6)
    np.testing.assert_array_equal(mesh.vertex_colors[3], [1, 0, 0])


def write_gltf(folder, change=lambda document: None, mesh=None):
    """A glTF file with files beside it, of a mesh as `Mesh.save` writes it."""
    (mesh or ball()).save(folder / "m.glb")
    container = Container(folder / "m.glb")
    document = container.document
    image = document["images"][0]
    (folder / "a skin.png").write_bytes(container.view(image["bufferView"]))
    document["images"] = [{"uri": "a%20skin.png"}]
    (folder / "m.bin").write_bytes(container._body)
    document["buffers"][0]["uri"] = "m.bin"
    change(document)
    (folder / "m.gltf").write_text(json.dumps(document))
    return folder / "m.gltf"


def test_gltf_of_other_programs(tmp_path):
    assert_same(dr.load_mesh(write_gltf(tmp_path)), ball())

    def inline(document):
        for entry, name in ((document["images"][0], "a skin.png"), (document["buffers"][0], "m.bin")):
            content = base64.b64encode((tmp_path / name).read_bytes()).decode()
            entry["uri"] = f"data:application/octet-stream;base64,{content}"

    assert_same(dr.load_mesh(write_gltf(tmp_path, inline)), ball())

    def tinted(document):
        document["materials"][0]["pbrMetallicRoughness"]["baseColorFactor"] = [0.5, 1, 0, 1]
        document["samplers"][0] |= {"wrapS": 33648, "wrapT": 33071, "minFilter": 9728}

    with pytest.warns(UserWarning, match=r"m\.gltf: its texture is wrapped by \[33648, 33071\]"):
        texture = dr.load_mesh(write_gltf(tmp_path, tinted)).texture
    np.testing.assert_allclose(texture.image, IMAGE * np.float32([0.5, 1, 0]), atol=1e-6)
    assert texture.filter == "bilinear"

    def painted(document):
        del document["textures"], document["images"], document["samplers"]
        document["materials"][0]["pbrMetallicRoughness"] = {"baseColorFactor": [0.5, 0.5, 0.5, 1]}

    grey = dr.load_mesh(write_gltf(tmp_path, painted))
    assert grey.vertex_colors is None and is_closed_manifold(grey.faces) and grey.uv is not None
    grey = dr.load_mesh(write_gltf(tmp_path, painted, ball(colors=True)))
    np.testing.assert_allclose(grey.vertex_colors, ball(colors=True).vertex_colors / 2, atol=1e-4)

    def moved(document):
        info = document["materials"][0]["pbrMetallicRoughness"]["baseColorTexture"]
        info["extensions"] = {"KHR_texture_transform": {"offset": [0.25, 0], "scale": [0.5, 2]}}
        document["nodes"] = [{"children": [1], "translation": [0, 0, 2]}, {"mesh": 0, "rotation": [0, 1, 0, 0]}]

    mesh = dr.load_mesh(write_gltf(tmp_path, moved))
    np.testing.assert_allclose(mesh.uv[mesh.faces_uv], ball().uv[ball().faces_uv] * [0.5, 2] + [0.25, 0], atol=1e-6)
    np.testing.assert_allclose(mesh.vertices, ball().vertices * [-1, 1, -1] + [0, 0, 2], atol=1e-6)


def test_bad_gltf_files_are_named(tmp_path):
    def fails(change, message, kind=ValueError):
        with pytest.raises(kind, match=message):
            dr.load_mesh(write_gltf(tmp_path, change))

    fails(lambda document: document["bufferViews"][0].update(byteLength=10**6), r"m\.gltf: .*ends at byte 1000000")
    fails(lambda document: document["accessors"][0].update(count=10**6), r"m\.gltf: .*1000000 entries")
    fails(lambda document: document["buffers"][0].update(uri="gone.bin"), r"no file gone\.bin", FileNotFoundError)
    fails(lambda document: document.update(extensionsRequired=["KHR_draco_mesh_compression"]), "needs KHR_draco")
    fails(lambda document: document.update(nodes=[{"children": [0]}]), "node 0 hangs in two places")
    with pytest.warns(UserWarning, match=r"m\.gltf: no file gone\.png"):
        mesh = dr.load_mesh(write_gltf(tmp_path, lambda document: document["images"][0].update(uri="gone.png")))
    assert mesh.texture is None and mesh.uv is not None
    path = write_gltf(tmp_path)
    (tmp_path / "a skin.png").write_bytes((tmp_path / "a skin.png").read_bytes()[:90])
    with pytest.raises(ValueError, match=r"m\.gltf: a%20skin\.png: not a readable image"):
        dr.load_mesh(path)
    whole = (tmp_path / "m.glb").read_bytes()
    (tmp_path / "m.glb").write_bytes(whole[:-100])
    with pytest.raises(ValueError, match=rf"m\.glb: .*cut off: {len(whole)} bytes announced, {len(whole) - 100} there"):
        dr.load_mesh(tmp_path / "m.glb")


def test_vertices_of_different_colors_are_not_welded():
    vertices = np.float32([(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 0), (0, 1, 0), (-1, 0, 0)])
    colors = np.float32([(1, 0, 0)] * 4 + [(0, 1, 0)] * 2)
    mesh = weld(dr.Mesh(vertices, np.arange(6).reshape(2, 3), colors))
    np.testing.assert_array_equal(mesh.faces, [(0, 1, 2), (0, 3, 4)])
    np.testing.assert_array_equal(mesh.vertices[mesh.faces], vertices.reshape(2, 3, 3))
    np.testing.assert_array_equal(mesh.vertex_colors[mesh.faces], colors.reshape(2, 3, 3))


def test_what_cannot_hold_a_texture_gets_its_colors_or_none(tmp_path):
    mesh = ball(colors=True)
    mesh.save(tmp_path / "mesh.ply")
    expected = mesh.with_vertex_colors().vertex_colors
    np.testing.assert_allclose(dr.load_mesh(tmp_path / "mesh.ply").vertex_colors, expected, atol=0.01)
    mesh.save(tmp_path / "mesh.stl")
    assert dr.load_mesh(tmp_path / "mesh.stl").vertex_colors is None


def test_sampling_is_linear_between_centres_and_wraps():
    uv = np.array([(0.5 / 9, 0.5 / 6), (1 / 9, 0.5 / 6), (0, 0.5 / 6), (1.5 / 9 - 3, 2.5 / 6 + 2)])
    repeated = sample(dr.Texture(IMAGE), uv)
    np.testing.assert_allclose(repeated[0], IMAGE[0, 0], atol=1e-6)
    np.testing.assert_allclose(repeated[1], (IMAGE[0, 0] + IMAGE[0, 1]) / 2, atol=1e-6)
    np.testing.assert_allclose(repeated[2], (IMAGE[0, 0] + IMAGE[0, 8]) / 2, atol=1e-6)
    np.testing.assert_allclose(repeated[3], IMAGE[2, 1], atol=1e-6)
    clamped = sample(dr.Texture(IMAGE, "clamp"), uv)
    np.testing.assert_allclose(clamped[2:], [IMAGE[0, 0], IMAGE[5, 0]], atol=1e-6)


def test_vertex_colors_are_the_textures_mean_on_a_seam():
    mesh = ball(colors=True)
    plain = mesh.with_vertex_colors()
    assert plain.texture is None and plain.uv is not None
    vertex = mesh.faces[(mesh.faces != mesh.faces_uv)][0]  # on the seam
    places = mesh.uv[mesh.faces_uv[mesh.faces == vertex]]
    expected = sample(mesh.texture, places).mean(axis=0) * mesh.vertex_colors[vertex]
    np.testing.assert_allclose(plain.vertex_colors[vertex], expected, atol=1e-6)
    assert plain.with_vertex_colors() is plain


def test_subdivision_carries_uv():
    mesh = ball()
    fine = subdivide(mesh)
    assert fine.texture is mesh.texture
    for faces, values, corners in (
        (fine.faces, fine.vertices, mesh.vertices[mesh.faces]),
        (fine.faces_uv, fine.uv, mesh.uv[mesh.faces_uv]),
    ):
        first, inner = values[faces].reshape(4, -1, 3, values.shape[1])[[0, 3]]
        np.testing.assert_array_equal(first[:, 0], corners[:, 0])
        np.testing.assert_allclose(inner[:, 0], (corners[:, 0] + corners[:, 1]) / 2, atol=1e-6)


def test_an_obj_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    ball().save(tmp_path / "mesh.obj")
    before = {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()}

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        subdivide(ball()).save(tmp_path / "mesh.obj")
    assert {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()} == before
    with pytest.raises(ValueError, match="cannot be named in a line of an OBJ file"):
        ball().save(tmp_path / "two\nlines.obj")


def test_files_in_names_with_blanks_and_above(tmp_path):
    ball().save(tmp_path / "a ball.obj")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same(dr.load_mesh(tmp_path / "a ball.obj"), ball())


def test_commands_show_a_textured_mesh_and_start_a_fit_from_its_colors(tmp_path, monkeypatch):
    from diffrender.cli import main as cli
    from meshes import disc_view

    from diffrender.record.run import Run

    mesh = ball()
    red = dr.Mesh(mesh.vertices, mesh.faces, None, mesh.uv, mesh.faces_uv, dr.Texture(np.tile([0.8, 0, 0], (4, 4, 1))))
    red.save(tmp_path / "red.obj")
    arguments = ["diffrender", "render", tmp_path / "red.obj", "--out", tmp_path / "drawn.png", "--size", "40x40"]
    monkeypatch.setattr("sys.argv", [*map(str, arguments), "--background", "black", "--light", "none"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code
    drawn = np.asarray(Image.open(tmp_path / "drawn.png").convert("RGB"))
    assert drawn[20, 20, 0] > 200 and drawn[..., 1:].max() == 0

    Image.fromarray(to_bytes(disc_view().image)).save(tmp_path / "photo.png")
    run = Run.start(tmp_path / "run", tmp_path / "photo.png", str(tmp_path / "red.obj"), None, dr.FitSettings(steps=1))
    run.advance()
    assert (run.state.colors[:, 0] > 0.5).all() and (run.state.colors[:, 1:] < 0.2).all()
