"""The bar that commands show while they optimise."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from .compiling import told_by


@contextmanager
def progress(title: str, done: int) -> Iterator[Callable[[Any], None]]:
    """Show a bar with the loss and the time left, moved by what it yields, from step `done` on; steps have `step`, `steps` and
    `loss`."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as bar:
        task = bar.add_task(title, total=None, completed=done, loss="-")

        def report(step: Any) -> None:
            bar.update(task, total=step.steps, completed=step.step, loss=f"{step.loss:.4f}")

        def say(text: str | None) -> None:
            bar.update(task, description=text or title)

        with told_by(say) if bar.console.is_terminal else nullcontext():
            yield report
        # Steps are those that there may be at most: who needs fewer is done too.
        if (total := bar.tasks[0].total) is not None:
            bar.update(task, completed=total)
