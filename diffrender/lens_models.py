"""COLMAP's camera models by name: their parameters, as they stand in its files, and the K and lens they say.

https://colmap.github.io/cameras.html
"""

import math
from collections.abc import Sequence

import numpy as np

from .distortion import Distortion

# Number in binary files: name and what the parameters are. f stands for fx = fy.
MODELS = {
    0: ("SIMPLE_PINHOLE", "f cx cy"),
    1: ("PINHOLE", "fx fy cx cy"),
    2: ("SIMPLE_RADIAL", "f cx cy k1"),
    3: ("RADIAL", "f cx cy k1 k2"),
    4: ("OPENCV", "fx fy cx cy k1 k2 p1 p2"),
    5: ("OPENCV_FISHEYE", "fx fy cx cy k1 k2 k3 k4"),
    6: ("FULL_OPENCV", "fx fy cx cy k1 k2 p1 p2 k3 d1 d2 d3"),  # d: the denominator, k4 to k6 in OpenCV
    8: ("SIMPLE_RADIAL_FISHEYE", "f cx cy k1"),
    9: ("RADIAL_FISHEYE", "f cx cy k1 k2"),
}
PARAMETERS = {name: parameters.split() for name, parameters in MODELS.values()}
_LENS = ("k1", "k2", "k3", "k4", "p1", "p2")
_SAME_FOCAL = 1e-9  # of the focal length: the rounding of one that was scaled or decomposed


def read_model(model: str, parameters: Sequence[float]) -> tuple[np.ndarray, Distortion | None]:
    """Return K (3, 3) and the lens, None if it does nothing, of a model's parameters.

    Raises ValueError for a model that is not in `PARAMETERS`, another number of parameters, parameters that are not finite,
    a focal length that is not positive, or FULL_OPENCV's k4 to k6 other than 0, which divide.
    """
    names = _names(model)
    if len(parameters) != len(names):
        raise ValueError(f"{model} has {len(names)} parameters, {' '.join(names)}, got {len(parameters)}")
    values = dict(zip(names, map(float, parameters), strict=True))
    if not all(map(math.isfinite, values.values())):
        raise ValueError(f"parameters must be finite, got {values}")
    if any(values.get(key) for key in ("d1", "d2", "d3")):
        raise ValueError(f"{model} is read only if k4, k5 and k6 are 0, got {list(parameters[-3:])}")
    fx, fy = (values["f"],) * 2 if "f" in values else (values["fx"], values["fy"])
    if fx <= 0 or fy <= 0:
        raise ValueError(f"focal lengths must be positive, got {fx:g} and {fy:g}")
    lens = {key: values[key] for key in _LENS if key in values}
    distortion = Distortion(**lens, fisheye=model.endswith("FISHEYE"))
    K = np.array([[fx, 0, values["cx"]], [0, fy, values["cy"]], [0, 0, 1]])
    return K, None if distortion.changes_nothing else distortion


def write_model(model: str, K: np.ndarray, distortion: Distortion | None) -> np.ndarray:
    """Return the parameters of a K (3, 3) without skew and a lens, or None, in a model.

    Raises ValueError for a model that is not in `PARAMETERS`, or that cannot hold the focal lengths or the lens.
    """
    names = _names(model)
    lens = Distortion() if distortion is None else distortion
    if lens.fisheye != model.endswith("FISHEYE"):
        raise ValueError(f"{model} cannot hold {'a pinhole' if distortion is None else distortion}")
    values = {"f": K[0, 0], "fx": K[0, 0], "fy": K[1, 1], "cx": K[0, 2], "cy": K[1, 2], "d1": 0.0, "d2": 0.0, "d3": 0.0}
    values |= dict(zip(_LENS, lens.coefficients, strict=True))
    missing = [f"{key} = {values[key]:g}" for key in _LENS if values[key] and key not in names]
    if missing:
        raise ValueError(f"{model} has no {', '.join(missing)}")
    if "f" in names and abs(K[0, 0] - K[1, 1]) > _SAME_FOCAL * K[0, 0]:
        raise ValueError(f"{model} has one focal length, got {K[0, 0]:g} and {K[1, 1]:g} px")
    return np.array([values[key] for key in names])


def can_hold(distortion: Distortion) -> bool:
    """Return whether one of COLMAP's models is this lens: none has Brown's k4."""
    return distortion.fisheye or distortion.k4 == 0


def model_of(distortion: Distortion | None) -> str:
    """Return the smallest model with two focal lengths that holds a lens; a Brown lens with k4 has none, see `can_hold`."""
    if distortion is None:
        return "PINHOLE"
    return "OPENCV_FISHEYE" if distortion.fisheye else "FULL_OPENCV" if distortion.k3 else "OPENCV"


def _names(model: str) -> list[str]:
    if model not in PARAMETERS:
        raise ValueError(f"the model must be one of {', '.join(PARAMETERS)}, got {model!r}")
    return PARAMETERS[model]
