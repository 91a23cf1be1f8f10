"""Gopher's quality rules. Rae et al. 2021, "Scaling Language Models: Methods, Analysis & Insights from Training Gopher", A.1.1.

Published: 50 to 100,000 words; mean word length 3 to 10; symbol-to-word ratio at most 0.1 for hashes and ellipses; at most
90 % of lines start with a bullet and 30 % end with an ellipsis; 80 % of words have a letter; two of eight English stop words.
Two things are meant otherwise than in datatrove: a word of punctuation only is one without a letter or number (there, one of
a list of characters), and stop words count in any case of letters. Lines are counted with the empty ones between, as there.
"""

import polars as pl

from llm_assets.core.recipe.cleaning import GopherQuality
from llm_assets.stages.clean.filters.base import Rule, count, share
from llm_assets.stages.clean.filters.measures import STOP_WORDS


def rules(config: GopherQuality) -> list[Rule]:
    """The rules, in the paper's order."""
    words, plain = count("words"), count("plain_words")
    all_lines = count("newlines") + 1
    mean_chars = pl.when(plain > 0).then(count("plain_word_chars") / plain)
    listed = pl.when(pl.col("lang").is_in(list(STOP_WORDS))).then(count("stop_words"))
    return [
        Rule("gopher_min_words", plain, "at_least", config.min_words),
        Rule("gopher_max_words", plain, "at_most", config.max_words),
        Rule("gopher_min_mean_word_chars", mean_chars, "at_least", config.min_mean_word_chars),
        Rule("gopher_max_mean_word_chars", mean_chars, "at_most", config.max_mean_word_chars),
        Rule("gopher_hash_ratio", share(count("hashes"), words), "at_most", config.max_symbol_ratio),
        Rule("gopher_ellipsis_ratio", share(count("ellipses"), words), "at_most", config.max_symbol_ratio),
        Rule("gopher_bullet_lines", share(count("bullet_lines"), all_lines), "at_most", config.max_bullet_lines),
        Rule("gopher_ellipsis_lines", share(count("ellipsis_lines"), all_lines), "at_most", config.max_ellipsis_lines),
        Rule("gopher_alphabetic_words", share(count("letter_words"), words), "at_least", config.min_alphabetic_words),
        Rule("gopher_stop_words", listed, "at_least", config.min_stop_words),
    ]
