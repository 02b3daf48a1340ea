"""`diffrender gif`: a mesh, or the mesh of a run, on a turntable."""

from pathlib import Path

import typer

from .options import BACKEND, Backend, resolve

HELP = """Make a turntable GIF of a mesh, or of the mesh that a fit has left in its folder.

Example: [cyan]diffrender gif cup --out cup.gif[/]
"""


def gif(
    source: Path = typer.Argument(metavar="MESH_OR_RUN", help="A mesh file, or the --out folder of a fit."),
    out: Path = typer.Option(..., "--out", "-o", help="GIF to write."),
    size: str = typer.Option("320x320", help="WIDTHxHEIGHT in px."),
    frames: int = typer.Option(48, min=1, max=720, help="Frames of one turn."),
    elevation: float = typer.Option(15.0, help="Degrees above the horizon."),
    backend: Backend = BACKEND,
) -> None:
    """Make a turntable GIF."""
    from .options import parse_size

    height_width = parse_size(size)
    if out.suffix.lower() != ".gif":
        raise ValueError(f"--out must end in .gif, got {out}")

    from diffrender.mesh_files.load import load_mesh
    from diffrender.orbit import framing
    from diffrender.record.gif import save_gif, turntable

    path = source / "mesh.glb" if source.is_dir() else source
    mesh = load_mesh(path)
    camera = framing(mesh, height_width, elevation=elevation)
    save_gif(turntable(mesh, camera, frames, backend=resolve(backend)), out)
    typer.echo(f"wrote {out}")
