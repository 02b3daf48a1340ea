import sys

import numpy as np
import pytest
from PIL import Image

from diffrender.color import srgb_to_linear
from diffrender.loss import iou
from diffrender.views.mask import find_mask, save_mask
from diffrender.views.photo import Photo, load_mask

SIZE = (120, 160)
Y, X = np.mgrid[0 : SIZE[0], 0 : SIZE[1]] + 0.5


def blob(cx=80, cy=60, rx=40, ry=28):
    return ((X - cx) / rx) ** 2 + ((Y - cy) / ry) ** 2 < 1


def photo(srgb, alpha=None):
    return Photo(srgb_to_linear(np.clip(srgb, 0, 1).astype(np.float32)), alpha)


def textured(truth, seed=0):
    random = np.random.default_rng(seed)
    checks = ((X // 12 + Y // 12) % 2)[..., None] * [0.1, 0.25, 0.35] + [0.1, 0.2, 0.35]
    thing = np.array([0.85, 0.6, 0.1]) * (0.8 + 0.2 * X[..., None] / SIZE[1])
    return np.where(truth[..., None], thing, checks) + random.normal(0, 0.02, (*SIZE, 3))


def test_a_plain_background_with_a_gradient_and_noise():
    random = np.random.default_rng(0)
    background = np.stack([0.6 + 0.2 * X / 160, 0.65 + 0.1 * Y / 120, np.full(SIZE, 0.7)], axis=-1)
    truth = blob()
    image = np.where(truth[..., None], (0.3, 0.2, 0.5), background) + random.normal(0, 0.008, (*SIZE, 3))
    found = find_mask(photo(image))
    assert found.source == "background"
    assert iou(found.mask > 0.5, truth) > 0.97


def test_an_object_that_touches_the_border_and_a_hole_in_it():
    truth = blob(80, 120, 45, 70) & ~blob(80, 95, 12, 12)
    found = find_mask(photo(np.where(truth[..., None], (0.1, 0.4, 0.2), (0.9, 0.9, 0.88))))
    assert found.source == "background"
    assert iou(found.mask > 0.5, truth) > 0.99


def test_thin_parts_of_a_silhouette_stay():
    truth = blob(80, 50, 40, 20) | ((np.abs(X - 60) < 1.5) & (Y > 50) & (Y < 110))
    found = find_mask(photo(np.where(truth[..., None], 0.0, np.ones((*SIZE, 3)))))
    assert iou(found.mask > 0.5, truth) == 1


def test_grabcut_on_a_pattern_and_the_same_bits_twice():
    truth = blob()
    found = find_mask(photo(textured(truth)))
    assert found.source == "grabcut"
    assert iou(found.mask > 0.5, truth) > 0.95
    np.testing.assert_array_equal(found.mask, find_mask(photo(textured(truth))).mask)


def test_order_of_preference(tmp_path):
    truth, other, third = blob(), blob(50, 60, 30, 30), blob(100, 70, 20, 30)
    image = np.where(truth[..., None], 0.1, np.full((*SIZE, 3), 0.9))
    Image.fromarray((third * 255).astype(np.uint8)).save(tmp_path / "mask.png")
    with_alpha = photo(image, other.astype(np.float32))
    for found, source, expected in (
        (find_mask(with_alpha, tmp_path / "mask.png"), "file", third),
        (find_mask(with_alpha), "alpha", other),
        (find_mask(photo(image)), "background", truth),
    ):
        assert found.source == source
        np.testing.assert_array_equal(found.mask > 0.5, expected)


def test_saved_masks_come_back_to_the_bit(tmp_path):
    mask = find_mask(photo(np.zeros((*SIZE, 3)), np.clip(1.5 - np.hypot(X - 80, Y - 60) / 30, 0, 1))).mask
    assert 0 < np.median(mask[(mask > 0) & (mask < 1)]) < 1
    save_mask(mask, tmp_path / "mask.png")
    np.testing.assert_array_equal(load_mask(tmp_path / "mask.png", SIZE), mask)


def test_nothing_to_find_is_an_error():
    with pytest.raises(ValueError, match=r"covers 0\.0% of it; give one with --mask"):
        find_mask(photo(np.full((*SIZE, 3), 0.5)))
    with pytest.raises(ValueError, match="from its alpha"):
        find_mask(photo(np.full((*SIZE, 3), 0.5), np.zeros(SIZE, np.float32)))


def test_without_opencv_the_message_names_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ModuleNotFoundError, match="pip install opencv-python-headless"):
        find_mask(photo(textured(blob())))
