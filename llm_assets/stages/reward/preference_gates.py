"""Gates of ``preference_dataset``, computed again from what was written."""

from pathlib import Path

import polars as pl

from llm_assets.core import suites
from llm_assets.core.artefact import Inputs
from llm_assets.core.recipe.post_training import PreferenceDatasetConfig
from llm_assets.core.report import Gate, Report
from llm_assets.stages.reward.preferences import KINDS, PREFERENCES, SPLITS, same_answer


def gates(inputs: Inputs, files: Path, config: PreferenceDatasetConfig, report: Report) -> list[Gate]:
    """No equal pairs, kinds balanced, the split of the instructions, and the suite."""
    stored = [files / f"{name}.parquet" for name in SPLITS]
    splits = {name: pl.read_parquet(path) for name, path in zip(SPLITS, stored, strict=True)}
    whole = pl.concat([frame.with_columns(split=pl.lit(name)) for name, frame in splits.items()], how="vertical_relaxed")
    pages = suites.languages(inputs.many("deduped_shards"))
    length = pl.sum_horizontal(pl.col(name).str.len_chars() for name in ("prompt", "chosen", "rejected"))
    rows = suites.measured(whole.join(pages, on="doc_id", how="left", maintain_order="left"), length)
    return [
        _differ(whole, config),
        _balanced(splits, config),
        _follows(inputs, splits),
        *suites.check("preference_dataset", files, rows, config, PREFERENCES, stored),
    ]


def _differ(whole: pl.DataFrame, config: PreferenceDatasetConfig) -> Gate:
    equal = [
        number
        for number, chosen, rejected in whole.select("id", "chosen", "rejected").iter_rows()
        if same_answer(chosen, rejected, config.max_answer_words)
    ]
    said = (
        f"{len(equal)} pairs have the same answer twice within {config.max_answer_words} words, such as {equal[0]}"
        if equal
        else f"the answers of all {whole.height} pairs differ"
    )
    return Gate("preference_pairs_differ", not equal, said, {"equal_pairs": len(equal)})


def _balanced(splits: dict[str, pl.DataFrame], config: PreferenceDatasetConfig) -> Gate:
    wrong = []
    if splits["train"].height < config.min_pairs:
        wrong.append(f"{splits['train'].height} training pairs, at least {config.min_pairs} are needed")
    shares: dict[str, dict[str, float]] = {}
    for name, frame in splits.items():
        shares[name] = {kind: frame.filter(pl.col("kind") == kind).height / max(frame.height, 1) for kind in KINDS}
        wrong += [
            f"{kind} is {share:.0%} of {name}"
            for kind, share in shares[name].items()
            if abs(share - 1 / len(KINDS)) > config.balance_tolerance
        ]
    said = "; ".join(wrong) or f"each of {len(KINDS)} kinds is about a quarter of every split"
    return Gate("preference_kinds_balanced", not wrong, said, {"shares": shares})


def _follows(inputs: Inputs, splits: dict[str, pl.DataFrame]) -> Gate:
    """Every article asked about, and every page a wrong answer was taken from, is in that split of the instructions."""
    instructions = inputs.one("instruction_dataset")
    wrong = []
    for name, frame in splits.items():
        known = pl.read_parquet(instructions.file(f"{name}.parquet"), columns=["article", "doc_id"])
        strangers = set(frame["article"]) - set(known["article"])
        foreign = set(frame["rejected_doc_id"]) - set(known["doc_id"])
        if strangers or foreign:
            wrong.append(f"{name}: {len(strangers)} articles and {len(foreign)} rejected pages of another split")
    said = "; ".join(wrong) or "articles and wrong answers stay in the split of instruction_dataset"
    return Gate("preference_follows_split", not wrong, said, {"splits_wrong": len(wrong)})
