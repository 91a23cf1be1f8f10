"""Questions to what was built: every table under its name, in DuckDB, for a select or for a file that other clients open.

Tables are Parquet files that nobody writes again, so a view costs nothing; a file of its own holds copies.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from llm_assets.core.errors import InputError
from llm_assets.core.shards import replacing
from llm_assets.sql.build import connect, reader
from llm_assets.sql.templates import literal, quoted

Tables = Mapping[str, Sequence[Path]]  # name → its Parquet files, of one schema


@contextmanager
def opened(tables: Tables) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with a view for each table."""
    with connect() as connection:
        for name, files in tables.items():
            connection.execute(f"CREATE VIEW {quoted(name)} AS SELECT * FROM {reader(files)}")
        yield connection


def export(
    tables: Tables, target: Path, comments: Mapping[str, str], columns: Mapping[str, Mapping[str, str]] | None = None
) -> dict[str, int]:
    """Write all tables into one ``.duckdb`` file, whole or not at all. Returns rows by table.

    ``comments``: what is said of a table; ``columns``: of its columns.
    """
    with replacing(target) as path, connect() as connection:
        connection.execute(f"ATTACH {literal(str(path))} AS made")
        rows = {}
        for name, files in tables.items():
            connection.execute(f"CREATE TABLE made.{quoted(name)} AS SELECT * FROM {reader(files)}")
            if name in comments:
                connection.execute(f"COMMENT ON TABLE made.{quoted(name)} IS {literal(comments[name])}")
            held = {row[0] for row in connection.execute(f"DESCRIBE made.{quoted(name)}").fetchall()}
            for column, told in (columns or {}).get(name, {}).items():
                if column in held:
                    place = f"made.{quoted(name)}.{quoted(column)}"
                    connection.execute(f"COMMENT ON COLUMN {place} IS {literal(told)}")
            (count,) = connection.execute(f"SELECT count(*) FROM made.{quoted(name)}").fetchall()[0]
            rows[name] = int(count)
        connection.execute("DETACH made")
        return rows


def said(error: duckdb.Error) -> InputError:
    """DuckDB's complaint, which names near misses, as one sentence."""
    return InputError(" ".join(str(error).split("\n\nLINE")[0].split()))
