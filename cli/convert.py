"""`diffrender convert`: photos with cameras from one format into another."""

from enum import StrEnum
from pathlib import Path

import typer

HELP = """Write a folder of photos with cameras in another format.

Reads and writes NeRF's and nerfstudio's [bold]transforms[/].json, [bold]colmap[/] models (written as text, without
points) and [bold]idr[/], the folders of IDR and NeuS. World coordinates stay the same.

Photos are resampled where a format cannot hold their calibration: lens distortion in idr, skew and a negative fy in
the others.

Example: [cyan]diffrender convert statue --out statue-neus --to idr[/]
"""


class Format(StrEnum):
    """How photos and cameras lie in a folder."""

    transforms = "transforms"
    colmap = "colmap"
    idr = "idr"


_MEANINGS = {
    "distortion": "undistorted",
    "skew": "sheared to take out skew",
    "mirror": "turned upside down, because a negative fy mirrors the world",
}


def convert(
    directory: Path = typer.Argument(help="The folder to read, or a transforms.json."),
    out: Path = typer.Option(..., "--out", "-o", help="Folder to write; must be empty or not exist."),
    to: Format = typer.Option(..., "--to", help="Format to write."),
) -> None:
    """Write a folder of photos with cameras in another format."""
    from diffrender.views.scene import changes, read_scene, write_scene

    scene = read_scene(directory)
    written = write_scene(scene, out, to.value)
    masks = sum(frame.mask is not None for frame in written.frames)
    typer.echo(f"wrote {out}: {len(written.frames)} photos and {masks} masks, {scene.format} to {written.format}")
    for change, meaning in _MEANINGS.items():
        if count := sum(change in changes(frame, to.value) for frame in scene.frames):
            typer.echo(f"{count} photos {meaning}")
