"""Filters: one file a family, each a function from its section of the recipe to rules.

To add one: write ``filters/mine.py`` with ``rules(config) -> list[Rule]`` and a section in ``core/recipe/cleaning.py``; ask
for it in ``rules_of``, and in ``measured`` if it needs columns of its own.
"""

import polars as pl

from llm_assets.core.recipe.cleaning import CleanedCorpusConfig
from llm_assets.stages.clean.filters import c4, classifier, fineweb, gopher, junk, repetition, url
from llm_assets.stages.clean.filters.base import Rule, prepare


def rules_of(config: CleanedCorpusConfig) -> list[Rule]:
    """All rules of a recipe, in the order in which they are asked."""
    found: list[Rule] = []
    if config.url.enabled:
        found += url.rules(config.url)
    if config.junk.enabled:
        found += junk.rules(config.junk)
    if config.gopher_quality.enabled:
        found += gopher.rules(config.gopher_quality)
    if config.gopher_repetition.enabled:
        found += repetition.rules(config.gopher_repetition)
    if config.c4.enabled:
        found += c4.rules(config.c4)
    if config.fineweb.enabled:
        found += fineweb.rules(config.fineweb)
    if config.classifier.enabled:
        found += classifier.rules(config.classifier)
    return found


def measured(frame: pl.DataFrame, config: CleanedCorpusConfig) -> pl.DataFrame:
    """The frame with all that the rules of a recipe are held against; ``text`` comes back without the lines that C4 drops.

    ``frame``: ``text`` and ``lang``; ``url``, ``host`` and ``raw`` (the text before it was standardised) where they are known.
    """
    frame = frame.with_columns(pl.lit("").alias(name) for name in ("url", "host") if name not in frame.columns)
    if config.url.enabled:
        frame = url.add_measures(frame, config.url)
    if config.junk.enabled:
        frame = junk.add_measures(frame, frame["raw"] if "raw" in frame.columns else frame["text"])
    if config.c4.enabled:
        frame = c4.clean_lines(frame, config.c4)
    frame = prepare(frame, config)
    return classifier.add_measures(frame, config.classifier) if config.classifier.enabled else frame
