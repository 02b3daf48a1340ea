"""`diffrender pose`: where a known mesh is in a photo."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from .progress import progress

if TYPE_CHECKING:
    import numpy as np

    from diffrender.camera import Camera
    from diffrender.mesh import Mesh
    from diffrender.pose import PoseFit

HELP = """Find the pose of a known mesh in a photo: where it is, and how it is turned.

Writes into the folder: [bold]camera.json[/] (the camera from which the mesh looks as it does in the photo),
[bold]overlay.png[/] (the photo with the mesh's outline, and with the mesh: look at it), [bold]pose.gif[/] (the way there) and
[bold]mask.png[/] (what was taken for the object).

The mesh's colours help; light and exposure may differ from the photo's. A mesh that is symmetric has several poses, and the
command says so. The distance is only as right as the field of view.

Example: [cyan]diffrender pose cup.jpg --mesh cup.glb --out cup[/]

Example: [cyan]diffrender pose frame2.png --mesh cup.glb --camera cup/camera.json --out cup2[/]
"""


def pose(
    photo: Path = typer.Argument(help="The photo; transparent pixels are background."),
    mesh: Path = typer.Option(..., "--mesh", help="OBJ, PLY, STL, GLB or glTF file of the object."),
    mask: Path = typer.Option(
        None, help="Mask of the object, white on black, of the photo's size. [dim]Default: found.[/]"
    ),
    fov: float = typer.Option(
        None, help="Field of view over the photo's shorter side, degrees. [dim]Default: 32, a short telephoto lens.[/]"
    ),
    focal: bool = typer.Option(
        False, "--focal", help="Find the focal length, too: only where the object is near and large, so that it shows."
    ),
    camera: Path = typer.Option(
        None, help="camera.json to start from, with its focal length, instead of trying all rotations."
    ),
    out: Path = typer.Option(..., "--out", "-o", help="Folder for the results, made if need be."),
) -> None:
    """Find the pose of a known mesh in a photo."""
    if camera is not None and fov is not None:
        raise ValueError(f"--fov {fov:g} cannot be given with --camera, which has a field of view")
    if fov is not None and not 0 < fov < 180:
        raise ValueError(f"--fov must lie between 0 and 180 degrees, got {fov:g}")

    from diffrender.mesh_files.load import load_mesh
    from diffrender.pose_search import PoseSearch
    from diffrender.pose_settings import PoseSettings
    from diffrender.views.mask import find_mask, save_mask
    from diffrender.views.photo import load_photo
    from diffrender.views.view import View

    loaded, taken = load_mesh(mesh), load_photo(photo)
    size = (taken.image.shape[0], taken.image.shape[1])
    start = _camera(size, fov) if camera is None else _read(camera, size)
    found = find_mask(taken, mask)
    out.mkdir(parents=True, exist_ok=True)
    save_mask(found.mask, out / "mask.png")
    typer.echo(f"mask from {found.source}: {out / 'mask.png'}")
    settings = PoseSettings(focal=focal, recut=found.source in ("background", "grabcut"))
    if camera is not None:
        settings = replace(settings, starts=0)
    search = PoseSearch(loaded, View(taken.image, found.mask, start), settings=settings)
    stopped = False
    try:
        with progress("pose", 0) as report:
            for step in search.steps():
                report(step)
    except KeyboardInterrupt:
        if not search.begun:
            raise
        typer.echo("interrupted; writing the best pose so far", err=True)
        stopped = True
    fit = search.conclude()
    _write(fit, loaded, taken.image, out)
    _report(fit, loaded, out)
    if stopped:
        raise typer.Exit(130)


def _camera(size: tuple[int, int], fov: float | None) -> "Camera":
    from diffrender.camera import Camera
    from diffrender.placement import photo_camera

    assumed = photo_camera(size)
    return assumed if fov is None else Camera.look_at(assumed.center, fov_degrees=fov, size=size)


def _read(path: Path, size: tuple[int, int]) -> "Camera":
    """Return the camera of a file. Raises ValueError that names the file for one of another size, or of no camera."""
    import json

    from diffrender.camera import Camera

    try:
        camera = Camera.from_dict(json.loads(path.read_text()))
    except (
        ValueError,
        TypeError,
        KeyError,
    ) as error:  # JSON's own errors and those of bytes that are no text among them
        raise ValueError(f"{path}: not a camera ({error})") from error
    if tuple(camera.size) != size:
        raise ValueError(
            f"{path}: a camera of {camera.size[1]}x{camera.size[0]} px, but the photo is {size[1]}x{size[0]} px"
        )
    return camera


def _write(fit: "PoseFit", mesh: "Mesh", photo: "np.ndarray", out: Path) -> None:
    import json

    from diffrender.files import write_atomically
    from diffrender.record.gif import save_gif
    from diffrender.record.overlay import approach, overlay
    from diffrender.record.picture import save_image

    write_atomically(out / "camera.json", json.dumps(fit.camera.to_dict(), indent=2) + "\n")
    save_image(overlay(mesh, fit.camera, photo), out / "overlay.png")
    save_gif(approach(mesh, fit.history, photo), out / "pose.gif", hold=(0, -1))


def _report(fit: "PoseFit", mesh: "Mesh", out: Path) -> None:
    from diffrender.orbit import middle

    place = fit.camera.R @ middle(mesh) + fit.camera.t
    x, y, z = (f"{value:.4g} ± {sigma:.2g}" for value, sigma in zip(place, fit.sigma_translation, strict=True))
    turn = ", ".join(f"{sigma:.2g}°" for sigma in fit.sigma_rotation_degrees)
    typer.echo(f"mesh at x {x}, y {y}, z {z} before the camera; turned to ± {turn} about these axes")
    if fit.sigma_focal is not None:
        typer.echo(f"focal length {fit.camera.focal:.5g} px ± {100 * fit.sigma_focal:.2g} %")
    typer.echo(f"silhouette_iou {fit.iou:.4f}, loss {fit.residual:.5f}")
    if fit.alternatives:
        typer.echo(
            f"{len(fit.alternatives) + 1} poses fit equally well, and there may be more: the mesh looks the same from them"
        )
    typer.echo(f"wrote {', '.join(str(out / name) for name in ('camera.json', 'overlay.png', 'pose.gif'))}")
