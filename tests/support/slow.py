"""Stages that take as long as their recipe says: to be looked at, and cancelled, while they run. Each writes what it did, and when."""

import os
import time
from pathlib import Path
from typing import Any

from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.jsonio import write_atomic
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.base import Section, execution
from llm_assets.core.report import Gate, Report
from llm_assets.core.shardsteps import run_shard_steps
from llm_assets.core.spec import AssetSpec

MADE = "made.txt"  # a line a piece of work: its number and the process that did it


class SlowConfig(Section):
    pieces: int = 2
    seconds_each: float = execution(0.0)
    gate_seconds: float = execution(0.0)
    limit: int = 100


SHARDS = AssetSpec("slow_shards", "tests.support.slow:shards", partitioned=True)
TRAINING = AssetSpec("slow_training", "tests.support.slow:training", process=True)
JUDGED = AssetSpec(
    "slowly_judged", "tests.support.slow:training", gates="tests.support.slow:gates", gate_names=("few_pieces", "takes_long")
)
SPECS = {spec.name: spec for spec in (SHARDS, TRAINING, JUDGED)}


def note(folder: Path, number: int) -> None:
    with open(folder / MADE, "a") as handle:
        handle.write(f"{number} {os.getpid()}\n")


def made(folder: Path) -> list[tuple[int, int]]:
    """(number of the piece, process) of all work, in its order."""
    path = folder / MADE
    lines = path.read_text().split("\n") if path.exists() else []
    return [(int(number), int(pid)) for number, _, pid in (line.partition(" ") for line in lines if line)]


def one_shard(arguments: dict[str, Any], rank: int) -> list[Path]:
    time.sleep(arguments["seconds_each"])
    path = Path(arguments["files"]) / f"{rank:05d}.txt"
    write_atomic(path, str(rank).encode())
    note(Path(arguments["private"]), rank)
    return [path]


def shards(inputs: Inputs, out: WorkDir, config: SlowConfig, progress: Progress) -> Report:
    places = {"files": str(out.files), "private": str(out.private), "seconds_each": config.seconds_each}
    run_shard_steps(
        "tests.support.slow:one_shard",
        {"pieces": config.pieces},
        config.pieces,
        out.private / "steps",
        progress,
        places=places,
        workers=2,
        threaded=True,
    )
    return Report(counts={"shards": config.pieces}, metrics={"made": [number for number, _ in made(out.private)]})


def training(inputs: Inputs, out: WorkDir, config: SlowConfig, progress: Progress) -> Report:
    """A checkpoint a step; goes on after the last."""
    for step in range(len(made(out.private)), config.pieces):
        time.sleep(config.seconds_each)
        note(out.private, step)
        progress.update(step + 1, config.pieces, "steps", loss=10.0 / (step + 1))
    (out.files / "model.txt").write_text(str(config.pieces))
    return Report(counts={"steps": config.pieces}, metrics={"made": [number for number, _ in made(out.private)]})


def gates(inputs: Inputs, files: Path, config: SlowConfig, report: Report) -> list[Gate]:
    until = time.monotonic() + config.gate_seconds
    (files.parent / "judging").write_text(str(os.getpid()))
    while time.monotonic() < until:
        sum(range(1000))
    pieces = report.counts["steps"]
    few = Gate("few_pieces", pieces <= config.limit, f"{pieces} pieces, at most {config.limit} are allowed: make fewer")
    return [few, Gate("takes_long", True, f"{config.gate_seconds} s")]
