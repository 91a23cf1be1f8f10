"""Reading single WARC records by the index: file, offset, length.

fastwarc returns a clipped gzip member silently, so each member is decompressed here and its end is checked (the checksum too).
Inflating is most of the work, and libdeflate (package deflate) takes 45 % of zlib's time for it, isal 55 %; the fastest that is
installed is taken (extra ``[fast]``), and all give the same bytes.
A plain response, which nearly every record is, is taken apart here as well: two blank lines part WARC head, HTTP head and body.
Whatever is not plain (a content or transfer encoding, folded lines, no HTTP head) goes to fastwarc.
"""

import io
import os
import zlib
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from types import TracebackType

from llm_assets.core.errors import InputError


def _engine() -> tuple[str, Callable[[bytes, int], bytes] | None, type[Exception]]:
    """The fastest inflate: its package, a function of a gzip member and its size (None: zlib, piece by piece), its error."""
    if find_spec("deflate"):
        libdeflate = import_module("deflate")
        return "deflate", lambda data, size: bytes(libdeflate.gzip_decompress(data, size)), libdeflate.DeflateError
    if find_spec("isal"):
        igzip = import_module("isal.igzip_lib")
        # a byte more than needed: it ends at once instead of asking for more room
        return "isal", lambda data, size: bytes(igzip.decompress(data, igzip.DECOMP_GZIP, 15, size + 1)), igzip.IsalError
    return "zlib", None, zlib.error


ENGINE, _inflate, _ERROR = _engine()

MAX_RECORD_BYTES = 1 << 28  # 256 MiB decompressed: far above any limit of the crawler; a bomb stops here

_DEFLATE_MOST = 1032  # bytes that one byte of deflate can become: a small member can't be a bomb
_OPEN_FILES = 8
_LINES = b"\r\n\r\n"
# As most writers spell it; another spelling is read by fastwarc.
_RESPONSE, _HTTP = b"\r\nWARC-Type: response\r\n", b"\r\nContent-Type: application/http"
_LENGTH = b"\r\nContent-Length: "
_AHEAD = 1 << 18  # bytes to read at once where records are read one after the other


class WarcFiles:
    """Records of files that stay open between reads; a context manager, for one thread."""

    def __init__(self) -> None:
        self._open: dict[str, int] = {}  # descriptors, least recently opened first
        self._ahead = b""  # of the file _name, from byte _start on
        self._name, self._start, self._next = "", 0, -1

    def __enter__(self) -> "WarcFiles":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        while self._open:
            os.close(self._open.popitem()[1])

    def record(self, path: str, offset: int, length: int) -> bytes:
        """One record's bytes, decompressed if it is a gzip member.

        Raises ``InputError`` where the file is missing or ends early, the member is clipped or damaged, or it is larger than
        ``MAX_RECORD_BYTES``.
        """
        at = offset - self._start
        if path != self._name or at < 0 or at + length > len(self._ahead):
            follows = path == self._name and offset == self._next
            self._ahead = os.pread(self._descriptor(path), max(length, _AHEAD) if follows else length, offset)
            self._name, self._start, at = path, offset, 0
        self._next = offset + length
        return _member(self._ahead[at : at + length], path, offset, length)

    def _descriptor(self, path: str) -> int:
        found = self._open.get(path)
        if found is None:
            if len(self._open) >= _OPEN_FILES:
                os.close(self._open.pop(next(iter(self._open))))
            try:
                found = self._open[path] = os.open(path, os.O_RDONLY)
            except OSError as error:
                raise InputError(f"{path} can't be read: {error.strerror}") from error
        return found


def _member(data: bytes, name: str, offset: int, length: int) -> bytes:
    if len(data) < length:
        raise InputError(f"{name} ends at byte {offset + len(data)}, inside a record of {length} bytes")
    if not data.startswith(b"\x1f\x8b"):
        return data
    size = int.from_bytes(data[-4:], "little")
    try:
        if _inflate and 0 < size <= _DEFLATE_MOST * length <= MAX_RECORD_BYTES:
            return _inflate(data, size)
        inflater = zlib.decompressobj(wbits=31)
        part = inflater.decompress(data, MAX_RECORD_BYTES)
    except (zlib.error, EOFError, _ERROR) as error:
        raise InputError(f"{name}: the record at byte {offset} is damaged: {error}") from error
    if not inflater.eof:
        raise InputError(f"{name}: the record at byte {offset} is clipped or larger than {MAX_RECORD_BYTES} bytes")
    return part


def http_payload(record: bytes) -> tuple[dict[str, str], bytes]:
    """HTTP headers (lower-case names) and body of a response record, content encodings undone.

    An empty line before the body is no part of it: one whole Common Crawl month has it (case B02). Raises ``InputError`` where
    the record is no response, or its content encoding can't be undone.
    """
    headers, body = _plain_payload(record) or _any_payload(record)
    return headers, body.removeprefix(b"\r\n")


def _plain_payload(record: bytes) -> tuple[dict[str, str], bytes] | None:
    start = record.find(_LINES) + len(_LINES)
    at = record.rfind(_LENGTH, 0, start)
    if at < 0 or record.find(_RESPONSE, 0, start) < 0 or record.find(_HTTP, 0, start) < 0 or not record.startswith(b"WARC/1."):
        return None
    at += len(_LENGTH)
    stated = record[at : record.find(b"\r", at, start)]
    end = start + int(stated) if stated.isdigit() else 0
    body = record.find(_LINES, start, end)
    if body < 0 or end > len(record) or not record.startswith(b"HTTP/", start):
        return None
    head = record[start:body]
    if not head.isascii():
        return None
    lines = head.decode("ascii").split("\r\n")
    headers = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            return None
        headers[name.lower()] = value.strip(" \t")
    if head.count(b"\n") != len(lines) - 1:
        return None
    if "content-encoding" in headers or "transfer-encoding" in headers:
        return None
    return headers, record[body + len(_LINES) : end]


def _any_payload(record: bytes) -> tuple[dict[str, str], bytes]:
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    try:
        for item in ArchiveIterator(io.BytesIO(record), record_types=WarcRecordType.response, auto_decode="content"):
            headers = {name.lower(): value for name, value in item.http_headers.astuples()} if item.http_headers else {}
            return headers, item.reader.read()
    except OSError as error:
        raise InputError(f"the content encoding of the response can't be undone: {error}") from error
    raise InputError("the record is no HTTP response")
