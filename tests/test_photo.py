import numpy as np
import pytest
from PIL import Image

from diffrender.color import linear_to_srgb, srgb_to_linear
from diffrender.views.photo import load_mask, load_photo, resize

RGB = np.random.default_rng(0).integers(0, 256, (12, 17, 3), np.uint8)
LINEAR = srgb_to_linear(RGB.astype(np.float32) / 255)


def written(tmp_path, picture, name="photo.png", **options):
    path = tmp_path / name
    picture.save(path, **options)
    return path


def test_eight_bits_are_decoded_to_linear_light(tmp_path):
    photo = load_photo(written(tmp_path, Image.fromarray(RGB)))
    assert photo.image.dtype == np.float32
    np.testing.assert_allclose(photo.image, LINEAR, atol=1e-6)
    assert photo.alpha is None


def test_exif_orientation_is_honoured(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the file's left is the scene's top
    path = written(tmp_path, Image.fromarray(RGB), "turned.png", exif=exif)
    np.testing.assert_allclose(load_photo(path).image, np.rot90(LINEAR, -1), atol=1e-6)


@pytest.mark.parametrize("mode", ["L", "LA", "1", "P", "RGBA", "CMYK", "I;16", "F"])
def test_every_mode_gives_three_channels_in_range(tmp_path, mode):
    grey = RGB[..., 0]
    if mode == "I;16":
        picture = Image.fromarray(grey.astype(np.uint16) * 257)
    elif mode == "F":
        picture = Image.fromarray(grey.astype(np.float32) / 255)
    elif mode in ("L", "LA", "1"):
        picture = Image.fromarray(grey).convert(mode)
    else:
        picture = Image.fromarray(RGB).convert(mode)
    name = {"CMYK": "photo.jpg", "F": "photo.tif"}.get(mode, "photo.png")
    photo = load_photo(written(tmp_path, picture, name))
    assert photo.image.shape == (12, 17, 3)
    assert 0 <= photo.image.min() < 0.3 and 0.5 < photo.image.max() <= 1
    if mode in ("L", "LA", "I;16", "F"):
        expected = srgb_to_linear(grey.astype(np.float32) / 255)
        np.testing.assert_allclose(photo.image, np.repeat(expected[..., None], 3, 2), atol=1e-5)


def test_transparency_is_kept_in_channels_and_palettes(tmp_path):
    alpha = np.zeros((12, 17), np.uint8)
    alpha[3:9, 4:12] = 255
    path = written(tmp_path, Image.fromarray(np.dstack([RGB, alpha])))
    np.testing.assert_array_equal(load_photo(path).alpha, alpha / 255)
    palette = Image.fromarray(np.where(alpha > 0, 1, 0).astype(np.uint8), "P")
    palette.putpalette([255, 0, 0, 0, 0, 255])
    photo = load_photo(written(tmp_path, palette, "palette.png", transparency=0))
    np.testing.assert_array_equal(photo.alpha, alpha / 255)
    np.testing.assert_allclose(photo.image[5, 5], (0, 0, 1), atol=1e-6)
    assert load_photo(written(tmp_path, Image.fromarray(RGB).convert("RGBA"), "opaque.png")).alpha is None


def test_bad_photos_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.png: no such file"):
        load_photo(tmp_path / "none.png")
    with pytest.raises(IsADirectoryError, match="is a directory"):
        load_photo(tmp_path)
    (tmp_path / "text.png").write_text("not a picture")
    with pytest.raises(ValueError, match=r"text\.png: not an image"):
        load_photo(tmp_path / "text.png")
    whole = written(tmp_path, Image.fromarray(RGB)).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"cut\.png: damaged image"):
        load_photo(tmp_path / "cut.png")
    small = written(tmp_path, Image.new("RGB", (30, 5)), "small.png")
    with pytest.raises(ValueError, match=r"small\.png: too small, 30x5 px"):
        load_photo(small)
    bad = np.full((9, 9), np.nan, np.float32)
    with pytest.raises(ValueError, match="81 pixels that are NaN"):
        load_photo(written(tmp_path, Image.fromarray(bad), "nan.tif"))


def test_masks_from_files(tmp_path):
    mask = np.zeros((12, 17), np.uint8)
    mask[2:8, 5:14] = 255
    grey = load_mask(written(tmp_path, Image.fromarray(mask), "mask.png"), (12, 17))
    np.testing.assert_array_equal(grey, mask / 255)
    cutout = np.dstack([np.full((12, 17, 3), 255, np.uint8), mask])
    np.testing.assert_array_equal(
        load_mask(written(tmp_path, Image.fromarray(cutout), "cut.png"), (12, 17)), mask / 255
    )
    with pytest.raises(ValueError, match="the mask is 17x12 px, but the photo is 40x30 px"):
        load_mask(tmp_path / "mask.png", (30, 40))
    for value, word in ((0, "empty: 0%"), (255, "full: 100%")):
        path = written(tmp_path, Image.new("L", (17, 12), value), "flat.png")
        with pytest.raises(ValueError, match=f"the mask is {word} of its pixels are white"):
            load_mask(path, (12, 17))


def test_resize_averages_and_stays_in_range():
    image = np.random.default_rng(1).uniform(size=(12, 16)).astype(np.float32)
    np.testing.assert_allclose(resize(image, (6, 8)), image.reshape(6, 2, 8, 2).mean((1, 3)), rtol=1e-5)
    checks = (np.indices((40, 40)).sum(0) % 7 < 3).astype(np.float32)
    for size in ((13, 17), (90, 80)):
        scaled = resize(np.dstack([checks] * 3), size)
        assert scaled.shape == (*size, 3)
        assert scaled.min() >= 0 and scaled.max() <= 1
    assert linear_to_srgb(scaled).max() <= 1
