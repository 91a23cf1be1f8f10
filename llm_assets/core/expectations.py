"""Great-expectations rules as gates: polars in, sentences out; ``check`` makes one gate of many rules, ``each`` one of each.

great_expectations takes seconds to import and has no polars engine, so it is imported at the first check of a process, one
ephemeral context is kept, and only the columns that the rules name become pandas. It is kept quiet: no progress bars, no usage
statistics, no warnings.

A rule is ``("expect_column_values_to_not_be_null", {"column": "doc_id"})``: the snake-case name and its arguments, as the
gallery at greatexpectations.io lists them. Mind that column rules skip nulls (ask for not-null apart) and that all of them hold
on a table without rows (ask for ``expect_table_row_count_to_be_between`` apart).
"""

import html
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from threading import Lock
from typing import Any

import polars as pl

from llm_assets.core.loading import loading
from llm_assets.core.oneline import one_line
from llm_assets.core.report import Gate

Rule = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Asked:
    """An expectation that is to be a gate of its own. ``table`` names the frame that it is asked of."""

    gate: str
    rule: str
    arguments: dict[str, Any]
    blocking: bool = True
    table: str = "rows"


@dataclass(frozen=True)
class Answer:
    """The gate of an expectation, and great_expectations' own result; None where it was not asked (no column, no rows)."""

    gate: Gate
    result: Any = None


SAMPLE_CHARACTERS = 100
_SAMPLES = 3
_COLUMN_ARGUMENTS = ("column", "column_A", "column_B", "column_list")
_ENGINE = Lock()  # one pandas engine in one context: validations take turns


def check(name: str, frame: pl.DataFrame, rules: list[Rule], blocking: bool = True) -> Gate:
    """Hold a frame against rules; the gate passes if all do.

    The message says which rules failed on how many rows, with up to three of the failing values (escaped, cut at 100
    characters). A column that the frame lacks fails its rules. Raises ``ValueError`` for a rule that
    great_expectations does not know (with the near miss) or that lacks an argument, and where there are no rules.
    """
    if not rules:
        raise ValueError(f"{name}: no rules given; a check that can't fail is none")
    with _quiet():
        expectations = [_expectation(name, rule, arguments) for rule, arguments in rules]
        failures = [
            f"{_title(rule, arguments)}: no such column; the table has {', '.join(frame.columns)}"
            for rule, arguments in rules
            if not _columns(rule, arguments) <= set(frame.columns)
        ]
        present = [
            e for e, (rule, arguments) in zip(expectations, rules, strict=True) if _columns(rule, arguments) <= {*frame.columns}
        ]
        needed = set().union(*(_columns(rule, arguments) for rule, arguments in rules))
        whole = any(rule.startswith("expect_table_column") for rule, _ in rules)
        failures += _validate(name, _to_pandas(frame, needed, whole), present)
    count = f"{len(rules)} expectation{'s' * (len(rules) != 1)} on {frame.height:,} rows"
    if not failures:
        return Gate(name, True, f"{count} hold", {"rows": frame.height, "expectations": len(rules)}, blocking)
    message = f"{len(failures)} of {count} failed: " + "; ".join(failures)
    return Gate(name, False, message, {"rows": frame.height, "expectations": len(rules), "failed": failures}, blocking)


def each(name: str, tables: Mapping[str, pl.DataFrame], asked: Sequence[Asked]) -> list[Answer]:
    """One gate an expectation, in the order asked; all expectations of a table are validated together.

    A table without rows has nothing that column rules could hold against it: they pass and say so. Raises as ``check`` does.
    """
    with _quiet():
        kinds = {one.gate: _expectation(name, one.rule, one.arguments) for one in asked}
        if len(kinds) != len(asked):
            raise ValueError(f"{name}: two expectations have one name")
        answers: dict[str, Answer] = {}
        for table, frame in tables.items():
            mine = [one for one in asked if one.table == table]
            idle = {one.gate: found for one in mine if (found := _idle(one, frame)) is not None}
            answers |= idle
            put = [one for one in mine if one.gate not in idle]
            needed = set().union(*(_columns(one.rule, one.arguments) for one in put))
            whole = any(one.rule.startswith("expect_table_column") for one in put)
            results = _results(name, _to_pandas(frame, needed, whole), [kinds[one.gate] for one in put])
            answers |= {one.gate: _answer(one, frame.height, r) for one, r in zip(put, results, strict=True)}
    return [answers[one.gate] for one in asked]


