"""FineWeb's own rules. Penedo et al. 2024, "The FineWeb Datasets", section 3.6.

Published: at least 12 % of lines end in punctuation; at most 67 % of lines have 30 characters or fewer; at most 1 % of
characters are in duplicated lines (datatrove's default; 10 % in the paper). Newlines per word, 0.3, is datatrove's.
"""

import polars as pl

from llm_assets.core.recipe.corpus import FinewebRules
from llm_assets.stages.clean.filters.base import LINES, N_WORDS, Rule, share

_PUNCTUATION_END = r"[.!?…。！？؟\"'”»:;)]\s*$"


def rules(config: FinewebRules) -> list[Rule]:
    """The rules, in the order of datatrove's filter."""
    lines = pl.col(LINES).list.len()
    ended = pl.col(LINES).list.eval(pl.element().str.contains(_PUNCTUATION_END).cast(pl.Int32)).list.sum()
    short = pl.col(LINES).list.eval((pl.element().str.len_chars() <= config.short_line_chars).cast(pl.Int32)).list.sum()
    return [
        Rule("fineweb_line_punctuation", share(ended, lines), "at_least", config.min_punctuated_lines),
        Rule("fineweb_short_lines", share(short, lines), "at_most", config.max_short_lines),
        Rule("fineweb_duplicate_line_chars", pl.col("_dup_line_chars"), "at_most", config.max_duplicate_line_chars),
        Rule(
            "fineweb_newlines_per_word",
            share(pl.col("text").str.count_matches("\n"), pl.col(N_WORDS)),
            "at_most",
            config.max_newlines_per_word,
        ),
    ]
