"""Plots for people who would rather look than read: small PNGs that go into asset metadata and reports.

Bars of all kinds are drawn on a ``canvas``. Lines, which only trainings have, are matplotlib's: a ``Figure`` a call, drawn with
Agg, no pyplot, no global state. Both are safe in threads and subprocesses, and the same input gives the same bytes (nothing in
the file says when or by what it was made). matplotlib is imported where it is used: definitions must load fast.
"""

import base64
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from llm_assets.core import canvas
from llm_assets.core.errors import InputError
from llm_assets.core.oneline import shortened

MAX_BYTES = 200_000  # what the UI still shows inline without lag
MAX_POINTS = 2_000  # a line of more points than the picture has pixels is thinned
MAX_BARS = 40
SPARKLINE_CHARACTERS = 700  # as a data URI it then stays under the 1,000 characters that the UI shows inline

# Okabe and Ito (2008), "Color Universal Design": told apart with any common colour vision.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES = ("-", "--", "-.", ":")  # a second sign beside colour, for print and for more series than colours
_DPI = 110

T = TypeVar("T")


def line(
    path: Path,
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    title: str,
    x: str,
    y: str,
    log_y: bool = False,
) -> None:
    """One line a series: name → (x values, y values) of equal length. Values that are not finite leave a gap.

    With ``log_y`` values ≤ 0 leave a gap too. Raises ``ValueError`` where the lengths differ.
    """
    figure, axes = _figure(title)
    drawn = 0
    for number, (name, (xs, ys)) in enumerate(series.items()):
        points = _points(name, xs, ys, log_y)
        drawn += len(points)
        axes.plot(
            [point[0] for point in points],
            [point[1] for point in points],
            color=PALETTE[number % len(PALETTE)],
            linestyle=_DASHES[number // len(PALETTE) % len(_DASHES)],
            linewidth=1.6,
            zorder=3 - number / 100,  # the first lies on top
            marker="o" if len(points) < 5 else "",  # one point draws no line, and few are looked at one by one
            label=_tex(name).lstrip("_"),  # a leading underscore would hide it from the legend
        )
    if log_y and drawn:
        axes.set_yscale("log")
    if len(series) > 1:
        axes.legend(frameon=False, fontsize=9)
    axes.set_xlabel(_tex(x))
    axes.set_ylabel(_tex(y))
    _save(figure, axes, path, drawn)


def bars(path: Path, labels: Sequence[str], values: Sequence[float], *, title: str, x: str) -> None:
    """Horizontal bars in the order given, each with its figure; ``x`` names the values' axis.

    Only the first 40 are drawn and the rest counted. Raises ``ValueError`` where the lengths differ.
    """
    if len(labels) != len(values):
        raise ValueError(f"bars: {len(labels)} labels for {len(values)} values")
    shown = [(_plain(label), float(value)) for label, value in zip(labels[:MAX_BARS], values[:MAX_BARS], strict=True)]
    left_out = len(labels) - len(shown)
    lengths = [value if math.isfinite(value) else 0.0 for _, value in shown]
    low, high = min(0.0, *lengths, 0.0), max(0.0, *lengths, 0.0)
    room = 0.12 * (high - low or 1.0)
    low, high = low - (room if low < 0 else 0.0), high + (room if high > 0 or low == 0 else 0.0)
    axes = _axes(7.2, max(2.0, 1.2 + 0.26 * len(shown)), title, [label for label, _ in shown])
    across = canvas.ticks(low, high, 7, _figure_text)
    axes.grid(x=[at for at, _ in across])
    rows = max(len(shown), 1)
    for row, ((_, value), length) in enumerate(zip(shown, lengths, strict=True)):
        middle = 1 - (row + 0.5) / rows
        start, end = sorted(((0 - low) / (high - low), (length - low) / (high - low)))
        axes.bar(start, end, middle - 0.36 / rows, middle + 0.36 / rows, PALETTE[0])
        beside = (end + 0.006, "left") if length >= 0 else (start - 0.006, "right")
        axes.text(beside[0], middle, _figure_text(value), 8, beside[1])  # type: ignore[arg-type]
    names = [(1 - (row + 0.5) / rows, label) for row, (label, _) in enumerate(shown)]
    _finish(axes, path, across, names, _plain(x) + (f" ({left_out} more not shown)" if left_out > 0 else ""), bool(shown))


def intervals(path: Path, rows: Sequence[tuple[str, float, float, float]], *, title: str, x: str) -> None:
    """A point with its interval for each row (name, value, low, high), against a line at 0: for differences.

    Rows without a width (low = value = high) are points alone.
    """
    figure, axes = _figure(title, height=max(2.0, 1.2 + 0.34 * len(rows)))
    for place, (_, value, low, high) in enumerate(rows):
        colour = PALETTE[0] if low <= 0 <= high else PALETTE[2] if high < 0 else PALETTE[1]
        axes.errorbar(value, place, xerr=[[value - low], [high - value]], fmt="o", capsize=4, color=colour)
        axes.annotate(_figure_text(value), (value, place), xytext=(0, 6), textcoords="offset points", fontsize=8, ha="center")
    axes.axvline(0.0, color=PALETTE[-1], linewidth=1.0)
    axes.set_yticks(range(len(rows)), labels=[_plain(name) for name, *_ in rows], fontsize=9)
    axes.set_ylim(len(rows) - 0.5, -0.7)
    axes.margins(x=0.12)
    axes.set_xlabel(_plain(x))
    _save(figure, axes, path, len(rows))


def funnel(path: Path, steps: Sequence[tuple[str, int, Mapping[str, int]]], *, title: str, named: int = 3) -> None:
    """Bars of what is left, one a step: (name, documents left, rule → documents dropped since the step before).

    Each bar says how many, their share of the first, and the rules that took most.
    """
    rows, first = max(len(steps), 1), max(steps[0][1], 1) if steps else 1
    most_left = 1.18 * max(first, *(left for _, left, _ in steps), 0)
    axes = _axes(9.0, max(2.0, 1.2 + 0.62 * rows), title, [_plain(name) for name, _, _ in steps])
    across = canvas.ticks(0.0, most_left, 7, _figure_text)
    axes.grid(x=[at for at, _ in across])
    for row, (_, left, dropped) in enumerate(steps):
        middle = 1 - (row + 0.6) / rows
        axes.bar(0.0, left / most_left, middle - 0.25 / rows, middle + 0.25 / rows, PALETTE[0])
        axes.text(left / most_left + 0.01, middle, f"{left:,} ({left / first:.1%})", 9)
        most = sorted(((n, rule) for rule, n in dropped.items() if n), key=lambda item: (-item[0], item[1]))
        rest = sum(n for n, _ in most[named:])
        said = [f"{rule} −{n:,}" for n, rule in most[:named]] + ([f"{len(most) - named} more rules −{rest:,}"] if rest else [])
        if said:
            axes.text(0.004, middle + 0.4 / rows, _plain(", ".join(said), 110), 7.5, colour=PALETTE[1])
    names = [(1 - (row + 0.6) / rows, _plain(name)) for row, (name, _, _) in enumerate(steps)]
    _finish(axes, path, across, names, "documents", bool(steps))


def histogram(path: Path, values: Sequence[float], *, title: str, x: str, bins: int = 40) -> None:
    """Counts of the finite values in equal bins; how many values and their median stand below the picture."""
    import numpy as np

    numbers = np.asarray(values, dtype=np.float64).ravel()
    finite = numbers[np.isfinite(numbers)]
    label, counts, low, high = _plain(x), np.zeros(bins, np.int64), 0.0, 1.0
    if finite.size:
        counts, edges = np.histogram(finite, bins=bins)
        low, high = float(edges[0]), float(edges[-1])
        label += f" (n = {finite.size:,}, median {_figure_text(float(np.median(finite)))}"
        label += f", {numbers.size - finite.size} not finite)" if finite.size < numbers.size else ")"
    top = 1.05 * max(int(counts.max()), 1)
    up = [(at, said) for at, said in canvas.ticks(0.0, top, 6, _figure_text) if "." not in said]
    across = canvas.ticks(low, high, 8, _figure_text) if finite.size else []
    axes = _axes(7.2, 3.8, title, [said for _, said in up], upright="count")
    axes.grid([at for at, _ in across], [at for at, _ in up])
    for place, count in enumerate(counts.tolist()):
        axes.bar(place / bins, (place + 1) / bins, 0.0, count / top, PALETTE[0])
    _finish(axes, path, across, up, label, bool(finite.size), upright="count")


def data_uri(path: Path) -> str:
    """The PNG as a ``data:`` URI, for ``![title](…)`` in Markdown. Raises ``InputError`` if it is no PNG or too large."""
    content = path.read_bytes()
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        raise InputError(f"{path.name} is not a PNG; plots are written by llm_assets.core.plots")
    if len(content) > MAX_BYTES:
        raise InputError(f"{path.name} has {len(content):,} bytes; the UI shows at most {MAX_BYTES:,}: draw fewer points")
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")


def sparkline_svg(values: Sequence[float], *, width: int = 200, height: int = 32) -> str:
    """A curve as one SVG polyline of fewer than 700 characters, which the UI shows inline as a data URI.

    Values that are not finite are left out; without any, the picture is empty. Long curves are thinned.
    """
    numbers = [float(value) for value in values if math.isfinite(value)]
    points = _thin(list(enumerate(numbers)), 50)
    low, high = min(numbers, default=0.0), max(numbers, default=0.0)
    span = (high - low) or 1.0
    last = max(len(numbers) - 1, 1)
    drawn = " ".join(
        f"{round(1 + place / last * (width - 2))},{round(height - 1 - (value - low) / span * (height - 2), 1):g}"
        for place, value in points
    )
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">'
        f'<polyline fill="none" stroke="{PALETTE[0]}" stroke-width="1.5" points="{drawn}"/></svg>'
    )
    if len(svg) >= SPARKLINE_CHARACTERS:
        raise ValueError(f"a sparkline of {width} × {height} takes {len(svg)} characters; choose a smaller picture")
    return svg


