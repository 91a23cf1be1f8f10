"""Which models were trained on a document, and at which steps.

A model's manifest says which data and which models it was made of; the tables of that data name their documents. For
pre-training, ``data_order.json`` turns steps into documents and back; later trainings write theirs down (``steps.parquet``). A
document may be in the data and yet never have been read, because the training ended first. Nothing here follows ``CURRENT``: a
model counts by what it was made of, also where that data was taken down since.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from llm_assets.core import rowindex
from llm_assets.core.artefact import Artefact, Inputs
from llm_assets.core.jsonio import read_json
from llm_assets.core.manifest import Manifest
from llm_assets.core.takedowns import Takedowns

if TYPE_CHECKING:
    from llm_assets.lm.data import TokenStream

MODELS = ("base_model", "sft_model", "reward_model", "rlhf_model", "quantized_export")
ORDER_FILE, STEPS_FILE = "data_order.json", "steps.parquet"
# the table of each data artefact by which it is told what a training reads
TABLES = {
    "training_mix": "documents.parquet",
    "instruction_dataset": "train.parquet",
    "preference_dataset": "train.parquet",
}


@dataclass(frozen=True)
class Use:
    """A document in the data that a model was trained on.

    ``rows``: its rows in that data; ``readings``: how often one pass reads it; ``through``: the models between, nearest first.
    ``steps``: those whose batch held some of it, up to the step whose weights were kept (none: the training ended before it
    came to it): of pre-training counted from 0, as ``TokenStream.documents`` does, of later trainings from 1; None where that
    can't be told.
    """

    model: str
    doc_id: str
    data: str
    rows: int
    readings: int
    through: tuple[str, ...] = ()
    steps: tuple[int, ...] | None = None

    @property
    def read(self) -> bool:
        """Whether the model was trained on it, as far as can be told."""
        return self.steps is None or bool(self.steps)


class Reading:
    """Answers for a set of documents; tables and data orders are read once."""

    def __init__(self, inputs: Inputs, documents: list[str]) -> None:
        self.inputs = inputs
        self.documents = documents
        self._tables: dict[str, list[tuple[str, int, int]]] = {}
        self._steps: dict[str, dict[str, list[int]] | None] = {}
        self._records = Takedowns(inputs.store) if inputs.store is not None else None

    def uses(self) -> Iterator[Use]:
        """All uses by the models among the inputs, each model's own data first."""
        for model in (artefact for asset in MODELS for artefact in self.inputs.many(asset)):
            yield from self.uses_by(model)

    def uses_by(self, model: Artefact) -> Iterator[Use]:
        """All uses by one model."""
        for data, trained, through in self._data_of(model.ref, model.files, ()):
            for doc, rows, readings in self.rows(data):
                steps = self._steps_of(data, trained)
                yield Use(model.ref, doc, data, rows, readings, through, None if steps is None else tuple(steps.get(doc, ())))

    def _data_of(
        self, ref: str, files: Path, through: tuple[str, ...]
    ) -> Iterator[tuple[str, tuple[str, Path], tuple[str, ...]]]:
        """(data, the model trained on it with its folder, the models between), as far as the store has them."""
        read = [f"{entry.asset}/{entry.partition}/{entry.identity}" for entry in Manifest.load(files).inputs]
        for name in read:
            if name.partition("/")[0] in TABLES:
                yield name, (ref, files), through
        for name in read:
            folder = self.inputs.lookup(name) if name.partition("/")[0] in MODELS else None
            if folder is not None:
                yield from self._data_of(name, folder, (*through, name))

    def rows(self, data: str) -> list[tuple[str, int, int]]:
        """(doc_id, rows, readings of one pass) of the documents in a training table, also of one that was taken down."""
        if data not in self._tables:
            table = self._table(data)
            self._tables[data] = [] if table is None else list(table.iter_rows())
        return self._tables[data]

    def _table(self, data: str) -> pl.DataFrame | None:
        folder = self.inputs.lookup(data)
        if folder is not None:
            return training_rows(folder, data, self.documents)
        kept = self._records.remembered(data) if self._records is not None else None
        return None if kept is None else kept.filter(pl.col("doc_id").is_in(self.documents))

    def _steps_of(self, data: str, trained: tuple[str, Path]) -> dict[str, list[int]] | None:
        """doc_id → steps; None where the model wrote no order down."""
        ref, files = trained
        if ref not in self._steps:
            if data.startswith("training_mix/") and (files / ORDER_FILE).is_file() and self.inputs.lookup(data) is not None:
                self._steps[ref] = self._of_mix(data, files)
            else:
                self._steps[ref] = self._written(files) if (files / STEPS_FILE).is_file() else None
        return self._steps[ref]

    def _of_mix(self, data: str, files: Path) -> dict[str, list[int]]:
        stream = stream_of(self.inputs, data, files)
        in_split = [doc for doc, *_ in self.rows(data)]
        return stream.steps_of(in_split, kept_steps(files, read_json(files / ORDER_FILE)["steps"]))

    def _written(self, files: Path) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        table = pl.scan_parquet(files / STEPS_FILE).filter(pl.col("step") <= kept_steps(files))
        for column in [name for name in ("doc_id", "rejected_doc_id") if name in table.collect_schema()]:
            mine = table.filter(pl.col(column).is_in(self.documents)).select(column, "step").unique().collect()
            for doc, step in mine.iter_rows():
                found.setdefault(doc, []).append(step)
        return {doc: sorted(set(steps)) for doc, steps in found.items()}


