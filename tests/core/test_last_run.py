"""What is noted of the end of runs."""

import pytest

from llm_assets.core.errors import StoreBusy
from llm_assets.core.last_run import newest, noted


def fail(work, error, recipe="r"):
    with pytest.raises(type(error)), noted(work, recipe, "1", "run"):
        raise error


def test_the_newest_counts_by_recipe_and_success_is_noted_only_after_failure(tmp_path):
    with noted(tmp_path, "r", "1", "run"):
        pass
    assert newest(tmp_path, "r") is None
    fail(tmp_path, ValueError("first\nline"))
    fail(tmp_path, ValueError("of s"), "s")
    assert newest(tmp_path, "r").error == "ValueError: first line"
    with noted(tmp_path, "r", "1", "run"):
        pass
    assert (newest(tmp_path, "r").error, newest(tmp_path, "s").error) == ("", "ValueError: of s")


def test_another_runs_lock_is_no_failure_and_an_interrupt_neither(tmp_path):
    fail(tmp_path, StoreBusy("busy"))
    fail(tmp_path, KeyboardInterrupt())
    assert newest(tmp_path, "r") is None


def test_a_line_that_was_cut_off_is_passed_over(tmp_path):
    fail(tmp_path, ValueError("x"))
    with open(tmp_path / "last_runs.jsonl", "a") as handle:
        handle.write('{"recipe": "r", "ident')
    assert newest(tmp_path, "r").error == "ValueError: x"


def test_a_full_disk_does_not_hide_what_went_wrong_first(tmp_path):
    (tmp_path / "work").write_text("a file where the folder should be")
    fail(tmp_path / "work", ValueError("first"))
