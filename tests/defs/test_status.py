"""``pipeline_status`` in the UI: the table, the counts, the check that warns, and a version that stays while nothing changes."""

from types import SimpleNamespace

import dagster as dg
import pytest

from llm_assets.core.errors import InputError
from llm_assets.core.produce import produce
from llm_assets.core.store import Store
from llm_assets.defs import status
from tests.defs.test_skin import QUIET
from tests.support import toy


@pytest.fixture
def look(tmp_path, monkeypatch):
    store = Store(tmp_path / "store", "toy")
    sections = {"numbers": toy.NumbersConfig(), "total": toy.TotalConfig()}
    monkeypatch.setattr(status, "all_specs", lambda: {"numbers": toy.NUMBERS, "total": toy.TOTAL})
    monkeypatch.setattr(status.settings, "recipe", lambda: SimpleNamespace(section=sections.__getitem__))
    monkeypatch.setattr(status.settings, "store", lambda: store)
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("crawl", ["first", "second"])

        def materialise():
            result = dg.materialize([status.pipeline_status], instance=instance, run_config=QUIET)
            assert result.success
            [made] = result.asset_materializations_for_node("pipeline_status")
            [check] = result.get_asset_check_evaluations()
            return made, check

        yield store, materialise


def test_the_table_counts_and_check(look):
    store, materialise = look
    produce(store, toy.NUMBERS, toy.NumbersConfig(), partition="first")
    made, check = materialise()
    assert check.passed
    told = {name: value.value for name, value in made.metadata.items()}
    assert (told["fresh"], told["missing"], told["stale"]) == (1, 2, 0)
    assert told["page"].endswith("/data_docs/status.html")
    rows = [record.data for record in told["standings"].records]
    assert [(row["state"], row["asset"], row["crawl"]) for row in rows] == [
        ("✓ fresh", "numbers", "first"),
        ("· missing", "numbers", "second"),
        ("· missing", "total", ""),
    ]
    version = made.tags["dagster/data_version"]
    assert materialise()[0].tags["dagster/data_version"] == version

    with pytest.raises(InputError):
        produce(store, toy.NUMBERS, toy.NumbersConfig(fail="x"), partition="second")
    again, warned = materialise()
    assert again.tags["dagster/data_version"] != version
    assert (warned.passed, warned.severity, warned.description) == (False, dg.AssetCheckSeverity.WARN, "numbers[second]")
