"""Shard steps on a cluster: datatrove's Ray and Slurm executors, unchanged, and the waiting that Slurm's leaves out.

Ray: a job starts each shard as a process of its own. datatrove makes shards in a pool of forked processes, and a pool waits for
ever for one that the kernel killed; a process's exit code is seen. Slurm: datatrove submits and returns, so the queue is
watched here. A job that outlives a killed run is taken up again by the next one, or cancelled if it makes something else.
"""

import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from shutil import which
from typing import Any

from llm_assets.core.errors import ExecutorError, WorkerDied
from llm_assets.core.jsonio import read_json, write_json
from llm_assets.core.recipe.executor import ExecutorConfig
from llm_assets.core.shard_worker import StepsJob, run_rank, tell_failure

SLURM_COMMANDS = ("sbatch", "squeue", "scancel", "scontrol", "srun")
_SUBMITTED = "slurm.json"
_FIRST_POLL_S, _LAST_POLL_S = 0.2, 15.0  # a short job is seen at once, a long one costs the scheduler four questions a minute
_CONNECT_S = 10.0
_LATE_POLLS = 3  # a shared file system may show a marker some seconds after the job has left the queue
_LOG_CHARS = 1500


def check_executor(config: ExecutorConfig) -> None:
    """``ExecutorError`` where this machine can't reach what the recipe asks for."""
    if config.kind == "ray" and find_spec("ray") is None:
        raise ExecutorError(
            "executor.kind is 'ray', but ray isn't installed here; run: pip install 'llm_assets[ray]', or set "
            "executor.kind: auto"
        )
    missing = [name for name in SLURM_COMMANDS if which(name) is None] if config.kind == "slurm" else []
    if missing:
        raise ExecutorError(
            f"executor.kind is 'slurm', but {', '.join(missing)} can't be found on PATH; start the run on a login node of the "
            "cluster, or set executor.kind: auto"
        )


def run(job: StepsJob) -> None:
    """Run all shards that are not done. Raises ``ExecutorError`` naming those that are still missing afterwards."""
    (_ray if job.executor.kind == "ray" else _slurm)(job)
    missing = job.markers().missing(job.tasks)
    if missing:
        raise ExecutorError(f"{_named(missing)} of {job.tasks} not made; {_last_words(job, missing[0])}")


def _named(ranks: list[int]) -> str:
    shown = ", ".join(map(str, ranks[:5])) + (" …" if len(ranks) > 5 else "")
    return f"shards {shown} were" if len(ranks) > 1 else f"shard {shown} was"


def _last_words(job: StepsJob, rank: int) -> str:
    """Where to look, and the end of what the shard's job said."""
    logs = Path(job.logging)
    places = [job.folder / f"rank-{rank:05d}.log", logs / f"logs/task_{rank:05d}.log", *sorted(logs.glob("slurm_logs/*"))]
    found = [path for path in places if path.is_file() and path.stat().st_size]
    if not found:
        return f"start again (finished shards are kept); no job left a log in {job.folder}"
    end = found[0].read_text("utf-8", "replace")[-_LOG_CHARS:]
    return f"start again (finished shards are kept). The end of {found[0]}: {end}"


def _variables(config: ExecutorConfig) -> dict[str, str]:
    """What a job needs to find the package and to keep to its cores; the recipe's variables win."""
    cores = str(config.cpus_per_task)
    return {"PYTHONPATH": os.environ.get("PYTHONPATH", ""), "POLARS_MAX_THREADS": cores, **config.environment}


