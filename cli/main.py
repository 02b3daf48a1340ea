"""The command `diffrender`. The only code that prints; commands import what they need when they run."""

import sys
import warnings

import typer

from . import convert, doctor, eval, fit, gif, gradcheck, mask, pose, render, warm_up
from .compiling import compiling

app = typer.Typer(
    name="diffrender",
    help="Fit a triangle mesh to a photo by gradient descent, on the CPU: photo in, coloured mesh and GIF out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command("fit", help=fit.HELP)(fit.fit)
app.command("pose", help=pose.HELP)(pose.pose)
app.command("render", help=render.HELP)(render.render)
app.command("gif", help=gif.HELP)(gif.gif)
app.command("mask", help=mask.HELP)(mask.mask)
app.command("eval", help=eval.HELP)(eval.eval_)
app.command("convert", help=convert.HELP)(convert.convert)
app.command("gradcheck", help=gradcheck.HELP)(gradcheck.gradcheck)
app.command("doctor", help=doctor.HELP)(doctor.doctor)
app.command("warm-up", help=warm_up.HELP)(warm_up.warm_up)


def _version(wanted: bool) -> None:
    if wanted:
        from diffrender import __version__

        typer.echo(f"diffrender {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    context.with_resource(compiling(context.invoked_subcommand))


def main() -> None:
    """Run the command line: what a user can cause ends in one line on standard error and exit status 1."""
    warnings.showwarning = _warn
    try:
        app()
    except (ValueError, OSError, ModuleNotFoundError, MemoryError) as error:
        _fail(error)
    except RuntimeError as error:
        from diffrender.backend import BackendError

        if not isinstance(error, BackendError):
            raise
        _fail(error)
    except KeyboardInterrupt:
        print("diffrender: interrupted", file=sys.stderr)
        sys.exit(130)


def _warn(message: Warning | str, *where: object, **more: object) -> None:
    print(f"diffrender: warning: {' '.join(str(message).split())}", file=sys.stderr)


def _fail(error: Exception) -> None:
    if isinstance(error, MemoryError):
        message = str(error) if "GPU" in str(error) else "not enough memory for an image or mesh of this size"
    elif isinstance(error, OSError) and error.strerror:
        message = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    else:
        message = str(error)
    print(f"diffrender: error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main()
