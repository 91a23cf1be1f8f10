"""What a crawl has done so far, append-only, so that a killed one goes on where it was.

One line for each step: the URLs it queued, its rows of index and ledger, and what was learnt of an origin. The WARC record is
handed to the operating system before the line, and the line before the host is asked for anything else. So a process that is
killed has lost, at each connection, the one answer that was under way; on a host with a pause that is one URL. Every
``_SYNC_EVERY`` lines both files are synced to disk in a thread, and a mark says how far. After a power cut the lines
behind the last mark count only while their records can be read back.

A line is ``<crc32 of the rest, 8 hex digits> <JSON>``; the first that is cut off or damaged ends the journal.
"""

import asyncio
import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from llm_assets.core.errors import StoreError
from llm_assets.stages.crawl.earlier import read_record
from llm_assets.stages.crawl.host import Known, Task
from llm_assets.stages.crawl.records import Books
from llm_assets.stages.crawl.warc import WarcWriter

JOURNAL_FILE = "journal.jsonl"
_FORMAT = 1
_SYNC_EVERY = 2_000  # lines
_FRESH = timedelta(hours=24)  # how long a robots.txt may be used (RFC 9309, 2.4)


@dataclass
class State:
    """What the lines of a journal add up to."""

    created: datetime
    index: list[dict[str, Any]] = field(default_factory=list)
    ledger: list[tuple[Any, ...]] = field(default_factory=list)
    queued: list[Task] = field(default_factory=list)  # in the order in which they were met, the finished ones too
    known: dict[str, dict[str, Known]] = field(default_factory=dict)  # origin → path → answer
    sitemaps: dict[str, dict[str, list[str]]] = field(default_factory=dict)  # origin → file that was read → files it names
    requests: int = 0
    wire_bytes: int = 0
    lines: int = 0
    size: int = 0  # bytes of the lines that count

    def ends(self) -> dict[str, int]:
        """For each WARC file, where its last record ends."""
        found: dict[str, int] = {}
        for row in self.index:
            found[row["warc_file"]] = max(found.get(row["warc_file"], 0), row["offset"] + row["length"])
        return dict(sorted(found.items()))


class Journal:
    """Writes the lines. ``commit`` after each step, ``close`` at the end."""

    def __init__(self, path: Path, books: Books, writer: WarcWriter, start: Mapping[str, Any] | None, state: State) -> None:
        """``start``: the first line of a new journal; None goes on with the one that ``state`` was read from."""
        self.books, self.writer = books, writer
        self._queued: list[list[Any]] = []
        self._known: list[list[Any]] = []
        self._sitemaps: list[list[Any]] = []
        self._indexed, self._told = len(state.index), len(state.ledger)
        self._lines = self._marked = state.lines
        self._syncing: asyncio.Future[None] | None = None
        if start is None:
            os.truncate(path, state.size)
        self._handle: BinaryIO = open(path, "wb" if start else "ab", buffering=0)  # noqa: SIM115 - closed by close()
        if start is not None:
            self._write({"format": _FORMAT, **start})
            os.fsync(self._handle.fileno())

    def queued(self, task: Task) -> None:
        """A URL that waits for its turn."""
        self._queued.append(
            [task.url, "" if task.canonical == task.url else task.canonical, task.depth, task.hops, task.follow]
        )

    def known(self, origin: str, path: str, found: Known) -> None:
        """A file that says what may be done with an origin."""
        self._known.append([origin, path, found.status, found.payload.decode("latin-1"), found.when])

    def sitemap(self, origin: str, url: str, named: list[str]) -> None:
        """A sitemap that was read, with the sitemaps that it names."""
        self._sitemaps.append([origin, url, named])

    def commit(self, requests: int, wire_bytes: int) -> None:
        """Write down all since the last time; nothing where nothing happened."""
        index, ledger = self.books.since(self._indexed, self._told)
        if not (index or ledger or self._queued or self._known or self._sitemaps):
            return
        if index:
            self.writer.flush()
        line: dict[str, Any] = {"n": [requests, wire_bytes]}
        for key, found in (("i", index), ("l", ledger), ("q", self._queued), ("k", self._known), ("s", self._sitemaps)):
            if found:
                line[key] = found
        self._write(line)
        self._indexed += len(index)
        self._told += len(ledger)
        self._queued, self._known, self._sitemaps = [], [], []
        if self._lines - self._marked >= _SYNC_EVERY and self._syncing is None:
            self._sync()

    def _write(self, line: Mapping[str, Any]) -> None:
        body = orjson.dumps(line)
        self._handle.write(b"%08x %s\n" % (zlib.crc32(body), body))
        self._lines += 1

    def _sync(self) -> None:
        lines = self._lines
        files = [found for found in (self.writer.duplicate(), os.dup(self._handle.fileno())) if found is not None]
        self._syncing = asyncio.get_running_loop().run_in_executor(None, _sync_and_close, files)
        self._syncing.add_done_callback(lambda done: self._mark(lines, done))

    def _mark(self, lines: int, done: "asyncio.Future[None]") -> None:
        if not done.cancelled() and done.exception() is None and not self._handle.closed:
            self._write({"synced": lines})
            self._marked = lines
            self._syncing = None  # else it stays, and ``finish`` raises what went wrong

    async def finish(self) -> None:
        """Wait for a sync that is under way; raises what it raised."""
        if self._syncing is not None:
            await self._syncing

    def close(self) -> None:
        """Close the file."""
        self._handle.close()


