"""Shard steps: work that falls into numbered shards, run by datatrove's executor in processes of their own.

A step is a function ``step(arguments, rank)`` that makes shard ``rank`` from JSON arguments and writes it to disk, whole or not
at all. Here a few worker processes each run datatrove's ``LocalPipelineExecutor`` on a range of ranks; on a cluster its Slurm
and Ray executors run the same step. datatrove marks each finished rank, so a killed run goes on where it was. Its statistics
know only the ranks of the last launch (case B18): totals are always taken from what the shards hold.

The workers are plain subprocesses, not a pool: a pool waits for ever for a worker that the kernel killed, and what
datatrove does to logging and environment stays out of the caller's process. A worker ends when its parent does.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from llm_assets.core import errors
from llm_assets.core.errors import LlmAssetsError
from llm_assets.core.jsonio import read_json, write_json
from llm_assets.core.progress import Progress
from llm_assets.core.spec import load_entry

_POLL_S = 0.1
_PACKAGE_ROOT = Path(__file__).parents[2]


class WorkerDied(LlmAssetsError):
    """A worker process ended by a signal, most often for lack of memory."""


@dataclass(frozen=True)
class _Worker:
    first: int  # its first rank
    process: subprocess.Popen[bytes]


def run_shard_steps(
    entry: str,
    arguments: Mapping[str, Any],
    tasks: int,
    folder: Path,
    progress: Progress,
    *,
    workers: int = 0,
    unit: str = "shards",
) -> None:
    """Run ``entry`` (``module:function``) for every rank below ``tasks`` that is not marked as done in ``folder``.

    ``workers``: processes at once; 0 takes one a core. A user's error raised by a step is raised here again, with its message;
    any other failure is a ``RuntimeError`` with the end of the worker's log; ``WorkerDied`` where a signal ended a worker.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("failure-*.json"):  # of an earlier try
        stale.unlink()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = max(1, min(workers or cores, tasks))
    job = folder / "steps.json"
    write_json(job, {"entry": entry, "arguments": dict(arguments), "tasks": tasks, "logging": str(folder / "datatrove")})
    running: list[_Worker] = []
    try:
        for first, end in pairwise(number * tasks // count for number in range(count + 1)):
            running.append(_start(job, first, end - first, threads=max(1, cores // count)))
        while busy := [worker for worker in running if worker.process.poll() is None]:
            progress.update(_completed(folder), tasks, unit)
            for worker in running:
                _check(worker, folder)
            with suppress(subprocess.TimeoutExpired):
                busy[0].process.wait(_POLL_S)
        for worker in running:
            _check(worker, folder)
    finally:
        for worker in running:
            _end(worker.process)
    progress.update(tasks, tasks, unit)


def _start(job: Path, first: int, count: int, threads: int) -> _Worker:
    """One worker for the ranks ``first`` … ``first + count - 1``, in a process group of its own."""
    environment = {**os.environ, "POLARS_MAX_THREADS": str(threads), "PYTHONPATH": _search_path()}
    command = [sys.executable, "-m", "llm_assets.core.shardsteps", str(job), str(first), str(count)]
    with open(_log(job.parent, first), "wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment, start_new_session=True
        )
    return _Worker(first, process)


def _search_path() -> str:
    return os.pathsep.join(filter(None, (str(_PACKAGE_ROOT), os.environ.get("PYTHONPATH"))))


def _log(folder: Path, first: int) -> Path:
    return folder / f"worker-{first:05d}.log"


def _failure(folder: Path, first: int) -> Path:
    return folder / f"failure-{first:05d}.json"


def _completed(folder: Path) -> int:
    return sum(1 for _ in (folder / "datatrove/completions").glob("*"))


def _check(worker: _Worker, folder: Path) -> None:
    """Raise what ended a worker, if it has ended badly."""
    code = worker.process.poll()
    if code is None or code == 0:
        return
    failure = _failure(folder, worker.first)
    if failure.exists():
        told = read_json(failure)
        kind = getattr(errors, told["type"], None) or LlmAssetsError
        raise kind(told["message"])
    log = _log(folder, worker.first).read_text("utf-8", "replace")[-3000:]
    if code < 0:
        raise WorkerDied(
            f"a worker was ended by {signal.Signals(-code).name}, often for lack of memory; start again: finished shards "
            f"are kept, and fewer workers need less memory. The end of its log: {log[-300:] or 'empty'}"
        )
    raise RuntimeError(f"a worker failed with exit code {code}:\n{log}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a worker and whatever it started. Those of a worker that finished are gone already."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


def execute(entry: str, arguments: dict[str, Any], tasks: int, logging: str, first: int, count: int) -> None:
    """Run ranks ``first`` … ``first + count - 1`` under datatrove, one after the other, in this process."""
    from datatrove.executor.local import LocalPipelineExecutor
    from datatrove.pipeline.base import PipelineStep

    class ShardStep(PipelineStep):  # type: ignore[misc]
        """One shard a rank; documents don't pass through datatrove's own pipe."""

        name = entry
        type = "shard step"

        def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Any:
            load_entry(entry)(arguments, rank)
            yield from data or ()

    LocalPipelineExecutor(
        [ShardStep()], tasks=tasks, workers=1, logging_dir=logging, local_tasks=count, local_rank_offset=first
    ).run()


def _end_with_parent() -> None:
    """The parent holds our standard input: when it closes, end this whole process group."""

    def watch() -> None:
        # Not sys.stdin.read(): it holds the stream's lock, on which a forked child (datatrove's manager) would wait for ever.
        while os.read(0, 1):
            pass
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def main(argv: list[str]) -> int:
    """``python -m llm_assets.core.shardsteps JOB FIRST COUNT``: one worker."""
    job, first, count = Path(argv[0]), int(argv[1]), int(argv[2])
    _end_with_parent()
    told = read_json(job)
    try:
        execute(told["entry"], told["arguments"], told["tasks"], told["logging"], first, count)
    except LlmAssetsError as error:
        write_json(_failure(job.parent, first), {"type": type(error).__name__, "message": str(error)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
