"""``schema.yml`` and ``sources.yml``: descriptions, tests, and what the artefacts' files hold.

The form follows dbt where it can, so that who knows dbt can read it:

    models:
      - name: funnel
        description: …
        tests: [not_empty, {unique_combination: {columns: [crawl, stage]}}]
        columns:
          - name: crawl
            description: …
            tests: [not_null, {accepted_values: {values: [a, b]}}, {relationships: {to: stg_ledger, field: crawl}}]

A test may say ``severity: warn``: then it reports and does not block. A model may say ``incremental: crawl``: its rows are made
crawl by crawl, and those of crawls that did not change are taken from the table before (``llm_assets.sql.incremental``).
"""

import re
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from llm_assets.sql.errors import SqlError, near

ColumnKind = Literal["unique", "not_null", "accepted_values", "relationships"]
TableKind = Literal["not_empty", "unique_combination", "sql"]
_ARGUMENTS: dict[str, set[str]] = {
    "unique": set(),
    "not_null": set(),
    "accepted_values": {"values"},
    "relationships": {"to", "field"},
    "not_empty": set(),
    "unique_combination": {"columns"},
    "sql": {"name", "description", "query"},
}
_ON_COLUMNS = ("unique", "not_null", "accepted_values", "relationships")


# libyaml's safe loader, where there is one, reads the project ten times as fast: it is read whenever definitions load
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Test(_Entry):
    """One test. ``arguments`` as the kind wants them; ``blocking`` unless its severity is ``warn``."""

    __test__ = False  # pytest: not a test of ours

    kind: str
    arguments: dict[str, Any] = {}
    blocking: bool = True

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        """``not_null``, ``{accepted_values: {values: […], severity: warn}}``."""
        if isinstance(value, str):
            value = {value: {}}
        if not isinstance(value, dict) or len(value) != 1:
            raise ValueError("a test is a name, or one name with its arguments")
        kind, arguments = next(iter(value.items()))
        if kind not in _ARGUMENTS:
            raise ValueError(f"no test is named {kind!r}; {near(str(kind), _ARGUMENTS)}")
        arguments = dict(arguments or {})
        severity = arguments.pop("severity", "error")
        if severity not in ("error", "warn"):
            raise ValueError(f"severity is {severity!r}; allowed: error, warn")
        if set(arguments) != _ARGUMENTS[kind]:
            wanted, given = ", ".join(sorted(_ARGUMENTS[kind])) or "none", ", ".join(sorted(arguments)) or "none"
            raise ValueError(f"{kind} takes the arguments {wanted}; given: {given}")
        return {"kind": kind, "arguments": arguments, "blocking": severity == "error"}

    def name(self, column: str = "") -> str:
        """How the gate is called: ``url_not_null``, ``not_empty``, or the name that a custom test gives."""
        if self.kind == "sql":
            return str(self.arguments["name"])
        if self.kind == "unique_combination":
            return "_".join([*self.arguments["columns"], "unique"])
        return f"{column}_{self.kind}" if column else self.kind


class Column(_Entry):
    """A column of a model."""

    name: str
    description: str = Field(min_length=1)
    tests: list[Test] = []

    @model_validator(mode="after")
    def _tests_are_for_columns(self) -> "Column":
        for test in self.tests:
            if test.kind not in _ON_COLUMNS:
                raise ValueError(f"{test.kind} tests a whole table; write it under the model's own tests")
        return self


class Plot(_Entry):
    """Bars of one column, labelled by others."""

    title: str
    label: list[str] = Field(min_length=1)
    value: str


class ModelEntry(_Entry):
    """What ``schema.yml`` says of one model."""

    name: str
    description: str = Field(min_length=1)
    columns: list[Column] = Field(min_length=1)
    tests: list[Test] = []
    plots: list[Plot] = []
    incremental: Literal["", "crawl"] = ""

    @model_validator(mode="after")
    def _consistent(self) -> "ModelEntry":
        for test in self.tests:
            if test.kind in _ON_COLUMNS:
                raise ValueError(f"{test.kind} tests one column; write it under that column")
        names = [name for name, _, _ in self.all_tests()]
        if len(set(names)) < len(names):
            raise ValueError(f"two tests have the same name: {', '.join(sorted(n for n in set(names) if names.count(n) > 1))}")
        for name in names:
            if not re.fullmatch(r"[A-Za-z0-9_]+", name):
                raise ValueError(f"a test can't be called {name!r}; use letters, digits and '_'")
        columns = [column.name for column in self.columns]
        if len(set(columns)) < len(columns):
            raise ValueError("a column is described twice")
        if self.incremental and columns[0] != self.incremental:
            raise ValueError(f"a model that is incremental by {self.incremental} has that as its first column")
        used = {name for test in self.tests if test.kind == "unique_combination" for name in test.arguments["columns"]}
        used |= {name for plot in self.plots for name in (*plot.label, plot.value)}
        for name in sorted(used - set(columns)):
            raise ValueError(f"no column is named {name!r}; {near(name, columns)}")
        return self

    def all_tests(self) -> list[tuple[str, str, Test]]:
        """(gate name, column or "", test), the table's first."""
        whole = [(test.name(), "", test) for test in self.tests]
        return whole + [(test.name(c.name), c.name, test) for c in self.columns for test in c.tests]


class SourceColumn(_Entry):
    """A column of an artefact's file, with its DuckDB type."""

    name: str
    type: str
    description: str = Field(min_length=1)


class SourceEntry(_Entry):
    """What some artefacts' files hold: ``files`` is a name, or a pattern below the artefact's folder (Parquet or JSON)."""

    assets: list[str] = Field(min_length=1)
    files: str = Field(pattern=r"\.(parquet|json)$")
    description: str = Field(min_length=1)
    columns: list[SourceColumn] = Field(min_length=1)


class SchemaFile(_Entry):
    """One ``.yml`` of the project."""

    models: list[ModelEntry] = []
    sources: list[SourceEntry] = []
    partitioned: list[str] = []  # assets with one artefact a crawl
    holders: list[str] = []  # assets whose history source('x[used]', …) goes back through


def load_schema(path: Path) -> SchemaFile:
    """Read and validate one file. Raises ``SqlError`` naming file and entry."""
    try:
        tree = yaml.load(path.read_text("utf-8"), Loader=_LOADER) or {}
    except yaml.YAMLError as error:
        raise SqlError(f"{path}: not valid YAML: {error}") from error
    try:
        return SchemaFile.model_validate(tree)
    except ValidationError as error:
        raise SqlError("\n".join(f"{path.name}: {_sentence(tree, item)}" for item in error.errors())) from error


def _sentence(tree: Any, item: Any) -> str:
    """``models.funnel.columns.crawl: Field required``: entries by their name rather than by their number."""
    parts, place = [], tree
    for part in item["loc"]:
        try:
            place = place[part]
        except (KeyError, IndexError, TypeError):
            place = None
        parts.append(str(place["name"]) if isinstance(part, int) and isinstance(place, dict) and "name" in place else str(part))
    return f"{'.'.join(parts)}: {item['msg'].removeprefix('Value error, ')}"
