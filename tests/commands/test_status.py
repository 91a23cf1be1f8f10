"""``status`` and ``plan`` as they are printed."""

import json

import pytest

from llm_assets.commands import status
from llm_assets.core.freshness import Standing

FRESH = Standing("raw_crawl", "wiki", "fresh", identity="1", seconds=8.0)
STALE = Standing("cleaned_corpus", "wiki", "stale", ("code version 1 → 2",), "2", seconds=1234.5)
READY = Standing("tokenizer", "all", "stale", ("tokenizer.vocab_size: 1 → 2",), "2", ready=True, seconds=5.0)
BEHIND = Standing(
    "base_model", "all", "behind", ("tokenizer is not fresh",), "3", roots=("tokenizer",), seconds=100.0, gpu_hours=0.5
)
MISSING = Standing("sft_model", "all", "missing", ("waits for base_model",))


@pytest.fixture
def found(monkeypatch):
    rows = [FRESH, STALE, READY, BEHIND, MISSING]
    monkeypatch.setattr(status, "all_standings", lambda: rows)
    return rows


def test_status_is_a_line_an_asset(found):
    lines = status.run_status().splitlines()
    assert lines[0] == "✓ raw_crawl[wiki]       fresh"
    assert lines[1] == "! cleaned_corpus[wiki]  stale    code version 1 → 2"
    assert lines[-1] == "1 fresh, 1 behind, 2 stale, 1 missing"


def test_plan_says_what_it_costs_and_what_is_there_already(found):
    text = status.run_plan()
    assert "cleaned_corpus[wiki]     1,234.5 s  code version 1 → 2" in text
    assert "tokenizer             in the store already" in text
    assert "sft_model               never made  waits for base_model" in text
    assert text.splitlines()[-1] == (
        "by the last run of each: 1,234 to 1,334 s, 0.00 to 0.50 GPU hours; 1 never made, cost unknown"
    )


def test_a_plan_of_nothing(found):
    found[:] = [FRESH]
    assert status.run_plan() == "everything is fresh; a run would make nothing"


def test_both_as_json(found):
    assert [one["state"] for one in json.loads(status.run_status(as_json=True))] == [one.state for one in found]
    told = json.loads(status.run_plan(as_json=True))
    assert (told["seconds"], [one["asset"] for one in told["possible"]]) == ([1234.5, 1334.5], ["base_model"])


def test_the_commands_on_an_empty_store(tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_ASSETS_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("LLM_ASSETS_RECIPE", "smoke")
    text = status.run_status()
    assert "base_model" in text and "fresh" not in text.split()
    assert not (tmp_path / "store" / ".dagster").exists()
    assert "never made" in status.run_plan()


def test_crawls_that_only_the_instance_knows_are_listed_wherever_its_home_is(tmp_path, monkeypatch):
    import dagster as dg

    home = tmp_path / "elsewhere"
    monkeypatch.setenv("LLM_ASSETS_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("LLM_ASSETS_RECIPE", "smoke")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    assert "raw_crawl[" not in status.run_status()
    assert not home.exists()  # asking makes none
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        instance.add_dynamic_partitions("crawl", ["later"])
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    assert "raw_crawl[later]" in status.run_status()
