"""What an ``rlhf_model`` must show before it is accepted: figures on held-out prompts, its history, its weights read anew."""

from pathlib import Path
from typing import Any

import polars as pl
from safetensors import safe_open

from llm_assets.core.artefact import Inputs
from llm_assets.core.errors import InputError
from llm_assets.core.recipe.post_training import RlhfModelConfig
from llm_assets.core.report import Gate, Report
from llm_assets.lm import model
from llm_assets.stages.rl.loop import collapsed
from llm_assets.stages.rl.reporting import HISTORY

# Names that wrappers leave in a state dict: transformers then finds none of its own (case B35).
_FOREIGN = ("v_head", "value_head", "pretrained_model.", "base_model.model.", "module.")


def gates(inputs: Inputs, files: Path, config: RlhfModelConfig, report: Report) -> list[Gate]:
    """All blocking."""
    figures = report.metrics
    return [
        _reward_gain(figures, config),
        _kl_ceiling(figures, config),
        _no_collapse(files, figures, config),
        _gold_metric(figures),
        _loads_cleanly(files),
    ]


def _reward_gain(figures: dict[str, Any], config: RlhfModelConfig) -> Gate:
    gain, low, high = (figures[f"reward_gain{part}_sd"] for part in ("", "_low", "_high"))
    kept = figures["kept_round"]
    shown = f"reward gain over the fine-tuned model: {gain:+.3f} sd [{low:+.3f}, {high:+.3f}], round {kept} kept"
    passed = low > 0 or not config.require_gain
    advice = "" if passed else "; its interval must lie above 0: raise learning_rate or iterations, or look at the gold metric"
    return Gate("reward_gain", passed, shown + advice, {"gain_sd": gain, "low_sd": low, "high_sd": high, "kept_round": kept})


def _kl_ceiling(figures: dict[str, Any], config: RlhfModelConfig) -> Gate:
    kl = figures["mean_kl_nats"]
    passed = kl <= config.kl_ceiling_nats
    message = f"mean KL to the fine-tuned model is {kl:.3f} nats a sequence, at most {config.kl_ceiling_nats:g} are allowed"
    return Gate("kl_ceiling", passed, message + ("" if passed else "; raise kl_coefficient"), {"mean_kl_nats": kl})


def _no_collapse(files: Path, figures: dict[str, Any], config: RlhfModelConfig) -> Gate:
    history = pl.read_parquet(files / HISTORY).to_dicts()
    start = figures["kl_at_start_nats"]
    lowest = min(row["kl_sampled_nats"] for row in history)
    if start != 0.0:
        message = (
            f"before the first update policy and reference differ by up to {start:.3g} nats a token; equal weights must give 0"
        )
    elif any(collapsed(history[:end], config) for end in range(1, len(history) + 1)):
        message = (
            f"mean sampled KL stayed below {config.collapse_kl_nats:g} nats for {config.collapse_iterations} rounds (lowest "
            f"{lowest:.3f}): answers are not sampled from the distribution that is scored"
        )
    else:
        return Gate("no_collapse", True, f"KL is exactly 0 at the start; lowest mean sampled KL {lowest:.3f} nats")
    return Gate("no_collapse", False, message, {"kl_at_start_nats": start, "lowest_kl_sampled_nats": lowest})


def _gold_metric(figures: dict[str, Any]) -> Gate:
    found, low, high = figures["rouge_l"], figures["rouge_l_sft_low"], figures["rouge_l_sft_high"]
    passed = found >= low
    theirs = f"{figures['rouge_l_sft']:.3f} [{low:.3f}, {high:.3f}]"
    message = f"ROUGE-L of greedy answers is {found:.3f}; the fine-tuned model's is {theirs}"
    advice = (
        "" if passed else "; below that interval the reward was gamed: lower gold_slack or learning_rate, raise ptx_coefficient"
    )
    return Gate("gold_metric", passed, message + advice, {"rouge_l": found, "sft_low": low, "sft_high": high})


def _loads_cleanly(files: Path) -> Gate:
    names: list[str] = []
    for path in sorted(files.glob("*.safetensors")):
        with safe_open(path, framework="pt") as handle:
            names += list(handle.keys())
    foreign = [name for name in names if any(mark in name for mark in _FOREIGN)]
    try:
        model.load(files)
        problem = f"keys of a wrapper or critic in the weights: {foreign[:4]}" if foreign else ""
    except (InputError, OSError) as error:
        problem = str(error)
    message = problem or f"loads in transformers with all {len(names)} tensors and nothing left over"
    return Gate("loads_cleanly", not problem, message, {"tensors": len(names)})
