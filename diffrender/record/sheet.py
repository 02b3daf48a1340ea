"""All views of a fit on one picture: what was photographed, what the mesh shows, and where they differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..camera import Camera
from ..color import linear_to_srgb, srgb_to_linear
from ..mesh import Mesh
from ..views.photo import resize
from ..views.view import View
from .evaluate import evaluate
from .picture import BACKDROP, headlight, picture

if TYPE_CHECKING:
    from PIL import ImageDraw, ImageFont

_LONGEST = 4000  # px of the sheet
_SMALLEST_SIDE = 24  # px of a panel
_ASPECT = 1.5  # of the sheet
_GUTTER = 4  # px between panels
_MARGIN = 14  # px between cells and around the sheet
_CONTRAST = 3.0  # a colour that is off by a third of the range is black

# sRGB. Blue and vermillion of Okabe and Ito, which the colour-blind tell apart; an outline that few objects are like.
_MISSING, _SURPLUS, _OUTLINE = (0, 114, 178), (213, 94, 0), (255, 0, 200)
_INK, _PALE_INK = (30, 32, 36), (104, 108, 116)
_LEGEND = (
    ("mask", _OUTLINE),
    ("in the mask only", _MISSING),
    ("in the mesh only", _SURPLUS),
    ("colour off by a third", (0, 0, 0)),
)


def contact_sheet(mesh: Mesh, views: Sequence[View], columns: int | None = None, side: int = 160) -> np.ndarray:
    """Return a picture (H, W, 3) uint8 of all views: target with the mask's outline, render and difference of each.

    `side` is the long side of a panel in px, less where the sheet would get longer than 4,000 px; by default there are as
    many columns as bring the sheet nearest to 3:2. The figures are those of `evaluate`. Raises ValueError for no views, for
    columns or a side that are too small, and for more views than such a sheet can hold.
    """
    if not len(views):
        raise ValueError("a contact sheet needs at least one view, got none")
    if columns is not None and columns < 1:
        raise ValueError(f"columns must be at least 1, got {columns}")
    if side < _SMALLEST_SIDE:
        raise ValueError(f"side must be at least {_SMALLEST_SIDE} px, got {side}")

    from PIL import Image, ImageDraw

    layout = _fitting_layout([view.camera.size for view in views], columns, side)
    font = _font(layout.letters)
    overlaps = [evaluate(mesh, view)["silhouette_iou"] for view in views]
    sheet = Image.new("RGB", layout.size[::-1], "white")
    draw = ImageDraw.Draw(sheet)
    _write_header(draw, layout, font, f"{len(views)} view{'s' * (len(views) > 1)}, mean IoU {np.mean(overlaps):.3f}")
    for number, (view, overlap) in enumerate(zip(views, overlaps, strict=True)):
        left, top = layout.corner(number)
        _, width = layout.cell
        figure = f"IoU {overlap:.3f}"
        figure_width = font.getlength(figure)
        name = _shortened(view.name or f"view {number}", font, width - figure_width - layout.letters)
        draw.text((left, top), name, _INK, font)
        draw.text((left + width - figure_width, top), figure, _PALE_INK, font)
        for panel in _panels(mesh, view, _scaled(view.camera.size, layout.side)):
            sheet.paste(Image.fromarray(panel), (left, top + layout.line))
            left += panel.shape[1] + _GUTTER
    return np.asarray(sheet)


class _Layout(NamedTuple):
    """Where things are, in px: each view has a cell of a line of text over three panels of size `panel` (H, W)."""

    views: int
    columns: int
    side: int
    panel: tuple[int, int]
    header_lines: int

    @property
    def letters(self) -> int:
        """The size of the letters."""
        return min(max(10, round(0.08 * self.side)), 24)

    @property
    def line(self) -> int:
        """The height of a line of text."""
        return round(1.5 * self.letters)

    @property
    def cell(self) -> tuple[int, int]:
        """The (H, W) of a cell."""
        return self.line + self.panel[0], 3 * self.panel[1] + 2 * _GUTTER

    @property
    def header(self) -> int:
        """The height of what comes before the cells."""
        return _MARGIN + self.header_lines * self.line + _MARGIN // 2

    @property
    def size(self) -> tuple[int, int]:
        """The (H, W) of the sheet."""
        height, width = self.cell
        rows = math.ceil(self.views / self.columns)
        return self.header + rows * (height + _MARGIN), self.columns * (width + _MARGIN) + _MARGIN

    def corner(self, number: int) -> tuple[int, int]:
        """The (x, y) of a cell's upper left corner."""
        row, column = divmod(number, self.columns)
        height, width = self.cell
        return _MARGIN + column * (width + _MARGIN), self.header + row * (height + _MARGIN)


def _fitting_layout(sizes: Sequence[tuple[int, int]], columns: int | None, side: int) -> _Layout:
    """Return the layout for views of these sizes (H, W) with the largest side, up to `side`, that keeps the sheet small."""

    def unlikeness(layout: _Layout) -> float:
        return abs(math.log(layout.size[1] / layout.size[0] / _ASPECT))

    while side >= _SMALLEST_SIDE:
        heights, widths = zip(*(_scaled(size, side) for size in sizes), strict=True)
        panel = max(heights), max(widths)
        tried = [columns] if columns is not None else range(1, len(sizes) + 1)
        best = _with_header(min((_Layout(len(sizes), count, side, panel, 1) for count in tried), key=unlikeness))
        longest = max(best.size)
        if longest <= _LONGEST:
            return best
        side = min(side - 1, int(side * _LONGEST / longest))
    raise ValueError(
        f"{len(sizes)} views do not fit on a contact sheet of {_LONGEST:,} px: take fewer, or other columns"
    )


