"""Getting files and byte ranges from Common Crawl's server, or one laid out like it: politely, resumed, checked.

A file comes in ranges of the recipe's size and is appended to as they come, so a killed run goes on where it was. Beside it a
note keeps length and ETag: a file that changed meanwhile begins again. When all is there, the checksum decides: Content-MD5,
or the ETag where it is an MD5 (S3, single part), else the checksums of the gzip members. Errors of network and server, and the
403, 429 and 503 by which Common Crawl asks to slow down, are tried again after pauses that double. Redirects aren't followed.
"""

import asyncio
import hashlib
import re
import zlib
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from llm_assets.core.errors import InputError
from llm_assets.core.jsonio import read_json, write_json
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.crawl import RawCrawlConfig
from llm_assets.stages.crawl.address import Addresses
from llm_assets.stages.crawl.decode import CannotDecode, Limited, decode
from llm_assets.stages.crawl.http import Answer, Client

_AGAIN = ("timeout", "connection", "truncated")
_SLOW_DOWN = (403, 408, 429)
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)$")
_MD5 = re.compile(r'"?([0-9a-f]{32})"?$')
_MAX_LISTING_BYTES = 268_435_456  # the listing of a month is some 10 MB unpacked
_STEP = 1_048_576


class Changed(Exception):
    """The file on the server is another than the one that was begun."""


@dataclass(frozen=True)
class Part:
    """A range of a file; ``total``: bytes of the whole file; ``md5``: of the whole file, hex, "" where the server says none."""

    data: bytes
    total: int
    etag: str
    md5: str


def safe_path(path: str) -> str:
    """A path below the base address as a listing or index gives it. Raises ``InputError`` for what would lead elsewhere."""
    clean = path.strip()
    parts = clean.split("/")
    if not clean or clean.startswith("/") or any(part in ("", ".", "..") for part in parts) or re.search(r"[\s:?#\\%]", clean):
        raise InputError(f"a listing names {path[:120]!r}, which is no path below raw_crawl.common_crawl.base_url")
    return clean


