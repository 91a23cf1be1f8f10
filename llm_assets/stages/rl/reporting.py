"""What a run of PPO leaves beside the weights: history, trace, samples, plot, card, and the figures the gates read."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from llm_assets.core import plots
from llm_assets.core.artefact import Inputs
from llm_assets.core.claims import Claim
from llm_assets.core.jsonio import write_atomic
from llm_assets.core.recipe.post_training import RlhfModelConfig
from llm_assets.core.report import Report
from llm_assets.core.statistics import bootstrap_interval, paired_bootstrap
from llm_assets.stages.rl.loop import Data, State, collapsed, distinct_prompts, imitated
from llm_assets.stages.rl.measuring import Measure
from llm_assets.stages.rl.prompts import round_examples
from llm_assets.stages.rl.selection import GoldBand

HISTORY, STEPS, SAMPLES, CARD = "history.parquet", "steps.parquet", "samples.parquet", "model_card.md"
PLOT = "plots/reward_kl.png"
_SHOWN = 4  # samples in the report


def write(
    files: Path,
    inputs: Inputs,
    config: RlhfModelConfig,
    data: Data,
    state: State,
    band: GoldBand,
    before: Measure,
    after: Measure,
    texts: tuple[Sequence[str], Sequence[str]],
) -> Report:
    """Write all files but the weights; ``texts`` are the sampled answers of both policies, decoded."""
    pl.DataFrame(state.history).write_parquet(files / HISTORY)
    trace(data, config, state.iteration).write_parquet(files / STEPS)
    samples = sample_frame(data, before, after, texts)
    samples.write_parquet(files / SAMPLES)
    _plot(files, state)
    figures = metrics(config, state, band, before, after)
    figures["claims"] = claims(figures)
    write_atomic(files / CARD, card(inputs, config, figures).encode())
    return Report(
        counts={
            "rounds": state.iteration,
            "rollouts": state.iteration * config.rollouts_per_iteration,
            "answer_tokens": state.tokens,
            "prompts_train": len(data.train),
            "prompts_validation": len(data.validation),
            "prompts_test": len(data.test),
            "examples_too_long": data.too_long,
        },
        metrics=figures,
        plots={"Reward and KL by round": PLOT},
        tables={"Rounds": [_rounded(row) for row in state.history]},
        samples=_shown(samples),
    )


def metrics(config: RlhfModelConfig, state: State, band: GoldBand, before: Measure, after: Measure) -> dict[str, Any]:
    """The figures: on held-out prompts unless the name says otherwise; intervals cover 95 %."""
    if state.scale is None:
        raise ValueError("no round was trained")
    gain, low, high = paired_bootstrap(
        np.divide(after.raw_rewards, state.scale.sd), np.divide(before.raw_rewards, state.scale.sd), config.seed
    )
    gold_low, gold_high = bootstrap_interval(before.rouge_l, config.seed)
    change = paired_bootstrap(after.rouge_l, before.rouge_l, config.seed)
    return {
        "kept_round": state.kept.iteration,
        "reward_gain_sd": gain,
        "reward_gain_low_sd": low,
        "reward_gain_high_sd": high,
        "reward_sd_unit": state.scale.sd,
        "mean_kl_nats": float(np.mean(after.kl_exact)),
        "mean_kl_sampled_nats": float(np.mean(after.kl_sampled)),
        "kl_ceiling_nats": config.kl_ceiling_nats,
        "kl_at_start_nats": state.kl_at_start,
        "collapsed": collapsed(state.history, config),
        "rouge_l_sft": float(np.mean(before.rouge_l)),
        "rouge_l_sft_low": gold_low,
        "rouge_l_sft_high": gold_high,
        "rouge_l": float(np.mean(after.rouge_l)),
        "rouge_l_change": change[0],
        "rouge_l_change_low": change[1],
        "rouge_l_change_high": change[2],
        "entropy_nats_sft": before.entropy,
        "entropy_nats": after.entropy,
        "answer_tokens_sft": before.mean_length,
        "answer_tokens": after.mean_length,
        "test_prompts": len(before.answers),
        "validation_reward_gain_sd": state.kept.reward_gain_sd,
        "validation_kl_nats": state.kept.kl_nats,
        "validation_rouge_l": state.kept.gold,
        "validation_rouge_l_floor": band.floor,
        "eligible_rounds": sum(bool(row["eligible"]) for row in state.history),
    }


# The goal is stated for this many fresh answers; fewer are not judged (the interval's half width is about 2 sd / √n).
MIN_CLAIM_PROMPTS = 256


def claims(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What PPO claims of fresh samples on held-out prompts; the quality claim is the evaluation's."""
    applies = figures["test_prompts"] >= MIN_CLAIM_PROMPTS
    gain = Claim(
        name="rlhf_reward_gain",
        statement="RLHF reward gain over SFT, fresh samples on held-out prompts, in sd",
        value=figures["reward_gain_sd"],
        against=0.0,
        passed=figures["reward_gain_low_sd"] > 0,
        applies=applies,
        interval=(figures["reward_gain_low_sd"], figures["reward_gain_high_sd"]),
        note=f"round {figures['kept_round']} kept",
    )
    kl = Claim(
        name="rlhf_kl",
        statement="RLHF mean KL to SFT, in nats an answer, under the recipe's ceiling",
        value=figures["mean_kl_nats"],
        against=figures["kl_ceiling_nats"],
        passed=figures["mean_kl_nats"] <= figures["kl_ceiling_nats"],
        applies=applies,
    )
    gold = Claim(
        name="rlhf_rouge_l",
        statement="RLHF greedy ROUGE-L on the same prompts is not below SFT's interval",
        value=figures["rouge_l"],
        against=figures["rouge_l_sft"],
        passed=figures["rouge_l"] >= figures["rouge_l_sft_low"],
        applies=applies,
        interval=(figures["rouge_l_sft_low"], figures["rouge_l_sft_high"]),
    )
    return [claim.row() for claim in (gain, kl, gold)]