def _scaled(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return the size (H, W) of a view whose long side is `side`."""
    scale = side / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _with_header(layout: _Layout) -> _Layout:
    """Return the layout with as many lines as the header takes at its width."""
    font = _font(layout.letters)
    return layout._replace(header_lines=len(_header_lines(layout, font, "100 views, mean IoU 0.999")))


def _write_header(
    draw: ImageDraw.ImageDraw, layout: _Layout, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, title: str
) -> None:
    """Write what the sheet shows and what its colours mean."""
    letters = layout.letters
    y = _MARGIN
    for line in _header_lines(layout, font, title):
        x: float = _MARGIN
        for text, color in line:
            if color is not None:
                draw.rectangle((x, y + 0.15 * letters, x + 0.8 * letters, y + 0.95 * letters), color)
            draw.text((x + (1.1 * letters if color else 0), y), text, _PALE_INK if color else _INK, font)
            x += _entry_width(text, color, font, letters)
        y += layout.line


_Entry = tuple[str, tuple[int, int, int] | None]


def _header_lines(
    layout: _Layout, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, title: str
) -> list[list[_Entry]]:
    """Return the title and the legend broken into lines that are no longer than the sheet is wide."""
    room = layout.size[1] - 2 * _MARGIN
    lines: list[list[_Entry]] = [[]]
    used = 0.0
    entries: list[_Entry] = [(title, None), ("each: target, render, difference", None), *_LEGEND]
    for text, color in entries:
        width = _entry_width(text, color, font, layout.letters)
        if lines[-1] and used + width > room + layout.letters:
            lines.append([])
            used = 0.0
        lines[-1].append((text, color))
        used += width
    return lines


def _entry_width(
    text: str,
    color: tuple[int, int, int] | None,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    letters: int,
) -> float:
    """Return the width of an entry of the header, with its swatch before it and the space after it."""
    return font.getlength(text) + letters * (2.1 if color else 1.5)


def _panels(mesh: Mesh, view: View, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return target, render and difference (H, W, 3) uint8 of a view at size (H, W)."""
    # Not View.resized, which may not leave a view without any mask; a tiny object in a large photo may vanish here.
    target = np.clip(linear_to_srgb(np.clip(resize(view.image, size), 0, 1)), 0, 1)
    mask = np.clip(resize(view.mask, size), 0, 1)
    camera: Camera = view.camera.resized(size)
    # Without colours nothing else shows the shape.
    light = headlight(camera) if mesh.vertex_colors is None and mesh.texture is None else None
    drawn = picture(mesh, camera, light, backdrop=None).astype(np.float32) / 255
    color, alpha = drawn[..., :3], drawn[..., 3]
    linear_backdrop = srgb_to_linear(np.asarray(BACKDROP, np.float32))
    shown = linear_to_srgb(alpha[..., None] * srgb_to_linear(color) + (1 - alpha[..., None]) * linear_backdrop)
    panels = _blended(target, _outline(view.mask, size), _OUTLINE), shown, _difference(target, mask, color, alpha)
    return tuple(np.rint(np.clip(panel, 0, 1) * 255).astype(np.uint8) for panel in panels)  # type: ignore[return-value]


def _difference(target: np.ndarray, mask: np.ndarray, color: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Return where the silhouettes differ, in two colours, and in grey how far colours are off where they meet."""
    off = np.minimum(_CONTRAST * np.abs(target - color).mean(axis=2), 1)
    both = np.minimum(mask, alpha)
    inside = np.repeat(1 - off[..., None], 3, axis=2)
    panel = both[..., None] * inside + (1 - both[..., None]) * np.asarray(BACKDROP, np.float32)
    panel = _blended(panel, np.clip(mask - alpha, 0, 1), _MISSING)
    return _blended(panel, np.clip(alpha - mask, 0, 1), _SURPLUS)


def _outline(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the coverage (H, W) of size by a line of about one pixel along the mask's edge."""
    from scipy.ndimage import binary_dilation, binary_erosion

    inside = resize(mask, (3 * size[0], 3 * size[1])) > 0.5
    return resize(
        (binary_dilation(inside, iterations=2) & ~binary_erosion(inside, iterations=2)).astype(np.float32), size
    )


def _blended(panel: np.ndarray, share: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    """Return a panel (H, W, 3) with a share (H, W) of another colour."""
    return panel + share[..., None] * (np.asarray(color, np.float32) / 255 - panel)


def _font(letters: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    from PIL import ImageFont

    try:
        return ImageFont.load_default(letters)
    except ImportError:  # a Pillow without FreeType has letters of one size
        return ImageFont.load_default()


def _shortened(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, room: float) -> str:
    """Return a text that is at most `room` px wide: of a long one its end, where file names differ."""
    text = text.encode("latin-1", "replace").decode("latin-1")  # Pillow's own font has no others
    short = text
    while short and font.getlength("..." + short if short != text else text) > room:
        short = short[1:]
    return text if short == text else "..." + short
