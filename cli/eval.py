"""`diffrender eval`: how good a mesh is, against photos with cameras, a reference mesh, or both."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from diffrender.mesh import Mesh

HELP = """Judge a mesh by photos with known cameras, by a reference mesh, or by both.

For each view: [bold]silhouette_iou[/], the overlap with the mask, and [bold]psnr_db[/] of the colours inside it.

Against a reference: chamfer distance and others, in the unit of the meshes, which are compared as they lie.

Example: [cyan]diffrender eval statue/mesh.glb photos --every 8[/]

Example: [cyan]diffrender eval statue/mesh.glb --reference scan.ply --json[/]
"""


def eval_(
    mesh: Path = typer.Argument(metavar="MESH_OR_RUN", help="A mesh file, or the --out folder of a fit."),
    directory: Path = typer.Argument(None, metavar="DIRECTORY", help="Folder of photos with masks and cameras."),
    reference: Path = typer.Option(None, help="Mesh to measure distances to: OBJ, PLY, STL, GLB or glTF."),
    every: int = typer.Option(
        1, min=1, help="Judge only every n-th view: those that a fit was not shown, if it left these out."
    ),
    offset: int = typer.Option(0, min=0, help="Number of the first view judged; the directory's first is 0."),
    threshold: float = typer.Option(
        None, help="Distance up to which precision and recall count. [dim]Default: 1 % of the reference's diagonal.[/]"
    ),
    points: int = typer.Option(100_000, min=1, help="Samples on each surface."),
    sheet: Path = typer.Option(None, help="PNG or JPEG to write: target, render and difference of each view judged."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document and nothing else."),
) -> None:
    """Judge a mesh by photos with known cameras, by a reference mesh, or by both."""
    if directory is None and reference is None:
        raise ValueError("nothing to judge the mesh by: give a DIRECTORY of photos with cameras, --reference, or both")
    if directory is None and ((every, offset) != (1, 0) or sheet is not None):
        raise ValueError("--every, --offset and --sheet choose and show views: give a DIRECTORY with them")
    if reference is None and threshold is not None:
        raise ValueError("--threshold is a distance to the reference mesh: give --reference with it")

    from diffrender.mesh_files.load import load_mesh

    path = mesh / "mesh.glb" if mesh.is_dir() else mesh
    judged = load_mesh(path)
    other = None if reference is None else load_mesh(reference)  # a bad file must stop the command before it has drawn
    document: dict[str, Any] = {"mesh": str(path)}
    if directory is not None:
        document |= _by_views(judged, directory, every, offset, sheet)
    if other is not None:
        from diffrender.compare import compare_meshes

        measures = compare_meshes(judged, other, points, threshold)
        document["reference"] = {"mesh": str(reference), **measures._asdict()}
    if as_json:
        typer.echo(json.dumps(_finite(document), indent=2, allow_nan=False))
    else:
        _print(document, sheet)


def _by_views(mesh: "Mesh", directory: Path, every: int, offset: int, sheet: Path | None) -> dict[str, Any]:
    import numpy as np

    from diffrender.record.evaluate import evaluate
    from diffrender.views.load import load_views

    views = load_views(directory)
    chosen = views[offset::every]
    if not chosen:
        raise ValueError(f"--offset {offset} leaves no view to judge: {directory} has {len(views)}")
    scores = [evaluate(mesh, view) for view in chosen]
    if sheet is not None:
        from diffrender.record.picture import save_image
        from diffrender.record.sheet import contact_sheet

        save_image(contact_sheet(mesh, chosen), sheet)
    return {
        "directory": str(directory),
        "views": [{"name": view.name, **score} for view, score in zip(chosen, scores, strict=True)],
        "mean": {name: float(np.mean([score[name] for score in scores])) for name in scores[0]},
    }


def _finite(value: Any) -> Any:
    """Return a document with null for infinity, the PSNR of equal images: JSON has no word for it."""
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _print(document: dict[str, Any], sheet: Path | None) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    if "views" in document:
        table = Table(box=SIMPLE_HEAD, show_footer=True)
        mean = document["mean"]
        table.add_column("view", f"mean of {len(document['views'])}", overflow="fold")
        table.add_column("silhouette_iou", f"{mean['silhouette_iou']:.4f}", justify="right")
        table.add_column("psnr_db", f"{mean['psnr_db']:.2f}", justify="right")
        for view in document["views"]:
            table.add_row(escape(view["name"]), f"{view['silhouette_iou']:.4f}", f"{view['psnr_db']:.2f}")
        console.print(table)
    if "reference" in document:
        typer.echo(f"against {document['reference']['mesh']}")
        table = Table(box=SIMPLE_HEAD)
        table.add_column("measure", no_wrap=True)
        table.add_column("value", justify="right")
        table.add_column("what it is")
        for name, meaning in _MEANINGS.items():
            value = document["reference"][name]
            table.add_row(name, f"{value:,}" if isinstance(value, int) else f"{value:.6g}", meaning)
        console.print(table)
    if sheet is not None:
        typer.echo(f"wrote {sheet}")


_MEANINGS = {
    "chamfer": "mean of accuracy and completeness",
    "accuracy": "mean distance, mesh to reference",
    "completeness": "mean distance, reference to mesh",
    "hausdorff": "largest distance found",
    "chamfer_squared": "as chamfer, of squared distances",
    "normal_consistency": "mean |cosine| between normals",
    "precision": "share of the mesh within the threshold",
    "recall": "share of the reference within it",
    "f_score": "harmonic mean of precision and recall",
    "threshold": "distance, unit of the meshes",
    "points": "samples on each surface",
}
