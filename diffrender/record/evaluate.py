"""How well a mesh explains a view."""

from ..loss import iou, psnr_db
from ..mesh import Mesh
from ..rendering import render, soft_around
from ..topology import count_flipped_faces, is_closed_manifold
from ..views.view import View

_HARD = 1e-6  # px^2: coverage is 0 or 1 but for a thousandth of a pixel
_LONGEST_SIDE = 2048


def evaluate(mesh: Mesh, view: View) -> dict[str, float]:
    """Return silhouette_iou against the hard mask and psnr_db inside it (sRGB, what the mesh misses counts as black)."""
    view = view.limited(_LONGEST_SIDE)
    image = render(mesh, view.camera, soft_around(mesh, view.camera, _HARD)).image
    alpha = image[..., 3:]
    return {
        "silhouette_iou": float(iou(alpha[..., 0] > 0.5, view.mask > 0.5)),
        "psnr_db": psnr_db(image[..., :3] * alpha, view.image, view.mask),
    }


def inspect(mesh: Mesh) -> dict[str, float | bool]:
    """Return the number of faces and of folded ones, and whether the mesh is closed."""
    return {
        "faces": len(mesh.faces),
        "flipped_faces": count_flipped_faces(mesh.vertices, mesh.faces),
        "closed": is_closed_manifold(mesh.faces),
    }
