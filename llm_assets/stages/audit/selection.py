"""Which captures of which crawls a person means: by host (with its subdomains), URL, document id or content.

The matcher is that of the tombstones, so what ``trace`` and ``takedown plan`` show is what a tombstone would cover.
"""

import re
from collections.abc import Iterable, Sequence

import polars as pl

from llm_assets.core.artefact import Artefact
from llm_assets.core.documents import canonical_url
from llm_assets.core.errors import InputError
from llm_assets.core.tombstones import KINDS, TOMBSTONES, Tombstones

COLUMNS = ("doc_id", "url", "canonical_url", "kind", "record_type", "revisit_of", "payload_digest", "warc_file")
_FORMS = {
    "doc_id": (re.compile(r"[0-9a-f]{32}"), "32 hex digits"),
    "sha256": (re.compile(r"[0-9a-f]{64}"), "64 hex digits"),
    "host": (re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d+)?"), "a host name such as a.example"),
}

Asked = dict[str, list[str]]


def asked(given: Iterable[tuple[str, str]]) -> Asked:
    """Kind → values in the one spelling that is compared; ``InputError`` for a value that nothing could have."""
    found: Asked = {kind: [] for kind in KINDS}
    for kind, value in given:
        normal = _normal(kind, value)
        if normal not in found[kind]:
            found[kind].append(normal)
    return {kind: values for kind, values in found.items() if values}


def _normal(kind: str, value: str) -> str:
    if kind == "url":
        try:
            return canonical_url(value)
        except ValueError as error:
            raise InputError(f"{value!r} names no page: {error}; give the whole address, with https://") from error
    form, said = _FORMS[kind]
    plain = value.strip().lower().removeprefix("sha256:").rstrip(".")
    if not form.fullmatch(plain):
        raise InputError(f"{value!r} is no {kind}; give {said}")
    return plain.partition(":")[0] if kind == "host" else plain


def stones_of(wanted: Asked) -> Tombstones:
    """The matcher of what was asked."""
    rows = [(kind, value, "") for kind, values in wanted.items() for value in values]
    return Tombstones.of(pl.DataFrame(rows, schema=TOMBSTONES, orient="row"))


def captures(crawls: Sequence[Artefact], stones: Tombstones) -> pl.DataFrame:
    """The captures that are covered: ``crawl`` and COLUMNS. A revisit goes with the capture that holds its content."""
    frames = [_matching(crawl, stones) for crawl in crawls]
    found = pl.concat(frames) if frames else pl.DataFrame(schema=dict.fromkeys(("crawl", *COLUMNS), pl.String))
    return found.unique("doc_id", keep="first", maintain_order=True)


def _matching(crawl: Artefact, stones: Tombstones) -> pl.DataFrame:
    by = {kind: list(stones.by_kind.get(kind, ())) for kind in KINDS}
    covered = pl.any_horizontal(
        pl.col("doc_id", "revisit_of").is_in(by["doc_id"]),
        pl.col("canonical_url").is_in(by["url"]),
        pl.col("payload_digest").is_in([f"sha256:{value}" for value in by["sha256"]]),
        on_host(pl.col("canonical_url"), by["host"]),
    )
    table = pl.scan_parquet(crawl.file("index.parquet")).filter(covered.fill_null(False))
    return table.select(pl.lit(crawl.partition).alias("crawl"), *COLUMNS).collect()


def on_host(url: pl.Expr, hosts: Sequence[str]) -> pl.Expr:
    """Whether addresses are of one of these hosts, or of a host below one."""
    host = url.str.extract(r"^[A-Za-z]+://([^/?#:]+|\[[^\]]*\])").str.to_lowercase()
    return pl.any_horizontal(host.is_in(list(hosts)), *(host.str.ends_with(f".{name}") for name in hosts))
