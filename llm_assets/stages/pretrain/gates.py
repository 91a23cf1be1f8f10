"""Gates of ``base_model``: did it learn, does it beat counting, and is what was saved what was trained?"""

import math
from pathlib import Path

import polars as pl

from llm_assets.core.artefact import Inputs
from llm_assets.core.errors import InputError
from llm_assets.core.jsonio import read_json
from llm_assets.core.recipe.pretraining import BaseModelConfig
from llm_assets.core.report import Gate, Report
from llm_assets.stages.pretrain.model import HISTORY_FILE, PROBE_FILE


def gates(inputs: Inputs, files: Path, config: BaseModelConfig, report: Report) -> list[Gate]:
    """All four block; beating the bigram model only where the recipe says so."""
    history = pl.read_parquet(files / HISTORY_FILE)
    return [_finite(history), _learned(history, report), _beats_bigram(config, report), _reloads(files, config)]


def _finite(history: pl.DataFrame) -> Gate:
    losses = history.filter(pl.col("step") > 0)["loss_nats"]
    bad = len(losses) - int(losses.is_finite().fill_null(False).sum())
    passed = len(losses) > 0 and bad == 0
    return Gate(
        "base_loss_finite",
        passed,
        f"{bad} of {len(losses)} steps have no finite loss; none may: lower the learning rates"
        if not passed
        else f"the loss is finite in all {len(losses)} steps",
        {"steps": len(losses), "not_finite": bad},
    )


def _learned(history: pl.DataFrame, report: Report) -> Gate:
    validations = history["validation_nats"].drop_nulls().to_list()
    entropy = float(report.metrics["unigram_entropy_nats"])
    initial, best = (validations[0], min(validations)) if validations else (math.nan, math.nan)
    passed = len(validations) > 1 and best < initial and best < entropy
    return Gate(
        "base_learned",
        passed,
        f"validation loss {initial:.3f} → {best:.3f} nats; it must end below where it began and below the entropy of single "
        f"tokens, {entropy:.3f}",
        {"initial_nats": initial, "best_nats": best, "unigram_entropy_nats": entropy},
    )


def _beats_bigram(config: BaseModelConfig, report: Report) -> Gate:
    found, bigram = float(report.metrics["bits_per_byte"]), float(report.metrics["bigram_bits_per_byte"])
    return Gate(
        "base_beats_bigram",
        found < bigram,
        f"{found:.3f} bits per held-out byte; the Kneser-Ney bigram model has {bigram:.3f}, the trigram model "
        f"{float(report.metrics['trigram_bits_per_byte']):.3f}",
        {"bits_per_byte": found, "bigram_bits_per_byte": bigram},
        blocking=config.must_beat_bigram,
    )


def _reloads(files: Path, config: BaseModelConfig) -> Gate:
    """The folder loads with no weight missing, left over or made up, and gives the same log-probabilities (case B38)."""
    from llm_assets.lm import model as models
    from llm_assets.lm import scoring
    from llm_assets.lm import tokenizer as tokenizers

    probe = read_json(files / PROBE_FILE)
    try:
        model = models.load(files)
        rows, ids = models.vocabulary_rows(files), len(tokenizers.load(files))
    except (InputError, OSError) as error:
        return Gate("base_reloads", False, f"the saved model does not load: {error}")
    again = scoring.token_log_probabilities(model, probe["ids"])
    difference = max(abs(a - b) for a, b in zip(again, probe["log_probabilities_nats"], strict=True))
    passed = difference <= config.max_reload_difference_nats and rows == ids
    return Gate(
        "base_reloads",
        passed,
        f"read again, log-probabilities differ by {difference:.2g} nats at most "
        f"(allowed {config.max_reload_difference_nats:.2g}); {rows} embedding rows for {ids} ids",
        {"max_difference_nats": difference, "embedding_rows": rows, "tokenizer_ids": ids},
    )
