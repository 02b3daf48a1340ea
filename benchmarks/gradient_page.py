"""The table of gradients as a page of Markdown."""

import math
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from diffrender import Soft

from .gradient_draw import Mode
from .gradient_hard import COLUMNS as HARD_COLUMNS
from .gradient_losses import COLUMNS as LOSS_COLUMNS
from .gradient_outputs import COLUMNS, MODES
from .gradient_scenes import DIFFICULTIES, SIZE, Scene, facts
from .gradient_settings import Setting

if TYPE_CHECKING:
    from .gradient_table import Blank, Cell

_LIGHTS = tuple(name for name in COLUMNS if name.startswith("light."))
_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_DIGITS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_ABOUT = {
    "Alpha": "`dr.render_silhouette`, and the alpha that the other calls return beside their image.",
    "Colours": "RGBA of `dr.render`, colours at the vertices, no light.",
    "Lit colours": "RGBA of `dr.render` under `dr.Light`, or `dr.Lights` with an ambient one and those named.",
    "Textures": (
        "RGBA of `dr.render`: a texture of 9 x 14 texels times the colours at the vertices; faces lie anywhere in it and across "
        "its border."
    ),
    "Attributes": "`dr.render_attributes`: arrays with any number of channels, and what a mesh has under a name.",
    "Cameras": "Through other cameras than the pinhole. A fisheye lens has no p1 and p2: their gradient is 0.",
    "In pixels": "`dr.rasterize_soft`, whose vertices (V, 3) are x px, y px, depth.",
    "Stages of hard rendering": (
        "`dr.interpolate`, `dr.sample_texture` and `dr.antialias`, for fragments of `dr.rasterize_hard`."
    ),
    "Losses and priors": (
        "Numbers: the losses of `diffrender.loss` from an image, the priors of `diffrender.regularize` and "
        "`diffrender.symmetry` from vertices."
    ),
}
_HEAD = """# Every gradient, measured

For each output of the renderer and each input: how far the gradient of `backward` is from finite differences, in float64.
A cell without a number has a note that says why. `python -m benchmarks.gradient_table` measures it all again in about two
minutes, writes this page and [`gradient-table.json`](../benchmarks/results/gradient-table.json), and ends with status 1 if a
cell is out of bounds.

**{cells} cells, {passed} of them within the bounds:** relative error at most {error} (bound 1e-5), cosine at least 1 - {cosine}
(bound 0.99999), bias at most {bias} by size (bound 1e-5). Of {tried} directions {kept} could be compared.

## What is measured

- The output, weighed at random, is one number. Its slope along a direction of an input is compared with the central
  differences of [`dr.gradcheck`](../diffrender/gradients.py): steps shrink until three in a row agree, and Richardson's
  extrapolation of the last two counts.
- Inputs of up to 12 numbers are tried one by one, larger ones along {directions} random directions of all their numbers, in
  each of four scenes: the figures of the latter are estimates from {sampled} directions.
- **error** is |gradient - differences| / |differences|, **bias** how much too long the gradient is along the true one, with
  its sign. A cell has the worst of the scenes. The differences' own errors are in it, from steps that are not infinitely small.
- A direction in which the function has a corner or a jump would be left out, since differences say nothing there. Such places
  exist: an image jumps by a little as a face comes within reach of a pixel (`cutoff`), and texels have edges. But a random
  scene hardly ever stands exactly on one, and small enough steps do not reach it. **kept** says how many directions are left.
- `rotation` and `translation` are the increments of `Camera.moved` at 0, `K` is fx, fy, skew, cx and cy, and `distortion` is
  k1 to k4, p1 and p2.
- A blank is `0` if the input can be given: then moving it by up to 10 % leaves every bit of the output as it was, and its
  gradient is missing or exactly 0. It is `–` if there is nothing to give, and no such gradient. The script checks either,
  and that no gradient is without a cell.

## Scenes

{height} x {width} px; K has skew and fx != fy. What a scene has in it is counted apart from the renderer, through the pinhole.
sigma is 1.1 to 1.6 px² and gamma 0.02 to 0.04, except where the mode in the name of a row says otherwise.
Modes are: {modes}.
"""
_TAIL = """## What has no gradient

Settings of the rasterizer and of lights are chosen, not found: they have no gradient, though images depend on them. Whether
they do was tried with 1 % more of each. The targets, weights and masks of losses, and the `background` of
`dr.render_attributes`, have none either.

{settings}

Switches are not numbers: all their positions are among the rows above.

Measured with {python}, NumPy {numpy}, Numba {numba}, on {processor}, one thread.
"""


