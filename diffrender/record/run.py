"""A fit in a folder: what it was asked, what it has reached, what it shows. Every file is whole at every moment."""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..adjust import adjusted
from ..backend import Name
from ..bake import bake
from ..color import to_bytes
from ..files import write_atomically
from ..fit_settings import FitSettings, settings_from
from ..fit_state import FitState, Step
from ..fitting import default_start, finish, fit
from ..halves import with_reflections
from ..mesh import Mesh, subdivide
from ..mesh_files.load import load_mesh
from ..orbit import common_down, facing
from ..placement import photo_camera
from ..texels import check_texture_size
from ..views.load import load_views
from ..views.mask import Source, find_mask, save_mask
from ..views.photo import Photo, load_photo
from ..views.view import View
from .checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from .evaluate import evaluate, inspect
from .gif import beside, save_gif, turntable
from .log import Log
from .picture import picture, save_image
from .sheet import contact_sheet
from .webp import save_webp

_CHECKPOINT_EVERY = 20  # steps
_GIF_FRAMES = 24  # of the optimisation
_GIF_SIDE = 280  # px, long side of a panel
_GIF_MARGIN = 16  # px around the object, in a photo of many
_TURNTABLE_SIDE, _TURNTABLE_FRAMES = 480, 60
_FACES_OF_A_PICTURE = 100_000  # so many are finer than an animation's pixels
_TEXTURE_STEPS, _TEXTURE_RATE = 48, 1e-2  # of a baked texture's fit, which begins near its end
_MADE = (None, "sphere", "balloon", "hull")  # start meshes that are no files
_DIMMED = 0.25  # of the photo outside the mask, in linear light: the GIF shows what counted as the object


@dataclass(frozen=True)
class Request:
    """What a run was asked to do: the photo, or the views of a folder, by content, the mask's source (None for a folder's
    many), the start mesh, the settings, every which view is left out to judge the result by, and the size in px of the
    texture that the result gets, None for colours at the vertices; or that a mesh whose shape is held starts with."""

    target: str
    target_sha256: str
    mask_source: Source | None
    mesh: str | None
    mesh_sha256: str | None
    settings: FitSettings
    hold_out: int | None = None
    texture: int | None = None

    def to_json(self) -> str:
        """Return the request as JSON text."""
        return json.dumps({"diffrender": __version__, **asdict(self)}, indent=2) + "\n"

    @property
    def identity(self) -> str:
        """A hash of all that decides the steps: a checkpoint of another request must not be continued."""
        values = asdict(self)
        del values["target"]
        if not self.settings.hold_shape:
            del values["texture"]
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


