"""`diffrender render`: a mesh to an image."""

from pathlib import Path

import typer

from .options import BACKEND, Backend, resolve

HELP = """Render a mesh to an image with antialiased edges.

The camera looks at the middle of the mesh, y up, from far enough to see all of it.

Example: [cyan]diffrender render cup/mesh.glb --out cup.png --azimuth 30 --elevation 20[/]
"""


def render(
    mesh: Path = typer.Argument(help="OBJ, PLY, STL, GLB or glTF file."),
    out: Path = typer.Option(..., "--out", "-o", help="Image to write; the suffix is the format."),
    size: str = typer.Option("640x480", help="WIDTHxHEIGHT in px."),
    azimuth: float = typer.Option(0.0, help="Degrees around the mesh; 0 looks along -z."),
    elevation: float = typer.Option(15.0, help="Degrees above the horizon."),
    distance: float = typer.Option(None, help="From the middle of the mesh. [dim]Default: all in sight.[/]"),
    fov: float = typer.Option(32.0, help="Field of view over the shorter side, degrees."),
    light: str = typer.Option("camera", help="Where light comes from: camera, none (colours as they are) or x,y,z."),
    ambient: float = typer.Option(0.4, help="Light from everywhere, with a light x,y,z."),
    diffuse: float = typer.Option(0.6, help="Strength of the light x,y,z."),
    background: str = typer.Option("#edf0f2", help="Colour name, #rrggbb or transparent."),
    backend: Backend = BACKEND,
) -> None:
    """Render a mesh to an image."""
    from .options import parse_background, parse_numbers, parse_size

    height_width = parse_size(size)
    backdrop = parse_background(background)

    from diffrender.mesh_files.load import load_mesh
    from diffrender.orbit import framing
    from diffrender.record.picture import headlight, picture, save_image
    from diffrender.shading import Light

    loaded = load_mesh(mesh)
    camera = framing(loaded, height_width, azimuth, elevation, fov, distance)
    if light == "camera":
        source: Light | None = headlight(camera)
    elif light == "none":
        source = None
    else:
        source = Light(parse_numbers("--light", light, 3), ambient, diffuse)  # type: ignore[arg-type]
    save_image(picture(loaded, camera, source, backdrop, backend=resolve(backend)), out)
    typer.echo(f"wrote {out}")
