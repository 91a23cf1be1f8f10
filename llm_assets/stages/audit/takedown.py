"""``takedown plan``: what a take-down would reach, before anything is done. Reads the store, writes nothing.

A crawl is concerned if it holds a document that is taken down, or if its ledger names one as the kept twin of a document that
it dropped: that one comes back, unless its content is what was taken down. All other crawls stay as they are, to the byte.
"""

import base64
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from llm_assets.core import rowindex
from llm_assets.core.artefact import Artefact, Inputs
from llm_assets.core.freshness import Plan, Standing
from llm_assets.core.ledger import LEDGER_FILE
from llm_assets.core.manifest import MANIFEST_FILE
from llm_assets.core.store import UNPARTITIONED, Store
from llm_assets.core.tombstones import Tombstones
from llm_assets.stages.audit import selection, trace
from llm_assets.stages.audit.needles import Needles
from llm_assets.stages.audit.reading import MODELS, Reading, Use

# what is made of a crawl, in order; and what is made of all crawls and holds their texts
OF_CRAWL = ("raw_crawl", "extracted_pages", "cleaned_corpus", "deduped_shards", "image_dataset", "tokenized_dataset")
OF_ALL = ("training_mix", "instruction_dataset", "preference_dataset")
_IMAGES, _SHEET, _PIECE = "images.parquet", "contact_sheet.png", 120
COMPARED = ("deduped_shards", "image_dataset")  # made by comparing with older crawls
_HOLDERS = (*OF_CRAWL, "instruction_dataset", "preference_dataset")
HOLDS, REVISITS = "holds documents that are taken down", "holds revisits of them"
TWIN = "dropped duplicates of them, which come back"
_READS_RAW = ("raw_crawl", "extracted_pages", "image_dataset")


@dataclass(frozen=True)
class Named:
    """A document that was dropped as the duplicate of one that is taken down."""

    crawl: str
    doc_id: str
    url: str
    twin: str
    asset: str


@dataclass(frozen=True)
class Reach:
    """All that a take-down reaches.

    ``found``: what was made of the documents that are current. ``documents``: doc_id → crawl and payload digest, those of older
    versions too. ``crawls``: concerned crawl → why. ``returning``: what comes back. ``copies``: captures with the same content
    that stay, since it is not their content that is taken down. ``affected``: ref of a model, current or not → what it read.
    ``must_go``: versions that hold the documents. ``others``: recipes under which other versions that hold them are current.
    """

    asked: selection.Asked
    found: trace.Forward
    documents: dict[str, dict[str, str]]
    crawls: dict[str, str]
    returning: list[Named]
    copies: list[dict[str, str]]
    affected: dict[str, dict[str, Any]]
    must_go: list[str]
    others: list[str]
    plan: Plan

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        plain = ("asked", "documents", "crawls", "copies", "affected", "must_go", "others")
        told = {name: getattr(self, name) for name in plain}
        return {
            **told,
            "found": self.found.as_json(),
            "returning": [asdict(one) for one in self.returning],
            "rebuilt": {
                "certain": [asdict(one) for one in self.plan.certain],
                "possible": [asdict(one) for one in self.plan.possible],
                "seconds": self.plan.seconds,
                "gpu_hours": self.plan.gpu_hours,
            },
        }


def reach(store: Store, inputs: Inputs, asked: selection.Asked, standings: Iterable[Standing]) -> Reach:
    """``inputs``: what is current. ``standings``: of every asset and crawl, for what each cost when it was made last."""
    stones = selection.stones_of(asked)
    crawls = inputs.many("raw_crawl")
    current = selection.captures(crawls, stones)
    every = selection.captures(versions(store, "raw_crawl"), stones)
    documents = {row["doc_id"]: {"crawl": row["crawl"], "digest": row["payload_digest"]} for row in every.iter_rows(named=True)}
    returning = [one for one in _named(inputs, set(documents)) if not _covered(inputs, one, stones)]
    concerned = {crawl: REVISITS for (crawl,) in current.select("crawl").unique().iter_rows()}
    concerned |= dict.fromkeys(current.filter(pl.col("record_type") == "response")["crawl"].to_list(), HOLDS)
    concerned |= {crawl: TWIN for crawl in _naming(inputs, set(documents)) if crawl not in concerned}
    order = [crawl.partition for crawl in crawls]
    concerned = {crawl: concerned[crawl] for crawl in order if crawl in concerned}
    must_go = sorted(holders(store, set(documents), stones))
    return Reach(
        asked,
        trace.forward(inputs, current),
        documents,
        concerned,
        returning,
        _copies(crawls, current),
        affected(store, inputs, list(documents)),
        must_go,
        sorted(_other_recipes(store, must_go)),
        _plan(concerned, order, standings, bool(documents)),
    )