def _axes(width: float, height: float, title: str, names: Sequence[str], upright: str = "") -> canvas.Axes:
    """A picture with room for the names of the rows, and for its labels."""
    widest = max((canvas.width_of(name, 9) for name in names), default=0.0)
    return canvas.Axes(width, height, _plain(title), left=widest + 14 + (16 if upright else 0), bottom=36)


def _finish(
    axes: canvas.Axes,
    path: Path,
    across: Sequence[tuple[float, str]],
    up: Sequence[tuple[float, str]],
    label: str,
    drawn: bool,
    upright: str = "",
) -> None:
    axes.frame(across, up, label, upright)
    if not drawn:
        axes.text(0.5, 0.5, "no data", 10, "middle", "#666666")
    axes.save(path)


def _figure(title: str, *, width: float = 7.2, height: float = 3.8) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(_tex(title), fontsize=11, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _save(figure: Any, axes: Any, path: Path, drawn: int) -> None:
    if not drawn:
        axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", va="center", color="#666666")
    path.parent.mkdir(parents=True, exist_ok=True)
    for dpi in (_DPI, 80, 50):
        figure.savefig(path, format="png", dpi=dpi, metadata={"Software": None})
        if path.stat().st_size <= MAX_BYTES:
            return
    raise ValueError(f"the plot {path.name} stays above {MAX_BYTES:,} bytes; draw less in one picture")


def _points(name: str, xs: Sequence[float], ys: Sequence[float], log_y: bool) -> list[tuple[float, float]]:
    if len(xs) != len(ys):
        raise ValueError(f"line: series {name!r} has {len(xs)} x values and {len(ys)} y values")
    pairs = [(float(x), float(y)) for x, y in zip(xs, ys, strict=True) if math.isfinite(x)]
    points = _thin(pairs, MAX_POINTS)
    return [(x, y if math.isfinite(y) and (y > 0 or not log_y) else math.nan) for x, y in points]


def _thin(points: list[T], most: int) -> list[T]:
    """Every n-th point and always the last, at most ``most`` of them."""
    if len(points) <= most:
        return points
    return [points[round(place * (len(points) - 1) / (most - 1))] for place in range(most)]


def _figure_text(value: float) -> str:
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.3g}"


def _plain(text: str, most: int = 60) -> str:
    """One line of at most 60 characters (or ``most``) that the font can draw; others become '□'."""
    line = shortened(" ".join(str(text).split()), most)
    return "".join(char if canvas.drawable(char) else "□" for char in line)


def _tex(text: str) -> str:
    """``_plain``, with no TeX in it for matplotlib."""
    return _plain(text).replace("$", "\\$")
