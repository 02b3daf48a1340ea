"""`diffrender warm-up`: kernels compiled before they are needed."""

import typer

HELP = """Compile what fit, pose and render need for this processor, on all cores.

They do so themselves when they first run, and keep it: this is for an image of a container, or a class before its lesson.

Example: [cyan]diffrender warm-up[/]
"""


def warm_up(
    processes: int = typer.Option(None, min=1, help="Processes that compile. [dim]Default: one for each core.[/]"),
) -> None:
    """Compile kernels before they are needed."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from diffrender.ahead import warm_up
    from diffrender.jit import cache_directory

    with Progress(TextColumn("compiling kernels"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()) as bar:
        task = bar.add_task("", total=None)
        count = warm_up(processes=processes, report=lambda done, all: bar.update(task, completed=done, total=all))
        bar.update(task, completed=count, total=count)
    typer.echo(f"{f'compiled {count} kernels' if count else 'nothing to compile'}: {cache_directory()}")
