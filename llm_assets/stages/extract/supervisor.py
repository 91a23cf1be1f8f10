"""Keeps a parser process alive: a page that kills it, hangs it or runs out of its limits is one reject, and the batch goes on.

Answers come in the order of the jobs and carry their numbers, so the job without an answer is the one that the process died of.
It is never tried again (case B10). One process serves shard after shard, since it takes half a second to start; some can be
started before there is anything to do. A process says when it is ready, and what it takes to get there is no page's time.
"""

import atexit
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from llm_assets.core.errors import WorkerDied
from llm_assets.stages.extract.parser import READY, rejected

COMMAND = (sys.executable, "-m", "llm_assets.stages.extract.parser")
# Jobs sent ahead of their answers. They must fit a pipe (64 KiB on Linux) whole, or both ends could wait for each other; of a
# job that is larger the address is left out, which then resolves no relative ones.
_WINDOW, _JOB_BYTES = 16, 3_000
# A process that has served so many pages is replaced at the end of a shard: its limit on memory is that of one page.
_PAGES = 10_000
_READY_S = 600.0  # where the loops must be compiled first, on a busy machine
_LOG_CHARS = 600
_ASKED_TO_END = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Supervisor:
    """A parser process and its successors; use as a context manager.

    ``limits``: ``max_cpu_seconds``, ``max_memory_mb``, ``max_html_bytes``, ``max_text_bytes`` and ``extractor``.
    ``stall_seconds``: longest wait for an answer by the clock, against a process that sleeps. ``log``: file for what the
    processes print.
    """

    def __init__(self, limits: dict[str, Any], stall_seconds: float, log: Path, command: Sequence[str] = COMMAND) -> None:
        self.limits = limits
        self.stall_seconds = stall_seconds
        self.deaths = 0
        self.served = 0  # pages, by the process that runs
        self._command = [*command, json.dumps(limits)]
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = False
        self._buffer = b""
        self._poll = select.poll()

    def __enter__(self) -> "Supervisor":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def answers(self, jobs: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The answer to each job, in order; see ``llm_assets.stages.extract.parser.answer``."""
        sent = 0
        for answered in range(len(jobs)):
            if self._process is None:
                self.start()
            if not self._ready:
                self._await()
                sent = answered
            ahead = range(sent, min(answered + _WINDOW, len(jobs)))
            self._send([{**jobs[number], "number": number} for number in ahead])
            sent += len(ahead)
            line = self._line(self.stall_seconds)
            found = json.loads(line) if line else None
            self.served += 1
            if found is not None and found.pop("number") == answered:
                yield found
            else:  # one that has closed its output is about to end, which takes its time where the machine is busy
                yield self._fate_of_silent(self.stall_seconds if line == b"" else 0.0)

    def start(self) -> None:
        """Start a process, without waiting for it."""
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us: a parser that it ends would count as ended by its page
            )
        self._buffer, self._ready, self._poll = b"", False, select.poll()
        assert self._process.stdout is not None
        self._poll.register(self._process.stdout, select.POLLIN)

    def _await(self) -> None:
        """Wait for a process that was started. ``WorkerDied`` where it ends before it is ready: that is no page's doing."""
        self._ready = self._line(_READY_S) == READY
        if not self._ready:
            self.end()
            said = self.log.read_text("utf-8", "replace")[-_LOG_CHARS:] if self.log.is_file() else ""
            raise WorkerDied(
                "a parser process could not be started; the end of what it said (often: too little memory, "
                f"extracted_pages.max_memory_mb): {said or 'nothing'}"
            )

    def _send(self, jobs: Sequence[dict[str, Any]]) -> None:
        if not jobs:
            return
        assert self._process is not None and self._process.stdin is not None
        with suppress(BrokenPipeError):  # it died; the missing answer will tell
            self._process.stdin.write(b"".join(map(_line_of, jobs)))
            self._process.stdin.flush()

    def _line(self, seconds: float) -> bytes | None:
        """The next answer; empty where the process has closed its output, None where it says nothing in time."""
        assert self._process is not None and self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        while b"\n" not in self._buffer:
            if not self._poll.poll(1000 * seconds):
                return None
            chunk = os.read(descriptor, 1 << 18)
            if not chunk:
                return b""
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _fate_of_silent(self, wait_s: float) -> dict[str, Any]:
        """What became of the page that the process did not answer for; the next page gets a new process.

        ``wait_s``: how long the process may take to end by itself.

        Raises ``WorkerDied`` where somebody ended the process, which says nothing about a page.
        """
        self.deaths += 1
        code = self.end(wait_s)
        if code is not None and -code in _ASKED_TO_END:
            raise WorkerDied(
                f"the parser process was ended by {signal.Signals(-code).name}, which is no page's doing; start the run "
                "again: it goes on with the shards that are missing"
            )
        if code is None:
            return rejected("extract_timeout", self.stall_seconds, self.stall_seconds, "seconds without an answer")
        if code == -signal.SIGPROF:
            cap = self.limits["max_cpu_seconds"]
            return rejected("extract_timeout", cap, cap, "seconds of processor time")
        return rejected("extract_crash", detail=signal.Signals(-code).name if code < 0 else f"exit code {code}")

    def end(self, wait_s: float = 0.0) -> int | None:
        """End the process. Its exit status if it ended by itself within ``wait_s``, None if it had to be killed."""
        process, self._process, self.served = self._process, None, 0
        if process is None:
            return None
        code: int | None = None
        try:
            code = process.wait(wait_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            with suppress(BrokenPipeError):
                stream.close()
        return code


_kept: list[Supervisor] = []  # those that wait for a next shard


def _like(supervisor: Supervisor, limits: dict[str, Any], stall_seconds: float) -> bool:
    return (supervisor.limits, supervisor.stall_seconds) == (limits, stall_seconds)


def prepare(count: int, limits: dict[str, Any], stall_seconds: float, log: Path = Path(os.devnull)) -> None:
    """Have so many parsers started that will be wanted with these limits."""
    for _ in range(count - sum(_like(supervisor, limits, stall_seconds) for supervisor in _kept)):
        supervisor = Supervisor(limits, stall_seconds, log)
        supervisor.start()
        _kept.append(supervisor)


@contextmanager
def kept_supervisor(limits: dict[str, Any], stall_seconds: float, log: Path) -> Iterator[Supervisor]:
    """A supervisor for these limits, whose parser may have served other shards; see ``Supervisor``. Any thread may ask.

    After an exception, and after many pages, the next shard gets a new parser. ``end_kept`` ends what is left.
    """
    supervisor = _taken(limits, stall_seconds) or Supervisor(limits, stall_seconds, log)
    supervisor.log = log
    try:
        yield supervisor
    except BaseException:
        supervisor.end()
        raise
    if supervisor.served >= _PAGES:
        supervisor.end()
    _kept.append(supervisor)


def _taken(limits: dict[str, Any], stall_seconds: float) -> Supervisor | None:
    """One of those that wait; those for other limits are ended."""
    while _kept:
        try:
            supervisor = _kept.pop()
        except IndexError:  # another thread took the last
            return None
        if _like(supervisor, limits, stall_seconds):
            return supervisor
        supervisor.end()
    return None


@atexit.register
def end_kept() -> None:
    """End the parsers that wait for a next shard."""
    while _kept:
        _kept.pop().end()


def _line_of(job: dict[str, Any]) -> bytes:
    line = json.dumps(job).encode("ascii")
    return (line if len(line) <= _JOB_BYTES else json.dumps({**job, "url": ""}).encode("ascii")) + b"\n"
