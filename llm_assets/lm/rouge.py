"""ROUGE (Lin 2004) of single answers: one setting for training's gold metric and for the evaluation.

Google's ``rouge-score``, F-measure, Porter stemming on; figures are comparable only with the same setting.
"""

from collections.abc import Sequence

SETTING = "rouge-score F-measure, Porter stemming on"


def rouge_each(references: Sequence[str], answers: Sequence[str], kinds: Sequence[str]) -> dict[str, list[float]]:
    """F-measure (0 to 1) of each answer by kind (``rouge1``, ``rouge2``, ``rougeL``); an answer without words has 0."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(list(kinds), use_stemmer=True)
    scores: dict[str, list[float]] = {kind: [] for kind in kinds}
    for reference, answer in zip(references, answers, strict=True):
        found = scorer.score(reference, answer)
        for kind in kinds:
            scores[kind].append(float(found[kind].fmeasure))  # the package gives the whole number 0 for no words
    return scores


def rouge_l(references: Sequence[str], answers: Sequence[str]) -> list[float]:
    """ROUGE-L F-measure of each answer."""
    return rouge_each(references, answers, ["rougeL"])["rougeL"]
