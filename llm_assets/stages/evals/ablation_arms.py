"""The two arms of the ablation: the mix, and the mix without its newest crawl; models of each, and what they make of a text.

A model's scores lie in ``private/`` when it is done, and its checkpoints before, so that a killed run goes on.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from llm_assets.core.artefact import Artefact, Inputs, WorkDir
from llm_assets.core.jsonio import read_json, write_json
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.evaluation import RefreshAblationConfig
from llm_assets.core.recipe.pretraining import BaseModelConfig
from llm_assets.lm import device as devices
from llm_assets.lm import heldout, scoring
from llm_assets.lm import model as models
from llm_assets.lm import tokenizer as tokenizers
from llm_assets.lm.data import TokenStream
from llm_assets.lm.pretraining import Trainer, validation_batches, validation_stream
from llm_assets.stages.evals.ablation import WITH, WITHOUT, Numbers


class _Part:
    """Progress of one model of several, as progress of all."""

    def __init__(self, whole: Progress, number: int, parts: int) -> None:
        self.whole, self.number, self.parts = whole, number, parts

    def update(self, done: int, total: int | None, unit: str, /, **metrics: float) -> None:
        each = total or 1
        self.whole.update(self.number * each + done, self.parts * each, unit, **metrics)

    def note(self, text: str) -> None:
        self.whole.note(text)


def train_and_score(
    inputs: Inputs, out: WorkDir, config: RefreshAblationConfig, newest: str, progress: Progress
) -> tuple[dict[str, Numbers], Numbers, dict[str, Any]]:
    """(nats by arm as (seeds, documents), bytes of each document, what to tell besides)."""
    training = config.training
    device = devices.resolve(training.device)
    if device.type == "cpu":
        devices.set_threads(training.threads)
        devices.keep_freed_memory()
    mix = inputs.one("training_mix")
    arms = {WITH: mix, WITHOUT: without(mix, inputs, newest, out.private / WITHOUT)}
    tokenizer = tokenizers.load(inputs.one("tokenizer").files)
    validation = validation_stream(mix, inputs, training)
    held = heldout.read(inputs, validation.data, tokenizer, at_most=config.heldout_documents)
    batches = validation_batches(validation, training, device)
    nats: dict[str, list[Numbers]] = {arm: [] for arm in arms}
    passes = {}
    for number, (seed, arm) in enumerate((seed, arm) for seed in config.seeds for arm in arms):
        mine = training.model_copy(update={"seed": seed})
        stream = TokenStream(arms[arm], inputs, "train", mine.sequence_length, mine.batch_rows, seed)
        passes[arm] = mine.train_tokens / (stream.windows * mine.sequence_length)
        scored = out.private / f"{arm}-{seed}.npy"
        if not scored.exists():
            part = _Part(progress, number, len(config.seeds) * len(arms))
            folder = out.private / f"{arm}-{seed}"
            found = _scores(mine, stream, batches, held, tokenizer.pad_token_id, folder, part)
            np.save(scored.with_suffix(".part.npy"), found)
            scored.with_suffix(".part.npy").rename(scored)
        nats[arm].append(np.load(scored))
    sizes = np.asarray(held.sizes, dtype=np.float64)
    about = {
        "heldout_documents": len(held.documents),
        "heldout_source": held.source,
        "heldout_bytes": held.n_bytes,
        "train_tokens": training.steps * training.batch_rows * training.sequence_length,
        "passes": passes,
        "chance_bits_per_byte": held.n_tokens * math.log2(validation.data.vocab_size) / held.n_bytes,
        "device": str(device),
    }
    return {arm: np.stack(rows) for arm, rows in nats.items()}, sizes, about


def _scores(
    config: BaseModelConfig,
    stream: TokenStream,
    batches: list[Any],
    held: heldout.HeldOut,
    pad_id: int,
    folder: Path,
    progress: Progress,
) -> Numbers:
    """Train one model and score the held-out documents: nats of each."""
    device, separator = devices.resolve(config.device), stream.data.separator_id
    model = models.build(config.model, stream.data.vocab_size, seed=config.seed, eos_id=separator, pad_id=pad_id).to(device)
    Trainer(model, stream, batches, config, device, folder).run(progress)
    return scoring.document_nats(model.float(), held.documents, separator_id=separator, window=config.sequence_length)


def without(mix: Artefact, inputs: Inputs, newest: str, folder: Path) -> Artefact:
    """The mix as it would be without a crawl: its documents are out, and the older versions that they replaced are in again.

    An older version has the address of the newer one, and so its side of the split and its share of the epochs: both are
    decided by a hash of the address.
    """
    about = read_json(mix.file("mix.json"))
    refs = {entry["crawl"]: entry["ref"] for entry in about["crawls"]}
    documents = pl.read_parquet(mix.file("documents.parquet"))
    own = documents.filter(pl.col("ref") == refs[newest])
    kept = documents.filter(pl.col("ref") != refs[newest])
    replaced = pl.read_parquet(mix.file("ledger.parquet"), columns=["doc_id", "rule", "related_doc"])
    replaced = replaced.filter(pl.col("rule") == "superseded").join(
        own.select(related_doc="doc_id", split="split", epochs="epochs"), on="related_doc"
    )
    older = [kept]
    for crawl, ref in refs.items():
        if crawl != newest and replaced.height:
            table = pl.read_parquet(inputs.resolve(ref) / "documents.parquet")
            back = table.join(replaced.select("doc_id", "split", "epochs"), on="doc_id").with_columns(ref=pl.lit(ref))
            older.append(back.select(documents.columns).cast(documents.schema))
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "mix.json", about)
    pl.concat(older).write_parquet(folder / "documents.parquet", compression="zstd")
    return Artefact(mix.asset, mix.partition, mix.identity, folder)
