"""Finds one page in everything that was made of it: the ledgers of all stages and crawls, token shards, models."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from urllib.parse import urljoin

import polars as pl

from llm_assets.core import rowindex
from llm_assets.core.artefact import Artefact, Inputs
from llm_assets.core.documents import canonical_url
from llm_assets.core.errors import InputError
from llm_assets.core.ledger import LEDGER, LEDGER_FILE
from llm_assets.core.store import UNPARTITIONED, Store
from llm_assets.stages.audit.reading import MODELS, Reading, Use

# in the order in which a document meets them
STAGES = (
    "raw_crawl",
    "extracted_pages",
    "cleaned_corpus",
    "deduped_shards",
    "tokenized_dataset",
    "training_mix",
    "instruction_dataset",
    "preference_dataset",
    "image_dataset",
)
POST_TRAINING = ("instruction_dataset", "preference_dataset")  # what is made of pages that the corpus holds, whatever is made
INDEX_FILE, DOCUMENTS_FILE, SUPERSEDED_FILE = "index.parquet", "documents.parquet", "superseded.parquet"
_DOC_ID = re.compile(r"[0-9a-f]{6,32}")
_OWN_FILE = re.compile(r"https://[^/?#]+\.invalid/[^?#]+")  # an address that the importer of local files makes
_NEAREST = 5
_MOST_PARTS = 50  # documents of one file that are told at once
_MOST_HOPS = 10  # redirects that are followed
_ALIKE = 0.6  # difflib's own default for a close match
_PIECES = 24  # of the query, that all known URLs are searched for
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
    led_to: dict[str, "Found | str"] = field(default_factory=dict)  # where redirects led → what is known of it, or why nothing
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


def look_up(inputs: Inputs, query: str, seen: frozenset[str] = frozenset()) -> Found:
    """Find a URL, or a doc_id (its first six digits or more are enough where they are unambiguous).

    Redirects are followed; ``seen``: the addresses that led here. Raises ``InputError`` with the nearest URLs where no crawl
    met it.
    """
    query = query.strip()
    if _DOC_ID.fullmatch(query.lower()):
        query = query.lower()
    ledgers = [a for stage in STAGES for a in inputs.many(stage) if (a.files / LEDGER_FILE).is_file()]
    documents = _documents(inputs, ledgers, query)
    rows = [row for artefact in ledgers for row in _rows(rowindex.of_documents(artefact.files, LEDGER_FILE, documents))]
    urls = list(_spellings(query))
    for artefact in ledgers:
        if _has_addresses(inputs, artefact):
            rows += _rows(_same(artefact, LEDGER_FILE, "url", urls).filter(pl.col("doc_id").is_null()))
    if not rows:
        raise InputError(_not_met(inputs, query))
    order = {artefact.partition: number for number, artefact in enumerate(inputs.many("raw_crawl"))}
    judgements = sorted(rows, key=lambda j: (order.get(j.crawl, len(order)), j.crawl, j.doc_id or "", _stage_number(j.stage)))
    found = Found(query, judgements)
    _captures(inputs, found)
    related = {j.related_doc for j in judgements if j.related_doc} | {*found.replaced_by.values(), *found.same_content.values()}
    found.addresses.update(_addresses(inputs, related))
    found.led_to.update(_led_to(inputs, judgements, seen | {query}))
    found.tokens.extend(_tokens(inputs, found.documents))
    found.uses.extend(Reading(inputs, found.documents).uses())
    return found


def _stage_number(stage: str) -> int:
    return STAGES.index(stage) if stage in STAGES else len(STAGES)


def _rows(ledger: pl.DataFrame) -> Iterator[Judgement]:
    for row in ledger.select(LEDGER.names()).iter_rows(named=True):
        yield Judgement(**row)


def _has_addresses(inputs: Inputs, artefact: Artefact) -> bool:
    """Whether a ledger has to be asked by address: the crawl's, and any whose crawl is no longer there."""
    crawls = {crawl.partition for crawl in inputs.many("raw_crawl")}
    return artefact.asset == "raw_crawl" or artefact.partition not in {*crawls, UNPARTITIONED}


