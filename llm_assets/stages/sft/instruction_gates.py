"""Gates of ``instruction_dataset``, computed again from what was written."""

from collections import defaultdict
from pathlib import Path

import polars as pl

from llm_assets.core import expectations, suites
from llm_assets.core.artefact import Inputs
from llm_assets.core.jsonio import read_json
from llm_assets.core.recipe.post_training import InstructionDatasetConfig
from llm_assets.core.report import Gate, Report
from llm_assets.stages.sft.articles import SHARES, SPLITS, plain
from llm_assets.stages.sft.instructions import INSTRUCTIONS, TASKS
from llm_assets.stages.sft.overlap import HeldOut, worst

# A hash split of n articles has shares that scatter by sqrt(p (1 - p) / n); small runs get four of those beside the tolerance.
_DEVIATIONS = 4


def gates(inputs: Inputs, files: Path, config: InstructionDatasetConfig, report: Report) -> list[Gate]:
    """Shares of the split, articles apart, no overlap with the suite, every task and topic there, and the suite."""
    stored = [files / f"{name}.parquet" for name in SPLITS]
    splits = {name: pl.read_parquet(path) for name, path in zip(SPLITS, stored, strict=True)}
    whole = pl.concat([frame.with_columns(split=pl.lit(name)) for name, frame in splits.items()], how="vertical_relaxed")
    suite = inputs.one("eval_suite")
    topics = list(read_json(suite.file("suite.json"))["classes"])
    return [
        _shares(splits, config),
        _apart(whole),
        _overlap(splits, HeldOut.of(suite, config.overlap_words), config),
        _coverage(splits["train"], topics, config),
        *suites.check("instruction_dataset", files, _measured(inputs, whole), config, INSTRUCTIONS, stored),
    ]


def _measured(inputs: Inputs, whole: pl.DataFrame) -> pl.DataFrame:
    """The rows with their length in characters and the language of their page; null for interface strings, which have none."""
    pages = suites.languages(inputs.many("deduped_shards"))
    length = pl.col("prompt").str.len_chars() + pl.col("answer").str.len_chars()
    return suites.measured(whole.join(pages, on="doc_id", how="left", maintain_order="left"), length)


def _shares(splits: dict[str, pl.DataFrame], config: InstructionDatasetConfig) -> Gate:
    articles = {name: set(frame["article"]) for name, frame in splits.items()}
    total = sum(len(own) for own in articles.values())
    found = {name: len(own) / max(total, 1) for name, own in articles.items()}
    wrong = [
        f"{name} holds {found[name]:.3f} of the articles instead of {share}"
        for name, share in zip(SPLITS, SHARES, strict=True)
        if abs(found[name] - share) > config.share_tolerance + _DEVIATIONS * (share * (1 - share) / max(total, 1)) ** 0.5
    ]
    said = "; ".join(wrong) or f"{total} articles are split " + ", ".join(
        f"{name} {share:.3f}" for name, share in found.items()
    )
    return Gate("instruction_split", not wrong, said, {f"share_{name}": round(share, 4) for name, share in found.items()})


def _apart(whole: pl.DataFrame) -> Gate:
    """No article, page or question in two splits."""
    straddling = {}
    for what in ("article", "doc_id", "url"):
        found = whole.group_by(what).agg(pl.col("split").n_unique()).filter(pl.col("split") > 1)
        straddling[what] = found[what].sort().to_list()
    asked: dict[tuple[str, str], set[str]] = defaultdict(set)
    for task, prompt, split in whole.select("task", "prompt", "split").iter_rows():
        asked[task, plain(prompt)].add(split)
    straddling["prompt"] = sorted(prompt for (_, prompt), splits in asked.items() if len(splits) > 1)
    wrong = [
        f"{len(found)} {what}s are in two splits, such as {expectations.sample(found[0])}"
        for what, found in straddling.items()
        if found
    ]
    said = "; ".join(wrong) or f"{whole['article'].n_unique()} articles are each in one split"
    return Gate("instruction_articles_apart", not wrong, said, {what: len(found) for what, found in straddling.items()})


def _overlap(splits: dict[str, pl.DataFrame], held_out: HeldOut, config: InstructionDatasetConfig) -> Gate:
    """All splits are checked: the test split, too, must not be what the report shows as unseen by another name."""
    whole = pl.concat(splits.values())
    text = whole.filter(pl.col("task") != "translate")
    largest, where = worst(held_out, text["prompt"].to_list())
    strings = whole.filter(pl.col("task") == "translate")
    n_strings = sum(
        held_out.has_string(prompt.partition("\n")[2]) or held_out.has_string(answer)
        for prompt, answer in strings.select("prompt", "answer").iter_rows()
    )
    wrong = []
    if largest > config.max_overlap:
        wrong.append(
            f"{text['url'][where]} holds {largest:.0%} of an evaluation text's word runs ({config.max_overlap:.0%} allowed)"
        )
    if n_strings:
        wrong.append(f"{n_strings} interface strings are evaluated too")
    said = "; ".join(wrong) or f"no row holds more than {largest:.0%} of an evaluation text"
    return Gate("instruction_no_eval_overlap", not wrong, said, {"largest_overlap": round(largest, 4), "strings": n_strings})


def _coverage(train: pl.DataFrame, topics: list[str], config: InstructionDatasetConfig) -> Gate:
    """Every evaluated task and topic has training rows; translation only where the strings' package is installed."""
    from llm_assets.core.embedded import interface_strings

    by_task = dict(train.group_by("task").len().iter_rows())
    by_topic = dict(train.filter(pl.col("task") == "topic").group_by("answer").len().iter_rows())
    wanted = [task for task in TASKS if task != "translate" or interface_strings()]
    few = [f"task {task}: {by_task.get(task, 0)} rows" for task in wanted if by_task.get(task, 0) < config.min_rows_per_task]
    few += [
        f"topic {name}: {by_topic.get(name, 0)} rows" for name in topics if by_topic.get(name, 0) < config.min_rows_per_topic
    ]
    least = f"{config.min_rows_per_task} a task and {config.min_rows_per_topic} a topic are needed"
    enough = f"{train.height} training rows cover {len(wanted)} tasks and {len(topics)} topics"
    said = f"too few training rows ({least}): {'; '.join(few)}" if few else enough
    return Gate("instruction_coverage", not few, said, {"rows": by_task, "topics": by_topic})
