"""C4's rules. Raffel et al. 2020, "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer", 2.2.

Published: keep lines that end in terminal punctuation and have at least 3 words; drop lines that mention Javascript or a
policy on cookies, terms or privacy; drop pages with "lorem ipsum", a curly bracket, or fewer than 5 sentences. C4's code also
drops lines with a word of over 1,000 characters and takes citation marks out. ``clean_lines`` edits the texts; what the
pages are judged by is looked at in the lines that the first conditions leave, in datatrove's order. Unlike there, a line that
ends in a mark of citation after a space ("so. [1]") is terminated.
"""

from typing import Any

import numpy as np
import polars as pl

from llm_assets.core.recipe.cleaning import C4Rules
from llm_assets.core.texts import from_utf8, utf8
from llm_assets.stages.clean.filters.base import Rule
from llm_assets.stages.clean.filters.measures import tables

_LISTED = (
    "lorem ipsum",
    "javascript",
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)
_MARKS = ("[edit]", "[citation needed]")
_SENTENCE_ENDS, _CLOSERS = ".!?。！？", "\"”»')]"
LOREM, CURLY, SENTENCES = "_c4_lorem", "_c4_curly", "_c4_sentences"


def clean_lines(frame: pl.DataFrame, config: C4Rules) -> pl.DataFrame:
    """The frame with ``text`` as C4 leaves it, and what its pages are judged by: ``_c4_lorem`` and ``_c4_curly`` (0 or 1) and
    ``_c4_sentences``. A standardised text
    without a line to drop or a mark to take out stays as it is.
    """
    from llm_assets.stages.clean.filters import c4_kernels as kernels

    limits = (
        config.max_word_chars,
        config.min_words_per_line,
        int(config.remove_citations),
        int(config.drop_unterminated_lines),
    )
    listed, opens = _joined(_LISTED), np.zeros(256, np.uint8)
    for word in _LISTED:
        for place in (0, 1):
            opens[[ord(word[place]), ord(word[place].upper())]] |= 1 << place
    points = (_points(config.end_characters), _points(_SENTENCE_ENDS), _points(_CLOSERS))
    data, bounds, counts = kernels.clean(*utf8(frame["text"]), tables()[0], limits, *_joined(_MARKS), *listed, opens, *points)
    columns = {LOREM: kernels.LOREM, CURLY: kernels.CURLY, SENTENCES: kernels.SENTENCES}
    measures = [pl.Series(name, counts[:, column]) for name, column in columns.items()]
    edited = counts[:, kernels.EDITED].any()
    return frame.with_columns(*measures, *([from_utf8(data, bounds).alias("text")] if edited else []))


def _joined(words: tuple[str, ...]) -> tuple[Any, Any]:
    """ASCII words as bytes one after another, and where each begins and ends."""
    return np.frombuffer("".join(words).encode(), np.uint8), np.cumsum([0, *map(len, words)]).astype(np.int64)


def _points(characters: str) -> Any:
    return np.array([ord(char) for char in characters], np.int64)


def rules(config: C4Rules) -> list[Rule]:
    """The rules on whole pages, for a frame that ``clean_lines`` returned."""
    return [
        Rule("c4_lorem_ipsum", pl.col(LOREM), "at_most", 0),
        Rule("c4_curly_bracket", pl.col(CURLY), "at_most", config.max_curly_brackets),
        Rule("c4_min_sentences", pl.col(SENTENCES), "at_least", config.min_sentences),
    ]
