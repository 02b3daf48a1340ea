"""A mesh drawn over the photo that its pose was found in."""

from collections.abc import Sequence

import numpy as np

from ..camera import Camera
from ..color import to_bytes
from ..mesh import Mesh
from ..views.photo import resize
from .gif import beside
from .picture import headlight, picture

_OUTLINE = (255, 0, 200)  # sRGB, a colour that few objects have
_PALE = 0.55  # of the photo beside the mesh: what is not covered steps back
_LONGEST = 1200  # px of the long side of a picture
_FRAME_SIDE, _FRAMES = 360, 36  # px, pictures of an animation


def overlay(mesh: Mesh, camera: Camera, photo: np.ndarray, long_side: int = _LONGEST) -> np.ndarray:
    """Return two pictures side by side (H', W', 3) uint8: a photo (H, W, 3), linear, with the mesh's outline, and with the mesh
    drawn over it, its colours as they are."""
    scale = min(1.0, long_side / max(camera.size))
    size = max(1, round(camera.size[0] * scale)), max(1, round(camera.size[1] * scale))
    camera, seen = camera.resized(size), to_bytes(np.clip(resize(photo, size), 0, 1))
    light = headlight(camera) if mesh.vertex_colors is None and mesh.texture is None else None
    drawn = picture(mesh, camera, light, backdrop=None)
    alpha = drawn[..., 3:].astype(np.float32) / 255
    pale = 255 - _PALE * (255 - seen.astype(np.float32))
    over = np.rint(alpha * drawn[..., :3] + (1 - alpha) * pale).astype(np.uint8)
    outlined = seen.copy()
    outlined[_edge(alpha[..., 0] > 0.5, 1 if max(size) < 600 else 2)] = _OUTLINE
    return beside(outlined, over)


def approach(mesh: Mesh, cameras: Sequence[Camera], photo: np.ndarray) -> list[np.ndarray]:
    """Return overlays (H', W', 3) uint8 of poses in a photo, the first and the last and at most 34 in between."""
    numbers = np.unique(np.linspace(0, len(cameras) - 1, _FRAMES).round().astype(int))
    return [overlay(mesh, cameras[number], photo, _FRAME_SIDE) for number in numbers]


def _edge(inside: np.ndarray, width: int) -> np.ndarray:
    from scipy.ndimage import binary_dilation, binary_erosion

    return binary_dilation(inside, iterations=width) & ~binary_erosion(inside, iterations=1, border_value=1)
