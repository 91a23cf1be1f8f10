"""The processes that run shard steps: what happens on the far side of ``llm_assets.core.shardsteps``.

    python -m llm_assets.core.shard_worker JOB FIRST COUNT    a range of ranks under datatrove's local executor
    python -m llm_assets.core.shard_worker JOB cluster        all ranks under datatrove's Ray or Slurm executor
    python -m llm_assets.core.shard_worker JOB RANK           one rank, no executor (what a Ray job starts)

A failure is told through a file in the job's folder, which works over any number of machines that share it.
"""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from llm_assets.core import errors
from llm_assets.core.errors import LlmAssetsError
from llm_assets.core.jsonio import read_json, write_json
from llm_assets.core.recipe.executor import ExecutorConfig
from llm_assets.core.shard_markers import Markers
from llm_assets.core.spec import load_entry

JOB_FILE = "steps.json"
_LOG_CHARS = 3000


@dataclass(frozen=True)
class StepsJob:
    """One launch of shard steps, as its folder holds it."""

    folder: Path
    entry: str  # module:function, called as f(arguments, rank) -> paths of the files that it wrote (or None)
    arguments: dict[str, Any]
    tasks: int
    key: str
    workers: int
    executor: ExecutorConfig

    @property
    def path(self) -> Path:
        """The file of this job."""
        return self.folder / JOB_FILE

    @property
    def logging(self) -> str:
        """datatrove's folder."""
        return str(self.folder / "datatrove")

    def save(self) -> None:
        """Write the job's file."""
        told = {name: getattr(self, name) for name in ("entry", "arguments", "tasks", "key", "workers")}
        write_json(self.path, {**told, "executor": self.executor.model_dump(mode="json")})

    @classmethod
    def load(cls, path: Path) -> "StepsJob":
        """Read what ``save`` wrote."""
        told = read_json(path)
        return cls(path.parent, **{**told, "executor": ExecutorConfig.model_validate(told["executor"])})

    def markers(self) -> Markers:
        """The markers under this job's key."""
        return Markers(self.folder, self.key)


def run_rank(path: str, _data: Any, rank: int, _world_size: int) -> None:
    """Make one shard and mark it; the signature is that of datatrove's callables."""
    job = StepsJob.load(Path(path))
    try:
        made = load_entry(job.entry)(job.arguments, rank)
    except Exception as error:
        tell_failure(job.folder, f"{rank:05d}", error)
        raise
    job.markers().set(rank, made or ())


def tell_failure(folder: Path, who: str, error: Exception) -> None:
    """Leave an error for the process that started the job."""
    trace = "" if isinstance(error, LlmAssetsError) else traceback.format_exc()[-_LOG_CHARS:]
    write_json(folder / f"failure-{who}.json", {"type": type(error).__name__, "message": str(error), "trace": trace})


def told_failure(folder: Path) -> Exception | None:
    """The error that was left, of the lowest rank: a user's error with its type and sentence, any other with its traceback."""
    for path in sorted(folder.glob("failure-*.json")):
        told = read_json(path)
        kind = getattr(errors, told["type"], None)
        if isinstance(kind, type) and issubclass(kind, LlmAssetsError):
            return kind(told["message"])
        return RuntimeError(f"a shard step failed ({path.stem.removeprefix('failure-')}):\n{told['trace'] or told['message']}")
    return None


def run_locally(job: StepsJob, first: int, count: int) -> None:
    """Run ranks ``first`` … ``first + count - 1`` under datatrove, one after the other, in this process."""
    from datatrove.executor.local import LocalPipelineExecutor

    step: Callable[..., None] = partial(run_rank, str(job.path))
    LocalPipelineExecutor(
        [step], tasks=job.tasks, workers=1, logging_dir=job.logging, local_tasks=count, local_rank_offset=first
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
    """One worker; see the module. Exit code 1 where a shard failed, and the failure's file says why."""
    from llm_assets.core import shard_worker  # not __main__: what is pickled for a cluster must be found by its name there

    job = StepsJob.load(Path(argv[0]))
    _end_with_parent()
    try:
        if argv[1:] == ["cluster"]:
            from llm_assets.core import shard_clusters

            shard_clusters.run(shard_worker.StepsJob.load(job.path))
        elif len(argv) == 2:
            run_rank(argv[0], None, int(argv[1]), job.tasks)
        else:
            run_locally(job, int(argv[1]), int(argv[2]))
    except Exception as error:
        if told_failure(job.folder) is None:
            tell_failure(job.folder, "executor", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
