"""Reads WARC files that others wrote, and says of each record whether it is whole.

Native readers hand out a clipped gzip member as if it were complete. Here a record counts as whole only if its block has the
length it states, the member that ends after it has passed its checksum, and the block has the digest that the record states.
After damage, reading goes on at the next record that can be found, so one bad sector doesn't cost the rest of a file.
"""

import hashlib
import mmap
from base64 import b32encode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from llm_assets.core.errors import InputError
from llm_assets.stages.crawl.warc_source import VERSION, Damaged, Source

_ALGORITHMS = ("md5", "sha1", "sha256", "sha512")


@dataclass(frozen=True)
class Record:
    """One record. ``problem``: "" (whole), "truncated", "corrupt" or "too_large" (``block`` is then cut).

    ``headers``: lower-case names. ``offset``: where its bytes begin in the file as it is stored.
    """

    headers: dict[str, str]
    block: bytes
    offset: int
    problem: str = ""
    detail: str = ""

    @property
    def type(self) -> str:
        """``response``, ``revisit`` …; empty where the header was lost."""
        return self.headers.get("warc-type", "").lower()


def read_records(path: Path, max_block_bytes: int, verify_digests: bool = True) -> Iterator[Record]:
    """All records of a file, bad ones with their problem. ``verify_digests``: hold blocks to their WARC-Block-Digest.

    Raises ``InputError`` for a file that is no WARC at all (empty, ARC, something else).
    """
    if path.stat().st_size == 0:
        raise InputError(f"{path.name} is empty")
    with open(path, "rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
        source = Source(data)
        _check_kind(path, source)
        yield from _records(source, max_block_bytes, verify_digests)


def _check_kind(path: Path, source: Source) -> None:
    try:
        source.fill()
    except Damaged:
        return  # counted as a corrupt record
    start = source.buffer.lstrip(b"\r\n")
    if start.startswith(b"filedesc:"):
        raise InputError(f"{path.name} is an ARC file, the format before WARC; convert it with 'warcio recompress'")
    if start and not start.startswith(VERSION[: len(start)]):
        raise InputError(f"{path.name} is no WARC file: it begins with {start[:16]!r}")


def _records(source: Source, max_block_bytes: int, verify_digests: bool) -> Iterator[Record]:
    while True:
        start = source.offset
        headers: dict[str, str] = {}
        try:
            if not source.skip_blank():
                if source.cut:
                    yield Record({}, b"", start, "truncated", "the file ends inside a compressed member")
                return
            start = source.offset
            headers = _parse(source.head())
            yield _finish(source, headers, start, max_block_bytes, verify_digests)
            if source.cut:
                return
        except EOFError:
            yield Record(headers, b"", start, "truncated", "the file ends inside a record's header")
            return
        except Damaged as error:
            yield Record(headers, b"", start, "corrupt", str(error))
            if not source.resync(max(start, 0)):
                return


def _finish(source: Source, headers: dict[str, str], start: int, max_block_bytes: int, verify_digests: bool) -> Record:
    length = headers.get("content-length", "")
    if not length.isdigit():
        raise Damaged(f"Content-Length is {length[:20]!r}")
    wanted = int(length)
    block = source.read(min(wanted, max_block_bytes))
    missing = min(wanted, max_block_bytes) - len(block)
    if not missing:
        missing = wanted - len(block) - source.skip(wanted - len(block))
    if missing:
        return Record(headers, block, start, "truncated", f"{missing} of {wanted} bytes are missing")
    source.settle()
    if source.cut:
        return Record(headers, block, start, "truncated", "the compressed member has no end")
    if wanted > max_block_bytes:
        return Record(headers, block, start, "too_large", f"{wanted} bytes")
    record = Record(headers, block, start)
    return verified(record) if verify_digests else record


def verified(record: Record) -> Record:
    """The record, or it as a corrupt one where its block has another digest than it states."""
    stated = record.headers.get("warc-block-digest", "")
    if record.problem or not stated or _has_digest(record.block, stated):
        return record
    return replace(record, problem="corrupt", detail=f"the block is not the one of {stated[:80]}")


def _has_digest(block: bytes, stated: str) -> bool:
    """Whether a block has the digest that its record states, in base 32 (as most write it), hex or base 64; true for others."""
    name, _, value = stated.partition(":")
    name = name.strip().lower().replace("-", "")
    if name not in _ALGORITHMS:
        return True
    digest = hashlib.new(name, block, usedforsecurity=False).digest()
    given = value.strip().rstrip("=")
    if len(given) == 2 * len(digest):
        return given.lower() == digest.hex()
    if len(given) == -(-len(digest) * 8 // 5):
        return given.upper() == b32encode(digest).decode().rstrip("=")
    base64 = b64encode(digest).decode().rstrip("=")
    return len(given) != len(base64) or given == base64


def _parse(head: bytes) -> dict[str, str]:
    first, *lines = head.split(b"\r\n")
    if not first.startswith(VERSION):
        raise Damaged(f"a record begins with {first[:16]!r}")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.decode("utf-8", "replace").partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    return headers
