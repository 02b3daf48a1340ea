"""sRGB transfer function (IEC 61966-2-1) and its reverse: files hold sRGB, the library computes in linear light."""

import numpy as np

_LINEAR_LIMIT = 0.0031308
_SRGB_LIMIT = 0.04045


def srgb_to_linear(srgb: np.ndarray) -> np.ndarray:
    """Decode sRGB values in [0, 1] to linear light, any shape; integers are refused, divide by their maximum first."""
    srgb = _floating(srgb)
    return np.where(srgb <= _SRGB_LIMIT, srgb / 12.92, ((np.maximum(srgb, _SRGB_LIMIT) + 0.055) / 1.055) ** 2.4).astype(
        srgb.dtype
    )


def linear_to_srgb(linear: np.ndarray) -> np.ndarray:
    """Encode linear light in [0, 1] as sRGB, any shape."""
    linear = _floating(linear)
    curve = 1.055 * np.maximum(linear, _LINEAR_LIMIT) ** (1 / 2.4) - 0.055
    return np.where(linear <= _LINEAR_LIMIT, linear * 12.92, curve).astype(linear.dtype)


def linear_to_srgb_backward(linear: np.ndarray, grad_srgb: np.ndarray) -> np.ndarray:
    """Carry a gradient of sRGB values back to linear light; both arguments and the result have the same shape."""
    linear = _floating(linear)
    slope = 1.055 / 2.4 * np.maximum(linear, _LINEAR_LIMIT) ** (1 / 2.4 - 1)
    return (grad_srgb * np.where(linear <= _LINEAR_LIMIT, 12.92, slope)).astype(linear.dtype)


def to_bytes(linear: np.ndarray) -> np.ndarray:
    """Encode linear RGB (..., 3) or RGBA (..., 4) as sRGB uint8; alpha is scaled without the curve."""
    clipped = np.clip(np.asarray(linear, np.float32), 0, 1)
    encoded = linear_to_srgb(clipped)
    if clipped.shape[-1] == 4:
        encoded[..., 3] = clipped[..., 3]
    return np.rint(encoded * 255).astype(np.uint8)


def _floating(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values)
    if not np.issubdtype(values.dtype, np.floating):
        raise ValueError(f"colour values must be floating point in [0, 1], got dtype {values.dtype}")
    return values