def _sync_and_close(files: list[int]) -> None:
    try:
        for descriptor in files:
            os.fsync(descriptor)
    finally:
        for descriptor in files:
            os.close(descriptor)


def read_journal(path: Path, files: Path) -> tuple[dict[str, Any], State] | None:
    """(the first line, what the journal adds up to); None where there is no journal that this version can read.

    ``files``: where the WARC files are, to read back the records that no sync vouches for.
    """
    lines = list(_lines(path)) if path.is_file() else []
    if not lines or lines[0][0].get("format") != _FORMAT:
        return None
    start = lines[0][0]
    state = State(datetime.fromisoformat(start["created"]), size=lines[0][1], lines=1)
    synced = max((line["synced"] for line, _ in lines if "synced" in line), default=0)
    now = datetime.now(UTC)
    for number, (line, end) in enumerate(lines[1:], start=1):
        if not _holds(line, files, number >= synced):
            break
        _apply(line, state, now)
        state.lines, state.size = number + 1, end
    return start, state


def _lines(path: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """(line, where it ends), up to the first that is damaged."""
    end = 0
    with open(path, "rb") as handle:
        for raw in handle:
            end += len(raw)
            body = raw[9:-1]
            if raw[-1:] != b"\n" or raw[:9] != b"%08x " % zlib.crc32(body):
                return
            yield orjson.loads(body), end


def _holds(line: Mapping[str, Any], files: Path, doubtful: bool) -> bool:
    """Whether the records of a line are where it says."""
    for row in line.get("i", ()):
        path = files / row["warc_file"]
        if not path.is_file() or path.stat().st_size < row["offset"] + row["length"]:
            return False
        if doubtful:
            try:
                read_record(path, row["offset"], row["length"])
            except StoreError:
                return False
    return True


def _apply(line: Mapping[str, Any], state: State, now: datetime) -> None:
    for row in line.get("i", ()):
        state.index.append({**row, "fetched_at": datetime.fromisoformat(row["fetched_at"])})
    state.ledger += (tuple(row) for row in line.get("l", ()))
    state.queued += (Task(url, canonical or url, *rest) for url, canonical, *rest in line.get("q", ()))
    for origin, where, status, payload, when in line.get("k", ()):
        if now - datetime.fromisoformat(when) < _FRESH:
            state.known.setdefault(origin, {})[where] = Known(status, payload.encode("latin-1"), when)
    for origin, url, named in line.get("s", ()):
        state.sitemaps.setdefault(origin, {})[url] = named
    if "n" in line:
        state.requests, state.wire_bytes = line["n"]
