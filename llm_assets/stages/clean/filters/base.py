"""The contract of the filter family: a filter turns its thresholds into rules; a rule holds a measure against a threshold.

Measures are polars expressions over the columns of extracted pages and the counts that ``prepare`` adds, so that a whole shard
is judged at once. The first rule that a document breaks is its verdict, with the value measured; a null measure (no word
list for its language) breaks none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from llm_assets.core.ledger import KEPT, Verdict
from llm_assets.core.recipe.cleaning import CleanedCorpusConfig
from llm_assets.stages.clean.filters.measures import count, prepare

__all__ = ["Rule", "count", "judge", "prepare", "share", "verdict_of"]


@dataclass(frozen=True)
class Rule:
    """``measure`` must be ``at_least`` or ``at_most`` the threshold; with ``none``, any measure breaks the rule.

    ``detail`` (String) says more of a document that broke it.
    """

    name: str
    measure: pl.Expr
    bound: Literal["at_least", "at_most", "none"]
    threshold: float
    detail: pl.Expr | None = None

    def broken(self) -> pl.Expr:
        """True where a document breaks the rule."""
        value = pl.col(self.column)
        if self.bound == "none":
            return value.is_not_null()
        return (value < self.threshold if self.bound == "at_least" else value > self.threshold).fill_null(False)

    @property
    def column(self) -> str:
        """Where ``judge`` keeps the measured value."""
        return f"_rule_{self.name}"


def judge(frame: pl.DataFrame, rules: Sequence[Rule]) -> pl.DataFrame:
    """Verdicts for a prepared frame, in its row order: ``kept``, ``rule``, ``value``, ``threshold``, ``detail``."""
    measured = frame.with_columns(rule.measure.cast(pl.Float64).alias(rule.column) for rule in rules)
    # The place of the first rule that is broken; their number where none is.
    place = pl.min_horizontal(pl.when(rule.broken()).then(pl.lit(i)) for i, rule in enumerate(rules)) if rules else pl.lit(None)
    broken = measured.select(place.cast(pl.Int32).fill_null(len(rules)).alias("place"))["place"]
    if broken.len() != frame.height:  # without rules the literal has one row
        broken = pl.Series("place", [len(rules)] * frame.height, pl.Int32)
    values = pl.Series("value", [None] * frame.height, pl.Float64)
    details = pl.Series("detail", [None] * frame.height, pl.String)
    for number in broken.unique().sort():
        if number < len(rules):
            rule = rules[number]
            values = values.zip_with(broken != number, measured[rule.column])
            if rule.detail is not None:
                details = details.zip_with(broken != number, measured.select(rule.detail.alias("detail"))["detail"])
    names = pl.Series([*(rule.name for rule in rules), KEPT], dtype=pl.String)
    thresholds = pl.Series([*(float(rule.threshold) for rule in rules), None], dtype=pl.Float64)
    return pl.DataFrame(
        {
            "kept": broken == len(rules),
            "rule": names.gather(broken),
            "value": values,
            "threshold": thresholds.gather(broken),
            "detail": details,
        }
    )


def verdict_of(text: str, lang: str, rules: Sequence[Rule], config: CleanedCorpusConfig | None = None) -> Verdict:
    """The verdict on one text, by the same expressions: for tests and for explaining."""
    from llm_assets.stages.clean.filters import measured

    frame = measured(pl.DataFrame({"text": [text], "lang": [lang]}), config or CleanedCorpusConfig())
    row = judge(frame, rules).row(0, named=True)
    return Verdict(row["kept"], row["rule"], row["value"], row["threshold"], detail=row["detail"])


def share(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    """``part / whole``, 0 where there is nothing."""
    return pl.when(whole > 0).then(part / whole).otherwise(0.0)
