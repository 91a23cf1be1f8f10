"""Dagster's side of a take-down: events that say the text are changed, all others stay; affected models show it."""

import dagster as dg
import pytest

from llm_assets.commands.instance import instance
from llm_assets.commands.takedown_hands import DagsterHands, clean_events
from llm_assets.core.takedowns import Request
from tests.support.audited import RECIPE, Audited

SAMPLE = "a sentence of eight words that was taken down"


def test_events_are_cleaned_where_they_are_in_a_database():
    with dg.DagsterInstance.ephemeral() as dagster:
        dagster.report_runless_asset_event(dg.AssetMaterialization("page", metadata={"sample": SAMPLE, "count": 3}))
        seen = dg.AssetCheckEvaluation(dg.AssetKey("page"), "looked_at", passed=True, metadata={"seen": SAMPLE})
        dagster.report_runless_asset_event(seen)
        clean_events(dagster, lambda text: text.replace(SAMPLE, "[taken down]"))
        told = dagster.get_latest_materialization_event(dg.AssetKey("page")).asset_materialization.metadata
        assert told["sample"].value == "[taken down]" and told["count"].value == 3
        key = dg.AssetCheckKey(dg.AssetKey("page"), "looked_at")
        history = dagster.event_log_storage.get_asset_check_execution_history(key, limit=5)
        assert SAMPLE not in str(history) and "[taken down]" in str(history)


def test_an_affected_model_shows_it(tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_ASSETS_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    house = Audited(tmp_path / "store")
    current = house.store.current("base_model").ref
    affected = {current: {"documents": 2}, "base_model/all/older": {"documents": 1}}
    DagsterHands(house.store).tell(Request("20261101-1", RECIPE, "me", "2026-11-01", "asked", {}, affected=affected))
    with instance() as dagster:
        found = dagster.fetch_observations(dg.AssetKey("base_model"), limit=5).records
    assert [record.asset_observation.metadata["affected"].value for record in found] == [current]
    assert found[0].asset_observation.metadata["takedown"].value == "20261101-1"


@pytest.mark.parametrize("names", [[], ()])
def test_nothing_to_make_starts_no_run(tmp_path, monkeypatch, names):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    DagsterHands(Audited(tmp_path / "store").store).make(names, "")
    assert not (tmp_path / "home" / "history").exists()
