"""Launching a job in a subprocess through Dagster Pipes, with its progress live in the UI.

Stock Pipes hands custom messages over only when the process has ended; the reader here passes each on as it comes.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterPipesExecutionError

from llm_assets.core import errors
from llm_assets.core.job import Job
from llm_assets.core.jsonio import read_json
from llm_assets.core.progress import Progress
from llm_assets.worker import ERROR_FILE


class _PassOn:
    """Stands before Pipes' message handler and takes the custom messages out."""

    def __init__(self, handler: Any, listen: Callable[[Any], None]) -> None:
        self._handler = handler
        self._listen = listen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._handler, name)

    def handle_message(self, message: Any) -> None:
        if message["method"] == "report_custom_message":
            self._listen(message["params"]["payload"])
        else:
            self._handler.handle_message(message)


class LiveMessageReader(dg.PipesTempFileMessageReader):
    """Tails the message file and gives custom messages to ``listen`` while the process runs."""

    def __init__(self, listen: Callable[[Any], None]) -> None:
        super().__init__()
        self._listen = listen

    @contextmanager
    def read_messages(self, handler: Any) -> Iterator[Any]:
        """As the base class, with the pass-on between."""
        with super().read_messages(_PassOn(handler, self._listen)) as params:  # type: ignore[arg-type]
            yield params


def launcher(context: dg.AssetExecutionContext) -> Callable[[Job, Progress], None]:
    """A launcher for ``produce``: ``python -m llm_assets.worker``, one process, killed with the run."""

    def launch(job: Job, progress: Progress) -> None:
        def listen(message: Any) -> None:
            if "note" in message:
                progress.note(message["note"])
            else:
                progress.update(message["done"], message["total"], message["unit"], **message["metrics"])

        client = dg.PipesSubprocessClient(message_reader=LiveMessageReader(listen), termination_timeout_seconds=8)
        command = [sys.executable, "-m", "llm_assets.worker", str(job.save())]
        try:
            client.run(context=context, command=command, env={"PYTHONUNBUFFERED": "1"})
        except DagsterPipesExecutionError as error:
            raise _explained(job, error) from error

    return launch


def _explained(job: Job, error: Exception) -> Exception:
    """The subprocess's own sentence, if it left one; else what ended it and that the work can go on."""
    path = job.work / ERROR_FILE
    if path.exists():
        said = read_json(path)
        kind = getattr(errors, said["class"], errors.LlmAssetsError)
        return kind(said["message"]) if isinstance(kind, type) else errors.LlmAssetsError(said["message"])
    text = str(error)
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
        if f"-{int(number)}" in text:
            kind = errors.WorkerDied if number == signal.SIGKILL else errors.LlmAssetsError
            return kind(
                f"{job.asset} was ended by {number.name}"
                + (" (often the kernel's out-of-memory killer)" if number == signal.SIGKILL else "")
                + "; its checkpoints are kept: materialise it again and it goes on"
            )
    return RuntimeError(f"{job.asset} failed; its output is in the run's stderr log (process {os.getpid()}): {text}")
