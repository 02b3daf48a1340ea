"""Directions for the forward mode, checked at the door."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .backend import on_device


def check_directions(
    given: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...] | None]
) -> tuple[dict[str, np.ndarray], bool]:
    """Return the directions that are not None as arrays (D, ...), and whether they had their leading axis.

    `shapes` has the shape of each gradient, None where there is none. Raises ValueError that shows what is wrong.
    """
    present = {name: _numbers(name, value, shapes.get(name)) for name, value in given.items() if value is not None}
    if not present:
        raise ValueError(f"jvp needs a direction of at least one of {', '.join(given)}, got none")
    counts = {name: _count_of(name, value, shapes.get(name) or ()) for name, value in present.items()}
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{name} {value.shape}" for name, value in present.items())
        raise ValueError(f"directions must all have one leading axis of the same length, or none, got {found}")
    if next(iter(counts.values())) is None:
        return {name: value[None] for name, value in present.items()}, False
    return present, True


def _numbers(name: str, value: Any, shape: tuple[int, ...] | None) -> np.ndarray:
    if shape is None:
        raise ValueError(f"a direction of {name} was given, but there is no {name} that the image depends on")
    if on_device(value):
        from .cuda.arrays import as_device

        value = as_device(value, name).copy_to_host()
    try:
        return np.asarray(value, np.float32 if getattr(value, "dtype", None) == np.float32 else np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the direction of {name} must be numbers of shape {shape}, got {value!r}") from error


def _count_of(name: str, value: np.ndarray, shape: tuple[int, ...]) -> int | None:
    """Return how many directions a value has, None without the axis."""
    if value.shape != shape and (value.shape[1:] != shape or value.ndim != len(shape) + 1 or not len(value)):
        several = ", ".join(map(str, ("D", *shape)))
        raise ValueError(
            f"the direction of {name} must have shape {shape}, or ({several}) for D of them, got {value.shape}"
        )
    if not np.isfinite(value).all():
        where = tuple(map(int, np.argwhere(~np.isfinite(value))[0]))
        raise ValueError(f"the direction of {name} has NaN or infinity, first at {where}: {value[where]}")
    return None if value.ndim == len(shape) else len(value)
