"""The URL index of a month: where each capture lies in the WARC files, sorted by reversed host.

Layout (ZipNum): ``cluster.idx`` has a line for every block of some 3,000 captures: first key, index file, offset, length. A
block is a gzip member of lines ``key timestamp {json}``. ``cluster.idx`` is a hundred megabytes or more, so it is searched by
ranges: a domain by bisection; languages, which nothing is sorted by, in blocks drawn at random places.
"""

import hashlib
import json
import zlib
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from typing import Any

from llm_assets.core.errors import InputError
from llm_assets.core.recipe.sources import CommonCrawl
from llm_assets.stages.crawl.commoncrawl.fetch import Fetcher, safe_path
from llm_assets.stages.crawl.records import PAGE_TYPES

_WINDOW = 65_536  # bytes of cluster.idx a request
_MAX_LINE_BYTES = 1_048_576
_SMALL = 4_194_304  # bytes of cluster.idx that are read whole
_MAX_BLOCK_BYTES = 67_108_864
_MAX_RECORD_BYTES = 67_108_864


@dataclass(frozen=True, order=True)
class Found:
    """One capture: its WARC file, offset and length there, and the address."""

    filename: str
    offset: int
    length: int
    url: str


@dataclass(frozen=True)
class _Block:
    key: str
    file: str
    offset: int
    length: int


def draw(seed: int, name: str) -> int:
    """A number from 0 to 2^64 that orders and samples: the hash of a name under a seed."""
    return int.from_bytes(hashlib.blake2b(f"{seed} {name}".encode(), digest_size=8).digest(), "big")


def reversed_host(domain: str) -> str:
    """``com,example`` of ``example.com``, as keys begin."""
    return ",".join(reversed(domain.split(".")))


