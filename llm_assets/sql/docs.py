"""The documentation of a project of SQL models, as one page: graph, columns with their lineage, tests with what they said, SQL.

All that the page tells is in its HTML and can be read without a script; ``docs.js`` beside it draws the graph, lights up what a
column comes from and goes to, and searches. Nothing is loaded from elsewhere. Descriptions and SQL are the project's own words;
messages of tests may quote rows, so everything is escaped.
"""

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llm_assets.core.oneline import one_line, shortened
from llm_assets.core.report import Gate
from llm_assets.sql.lineage import by_asset
from llm_assets.sql.project import Model, Project

SCRIPT = Path(__file__).with_name("docs.js")
_STYLE = Path(__file__).with_name("docs_style.html").read_text("utf-8")
_MESSAGE = 300
Lineage = dict[str, list[tuple[str, str]]]
_COMPUTED: dict[tuple[str, str], Lineage] = {}  # by model and version; for all pages of this process


@dataclass(frozen=True)
class Built:
    """What the current table of a model says of itself. ``types``: DuckDB's, by column; ``lineage`` as ``by_asset`` has it, or
    None where the table is of another version of the model."""

    rows: int
    made: str
    gates: Sequence[Gate] = ()
    types: Mapping[str, str] = field(default_factory=dict)
    lineage: Lineage | None = None


class Described:
    """A project with what was built of it. Lineages that no table has are computed, once for each version of a model."""

    _computed: dict[tuple[str, str], Lineage] = {}

    def __init__(self, project: Project, built: Mapping[str, Built]) -> None:
        self.project = project
        self.built = built
        self.lineage = {name: self._lineage(model) for name, model in project.models.items()}
        self.feeds: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for name, columns in self.lineage.items():
            for column, above in columns.items():
                for origin in above:
                    self.feeds.setdefault(origin, []).append((name, column))

    def _lineage(self, model: Model) -> Lineage:
        known = self.built[model.name].lineage if model.name in self.built else None
        if known is not None:
            return known
        key = (model.name, self.project.version(model))
        if key not in _COMPUTED:
            _COMPUTED[key] = by_asset(self.project, model.name)
        return _COMPUTED[key]

    def reads(self, model: Model) -> list[str]:
        """Models and assets that a model's SQL reads, each once."""
        assets = [name for asset, files in model.sources for name in self.project.assets(asset, files)]
        return list(dict.fromkeys([*model.reads, *assets]))

    def graph(self) -> dict[str, Any]:
        """Nodes with their columns, and edges of both kinds, for the script."""
        models = self.project.models
        nodes: list[dict[str, Any]] = [
            {
                "name": name,
                "kind": model.kind,
                "reads": self.reads(model),
                "columns": list(model.columns),
                "failing": sum(not gate.passed for gate in self._gates(name)),
            }
            for name, model in models.items()
        ]
        assets = dict.fromkeys(name for node in nodes for name in node["reads"] if name not in models)
        columns: dict[str, list[str]] = {asset: [] for asset in assets}
        for asset, column in sorted(origin for origin in self.feeds if origin[0] in columns):
            columns[asset].append(column)
        sources = [{"name": a, "kind": "asset", "reads": [], "columns": columns[a], "failing": 0} for a in assets]
        edges = [[*origin, *target] for origin, targets in self.feeds.items() for target in targets]
        return {"nodes": sources + nodes, "edges": edges}

    def _gates(self, name: str) -> Sequence[Gate]:
        return self.built[name].gates if name in self.built else ()


def render(project: Project, built: Mapping[str, Built], navigation: str = "") -> str:
    """The page. ``navigation``: HTML of links to its neighbours; ``docs.js`` must lie beside it as ``sql.js``."""
    told = Described(project, built)
    data = json.dumps(told.graph(), ensure_ascii=False).replace("<", "\\u003c")
    tests = [gate for name in project.models for gate in told._gates(name)]
    failing = sum(not gate.passed for gate in tests)
    summary = (
        f"{len(project.models)} models, {sum(len(model.columns) for model in project.models.values())} columns, "
        f"{len(built)} tables built, {len(tests)} test results, "
        + (f'<strong class="no">{failing} failing</strong>' if failing else "none failing")
    )
    sections = "\n".join(_section(told, model) for model in project.models.values())
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>SQL models</title>\n'
        f"{_STYLE}</head>\n<body>\n{navigation}<main>\n<h1>SQL models</h1>\n<p>{summary}</p>\n"
        '<p class="tools"><label for="search">Search models, columns, descriptions, SQL</label> '
        '<input id="search" type="search" autocomplete="off"> <output id="found" for="search"></output></p>\n'
        '<section aria-labelledby="graph-title"><h2 id="graph-title">Lineage</h2>\n'
        '<p id="how">Choose a model or one of its columns: what it comes from and what it feeds lights up. '
        "Tab moves, Enter chooses, Escape clears.</p>\n"
        '<div id="graph" hidden></div><div id="chosen" aria-live="polite" hidden></div>\n'
        "<noscript><p>The drawing needs a script; below, each column names what it comes from and feeds.</p></noscript>\n"
        f"</section>\n{sections}\n</main>\n"
        f'<script type="application/json" id="lineage">{data}</script>\n<script src="sql.js"></script>\n</body>\n</html>\n'
    )


