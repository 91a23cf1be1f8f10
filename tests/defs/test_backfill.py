"""Back-fills over many crawls: one run a crawl, and a failed one is only itself failed (B48)."""

import time

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

from llm_assets.core.store import Store
from llm_assets.defs import settings
from tests.support.daemon import daemon

CRAWLS = ["one", "two", "three", "four", "five"]
NUMBERS = dg.AssetKey("numbers")


@pytest.fixture
def house(tmp_path, monkeypatch):
    store = Store(tmp_path / "store", "toy")
    monkeypatch.setattr(settings, "store", lambda: store)
    with daemon(tmp_path / "home") as wheels:
        wheels.instance.add_dynamic_partitions("crawl", CRAWLS)
        yield wheels, store, tmp_path / "broken"


def ask(wheels, name, crawls):
    """What the UI's button does."""
    graph = wheels.workspace.create_request_context().asset_graph
    fill = PartitionBackfill.from_asset_partitions(
        backfill_id=name, asset_graph=graph, partition_names=crawls, asset_selection=[NUMBERS], backfill_timestamp=time.time(),
        tags={}, dynamic_partitions_store=wheels.instance, all_partitions=False, title=None, description=None, run_config=None,
    )  # fmt: skip
    wheels.instance.add_backfill(fill)
    wheels.back_fill()
    return wheels.instance.get_backfill(name).status


def test_the_third_of_five_raises_and_a_second_back_fill_touches_only_the_third(house):
    """B48."""
    wheels, store, broken = house
    broken.write_text("three")
    assert ask(wheels, "first", CRAWLS) in (BulkActionStatus.COMPLETED, BulkActionStatus.COMPLETED_FAILED)
    assert dict(wheels.runs()) == {name: "FAILURE" if name == "three" else "SUCCESS" for name in CRAWLS}
    assert len(wheels.runs()) == 5
    done = wheels.instance.get_materialized_partitions(NUMBERS)
    assert done == set(CRAWLS) - {"three"}
    assert set(store.partitions("numbers")) == done
    made = {name: store.current("numbers", name).file("numbers.txt").stat().st_mtime_ns for name in done}

    broken.unlink()
    ask(wheels, "second", sorted(set(CRAWLS) - done))  # what the UI offers as "missing or failed"
    assert wheels.runs()[5:] == [("three", "SUCCESS")]
    assert wheels.instance.get_materialized_partitions(NUMBERS) == set(CRAWLS)
    assert made == {name: store.current("numbers", name).file("numbers.txt").stat().st_mtime_ns for name in done}


def test_a_crawl_with_a_bad_key_fails_by_itself_with_a_sentence(house):
    wheels, store, _ = house
    wheels.instance.add_dynamic_partitions("crawl", ["a b"])  # the UI lets anybody type this
    ask(wheels, "both", ["a b", "one"])
    assert dict(wheels.runs()) == {"a b": "FAILURE", "one": "SUCCESS"}
    [failed] = wheels.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
    said = " ".join(str(entry.dagster_event) for entry in wheels.instance.all_logs(failed.run_id) if entry.dagster_event)
    assert "'a b' can't name a crawl" in said
    assert store.partitions("numbers") == ["one"]