def versions(store: Store, asset: str) -> list[Artefact]:
    """Every complete artefact of an asset in the store, of whatever recipe, current or not."""
    paths = sorted((store.root / asset).glob(f"*/*/{MANIFEST_FILE}"))
    return [Artefact(asset, path.parent.parent.name, path.parent.name, path.parent) for path in paths]


def holders(store: Store, documents: set[str], stones: Tombstones) -> Iterator[str]:
    """Refs of all data artefacts that hold some of the documents, or samples of what was dropped for them."""
    for artefact in (one for asset in _HOLDERS for one in versions(store, asset)):
        if artefact.asset == "raw_crawl":
            held = selection.captures([artefact], stones).height > 0 or _has(artefact, "index.parquet", "doc_id", documents)
        else:
            held = _in_ledger(artefact, documents, stones) or any(
                _has(artefact, path.name, "rejected_doc_id", documents) for path in artefact.files.glob("*.parquet")
            )
        if held:
            yield artefact.ref


def _in_ledger(artefact: Artefact, documents: set[str], stones: Tombstones) -> bool:
    if not (artefact.files / LEDGER_FILE).is_file():
        return False
    names = list(documents)
    by = stones.by_kind
    found = pl.any_horizontal(
        pl.col("doc_id").is_in(names),
        pl.col("related_doc").is_in(names) & ~pl.col("kept"),
        selection.on_host(pl.col("url"), list(by.get("host", ()))),
        rowindex.bare_of(pl.col("url")).is_in([rowindex.bare(url) for url in by.get("url", ())]),
    )
    return not pl.scan_parquet(artefact.files / LEDGER_FILE).filter(found).head(1).collect().is_empty()


def _has(artefact: Artefact, table: str, column: str, documents: set[str]) -> bool:
    scan = pl.scan_parquet(artefact.files / table)
    if column not in scan.collect_schema():
        return False
    return not scan.filter(pl.col(column).is_in(list(documents))).head(1).collect().is_empty()


def _dropped_for(inputs: Inputs, documents: set[str]) -> Iterator[tuple[Artefact, pl.DataFrame]]:
    for artefact in (one for asset in COMPARED for one in inputs.many(asset)):
        ledger = pl.scan_parquet(artefact.file(LEDGER_FILE))
        duplicate = ~pl.col("kept") & pl.col("rule").str.ends_with("_duplicate")
        yield artefact, ledger.filter(duplicate, pl.col("related_doc").is_in(list(documents))).collect()


def _named(inputs: Inputs, documents: set[str]) -> Iterator[Named]:
    for artefact, rows in _dropped_for(inputs, documents):
        for row in rows.filter(~pl.col("doc_id").is_in(list(documents))).iter_rows(named=True):
            yield Named(artefact.partition, row["doc_id"], row["url"], row["related_doc"], artefact.asset)


def _naming(inputs: Inputs, documents: set[str]) -> set[str]:
    return {artefact.partition for artefact, rows in _dropped_for(inputs, documents) if rows.height}


def _covered(inputs: Inputs, one: Named, stones: Tombstones) -> bool:
    """Whether a duplicate is taken down itself, by its content (its address was looked at)."""
    for crawl in inputs.many("raw_crawl"):
        rows = rowindex.of_documents(crawl.files, "index.parquet", [one.doc_id], ["payload_digest"])
        if any(stones.match(sha256=digest) for digest in rows["payload_digest"]):
            return True
    return False


def _copies(crawls: list[Artefact], taken: pl.DataFrame) -> list[dict[str, str]]:
    """Captures elsewhere with the very bytes of one that is taken down."""
    found: list[dict[str, str]] = []
    digests, documents = taken["payload_digest"].unique().to_list(), taken["doc_id"].to_list()
    for crawl in crawls if digests else ():
        table = pl.scan_parquet(crawl.file("index.parquet"))
        same = table.filter(pl.col("payload_digest").is_in(digests), ~pl.col("doc_id").is_in(documents))
        found += same.select(pl.lit(crawl.partition).alias("crawl"), "doc_id", "url", "payload_digest").collect().to_dicts()
    return found


