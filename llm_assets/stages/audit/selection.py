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
    """The captures that are covered: ``crawl`` and COLUMNS. A revisit goes with the capture that holds its content.

    Crawls must be all that there are, oldest first.
    """
    frames = [_matching(crawl, stones) for crawl in crawls]
    found = pl.concat(frames) if frames else pl.DataFrame(schema=dict.fromkeys(("crawl", *COLUMNS), pl.String))
    frames = [_revisits(crawl, found["doc_id"]) for crawl in crawls] if found.height else []
    return pl.concat([found, *frames]).unique("doc_id", keep="first", maintain_order=True)


def _matching(crawl: Artefact, stones: Tombstones) -> pl.DataFrame:
    by = stones.by_kind
    hosts = list(by.get("host", ()))
    url, host = pl.col("canonical_url"), pl.col("canonical_url").str.extract(r"^[a-z]+://([^/?#:]+|\[[^\]]*\])")
    covered = pl.any_horizontal(
        pl.col("doc_id").is_in(list(by.get("doc_id", ()))),
        url.is_in(list(by.get("url", ()))),
        pl.col("payload_digest").is_in([f"sha256:{value}" for value in by.get("sha256", ())]),
        host.is_in(hosts),
        *(host.str.ends_with(f".{name}") for name in hosts),
    )
    return _read(crawl, covered.fill_null(False))


def _revisits(crawl: Artefact, originals: pl.Series) -> pl.DataFrame:
    return _read(crawl, pl.col("revisit_of").is_in(originals.to_list()).fill_null(False))


def _read(crawl: Artefact, wanted: pl.Expr) -> pl.DataFrame:
    table = pl.scan_parquet(crawl.file("index.parquet")).filter(wanted)
    return table.select(pl.lit(crawl.partition).alias("crawl"), *COLUMNS).collect()
