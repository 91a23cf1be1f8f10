"""``base_model``: a decoder-only transformer from random weights, and how it compares with n-gram models.

Besides the model folder the artefact holds ``history.parquet`` (a row a step; row 0 is before any), ``data_order.json`` (what
turns a step into its documents), ``probe.json`` (log-probabilities that the saved model must give again) and ``model_card.md``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import torch
from transformers import PreTrainedTokenizerBase

from llm_assets.core import plots
from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.claims import Claim
from llm_assets.core.errors import InputError
from llm_assets.core.jsonio import write_json
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.pretraining import BLOCK, BaseModelConfig
from llm_assets.core.report import Report
from llm_assets.lm import device as devices
from llm_assets.lm import heldout as documents
from llm_assets.lm import model as models
from llm_assets.lm import model_card, scoring
from llm_assets.lm import tokenizer as tokenizers
from llm_assets.lm.data import TokenStream
from llm_assets.lm.pretraining import Outcome, Trainer, validation_batches, validation_stream
from llm_assets.stages.pretrain import heldout

HISTORY_FILE = "history.parquet"
ORDER_FILE = "data_order.json"
PROBE_FILE = "probe.json"
_PROBE_TOKENS = 64
HISTORY = pl.Schema(
    {
        "step": pl.Int64,
        "tokens": pl.Int64,  # predicted so far
        "loss_nats": pl.Float64,  # mean over the step's tokens; null in row 0
        "learning_rate": pl.Float64,  # of the layers' matrices
        "adamw_learning_rate": pl.Float64,
        "validation_nats": pl.Float64,  # null where none was made
    }
)


def run(inputs: Inputs, out: WorkDir, config: BaseModelConfig, progress: Progress) -> Report:
    """Train, save, compare. A killed run goes on from its last checkpoint.

    Raises ``InputError`` when tokenizer and mix don't belong together, ``DeviceError`` when the device isn't there.
    """
    device = devices.resolve(config.device)
    if device.type == "cpu":
        devices.set_threads(config.threads)
        devices.keep_freed_memory()
    mix = inputs.one("training_mix")
    tokenizer = tokenizers.load(inputs.one("tokenizer").files)
    stream = TokenStream(mix, inputs, "train", config.sequence_length, config.batch_rows, config.seed)
    validation = validation_stream(mix, inputs, config)
    vocabulary = stream.data.vocab_size
    _check_vocabulary(vocabulary, len(tokenizer))
    model = models.build(
        config.model, vocabulary, seed=config.seed, eos_id=stream.data.separator_id, pad_id=tokenizer.pad_token_id
    ).to(device)
    progress.note(_plan(config, models.count_parameters(model), stream, device))
    trainer = Trainer(model, stream, validation_batches(validation, config, device), config, device, out.private)
    outcome = trainer.run(progress)
    model = model.to("cpu").float()
    models.save(model, tokenizer, out.files)
    write_json(out.files / PROBE_FILE, _probe(model, validation))
    write_json(out.files / ORDER_FILE, _order(config, stream, mix.ref))
    history = pl.DataFrame(outcome.history, schema=HISTORY, orient="row")
    history.write_parquet(out.files / HISTORY_FILE, compression="zstd")
    progress.note("comparing with n-gram models over the same training documents")
    held = documents.read(inputs, validation.data, tokenizer, at_most=config.heldout_documents)
    figures = heldout.compare(model, stream.data, held, config.sequence_length)
    report = _report(config, outcome, figures, models.count_parameters(model), stream, device)
    report.plots = _plots(out.files, history, figures)
    report.samples = _samples(model, tokenizer, stream.data.separator_id)
    _card(out.files, inputs, config, report.metrics)
    return report


def _plan(config: BaseModelConfig, parameters: int, stream: TokenStream, device: torch.device) -> str:
    return (
        f"{parameters:,} parameters on {device}; {config.steps:,} steps of {config.batch_rows} × {config.sequence_length} "
        f"tokens: {config.steps / stream.steps_per_epoch:.1f} passes over {stream.data.n_tokens:,} tokens"
    )


def _check_vocabulary(vocabulary: int, tokenizer_ids: int) -> None:
    if vocabulary != tokenizer_ids:
        raise InputError(
            f"training_mix was made with a vocabulary of {vocabulary} ids, the tokenizer has {tokenizer_ids}; "
            "materialise tokenized_dataset and training_mix again with this tokenizer"
        )
    if vocabulary % BLOCK:
        raise InputError(
            f"the vocabulary has {vocabulary} ids, not a multiple of {BLOCK}, so quantised files can't store the embedding; "
            f"set tokenizer.vocab_size to one and rebuild"
        )


def _probe(model: Any, stream: TokenStream) -> dict[str, Any]:
    ids = [int(token) for token in next(stream.one_pass())[0][: _PROBE_TOKENS + 1]]
    return {"ids": ids, "log_probabilities_nats": scoring.token_log_probabilities(model, ids)}


def _order(config: BaseModelConfig, stream: TokenStream, mix_ref: str) -> dict[str, Any]:
    return {
        "mix": mix_ref,
        "split": "train",
        "sequence_length": config.sequence_length,
        "batch_rows": config.batch_rows,
        "seed": config.seed,
        "steps": config.steps,
        "steps_per_epoch": stream.steps_per_epoch,
    }


def _report(
    config: BaseModelConfig,
    outcome: Outcome,
    figures: Mapping[str, Any],
    parameters: int,
    stream: TokenStream,
    device: torch.device,
) -> Report:
    done = int(outcome.history[-1]["step"] or 0)
    tokens = done * config.batch_rows * config.sequence_length
    metrics: dict[str, Any] = {
        "device": str(device),
        "parameters": parameters,
        "tokens": tokens,
        "passes": tokens / (stream.windows * config.sequence_length),
        "tokens_per_second": round(outcome.tokens_per_second, 1),
        "initial_validation_nats": outcome.history[0]["validation_nats"],
        "validation_nats": outcome.best_nats,
        "best_step": outcome.best_step,
        "stopped_early": outcome.stopped_early,
        **figures,
    }
    model, bigram, trigram = (figures[f"{name}bits_per_byte"] for name in ("", "bigram_", "trigram_"))
    claim = Claim(
        "base_beats_bigram",
        "base model's bits per byte < a Kneser-Ney bigram model's on the same ids and training documents",
        model,
        bigram,
        model < bigram,
        applies=config.must_beat_bigram,
        note=f"trigram {trigram:.3f}",
    )
    metrics["claims"] = [claim.row()]
    return Report(counts={"steps": done, "training_documents": len(stream.data)}, metrics=metrics)


def _plots(files: Path, history: pl.DataFrame, figures: Mapping[str, Any]) -> dict[str, str]:
    def series(column: str) -> tuple[list[float], list[float]]:
        rows = history.select("tokens", column).drop_nulls()
        return rows["tokens"].to_list(), rows[column].to_list()

    plots.line(
        files / "plots/loss.png",
        {"training": series("loss_nats"), "validation": series("validation_nats")},
        title="Next-token loss",
        x="tokens",
        y="nats per token",
    )
    names = ["base model", "Kneser-Ney trigrams", "Kneser-Ney bigrams"]
    values = [figures[key] for key in ("bits_per_byte", "trigram_bits_per_byte", "bigram_bits_per_byte")]
    plots.bars(files / "plots/bits_per_byte.png", names, values, title="Held-out documents", x="bits per byte, lower is better")
    return {"Loss": "plots/loss.png", "Bits per byte": "plots/bits_per_byte.png"}


def _samples(model: Any, tokenizer: PreTrainedTokenizerBase, separator_id: int) -> dict[str, str]:
    from llm_assets.lm.generation import generate

    drawn = generate(model, [[separator_id]] * 2, max_new_tokens=60, eos_ids=[separator_id], temperature=0.7, seed=0)
    return {f"Sample {number} (temperature 0.7)": tokenizer.decode(ids) for number, ids in enumerate(drawn, 1)}


def _card(files: Path, inputs: Inputs, config: BaseModelConfig, metrics: Mapping[str, Any]) -> None:
    mix = inputs.one("training_mix")
    shape = config.model
    model_card.write(
        files,
        "base_model",
        f"A {shape.architecture} model of {metrics['parameters']:,} parameters, trained from random weights to predict the "
        "next token. It continues text; it was not taught to answer.",
        made_from=[mix, inputs.one("tokenizer")],
        training={
            "layers": shape.n_layers,
            "width, feed-forward width": f"{shape.hidden_size}, {shape.ffn_size}",
            "heads": shape.n_heads,
            "tokens": metrics["tokens"],
            "passes over the data": metrics["passes"],
            "window": f"{config.sequence_length} tokens, documents packed, "
            + ("no attention across them" if config.document_mask else "attention across them"),
            "batch": f"{config.batch_rows * config.sequence_length} tokens",
            "optimiser": f"Muon {config.muon_lr} (matrices), AdamW {config.adamw_lr} (embeddings, norms)",
            "schedule": f"{config.schedule}, {config.warmup_fraction:.0%} warm-up",
            "weight decay, dropout": f"{config.weight_decay}, {config.dropout}",
            "precision": f"{config.dtype} products, float32 weights",
            "seed": config.seed,
        },
        figures={
            "bits per byte": metrics["bits_per_byte"],
            "Kneser-Ney trigrams, bits per byte": metrics["trigram_bits_per_byte"],
            "Kneser-Ney bigrams, bits per byte": metrics["bigram_bits_per_byte"],
            "held-out documents": f"{metrics['heldout_documents']} ({metrics['heldout_source']})",
        },
        limits="Its knowledge is a few thousand short encyclopaedia introductions.",
    )
