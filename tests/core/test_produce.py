"""One artefact's path: identity, reuse, gates, CURRENT, and what a kill leaves."""

import multiprocessing
import signal

import pytest

from llm_assets.core.errors import GateBlocked, InputError, StoreBusy, StoreError
from llm_assets.core.produce import accept_or_raise, produce
from llm_assets.core.progress import Recording
from llm_assets.core.store import Store
from tests.support.toy import NUMBERS, TOTAL, NumbersConfig, TotalConfig


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store", "toy")
    produce(store, NUMBERS, NumbersConfig(), partition="first")
    return store


def test_an_equal_identity_is_reused_at_once(store):
    first = produce(store, TOTAL, TotalConfig())
    again = produce(store, TOTAL, TotalConfig())
    assert not first.reused
    assert again.reused
    assert again.artefact == first.artefact == store.current("total")
    assert again.report.metrics["total"] == 6


def test_execution_fields_are_no_part_of_the_identity_and_others_are(store):
    one = produce(store, TOTAL, TotalConfig(workers=1))
    assert produce(store, TOTAL, TotalConfig(workers=8)).artefact == one.artefact
    assert produce(store, TOTAL, TotalConfig(factor=2)).artefact != one.artefact


def test_a_new_input_changes_the_identity_and_the_old_artefact_stays(store):
    one = produce(store, TOTAL, TotalConfig())
    produce(store, NUMBERS, NumbersConfig(values=[10]), partition="second")
    two = produce(store, TOTAL, TotalConfig())
    assert two.report.metrics["total"] == 16
    assert one.artefact.file("total.txt").read_text() == "6"
    assert [i.partition for i in two.manifest.inputs] == ["first", "second"]


def test_a_source_is_not_fetched_again_for_a_changed_recipe_unless_forced(store):
    kept = produce(store, NUMBERS, NumbersConfig(values=[9]), partition="first")
    assert kept.reused
    forced = produce(store, NUMBERS, NumbersConfig(values=[9]), partition="first", force=True)
    assert not forced.reused
    assert forced.artefact.file("numbers.txt").read_text() == "9"
    assert forced.artefact.identity == forced.manifest.digest[:16]


def test_a_forced_rebuild_has_its_own_folder(store):
    one = produce(store, TOTAL, TotalConfig())
    two = produce(store, TOTAL, TotalConfig(), force=True)
    assert two.artefact.identity == f"{one.artefact.identity}.1"
    assert produce(store, TOTAL, TotalConfig()).artefact == two.artefact


def test_a_blocking_gate_leaves_current_where_it_was(store):
    good = produce(store, TOTAL, TotalConfig())
    bad = produce(store, TOTAL, TotalConfig(factor=1000))
    assert bad.failed == ("below_limit",)
    with pytest.raises(GateBlocked, match="the total is 6000, at most 1000 is allowed"):
        accept_or_raise(bad)
    assert store.current("total") == good.artefact
    # The same identity is judged again and refused again, without a new run.
    again = produce(store, TOTAL, TotalConfig(factor=1000))
    assert again.reused
    assert again.failed == ("below_limit",)


def test_counts_are_checked_by_the_general_gate(store):
    gate = {g.name: g for g in produce(store, TOTAL, TotalConfig()).gates}["counts_add_up"]
    assert gate.passed
    assert gate.metadata == {"documents_in": 3, "kept": 2, "dropped": 1}


def test_an_error_of_the_stage_passes_through_and_the_work_folder_stays(store):
    with pytest.raises(InputError, match="make them even"):
        produce(store, TOTAL, TotalConfig(fail="raise"))
    assert store.current("total") is None
    assert not list((store.root / "total").glob("*/*/manifest.json"))
    assert list((store.root / ".work" / "total" / "all").glob("*/private/starts"))


def test_a_missing_input_says_what_to_do(tmp_path):
    with pytest.raises(StoreError, match="total needs numbers.*llm-assets run --select numbers"):
        produce(Store(tmp_path, "toy"), TOTAL, TotalConfig())


def test_a_bad_crawl_name_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(StoreError, match="'a/b' can't name a crawl"):
        produce(Store(tmp_path / "s", "toy"), NUMBERS, NumbersConfig(), partition="a/b")
    assert not (tmp_path / "s").exists()


def test_progress_is_heard(store):
    progress = Recording()
    produce(store, TOTAL, TotalConfig(), progress=progress)
    assert progress.updates == [(1, 1, "sums", {"total": 6.0})]


def _killed(root):
    produce(Store(root, "toy"), TOTAL, TotalConfig(fail="kill"))


def test_sigkill_leaves_no_half_artefact_and_the_next_run_resumes(store, monkeypatch):
    """A run killed after it wrote its files leaves nothing readable; an equal identity resumes the same work folder."""
    child = multiprocessing.get_context("spawn").Process(target=_killed, args=(store.root,))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert store.current("total") is None
    assert not list((store.root / "total").glob("*/*"))
    # The kill's own switch is part of the identity, so resume with a stage that no longer kills under the same config.
    monkeypatch.setattr("tests.support.toy.os.kill", lambda *_: None)
    outcome = produce(store, TOTAL, TotalConfig(fail="kill"))
    assert outcome.report.metrics["starts"] == 2
    assert store.current("total") == outcome.artefact
    assert not list((store.root / ".work" / "total" / "all").glob("*/"))


def test_two_runs_of_one_identity_exclude_each_other(store):
    first = produce(store, TOTAL, TotalConfig())
    with (
        store.work("total", "all", first.artefact.identity + ".1"),
        pytest.raises(StoreBusy, match="being made by another run"),
    ):
        produce(store, TOTAL, TotalConfig(), force=True)


def test_crawls_are_numbered_in_the_order_of_their_commit(store):
    produce(store, NUMBERS, NumbersConfig(values=[5]), partition="another")
    produce(store, NUMBERS, NumbersConfig(values=[5]), partition="first")
    assert store.crawl_order() == {"first": 1, "another": 2}
    assert store.partitions("numbers") == ["first", "another"]
