"""The great-expectations suites of the five tabular assets, in one place: what each asks, and whether a failure stops the line.

Each expectation is a Dagster check of its own, named ``gx_…``; the names stand here so that specs know them before a run, and
nothing heavy is imported for that. Arguments come from the asset's recipe section when the suite is asked. What holds by the
nature of the table blocks; what is a matter of degree (languages, lengths, copies) warns, with thresholds in ``expected``.

``check`` gets a frame with the stored columns that a suite asks about, and with measures of them: ``length`` (in the units of
``expected``), ``text_bytes`` and ``text_hash``, ``lang`` of the source page.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

    from llm_assets.core.artefact import Artefact
    from llm_assets.core.report import Gate

Arguments = Callable[[Any], dict[str, Any]]  # of the asset's recipe section

GX = "gx_"  # how the name of a check begins that is an expectation
_ID = "^[0-9a-f]{32}$"
SCHEMA = "expect_table_columns_to_match_set"
_TASKS = ["describe", "summarise", "topic", "translate"]
_KINDS = ["other_topic", "same_topic", "truncated", "shuffled"]
_OWN_PAGE_SHARE = 0.4  # two of four kinds of rejected answers come from the page itself: damaged ones


@dataclass(frozen=True)
class Expectation:
    """One expectation: its check's name, the rule's name in great_expectations, its arguments."""

    name: str
    rule: str
    arguments: Arguments
    blocking: bool = True


def _fixed(name: str, rule: str, **arguments: Any) -> Expectation:
    return Expectation(name, rule, lambda config: dict(arguments))


def _nulls(*columns: str) -> list[Expectation]:
    return [_fixed(f"gx_{column}_not_null", "expect_column_values_to_not_be_null", column=column) for column in columns]


def _between(name: str, column: str, low: float | None = None, high: float | None = None) -> Expectation:
    return _fixed(name, "expect_column_values_to_be_between", column=column, min_value=low, max_value=high)


def _letters(*columns: str) -> list[Expectation]:
    rule = "expect_column_value_lengths_to_be_between"
    return [_fixed(f"gx_{column}_not_empty", rule, column=column, min_value=1) for column in columns]


def _unique(name: str, *columns: str) -> Expectation:
    if len(columns) == 1:
        return _fixed(name, "expect_column_values_to_be_unique", column=columns[0])
    return _fixed(name, "expect_compound_columns_to_be_unique", column_list=list(columns))


def _languages(config: Any) -> dict[str, Any]:
    expected = config.expected
    return {"column": "lang", "value_set": expected.main_languages, "mostly": expected.min_main_share}


def _quantiles(config: Any) -> dict[str, Any]:
    bounds = config.expected
    ranges = [[bounds.min_p05, None], [bounds.min_median, bounds.max_median], [None, bounds.max_p95]]
    return {"column": "length", "quantile_ranges": {"quantiles": [0.05, 0.5, 0.95], "value_ranges": ranges}}


_SHARES = (
    Expectation("gx_language_share", "expect_column_values_to_be_in_set", _languages, blocking=False),
    Expectation("gx_length_quantiles", "expect_column_quantile_values_to_be_between", _quantiles, blocking=False),
)
_IDS = (
    _fixed("gx_schema", SCHEMA),
    *_nulls("doc_id"),
    _unique("gx_unique_doc_id", "doc_id"),
    _fixed("gx_doc_id_format", "expect_column_values_to_match_regex", column="doc_id", regex=_ID),
)
_TEXTS = (
    *_IDS,
    *_nulls("url", "lang"),
    _fixed("gx_text_not_null", "expect_column_values_to_not_be_null", column="text_bytes"),
    _fixed("gx_bytes_match_text", "expect_column_pair_values_to_be_equal", column_A="n_bytes", column_B="text_bytes"),
    _between("gx_lang_score_range", "lang_score", 0.0, 1.0),
)

SUITES: Mapping[str, tuple[Expectation, ...]] = {
    "cleaned_corpus": (
        *_TEXTS,
        Expectation(
            "gx_lang_allowed",
            "expect_column_values_to_be_in_set",
            lambda config: {"column": "lang", "value_set": config.language.languages},
        ),
        Expectation(
            "gx_words_range",
            "expect_column_values_to_be_between",
            lambda config: {
                "column": "n_words",
                "min_value": config.gopher_quality.min_words if config.gopher_quality.enabled else 0,
            },
        ),
        Expectation(
            "gx_bytes_range",
            "expect_column_values_to_be_between",
            lambda config: {"column": "n_bytes", "min_value": 1, "max_value": config.max_text_bytes},
        ),
        *_SHARES,
        Expectation(
            "gx_few_copies",
            "expect_column_proportion_of_unique_values_to_be_between",
            lambda config: {"column": "text_hash", "min_value": config.expected.min_unique_share},
            blocking=False,
        ),
    ),
    "deduped_shards": (
        *_TEXTS,
        _between("gx_words_range", "n_words", 0),
        _between("gx_bytes_range", "n_bytes", 1),
        *_SHARES,
        Expectation(
            "gx_no_copies",
            "expect_column_values_to_be_unique",
            lambda config: {"column": "text_hash", "mostly": config.expected.min_unique_share},
        ),
    ),
    "tokenized_dataset": (
        *_IDS,
        *_nulls("url", "lang"),
        _between("gx_start_range", "start", 0),
        _between("gx_length_range", "length", 1),
        _between("gx_bytes_range", "n_bytes", 0),
        _unique("gx_no_overlap", "shard", "start"),
        *_SHARES,
    ),
    "instruction_dataset": (
        _fixed("gx_schema", SCHEMA),
        *_nulls("id", "doc_id", "url", "article", "task", "prompt", "answer"),
        _unique("gx_unique_id", "id"),
        _fixed("gx_doc_id_format", "expect_column_values_to_match_regex", column="doc_id", regex=_ID),
        *_letters("url", "prompt", "answer"),
        _fixed("gx_task_allowed", "expect_column_values_to_be_in_set", column="task", value_set=_TASKS),
        _fixed("gx_rows", "expect_table_row_count_to_be_between", min_value=1),
        *_SHARES,
        _unique("gx_no_copies", "task", "prompt"),
    ),
    "preference_dataset": (
        _fixed("gx_schema", SCHEMA),
        *_nulls("id", "doc_id", "url", "article", "prompt", "chosen", "rejected", "kind", "rejected_doc_id"),
        _unique("gx_unique_id", "id"),
        _fixed("gx_doc_id_format", "expect_column_values_to_match_regex", column="doc_id", regex=_ID),
        *_letters("prompt", "chosen", "rejected"),
        _fixed("gx_kind_allowed", "expect_column_values_to_be_in_set", column="kind", value_set=_KINDS),
        _fixed(
            "gx_own_page_share",
            "expect_column_pair_values_to_be_equal",
            column_A="doc_id",
            column_B="rejected_doc_id",
            mostly=_OWN_PAGE_SHARE,
        ),
        _fixed("gx_rows", "expect_table_row_count_to_be_between", min_value=1),
        *_SHARES,
        _unique("gx_no_copies", "prompt", "chosen", "rejected"),
    ),
}


def names(asset: str) -> tuple[str, ...]:
    """The checks of an asset's suite, in the order in which ``check`` returns them."""
    return tuple(expectation.name for expectation in SUITES[asset])