def _idle(asked: Asked, frame: pl.DataFrame) -> Answer | None:
    """The answer to what need not, or can't, be asked."""
    missing = _columns(asked.rule, asked.arguments) - set(frame.columns)
    title = _title(asked.rule, asked.arguments)
    if missing:
        said = f"{title}: no such column; the table has {', '.join(frame.columns)}"
        return Answer(Gate(asked.gate, False, said, _about(asked, frame.height), asked.blocking))
    if not frame.height and not asked.rule.startswith("expect_table"):
        return Answer(Gate(asked.gate, True, f"{title}: no rows to judge", _about(asked, 0), asked.blocking))
    return None


def _answer(asked: Asked, rows: int, result: Any) -> Answer:
    about = _about(asked, rows)
    found = result.result or {}
    observed = found.get("observed_value", found.get("unexpected_percent"))
    if observed is not None:
        about["observed" if "observed_value" in found else "unexpected_percent"] = _json(observed)
    title = _title(asked.rule, asked.arguments)
    on = "" if asked.rule.startswith("expect_table_column") else f" on {rows:,} rows"
    said = f"{title} holds{on}" if result.success else _phrase(result)
    return Answer(Gate(asked.gate, bool(result.success), said, about, asked.blocking), result)


def _about(asked: Asked, rows: int) -> dict[str, Any]:
    return {"rule": asked.rule, "arguments": _json(asked.arguments), "rows": rows}


def _json(value: Any) -> Any:
    """Numbers and lists as they are; anything else as a sample, since it may come from a page."""
    if isinstance(value, dict):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    if hasattr(value, "item"):  # a numpy number
        value = value.item()
    return value if value is None or isinstance(value, bool | int | float) else sample(value)


def sample(value: Any) -> str:
    """One value as a message may show it: a single line in a code span, HTML escaped, 100 characters at most.

    Inside a code span neither links nor images nor emphasis can come from what a crawled page said.
    """
    escaped = html.escape(one_line(str(value), "�"), quote=False).replace("`", "'")
    if len(escaped) > SAMPLE_CHARACTERS:
        cut = escaped[: SAMPLE_CHARACTERS - 1]
        opened = cut.rfind("&")
        if opened > len(cut) - 5 and ";" not in cut[opened:]:  # never half an entity
            cut = cut[:opened]
        escaped = cut + "…"
    return f"`{escaped}`"


def _columns(rule: str, arguments: dict[str, Any]) -> set[str]:
    found: set[str] = set()
    # "column_list" of expect_table_columns_to_match_ordered_list is what to compare with, not what to read.
    for key in () if rule.startswith("expect_table_column") else _COLUMN_ARGUMENTS:
        value = arguments.get(key, [])
        found.update([value] if isinstance(value, str) else value)
    return found


def _title(rule: str, arguments: dict[str, Any]) -> str:
    named = ", ".join(sorted(_columns(rule, arguments)))
    return f"{rule}({named})" if named else rule


