"""``trace``: from documents to all that was made of them, and from a training step or a token back to documents.

Forward: captures, token ranges, instructions and preferences, the steps of each model, exports and reports made from these.
Backward: a step of a model → the documents that it read, with their place in the token shards; a token → its document.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from llm_assets.core import rowindex
from llm_assets.core.artefact import Artefact, Inputs
from llm_assets.core.errors import InputError
from llm_assets.core.jsonio import read_json
from llm_assets.core.ledger import LEDGER_FILE
from llm_assets.core.manifest import Manifest
from llm_assets.core.store import Store
from llm_assets.core.takedowns import Takedowns
from llm_assets.stages.audit.lookup import DOCUMENTS_FILE, Tokens
from llm_assets.stages.audit.reading import MODELS, ORDER_FILE, STEPS_FILE, Reading, Use, kept_steps, stream_of

_TEXTS = ("extracted_pages", "cleaned_corpus", "deduped_shards")
PAIRS = ("instruction_dataset", "preference_dataset")
_SPLITS = ("train", "validation", "test")
_MADE_OF_MODELS = ("eval_report", "quantized_export", "deployment")


@dataclass(frozen=True)
class Pair:
    """A row of the instruction or preference data that was made of a document."""

    doc_id: str
    ref: str
    split: str
    id: str
    kind: str


@dataclass(frozen=True)
class Held:
    """What of an artefact holds documents: ``documents`` of them in ``file``."""

    ref: str
    file: str
    documents: int


@dataclass(frozen=True)
class Forward:
    """All that was made of some documents. ``made``: exports and reports of models that read them → these models."""

    captures: list[dict[str, Any]]
    shards: list[Held]
    tokens: list[Tokens]
    pairs: list[Pair]
    uses: list[Use]
    made: dict[str, list[str]]
    takedowns: list[str]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        found = {name: [asdict(one) for one in getattr(self, name)] for name in ("shards", "tokens", "pairs")}
        uses = [{**asdict(use), "read": use.read} for use in self.uses]
        return {"captures": self.captures, **found, "uses": uses, "made": self.made, "takedowns": self.takedowns}


@dataclass(frozen=True)
class Piece:
    """Tokens ``start`` to ``end`` (end excluded) of a document that a step read, and where they lie in the token shard."""

    step: int
    row: int
    doc_id: str
    url: str
    start: int
    end: int
    ref: str
    shard: int
    place: int


@dataclass(frozen=True)
class Row:
    """A row of the instruction or preference data that a step read."""

    step: int
    id: str
    doc_id: str
    url: str
    rejected_doc_id: str = ""


def forward(inputs: Inputs, captured: pl.DataFrame) -> Forward:
    """``captured``: ``crawl``, ``doc_id``, ``url`` and what else is known of each document."""
    documents = captured["doc_id"].to_list()
    uses = list(Reading(inputs, documents).uses())
    readers = {use.model for use in uses if use.read}
    records = Takedowns(inputs.store) if inputs.store is not None else None
    named = [one.id for one in records.requests() if not set(documents).isdisjoint(one.documents)] if records else []
    return Forward(
        captured.to_dicts(),
        [held for asset in _TEXTS for held in _shards(inputs, asset, documents)],
        list(token_places(inputs, documents)),
        list(pairs_of(inputs, documents)),
        uses,
        dict(_made(inputs, readers)),
        named,
    )


def _shards(inputs: Inputs, asset: str, documents: list[str]) -> Iterable[Held]:
    for artefact in inputs.many(asset):
        if not _may_hold(artefact, documents):
            continue
        for shard in artefact.shards():
            count = pl.scan_parquet(shard).filter(pl.col("doc_id").is_in(documents)).select(pl.len()).collect().item()
            if count:
                yield Held(artefact.ref, f"shards/{shard.name}", count)


def _may_hold(artefact: Artefact, documents: list[str]) -> bool:
    """Whether the ledger knows any of them: asked by the row index, before shards are read."""
    ledger = artefact.files / LEDGER_FILE
    return not ledger.is_file() or rowindex.of_documents(artefact.files, LEDGER_FILE, documents, ["doc_id"]).height > 0


def token_places(inputs: Inputs, documents: list[str]) -> Iterable[Tokens]:
    """Where documents' tokens lie."""
    columns = ["doc_id", "shard", "start", "length"]
    for artefact in inputs.many("tokenized_dataset"):
        for doc, *place in rowindex.of_documents(artefact.files, DOCUMENTS_FILE, documents, columns).iter_rows():
            yield Tokens(doc, artefact.ref, *place)


def pairs_of(inputs: Inputs, documents: list[str]) -> Iterable[Pair]:
    """Rows of the instruction and preference data that hold text of documents: asked of them, or answered wrongly from them."""
    for artefact in (one for asset in PAIRS for one in inputs.many(asset)):
        for split in _SPLITS:
            path = artefact.files / f"{split}.parquet"
            if not path.is_file():
                continue
            table = pl.scan_parquet(path)
            names = table.collect_schema().names()
            kind = "task" if "task" in names else "kind" if "kind" in names else "id"
            for column in (name for name in ("doc_id", "rejected_doc_id") if name in names):
                mine = table.filter(pl.col(column).is_in(documents)).select(column, "id", kind=kind)
                for doc, row, said in mine.collect().iter_rows():
                    yield Pair(doc, artefact.ref, split, row, f"{said}, the wrong answer" if column != "doc_id" else said)


