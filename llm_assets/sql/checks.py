"""Tests from ``schema.yml`` as gates: each is a query for the rows that break it, and passes where there are none."""

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb

from llm_assets.core.expectations import sample
from llm_assets.core.report import Gate
from llm_assets.sql.errors import SqlError
from llm_assets.sql.project import Model
from llm_assets.sql.schema import Test
from llm_assets.sql.templates import literal, quoted, render

_SHOWN = 3


def run_tests(connection: duckdb.DuckDBPyConnection, model: Model, values: Mapping[str, Any]) -> list[Gate]:
    """All tests of a model whose table (or view) and refs are in the connection under their names."""
    rows = connection.execute(f"SELECT count(*) FROM {quoted(model.name)}").fetchall()[0][0]
    return [_gate(connection, model, name, column, test, int(rows), values) for name, column, test in model.tests]


def gate_names(model: Model) -> tuple[str, ...]:
    """The gates that ``run_tests`` returns, known without running anything."""
    return tuple(name for name, _, _ in model.tests)


def _gate(
    connection: duckdb.DuckDBPyConnection,
    model: Model,
    name: str,
    column: str,
    test: Test,
    rows: int,
    values: Mapping[str, Any],
) -> Gate:
    if test.kind == "not_empty":
        message = f"{rows:,} rows" if rows else "no rows; materialise what it reads first"
        return Gate(name, rows > 0, message, {"rows": rows}, test.blocking)
    query, rule = _query(model, column, test, values)
    try:
        failing = connection.execute(f"SELECT count(*) FROM ({query}\n)").fetchall()[0][0]
        examples = (
            connection.execute(f"SELECT COLUMNS(*)::VARCHAR FROM ({query}\n) LIMIT {_SHOWN}").fetchall() if failing else []
        )
    except duckdb.Error as error:
        raise SqlError(f"{model.name}: test {name}: {error}") from error
    message = (
        f"{rule}: holds for {rows:,} rows" if not failing else f"{rule}: {failing:,} breaks it, such as {_shown(examples)}"
    )
    if failing > 1:
        message = message.replace(" breaks it", " break it")
    return Gate(name, not failing, message, {"rows": rows, "failing": int(failing)}, test.blocking)


def _query(model: Model, column: str, test: Test, values: Mapping[str, Any]) -> tuple[str, str]:
    """The query for what breaks a test, and the rule in words."""
    this, name, arguments = quoted(model.name), quoted(column), test.arguments
    if test.kind == "not_null":
        return f"SELECT * FROM {this} WHERE {name} IS NULL", f"{column} is never null"
    if test.kind == "unique":
        return _repeated(this, [column]), f"{column} is unique"
    if test.kind == "unique_combination":
        return _repeated(this, arguments["columns"]), f"({', '.join(arguments['columns'])}) is unique"
    if test.kind == "accepted_values":
        allowed = ", ".join(literal(str(value)) for value in arguments["values"])
        rule = f"{column} is one of {', '.join(str(value) for value in arguments['values'])}"
        return f"SELECT {name}, count(*) AS n FROM {this} WHERE {name}::VARCHAR NOT IN ({allowed}) GROUP BY 1 ORDER BY 1", rule
    if test.kind == "relationships":
        to, field = arguments["to"], arguments["field"]
        query = f"SELECT DISTINCT {name} FROM {this} ANTI JOIN {quoted(to)} AS other ON {this}.{name} = other.{quoted(field)}"
        return f"{query} WHERE {this}.{name} IS NOT NULL ORDER BY 1", f"every {column} is a {field} of {to}"
    text = render(arguments["query"], f"{model.name}: test {arguments['name']}", lambda r: r.relation or model.name, values)
    return text.rstrip().rstrip(";"), str(arguments["description"]).rstrip(".")


def _repeated(this: str, columns: Sequence[str]) -> str:
    """Nulls are not compared, as in SQL's own UNIQUE: ask for not_null apart."""
    named = ", ".join(quoted(column) for column in columns)
    present = " AND ".join(f"{quoted(column)} IS NOT NULL" for column in columns)
    return f"SELECT {named}, count(*) AS n FROM {this} WHERE {present} GROUP BY {named} HAVING count(*) > 1 ORDER BY ALL"


def _shown(rows: list[Any]) -> str:
    return "; ".join(sample(", ".join("null" if value is None else str(value) for value in row)) for row in rows)
