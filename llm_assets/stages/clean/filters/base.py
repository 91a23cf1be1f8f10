"""The contract of the filter family: a filter turns its thresholds into rules; a rule holds a measure against a threshold.

Measures are polars expressions over the prepared columns (``prepare``), so that a whole shard is judged at once. The first
rule that a document breaks is its verdict, with the value measured; a null measure (no word list for its language) breaks none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from llm_assets.core.ledger import KEPT, Verdict

# What `prepare` adds to a frame that has `text` and `lang`.
WORDS, LINES, N_WORDS, N_SYMBOL_FREE = "_words", "_lines", "_n_words", "_n_symbol_free"


@dataclass(frozen=True)
class Rule:
    """``measure`` must be ``at_least`` or ``at_most`` the threshold."""

    name: str
    measure: pl.Expr
    bound: Literal["at_least", "at_most"]
    threshold: float

    def broken(self) -> pl.Expr:
        """True where a document breaks the rule."""
        value = pl.col(self.column)
        return (value < self.threshold if self.bound == "at_least" else value > self.threshold).fill_null(False)

    @property
    def column(self) -> str:
        """Where ``judge`` keeps the measured value."""
        return f"_rule_{self.name}"


def prepare(frame: pl.DataFrame) -> pl.DataFrame:
    """Add words (runs of non-space), lines (not blank) and their counts. ``frame``: ``text`` (String), ``lang`` (String)."""
    return frame.with_columns(
        pl.col("text").str.extract_all(r"\S+").alias(WORDS),
        pl.col("text").str.split("\n").list.eval(pl.element().filter(pl.element().str.strip_chars() != "")).alias(LINES),
    ).with_columns(
        pl.col(WORDS).list.len().cast(pl.Int32).alias(N_WORDS),
        # A word of punctuation only ("—", "***") is none to Gopher's word count.
        pl.col("text").str.count_matches(r"\S*[\p{L}\p{N}]\S*").cast(pl.Int32).alias(N_SYMBOL_FREE),
    )


def judge(frame: pl.DataFrame, rules: Sequence[Rule]) -> pl.DataFrame:
    """Verdicts for a prepared frame, in its row order: ``kept``, ``rule``, ``value``, ``threshold``."""
    measured = frame.with_columns(rule.measure.cast(pl.Float64).alias(rule.column) for rule in rules)

    def first(results: Sequence[pl.Expr], otherwise: pl.Expr) -> pl.Expr:
        chain = otherwise
        for rule, result in reversed(list(zip(rules, results, strict=True))):
            chain = pl.when(rule.broken()).then(result).otherwise(chain)
        return chain

    return measured.select(
        kept=first([pl.lit(False)] * len(rules), pl.lit(True)),
        rule=first([pl.lit(rule.name) for rule in rules], pl.lit(KEPT)),
        value=first([pl.col(rule.column) for rule in rules], pl.lit(None, pl.Float64)),
        threshold=first([pl.lit(rule.threshold, pl.Float64) for rule in rules], pl.lit(None, pl.Float64)),
    )


def verdict_of(text: str, lang: str, rules: Sequence[Rule]) -> Verdict:
    """The verdict on one text, by the same expressions: for tests and for explaining."""
    from llm_assets.stages.clean.filters.repetition import add_repetition

    frame = add_repetition(prepare(pl.DataFrame({"text": [text], "lang": [lang]})))
    row = judge(frame, rules).row(0, named=True)
    return Verdict(row["kept"], row["rule"], row["value"], row["threshold"])


def share(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    """``part / whole``, 0 where there is nothing."""
    return pl.when(whole > 0).then(part / whole).otherwise(0.0)
