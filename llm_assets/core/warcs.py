"""Reading single WARC records by the index: file, offset, length.

fastwarc returns a clipped gzip member silently, so each member is decompressed here and its end is checked (the checksum too).
isal's inflate takes 40 % of zlib's time, which is most of the work; without it (extra ``[fast]``) zlib gives the same bytes.
A plain response, which nearly every record is, is taken apart here as well: two blank lines part WARC head, HTTP head and body.
Whatever is not plain (a content or transfer encoding, folded lines, no HTTP head) goes to fastwarc.
"""

import io
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from llm_assets.core.errors import InputError

inflate: Any = import_module("isal.isal_zlib") if find_spec("isal") else zlib

MAX_RECORD_BYTES = 1 << 28  # 256 MiB decompressed: far above any limit of the crawler; a bomb stops here

_OPEN_FILES = 8
_LINES = b"\r\n\r\n"
_RESPONSE = re.compile(rb"^warc-type:[ \t]*response[ \t]*\r$", re.IGNORECASE | re.MULTILINE)
_HTTP = re.compile(rb"^content-type:[ \t]*application/http\b", re.IGNORECASE | re.MULTILINE)
_ENCODED = re.compile(rb"^(?:content|transfer)-encoding[ \t]*:", re.IGNORECASE | re.MULTILINE)
_LENGTH = re.compile(rb"^content-length:[ \t]*(\d{1,12})[ \t]*\r$", re.IGNORECASE | re.MULTILINE)


class WarcFiles:
    """Records of files that stay open between reads; a context manager, for one thread."""

    def __init__(self) -> None:
        self._open: dict[str, int] = {}  # descriptors, least recently opened first

    def __enter__(self) -> "WarcFiles":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        while self._open:
            os.close(self._open.popitem()[1])

    def record(self, path: str | Path, offset: int, length: int) -> bytes:
        """One record's bytes; see ``read_member``. Raises ``InputError`` where the file is missing, too."""
        name = str(path)
        descriptor = self._open.get(name)
        if descriptor is None:
            if len(self._open) >= _OPEN_FILES:
                os.close(self._open.pop(next(iter(self._open))))
            try:
                descriptor = self._open[name] = os.open(name, os.O_RDONLY)
            except OSError as error:
                raise InputError(f"{name} can't be read: {error.strerror}") from error
        return _member(os.pread(descriptor, length, offset), name, offset, length)


def read_member(handle: BinaryIO, offset: int, length: int) -> bytes:
    """One record's bytes, decompressed if it is a gzip member.

    Raises ``InputError`` when the file ends early, the member is clipped, or it is larger than ``MAX_RECORD_BYTES``.
    """
    handle.seek(offset)
    return _member(handle.read(length), handle.name, offset, length)


def _member(data: bytes, name: str, offset: int, length: int) -> bytes:
    if len(data) < length:
        raise InputError(f"{name} ends at byte {offset + len(data)}, inside a record of {length} bytes")
    if not data.startswith(b"\x1f\x8b"):
        return data
    inflater = inflate.decompressobj(wbits=31)
    try:
        record: bytes = inflater.decompress(data, MAX_RECORD_BYTES)
    except (zlib.error, inflate.error) as error:
        raise InputError(f"{name}: the record at byte {offset} is damaged: {error}") from error
    if not inflater.eof:
        raise InputError(f"{name}: the record at byte {offset} is clipped or larger than {MAX_RECORD_BYTES} bytes")
    return record


def http_payload(record: bytes) -> tuple[dict[str, str], bytes]:
    """HTTP headers (lower-case names) and body of a response record, content encodings undone.

    Raises ``InputError`` where the record is no response.
    """
    return _plain_payload(record) or _any_payload(record)


def _plain_payload(record: bytes) -> tuple[dict[str, str], bytes] | None:
    start = record.find(_LINES) + len(_LINES)
    if start < len(_LINES) or not record.startswith(b"WARC/1."):
        return None
    length = _LENGTH.search(record, 0, start)
    if length is None or not _RESPONSE.search(record, 0, start) or not _HTTP.search(record, 0, start):
        return None
    end = start + int(length[1])
    body = record.find(_LINES, start, end)
    head = record[start:body]
    if body < 0 or end > len(record) or not head.startswith(b"HTTP/") or not head.isascii() or _ENCODED.search(head):
        return None
    headers = {}
    for line in head.decode("ascii").split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        if not colon or "\n" in line or not name or name != name.strip():
            return None
        headers[name.lower()] = value.strip(" \t")
    return headers, record[body + len(_LINES) : end]


def _any_payload(record: bytes) -> tuple[dict[str, str], bytes]:
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    for item in ArchiveIterator(io.BytesIO(record), record_types=WarcRecordType.response, auto_decode="content"):
        headers = {name.lower(): value for name, value in item.http_headers.astuples()} if item.http_headers else {}
        return headers, item.reader.read()
    raise InputError("the record is no HTTP response")


def read_payloads(files: Path, rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], dict[str, str], bytes]]:
    """``(index row, HTTP headers, body)`` for each row of a raw crawl's index, in the order given."""
    with WarcFiles() as opened:
        for row in rows:
            headers, body = http_payload(opened.record(files / row["warc_file"], row["offset"], row["length"]))
            yield row, headers, body