class Run:
    """A fit of a photo, or of a folder of photos with cameras, in a folder of its own. `advance` goes on from the last
    checkpoint; `export` writes what a user looks at.

    `backend` draws; it is not part of the request, since any of them may go on with a run, to the same bits only if it is
    the same one.
    """

    backend: Name = "cpu"

    def __init__(self, folder: Path, request: Request, views: list[View]):
        self.folder, self.request = folder, request
        held = set() if request.hold_out is None else set(range(0, len(views), request.hold_out))
        self.views = [view for number, view in enumerate(views) if number not in held]
        self.held_out = [view for number, view in enumerate(views) if number in held]
        self.state: FitState | None = None
        self.frames: list[np.ndarray] = []
        self.seconds = 0.0
        self._textured: Mesh | None = None  # what `refine` has come to

    @staticmethod
    def start(
        folder: Path,
        target: Path,
        mesh: str | None = None,
        mask: Path | None = None,
        settings: FitSettings = FitSettings(),  # noqa: B008
        hold_out: int | None = None,
        texture: int | None = None,
    ) -> "Run":
        """Begin a run in `folder`, made if need be: find the mask of a photo and write it down with the settings; or load
        the views of a folder, of which every `hold_out`-th, from the first on, is left out.

        Raises what reading the photo or the views, the mask and the mesh raises, and ValueError for a mask beside a folder,
        a `hold_out` below 2 or without a folder, a start that needs other views, a texture's size out of range, or a
        shape to hold without a folder, a mesh file or a texture.
        """
        if texture is not None:
            check_texture_size(texture)
        many = target.is_dir() or target.suffix.lower() == ".json"
        if many:
            views, sha256, source = _checked_views(target, mesh, mask, hold_out)
        else:
            if hold_out is not None:
                raise ValueError(f"holding out every {hold_out}th view needs a folder of photos, {target} is one photo")
            if mesh == "hull":
                raise ValueError(f"a hull needs a folder of photos with cameras, {target} is one photo")
            photo = load_photo(target)
            found = find_mask(photo, mask)
            views, sha256, source = [_lone_view(photo, found.mask)], _sha256(target), found.source
        hashed = None
        if settings.hold_shape and (not many or mesh in _MADE):
            raise ValueError(
                "--hold-shape needs a folder of photos with cameras, and --mesh FILE that lies in their world"
            )
        if mesh not in _MADE:
            loaded = load_mesh(mesh)  # a bad file must stop the run before it has written anything
            if settings.hold_shape and texture is None and loaded.texture is None:
                raise ValueError(f"{mesh}: has no texture to fit; --texture SIZE gives it one")
            hashed = _sha256(Path(mesh))
        folder.mkdir(parents=True, exist_ok=True)
        request = Request(str(target), sha256, source, mesh, hashed, settings, hold_out, texture)
        run = Run(folder, request, views)
        if not many:
            save_mask(views[0].mask, folder / "mask.png")
        write_atomically(folder / "settings.json", request.to_json())
        return run

    @staticmethod
    def resume(folder: Path, target: Path, texture: int | None = None) -> "Run":
        """Take up the run in `folder` from its last checkpoint, or from its beginning if it had not come to one.

        `texture` is another size of the result's texture, which no step depends on.
        Raises FileNotFoundError if there is no run, ValueError if it was of another photo, or of a folder in which
        something has changed, if its files are damaged, or for a texture's size out of range.
        """
        if texture is not None:
            check_texture_size(texture)
        request = _load_request(folder / "settings.json")
        if texture not in (None, request.texture):
            if request.settings.hold_shape:
                raise ValueError(f"--texture {texture} cannot be given with --resume: the run has {request.texture}")
            request = replace(request, texture=texture)
        if request.mask_source is None:
            views = load_views(target)
            if _views_sha256(views) != request.target_sha256:
                raise ValueError(
                    f"{target}: not the photos, masks and cameras that the run in {folder} was started with ({request.target})"
                )
        else:
            if target.is_dir() or _sha256(target) != request.target_sha256:
                raise ValueError(
                    f"{target}: not the photo that the run in {folder} was started with ({request.target})"
                )
            photo = load_photo(target)
            views = [_lone_view(photo, _load_saved_mask(folder / "mask.png", photo))]
        run = Run(folder, request, views)
        if texture is not None:
            write_atomically(folder / "settings.json", request.to_json())
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
        camera = self._shown.camera
        before, began = self.seconds, time.perf_counter()
        log = Log(self.folder / "log.jsonl", self.step)
        for step in fit(self.views, self._start_mesh(), settings, self.state, self.backend):
            # A frame belongs to its step: both or neither, or a resumed run would show it twice.
            frame = [picture(step.mesh, camera, backend=self.backend)] if step.step in frame_steps else []
            self.state, self.frames = step.state, self.frames + frame
            self.seconds = before + time.perf_counter() - began
            log.append(
                {
                    "step": step.step,
                    "loss": step.loss,
                    **step.parts,
                    "faces": len(step.mesh.faces),
                    "seconds": self.seconds,
                }
            )
            report(step)
            if step.step % _CHECKPOINT_EVERY == 0 or step.done:
                self.save()

    @property
    def refines(self) -> bool:
        """Whether the result gets a texture from several photos, which is to be fitted to them after the last step."""
        return self.request.texture is not None and self._many and not self.request.settings.hold_shape

    def refine(self, report: Callable[[Step], None] = lambda step: None) -> None:
        """Bake the result's texture and fit its texels to the photos, calling `report` after each step; `export` takes it then.

        KeyboardInterrupt comes through with the last whole step kept. It begins anew each time, and ends with the same bits.
        """
        settings = self.request.settings
        self._textured = None
        baked = self._result()
        held = FitSettings(
            steps=_TEXTURE_STEPS,
            seed=settings.seed,
            color_learning_rate=_TEXTURE_RATE,
            color_space=settings.color_space,
            hold_shape=True,
        )
        for step in fit(self._colored_views, baked, held, backend=self.backend):
            self._textured = step.mesh
            report(step)

    def save(self) -> None:
        """Write the checkpoint. Raises OSError if the folder cannot take it."""
        if self.state is not None:
            frames = np.array(self.frames, np.uint8).reshape(-1, *self._shown.camera.size, 3)
            save_checkpoint(
                Checkpoint(self.state, frames, self.seconds, self.request.identity), self.folder / "checkpoint.npz"
            )

    def export(self) -> dict[str, Any]:
        """Write mesh.glb, fit.gif and metrics.json of the state reached, for many views also views.png and turntable.webp,
        and return the metrics."""
        if self.state is None:
            raise ValueError("no step has been made: there is nothing to write")
        mesh = self._result()
        mesh.save(self.folder / "mesh.glb")
        self._save_animations(_untextured(mesh))
        views = adjusted(self.views, self.state.adjustments)
        metrics: dict[str, Any] = {
            **_mean([evaluate(mesh, view) for view in views]),
            "seconds": round(self.seconds, 2),
            "steps": self.step,
            **inspect(mesh),
        }
        if self.held_out:
            metrics["held_out"] = _mean([evaluate(mesh, view) for view in self.held_out])
            metrics["held_out"]["views"] = [view.name for view in self.held_out]
        if self._many:
            save_image(contact_sheet(mesh, [*views, *self.held_out]), self.folder / "views.png")
            metrics["views"] = len(self.views)
        else:
            metrics["mask_source"] = self.request.mask_source
        if self.request.settings.adjusts_views:
            write_atomically(self.folder / "cameras.json", _cameras_json(views, self.state))
        write_atomically(self.folder / "metrics.json", json.dumps(metrics, indent=2) + "\n")
        return metrics

    def _result(self) -> Mesh:
        """Return the mesh of the state reached, with the texture that was asked for."""
        if self._textured is not None:
            return self._textured
        assert self.state is not None
        mesh = finish(self.state, self.views, self.request.settings, self._hull)
        if self.request.texture is None or self.request.settings.hold_shape:
            return mesh
        return self._baked(mesh, self.request.texture)

    def _baked(self, mesh: Mesh, size: int) -> Mesh:
        """Return the mesh with a texture of the photos, on the faces of the fit: those that `finish` cuts finer hold colours."""
        assert self.state is not None
        count = len(self.state.parameter)  # cutting faces in four puts the new vertices behind the old ones
        colors = None if mesh.vertex_colors is None else mesh.vertex_colors[:count]
        return bake(Mesh(mesh.vertices[:count], self.state.faces, colors), self._colored_views, size)

    @property
    def _colored_views(self) -> list[View]:
        """The views that the texture is made from: with their mirror images, and adjusted."""
        assert self.state is not None
        return adjusted(with_reflections(self.views, self.state.plane), self.state.adjustments)

    @property
    def _many(self) -> bool:
        return len(self.views) > 1

    @property
    def _hull(self) -> bool:
        return (self.request.mesh or default_start(len(self.views))) == "hull"

    @property
    def _shown(self) -> View:
        """The view that the GIF shows beside the optimisation."""
        return (self.views[0].cropped(_GIF_MARGIN) if self._many else self.views[0]).limited(_GIF_SIDE)

    def _start_mesh(self) -> Mesh | str | None:
        start = self.request.mesh
        if start in _MADE:
            return start
        mesh = load_mesh(start)
        if self.state is None and self.request.settings.hold_shape and self.request.texture is not None:
            mesh = bake(mesh.with_vertex_colors(), self.views, self.request.texture)
        return mesh

    def _save_animations(self, mesh: Mesh) -> None:
        view = self._shown
        shown = view.mask[..., None]
        target = to_bytes(view.image * (_DIMMED + (1 - _DIMMED) * shown))
        optimisation = [*self.frames, picture(mesh, view.camera, backend=self.backend)]
        camera, down = view.camera, None
        if self._many:
            down = common_down([view.camera for view in self.views])
            camera = facing(mesh, camera, camera.size)
            around = facing(mesh, camera, (_TURNTABLE_SIDE, _TURNTABLE_SIDE))
            frames = turntable(mesh, around, _TURNTABLE_FRAMES, self.backend, down)
            save_webp(frames, self.folder / "turntable.webp")
        turn = turntable(mesh, camera, backend=self.backend, down=down)
        frames = [beside(target, frame) for frame in (*optimisation, *turn)]
        save_gif(frames, self.folder / "fit.gif", hold=(0, len(optimisation) - 1))


