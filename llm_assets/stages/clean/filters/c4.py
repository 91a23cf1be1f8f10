"""C4's rules. Raffel et al. 2020, "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer", 2.2.

Published: keep lines that end in terminal punctuation and have at least 3 words; drop lines that mention Javascript or a
policy on cookies, terms or privacy; drop pages with "lorem ipsum", a curly bracket, or fewer than 5 sentences.
``clean_lines`` does the first part (it edits the text), the rules do the second.
"""

import re

import polars as pl

from llm_assets.core.recipe.corpus import C4Rules
from llm_assets.stages.clean.filters.base import Rule

_POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
_TERMINAL = (".", "!", "?", '"', "”", "»", "。", "！", "？", ")", ":", ";")
_SENTENCE_END = r"[.!?。！？]+[\"”»')\]]*(\s|$)"


def clean_lines(text: str, config: C4Rules) -> str:
    """The text without the lines that C4 drops; unterminated lines stay where the recipe says so."""
    kept = []
    for line in text.split("\n"):
        lowered = line.lower()
        if "javascript" in lowered or any(phrase in lowered for phrase in _POLICY):
            continue
        stripped = line.strip()
        if stripped and config.drop_unterminated_lines and not _is_sentence_line(stripped, config.min_words_per_line):
            continue
        kept.append(line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()


def _is_sentence_line(line: str, min_words: int) -> bool:
    return line.endswith(_TERMINAL) and not line.endswith("...") and len(line.split()) >= min_words


def rules(config: C4Rules) -> list[Rule]:
    """The rules on whole pages."""
    text = pl.col("text")
    return [
        Rule("c4_lorem_ipsum", text.str.contains("(?i)lorem ipsum").cast(pl.Int32), "at_most", 0),
        Rule("c4_curly_bracket", text.str.contains(r"\{").cast(pl.Int32), "at_most", config.max_curly_brackets),
        Rule("c4_min_sentences", text.str.count_matches(_SENTENCE_END), "at_least", config.min_sentences),
    ]
