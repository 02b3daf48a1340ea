"""Gain and offset of each colour channel between a render and a picture, and what of a derivative they would undo."""

import numpy as np

_HELD = 0.1  # weight of the common gain for each channel, relative to what the picture says
_HELD_OFFSET = 0.3
_FACTOR = (
    2.0  # a channel's gain differs from the common one by at most this factor: else any colour passes for any other
)
_OFFSET = 0.2


def exposure(images: np.ndarray, target: np.ndarray, by_channel: bool = True) -> np.ndarray:
    """Return the gain and offset (B, 3, 2) of each channel that bring images (B, H, W, 4) nearest to a target (H, W, 4), all
    over black, the offset being of alpha. Without `by_channel` only brightness is found: one gain, no offset."""
    flat = images.reshape(len(images), -1, 4)
    want = target.reshape(-1, 4)[:, :3]
    products = np.matmul(flat.transpose(0, 2, 1), flat)  # (B, 4, 4)
    wanted = np.matmul(flat.transpose(0, 2, 1), want)  # (B, 4, 3)
    channels = np.arange(3)
    gg, gw = products[:, channels, channels], wanted[:, channels, channels]
    go, oo, ow = products[:, channels, 3], products[:, 3:, 3], wanted[:, 3]
    tiny = 1e-6 * oo + 1e-12
    common = (np.maximum(gw.sum(axis=1), 0) / (gg.sum(axis=1) + tiny[:, 0]))[:, None]
    if not by_channel:
        return np.stack([np.repeat(common, 3, axis=1), np.zeros((len(images), 3))], axis=-1)
    a, b, c = (1 + _HELD) * gg + tiny, go, (1 + _HELD_OFFSET) * oo + tiny
    right = gw + _HELD * common * gg
    gain = (right * c - ow * b) / np.maximum(a * c - b * b, 1e-12)
    gain = np.clip(gain, common / _FACTOR, common * _FACTOR)
    offset = np.clip((ow - gain * b) / c, -_OFFSET, _OFFSET)
    return np.stack([gain, offset], axis=-1)


def without_exposure(d_colors: np.ndarray, image: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return d_colors (K, H, W, 3) without what a change of each channel's gain and offset would undo, for an image over black
    and weights, (H, W, 4) each."""
    left = np.empty_like(d_colors)
    for channel in range(3):
        basis = np.stack([image[..., channel].ravel(), image[..., 3].ravel()])
        weighted = basis * weight[..., channel].ravel()
        gram = weighted @ basis.T
        gram += np.diag(np.diag(gram)) * [[_HELD, 0], [0, _HELD_OFFSET]] + 1e-9 * np.eye(2)
        along = d_colors[..., channel].reshape(len(d_colors), -1)
        undone = np.linalg.solve(gram, weighted @ along.T).T.astype(along.dtype) @ basis
        left[..., channel] = (along - undone).reshape(d_colors.shape[:3])
    return left