def _same(artefact: Artefact, table: str, column: str, urls: list[str], columns: list[str] | None = None) -> pl.DataFrame:
    """The rows whose address is one of these to the letter."""
    found = [rowindex.of_address(artefact.files, table, column, url, columns) for url in urls]
    return pl.concat(found).filter(pl.col(column).is_in(urls)).unique(maintain_order=True)


def _spellings(query: str) -> Iterator[str]:
    yield query
    try:
        yield canonical_url(query)
    except ValueError:
        return


def _documents(inputs: Inputs, ledgers: list[Artefact], query: str) -> list[str]:
    """The captures that a query means."""
    if _DOC_ID.fullmatch(query):
        asked = [artefact for artefact in ledgers if _has_addresses(inputs, artefact)]
        ids = {doc for artefact in asked for doc in rowindex.beginning_with(artefact.files, LEDGER_FILE, query)}
        if len(ids) > 1:
            raise InputError(f"{query} begins {len(ids)} document ids: {', '.join(sorted(ids)[:_NEAREST])} …; give more digits")
        return list(ids)
    urls = list(_spellings(query))
    found: set[str] = set()
    for artefact in inputs.many("raw_crawl"):
        found.update(_same(artefact, INDEX_FILE, "canonical_url", urls, ["doc_id", "canonical_url"])["doc_id"])
    for artefact in ledgers:
        if _has_addresses(inputs, artefact):
            found.update(_same(artefact, LEDGER_FILE, "url", urls)["doc_id"].drop_nulls())
    return sorted(found or _parts(inputs, query))


def _parts(inputs: Inputs, query: str) -> list[str]:
    """The documents of a file of one's own of which each row or part is one (``?row=``, ``?part=``)."""
    if not _OWN_FILE.match(query):
        return []
    begins = pl.col("url").str.starts_with(f"{query}?")
    ledgers = [pl.scan_parquet(artefact.file(LEDGER_FILE)).filter(begins) for artefact in inputs.many("raw_crawl")]
    rows = pl.concat(ledgers).select("doc_id", "url").drop_nulls().unique().sort("url").collect()
    if rows.height > _MOST_PARTS:
        shown = ", ".join(rows["url"][:_NEAREST])
        raise InputError(f"{query} gave {rows.height:,} documents; ask for one of them: {shown} …")
    return rows["doc_id"].to_list()


def _led_to(inputs: Inputs, judgements: list[Judgement], seen: frozenset[str]) -> Iterator[tuple[str, "Found | str"]]:
    """(where a redirect led, what is known of that page). The ledger has what the server said, which may be relative."""
    for judgement in judgements:
        if judgement.rule != "redirect" or not judgement.detail:
            continue
        target = urljoin(judgement.url, judgement.detail)
        if target in seen or len(seen) > _MOST_HOPS:
            yield target, "told above" if target in seen else "too many redirects to follow"
            continue
        try:
            yield target, look_up(inputs, target, seen | {target})
        except InputError as error:
            yield target, str(error)


def _captures(inputs: Inputs, found: Found) -> None:
    """When each capture was fetched, which hold no content of their own, and which were replaced."""
    columns = ["doc_id", "fetched_at", "revisit_of"]
    for artefact in inputs.many("raw_crawl"):
        for doc, moment, original in rowindex.of_documents(artefact.files, INDEX_FILE, found.documents, columns).iter_rows():
            found.fetched[doc] = f"{moment:%Y-%m-%d %H:%M:%S} UTC"
            if original:
                found.same_content[doc] = original
    for artefact in inputs.many("deduped_shards"):
        pairs = rowindex.of_documents(artefact.files, SUPERSEDED_FILE, found.documents, ["doc_id", "by_doc_id"])
        found.replaced_by.update(pairs.iter_rows())


