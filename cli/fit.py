"""`diffrender fit`: a photo, or a folder of photos with cameras, to a mesh."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from .options import BACKEND, Backend, resolve
from .progress import progress

if TYPE_CHECKING:
    from diffrender.fit_settings import FitSettings
    from diffrender.record.run import Run

HELP = """Fit a coloured mesh to the object in a photo, or in a folder of photos whose cameras are known.

Writes into the folder: [bold]mesh.glb[/], [bold]fit.gif[/] (photo beside the optimisation, then a turntable),
[bold]mask.png[/] (what was taken for the object: look at it first if a result is odd), metrics.json, settings.json and
checkpoint.npz (for --resume), log.jsonl. Of a folder also [bold]views.png[/] (every photo beside its render) and
[bold]turntable.webp[/].

A folder holds transforms.json (NeRF, nerfstudio), a COLMAP model, or image/ and cameras_sphere.npz (IDR, NeuS); masks that
are missing are found in all photos together.

Example: [cyan]diffrender fit cup.jpg --out cup[/]

Example: [cyan]diffrender fit photos --out statue --hold-out 8[/]

Example: [cyan]diffrender fit photos --out statue --mesh textured.obj --hold-shape[/]
"""


_CAMERA_LEARNING_RATE, _EXPOSURE_LEARNING_RATE = 2e-3, 2e-2
_SPARSITY = 0.007


def fit(
    target: Path = typer.Argument(
        metavar="PHOTO_OR_DIRECTORY",
        help="The photo: JPEG, PNG, TIFF, WebP, of any mode; transparent pixels are background. "
        "Or a folder of photos with their cameras.",
    ),
    out: Path = typer.Option(..., "--out", "-o", help="Folder for the results, made if need be."),
    mesh: str = typer.Option(
        None,
        help="Start mesh: [bold]balloon[/] (the silhouette blown up, the default for a photo), [bold]hull[/] (all that no "
        "mask contradicts, the default for 12 photos or more), [bold]sphere[/] (for fewer), "
        "or a file (OBJ, PLY, STL, GLB), which is moved and scaled onto the mask.",
    ),
    mask: Path = typer.Option(
        None, help="Mask of the object, white on black, of the photo's size. [dim]Default: found.[/]"
    ),
    steps: int = typer.Option(None, min=1, help="Optimisation steps. [dim]Default: 200.[/]"),
    seed: int = typer.Option(None, min=0, help="Seed of everything random. [dim]Default: 0.[/]"),
    faces: int = typer.Option(None, min=100, help="Faces of the start mesh. [dim]Default: 40000; hull: 100000.[/]"),
    thickness: float = typer.Option(None, help="Depth of the balloon: 1 makes a disc a sphere. [dim]Default: 0.8.[/]"),
    resolution: int = typer.Option(
        None, min=16, help="Long side in px that the fit works at. [dim]Default: 384; hull: 768.[/]"
    ),
    remesh: int = typer.Option(
        None,
        min=0,
        help="Even out the triangles every n steps: limbs grow without stretched ones. [dim]Default: never.[/]",
    ),
    symmetry: str = typer.Option(
        None,
        metavar="auto|none|NX,NY,NZ",
        help="The object is its own mirror image: shows depth in a photo that is not taken from right in front or from the "
        "side. The plane is found, or given by its normal: x right, y up, z towards the camera of a lone photo, "
        "the world of cameras that are known. [dim]Default: none.[/]",
    ),
    rigidity: float = typer.Option(
        None,
        min=0,
        help="Keep the start mesh's shape, for --mesh FILE: parts may turn, but not stretch; 1 is much. [dim]Default: 0.[/]",
    ),
    sparse: bool = typer.Option(
        None,
        "--sparse",
        help="Change as little as possible of --mesh FILE, a mesh with colours that stands where the cameras of a folder see it: "
        "what the photos do not contradict stays exactly as it is.",
    ),
    keep_volume: float = typer.Option(None, min=0, help="Keep the start mesh's volume; 1 is much. [dim]Default: 0.[/]"),
    texture: int = typer.Option(
        None,
        help="Give mesh.glb a texture of this many px a side instead of colours at the vertices: 2048 holds what photos of a "
        "megapixel show. With --resume, another size.",
    ),
    hold_shape: bool = typer.Option(
        None,
        "--hold-shape",
        help="Fit only the texture of --mesh FILE, which stands where the cameras of a folder see it. One without a texture, or "
        "to begin from the photos: with --texture.",
    ),
    hold_out: int = typer.Option(
        None, min=2, help="Leave every n-th photo of a folder out, the first included, and judge the result by these."
    ),
    adjust_cameras: bool = typer.Option(
        None,
        "--adjust-cameras",
        help="Put cameras that are a little off right by the way; of one photo, that of a template.",
    ),
    adjust_exposure: bool = typer.Option(
        None, "--adjust-exposure", help="Find out how each photo was exposed and tinted, beside the others."
    ),
    backend: Backend = BACKEND,
    resume: bool = typer.Option(
        False, "--resume", help="Go on with the run in the folder, to the bits of an uninterrupted one."
    ),
) -> None:
    """Fit a coloured mesh to the object in a photo."""
    asked: dict[str, Any] = {
        "steps": steps,
        "seed": seed,
        "faces": faces,
        "thickness": thickness,
        "resolution": resolution,
    }
    asked["remesh_every"] = remesh
    asked["camera_learning_rate"] = _CAMERA_LEARNING_RATE if adjust_cameras else None
    asked["exposure_learning_rate"] = _EXPOSURE_LEARNING_RATE if adjust_exposure else None
    asked["sparsity"] = _SPARSITY if sparse else None
    asked["hold_shape"] = hold_shape or None
    asked |= {"rigidity": rigidity, "volume_weight": keep_volume}
    asked["symmetry"] = None if symmetry is None else _symmetry(symmetry)
    chosen = {name: value for name, value in asked.items() if value is not None}
    drawn_by = resolve(backend)
    run = _open_run(target, out, mesh, mask, chosen, hold_out, texture, resume)
    run.backend = drawn_by
    if run.request.mask_source is None:
        left_out = f", {len(run.held_out)} more left out" if run.held_out else ""
        typer.echo(f"{len(run.views)} photos{left_out}; how they were cut out: {out / 'views.png'} at the end")
    else:
        typer.echo(f"mask from the {_SOURCES[run.request.mask_source]}: {out / 'mask.png'}")
    try:
        _advance(run)
        _refine(run)
    except KeyboardInterrupt:
        if run.state is None:
            raise
        where = "in the fit of the texture" if run.done else f"after step {run.step}"
        typer.echo(f"interrupted {where}; writing what there is (go on with --resume)", err=True)
        run.save()
        _report(run)
        raise typer.Exit(130) from None
    _report(run)


_SOURCES = {
    "file": "file given",
    "alpha": "photo's transparency",
    "background": "plain background",
    "grabcut": "photo's colours (GrabCut)",
}


def _open_run(
    target: Path,
    out: Path,
    mesh: str | None,
    mask: Path | None,
    chosen: dict[str, Any],
    hold_out: int | None,
    texture: int | None,
    resume: bool,
) -> "Run":
    from diffrender.fit_settings import FitSettings
    from diffrender.record.run import Run

    if resume and (out / "settings.json").exists():
        run = Run.resume(out, target, texture)
        _refuse_changes(run.request.settings, chosen)
        if hold_out not in (None, run.request.hold_out):
            raise ValueError(f"--hold-out {hold_out} cannot be given with --resume: the run has {run.request.hold_out}")
        if mask is not None:
            raise ValueError("--mask cannot be given with --resume: the run has its mask already")
        if mesh is not None and mesh != run.request.mesh:
            raise ValueError(f"--mesh {mesh} cannot be given with --resume: the run started from {run.request.mesh}")
        typer.echo(f"resuming after step {run.step} of {run.request.settings.steps}")
        return run
    if resume:
        typer.echo(f"no run in {out} yet: starting one")
    settings = FitSettings(**chosen)
    return Run.start(out, target, mesh, mask, settings, hold_out, texture)


def _symmetry(text: str) -> Any:
    """Return the setting of the fit for `auto`, `none` or three numbers. Raises ValueError for anything else."""
    from diffrender.halves import check_symmetry

    return check_symmetry(text.split(",") if "," in text else text)


def _refuse_changes(settings: "FitSettings", chosen: dict[str, Any]) -> None:
    for name, value in chosen.items():
        if value != (own := getattr(settings, name)):
            option, shown, had = _OPTIONS.get(name, name.replace("_", "-")), f" {value}", str(own)
            if name in _FLAGS:
                shown, had = "", "no such setting"
            raise ValueError(f"--{option}{shown} cannot be given with --resume: the run has {had}")


# Of settings that the command calls otherwise.
_OPTIONS = {
    "remesh_every": "remesh",
    "volume_weight": "keep-volume",
    "camera_learning_rate": "adjust-cameras",
    "exposure_learning_rate": "adjust-exposure",
    "sparsity": "sparse",
}
_FLAGS = ("camera_learning_rate", "exposure_learning_rate", "sparsity", "hold_shape")


def _advance(run: "Run") -> None:
    if not run.done:
        with progress("fitting", run.step) as report:
            run.advance(report)


def _refine(run: "Run") -> None:
    if run.refines:
        typer.echo(f"texture of {run.request.texture} px: blending the photos")
        with progress("texture", 0) as report:
            run.refine(report)


def _report(run: "Run") -> None:
    metrics = run.export()
    typer.echo(
        f"silhouette_iou {metrics['silhouette_iou']:.4f}, psnr_db {metrics['psnr_db']:.2f}, "
        f"{metrics['faces']} faces, {metrics['steps']} steps in {metrics['seconds']:.1f} s"
    )
    if held_out := metrics.get("held_out"):
        typer.echo(
            f"on {len(held_out['views'])} photos left out: silhouette_iou {held_out['silhouette_iou']:.4f}, "
            f"psnr_db {held_out['psnr_db']:.2f}"
        )
    names = ["mesh.glb", "fit.gif", *(["turntable.webp", "views.png"] if "views" in metrics else []), "metrics.json"]
    if run.request.settings.adjusts_views:
        names.append("cameras.json")
    typer.echo(f"wrote {', '.join(str(run.folder / name) for name in names)}")
