"""Column lineage: which columns of which tables and files a model's column comes from, read off the SQL by sqlglot.

Only what a value is computed from counts; columns that merely filter, join or sort rows are not its origin.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from llm_assets.sql.build import ORIGIN
from llm_assets.sql.errors import SqlError, near
from llm_assets.sql.project import Model, Project
from llm_assets.sql.templates import render


@dataclass(frozen=True, order=True)
class Origin:
    """A column of a relation: of another model, or of an artefact's files (``asset/files``)."""

    relation: str
    column: str


def column_lineage(project: Project, name: str) -> dict[str, list[Origin]]:
    """Column → the columns one step up that it is computed from, sorted; none for a constant.

    Raises ``SqlError`` where sqlglot can't follow the SQL.
    """
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError
    from sqlglot.lineage import lineage
    from sqlglot.optimizer.qualify import qualify

    model = project.model(name)
    text = render(model.sql, model.where, lambda reference: reference.relation)
    schema: dict[str, object] = {
        relation: dict.fromkeys(columns, "VARCHAR") for relation, columns in _upstream(project, model).items()
    }
    try:
        tree = qualify(sqlglot.parse_one(text, dialect="duckdb"), schema=schema, dialect="duckdb")
        if not isinstance(tree, exp.Query):
            raise SqlError(f"{model.where}: a model is one SELECT, this is {tree.key.upper()}")
        _by_position(tree)
        found = {}
        for column in model.columns:
            root = lineage(column, tree.copy(), schema=schema, dialect="duckdb")
            found[column] = sorted(set(_leaves(root)))
    except SqlglotError as error:
        raise SqlError(f"{model.where}: its lineage can't be read: {error}") from error
    return found


def origins(project: Project, name: str, column: str) -> list[Origin]:
    """The columns of artefacts' files that a column goes back to, through all models between."""
    columns = project.model(name).columns
    if column not in columns:
        raise SqlError(f"{name} has no column {column!r}; {near(column, columns)}")
    return sorted(_origins(project, name, column, {}))


def by_asset(project: Project, name: str) -> dict[str, list[tuple[str, str]]]:
    """Column → (asset, column) one step up, as Dagster has it: a column of another model's table, or ``<file>.<column>`` of an
    artefact; of every asset that a group such as ``*`` stands for.
    """
    found: dict[str, list[tuple[str, str]]] = {}
    for column, above in column_lineage(project, name).items():
        rows: list[tuple[str, str]] = []
        for origin in above:
            if origin.relation in project.models:
                rows.append((origin.relation, origin.column))
            else:
                asset, _, files = origin.relation.partition("/")
                rows += [(one, f"{files}.{origin.column}") for one in project.assets(asset, files)]
        found[column] = rows
    return found


def _origins(project: Project, name: str, column: str, seen: dict[str, dict[str, list[Origin]]]) -> set[Origin]:
    if name not in seen:
        seen[name] = column_lineage(project, name)
    found: set[Origin] = set()
    for origin in seen[name][column]:
        if origin.relation in project.models:
            found |= _origins(project, origin.relation, origin.column, seen)
        else:
            found.add(origin)
    return found


def _by_position(tree: Any) -> None:
    """Turn each ``UNION BY NAME`` below a qualified tree into one by position, which is what sqlglot takes it for."""
    from sqlglot import exp

    for union in reversed(list(tree.find_all(exp.SetOperation))):  # those within first
        if not union.args.get("by_name"):
            continue
        sides = [(side, side.named_selects) for side in (union.this, union.expression)]
        names = list(dict.fromkeys(name for _, found in sides for name in found))
        for side, found in sides:
            for select in _selects(side):
                columns = dict(zip(found, select.expressions, strict=True))
                select.set("expressions", [columns.get(name) or exp.alias_(exp.null(), name) for name in names])
        union.set("by_name", False)


def _selects(query: Any) -> Iterator[Any]:
    """The selects whose rows a query puts one below the other."""
    from sqlglot import exp

    if isinstance(query, exp.Subquery):
        yield from _selects(query.this)
    elif isinstance(query, exp.SetOperation):
        yield from _selects(query.this)
        yield from _selects(query.expression)
    else:
        yield query


def _upstream(project: Project, model: Model) -> dict[str, list[str]]:
    relations = {name: list(project.models[name].columns) for name in model.refs}
    for asset, files in model.sources:
        relations[f"{asset}/{files}"] = [*(c.name for c in project.source(asset, files).columns), *ORIGIN]
    return relations


def _leaves(node: Any) -> Iterator[Origin]:
    from sqlglot import exp

    for below in node.downstream:
        yield from _leaves(below)
    if not node.downstream and isinstance(node.expression, exp.Table):
        column = node.name.rpartition(".")[2].strip('"')
        yield Origin(node.expression.name, column)
