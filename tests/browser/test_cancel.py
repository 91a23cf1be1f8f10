"""Cancel, as the UI does it: the run ends, nothing is half-done, nobody holds the lock, and the next run goes on where it was."""

import psutil
import pytest

from tests.support import slow
from tests.support.ui import until

CASES = {"slow_shards": "one", "slow_training": "", "slowly_judged": ""}
LONG = {"pieces": 12, "seconds_each": 0.5}
QUICK = {"pieces": 12}


@pytest.fixture(scope="module", autouse=True)
def crawls(ui):
    """A crawl of the slow location, added as the UI does."""
    query = (
        "mutation($repository: RepositorySelector!) { addDynamicPartition(repositorySelector: $repository, "
        'partitionsDefName: "crawl", partitionKey: "one") { __typename } }'
    )
    ui.ask(query, repository={"repositoryLocationName": "slow", "repositoryName": "__repository__"})


def work(ui, asset, partition):
    """The private folder of the one work folder of an asset; None before it is there."""
    return next((ui.slow.root / ".work" / asset / (partition or "all")).glob("*/private"), None)


def finished(ui, asset, partition):
    folder = work(ui, asset, partition)
    return slow.made(folder) if folder else []


@pytest.mark.parametrize("asset", ["slow_shards", "slow_training"])
def test_a_cancelled_stage_leaves_nothing_half_done_and_goes_on(ui, asset):
    """Cancelled while it works: in threads of the run's process, and in a training process of its own."""
    partition = CASES[asset]
    run = ui.launch(asset, LONG, partition)
    before = until(lambda: len(done := finished(ui, asset, partition)) >= 3 and done, "three pieces to be done")
    ui.terminate(run)
    assert ui.ended(run) == "CANCELED"
    kept = finished(ui, asset, partition)
    assert 3 <= len(before) <= len(kept) < LONG["pieces"]
    until(lambda: not any(psutil.pid_exists(pid) for _, pid in kept), "the processes that worked to be gone")
    identity = work(ui, asset, partition).parent.name
    assert not ui.slow.is_held(asset, partition or "all", identity)
    assert ui.slow.current(asset, partition or "all") is None
    assert not list((ui.slow.root / asset).glob("*/*/manifest.json"))

    assert ui.ended(ui.launch(asset, QUICK, partition)) == "SUCCESS"
    artefact = ui.slow.current(asset, partition or "all")
    assert artefact.identity == identity
    made = artefact.manifest().metrics["made"]
    assert sorted(made) == list(range(LONG["pieces"])), "each piece was made once, those before the cancel included"
    assert made[: len(kept)] == [number for number, _ in kept]
    assert work(ui, asset, partition) is None


def test_a_run_that_is_cancelled_in_a_gate_is_judged_by_the_next(ui):
    """The artefact is in the store, unjudged and not current; the next run judges it and makes nothing again."""
    asset = "slowly_judged"
    run = ui.launch(asset, {**QUICK, "gate_seconds": 60})
    judging = ui.slow.root / asset / "all" / "judging"
    until(judging.exists, "the gate to begin")
    ui.terminate(run)
    assert ui.ended(run) == "CANCELED"
    (made,) = (ui.slow.root / asset).glob("*/*/manifest.json")
    assert ui.slow.current(asset) is None
    assert not (made.parent / "gates.json").exists()
    changed = made.stat().st_mtime_ns

    assert ui.ended(ui.launch(asset, QUICK)) == "SUCCESS"
    assert ui.slow.current(asset).files == made.parent
    assert made.stat().st_mtime_ns == changed
    assert {gate.name for gate in ui.slow.gates(ui.slow.current(asset))} == {"few_pieces", "takes_long"}


def test_the_ui_hears_how_far_a_training_is(ui):
    """An observation carries steps, total, speed, the seconds left and the loss; and says so in a sentence."""
    run = ui.launch("slow_training", {"pieces": 40, "seconds_each": 0.2})
    (seen, *_) = until(lambda: ui.observations("slow_training"), "an observation")
    ui.terminate(run)
    assert set(seen) >= {"so_far", "steps_done", "steps_total", "share_done", "steps_per_second", "seconds_left", "loss"}
    assert seen["steps_total"] == 40 and "of 40 steps" in seen["so_far"] and "left" in seen["so_far"]
    assert ui.ended(run) == "CANCELED"
