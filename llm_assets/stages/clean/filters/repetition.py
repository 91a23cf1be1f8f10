"""Gopher's repetition rules. Rae et al. 2021, table A1: what share of a text is said twice.

Duplicate lines and paragraphs by polars; n-grams by one numba pass over word hashes, since polars has no n-grams of lists.
Word hashes have 64 bits: within one document of 100,000 words, two different n-grams meet with probability below 1e-9.
"""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from llm_assets.core.recipe.corpus import GopherRepetition
from llm_assets.stages.clean.filters.base import LINES, WORDS, Rule

TOP_NGRAMS = (2, 3, 4)
DUPLICATE_NGRAMS = (5, 6, 7, 8, 9, 10)
_MEASURES = (*(f"_top_{n}gram" for n in TOP_NGRAMS), *(f"_dup_{n}gram" for n in DUPLICATE_NGRAMS))


def add_repetition(frame: pl.DataFrame) -> pl.DataFrame:
    """Add every repetition measure, as a share of the text's characters (0 to 1), to a prepared frame."""
    n_chars = pl.col("text").str.len_chars().cast(pl.Float64)
    paragraphs = pl.col("text").str.strip_chars().str.replace_all(r"\n{2,}", "\u0000").str.split("\u0000")
    frame = frame.with_columns(
        _duplicate_share(pl.col(LINES)).alias("_dup_lines"),
        (_duplicate_chars(pl.col(LINES)) / n_chars).fill_nan(0.0).alias("_dup_line_chars"),
        _duplicate_share(paragraphs).alias("_dup_paragraphs"),
        (_duplicate_chars(paragraphs) / n_chars).fill_nan(0.0).alias("_dup_paragraph_chars"),
    )
    measures = _ngram_shares(frame)
    return frame.with_columns(pl.Series(name, measures[:, column]) for column, name in enumerate(_MEASURES))


def _duplicate_share(items: pl.Expr) -> pl.Expr:
    count = items.list.len()
    return pl.when(count > 0).then((count - items.list.n_unique()) / count).otherwise(0.0)


def _duplicate_chars(items: pl.Expr) -> pl.Expr:
    total = items.list.eval(pl.element().str.len_chars()).list.sum()
    return (total - items.list.unique().list.eval(pl.element().str.len_chars()).list.sum()).cast(pl.Float64)


def _ngram_shares(frame: pl.DataFrame) -> NDArray[np.float64]:
    """(documents, 9) shares of characters, in the order of ``_MEASURES``."""
    words = frame.select(pl.col(WORDS).list.explode(empty_as_null=False, keep_nulls=False)).to_series()
    lengths = words.str.len_chars().to_numpy().astype(np.int64)
    hashes = words.hash(seed=1).to_numpy().astype(np.uint64)
    offsets = np.concatenate([[0], np.cumsum(frame[WORDS].list.len().to_numpy())]).astype(np.int64)
    chars = np.maximum(frame["text"].str.len_chars().to_numpy(), 1).astype(np.float64)
    found = _kernel()(hashes, lengths, offsets)
    return np.asarray(found / chars[:, None])


_COMPILED: list[Any] = []


def _kernel() -> Any:
    """Compiled at the first call of a process (and cached on disk by numba)."""
    if not _COMPILED:
        import numba

        from llm_assets.stages.clean.filters import ngrams

        _COMPILED.append(numba.njit(cache=True)(ngrams.repeated_chars))
    return _COMPILED[0]


def rules(config: GopherRepetition) -> list[Rule]:
    """The rules of table A1."""
    found = [
        Rule("repetition_paragraphs", pl.col("_dup_paragraphs"), "at_most", config.max_duplicate_paragraphs),
        Rule("repetition_paragraph_chars", pl.col("_dup_paragraph_chars"), "at_most", config.max_duplicate_paragraph_chars),
        Rule("repetition_lines", pl.col("_dup_lines"), "at_most", config.max_duplicate_lines),
        Rule("repetition_line_chars", pl.col("_dup_line_chars"), "at_most", config.max_duplicate_line_chars),
    ]
    for n, limit in zip(TOP_NGRAMS, config.max_top_ngram_chars, strict=True):
        found.append(Rule(f"repetition_top_{n}gram", pl.col(f"_top_{n}gram"), "at_most", limit))
    for n, limit in zip(DUPLICATE_NGRAMS, config.max_duplicate_ngram_chars, strict=True):
        found.append(Rule(f"repetition_duplicate_{n}gram", pl.col(f"_dup_{n}gram"), "at_most", limit))
    return found
