"""Tombstones: what must be in no corpus, by document, URL, host or content. Crawl and cleaning ask the same matcher."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import polars as pl

from llm_assets.core.artefact import Artefact, Inputs
from llm_assets.core.documents import canonical_url

TOMBSTONES_FILE = "tombstones.parquet"
OWN_LIST = "takedowns/tombstones.jsonl"  # below the store's root: kind, value, reason, at, takedown; append-only
KINDS = ("doc_id", "url", "host", "sha256")
TOMBSTONES = pl.Schema({"kind": pl.String, "value": pl.String, "reason": pl.String})


@dataclass(frozen=True)
class Tombstones:
    """Reasons by value, for each kind. A host covers its subdomains; a URL is compared in its canonical form."""

    by_kind: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def load(cls, artefact: Artefact | None) -> "Tombstones":
        """From the artefact ``tombstones``; none of it: nothing is forbidden."""
        return cls.of(pl.read_parquet(artefact.file(TOMBSTONES_FILE))) if artefact else cls()

    @classmethod
    def given(cls, inputs: Inputs) -> "Tombstones":
        """From the optional input of a stage."""
        return cls.load(inputs.maybe("tombstones"))

    @classmethod
    def of(cls, frame: pl.DataFrame) -> "Tombstones":
        """From a frame with the columns ``kind``, ``value``, ``reason``."""
        found: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}
        for kind, value, reason in frame.select(TOMBSTONES.names()).iter_rows():
            found[kind][value] = reason or ""
        return cls(found)

    def __bool__(self) -> bool:
        return any(self.by_kind.values())

    def match(self, *, url: str = "", doc_id: str = "", sha256: str = "") -> str | None:
        """``kind: value`` of the tombstone that covers a document, or None.

        ``sha256``: the payload's digest as hex, a ``sha256:`` before it is allowed.
        """
        if not self:
            return None
        if doc_id and doc_id in self.by_kind["doc_id"]:
            return f"doc_id: {doc_id}"
        content = sha256.removeprefix("sha256:")
        if content and content in self.by_kind["sha256"]:
            return f"sha256: {content}"
        if not url:
            return None
        canonical = canonical_url(url)
        if canonical in self.by_kind["url"]:
            return f"url: {canonical}"
        host = urlsplit(canonical).hostname or ""
        while host:
            if host in self.by_kind["host"]:
                return f"host: {host}"
            host = host.partition(".")[2]
        return None
