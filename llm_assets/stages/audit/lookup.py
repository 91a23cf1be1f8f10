"""Finds one page in everything that was made of it: the ledgers of all stages and crawls, token shards, models."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from difflib import SequenceMatcher

import polars as pl

from llm_assets.core.artefact import Artefact, Inputs
from llm_assets.core.documents import canonical_url
from llm_assets.core.errors import InputError
from llm_assets.core.ledger import LEDGER, LEDGER_FILE
from llm_assets.core.store import Store
from llm_assets.stages.audit.reading import MODELS, Reading, Use

# in the order in which a document meets them
STAGES = (
    "raw_crawl",
    "extracted_pages",
    "cleaned_corpus",
    "deduped_shards",
    "tokenized_dataset",
    "training_mix",
    "image_dataset",
)
_DOC_ID = re.compile(r"[0-9a-f]{6,32}")
_NEAREST = 5
_ALIKE = 0.6  # difflib's own default for a close match
_COMPARED = 1_000  # URLs that a query is compared with letter by letter: those that share most with it


@dataclass(frozen=True)
class Judgement:
    """One line of a ledger."""

    crawl: str
    stage: str
    doc_id: str | None
    url: str
    kept: bool
    rule: str
    value: float | None
    threshold: float | None
    related_doc: str | None
    detail: str | None


@dataclass(frozen=True)
class Tokens:
    """Where a document's tokens lie: ``length`` tokens from ``start`` on in ``tokens-<shard>.npy`` of ``ref``."""

    doc_id: str
    ref: str
    shard: int
    start: int
    length: int


@dataclass(frozen=True)
class Found:
    """All that is known of a page. Judgements are in crawl order, then stage order."""

    query: str
    judgements: list[Judgement]
    fetched: dict[str, str] = field(default_factory=dict)  # doc_id → time of fetch
    same_content: dict[str, str] = field(default_factory=dict)  # doc_id of a revisit → the capture that holds the content
    replaced_by: dict[str, str] = field(default_factory=dict)  # doc_id → the newest capture of the same page
    addresses: dict[str, str] = field(default_factory=dict)  # doc_id of any related document → URL
    tokens: list[Tokens] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)

    @property
    def documents(self) -> list[str]:
        """Its captures."""
        return list(dict.fromkeys(j.doc_id for j in self.judgements if j.doc_id))


def current_inputs(store: Store) -> Inputs:
    """The current artefacts that a look-up reads."""
    found = {}
    for asset in (*STAGES, *MODELS):
        artefacts = (store.current(asset, partition) for partition in store.partitions(asset))
        found[asset] = [artefact for artefact in artefacts if artefact is not None]
    return Inputs(found, store.root)


def look_up(inputs: Inputs, query: str) -> Found:
    """Find a URL, or a doc_id (its first six digits or more are enough where they are unambiguous).

    Raises ``InputError`` with the nearest URLs where no crawl met it.
    """
    query = query.strip()
    ledgers = [(a, pl.scan_parquet(a.file(LEDGER_FILE))) for stage in STAGES for a in inputs.many(stage)]
    documents = _documents(inputs, ledgers, query)
    urls = list(_spellings(query))
    wanted = pl.col("doc_id").is_in(documents) | (pl.col("url").is_in(urls) & pl.col("doc_id").is_null())
    rows = [row for _, ledger in ledgers for row in _rows(ledger.filter(wanted))]
    if not rows:
        raise InputError(_not_met(ledgers, query))
    order = {artefact.partition: number for number, artefact in enumerate(inputs.many("raw_crawl"))}
    judgements = sorted(rows, key=lambda j: (order.get(j.crawl, len(order)), j.crawl, j.doc_id or "", _stage_number(j.stage)))
    found = Found(query, judgements)
    _captures(inputs, found)
    related = {j.related_doc for j in judgements if j.related_doc} | {*found.replaced_by.values(), *found.same_content.values()}
    found.addresses.update(_addresses(ledgers, related))
    found.tokens.extend(_tokens(inputs, found.documents))
    found.uses.extend(Reading(inputs, found.documents).uses())
    return found


def _stage_number(stage: str) -> int:
    return STAGES.index(stage) if stage in STAGES else len(STAGES)


def _rows(ledger: pl.LazyFrame) -> Iterator[Judgement]:
    for row in ledger.select(LEDGER.names()).collect().iter_rows(named=True):
        yield Judgement(**row)


def _spellings(query: str) -> Iterator[str]:
    yield query
    try:
        yield canonical_url(query)
    except ValueError:
        return


