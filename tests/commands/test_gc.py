"""``llm-assets gc`` as it is called: ages, what it says, JSON, and that an instance that isn't there is not made."""

import json

import pytest

from llm_assets.commands import gc as command
from llm_assets.commands.gc import run_gc, seconds, size
from llm_assets.core.errors import InputError, StoreError
from llm_assets.core.gc import Policy
from llm_assets.core.store import Store
from tests.commands.test_cli import cli
from tests.core.test_gc import put

ALL = {"runs_older_than_s": 0.0, "runs_keep": 0}


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_ASSETS_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("LLM_ASSETS_RECIPE", "smoke")
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    store = Store(tmp_path / "store", "smoke")
    for number in (1, 2, 3):
        store.accept(put(store, f"model/all/{number}", number=number))
    return store


@pytest.mark.parametrize(
    ("age", "expected"), [("0", 0), ("90", 90), ("90m", 5400), ("12 h", 43_200), ("1.5d", 129_600), ("2w", 1_209_600)]
)
def test_ages(age, expected):
    assert seconds(age, "--older-than") == expected


@pytest.mark.parametrize("age", ["", "d", "-1d", "1y", "1e3", "nan"])
def test_what_is_no_age_is_a_sentence(age):
    with pytest.raises(InputError, match="--older-than .*e.g. 12h or 30d"):
        seconds(age, "--older-than")


def test_sizes():
    assert [size(n) for n in (0, 999, 1000, 2_500_000, 3e12)] == ["0 B", "999 B", "1.0 kB", "2.5 MB", "3.0 TB"]


def test_it_says_what_would_go_and_then_what_went(store):
    would = run_gc(Policy(), **ALL, dry_run=True)
    assert "would remove 1 artefacts and 0 work folders" in would and "model/all/1" in would
    did = run_gc(Policy(), **ALL)
    assert did == would.replace("would remove", "removed")
    assert not (store.root / "model/all/1").exists()
    assert not (store.root / ".dagster").exists()


def test_as_json(store):
    told = json.loads(run_gc(Policy(keep=0), **ALL, as_json=True))
    assert [one["ref"] for one in told["removed"]] == ["model/all/1", "model/all/2"]
    assert told["freed_bytes"] == sum(one["bytes"] for one in told["removed"])
    assert (told["kept"], told["runs"], told["dry_run"]) == (1, [], False)


def test_a_store_that_cant_be_written_is_a_sentence(store, monkeypatch):
    def refuse(*arguments, **named):
        raise PermissionError(13, "Permission denied", str(store.root / "model"))

    monkeypatch.setattr(command, "collect", refuse)
    with pytest.raises(StoreError, match="model: Permission denied; the next"):
        run_gc(Policy(), **ALL)


def test_from_the_shell(store):
    done = cli("gc", "--recipe", "smoke", "--keep", "0", "--older-than", "1d")
    assert "removed 2 artefacts" in done.stdout
    assert "an age is a number and a unit" in cli("gc", "--older-than", "soon").stderr


def test_sources_are_known():
    assert {"raw_crawl", "tombstones"} <= command.sources()
