"""Records of a raw crawl as the images see them: the payload of one, and the charset that a page is read in."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llm_assets.core.errors import InputError
from llm_assets.core.warcs import WarcFiles, http_payload

_BYTE_ORDER_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))


def payload_of(opened: WarcFiles, files: Path, row: Mapping[str, Any]) -> tuple[dict[str, str], bytes]:
    """HTTP headers and body of a row of the index. ``InputError`` where the record is damaged."""
    record = opened.record(f"{files}/{row['warc_file']}", row["offset"], row["length"])
    try:
        headers, body = http_payload(record)
    except OSError as error:  # a content encoding that can't be undone
        raise InputError(f"{row['url'][:200]}: {error}") from error
    return headers, body.removeprefix(b"\r\n")  # one Common Crawl month has an empty line more before the body (case B02)


def encoding_of(headers: Mapping[str, str], body: bytes) -> str:
    """Byte order mark, charset of the HTTP header, charset of the page's meta tags, guess by the bytes; in this order."""
    from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

    for mark, name in _BYTE_ORDER_MARKS:
        if body.startswith(mark):
            return name
    stated = headers.get("content-type", "").lower().rpartition("charset=")[2].split(";")[0].strip(" \"'")
    named = map_encoding_to_html5(stated, False) if "charset=" in headers.get("content-type", "").lower() else None
    return _known(named or detect_encoding(body, from_html_meta=True) or "utf-8")


def _known(name: str) -> str:
    try:
        b"".decode(name)
    except LookupError:  # a charset of browsers that Python has not
        return "utf-8"
    return name
