"""`diffrender mask`: what a fit would take for the object."""

from pathlib import Path

import typer

HELP = """Find the object in a photo and write its mask, white on black.

Taken from the photo's transparency, else what differs from a plain background, else GrabCut from the border.
Correct the mask in any image editor and give it to a fit with --mask.

Example: [cyan]diffrender mask cup.jpg --out mask.png[/]
"""


def mask(
    photo: Path = typer.Argument(help="The photo."),
    out: Path = typer.Option(..., "--out", "-o", help="PNG to write."),
) -> None:
    """Find the object in a photo and write its mask."""
    if out.suffix.lower() != ".png":
        raise ValueError(f"--out must end in .png, got {out}")

    from diffrender.views.mask import find_mask, save_mask
    from diffrender.views.photo import load_photo

    found = find_mask(load_photo(photo))
    save_mask(found.mask, out)
    typer.echo(f"wrote {out}: {(found.mask > 0.5).mean():.1%} of the photo, from its {found.source}")