class UrlIndex:
    """Searches the index of one month."""

    def __init__(self, fetcher: Fetcher, config: CommonCrawl, cluster: str) -> None:
        self.fetcher = fetcher
        self.config = config
        self.cluster = cluster
        self.folder = cluster.rpartition("/")[0]
        self.blocks_read = 0

    @classmethod
    async def of(cls, fetcher: Fetcher, config: CommonCrawl, crawl_id: str) -> "UrlIndex":
        """By the month's listing of index files. Raises ``InputError`` where it names no ``cluster.idx``."""
        listing = f"crawl-data/{crawl_id}/cc-index.paths.gz"
        clusters = [path for path in await fetcher.listing(listing) if path.endswith("/cluster.idx")]
        if not clusters:
            raise InputError(f"{config.base_url}{listing} names no cluster.idx: this month has no index to search")
        return cls(fetcher, config, clusters[0])

    async def search(self) -> list[Found]:
        """Captures of pages that the recipe asks for, at most ``max_records``, in the order of their files."""
        found: dict[tuple[str, int], Found] = {}
        async for block in self._blocks():
            if len(found) >= self.config.max_records or self.blocks_read >= self.config.max_index_blocks:
                break
            for capture in await self._captures(block):
                found[capture.filename, capture.offset] = capture
            self.fetcher.progress.update(len(found), self.config.max_records, "captures found", blocks=self.blocks_read)
        chosen = sorted(found.values(), key=lambda item: draw(self.config.seed, f"{item.filename} {item.offset}"))
        return sorted(chosen[: self.config.max_records])

    async def _blocks(self) -> AsyncIterator[_Block]:
        if not self.config.domains:
            async for block in self._random_blocks():
                yield block
            return
        blocks: dict[tuple[str, int], _Block] = {}
        for domain in self.config.domains:
            for block in await self._domain_blocks(reversed_host(domain)):
                blocks[block.file, block.offset] = block
        for block in sorted(blocks.values(), key=lambda item: draw(self.config.seed, f"{item.file} {item.offset}")):
            yield block

    async def _random_blocks(self) -> AsyncIterator[_Block]:
        """Blocks at places drawn by seed, each once; of a small index all, in a drawn order."""
        size = (await self.fetcher.part(self.cluster, 0, 1)).total
        if size <= _SMALL:
            everything = [line async for _, line in self._lines_from(0, size)]
            for line in sorted(everything, key=lambda line: draw(self.config.seed, line)):
                yield _block(line)
            return
        seen: set[tuple[str, int]] = set()
        for number in range(4 * self.config.max_index_blocks):
            place = draw(self.config.seed, f"block {number}") % size
            lines = await self._lines(place, size)
            if lines:
                block = _block(lines[0][1])
                if (block.file, block.offset) not in seen:
                    seen.add((block.file, block.offset))
                    yield block

    async def _lines(self, place: int, size: int) -> list[tuple[int, str]]:
        """Whole lines of ``cluster.idx`` from the first that begins at or after ``place``, with their places; some, or none."""
        begin, window = max(0, place - 1), _WINDOW
        while True:
            data = (await self.fetcher.part(self.cluster, begin, min(size, begin + window))).data
            at_the_end = begin + len(data) >= size
            skipped = data.find(b"\n") + 1 if place else 0
            body = data[skipped:] if skipped or not place else b""
            last = len(body) if at_the_end else body.rfind(b"\n") + 1
            if last or at_the_end or window > _MAX_LINE_BYTES:
                break
            window *= 2
        lines, at = [], begin + skipped
        for line in body[:last].split(b"\n"):
            if line:
                lines.append((at, line.decode("utf-8", "surrogateescape")))
            at += len(line) + 1
        return lines

    async def _lines_from(self, begin: int, size: int) -> AsyncIterator[tuple[int, str]]:
        """All lines from the one that begins at ``begin``, with their places, a window a request."""
        at = begin
        while at < size and (lines := await self._lines(at, size)):
            for place, line in lines:
                yield place, line
            at = lines[-1][0] + len(lines[-1][1].encode("utf-8", "surrogateescape")) + 1

    async def _domain_blocks(self, host: str) -> list[_Block]:
        """Blocks that may hold captures of a reversed host or of hosts below it."""
        low, high = f"{host})", f"{host}-"  # ')' ends a host, ',' goes on to a subdomain; '-' is the next sign after both
        size = (await self.fetcher.part(self.cluster, 0, 1)).total
        begin, end = 0, size  # a line at begin is below low, or is the first
        while end - begin > _WINDOW:
            middle = (begin + end) // 2
            lines = await self._lines(middle, size)
            if not lines or lines[0][0] >= end or _block(lines[0][1]).key >= low:
                end = middle
            else:
                begin = lines[0][0]
        found: list[_Block] = []
        async for _, line in self._lines_from(begin, size):
            block = _block(line)
            if block.key >= high:
                break
            if block.key < low:
                found = [block]  # the last block before may run into the host
            else:
                found.append(block)
        return found

    async def _captures(self, block: _Block) -> list[Found]:
        """What a block lists that the recipe asks for."""
        self.blocks_read += 1
        part = await self.fetcher.part(f"{self.folder}/{block.file}", block.offset, block.offset + block.length)
        stream = zlib.decompressobj(31)
        try:
            text = stream.decompress(part.data, _MAX_BLOCK_BYTES)
        except zlib.error as error:
            raise InputError(f"{self.folder}/{block.file} at {block.offset}: the index block is damaged: {error}") from error
        hosts = [reversed_host(domain) for domain in self.config.domains]
        found = (capture_of(line, hosts, self.config.languages) for line in text.decode("utf-8", "replace").splitlines())
        return [capture for capture in found if capture is not None]


def _block(line: str) -> _Block:
    fields = line.split("\t")
    try:
        return _Block(fields[0].partition(" ")[0], safe_path(fields[1]), int(fields[2]), int(fields[3]))
    except (IndexError, ValueError) as error:
        raise InputError(f"cluster.idx has the line {line[:120]!r}: no key, file, offset and length") from error


def capture_of(line: str, hosts: Collection[str], languages: Collection[str]) -> Found | None:
    """The capture of an index line, if it is a whole page of a wanted host and main language (none given: any)."""
    key, _, rest = line.partition(" ")
    if hosts and not any(key.startswith((f"{host})", f"{host},")) for host in hosts):
        return None
    try:
        about: dict[str, Any] = json.loads(rest.partition(" ")[2])
        found = Found(safe_path(about["filename"]), int(about["offset"]), int(about["length"]), str(about["url"]))
    except (KeyError, TypeError, ValueError):
        return None
    main = str(about.get("languages", "")).partition(",")[0]
    page = about.get("mime") in PAGE_TYPES or about.get("mime-detected") in PAGE_TYPES
    wanted = page and str(about.get("status")) == "200" and "truncated" not in about
    fits = not languages or main in languages
    return found if wanted and fits and 0 < found.length <= _MAX_RECORD_BYTES and found.offset >= 0 else None
