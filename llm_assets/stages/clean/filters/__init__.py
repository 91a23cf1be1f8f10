"""Filters: one file a family, each a function from its section of the recipe to rules.

To add one: write ``filters/mine.py`` with ``rules(config) -> list[Rule]``, a section in ``core/recipe/corpus.py``, a line here.
"""

from llm_assets.core.recipe.corpus import CleanedCorpusConfig
from llm_assets.stages.clean.filters import c4, fineweb, gopher, repetition
from llm_assets.stages.clean.filters.base import Rule


def rules_of(config: CleanedCorpusConfig) -> list[Rule]:
    """All rules of a recipe, in the order in which they are asked."""
    found: list[Rule] = []
    if config.gopher_quality.enabled:
        found += gopher.rules(config.gopher_quality)
    if config.gopher_repetition.enabled:
        found += repetition.rules(config.gopher_repetition)
    if config.c4.enabled:
        found += c4.rules(config.c4)
    if config.fineweb.enabled:
        found += fineweb.rules(config.fineweb)
    return found
