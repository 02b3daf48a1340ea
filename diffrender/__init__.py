"""diffrender: a differentiable renderer for triangle meshes, and the fit of a mesh to photos.

Names are imported when first used, so that `import diffrender` costs neither Numba nor trimesh.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# No module may have the name of a public function: importing it would hide the function.
_HOME = {
    "Mesh": "mesh",
    "load_mesh": "mesh_files.load",
    "Texture": "texture",
    "load_views": "views.load",
    "icosphere": "sphere",
    "Camera": "camera",
    "Distortion": "distortion",
    "rasterize_soft": "rasterize",
    "BackendError": "backend",
    "Soft": "rendering",
    "Hard": "hard",
    "rasterize_hard": "fragments",
    "interpolate": "interpolation",
    "sample_texture": "texturing",
    "antialias": "antialiasing",
    "Light": "shading",
    "Lights": "lights",
    "Directional": "lights",
    "Points": "lights",
    "Specular": "lights",
    "Rendering": "rendering",
    "SilhouetteRendering": "rendering",
    "render": "rendering",
    "render_silhouette": "rendering",
    "BatchRendering": "batches",
    "BatchSilhouette": "batches",
    "BatchGradients": "batches",
    "render_batch": "batches",
    "render_silhouette_batch": "batches",
    "render_attributes": "outputs",
    "visible_faces": "visibility",
    "View": "views.view",
    "FitSettings": "fit_settings",
    "FitState": "fit_state",
    "Step": "fit_state",
    "fit": "fitting",
    "finish": "fitting",
    "PoseSettings": "pose_settings",
    "PoseFit": "pose",
    "fit_pose": "pose",
    "gradcheck": "gradients",
    "set_num_threads": "threads",
    "get_num_threads": "threads",
    "warm_up": "ahead",
}

__all__ = [*_HOME, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'diffrender' has no attribute {name!r}")
    value = getattr(import_module(f"diffrender.{_HOME[name]}"), name)
    globals()[name] = value  # the next access does not come through here
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
