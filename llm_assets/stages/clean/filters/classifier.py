"""A classifier's score against a threshold: quality, subject, tone, whatever the labels say.

Either a file that ``llm-assets train-classifier`` wrote (``linear``), or any supervised fastText model, as FineWeb-Edu-like and
DCLM's filters are published; a fastText model is asked with the whole text, lines folded.
"""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from llm_assets.core.errors import RecipeError
from llm_assets.core.recipe.cleaning import ClassifierRules
from llm_assets.stages.clean import linear
from llm_assets.stages.clean.filters.base import Rule
from llm_assets.stages.clean.pinned import pinned

_SCORE = "_classifier"
_FASTTEXT = (".bin", ".ftz")


def add_measures(frame: pl.DataFrame, config: ClassifierRules) -> pl.DataFrame:
    """Add the score of the recipe's label (0 to 1). ``RecipeError`` where the model has no such label."""
    path = pinned(Path(config.path).expanduser(), config.sha256, "classifier.sha256")
    if path.suffix in _FASTTEXT:
        scores_of = _fasttext_scores(_fasttext(path, config.sha256), path, config.label, frame["text"])
        return frame.with_columns(pl.Series(_SCORE, scores_of, pl.Float64))
    model = _linear(path, config.sha256)
    _check(config.label, list(model.labels), path)
    scores = model.scores(frame["text"])[:, model.labels.index(config.label)]
    return frame.with_columns(pl.Series(_SCORE, scores.astype(np.float64)))


def _fasttext_scores(model: Any, path: Path, label: str, texts: pl.Series) -> list[float]:
    found = []
    for text in texts:
        labels, scores = model.predict(" ".join((text or "").split()), k=-1, threshold=-1.0)
        names = [name.removeprefix("__label__") for name in labels]
        _check(label, names, path)
        found.append(min(float(scores[names.index(label)]), 1.0))
    return found


@cache
def _linear(path: Path, sha256: str) -> linear.Linear:
    """Kept for the shards of a run; another file has another digest."""
    return linear.load(path)


@cache
def _fasttext(path: Path, sha256: str) -> Any:
    import fasttext

    try:
        return fasttext.load_model(str(path))
    except ValueError as error:
        raise RecipeError(f"classifier.path: {path} is no fastText model: {error}") from error


def _check(label: str, labels: list[str], path: Path) -> None:
    if label not in labels:
        raise RecipeError(f"classifier.label: {path} has no label {label!r}; it has {', '.join(sorted(labels))}")


def rules(config: ClassifierRules) -> list[Rule]:
    """The rule, for a frame that ``add_measures`` returned."""
    return [Rule(f"classifier_{config.label}", pl.col(_SCORE), config.keep, config.threshold)]
