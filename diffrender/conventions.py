"""The conventions of the whole library, stated once.

- Points are (x, y, z); vertices (V, 3) float; faces (F, 3) int32, counter-clockwise seen from outside; images are
  [row, column, channel] with row 0 at the top.
- Camera space: x right, y down, z forward (OpenCV, COLMAP). Extrinsics map world to camera: x_camera = R x_world + t.
  Intrinsics are a full K = [[fx, skew, cx], [0, fy, cy], [0, 0, 1]]; a lens bends x/z, y/z before, in OpenCV's meaning.
- Pixel space: x in [0, W], y in [0, H]; the centre of the pixel in row 0, column 0 is (0.5, 0.5).
- The space is a suffix: `vertices_world`, `vertices_camera`, `vertices_pixel` (x px, y px, depth).
- Images are linear RGBA in [0, 1], float32, alpha last and not premultiplied. Files are sRGB.
- `sigma`, the softness of an edge, is in pixel squared; `gamma` is the softness of depth.
- `grad_x` has the shape of `x`. A stage `f` has its reverse `f_backward` beside it.
- Rotations are matrices; for optimisation they take an axis-angle increment from the left.
"""


def sigma_from_ndc(sigma_ndc: float, size: tuple[int, int]) -> float:
    """Return sigma in pixel squared for SoftRas' and PyTorch3D's sigma in squared NDC, at an image of size (H, W).

    >>> sigma_from_ndc(1e-4, (256, 256))
    1.6384
    """
    return sigma_ndc * (min(size) / 2) ** 2
