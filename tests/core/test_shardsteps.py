"""Shard steps: every rank once, errors told in their own words, a dead worker named, a killed run goes on."""

import os
import signal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_assets.core.errors import InputError, WorkerDied
from llm_assets.core.progress import Recording, Silent
from llm_assets.core.shards import cut, group_rows, level, rows_of, write_shard
from llm_assets.core.shardsteps import run_shard_steps

STEP = "tests.core.test_shardsteps:step"


def step(arguments, rank):
    """Marks its rank, or misbehaves as the arguments say, once."""
    out = Path(arguments["out"])
    if rank == arguments.get("bad"):
        raise InputError("row 3 is odd; make it even")
    if rank == arguments.get("breaks"):
        raise KeyError("a fault of the step")
    if rank == arguments.get("dies") and not (out / "died").exists():
        (out / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    with open(out / f"{rank}.txt", "a") as handle:
        handle.write("x")


def run(tmp_path, progress=None, tasks=4, workers=2, **more):
    run_shard_steps(STEP, {"out": str(tmp_path), **more}, tasks, tmp_path / "steps", progress or Silent(), workers=workers)


def made(tmp_path):
    return {int(path.stem): path.read_text() for path in tmp_path.glob("*.txt")}


def test_every_rank_runs_once_and_a_finished_run_is_not_repeated(tmp_path):
    progress = Recording()
    run(tmp_path, progress)
    run(tmp_path, progress)
    assert made(tmp_path) == dict.fromkeys(range(4), "x")
    assert progress.updates[-1][:3] == (4, 4, "shards")


def test_a_killed_worker_is_named_and_the_next_run_goes_on(tmp_path):
    """Case B18, first half: a rank that is done is not run again, the one that died is."""
    with pytest.raises(WorkerDied, match="SIGKILL"):
        run(tmp_path, workers=1, dies=2)
    assert made(tmp_path) == {0: "x", 1: "x"}
    run(tmp_path, workers=2, dies=2)
    assert made(tmp_path) == dict.fromkeys(range(4), "x")


def test_errors_keep_their_type_and_sentence(tmp_path):
    with pytest.raises(InputError, match="row 3 is odd; make it even"):
        run(tmp_path, bad=1)
    with pytest.raises(RuntimeError, match="a fault of the step"):
        run(tmp_path, breaks=1)


def threaded(tmp_path, progress=None, tasks=4, workers=2, **more):
    arguments, folder = {"out": str(tmp_path), **more}, tmp_path / "steps"
    run_shard_steps(STEP, arguments, tasks, folder, progress or Silent(), workers=workers, threaded=True)


def logs(tmp_path):
    return list((tmp_path / "steps").glob("worker-*.log"))


def test_threads_of_this_process_do_the_same(tmp_path):
    progress = Recording()
    threaded(tmp_path, progress, tasks=9, workers=3)
    threaded(tmp_path, progress, tasks=9, workers=3)
    assert made(tmp_path) == dict.fromkeys(range(9), "x")
    assert [update[:2] for update in progress.updates] == [*((n, 9) for n in range(1, 10)), (9, 9), (9, 9)]
    assert not logs(tmp_path)


def test_an_error_in_a_thread_is_raised_as_it_is_and_only_the_rest_is_made_next(tmp_path):
    """Case B18, first half, for threads: what is done stays done, by whatever the next try is made."""
    with pytest.raises(InputError, match="row 3 is odd"):
        threaded(tmp_path, bad=2, workers=1)
    assert made(tmp_path) == {0: "x", 1: "x"}
    with pytest.raises(KeyError, match="a fault of the step"):
        threaded(tmp_path, breaks=3, workers=2)
    threaded(tmp_path, workers=2, breaks=9)
    assert set(made(tmp_path)) == set(range(4))


def test_many_workers_are_processes(tmp_path):
    threaded(tmp_path, tasks=6, workers=6)
    assert made(tmp_path) == dict.fromkeys(range(6), "x")
    assert len(logs(tmp_path)) == 6


def test_cuts_cover_the_list_and_keep_both_limits():
    sizes = [5, 5, 5, 100, 1, 1, 1, 1]
    cuts = cut(sizes, rows=3, size=12)
    assert cuts == [(0, 2), (2, 3), (3, 4), (4, 7), (7, 8)]
    assert cut([], 3, 12) == [(0, 0)]


def test_rows_of_some_documents(tmp_path):
    frame = pl.DataFrame({"doc_id": ["c", "a", "b"], "text": ["3", "1", "2"], "n": [3, 1, 2]})
    frame.write_parquet(tmp_path / "shard.parquet")
    assert rows_of(tmp_path / "shard.parquet", {"b", "c", "x"}, ["doc_id", "text"]).rows() == [("c", "3"), ("b", "2")]
    assert rows_of(tmp_path / "shard.parquet", ["a"], ["n"]).rows() == [(1,)]
    none = rows_of(tmp_path / "shard.parquet", ["x"], ["text", "n"])
    assert none.height == 0
    assert none.schema == {"text": pl.String, "n": pl.Int64}


def test_row_groups_are_cut_by_bytes(tmp_path):
    """Case B51: one long text makes groups short, and nothing is lost."""
    frame = pl.DataFrame({"text": ["A" * (20 * 2**20), *["b"] * 9]})
    assert group_rows(frame) == 1
    assert group_rows(pl.DataFrame({"text": ["b"] * 9})) == 65_536
    write_shard(tmp_path / "shards/00000.parquet", frame, pl.Schema({"text": pl.String}))
    assert pl.read_parquet(tmp_path / "shards/00000.parquet").equals(frame)
    assert [path.name for path in (tmp_path / "shards").iterdir()] == ["00000.parquet"]


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(1, 9), st.integers(1, 200), st.integers(1, 100))
def test_level_shards_hold_all_rows_in_order_and_none_too_many(sizes, rows, size, least):
    shards = level(sizes, rows, size, least)
    assert [row for first, end in shards for row in range(first, end)] == list(range(len(sizes)))
    assert all(end - first <= rows for first, end in shards)


def test_level_shards_are_a_multiple_of_four_and_of_one_size():
    """Four workers, or two, then finish together; cut alone would leave a third of a shard for the end."""
    assert len(cut([7] * 3_100, 1_000, 10**9)) == 4
    assert [end - first for first, end in level([7] * 3_100, 1_000, 10**9, 1)] == [775] * 4
    assert [end - first for first, end in level([7] * 300, 1_000, 10**9, 1_000)] == [150] * 2  # no smaller than asked
    assert level([7] * 300, 1_000, 10**9, 5_000) == [(0, 300)]
    heavy = [100] * 10 + [1] * 1_000
    assert [end - first for first, end in level(heavy, 1_000, 10**9, 1)] == [5, 5, 500, 500]
    assert level([], 3, 12, 1) == [(0, 0)]
