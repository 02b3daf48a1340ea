"""A fit in a folder: what it was asked, what it has reached, what it shows. Every file is whole at every moment."""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..backend import Name
from ..color import to_bytes
from ..files import write_atomically
from ..fitting import FitSettings, FitState, Step, finish, fit, settings_from
from ..mesh import Mesh, load_mesh
from ..placement import photo_camera
from ..views.mask import Mask, Source, find_mask, save_mask
from ..views.photo import Photo, load_photo
from ..views.view import View
from .checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from .evaluate import evaluate, inspect
from .gif import beside, save_gif, turntable
from .picture import picture

_CHECKPOINT_EVERY = 20  # steps
_GIF_FRAMES = 24  # of the optimisation
_GIF_SIDE = 280  # px, long side of a panel
_DIMMED = 0.25  # of the photo outside the mask, in linear light: the GIF shows what counted as the object


@dataclass(frozen=True)
class Request:
    """What a run was asked to do: the photo by its content, the mask's source, the start mesh and the settings."""

    target: str
    target_sha256: str
    mask_source: Source
    mesh: str | None
    mesh_sha256: str | None
    settings: FitSettings

    def to_json(self) -> str:
        """Return the request as JSON text."""
        return json.dumps({"diffrender": __version__, **asdict(self)}, indent=2) + "\n"

    @property
    def identity(self) -> str:
        """A hash of all that decides the result: a checkpoint of another request must not be continued."""
        values = asdict(self)
        del values["target"]
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