def _documents(inputs: Inputs, ledgers: list[tuple[Artefact, pl.LazyFrame]], query: str) -> list[str]:
    """The captures that a query means."""
    if _DOC_ID.fullmatch(query):
        ids = {
            doc
            for artefact, ledger in ledgers
            if artefact.asset == "raw_crawl"
            for doc in ledger.filter(pl.col("doc_id").str.starts_with(query)).select("doc_id").collect()["doc_id"]
        }
        if len(ids) > 1:
            raise InputError(f"{query} begins {len(ids)} document ids: {', '.join(sorted(ids)[:_NEAREST])} …; give more digits")
        return list(ids)
    urls = list(_spellings(query))
    found: set[str] = set()
    for artefact in inputs.many("raw_crawl"):
        index = pl.scan_parquet(artefact.file("index.parquet"))
        same = index.filter(pl.col("url").is_in(urls) | pl.col("canonical_url").is_in(urls))
        found.update(same.select("doc_id").collect()["doc_id"])
    for _, ledger in ledgers:
        same = ledger.filter(pl.col("url").is_in(urls) & pl.col("doc_id").is_not_null())
        found.update(same.select("doc_id").collect()["doc_id"])
    return sorted(found)


def _captures(inputs: Inputs, found: Found) -> None:
    """When each capture was fetched, which hold no content of their own, and which were replaced."""
    for artefact in inputs.many("raw_crawl"):
        index = pl.scan_parquet(artefact.file("index.parquet")).filter(pl.col("doc_id").is_in(found.documents))
        for doc, moment, original in index.select("doc_id", "fetched_at", "revisit_of").collect().iter_rows():
            found.fetched[doc] = f"{moment:%Y-%m-%d %H:%M:%S} UTC"
            if original:
                found.same_content[doc] = original
    for artefact in inputs.many("deduped_shards"):
        pairs = pl.scan_parquet(artefact.file("superseded.parquet")).filter(pl.col("doc_id").is_in(found.documents))
        found.replaced_by.update(pairs.select("doc_id", "by_doc_id").collect().iter_rows())


def _addresses(ledgers: list[tuple[Artefact, pl.LazyFrame]], documents: Iterable[str]) -> dict[str, str]:
    wanted = list(documents)
    found: dict[str, str] = {}
    for artefact, ledger in ledgers:
        if wanted and artefact.asset == "raw_crawl":
            found.update(ledger.filter(pl.col("doc_id").is_in(wanted)).select("doc_id", "url").collect().iter_rows())
    return found


def _tokens(inputs: Inputs, documents: list[str]) -> Iterator[Tokens]:
    for artefact in inputs.many("tokenized_dataset"):
        table = pl.scan_parquet(artefact.file("documents.parquet")).filter(pl.col("doc_id").is_in(documents))
        for doc, *place in table.select("doc_id", "shard", "start", "length").collect().iter_rows():
            yield Tokens(doc, artefact.ref, *place)


def _not_met(ledgers: list[tuple[Artefact, pl.LazyFrame]], query: str) -> str:
    frames = [ledger.select("url").unique() for artefact, ledger in ledgers if artefact.asset == "raw_crawl"]
    urls = pl.concat(frames).unique().collect()["url"].sort().to_list() if frames else []
    if not urls:
        return f"no crawl is there to look for {query!r} in; materialise raw_crawl first"
    nearest = near_urls(query, urls)
    return f"no crawl met {query!r}" + (
        f"; the nearest: {', '.join(nearest)}" if nearest else f"; {len(urls):,} other URLs are known"
    )


def near_urls(query: str, urls: list[str]) -> list[str]:
    """Up to five URLs that the query may have meant: the same but for spelling, those that contain it, else similar ones."""
    bare = _bare(query)
    same = [url for url in urls if _bare(url) == bare]
    holding = sorted((url for url in urls if bare and bare in _bare(url)), key=lambda url: (len(url), url))
    found = list(dict.fromkeys([*same, *holding]))[:_NEAREST]
    if found:
        return found
    wanted = _trigrams(bare)
    shared = sorted(urls, key=lambda url: (-len(wanted & _trigrams(_bare(url))), len(url), url))[:_COMPARED]
    scored = sorted(((_likeness(bare, _bare(url)), url) for url in shared), key=lambda s: (-s[0], s[1]))
    return [url for score, url in scored[:_NEAREST] if score >= _ALIKE]


def _likeness(bare: str, other: str) -> float:
    """Of the whole, or of the last part alone where a person gave no more than that."""
    last = other.rpartition("/")[2] if "/" not in bare else other
    return max(SequenceMatcher(None, bare, other).ratio(), SequenceMatcher(None, bare, last).ratio())


def _bare(url: str) -> str:
    plain = re.sub(r"^[a-z]+://(www\.)?", "", url.strip().lower())
    return re.sub(r"(/index\.html?|/)$", "", plain.split("#")[0])


def _trigrams(bare: str) -> set[str]:
    return {bare[place : place + 3] for place in range(len(bare) - 2)}
