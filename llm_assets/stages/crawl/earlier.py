"""What earlier crawls hold of a URL: what to ask the server with, what to compare with, and where the page is stored."""

import zlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from llm_assets.core.artefact import Artefact
from llm_assets.core.errors import StoreError
from llm_assets.stages.crawl.optout import OptOuts
from llm_assets.stages.crawl.warc import Original

INDEX_FILE = "index.parquet"


@dataclass(frozen=True)
class Prior:
    """The latest capture of a URL. ``original`` is the response that holds its payload, ``path`` … ``length`` where."""

    original: Original
    digest: str
    content_type: str
    kind: str
    etag: str
    last_modified: str
    optouts: OptOuts
    path: Path
    offset: int
    length: int

    def conditions(self) -> dict[str, str]:
        """Request headers that ask for the page only if it is another (RFC 9110, 13.1)."""
        found = {"If-None-Match": self.etag} if self.etag else {}
        return found | ({"If-Modified-Since": self.last_modified} if self.last_modified else {})

    def stored(self) -> tuple[bytes, bytes]:
        """(HTTP head, payload) as stored. Raises ``StoreError`` where the record can't be read."""
        return read_record(self.path, self.offset, self.length)


def read_payload(path: Path, offset: int, length: int) -> bytes:
    """The payload of one record of our own WARC files. Raises ``StoreError`` where it can't be read."""
    return read_record(path, offset, length)[1]


def read_record(path: Path, offset: int, length: int) -> tuple[bytes, bytes]:
    """(HTTP head without its empty line, payload) of one record of our own WARC files: between WARC header and final CRLFs.

    Raises ``StoreError`` where the record can't be read.
    """
    with open(path, "rb") as handle:
        handle.seek(offset)
        packed = handle.read(length)
    try:
        record = zlib.decompress(packed, 31)
    except zlib.error as error:
        raise StoreError(f"{path} at {offset}: the record is damaged ({error}); fetch this crawl again") from error
    parts = record.split(b"\r\n\r\n", 2)
    if len(parts) < 3:
        raise StoreError(f"{path} at {offset}: this is no record of a response; fetch this crawl again")
    return parts[1], parts[2][:-4]


class Earlier:
    """The latest capture by canonical URL over any number of earlier crawls, in whatever order they are given."""

    def __init__(self, crawls: list[Artefact]) -> None:
        self._latest: dict[str, Prior] = {}
        frames = [
            pl.read_parquet(crawl.file(INDEX_FILE)).with_columns(pl.lit(str(crawl.files)).alias("files")) for crawl in crawls
        ]
        if not frames:
            return
        rows = pl.concat(frames, how="diagonal").sort("fetched_at")
        responses = {row["doc_id"]: row for row in rows.filter(pl.col("record_type") == "response").iter_rows(named=True)}
        for row in rows.filter(~pl.col("truncated")).iter_rows(named=True):
            original = responses.get(row["revisit_of"] or row["doc_id"])
            if original is not None:
                self._latest[row["canonical_url"]] = _prior(row, original)

    def __len__(self) -> int:
        return len(self._latest)

    def get(self, canonical: str) -> Prior | None:
        """The latest capture of a URL."""
        return self._latest.get(canonical)

    def urls(self) -> list[tuple[str, str]]:
        """(URL, canonical URL) of every capture."""
        return [(prior.original.url, canonical) for canonical, prior in self._latest.items()]


def _prior(row: dict[str, Any], original: dict[str, Any]) -> Prior:
    when: datetime = original["fetched_at"]
    return Prior(
        Original(original["doc_id"], original["url"], when),
        original["payload_digest"],
        original["content_type"] or "",
        original["kind"],
        row["etag"] or "",
        row["last_modified"] or "",
        OptOuts(row["optout_robots_ai"], row["optout_noai"], row["optout_tdm"], bool(row.get("optout_ai_txt"))),
        Path(original["files"]) / original["warc_file"],
        original["offset"],
        original["length"],
    )
