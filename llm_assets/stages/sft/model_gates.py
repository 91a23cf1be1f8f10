"""Gates of ``sft_model``: it was trained on answers, it learned, the merge is exact, and the folder loads as it is."""

from pathlib import Path

import polars as pl

from llm_assets.core.artefact import Inputs
from llm_assets.core.jsonio import read_json
from llm_assets.core.recipe.post_training import SftModelConfig
from llm_assets.core.report import Gate, Report
from llm_assets.stages.sft.merging import MERGE_FILE


def gates(inputs: Inputs, files: Path, config: SftModelConfig, report: Report) -> list[Gate]:
    """All read from the files and the report; the weights' names are checked against what the architecture needs."""
    return [_trained(config, report), _learned(files, config, report), _merged(files, config), _loads(files)]


def _trained(config: SftModelConfig, report: Report) -> Gate:
    """Case B29: a template without marks trains on everything or on nothing, without a word."""
    share, left_out = float(report.metrics["trained_token_share"]), float(report.metrics["left_out_share"])
    wrong = []
    if not 0 < share < 1:
        wrong.append(f"{share:.0%} of the tokens are trained on; the chat template marks no answers, or everything")
    if left_out > config.max_left_out_share:
        wrong.append(f"{left_out:.1%} of the rows are left out ({config.max_left_out_share:.0%} allowed); raise max_tokens")
    said = "; ".join(wrong) or f"{share:.1%} of the tokens are answers and trained on; {left_out:.1%} of the rows are left out"
    return Gate(
        "sft_trained_tokens", not wrong, said, {"trained_token_share": round(share, 4), "left_out_share": round(left_out, 4)}
    )


def _learned(files: Path, config: SftModelConfig, report: Report) -> Gate:
    after, before = float(report.metrics["validation_loss_nats"]), float(report.metrics["base_validation_loss_nats"])
    losses = pl.read_parquet(files / "history.parquet")["loss_nats"].drop_nulls()
    finite = losses.len() > 0 and bool(losses.is_finite().all())
    passed = finite and before - after >= config.min_loss_gain_nats
    said = f"validation loss {after:.3f} nats a token against {before:.3f} of the base model"
    if not finite:
        said = "the training loss was not finite throughout; lower the learning rate"
    elif not passed:
        said += f"; a gain of at least {config.min_loss_gain_nats} is asked for"
    return Gate("sft_learned", passed, said, {"validation_loss_nats": after, "base_validation_loss_nats": before})


def _merged(files: Path, config: SftModelConfig) -> Gate:
    """Case B36."""
    path = files / "lora" / MERGE_FILE
    if not path.exists():
        wanted = config.method == "lora" or config.lora.demo_steps > 0
        return Gate("sft_lora_merge", not wanted, "lora/merge.json is missing" if wanted else "no adapter was trained")
    found = read_json(path)
    difference, agreement = float(found["max_logit_difference"]), float(found["token_agreement"])
    passed = difference <= config.lora.max_logit_difference and agreement >= config.lora.min_token_agreement
    said = f"merged against apart: logits differ by {difference:.2e} at most, greedy tokens agree on {agreement:.2%}"
    if not passed:
        said += f" ({config.lora.max_logit_difference:.0e} and {config.lora.min_token_agreement:.2%} asked for)"
    return Gate("sft_lora_merge", passed, said, found)


def _loads(files: Path) -> Gate:
    """The architecture's own weights, all of them and no others, all finite, with a tokenizer whose eos ends the turn."""
    from llm_assets.lm.finetune import folder_faults

    faults = folder_faults(files, "causal")
    return Gate(
        "sft_loads",
        not faults,
        "; ".join(faults) or "all weights are there, finite, and the eos ends a turn",
        {"faults": faults},
    )
