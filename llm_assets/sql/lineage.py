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
