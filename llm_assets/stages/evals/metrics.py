"""Scores of answers, an item each where the metric allows it, and their intervals.

ROUGE is that of ``lm.rouge``, BLEU and chrF are ``sacrebleu`` with the signature printed beside.
Nothing here is our own arithmetic but accuracy and bits per byte.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from llm_assets.core.statistics import bootstrap_interval, bootstrap_statistic, macro_f1, wilson
from llm_assets.lm.rouge import rouge_each

ROUGE_TYPES = ("rouge1", "rouge2", "rougeL")
Figure = dict[str, Any]


def figure(value: float, interval: tuple[float, float], items: int) -> Figure:
    """One number with its 95 % interval and how many items are behind it."""
    return {"value": value, "low": interval[0], "high": interval[1], "items": items}


def rouge(
    references: Sequence[str], answers: Sequence[str], seed: int, resamples: int
) -> tuple[dict[str, Figure], list[float]]:
    """Mean ROUGE-1, -2 and -L with intervals, and ROUGE-L of each item for paired comparisons."""
    each = rouge_each(references, answers, ROUGE_TYPES)
    figures = {
        name: figure(float(np.mean(values)), bootstrap_interval(values, seed, resamples), len(values))
        for name, values in each.items()
    }
    return figures, each["rougeL"]


def translation(
    references: Sequence[str], answers: Sequence[str], seed: int, resamples: int
) -> tuple[dict[str, Figure], list[float]]:
    """Corpus BLEU and chrF (0 to 100) with their sacrebleu signatures, and sentence chrF of each item.

    Both are no means of items, so their intervals resample the sentences' own statistics.
    """
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    figures: dict[str, Figure] = {}
    for name, metric in (("bleu", BLEU()), ("chrf", CHRF())):
        value = float(metric.corpus_score(list(answers), [list(references)]).score)
        rows = np.asarray(metric._extract_corpus_statistics(list(answers), [list(references)]))

        def resampled(indices: Any, rows: Any = rows, metric: Any = metric) -> float:
            return float(metric._compute_score_from_stats(rows[indices].sum(axis=0).tolist()).score)

        interval = bootstrap_statistic(len(answers), resampled, seed, resamples)
        figures[name] = {**figure(value, interval, len(answers)), "signature": str(metric.get_signature())}
    sentence = CHRF()
    each = [float(sentence.sentence_score(a, [r]).score) for a, r in zip(answers, references, strict=True)]
    return figures, each


def classification(
    references: Sequence[str], answers: Sequence[str], classes: Sequence[str], seed: int, resamples: int
) -> tuple[dict[str, Figure], list[float]]:
    """Accuracy (Wilson) and macro-F1 (bootstrap) with intervals, and 1 or 0 for each item."""
    code = {name: number for number, name in enumerate(classes)}
    wanted = np.array([code[name] for name in references])
    given = np.array([code.get(name, -1) for name in answers])
    hits = (wanted == given).astype(float)
    interval = bootstrap_statistic(
        len(wanted), lambda chosen: macro_f1(wanted[chosen], given[chosen], len(classes)), seed, resamples
    )
    return {
        "accuracy": figure(float(hits.mean()), wilson(int(hits.sum()), len(hits)), len(hits)),
        "macro_f1": figure(macro_f1(wanted, given, len(classes)), interval, len(hits)),
    }, hits.tolist()


def confusion(references: Sequence[str], answers: Sequence[str], classes: Sequence[str]) -> list[list[int]]:
    """Counts: row = true class, column = answered class."""
    code = {name: number for number, name in enumerate(classes)}
    table = np.zeros((len(classes), len(classes)), dtype=int)
    for reference, answer in zip(references, answers, strict=True):
        if answer in code:
            table[code[reference], code[answer]] += 1
    rows: list[list[int]] = table.tolist()
    return rows


def bits_per_byte(
    nats: Sequence[float], n_bytes: Sequence[int], n_tokens: Sequence[int], seed: int, resamples: int
) -> dict[str, Figure]:
    """Bits per UTF-8 byte and perplexity a token over all texts: total code length / total size, not a mean of ratios.

    ``nats``: −log-probability of each text.
    """
    losses, sizes, tokens = np.asarray(nats, float), np.asarray(n_bytes, float), np.asarray(n_tokens, float)
    if not np.isfinite(losses).all():
        raise ValueError("a text has no finite log-probability; the model is broken")

    def bits(chosen: Any) -> float:
        return float(losses[chosen].sum() / math.log(2) / sizes[chosen].sum())

    def perplexity(chosen: Any) -> float:
        return float(np.exp(losses[chosen].sum() / tokens[chosen].sum()))

    everything = np.arange(len(losses))
    return {
        name: figure(score(everything), bootstrap_statistic(len(losses), score, seed, resamples), len(losses))
        for name, score in (("bits_per_byte", bits), ("perplexity", perplexity))
    }
