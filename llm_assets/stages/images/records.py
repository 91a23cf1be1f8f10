"""Records of a raw crawl as the images see them: the payload of one, and a page in one charset whatever it was written in."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llm_assets.core.decoding import decode
from llm_assets.core.warcs import WarcFiles, http_payload


def payload_of(opened: WarcFiles, files: Path, row: Mapping[str, Any]) -> tuple[dict[str, str], bytes]:
    """HTTP headers and body of a row of the index. ``InputError`` where the record is damaged."""
    return http_payload(opened.record(f"{files}/{row['warc_file']}", row["offset"], row["length"]))


def as_utf8(headers: Mapping[str, str], body: bytes) -> bytes | None:
    """A page as UTF-8, decoded as extraction does it; None where no charset fits."""
    decoded = decode(body, headers.get("content-type", ""))
    return None if decoded is None else decoded.text.encode("utf-8", "replace")