def run_rank_apart(path: str, data: Any, rank: int, world_size: int) -> None:
    """``run_rank`` in a process of its own, which ends when this one does."""
    folder = Path(path).parent
    command = [sys.executable, "-m", "llm_assets.core.shard_worker", path, str(rank)]
    with open(folder / f"rank-{rank:05d}.log", "wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True)
        code = process.wait()
    if code < 0:
        died = WorkerDied(f"the process of shard {rank} was ended by signal {-code}, often for lack of memory; start again")
        tell_failure(folder, f"{rank:05d}", died)
    if code:
        raise RuntimeError(f"shard {rank} failed")  # its failure's file says why


def _ray(job: StepsJob) -> None:
    import ray
    from datatrove.executor.ray import RayPipelineExecutor

    config = job.executor
    _reachable(config.ray_address)
    runtime: dict[str, Any] = {"env_vars": _variables(config)}
    if config.ray_pip:
        runtime["pip"] = config.ray_pip
    try:
        ray.init(address=config.ray_address, runtime_env=runtime, logging_level=logging.WARNING, log_to_driver=False)
    except ConnectionError as error:
        raise _no_cluster(config.ray_address, error) from error
    step: Callable[..., None] = partial(run_rank_apart, str(job.path))
    try:
        RayPipelineExecutor(
            [step],
            tasks=job.tasks,
            workers=job.workers or -1,
            logging_dir=job.logging,
            cpus_per_task=config.cpus_per_task,
            mem_per_cpu_gb=config.memory_gb_per_cpu,
            tasks_per_job=config.tasks_per_job,
            time=config.seconds,
        ).run()
    finally:
        ray.shutdown()


def _reachable(address: str) -> None:
    """Ask for a connection first: Ray itself tries for many minutes before it says that nobody is there."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_S).close()
    except OSError as error:
        raise _no_cluster(address, error) from error


def _no_cluster(address: str, error: Exception) -> ExecutorError:
    return ExecutorError(
        f"no Ray cluster answers at executor.ray_address {address!r}: {error}; start one (ray start --head) or give host:port"
    )


def _slurm(job: StepsJob) -> None:
    number = _earlier(job)
    if number is None:
        number = _submit(job)
        if number is None:
            return
        write_json(job.folder / _SUBMITTED, {"job": number, "key": job.key})
    _wait(job, number)
    (job.folder / _SUBMITTED).unlink(missing_ok=True)


def _earlier(job: StepsJob) -> str | None:
    """The Slurm job of an earlier run that still makes these very shards; one that makes others is cancelled."""
    path = job.folder / _SUBMITTED
    told = read_json(path) if path.is_file() else {}
    if not told or not _queued(told["job"]):
        return None
    if told["key"] == job.key:
        return str(told["job"])
    subprocess.run(["scancel", told["job"]], check=True, timeout=60)
    return None


def _submit(job: StepsJob) -> str | None:
    """Hand the missing shards to Slurm; the number of the (last) job, None where all are done."""
    from datatrove.executor.slurm import SlurmPipelineExecutor

    config = job.executor
    step: Callable[..., None] = partial(run_rank, str(job.path))
    executor = SlurmPipelineExecutor(
        [step],
        tasks=job.tasks,
        time=config.time_limit,
        partition=config.partition,
        cpus_per_task=config.cpus_per_task,
        mem_per_cpu_gb=ceil(config.memory_gb_per_cpu),
        workers=job.workers or -1,
        job_name=job.entry.split(":")[0].split(".")[-2],
        qos=config.qos,
        env_command=_setup(config),
        sbatch_args=dict(config.sbatch),
        logging_dir=job.logging,
        tasks_per_job=config.tasks_per_job,
        requeue_signals=None,
        mail_type="NONE",
    )
    # Its statistics are not read (they know the last launch only), and the job that merges them would wait for ever where a
    # shard fails.
    executor.launch_merge_stats = _nothing
    try:
        executor.run()
    except subprocess.CalledProcessError as error:
        raise ExecutorError(f"sbatch refused the job (exit code {error.returncode}); it says why in {job.folder}") from error
    return None if executor.job_id in (None, -1) else str(executor.job_id)


def _nothing() -> None:
    """In the place of datatrove's merging of statistics."""


def _setup(config: ExecutorConfig) -> str:
    """Shell lines that lead to this package on a node. datatrove dedents its script, so each line must be its own."""
    lines = [config.setup or f"export PATH={Path(sys.executable).parent}:$PATH"]
    return "\n".join([*lines, *(f"export {name}={_quoted(value)}" for name, value in _variables(config).items())])


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "'\\''") + "'"


def _wait(job: StepsJob, number: str, pause: Callable[[float], None] = time.sleep) -> None:
    """Until all shards are done, or the job has left the queue and its last markers had time to appear."""
    markers, delay, late = job.markers(), _FIRST_POLL_S, 0
    while markers.count() < job.tasks and late < _LATE_POLLS:
        pause(delay)
        if _queued(number):
            late = 0
        else:
            late += 1
        delay = min(_LAST_POLL_S, delay * 1.3)


def _queued(number: str, environment: Mapping[str, str] | None = None) -> bool:
    """Whether Slurm still has the job. squeue refuses the number of a job that it has forgotten."""
    asked = ["squeue", "--noheader", "--jobs", number, "--format", "%i"]
    with suppress(subprocess.TimeoutExpired):
        found = subprocess.run(asked, capture_output=True, text=True, timeout=60, env=environment, check=False)
        return found.returncode == 0 and bool(found.stdout.strip())
    return True  # a busy scheduler: ask again
