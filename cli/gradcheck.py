"""`diffrender gradcheck`: the renderer's gradients against finite differences."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from .options import BACKEND, Backend, resolve

if TYPE_CHECKING:
    from diffrender.backend import Name
    from diffrender.gradients import Function, GradientCheck
    from diffrender.mesh import Mesh

HELP = """Compare the renderer's gradients with finite differences in double precision, on a mesh of yours or a built-in one.

Three outputs, the [bold]silhouette[/], the [bold]colours[/] and [bold]lit[/] colours, against each of their inputs: vertices,
colours, the camera's rotation and translation, the light. Exit status 1 if a gradient is off.

Example: [cyan]diffrender gradcheck cup.glb --json[/]
"""

_FOV_DEGREES = 32.0
_ROLL = 0.5  # radians; a symmetric rotation hides a transposed one
_SKEWED = ((1.06, 0.02, 0.01), (0.0, 0.94, -0.02), (0.0, 0.0, 1.0))  # fx != fy, skew and a shifted principal point


def gradcheck(
    mesh: Path = typer.Argument(
        None, metavar="[MESH]", help="OBJ, PLY, STL, GLB or glTF file. [dim]Default: two dented balls.[/]"
    ),
    size: str = typer.Option("64x42", help="WIDTHxHEIGHT in px."),
    tolerance: float = typer.Option(1e-4, min=0.0, help="Largest relative error that passes."),
    directions: int = typer.Option(8, min=1, help="Random directions for each of the larger inputs."),
    seed: int = typer.Option(0, min=0, help="Of the random directions and weights of pixels."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON document and nothing else."),
    backend: Backend = BACKEND,
) -> None:
    """Compare the renderer's gradients with finite differences."""
    from .options import parse_size

    height_width = parse_size(size)

    from diffrender.gradients import gradcheck as check
    from diffrender.mesh_files.load import load_mesh

    loaded = _two_balls() if mesh is None else load_mesh(mesh)
    cases = _cases(loaded, height_width, resolve(backend))
    results = {
        output: check(function, inputs, tolerance=tolerance, directions=directions, seed=seed)
        for output, (function, inputs) in cases.items()
    }
    passed = all(result.passed for result in results.values())
    if as_json:
        _print_json(results, passed)
    else:
        _print_table(results)
    if not passed:
        raise typer.Exit(1)


def _two_balls() -> "Mesh":
    """Return two dented balls, one partly behind the other."""
    import numpy as np

    from diffrender.mesh import Mesh
    from diffrender.sphere import icosphere

    ball, random = icosphere(2), np.random.default_rng(0)
    dented = [ball.vertices * random.uniform(0.9, 1.1, (len(ball.vertices), 1)) for _ in range(2)]
    vertices = np.concatenate([dented[0], dented[1] * 0.8 + [0.7, 0.4, -1.6]])
    return Mesh(vertices, np.concatenate([ball.faces, ball.faces + len(ball.vertices)]))


def _cases(mesh: "Mesh", size: tuple[int, int], backend: "Name") -> "dict[str, tuple[Function, dict[str, Any]]]":
    """Return for each output the function and the inputs to check."""
    import numpy as np

    from diffrender.camera import Camera
    from diffrender.mesh import Mesh
    from diffrender.orbit import framing, middle
    from diffrender.rendering import Soft, render, render_silhouette
    from diffrender.shading import Light

    straight = framing(mesh, size, azimuth=35.0, elevation=25.0, fov_degrees=_FOV_DEGREES)
    camera = Camera(straight.K @ _SKEWED, straight.R, straight.t, size).moved(np.array([0, 0, _ROLL]), np.zeros(3))
    distance = float(np.linalg.norm(camera.center - middle(mesh)))
    soft = Soft(sigma=1.0, gamma=0.05, near=distance / 2, far=2 * distance, background=(0.1, 0.2, 0.3))
    light = Light((0.3, 0.8, 0.6))

    vertices = mesh.vertices.astype(np.float64)
    # Random where the mesh has none: a mesh of one colour would hide the gradient of the depths.
    colors = mesh.vertex_colors
    if colors is None:
        colors = np.random.default_rng(1).uniform(0, 1, vertices.shape)
    colors = np.clip(colors.astype(np.float64), 0.1, 0.9)  # steps must not leave [0, 1]

    def silhouette(vertices: np.ndarray, rotation: np.ndarray, translation: np.ndarray) -> tuple[np.ndarray, Any]:
        seen = camera.moved(rotation, translation)
        rendering = render_silhouette(Mesh(vertices, mesh.faces), seen, soft, backend)
        return rendering.alpha, rendering.backward

    def color(light: Light | None = None, **inputs: np.ndarray) -> tuple[np.ndarray, Any]:
        shown = Mesh(inputs["vertices"], mesh.faces, inputs["vertex_colors"])
        seen = camera.moved(inputs["rotation"], inputs["translation"])
        rendering = render(shown, seen, soft, light, backend)

        def backward(grad: np.ndarray) -> dict[str, Any]:
            grads = rendering.backward(np.dstack([grad, np.zeros(size)]))
            lights = (
                {} if grads.light is None else {f"light_{key}": part for key, part in grads.light._asdict().items()}
            )
            return grads._asdict() | lights

        return rendering.image[..., :3], backward

    def lit(light_direction: np.ndarray, light_ambient: float, light_diffuse: float, **inputs: np.ndarray) -> Any:
        x, y, z = light_direction
        return color(Light((x, y, z), light_ambient, light_diffuse), **inputs)

    pose = {"rotation": np.zeros(3), "translation": np.zeros(3)}
    lights = {f"light_{key}": getattr(light, key) for key in ("direction", "ambient", "diffuse")}
    shown = {"vertices": vertices, "vertex_colors": colors, **pose}
    return {
        "silhouette": (silhouette, {"vertices": vertices, **pose}),
        "colours": (color, shown),
        "lit": (lit, shown | lights),
    }


def _print_json(results: "dict[str, GradientCheck]", passed: bool) -> None:
    import math

    rows = []
    for output, result in results.items():
        for check in result.inputs:
            row = check._asdict() | {"passed": check.passed}
            # JSON has no word for infinity and NaN, which a check of nothing has.
            row = {key: None if isinstance(x, float) and not math.isfinite(x) else x for key, x in row.items()}
            rows.append({"output": output, "input": row.pop("name")} | row)
    typer.echo(json.dumps({"passed": passed, "checks": rows}, indent=2, allow_nan=False))


def _print_table(results: "dict[str, GradientCheck]") -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console, table = Console(), Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in ("output", "input"):
        table.add_column(column, no_wrap=True)
    for column in ("error", "cosine", "bias", "tried", "kinks"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for output, result in results.items():
        for check in result.inputs:
            numbers = (f"{check.relative_error:.1e}", f"{check.cosine:.6f}", f"{check.bias:+.1e}")
            verdict = "passed" if check.passed else "[bold red]FAILED[/]"
            table.add_row(output, check.name, *numbers, str(check.tried), str(check.kinks), verdict)
    console.print(table)
    for output, result in results.items():
        for check in result.inputs:
            if not check.passed:
                typer.echo(f"{output}, {check.name}: {check.problem}")