def affected(store: Store, inputs: Inputs, documents: list[str]) -> dict[str, dict[str, Any]]:
    """Every model of the store that read any of the documents → which data, how many of them, in how many steps."""
    reading = Reading(inputs, documents)
    found: dict[str, dict[str, Any]] = {}
    for model in (one for asset in MODELS for one in versions(store, asset)):
        uses = [use for use in reading.uses_by(model) if use.read]
        if uses:
            found[model.ref] = {
                "digest": model.digest(),
                "documents": len({use.doc_id for use in uses}),
                "read": [_read(data, uses) for data in dict.fromkeys(use.data for use in uses)],
            }
    return found


def _read(data: str, uses: list[Use]) -> dict[str, Any]:
    mine = [use for use in uses if use.data == data]
    own = [use for use in mine if not use.through]
    steps = sorted({step for use in own or mine for step in use.steps or ()})
    return {"data": data, "documents": len({use.doc_id for use in mine}), "steps": steps, "directly": bool(own)}


def _other_recipes(store: Store, must_go: list[str]) -> set[str]:
    """Recipes whose current artefacts hold the documents and are others than this recipe's."""
    found = set()
    for asset, partition, identity in (ref.split("/") for ref in must_go):
        for pointer in (store.root / asset / partition).glob("CURRENT.*"):
            recipe = pointer.suffix[1:]
            own = store.current(asset, partition)
            if recipe != store.recipe and pointer.read_text("utf-8").strip() == identity != (own.identity if own else ""):
                found.add(recipe)
    return found


def _plan(concerned: Mapping[str, str], order: list[str], standings: Iterable[Standing], any_found: bool) -> Plan:
    """What is made anew for certain, and what only if a page that comes back is like one of a later crawl."""
    certain, possible = [], []
    late = (*COMPARED, "tokenized_dataset")
    first = min((order.index(crawl) for crawl in concerned), default=len(order))
    for one in standings:
        why = concerned.get(one.partition, "")
        if one.asset in OF_ALL and one.partition == UNPARTITIONED and any_found and concerned:
            certain.append(replace(one, reasons=("is made of these crawls",)))
        elif one.asset not in OF_CRAWL or one.state == "missing":
            continue
        elif why == HOLDS or (why == REVISITS and one.asset in _READS_RAW) or (why == TWIN and one.asset in late):
            certain.append(replace(one, reasons=(why,)))
        elif why or (one.asset in late and one.partition in order[first + 1 :]):
            possible.append(replace(one, reasons=(why or "comes after them, and may hold copies of what comes back",)))
    return Plan(tuple(certain), tuple(possible))


def needles_of(root: Path, refs: Iterable[str], documents: Iterable[str]) -> Needles:
    """What documents say, as the versions that hold them have it: main text, description, caption; sheets of their images."""
    wanted = pl.col("doc_id").is_in(list(documents))
    texts: set[str] = set()
    sheets: set[str] = set()
    for asset, folder in ((ref.partition("/")[0], root / ref) for ref in refs):
        if asset in ("extracted_pages", "cleaned_corpus", "deduped_shards"):
            for shard in sorted((folder / "shards").glob("*.parquet")):
                rows = pl.scan_parquet(shard).filter(wanted).select("text", "description").collect()
                texts.update(text for row in rows.iter_rows() for text in row if text)
        elif asset == "image_dataset" and (folder / _IMAGES).is_file():
            rows = pl.scan_parquet(folder / _IMAGES).filter(wanted).select("caption").collect()
            texts.update(caption for caption in rows["caption"] if caption)
            sheets.update(_middle(folder / _SHEET) if rows.height else ())
    return Needles(texts, sheets)


def _middle(picture: Path) -> Iterator[str]:
    """A piece of a picture as it stands in Dagster's history, which no other picture has."""
    coded = base64.b64encode(picture.read_bytes()).decode() if picture.is_file() else ""
    if len(coded) > 3 * _PIECE:
        yield coded[len(coded) // 2 : len(coded) // 2 + _PIECE]
