"""Shard steps: work that falls into numbered shards, run by one of datatrove's executors.

A step is a function ``step(arguments, rank)`` that makes shard ``rank`` from JSON arguments, writes it to disk, each file whole
or not at all, and returns the paths of what it wrote. The recipe says where steps run: here, in a few worker processes
that each run datatrove's ``LocalPipelineExecutor`` on a range of ranks, or on a cluster under its Ray or Slurm executor.
Each finished shard is marked with the hash of what it was made of (``shard_markers``), so a killed run goes on
where it was and nothing stale is taken for done. datatrove's statistics know only the ranks of the last launch (case B18):
totals are always taken from what the shards hold.

Workers are threads where a step allows it and few are wanted. Else they are plain subprocesses, not a pool: a pool waits for
ever for a worker that the kernel killed, and what datatrove does to logging and environment stays out of the caller's process.
A worker ends when its parent does.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from llm_assets.core.artefact import Artefact
from llm_assets.core.errors import WorkerDied
from llm_assets.core.machine import available_cores, search_path
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.base import Section
from llm_assets.core.recipe.executor import ExecutorConfig
from llm_assets.core.shard_clusters import check_executor
from llm_assets.core.shard_markers import Markers, shard_key
from llm_assets.core.shard_worker import StepsJob, told_failure
from llm_assets.core.spec import load_entry
from llm_assets.core.threads import in_order

_POLL_S = 0.1
MOST_THREADS = 4  # more would wait for each other: what a step does in Python itself is done by one at a time


@dataclass(frozen=True)
class _Worker:
    log: Path
    process: subprocess.Popen[bytes]


def run_shard_steps(
    entry: str,
    arguments: Mapping[str, Any],
    tasks: int,
    folder: Path,
    progress: Progress,
    *,
    places: Mapping[str, Any] | None = None,
    config: Section | None = None,
    inputs: Sequence[Artefact] = (),
    executor: ExecutorConfig | None = None,
    workers: int = 0,
    unit: str = "shards",
    threaded: bool = False,
) -> None:
    """Run ``entry`` (``module:function``) for every rank below ``tasks`` that is not marked as done in ``folder``.

    The step is given ``arguments``, which decide what comes out, ``places``, which say where things lie, and ``config`` as
    ``config``. A marker counts only for the same arguments, section (without execution fields), content of ``inputs`` and code.
    ``workers``: shards at once; 0 takes one a core here, no limit on a cluster. ``threaded``: the step lets go of the
    interpreter's lock for most of its work; up to four workers are then threads of this process where the executor is left
    to us (``auto``): they start at once and load nothing twice. A user's error raised by a step is raised here again, with
    its message; any other failure is a ``RuntimeError`` with its traceback (of a thread, the error itself); ``WorkerDied``
    where a signal ended a worker; ``ExecutorError`` where the executor isn't there. On one machine the first failure stops
    all; a cluster makes what it can first. Either way the next call makes only what is missing.
    """
    where = executor or ExecutorConfig()
    check_executor(where)
    given = {**arguments, **(places or {})}
    if config is not None:
        given["config"] = config.model_dump(mode="json")
    key = shard_key(entry, arguments, tasks, config, inputs)
    job = StepsJob(folder, entry, given, tasks, key, workers, where)
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("failure-*.json"):  # of an earlier try
        stale.unlink()
    job.save()
    markers = job.markers()
    markers.sweep()
    if markers.count() < tasks:
        threads = threads_here(tasks, workers, where) if threaded else 0
        if threads:
            _run_here(job, markers, progress, unit, threads)
        else:
            _run(job, markers, progress, unit)
    progress.update(tasks, tasks, unit)


def threads_here(tasks: int, workers: int, executor: ExecutorConfig) -> int:
    """How many threads of this process run the shards of a ``threaded`` step; 0 where processes do."""
    count = _local_workers(tasks, workers)
    return count if executor.kind == "auto" and count <= MOST_THREADS else 0


def _local_workers(tasks: int, workers: int) -> int:
    return max(1, min(workers or available_cores(), tasks))


def _run_here(job: StepsJob, markers: Markers, progress: Progress, unit: str, count: int) -> None:
    step = load_entry(job.entry)

    def make(rank: int) -> None:
        markers.set(rank, step(job.arguments, rank) or ())

    missing = markers.missing(job.tasks)
    for made, _ in enumerate(in_order(make, missing, count), job.tasks - len(missing)):
        progress.update(made + 1, job.tasks, unit)


def _run(job: StepsJob, markers: Markers, progress: Progress, unit: str) -> None:
    running: list[_Worker] = []
    try:
        if job.executor.kind in ("auto", "local"):
            cores, count = available_cores(), _local_workers(job.tasks, job.workers)
            for first, end in pairwise(number * job.tasks // count for number in range(count + 1)):
                running.append(_start(job, f"{first:05d}", (str(first), str(end - first)), threads=max(1, cores // count)))
        else:
            running.append(_start(job, job.executor.kind, ("cluster",), threads=job.executor.cpus_per_task))
        while busy := [worker for worker in running if worker.process.poll() is None]:
            progress.update(markers.count(), job.tasks, unit)
            for worker in running:
                _check(worker, job.folder)
            with suppress(subprocess.TimeoutExpired):
                busy[0].process.wait(_POLL_S)
        for worker in running:
            _check(worker, job.folder)
    finally:
        for worker in running:
            _end(worker.process)


def _start(job: StepsJob, name: str, asked: tuple[str, ...], threads: int) -> _Worker:
    """One worker, in a process group of its own."""
    environment = {**os.environ, "POLARS_MAX_THREADS": str(threads), "PYTHONPATH": search_path()}
    # Within a Slurm job of ours (a notebook on a node) datatrove would take itself for one of its own tasks.
    environment.pop("SLURM_ARRAY_TASK_ID", None)
    command = [sys.executable, "-m", "llm_assets.core.shard_worker", str(job.path), *asked]
    path = job.folder / f"worker-{name}.log"
    with open(path, "wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment, start_new_session=True
        )
    return _Worker(path, process)


def _check(worker: _Worker, folder: Path) -> None:
    """Raise what ended a worker, if it has ended badly."""
    code = worker.process.poll()
    if code is None or code == 0:
        return
    failure = told_failure(folder)
    if failure is not None:
        raise failure
    log = worker.log.read_text("utf-8", "replace")[-3000:]
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
