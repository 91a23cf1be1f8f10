"""The history of runs as tables: of a real instance, of none, of one that is kept elsewhere."""

import sqlite3

import dagster as dg
import polars as pl
import pytest

from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.errors import StoreError
from llm_assets.core.produce import produce
from llm_assets.core.progress import Silent
from llm_assets.core.recipe.audit import DagsterEventsConfig
from llm_assets.core.store import Store
from llm_assets.stages.audit import EVENTS
from llm_assets.stages.audit import events as stage

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
PARTS = dg.StaticPartitionsDefinition(["c-1", "c-2"])


@dg.asset(partitions_def=PARTS, check_specs=[dg.AssetCheckSpec("fine", asset="pages", blocking=True)])
def pages(context):
    if context.partition_key == "c-2":
        raise RuntimeError("a secret line of a page")
    yield dg.AssetCheckResult(check_name="fine", passed=False, severity=dg.AssetCheckSeverity.WARN, description="as `a secret`")
    yield dg.MaterializeResult(asset_key="pages", metadata={"sample": "a secret line"})


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        for crawl in ("c-1", "c-2"):
            dg.materialize([pages], instance=instance, partition_key=crawl, run_config=QUIET, raise_on_error=False)
        instance.create_run_for_job(
            dg.define_asset_job("waits").resolve(asset_graph=dg.Definitions([pages]).resolve_asset_graph())
        )
    return folder


def read(home, folder):
    out = WorkDir.at(folder)
    config = DagsterEventsConfig(home=str(home))
    report = stage.run(Inputs(), out, config, Silent())
    (gate,) = stage.gates(Inputs(), out.files, config, report)
    tables = {name: pl.read_parquet(out.files / f"{name}.parquet") for name in ("runs", "events", "checks")}
    return report, gate, tables


def test_runs_that_ended_what_they_made_and_what_checks_said(home, tmp_path):
    report, gate, tables = read(home, tmp_path)
    runs = tables["runs"].sort("crawl")
    assert runs["status"].to_list() == ["SUCCESS", "FAILURE"] and runs["crawl"].to_list() == ["c-1", "c-2"]
    assert (runs["ended_at"] >= runs["started_at"]).all()
    made = {row["type"]: row for row in tables["events"].iter_rows(named=True)}
    assert (made["ASSET_MATERIALIZATION"]["asset"], made["ASSET_MATERIALIZATION"]["crawl"]) == ("pages", "c-1")
    assert (made["STEP_FAILURE"]["asset"], made["STEP_FAILURE"]["crawl"]) == ("pages", "c-2")
    assert made["STEP_FAILURE"]["error"] == "DagsterExecutionStepExecutionError"
    (check,) = tables["checks"].iter_rows(named=True)
    assert (check["asset"], check["check_name"], check["passed"], check["severity"]) == ("pages", "fine", False, "warn")
    assert report.metrics["storage"] == "sqlite" and gate.passed
    assert report.counts["runs"] == 2 and report.counts["checks"] == 1


def test_no_text_of_messages_or_metadata_is_taken(home, tmp_path):
    """A removal must not have to look here."""
    read(home, tmp_path)
    for path in (tmp_path / "files").glob("*.parquet"):
        for column in pl.read_parquet(path).select(pl.col(pl.String)).iter_columns():
            assert not any("secret" in (value or "") for value in column)


@pytest.mark.parametrize("home", ["nowhere", "empty"], indirect=False)
def test_without_an_instance_the_tables_are_empty(home, tmp_path):
    (tmp_path / "empty/history").mkdir(parents=True)
    report, gate, tables = read(tmp_path / home, tmp_path / "work")
    assert {name: table.height for name, table in tables.items()} == {"runs": 0, "events": 0, "checks": 0}
    assert report.metrics["storage"] == "none" and gate.passed


def test_a_history_that_is_kept_elsewhere_is_said(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("storage:\n  postgres:\n    postgres_url: x\n")
    _, gate, tables = read(home, tmp_path / "work")
    assert not gate.passed and not gate.blocking and "keeps its history in postgres" in gate.message
    assert tables["runs"].height == 0


def test_another_version_of_the_files_is_a_sentence(tmp_path):
    runs = tmp_path / "home/history/runs"
    runs.mkdir(parents=True)
    for path in (runs / "index.db", runs.parent / "runs.db"):
        sqlite3.connect(path).close()
        path.touch()
    with pytest.raises(StoreError, match="can't be read: no such table"):
        read(tmp_path / "home", tmp_path / "work")


def test_the_home_is_the_recipes_the_environments_or_the_stores(tmp_path, monkeypatch):
    inputs = Inputs({}, tmp_path / "store")
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    assert stage.instance_home(inputs, DagsterEventsConfig()) == tmp_path / "store/.dagster"
    assert stage.instance_home(Inputs(), DagsterEventsConfig()) is None
    monkeypatch.setenv("DAGSTER_HOME", "/a/home")
    assert str(stage.instance_home(inputs, DagsterEventsConfig())) == "/a/home"
    assert str(stage.instance_home(inputs, DagsterEventsConfig(home="/mine"))) == "/mine"


def test_each_run_looks_again_and_equal_history_is_equal(home, tmp_path):
    store, config = Store(tmp_path / "store", "demo"), DagsterEventsConfig(home=str(tmp_path / "none"))
    first = produce(store, EVENTS, config)
    again = produce(store, EVENTS, config)
    assert again.artefact == first.artefact
    later = produce(store, EVENTS, DagsterEventsConfig(home=str(home)))
    assert later.artefact.identity != first.artefact.identity and store.current("dagster_events") == later.artefact
