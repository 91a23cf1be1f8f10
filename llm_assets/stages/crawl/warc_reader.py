"""Reads WARC files that others wrote, and says of each record whether it is whole.

Native readers hand out a clipped gzip member as if it were complete. Here a record counts as whole only if its
block has the length it states and the gzip member that ends after it has passed its checksum. After damage, reading goes on at
the next record that can be found, so one bad sector doesn't cost the rest of a file. Plain, and gzip with one or many records a
member, are one code path.
"""

import mmap
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from llm_assets.core.errors import InputError

_CHUNK = 65_536
_MAX_HEAD = 65_536
_GZIP = b"\x1f\x8b\x08"
_VERSION = b"WARC/"


class _Damaged(ValueError):
    """The bytes are not what the format promises."""


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


class _Source:
    """The decompressed bytes of a file, with the place in the file that they came from."""

    def __init__(self, data: bytes | mmap.mmap) -> None:
        self.data = data
        self.at = 0  # in the file: the next byte to decompress
        self.buffer = b""
        self.cut = False  # the file ended inside a gzip member
        self.gzip = data[:3] == _GZIP
        self._stream = zlib.decompressobj(31)
        self._member = 0  # where the current gzip member begins

    @property
    def offset(self) -> int:
        """Where the record that begins now is stored: exact for plain files and for one record a member."""
        return self._member if self.gzip else self.at - len(self.buffer)

    def fill(self) -> bool:
        """Get more bytes into the buffer; False at the end of the file."""
        if not self.gzip:
            part = self.data[self.at : self.at + _CHUNK]
            self.at += len(part)
            self.buffer += part
            return bool(part)
        while self.at < len(self.data):
            if self._stream.eof and not self._next_member():
                return False
            if self._step():
                return True
        self.cut = not self._stream.eof
        return False

    def _next_member(self) -> bool:
        """Open the gzip member that begins here; False where only padding follows."""
        if self.data[self.at : self.at + 3] != _GZIP:
            if not any(self.data[self.at : self.at + 512]):  # zeros: padding of a block device
                return False
            raise _Damaged("bytes between gzip members")
        self._stream = zlib.decompressobj(31)
        if not self.buffer:
            self._member = self.at
        return True

    def _step(self) -> bool:
        """Decompress a part of the current member, at most to its end; whether something came out."""
        part = self.data[self.at : self.at + _CHUNK]
        try:
            out = self._stream.decompress(part, 4 * _CHUNK)
        except zlib.error as error:
            raise _Damaged(str(error)) from error
        rest = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
        self.at += len(part) - len(rest)
        self.buffer += out
        return bool(out)

    def settle(self) -> None:
        """After a record: reach the checksum of the member that ends here, and look no further."""
        while True:
            self.buffer = self.buffer.lstrip(b"\r\n")
            if self.buffer or not self.gzip or self._stream.eof:
                return
            if self.at >= len(self.data):
                self.cut = True
                return
            self._step()

    def read(self, size: int) -> bytes:
        """``size`` bytes, fewer at the end of the file."""
        parts, have = [], 0
        while have < size:
            if not self.buffer and not self.fill():
                break
            part = self.buffer[: size - have]
            self.buffer = self.buffer[len(part) :]
            parts.append(part)
            have += len(part)
        return b"".join(parts)

    def skip(self, size: int) -> int:
        """Pass over ``size`` bytes; returns how many there were."""
        passed = 0
        while passed < size and (part := self.read(min(_CHUNK, size - passed))):
            passed += len(part)
        return passed

    def skip_blank(self) -> bool:
        """Pass over line ends; False at the end of the file."""
        while True:
            self.buffer = self.buffer.lstrip(b"\r\n")
            if self.buffer:
                return True
            if not self.fill():
                return False

    def head(self) -> bytes:
        """Up to and without the empty line."""
        while b"\r\n\r\n" not in self.buffer:
            if len(self.buffer) > _MAX_HEAD or not self.fill():
                if self.cut:
                    raise EOFError
                raise _Damaged("no end of the record's header")
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        return head

    def resync(self, after: int) -> bool:
        """Go to the next thing past ``after`` that begins like a record; False if there is none."""
        while True:
            found = self.data.find(_GZIP if self.gzip else b"\n" + _VERSION, after + 1)
            if found < 0:
                return False
            after = found
            if self.gzip:
                try:
                    opening = zlib.decompressobj(31).decompress(self.data[found : found + 512], len(_VERSION))
                except zlib.error:
                    continue
                if opening != _VERSION:
                    continue
                self._stream, self._member = zlib.decompressobj(31), found
            self.at, self.buffer, self.cut = found if self.gzip else found + 1, b"", False
            return True


def read_records(path: Path, max_block_bytes: int) -> Iterator[Record]:
    """All records of a file, bad ones with their problem.

    Raises ``InputError`` for a file that is no WARC at all (empty, ARC, zstd, something else).
    """
    if path.stat().st_size == 0:
        raise InputError(f"{path.name} is empty")
    with open(path, "rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
        source = _Source(data)
        _check_kind(path, source)
        yield from _records(source, max_block_bytes)


def _check_kind(path: Path, source: _Source) -> None:
    try:
        source.fill()
    except _Damaged:
        return  # counted as a corrupt record
    start = source.buffer.lstrip(b"\r\n")
    if start.startswith(b"filedesc:"):
        raise InputError(f"{path.name} is an ARC file, the format before WARC; convert it with 'warcio recompress'")
    if bytes(source.data[:4]) == b"\x28\xb5\x2f\xfd":
        raise InputError(f"{path.name} is compressed with zstd; recompress it with gzip, one member a record")
    if start and not start.startswith(_VERSION[: len(start)]):
        raise InputError(f"{path.name} is no WARC file: it begins with {start[:16]!r}")


def _records(source: _Source, max_block_bytes: int) -> Iterator[Record]:
    while True:
        start = source.offset
        headers: dict[str, str] = {}
        try:
            if not source.skip_blank():
                if source.cut:
                    yield Record({}, b"", start, "truncated", "the file ends inside a gzip member")
                return
            start = source.offset
            headers = _parse(source.head())
            yield _finish(source, headers, start, max_block_bytes)
            if source.cut:
                return
        except EOFError:
            yield Record(headers, b"", start, "truncated", "the file ends inside a record's header")
            return
        except _Damaged as error:
            yield Record(headers, b"", start, "corrupt", str(error))
            if not source.resync(max(start, 0)):
                return


def _finish(source: _Source, headers: dict[str, str], start: int, max_block_bytes: int) -> Record:
    length = headers.get("content-length", "")
    if not length.isdigit():
        raise _Damaged(f"Content-Length is {length[:20]!r}")
    wanted = int(length)
    block = source.read(min(wanted, max_block_bytes))
    missing = min(wanted, max_block_bytes) - len(block)
    if not missing:
        missing = wanted - len(block) - source.skip(wanted - len(block))
    if missing:
        return Record(headers, block, start, "truncated", f"{missing} of {wanted} bytes are missing")
    source.settle()
    if source.cut:
        return Record(headers, block, start, "truncated", "the gzip member has no end")
    if wanted > max_block_bytes:
        return Record(headers, block, start, "too_large", f"{wanted} bytes")
    return Record(headers, block, start)


def _parse(head: bytes) -> dict[str, str]:
    first, *lines = head.split(b"\r\n")
    if not first.startswith(_VERSION):
        raise _Damaged(f"a record begins with {first[:16]!r}")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.decode("utf-8", "replace").partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    return headers
