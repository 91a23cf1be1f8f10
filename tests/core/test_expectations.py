import subprocess
import sys

import polars as pl
import pytest

from llm_assets.core.expectations import SAMPLE_CHARACTERS, check, sample

NOT_NULL = ("expect_column_values_to_not_be_null", {"column": "doc_id"})
UNIQUE = ("expect_column_values_to_be_unique", {"column": "doc_id"})
LANGUAGES = ("expect_column_values_to_be_in_set", {"column": "lang", "value_set": ["en", "fr"]})


def documents(**columns):
    rows = {"doc_id": ["a", "b", "c", "d"], "lang": ["en", "fr", "en", "en"], "n_words": [50, 60, 70, 80]}
    return pl.DataFrame({**rows, **columns})


def test_good_data_passes_with_its_counts():
    gate = check("documents", documents(), [NOT_NULL, UNIQUE, LANGUAGES])
    assert gate.passed and gate.blocking and gate.name == "documents"
    assert gate.metadata == {"rows": 4, "expectations": 3}
    assert gate.message == "3 expectations on 4 rows hold"


def test_the_message_names_each_failing_rule_with_counts_and_values():
    bad = documents(doc_id=["a", "a", None, "d"], lang=["en", "de", "de", "xx"])
    gate = check("documents", bad, [NOT_NULL, UNIQUE, LANGUAGES], blocking=False)
    assert not gate.passed and not gate.blocking
    assert gate.message == (
        "3 of 3 expectations on 4 rows failed: expect_column_values_to_not_be_null(doc_id): 1 of 4 rows; "
        "expect_column_values_to_be_unique(doc_id): 2 of 4 rows, such as `a`; "
        "expect_column_values_to_be_in_set(lang): 3 of 4 rows, such as `de`, `xx`"
    )


def test_rules_on_the_whole_table():
    rules = [
        ("expect_table_row_count_to_be_between", {"min_value": 10}),
        ("expect_table_columns_to_match_set", {"column_set": ["doc_id", "lang", "n_words"]}),
        ("expect_column_mean_to_be_between", {"column": "n_words", "min_value": 100}),
    ]
    gate = check("t", documents(), rules)
    assert gate.metadata["failed"] == [
        "expect_table_row_count_to_be_between: found `4`, wanted min_value 10",
        "expect_column_mean_to_be_between(n_words): found `65.0`, wanted min_value 100.0",
    ]
    assert not check("t", documents(extra=[1, 2, 3, 4]), [rules[1]]).passed


def test_only_a_row_count_needs_no_column():
    rule = ("expect_table_row_count_to_be_between", {"min_value": 4, "max_value": 4})
    assert check("t", documents(), [rule]).passed
    assert not check("t", documents().head(0), [rule]).passed


def test_a_column_that_is_missing_fails_and_the_others_are_still_checked():
    gate = check("t", documents().drop("lang"), [LANGUAGES, NOT_NULL])
    assert not gate.passed
    assert gate.metadata["failed"] == ["expect_column_values_to_be_in_set(lang): no such column; the table has doc_id, n_words"]


def test_a_rule_that_the_data_make_impossible_fails_and_says_why():
    gate = check("t", documents(), [("expect_column_mean_to_be_between", {"column": "lang", "max_value": 3})])
    assert not gate.passed and "could not be computed" in gate.message and "mean" in gate.message


def test_large_integers_stay_exact_beside_nulls():
    """2^60 + 1 is not a float64: a detour over floats would find it equal to 2^60."""
    frame = pl.DataFrame({"n": [2**60 + 1, None]})
    exact = ("expect_column_values_to_be_in_set", {"column": "n", "value_set": [2**60 + 1]})
    close = ("expect_column_values_to_be_in_set", {"column": "n", "value_set": [2**60]})
    assert check("t", frame, [exact]).passed
    assert not check("t", frame, [close]).passed


def test_categories_are_compared_as_text():
    frame = documents().with_columns(pl.col("lang").cast(pl.Categorical))
    assert check("t", frame, [LANGUAGES]).passed


def test_an_unknown_rule_names_the_near_miss():
    with pytest.raises(ValueError, match=r"no rule 'expect_column_values_to_be_uniqe'.*expect_column_values_to_be_unique"):
        check("t", documents(), [("expect_column_values_to_be_uniqe", {"column": "doc_id"})])


def test_a_wrong_argument_is_named():
    with pytest.raises(ValueError, match=r"arguments of expect_column_values_to_be_in_set are wrong.*value_set"):
        check("t", documents(), [("expect_column_values_to_be_in_set", {"column": "lang", "values": []})])


def test_no_rules_is_no_check():
    with pytest.raises(ValueError, match="no rules"):
        check("t", documents(), [])


@pytest.mark.parametrize(
    "hostile", ["<img src=x onerror=alert(1)>", "![x](http://tracker/p.png)", "`</code>`", "a\nb\x1b[31m", "&" * 300, "x" * 300]
)
def test_values_from_pages_are_shown_harmless(hostile):
    shown = sample(hostile)
    inner = shown[1:-1]
    assert shown[0] == shown[-1] == "`" and "`" not in inner
    assert len(inner) <= SAMPLE_CHARACTERS
    assert "<" not in inner and "\n" not in inner and inner.isprintable()
    assert inner.count("&") == inner.count(";")  # no entity is cut in half


def test_it_is_quiet_in_a_process_of_its_own():
    """No progress bars, no warnings (errors here), no usage statistics."""
    code = (
        "import socket; calls = []; socket.socket.connect = lambda *a: calls.append(a); "
        "import polars as pl; from llm_assets.core.expectations import check; "
        "gate = check('t', pl.DataFrame({'a': [1, None]}), [('expect_column_values_to_not_be_null', {'column': 'a'})]); "
        "assert not gate.passed and not calls"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
