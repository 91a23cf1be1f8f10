"""Axes with bars and text on a white picture, by Pillow: what plots of counts need, in three thousandths of a second.

matplotlib takes seven hundredths for one of them, and three tenths to load; a crawl's artefacts have a dozen. Sizes are in
points of 1/72 inch, as in print. The font is DejaVu Sans, which comes with matplotlib.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from PIL import Image, ImageDraw, ImageFont

DPI = 110
_GRID, _AXIS, _INK = "#DDDDDD", "#333333", "#000000"
_TITLE_POINTS, _LABEL_POINTS = 11.0, 9.0
_GAP = 6.0  # points between what stands side by side
_TICK = 3.5
Align = Literal["left", "middle", "right"]
_ANCHORS: dict[Align, str] = {"left": "lm", "middle": "mm", "right": "rm"}


def pixels(points: float) -> int:
    """Of a length in points."""
    return round(points * DPI / 72)


@cache
def font(points: float) -> ImageFont.FreeTypeFont:
    """DejaVu Sans of a size."""
    found = find_spec("matplotlib")
    folder = Path(next(iter(found.submodule_search_locations or ()))) if found else Path()
    return ImageFont.truetype(str(folder / "mpl-data/fonts/ttf/DejaVuSans.ttf"), points * DPI / 72)


@cache
def drawable(char: str) -> bool:
    """Whether the font has a character: it is not drawn as the box that stands for those it lacks."""
    if " " <= char <= "~":
        return True
    known = font(_LABEL_POINTS)
    return bytes(known.getmask(char)) != bytes(known.getmask("\U0010fffd"))


def width_of(text: str, points: float) -> float:
    """Of a text, in points."""
    return font(points).getlength(text) * 72 / DPI


class Axes:
    """A picture of some inches with a title and a frame in it.

    ``left`` and ``bottom``: points to the left of the frame and below it. Data run from 0 to 1 in both directions of the frame,
    upwards: whoever draws knows the scale.
    """

    def __init__(self, width: float, height: float, title: str, *, left: float, bottom: float) -> None:
        self.picture = Image.new("RGB", (round(width * DPI), round(height * DPI)), "#FFFFFF")
        self._draw = ImageDraw.Draw(self.picture)
        self._left, self._right = pixels(left), self.picture.width - pixels(4 * _GAP)
        self._top, self._bottom = pixels(_TITLE_POINTS + 2.5 * _GAP), self.picture.height - pixels(bottom)
        self._at((self._left, pixels(_GAP + _TITLE_POINTS / 2)), title, _TITLE_POINTS, "left")

    def _place(self, x: float, y: float) -> tuple[int, int]:
        across, up = self._right - self._left, self._bottom - self._top
        return self._left + round(x * across), self._bottom - round(y * up)

    def _at(self, place: tuple[int, int], text: str, points: float, align: Align, colour: str = _INK) -> None:
        self._draw.text(place, text, colour, font(points), anchor=_ANCHORS[align])

    def bar(self, x: float, end: float, y: float, top: float, colour: str) -> None:
        """A filled rectangle."""
        (left, low), (right, high) = self._place(x, y), self._place(end, top)
        if right > left and low > high:
            self._draw.rectangle((left, high, right - 1, low - 1), colour)

    def text(self, x: float, y: float, text: str, points: float, align: Align = "left", colour: str = _INK) -> None:
        """A line of text beside (``left``: to the right of) or around a place."""
        self._at(self._place(x, y), text, points, align, colour)

    def grid(self, x: Sequence[float] = (), y: Sequence[float] = ()) -> None:
        """Lines behind the data."""
        for at in x:
            column, _ = self._place(at, 0)
            self._draw.line((column, self._top, column, self._bottom), _GRID)
        for at in y:
            _, row = self._place(0, at)
            self._draw.line((self._left, row, self._right, row), _GRID)

    def frame(self, x: Sequence[tuple[float, str]], y: Sequence[tuple[float, str]], label: str, upright: str = "") -> None:
        """The two axes with their ticks (where, what stands there), and what they count; drawn over the data."""
        self._draw.line((self._left, self._top, self._left, self._bottom), _AXIS)
        self._draw.line((self._left, self._bottom, self._right, self._bottom), _AXIS)
        tick, gap = pixels(_TICK), pixels(_TICK + 2)
        for at, said in x:
            column, row = self._place(at, 0)
            self._draw.line((column, row, column, row + tick), _AXIS)
            self._at((column, row + gap + pixels(_LABEL_POINTS / 2)), said, _LABEL_POINTS, "middle")
        for at, said in y:
            column, row = self._place(0, at)
            self._draw.line((column - tick, row, column, row), _AXIS)
            self._at((column - gap, row), said, _LABEL_POINTS, "right")
        below = self.picture.height - pixels(_GAP / 2 + _LABEL_POINTS / 2)
        self._at(((self._left + self._right) // 2, below), label, _LABEL_POINTS, "middle")
        if upright:
            self._upright(upright)

    def _upright(self, text: str) -> None:
        size = pixels(width_of(text, _LABEL_POINTS)) + 2, pixels(1.5 * _LABEL_POINTS)
        mask = Image.new("L", size)
        ImageDraw.Draw(mask).text((1, size[1] // 2), text, 255, font(_LABEL_POINTS), anchor="lm")
        turned = mask.rotate(90, expand=True)
        middle = (self._top + self._bottom) // 2
        self.picture.paste(_INK, (pixels(_GAP / 2), middle - turned.height // 2), turned)

    def save(self, path: Path) -> None:
        """Write a PNG; the same picture gives the same bytes."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.picture.save(path, format="PNG", compress_level=3)


def ticks(low: float, high: float, most: int, said: Callable[[float], str]) -> list[tuple[float, str]]:
    """Round numbers from ``low`` to ``high``, at most so many, as (share of the way, the number as text)."""
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return [(0.5, said(low))] if math.isfinite(low) else []
    rough = 10 ** math.floor(math.log10(span / most))
    step = next((rough * factor for factor in (1, 2, 5) if span / (rough * factor) <= most), rough * 10)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [((number * step - low) / span, said(number * step)) for number in range(first, last + 1)]