def _untextured(mesh: Mesh) -> Mesh:
    """Return the mesh with a texture's colours at the vertices of finer faces: drawn often, it takes a fraction of the time."""
    if mesh.texture is None:
        return mesh
    mesh = subdivide(mesh)
    while len(mesh.faces) < _FACES_OF_A_PICTURE:
        mesh = subdivide(mesh)
    return mesh.with_vertex_colors()


def _checked_views(
    target: Path, mesh: str | None, mask: Path | None, hold_out: int | None
) -> tuple[list[View], str, None]:
    """Return the views of a folder and the hash of their content. Raises ValueError for what does not go with a folder."""
    if mask is not None:
        raise ValueError(f"--mask is for one photo: put the masks of {target} beside its photos, in its folder mask")
    if hold_out is not None and hold_out < 2:
        raise ValueError(f"every hold_out-th view is left out, so it must be at least 2, got {hold_out}")
    views = load_views(target)
    left = len(views) - (0 if hold_out is None else len(range(0, len(views), hold_out)))
    if left < 2:
        raise ValueError(f"{target}: a fit needs at least two photos with cameras, {left} of {len(views)} left")
    if mesh == "balloon":
        raise ValueError("the balloon is made from one photo: for a folder use --mesh hull, sphere or a file")
    return views, _views_sha256(views), None


