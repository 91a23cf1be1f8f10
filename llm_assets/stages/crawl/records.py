"""The books of a crawl: the index (what the WARC files hold) and the ledger (every URL met, and why it was not kept)."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from llm_assets.core.documents import RAW_INDEX
from llm_assets.core.ledger import KEEP, LEDGER, Verdict, write_ledger
from llm_assets.core.rowindex import GROUP_ROWS
from llm_assets.stages.crawl.earlier import INDEX_FILE
from llm_assets.stages.crawl.kinds import SourceKinds
from llm_assets.stages.crawl.optout import OptOuts
from llm_assets.stages.crawl.warc import Place

STAGE = "raw_crawl"
PAGE_TYPES = frozenset({"text/html", "application/xhtml+xml"})


def kind_of(media_type: str, payload: bytes) -> str:
    """page, image or other; a missing media type is judged by the first byte that is no space."""
    if media_type in PAGE_TYPES or (not media_type and payload[:512].lstrip().startswith(b"<")):
        return "page"
    return "image" if media_type.startswith("image/") else "other"


class Books:
    """Collects rows while a crawl runs and writes both tables at its end."""

    def __init__(self, crawl: str, source_kinds: dict[str, str], crawl_kind: str = "") -> None:
        self.crawl = crawl
        self.kinds = SourceKinds(source_kinds, crawl_kind)
        self.index: list[dict[str, Any]] = []
        self._ledger: list[tuple[Any, ...]] = []

    def fate(self, url: str, verdict: Verdict, doc_id: str | None = None) -> None:
        """One URL's line in the ledger."""
        v = verdict
        self._ledger.append((self.crawl, STAGE, doc_id, url, v.kept, v.rule, v.value, v.threshold, v.related_doc, v.detail))

    def drop(
        self, url: str, rule: str, value: float | None = None, threshold: float | None = None, detail: str | None = None
    ) -> None:
        """A URL of which nothing is kept."""
        self.fate(url, Verdict(False, rule, value, threshold, None, detail))

    def dropped(self) -> dict[str, int]:
        """How many URLs each rule has dropped so far."""
        counts: dict[str, int] = {}
        for row in self._ledger:
            if not row[4]:
                counts[row[5]] = counts.get(row[5], 0) + 1
        return counts

    def keep(
        self, *, doc_id: str, url: str, canonical: str, fetched_at: datetime, status: int, content_type: str, kind: str,
        digest: str, place: Place, optouts: OptOuts, revisit_of: str | None = None, etag: str = "", last_modified: str = "",
        source_kind: str = "web", stated_kind: str = "",
    ) -> None:  # fmt: skip
        """A record in the WARC files: a row of the index and a kept line of the ledger.

        ``stated_kind``: what the source says that it is; ``source_kind``: where neither a rule of the recipe nor it says so.
        """
        self.index.append(
            {
                "doc_id": doc_id,
                "url": url,
                "canonical_url": canonical,
                "fetched_at": fetched_at,
                "status": status,
                "content_type": content_type,
                "kind": kind,
                "record_type": "response" if revisit_of is None else "revisit",
                "revisit_of": revisit_of,
                "payload_digest": digest,
                "warc_file": place.warc_file,
                "offset": place.offset,
                "length": place.length,
                "truncated": False,
                "source_kind": self.kinds.of(canonical, source_kind, stated_kind),
                "optout_robots_ai": optouts.robots_ai,
                "optout_noai": optouts.noai,
                "optout_tdm": optouts.tdm,
                "optout_ai_txt": optouts.ai_txt,
                "etag": etag or None,
                "last_modified": last_modified or None,
            }
        )
        self.fate(url, KEEP, doc_id)

    def since(self, indexed: int, told: int) -> tuple[list[dict[str, Any]], list[tuple[Any, ...]]]:
        """The rows of the index and the lines of the ledger after the first ``indexed`` and ``told``."""
        return self.index[indexed:], self._ledger[told:]

    def forget(self) -> None:
        """Drop all rows and lines."""
        self.index.clear()
        self._ledger.clear()

    def restore(self, index: Iterable[dict[str, Any]], ledger: Iterable[tuple[Any, ...]]) -> None:
        """Take up rows that ``since`` gave to an earlier run."""
        self.index += index
        self._ledger += ledger

    def write(self, files: Path) -> dict[str, int]:
        """Write ``index.parquet`` (in the order of the records) and ``ledger.parquet``; return the ledger's counts."""
        index = pl.DataFrame(self.index, schema=RAW_INDEX, orient="row").sort("warc_file", "offset")
        index.write_parquet(files / INDEX_FILE, compression="zstd", row_group_size=GROUP_ROWS)
        return write_ledger(files, pl.DataFrame(self._ledger, schema=LEDGER, orient="row"))


def index_counts(rows: Iterable[dict[str, Any]]) -> dict[str, int]:
    """``pages``, ``images`` and so on, and how many of all are revisits."""
    counts = {"pages": 0, "images": 0, "others": 0, "revisits": 0}
    for row in rows:
        counts[f"{row['kind']}s"] += 1
        counts["revisits"] += row["record_type"] == "revisit"
    return counts
