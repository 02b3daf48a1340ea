"""Contact sheets and animated WebP: what a run is looked at with."""

import numpy as np
import pytest
from meshes import bumpy
from PIL import Image, ImageFont

import diffrender as dr
from diffrender.color import srgb_to_linear
from diffrender.record import sheet
from diffrender.record.gif import save_gif
from diffrender.record.picture import picture
from diffrender.record.sheet import contact_sheet
from diffrender.record.webp import save_webp

MESH = bumpy(2, np.float32)
SMALLER = dr.Mesh(MESH.vertices * np.float32(0.7), MESH.faces, MESH.vertex_colors)


def views_of(mesh, count=1, size=(48, 64)):
    """Views from all around, as pictures of the mesh itself before grey."""
    views = []
    for number in range(count):
        angle = 2 * np.pi * number / count
        camera = dr.Camera.look_at((4 * np.sin(angle), 0.5, 4 * np.cos(angle)), fov_degrees=40, size=size)
        rgba = picture(mesh, camera, backdrop=None).astype(np.float32) / 255
        alpha = rgba[..., 3:]
        image = srgb_to_linear(rgba[..., :3]) * alpha + 0.3 * (1 - alpha)
        views.append(dr.View(image, alpha[..., 0], camera, name=f"{number:03d}.png"))
    return views


def share(picture, color, within=2):
    """The share of the pixels that have a colour."""
    return float((np.abs(picture.astype(int) - color).max(axis=-1) <= within).mean())


def test_the_panels_tell_what_is_missing_and_what_is_too_much():
    (view,) = views_of(MESH)
    size = view.camera.size
    target, shown, difference = sheet._panels(MESH, view, size)
    assert target.shape == shown.shape == difference.shape == (*size, 3) and target.dtype == np.uint8
    assert share(difference, sheet._MISSING, 40) == share(difference, sheet._SURPLUS, 40) == 0
    middle = np.s_[20:28, 28:36]
    assert difference[middle].min() > 245  # white: the colours are equal
    assert np.abs(target[middle].astype(int) - shown[middle]).max() <= 2
    inside = view.mask > 0.5
    assert 0.01 < share(target, sheet._OUTLINE, 60) < 0.2 and share(target[~inside], sheet._OUTLINE, 60) < 0.2

    too_small = sheet._panels(SMALLER, view, size)[2]  # half as large: the missing ring is the other half
    assert 0.4 * inside.mean() < share(too_small, sheet._MISSING) < 0.6 * inside.mean()
    assert share(too_small, sheet._SURPLUS) == 0
    too_large = sheet._panels(MESH, views_of(SMALLER)[0], size)[2]
    assert share(too_large, sheet._SURPLUS) > 0.4 * inside.mean() and share(too_large, sheet._MISSING) == 0


def test_a_texture_is_shown_as_it_is():
    texture = dr.Texture(np.full((4, 4, 3), srgb_to_linear(np.float32([0.2, 0.6, 0.4]))))
    mesh = dr.Mesh(MESH.vertices, MESH.faces, uv=np.full((len(MESH.vertices), 2), 0.5), texture=texture)
    (view,) = views_of(mesh)
    shown = sheet._panels(mesh, view, view.camera.size)[1]
    assert share(shown[view.mask > 0.99], (51, 153, 102)) == 1  # without a light


def test_colours_that_are_off_by_a_third_are_black():
    (view,) = views_of(MESH)
    white = dr.Mesh(MESH.vertices, MESH.faces, np.ones_like(MESH.vertices))
    black = dr.Mesh(MESH.vertices, MESH.faces, np.zeros_like(MESH.vertices))
    darkest = [sheet._panels(mesh, view, view.camera.size)[2][20:28, 28:36].mean() for mesh in (white, black)]
    assert min(darkest) < 20


@pytest.mark.parametrize("count", [1, 7, 30, 100])
def test_a_sheet_of_any_number_of_views_is_near_3_to_2(count, monkeypatch):
    monkeypatch.setattr(sheet, "evaluate", lambda mesh, view: {"silhouette_iou": 0.5})
    monkeypatch.setattr(sheet, "_panels", lambda mesh, view, size: [np.zeros((*size, 3), np.uint8)] * 3)
    pixels = contact_sheet(MESH, views_of(MESH) * count)
    height, width = pixels.shape[:2]
    assert pixels.dtype == np.uint8 and pixels.shape[2] == 3 and max(height, width) <= 4000
    if count >= 7:
        assert 1.2 < width / height < 1.9
    assert share(pixels, (0, 0, 0), 0) == pytest.approx(count * 3 * 160 * 120 / (height * width), abs=0.01)
    assert (pixels[[0, -1]] == 255).all() and (pixels[:, [0, -1]] == 255).all()


