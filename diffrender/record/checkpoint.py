"""The state of a run in one file, to the bit."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, NamedTuple, get_args, get_type_hints

import numpy as np

from ..files import atomic_path
from ..fit_state import FitState


class Checkpoint(NamedTuple):
    """A fit's state, the frames (N, H, W, 3) uint8 of its GIF so far, the seconds it took, and the run it belongs to."""

    state: FitState
    frames: np.ndarray
    seconds: float
    run: str


def save_checkpoint(checkpoint: Checkpoint, path: str | os.PathLike) -> None:
    """Write a checkpoint as an .npz file, whole or not at all."""
    arrays: dict[str, Any] = {
        "seconds": np.float64(checkpoint.seconds),
        "run": np.array(checkpoint.run),
        "frames": checkpoint.frames,
    }
    arrays |= _arrays("state", checkpoint.state)
    with atomic_path(path) as temporary, open(temporary, "wb") as handle:
        np.savez(handle, **arrays)


def load_checkpoint(path: str | os.PathLike) -> Checkpoint:
    """Read a checkpoint. Raises ValueError that names the file if it is not one."""
    try:
        with np.load(Path(path), allow_pickle=False) as arrays:
            state = _restored("state", FitState, arrays)
            return Checkpoint(state, arrays["frames"], float(arrays["seconds"]), str(arrays["run"]))
    except (KeyError, ValueError, EOFError) as error:
        raise ValueError(f"{path}: not a checkpoint of diffrender ({error})") from error
    except Exception as error:
        if type(error).__name__ == "BadZipFile":
            raise ValueError(f"{path}: not a checkpoint of diffrender ({error})") from error
        raise


def _arrays(name: str, value: Any) -> dict[str, Any]:
    """Return the arrays and numbers of nested named tuples by their paths; of what is None, nothing."""
    if hasattr(value, "_fields"):
        inner = (_arrays(f"{name}.{field}", getattr(value, field)) for field in value._fields)
        return {path: array for arrays in inner for path, array in arrays.items()}
    return {} if value is None else {name: np.asarray(value)}


def _restored(name: str, kind: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """Return the value of a kind, a named tuple, array or number, or a union of some, whose arrays have these paths."""
    if isinstance(kind, UnionType):
        return next(
            (_restored(name, one, arrays) for one in get_args(kind) if one is not NoneType and _has(name, one, arrays)),
            None,
        )
    if hasattr(kind, "_fields"):
        hints = get_type_hints(kind)
        return kind(*(_restored(f"{name}.{field}", hints[field], arrays) for field in kind._fields))
    return arrays[name] if kind is np.ndarray else kind(arrays[name])


def _has(name: str, kind: Any, arrays: Mapping[str, np.ndarray]) -> bool:
    """Return whether there are arrays for each field of a named tuple."""
    return all(any(path.startswith(f"{name}.{field}") for path in arrays) for field in kind._fields)
