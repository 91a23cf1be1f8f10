"""C4's rules. Raffel et al. 2020, "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer", 2.2.

Published: keep lines that end in terminal punctuation and have at least 3 words; drop lines that mention Javascript or a
policy on cookies, terms or privacy; drop pages with "lorem ipsum", a curly bracket, or fewer than 5 sentences. C4's code also
drops lines with a word of over 1,000 characters and takes citation marks out. ``clean_lines`` edits the texts; what the
pages are judged by is looked at in the lines that the first conditions leave, in datatrove's order.
"""

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from llm_assets.core.recipe.cleaning import C4Rules
from llm_assets.stages.clean.filters.base import Rule
from llm_assets.stages.clean.texts import utf8

_POLICY = ["terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies"]
_SCRIPT = "javascript"
_SENTENCE_END = r"[.!?。！？]+[\"”»')\]]*(\s|$)"
_CITATION = r"\[\d*\]|\[edit\]|\[citation needed\]"
LOREM, CURLY = "_c4_lorem", "_c4_curly"


def clean_lines(frame: pl.DataFrame, config: C4Rules) -> pl.DataFrame:
    """The frame with ``text`` as C4 leaves it, and what its pages are judged by (``_c4_lorem``, ``_c4_curly``: 0 or 1).

    Only texts in which there is something to do are taken apart into lines.
    """
    text = pl.col("text")
    marked = text.str.contains_any([_SCRIPT, *_POLICY], ascii_case_insensitive=True)
    if config.max_word_chars:
        marked |= pl.Series(_longest(frame["text"]) > config.max_word_chars)
    if config.remove_citations:
        marked |= text.str.contains(_CITATION)
    if config.drop_unterminated_lines or config.min_words_per_line:
        marked = pl.lit(True)
    frame = frame.with_columns(
        text.str.contains("(?i)lorem ipsum").fill_null(False).cast(pl.Int8).alias(LOREM),
        text.str.contains(r"\{").fill_null(False).cast(pl.Int8).alias(CURLY),
        _marked=marked.fill_null(False),
    )
    edited = _edited(frame.with_row_index("_row").filter("_marked").select("_row", "text"), config)
    frame = frame.with_row_index("_row").drop("_marked")
    return frame.update(edited, on="_row").drop("_row") if edited.height else frame.drop("_row")


def _longest(texts: pl.Series) -> npt.NDArray[Any]:
    """Bytes of the longest run without an ASCII space in each text: never less than the characters of its longest word."""
    data, bounds = utf8(texts)
    cuts = np.sort(np.concatenate([np.flatnonzero(data <= 32), bounds]), kind="stable")
    gaps = np.append(np.diff(cuts), 0)
    first = np.searchsorted(cuts, bounds[:-1])
    return np.maximum.reduceat(gaps, first) if first.size else gaps[:0]


def _edited(marked: pl.DataFrame, config: C4Rules) -> pl.DataFrame:
    """(_row, text, _c4_lorem, _c4_curly) of the texts that are taken apart."""
    line = pl.col("line")
    lines = marked.select("_row", line=pl.col("text").str.split("\n")).explode("line").with_columns(line.str.strip_chars())
    stays = pl.lit(True)
    if config.max_word_chars:
        stays &= (
            line.str.extract_all(r"\S+").list.eval(pl.element().str.len_chars()).list.max().fill_null(0)
            <= config.max_word_chars
        )
    words = line.str.count_matches(r"\S+")
    lines = lines.filter(stays).with_columns(n_words=words)
    if config.remove_citations:
        lines = lines.with_columns(line.str.replace_all(_CITATION, ""))
    if config.drop_unterminated_lines:
        ends = "".join(re.escape(char) for char in config.end_characters)
        lines = lines.filter(line.str.contains(rf"[{ends}]\s*$") & ~line.str.contains(r"\.\.\.\s*$"))
    if config.min_words_per_line:
        lines = lines.filter(pl.col("n_words") >= config.min_words_per_line)
    scripted = line.str.contains_any([_SCRIPT], ascii_case_insensitive=True)
    policy = line.str.contains_any(_POLICY, ascii_case_insensitive=True)
    found = lines.group_by("_row", maintain_order=True).agg(
        text=line.filter(~scripted & ~policy).str.join("\n"),
        **{
            LOREM: line.str.contains("(?i)lorem ipsum").any().cast(pl.Int8),
            CURLY: (line.str.contains(r"\{") & ~scripted).any().cast(pl.Int8),
        },
    )
    return (
        marked.select("_row")
        .join(found, on="_row", how="left", maintain_order="left")
        .with_columns(
            pl.col("text").fill_null("").str.replace_all(r"\n{3,}", "\n\n").str.strip_chars(),
            pl.col(LOREM, CURLY).fill_null(0),
        )
    )


def rules(config: C4Rules) -> list[Rule]:
    """The rules on whole pages, for a frame that ``clean_lines`` returned."""
    return [
        Rule("c4_lorem_ipsum", pl.col(LOREM), "at_most", 0),
        Rule("c4_curly_bracket", pl.col(CURLY), "at_most", config.max_curly_brackets),
        Rule("c4_min_sentences", pl.col("text").str.count_matches(_SENTENCE_END), "at_least", config.min_sentences),
    ]
