"""Plots for people who would rather look than read: small PNGs that go into asset metadata and reports.

Each call builds its own ``Figure`` and draws it with Agg: no pyplot, no global state, safe in threads and subprocesses, and the
same input gives the same bytes (nothing in the file says when or by what it was made). matplotlib is imported inside the
functions, since definitions that load must stay light. While an asset is made, another process draws (``plot_process``).
"""

import base64
import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from llm_assets.core.errors import InputError
from llm_assets.core.oneline import shortened
from llm_assets.core.plot_process import drawn_beside, settle

MAX_BYTES = 200_000  # what the UI still shows inline without lag
MAX_POINTS = 2_000  # a line of more points than the picture has pixels is thinned
MAX_BARS = 40
SPARKLINE_CHARACTERS = 1_000

# Okabe and Ito (2008), "Color Universal Design": told apart with any common colour vision.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES = ("-", "--", "-.", ":")  # a second sign beside colour, for print and for more series than colours
_DPI = 110

T = TypeVar("T")


@drawn_beside
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
            marker="o" if len(points) < 3 else "",  # one point draws no line
            label=_plain(name).lstrip("_"),  # a leading underscore would hide it from the legend
        )
    if log_y and drawn:
        axes.set_yscale("log")
    if len(series) > 1:
        axes.legend(frameon=False, fontsize=9)
    axes.set_xlabel(_plain(x))
    axes.set_ylabel(_plain(y))
    _save(figure, axes, path, drawn)


@drawn_beside
def bars(path: Path, labels: Sequence[str], values: Sequence[float], *, title: str, x: str) -> None:
    """Horizontal bars in the order given, each with its figure; ``x`` names the values' axis.

    Only the first 40 are drawn and the rest counted. Raises ``ValueError`` where the lengths differ.
    """
    if len(labels) != len(values):
        raise ValueError(f"bars: {len(labels)} labels for {len(values)} values")
    rows = [(_plain(label), float(value)) for label, value in zip(labels, values, strict=True)]
    left_out = len(rows) - MAX_BARS
    shown = rows[:MAX_BARS]
    figure, axes = _figure(title, height=max(2.0, 1.2 + 0.26 * len(shown)))
    heights = [value if math.isfinite(value) else 0.0 for _, value in shown]
    drawn = axes.barh(range(len(shown)), heights, color=PALETTE[0], height=0.72)
    axes.bar_label(drawn, labels=[_figure_text(value) for _, value in shown], padding=3, fontsize=8)
    axes.set_yticks(range(len(shown)), labels=[label for label, _ in shown], fontsize=9)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel(_plain(x) + (f" ({left_out} more not shown)" if left_out > 0 else ""))
    _save(figure, axes, path, len(shown))


@drawn_beside
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


@drawn_beside
def funnel(path: Path, steps: Sequence[tuple[str, int, Mapping[str, int]]], *, title: str, named: int = 3) -> None:
    """Bars of what is left, one a step: (name, documents left, rule → documents dropped since the step before).

    Each bar says how many, their share of the first, and the rules that took most.
    """
    figure, axes = _figure(title, width=9.0, height=max(2.0, 1.2 + 0.62 * len(steps)))
    first = max(steps[0][1], 1) if steps else 1
    widths = [left for _, left, _ in steps]
    axes.barh(range(len(steps)), widths, color=PALETTE[0], height=0.5)
    for place, (_, left, dropped) in enumerate(steps):
        axes.text(left + 0.01 * first, place, f"{left:,} ({left / first:.1%})", va="center", fontsize=9)
        most = sorted(((n, rule) for rule, n in dropped.items() if n), key=lambda item: (-item[0], item[1]))
        rest = sum(n for n, _ in most[named:])
        said = [f"{rule} −{n:,}" for n, rule in most[:named]] + ([f"{len(most) - named} more rules −{rest:,}"] if rest else [])
        if said:
            axes.text(0, place - 0.36, _plain(", ".join(said), 110), va="center", fontsize=7.5, color=PALETTE[1])
    axes.set_yticks(range(len(steps)), labels=[_plain(name) for name, _, _ in steps], fontsize=9)
    axes.set_xlim(0, 1.18 * first)
    axes.set_ylim(len(steps) - 0.5, -0.6)
    axes.set_xlabel("documents")
    _save(figure, axes, path, len(steps))


@drawn_beside
def histogram(path: Path, values: Sequence[float], *, title: str, x: str, bins: int = 40) -> None:
    """Counts of the finite values in equal bins; how many values and their median stand below the picture."""
    import numpy as np

    numbers = np.asarray(values, dtype=np.float64).ravel()
    finite = numbers[np.isfinite(numbers)]
    figure, axes = _figure(title)
    label = _plain(x)
    if finite.size:
        counts, edges = np.histogram(finite, bins=bins)
        axes.stairs(counts, edges, fill=True, color=PALETTE[0])
        label += f" (n = {finite.size:,}, median {_figure_text(float(np.median(finite)))}"
        label += f", {numbers.size - finite.size} not finite)" if finite.size < numbers.size else ")"
    axes.set_xlabel(label)
    axes.set_ylabel("count")
    _save(figure, axes, path, int(finite.size))


def data_uri(path: Path) -> str:
    """The PNG as a ``data:`` URI, for ``![title](…)`` in Markdown. Raises ``InputError`` if it is no PNG or too large."""
    settle()
    content = path.read_bytes()
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        raise InputError(f"{path.name} is not a PNG; plots are written by llm_assets.core.plots")
    if len(content) > MAX_BYTES:
        raise InputError(f"{path.name} has {len(content):,} bytes; the UI shows at most {MAX_BYTES:,}: draw fewer points")
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")


def load() -> None:
    """Load matplotlib, which takes a while, before the first plot."""
    _figure("")
    _plain("")


def sparkline_svg(values: Sequence[float], *, width: int = 200, height: int = 32) -> str:
    """A curve as one SVG polyline of fewer than 1,000 characters, which the UI shows inline.

    Values that are not finite are left out; without any, the picture is empty. Long curves are thinned.
    """
    numbers = [float(value) for value in values if math.isfinite(value)]
    points = _thin(list(enumerate(numbers)), 80)
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


def _figure(title: str, *, width: float = 7.2, height: float = 3.8) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(_plain(title), fontsize=11, loc="left")
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
    """One line of at most 60 characters (or ``most``) that the font can draw (others become '□'), with no TeX in it."""
    known = _drawable()
    line = shortened(" ".join(str(text).split()), most)
    return "".join(char if ord(char) in known else "□" for char in line).replace("$", "\\$")


@cache
def _drawable() -> frozenset[int]:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return frozenset(get_font(findfont(FontProperties())).get_charmap())
