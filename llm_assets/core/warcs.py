"""Reading single WARC records by the index: file, offset, length.

fastwarc returns a clipped gzip member silently, so each member is decompressed here and its end is checked.
"""

import io
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

from llm_assets.core.errors import InputError

MAX_RECORD_BYTES = 1 << 28  # 256 MiB decompressed: far above any limit of the crawler; a bomb stops here


def read_member(handle: BinaryIO, offset: int, length: int) -> bytes:
    """One record's bytes, decompressed if it is a gzip member.

    Raises ``InputError`` when the file ends early, the member is clipped, or it is larger than ``MAX_RECORD_BYTES``.
    """
    handle.seek(offset)
    data = handle.read(length)
    if len(data) < length:
        raise InputError(f"{handle.name} ends at byte {offset + len(data)}, inside a record of {length} bytes")
    if not data.startswith(b"\x1f\x8b"):
        return data
    inflater = zlib.decompressobj(wbits=31)
    try:
        record = inflater.decompress(data, MAX_RECORD_BYTES)
    except zlib.error as error:
        raise InputError(f"{handle.name}: the record at byte {offset} is damaged: {error}") from error
    if not inflater.eof:
        raise InputError(f"{handle.name}: the record at byte {offset} is clipped or larger than {MAX_RECORD_BYTES} bytes")
    return record


def http_payload(record: bytes) -> tuple[dict[str, str], bytes]:
    """HTTP headers (lower-case names) and body of a response record, content encodings undone."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    for item in ArchiveIterator(io.BytesIO(record), record_types=WarcRecordType.response, auto_decode="content"):
        headers = {name.lower(): value for name, value in item.http_headers.astuples()} if item.http_headers else {}
        return headers, item.reader.read()
    raise InputError("the record is no HTTP response")


def read_payloads(files: Path, rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], dict[str, str], bytes]]:
    """``(index row, HTTP headers, body)`` for each row of a raw crawl's index, in the order given."""
    with ExitStack() as opened:
        handles: dict[str, BinaryIO] = {}
        for row in rows:
            name = row["warc_file"]
            if name not in handles:
                handles[name] = opened.enter_context(open(files / name, "rb"))
            headers, body = http_payload(read_member(handles[name], row["offset"], row["length"]))
            yield row, headers, body
