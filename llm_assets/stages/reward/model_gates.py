"""Gates of ``reward_model``, from the scores of held-out pairs that the saved model gave."""

from pathlib import Path

import numpy as np
import polars as pl

from llm_assets.core.artefact import Inputs
from llm_assets.core.recipe.post_training import RewardModelConfig
from llm_assets.core.report import Gate, Report
from llm_assets.core.statistics import wilson
from llm_assets.stages.reward.baselines import correct

# Same-topic pairs are reported and not asked for: a model of this size does not reliably tell two painters apart.
CLAIMED_KINDS = ("other_topic", "truncated", "shuffled")


def gates(inputs: Inputs, files: Path, config: RewardModelConfig, report: Report) -> list[Gate]:
    """Pairs used, better than the baselines, better than chance on each claimed kind, and the same after loading."""
    return [_pairs(config, report), _baselines(files, config, report), _kinds(files, config), _reloads(files, config, report)]


def _pairs(config: RewardModelConfig, report: Report) -> Gate:
    """Case B32."""
    equal, left_out = float(report.metrics["equal_share"]), float(report.metrics["left_out_share"])
    wrong = []
    if equal > config.max_equal_share:
        wrong.append(
            f"{equal:.2%} of the pairs have equal ids ({config.max_equal_share:.2%} allowed); rebuild preference_dataset"
        )
    if left_out > config.max_left_out_share:
        wrong.append(f"{left_out:.1%} of the pairs are left out ({config.max_left_out_share:.0%} allowed); raise max_tokens")
    said = "; ".join(wrong) or f"{equal:.2%} of the pairs are equal and {left_out:.1%} are left out"
    return Gate("reward_pairs", not wrong, said, {"equal_share": equal, "left_out_share": left_out})


def _baselines(files: Path, config: RewardModelConfig, report: Report) -> Gate:
    frame = pl.read_parquet(files / "test_scores.parquet")
    accuracy = float(correct((frame["chosen_score"] - frame["rejected_score"]).to_numpy()).mean())
    lows = {name: float(report.metrics[f"gain_over_{name}_low"]) for name in ("length", "unigram")}
    said = f"accuracy {accuracy:.3f} against {report.metrics['length_accuracy']:.3f} by length and "
    said += f"{report.metrics['unigram_accuracy']:.3f} by unigrams"
    wrong = [f"the interval of the gain over {name} reaches down to {low:+.3f}" for name, low in lows.items() if low <= 0]
    if abs(accuracy - float(report.metrics["accuracy"])) > 1e-9:
        wrong.append(f"the report says {report.metrics['accuracy']:.3f}")
    return Gate(
        "reward_above_baselines", not wrong, "; ".join([said, *wrong]), {"accuracy": accuracy, **lows}, config.require_claims
    )


def _kinds(files: Path, config: RewardModelConfig) -> Gate:
    frame = pl.read_parquet(files / "test_scores.parquet")
    right = correct((frame["chosen_score"] - frame["rejected_score"]).to_numpy())
    kinds = frame["kind"].to_numpy()
    found: dict[str, float] = {}
    wrong = []
    for kind in CLAIMED_KINDS:
        own = np.asarray(kinds == kind)
        if not own.any():
            wrong.append(f"no held-out pair of kind {kind}")
            continue
        low, _ = wilson(int(right[own].sum()), int(own.sum()))
        found[kind] = float(right[own].mean())
        if low <= 0.5:
            wrong.append(f"{kind}: {found[kind]:.3f}, whose interval reaches down to {low:.3f}")
    named = ", ".join(f"{kind} {share:.3f}" for kind, share in found.items())
    said = "near chance on held-out pairs: " + "; ".join(wrong) if wrong else f"above chance by interval: {named}"
    return Gate("reward_above_chance", not wrong, said, dict(found), config.require_claims)


def _reloads(files: Path, config: RewardModelConfig, report: Report) -> Gate:
    """Case B31: the score head is in the folder, and the loaded model gives the scores of the trained one."""
    from llm_assets.lm.finetune import folder_faults

    faults = folder_faults(files, "classifier")
    difference = float(report.metrics["reload_difference"])
    if not difference <= config.max_reload_difference:
        faults.append(f"scores differ by {difference:.2e} after loading ({config.max_reload_difference:.0e} allowed)")
    scores = pl.read_parquet(files / "test_scores.parquet")["chosen_score"]
    if not scores.is_finite().all() or scores.n_unique() < 2:
        faults.append("held-out scores are all the same, or not finite: the score head was not trained or not saved")
    said = "; ".join(faults) or f"the loaded model gives the same scores (largest difference {difference:.1e})"
    return Gate("reward_reloads", not faults, said, {"reload_difference": difference})
