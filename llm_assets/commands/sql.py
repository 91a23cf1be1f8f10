"""``llm-assets sql``: a select over the warehouse, its list of tables, or a copy of it in one file.

Tables are the current ones of ``dbt_like_sql/``, and the shards of the data assets, of all crawls, under the assets' names.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import duckdb
import polars as pl

from llm_assets.core.artefact import Artefact
from llm_assets.core.errors import InputError, LlmAssetsError
from llm_assets.core.produce import store_root
from llm_assets.core.recipe import load_recipe
from llm_assets.core.store import Store
from llm_assets.sql import console
from llm_assets.sql.project import Project
from llm_assets.stages import all_specs
from llm_assets.stages.audit.model import table_file
from llm_assets.stages.audit.project import project

Form = Literal["table", "csv", "json", "markdown"]
_SHOWN_ROWS, _CELL_CHARS = 200, 80


def tables(store: Store, models: Project) -> dict[str, list[Path]]:
    """What can be asked: name → Parquet files. Of what was not made yet there is nothing."""
    found = {name: [made.file(table_file(name))] for name in models.models if (made := store.current(name)) is not None}
    for spec in all_specs().values():
        if spec.partitioned:
            shards = [path for made in _all(store, spec.name) for path in made.shards()]
            if shards:
                found[spec.name] = shards
    return found


def _all(store: Store, asset: str) -> Iterable[Artefact]:
    made = (store.current(asset, partition) for partition in store.partitions(asset))
    return [artefact for artefact in made if artefact is not None]


def run_sql(query: str, form: Form, export: Path | None) -> str:
    """The answer to a query, the tables that there are, or what was exported.

    Raises ``InputError`` where DuckDB refuses the query, ``LlmAssetsError`` where nothing was built yet.
    """
    store, models = Store(store_root(), load_recipe().name), project()
    found = tables(store, models)
    if not found:
        raise LlmAssetsError(f"no table was built yet under the recipe {store.recipe!r}; run: llm-assets demo")
    said = {name: model.description for name, model in models.models.items()}
    if export is not None:
        return _exported(found, export, said, {name: model.columns for name, model in models.models.items()})
    if not query:
        return _listed(found, said)
    try:
        with console.opened(found) as connection:
            asked = connection.extract_statements(query)
            if [one.type for one in asked] != [duckdb.StatementType.SELECT]:
                raise InputError("that is no question; ask one, with SELECT, DESCRIBE or SUMMARIZE")
            return _written(connection.sql(query).pl(), form)
    except duckdb.Error as error:
        raise console.said(error) from error


def _exported(found: dict[str, list[Path]], export: Path, said: dict[str, str], columns: dict[str, dict[str, str]]) -> str:
    if export.exists():
        raise InputError(f"{export} is there already; name a new file, or remove it first")
    if not export.parent.is_dir():
        raise InputError(f"{export.parent} is no folder; make it first")
    known = {name: columns[name] for name in found if name in columns}
    rows = console.export(found, export, said, known)
    return f"{len(rows)} tables, {sum(rows.values()):,} rows, {export.stat().st_size / 1e6:.1f} MB in {export}"


def _listed(found: dict[str, list[Path]], said: dict[str, str]) -> str:
    width = max(map(len, found))
    lines = []
    for name in sorted(found, key=lambda name: (name not in said, name)):
        rows = sum(pl.scan_parquet(path).select(pl.len()).collect().item() for path in found[name])
        what = " ".join(said.get(name, "shards of all crawls").split()).partition(". ")[0].rstrip(".")
        lines.append(f"{name:<{width}}  {rows:>10,}  {what}")
    return "\n".join(lines)


def _written(answer: pl.DataFrame, form: Form) -> str:
    if form == "csv":
        return answer.write_csv().rstrip("\n")
    if form == "json":
        return answer.write_json()
    with pl.Config(
        tbl_formatting="ASCII_MARKDOWN" if form == "markdown" else "UTF8_HORIZONTAL_ONLY",
        tbl_hide_dataframe_shape=True,
        tbl_hide_column_data_types=True,
        tbl_rows=_SHOWN_ROWS,
        tbl_cols=-1,
        fmt_str_lengths=_CELL_CHARS,
        tbl_width_chars=10_000,
        thousands_separator=False,
    ):
        shown = str(answer)
    more = answer.height - _SHOWN_ROWS
    return f"{shown}\n{more:,} rows more; --format csv or json shows all" if more > 0 else shown