def page(
    cells: Sequence["Cell"],
    blanks: Sequence["Blank"],
    settings: Sequence[Setting],
    shown: Sequence[Scene],
    environment: dict[str, str],
    directions: int,
) -> str:
    """Return the page."""
    head = _HEAD.format(
        cells=len(cells),
        passed="all" if all(cell.passed for cell in cells) else sum(cell.passed for cell in cells),
        error=_number(max(cell.error for cell in cells)),
        cosine=_number(1 - min(cell.cosine for cell in cells)),
        bias=_number(max(abs(cell.bias) for cell in cells)),
        kept=f"{sum(cell.kept for cell in cells):,}",
        tried=f"{sum(cell.tried for cell in cells):,}",
        directions=directions,
        sampled=directions * len(shown),
        modes=", ".join(f"{mode.name} (`{_as_arguments(mode)}`)" for mode in MODES if mode.name),
        height=SIZE[0],
        width=SIZE[1],
    )
    parts = [head, _scene_table(shown)]
    for group, members in groupby(cells, key=lambda cell: cell.group):
        of_group = list(members)
        parts += [
            f"## {group}\n\n{_ABOUT.get(group, '')}\n",
            _overview(of_group, [b for b in blanks if b.group == group]),
        ]
        parts.append(_details(of_group))
    tail = _TAIL.format(
        settings=_setting_table(settings),
        python=f"Python {environment['python']}",
        numpy=environment["numpy"],
        numba=environment["numba"],
        processor=environment["processor"],
    )
    return "\n".join([*parts, tail])


def _as_arguments(mode: Mode) -> str:
    if callable(mode.changes):
        return type(mode.changes(Soft())).__name__
    return ", ".join(f"{name}={value!r}" for name, value in mode.changes.items())


def _scene_table(shown: Sequence[Scene]) -> str:
    rows = [("scene", *DIFFICULTIES.values())]
    for scene in shown:
        numbers = facts(scene)
        entries = (f"{numbers[name]:.2f}" if name == "asymmetry" else f"{numbers[name]:.0f}" for name in DIFFICULTIES)
        rows.append((f"{scene.name}: {scene.about}", *entries))
    return _table(rows)


def _overview(cells: Sequence["Cell"], blanks: Sequence["Blank"]) -> str:
    """Return errors by output and input, with notes for what is blank."""
    notes: dict[str, str] = {}
    entries: dict[tuple[str, str], str] = {}
    for cell in cells:
        number = _number(cell.error)
        entries[cell.output, cell.input] = number if cell.passed else f"**{number}**"
    for blank in blanks:
        mark = notes.setdefault(blank.reason, str(len(notes) + 1).translate(_SUPERSCRIPTS))
        entries[blank.output, blank.input] = ("0" if blank.unfelt else "–") + mark
    rows = list(dict.fromkeys(cell.output for cell in cells))
    measured = {cell.input for cell in cells}
    columns = [name for name in dict.fromkeys([*COLUMNS, *HARD_COLUMNS, *LOSS_COLUMNS]) if name in measured]
    lines = [("output", *(name.removeprefix("light.").replace(".", "<br>") for name in columns))]
    lines += [(row, *(entries[row, column] for column in columns)) for row in rows]
    others = list(dict.fromkeys(blank.input for blank in blanks if blank.input not in columns))
    text = _table(lines)
    if others:
        text += f"\nNo column for {_left_out(others, rows, entries)}.\n"
    return text + "".join(f"\n{mark} {reason}<br>" for reason, mark in notes.items()).removesuffix("<br>") + "\n"


def _left_out(others: Sequence[str], rows: Sequence[str], entries: dict[tuple[str, str], str]) -> str:
    """Return the inputs that are blank in all rows with all their marks; lights as one if they have the same."""
    marks = {name: " ".join(dict.fromkeys(entries[row, name] for row in rows)) for name in others}
    lights = [name for name in _LIGHTS if name in marks]
    found = dict.fromkeys(mark for name in lights for mark in marks.pop(name).split())
    of_lights = " ".join(sorted(found, key=lambda mark: mark[1:].translate(_DIGITS)))
    parts = [f"`{name}` ({mark})" for name, mark in marks.items()]
    if lights:
        parts.append(f"{'lights' if len(lights) == len(_LIGHTS) else 'other lights'} ({of_lights})")
    return ", ".join(parts)


def _details(cells: Sequence["Cell"]) -> str:
    rows = [("output", "input", "error", "1 - cosine", "bias", "kept", "worst in")]
    for cell in cells:
        numbers = (
            _number(cell.error),
            _number(max(0.0, 1 - cell.cosine)),
            f"{'+' if cell.bias >= 0 else '-'}{_number(abs(cell.bias))}",
        )
        rows.append((cell.output, f"`{cell.input}`", *numbers, f"{cell.kept} of {cell.tried}", cell.scene))
    return f"<details><summary>Cosine, bias and directions</summary>\n\n{_table(rows)}\n</details>\n"


def _setting_table(settings: Sequence[Setting]) -> str:
    kinds = list(settings[0].felt)
    rows = [("setting", *kinds)]
    rows += [(f"`{s.owner}.{s.name}`", *("moves" if s.felt[kind] else "–" for kind in kinds)) for s in settings]
    return _table(rows).removesuffix("\n")


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]]) + "\n"


def _number(value: float) -> str:
    """Return 2.7e-9 for 0.0000000027."""
    if value == 0 or not math.isfinite(value):
        return f"{value:.0f}"
    digits, exponent = f"{value:.1e}".split("e")
    return f"{digits}e{int(exponent)}"