def test_a_real_sheet_shows_every_view_and_takes_columns():
    views = views_of(MESH, 3) + views_of(MESH, 2, size=(64, 40))
    row = contact_sheet(SMALLER, views, columns=5, side=40)
    column = contact_sheet(SMALLER, views, columns=1, side=40)
    assert row.shape[1] > 5 * 3 * 40 and row.shape[0] < 2 * 40 + 60
    assert column.shape[0] > 5 * 40 and column.shape[1] < 2 * 3 * 40
    for pixels in (row, column):
        assert share(pixels, sheet._MISSING) > 0.005
    np.testing.assert_array_equal(row, contact_sheet(SMALLER, views, columns=5, side=40))


def test_large_sides_are_made_smaller_and_too_many_views_refused():
    layout = sheet._fitting_layout([(500, 700)] * 100, None, 2000)
    assert 3600 < max(layout.size) <= 4000 and layout.side < 2000
    with pytest.raises(ValueError, match="50000 views do not fit on a contact sheet of 4,000 px"):
        sheet._fitting_layout([(500, 700)] * 50_000, None, 160)
    for arguments, message in (
        ({"views": []}, "at least one view, got none"),
        ({"columns": 0}, "columns must be at least 1, got 0"),
        ({"side": 3}, "side must be at least 24 px, got 3"),
    ):
        with pytest.raises(ValueError, match=message):
            contact_sheet(MESH, **{"views": views_of(MESH), **arguments})


def test_names_of_any_length_and_script(monkeypatch):
    (view,) = views_of(MESH)
    font = sheet._font(12)
    long = "a folder/with many others in it/" * 5 + "IMG_1234.jpg"
    short = sheet._shortened(long, font, 150)
    assert short.startswith("...") and short.endswith("IMG_1234.jpg") and font.getlength(short) <= 150
    assert sheet._shortened("写真.png", font, 150) == "??.png"
    assert sheet._shortened("abc", font, 1) in ("", "...")

    real = ImageFont.load_default
    bitmap = ImageFont.load_default_imagefont() if hasattr(ImageFont, "load_default_imagefont") else real()

    def without_freetype(size=None):
        if size is not None:
            raise ImportError("The _imagingft C module is not installed")
        return bitmap

    monkeypatch.setattr(ImageFont, "load_default", without_freetype)
    assert contact_sheet(MESH, [view], side=40).shape[2] == 3


def test_an_object_too_small_for_a_panel_and_a_mesh_without_colours():
    mask = np.zeros((300, 400), np.float32)
    mask[100, 200] = 1
    view = dr.View(np.full((300, 400, 3), 0.5, np.float32), mask, dr.Camera.look_at((0, 0, 5), size=(300, 400)))
    _, shown, difference = sheet._panels(dr.Mesh(MESH.vertices, MESH.faces), view, (30, 40))
    assert np.ptp(shown[10:20, 15:25].astype(int)) > 20  # shaded, or no shape would be seen
    assert share(difference, sheet._SURPLUS) > 0.05


def frames(count=6):
    y, x = np.mgrid[0:32, 0:48]
    return [np.roll(np.stack([x * 5, y * 7, 0 * x + 90], axis=2).astype(np.uint8), 6 * n, axis=1) for n in range(count)]


def test_a_webp_has_the_frames_and_the_times_of_the_gif(tmp_path):
    for save, name in ((save_webp, "a.webp"), (save_gif, "a.gif")):
        save(frames(), tmp_path / name, hold=(0, -1), frame_ms=50)
        with Image.open(tmp_path / name) as animation:
            assert animation.n_frames == 6 and animation.info["loop"] == 0
            durations = []
            for number in range(6):
                animation.seek(number)
                pixels = np.asarray(animation.convert("RGB"), float)
                durations.append(animation.info["duration"])
                assert np.abs(pixels - frames()[number]).mean() < 12
        assert durations == [900, 50, 50, 50, 50, 900]
    save_webp(frames(1), tmp_path / "one.webp")
    with Image.open(tmp_path / "one.webp") as still:
        assert still.size == (48, 32)


def test_a_webp_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "a.webp"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="at least one frame"):
        save_webp([], path)
    monkeypatch.setattr(Image, "SAVE_ALL", {"GIF": None})
    with pytest.raises(ValueError, match=r"a\.webp: this Pillow was built without animated WebP"):
        save_webp(frames(), path)
    assert path.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1
