"""``dagster_events``: what Dagster remembers of its runs, as tables: runs, what they made and where they failed, checks.

A copy of the instance's SQLite files at the time of the run, so that SQL models stay functions of artefacts. Only runs that
have ended are in it. Messages and metadata are left out: they may quote documents, and a removal must not have to look here.
Without an instance the tables are empty; another storage than SQLite is said by the gate.
"""

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.errors import StoreError
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.audit import DagsterEventsConfig
from llm_assets.core.report import Gate, Report

RUNS_FILE, EVENTS_FILE, CHECKS_FILE = "runs.parquet", "events.parquet", "checks.parquet"
_TIME: Any = pl.Datetime("us", "UTC")
RUNS = pl.Schema(
    {"run_id": pl.String, "job": pl.String, "status": pl.String, "crawl": pl.String, "started_at": _TIME, "ended_at": _TIME}
)
EVENTS = pl.Schema(
    {"at": _TIME, "run_id": pl.String, "type": pl.String, "asset": pl.String, "crawl": pl.String, "error": pl.String}
)
CHECKS = pl.Schema(
    {
        "at": _TIME,
        "run_id": pl.String,
        "asset": pl.String,
        "crawl": pl.String,
        "check_name": pl.String,
        "passed": pl.Boolean,
        "severity": pl.String,
        "blocking": pl.Boolean,
    }
)
_ENDED = ("SUCCESS", "FAILURE", "CANCELED")
_KEPT = ("ASSET_MATERIALIZATION", "ASSET_FAILED_TO_MATERIALIZE")
_UNPARTITIONED = "all"
_WAIT_S = 10.0  # for a writer that holds the file


def instance_home(inputs: Inputs, config: DagsterEventsConfig) -> Path | None:
    """Where the instance's files are; None where there is nowhere to look."""
    chosen = config.home or os.environ.get("DAGSTER_HOME", "")
    if chosen:
        return Path(chosen).expanduser()
    return inputs.store / ".dagster" if inputs.store is not None else None


def run(inputs: Inputs, out: WorkDir, config: DagsterEventsConfig, progress: Progress) -> Report:
    """Copy the history. ``StoreError`` where a file of it can't be read as what it should be."""
    home = instance_home(inputs, config)
    history = _history(home) if home is not None else None
    kind = _storage(home) if home is not None else ""
    read = history is not None and kind in ("", "sqlite")
    runs, events, checks = _read(history) if history is not None and read else ([], [], [])
    for name, rows, schema in ((RUNS_FILE, runs, RUNS), (EVENTS_FILE, events, EVENTS), (CHECKS_FILE, checks, CHECKS)):
        pl.DataFrame(rows, schema=schema, orient="row").sort(schema.names()).write_parquet(out.files / name, compression="zstd")
    progress.update(len(runs), len(runs), "runs")
    counts = {"runs": len(runs), "events": len(events), "checks": len(checks)}
    return Report(counts=counts, metrics={"storage": "sqlite" if read else kind or "none"})


def gates(inputs: Inputs, files: Path, config: DagsterEventsConfig, report: Report) -> list[Gate]:
    """Warns where there is a history that can't be read from here."""
    storage = str(report.metrics["storage"])
    known = storage in ("sqlite", "none")
    told = f"{report.counts['runs']:,} runs that ended, {report.counts['checks']:,} check results"
    other = f"the instance keeps its history in {storage}; only SQLite is read, so tables about runs and checks are empty"
    return [Gate("history_was_read", known, told if known else other, blocking=False)]


def _storage(home: Path) -> str:
    """What ``dagster.yaml`` says of the storage: "" (SQLite in the home), else its name."""
    path = home / "dagster.yaml"
    told = yaml.safe_load(path.read_text("utf-8")) if path.is_file() else None
    storage = told.get("storage") if isinstance(told, dict) else None
    return str(next(iter(storage), "")) if isinstance(storage, dict) else ""


def _history(home: Path) -> Path | None:
    folder = home / "history"
    return folder if (folder / "runs.db").is_file() and (folder / "runs" / "index.db").is_file() else None


def _read(history: Path) -> tuple[list[Any], list[Any], list[Any]]:
    try:
        marks = ", ".join("?" * len(_ENDED))
        query = f"SELECT run_id, pipeline_name, status, partition, start_time, end_time FROM runs WHERE status IN ({marks})"
        runs = [
            (run, job, status, crawl or _UNPARTITIONED, _moment(began), _moment(ended))
            for run, job, status, crawl, began, ended in _rows(history / "runs.db", query, _ENDED)
        ]
        ended = {row[0]: row for row in runs}
        index = history / "runs" / "index.db"
        events = [row for row in _materialised(index) if row[1] in ended]
        for run, row in ended.items():
            if row[2] == "FAILURE" and (history / "runs" / f"{run}.db").is_file():
                events += _failures(history / "runs" / f"{run}.db", row)
        return runs, events, [row for row in _checks(index) if row[1] in ended]
    except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"the history of runs in {history} can't be read: {error}; is it of another version of Dagster?"
        ) from error


def _rows(path: Path, query: str, values: Iterable[Any] = ()) -> list[Any]:
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=_WAIT_S)) as connection:
        return connection.execute(query, tuple(values)).fetchall()


def _moment(seconds: float | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds is not None else None


def _stamp(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _name(key: str) -> str:
    return "/".join(json.loads(key))


def _materialised(index: Path) -> Iterator[Any]:
    marks = ", ".join("?" * len(_KEPT))
    columns = "timestamp, run_id, dagster_event_type, asset_key, partition"
    query = f"SELECT {columns} FROM event_logs WHERE dagster_event_type IN ({marks})"
    for at, run, kind, asset, crawl in _rows(index, query, _KEPT):
        yield _stamp(at), run, kind, _name(asset), crawl or _UNPARTITIONED, None


def _failures(path: Path, run: Any) -> Iterator[Any]:
    """Failed steps of one run: a step bears its asset's name."""
    query = "SELECT timestamp, run_id, step_key, event FROM event_logs WHERE dagster_event_type = 'STEP_FAILURE'"
    for at, run_id, step, event in _rows(path, query):
        error = json.loads(event)["dagster_event"]["event_specific_data"].get("error") or {}
        yield _stamp(at), run_id, "STEP_FAILURE", step, run[3], error.get("cls_name")


def _checks(index: Path) -> Iterator[Any]:
    query = (
        "SELECT evaluation_event_timestamp, run_id, asset_key, partition, check_name, evaluation_event "
        "FROM asset_check_executions WHERE evaluation_event IS NOT NULL AND execution_status IN ('SUCCEEDED', 'FAILED')"
    )
    for at, run, asset, crawl, check, event in _rows(index, query):
        told = json.loads(event)["dagster_event"]["event_specific_data"]
        severity = str(told["severity"]["__enum__"]).rpartition(".")[2].lower()
        passed = bool(told["success"])
        yield _stamp(at), run, _name(asset), crawl or _UNPARTITIONED, check, passed, severity, bool(told.get("blocking"))
