"""Markers: a changed recipe, input, argument or code makes the shards again, an equal one does not, a damaged file is seen."""

from pathlib import Path

import pytest

from llm_assets.core import shard_markers
from llm_assets.core.artefact import Artefact
from llm_assets.core.errors import InputError
from llm_assets.core.progress import Silent
from llm_assets.core.recipe.base import Section, execution
from llm_assets.core.shard_markers import Markers, shard_key
from llm_assets.core.shardsteps import run_shard_steps

STEP = "tests.core.test_shard_markers:step"


class Toy(Section):
    factor: int = 1
    workers: int = execution(1)


def step(arguments, rank):
    """Writes its rank times a factor, and how often it was asked; one rank may fail until a file is there."""
    out = Path(arguments["out"])
    with open(out / "asked.txt", "a") as handle:
        handle.write(f"{rank}\n")
    if rank == arguments.get("fails") and not (out / "mended").exists():
        raise InputError("shard is not mended; mend it")
    path = out / f"{rank}.txt"
    path.write_text(str(rank * arguments["config"]["factor"]))
    return [path]


def run(folder, config=None, tasks=3, inputs=(), **arguments):
    """The ranks that ran."""
    (folder / "asked.txt").unlink(missing_ok=True)
    run_shard_steps(
        STEP, arguments, tasks, folder / "steps", Silent(), places={"out": str(folder)}, config=config or Toy(), inputs=inputs,
        workers=1,
    )  # fmt: skip
    asked = folder / "asked.txt"
    return [int(rank) for rank in asked.read_text().split()] if asked.exists() else []


def test_an_equal_recipe_runs_nothing_a_changed_one_all(tmp_path):
    assert run(tmp_path) == [0, 1, 2]
    assert run(tmp_path, Toy(workers=7)) == []  # how to run is no part of what comes out
    assert run(tmp_path, Toy(factor=5)) == [0, 1, 2]
    assert (tmp_path / "2.txt").read_text() == "10"


def test_a_changed_input_makes_shards_again_and_fewer_shards_leave_none_behind(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.txt").write_text("one")
    inputs = [Artefact("toy", "all", "0", source)]
    assert run(tmp_path, inputs=inputs) == [0, 1, 2]
    assert run(tmp_path, inputs=inputs) == []
    (source / "a.txt").write_text("two")
    assert run(tmp_path, inputs=inputs, tasks=2) == [0, 1]
    assert sorted(path.name for path in tmp_path.glob("[0-9].txt")) == ["0.txt", "1.txt"]


def test_a_failed_shard_runs_again_alone_and_the_totals_are_those_of_a_clean_run(tmp_path):
    """Case B18: the third of three fails once."""
    folder, clean = tmp_path / "failed", tmp_path / "clean"
    for each in (folder, clean):
        each.mkdir()
    with pytest.raises(InputError, match="not mended"):
        run(folder, Toy(factor=3), fails=2)
    (folder / "mended").touch()
    assert run(folder, Toy(factor=3), fails=2) == [2]
    run(clean, Toy(factor=3))
    assert [path.read_text() for path in sorted(folder.glob("[0-9].txt"))] == ["0", "3", "6"]
    assert [path.read_text() for path in sorted(clean.glob("[0-9].txt"))] == ["0", "3", "6"]


@pytest.mark.parametrize("damage", ["truncate", "remove", "marker"])
def test_a_marker_whose_file_is_not_whole_is_not_believed(tmp_path, damage):
    run(tmp_path)
    marker = tmp_path / "steps/done/00001.json"
    if damage == "truncate":
        (tmp_path / "1.txt").write_text("")
    elif damage == "remove":
        (tmp_path / "1.txt").unlink()
    else:
        marker.write_text('{"key": "abc')
    assert run(tmp_path) == [1]
    assert (tmp_path / "1.txt").read_text() == "1"


def test_datatroves_own_markers_alone_are_not_believed(tmp_path):
    """They are empty files that say nothing of what was made."""
    completions = tmp_path / "steps/datatrove/completions"
    completions.mkdir(parents=True)
    for rank in range(3):
        (completions / f"{rank:05d}").touch()
    assert run(tmp_path) == [0, 1, 2]


def test_the_key_follows_the_code_of_the_step(monkeypatch):
    before = shard_key(STEP, {}, 1)
    assert before == shard_key(STEP, {}, 1)
    monkeypatch.setattr(shard_markers, "code_of_module", lambda module: f"another {module}")
    assert shard_key(STEP, {}, 1) != before


def test_markers_of_two_keys_do_not_mix(tmp_path):
    Markers(tmp_path, "a").set(0, [])
    Markers(tmp_path, "b").set(1, [])
    assert Markers(tmp_path, "a").missing(3) == [1, 2]
    assert Markers(tmp_path, "b").count() == 1