def _lone_view(photo: Photo, mask: np.ndarray) -> View:
    return View(photo.image, mask, photo_camera(mask.shape))


def _cameras_json(views: list[View], state: FitState) -> str:
    """Return the adjusted cameras as JSON text: K, R and t of `diffrender.Camera`, the size (H, W), the photo's gains."""
    cameras = {
        view.name: {
            **{name: getattr(view.camera, name).tolist() for name in ("K", "R", "t")},
            "size": list(view.camera.size),
            "gain": state.adjustments.gain(number).tolist(),
        }
        for number, view in enumerate(views)
    }
    return json.dumps(cameras, indent=2) + "\n"


def _mean(measures: list[dict[str, float]]) -> dict[str, Any]:
    return {name: float(np.mean([measure[name] for measure in measures])) for name in measures[0]}


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


def _views_sha256(views: list[View]) -> str:
    """Hash all that a fit takes from views."""
    digest = hashlib.sha256()
    for view in views:
        digest.update(view.name.encode())
        camera = view.camera
        for values in (view.image, view.mask, camera.K, camera.R, camera.t):
            digest.update(np.ascontiguousarray(values))
        if camera.distortion is not None or camera.orthographic:
            digest.update(repr((camera.distortion, camera.orthographic)).encode())
    return digest.hexdigest()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
