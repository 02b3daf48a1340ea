"""Image losses as (value, gradient) pairs, and the measures that results are judged by."""

from typing import Literal

import numpy as np

from .color import linear_to_srgb, linear_to_srgb_backward

ColorSpace = Literal["linear", "srgb"]


def silhouette_iou(alpha: np.ndarray, mask: np.ndarray) -> tuple[float, np.ndarray]:
    """Return 1 - sum(a m) / sum(a + m - a m) and its gradient for alpha (H, W) and a mask (H, W) in [0, 1].

    Raises ValueError for shapes that differ or an empty mask. Liu et al., Soft Rasterizer, ICCV 2019.
    """
    _check_shapes("alpha", alpha, "mask", mask)
    if not mask.any():
        raise ValueError("the mask is empty: its sum is 0")
    both = float((alpha * mask).sum(dtype=np.float64))
    either = float((alpha + mask - alpha * mask).sum(dtype=np.float64))
    gradient = -(mask * either - both * (1 - mask)) / either**2
    return 1 - both / either, gradient.astype(alpha.dtype)


def l1(
    image: np.ndarray, target: np.ndarray, weight: np.ndarray | None = None, color_space: ColorSpace = "linear"
) -> tuple[float, np.ndarray]:
    """Return the weighted mean of |image - target| over pixels and channels, and its gradient for image (H, W, C).

    Both are linear; with color_space="srgb" they are compared as sRGB. weight is (H, W). Raises ValueError for shapes
    that differ or weights that sum to 0.
    """
    compared, wanted, share, counts = _compared(image, target, weight, color_space)
    difference = compared - wanted
    gradient = (share * np.sign(difference)).astype(image.dtype)
    value = float((share * np.abs(difference)).sum(dtype=np.float64))
    return value, _gradient(image, gradient, counts, color_space)


def l2(
    image: np.ndarray, target: np.ndarray, weight: np.ndarray | None = None, color_space: ColorSpace = "linear"
) -> tuple[float, np.ndarray]:
    """Return the weighted mean of (image - target)^2 and its gradient; arguments and errors as `l1`."""
    compared, wanted, share, counts = _compared(image, target, weight, color_space)
    difference = compared - wanted
    gradient = (2 * share * difference).astype(image.dtype)
    value = float((share * difference * difference).sum(dtype=np.float64))
    return value, _gradient(image, gradient, counts, color_space)


def l2_covered(
    image: np.ndarray, target: np.ndarray, weight: np.ndarray, color_space: ColorSpace = "linear"
) -> tuple[float, np.ndarray]:
    """Return the weighted mean of alpha (color - target)^2 + (1 - alpha) target^2 and its gradient for image (H, W, 4).

    It is what `l2` of the colours over black is expected to be if each pixel is covered, or not, with probability alpha.
    Arguments, but for the image's alpha, and errors as `l2`.
    """
    color, alpha = image[..., :3], image[..., 3]
    compared, wanted, share, counts = _compared(color, target, weight, color_space)
    difference = compared - wanted
    covered = alpha[counts][:, None]
    error, error_dark = share * difference * difference, share * wanted * wanted  # black is 0 in either space
    value = float((covered * error + (1 - covered) * error_dark).sum(dtype=np.float64))
    gradient = np.zeros_like(image)
    gradient[..., :3] = _gradient(color, (2 * share * covered * difference).astype(image.dtype), counts, color_space)
    gradient[..., 3][counts] = (error - error_dark).sum(axis=1)
    return value, gradient


def psnr_db(
    image: np.ndarray, target: np.ndarray, mask: np.ndarray | None = None, color_space: ColorSpace = "srgb"
) -> float:
    """Return the peak signal-to-noise ratio in dB of linear images (H, W, C), inside mask (H, W) if there is one."""
    weight = None if mask is None else (mask > 0.5).astype(np.float32)
    error, _ = l2(np.clip(image, 0, 1), np.clip(target, 0, 1), weight, color_space)
    return float("inf") if error == 0 else -10 * float(np.log10(error))


def iou(first: np.ndarray, second: np.ndarray) -> float:
    """Return the intersection over union of two boolean masks (H, W). Raises ValueError if both are empty."""
    _check_shapes("first", first, "second", second)
    union = np.count_nonzero(first | second)
    if not union:
        raise ValueError("both masks are empty")
    return np.count_nonzero(first & second) / union


def _compared(
    image: np.ndarray, target: np.ndarray, weight: np.ndarray | None, color_space: ColorSpace
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return, of the N pixels whose weight is not 0, image and target (N, C) in the colour space and the share (N, 1) of
    their values in the weighted mean; and which these are (H, W)."""
    _check_shapes("image", image, "target", target)
    if color_space not in ("linear", "srgb"):
        raise ValueError(f"color_space must be 'linear' or 'srgb', got {color_space!r}")
    if weight is None:
        weight = np.ones(image.shape[:2], image.dtype)
    elif weight.shape != image.shape[:2]:
        raise ValueError(f"weight must have shape {image.shape[:2]}, got {weight.shape}")
    total = float(weight.sum(dtype=np.float64)) * image.shape[2]
    if not total > 0:
        raise ValueError(f"the weights must have a positive sum, got {total:.4g}")
    counts = weight != 0
    share = (weight[counts] / total).astype(image.dtype)[:, None]
    image, target = image[counts], target[counts]
    if color_space == "srgb":
        image, target = linear_to_srgb(np.maximum(image, 0)), linear_to_srgb(np.maximum(target, 0))
    return image, target, share, counts


def _gradient(image: np.ndarray, gradient: np.ndarray, counts: np.ndarray, color_space: ColorSpace) -> np.ndarray:
    """Return the gradient of image (H, W, C) from that of the pixels that count, in the colour space (N, C)."""
    if color_space == "srgb":
        linear = image[counts]
        gradient = np.where(linear >= 0, linear_to_srgb_backward(np.maximum(linear, 0), gradient), 0)
    whole = np.zeros_like(image)
    whole[counts] = gradient
    return whole


def _check_shapes(first_name: str, first: np.ndarray, second_name: str, second: np.ndarray) -> None:
    if first.shape != second.shape:
        raise ValueError(f"{first_name} has shape {first.shape}, but {second_name} has {second.shape}")