def _expectation(name: str, rule: str, arguments: dict[str, Any]) -> Any:
    from great_expectations.exceptions import ExpectationNotFoundError
    from great_expectations.expectations.registry import get_expectation_impl, list_registered_expectation_implementations

    try:
        kind = get_expectation_impl(rule)
    except ExpectationNotFoundError:
        near = get_close_matches(rule, list_registered_expectation_implementations(), n=3)
        hint = f"did you mean: {', '.join(near)}?" if near else "see the gallery at greatexpectations.io"
        raise ValueError(f"{name}: great_expectations has no rule {rule!r}; {hint}") from None
    try:
        return kind(**arguments)
    except ValueError as error:  # pydantic's, whose text names each field
        problems = " ".join(str(error).split())
        raise ValueError(f"{name}: the arguments of {rule} are wrong: {problems}") from error


def _to_pandas(frame: pl.DataFrame, needed: set[str], whole: bool) -> Any:
    """The needed columns as pandas; with ``whole`` the others too, but empty, for rules on the set of columns."""
    import pandas as pd

    data: dict[str, Any] = {}
    for column in frame.columns:
        if column in needed:
            data[column] = _series(frame[column])
        elif whole:
            data[column] = None
    return pd.DataFrame(data, index=pd.RangeIndex(frame.height))


def _series(values: pl.Series) -> Any:
    if isinstance(values.dtype, pl.Categorical | pl.Enum):
        values = values.cast(pl.String)
    if values.dtype.is_integer() and values.null_count():
        import pandas as pd

        return pd.array(values.to_list(), dtype="Int64")  # plain pandas would make floats of them, exact to 2^53 only
    return values.to_pandas()


def _validate(name: str, frame: Any, expectations: list[Any]) -> list[str]:
    """The failures, one phrase a rule, in the order of the rules."""
    return [_phrase(result) for result in _results(name, frame, expectations) if not result.success]


def _results(name: str, frame: Any, expectations: list[Any]) -> list[Any]:
    """great_expectations' results, in the order of the rules."""
    from great_expectations.core.expectation_suite import ExpectationSuite

    if not expectations:
        return []
    for number, expectation in enumerate(expectations):
        expectation.meta = {"number": number}  # results come back in another order
    batch = _batches().get_batch(batch_parameters={"dataframe": frame})
    results = batch.validate(ExpectationSuite(name=name, expectations=expectations)).results
    return sorted(results, key=lambda result: result.expectation_config.meta["number"])


def _phrase(result: Any) -> str:
    config = result.expectation_config
    title = _title(config.type, config.kwargs)
    found = result.result or {}
    if not found:
        return f"{title} could not be computed: {sample(_reason(result.exception_info))}"
    if "unexpected_count" in found:
        values = [] if config.type == "expect_column_values_to_not_be_null" else found.get("partial_unexpected_list", [])
        shown = list(dict.fromkeys(sample(value) for value in values))[:_SAMPLES]
        such = f", such as {', '.join(shown)}" if shown else ""
        return f"{title}: {found['unexpected_count']:,} of {found['element_count']:,} rows{such}"
    allowed = {
        key: config.kwargs[key]
        for key in ("value", "min_value", "max_value", "column_set", "column_list")
        if key in config.kwargs
    }
    wanted = ", ".join(f"{key} {value}" for key, value in allowed.items())
    return f"{title}: found {sample(found.get('observed_value'))}" + (f", wanted {wanted}" if wanted else "")


def _reason(info: dict[str, Any]) -> str:
    """The exception messages that great_expectations keeps, which are nested by metric."""
    if "exception_message" in info:
        return str(info["exception_message"])
    return "; ".join(dict.fromkeys(str(entry.get("exception_message")) for entry in info.values())) or "no reason given"


@cache
def _batches() -> Any:
    with loading():
        import great_expectations as gx
        from great_expectations.data_context.types.base import ProgressBarsConfig

        context = gx.get_context(mode="ephemeral")
    context.enable_analytics(False)
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    return context.data_sources.add_pandas("frames").add_dataframe_asset("frame").add_batch_definition_whole_dataframe("whole")


@contextmanager
def _quiet() -> Iterator[None]:
    """One validation at a time, without the warnings that great_expectations and its dependencies raise."""
    with _ENGINE, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _batches()
        yield