class Fetcher:
    """Requests below the recipe's base address. Use within one event loop, and close it."""

    def __init__(self, config: RawCrawlConfig, progress: Progress) -> None:
        self.config = config.common_crawl
        self.progress = progress
        self.requests = 0
        self.retries = 0
        self.bytes = 0
        self.reused = 0
        addresses = Addresses(config.allow_private_hosts)
        self._client = Client(
            addresses, config.user_agent, self.config.timeout_seconds, self.config.chunk_bytes, self.config.connections
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def part(self, path: str, start: int, end: int, etag: str = "") -> Part:
        """Bytes ``start`` to ``end`` (exclusive, or to the end of the file), tried again as the recipe says.

        Raises ``Changed`` where the file has another ``etag``; ``InputError`` where the server can't or won't give it.
        """
        url = self.config.base_url + safe_path(path)
        headers = {"Range": f"bytes={start}-{end - 1}"} | ({"If-Match": etag} if etag else {})
        for tried in range(self.config.max_retries + 1):
            answer = await self._client.get(url, headers, max_bytes=end - start)
            self.requests += 1
            self.bytes += answer.wire_bytes
            found = _part_of(answer, url, start, end)
            if found is not None:
                if etag and found.etag and found.etag != etag:
                    raise Changed
                return found
            if tried < self.config.max_retries:
                self.retries += 1
                await asyncio.sleep(self._pause(answer, tried))
        raise InputError(
            f"{url}: {_said(answer)}, also after {self.config.max_retries} more tries (raw_crawl.common_crawl.max_retries); "
            "run this crawl again later: what has come is kept"
        )

    def _pause(self, answer: Answer, tried: int) -> float:
        """Seconds before the next try: what the server asks for, else a doubled pause; never more than the recipe's longest."""
        asked = answer.headers.get("retry-after", "")
        seconds = float(asked) if asked.isdigit() else self.config.backoff_seconds * 2.0**tried
        return min(seconds, self.config.max_backoff_seconds)

    async def listing(self, path: str) -> list[str]:
        """The paths of a ``….paths.gz``. Raises ``InputError`` where it is none."""
        data = bytearray()
        while True:
            part = await self.part(path, len(data), len(data) + self.config.chunk_bytes)
            data += part.data
            if len(data) >= part.total or len(data) > _MAX_LISTING_BYTES:
                break
        try:
            text = decode(bytes(data), "gzip", _MAX_LISTING_BYTES).decode()
        except (CannotDecode, Limited, UnicodeDecodeError) as error:
            raise InputError(f"{self.config.base_url}{path} is no listing of paths: {error}") from error
        return [safe_path(line) for line in text.split()]

    async def download(self, path: str, target: Path) -> None:
        """A whole file at ``target``, which appears when it is complete and checked. One that is there is taken as it is."""
        if target.exists():
            self.reused += 1
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        partial, note = target.with_name(f"{target.name}.part"), target.with_name(f"{target.name}.json")
        problem = ""
        for _ in range(2):  # what came damaged is fetched once more
            try:
                md5 = await self._complete(path, partial, note)
                problem = await asyncio.to_thread(problem_of, partial, md5)
            except Changed:
                problem = "it changes while it is fetched"
            if not problem:
                partial.replace(target)
                note.unlink()
                return
            self.progress.note(f"{path}: {problem}")
            partial.unlink(missing_ok=True)
            note.unlink(missing_ok=True)
        raise InputError(f"{self.config.base_url}{path}: {problem}, twice; try again later, or choose other files by seed")

    async def _complete(self, path: str, partial: Path, note: Path) -> str:
        """Append what is missing; returns the MD5 that the server gave. Raises ``Changed``."""
        about: dict[str, Any] = {"total": 0, "etag": "", "md5": ""}
        if partial.exists() and note.exists():
            about = read_json(note)
        else:
            partial.write_bytes(b"")
        have = partial.stat().st_size
        while not about["total"] or have < int(about["total"]):
            part = await self.part(path, have, have + self.config.chunk_bytes, str(about["etag"]))
            if not about["total"]:
                about = {"total": part.total, "etag": part.etag, "md5": part.md5}
                write_json(note, about)
            if part.total != about["total"] or not part.data:
                raise Changed
            with open(partial, "ab") as handle:
                handle.write(part.data)
            have += len(part.data)
            self.progress.update(self.bytes, None, "bytes", file_share=have / part.total)
        return str(about["md5"])


def _part_of(answer: Answer, url: str, start: int, end: int) -> Part | None:
    """The range that came; None where another try may help. Raises ``InputError`` where none will."""
    status = answer.status
    if answer.failure in _AGAIN or status in _SLOW_DOWN or status >= 500:
        return None
    if status == 412:
        raise Changed
    if answer.failure == "encoding" or "content-encoding" in answer.headers:
        raise InputError(f"{url}: the server packs files once more (Content-Encoding); it must send them as they are")
    if status == 200 and (start or answer.failure == "too_large"):
        raise InputError(f"{url}: the server sends whole files only; it must answer Range requests (raw_crawl.common_crawl)")
    if answer.failure or status not in (200, 206):
        hint = "; is the crawl's id right (raw_crawl.common_crawl.ids)?" if status == 404 else ""
        raise InputError(f"{url}: {_said(answer)}{hint}")
    given = _RANGE.match(answer.headers.get("content-range", ""))
    total = len(answer.payload) if status == 200 else 0
    if status == 206:
        if given is None or int(given[1]) != start or int(given[2]) + 1 - start != len(answer.payload):
            return None
        total = int(given[3])
        if len(answer.payload) != min(end, total) - start:
            return None
    return Part(answer.payload, total, answer.headers.get("etag", ""), _md5_of(answer))


def _md5_of(answer: Answer) -> str:
    """The MD5 of the whole file, as far as the head tells it. A Content-MD5 of the range alone is checked and done with."""
    stated = answer.headers.get("content-md5", "")
    if stated and stated != b64encode(hashlib.md5(answer.payload, usedforsecurity=False).digest()).decode():
        return stated
    found = _MD5.match(answer.headers.get("etag", ""))
    return found[1] if found and any(name.startswith("x-amz-") for name in answer.headers) else ""


def _said(answer: Answer) -> str:
    return f"{answer.failure}: {answer.detail}" if answer.failure else f"status {answer.status}"


def problem_of(path: Path, md5: str) -> str:
    """What is wrong with a downloaded file; "" if nothing is. ``md5``: hex or base 64, "" where the server gave none."""
    if md5:
        digest = hashlib.md5(usedforsecurity=False)
        with open(path, "rb") as handle:
            while part := handle.read(_STEP):
                digest.update(part)
        same = md5 in (digest.hexdigest(), b64encode(digest.digest()).decode())
        return "" if same else "it has not the MD5 that the server states"
    return _gzip_problem(path) if path.name.removesuffix(".part").endswith(".gz") else ""


def _gzip_problem(path: Path) -> str:
    stream = zlib.decompressobj(31)
    with open(path, "rb") as handle:
        rest = b""
        while part := rest or handle.read(_STEP):
            if stream.eof:
                stream = zlib.decompressobj(31)
            try:
                stream.decompress(part, 4 * _STEP)
            except zlib.error as error:
                return f"a gzip member is damaged ({error})"
            rest = stream.unused_data if stream.eof else stream.unconsumed_tail
    return "" if stream.eof else "its last gzip member has no end"


def host_of(base_url: str) -> str:
    """The host that is asked, for reports."""
    return urlsplit(base_url).hostname or ""
