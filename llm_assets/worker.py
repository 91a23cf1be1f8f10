"""Runs one job in a process of its own: ``python -m llm_assets.worker job.json``.

Started by the Dagster skin through Pipes, which carries progress back; without Pipes, progress goes to standard output as
JSON lines, so that the same command works on a node that a person logs in to.
Exit codes: 0 done, 3 a mistake that the user can mend (its sentence is in ``error.json`` beside the job), 1 anything else.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from llm_assets.core.errors import LlmAssetsError
from llm_assets.core.job import Job, run_job
from llm_assets.core.jsonio import write_json

ERROR_FILE = "error.json"
USER_ERROR = 3
_SECONDS_BETWEEN_MESSAGES = 0.5


class Sender:
    """A ``Progress`` that sends messages, at most one every half second (the last of a unit always)."""

    def __init__(self, send: Any) -> None:
        self._send = send
        self._last = 0.0

    def update(self, done: int, total: int | None, unit: str, /, **metrics: float) -> None:
        """Send unless the last message is too recent."""
        now = time.monotonic()
        if now - self._last >= _SECONDS_BETWEEN_MESSAGES or (total is not None and done >= total):
            self._last = now
            self._send({"done": done, "total": total, "unit": unit, "metrics": metrics})

    def note(self, text: str) -> None:
        """Send at once."""
        self._send({"note": text})


def run(path: Path, send: Any) -> int:
    """Run the job at ``path``; returns the exit code."""
    job = Job.load(path)
    (job.work / ERROR_FILE).unlink(missing_ok=True)
    try:
        run_job(job, Sender(send))
    except LlmAssetsError as error:
        write_json(job.work / ERROR_FILE, {"class": type(error).__name__, "message": str(error)})
        print(f"{job.asset}: {error}", file=sys.stderr)
        return USER_ERROR
    return 0


def main() -> int:
    """The command line."""
    if len(sys.argv) != 2:
        print("usage: python -m llm_assets.worker JOB.json", file=sys.stderr)
        return 2
    path = Path(sys.argv[1])
    if "DAGSTER_PIPES_CONTEXT" in os.environ:
        from dagster_pipes import open_dagster_pipes

        with open_dagster_pipes() as pipes:
            return run(path, pipes.report_custom_message)
    return run(path, lambda message: print(json.dumps(message), flush=True))


if __name__ == "__main__":
    sys.exit(main())
