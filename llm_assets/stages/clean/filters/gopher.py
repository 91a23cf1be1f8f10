"""Gopher's quality rules. Rae et al. 2021, "Scaling Language Models: Methods, Analysis & Insights from Training Gopher", A.1.1.

Published: 50 to 100,000 words; mean word length 3 to 10; symbol-to-word ratio at most 0.1 for hashes and ellipses; at most
90 % of lines start with a bullet and 30 % end with an ellipsis; 80 % of words have a letter; two of eight English stop words.
"""

import polars as pl

from llm_assets.core.recipe.corpus import GopherQuality
from llm_assets.stages.clean.filters.base import LINES, N_SYMBOL_FREE, N_WORDS, WORDS, Rule, share

# The eight of the paper, and as frequent ones for the other languages; a language without a list is not judged by them.
STOP_WORDS = {
    "en": ["the", "be", "to", "of", "and", "that", "have", "with"],
    "fr": ["le", "la", "de", "et", "les", "des", "est", "en", "un", "une", "du"],
    "es": ["el", "la", "de", "y", "los", "que", "es", "en", "un", "una", "del"],
}


def rules(config: GopherQuality) -> list[Rule]:
    """The rules, in the paper's order."""
    words, lines = pl.col(N_WORDS), pl.col(LINES).list.len()
    letters = pl.col(WORDS).list.eval(pl.element().str.contains(r"\p{L}").cast(pl.Int32)).list.sum()
    word_chars = pl.col(WORDS).list.eval(pl.element().filter(pl.element().str.contains(r"[\p{L}\p{N}]")).str.len_chars())
    ellipses = pl.col("text").str.count_matches(r"\.\.\.") + pl.col("text").str.count_matches("…")
    bullets = pl.col(LINES).list.eval(pl.element().str.contains(r"^\s*[•\-]").cast(pl.Int32)).list.sum()
    trailing = pl.col(LINES).list.eval(pl.element().str.contains(r"(\.\.\.|…)\s*$").cast(pl.Int32)).list.sum()
    return [
        Rule("gopher_min_words", pl.col(N_SYMBOL_FREE), "at_least", config.min_words),
        Rule("gopher_max_words", pl.col(N_SYMBOL_FREE), "at_most", config.max_words),
        Rule("gopher_min_mean_word_chars", word_chars.list.mean(), "at_least", config.min_mean_word_chars),
        Rule("gopher_max_mean_word_chars", word_chars.list.mean(), "at_most", config.max_mean_word_chars),
        Rule("gopher_hash_ratio", share(pl.col("text").str.count_matches("#"), words), "at_most", config.max_symbol_ratio),
        Rule("gopher_ellipsis_ratio", share(ellipses, words), "at_most", config.max_symbol_ratio),
        Rule("gopher_bullet_lines", share(bullets, lines), "at_most", config.max_bullet_lines),
        Rule("gopher_ellipsis_lines", share(trailing, lines), "at_most", config.max_ellipsis_lines),
        Rule("gopher_alphabetic_words", share(letters, words), "at_least", config.min_alphabetic_words),
        Rule("gopher_stop_words", _stop_words(), "at_least", config.min_stop_words),
    ]


def _stop_words() -> pl.Expr:
    lowered = pl.col(WORDS).list.eval(pl.element().str.to_lowercase()).list.unique()
    found = pl.lit(None, pl.UInt32)
    for lang, words in STOP_WORDS.items():
        count = lowered.list.set_intersection(pl.lit(words)).list.len()
        found = pl.when(pl.col("lang") == lang).then(count).otherwise(found)
    return found
