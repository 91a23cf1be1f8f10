"""A raw crawl in a folder, made of bytes given in the test: one gzip member a record, and its index."""

import gzip
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from llm_assets.core.documents import RAW_INDEX, canonical_url, doc_id, payload_digest

FETCHED = datetime(2026, 11, 1, 6, tzinfo=UTC)


def html(body: str, head: str = "") -> bytes:
    return f"<!DOCTYPE html><html lang=en><head><title>T</title>{head}</head><body>{body}</body></html>".encode()


def article(text: str = "", head: str = "") -> bytes:
    """A page with enough prose that its main content is not in doubt."""
    prose = text or "The bridge was built of stone by the masons of the town, and it has stood for three hundred years. " * 3
    return html(f"<main><article><h1>T</h1><p>{prose}</p></article></main>", head)


def http(payload: bytes, content_type: str = "text/html; charset=utf-8", gap: bytes = b"") -> bytes:
    """An HTTP response; ``gap`` stands between the head's empty line and the body."""
    kind = f"Content-Type: {content_type}\r\n" if content_type else ""
    return f"HTTP/1.1 200 OK\r\n{kind}Content-Length: {len(payload)}\r\n\r\n".encode() + gap + payload


def record(url: str, block: bytes) -> bytes:
    """One WARC record as a gzip member."""
    head = (
        f"WARC/1.1\r\nWARC-Type: response\r\nWARC-Target-URI: {url}\r\nWARC-Date: 2026-11-01T06:00:00Z\r\n"
        f"WARC-Record-ID: <urn:uuid:12345678-1234-1234-1234-123456789abc>\r\n"
        f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    return gzip.compress(head.encode() + block + b"\r\n\r\n", compresslevel=1, mtime=0)


class Crawl:
    """Collects records and writes them. Rows of the index can be given other values."""

    def __init__(self) -> None:
        self.data = b""
        self.rows: list[dict[str, object]] = []

    def add(self, name: str, payload: bytes, *, block: bytes | None = None, **over: object) -> str:
        """Add a page; returns its doc_id. ``block`` replaces the HTTP response made of the payload."""
        url = f"http://site.example/{name}"
        member = record(url, block if block is not None else http(payload))
        digest = payload_digest(payload)
        row: dict[str, object] = {
            "doc_id": doc_id(canonical_url(url), FETCHED, digest),
            "url": url,
            "canonical_url": canonical_url(url),
            "fetched_at": FETCHED,
            "status": 200,
            "content_type": "text/html; charset=utf-8",
            "kind": "page",
            "record_type": "response",
            "revisit_of": None,
            "payload_digest": digest,
            "warc_file": "warc/part-00000.warc.gz",
            "offset": len(self.data),
            "length": len(member),
            "truncated": False,
            "source_kind": "web",
            "optout_robots_ai": False,
            "optout_noai": False,
            "optout_tdm": False,
            "etag": None,
            "last_modified": None,
        }
        self.data += member
        self.rows.append(row | over)
        return str(self.rows[-1]["doc_id"])

    def write(self, folder: Path) -> Path:
        """Write WARC and index; returns the folder."""
        (folder / "warc").mkdir(parents=True, exist_ok=True)
        (folder / "warc/part-00000.warc.gz").write_bytes(self.data)
        self.index().write_parquet(folder / "index.parquet")
        return folder

    def index(self) -> pl.DataFrame:
        return pl.DataFrame(self.rows, schema=RAW_INDEX, orient="row")