def _section(told: Described, model: Model) -> str:
    name = model.name
    built = told.built.get(name)
    facts = [model.kind, *(["incremental by crawl"] if model.entry.incremental else [])]
    facts += [f"{built.rows:,} rows, made {built.made}"] if built else ["not built yet"]
    reads = ", ".join(_link(told, above) for above in told.reads(model)) or "nothing"
    readers = [other.name for other in told.project.models.values() if name in other.reads]
    fed = ", ".join(_link(told, below) for below in readers) or "no other model"
    columns = "".join(_column(told, built, name, column, said) for column, said in model.columns.items())
    return (
        f'<section class="model" id="{name}" aria-labelledby="{name}-title"><h2 id="{name}-title">{name}</h2>\n'
        f'<p class="facts">{" · ".join(map(_text, facts))}</p><p>{_text(model.description)}</p>\n'
        f"<p>Reads {reads}. Read by {fed}.</p>\n"
        '<div class="wide"><table><caption>Columns</caption><thead><tr><th scope="col">column</th><th scope="col">type</th>'
        '<th scope="col">what it is</th><th scope="col">comes from</th><th scope="col">feeds</th></tr></thead>'
        f"<tbody>{columns}</tbody></table></div>\n{_tests(model, built)}"
        f"<details><summary>SQL of {name}</summary><pre><code>{html.escape(model.sql)}</code></pre></details></section>"
    )


def _column(told: Described, built: Built | None, name: str, column: str, said: str) -> str:
    kind = built.types.get(column, "") if built else ""
    above = _columns(told, told.lineage[name].get(column, []), "nothing: a constant or a count")
    below = _columns(told, told.feeds.get((name, column), []), "")
    return (
        f'<tr id="{name}.{column}"><th scope="row"><a href="#{name}.{column}" class="column">{column}</a></th>'
        f"<td>{_text(kind)}</td><td>{_text(said)}</td><td>{above}</td><td>{below}</td></tr>"
    )


def _columns(told: Described, found: Sequence[tuple[str, str]], otherwise: str) -> str:
    """Columns as links; of assets that are read for the same column only the first few are named."""
    if not found:
        return f'<span class="dim">{otherwise}</span>'
    shown = [f"<li>{_link(told, name, column)}</li>" for name, column in found[:6]]
    more = len(found) - len(shown)
    return f"<ul>{''.join(shown)}{f'<li>and {more} more</li>' if more > 0 else ''}</ul>"


def _link(told: Described, name: str, column: str = "") -> str:
    label = f"{name}.{column}" if column else name
    if name not in told.project.models:
        return f"<code>{html.escape(label)}</code>"
    return f'<a href="#{html.escape(label)}">{html.escape(label)}</a>'


def _tests(model: Model, built: Built | None) -> str:
    said = {gate.name: gate for gate in built.gates} if built else {}
    rows = []
    for name, _, test in model.tests:
        gate = said.get(name)
        fate = "not run yet" if gate is None else "passes" if gate.passed else "fails" if test.blocking else "warns"
        sign = {"passes": "✓", "fails": "✗", "warns": "!"}.get(fate, "·")
        style = "yes" if fate == "passes" else "no" if fate in ("fails", "warns") else "dim"
        message = shortened(one_line(html.unescape(gate.message)), _MESSAGE) if gate else ""
        severity = "stops the line" if test.blocking else "only warns"
        rows.append(
            f'<tr><th scope="row">{name}</th><td class="{style}"><span aria-hidden="true">{sign}</span> {fate}</td>'
            f"<td>{severity}</td><td>{_text(message)}</td></tr>"
        )
    if not rows:
        return ""
    return (
        '<div class="wide"><table><caption>Tests</caption><thead><tr><th scope="col">test</th><th scope="col">last result</th>'
        f'<th scope="col">severity</th><th scope="col">found</th></tr></thead><tbody>{"".join(rows)}</tbody></table></div>\n'
    )


def _text(text: str) -> str:
    return html.escape(one_line(text))
