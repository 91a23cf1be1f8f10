"""The inbox sensor and the refresh schedule: nothing missed, nothing repeated, bad names refused."""

from datetime import UTC, datetime

import pytest

from llm_assets.core.recipe import load_recipe
from llm_assets.defs import automation
from llm_assets.defs.automation import new_in_inbox, refresh_key
from llm_assets.stages.crawl.local.files import listed


def test_new_folders_are_found_once_and_bad_names_are_refused(tmp_path):
    for name in ("crawl-1", "crawl-2", "bad name", "empty", "half"):
        (tmp_path / name).mkdir()
    for name in ("crawl-1", "crawl-2", "bad name", "half"):
        (tmp_path / name / "a.warc.gz").write_bytes(b"x")
    (tmp_path / "half" / "b.warc.gz.part").write_bytes(b"x")
    found, refused = new_in_inbox(tmp_path, {"crawl-1"})
    assert found == ["crawl-2"]
    assert len(refused) == 1
    assert "'bad name' can't name a crawl" in refused[0]


@pytest.mark.parametrize(
    ("name", "waited_for", "read"),
    [
        ("b.warc.gz", False, True),
        ("b.warc.gz.part", True, False),
        ("deep/b.tmp", True, False),
        ("b.txt~", False, False),
        (".hidden", False, False),
        (".git/config.tmp", False, False),
        ("part", False, True),
    ],
)
def test_what_the_sensor_waits_for_the_importer_passes_over(tmp_path, name, waited_for, read):
    """One list serves both: a crawl starts when nothing is being written, and takes in only what is whole."""
    for path in (tmp_path / "new" / "a.txt", tmp_path / "new" / name):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    assert new_in_inbox(tmp_path, set())[0] == ([] if waited_for else ["new"])
    assert (name in [file.name for file in listed(tmp_path / "new")[0]]) == read


def test_a_folder_without_a_whole_file_is_no_crawl(tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "b.txt~").write_bytes(b"x")
    assert new_in_inbox(tmp_path, set())[0] == []


def test_the_sensor_looks_where_the_recipe_says_that_crawls_lie(tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").write_text(f"extends: demo\nraw_crawl: {{inbox: {tmp_path / 'there'}}}\n")
    monkeypatch.setenv("LLM_ASSETS_STORE", str(tmp_path / "store"))
    monkeypatch.setattr(automation.settings, "recipe", lambda: load_recipe("demo"))
    assert automation.inbox() == tmp_path / "inbox"
    monkeypatch.setattr(automation.settings, "recipe", lambda: load_recipe(str(tmp_path / "mine.yaml")))
    assert automation.inbox() == tmp_path / "there"


def test_no_inbox_is_no_error(tmp_path):
    assert new_in_inbox(tmp_path / "none", set()) == ([], [])


def test_the_refresh_key_is_a_valid_partition_key():
    assert refresh_key(datetime(2026, 11, 30, 3, tzinfo=UTC)) == "refresh-2026-11-30"
