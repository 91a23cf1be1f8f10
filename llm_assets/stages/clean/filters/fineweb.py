"""FineWeb's own rules. Penedo et al. 2024, "The FineWeb Datasets", section 3.6.

Published: at least 12 % of lines end in punctuation; at most 67 % of lines have 30 characters or fewer; at most 1 % of
characters are in duplicated lines (datatrove's default; 10 % in the paper). Newlines per word, 0.3, is datatrove's.
What ends a line is a field of the recipe: datatrove takes marks that end a sentence in any script, but no closing quotes.
"""

from llm_assets.core.recipe.cleaning import FinewebRules
from llm_assets.stages.clean.filters.base import Rule, count, share


def rules(config: FinewebRules) -> list[Rule]:
    """The rules, in the order of datatrove's filter."""
    lines, in_lines = count("lines"), count("chars") - count("newlines")
    return [
        Rule("fineweb_line_punctuation", share(count("ended_lines"), lines), "at_least", config.min_punctuated_lines),
        Rule("fineweb_short_lines", share(count("short_lines"), lines), "at_most", config.max_short_lines),
        Rule(
            "fineweb_duplicate_line_chars",
            share(count("dup_line_chars"), in_lines),
            "at_most",
            config.max_duplicate_line_chars,
        ),
        Rule("fineweb_newlines_per_word", share(count("newlines"), count("words")), "at_most", config.max_newlines_per_word),
    ]
