"""Builds one model: DuckDB in memory, views over Parquet and JSON files, Parquet out.

Sources become views with exactly the columns that ``sources.yml`` declares, cast to the declared types, plus ``_asset``,
``_partition`` and ``_identity`` of the artefact that holds the row; a source without artefacts is an empty table, so that
models work while half the graph is not there yet. Rows are sorted by all columns, left to right: the same input gives the
same file. The table of an incremental model is a folder with a file a crawl.
"""

import re
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from llm_assets.core.artefact import Artefact
from llm_assets.core.report import Gate
from llm_assets.sql.checks import run_tests
from llm_assets.sql.errors import SqlError
from llm_assets.sql.project import Model, Project
from llm_assets.sql.schema import SourceEntry
from llm_assets.sql.templates import literal, quoted, render

Sources = Mapping[str, Sequence[Artefact]]
_PART = "of-"  # of-<crawl>.parquet: a crawl's rows in an incremental model's folder
ORIGIN = ("_asset", "_partition", "_identity")  # columns that every source has besides its own


@dataclass(frozen=True)
class BuildResult:
    """A built table: its rows, its columns with DuckDB types, and what its tests say."""

    rows: int
    schema: dict[str, str]
    tests: list[Gate]


def build(
    project: Project,
    model: Model,
    sources: Sources,
    refs: Mapping[str, Path],
    out: Path,
    values: Mapping[str, Any],
    earlier: Path | None = None,
    kept: Collection[str] = (),
    test: bool = True,
) -> BuildResult:
    """Run a model over the artefacts of ``sources`` (by asset) and the Parquet files of ``refs`` (by model) into ``out``.

    ``values`` are those of its ``var``s. An incremental model is run once a crawl, over what is of that crawl, into a file of
    its own below the folder ``out``; those of the crawls ``kept`` are copied from the folder ``earlier`` instead.
    Raises ``SqlError`` naming model and line where DuckDB refuses the SQL, a file lacks a declared column, or the result's
    columns are not those that schema.yml describes. Failing tests raise nothing: they are in the result.
    """
    with connect() as connection:
        text = render(model.sql, model.where, lambda reference: reference.relation, values)
        _no_order(model, text)
        out.parent.mkdir(parents=True, exist_ok=True)
        if model.entry.incremental:
            _by_crawl(connection, project, model, sources, refs, text, out, earlier, kept)
        _views(connection, project, model, sources, refs)
        if model.entry.incremental:
            _view(connection, model.name, f"SELECT * FROM {reader([out])}")
        else:
            # "create table … as" stands on the first line of the model, so that DuckDB's line numbers are the model's
            _run(connection, f"CREATE TABLE {quoted(model.name)} AS {text}", model)
        schema = _schema(connection, model)
        if not model.entry.incremental:
            _run(connection, f"COPY (SELECT * FROM {quoted(model.name)} ORDER BY ALL) {_into(out)}", model)
        rows = connection.execute(f"SELECT count(*) FROM {quoted(model.name)}").fetchall()[0][0]
        return BuildResult(int(rows), schema, run_tests(connection, model, values) if test else [])


def _into(path: Path) -> str:
    return f"TO {literal(str(path))} (FORMAT parquet, COMPRESSION zstd)"


def test_table(
    project: Project,
    model: Model,
    sources: Sources,
    refs: Mapping[str, Path],
    table: Path,
    values: Mapping[str, Any] | None = None,
) -> list[Gate]:
    """The model's tests on a table that was built before."""
    with connect() as connection:
        _views(connection, project, model, sources, refs)
        _view(connection, model.name, f"SELECT * FROM {reader([table])}")
        return run_tests(connection, model, values or {})


test_table.__test__ = False  # type: ignore[attr-defined]


