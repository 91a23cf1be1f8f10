"""Which models were trained on a document, and at which steps of pre-training.

A model's manifest says which data and which models it was made of; the tables of that data name their documents. For
pre-training, ``data_order.json`` turns steps into documents and back: a document may be in the mix and yet never have been
read, because the token budget ended first. Nothing here follows ``CURRENT``: a model counts by what it was made of.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from llm_assets.core import rowindex
from llm_assets.core.artefact import Artefact, Inputs
from llm_assets.core.errors import StoreError
from llm_assets.core.jsonio import read_json
from llm_assets.core.manifest import Manifest

MODELS = ("base_model", "sft_model", "reward_model", "rlhf_model", "quantized_export")
ORDER_FILE = "data_order.json"
# the table of each data artefact by which it is told what a training reads
_TABLES = {
    "training_mix": "documents.parquet",
    "instruction_dataset": "train.parquet",
    "preference_dataset": "train.parquet",
}


@dataclass(frozen=True)
class Use:
    """A document in the data that a model was trained on.

    ``rows``: its rows in that data; ``readings``: how often one pass reads it; ``through``: the models between, nearest first.
    ``steps``: the pre-training steps, counted from 0 as ``TokenStream.documents`` does, whose batch held tokens of it, up to
    the step whose weights were kept (none: the training ended before it came to it); None where that can't be told, or the
    data is no mix.
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
        self._steps: dict[tuple[str, str], tuple[int, ...] | None] = {}

    def uses(self) -> Iterator[Use]:
        """All uses by the models among the inputs, each model's own data first."""
        for model in (artefact for asset in MODELS for artefact in self.inputs.many(asset)):
            for data, trained, through in self._data_of(model.ref, model.files, ()):
                for doc, rows, readings in self._rows(data):
                    steps = self._steps_of(data, trained, doc) if data.startswith("training_mix/") else None
                    yield Use(model.ref, doc, data, rows, readings, through, steps)

    def _data_of(
        self, ref: str, files: Path, through: tuple[str, ...]
    ) -> Iterator[tuple[str, tuple[str, Path], tuple[str, ...]]]:
        """(data, the model trained on it with its folder, the models between), as far as the store has them."""
        read = [f"{entry.asset}/{entry.partition}/{entry.identity}" for entry in Manifest.load(files).inputs]
        present = [(name, folder) for name in read if (folder := self.inputs.lookup(name)) is not None]
        for name, _ in present:
            if name.partition("/")[0] in _TABLES:
                yield name, (ref, files), through
        for name, folder in present:
            if name.partition("/")[0] in MODELS:
                yield from self._data_of(name, folder, (*through, name))

    def _rows(self, data: str) -> list[tuple[str, int, int]]:
        """(doc_id, rows, readings of one pass) of the documents in a training table."""
        if data not in self._tables:
            mine = rowindex.of_documents(self.inputs.resolve(data), _TABLES[data.partition("/")[0]], self.documents)
            if "split" in mine.columns:  # what a mix holds out is not trained on
                mine = mine.filter(pl.col("split") == "train")
            readings = pl.col("epochs").sum() if "epochs" in mine.columns else pl.len()
            grouped = mine.group_by("doc_id", maintain_order=True).agg(pl.len(), readings.alias("readings"))
            self._tables[data] = list(grouped.iter_rows())
        return self._tables[data]

    def _steps_of(self, data: str, trained: tuple[str, Path], doc: str) -> tuple[int, ...] | None:
        ref, files = trained
        if (ref, doc) not in self._steps:
            self._steps[ref, doc] = self._read_steps(data, files, doc) if (files / ORDER_FILE).exists() else None
        return self._steps[ref, doc]

    def _read_steps(self, data: str, files: Path, doc: str) -> tuple[int, ...] | None:
        from llm_assets.lm.data import TokenStream

        order = read_json(files / ORDER_FILE)
        manifest = Manifest.load(files)
        asset, partition, identity = data.split("/")
        mix = Artefact(asset, partition, identity, self.inputs.resolve(data))
        try:
            stream = TokenStream(mix, self.inputs, order["split"], order["sequence_length"], order["batch_rows"], order["seed"])
        except StoreError:  # token shards that the store no longer has: the steps can't be told, and the text says so
            return None
        # the weights that were kept are those of the best step; what came later left no trace in them
        kept = int(manifest.metrics.get("best_step") or manifest.counts.get("steps", order["steps"]))
        return tuple(stream.steps(doc, kept))
