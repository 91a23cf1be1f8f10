"""From answers to figures: every subject side by side on every task, what was claimed, and whether it holds.

Pure arithmetic over texts and numbers, no model: what ``results.json`` holds can be computed again from ``answers.parquet``.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from llm_assets.core.claims import Claim
from llm_assets.core.recipe.evaluation import EvalReportConfig
from llm_assets.core.statistics import paired_bootstrap
from llm_assets.stages.evals import metrics
from llm_assets.stages.evals.answers import Answers
from llm_assets.stages.evals.suite import Item

MODELS = ("base_model", "sft_model", "rlhf_model")
RULES = ("majority", "naive_bayes", "first_sentence", "definition", "copy", "nearest_pair")
FORMAT = 1

# The figure of a task that readers look at first, and the score that each of its items has.
HEADLINE = {"topic": "accuracy", "describe": "rougeL", "translate": "chrf", "perplexity": "bits_per_byte"}
ITEM_SCORE = {"topic": "correct", "describe": "ROUGE-L", "translate": "sentence chrF", "perplexity": "nats"}
LABELS = {
    "base_model": "base",
    "sft_model": "SFT",
    "rlhf_model": "RLHF",
    "majority": "majority class",
    "naive_bayes": "naive Bayes",
    "first_sentence": "first sentence",
    "definition": "phrase after “is”",
    "copy": "copy the source",
    "nearest_pair": "nearest training pair",
}

ANSWERS = pl.Schema({"task": pl.String, "item_id": pl.String, "subject": pl.String, "answer": pl.String, "score": pl.Float64})

Tasks = Mapping[str, list[Item]]
Scores = dict[str, dict[str, list[float]]]  # task → subject → a score an item


def score(tasks: Tasks, subjects: Mapping[str, Answers], config: EvalReportConfig) -> tuple[dict[str, Any], Scores]:
    """Figures by task and subject, and the score of each item. A subject that answers a task not at all is left out of it."""
    figures: dict[str, dict[str, Any]] = {task: {} for task in tasks}
    scores: Scores = {task: {} for task in tasks}
    for name, answers in subjects.items():
        for task, items in tasks.items():
            if not items:
                continue
            if task == "perplexity":
                if answers.nats:
                    sizes = [len(item["text"].encode()) for item in items]
                    found = metrics.bits_per_byte(answers.nats, sizes, answers.tokens, config.seed, config.resamples)
                    figures[task][name], scores[task][name] = found, answers.nats
            elif task in answers.texts:
                figures[task][name], scores[task][name] = _texts(task, items, answers.texts[task], config)
    return figures, scores


def _texts(task: str, items: list[Item], answers: list[str], config: EvalReportConfig) -> tuple[dict[str, Any], list[float]]:
    references = [item["reference"] for item in items]
    if task == "topic":
        return metrics.classification(references, answers, items[0]["choices"], config.seed, config.resamples)
    if task == "describe":
        return metrics.rouge(references, answers, config.seed, config.resamples)
    return metrics.translation(references, answers, config.seed, config.resamples)


def confusions(tasks: Tasks, subjects: Mapping[str, Answers]) -> dict[str, Any]:
    """Confusion counts of every model (and naive Bayes) on the topic task."""
    items = tasks["topic"]
    if not items:
        return {"classes": [], "tables": {}}
    classes, references = items[0]["choices"], [item["reference"] for item in items]
    tables = {
        name: metrics.confusion(references, answers.texts["topic"], classes)
        for name, answers in subjects.items()
        if "topic" in answers.texts and name != "majority"
    }
    return {"classes": classes, "tables": tables}


def comparisons(scores: Scores, config: EvalReportConfig) -> list[dict[str, Any]]:
    """Paired differences, item by item: each model against the one before it, and against every baseline."""
    rows = []
    for task, found in scores.items():
        models = [name for name in MODELS if name in found]
        pairs = list(zip(models[1:], models, strict=False))
        pairs += [(model, rule) for model in models for rule in RULES if rule in found]
        for one, other in pairs:
            difference, low, high = paired_bootstrap(found[one], found[other], config.seed, config.resamples)
            rows.append(
                {
                    "task": task,
                    "score": ITEM_SCORE[task],
                    "subject": one,
                    "against": other,
                    "difference": difference,
                    "low": low,
                    "high": high,
                }
            )
    return rows


def claims(figures: Mapping[str, Any], scores: Scores, config: EvalReportConfig) -> list[dict[str, Any]]:
    """What the project says was learned, each with the numbers that decide it and the baselines beside it.

    ``interval`` is the 95 % interval of the paired difference ``value − against`` (for the last claim: SFT's own interval), and
    the claim holds when it lies above 0 (when ``value`` isn't below its low end). ``applies`` is false where the suite has
    fewer items than ``min_claim_items``: too few to tell.
    """
    found = [
        _above("sft_rouge_l", "SFT ROUGE-L > base model's with a few-shot prompt", ("describe", "base_model"), scores, config),
        _above("sft_topic_accuracy", "SFT topic accuracy > majority class", ("topic", "majority"), scores, config),
        _kept(figures),
    ]
    beside = [("describe", "rougeL", ("first_sentence", "definition")), ("topic", "accuracy", ("naive_bayes",)), None]
    rows = []
    for (claim, items), rules in zip(found, beside, strict=True):
        notes = [f"{items} items"]
        if rules is not None:
            task, metric, names = rules
            notes += [f"{LABELS[name]} {figures[task][name][metric]['value']:.3f}" for name in names]
        applies = items >= config.min_claim_items
        if not applies:
            notes[0] += f", too few to tell: {config.min_claim_items} are needed"
        rows.append({**replace(claim, applies=applies, note="; ".join(notes)).row(), "items": items})
    return rows


def _above(name: str, statement: str, where: tuple[str, str], scores: Scores, config: EvalReportConfig) -> tuple[Claim, int]:
    task, against = where
    mine, other = scores[task]["sft_model"], scores[task][against]
    _, low, high = paired_bootstrap(mine, other, config.seed, config.resamples)
    claim = Claim(
        name=name,
        statement=statement,
        value=sum(mine) / len(mine),
        against=sum(other) / len(other),
        passed=low > 0,
        interval=(low, high),
    )
    return claim, len(mine)


def _kept(figures: Mapping[str, Any]) -> tuple[Claim, int]:
    before, after = figures["describe"]["sft_model"]["rougeL"], figures["describe"]["rlhf_model"]["rougeL"]
    claim = Claim(
        name="rlhf_keeps_rouge_l",
        statement="RLHF ROUGE-L is not below SFT's 95 % interval",
        value=after["value"],
        against=before["value"],
        passed=after["value"] >= before["low"],
        interval=(before["low"], before["high"]),
    )
    return claim, after["items"]


def answers_frame(tasks: Tasks, subjects: Mapping[str, Answers], scores: Scores) -> pl.DataFrame:
    """One row an item and subject: what was answered and how it scored."""
    rows = []
    for task, by_subject in scores.items():
        for name, values in by_subject.items():
            texts = subjects[name].texts.get(task, [None] * len(values))
            rows += [
                {"task": task, "item_id": item["item_id"], "subject": name, "answer": text, "score": value}
                for item, text, value in zip(tasks[task], texts, values, strict=True)
            ]
    return pl.DataFrame(rows, schema=ANSWERS)


def samples(tasks: Tasks, subjects: Mapping[str, Answers], scores: Scores, per_task: int) -> list[dict[str, Any]]:
    """The first items of each answered task in full, every subject's answer beside the reference, for a person to read."""
    rows = []
    for task in ("describe", "topic", "translate"):
        for number, item in enumerate(tasks[task][:per_task]):
            rows.append(
                {
                    "task": task,
                    "item_id": item["item_id"],
                    "url": item["url"],
                    "prompt": item["prompt"],
                    "reference": item["reference"],
                    "answers": {name: subjects[name].texts[task][number] for name in scores[task]},
                    "scores": {name: values[number] for name, values in scores[task].items()},
                }
            )
    return rows