def trace(data: Data, config: RlhfModelConfig, rounds: int) -> pl.DataFrame:
    """Which documents each round learnt from: ``step``, ``use`` (rollout or imitation), ``id``, ``doc_id``."""
    rows, distinct = [], distinct_prompts(config)
    for step in range(1, rounds + 1):
        rows += [(step, "rollout", example.id, example.doc_id) for example in round_examples(data.train, distinct, step)]
        rows += [(step, "imitation", e.id, e.doc_id) for batch in imitated(data, config, step) for e in batch]
    schema = {"step": pl.Int32, "use": pl.String, "id": pl.String, "doc_id": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def sample_frame(data: Data, before: Measure, after: Measure, texts: tuple[Sequence[str], Sequence[str]]) -> pl.DataFrame:
    """One row a held-out prompt: both policies' sampled and greedy answers with their scores."""
    return pl.DataFrame(
        {
            "id": [example.id for example in data.test],
            "doc_id": [example.doc_id for example in data.test],
            "prompt": [example.prompt for example in data.test],
            "reference": [example.reference for example in data.test],
            "sampled_sft": list(texts[0]),
            "sampled": list(texts[1]),
            "reward_sft": before.raw_rewards,
            "reward": after.raw_rewards,
            "greedy_sft": before.greedy,
            "greedy": after.greedy,
            "rouge_l_sft": before.rouge_l,
            "rouge_l": after.rouge_l,
            "kl_nats": after.kl_exact,
        }
    )


def _shown(samples: pl.DataFrame) -> dict[str, str]:
    parts = {"before": "greedy_sft", "after": "greedy", "reference": "reference"}
    return {
        f"sample {number}": "\n".join([row["prompt"][:200], *(f"{name}: {row[column][:90]}" for name, column in parts.items())])
        for number, row in enumerate(samples.head(_SHOWN).iter_rows(named=True), 1)
    }


def _plot(files: Path, state: State) -> None:
    steps = [row["step"] for row in state.history]

    def series(name: str) -> tuple[list[float], list[float]]:
        return [0.0, *steps], [0.0, *(row[name] for row in state.history)]

    (files / PLOT).parent.mkdir(parents=True, exist_ok=True)
    plots.line(
        files / PLOT,
        {
            "reward gain (sd), validation": series("validation_reward_gain_sd"),
            "KL (nats a sequence)": series("validation_kl_nats"),
        },
        title=f"PPO: reward and KL; round {state.kept.iteration} kept",
        x="round",
        y="sd, nats",
    )


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()}


def card(inputs: Inputs, config: RlhfModelConfig, figures: dict[str, Any]) -> str:
    """The model card: what it was made from and how, what it gained, what that cost."""
    sources = ", ".join(f"`{inputs.one(name).ref}`" for name in ("sft_model", "reward_model", "instruction_dataset"))
    outcome = (
        "No round raised the reward within the gold metric's band and the KL ceiling: the weights are the fine-tuned model's."
        if figures["kept_round"] == 0
        else f"Round {figures['kept_round']} of {config.iterations} was kept: the best validation reward among those "
        "whose ROUGE-L stayed near the fine-tuned model's and whose KL was under the ceiling."
    )
    rows = [
        ("reward, sd (fresh samples)", "0", _with_interval(figures, "reward_gain{}_sd", "+.3f")),
        ("ROUGE-L (greedy)", _with_interval(figures, "rouge_l_sft{}", ".3f"), f"{figures['rouge_l']:.3f}"),
        ("KL, nats a sequence", "0", f"{figures['mean_kl_nats']:.3f} (ceiling {config.kl_ceiling_nats:g})"),
        ("entropy, nats a token", f"{figures['entropy_nats_sft']:.3f}", f"{figures['entropy_nats']:.3f}"),
        ("answer length, tokens", f"{figures['answer_tokens_sft']:.1f}", f"{figures['answer_tokens']:.1f}"),
    ]
    table = "\n".join(f"| {name} | {theirs} | {ours} |" for name, theirs, ours in rows)
    mixed = " and a supervised loss on reference answers" if config.ptx_coefficient else ""
    return f"""# rlhf_model

The fine-tuned model after PPO against the reward model, with a KL penalty to the fine-tuned model{mixed}.

Made from {sources}; prompts of the tasks {", ".join(config.tasks)}.

{outcome}

On {figures["test_prompts"]} held-out prompts, 95 % intervals in brackets:

| figure | fine-tuned | this model |
| --- | --- | --- |
{table}

The reward is a learned proxy, trained on synthetic preferences over real text: more of it is no proof of better answers.
"""


def _with_interval(figures: dict[str, Any], name: str, form: str) -> str:
    value, low, high = (format(figures[name.format(part)], form) for part in ("", "_low", "_high"))
    return f"{value} [{low}, {high}]"
