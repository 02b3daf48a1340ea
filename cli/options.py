"""Option values that commands share."""

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from typing import Literal


class Backend(StrEnum):
    """Where images are drawn."""

    cpu = "cpu"
    cuda = "cuda"
    auto = "auto"


BACKEND: Any = typer.Option(
    Backend.cpu,
    help="Where images are drawn: cpu, cuda, or auto (a usable GPU, else the CPU). See `diffrender doctor`.",
)


def resolve(backend: Backend) -> "Literal['cpu', 'cuda', 'auto']":
    """Return the backend to use, after one line if "auto" has to do with the CPU. Raises BackendError for "cuda" without
    a usable GPU."""
    import warnings

    from diffrender.backend import choose

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        chosen = choose(backend.value)
    for warning in caught:
        typer.echo(f"diffrender: {warning.message}", err=True)
    # A GPU that turns out too small for "auto" is still left for the CPU.
    return "auto" if backend == "auto" and chosen == "cuda" else chosen


def parse_size(text: str) -> tuple[int, int]:
    """Return (H, W) of "WxH". Raises ValueError for anything else, or more than 100 megapixels."""
    match = re.fullmatch(r"(\d+)[xX](\d+)", text)
    if not match or not (width := int(match[1])) or not (height := int(match[2])):
        raise ValueError(f"--size must be WIDTHxHEIGHT in px, such as 640x480, got {text!r}")
    if width * height > 100_000_000:
        raise ValueError(f"--size {text} is more than 100 megapixels")
    return height, width


def parse_numbers(name: str, text: str, count: int) -> tuple[float, ...]:
    """Return `count` numbers separated by commas. Raises ValueError that shows the text."""
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != count:
        raise ValueError(f"{name} must be {count} numbers separated by commas, got {text!r}")
    return numbers


def parse_background(text: str) -> tuple[float, float, float] | None:
    """Return sRGB in [0, 1] of a colour name or #rrggbb, None for "transparent". Raises ValueError for another text."""
    if text == "transparent":
        return None
    from PIL import ImageColor

    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError:
        raise ValueError(
            f"--background must be a colour such as white or #20242c, or transparent, got {text!r}"
        ) from None
    return red / 255, green / 255, blue / 255
