"""Decodes images in processes of their own, several at a time: an image that kills its decoder costs itself and nothing else.

Decoders are native code that reads what strangers wrote. A process that one of them ended is started again behind the image of
which it died, which gets the rule ``decoder_died``: no run fails for it, and none is tried for ever on it.
"""

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Timer
from typing import IO, Any

from llm_assets.core.ledger import Verdict
from llm_assets.core.machine import available_cores
from llm_assets.core.recipe.images import ImageDatasetConfig

Row = Mapping[str, Any]
_FIELDS = ("doc_id", "url", "warc_file", "offset", "length")  # of a row: what the child needs
_COMMAND = (sys.executable, "-m", "llm_assets.stages.images.child")
_LOOK_S = 0.2  # between looks whether a worker has failed


class Decoders:
    """Some child processes and the rows that they are at. ``files``: of the raw crawl; ``folder``: for upright pixels."""

    def __init__(self, files: Path, folder: Path, config: ImageDatasetConfig, command: tuple[str, ...] = _COMMAND) -> None:
        self.files, self.folder, self.config, self.command = files, folder, config, command
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def answers(self, rows: Sequence[Row]) -> Iterator[tuple[Row, dict[str, Any]]]:
        """(row, answer of the child) of each row, in any order."""
        workers = max(1, min(len(rows), self.config.workers or available_cores()))
        found: SimpleQueue[tuple[Row, dict[str, Any]]] = SimpleQueue()

        def drain(mine: Sequence[Row]) -> None:
            for item in self._one_after_another(mine):
                found.put(item)

        with ThreadPoolExecutor(workers) as pool:
            try:
                futures = [pool.submit(drain, rows[worker::workers]) for worker in range(workers)]
                for _ in range(len(rows)):
                    while True:
                        try:
                            item = found.get(timeout=_LOOK_S)
                        except Empty:
                            for future in futures:
                                if future.done():
                                    future.result()  # raises what it ended of
                        else:
                            break
                    yield item
            finally:
                self._stop()

    def _stop(self) -> None:
        self._stopped = True
        for process in list(self._running):
            process.kill()

    def _one_after_another(self, rows: Sequence[Row]) -> Iterator[tuple[Row, dict[str, Any]]]:
        """By one child, and by another wherever one died."""
        rest = list(rows)
        while rest and not self._stopped:
            done = 0
            with tempfile.TemporaryFile() as errors:
                with self._child(errors) as process:
                    for line in self._told(process, rest):
                        yield rest[done], json.loads(line)
                        done += 1
                if done == len(rest) or self._stopped:
                    return
                if process.returncode >= 0:
                    errors.seek(0)
                    said = errors.read()[-2_000:].decode("utf-8", "replace")
                    raise RuntimeError(f"the process that decodes images ended with code {process.returncode}: {said}")
            how = signal.Signals(-process.returncode).name
            yield rest[done], {"verdict": asdict(Verdict(False, "decoder_died", detail=_WHY.get(how, how)))}
            rest = rest[done + 1 :]

    @contextmanager
    def _child(self, errors: IO[bytes]) -> "Iterator[subprocess.Popen[bytes]]":
        """A process that has ended when the block has; killed where the block ends by an exception."""
        # in a session of its own: Ctrl-C is for us, and a decoder that it ends would count as ended by its image
        process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
        )
        with process:
            self._running.add(process)
            try:
                if self._stopped:
                    process.kill()
                yield process
            except BaseException:
                process.kill()
                raise
            finally:
                process.wait()
                self._running.discard(process)

    def _told(self, process: "subprocess.Popen[bytes]", rows: Sequence[Row]) -> Iterator[bytes]:
        """What the child says, a line an image, until it ends; one that says nothing for ``stall_seconds`` is ended."""
        assert process.stdin is not None and process.stdout is not None
        job = {
            "files": str(self.files),
            "folder": str(self.folder),
            "config": self.config.model_dump(mode="json"),
            "rows": [{name: row[name] for name in _FIELDS} for row in rows],
        }
        with suppress(BrokenPipeError), process.stdin as pipe:  # a child that could not start says why at its end
            pipe.write(json.dumps(job).encode())
        while True:
            stalled = Timer(self.config.stall_seconds, process.kill)
            stalled.start()
            try:
                line = process.stdout.readline()
            finally:
                stalled.cancel()
            if not line.endswith(b"\n"):  # the end, perhaps in the middle of a line
                return
            yield line


_WHY = {
    "SIGPROF": "out of processor time",
    "SIGKILL": "killed: it said nothing for long, or memory was short",
}
