"""The report's own plots: intervals beside one another, and who is taken for whom. Drawn without global state, ≤ 200 kB."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llm_assets.core.oneline import shortened

_MODEL, _RULE = "#0072B2", "#888888"  # Okabe and Ito's blue against grey: told apart in print too


def _figure(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", metadata={"Software": None})


def intervals(path: Path, rows: Sequence[tuple[str, float, float, float, bool]], *, title: str, x: str) -> None:
    """One point with its 95 % interval a row, in the order given: (label, value, low, high, whether it is a model)."""
    figure, axes = _figure(7.2, 1.2 + 0.36 * len(rows))
    for place, (_, value, low, high, model) in enumerate(rows):
        colour = _MODEL if model else _RULE
        axes.plot([low, high], [place, place], color=colour, linewidth=2)
        axes.plot([value], [place], marker="o" if model else "s", color=colour, markersize=7)
        axes.annotate(f"{value:.3g}", (high, place), xytext=(6, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_yticks(range(len(rows)), labels=[row[0] for row in rows], fontsize=9)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.margins(x=0.1)
    axes.set_title(title, fontsize=11, loc="left")
    axes.set_xlabel(x)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, axis="x", color="#DDDDDD", linewidth=0.6)
    _save(figure, path)


def confusion(path: Path, table: Sequence[Sequence[int]], classes: Sequence[str], *, title: str) -> None:
    """Rows are the true class, columns the answer; the shade is the share of the row, the number the count."""
    figure, axes = _figure(7.6, 6.4)
    totals = [max(1, sum(row)) for row in table]
    shares = [[count / total for count in row] for row, total in zip(table, totals, strict=True)]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, counts in enumerate(table):
        for column, count in enumerate(counts):
            if count:
                colour = "white" if shares[row][column] > 0.6 else "black"
                axes.text(column, row, str(count), ha="center", va="center", fontsize=8, color=colour)
    names = [shortened(name, 24) for name in classes]
    axes.set_xticks(range(len(names)), labels=names, rotation=45, ha="right", fontsize=8)
    axes.set_yticks(range(len(names)), labels=names, fontsize=8)
    axes.set_xlabel("answered")
    axes.set_ylabel("true")
    axes.set_title(title, fontsize=11, loc="left")
    _save(figure, path)
