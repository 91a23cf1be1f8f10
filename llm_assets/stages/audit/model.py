"""The entry of every SQL model: builds the table that the work folder's asset names; ``schema.yml`` holds its gates.

The section of the recipe that bears a model's name, if there is one, holds the values of its ``{{ var('field') }}``.
"""

import math
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import polars as pl

from llm_assets.core import plots
from llm_assets.core.artefact import Artefact, Inputs, WorkDir
from llm_assets.core.progress import Progress
from llm_assets.core.readers import reading
from llm_assets.core.recipe.base import Section
from llm_assets.core.report import COLUMNS, Gate, Report
from llm_assets.sql.build import BuildResult, build, test_table
from llm_assets.sql.incremental import Earlier, earlier, marks, write_marks
from llm_assets.sql.lineage import by_asset
from llm_assets.sql.project import Model, Project
from llm_assets.stages.audit.project import project

FIRST_ROWS = 20
CELL_CHARACTERS = 200


def table_file(model: str) -> str:
    """The file, or folder of files, that holds a model's table in its artefact."""
    return f"{model}.parquet"


def run(inputs: Inputs, out: WorkDir, config: Section, progress: Progress) -> Report:
    """Build the model called ``out.asset`` into ``<model>.parquet``. ``SqlError`` where the SQL or the result is wrong."""
    found = project()
    model = found.model(out.asset)
    target = out.files / table_file(model.name)
    refs, before, now = _refs(inputs, model), Earlier(), {}
    if model.entry.incremental:
        now = marks(found, model, inputs.artefacts, refs)
        before = earlier(inputs.store, model, table_file(model.name), now)
        write_marks(out.files, now)
    with reading(inputs.store, before.artefact) if inputs.store is not None else nullcontext():
        result = build(
            found, model, inputs.artefacts, refs, target, config.model_dump(), before.table, before.crawls, test=False
        )
    progress.update(result.rows, result.rows, "rows")
    report = _report(found, model, result, out.files)
    if model.entry.incremental:
        report.metrics |= {"crawls_made": len(now) - len(before.crawls), "crawls_taken_over": len(before.crawls)}
    return report


def gates(inputs: Inputs, files: Path, config: Section, report: Report) -> list[Gate]:
    """The tests of schema.yml, on the table as it lies in the artefact."""
    found = project()
    model = found.model(report.metrics["model"])
    table = files / table_file(model.name)
    return test_table(found, model, inputs.artefacts, _refs(inputs, model), table, config.model_dump())


def identity_and_content(artefact: Artefact, inputs: Inputs, config: Section) -> str:
    """Fingerprint of an input whose manifest is read: the same content under another identity is another manifest."""
    return f"{artefact.identity}:{artefact.manifest().digest}"


def _refs(inputs: Inputs, model: Model) -> dict[str, Path]:
    return {name: inputs.one(name).file(table_file(name)) for name in model.refs}


def _report(found: Project, model: Model, result: BuildResult, files: Path) -> Report:
    table = pl.scan_parquet(files / table_file(model.name))
    drawn = {}
    for number, plot in enumerate(model.entry.plots):
        name = f"plots/{number}.png"
        summed = table.group_by(plot.label, maintain_order=True).agg(pl.col(plot.value).sum()).collect()
        summed = summed.sort(plot.value, descending=True, maintain_order=True) if summed.height > plots.MAX_BARS else summed
        labels = [" · ".join(str(part) for part in row) for row in summed.select(plot.label).rows()]
        plots.bars(files / name, labels, summed[plot.value].to_list(), title=plot.title, x=plot.value.replace("_", " "))
        drawn[plot.title] = name
    above = by_asset(found, model.name)
    columns = {
        column: {"type": kind, "description": model.columns[column], "from": [list(origin) for origin in above[column]]}
        for column, kind in result.schema.items()
    }
    return Report(
        counts={"rows": result.rows},
        metrics={"model": model.name, "layer": model.kind, COLUMNS: columns},
        plots=drawn,
        tables={"First rows": _rows(table.head(FIRST_ROWS).collect())},
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
