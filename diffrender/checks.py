"""Checks at the door: every error names the input and shows the value. Of CUDA arrays only the form is checked here."""

import math
import operator
from typing import Any, get_args

import numpy as np

from .backend import on_device
from .limits import is_precision

_SMALL = 8192  # numbers


def check_vertices(vertices: Any) -> Any:
    """Return vertices_pixel (V, 3), float32 or float64, contiguous and finite."""
    vertices = _array(vertices, "vertices_pixel")
    if vertices.ndim != 2 or vertices.shape[1] != 3:
        raise ValueError(f"vertices_pixel must have shape (V, 3), got {vertices.shape}")
    if not is_precision(vertices.dtype):
        raise ValueError(f"vertices_pixel must be float32 or float64, got {vertices.dtype}")
    if on_device(vertices):
        return vertices
    check_finite("vertices_pixel", vertices)
    return np.ascontiguousarray(vertices)


def check_finite(name: str, values: np.ndarray) -> None:
    """Raise ValueError that counts the rows of `values` (N, C) holding NaN or infinity and shows the first."""
    # One pass in the good case. The product is the quicker way to call, but for large arrays BLAS wakes threads of its own, and
    # it may overflow; a sum of finite values this size does not in float64.
    total = np.vdot(values, values) if values.size < _SMALL else values.sum(dtype=np.float64)
    if not math.isfinite(total):
        bad = np.flatnonzero(~np.isfinite(values).all(axis=tuple(range(1, values.ndim))))
        if len(bad):
            raise ValueError(f"{name} has NaN or infinity in {len(bad)} rows, first in row {bad[0]}: {values[bad[0]]}")


def check_faces(faces: Any, vertices: int) -> Any:
    """Return faces (F, 3) as int32, or a CUDA array of any integer kind, whose indices its backend checks."""
    faces = _array(faces, "faces")
    if faces.ndim != 2 or faces.shape[1] != 3:
        raise ValueError(f"faces must have shape (F, 3), got {faces.shape}")
    if faces.dtype.kind not in "iu":
        raise ValueError(f"faces must be integers, got {faces.dtype}")
    if on_device(faces):
        return faces
    # As unsigned numbers, negative ones are the largest: one pass instead of two.
    unsigned = faces if faces.dtype.kind == "u" else faces.view(faces.dtype.str.replace("i", "u"))
    if faces.size and unsigned.max() >= vertices:
        wrong = np.argwhere((faces < 0) | (faces >= vertices))[0]
        raise face_out_of_range(wrong[0], faces[wrong[0], wrong[1]], vertices)
    return np.ascontiguousarray(faces, np.int32)


def face_out_of_range(face: int, index: int, vertices: int) -> ValueError:
    """Return the error for a face with an index that no vertex has."""
    return ValueError(f"face {face} refers to vertex {index}, but there are {vertices} vertices")


def check_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return (H, W) as ints, both positive."""
    try:
        height, width = (operator.index(length) for length in size)
    except (TypeError, ValueError):
        raise ValueError(f"size must be two positive integers (H, W), got {size!r}") from None
    if height < 1 or width < 1:
        raise ValueError(f"size must be two positive integers (H, W), got {size!r}")
    return height, width


def check_positive(name: str, value: float) -> None:
    """Raise ValueError unless value is positive and finite."""
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be positive and finite, got {value}")


def check_array(name: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return a value as float64 of this shape, all of it finite."""
    array = np.asarray(value, np.float64)
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got {array.tolist()}")
    return array


def check_attributes(attributes: Any, vertices: Any) -> Any:
    """Return attributes (V, C) in the precision of the vertices; a CUDA array must already have it."""
    attributes = _array(attributes, "attributes")
    count = len(vertices)
    if attributes.ndim != 2 or attributes.shape[0] != count or attributes.shape[1] < 1:
        raise ValueError(f"attributes must have shape (V, C) with V = {count}, got {attributes.shape}")
    if on_device(attributes):
        if not on_device(vertices):
            raise ValueError("attributes is a CUDA array, so vertices_pixel must be one too")
        if attributes.dtype != vertices.dtype:
            raise ValueError(f"attributes must be {vertices.dtype} like vertices_pixel, got {attributes.dtype}")
        return attributes
    check_finite("attributes", attributes)
    return np.ascontiguousarray(attributes, vertices.dtype)


