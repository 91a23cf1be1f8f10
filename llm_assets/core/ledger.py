"""Verdicts and the ledger: every document has a fate, and the ledger says which.

A filter returns a ``Verdict``; each artefact carries ``ledger.parquet``, one row a document that came in:
ids and scores, no text. Counts add up: documents in = kept + dropped by each rule.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from llm_assets.core.rowindex import GROUP_ROWS

LEDGER_FILE = "ledger.parquet"
KEPT = "kept"

LEDGER = pl.Schema(
    {
        "crawl": pl.String,
        "stage": pl.String,  # the asset that decided: raw_crawl, extracted_pages, cleaned_corpus, …
        "doc_id": pl.String,  # null where nothing was fetched (a URL forbidden by robots.txt)
        "url": pl.String,
        "kept": pl.Boolean,
        "rule": pl.String,  # "kept", or the rule that dropped it: "gopher_word_count", "robots", …
        "value": pl.Float64,  # what was measured; null where a rule has no number
        "threshold": pl.Float64,  # against what
        "related_doc": pl.String,  # the kept twin, the superseded page, the eval item
        "detail": pl.String,  # one short phrase, never page text
    }
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one rule says of one document. Never a bare bool, never a tuple.

    ``value`` is what was measured and ``threshold`` what it was held against, both null where the rule has no number.
    """

    kept: bool
    rule: str = KEPT
    value: float | None = None
    threshold: float | None = None
    related_doc: str | None = None
    detail: str | None = None


KEEP = Verdict(True)


def ledger_row(crawl: str, stage: str, doc_id: str | None, url: str, verdict: Verdict) -> dict[str, Any]:
    """One row of the ledger."""
    return {
        "crawl": crawl,
        "stage": stage,
        "doc_id": doc_id,
        "url": url,
        "kept": verdict.kept,
        "rule": verdict.rule,
        "value": verdict.value,
        "threshold": verdict.threshold,
        "related_doc": verdict.related_doc,
        "detail": verdict.detail,
    }


def ledger_frame(rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Rows as a frame with the ledger's schema, also when there are none."""
    return pl.DataFrame(list(rows), schema=LEDGER, orient="row")


def write_ledger(files: Path, frame: pl.DataFrame) -> dict[str, int]:
    """Write ``ledger.parquet`` and return the counts: ``documents_in``, ``kept`` and ``dropped:<rule>`` each."""
    frame = frame.select(LEDGER.names()).cast(LEDGER)
    frame.write_parquet(files / LEDGER_FILE, compression="zstd", row_group_size=GROUP_ROWS)
    return ledger_counts(frame)


def ledger_counts(frame: pl.DataFrame) -> dict[str, int]:
    """``documents_in``, ``kept`` and, for each rule that dropped something, ``dropped:<rule>``."""
    counts = {"documents_in": frame.height, "kept": int(frame["kept"].sum())}
    dropped = frame.filter(~pl.col("kept")).group_by("rule").len().sort("rule")
    counts.update({f"dropped:{rule}": int(n) for rule, n in dropped.iter_rows()})
    return counts


def counts_add_up(counts: Mapping[str, int]) -> bool:
    """Whether documents in = kept + dropped by each rule."""
    return counts["documents_in"] == counts["kept"] + sum(n for key, n in counts.items() if key.startswith("dropped:"))
