"""The state of a run in one file, to the bit."""

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..adjust import Adjustments
from ..files import atomic_path
from ..fitting import FitState
from ..optimize.adam import AdamState
from ..symmetry import Plane

_ARRAYS = ("parameter", "colors", "faces")
_SCALARS = ("smoothness", "scale")
_MOMENTS = ("shape_moments", "color_moments")
_ADJUSTMENTS = ("rotations", "translations", "log_gains")


class Checkpoint(NamedTuple):
    """A fit's state, the frames (N, H, W, 3) uint8 of its GIF so far, the seconds it took, and the run it belongs to."""

    state: FitState
    frames: np.ndarray
    seconds: float
    run: str


def save_checkpoint(checkpoint: Checkpoint, path: str | os.PathLike) -> None:
    """Write a checkpoint as an .npz file, whole or not at all."""
    state = checkpoint.state
    arrays = {name: getattr(state, name) for name in _ARRAYS}
    arrays |= {f"adjustments.{name}": getattr(state.adjustments, name) for name in _ADJUSTMENTS}
    all_moments = {name: getattr(state, name) for name in _MOMENTS} | {"adjustments": state.adjustments.moments}
    for name, moments in all_moments.items():
        arrays |= {f"{name}.step": np.int64(moments.step), f"{name}.first": moments.first}
        arrays |= {f"{name}.second": moments.second}
    arrays |= {"step": np.int64(state.step), "frames": checkpoint.frames}
    arrays |= {name: np.float64(getattr(state, name)) for name in _SCALARS}
    arrays |= {"plane": np.array([] if state.plane is None else [*state.plane.normal, state.plane.offset], np.float64)}
    arrays |= {"seconds": np.float64(checkpoint.seconds), "run": np.array(checkpoint.run)}
    with atomic_path(path) as temporary, open(temporary, "wb") as handle:
        np.savez(handle, **arrays)


def load_checkpoint(path: str | os.PathLike) -> Checkpoint:
    """Read a checkpoint. Raises ValueError that names the file if it is not one."""
    try:
        with np.load(Path(path), allow_pickle=False) as arrays:
            moments: dict[str, Any] = {
                name: AdamState(int(arrays[f"{name}.step"]), arrays[f"{name}.first"], arrays[f"{name}.second"])
                for name in (*_MOMENTS, "adjustments")
            }
            places = {name: arrays[f"adjustments.{name}"] for name in _ADJUSTMENTS}
            moments["adjustments"] = Adjustments(**places, moments=moments["adjustments"])
            values: dict[str, Any] = {name: float(arrays[name]) for name in _SCALARS}
            values |= {name: arrays[name] for name in _ARRAYS}
            plane = Plane(arrays["plane"][:3], float(arrays["plane"][3])) if len(arrays["plane"]) else None
            state = FitState(step=int(arrays["step"]), plane=plane, **values, **moments)
            return Checkpoint(state, arrays["frames"], float(arrays["seconds"]), str(arrays["run"]))
    except (KeyError, ValueError, EOFError) as error:
        raise ValueError(f"{path}: not a checkpoint of diffrender ({error})") from error
    except Exception as error:
        if type(error).__name__ == "BadZipFile":
            raise ValueError(f"{path}: not a checkpoint of diffrender ({error})") from error
        raise