def _made(inputs: Inputs, readers: set[str]) -> Iterable[tuple[str, list[str]]]:
    """(export, report or deployment, the models it was made of that are in ``readers``), of those that are current."""
    found: dict[str, list[str]] = {}
    for artefact in (one for asset in _MADE_OF_MODELS for one in inputs.many(asset)):
        read = [f"{one.asset}/{one.partition}/{one.identity}" for one in artefact.manifest().inputs]
        of = sorted({model for ref in read for model in ([ref] if ref in readers else found.get(ref, []))})
        if of:
            found[artefact.ref] = of
    return found.items()


def model_named(store: Store, name: str) -> Artefact:
    """A model by its asset's name (the current one), or by its ref; ``InputError`` says what there is."""
    asset, _, rest = name.partition("/")
    if asset not in MODELS[:-1]:
        raise InputError(
            f"{name!r} is no model that is trained; give one of {', '.join(MODELS[:-1])}, or the ref of an older one"
        )
    partition, _, identity = rest.partition("/")
    found = store.find(asset, partition, identity) if identity else store.current(asset)
    if found is None:
        raise InputError(f"the model {name} is not in the store; 'llm-assets status' says what is there")
    return found


def steps_of(inputs: Inputs, model: Artefact, first: int, last: int) -> tuple[list[Piece] | list[Row], str]:
    """What the steps ``first`` to ``last`` read, and a sentence on them. ``InputError`` for steps that the model has not."""
    if (model.files / ORDER_FILE).is_file():
        return _pieces(inputs, model, first, last)
    if not (model.files / STEPS_FILE).is_file():
        raise InputError(f"{model.ref} wrote no data order down; make it again to know its steps")
    table = pl.read_parquet(model.files / STEPS_FILE)
    _check(model, first, last, 1, max(table["step"].to_list(), default=0))
    mine = table.filter(pl.col("step").is_between(first, last)).to_dicts()
    known = _addresses(inputs, {row["doc_id"] for row in mine})
    rows = [
        Row(row["step"], row["id"], row["doc_id"], known.get(row["doc_id"], ""), row.get("rejected_doc_id") or "")
        for row in mine
    ]
    return rows, _on_weights(model, last, kept_steps(model.files))


def _pieces(inputs: Inputs, model: Artefact, first: int, last: int) -> tuple[list[Piece], str]:
    order = read_json(model.files / ORDER_FILE)
    steps = int(Manifest.load(model.files).counts.get("steps", order["steps"]))
    _check(model, first, last, 0, steps - 1)
    stream = stream_of(inputs, order["mix"], model.files)
    found = []
    for step in range(first, last + 1):
        for number, row, start, end in stream.pieces(step):
            ref, shard, begins = stream.data.place(row)
            found.append(Piece(step, number, stream.data.doc_id(row), "", start, end, ref, shard, begins + start))
    table = pl.scan_parquet(inputs.resolve(order["mix"]) / DOCUMENTS_FILE).select("doc_id", "url")
    wanted = pl.col("doc_id").is_in(list({piece.doc_id for piece in found}))
    known = dict(table.filter(wanted).collect().iter_rows())
    kept = kept_steps(model.files, steps)
    return [Piece(**{**asdict(one), "url": known[one.doc_id]}) for one in found], _on_weights(model, last, kept - 1)


def _check(model: Artefact, first: int, last: int, least: int, most: int) -> None:
    if not least <= first <= last <= most:
        asked = f"{first}" if first == last else f"{first}-{last}"
        raise InputError(f"{model.ref} has the steps {least} to {most}, not {asked}; give one of these, or a range")


def _on_weights(model: Artefact, last: int, kept: int) -> str:
    if last <= kept:
        return ""
    return f"the weights of {model.ref} are those after step {kept}: what a later step read left no trace in them"


def _addresses(inputs: Inputs, documents: set[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for crawl in inputs.many("raw_crawl"):
        found.update(rowindex.of_documents(crawl.files, LEDGER_FILE, sorted(documents), ["doc_id", "url"]).iter_rows())
    return found


def at_token(inputs: Inputs, crawl: str, shard: int, position: int) -> dict[str, Any]:
    """The document whose token stands at a position of a shard. ``InputError`` says what crawls, shards and positions are."""
    found = [one for one in inputs.many("tokenized_dataset") if one.partition == crawl]
    if not found:
        known = ", ".join(one.partition for one in inputs.many("tokenized_dataset")) or "none"
        raise InputError(f"there is no tokenized_dataset of the crawl {crawl!r}; there are: {known}")
    table = pl.scan_parquet(found[0].file(DOCUMENTS_FILE))
    end = pl.col("start") + pl.col("length")
    sizes = dict(table.group_by("shard").agg(end.max()).sort("shard").collect().iter_rows())
    if shard not in sizes or not 0 <= position < sizes[shard]:
        told = ", ".join(f"{number} (0 to {size - 1:,})" for number, size in sizes.items())
        raise InputError(f"token {position} of shard {shard} is not in {found[0].ref}; its shards and tokens: {told}")
    row = table.filter(pl.col("shard") == shard, pl.col("start") <= position, end > position).collect().row(0, named=True)
    return {**row, "ref": found[0].ref, "token_of_document": position - row["start"]}
