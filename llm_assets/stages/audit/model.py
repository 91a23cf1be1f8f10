"""The entry of every SQL model: builds the table that the work folder's asset names; ``schema.yml`` holds its gates."""

import math
from pathlib import Path
from typing import Any

import polars as pl

from llm_assets.core import plots
from llm_assets.core.artefact import Artefact, Inputs, WorkDir
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.base import Section
from llm_assets.core.report import Gate, Report
from llm_assets.sql.build import BuildResult, build, test_table
from llm_assets.sql.project import Model
from llm_assets.stages.audit.project import project

FIRST_ROWS = 20
CELL_CHARACTERS = 200


def table_file(model: str) -> str:
    """The file that holds a model's table, in its artefact."""
    return f"{model}.parquet"


def run(inputs: Inputs, out: WorkDir, config: Section, progress: Progress) -> Report:
    """Build the model called ``out.asset`` into ``<model>.parquet``. ``SqlError`` where the SQL or the result is wrong."""
    found = project()
    model = found.model(out.asset)
    target = out.files / table_file(model.name)
    result = build(found, model, inputs.artefacts, _refs(inputs, model), target)
    progress.update(result.rows, result.rows, "rows")
    return _report(model, result, out.files)


def gates(inputs: Inputs, files: Path, config: Section, report: Report) -> list[Gate]:
    """The tests of schema.yml, on the table as it lies in the artefact."""
    found = project()
    model = found.model(report.metrics["model"])
    return test_table(found, model, inputs.artefacts, _refs(inputs, model), files / table_file(model.name))


def identity_and_content(artefact: Artefact, inputs: Inputs, config: Section) -> str:
    """Fingerprint of an input whose manifest is read: the same content under another identity is another manifest."""
    return f"{artefact.identity}:{artefact.manifest().digest}"


def _refs(inputs: Inputs, model: Model) -> dict[str, Path]:
    return {name: inputs.one(name).file(table_file(name)) for name in model.refs}


def _report(model: Model, result: BuildResult, files: Path) -> Report:
    table = pl.read_parquet(files / table_file(model.name))
    drawn = {}
    for number, plot in enumerate(model.entry.plots):
        name = f"plots/{number}.png"
        summed = table.group_by(plot.label, maintain_order=True).agg(pl.col(plot.value).sum())
        summed = summed.sort(plot.value, descending=True, maintain_order=True) if summed.height > plots.MAX_BARS else summed
        labels = [" · ".join(str(part) for part in row) for row in summed.select(plot.label).rows()]
        plots.bars(files / name, labels, summed[plot.value].to_list(), title=plot.title, x=plot.value.replace("_", " "))
        drawn[plot.title] = name
    columns = [{"column": column, "type": kind, "description": model.columns[column]} for column, kind in result.schema.items()]
    return Report(
        counts={"rows": result.rows},
        metrics={"model": model.name, "layer": model.kind},
        plots=drawn,
        tables={"Columns": columns, "First rows": _rows(table.head(FIRST_ROWS))},
        samples={"SQL": model.sql},
    )


def _rows(table: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON scalars: numbers as they are, the rest as text that fits a cell."""
    return [{name: _cell(value) for name, value in row.items()} for row in table.iter_rows(named=True)]


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return str(value)[:CELL_CHARACTERS]