class Run:
    """A fit of one photo in a folder. `advance` goes on from the last checkpoint; `export` writes what a user looks at.

    `backend` draws; it is not part of the request, since any of them may go on with a run, to the same bits only if it is
    the same one.
    """

    backend: Name = "cpu"

    def __init__(self, folder: Path, request: Request, photo: Photo, mask: Mask):
        self.folder, self.request, self.mask = folder, request, mask
        self.view = View(photo.image, mask.mask, photo_camera(mask.mask.shape))
        self.state: FitState | None = None
        self.frames: list[np.ndarray] = []
        self.seconds = 0.0

    @staticmethod
    def start(
        folder: Path,
        target: Path,
        mesh: str | None = None,
        mask: Path | None = None,
        settings: FitSettings = FitSettings(),  # noqa: B008
    ) -> "Run":
        """Begin a run in `folder`, made if need be: find the mask and write it down with the settings.

        Raises what reading the photo, the mask and the mesh raises.
        """
        photo = load_photo(target)
        found = find_mask(photo, mask)
        hashed = None
        if mesh not in (None, "sphere", "balloon"):
            load_mesh(mesh)  # a bad file must stop the run before it has written anything
            hashed = _sha256(Path(mesh))
        folder.mkdir(parents=True, exist_ok=True)
        request = Request(str(target), _sha256(target), found.source, mesh, hashed, settings)
        run = Run(folder, request, photo, found)
        save_mask(found.mask, folder / "mask.png")
        write_atomically(folder / "settings.json", request.to_json())
        return run

    @staticmethod
    def resume(folder: Path, target: Path) -> "Run":
        """Take up the run in `folder` from its last checkpoint, or from its beginning if it had not come to one.

        Raises FileNotFoundError if there is no run, ValueError if it was of another photo or its files are damaged.
        """
        request = _load_request(folder / "settings.json")
        if _sha256(target) != request.target_sha256:
            raise ValueError(f"{target}: not the photo that the run in {folder} was started with ({request.target})")
        photo = load_photo(target)
        mask = Mask(_load_saved_mask(folder / "mask.png", photo), request.mask_source)
        run = Run(folder, request, photo, mask)
        path = folder / "checkpoint.npz"
        if path.exists():
            checkpoint = load_checkpoint(path)
            if checkpoint.run == request.identity:  # else it is of the run before, and this one had no checkpoint yet
                run.state, run.seconds = checkpoint.state, checkpoint.seconds
                run.frames = list(checkpoint.frames)
        return run

    @property
    def done(self) -> bool:
        """Whether all steps have been made."""
        return self.state is not None and self.state.step >= self.request.settings.steps

    @property
    def step(self) -> int:
        """The number of steps made."""
        return 0 if self.state is None else self.state.step

    def advance(self, report: Callable[[Step], None] = lambda step: None) -> None:
        """Make the remaining steps, calling `report` after each and saving every 20th.

        KeyboardInterrupt comes through with everything up to the last whole step kept in this object.
        """
        if self.done:
            return
        settings = self.request.settings
        frame_steps = _frame_steps(settings.steps)
        camera = self.view.limited(_GIF_SIDE).camera
        before, began = self.seconds, time.perf_counter()
        for step in fit([self.view], self._start_mesh(), settings, self.state, self.backend):
            # A frame belongs to its step: both or neither, or a resumed run would show it twice.
            frame = [picture(step.mesh, camera, backend=self.backend)] if step.step in frame_steps else []
            self.state, self.frames = step.state, self.frames + frame
            self.seconds = before + time.perf_counter() - began
            report(step)
            if step.step % _CHECKPOINT_EVERY == 0 or step.done:
                self.save()

    def save(self) -> None:
        """Write the checkpoint. Raises OSError if the folder cannot take it."""
        if self.state is not None:
            camera = self.view.limited(_GIF_SIDE).camera
            frames = np.array(self.frames, np.uint8).reshape(-1, *camera.size, 3)
            save_checkpoint(
                Checkpoint(self.state, frames, self.seconds, self.request.identity), self.folder / "checkpoint.npz"
            )

    def export(self) -> dict[str, Any]:
        """Write mesh.glb, fit.gif and metrics.json of the state reached, and return the metrics."""
        if self.state is None:
            raise ValueError("no step has been made: there is nothing to write")
        mesh = finish(self.state, [self.view], self.request.settings)
        mesh.save(self.folder / "mesh.glb")
        self._save_gif(mesh)
        metrics: dict[str, Any] = {
            **evaluate(mesh, self.view),
            "seconds": round(self.seconds, 2),
            "steps": self.step,
            **inspect(mesh),
            "mask_source": self.mask.source,
        }
        write_atomically(self.folder / "metrics.json", json.dumps(metrics, indent=2) + "\n")
        return metrics

    def _start_mesh(self) -> Mesh | str | None:
        start = self.request.mesh
        return start if start in (None, "sphere", "balloon") else load_mesh(start)

    def _save_gif(self, mesh: Mesh) -> None:
        view = self.view.limited(_GIF_SIDE)
        shown = view.mask[..., None]
        target = to_bytes(view.image * (_DIMMED + (1 - _DIMMED) * shown))
        optimisation = [*self.frames, picture(mesh, view.camera, backend=self.backend)]
        frames = [
            beside(target, frame) for frame in (*optimisation, *turntable(mesh, view.camera, backend=self.backend))
        ]
        save_gif(frames, self.folder / "fit.gif", hold=(0, len(optimisation) - 1))


def _frame_steps(steps: int) -> set[int]:
    """Return the steps that the GIF shows: dense at the beginning, where most happens."""
    return {1 + round((steps - 1) * (number / (_GIF_FRAMES - 1)) ** 2) for number in range(_GIF_FRAMES)}


def _load_request(path: Path) -> Request:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file, so there is no run to resume")
    try:
        values = json.loads(path.read_text())
        values.pop("diffrender", None)
        return Request(**{**values, "settings": settings_from(values["settings"])})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}: not the settings of a run ({error})") from error


def _load_saved_mask(path: Path, photo: Photo) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            mask = np.asarray(picture.convert("L"), np.float32) / 255
    except OSError as error:
        raise ValueError(f"{path}: the run's mask cannot be read ({error})") from error
    if mask.shape != photo.image.shape[:2]:
        raise ValueError(f"{path}: the mask has {mask.shape} pixels, the photo {photo.image.shape[:2]}")
    return mask


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
