"""Gopher's repetition rules. Rae et al. 2021, table A1: what share of a text is said twice.

Shares are of the text's characters, or of its lines and paragraphs. An n-gram that occurs once is no repetition here, unless
``single_ngrams`` says so; in datatrove the most frequent one counts even then, and texts of up to some 25 words fail by it.
"""

from llm_assets.core.recipe.cleaning import GopherRepetition
from llm_assets.stages.clean.filters.base import Rule, count, share

TOP_NGRAMS = (2, 3, 4)
DUPLICATE_NGRAMS = (5, 6, 7, 8, 9, 10)


def rules(config: GopherRepetition) -> list[Rule]:
    """The rules of table A1, in the order of datatrove's filter."""
    chars, lines, paragraphs = count("chars"), count("lines"), count("paragraphs")
    found = [
        Rule("repetition_paragraphs", share(count("dup_paragraphs"), paragraphs), "at_most", config.max_duplicate_paragraphs),
        Rule(
            "repetition_paragraph_chars",
            share(count("dup_paragraph_chars"), chars),
            "at_most",
            config.max_duplicate_paragraph_chars,
        ),
        Rule("repetition_lines", share(count("dup_lines"), lines), "at_most", config.max_duplicate_lines),
        Rule("repetition_line_chars", share(count("dup_line_chars"), chars), "at_most", config.max_duplicate_line_chars),
    ]
    for n, limit in zip(TOP_NGRAMS, config.max_top_ngram_chars, strict=True):
        found.append(Rule(f"repetition_top_{n}gram", share(count(f"top_{n}gram_chars"), chars), "at_most", limit))
    for n, limit in zip(DUPLICATE_NGRAMS, config.max_duplicate_ngram_chars, strict=True):
        found.append(Rule(f"repetition_duplicate_{n}gram", share(count(f"dup_{n}gram_chars"), chars), "at_most", limit))
    return found