def training_rows(folder: Path, data: str, documents: list[str] | None = None) -> pl.DataFrame:
    """``doc_id``, ``rows`` and ``readings`` (of one pass) of what a training reads; of all documents, or of some.

    A preference counts for the page that it asks about, and for the one that its wrong answer is of.
    """
    name = TABLES[data.partition("/")[0]]
    table = pl.scan_parquet(folder / name)
    columns = table.collect_schema().names()
    if documents is None:
        mine = table
    else:
        mine = rowindex.of_documents(folder, name, documents).lazy()
        if "rejected_doc_id" in columns:
            others = table.filter(pl.col("rejected_doc_id").is_in(documents), ~pl.col("doc_id").is_in(documents))
            mine = pl.concat([mine, others])
    if "split" in columns:  # what a mix holds out is not trained on
        mine = mine.filter(pl.col("split") == "train")
    if "rejected_doc_id" in columns:
        mine = mine.select(doc_id=pl.concat_list("doc_id", "rejected_doc_id").list.unique()).explode("doc_id")
        mine = mine.filter(pl.col("doc_id").is_not_null())
    readings = pl.col("epochs").sum() if "epochs" in columns else pl.len()
    found = mine.group_by("doc_id", maintain_order=True).agg(rows=pl.len(), readings=readings)
    return (found if documents is None else found.filter(pl.col("doc_id").is_in(documents))).collect()


def kept_steps(files: Path, planned: int = 0) -> int:
    """Up to which step a training made the weights that were kept: what came later left no trace in them."""
    manifest = Manifest.load(files)
    kept = manifest.metrics.get("kept_round")  # of PPO: 0 where the fine-tuned model was kept as it was
    steps = manifest.metrics.get("steps") or manifest.counts.get("steps", planned)
    return int(kept if kept is not None else manifest.metrics.get("best_step") or steps)


def stream_of(inputs: Inputs, data: str, files: Path) -> "TokenStream":
    """The data order of a pre-training. ``StoreError`` where its mix is gone."""
    from llm_assets.lm.data import TokenStream

    order = read_json(files / ORDER_FILE)
    asset, partition, identity = data.split("/")
    mix = Artefact(asset, partition, identity, inputs.resolve(data))
    return TokenStream(mix, inputs, order["split"], order["sequence_length"], order["batch_rows"], order["seed"])