@contextmanager
def connect() -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB in memory, in UTC, that never fetches an extension and spills where temporary files belong."""
    with tempfile.TemporaryDirectory(prefix="llm_assets_sql_") as spill:  # its default is .tmp in the current folder
        connection = duckdb.connect(config={"autoinstall_known_extensions": "false", "temp_directory": spill})
        try:
            connection.execute("SET TimeZone = 'UTC'")
            yield connection
        finally:
            connection.close()


def _by_crawl(
    connection: duckdb.DuckDBPyConnection,
    project: Project,
    model: Model,
    sources: Sources,
    refs: Mapping[str, Path],
    text: str,
    out: Path,
    earlier: Path | None,
    kept: Collection[str],
) -> None:
    """Make the folder of an incremental model: a file without rows, which has its columns, and a sorted file a crawl."""
    if out.is_dir():  # of a run that was killed
        shutil.rmtree(out)
    out.unlink(missing_ok=True)
    out.mkdir()
    _views(connection, project, model, {}, refs, crawl="")
    _run(connection, f"COPY (SELECT * FROM ({text})) {_into(out / 'schema.parquet')}", model)
    for crawl in sorted(_crawls(project, model, sources, refs) | set(kept)):
        part = out / f"{_PART}{crawl}.parquet"
        if earlier is not None and crawl in kept:
            shutil.copyfile(earlier / part.name, part)
            continue
        own = {asset: [artefact for artefact in found if artefact.partition == crawl] for asset, found in sources.items()}
        _views(connection, project, model, own, refs, crawl=crawl)
        made = _run(connection, f"COPY (SELECT * FROM ({text}) ORDER BY ALL) {_into(part)}", model)
        of_crawl = f"SELECT count(*) FROM {reader([part])} WHERE crawl = {literal(crawl)}"
        mine = connection.execute(of_crawl).fetchall()[0][0]
        if made != mine:
            raise SqlError(
                f"{model.where}: it is incremental by crawl, but its rows over what is of {crawl} say otherwise: {made:,} "
                f"rows, {mine:,} of that crawl; its first column must be the crawl whose artefacts a row is made of"
            )


def _crawls(project: Project, model: Model, sources: Sources, refs: Mapping[str, Path]) -> set[str]:
    """The crawls that an incremental model reads."""
    found = {artefact.partition for asset in project.source_assets(model) for artefact in sources.get(asset, ())}
    parts = [path for name in model.reads for path in refs[name].glob(f"{_PART}*.parquet")]
    return found | {path.name.removeprefix(_PART).removesuffix(".parquet") for path in parts}


def _views(
    connection: duckdb.DuckDBPyConnection,
    project: Project,
    model: Model,
    sources: Sources,
    refs: Mapping[str, Path],
    crawl: str | None = None,
) -> None:
    """A view for each source and ref of a model; with ``crawl``, refs show the rows of that crawl alone."""
    for asset, files in model.sources:
        entry = project.source(asset, files)
        artefacts = [artefact for name in project.assets(asset, files) for artefact in sources.get(name, ())]
        _source_view(connection, model, f"{asset}/{files}", entry, artefacts)
    for name in model.refs:
        if name not in refs:
            raise SqlError(f"{model.where}: the table of {name} is not built; build it first")
        only = "" if crawl is None or name not in model.reads else f" WHERE crawl = {literal(crawl)}"
        _view(connection, name, f"SELECT * FROM {reader([refs[name]])}{only}")


def _source_view(
    connection: duckdb.DuckDBPyConnection, model: Model, name: str, entry: SourceEntry, artefacts: Sequence[Artefact]
) -> None:
    columns = ", ".join(f"CAST({quoted(c.name)} AS {c.type}) AS {quoted(c.name)}" for c in entry.columns)
    parts = []
    for artefact in artefacts:
        # a plain name must be there; a pattern may match nothing
        paths = artefact.shards(entry.files) if any(sign in entry.files for sign in "*?[") else [artefact.file(entry.files)]
        if not paths:
            continue
        origin = (artefact.asset, artefact.partition, artefact.identity)
        labels = ", ".join(f"{literal(value)} AS {column}" for column, value in zip(ORIGIN, origin, strict=True))
        parts.append(f"SELECT {columns}, {labels} FROM {reader(paths, entry)}")
    if not parts:
        nulls = ", ".join(f"CAST(NULL AS {c.type}) AS {quoted(c.name)}" for c in entry.columns)
        labels = ", ".join(f"CAST(NULL AS VARCHAR) AS {column}" for column in ORIGIN)
        parts = [f"SELECT {nulls}, {labels} WHERE false"]
    try:
        _view(connection, name, " UNION ALL ".join(parts))
    except duckdb.Error as error:
        first = str(error).split("\n\n")[0]
        raise SqlError(
            f"{model.where}: the files of {name} are not as sources.yml says: {first}; mend sources.yml, or materialise "
            "the asset again if an older version made it"
        ) from error


def _view(connection: duckdb.DuckDBPyConnection, name: str, query: str) -> None:
    connection.execute(f"CREATE OR REPLACE VIEW {quoted(name)} AS {query}")


def reader(paths: Sequence[Path], entry: SourceEntry | None = None) -> str:
    """The table function of DuckDB that reads these files, all Parquet (or folders of such) or, as ``entry`` says, JSON."""
    paths = [file for path in paths for file in (sorted(path.glob("*.parquet")) if path.is_dir() else [path])]
    # DuckDB takes a path for a pattern: brackets, stars and question marks in it must stand for themselves
    listed = ", ".join(literal(re.sub(r"([\[*?])", r"[\1]", str(path.resolve()))) for path in paths)
    if entry is not None and entry.files.endswith(".json"):
        types = ", ".join(f"{quoted(c.name)}: {literal(c.type)}" for c in entry.columns)
        return f"read_json([{listed}], columns = {{{types}}}, format = 'unstructured')"
    return f"read_parquet([{listed}])"


def _run(connection: duckdb.DuckDBPyConnection, statement: str, model: Model) -> int:
    """Execute it; returns the rows that it made."""
    try:
        return int(connection.execute(statement).fetchall()[0][0])
    except duckdb.Error as error:
        line = re.search(r"^LINE (\d+):", str(error), re.MULTILINE)
        place = f"{model.where}, line {line[1]}" if line else model.where
        what = " ".join(str(error).split("\n\nLINE")[0].split())
        raise SqlError(f"{place}: {what}") from error


def _no_order(model: Model, text: str) -> None:
    import sqlglot
    from sqlglot import exp

    try:
        tree = sqlglot.parse_one(text, dialect="duckdb")
    except sqlglot.ParseError:
        return  # DuckDB is the judge of what is SQL, and says it better
    if isinstance(tree, exp.Query) and tree.args.get("order") and not tree.args.get("limit"):
        raise SqlError(
            f"{model.where}: rows are always sorted by all columns, left to right, so that the same input gives the same file; "
            "put the columns to sort by first and leave ORDER BY out"
        )


def _schema(connection: duckdb.DuckDBPyConnection, model: Model) -> dict[str, str]:
    found = {str(row[0]): str(row[1]) for row in connection.execute(f"DESCRIBE {quoted(model.name)}").fetchall()}
    undescribed = [name for name in found if name not in model.columns]
    missing = [name for name in model.columns if name not in found]
    if undescribed or missing:
        says = f"schema.yml does not describe {', '.join(undescribed)}" if undescribed else ""
        lacks = f"the table lacks {', '.join(missing)}, which schema.yml describes" if missing else ""
        raise SqlError(f"{model.where}: {'; '.join(part for part in (says, lacks) if part)}")
    return found
