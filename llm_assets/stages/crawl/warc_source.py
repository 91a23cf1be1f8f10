"""The bytes of a WARC file without their compression: plain, gzip or zstd, with one or many records a member.

A member (zstd says frame) is followed to its end, so whoever reads knows whether its checksum held. zstd files may begin
with a dictionary in a skippable frame, as the WARC convention for zstd has it; all frames are then read with it.
"""

import mmap
from typing import Protocol

from backports import zstd

from llm_assets.core import gzips

CHUNK = 65_536
MAX_HEAD = 65_536
VERSION = b"WARC/"
GZIP = b"\x1f\x8b\x08"
ZSTD = b"\x28\xb5\x2f\xfd"
_ROOM = 4 * CHUNK  # decompressed bytes a step: a bomb never fills the memory
_DICTIONARY = b"\x5d\x2a\x4d\x18"
_SKIPPABLE = b"\x2a\x4d\x18"  # after a first byte from 0x50 to 0x5f
_MAX_DICTIONARY_BYTES = 1 << 26
_ZSTD_BLOCK = 1 << 18  # a block is at most 128 KiB, compressed or not; nothing comes out before one is whole


class Damaged(ValueError):
    """The bytes are not what the format promises."""


class Member(Protocol):
    """One compressed member while it is read."""

    @property
    def ended(self) -> bool:
        """Whether its end was reached, and its checksum held."""

    @property
    def pending(self) -> bool:
        """Whether more can come out without more going in."""

    def step(self, part: bytes) -> tuple[bytes, int]:
        """(what came out, how many bytes of ``part`` were used). Raises ``Damaged``."""


class GzipMember:
    """A gzip member: CRC-32 and length are checked at its end."""

    pending = False

    def __init__(self) -> None:
        self._stream = gzips.stream()

    @property
    def ended(self) -> bool:
        """Whether its end was reached, and its checksum held."""
        return self._stream.eof

    def step(self, part: bytes) -> tuple[bytes, int]:
        """(what came out, how many bytes of ``part`` were used). Raises ``Damaged``."""
        try:
            out = self._stream.decompress(part, _ROOM)
        except gzips.Error as error:
            raise Damaged(str(error)) from error
        rest = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
        return out, len(part) - len(rest)


class ZstdFrame:
    """A zstd frame; its checksum, where it has one, is checked at its end."""

    def __init__(self, dictionary: zstd.ZstdDict | None) -> None:
        self._stream = zstd.ZstdDecompressor(zstd_dict=dictionary)
        self.pending = False

    @property
    def ended(self) -> bool:
        """Whether its end was reached, and its checksum held."""
        return self._stream.eof

    def step(self, part: bytes) -> tuple[bytes, int]:
        """(what came out, how many bytes of ``part`` were used). Raises ``Damaged``."""
        given = b"" if self.pending else part
        try:
            out = self._stream.decompress(given, _ROOM)
        except zstd.ZstdError as error:
            raise Damaged(str(error)) from error
        self.pending = not self._stream.eof and not self._stream.needs_input
        return out, len(given) - len(self._stream.unused_data) if self._stream.eof else len(given)


