"""The inbox sensor and the refresh schedule: nothing missed, nothing repeated, bad names refused."""

from datetime import UTC, datetime

from llm_assets.defs.automation import new_in_inbox, refresh_key


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


def test_no_inbox_is_no_error(tmp_path):
    assert new_in_inbox(tmp_path / "none", set()) == ([], [])


def test_the_refresh_key_is_a_valid_partition_key():
    assert refresh_key(datetime(2026, 11, 30, 3, tzinfo=UTC)) == "refresh-2026-11-30"