def check(
    asset: str, files: Path, frame: "pl.DataFrame", config: Any, schema: "pl.Schema", stored: Iterable[Path]
) -> "list[Gate]":
    """One gate an expectation, all asked in one go; the page for people goes to ``account/expectations.html``.

    ``stored``: the Parquet files of the table, whose columns and types must be those of ``schema``.
    """
    import polars as pl

    from llm_assets.core import data_docs, expectations

    found = {f"{column}: {kind}" for path in stored for column, kind in pl.read_parquet_schema(path).items()}
    declared = {f"{column}: {kind}" for column, kind in schema.items()}
    asked = [
        expectations.Asked(
            e.name,
            e.rule,
            {"column_set": sorted(declared)} if e.rule == SCHEMA else e.arguments(config),
            e.blocking,
            table="schema" if e.rule == SCHEMA else "rows",
        )
        for e in SUITES[asset]
    ]
    tables = {"rows": frame, "schema": pl.DataFrame(schema=dict.fromkeys(sorted(found), pl.String))}
    answers = expectations.each(asset, tables, asked)
    data_docs.write(files, asset, answers)
    return [answer.gate for answer in answers]


def load() -> None:
    """Load great_expectations, and compile the templates of its pages, before the first suite is asked."""
    import polars as pl

    from llm_assets.core import data_docs, expectations

    asked = expectations.Asked("rows", "expect_table_row_count_to_be_between", {"min_value": 1})
    data_docs.render("load", expectations.each("load", {"rows": pl.DataFrame({"row": [1]})}, [asked]))


def measured(frame: "pl.DataFrame", length: "pl.Expr") -> "pl.DataFrame":
    """A frame with ``length``, and, where it holds texts, with ``text_bytes`` and ``text_hash`` in their place."""
    import polars as pl

    if "text" not in frame.columns:
        return frame.with_columns(length=length)
    text = pl.col("text")
    return frame.with_columns(length=length, text_bytes=text.str.len_bytes(), text_hash=text.hash(seed=1)).drop("text")


def languages(crawls: "Iterable[Artefact]") -> "pl.DataFrame":
    """``doc_id`` and ``lang`` of every page of some deduplicated crawls, each once."""
    import polars as pl

    empty = pl.DataFrame(schema={"doc_id": pl.String, "lang": pl.String})
    parts = [pl.read_parquet(shard, columns=empty.columns) for crawl in crawls for shard in crawl.shards()]
    return pl.concat([empty, *parts]).unique("doc_id")
