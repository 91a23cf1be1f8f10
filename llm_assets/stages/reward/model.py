"""``reward_model``: which of two answers is the true description of an extract.

It starts from the fine-tuned model, learns with TRL, is saved, and is judged from what was saved: on held-out pairs, each kind
apart, with intervals, beside an answer's length and its words.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from llm_assets.core import plots
from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.embedded import credit
from llm_assets.core.jsonio import write_atomic
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.post_training import RewardModelConfig
from llm_assets.core.report import Report
from llm_assets.core.statistics import bootstrap_interval, paired_bootstrap, wilson
from llm_assets.lm import device, tokenizer
from llm_assets.lm import model as models
from llm_assets.lm.finetune import best_step, end_turns, history, model_card, write_steps
from llm_assets.stages.reward.baselines import correct, length_margins, unigram_margins
from llm_assets.stages.reward.claims import claims
from llm_assets.stages.reward.pairs import Pairs, encode
from llm_assets.stages.reward.preferences import KINDS
from llm_assets.stages.reward.trainer import from_causal, order_of, scores, train

_CALIBRATION_BINS = 8


def run(inputs: Inputs, out: WorkDir, config: RewardModelConfig, progress: Progress) -> Report:
    """Train, save, reload, judge. Raises ``InputError`` for unusable pairs, ``DeviceError`` for a device that is not there."""
    where = device.resolve(config.device)
    device.set_threads(config.threads)
    folder = inputs.one("sft_model").files
    known = tokenizer.load(folder)
    training, validation, test = splits(inputs, known, config)
    model = from_causal(folder, where)
    best, log = train(model, known, (training, validation), config, out.private / "checkpoints", where, progress)
    end_turns(best, known)
    models.save(best, known, out.files)
    rows = history(log)
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(out.files / "history.parquet", compression="zstd")
    write_steps(out.files, order_of(training, config).order, training.rows, config.max_steps)

    both = [*test.chosen, *test.rejected]
    unsaved = np.array(scores(best, both))
    found = np.array(scores(models.load(out.files, kind="classifier", device=where), both))
    margins = found[: len(test)] - found[len(test) :]
    judged = judge(margins, training, test, len(known), config.seed)
    judged |= {
        "device": str(where),
        "steps": rows[-1]["step"],
        "best_step": best_step(rows),
        "reload_difference": float(np.abs(unsaved - found).max()),
        "score_mean": float(found.mean()),
        "score_sd": float(found.std()),
        "equal_share": training.share("equal"),
        "left_out_share": training.share("equal", "too_long"),
    }
    table = judged.pop("table")
    judged["claims"] = claims(judged, Counter(test.kinds))
    write_scores(test, found, out.files)
    _plot(rows, margins, test, out.files)
    write_atomic(out.files / "model_card.md", _card(judged, inputs).encode())
    return Report(
        counts={f"pairs_{name}": count for name, count in sorted(training.counts.items())} | {"pairs_test": len(test)},
        metrics=judged,
        tables={"held-out accuracy": table},
        plots={"Loss": "plots/loss.png", "Calibration": "plots/calibration.png", "Margins": "plots/margins.png"},
        samples=_samples(test, margins),
    )


def splits(inputs: Inputs, known: Any, config: RewardModelConfig) -> tuple[Pairs, Pairs, Pairs]:
    """Encoded training (as many as can be drawn), validation and test pairs, in hash order."""
    data = inputs.one("preference_dataset")
    sizes = {
        "train": config.max_steps * config.batch_size,
        "validation": config.validation_rows,
        "test": config.test_pairs,
    }
    train_pairs, validation, test = (
        encode(known, pl.read_parquet(data.file(f"{name}.parquet")).head(size), config.max_tokens)
        for name, size in sizes.items()
    )
    return train_pairs, validation, test


def judge(margins: NDArray[np.float64], training: Pairs, test: Pairs, vocabulary: int, seed: int) -> dict[str, Any]:
    """Accuracy overall and by kind with 95 % intervals, beside both baselines; the ``table`` is for people."""
    right = correct(margins)
    baselines = {
        "length": correct(length_margins(training, test)),
        "unigram": correct(unigram_margins(training, test, vocabulary)),
    }
    kinds = np.array(test.kinds)
    metrics: dict[str, Any] = {"accuracy": float(right.mean())}
    metrics["accuracy_low"], metrics["accuracy_high"] = bootstrap_interval(right, seed)
    for name, guesses in baselines.items():
        gain, low, _ = paired_bootstrap(right, guesses, seed)
        metrics |= {f"{name}_accuracy": float(guesses.mean()), f"gain_over_{name}": gain, f"gain_over_{name}_low": low}
    table = []
    for kind in (*KINDS, "all"):
        own = (kinds == kind) | (kind == "all")
        if not own.any():
            continue
        low, high = bootstrap_interval(right, seed) if kind == "all" else wilson(int(right[own].sum()), int(own.sum()))
        metrics |= {f"accuracy_{kind}": float(right[own].mean()), f"accuracy_{kind}_low": low, f"accuracy_{kind}_high": high}
        table.append(
            {
                "kind": kind,
                "pairs": int(own.sum()),
                "reward model": f"{right[own].mean():.3f} [{low:.3f}, {high:.3f}]",
                **{f"{name} alone": f"{guesses[own].mean():.3f}" for name, guesses in baselines.items()},
            }
        )
    return {**metrics, "table": table}


def write_scores(test: Pairs, found: NDArray[np.float64], files: Path) -> None:
    """``test_scores.parquet``: id, kind, score of the chosen and of the rejected answer. The gates judge by it."""
    pl.DataFrame(
        {
            "id": [row["id"] for row in test.rows],
            "kind": test.kinds,
            "chosen_score": found[: len(test)],
            "rejected_score": found[len(test) :],
        }
    ).write_parquet(files / "test_scores.parquet", compression="zstd")


def _plot(rows: list[dict[str, Any]], margins: NDArray[np.float64], test: Pairs, files: Path) -> None:
    curves = {}
    for name, column in (("training", "loss_nats"), ("validation", "validation_loss_nats")):
        points = [(row["step"], row[column]) for row in rows if row[column] is not None]
        curves[name] = ([step for step, _ in points], [loss for _, loss in points])
    plots.line(files / "plots/loss.png", curves, title="Reward model", x="step", y="nats a pair")
    claimed, held = calibration(margins)
    diagonal = ([0.5, 1.0], [0.5, 1.0])
    series = {"held-out pairs": (claimed, held), "perfectly calibrated": diagonal}
    title = "How sure it is, and how often it is right"
    plots.line(files / "plots/calibration.png", series, title=title, x="probability given to its preference", y="share right")
    kinds = np.array(test.kinds)
    means = [float(margins[kinds == kind].mean()) if (kinds == kind).any() else 0.0 for kind in KINDS]
    plots.bars(files / "plots/margins.png", list(KINDS), means, title="Mean score difference by kind", x="chosen − rejected")


def calibration(margins: NDArray[np.float64]) -> tuple[list[float], list[float]]:
    """Pairs in equal bins by how sure the model is: mean probability of its preference, and how often that was right."""
    sure = 1 / (1 + np.exp(-np.abs(margins)))
    order = np.argsort(sure, kind="stable")
    bins = [own for own in np.array_split(order, min(_CALIBRATION_BINS, len(order))) if own.size]
    right = correct(margins)
    return [float(sure[own].mean()) for own in bins], [float(right[own].mean()) for own in bins]


def _samples(test: Pairs, margins: NDArray[np.float64]) -> dict[str, str]:
    """Of each kind the first pair, and the pair that it gets most wrong."""
    shown = {}
    kinds = np.array(test.kinds)
    for kind in KINDS:
        own = np.flatnonzero(kinds == kind)
        if own.size:
            for label, index in (("first", int(own[0])), ("worst", int(own[np.argmin(margins[own])]))):
                row = test.rows[index]
                text = f"{row['prompt'][:200]}\n✓ {row['chosen']}\n✗ {row['rejected']}\nscore difference {margins[index]:+.2f}"
                shown[f"{kind}, {label}"] = text
    return shown


def _card(metrics: dict[str, Any], inputs: Inputs) -> str:
    facts = {
        "trained from": inputs.one("sft_model").ref,
        "data": inputs.one("preference_dataset").ref,
        "held-out accuracy": f"{metrics['accuracy']:.3f} [{metrics['accuracy_low']:.3f}, {metrics['accuracy_high']:.3f}]",
        "by answer length alone": f"{metrics['length_accuracy']:.3f}",
        "by unigrams alone": f"{metrics['unigram_accuracy']:.3f}",
        "credit": credit(),
    }
    text = (
        "Scores a one-line description of an extract (summarise prompts). Trained on synthetic preferences over real text: the "
        "true description against one of another article, one cut short, one in shuffled order. No person was asked."
    )
    return model_card("reward_model", facts, text)