class Source:
    """The decompressed bytes of a file, with the place in the file that they came from."""

    def __init__(self, data: bytes | mmap.mmap) -> None:
        self.data = data
        self.at = 0  # in the file: the next byte to decompress
        self.buffer = b""
        self.cut = False  # the file ended inside a member
        opening = data[:4]
        self.magic = GZIP if opening[:3] == GZIP else ZSTD if opening == ZSTD or _is_skippable(opening) else b""
        self._dictionary: zstd.ZstdDict | None = None
        self._member: Member | None = None
        self._begin = 0  # where the current member begins

    @property
    def offset(self) -> int:
        """Where the record that begins now is stored: exact for plain files and for one record a member."""
        return self._begin if self.magic else self.at - len(self.buffer)

    def fill(self) -> bool:
        """Get more bytes into the buffer; False at the end of the file."""
        if not self.magic:
            part = self.data[self.at : self.at + CHUNK]
            self.at += len(part)
            self.buffer += part
            return bool(part)
        while self._more():
            if (self._member is None or self._member.ended) and not self._next_member():
                return False
            if self._step():
                return True
        self.cut = self._inside
        return False

    @property
    def _inside(self) -> bool:
        return self._member is not None and not self._member.ended

    def _more(self) -> bool:
        return self.at < len(self.data) or (self._member is not None and self._member.pending)

    def _next_member(self) -> bool:
        """Open the member that begins here; False where only padding follows."""
        while self.magic == ZSTD and _is_skippable(self.data[self.at : self.at + 4]):
            self._skip_frame()
        if self.data[self.at : self.at + len(self.magic)] != self.magic:
            if not any(self.data[self.at : self.at + 512]):  # zeros: padding of a block device
                return False
            raise Damaged("bytes between the compressed members")
        if not self.buffer:
            self._begin = self.at
        self._member = self._open()
        return True

    def _open(self) -> Member:
        return GzipMember() if self.magic == GZIP else ZstdFrame(self._dictionary)

    def _skip_frame(self) -> None:
        """Pass over a skippable frame; the dictionary is in one that opens the file."""
        size = int.from_bytes(self.data[self.at + 4 : self.at + 8], "little")
        content = self.at + 8
        if content + size > len(self.data):
            raise Damaged("a skippable frame is longer than the file")
        if self.at == 0 and self.data[:4] == _DICTIONARY:
            self._dictionary = _dictionary(bytes(self.data[content : content + size]))
        self.at = content + size

    def _step(self) -> bool:
        """Decompress a part of the current member, at most to its end; whether something came out."""
        assert self._member is not None
        out, used = self._member.step(self.data[self.at : self.at + CHUNK])
        self.at += used
        self.buffer += out
        return bool(out)

    def settle(self) -> None:
        """After a record: reach the checksum of the member that ends here, and look no further."""
        while True:
            self.buffer = self.buffer.lstrip(b"\r\n")
            if self.buffer or not self._inside:
                return
            if not self._more():
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
        while passed < size and (part := self.read(min(CHUNK, size - passed))):
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
            if len(self.buffer) > MAX_HEAD or not self.fill():
                if self.cut:
                    raise EOFError
                raise Damaged("no end of the record's header")
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        return head

    def resync(self, after: int) -> bool:
        """Go to the next thing past ``after`` that begins like a record; False if there is none."""
        while True:
            found = self.data.find(self.magic or b"\n" + VERSION, after + 1)
            if found < 0:
                return False
            after = found
            if self.magic and not self._opens(found):
                continue
            self._member, self._begin = None, found
            self.at, self.buffer, self.cut = found if self.magic else found + 1, b"", False
            return True

    def _opens(self, place: int) -> bool:
        """Whether a member with a record begins at a place, as far as its first bytes tell."""
        part = self.data[place : place + (512 if self.magic == GZIP else _ZSTD_BLOCK)]
        try:
            opening, _ = self._open().step(part)
        except Damaged:
            return False
        at_the_end = place + len(part) >= len(self.data)  # nothing may come out of a first block that is cut
        return opening.startswith(VERSION) or (at_the_end and VERSION.startswith(opening[: len(VERSION)]))


def _is_skippable(opening: bytes) -> bool:
    return len(opening) == 4 and 0x50 <= opening[0] <= 0x5F and opening[1:] == _SKIPPABLE


def _dictionary(content: bytes) -> zstd.ZstdDict:
    try:
        if content[:4] == ZSTD:
            content = zstd.ZstdDecompressor().decompress(content, _MAX_DICTIONARY_BYTES)
        return zstd.ZstdDict(content)
    except (zstd.ZstdError, ValueError) as error:
        raise Damaged(f"the dictionary at the beginning of the file can't be read: {error}") from error