def check_rows(values: Any, count: int, vertices: Any) -> Any:
    """Return values (S, C) of `count` fragments in the precision of the vertices; a CUDA array must already have it."""
    values = _array(values, "values")
    if values.ndim != 2 or len(values) != count:
        raise ValueError(f"values must have shape (S, C) with S = {count}, got {values.shape}")
    return check_precision("values", values, vertices)


def check_precision(name: str, values: Any, vertices: Any) -> Any:
    """Return values in the precision of the vertices; a CUDA array must already have it."""
    values = _array(values, name)
    if not on_device(values):
        return np.ascontiguousarray(values, vertices.dtype)
    if not on_device(vertices):
        raise ValueError(f"{name} is a CUDA array, so vertices_pixel must be one too")
    if values.dtype != vertices.dtype:
        raise ValueError(f"{name} must be {vertices.dtype} like vertices_pixel, got {values.dtype}")
    return values


def check_background(background: float | tuple[float, ...] | np.ndarray, channels: int, dtype: np.dtype) -> np.ndarray:
    """Return the background's colour (C,); one number, or black of any length, stands for all channels."""
    values = np.asarray(background, dtype)
    if values.ndim == 0 or (values.ndim == 1 and not values.any()):
        values = np.full(channels, values.flat[0] if values.size else 0, dtype)  # black has any number of channels
    if values.shape != (channels,):
        raise ValueError(f"background must have {channels} values, one per attribute, got {background!r}")
    if not np.isfinite(values).all():
        raise ValueError(f"background must be finite, got {background!r}")
    return np.ascontiguousarray(values)


def check_uv(uv: Any, faces_uv: Any, faces: Any, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Return uv (T, 2) in the given precision and faces_uv (F, 3) int32, that of `faces` if it is None. Host arrays only."""
    faces_uv = faces if faces_uv is None else faces_uv
    for name, value in (("uv", uv), ("faces_uv", faces_uv)):
        if on_device(value):
            raise ValueError(f"{name} is a CUDA array: textures take uv and faces_uv from the host")
    uv = np.asarray(uv)
    if uv.ndim != 2 or uv.shape[1] != 2:
        raise ValueError(f"uv must have shape (T, 2), got {uv.shape}")
    check_finite("uv", uv)
    faces_uv = np.asarray(faces_uv)
    if faces_uv.shape != tuple(faces.shape):
        raise ValueError(f"faces_uv must have the shape of faces {tuple(faces.shape)}, got {faces_uv.shape}")
    if faces_uv.dtype.kind not in "iu":
        raise ValueError(f"faces_uv must be integers, got {faces_uv.dtype}")
    if faces_uv.size and (faces_uv.min() < 0 or faces_uv.max() >= len(uv)):
        wrong = np.argwhere((faces_uv < 0) | (faces_uv >= len(uv)))[0]
        raise ValueError(f"face {wrong[0]} refers to uv {faces_uv[tuple(wrong)]}, but there are {len(uv)} of them")
    return np.ascontiguousarray(uv, dtype), np.ascontiguousarray(faces_uv, np.int32)


def check_gradient(gradient: Any, name: str, image: Any, backend: str) -> Any:
    """Return a gradient with the shape and precision of `image`; a CUDA array must already have them."""
    if on_device(gradient) and backend == "cpu":
        raise ValueError(f"{name} is a CUDA array, but the image was drawn by backend 'cpu'")
    gradient = _array(gradient, name)
    if gradient.shape != image.shape:
        raise ValueError(f"{name} must have shape {image.shape}, got {gradient.shape}")
    if on_device(gradient):
        if gradient.dtype != image.dtype:
            raise ValueError(f"{name} must be {image.dtype} like the image, got {gradient.dtype}")
        return gradient
    return np.ascontiguousarray(gradient, image.dtype)


def _array(value: Any, name: str) -> Any:
    """Return a NumPy array, or Numba's view of a contiguous CUDA array."""
    if not on_device(value):
        return np.asarray(value)
    from .cuda.arrays import as_device

    return as_device(value, name)


def check_choice(name: str, value: Any, choices: Any) -> None:
    """Raise ValueError unless a value is one of a Literal's."""
    if value not in get_args(choices):
        raise ValueError(f"{name} must be one of {', '.join(map(repr, get_args(choices)))}, got {value!r}")
