"""What a table usually looks like: the thresholds of the great-expectations checks that warn and do not stop the line.

What must hold (schema, nulls, unique ids, ranges) needs no thresholds, or takes them from the section it stands in.
"""

from pydantic import Field

from llm_assets.core.recipe.base import Section


class ExpectedTexts(Section):
    """Texts of a crawl. Lengths are words."""

    main_languages: list[str] = Field(["en"], min_length=1, description="Languages that most documents should be in")
    min_main_share: float = Field(0.5, ge=0, le=1, description="Least share of documents in these")
    min_p05: float = Field(10, ge=0, description="The 5 % quantile of the lengths is at least this")
    min_median: float = Field(30, ge=0, description="Their median is at least this")
    max_median: float = Field(1_500, gt=0, description="and at most this")
    max_p95: float = Field(10_000, gt=0, description="Their 95 % quantile is at most this")
    min_unique_share: float = Field(0.5, ge=0, le=1, description="Least share of different texts among all")


class ExpectedSurvivors(ExpectedTexts):
    """Deduplicated texts of a crawl. Lengths are words."""

    min_unique_share: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Gate: least share of texts that no other equals; lower it where repeated lines are taken out",
    )


class ExpectedTokens(Section):
    """Documents as tokens. Lengths are tokens, the separator counted."""

    main_languages: list[str] = Field(["en"], min_length=1, description="Languages that most documents should be in")
    min_main_share: float = Field(0.5, ge=0, le=1, description="Least share of documents in these")
    min_p05: float = Field(15, ge=0, description="The 5 % quantile of the lengths is at least this")
    min_median: float = Field(40, ge=0, description="Their median is at least this")
    max_median: float = Field(5_000, gt=0, description="and at most this")
    max_p95: float = Field(40_000, gt=0, description="Their 95 % quantile is at most this")


class ExpectedRows(Section):
    """Rows of a post-training set. Lengths are characters of question and answers together; languages are the source pages'."""

    main_languages: list[str] = Field(["en"], min_length=1, description="Languages that most source pages should be in")
    min_main_share: float = Field(0.9, ge=0, le=1, description="Least share of rows whose page is in these")
    min_p05: float = Field(10, ge=0, description="The 5 % quantile of the lengths is at least this")
    min_median: float = Field(30, ge=0, description="Their median is at least this")
    max_median: float = Field(2_000, gt=0, description="and at most this")
    max_p95: float = Field(8_000, gt=0, description="Their 95 % quantile is at most this")