def _addresses(inputs: Inputs, documents: Iterable[str]) -> dict[str, str]:
    wanted = list(documents)
    found: dict[str, str] = {}
    for artefact in inputs.many("raw_crawl"):
        found.update(rowindex.of_documents(artefact.files, LEDGER_FILE, wanted, ["doc_id", "url"]).iter_rows())
    return found


def _tokens(inputs: Inputs, documents: list[str]) -> Iterator[Tokens]:
    for artefact in inputs.many("tokenized_dataset"):
        columns = ["doc_id", "shard", "start", "length"]
        for doc, *place in rowindex.of_documents(artefact.files, DOCUMENTS_FILE, documents, columns).iter_rows():
            yield Tokens(doc, artefact.ref, *place)


def _not_met(inputs: Inputs, query: str) -> str:
    crawls = inputs.many("raw_crawl")
    if not crawls:
        return f"no crawl is there to look for {query!r} in; materialise raw_crawl first"
    nearest = _other_spellings(crawls, query)
    known = 0
    if not nearest:
        frames = [pl.scan_parquet(artefact.file(LEDGER_FILE)).select("url") for artefact in crawls]
        urls = pl.concat(frames).unique().collect()["url"]
        known, nearest = urls.len(), near_urls(query, urls)
    said = f"the nearest: {', '.join(nearest)}" if nearest else f"{known:,} other URLs are known"
    return f"no crawl met {query!r}; {said}"


def _other_spellings(crawls: list[Artefact], query: str) -> list[str]:
    """The same page by another scheme, with or without ``www.``, a closing slash, capitals: found by the index alone."""
    found = [rowindex.of_address(artefact.files, LEDGER_FILE, "url", query, ["url"])["url"] for artefact in crawls]
    return pl.concat(found).unique().sort().head(_NEAREST).to_list()


def near_urls(query: str, urls: pl.Series) -> list[str]:
    """Up to five URLs that the query may have meant: the same but for spelling, those that contain it, else similar ones.

    Of many URLs only those are compared letter by letter that share most of a few pieces of the query.
    """
    bare = rowindex.bare(query)
    table = urls.alias("url").to_frame().with_columns(bare=rowindex.bare_of(pl.col("url")))
    same = table.filter(pl.col("bare") == bare)
    holding = table.filter(pl.col("bare").str.contains(bare, literal=True)) if bare else table.clear()
    shortest = holding.sort(pl.col("url").str.len_chars(), "url").head(_NEAREST)
    found = list(dict.fromkeys([*same["url"].sort().head(_NEAREST), *shortest["url"]]))[:_NEAREST]
    if found:
        return found
    shared = pl.sum_horizontal(
        pl.lit(0, pl.Int32), *(pl.col("bare").str.contains(piece, literal=True).cast(pl.Int32) for piece in _pieces(bare))
    )
    near = table.with_columns(shared=shared, size=pl.col("url").str.len_chars())
    near = near.filter(pl.col("shared") > 0).bottom_k(_COMPARED, by=[-pl.col("shared"), "size", "url"])
    scored = sorted(((_likeness(bare, other), url) for url, other in near.select("url", "bare").iter_rows()), key=_best)
    return [url for score, url in scored[:_NEAREST] if score >= _ALIKE]


def _best(scored: tuple[float, str]) -> tuple[float, str]:
    return -scored[0], scored[1]


def _pieces(bare: str) -> list[str]:
    """At most 24 runs of three characters, spread over the address: one mistyped letter spoils three of them."""
    runs = list(dict.fromkeys(bare[place : place + 3] for place in range(len(bare) - 2)))
    step = max(1, -(-len(runs) // _PIECES))
    return runs[::step]


def _likeness(bare: str, other: str) -> float:
    """Of the whole, or of the last part alone where a person gave no more than that."""
    last = other.rpartition("/")[2] if "/" not in bare else other
    return max(SequenceMatcher(None, bare, other).ratio(), SequenceMatcher(None, bare, last).ratio())
